//! The connections that there are, by their names. Names ascend and are never used again, so a name is a place in a row:
//! every message looks its connection up several times.

use super::{ConnKey, Connection};
use serde::{Serialize, Serializer};
use std::collections::VecDeque;

/// Connections in the order they were made.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// The name that belongs to the first place.
    first: u64,
    /// Those that are gone leave an empty place, until all before them are gone too.
    row: VecDeque<Option<Box<Connection>>>,
}

impl Connections {
    /// One connection.
    pub fn get(&self, key: ConnKey) -> Option<&Connection> {
        self.row.get(self.place(key)?)?.as_deref()
    }

    /// One connection, to be changed.
    pub fn get_mut(&mut self, key: ConnKey) -> Option<&mut Connection> {
        let place = self.place(key)?;
        self.row.get_mut(place)?.as_deref_mut()
    }

    /// A new connection.
    ///
    /// # Panics
    /// If its name is not above all earlier ones.
    pub fn insert(&mut self, key: ConnKey, connection: Connection) {
        if self.row.is_empty() {
            self.first = key.0;
        }
        let end = self.first + self.row.len() as u64;
        assert!(key.0 >= end, "names ascend");
        self.row.extend((end..key.0).map(|_| None));
        self.row.push_back(Some(Box::new(connection)));
    }

    /// Forgets a connection.
    pub fn remove(&mut self, key: ConnKey) {
        if let Some(there) = self.place(key).and_then(|at| self.row.get_mut(at)) {
            *there = None;
        }
        while let Some(None) = self.row.front() {
            self.row.pop_front();
            self.first += 1;
        }
    }

    /// All connections.
    pub fn iter(&self) -> impl Iterator<Item = (ConnKey, &Connection)> {
        let named = (self.first..).map(ConnKey).zip(&self.row);
        named.filter_map(|(key, c)| Some((key, c.as_deref()?)))
    }

    /// All connections, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ConnKey, &mut Connection)> {
        let named = (self.first..).map(ConnKey).zip(&mut self.row);
        named.filter_map(|(key, c)| Some((key, c.as_deref_mut()?)))
    }

    fn place(&self, key: ConnKey) -> Option<usize> {
        usize::try_from(key.0.checked_sub(self.first)?).ok()
    }
}

/// As a map by name: the empty places are no part of the state.
impl Serialize for Connections {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use crate::process::ProcessId;

    fn three() -> Network {
        let mut network = Network::new((0, 0), None);
        for server in 1..4 {
            network.reserve(ProcessId(0), ProcessId(server));
        }
        network
    }

    fn servers(connections: &Connections) -> Vec<(u64, u32)> {
        connections.iter().map(|(k, c)| (k.0, c.server.0)).collect()
    }

    #[test]
    fn a_forgotten_connection_is_not_found_and_the_others_keep_their_names() {
        let mut connections = three().connections;
        connections.remove(ConnKey(2));
        assert!(connections.get(ConnKey(2)).is_none());
        assert_eq!(servers(&connections), [(1, 1), (3, 3)]);
        connections.remove(ConnKey(1));
        assert_eq!(servers(&connections), [(3, 3)]);
        assert_eq!(connections.row.len(), 1, "no place is kept for the past");
        assert!(connections.get(ConnKey(1)).is_none());
        assert!(connections.get_mut(ConnKey(4)).is_none());
    }

    #[test]
    fn its_digest_is_that_of_a_map() {
        let mut connections = three().connections;
        connections.remove(ConnKey(1));
        let map: std::collections::BTreeMap<ConnKey, Connection> =
            connections.iter().map(|(k, c)| (k, c.clone())).collect();
        let own = crate::digest::roll(0, &connections);
        assert_eq!(own, crate::digest::roll(0, &map));
    }
}
