//! Keys that are deleted in a compacted log, and that a reader does not know to be: compaction took the tombstone before the
//! reader came to it (L-29). When the reader came past it, and whether it was gone by then, the trace must show.

use super::explain::{Explanation, of_stale};
use crate::check::history::History;
use crate::check::lineage::{Lineage, NodeRef, Replica};
use crate::check::readers::Reading;
use bytes::Bytes;
use klab_kafka::ids::{Offset, RecordId};
use std::collections::BTreeMap;

/// One record of a key.
struct Version {
    node: NodeRef,
    offset: Offset,
    id: RecordId,
    is_tombstone: bool,
}

/// The records that are the last that some reader knows of a deleted key, and why that may be.
pub fn stale(
    history: &History,
    lineage: &Lineage,
    leader: Option<&Replica>,
) -> Vec<(RecordId, Option<Explanation>)> {
    let Some(leader) = leader.filter(|_| lineage.is_compacted) else {
        return Vec::new();
    };
    let mut keys: BTreeMap<Bytes, Vec<Version>> = BTreeMap::new();
    for copied in leader.path.iter() {
        for record in lineage
            .node(copied.node)
            .batch
            .records()
            .filter_map(Result::ok)
        {
            if let Some(key) = record.key {
                keys.entry(key).or_default().push(Version {
                    node: copied.node,
                    offset: record.offset,
                    id: record.id,
                    is_tombstone: record.value.is_none(),
                });
            }
        }
    }
    let is_deleted = |versions: &&Vec<Version>| {
        let last = versions.last().expect("a key has a record");
        last.is_tombstone && leader.compacted.contains_key(&last.offset)
    };
    let held = |versions: &Vec<Version>, reading: &Reading| {
        let tombstone = versions.last().expect("a key has a record");
        let last = tombstone.offset;
        let missed = !reading.has(last) && last < reading.passed();
        let known = versions.iter().rev().find(|v| reading.has(v.offset));
        let known = known.filter(|v| missed && !v.is_tombstone)?;
        let taken = lineage.taken(tombstone.node, last);
        Some((known.id, of_stale(taken, reading.passed_over(last))))
    };
    let deleted = keys.values().filter(is_deleted);
    deleted
        .flat_map(|versions| {
            let readers = history.readers.of(lineage.id);
            readers.filter_map(move |reading| held(versions, reading))
        })
        .collect()
}
