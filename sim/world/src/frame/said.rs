//! The verdict as a picture shows it: one sentence, what stands under it, and which records it is about.

use crate::app::workload;
use crate::process::ProcessId;
use crate::verdict::{FindingKind, Verdict};
use crate::view::View;
use klab_kafka::ids::RecordId;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many records are named one by one.
const NAMED_MAX: usize = 24;

/// What a colour and a sign stand for: one meaning each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// A promise of Kafka's is broken.
    Broken,
    /// Gone.
    Lost,
    /// There more than once.
    Doubled,
    /// Not in its place.
    Moved,
    /// There, though its application was told that it failed.
    Ghost,
    /// Still open.
    Open,
    /// As it should be.
    Well,
}

impl Tone {
    fn of(kind: FindingKind) -> Tone {
        match kind {
            FindingKind::Lost | FindingKind::AcceptedLost | FindingKind::ReadLost => Tone::Lost,
            FindingKind::Duplicated | FindingKind::ReadAgain => Tone::Doubled,
            FindingKind::Reordered | FindingKind::ReadDisorder => Tone::Moved,
        }
    }

    /// The sign that says the same as the colour.
    pub fn sign(self) -> &'static str {
        match self {
            Tone::Broken => "‼",
            Tone::Lost => "✕",
            Tone::Doubled => "②",
            Tone::Moved => "⇄",
            Tone::Ghost => "◌",
            Tone::Open => "…",
            Tone::Well => "✓",
        }
    }
}

/// A sign on a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Mark {
    /// Its colour's meaning.
    pub tone: Tone,
    /// Its sign.
    pub sign: &'static str,
}

impl From<Tone> for Mark {
    fn from(tone: Tone) -> Mark {
        Mark {
            tone,
            sign: tone.sign(),
        }
    }
}

/// The verdict in a picture.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Said {
    /// The one sentence.
    pub headline: String,
    /// What stands under it.
    pub evidence: Vec<String>,
    /// What the sentence is about.
    pub mark: Mark,
    /// The run is over, so it is the last word.
    pub last_word: bool,
    /// Records that hurt, at most so many; each can be asked why.
    pub records: Vec<Named>,
    /// How many more there are.
    pub more_records: u64,
}

/// A record with a name.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Named {
    /// Which application's.
    pub source: u32,
    /// Its number there.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// What hurts.
    pub mark: Mark,
    /// The same in words.
    pub words: String,
}

/// What is known of each record, for the cells of logs.
pub struct Judged<'a> {
    verdict: &'a Verdict,
    view: View<'a>,
    worst: BTreeMap<RecordId, Mark>,
}

impl<'a> Judged<'a> {
    /// From a verdict.
    pub fn of(verdict: &'a Verdict, view: View<'a>) -> Judged<'a> {
        let mut worst: BTreeMap<RecordId, Mark> = BTreeMap::new();
        let ghosts = verdict.fates.iter().filter(|fate| fate.is_ghost());
        let ghosts = ghosts.map(|fate| (fate.id, Tone::Ghost));
        let findings = verdict.findings.iter();
        let findings = findings.map(|finding| (finding.record, Tone::of(finding.kind)));
        for (id, tone) in findings.chain(ghosts) {
            let mark = Mark::from(tone);
            let known = worst.entry(id).or_insert(mark);
            *known = (*known).min(mark);
        }
        Judged {
            verdict,
            view,
            worst,
        }
    }

    /// What hurts about a record.
    pub fn mark(&self, id: RecordId) -> Option<Mark> {
        self.worst.get(&id).copied()
    }

    /// Whether its application was told that it is written, or that it failed.
    pub fn told(&self, id: RecordId) -> Option<(bool, bool)> {
        let fate = self.verdict.fate(id)?;
        Some((fate.is_acked(), fate.is_refused() || fate.is_ghost()))
    }

    /// A letter for its key; none for records without keys, or of more keys than letters.
    pub fn key(&self, id: RecordId) -> Option<char> {
        let name = self.view.names().get(ProcessId(id.source))?;
        let plan = self.view.scenario().producers.get(name)?;
        let letter = u8::try_from(workload::key_number(id.number, plan)?).ok()?;
        (plan.keys? <= 26).then(|| char::from(b'a' + letter))
    }
}

impl Said {
    /// The verdict as a picture shows it.
    pub fn of(verdict: &Verdict, judged: &Judged<'_>) -> Said {
        let named = verdict.findings.iter().map(|finding| Named {
            source: finding.record.source,
            number: finding.record.number,
            name: verdict.record_name(finding.record),
            mark: Tone::of(finding.kind).into(),
            words: format!(
                "{} {}",
                verdict.record_name(finding.record),
                finding.kind.is_what()
            ),
        });
        let records: Vec<Named> = named.take(NAMED_MAX).collect();
        let unexplained = verdict.unexplained().next().is_some();
        let worst = judged.worst.values().min().copied();
        let tone = match worst {
            _ if unexplained || !verdict.broken.is_empty() => Tone::Broken,
            Some(mark) => mark.tone,
            None if verdict.over && verdict.undecided.is_empty() => Tone::Well,
            None => Tone::Open,
        };
        Said {
            headline: verdict.headline(),
            evidence: verdict.evidence(),
            mark: tone.into(),
            last_word: verdict.over,
            more_records: (verdict.findings.len() - records.len()) as u64,
            records,
        }
    }
}
