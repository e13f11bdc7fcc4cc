//! The stories: which events a fate is told by, in which order.

use super::{Absence, EdgeKind, Part, Teller, mentions};
use crate::check::history::History;
use crate::check::life::{Life, Mark, Retry, Spot, Told};
use crate::check::lineage::Removal;
use crate::fault::Fault;
use crate::process::ProcessId;
use crate::trace::{Handled, Record, What};
use crate::verdict::explain::{self, CopyFate, Explanation, Named, Winner};
use klab_kafka::event::*;
use klab_kafka::ids::{Offset, TopicIdPartition};
use klab_kafka::protocol::Api;
use std::num::NonZeroU64;

const COPY_NOT_FETCHED: EdgeKind = EdgeKind::Absence(Absence::CopyNotFetched);
const COPY_NOT_KEPT: EdgeKind = EdgeKind::Absence(Absence::CopyNotKept);
const NO_HEARTBEAT: EdgeKind = EdgeKind::Absence(Absence::HeartbeatNotSent);
const LEFT: EdgeKind = EdgeKind::Absence(Absence::Left);
const NO_ANSWER: EdgeKind = EdgeKind::Absence(Absence::AnswerNotReceived);
const NOT_SENT: EdgeKind = EdgeKind::Absence(Absence::NotSent);

/// Acknowledged and gone: send, append, acknowledgement, missing copy, fault, election, truncation; or send, acknowledgement
/// and refusal.
pub fn lost(teller: &mut Teller<'_>, life: &Life, explanation: Option<&Explanation>) {
    teller.mark(Part::Send, life.queued);
    let spot = explain::acknowledged_spot(teller.history, teller.id, life);
    teller.appended(spot);
    teller.told(life);
    let Some(explanation) = explanation else {
        return unexplained(teller, spot);
    };
    if let Some(refused) = explanation.refused {
        return teller.add(Part::Refusal, refused.seq, EdgeKind::Record);
    }
    let kept = explanation.copies.iter().filter(|c| c.end.is_none());
    let winner = explanation.election;
    if let (Some(spot), Some(winner)) = (spot, winner) {
        missing_copy(teller, spot, winner, &explanation.copies);
    }
    let lost_by_harm = winner.and_then(|w| harmed(&explanation.copies, w.leader));
    teller.fault(
        explanation.fault.as_ref(),
        match (lost_by_harm, spot) {
            (Some(_), _) => COPY_NOT_KEPT,
            (None, Some(_)) => COPY_NOT_FETCHED,
            (None, None) => NOT_SENT,
        },
    );
    if let Some(seq) = lost_by_harm {
        teller.add(Part::Loss, seq, EdgeKind::Cause);
    }
    if let Some(winner) = winner {
        let is_stop = |f: &Named| matches!(f.fault, Fault::Stop { .. });
        let edge = match explanation.fault.as_ref().is_some_and(is_stop) {
            true => LEFT,
            false => NO_HEARTBEAT,
        };
        teller.add(Part::Election, winner.seq, edge);
    }
    for copy in explanation.copies.iter().filter(|c| c.end.is_some()) {
        cut_off(teller, copy);
    }
    for copy in kept {
        let who = teller.lexicon.name(copy.process);
        let text = format!("{who} still has its copy, but does not lead");
        teller.add_text(Part::Copy, copy.copied, text, EdgeKind::Record);
    }
}

/// In the log twice: send, first append, fault, retry or second send, second append, acknowledgement.
pub fn doubled(teller: &mut Teller<'_>, life: &Life, explanation: Option<&Explanation>) {
    teller.mark(Part::Send, life.queued);
    let mut spots = life.spots.iter().copied();
    teller.appended(spots.next());
    teller.fault(explanation.and_then(|e| e.fault.as_ref()), NO_ANSWER);
    let history = teller.history;
    again(teller, life, behind_second(history, life));
    for spot in spots {
        teller.appended(Some(spot));
    }
    teller.told(life);
}

