//! Explanations: why a record was lost, doubled or misplaced, if a setting or a harm to the machines allowed it.
//!
//! No explanation means that a promise is broken. An explanation lists every copy there was with what destroyed it, the
//! election that decided, the fault behind it, and the settings without which it could not have happened (simulation C.4).
//! The known holes that have a name are counted as settings: P08 (a first batch may be accepted out of order), L-13 (after a
//! restart a leader knows one batch per producer, not five) and L-14 (a leader forgets an idle producer).

use super::Gone;
use super::unanswered::of_unanswered;
use crate::check::harms::{Harm, PATIENCE, lies_between, strikes};
use crate::check::history::History;
use crate::check::life::{Life, Refused, Retry, Spot, Told};
use crate::check::lineage::{
    Cut, Election, Forgot, GaveUp, Grave, Lineage, NodeRef, Removal, WhyForgot,
};
use crate::fault::Realised;
use crate::process::ProcessId;
use crate::scenario::{Answers, Scenario};
use klab_kafka::config::Acks;
use klab_kafka::ids::{LeaderEpoch, Offset, ProducerId, RecordId};
use klab_kafka::time::{Duration, Time};
use serde::Serialize;
use std::collections::BTreeSet;

/// Why something that hurts was allowed to happen.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Explanation {
    /// Without these it could not have happened; the most telling first.
    pub allowed_by: Vec<Allowance>,
    /// The fault that led to it.
    pub fault: Option<Named>,
    /// The election that decided.
    pub election: Option<Winner>,
    /// How the log gave up what a reader missed.
    pub gave_up: Option<GaveUp>,
    /// Who forgot the producer, and why.
    pub forgot: Option<Forgot>,
    /// Who refused the record, which its producer never heard.
    pub refused: Option<Refused>,
    /// All copies there were, in the order in which they were made.
    pub copies: Vec<CopyFate>,
}

/// A fault, named.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Named {
    /// The trace record that told it.
    pub seq: u64,
    /// Its step.
    pub step: u64,
    /// When.
    pub at: Time,
    /// What.
    pub fault: Realised,
}

/// An election, named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Winner {
    /// The trace record that told it.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// Who was elected.
    pub leader: ProcessId,
    /// In which epoch.
    pub epoch: LeaderEpoch,
}

/// What became of one copy.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CopyFate {
    /// Where.
    pub process: ProcessId,
    /// At which offset.
    pub offset: Offset,
    /// The trace record that told of it.
    pub copied: u64,
    /// How it ended, if it did.
    pub end: Option<CopyEnd>,
}

/// How a copy ended.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CopyEnd {
    /// The trace record that told of it.
    pub seq: u64,
    /// What took it.
    pub removal: Removal,
    /// The election whose winner it had to agree with.
    pub election: Option<Winner>,
    /// The fault behind it.
    pub fault: Option<Named>,
}

/// A setting, a harm, or a known hole of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Allowance {
    /// Acknowledged, or held to be, before the in-sync replicas had it.
    Acks(Acks),
    /// `unclean.leader.election.enable`: a replica from outside the ISR may lead.
    UncleanElection,
    /// `min.insync.replicas` let so few replicas acknowledge.
    MinInsync(i32),
    /// An acknowledgement never implies a flush (L-32): a loss of power took the copies of all that could lead.
    Unflushed,
    /// The disks of all that could lead were replaced.
    DiskReplaced,
    /// `enable.idempotence=false`: a leader cannot know a retry again.
    IdempotenceOff,
    /// `max.in.flight.requests.per.connection` above 1 without idempotence: a retry falls behind.
    InFlight(i32),
    /// The producer began anew with another producer id (P07).
    NewProducerId,
    /// The application sent the record again by itself (P06).
    SentAgain,
    /// P08: a leader that knows nothing of a producer accepts any first sequence number.
    FirstBatchHole,
    /// L-13: a log that was loaded again knows only the last batch of a producer.
    ShortMemory,
    /// KIP-360, with so many requests in flight: another batch failed, and the new epoch numbered this one anew.
    Renumbered(i32),
    /// L-14: a leader had forgotten the producer, which had been idle for `producer.id.expiration.ms`.
    ProducerForgotten,
    /// A leader had given up its whole log, and with it what it knew of producers.
    LogEmptied,
    /// The application told its own caller before the record was written (P14).
    AnswersAfterSend,
    /// `auto.offset.reset` moved a reader.
    OffsetReset,
    /// An operator deleted the topic (K-24).
    TopicDeleted,
    /// `delete.retention.ms`: compaction took a tombstone before a reader came to it.
    TombstoneGone,
    /// The log gave records up before they were read.
    Gone(Gone),
}

