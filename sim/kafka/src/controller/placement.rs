//! On which brokers the replicas of a new topic lie: Kafka's StripedReplicaPlacer (K-22). Replicas are spread over racks, then
//! over the brokers of a rack; leaders over all brokers; a fenced broker is taken only where no other is left, and
//! never as the first.

use crate::ids::NodeId;
use crate::protocol::ErrorCode;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A broker that may get replicas: registered and not shutting down.
#[derive(Clone, Debug)]
pub struct UsableBroker {
    /// Which.
    pub id: NodeId,
    /// Its rack; brokers without one share one.
    pub rack: Option<Arc<str>>,
    /// Whether it is fenced.
    pub fenced: bool,
}

/// Places `replication_factor` replicas of each of so many partitions. All chance comes from the one number drawn.
///
/// # Errors
/// INVALID_REPLICATION_FACTOR if there are too few brokers, or all are fenced.
pub fn place(
    brokers: &[UsableBroker],
    partitions: i32,
    replication_factor: i16,
    drawn: u64,
) -> Result<Vec<Vec<NodeId>>, ErrorCode> {
    let replicas = u64::try_from(replication_factor).unwrap_or(0);
    let unfenced = brokers.iter().filter(|b| !b.fenced).count() as u64;
    if replicas == 0 || unfenced == 0 || replicas > brokers.len() as u64 {
        return Err(ErrorCode::InvalidReplicationFactor);
    }
    let mut racks = Racks::new(brokers, unfenced, Numbers(drawn));
    Ok((0..partitions).map(|_| racks.place(replicas)).collect())
}

/// Brokers in a fixed order, walked from an offset that moves on with every partition.
#[derive(Default)]
struct BrokerList {
    brokers: Vec<NodeId>,
    index: usize,
    offset: usize,
    epoch: u64,
}

impl BrokerList {
    /// The next broker in this partition's turn (`epoch`), if there is one left.
    fn next(&mut self, epoch: u64) -> Option<NodeId> {
        if self.brokers.is_empty() {
            return None;
        }
        if self.epoch != epoch {
            self.epoch = epoch;
            self.index = 0;
            self.offset = (self.offset + 1) % self.brokers.len();
        }
        if self.index >= self.brokers.len() {
            return None;
        }
        let broker = self.brokers[(self.index + self.offset) % self.brokers.len()];
        self.index += 1;
        Some(broker)
    }
}

#[derive(Default)]
struct Rack {
    unfenced: BrokerList,
    fenced: BrokerList,
}

impl Rack {
    fn next(&mut self, epoch: u64) -> Option<NodeId> {
        self.unfenced
            .next(epoch)
            .or_else(|| self.fenced.next(epoch))
    }
}

struct Racks {
    racks: Vec<Rack>,
    unfenced: u64,
    epoch: u64,
    offset: usize,
    numbers: Numbers,
}

impl Racks {
    fn new(brokers: &[UsableBroker], unfenced: u64, mut numbers: Numbers) -> Racks {
        let mut by_name: BTreeMap<Option<Arc<str>>, Rack> = BTreeMap::new();
        for broker in brokers {
            let rack = by_name.entry(broker.rack.clone()).or_default();
            let list = if broker.fenced {
                &mut rack.fenced
            } else {
                &mut rack.unfenced
            };
            list.brokers.push(broker.id);
        }
        let mut racks: Vec<Rack> = by_name.into_values().collect();
        for list in racks
            .iter_mut()
            .flat_map(|r| [&mut r.fenced, &mut r.unfenced])
        {
            list.brokers.sort();
            list.offset = numbers.below(list.brokers.len());
        }
        let offset = numbers.below(racks.len());
        Racks {
            racks,
            unfenced,
            epoch: 0,
            offset,
            numbers,
        }
    }

    /// One partition: the first replica on an unfenced broker of the first rack that has one, the others rack by rack.
    fn place(&mut self, replicas: u64) -> Vec<NodeId> {
        // After as many partitions as there are unfenced brokers the same assignments would come again.
        if self.epoch == self.unfenced && self.unfenced > 1 {
            self.shuffle();
            self.epoch = 0;
        }
        let count = self.racks.len();
        self.offset %= count;
        let mut first = self.offset;
        let leader = loop {
            match self.racks[first].unfenced.next(self.epoch) {
                Some(broker) => break broker,
                None => first = (first + 1) % count,
            }
        };
        let mut brokers = vec![leader];
        let mut skip = Some(first);
        let mut rack = self.offset;
        while (brokers.len() as u64) < replicas {
            // The first replica's rack has had its turn in this round.
            if skip == Some(rack) {
                skip = None;
            } else {
                brokers.extend(self.racks[rack].next(self.epoch));
            }
            rack = (rack + 1) % count;
        }
        self.epoch += 1;
        self.offset += 1;
        brokers
    }

    fn shuffle(&mut self) {
        self.numbers.shuffle(&mut self.racks);
        for rack in &mut self.racks {
            self.numbers.shuffle(&mut rack.fenced.brokers);
            self.numbers.shuffle(&mut rack.unfenced.brokers);
        }
    }
}

/// Numbers that follow from a drawn one (SplitMix64).
struct Numbers(u64);

