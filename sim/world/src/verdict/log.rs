//! What became of every record, judged against the logs as they are: one fate per record, one finding per harm.
//!
//! The log of a partition is its present leader's; without a leader it is the committed log, and a record of which any copy
//! is left is not lost yet.

use super::explain;
use super::stale::stale;
use super::{Fate, Finding, FindingKind, Gone, Outcome};
use crate::check::history::History;
use crate::check::life::{Life, Spot, Told};
use crate::check::lineage::{GaveUp, Lineage, NodeRef, Replica};
use crate::scenario::Scenario;
use crate::trace::Phase;
use klab_kafka::event::LogStart;
use klab_kafka::ids::{Offset, RecordId, TopicIdPartition};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The judgement over all records.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// By source and number. The largest list of a run: the checkers and the verdict share it.
    pub fates: Arc<Vec<Fate>>,
    /// What hurts, in the same order.
    pub findings: Vec<Finding>,
    /// Partitions without a leader, with records whose fate depends on it.
    pub undecided: BTreeSet<TopicIdPartition>,
}

/// One partition's log: the leader's, or the committed one.
struct Line<'a> {
    place: u32,
    lineage: &'a Lineage,
    leader: Option<&'a Replica>,
    /// An operator deleted the topic: there is no log any more.
    deleted: bool,
}

/// Judges all records.
pub fn judge(history: &History, scenario: &Scenario) -> Judged {
    let lines: BTreeMap<TopicIdPartition, Line<'_>> = history
        .data()
        .map(|(place, lineage)| {
            let leader = history.leader(place).and_then(|p| lineage.replica(p));
            let line = Line {
                place,
                lineage,
                leader,
                deleted: history.deleted.contains_key(&lineage.id.topic),
            };
            (lineage.id, line)
        })
        .collect();
    let late: BTreeMap<RecordId, Spot> = lines.values().flat_map(|l| late(history, l)).collect();
    let real = || history.lives.iter().filter(|(_, life)| life.is_real());
    let mut judged = Judged::default();
    // Grown step by step it would be in memory twice.
    let mut fates = Vec::with_capacity(real().count());
    let mut stale: BTreeMap<RecordId, Option<explain::Explanation>> = lines
        .values()
        .flat_map(|l| stale(history, l.lineage, l.leader))
        .collect();
    for (id, life) in real() {
        let judge = Judge {
            history,
            scenario,
            id,
            life,
            lines: &lines,
            late: late.get(&id).copied(),
        };
        fates.push(judge.pass(&mut judged));
        if let Some(why) = stale.remove(&id) {
            judged
                .findings
                .push(judge.finding(FindingKind::ReadStale, why));
        }
    }
    judged.fates = Arc::new(fates);
    judged
}

/// Where one record is looked for.
struct Standing {
    spot: Spot,
    offset: Option<Offset>,
    /// What took it from its log, if it can be read nowhere any more.
    gone: Option<(Gone, GaveUp)>,
}

/// Who judges one record.
struct Judge<'a> {
    history: &'a History,
    scenario: &'a Scenario,
    id: RecordId,
    life: &'a Life,
    lines: &'a BTreeMap<TopicIdPartition, Line<'a>>,
    late: Option<Spot>,
}

