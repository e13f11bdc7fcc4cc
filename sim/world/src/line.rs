//! The one catalogue of text for people: a trace record becomes one line, in Kafka's words.
//!
//! The command line, the book, the goldens and the page's log all read these lines; nothing else makes sentences about
//! events and faults. Lines say what happened, in the order *who – did – what*, and never judge it.

mod event;
mod harm;
pub mod picture;

use crate::process::{Down, Names, ProcessId};
use crate::trace::{Handled, Phase, ProcessFact, Record, What};
use crate::view::View;
use klab_kafka::ids::{METADATA_PARTITION, NodeId, Offset, RecordId, TopicId, TopicIdPartition};
use klab_kafka::input::Closed;
use klab_kafka::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The names that lines need.
#[derive(Clone, Debug)]
pub struct Lexicon {
    names: Names,
    topics: BTreeMap<TopicId, Arc<str>>,
    ready: Option<Time>,
}

impl Lexicon {
    /// The names that are known at a moment of a run.
    pub fn of(view: View<'_>) -> Lexicon {
        let topics = view.image().map(|image| &image.topics);
        let topics = topics.into_iter().flatten();
        Lexicon {
            names: view.names().clone(),
            topics: topics
                .map(|(id, topic)| (*id, topic.name.clone()))
                .chain(view.former_topics().clone())
                .collect(),
            ready: view.ready(),
        }
    }

    /// A lexicon of given names.
    pub fn new(names: Names, topics: BTreeMap<TopicId, Arc<str>>, ready: Option<Time>) -> Lexicon {
        Lexicon {
            names,
            topics,
            ready,
        }
    }

    /// A whole line: number, time, who, what.
    pub fn line(&self, record: &Record) -> String {
        let (seq, time) = (record.seq, self.time(record.at));
        format!("{seq:>8} {time:>11}  {}", self.sentence(record))
    }

    /// Who and what, without number and time.
    pub fn sentence(&self, record: &Record) -> String {
        let who = match record.process {
            Some(p) => self.name(p),
            None => return self.says(record),
        };
        format!("{who} {}", self.says(record))
    }

    /// What a record says, without who.
    pub fn says(&self, record: &Record) -> String {
        match &record.what {
            What::Handled(handled) => self.handled(handled),
            What::Sent {
                to, api, response, ..
            } => {
                let to = self.name(*to);
                match response {
                    true => format!("answers {api:?} to {to}"),
                    false => format!("sends {api:?} to {to}"),
                }
            }
            What::Told(event) => self.event(event),
            What::Process(fact) => process(*fact),
            What::Fault {
                fault,
                lifted: false,
                ..
            } => format!("fault: {}", self.fault(fault)),
            What::Fault {
                fault,
                lifted: true,
                ..
            } => format!("mended: {}", self.mended(fault)),
            What::Answered { to, api, error, .. } => {
                let (to, error) = (self.name(*to), error.name());
                format!("never sees the {api:?} of {to}, which is answered {error} in its place")
            }
            What::StepMissed { .. } => "a step of the scenario matched nothing".into(),
            What::Phase(phase) => self.phase(*phase),
        }
    }

    /// Seconds since the run was ready; before that, since boot.
    pub fn time(&self, at: Time) -> String {
        let ready = self.ready.map_or(0, |r| r.0);
        let ns = i128::from(at.0) - i128::from(ready);
        let sign = if ns < 0 { "-" } else { "" };
        let ms = ns.unsigned_abs() / 1_000_000;
        format!("{sign}{}.{:03} s", ms / 1_000, ms % 1_000)
    }

    /// A process.
    pub fn name(&self, p: ProcessId) -> &str {
        self.names.get(p).unwrap_or("somebody")
    }

    /// A node of the cluster.
    pub fn node(&self, node: NodeId) -> String {
        match node.0 {
            3001.. => format!("controller-{}", node.0 - 3000),
            n => format!("broker-{n}"),
        }
    }

    /// A partition.
    pub fn partition(&self, id: TopicIdPartition) -> String {
        match self.topics.get(&id.topic) {
            _ if id == METADATA_PARTITION => "metadata".into(),
            Some(topic) => format!("{topic}-{}", id.partition),
            None => format!("{:x}-{}", id.topic.0 >> 96, id.partition),
        }
    }

    /// An application's record.
    pub fn record(&self, id: RecordId) -> String {
        format!("{}#{}", self.name(ProcessId(id.source)), id.number)
    }

    /// Records, in runs: `shop#3 to #7 and shop#9`.
    pub fn records(&self, ids: &[RecordId]) -> String {
        let mut runs: Vec<(RecordId, RecordId)> = Vec::new();
        for id in ids {
            match runs.last_mut() {
                Some((_, last)) if last.source == id.source && last.number + 1 == id.number => {
                    *last = *id;
                }
                _ => runs.push((*id, *id)),
            }
        }
        let text = |(first, last): &(RecordId, RecordId)| match last.number - first.number {
            0 => self.record(*first),
            1 => format!("{} and #{}", self.record(*first), last.number),
            _ => format!("{} to #{}", self.record(*first), last.number),
        };
        list(&runs.iter().map(text).collect::<Vec<_>>())
    }

