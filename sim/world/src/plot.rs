//! What a plot of a run shows, as whole numbers: how much each client did and how long it took, how many members each ISR
//! had, how far each leader's log was ahead of its high watermark, and when harm was done.
//!
//! A pure function of the trace, from ready to the end. Time is cut into equal pieces so wide that there are at most
//! [`PIECES_MAX`]; a client's numbers are those of a piece, a partition's are the highest in it.
//! Left out: the reader at the end, whose latencies say nothing.

use crate::frame::marks::{Lane, marks};
use crate::line::Lexicon;
use crate::process::ProcessId;
use crate::scenario::READER;
use crate::trace::{Record, What};
use crate::view::View;
use crate::world::World;
use klab_kafka::event::{AppEvent, ClientEvent, ControllerEvent, Event, LogEvent, ReplicaEvent};
use klab_kafka::ids::{METADATA_TOPIC, Offset, RecordId, TopicIdPartition};
use klab_kafka::time::Time;
use serde::Serialize;
use std::collections::BTreeMap;

/// A picture in a book has no room for more.
pub const PIECES_MAX: u64 = 160;

/// Widths of a piece, in ms.
const WIDTHS: [u64; 13] = [
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 600_000,
];

/// The numbers of a plot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Plot {
    /// What was run.
    pub title: String,
    /// With which seed.
    pub seed: u64,
    /// How long it lasted from ready on, in ns.
    pub end: u64,
    /// How wide a piece of time is, in ns.
    pub width: u64,
    /// Those that produce.
    pub producers: Vec<Client>,
    /// Those that read.
    pub consumers: Vec<Client>,
    /// Partitions in the order of their names.
    pub partitions: Vec<Partition>,
    /// What was done.
    pub faults: Vec<Span>,
}

/// What one client did in each piece of time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Records acknowledged, or read.
    pub records: Vec<u64>,
    /// The longest time since its caller asked for the record, in ns; none if there was no record.
    pub slowest: Vec<Option<u64>>,
}

/// How one partition was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Partition {
    /// Its name.
    pub name: String,
    /// Members of the ISR from a time on, in ns.
    pub isr: Vec<(u64, u64)>,
    /// In each piece of time the most records that the leader had beyond its high watermark.
    pub lag: Vec<u64>,
}

/// Harm.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Span {
    /// From when, in ns.
    pub from: u64,
    /// Until when; harm that is over at once ends where it begins.
    pub until: u64,
    /// What was done, in words.
    pub words: String,
}

/// The numbers of a run that kept its records; none if it never was ready.
pub fn plot(world: &World) -> Option<Plot> {
    let ready = world.ready()?;
    let view = View::new(world);
    let lexicon = Lexicon::of(view);
    let end = world.now().since(ready).0;
    let width = WIDTHS
        .map(|ms| ms * 1_000_000)
        .into_iter()
        .find(|width| end / width < PIECES_MAX)
        .unwrap_or(end / PIECES_MAX + 1);
    let pieces = Pieces {
        ready,
        width,
        count: end / width + 1,
    };
    let records = world.trace().records();
    let mut lives = Lives::of(view, pieces);
    let mut work = Work::new(pieces);
    for record in records {
        if let What::Told(event) = &record.what {
            work.look(record, event);
            lives.look(record, event);
        }
    }
    let plan = view.scenario();
    let of = |names: Vec<&str>| -> Vec<Client> {
        let one = |name: &str| work.client(view.names().find(name)?, name);
        names.into_iter().filter_map(one).collect()
    };
    let spans = marks(records, &lexicon, ready).into_iter();
    let span = |mark: crate::frame::marks::Mark| {
        let from = mark.at.max(0).unsigned_abs();
        let until = mark.until.map_or(from, |until| until.max(0).unsigned_abs());
        let words = mark.words;
        let words = words.strip_prefix("fault: ").unwrap_or(&words).to_owned();
        (mark.lane == Lane::Fault && mark.sign == "▲").then_some(Span { from, until, words })
    };
    Some(Plot {
        title: plan.title.to_string(),
        seed: world.seed(),
        end,
        width,
        producers: of(plan.producers.keys().map(|name| &**name).collect()),
        consumers: of(plan
            .consumers
            .keys()
            .map(|name| &**name)
            .filter(|name| *name != READER)
            .collect()),
        partitions: lives.finish(&lexicon),
        faults: spans.filter_map(span).collect(),
    })
}

/// How time is cut.
#[derive(Clone, Copy)]
struct Pieces {
    ready: Time,
    width: u64,
    count: u64,
}

