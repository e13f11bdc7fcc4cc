//! Expectations: `<metric> <comparator> <value>`, `sometimes: <fact>`, `broken: <promise>` and `kept: <promise>`.
//!
//! The metrics are a closed list with a sentence each. A metric may be narrowed to one producer (`of shop`) or one
//! partition (`in orders-0`). `sometimes` proves that the run shows what it says: the fact must happen at least once.
//! `broken` turns a promise round: a scenario that switches a rule off must break what the rule keeps.
//! A broken promise that is not named so fails a run even without an expectation; `kept` says it aloud, for a file whose
//! whole matter is that promise.

use std::fmt;
use std::sync::Arc;

use super::error::{Mistake, nearest, quoted};
use super::quantity;
use super::selector::{Known, TopicPartition};
use super::trigger::Trigger;
use crate::check;

/// One expectation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Expectation {
    /// A number at the end of the run.
    Compare {
        /// Which number.
        metric: Metric,
        /// Over what.
        scope: Scope,
        /// How it compares.
        comparator: Comparator,
        /// With what: a count, or nanoseconds.
        value: u64,
    },
    /// A goal that must be reached at least once.
    Sometimes(Goal),
    /// A trigger that must be met at least once.
    SometimesMet(Trigger),
    /// A promise that must break, by its checker's name.
    Broken(Arc<str>),
    /// A promise that must not.
    Kept(Arc<str>),
}

/// Over what a number is taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Scope {
    /// The whole run.
    All,
    /// One producer's records.
    Of(Arc<str>),
    /// One topic.
    InTopic(Arc<str>),
    /// One partition.
    In(TopicPartition),
}

/// How two numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Comparator {
    /// `==`
    Is,
    /// `!=`
    IsNot,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// The numbers that can be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[allow(missing_docs)] // `METRICS` has their sentences.
pub enum Metric {
    Sent,
    Accepted,
    Acked,
    Refused,
    Unknown,
    LogLost,
    LogDuplicated,
    LogReordered,
    LogGhosts,
    LogExpired,
    LogDeleted,
    LogCompacted,
    AcceptedLost,
    Unexplained,
    ReadLost,
    ReadMissed,
    ReadStale,
    ReadDuplicated,
    ReadReordered,
    Elections,
    UncleanElections,
    ControllerElections,
    Truncated,
    Retries,
    ProduceP50,
    ProduceP99,
    ProduceMax,
    Unavailable,
    Recovery,
}

/// Whether a metric counts or measures time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Records or events.
    Count,
    /// Time.
    Time,
}

/// All metrics: name, what it measures, sentence.
pub const METRICS: [(Metric, &str, Measure, &str); 29] = [
    (
        Metric::Sent,
        "sent",
        Measure::Count,
        "Records handed to `send`.",
    ),
    (
        Metric::Accepted,
        "accepted",
        Measure::Count,
        "Records that the application told its own caller are accepted.",
    ),
    (
        Metric::Acked,
        "acked",
        Measure::Count,
        "Records that the application was told are written.",
    ),
    (
        Metric::Refused,
        "refused",
        Measure::Count,
        "Records that the application was told failed, and that are not written.",
    ),
    (
        Metric::Unknown,
        "unknown",
        Measure::Count,
        "Records whose fate the application does not know.",
    ),
    (
        Metric::LogLost,
        "log.lost",
        Measure::Count,
        "Acknowledged records that are not in the log at the end.",
    ),
    (
        Metric::LogDuplicated,
        "log.duplicated",
        Measure::Count,
        "Records that stand in the log more than once.",
    ),
    (
        Metric::LogReordered,
        "log.reordered",
        Measure::Count,
        "Records that stand behind one of the same producer and partition sent later.",
    ),
    (
        Metric::LogGhosts,
        "log.ghosts",
        Measure::Count,
        "Records told to have failed that are in the log nevertheless.",
    ),
    (
        Metric::LogExpired,
        "log.expired",
        Measure::Count,
        "Records that the log gave up because they were too old or too many (retention).",
    ),
    (
        Metric::LogDeleted,
        "log.deleted",
        Measure::Count,
        "Records that the log gave up because DeleteRecords asked for it.",
    ),
    (
        Metric::LogCompacted,
        "log.compacted",
        Measure::Count,
        "Records that compaction took from the log: a later one of their key stands for them, or their tombstone's time was over.",
    ),
    (
        Metric::AcceptedLost,
        "accepted.lost",
        Measure::Count,
        "Records accepted by the application that are not in the log at the end.",
    ),
    (
        Metric::Unexplained,
        "unexplained",
        Measure::Count,
        "Findings that no setting and no fault explains: bugs.",
    ),
    (
        Metric::ReadLost,
        "read.lost",
        Measure::Count,
        "Records in the log that no reader got.",
    ),
    (
        Metric::ReadMissed,
        "read.missed",
        Measure::Count,
        "Records that the log gave up before any reader had come to them.",
    ),
    (
        Metric::ReadStale,
        "read.stale",
        Measure::Count,
        "Records that a reader still holds of keys that are deleted: their tombstones were gone before it came to them.",
    ),
    (
        Metric::ReadDuplicated,
        "read.duplicated",
        Measure::Count,
        "Records that one reader got more than once.",
    ),
    (
        Metric::ReadReordered,
        "read.reordered",
        Measure::Count,
        "Records that one reader got out of offset order.",
    ),
    (
        Metric::Elections,
        "elections",
        Measure::Count,
        "Times that a partition got a new leader after the start.",
    ),
    (
        Metric::UncleanElections,
        "elections.unclean",
        Measure::Count,
        "Elections of a leader from outside the ISR.",
    ),
    (
        Metric::ControllerElections,
        "elections.controller",
        Measure::Count,
        "Times that the quorum got a new leader after the start.",
    ),
    (
        Metric::Truncated,
        "truncated",
        Measure::Count,
        "Records that replicas cut off their logs.",
    ),
    (
        Metric::Retries,
        "retries",
        Measure::Count,
        "Produce requests sent again.",
    ),
    (
        Metric::ProduceP50,
        "p50(produce)",
        Measure::Time,
        "Half of the acknowledged records took at most this long from send to acknowledgement.",
    ),
    (
        Metric::ProduceP99,
        "p99(produce)",
        Measure::Time,
        "99 of 100 acknowledged records took at most this long.",
    ),
    (
        Metric::ProduceMax,
        "max(produce)",
        Measure::Time,
        "The longest that an acknowledged record took.",
    ),
    (
        Metric::Unavailable,
        "unavailable",
        Measure::Time,
        "The longest time in which records waited and none was acknowledged.",
    ),
    (
        Metric::Recovery,
        "recovery",
        Measure::Time,
        "The longest time from the end of all faults until records that waited were acknowledged again.",
    ),
];