    /// Processes, in a list.
    pub fn processes(&self, all: &[ProcessId]) -> String {
        list(
            &all.iter()
                .map(|p| self.name(*p).to_string())
                .collect::<Vec<_>>(),
        )
    }

    /// Nodes, as Kafka writes an ISR.
    fn isr(&self, isr: &[NodeId]) -> String {
        let members: Vec<String> = isr.iter().map(NodeId::to_string).collect();
        format!("[{}]", members.join(","))
    }

    fn handled(&self, handled: &Handled) -> String {
        match handled {
            Handled::Opened { peer, .. } => format!("is connected with {}", self.name(*peer)),
            Handled::Closed { why, .. } => match why {
                Closed::Refused => "is refused a connection".into(),
                Closed::Reset => "loses a connection: it was broken".into(),
                Closed::PeerGone => "loses a connection: the other end is gone".into(),
                Closed::TimedOut => "loses a connection: nothing came through".into(),
            },
            Handled::Request { api, from, .. } => {
                format!("takes {api:?} from {}", self.name(*from))
            }
            Handled::Response { api, from, .. } => {
                format!("gets the answer to {api:?} from {}", self.name(*from))
            }
            Handled::Sent { .. } => "has the socket take its request".into(),
            Handled::Timer(timer) => format!("wakes for its alarm {timer:?}"),
            Handled::Synced { result: Ok(()), .. } => "has its writes on disk".into(),
            Handled::Synced { .. } => "cannot bring its writes to disk".into(),
            Handled::Command => "takes a command".into(),
            Handled::Stop => "is asked to stop".into(),
        }
    }

    /// A phase of the run.
    pub fn phase(&self, phase: Phase) -> String {
        match phase {
            Phase::Booting => "the cluster starts",
            Phase::Running => "the cluster is ready: the workload begins",
            Phase::Healing => "what is broken is mended",
            Phase::Reading => "a fresh reader reads everything",
            Phase::Done => "the run is over",
        }
        .into()
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => "none".into(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

/// `1 record`, `2 records`.
pub fn count(n: u64, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

/// `offset 3`, or `offsets 3 to 7`, of the half-open [from, to).
fn offsets(from: Offset, to: Offset) -> String {
    match to.0 - from.0 {
        1 => format!("offset {from}"),
        _ => format!("offsets {from} to {}", to.0 - 1),
    }
}

fn process(fact: ProcessFact) -> String {
    match fact {
        ProcessFact::Started { start: 1 } => "starts".into(),
        ProcessFact::Started { start } => format!("starts again, for the {} time", nth(start)),
        ProcessFact::Ended { how, batches_lost } => match how {
            Down::New => "does not run".into(),
            Down::Killed => "dies; what it wrote is still in the page cache".into(),
            Down::PowerLost => format!(
                "loses power, and with it {} that were not flushed",
                match batches_lost {
                    1 => "1 batch".into(),
                    n => format!("{n} batches"),
                }
            ),
            Down::Exited => "exits".into(),
        },
        ProcessFact::DiskReplaced { batches_lost } => {
            format!("gets an empty disk in place of one with {batches_lost} batches")
        }
        ProcessFact::Paused => "is paused".into(),
        ProcessFact::Resumed => "goes on".into(),
    }
}

fn nth(n: u32) -> String {
    match n {
        2 => "second".into(),
        3 => "third".into(),
        n => format!("{n}th"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexicon() -> Lexicon {
        let names = ["broker-1", "shop"].map(Arc::from);
        let topics = [(TopicId(7), "orders".into())].into();
        Lexicon::new(Names::new(names.into()), topics, Some(Time(2_000_000_000)))
    }

    fn shop(number: u32) -> RecordId {
        RecordId { source: 1, number }
    }

    #[test]
    fn time_counts_from_the_moment_the_run_was_ready() {
        assert_eq!(lexicon().time(Time(14_003_500_000)), "12.003 s");
        assert_eq!(lexicon().time(Time(1_500_000_000)), "-0.500 s");
        assert_eq!(lexicon().time(Time(2_000_000_000)), "0.000 s");
    }

    #[test]
    fn records_are_listed_in_runs() {
        let text = |numbers: &[u32]| {
            let ids: Vec<RecordId> = numbers.iter().map(|n| shop(*n)).collect();
            lexicon().records(&ids)
        };
        assert_eq!(text(&[]), "none");
        assert_eq!(text(&[4]), "shop#4");
        assert_eq!(text(&[4, 5]), "shop#4 and #5");
        assert_eq!(text(&[4, 5, 6, 9]), "shop#4 to #6 and shop#9");
    }

    #[test]
    fn a_line_says_number_time_who_and_what() {
        let record = Record {
            seq: 41,
            at: Time(3_000_000_000),
            process: Some(ProcessId(0)),
            cause: None,
            what: What::Process(ProcessFact::Paused),
        };
        assert_eq!(
            lexicon().line(&record),
            "      41     1.000 s  broker-1 is paused"
        );
    }

    #[test]
    fn a_partition_has_its_topics_name() {
        let id = |topic| TopicIdPartition {
            topic: TopicId(topic),
            partition: 0,
        };
        assert_eq!(lexicon().partition(id(7)), "orders-0");
        assert_eq!(lexicon().partition(METADATA_PARTITION), "metadata");
    }
}
