//! Why a record was never written whose producer waits for no answer (`acks=0`) and so holds it for written once it is sent.
//!
//! 1. Its leader refused it for good: no fault is to blame.
//! 2. It came to a broker that does not lead any more (and closes the connection, which is all that its producer learns): what
//!    had kept the record from being sent in time is to blame, or else what made the broker lead no more.
//! 3. It never came. What breaks a connection takes all that is under way on it. But what waited at a broker that is paused
//!    or cut off while another one is elected would have come too late as well: then that silence is to blame, not the break.

use super::explain::{Allowance, Explanation, behind_election, name};
use crate::check::harms::{Harm, PATIENCE, SOON, lies_between, strikes};
use crate::check::history::History;
use crate::check::life::{Life, Told, Way};
use crate::check::lineage::{Election, Lineage};
use crate::fault::{Fault, Realised};
use crate::process::ProcessId;
use klab_kafka::config::Acks;
use klab_kafka::ids::RecordId;
use klab_kafka::time::{Duration, Time};

/// Why it was never written.
pub fn of_unanswered(history: &History, id: RecordId, life: &Life) -> Explanation {
    let refused = history.lives.refused_by(id);
    let fault = match refused {
        Some(_) => None,
        None => behind(history, id, life),
    };
    Explanation {
        allowed_by: vec![Allowance::Acks(Acks::Zero)],
        fault: fault.map(name),
        refused,
        ..Explanation::default()
    }
}

fn behind<'a>(history: &'a History, id: RecordId, life: &Life) -> Option<&'a Harm> {
    let place = life.partition.and_then(|p| history.place_of(p));
    let sending = Sending {
        history,
        client: ProcessId(id.source),
        lineage: place.map(|place| history.lineage(place)),
        sent: match life.told {
            Told::Written { seq, at, .. } => (seq, at),
            _ => (u64::MAX, history.now),
        },
    };
    let on_its_way = life.way.and_then(|way| match history.turned_away(way) {
        Some(seq) => sending
            .held_up(life)
            .or_else(|| sending.deposed(way.to, seq)),
        None => sending.vanished(way),
    });
    on_its_way.or_else(|| sending.nearby())
}

/// A record's only sending.
struct Sending<'a> {
    history: &'a History,
    client: ProcessId,
    lineage: Option<&'a Lineage>,
    sent: (u64, Time),
}

impl<'a> Sending<'a> {
    /// What kept the client from the leader that it knew while the record waited to be sent.
    fn held_up(&self, life: &Life) -> Option<&'a Harm> {
        let queued = (life.last_queued?.get(), life.queued_at);
        if queued.1 + SOON >= self.sent.1 {
            return None;
        }
        let known = self.history.learned(self.client, life.partition?, queued.0);
        self.silence(known?, queued, self.sent)
    }

    /// What made a broker lead no more.
    fn deposed(&self, broker: ProcessId, before: u64) -> Option<&'a Harm> {
        let lineage = self.lineage?;
        let ended = |e: &&Election| e.seq < before && self.is_of(e, broker);
        let election = lineage.elections.iter().rev().find(ended)?;
        behind_election(self.history, lineage, election.epoch)
    }

    fn is_of(&self, election: &Election, former: ProcessId) -> bool {
        let process = election.former.and_then(|n| self.history.process_of(n));
        process == Some(former)
    }

    /// What took the record on its way: what lasted until another broker was elected, else what broke the connection.
    fn vanished(&self, way: Way) -> Option<&'a Harm> {
        let harms = &self.history.harms;
        let elections = self.lineage.map_or(&[][..], |l| &l.elections);
        let of_broker = |e: &&Election| e.seq > self.sent.0 && self.is_of(e, way.to);
        let overruled = elections.iter().find(of_broker).map(|e| (e.seq, e.at));
        let outlasting = overruled.and_then(|election| {
            let silence = self.silence(way.to, self.sent, election);
            silence.filter(|s| s.lifted.is_none_or(|lifted| election.1 <= lifted))
        });
        let broken = harms.first_break(self.client, self.sent.0, |b| b.conn == way.conn);
        let direct = broken.and_then(|b| harms.by_seq(b.fault?));
        let gave_up = broken.map_or((u64::MAX, self.history.now), |b| (b.seq, b.at));
        outlasting
            .or(direct)
            .or_else(|| self.silence(way.to, self.sent, gave_up))
    }

    /// What lay between the client and a broker; what only slows down takes nothing, if there is anything else.
    fn silence(
        &self,
        broker: ProcessId,
        asked: (u64, Time),
        gave_up: (u64, Time),
    ) -> Option<&'a Harm> {
        let harms = &self.history.harms;
        let fits = |h: &Harm| h.stops(broker) || lies_between(&h.fault, self.client, broker);
        let takes = |h: &Harm| fits(h) && !only_slows(&h.fault);
        let taken = harms.behind_silence(asked, gave_up, takes);
        taken.or_else(|| harms.behind_silence(asked, gave_up, fits))
    }

    /// What broke a connection of the client; else what lay between it and the partition's brokers when the record was sent, or
    /// soon after; else what was behind the latest election.
    fn nearby(&self) -> Option<&'a Harm> {
        let (harms, (seq, at)) = (&self.history.harms, self.sent);
        let brokers = self.lineage.map_or(&[][..], |l| &l.replicas);
        let between = |h: &Harm| {
            let hurts =
                |b: ProcessId| strikes(&h.fault, b) || lies_between(&h.fault, self.client, b);
            brokers.iter().any(|b| hurts(b.process))
        };
        let soon = |h: &&Harm| h.seq > seq && h.at <= at + SOON && between(h);
        let moved = || {
            let lineage = self.lineage?;
            let before = |e: &&Election| e.at <= at + SOON && e.at + PATIENCE >= at;
            let election = lineage.elections.iter().rev().find(before)?;
            behind_election(self.history, lineage, election.epoch)
        };
        let broken = harms.first_break(self.client, seq, |_| true);
        let broken = broken.filter(|b| b.at <= at + PATIENCE);
        broken
            .and_then(|b| harms.by_seq(b.fault?))
            .or_else(|| harms.latest(seq, at, Duration::ZERO, between))
            .or_else(|| harms.applied.iter().find(soon))
            .or_else(moved)
    }
}

/// Whether everything comes in the end that a fault keeps waiting.
fn only_slows(fault: &Realised) -> bool {
    matches!(
        fault,
        Fault::SlowLink { .. }
            | Fault::SlowNode { .. }
            | Fault::SlowAccept { .. }
            | Fault::Hold(_)
            | Fault::DropPackets { .. }
            | Fault::Refuse { .. }
            | Fault::Throttle { .. }
            | Fault::Stall { .. }
    )
}
