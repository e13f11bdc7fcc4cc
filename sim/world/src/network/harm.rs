//! What spoils links and machines: each harm is begun and ended here, and may be done several times at once.
//!
//! A cut holds what is under way, too; a clog only what is sent from then on, and lets it go in one burst, which then
//! queues for the link's bandwidth. A lost packet is sent again after 200 ms, 400 ms and so on, as TCP does; a message that is
//! lost seven times in a row breaks its connection, 15 s after it was sent.

use super::{Body, ConnKey, End, Network, pipes};
use crate::process::ProcessId;
use crate::queue::Queue;
use klab_kafka::protocol::{Api, ErrorCode, Request};
use klab_kafka::time::{Duration, Time};
use serde::Serialize;
use std::collections::BTreeMap;

/// The first retransmission comes so long after the message; each further one takes twice as long.
const RETRANSMISSION: Duration = Duration::millis(200);
/// A message that is lost so often in a row is given up: the waits would be longer than [`GIVEN_UP`].
const TRIES: u32 = 7;
/// A connection breaks so long after the message that it could not deliver.
pub(super) const GIVEN_UP: Duration = Duration::secs(15);

/// Drawn numbers for the way of one message; what cannot happen on its way is not drawn for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Chance {
    /// For its latency.
    pub latency: u64,
    /// Whether it is one of the slow ones, and how slow.
    pub tail: u64,
    /// How many times it is lost.
    pub loss: u64,
}

/// A few messages that take much longer than the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Tail {
    /// So many of a million.
    pub ppm: u32,
    /// None takes longer than this, in nanoseconds.
    pub upto: u64,
}

impl Tail {
    /// The length of a slow one, if this one is slow: at least `from`, twice as long half as often, at most `upto`. Whole
    /// numbers only: the share of a million that is hit is stretched over all numbers, and divides.
    pub fn draw(self, drawn: u64, from: u64) -> Option<u64> {
        let share = u128::from(self.ppm) << 64;
        let at = u128::from(drawn) * 1_000_000;
        if at >= share {
            return None;
        }
        let u = at / u128::from(self.ppm);
        let long = (u128::from(from.max(1)) << 64) / (u + 1);
        Some(
            u64::try_from(long)
                .unwrap_or(u64::MAX)
                .clamp(from, self.upto.max(from)),
        )
    }
}

/// Waits for requests as they come to their server.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Waylay {
    /// The fault it belongs to.
    pub id: u64,
    /// Which API.
    pub api: Api,
    /// From one of these.
    pub from: Vec<ProcessId>,
    /// To one of these.
    pub to: Vec<ProcessId>,
    /// How many to let pass first.
    pub skip: u32,
    /// How many it still takes.
    pub take: u32,
    /// What it does to them.
    pub deed: Deed,
}

/// What is done to a request that came to its server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Deed {
    /// It is answered with an error, and the server never sees it.
    Answer(ErrorCode),
    /// Its server reads the next one on its connection so much later.
    Throttle(Duration),
}

/// What is spoiled now, beside cuts, black holes and slow links; and what the scenario says of single links and machines.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Spoils {
    /// Slow messages on every link.
    pub(super) tail: Option<Tail>,
    /// Latencies of single directions, least and most.
    pub(super) latencies: BTreeMap<(ProcessId, ProcessId), (u64, u64)>,
    /// Bytes per second of single directions.
    pub(super) bandwidths: BTreeMap<(ProcessId, ProcessId), u64>,
    /// Bytes per second that a machine can send to all others together, and when it is free again.
    pub(super) cards: BTreeMap<ProcessId, (u64, Time)>,
    /// So many of a million messages are lost at each try.
    pub(super) loss: u32,
    losses: BTreeMap<(ProcessId, ProcessId), Vec<u32>>,
    pub(super) clogs: BTreeMap<(ProcessId, ProcessId), u32>,
    refusing: BTreeMap<ProcessId, u32>,
    accepting: BTreeMap<ProcessId, Vec<Duration>>,
    waylays: Vec<Waylay>,
}

impl Spoils {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Spoils::default()
    }
}

/// How many times in a row a message is lost: each time with the same chance.
pub(super) fn losses(drawn: u64, ppm: u32) -> u32 {
    if ppm == 0 {
        return 0;
    }
    let mut below = 1u128 << 64;
    for lost in 0..TRIES {
        below = below * u128::from(ppm) / 1_000_000;
        if u128::from(drawn) >= below {
            return lost;
        }
    }
    TRIES
}

