//! The verdict in words. The number comes first; nothing is promised that this run has not shown; a finding names its
//! records, and its explanation the setting, the fault, the election and every copy.

use super::explain::{Allowance, CopyFate, Explanation, Named};
use super::{Finding, FindingKind, Gone, Verdict};
use crate::check::life::Refused;
use crate::check::lineage::{Forgot, Removal};
use crate::line::{Lexicon, count, list};
use crate::process::ProcessId;
use klab_kafka::config::{Acks, ConfigValue};
use klab_kafka::ids::{Offset, RecordId};
use std::collections::BTreeMap;
use std::fmt;

/// A list of records in a sentence is no longer than this.
const MOST_NAMES: usize = 12;

/// A kind of harm in words: how many are what; which, and why.
struct About {
    what: String,
    rest: String,
    /// It is about one record alone.
    one: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentences().join(" "))
    }
}

impl Verdict {
    /// The verdict, one sentence each: what hurts first, or that nothing does.
    pub fn sentences(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let about = self.abouts();
        all.extend(about.map(|about| format!("{}: {}", about.what, about.rest)));
        all.extend(self.ghosts());
        let quiet = all.is_empty();
        if !self.over {
            all.insert(0, self.so_far());
        } else if quiet && self.undecided.is_empty() {
            all.push(self.all_well());
        }
        all.extend(self.rest(quiet));
        all.extend(self.promises_broken());
        all
    }

    /// The one sentence that decides: what hurts most, or that nothing does, or how far the run is.
    pub fn headline(&self) -> String {
        let worst = self.abouts().next().map(|about| format!("{}.", about.what));
        let broken = || self.promises_broken().into_iter().next();
        let open = || (!self.over).then(|| self.so_far());
        let waits = || self.waits();
        worst
            .or_else(broken)
            .or_else(|| self.ghosts())
            .or_else(open)
            .or_else(waits)
            .unwrap_or_else(|| self.all_well())
    }

    /// What stands under the headline, one sentence each.
    pub fn evidence(&self) -> Vec<String> {
        let headline = self.headline();
        let mut all: Vec<String> = Vec::new();
        for (n, about) in self.abouts().enumerate() {
            all.push(match n {
                0 if about.one => format!("It is {}", about.rest),
                0 => format!("They are {}", about.rest),
                _ => format!("{}: {}", about.what, about.rest),
            });
        }
        let quiet = all.is_empty();
        all.extend(self.ghosts());
        all.extend(self.rest(quiet));
        all.extend(self.promises_broken());
        if !self.over {
            all.push(self.so_far());
        }
        all.retain(|sentence| *sentence != headline);
        all.push(format!("In this run, with seed {}.", self.seed));
        all
    }

    /// Why one finding could happen, or that nothing allowed it.
    pub fn why(&self, finding: &Finding) -> String {
        match &finding.explanation {
            Some(explanation) => self.explain(explanation),
            None => "Nothing explains it: a promise is broken.".into(),
        }
    }

    /// The names and times that the sentences need.
    pub fn lexicon(&self) -> Lexicon {
        let topics = self.partitions.iter();
        let topics = topics.map(|(id, (name, _))| (id.topic, name.clone()));
        Lexicon::new(self.names.clone(), topics.collect(), self.ready)
    }

    /// What hurts, by kind, the worst first.
    fn abouts(&self) -> impl Iterator<Item = About> {
        let kinds = [
            FindingKind::Lost,
            FindingKind::Duplicated,
            FindingKind::Reordered,
            FindingKind::AcceptedLost,
            FindingKind::ReadLost,
            FindingKind::ReadMissed,
            FindingKind::ReadStale,
            FindingKind::ReadAgain,
            FindingKind::ReadDisorder,
        ];
        kinds.into_iter().filter_map(|kind| self.about(kind))
    }