impl Numbers {
    /// From `[0, below)`; 0 if there is nothing to choose from.
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from((u128::from(z) * below as u128) >> 64).expect("below a length")
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let chosen = self.below(last + 1);
            list.swap(last, chosen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn broker(id: i32, rack: Option<&str>, fenced: bool) -> UsableBroker {
        UsableBroker {
            id: NodeId(id),
            rack: rack.map(Arc::from),
            fenced,
        }
    }

    #[test]
    fn leaders_are_spread_over_all_brokers() {
        let brokers: Vec<_> = (1..=3).map(|id| broker(id, None, false)).collect();
        let placed = place(&brokers, 3, 3, 42).expect("three of three");
        let mut leaders: Vec<i32> = placed.iter().map(|p| p[0].0).collect();
        leaders.sort();
        assert_eq!(leaders, [1, 2, 3]);
    }

    #[test]
    fn replicas_lie_in_different_racks() {
        let racks = ["a", "a", "b", "b", "c", "c"];
        let brokers: Vec<_> = (1..)
            .zip(racks)
            .map(|(id, r)| broker(id, Some(r), false))
            .collect();
        for replicas in place(&brokers, 12, 3, 7).expect("six brokers") {
            let mut used: Vec<&str> = replicas.iter().map(|id| racks[id.0 as usize - 1]).collect();
            used.sort();
            assert_eq!(used, ["a", "b", "c"]);
        }
    }

    #[test]
    fn a_fenced_broker_follows_but_never_comes_first() {
        let brokers = [
            broker(1, None, true),
            broker(2, None, false),
            broker(3, None, false),
        ];
        for replicas in place(&brokers, 8, 3, 3).expect("three brokers") {
            assert_eq!(replicas.last(), Some(&NodeId(1)));
        }
    }

    #[test]
    fn more_replicas_than_brokers_are_refused() {
        let brokers = [broker(1, None, false)];
        assert_eq!(
            place(&brokers, 1, 2, 0),
            Err(ErrorCode::InvalidReplicationFactor)
        );
    }

    #[test]
    fn with_every_broker_fenced_nothing_is_placed() {
        let brokers = [broker(1, None, true)];
        assert_eq!(
            place(&brokers, 1, 1, 0),
            Err(ErrorCode::InvalidReplicationFactor)
        );
    }

    proptest! {
        /// KIP-631's rules of placement: as long as there is an unfenced broker in every rack, no rack has two replicas of a
        /// partition before every rack has one, and until the lists are shuffled the racks take turns in leading.
        #[test]
        fn racks_share_replicas_evenly_and_lead_in_turn(
            drawn in any::<u64>(),
            sizes in prop::collection::vec(1i32..4, 1..5),
            replication_factor in 1i16..6,
        ) {
            let racks: Vec<usize> = (0..)
                .zip(&sizes)
                .flat_map(|(rack, size)| std::iter::repeat_n(rack, *size as usize))
                .collect();
            prop_assume!(racks.len() >= replication_factor as usize);
            let name = |rack: usize| rack.to_string();
            let brokers: Vec<_> = (0..)
                .zip(&racks)
                .map(|(id, rack)| broker(id, Some(&name(*rack)), false))
                .collect();
            let rack_of = |id: &NodeId| racks[id.0 as usize];
            let partitions = racks.len() as i32;
            let placed = place(&brokers, partitions, replication_factor, drawn);
            let placed = placed.expect("enough brokers");
            let leading: Vec<usize> = placed.iter().map(|p| rack_of(&p[0])).collect();
            let first = leading[0];
            for (turn, rack) in leading.iter().enumerate() {
                prop_assert_eq!(*rack, (first + turn) % sizes.len());
            }
            for replicas in &placed {
                let mut count = vec![0; sizes.len()];
                replicas.iter().for_each(|r| count[rack_of(r)] += 1);
                let full = |rack: usize| count[rack] == sizes[rack];
                let most = count.iter().max().copied().unwrap_or(0);
                for (rack, n) in count.iter().enumerate() {
                    prop_assert!(*n + 1 >= most || full(rack), "{:?}", count);
                }
            }
        }

        #[test]
        fn no_broker_has_two_replicas_of_a_partition(
            drawn in any::<u64>(),
            count in 1i32..8,
            fenced in any::<u8>(),
            racks in prop::collection::vec(prop::option::of(0u8..3), 8),
            replication_factor in 1i16..8,
            partitions in 1i32..20,
        ) {
            let rack = |i: i32| racks[i as usize].map(|r| r.to_string());
            let brokers: Vec<_> = (0..count)
                .map(|i| broker(i, rack(i).as_deref(), i > 0 && fenced >> i & 1 == 1))
                .collect();
            if i32::from(replication_factor) > count {
                prop_assert!(place(&brokers, partitions, replication_factor, drawn).is_err());
                return Ok(());
            }
            for replicas in place(&brokers, partitions, replication_factor, drawn).expect("enough brokers") {
                prop_assert_eq!(replicas.len(), replication_factor as usize);
                prop_assert!(!brokers[replicas[0].0 as usize].fenced);
                let mut once = replicas.clone();
                once.sort();
                once.dedup();
                prop_assert_eq!(once.len(), replicas.len());
            }
        }
    }
}