/// How much later a message arrives that was lost so often; none if it was given up.
pub(super) fn retransmitted(lost: u32) -> Option<Duration> {
    (lost < TRIES).then(|| Duration(RETRANSMISSION.0 * ((1 << lost) - 1)))
}

/// What spoils a direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// Nothing passes; what is under way waits.
    pub cut: bool,
    /// What is sent vanishes.
    pub hole: bool,
    /// By how much messages are slowed.
    pub slow: Option<u32>,
    /// What is sent waits until it is let go all at once.
    pub clog: bool,
    /// So many of a million messages are lost at each try.
    pub loss: u32,
}

/// Waits for one message.
#[derive(Clone, Debug, Serialize)]
pub struct Catch {
    /// The fault it belongs to.
    pub id: u64,
    /// Which API.
    pub api: Api,
    /// A response; else a request.
    pub response: bool,
    /// From one of these.
    pub from: Vec<ProcessId>,
    /// To one of these.
    pub to: Vec<ProcessId>,
    /// How many to let pass first.
    pub skip: u32,
    /// Lose it (and with it the connection); else hold it.
    pub lose: bool,
    /// Done its work.
    pub spent: bool,
}

/// What the scenario says of links and machines.
impl Network {
    /// Some messages on every link are slow.
    pub fn set_tail(&mut self, tail: Option<Tail>) {
        self.spoils.tail = tail;
    }

    /// So many of a million messages are lost at each try, on every link.
    pub fn set_loss(&mut self, ppm: u32) {
        self.spoils.loss = ppm;
    }

    /// A direction has a latency, or a bandwidth, of its own.
    pub fn set_link(
        &mut self,
        from: ProcessId,
        to: ProcessId,
        latency: Option<(u64, u64)>,
        bandwidth: Option<u64>,
    ) {
        if let Some(latency) = latency {
            self.spoils.latencies.insert((from, to), latency);
        }
        if let Some(bandwidth) = bandwidth {
            self.spoils.bandwidths.insert((from, to), bandwidth);
        }
    }

    /// A machine can send so many bytes per second to all others together.
    pub fn set_card(&mut self, who: ProcessId, bandwidth: u64) {
        self.spoils.cards.insert(who, (bandwidth, Time(0)));
    }

    /// Whether slow messages are drawn for.
    pub fn has_tail(&self) -> bool {
        self.spoils.tail.is_some()
    }
}

/// What is done, and undone.
impl Network {
    /// Holds all that goes from one to another.
    pub fn cut(&mut self, from: ProcessId, to: ProcessId) {
        *self.cuts.entry((from, to)).or_insert(0) += 1;
        for (_, pipe) in pipes(&mut self.connections, from, to) {
            pipe.due = None;
        }
    }

    /// Lifts one cut; what was held arrives within a latency.
    pub fn mend(&mut self, from: ProcessId, to: ProcessId, at: Time, queue: &mut Queue) {
        release(&mut self.cuts, (from, to));
        self.wake(from, to, at, queue);
    }

    /// Swallows all that goes from one to another, for good on the connections that there are.
    pub fn swallow(&mut self, from: ProcessId, to: ProcessId) {
        *self.holes.entry((from, to)).or_insert(0) += 1;
        for (_, pipe) in pipes(&mut self.connections, from, to) {
            pipe.swallowed = true;
        }
    }

    /// Lifts one black hole: connections made from now on work.
    pub fn fill(&mut self, from: ProcessId, to: ProcessId) {
        release(&mut self.holes, (from, to));
    }

    /// What spoils a direction now.
    pub fn way(&self, from: ProcessId, to: ProcessId) -> Way {
        let way = (from, to);
        Way {
            cut: self.cuts.contains_key(&way),
            hole: self.holes.contains_key(&way),
            slow: self.slow.get(&way).copied(),
            clog: self.spoils.clogs.contains_key(&way),
            loss: self.loss(from, to),
        }
    }

    /// Stretches the latency of a direction; several stretch it together.
    pub fn slow_down(&mut self, from: ProcessId, to: ProcessId, factor: u32) {
        let all = self.slow.entry((from, to)).or_insert(1);
        *all = all.saturating_mul(factor.max(1));
    }

    /// One of them stretches no longer.
    pub fn speed_up(&mut self, from: ProcessId, to: ProcessId, factor: u32) {
        if let Some(all) = self.slow.get_mut(&(from, to)) {
            *all /= factor.max(1);
            if *all <= 1 {
                self.slow.remove(&(from, to));
            }
        }
    }