/// What a run must have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[allow(missing_docs)] // `GOALS` has their sentences.
pub enum Goal {
    LeaderElected,
    LeaderElectedUncleanly,
    ControllerElected,
    PreVoteRefused,
    BrokerFenced,
    IsrShrunk,
    IsrExpanded,
    LogTruncated,
    TruncationNoticed,
    LogCompacted,
    RequestRetried,
    DuplicateRecognised,
    EpochBumped,
    BatchSplit,
    WriteFenced,
    NotEnoughReplicas,
    DeliveryTimedOut,
    RecordLost,
    RecordDuplicated,
    TopicDeleted,
    PartitionsAdded,
    ConfigChanged,
    AdminTimedOut,
    AdminRefused,
}

/// All goals: name and sentence.
pub const GOALS: [(Goal, &str, &str); 24] = [
    (
        Goal::TopicDeleted,
        "topic deleted",
        "An operator deleted a topic.",
    ),
    (
        Goal::PartitionsAdded,
        "partitions added",
        "A topic got more partitions.",
    ),
    (
        Goal::ConfigChanged,
        "config changed",
        "A setting of a topic or of brokers was changed in the metadata.",
    ),
    (
        Goal::AdminTimedOut,
        "admin timed out",
        "An operator's client waited for an answer no longer.",
    ),
    (
        Goal::AdminRefused,
        "admin refused",
        "An operator's command was answered with an error.",
    ),
    (
        Goal::LeaderElected,
        "leader elected",
        "A partition got a new leader after the start.",
    ),
    (
        Goal::LeaderElectedUncleanly,
        "leader elected uncleanly",
        "A leader came from outside the ISR.",
    ),
    (
        Goal::ControllerElected,
        "controller elected",
        "The quorum got a new leader after the start.",
    ),
    (
        Goal::PreVoteRefused,
        "prevote refused",
        "A voter was told that it could not win.",
    ),
    (
        Goal::BrokerFenced,
        "broker fenced",
        "The controller stopped counting on a broker.",
    ),
    (Goal::IsrShrunk, "isr shrunk", "A replica left an ISR."),
    (
        Goal::IsrExpanded,
        "isr expanded",
        "A replica joined an ISR.",
    ),
    (
        Goal::LogTruncated,
        "log truncated",
        "A replica cut records off its log.",
    ),
    (
        Goal::TruncationNoticed,
        "truncation noticed",
        "A consumer learnt that the log no longer holds what it had read last.",
    ),
    (
        Goal::LogCompacted,
        "log compacted",
        "Compaction took records of a replica's log, by their keys.",
    ),
    (
        Goal::RequestRetried,
        "request retried",
        "A producer sent a batch again.",
    ),
    (
        Goal::DuplicateRecognised,
        "duplicate recognised",
        "A leader knew a batch again and did not write it twice.",
    ),
    (
        Goal::EpochBumped,
        "epoch bumped",
        "An idempotent producer began a new epoch.",
    ),
    (
        Goal::BatchSplit,
        "batch split",
        "A producer made smaller batches of one that was too large.",
    ),
    (
        Goal::WriteFenced,
        "write fenced",
        "A write was refused because its epoch was old.",
    ),
    (
        Goal::NotEnoughReplicas,
        "not enough replicas",
        "A write was refused because the ISR was too small.",
    ),
    (
        Goal::DeliveryTimedOut,
        "delivery timed out",
        "A producer gave a record up after delivery.timeout.ms.",
    ),
    (
        Goal::RecordLost,
        "record lost",
        "An acknowledged record is not in the log at the end.",
    ),
    (
        Goal::RecordDuplicated,
        "record duplicated",
        "A record stands in the log more than once.",
    ),
];