impl Judge<'_> {
    fn pass(&self, judged: &mut Judged) -> Fate {
        let spots = self.life.spots.iter().copied();
        let there: SmallVec<[Spot; 2]> = spots.filter(|s| self.line(*s).holds(s.node)).collect();
        let standing = self.standing(&there);
        match &standing {
            None => self.missing(judged),
            Some(standing) => self.present(&there, standing, judged),
        }
        self.fate(there.len(), standing)
    }

    fn line(&self, spot: Spot) -> &Line<'_> {
        let id = self.history.lineage(spot.place).id;
        self.lines.get(&id).expect("every partition has its line")
    }

    fn offset(&self, spot: Spot) -> Option<Offset> {
        let lineage = self.history.lineage(spot.place);
        lineage.offset_of(spot.node, self.id)
    }

    fn fate(&self, copies: usize, standing: Option<Standing>) -> Fate {
        let told = match self.life.told {
            Told::Nothing => Outcome::Nothing,
            Told::Written { at, .. } => Outcome::Written { at },
            Told::Failed { at, failure, .. } => Outcome::Failed { at, failure },
        };
        Fate {
            id: self.id,
            partition: self.life.partition,
            sent: self.life.queued.map(|_| self.life.queued_at),
            told,
            accepted: self.life.accepted.is_some(),
            copies: copies as u64,
            offset: standing.as_ref().and_then(|s| s.offset),
            gone: standing.and_then(|s| s.gone).map(|(gone, _)| gone),
        }
    }

    /// The first place where the record can still be read, for what stands twice may have been given up or compacted at one;
    /// else the first of all, with what took it from there.
    fn standing(&self, there: &[Spot]) -> Option<Standing> {
        let mut all = there.iter().map(|spot| {
            let offset = self.offset(*spot);
            Standing {
                spot: *spot,
                offset,
                gone: offset.and_then(|offset| self.line(*spot).gone(spot.node, offset)),
            }
        });
        let first = all.next()?;
        match first.gone {
            None => Some(first),
            Some(_) => all.find(|s| s.gone.is_none()).or(Some(first)),
        }
    }

    /// The record is not in the log.
    fn missing(&self, judged: &mut Judged) {
        let over = self.history.phase == Phase::Done;
        let waits = |s: &Spot| self.line(*s).leader.is_none() && self.line(*s).has_copy(s.node);
        if self.life.spots.iter().any(waits) {
            judged.undecided.extend(self.life.partition);
            return;
        }
        // What was never written may still be on its way.
        let may_come = !over && self.life.spots.is_empty();
        if may_come {
            return;
        }
        if self.life.is_acked() {
            let why = explain::of_loss(self.history, self.scenario, self.id, self.life);
            judged.findings.push(self.finding(FindingKind::Lost, why));
        } else if self.life.accepted.is_some() && over {
            let why = explain::of_acceptance(self.history, self.scenario, self.id, self.life);
            judged
                .findings
                .push(self.finding(FindingKind::AcceptedLost, why));
        }
    }

    /// The record is in the log.
    fn present(&self, there: &[Spot], standing: &Standing, judged: &mut Judged) {
        let (history, life) = (self.history, self.life);
        if let [first, second, ..] = *there {
            let why = explain::of_duplicate(history, self.scenario, self.id, life, first, second);
            judged
                .findings
                .push(self.finding(FindingKind::Duplicated, why));
        }
        if let Some(late) = self.late {
            let why = explain::of_disorder(history, self.scenario, self.id, life, late);
            judged
                .findings
                .push(self.finding(FindingKind::Reordered, why));
        }
        if let Some(offset) = standing.offset {
            self.read(standing.spot, offset, standing.gone, judged);
        }
    }

    fn read(&self, spot: Spot, offset: Offset, gone: Option<(Gone, GaveUp)>, judged: &mut Judged) {
        let lineage = self.history.lineage(spot.place);
        let readers = || self.history.readers.of(lineage.id);
        // What was superseded nobody need have seen: what stands for it is read.
        let is_superseded = matches!(gone, Some((Gone::Compacted, _)));
        let is_meant = !is_superseded
            && readers().any(|r| match gone {
                // It cannot be read any more by a reader that began early enough, wherever that stands.
                Some(_) => r.began.is_some_and(|began| began <= offset),
                None => r.went_over(offset),
            });
        if is_meant && !readers().any(|r| r.has(offset)) {
            let reset = readers().any(|r| r.was_reset_over(offset));
            // Who was past it while it was there, and was given nothing, missed it for another reason.
            let there_until = |by: GaveUp| {
                let taken = lineage.taken(spot.node, offset);
                taken.map_or(by.seq, |t| t.seq.min(by.seq))
            };
            let passed = |until: u64| {
                let mut when = readers().filter_map(|r| r.passed_over(offset));
                when.any(|at| at < until)
            };
            let by_log = gone.filter(|(_, by)| !passed(there_until(*by)));
            let why = explain::of_missing(by_log, reset);
            let kind = match gone {
                Some(_) => FindingKind::ReadMissed,
                None => FindingKind::ReadLost,
            };
            judged.findings.push(self.finding(kind, why));
        }
        if readers().any(|r| r.again.contains(&self.id)) {
            judged
                .findings
                .push(self.finding(FindingKind::ReadAgain, None));
        }
        if readers().any(|r| r.behind.contains(&self.id)) {
            judged
                .findings
                .push(self.finding(FindingKind::ReadDisorder, None));
        }
    }

    fn finding(&self, kind: FindingKind, explanation: Option<explain::Explanation>) -> Finding {
        Finding {
            kind,
            record: self.id,
            partition: self.life.partition,
            explanation,
        }
    }
}

