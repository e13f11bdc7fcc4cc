//! Partitions and their replicas, aligned by offset: the last cells of each log, high watermark, end, epochs, who leads and
//! who is in the ISR.
//!
//! Leader and ISR are the controllers', as everybody will learn them; a replica's log and high watermark are its own. Of a
//! broker that does not run the log on its disk is shown: the page cache is part of it, as it outlives a kill.

use super::said::{Judged, Mark};
use super::{CELLS_MAX, PARTITIONS_MAX};
use crate::line::{Lexicon, picture};
use crate::process::{Process, ProcessId};
use crate::view::View;
use klab_kafka::controller::records::PartitionRegistration;
use klab_kafka::ids::{NodeId, Offset, RecordId, TopicIdPartition};
use klab_kafka::log::Log;
use klab_kafka::log::batch::RecordBatch;
use serde::Serialize;

/// A partition.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Partition {
    /// Its name, such as `orders-0`.
    pub name: String,
    /// The process of its leader.
    pub leader: Option<u32>,
    /// Its leader epoch.
    pub epoch: i32,
    /// The processes of its ISR.
    pub isr: Vec<u32>,
    /// The offset of the first cell shown, in the replicas whose logs come so far.
    pub from: i64,
    /// The same in words.
    pub words: String,
    /// Its replicas, by process.
    pub replicas: Vec<Replica>,
}

/// A replica.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Replica {
    /// The broker's process.
    pub broker: u32,
    /// The controllers' leader.
    pub leads: bool,
    /// It thinks that it leads.
    pub thinks_it_leads: bool,
    /// In the controllers' ISR.
    pub in_isr: bool,
    /// Its process runs.
    pub live: bool,
    /// The high watermark that it knows, if it runs.
    pub hw: Option<i64>,
    /// The offset after its last record.
    pub leo: i64,
    /// The offset of its first cell shown: the partition's, unless its log ends before that.
    pub from: i64,
    /// How many offsets its log ends before the longest one's end.
    pub behind: i64,
    /// The leader epoch that it knows, if it runs.
    pub epoch: Option<i32>,
    /// Its last cells.
    pub cells: Vec<Cell>,
    /// The same in words.
    pub words: String,
}

/// A record of a replica.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Cell {
    /// Its offset.
    pub offset: i64,
    /// The epoch of the leader that wrote it.
    pub epoch: i32,
    /// Which application's.
    pub source: Option<u32>,
    /// Its number there.
    pub number: Option<u32>,
    /// A letter for its key.
    pub key: Option<char>,
    /// Below the replica's high watermark.
    pub committed: bool,
    /// Its application was told that it is written.
    pub acked: bool,
    /// What hurts.
    pub mark: Option<Mark>,
    /// The same in words.
    pub words: String,
}

/// The first partitions by name, and how many more there are.
pub fn all(view: View<'_>, lexicon: &Lexicon, judged: &Judged) -> (Vec<Partition>, u64) {
    let Some(image) = view.image() else {
        return (Vec::new(), 0);
    };
    let mut shown = Vec::new();
    let mut more = 0;
    for topic in image.names.values() {
        let registrations = image.topics.get(topic).map(|t| &t.partitions);
        for (number, registration) in registrations.into_iter().flatten() {
            if shown.len() == PARTITIONS_MAX {
                more += 1;
                continue;
            }
            let id = TopicIdPartition {
                topic: *topic,
                partition: *number,
            };
            shown.push(partition(view, lexicon, judged, id, registration));
        }
    }
    (shown, more)
}

/// The log of a replica: a running broker's own, or what is on the disk of one that does not run.
enum Source<'a> {
    Own(&'a klab_kafka::broker::partition::Partition),
    Disk(Vec<RecordBatch>),
}

impl<'a> Source<'a> {
    fn of(view: View<'a>, p: ProcessId, id: TopicIdPartition) -> Source<'a> {
        match &view.machine(p).process {
            Some(Process::Broker(broker)) => match broker.partitions().find(|(i, _)| *i == id) {
                Some((_, partition)) => Source::Own(partition),
                None => Source::Disk(Vec::new()),
            },
            _ => Source::Disk(view.disk(p).batches(id).collect()),
        }
    }

    fn log(&self) -> Option<&'a Log> {
        match self {
            Source::Own(partition) => Some(partition.log()),
            Source::Disk(_) => None,
        }
    }

    fn leo(&self) -> Offset {
        match self {
            Source::Own(partition) => partition.log().leo(),
            Source::Disk(batches) => batches.last().map_or(Offset(0), |b| b.end_offset()),
        }
    }