    fn about(&self, kind: FindingKind) -> Option<About> {
        let findings: Vec<&Finding> = self.found(kind).collect();
        let first = findings.first()?;
        let (n, acked) = (findings.len() as u64, self.acked());
        let ids: Vec<RecordId> = findings.iter().map(|f| f.record).collect();
        let (is, stands) = if n == 1 {
            ("is", "stands")
        } else {
            ("are", "stand")
        };
        let (sent, records) = (self.fates.len(), count(n, "record"));
        let what = match kind {
            FindingKind::Lost => format!("{n} of {acked} acknowledged records {is} lost"),
            FindingKind::Duplicated => {
                format!("{n} of {sent} records {stands} in the log more than once")
            }
            FindingKind::Reordered => {
                format!("{n} of {sent} records {stands} behind one that was sent later")
            }
            FindingKind::AcceptedLost => {
                format!("{records} that the application called accepted {is} not in the log")
            }
            FindingKind::ReadLost => {
                format!("{records} in the log {is} passed over by every reader")
            }
            FindingKind::ReadMissed => {
                let was = if n == 1 { "was" } else { "were" };
                format!("{records} {was} given up by the log before any reader had come to them")
            }
            FindingKind::ReadStale => {
                let (is, key) = if n == 1 {
                    ("is", "a key")
                } else {
                    ("are", "keys")
                };
                format!("{records} {is} what a reader still holds of {key} that {is} deleted")
            }
            FindingKind::ReadAgain => format!("{records} went to one reader twice"),
            FindingKind::ReadDisorder => format!("{records} went to a reader out of order"),
        };
        let names = self.names_of(&ids);
        // One explanation stands for all that share it.
        let rest = format!("{names}. {}", self.why(first));
        let one = n == 1;
        Some(About { what, rest, one })
    }

    fn names_of(&self, ids: &[RecordId]) -> String {
        let lexicon = self.lexicon();
        match ids.len() {
            n if n > MOST_NAMES => {
                let more = count((n - MOST_NAMES) as u64, "more record");
                format!("{} and {more}", lexicon.records(&ids[..MOST_NAMES]))
            }
            _ => lexicon.records(ids),
        }
    }

    fn acked(&self) -> u64 {
        self.fates.iter().filter(|f| f.is_acked()).count() as u64
    }

    fn ghosts(&self) -> Option<String> {
        let ghosts = self.fates.iter().filter(|f| f.is_ghost());
        let ids: Vec<RecordId> = ghosts.map(|f| f.id).collect();
        let (n, is) = match ids.len() {
            0 => return None,
            1 => (
                "1 record that its application was told had failed".into(),
                "is",
            ),
            n => (
                format!("{n} records that their applications were told had failed"),
                "are",
            ),
        };
        Some(format!(
            "{n} {is} in the log all the same: {}.",
            self.names_of(&ids)
        ))
    }

    fn so_far(&self) -> String {
        let told = self.fates.iter().filter(|f| !f.is_unknown()).count() as u64;
        let (acked, planned) = (self.acked(), self.planned);
        format!(
            "So far {acked} of {planned} are acknowledged; {} are still on the way.",
            planned.saturating_sub(told)
        )
    }

    fn all_well(&self) -> String {
        let (kept, sent) = (
            self.fates
                .iter()
                .filter(|f| f.copies == 1 && f.gone.is_none())
                .count(),
            self.fates.len(),
        );
        let read = if self.delivered > 0 {
            ", and was read"
        } else {
            ""
        };
        match (kept, sent) {
            (_, 0) => "No record was sent.".into(),
            (1, 1) => format!("The one record is in the log{read}."),
            (k, s) if k == s => {
                let read = if self.delivered > 0 {
                    ", and were read"
                } else {
                    ""
                };
                format!("All {s} records are in the log once, in order{read}.")
            }
            _ if self.fates.iter().any(|f| f.gone.is_some()) => {
                format!(
                    "No acknowledged record is lost; {kept} of {sent} are in the log, in order."
                )
            }
            _ => {
                let acked = self.acked();
                format!("All {acked} acknowledged records are in the log once, in order.")
            }
        }
    }