    /// What is sent from now on waits.
    pub fn clog(&mut self, from: ProcessId, to: ProcessId) {
        *self.spoils.clogs.entry((from, to)).or_insert(0) += 1;
    }

    /// Lifts one clog. If it was the last, all that waited leaves now, in its order, and takes as long as it would have.
    pub fn unclog(&mut self, from: ProcessId, to: ProcessId, at: Time, queue: &mut Queue) {
        release(&mut self.spoils.clogs, (from, to));
        if self.spoils.clogs.contains_key(&(from, to)) {
            return;
        }
        let waiting: Vec<(ConnKey, End)> = pipes(&mut self.connections, from, to)
            .map(|(k, _)| k)
            .collect();
        for (key, end) in &waiting {
            let Some(c) = self.connections.get_mut(*key) else {
                continue;
            };
            let mut messages = std::mem::take(&mut c.pipe(*end).messages);
            let mut last = Time(0);
            for message in &mut messages {
                if message.clogged {
                    message.clogged = false;
                    let way = message.arrives.since(message.departed);
                    message.departed = self.leave(from, to, message.size, at);
                    message.arrives = (message.departed + way).max(last);
                }
                last = message.arrives;
            }
            let c = self.connections.get_mut(*key).expect("it was there");
            let pipe = c.pipe(*end);
            pipe.messages = messages;
            pipe.last_arrival = pipe.last_arrival.max(last);
        }
        for (key, end) in waiting {
            self.schedule(key, end, at, queue);
        }
    }

    /// So many of a million messages of a direction are lost at each try, beside those that are lost anyway.
    pub fn shed(&mut self, from: ProcessId, to: ProcessId, ppm: u32) {
        self.spoils.losses.entry((from, to)).or_default().push(ppm);
    }

    /// One such loss is over.
    pub fn stop_shedding(&mut self, from: ProcessId, to: ProcessId, ppm: u32) {
        if let Some(all) = self.spoils.losses.get_mut(&(from, to)) {
            if let Some(i) = all.iter().position(|p| *p == ppm) {
                all.remove(i);
            }
            if all.is_empty() {
                self.spoils.losses.remove(&(from, to));
            }
        }
    }

    /// How many of a million messages of a direction are lost at each try: the worst of what spoils it.
    pub fn loss(&self, from: ProcessId, to: ProcessId) -> u32 {
        let own = self.spoils.losses.get(&(from, to)).into_iter().flatten();
        own.copied().fold(self.spoils.loss, u32::max)
    }

    /// Nobody gets a new connection to a machine.
    pub fn refuse(&mut self, who: ProcessId) {
        *self.spoils.refusing.entry(who).or_insert(0) += 1;
    }

    /// Lifts one refusal.
    pub fn stop_refusing(&mut self, who: ProcessId) {
        release(&mut self.spoils.refusing, who);
    }

    /// Whether new connections to a machine are refused.
    pub(super) fn is_refusing(&self, who: ProcessId) -> bool {
        self.spoils.refusing.contains_key(&who)
    }

    /// New connections to a machine stand so much later.
    pub fn accept_later(&mut self, who: ProcessId, by: Duration) {
        self.spoils.accepting.entry(who).or_default().push(by);
    }

    /// One such delay is over.
    pub fn stop_accepting_later(&mut self, who: ProcessId, by: Duration) {
        if let Some(all) = self.spoils.accepting.get_mut(&who) {
            if let Some(i) = all.iter().position(|d| *d == by) {
                all.remove(i);
            }
            if all.is_empty() {
                self.spoils.accepting.remove(&who);
            }
        }
    }

    /// How much later a new connection to a machine stands: all delays together.
    pub(super) fn accepts_after(&self, who: ProcessId) -> Duration {
        let all = self.spoils.accepting.get(&who).into_iter().flatten();
        all.fold(Duration::ZERO, |sum, d| sum + *d)
    }

    /// Lies in wait for requests.
    pub fn wait_for(&mut self, waylay: Waylay) {
        self.spoils.waylays.push(waylay);
    }

    /// Waits no more.
    pub fn wait_no_more(&mut self, id: u64) {
        self.spoils.waylays.retain(|w| w.id != id);
    }