impl Allowance {
    /// What lets a leader forget a producer.
    fn of(why: WhyForgot) -> Allowance {
        match why {
            WhyForgot::Idle => Allowance::ProducerForgotten,
            WhyForgot::EmptyLog => Allowance::LogEmptied,
        }
    }
}

/// Sessions run out so long after the last heartbeat, and are looked at so much later (K-17).
const GRACE: Duration = Duration::secs(12);
/// Why a new leader lacks committed batches; none if nothing allowed it.
pub fn of_cut(history: &History, lineage: &Lineage, cut: &Cut) -> Option<Explanation> {
    let unclean = lineage.unclean_behind(cut.epoch);
    let election = unclean.or_else(|| lineage.election(cut.epoch))?;
    let mut explanation = Explanation {
        election: winner(history, lineage, election.epoch),
        ..Explanation::default()
    };
    if election.unclean {
        if !election.allows.unclean {
            return None;
        }
        explanation.allowed_by.push(Allowance::UncleanElection);
        explanation.allowed_by.extend(few(election));
        // Nobody needs the others if the winner still has what it once had.
        let own = taken_from_winner(lineage, cut).and_then(|g| behind_grave(history, lineage, g));
        let fault = own.or_else(|| behind_election(history, lineage, election.epoch));
        explanation.fault = fault.map(name);
        return Some(explanation);
    }
    // A clean election: the new leader must have lost each of the batches to a harm while it was in the ISR. A replica that
    // lost its log outside and was let in again (KIP-903) is a broken promise.
    let since = cut.isr_since?;
    let mut harm = None;
    for missing in &cut.missing {
        let graves = lineage.graves.iter();
        let mut own = graves.filter(|g| g.node == missing.node && g.process == cut.leader);
        harm = Some(own.find(|g| g.removal.is_harm() && g.seq >= since)?);
    }
    let harm = harm?;
    explanation.allowed_by.push(match harm.removal {
        Removal::DiskReplaced => Allowance::DiskReplaced,
        _ => Allowance::Unflushed,
    });
    explanation.allowed_by.extend(few(election));
    explanation.fault = behind_grave(history, lineage, harm).map(name);
    Some(explanation)
}

/// The latest copy that a harm took from the leader of a cut, if each of the batches that it lacks was taken by one.
fn taken_from_winner<'a>(lineage: &'a Lineage, cut: &Cut) -> Option<&'a Grave> {
    let mut latest = None;
    for missing in &cut.missing {
        let graves = lineage.graves.iter();
        let mut own = graves.filter(|g| g.node == missing.node && g.process == cut.leader);
        latest = Some(own.find(|g| g.removal.is_harm() && g.seq < cut.seq)?);
    }
    latest
}

/// One replica was enough to acknowledge.
fn few(election: &Election) -> Option<Allowance> {
    let min = election.allows.min_insync;
    (min <= 1).then_some(Allowance::MinInsync(min))
}

/// Why an acknowledged record is not in the log; none if nothing allowed it.
pub fn of_loss(
    history: &History,
    scenario: &Scenario,
    id: RecordId,
    life: &Life,
) -> Option<Explanation> {
    let acks = history.plan(scenario, id)?.config.acks.value;
    let Some(Spot { place, node }) = acknowledged_spot(history, id, life) else {
        // Never written anywhere: only who waits for no answer can be told that it was.
        return (acks == Acks::Zero).then(|| of_unanswered(history, id, life));
    };
    let lineage = history.lineage(place);
    if history.deleted.contains_key(&lineage.id.topic) {
        return Some(Explanation {
            allowed_by: vec![Allowance::TopicDeleted],
            ..Explanation::default()
        });
    }
    let cut = lineage.cut_of(node);
    let was_committed = cut.is_some_and(|c| c.takes(node));
    let mut explanation = match cut {
        Some(cut) if was_committed || acks == Acks::All => of_cut(history, lineage, cut)?,
        _ if acks == Acks::All => return None,
        _ => of_early_ack(history, lineage, node, acks),
    };
    explanation.copies = copies(history, lineage, node, id);
    Some(explanation)
}