/// The promises that can be expected to break: all that have a checker.
pub const PROMISES: [&str; check::ALL.len()] = {
    let mut names = [""; check::ALL.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = check::ALL[n].name;
        n += 1;
    }
    names
};

const COMPARATORS: [(Comparator, &str); 6] = [
    (Comparator::Is, "=="),
    (Comparator::IsNot, "!="),
    (Comparator::Less, "<"),
    (Comparator::AtMost, "<="),
    (Comparator::More, ">"),
    (Comparator::AtLeast, ">="),
];

impl Expectation {
    /// Reads an expectation and checks the names in it. `promises` are the names of the checkers.
    pub fn parse(text: &str, known: &Known, promises: &[&str]) -> Result<Expectation, Mistake> {
        if let Some(fact) = text.strip_prefix("sometimes:") {
            return sometimes(fact.trim(), known);
        }
        let promise = |name: &str| match promises.contains(&name.trim()) {
            true => Ok(Arc::from(name.trim())),
            false => Err(Mistake::unknown(
                "promise",
                name.trim(),
                promises.iter().copied(),
            )),
        };
        if let Some(name) = text.strip_prefix("broken:") {
            return promise(name).map(Expectation::Broken);
        }
        if let Some(name) = text.strip_prefix("kept:") {
            return promise(name).map(Expectation::Kept);
        }
        compare(text, known)
    }
}

fn sometimes(fact: &str, known: &Known) -> Result<Expectation, Mistake> {
    if let Some((goal, ..)) = GOALS.iter().find(|(_, name, _)| *name == fact) {
        return Ok(Expectation::Sometimes(*goal));
    }
    let names: Vec<&str> = GOALS.iter().map(|(_, name, _)| *name).collect();
    match (Trigger::parse(fact, known), nearest(fact, &names)) {
        (Ok(trigger), _) => Ok(Expectation::SometimesMet(trigger)),
        (Err(_), Some(near)) => Err(Mistake::unknown("goal", fact, names.iter().copied())
            .hint(format!("did you mean \"{near}\"?"))),
        (Err(mistake), None) => Err(mistake),
    }
}

fn compare(text: &str, known: &Known) -> Result<Expectation, Mistake> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (metric, comparator, value, scope) = match words[..] {
        [metric, comparator, value] => (metric, comparator, value, Scope::All),
        [metric, comparator, value, "of", producer] => (
            metric,
            comparator,
            value,
            Scope::Of(known.process(producer)?),
        ),
        [metric, comparator, value, "in", place] => {
            (metric, comparator, value, scope_in(place, known)?)
        }
        [.., "in", "group", _] => {
            return Err(
                Mistake::new(format!("a group in {}", quoted(text)), "what is built")
                    .hint("groups come with a later release"),
            );
        }
        _ => {
            let expected = "`<metric> <comparator> <value>`, with `of <producer>` or `in <partition>` after it, or `sometimes: <fact>`";
            return Err(
                Mistake::new(format!("the expectation {}", quoted(text)), expected)
                    .hint("such as \"log.lost == 0\""),
            );
        }
    };
    let Some((metric, _, measure, _)) = METRICS.iter().find(|(_, name, ..)| *name == metric) else {
        return Err(Mistake::unknown(
            "metric",
            metric,
            METRICS.iter().map(|(_, name, ..)| *name),
        ));
    };
    let Some((comparator, _)) = COMPARATORS.iter().find(|(_, name)| *name == comparator) else {
        return Err(Mistake::unknown(
            "comparator",
            comparator,
            COMPARATORS.iter().map(|(_, name)| *name),
        ));
    };
    let value = match measure {
        Measure::Time => quantity::duration(value)?,
        Measure::Count => {
            let count = value
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| value.parse().ok())
                .flatten();
            count.ok_or_else(|| Mistake::new(quoted(value), "a whole number"))?
        }
    };
    Ok(Expectation::Compare {
        metric: *metric,
        scope,
        comparator: *comparator,
        value,
    })
}