    fn batches(&self, from: Offset) -> Vec<&RecordBatch> {
        let mut found = Vec::new();
        match self {
            Source::Own(partition) => {
                for segment in partition.log().segments().from(from) {
                    found.extend(segment.batches_from(from));
                }
            }
            Source::Disk(batches) => {
                found.extend(batches.iter().filter(|b| b.end_offset() > from));
            }
        }
        found
    }
}

fn partition(
    view: View<'_>,
    lexicon: &Lexicon,
    judged: &Judged,
    id: TopicIdPartition,
    registration: &PartitionRegistration,
) -> Partition {
    let process = |node: &NodeId| view.process_of(*node);
    let mut brokers: Vec<ProcessId> = registration.replicas.iter().filter_map(process).collect();
    brokers.sort();
    let sources: Vec<(ProcessId, Source<'_>)> = brokers
        .iter()
        .map(|p| (*p, Source::of(view, *p, id)))
        .collect();
    let longest = sources.iter().map(|(_, s)| s.leo().0).max().unwrap_or(0);
    let from = (longest - CELLS_MAX).max(0);
    let leader = registration.leader.as_ref().and_then(process);
    let isr: Vec<ProcessId> = registration.isr.iter().filter_map(process).collect();
    let name = lexicon.partition(id);
    let replicas = sources.iter().map(|(p, source)| {
        let leads = leader == Some(*p);
        let in_isr = isr.contains(p);
        let leo = source.leo().0;
        let own = if leo > from {
            from
        } else {
            (leo - CELLS_MAX).max(0)
        };
        let place = (&*name, *p);
        let shown = replica(view, lexicon, judged, place, source, leads, in_isr, own);
        Replica {
            behind: longest - leo,
            ..shown
        }
    });
    Partition {
        leader: leader.map(|p| p.0),
        epoch: registration.leader_epoch.0,
        isr: isr.iter().map(|p| p.0).collect(),
        from,
        words: picture::partition(
            &name,
            leader.map(|p| lexicon.name(p)),
            registration.leader_epoch.0,
            &registration.isr,
        ),
        replicas: replicas.collect(),
        name,
    }
}

#[allow(clippy::too_many_arguments)] // One call site, and each is a different thing of the picture.
fn replica(
    view: View<'_>,
    lexicon: &Lexicon,
    judged: &Judged,
    (name, p): (&str, ProcessId),
    source: &Source<'_>,
    leads: bool,
    in_isr: bool,
    from: i64,
) -> Replica {
    let log = source.log();
    let live = view.machine(p).process.is_some();
    let hw = log.map(Log::hw);
    let own = match source {
        Source::Own(partition) => Some(*partition),
        Source::Disk(_) => None,
    };
    let cells = source.batches(Offset(from)).into_iter();
    let cells = cells.flat_map(|batch| cells_of(batch, from, hw, lexicon, judged));
    Replica {
        broker: p.0,
        leads,
        thinks_it_leads: own.is_some_and(|partition| partition.is_leader()),
        in_isr,
        live,
        hw: hw.map(|hw| hw.0),
        leo: source.leo().0,
        from,
        behind: 0,
        epoch: own.and_then(|partition| Some(partition.leader_epoch()?.0)),
        cells: cells.collect(),
        words: picture::replica(&picture::ReplicaWords {
            partition: name,
            broker: lexicon.name(p),
            leads,
            in_isr,
            live,
            hw,
            leo: source.leo(),
        }),
    }
}

fn cells_of(
    batch: &RecordBatch,
    from: i64,
    hw: Option<Offset>,
    lexicon: &Lexicon,
    judged: &Judged,
) -> Vec<Cell> {
    let placed = batch.offsets().zip(batch.data.ids());
    let mut records = placed.peekable();
    let count = i64::from(batch.data.last_offset_delta) + 1;
    let mut cells = Vec::new();
    for i in 0..count {
        let offset = batch.base_offset.plus(i);
        let id = records.next_if(|(at, _)| *at == offset);
        let id: Option<RecordId> = id.map(|(_, id)| *id);
        // Where compaction took a record there is nothing to be seen.
        let is_taken = id.is_none() && !batch.data.is_control();
        if offset.0 < from || is_taken {
            continue;
        }
        let told = id.and_then(|id| judged.told(id));
        let acked = told.is_some_and(|(acked, _)| acked);
        let committed = hw.is_some_and(|hw| offset < hw);
        let name = id.map(|id| lexicon.record(id));
        let epoch = batch.leader_epoch.0;
        let words = told.map_or("", |(acked, failed)| picture::told(acked, failed));
        let mark = id.and_then(|id| judged.mark(id));
        cells.push(Cell {
            offset: offset.0,
            epoch,
            source: id.map(|id| id.source),
            number: id.map(|id| id.number),
            key: id.and_then(|id| judged.key(id)),
            committed,
            acked,
            mark,
            words: picture::cell(name.as_deref(), offset, epoch, committed, words),
        });
    }
    cells
}