/// Why a record stands in the log twice; none if nothing allowed it.
pub fn of_duplicate(
    history: &History,
    scenario: &Scenario,
    id: RecordId,
    life: &Life,
    first: Spot,
    second: Spot,
) -> Option<Explanation> {
    let lineage = history.lineage(first.place);
    let stamp = |s: Spot| history.lineage(s.place).node(s.node).batch.data.producer;
    let mut allowed_by = Vec::new();
    let mut forgot = None;
    if life.sends > 1 {
        allowed_by.push(Allowance::SentAgain);
    }
    match (stamp(first), stamp(second)) {
        (Some(a), Some(b)) if a.id != b.id => allowed_by.push(Allowance::NewProducerId),
        (Some(a), Some(b)) if a.epoch != b.epoch => {
            allowed_by.extend(behind_new_epoch(history, lineage, id, first.node, a.id));
            if allowed_by.is_empty() {
                allowed_by.extend(renumbered(history, scenario, id, life, second));
            }
            if allowed_by.is_empty() {
                forgot = forgot_before_refusal(history, lineage, id, first.node, a.id);
            }
        }
        (Some(stamp), Some(_)) => {
            let again = history.lineage(second.place).node(second.node);
            forgot = lineage.forgot(again.by, stamp.id, first.node, again.seq);
        }
        (None, None) if history.lives.repeated(life).is_some() => {
            allowed_by.push(Allowance::IdempotenceOff)
        }
        _ => {}
    }
    allowed_by.extend(forgot.map(|f| Allowance::of(f.why)));
    if allowed_by.is_empty() {
        return None;
    }
    let of = |s: Spot| copies(history, history.lineage(s.place), s.node, id);
    let (from, to) = (seq_at(history, first), seq_at(history, second));
    let retry = history.lives.retry_between(life, from, to);
    Some(Explanation {
        allowed_by,
        fault: behind_retry(history, scenario, id, life, first, retry).map(name),
        forgot,
        copies: [of(first), of(second)].concat(),
        ..Explanation::default()
    })
}

/// Why a record stands behind one that was sent later; none if nothing allowed it.
pub fn of_disorder(
    history: &History,
    scenario: &Scenario,
    id: RecordId,
    life: &Life,
    Spot { place, node }: Spot,
) -> Option<Explanation> {
    let lineage = history.lineage(place);
    let plan = history.plan(scenario, id)?;
    let batch = &lineage.node(node).batch;
    let mut forgot = None;
    let allowance = match batch.data.producer {
        _ if life.sends > 1 || stands_behind_one_sent_again(history, id, life, place, node) => {
            Allowance::SentAgain
        }
        // Requests without answers overtake one another on an old connection and a new one.
        None if plan.config.acks.value == Acks::Zero => Allowance::Acks(Acks::Zero),
        // Nothing but a try that failed, and was made again or given up, lets a younger batch pass.
        None if plan.config.max_in_flight > 1 && has_failed_try(life) => {
            Allowance::InFlight(plan.config.max_in_flight)
        }
        Some(stamp) if has_hole(lineage, stamp.id) => Allowance::FirstBatchHole,
        Some(stamp) => {
            let by = forgot_on_the_way(lineage, stamp.id, node)?;
            forgot = Some(by);
            Allowance::of(by.why)
        }
        _ => return None,
    };
    let retry = history.lives.retry_of(life);
    Some(Explanation {
        allowed_by: vec![allowance],
        fault: behind_retry(history, scenario, id, life, Spot { place, node }, retry).map(name),
        forgot,
        copies: copies(history, lineage, node, id),
        ..Explanation::default()
    })
}

/// Whether a try to send a record is known to have failed.
fn has_failed_try(life: &Life) -> bool {
    life.retry.is_some() || matches!(life.told, Told::Failed { .. })
}

