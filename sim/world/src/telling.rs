//! The short telling of a run: the verdict first, then the few lines that a scenario's `tell` keeps. It is what goldens
//! hold and what a book page shows.
//!
//! A telling has at most [`LINES_MAX`] lines. Of lines of one kind from one process the first ones are told and the rest
//! counted, so that a hundred retries do not hide the one election.

use std::collections::BTreeMap;

use klab_kafka::client::consumer::records::ConsumerError;
use klab_kafka::event::{
    ClientEvent, ControllerEvent, Event, LogEvent, RaftEvent, RaftState, ReplicaEvent,
};
use klab_kafka::ids::{METADATA_PARTITION, METADATA_TOPIC, TopicIdPartition};

use crate::line::Lexicon;
use crate::process::ProcessId;
use crate::trace::{ProcessFact, Record, What};
use crate::view::View;
use crate::world::World;

/// A golden is read by a person.
pub const LINES_MAX: usize = 25;
/// Of one kind and process so many are told.
const ALIKE_MAX: usize = 2;

/// What a line is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Fault,
    Life,
    Fenced,
    Leader,
    Quorum,
    Isr,
    Truncated,
    GivenUp,
    Moved,
    Retried,
    Failed,
    Again,
    TimedOut,
    Partition,
    Process,
    Operator,
}

/// What a telling keeps.
struct Kept {
    themes: Vec<Box<str>>,
    partitions: Vec<TopicIdPartition>,
    processes: Vec<ProcessId>,
}

/// Tells a run that has kept its records; the first line is the verdict.
pub fn telling(world: &World) -> Vec<String> {
    let view = View::new(world);
    let lexicon = Lexicon::of(view);
    let kept = Kept::of(world);
    let mut told = Vec::new();
    let mut alike: BTreeMap<(Kind, Option<ProcessId>), usize> = BTreeMap::new();
    let mut more = 0;
    let since_ready = world
        .trace()
        .records()
        .iter()
        .filter(|record| world.ready().is_some_and(|ready| record.at >= ready));
    for record in since_ready {
        let Some(kind) = kept.kind(record) else {
            continue;
        };
        let count = alike.entry((kind, record.process)).or_default();
        *count += 1;
        if (*count > ALIKE_MAX && kind != Kind::Fault) || told.len() + 2 == LINES_MAX {
            more += 1;
        } else {
            told.push(format!(
                "{:>10}  {}",
                lexicon.time(record.at),
                lexicon.sentence(record)
            ));
        }
    }
    if more > 0 {
        told.push(format!("{:>10}  and {more} more of these kinds", "…"));
    }
    if let Some(checkers) = world.checkers() {
        told.insert(0, checkers.verdict(view).to_string());
    }
    told
}

impl Kept {
    fn of(world: &World) -> Kept {
        let view = View::new(world);
        let tell = &world.scenario().tell;
        let partition = |text: &str| {
            let (topic, partition) = text.rsplit_once('-')?;
            view.partition(topic, partition.parse().ok()?)
        };
        Kept {
            themes: tell.iter().map(|text| (**text).into()).collect(),
            partitions: tell.iter().filter_map(|text| partition(text)).collect(),
            processes: tell
                .iter()
                .filter_map(|text| view.names().find(text))
                .collect(),
        }
    }

    /// Which kind a record is of, if it is kept.
    fn kind(&self, record: &Record) -> Option<Kind> {
        let (theme, kind) = match &record.what {
            What::Fault { .. } | What::Answered { .. } | What::StepMissed { .. } => {
                ("faults", Kind::Fault)
            }
            What::Process(ProcessFact::Started { start: 1 }) => return None,
            What::Process(_) => ("faults", Kind::Life),
            What::Told(event) => match event {
                Event::Controller(event) => controller(event)?,
                Event::Raft(RaftEvent::Became {
                    state: RaftState::Leader,
                    ..
                }) => ("elections", Kind::Quorum),
                Event::Log(METADATA_PARTITION, LogEvent::Truncated { from, to, .. })
                    if from > to =>
                {
                    ("truncations", Kind::Truncated)
                }
                Event::Log(partition, event) if partition.topic != METADATA_TOPIC => {
                    match log(event) {
                        Some(kept) if self.has(kept.0) => kept,
                        _ => {
                            return self
                                .partitions
                                .contains(partition)
                                .then_some(Kind::Partition);
                        }
                    }
                }
                Event::Replica(partition, event) => match event {
                    ReplicaEvent::FollowerFetched { .. } => return None,
                    _ => {
                        return self
                            .partitions
                            .contains(partition)
                            .then_some(Kind::Partition);
                    }
                },
                Event::Admin(_) if self.has("operators") => ("operators", Kind::Operator),
                Event::Client(_, event) => match client(event) {
                    Some(kept) if self.has(kept.0) => kept,
                    _ => return self.by_process(record),
                },
                _ => return self.by_process(record),
            },
            _ => return None,
        };
        self.has(theme).then_some(kind)
    }