    fn rest(&self, quiet: bool) -> Vec<String> {
        let mut all = Vec::new();
        let n = |is: fn(&super::Fate) -> bool| self.fates.iter().filter(|f| is(f)).count() as u64;
        let refused = n(super::Fate::is_refused);
        if refused > 0 {
            let (was, knows) = if refused == 1 {
                ("was", "its application knows")
            } else {
                ("were", "their applications know")
            };
            all.push(format!(
                "{} {was} refused, and {knows}.",
                count(refused, "record")
            ));
        }
        let unknown = n(super::Fate::is_unknown);
        if self.over && unknown > 0 {
            let records = count(unknown, "record");
            all.push(format!(
                "Of {records} the application was never told anything."
            ));
        }
        all.extend(self.given_up());
        all.extend(self.waits());
        if self.over && quiet && all.is_empty() && self.delivered == 0 && !self.fates.is_empty() {
            all.push("Nobody read them.".into());
        }
        all
    }

    /// What logs gave up as they were told to: it is no loss, and no longer there.
    fn given_up(&self) -> Vec<String> {
        let mut by: BTreeMap<Gone, u64> = BTreeMap::new();
        for gone in self.fates.iter().filter_map(|f| f.gone) {
            *by.entry(gone).or_default() += 1;
        }
        let say = |(gone, n): (Gone, u64)| {
            let is = if n == 1 { "is" } else { "are" };
            let records = count(n, "record");
            format!("{records} {is} in the log no longer, by {}.", gone.by())
        };
        by.into_iter().map(say).collect()
    }

    fn waits(&self) -> Option<String> {
        if self.undecided.is_empty() {
            return None;
        }
        let lexicon = self.lexicon();
        let names = self.undecided.iter();
        let names: Vec<String> = names.map(|id| lexicon.partition(*id)).collect();
        let has = if names.len() == 1 { "has" } else { "have" };
        Some(format!(
            "Not decided: {} {has} no leader, and a copy is left.",
            list(&names)
        ))
    }

    fn promises_broken(&self) -> Vec<String> {
        let mut first: BTreeMap<&str, (u64, &crate::check::Violation)> = BTreeMap::new();
        for violation in &self.broken {
            first.entry(violation.promise).or_insert((0, violation)).0 += 1;
        }
        let say = |(promise, (n, violation)): (&str, (u64, &crate::check::Violation))| {
            let times = if n == 1 {
                "once".into()
            } else {
                format!("{n} times")
            };
            format!("Broken {times}: {promise}. First: {}.", violation.seen)
        };
        first.into_iter().map(say).collect()
    }

    /// An explanation in words: what allowed it, what led to it, what became of the copies.
    fn explain(&self, explanation: &Explanation) -> String {
        let lexicon = self.lexicon();
        let allowed: Vec<String> = explanation
            .allowed_by
            .iter()
            .map(Allowance::to_string)
            .collect();
        let mut parts = vec![format!("Allowed by {}", list(&allowed))];
        let fault = explanation.fault.as_ref().map(|f| named(f, &lexicon));
        let election = explanation.election.as_ref().map(|e| {
            let (who, at) = (lexicon.name(e.leader), lexicon.time(e.at));
            format!("{who}, elected at {at}, did not have it")
        });
        let led: Vec<String> = fault.into_iter().chain(election).collect();
        if !led.is_empty() {
            parts.push(led.join(", and "));
        }
        parts.extend(explanation.gave_up.map(|by| {
            let (who, at) = (lexicon.name(by.process), lexicon.time(by.at));
            format!("{who} gave it up at {at}")
        }));
        parts.extend(explanation.forgot.map(|Forgot { by, .. }| {
            let (who, at) = (lexicon.name(by.process), lexicon.time(by.at));
            format!("{who} forgot the producer at {at}")
        }));
        parts.extend(explanation.refused.map(|Refused { by, error, .. }| {
            let (who, error) = (lexicon.name(by), error.name());
            format!("{who} refused it: {error}")
        }));
        parts.extend(copies(&explanation.copies, &lexicon));
        format!("{}.", parts.join("; "))
    }
}