/// Behind one that was sent later: send, fault, retry, append, acknowledgement.
pub fn misplaced(teller: &mut Teller<'_>, life: &Life, explanation: Option<&Explanation>) {
    teller.mark(Part::Send, life.queued);
    teller.fault(explanation.and_then(|e| e.fault.as_ref()), NO_ANSWER);
    let history = teller.history;
    again(teller, life, history.lives.retry_of(life));
    for spot in life.spots.clone() {
        teller.appended(Some(spot));
    }
    teller.told(life);
}

/// Accepted by the application and never written: send, acceptance, fault, and the append and its end if there was one.
pub fn never_sent(teller: &mut Teller<'_>, life: &Life, explanation: Option<&Explanation>) {
    teller.mark(Part::Send, life.invoked.or(life.queued));
    teller.mark(Part::Send, life.queued);
    teller.mark(Part::Acceptance, life.accepted);
    for spot in life.spots.clone() {
        teller.appended(Some(spot));
    }
    teller.fault(explanation.and_then(|e| e.fault.as_ref()), NOT_SENT);
    for copy in explanation.map_or(&[][..], |e| &e.copies) {
        cut_off(teller, copy);
    }
    teller.told(life);
}

/// In the log once: send, append, copies, commit, what the application was told, read, and how the log gave it up.
pub fn safe(teller: &mut Teller<'_>, life: &Life) {
    teller.mark(Part::Send, life.queued.or(life.invoked));
    for spot in life.spots.clone() {
        teller.appended(Some(spot));
        let lineage = teller.history.lineage(spot.place);
        for (process, copied, _) in lineage.fates(spot.node) {
            // A log that started over behind the record counts as having had it; it never copied it.
            let record = teller.chains.get(copied);
            let copies = record.is_some_and(|r| super::mentions(r, teller.id));
            if copies && process != lineage.node(spot.node).by {
                teller.add(Part::Copy, copied, EdgeKind::Record);
            }
        }
        let committed = lineage.committed.get(lineage.depth(spot.node));
        if let Some(committed) = committed.filter(|c| c.node == spot.node) {
            teller.add(Part::Commit, committed.seq, EdgeKind::Record);
        }
    }
    teller.told(life);
    let id = teller.id;
    let is_read = |r: &Record| {
        let delivered = |e: &Event| matches!(e, Event::Client(_, ClientEvent::Delivered { .. }));
        matches!(&r.what, What::Told(e) if delivered(e)) && mentions(r, id)
    };
    if let Some(read) = teller.chains.first_after(0, is_read) {
        teller.add(Part::Read, read.seq, EdgeKind::Record);
    }
    if let Some(seq) = life.spots.iter().find_map(|s| given_up(teller, *s)) {
        teller.add(Part::GivenUp, seq, EdgeKind::Record);
    }
}

/// The event by which the leader's log gave a record up, or compaction took it.
fn given_up(teller: &Teller<'_>, spot: Spot) -> Option<u64> {
    let lineage = teller.history.lineage(spot.place);
    let offset = lineage.offset_of(spot.node, teller.id)?;
    let leader = lineage.replica(teller.history.leader(spot.place)?)?;
    match offset < leader.log_start {
        true => lineage.given_up(offset).map(|g| g.by.seq),
        false => leader.compacted.get(&offset).copied(),
    }
}

/// What an event came of. Returns the fault at the root, if there is one; none if there is no such event.
pub fn event(teller: &mut Teller<'_>, seq: u64) -> Option<Option<Named>> {
    let record = teller.chains.get(seq)?;
    let mut chain: Vec<u64> = teller.chains.causes(record).map(|r| r.seq).collect();
    let root = chain
        .last()
        .and_then(|s| teller.chains.get(*s))
        .unwrap_or(record);
    let fault = behind(teller, record, root);
    chain.truncate(super::MOST_LINES - 2);
    if let Some(fault) = &fault {
        teller.fault(Some(fault), NO_HEARTBEAT);
    }
    // What an alarm noticed follows from an absence; everything else from what stands before it.
    for (at, cause) in chain.iter().rev().chain([&seq]).enumerate() {
        let otherwise = if at == 0 {
            NO_HEARTBEAT
        } else {
            EdgeKind::Cause
        };
        teller.add_noticed(Part::Event, *cause, otherwise);
    }
    Some(fault)
}