    fn has(&self, theme: &str) -> bool {
        self.themes.iter().any(|kept| **kept == *theme)
    }

    fn by_process(&self, record: &Record) -> Option<Kind> {
        record
            .process
            .filter(|p| self.processes.contains(p))
            .map(|_| Kind::Process)
    }
}

/// Whether a record is about what a telling can keep: a fault, a life, an election, an ISR, a truncation, a send that
/// failed or was tried again, a phase of the run.
pub fn is_story(record: &Record) -> bool {
    match &record.what {
        What::Fault { .. } | What::Answered { .. } | What::StepMissed { .. } | What::Phase(_) => {
            true
        }
        What::Process(fact) => *fact != ProcessFact::Started { start: 1 },
        What::Told(event) => match event {
            Event::Controller(event) => controller(event).is_some(),
            Event::Raft(RaftEvent::Became { state, .. }) => *state == RaftState::Leader,
            Event::Log(partition, event) => {
                partition.topic != METADATA_TOPIC && log(event).is_some()
            }
            Event::Replica(_, event) => matches!(event, ReplicaEvent::BecameLeader { .. }),
            Event::Admin(_) => true,
            Event::Client(_, event) => client(event).is_some(),
            _ => false,
        },
        What::Handled(_) | What::Sent { .. } => false,
    }
}

fn controller(event: &ControllerEvent) -> Option<(&'static str, Kind)> {
    match event {
        ControllerEvent::LeaderElected { .. } => Some(("elections", Kind::Leader)),
        ControllerEvent::BrokerFenced { .. } | ControllerEvent::BrokerUnfenced { .. } => {
            Some(("elections", Kind::Fenced))
        }
        ControllerEvent::IsrCommitted { .. } => Some(("isr", Kind::Isr)),
        ControllerEvent::TopicCreated { .. }
        | ControllerEvent::TopicDeleted { .. }
        | ControllerEvent::PartitionsCreated { .. }
        | ControllerEvent::ConfigChanged { .. } => Some(("operators", Kind::Operator)),
        _ => None,
    }
}

fn log(event: &LogEvent) -> Option<(&'static str, Kind)> {
    match event {
        LogEvent::Truncated { from, to, .. } if from > to => Some(("truncations", Kind::Truncated)),
        LogEvent::LogStartMoved { .. } | LogEvent::Compacted { .. } => {
            Some(("retention", Kind::GivenUp))
        }
        LogEvent::Deduplicated { .. } => Some(("failures", Kind::Again)),
        LogEvent::Refused { .. } => Some(("failures", Kind::Failed)),
        _ => None,
    }
}

fn client(event: &ClientEvent) -> Option<(&'static str, Kind)> {
    match event {
        ClientEvent::OffsetOutOfRange { .. }
        | ClientEvent::PositionReset { .. }
        | ClientEvent::TruncationDetected { .. } => Some(("retention", Kind::Moved)),
        ClientEvent::PollFailed {
            error: ConsumerError::OffsetOutOfRange(..) | ConsumerError::LogTruncation { .. },
        } => Some(("retention", Kind::Moved)),
        ClientEvent::Retried { .. } | ClientEvent::BatchSplit { .. } => {
            Some(("failures", Kind::Retried))
        }
        ClientEvent::Failed { .. } => Some(("failures", Kind::Failed)),
        ClientEvent::RequestTimedOut { .. } => Some(("failures", Kind::TimedOut)),
        _ => None,
    }
}