fn named(fault: &Named, lexicon: &Lexicon) -> String {
    format!(
        "at {} {}",
        lexicon.time(fault.at),
        lexicon.fault(&fault.fault)
    )
}

/// The copies by what became of them; those of one offset and one end together.
fn copies(copies: &[CopyFate], lexicon: &Lexicon) -> Option<String> {
    let mut groups: Vec<(Offset, String, Vec<ProcessId>)> = Vec::new();
    for copy in copies {
        let end = end(copy, lexicon);
        let same = groups
            .iter_mut()
            .find(|(offset, e, _)| *offset == copy.offset && *e == end);
        match same {
            Some((.., who)) => who.push(copy.process),
            None => groups.push((copy.offset, end, vec![copy.process])),
        }
    }
    let say = |(offset, end, who): &(Offset, String, Vec<ProcessId>)| {
        format!("{} at offset {offset}, {end}", lexicon.processes(who))
    };
    let groups: Vec<String> = groups.iter().map(say).collect();
    (!groups.is_empty()).then(|| format!("copies: {}", groups.join("; ")))
}

/// How a copy ended.
fn end(copy: &CopyFate, lexicon: &Lexicon) -> String {
    match &copy.end {
        None => "still there".into(),
        Some(end) => match (end.removal, &end.election) {
            (Removal::Truncated { .. }, Some(winner)) => {
                format!("cut off to match {}", lexicon.name(winner.leader))
            }
            (Removal::Truncated { .. }, None) => "cut off".into(),
            (Removal::PowerLost, _) => "lost with the power, not flushed".into(),
            (Removal::DiskReplaced, _) => "gone with the disk".into(),
            (Removal::Recovery, _) => "found torn at the next start".into(),
        },
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowance::Acks(Acks::Zero) => f.write_str("acks=0, which waits for no answer"),
            Allowance::Acks(acks) => write!(f, "acks={}", acks.show()),
            Allowance::UncleanElection => f.write_str("unclean.leader.election.enable"),
            Allowance::MinInsync(n) => write!(f, "min.insync.replicas={n}"),
            Allowance::Unflushed => f.write_str("acknowledgements that wait for no flush"),
            Allowance::DiskReplaced => f.write_str("the loss of the disk of all that could lead"),
            Allowance::IdempotenceOff => f.write_str("enable.idempotence=false"),
            Allowance::InFlight(n) => {
                write!(
                    f,
                    "max.in.flight.requests.per.connection={n} without idempotence"
                )
            }
            Allowance::NewProducerId => f.write_str("a new producer id after a restart (P07)"),
            Allowance::SentAgain => f.write_str("the application, which sent it again by itself"),
            Allowance::FirstBatchHole => {
                f.write_str("the leader's knowing nothing of the producer's first batch (P08)")
            }
            Allowance::ShortMemory => {
                f.write_str("the leader's remembering one batch only after a restart (L-13)")
            }
            Allowance::Renumbered(n) => write!(
                f,
                "max.in.flight.requests.per.connection={n}: another batch failed, and its producer's new epoch gave this one, which \
                 was under way, another sequence number"
            ),
            Allowance::ProducerForgotten => {
                f.write_str("producer.id.expiration.ms: the leader had forgotten an idle producer")
            }
            Allowance::LogEmptied => f.write_str(
                "an emptied log: the leader had given up every batch, and with them what it knew of producers",
            ),
            Allowance::AnswersAfterSend => f.write_str("an answer before the callback (P14)"),
            Allowance::OffsetReset => f.write_str("auto.offset.reset"),
            Allowance::TopicDeleted => f.write_str("an operator, who deleted the topic"),
            Allowance::TombstoneGone => f.write_str(
                "delete.retention.ms: the tombstone was gone before the reader came to it",
            ),
            Allowance::Gone(gone) => f.write_str(gone.by()),
        }
    }
}