/// The fault behind an event that came of an alarm: an absence was noticed.
fn behind(teller: &Teller<'_>, record: &Record, root: &Record) -> Option<Named> {
    if let What::Fault { .. } = root.what {
        return None;
    }
    let What::Told(Event::Controller(ControllerEvent::LeaderElected {
        partition, epoch, ..
    })) = &record.what
    else {
        return None;
    };
    let lineage = teller.history.lineage(teller.history.place_of(*partition)?);
    explain::behind_election(teller.history, lineage, *epoch).map(explain::name)
}

/// What is known of a loss that nothing explains: the copies and their ends.
fn unexplained(teller: &mut Teller<'_>, spot: Option<Spot>) {
    let Some(spot) = spot else {
        return;
    };
    let lineage = teller.history.lineage(spot.place);
    let copies = explain::copies(teller.history, lineage, spot.node, teller.id);
    if let Some(cut) = lineage.cut_of(spot.node) {
        let winner = explain::winner(teller.history, lineage, cut.epoch);
        if let Some(winner) = winner {
            missing_copy(teller, spot, winner, &copies);
            teller.add(Part::Election, winner.seq, EdgeKind::Cause);
        }
    }
    for copy in copies.iter().filter(|c| c.end.is_some()) {
        cut_off(teller, copy);
    }
}

/// The winner did not have the copy: its last fetch before the election shows it, or its own copy was lost by harm.
fn missing_copy(teller: &mut Teller<'_>, spot: Spot, winner: Winner, copies: &[CopyFate]) {
    let id = teller.history.lineage(spot.place).id;
    let node = teller.history.lineage(spot.place).node(spot.node);
    let (writer, offset) = (node.by, node.batch.base_offset);
    let own = copies.iter().find(|c| c.process == winner.leader);
    if let Some(own) = own {
        let who = teller.lexicon.name(winner.leader);
        let text = format!("{who} copies it at offset {}", own.offset);
        return teller.add_text(Part::MissingCopy, own.copied, text, EdgeKind::Record);
    }
    let follower = teller.history.node_of(winner.leader);
    let seq = winner.seq;
    let told = |r: &Record| match &r.what {
        What::Told(Event::Replica(i, ReplicaEvent::FollowerFetched { follower: f, leo })) => {
            *i == id && r.process == Some(writer) && Some(*f) == follower && *leo <= offset
        }
        _ => false,
    };
    let fetch = |r: &Record| {
        matches!(&r.what, What::Handled(Handled::Request { api: Api::Fetch, from, .. })
            if r.process == Some(writer) && *from == winner.leader)
    };
    let follows = |r: &Record| {
        matches!(&r.what, What::Told(Event::Replica(i, ReplicaEvent::BecameFollower { .. }))
            if *i == id && r.process == Some(winner.leader))
    };
    let chains = &teller.chains;
    let last = chains
        .last_before(seq, told)
        .or_else(|| chains.last_before(seq, fetch))
        .or_else(|| chains.last_before(seq, follows));
    let Some(last) = last else {
        return;
    };
    let (known, who) = (
        teller.lexicon.sentence(last),
        teller.lexicon.name(winner.leader),
    );
    let held = held_by(teller, id, winner.leader, seq);
    let text = format!(
        "{known}; {who} never gets offset {offset}: its log ends at {held} when it is elected"
    );
    teller.add_text(Part::MissingCopy, last.seq, text, COPY_NOT_FETCHED);
}

/// Where a replica's log ended before an event.
fn held_by(teller: &Teller<'_>, id: TopicIdPartition, process: ProcessId, seq: u64) -> Offset {
    let end = |r: &Record| match &r.what {
        What::Told(Event::Log(i, event)) if *i == id && r.process == Some(process) => match event {
            LogEvent::Appended { batch, .. } => Some(batch.end_offset()),
            LogEvent::Truncated { to, .. } => Some(*to),
            LogEvent::Recovered { leo, .. } => Some(*leo),
            _ => None,
        },
        _ => None,
    };
    let last = teller.chains.last_before(seq, |r| end(r).is_some());
    last.and_then(end).unwrap_or_default()
}