/// Whether a record of the same application stands before that was sent again later than this one was sent: its copy there
/// may well be from its first time.
fn stands_behind_one_sent_again(
    history: &History,
    id: RecordId,
    life: &Life,
    place: u32,
    node: NodeRef,
) -> bool {
    let lineage = history.lineage(place);
    let depth = lineage.depth(node);
    let before = lineage.committed.iter().map(|c| c.node);
    let mut before = before.take_while(|n| lineage.depth(*n) <= depth);
    let is_later = |l: &Life| l.sends > 1 && l.last_queued > life.last_queued;
    let is_it = |other: &RecordId| {
        other.source == id.source && history.lives.get(*other).is_some_and(is_later)
    };
    before.any(|n| lineage.node(n).batch.data.ids().iter().any(is_it))
}

/// Why a record that the application called accepted, and was told nothing good of, is not in the log; none if nothing allowed it.
pub fn of_acceptance(
    history: &History,
    scenario: &Scenario,
    id: RecordId,
    life: &Life,
) -> Option<Explanation> {
    let plan = history.plan(scenario, id)?;
    if plan.answers != Answers::AfterSend {
        return None;
    }
    let process = ProcessId(id.source);
    let end = history.harms.last_end(process, u64::MAX);
    let fault = end.and_then(|e| history.harms.by_seq(e.fault?));
    let mut explanation = Explanation {
        allowed_by: vec![Allowance::AnswersAfterSend],
        fault: fault.map(name),
        ..Explanation::default()
    };
    for spot in &life.spots {
        let lineage = history.lineage(spot.place);
        let copies = copies(history, lineage, spot.node, id);
        explanation.copies.extend(copies);
    }
    Some(explanation)
}

/// Why a reader never learned that a key was deleted: compaction had taken the tombstone when the reader came past it. None if
/// the reader had passed it over before.
pub fn of_stale(taken: Option<GaveUp>, passed: Option<u64>) -> Option<Explanation> {
    let taken = taken.filter(|t| passed.is_some_and(|passed| t.seq < passed))?;
    Some(Explanation {
        allowed_by: vec![Allowance::TombstoneGone],
        gave_up: Some(taken),
        ..Explanation::default()
    })
}

/// Why no reader got a record: the log had given it up, or a reader's position was reset over it, or both; none if neither.
pub fn of_missing(gone: Option<(Gone, GaveUp)>, was_reset: bool) -> Option<Explanation> {
    let by_log = gone.map(|(gone, _)| Allowance::Gone(gone));
    let reset = was_reset.then_some(Allowance::OffsetReset);
    let allowed_by: Vec<Allowance> = by_log.into_iter().chain(reset).collect();
    (!allowed_by.is_empty()).then(|| Explanation {
        allowed_by,
        gave_up: gone.map(|(_, by)| by),
        ..Explanation::default()
    })
}

/// The fault behind an election: what struck the leader before it, or lay between it and the controllers.
pub fn behind_election<'a>(
    history: &'a History,
    lineage: &Lineage,
    epoch: LeaderEpoch,
) -> Option<&'a Harm> {
    let upto = lineage.elections.iter().rposition(|e| e.epoch == epoch)?;
    // An election may only end what an earlier one began: look back until a fault is found.
    for at in (0..=upto).rev() {
        let election = &lineage.elections[at];
        let Some(former) = election.former.and_then(|n| history.process_of(n)) else {
            continue;
        };
        if let Some(harm) = against(history, former, election.seq, election.at) {
            return Some(harm);
        }
    }
    None
}

/// The fault that kept a server from working or from its controllers: the latest that still did so, else the latest of all.
fn against(history: &History, process: ProcessId, seq: u64, at: Time) -> Option<&Harm> {
    let harms = &history.harms;
    let cuts_off = |h: &Harm| history.voters().any(|c| lies_between(&h.fault, process, c));
    let still = harms.still_silent(seq, at, GRACE, |h| h.stops(process) || cuts_off(h));
    if still.is_some() {
        return still;
    }
    let end = harms.last_end(process, seq);
    let ended = end
        .filter(|e| e.at + PATIENCE >= at)
        .and_then(|e| harms.by_seq(e.fault?));
    let latest = harms.latest(seq, at, GRACE, |h| {
        strikes(&h.fault, process) || cuts_off(h)
    });
    ended.into_iter().chain(latest).max_by_key(|h| h.seq)
}