impl Pieces {
    fn of(self, at: Time) -> usize {
        let piece = at.since(self.ready).0 / self.width;
        usize::try_from(piece.min(self.count - 1)).expect("a few hundred")
    }

    fn each<T: Clone>(self, value: T) -> Vec<T> {
        vec![value; usize::try_from(self.count).expect("a few hundred")]
    }
}

/// What clients did.
struct Work {
    pieces: Pieces,
    asked: BTreeMap<RecordId, Time>,
    done: BTreeMap<ProcessId, Client>,
}

impl Work {
    fn new(pieces: Pieces) -> Work {
        Work {
            pieces,
            asked: BTreeMap::new(),
            done: BTreeMap::new(),
        }
    }

    fn look(&mut self, record: &Record, event: &Event) {
        match event {
            Event::App(AppEvent::Invoked { id }) => {
                self.asked.entry(*id).or_insert(record.at);
            }
            Event::Client(_, ClientEvent::Acked { id, .. }) => self.count(record, *id),
            Event::Client(_, ClientEvent::Delivered { records, .. }) => {
                for (_, _, id) in records {
                    self.count(record, *id);
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, record: &Record, id: RecordId) {
        let (Some(p), piece) = (record.process, self.pieces.of(record.at)) else {
            return;
        };
        let pieces = self.pieces;
        let client = self.done.entry(p).or_insert_with(|| Client {
            name: String::new(),
            records: pieces.each(0),
            slowest: pieces.each(None),
        });
        client.records[piece] += 1;
        if let Some(asked) = self.asked.get(&id) {
            let took = record.at.since(*asked).0;
            client.slowest[piece] = client.slowest[piece].max(Some(took));
        }
    }

    fn client(&self, p: ProcessId, name: &str) -> Option<Client> {
        let client = self.done.get(&p)?.clone();
        let name = name.to_owned();
        Some(Client { name, ..client })
    }
}

/// What became of partitions.
struct Lives {
    pieces: Pieces,
    partitions: BTreeMap<TopicIdPartition, Life>,
}

struct Life {
    isr: Vec<(u64, u64)>,
    leader: Option<ProcessId>,
    /// Log end offset and high watermark of every replica.
    logs: BTreeMap<ProcessId, (i64, i64)>,
    lag: Vec<u64>,
    last: (usize, u64),
}

impl Lives {
    /// All partitions that there are at the end. A new partition's ISR is all its replicas.
    fn of(view: View<'_>, pieces: Pieces) -> Lives {
        let mut partitions = BTreeMap::new();
        for (id, topic) in view.image().into_iter().flat_map(|image| &image.topics) {
            for (n, partition) in &topic.partitions {
                let tp = TopicIdPartition {
                    topic: *id,
                    partition: *n,
                };
                let life = Life {
                    isr: vec![(0, partition.replicas.len() as u64)],
                    leader: None,
                    logs: BTreeMap::new(),
                    lag: pieces.each(0),
                    last: (0, 0),
                };
                partitions.insert(tp, life);
            }
        }
        Lives { pieces, partitions }
    }

    fn look(&mut self, record: &Record, event: &Event) {
        match event {
            Event::Controller(
                ControllerEvent::LeaderElected { partition, isr, .. }
                | ControllerEvent::IsrCommitted { partition, isr, .. },
            ) => {
                let since = record.at.since(self.pieces.ready).0;
                if let Some(life) = self.partitions.get_mut(partition) {
                    life.members(since, isr.len() as u64);
                }
            }
            Event::Replica(partition, ReplicaEvent::BecameLeader { hw, .. }) => {
                self.with(partition, record, |life, p| {
                    life.leader = Some(p);
                    life.logs.entry(p).or_insert((hw.0, hw.0)).1 = hw.0;
                });
            }
            Event::Log(partition, event) if partition.topic != METADATA_TOPIC => {
                self.with(partition, record, |life, p| life.log(p, event));
            }
            _ => {}
        }
    }

    fn with(
        &mut self,
        partition: &TopicIdPartition,
        record: &Record,
        change: impl FnOnce(&mut Life, ProcessId),
    ) {
        let piece = self.pieces.of(record.at);
        let Some((life, p)) = self.partitions.get_mut(partition).zip(record.process) else {
            return;
        };
        change(life, p);
        life.note(piece);
    }

    fn finish(self, lexicon: &Lexicon) -> Vec<Partition> {
        let last = usize::try_from(self.pieces.count).expect("a few hundred") - 1;
        let one = |(tp, mut life): (TopicIdPartition, Life)| {
            life.note(last);
            Partition {
                name: lexicon.partition(tp),
                isr: life.isr,
                lag: life.lag,
            }
        };
        let mut all: Vec<Partition> = self.partitions.into_iter().map(one).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

impl Life {
    fn members(&mut self, since: u64, count: u64) {
        if self.isr.last().is_some_and(|(_, before)| *before == count) {
            return;
        }
        match self.isr.last_mut() {
            Some(last) if last.0 == since => last.1 = count,
            _ => self.isr.push((since, count)),
        }
    }

    fn log(&mut self, p: ProcessId, event: &LogEvent) {
        let (leo, hw) = self.logs.entry(p).or_default();
        let set = |to: &mut i64, offset: Offset| *to = offset.0;
        match event {
            LogEvent::Appended { batch, .. } => *leo = batch.end_offset().0,
            LogEvent::Truncated { to, .. } => set(leo, *to),
            LogEvent::StartedOver { at, .. } => {
                set(leo, *at);
                set(hw, *at);
            }
            LogEvent::HighWatermark { hw: now } => set(hw, *now),
            LogEvent::Recovered {
                leo: end, hw: mark, ..
            } => {
                set(leo, *end);
                set(hw, *mark);
            }
            _ => {}
        }
    }

    /// The lag now holds from the last change up to this piece.
    fn note(&mut self, piece: usize) {
        let (from, before) = self.last;
        for lag in &mut self.lag[from..=piece] {
            *lag = before.max(*lag);
        }
        let log = self.leader.and_then(|leader| self.logs.get(&leader));
        let now = log.map_or(0, |(leo, hw)| (leo - hw).max(0).unsigned_abs());
        self.lag[piece] = self.lag[piece].max(now);
        self.last = (piece, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::world::Watch;
    use std::fmt::Write;
    use std::sync::Arc;

    /// The pieces in which something was, by their numbers.
    fn told(plot: &Plot) -> String {
        let some = |values: &[u64]| {
            let pieces = values.iter().enumerate().filter(|(_, n)| **n > 0);
            pieces.map(|(i, n)| format!(" {i}:{n}")).collect::<String>()
        };
        let mut out = format!("end {} width {}\n", plot.end, plot.width);
        for client in plot.producers.iter().chain(&plot.consumers) {
            let slowest: Vec<u64> = client.slowest.iter().map(|s| s.unwrap_or(0)).collect();
            let (name, records) = (&client.name, some(&client.records));
            writeln!(out, "{name} records{records}").expect("into a string");
            writeln!(out, "{name} slowest{}", some(&slowest)).expect("into a string");
        }
        for p in &plot.partitions {
            let (name, isr, lag) = (&p.name, &p.isr, some(&p.lag));
            writeln!(out, "{name} isr {isr:?}\n{name} lag{lag}").expect("into a string");
        }
        for f in &plot.faults {
            writeln!(out, "{}..{} {}", f.from, f.until, f.words).expect("into a string");
        }
        out
    }

    fn plotted(text: &str) -> Plot {
        let scenario = Scenario::parse("plotted", text).unwrap_or_else(|errors| panic!("{errors}"));
        let watch = Watch {
            records: true,
            checkers: false,
        };
        let mut world = World::new(Arc::new(scenario), 1, watch);
        world.run_to_end();
        plot(&world).expect("it was ready")
    }

    #[test]
    fn a_plot_has_what_clients_did_what_became_of_partitions_and_what_was_done() {
        let plot = plotted(
            r#"{ "title": "plotted", "network": { "latency": "2ms" }, "cluster": { "sync": "1ms" },
                "topics": { "orders": { "replicas": [[1, 2, 3]] } },
                "producers": { "shop": { "topic": "orders", "records": 30, "rate": "2/s", "config": { "linger.ms": 0 } } },
                "consumers": { "auditor": { "assign": ["orders-0"] } },
                "steps": [{ "at": "3s", "crash": "broker-2", "for": "11s" }], "end": { "at": "20s" } }"#,
        );
        let acked: u64 = plot.producers[0].records.iter().sum();
        assert_eq!(acked, 30);
        assert!(
            plot.partitions[0]
                .isr
                .iter()
                .any(|(_, members)| *members == 2)
        );
        assert_eq!(
            plot.partitions[0].isr.last().map(|(_, members)| *members),
            Some(3)
        );
        assert_eq!(
            (plot.faults[0].from, plot.faults[0].until),
            (3_000_000_000, 14_000_000_000)
        );
        insta::assert_snapshot!(told(&plot));
    }
}