    /// What is done to a request that has come, and by which fault.
    pub(super) fn waylaid(
        &mut self,
        from: ProcessId,
        to: ProcessId,
        request: &Request,
    ) -> Option<(u64, Deed)> {
        // What has no such answer passes and is not counted.
        let is_possible = |w: &Waylay| match w.deed {
            Deed::Answer(error) => crate::refusal::refusal(request, error).is_some(),
            Deed::Throttle(_) => true,
        };
        let fits = |w: &&mut Waylay| {
            is_possible(w)
                && w.take > 0
                && w.api == request.api()
                && w.from.contains(&from)
                && w.to.contains(&to)
        };
        let waylay = self.spoils.waylays.iter_mut().find(fits)?;
        if waylay.skip > 0 {
            waylay.skip -= 1;
            return None;
        }
        waylay.take -= 1;
        Some((waylay.id, waylay.deed))
    }

    /// Lies in wait for a message.
    pub fn catch(&mut self, catch: Catch) {
        self.catches.push(catch);
    }

    /// Lets go of what a catch holds, and catches no more.
    pub fn let_go(&mut self, id: u64, at: Time, queue: &mut Queue) {
        self.catches.retain(|c| c.id != id);
        let mut freed = Vec::new();
        for (key, c) in self.connections.iter_mut() {
            for end in [End::Server, End::Client] {
                for m in c
                    .pipe(end)
                    .messages
                    .iter_mut()
                    .filter(|m| m.held == Some(id))
                {
                    m.held = None;
                    freed.push((key, end));
                }
            }
        }
        for (key, end) in freed {
            self.schedule(key, end, at, queue);
        }
    }

    /// Whether a catch has caught something.
    pub fn has_caught(&self, id: u64) -> bool {
        self.catches.iter().any(|c| c.id == id && c.spent)
    }

    pub(super) fn caught(
        &mut self,
        from: ProcessId,
        to: ProcessId,
        body: &Body,
    ) -> Option<(u64, bool)> {
        if self.catches.is_empty() {
            return None;
        }
        let (api, response) = match body {
            Body::Request { request, .. } => (request.api(), false),
            Body::Response { response, .. } => (response.api(), true),
            _ => return None,
        };
        let fits = |c: &&mut Catch| {
            !c.spent
                && c.api == api
                && c.response == response
                && c.from.contains(&from)
                && c.to.contains(&to)
        };
        let catch = self.catches.iter_mut().find(fits)?;
        if catch.skip > 0 {
            catch.skip -= 1;
            return None;
        }
        catch.spent = true;
        Some((catch.id, catch.lose))
    }
}

fn release<K: Ord + Copy>(counts: &mut BTreeMap<K, u32>, of: K) {
    if let Some(n) = counts.get_mut(&of) {
        *n -= 1;
        if *n == 0 {
            counts.remove(&of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_as_long_and_as_rare_as_it_says() {
        let tail = Tail {
            ppm: 10_000,
            upto: 100_000_000,
        };
        let of = |i: u64| tail.draw(i * (u64::MAX / 1_000_000), 2_000_000);
        let slow: Vec<u64> = (0..1_000_000).filter_map(of).collect();
        assert!((9_990..=10_010).contains(&slow.len()), "{}", slow.len());
        assert_eq!(slow.iter().max(), Some(&100_000_000));
        assert!(slow.iter().all(|ns| *ns >= 2_000_000));
        let longer = |ns: u64| slow.iter().filter(|s| **s > ns).count();
        let (twice, four_times) = (longer(4_000_000), longer(8_000_000));
        assert!(twice.abs_diff(5_000) < 20, "{twice}");
        assert!(four_times.abs_diff(2_500) < 20, "{four_times}");
    }

    #[test]
    fn losses_in_a_row_are_as_rare_as_independent_ones() {
        let of = |i: u64| losses(i * (u64::MAX / 1_000_000), 100_000);
        let rows: Vec<u32> = (0..1_000_000).map(of).collect();
        let at_least = |n| rows.iter().filter(|r| **r >= n).count();
        assert!(at_least(1).abs_diff(100_000) < 10);
        assert!(at_least(2).abs_diff(10_000) < 10);
        assert!(at_least(3).abs_diff(1_000) < 10);
        assert_eq!(losses(u64::MAX, 1_000_000), TRIES);
        assert_eq!(losses(0, 0), 0);
    }

    #[test]
    fn waits_double_until_the_connection_is_given_up() {
        let waits: Vec<Option<u64>> = (0..=TRIES)
            .map(|n| retransmitted(n).map(|d| d.as_millis()))
            .collect();
        let ms = [0, 200, 600, 1_400, 3_000, 6_200, 12_600].map(Some);
        assert_eq!(waits[..7], ms);
        assert_eq!(waits[7], None, "the next would come after {GIVEN_UP:?}");
    }
}