/// The fault behind the end of a copy.
pub fn behind_grave<'a>(
    history: &'a History,
    lineage: &Lineage,
    grave: &Grave,
) -> Option<&'a Harm> {
    match grave.removal {
        Removal::Truncated { epoch, .. } => behind_election(history, lineage, epoch),
        _ => {
            let end = history.harms.last_end(grave.process, grave.seq + 1)?;
            history.harms.by_seq(end.fault?)
        }
    }
}

/// The fault behind a record's retry: the one that broke its connection, if the answer was not long due; else what kept the
/// leader from the copies that it waited for; else what lay between its client and the leader. Behind no retry: what ended
/// its client.
pub fn behind_retry<'a>(
    history: &'a History,
    scenario: &Scenario,
    id: RecordId,
    life: &Life,
    written: Spot,
    retry: Option<&Retry>,
) -> Option<&'a Harm> {
    let harms = &history.harms;
    let client = ProcessId(id.source);
    let Some(retry) = retry else {
        let end = harms.last_end(client, u64::MAX)?;
        return harms.by_seq(end.fault?);
    };
    if life.sends <= 1 && history.lives.repeated(life).is_none() {
        return None;
    }
    let lineage = history.lineage(written.place);
    let node = lineage.node(written.node);
    if node.seq > retry.seq {
        // Its leader had not even come to it.
        if let Some((first, life, spot, own)) = ahead_of(history, id, node.by, retry) {
            return behind_retry(history, scenario, first, life, spot, Some(own));
        }
    }
    let waits = history.plan(scenario, id)?.config.acks.value == Acks::All;
    let awaited = match waits && node.seq < retry.seq {
        true => awaited(history, lineage, written.node, retry.seq),
        false => Vec::new(),
    };
    // Written only after the retry: the silence ended with it.
    let asked = (node.seq, node.at).min((retry.seq, retry.at));
    let silence =
        |fits: &dyn Fn(&Harm) -> bool| harms.behind_silence(asked, (retry.seq, retry.at), fits);
    let leader = node.by;
    let holds_up = |harm: &Harm| {
        let parts = |f: &ProcessId| harm.stops(*f) || lies_between(&harm.fault, *f, leader);
        awaited.iter().any(parts) || !awaited.is_empty() && harm.stops(leader)
    };
    let keeps_off = |harm: &Harm| harm.stops(leader) || lies_between(&harm.fault, client, leader);
    let held_up = silence(&holds_up);
    if let Some(direct) = retry.fault.and_then(|f| harms.by_seq(f.get())) {
        // Until a session has run out the ISR may shrink and the answer come. A connection that breaks later only ends a
        // silence that had begun before.
        let is_late = |(_, at): (u64, Time)| at > asked.1 + GRACE;
        let was_silent = direct.begins().is_some_and(is_late);
        let held_up = held_up.filter(|h| was_silent && h.begins() < direct.begins());
        return held_up.or(Some(direct));
    }
    held_up.or_else(|| silence(&keeps_off))
}

/// A leader takes up one request of a connection at a time: the record of the same client whose answer it owed when the client
/// gave up both, with its batch and its retry.
fn ahead_of<'a>(
    history: &'a History,
    id: RecordId,
    leader: ProcessId,
    retry: &Retry,
) -> Option<(RecordId, &'a Life, Spot, &'a Retry)> {
    let lives = &history.lives;
    let of_client = lives.iter().filter(|(other, _)| other.source == id.source);
    let owed = of_client.filter_map(|(other, life)| {
        life.spots.iter().find_map(|spot| {
            let node = history.lineage(spot.place).node(spot.node);
            let own = lives.retry_between(life, node.seq, u64::MAX)?;
            let together = own.at == retry.at && own.error == retry.error;
            let is_owed = node.seq < own.seq.min(retry.seq);
            (node.by == leader && is_owed && together).then_some((other, life, *spot, own))
        })
    });
    owed.min_by_key(|(_, _, spot, _)| seq_at(history, *spot))
}

/// The record that told that a batch was written.
pub fn seq_at(history: &History, spot: Spot) -> u64 {
    history.lineage(spot.place).node(spot.node).seq
}