impl Line<'_> {
    fn holds(&self, node: NodeRef) -> bool {
        match self.leader {
            _ if self.deleted => false,
            Some(leader) => self.lineage.holds(leader, node),
            None => self.lineage.is_committed(node),
        }
    }

    /// What took the record at an offset from this log.
    fn gone(&self, node: NodeRef, offset: Offset) -> Option<(Gone, GaveUp)> {
        let start = match self.leader {
            Some(leader) => leader.log_start,
            None => {
                let starts = self.lineage.replicas.iter().map(|r| r.log_start);
                starts.max().unwrap_or_default()
            }
        };
        let compacted = |r: &Replica| r.compacted.contains_key(&offset);
        let is_compacted = match self.leader {
            Some(leader) => compacted(leader),
            None => self.lineage.replicas.iter().any(compacted),
        };
        if offset >= start {
            let taken = self.lineage.taken(node, offset).filter(|_| is_compacted);
            return taken.map(|by| (Gone::Compacted, by));
        }
        let given_up = self.lineage.given_up(offset)?;
        let gone = match given_up.why {
            LogStart::RetentionTime => Gone::TooOld,
            LogStart::RetentionBytes => Gone::TooMuch,
            LogStart::DeleteRecords | LogStart::Leader | LogStart::Recovered => Gone::Deleted,
        };
        Some((gone, given_up.by))
    }

    /// Whether a copy of a batch is left anywhere.
    fn has_copy(&self, node: NodeRef) -> bool {
        let mut replicas = self.lineage.replicas.iter();
        !self.deleted && replicas.any(|r| self.lineage.holds(r, node))
    }

    fn nodes(&self) -> Vec<NodeRef> {
        match self.leader {
            _ if self.deleted => Vec::new(),
            Some(leader) => leader.path.iter().map(|c| c.node).collect(),
            None => self.lineage.committed.iter().map(|c| c.node).collect(),
        }
    }
}

/// The records of a log that stand behind one of the same application that was sent later.
fn late(history: &History, line: &Line<'_>) -> Vec<(RecordId, Spot)> {
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    let mut late = Vec::new();
    for node in line.nodes() {
        for id in line.lineage.node(node).batch.data.ids() {
            let Some(life) = history.lives.get(*id) else {
                continue;
            };
            // Later ones are duplicates, not out of order.
            let there = life.nodes_in(line.place).filter(|n| line.holds(*n));
            let first = there.min_by_key(|n| line.lineage.depth(*n));
            if first.is_some_and(|first| first != node) {
                continue;
            }
            let sent = life.last_queued.map_or(0, std::num::NonZeroU64::get);
            let latest = last.entry(id.source).or_insert(sent);
            match *latest > sent {
                true => {
                    let place = line.place;
                    late.push((*id, Spot { place, node }));
                }
                false => *latest = sent,
            }
        }
    }
    late
}