/// The record that told how a process lost its copy to a harm.
fn harmed(copies: &[CopyFate], process: ProcessId) -> Option<u64> {
    let own = copies.iter().filter(|c| c.process == process);
    let ends = own.filter_map(|c| c.end.as_ref());
    ends.filter(|e| e.removal.is_harm()).map(|e| e.seq).next()
}

/// A copy's end: cut off by the answer of the leader that it had to match, or taken by a harm.
fn cut_off(teller: &mut Teller<'_>, copy: &CopyFate) {
    let Some(end) = &copy.end else {
        return;
    };
    match end.removal {
        Removal::Truncated { .. } => {
            let answered_by = teller.chains.answered_by(end.seq);
            let of_winner = answered_by.is_some() && answered_by == end.election.map(|w| w.leader);
            let edge = if of_winner {
                EdgeKind::Reply
            } else {
                EdgeKind::Cause
            };
            teller.add(Part::Truncation, end.seq, edge);
        }
        _ => {
            teller.fault(end.fault.as_ref(), COPY_NOT_KEPT);
            teller.add(Part::Loss, end.seq, EdgeKind::Cause);
        }
    }
}

/// The retry that led to a record's second copy in the log; its latest if none did.
fn behind_second<'a>(history: &'a History, life: &Life) -> Option<&'a Retry> {
    let there = |s: &&Spot| history.lineage(s.place).is_committed(s.node);
    let there = life.spots.iter().filter(there);
    let mut there = there.map(|spot| explain::seq_at(history, *spot));
    let (first, second) = (there.next()?, there.next()?);
    let between = history.lives.retry_between(life, first, second);
    between.or_else(|| history.lives.retry_of(life))
}

/// A retry, or the second sending.
fn again(teller: &mut Teller<'_>, life: &Life, retry: Option<&Retry>) {
    let answered = teller.history.lives.repeated(life).is_none();
    match retry.map(|retry| retry.seq) {
        Some(split) if answered => teller.add(Part::Retry, split, EdgeKind::Cause),
        Some(retry) => teller.add_noticed(Part::Retry, retry, NO_ANSWER),
        None => {}
    }
    if life.sends > 1 {
        teller.mark(Part::Send, life.last_queued);
    }
}

impl Teller<'_> {
    fn mark(&mut self, part: Part, mark: Mark) {
        if let Some(seq) = mark.map(NonZeroU64::get) {
            self.add(part, seq, EdgeKind::Record);
        }
    }

    fn appended(&mut self, spot: Option<Spot>) {
        if let Some(spot) = spot {
            let seq = self.history.lineage(spot.place).node(spot.node).seq;
            self.add_about(Part::Append, seq);
        }
    }

    /// What the application was told.
    fn told(&mut self, life: &Life) {
        match life.told {
            Told::Nothing => {}
            Told::Written { seq, .. } | Told::Failed { seq, .. } => {
                self.add(Part::Acknowledgement, seq, EdgeKind::Record);
            }
        }
    }

    fn fault(&mut self, fault: Option<&Named>, absence: EdgeKind) {
        if let Some(fault) = fault {
            self.add(Part::Fault, fault.seq, absence);
        }
    }

    /// An event that is joined by its record, whatever input it came of.
    fn add_about(&mut self, part: Part, seq: u64) {
        let before = self.lines.len();
        self.add(part, seq, EdgeKind::Record);
        let (id, chains) = (
            self.id,
            super::Chains {
                records: self.chains.records,
            },
        );
        let earlier = self.lines[..before].iter().rev();
        let about = earlier
            .map(|l| l.seq)
            .find(|s| chains.get(*s).is_some_and(|r| mentions(r, id)));
        if let (Some(line), Some(to)) = (self.lines.get_mut(before), about) {
            let kind = EdgeKind::Record;
            line.edge = Some(super::Edge { to, kind });
        }
    }

    /// An event that comes of an input, or of something that did not come.
    fn add_noticed(&mut self, part: Part, seq: u64, absence: EdgeKind) {
        let joined = self
            .chains
            .get(seq)
            .and_then(|r| self.chains.joined(r, &self.lines));
        match joined {
            Some(_) => self.add(part, seq, EdgeKind::Cause),
            None => self.add(part, seq, absence),
        }
    }
}