/// Whom the leader waited for at a record, as a batch that it had written was not committed yet: the members of the ISR
/// without a copy, also those that have left it since, for it may have become too small; or all, if they only had not said so.
fn awaited(history: &History, lineage: &Lineage, node: NodeRef, seq: u64) -> Vec<ProcessId> {
    let mut committed = lineage.committed.iter();
    if committed.any(|c| c.node == node && c.seq < seq) {
        return Vec::new();
    }
    let copies = lineage.fates(node);
    let has_copy = |p: &ProcessId| copies.iter().any(|(q, copied, _)| p == q && *copied < seq);
    let leader = lineage.node(node).by;
    let of_now = lineage.isr_at(seq).iter();
    let members = of_now.chain(lineage.isr_at(lineage.node(node).seq));
    let followers: BTreeSet<_> = members.filter_map(|n| history.process_of(*n)).collect();
    let followers: Vec<_> = followers.into_iter().filter(|p| *p != leader).collect();
    let without: Vec<_> = followers.iter().filter(|p| !has_copy(p)).copied().collect();
    match without.is_empty() {
        true => followers,
        false => without,
    }
}

/// A batch with the record where the application was told that it is; else the last one written.
pub fn acknowledged_spot(history: &History, id: RecordId, life: &Life) -> Option<Spot> {
    let told = match life.told {
        Told::Written { offset, .. } => offset,
        _ => None,
    };
    let at_told = |s: &&Spot| {
        let lineage = history.lineage(s.place);
        told.is_some()
            && Some(lineage.id) == life.partition
            && lineage.offset_of(s.node, id) == told
    };
    let spot = life.spots.iter().rev().find(at_told);
    spot.or(life.spots.last()).copied()
}

/// The trace record that tells of an election: the controller's word if there is one, else its commit.
pub fn seq_of(history: &History, lineage: &Lineage, election: &Election) -> u64 {
    let told = history.told_elections.get(&(lineage.id, election.epoch));
    told.copied().unwrap_or(election.seq)
}

/// All copies of a batch with their ends.
pub fn copies(history: &History, lineage: &Lineage, node: NodeRef, id: RecordId) -> Vec<CopyFate> {
    let offset = lineage.offset_of(node, id).unwrap_or_default();
    let end = |grave: Grave| CopyEnd {
        seq: grave.seq,
        removal: grave.removal,
        election: match grave.removal {
            Removal::Truncated { epoch, .. } => winner(history, lineage, epoch),
            _ => None,
        },
        fault: behind_grave(history, lineage, &grave).map(name),
    };
    let fates = lineage.fates(node).into_iter();
    fates
        .map(|(process, copied, grave)| CopyFate {
            process,
            offset,
            copied,
            end: grave.map(end),
        })
        .collect()
}

/// Acknowledged before it was committed, and overruled by the next leader, or lost with its only copy.
fn of_early_ack(history: &History, lineage: &Lineage, node: NodeRef, acks: Acks) -> Explanation {
    let batch_epoch = lineage.node(node).batch.leader_epoch;
    let later = lineage.elections.iter().filter(|e| e.epoch > batch_epoch);
    // The first winner that does not hold it decided.
    let decided = later.into_iter().find(|e| {
        let leader = e.leader.and_then(|n| history.process_of(n));
        leader.is_some_and(|l| lacked(lineage, node, l, e))
    });
    let epoch = decided.map(|e| e.epoch);
    let mut graves = lineage.graves.iter();
    let harm = graves.find(|g| g.node == node && g.removal.is_harm());
    let fault = harm.and_then(|g| behind_grave(history, lineage, g));
    Explanation {
        allowed_by: vec![Allowance::Acks(acks)],
        fault: fault
            .or_else(|| behind_election(history, lineage, epoch?))
            .map(name),
        election: epoch.and_then(|e| winner(history, lineage, e)),
        ..Explanation::default()
    }
}

/// Whether a new leader did not hold a batch when it was elected.
fn lacked(lineage: &Lineage, node: NodeRef, leader: ProcessId, election: &Election) -> bool {
    let held = lineage.fates(node).into_iter().any(|(p, copied, grave)| {
        p == leader && copied < election.seq && grave.is_none_or(|g| g.seq > election.seq)
    });
    !held
}