fn scope_in(place: &str, known: &Known) -> Result<Scope, Mistake> {
    match known.topic(place) {
        Ok(topic) => Ok(Scope::InTopic(topic)),
        Err(_) => known.partition(place).map(Scope::In),
    }
}

impl Metric {
    /// Its name in a scenario.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Whether it counts or measures time.
    pub fn measure(self) -> Measure {
        self.row().2
    }

    fn row(self) -> &'static (Metric, &'static str, Measure, &'static str) {
        METRICS
            .iter()
            .find(|(known, ..)| *known == self)
            .expect("the table is whole")
    }
}

impl Goal {
    /// Its name in a scenario.
    pub fn name(self) -> &'static str {
        GOALS
            .iter()
            .find(|(known, ..)| *known == self)
            .expect("the table is whole")
            .1
    }
}

impl Comparator {
    /// Whether `left` compares so with `right`.
    pub fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Comparator::Is => left == right,
            Comparator::IsNot => left != right,
            Comparator::Less => left < right,
            Comparator::AtMost => left <= right,
            Comparator::More => left > right,
            Comparator::AtLeast => left >= right,
        }
    }
}

impl fmt::Display for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            COMPARATORS
                .iter()
                .find(|(known, _)| known == self)
                .expect("the table is whole")
                .1,
        )
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::All => Ok(()),
            Scope::Of(producer) => write!(f, " of {producer}"),
            Scope::InTopic(topic) => write!(f, " in {topic}"),
            Scope::In(tp) => write!(f, " in {tp}"),
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expectation::Compare {
                metric,
                scope,
                comparator,
                value,
            } => {
                let value = match metric.measure() {
                    Measure::Count => value.to_string(),
                    Measure::Time => quantity::write_duration(*value),
                };
                write!(f, "{} {comparator} {value}{scope}", metric.name())
            }
            Expectation::Sometimes(goal) => write!(f, "sometimes: {}", goal.name()),
            Expectation::SometimesMet(trigger) => write!(f, "sometimes: {trigger}"),
            Expectation::Broken(promise) => write!(f, "broken: {promise}"),
            Expectation::Kept(promise) => write!(f, "kept: {promise}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::selector::tests::known;

    const PROMISES: [&str; 2] = ["log matching", "one leader per epoch"];

    fn parse(text: &str) -> Result<Expectation, Mistake> {
        Expectation::parse(text, &known(), &PROMISES)
    }

    #[test]
    fn every_metric_and_goal_is_read_and_written_back() {
        for (_, name, measure, _) in METRICS {
            let value = if measure == Measure::Time {
                "200ms"
            } else {
                "3"
            };
            for scope in ["", " of shop", " in orders", " in orders-0"] {
                let text = format!("{name} <= {value}{scope}");
                assert_eq!(parse(&text).expect("a metric").to_string(), text);
            }
        }
        for (_, name, _) in GOALS {
            let text = format!("sometimes: {name}");
            assert_eq!(parse(&text).expect("a goal").to_string(), text);
        }
    }

    #[test]
    fn a_trigger_can_be_a_sometimes_and_a_promise_can_be_meant_to_break_or_to_hold() {
        for text in [
            "sometimes: leader of orders-0 truncated to 5",
            "broken: log matching",
            "kept: log matching",
        ] {
            assert_eq!(parse(text).expect("an expectation").to_string(), text);
        }
        assert_eq!(
            parse("broken: log matchin")
                .expect_err("a slip")
                .hint
                .as_deref(),
            Some("did you mean \"log matching\"?")
        );
    }

    #[test]
    fn a_slip_in_an_expectation_finds_its_neighbour() {
        let hint = |text: &str| parse(text).expect_err("a slip").hint.unwrap_or_default();
        assert_eq!(hint("log.lots == 0"), "did you mean \"log.lost\"?");
        assert_eq!(
            hint("sometimes: leader elcted"),
            "did you mean \"leader elected\"?"
        );
        assert_eq!(
            hint("effect.duplicated == 0 in group billing"),
            "groups come with a later release"
        );
        assert_eq!(
            parse("log.lost = 0").expect_err("one sign").found,
            "unknown comparator \"=\""
        );
        assert_eq!(
            parse("log.lost == -1").expect_err("negative").expected,
            "a whole number"
        );
        assert_eq!(
            parse("p99(produce) < 5")
                .expect_err("no unit")
                .hint
                .as_deref(),
            Some("the unit is missing")
        );
    }
}