/// The winner of an election, if there was one.
pub fn winner(history: &History, lineage: &Lineage, epoch: LeaderEpoch) -> Option<Winner> {
    let election = lineage.election(epoch)?;
    Some(Winner {
        seq: seq_of(history, lineage, election),
        at: election.at,
        leader: history.process_of(election.leader?)?,
        epoch,
    })
}

/// What made a producer begin a new epoch although its batch had been written: a named hole, or nothing that we know of.
fn behind_new_epoch(
    history: &History,
    lineage: &Lineage,
    id: RecordId,
    first: NodeRef,
    producer: ProducerId,
) -> Option<Allowance> {
    if has_hole(lineage, producer) {
        return Some(Allowance::FirstBatchHole);
    }
    // A new epoch gives new numbers to all batches under way to the partition, not only to the one that was refused.
    let mut refused = history.lives.out_of_order(id.source, lineage.id);
    let forgot = refused.any(|refusal| {
        let fates = lineage.fates(first).into_iter();
        let mut own = fates.filter(|(p, ..)| *p == refusal.by);
        own.any(|(p, copied, _)| history.harms.started_between(p, copied, refusal.seq))
    });
    forgot.then_some(Allowance::ShortMemory)
}

/// KIP-360: a batch whose time runs out while it may have been written makes its producer begin a new epoch, which numbers all
/// other batches under way to the partition anew. A try of old that comes late is then no duplicate for the leader.
fn renumbered(
    history: &History,
    scenario: &Scenario,
    id: RecordId,
    life: &Life,
    second: Spot,
) -> Option<Allowance> {
    let in_flight = history.plan(scenario, id)?.config.max_in_flight;
    let again = history.lineage(second.place).node(second.node).seq;
    let gave_up = |(other, l): (RecordId, &Life)| {
        let failed = matches!(l.told, Told::Failed { seq, .. } if seq < again);
        failed && other.source == id.source && l.partition == life.partition
    };
    let found = in_flight > 1
        && history.lives.repeated(life).is_some()
        && history.lives.iter().any(gave_up);
    found.then_some(Allowance::Renumbered(in_flight))
}

/// Who forgot a producer after it had had a batch, and then refused one of its batches as out of order: that began a new
/// epoch.
fn forgot_before_refusal(
    history: &History,
    lineage: &Lineage,
    id: RecordId,
    first: NodeRef,
    producer: ProducerId,
) -> Option<Forgot> {
    let mut refused = history.lives.out_of_order(id.source, lineage.id);
    refused.find_map(|r| lineage.forgot(r.by, producer, first, r.seq))
}

/// Who forgot a producer between two of its batches in the log up to this one, and took the second, which does not follow the
/// first: those in between can only come behind it.
fn forgot_on_the_way(lineage: &Lineage, producer: ProducerId, upto: NodeRef) -> Option<Forgot> {
    let depth = lineage.depth(upto);
    let committed = lineage.committed.iter().map(|c| c.node);
    let own = |node: &NodeRef| {
        let node = lineage.node(*node);
        let stamp = node.batch.data.producer;
        node.depth <= depth && stamp.is_some_and(|s| s.id == producer)
    };
    let own: Vec<NodeRef> = committed.filter(own).collect();
    own.windows(2).find_map(|pair| {
        let (before, after) = (lineage.node(pair[0]), lineage.node(pair[1]));
        let ends = before.batch.data.last_sequence();
        let follows = after.batch.data.producer?.base_sequence == ends.wrapping_add(1);
        let forgot = lineage.forgot(after.by, producer, pair[0], after.seq);
        forgot.filter(|_| !follows)
    })
}

/// Whether the first batch of a producer in the log is not its first.
fn has_hole(lineage: &Lineage, producer: ProducerId) -> bool {
    let stamps = lineage.committed.iter();
    let mut own = stamps
        .filter_map(|c| lineage.node(c.node).batch.data.producer)
        .filter(|s| s.id == producer);
    own.next().is_some_and(|first| first.base_sequence != 0)
}

/// A fault as explanations name it.
pub fn name(harm: &Harm) -> Named {
    Named {
        seq: harm.seq,
        step: harm.step,
        at: harm.at,
        fault: harm.fault.clone(),
    }
}
