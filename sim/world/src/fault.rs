//! Every harm that can be done, for scenarios, search, page and book alike: what it is, how it is applied and lifted.
//!
//! `W` says whom: a selector in a scenario, concrete processes on the tape and in the trace.
//!
//! Left out: swapped and stale endpoints after a restart (N11), since here an address is a process and stays with it; faults
//! of a disk's contents (D3 to D7, D9); one of several log directories that fails (L-37), since a process has one and halts with
//! it; a reset of which both ends hear at once (N4: the other end hears a latency later); several messages lost by one step (N6:
//! a step for each); links clogged together and released one by one (N8: a step for each); a change of version or of settings with
//! a rolling restart (P6); a latency of one machine's disk alone but for a stall (D1: `cluster.sync` is everyone's).

use crate::ambush::CrashPoint;
use crate::disks::Keep;
use crate::network::Departure;
use crate::network::harm::{Catch, Chance, Deed, Waylay};
use crate::process::{Down, ProcessId};
use crate::trace::{ProcessFact, What};
use crate::world::World;
use klab_kafka::protocol::{Api, ErrorCode};
use klab_kafka::time::Duration;
use serde::{Deserialize, Serialize};

/// One harm.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Fault<W> {
    /// Nothing passes between the two sides; what is under way waits.
    Cut {
        /// One side.
        from: W,
        /// The other.
        to: W,
        /// Only from the first to the second.
        one_way: bool,
    },
    /// What goes from one side to the other vanishes, for good on the connections that there are.
    BlackHole {
        /// From here.
        from: W,
        /// To there.
        to: W,
    },
    /// The connections between the two break; both ends are told.
    Reset {
        /// One side.
        from: W,
        /// The other.
        to: W,
    },
    /// Messages between the two take so many times as long.
    SlowLink {
        /// One side.
        from: W,
        /// The other.
        to: W,
        /// How many times.
        factor: u32,
    },
    /// One request or response is held, and with it all behind it on its connection.
    Hold(Intercept<W>),
    /// One request or response is lost, and with it its connection.
    Lose(Intercept<W>),
    /// The processes die; what they wrote is in the page cache.
    Kill {
        /// Whom.
        who: W,
    },
    /// The machines lose power: of what was not synced a part is gone.
    PowerLoss {
        /// Whom.
        who: W,
        /// How much survives.
        keep: Keep,
    },
    /// The processes die and their disks are replaced by empty ones.
    DiskLoss {
        /// Whom.
        who: W,
    },
    /// The processes take no input.
    Pause {
        /// Whom.
        who: W,
    },
    /// The processes are asked to stop cleanly.
    Stop {
        /// Whom.
        who: W,
    },
    /// Processes that do not run are started.
    Start {
        /// Whom.
        who: W,
    },
    /// What is sent between the two from now on waits, and is let go all at once.
    Clog {
        /// One side.
        from: W,
        /// The other.
        to: W,
        /// Only from the first to the second.
        one_way: bool,
    },
    /// So many of a million messages between the two are lost at each try, and sent again later, as TCP does.
    DropPackets {
        /// One side.
        from: W,
        /// The other.
        to: W,
        /// How many of a million.
        ppm: u32,
    },
    /// Nobody gets a new connection to these machines.
    Refuse {
        /// To whom.
        who: W,
    },
    /// New connections to these machines stand so much later.
    SlowAccept {
        /// To whom.
        who: W,
        /// How much later.
        delay: Duration,
    },
    /// Each of these sees only its neighbours in a ring, a bare majority, and no two see the same.
    Ring {
        /// The ring, in order.
        who: W,
    },
    /// The wall clocks of these machines are set to another time; their monotonic ones are not touched.
    Clock {
        /// Whose.
        who: W,
        /// So much later, in ms; below 0 earlier.
        ahead_ms: i64,
    },
    /// The wall clocks of these machines run too fast or too slow.
    Drift {
        /// Whose.
        who: W,
        /// So many millionths too fast; below 0 too slow.
        ppm: i32,
    },
    /// These processes take so many times as long for everything.
    SlowNode {
        /// Who.
        who: W,
        /// How many times.
        factor: u32,
    },
    /// The disks of these machines finish no sync.
    Stall {
        /// Whose.
        who: W,
    },
    /// The disks of these machines refuse writes. A process whose only log directory fails halts (L-37).
    FailDisk {
        /// Whose.
        who: W,
        /// There is no space left; else the device does not answer.
        full: bool,
    },
    /// Some requests are answered with an error in their server's place, which never sees them.
    Answer {
        /// The first of them.
        of: Intercept<W>,
        /// How many, that one included.
        take: u32,
        /// With which error.
        error: ErrorCode,
    },
    /// After some requests their server reads nothing from their connection for a while, as when a client is over its quota
    /// (KIP-219).
    Throttle {
        /// The first of them.
        of: Intercept<W>,
        /// How many, that one included.
        take: u32,
        /// For how long, each time.
        by: Duration,
    },
    /// Each of these processes dies the next time it passes a point.
    CrashAt {
        /// Who.
        who: W,
        /// Where.
        point: CrashPoint,
        /// Its machine loses power, and keeps so much; else it is killed.
        power: Option<Keep>,
    },
}

/// Which message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Intercept<W> {
    /// The API.
    pub api: Api,
    /// Its response; else the request.
    pub response: bool,
    /// Who sends it.
    pub from: W,
    /// Who should get it.
    pub to: W,
    /// The how manieth from now on, from 1.
    pub nth: u32,
}

impl<W> Fault<W> {
    /// The same harm to others: `f` says whom.
    pub fn map<V, E>(&self, mut f: impl FnMut(&W) -> Result<V, E>) -> Result<Fault<V>, E> {
        let mut intercept = |i: &Intercept<W>| -> Result<Intercept<V>, E> {
            Ok(Intercept {
                api: i.api,
                response: i.response,
                from: f(&i.from)?,
                to: f(&i.to)?,
                nth: i.nth,
            })
        };
        Ok(match self {
            Fault::Hold(i) => Fault::Hold(intercept(i)?),
            Fault::Lose(i) => Fault::Lose(intercept(i)?),
            Fault::Answer { of, take, error } => Fault::Answer {
                of: intercept(of)?,
                take: *take,
                error: *error,
            },
            Fault::Throttle { of, take, by } => Fault::Throttle {
                of: intercept(of)?,
                take: *take,
                by: *by,
            },
            Fault::CrashAt { who, point, power } => Fault::CrashAt {
                who: f(who)?,
                point: *point,
                power: *power,
            },
            Fault::Cut { from, to, one_way } => Fault::Cut {
                from: f(from)?,
                to: f(to)?,
                one_way: *one_way,
            },
            Fault::BlackHole { from, to } => Fault::BlackHole {
                from: f(from)?,
                to: f(to)?,
            },
            Fault::Reset { from, to } => Fault::Reset {
                from: f(from)?,
                to: f(to)?,
            },
            Fault::SlowLink { from, to, factor } => Fault::SlowLink {
                from: f(from)?,
                to: f(to)?,
                factor: *factor,
            },
            Fault::Kill { who } => Fault::Kill { who: f(who)? },
            Fault::PowerLoss { who, keep } => Fault::PowerLoss {
                who: f(who)?,
                keep: *keep,
            },
            Fault::DiskLoss { who } => Fault::DiskLoss { who: f(who)? },
            Fault::Pause { who } => Fault::Pause { who: f(who)? },
            Fault::Stop { who } => Fault::Stop { who: f(who)? },
            Fault::Start { who } => Fault::Start { who: f(who)? },
            Fault::Clog { from, to, one_way } => Fault::Clog {
                from: f(from)?,
                to: f(to)?,
                one_way: *one_way,
            },
            Fault::DropPackets { from, to, ppm } => Fault::DropPackets {
                from: f(from)?,
                to: f(to)?,
                ppm: *ppm,
            },
            Fault::Refuse { who } => Fault::Refuse { who: f(who)? },
            Fault::SlowAccept { who, delay } => Fault::SlowAccept {
                who: f(who)?,
                delay: *delay,
            },
            Fault::Ring { who } => Fault::Ring { who: f(who)? },
            Fault::Clock { who, ahead_ms } => Fault::Clock {
                who: f(who)?,
                ahead_ms: *ahead_ms,
            },
            Fault::Drift { who, ppm } => Fault::Drift {
                who: f(who)?,
                ppm: *ppm,
            },
            Fault::SlowNode { who, factor } => Fault::SlowNode {
                who: f(who)?,
                factor: *factor,
            },
            Fault::Stall { who } => Fault::Stall { who: f(who)? },
            Fault::FailDisk { who, full } => Fault::FailDisk {
                who: f(who)?,
                full: *full,
            },
        })
    }

    /// Whether it is over at once: lifting it does nothing.
    pub fn is_instant(&self) -> bool {
        matches!(
            self,
            Fault::Reset { .. } | Fault::Lose(_) | Fault::Start { .. }
        )
    }
}

impl Realised {
    /// The machines that a harm to machines strikes; none of a harm to links.
    fn targets(&self) -> &[ProcessId] {
        match self {
            Fault::Clock { who, .. }
            | Fault::Drift { who, .. }
            | Fault::SlowNode { who, .. }
            | Fault::Stall { who }
            | Fault::FailDisk { who, .. } => who,
            _ => &[],
        }
    }

    /// Whether it keeps a process from its work: down, held, or cut off.
    pub fn strikes(&self, p: ProcessId) -> bool {
        match self {
            Fault::Kill { who }
            | Fault::PowerLoss { who, .. }
            | Fault::DiskLoss { who }
            | Fault::Pause { who }
            | Fault::Stop { who }
            | Fault::Stall { who }
            | Fault::FailDisk { who, .. } => who.contains(&p),
            Fault::Ring { who } => who.contains(&p),
            Fault::Cut { from, to, .. }
            | Fault::BlackHole { from, to }
            | Fault::Clog { from, to, .. } => from.contains(&p) || to.contains(&p),
            Fault::Reset { .. }
            | Fault::SlowLink { .. }
            | Fault::DropPackets { .. }
            | Fault::Refuse { .. }
            | Fault::SlowAccept { .. }
            | Fault::Clock { .. }
            | Fault::Drift { .. }
            | Fault::SlowNode { .. }
            | Fault::Answer { .. }
            | Fault::Throttle { .. }
            | Fault::CrashAt { .. }
            | Fault::Hold(_)
            | Fault::Lose(_)
            | Fault::Start { .. } => false,
        }
    }
}

/// A harm to concrete processes.
pub type Realised = Fault<Box<[ProcessId]>>;

impl World {
    /// Does a harm. `step` names the step it belongs to, for the trace and for what must be lifted later.
    pub fn apply(&mut self, step: u64, fault: &Realised) {
        let record = self.tell_world(What::Fault {
            step,
            fault: fault.clone(),
            lifted: false,
        });
        match fault {
            Fault::Cut { from, to, one_way } => {
                for (a, b) in links(from, to, *one_way) {
                    self.network.cut(a, b);
                }
            }
            Fault::BlackHole { from, to } => {
                for (a, b) in links(from, to, true) {
                    self.network.swallow(a, b);
                }
            }
            Fault::Reset { from, to } => self.break_connections(from, to, record),
            Fault::SlowLink { from, to, factor } => {
                for (a, b) in links(from, to, false) {
                    self.network.slow_down(a, b, *factor);
                }
            }
            Fault::Hold(i) => self.network.catch(catch(step, i, false)),
            Fault::Lose(i) => self.network.catch(catch(step, i, true)),
            Fault::Kill { who } => who.iter().for_each(|p| self.end(*p, Down::Killed, record)),
            Fault::PowerLoss { who, keep } => {
                who.iter().for_each(|p| self.lose_power(*p, *keep, record))
            }
            Fault::DiskLoss { who } => who.iter().for_each(|p| self.lose_disk(*p, record)),
            Fault::Pause { who } => who.iter().for_each(|p| self.pause(*p, record)),
            Fault::Stop { who } => who.iter().for_each(|p| self.ask_to_stop(*p, record)),
            Fault::Start { who } => who.iter().for_each(|p| self.start_again(*p, record)),
            Fault::Clog { from, to, one_way } => {
                for (a, b) in links(from, to, *one_way) {
                    self.network.clog(a, b);
                }
            }
            Fault::DropPackets { from, to, ppm } => {
                for (a, b) in links(from, to, false) {
                    self.network.shed(a, b, *ppm);
                }
            }
            Fault::Refuse { who } => who.iter().for_each(|p| self.network.refuse(*p)),
            Fault::SlowAccept { who, delay } => {
                for p in who {
                    self.network.accept_later(*p, *delay);
                }
            }
            Fault::Ring { who } => {
                for (a, b) in far_in_ring(who) {
                    self.network.cut(a, b);
                }
            }
            Fault::Answer { of, take, error } => {
                let deed = Deed::Answer(*error);
                self.network.wait_for(waylay(step, of, *take, deed));
            }
            Fault::Throttle { of, take, by } => {
                let deed = Deed::Throttle(*by);
                self.network.wait_for(waylay(step, of, *take, deed));
            }
            Fault::CrashAt { who, point, power } => {
                self.lay_ambush(step, record, who, *point, *power)
            }
            _ => self.spoil_machines(fault, true),
        }
    }

    /// Ends a harm: links work, processes run again.
    pub fn lift(&mut self, step: u64, fault: &Realised) {
        if fault.is_instant() {
            return;
        }
        let record = self.tell_world(What::Fault {
            step,
            fault: fault.clone(),
            lifted: true,
        });
        let now = self.now();
        match fault {
            Fault::Cut { from, to, one_way } => {
                for (a, b) in links(from, to, *one_way) {
                    self.network.mend(a, b, now, &mut self.queue);
                }
            }
            Fault::BlackHole { from, to } => {
                for (a, b) in links(from, to, true) {
                    self.network.fill(a, b);
                }
            }
            Fault::SlowLink { from, to, factor } => {
                for (a, b) in links(from, to, false) {
                    self.network.speed_up(a, b, *factor);
                }
            }
            Fault::Clog { from, to, one_way } => {
                for (a, b) in links(from, to, *one_way) {
                    self.network.unclog(a, b, now, &mut self.queue);
                }
            }
            Fault::DropPackets { from, to, ppm } => {
                for (a, b) in links(from, to, false) {
                    self.network.stop_shedding(a, b, *ppm);
                }
            }
            Fault::Refuse { who } => who.iter().for_each(|p| self.network.stop_refusing(*p)),
            Fault::SlowAccept { who, delay } => {
                for p in who {
                    self.network.stop_accepting_later(*p, *delay);
                }
            }
            Fault::Ring { who } => {
                for (a, b) in far_in_ring(who) {
                    self.network.mend(a, b, now, &mut self.queue);
                }
            }
            Fault::Hold(_) => self.network.let_go(step, now, &mut self.queue),
            Fault::Pause { who } => who.iter().for_each(|p| self.resume(*p, record)),
            Fault::Kill { who }
            | Fault::PowerLoss { who, .. }
            | Fault::DiskLoss { who }
            | Fault::Stop { who } => {
                who.iter().for_each(|p| self.start_again(*p, record));
            }
            Fault::Reset { .. } | Fault::Lose(_) | Fault::Start { .. } => {}
            Fault::Answer { .. } | Fault::Throttle { .. } => self.network.wait_no_more(step),
            Fault::CrashAt { .. } => self.end_ambush(step, record),
            _ => self.spoil_machines(fault, false),
        }
        if let Fault::FailDisk { who, .. } = fault {
            who.iter().for_each(|p| self.start_again(*p, record));
        }
    }

    /// Begins or ends what is wrong with machines while their processes run.
    fn spoil_machines(&mut self, fault: &Realised, begins: bool) {
        let now = self.now();
        let sign = if begins { 1 } else { -1 };
        let count = |n: &mut u32| *n = n.saturating_add_signed(sign);
        for p in fault.targets() {
            let m = &mut self.machines[p.index()];
            match fault {
                Fault::Clock { ahead_ms, .. } => m.clocks.ahead_ms += ahead_ms * i64::from(sign),
                Fault::Drift { ppm, .. } => {
                    m.clocks.run_faster(i64::from(*ppm) * i64::from(sign), now)
                }
                Fault::SlowNode { factor, .. } if begins => m.slow = m.slow.saturating_mul(*factor),
                Fault::SlowNode { factor, .. } => m.slow = (m.slow / (*factor).max(1)).max(1),
                Fault::Stall { .. } => count(&mut m.disk.ills().stalled),
                Fault::FailDisk { full: true, .. } => count(&mut m.disk.ills().full),
                Fault::FailDisk { full: false, .. } => count(&mut m.disk.ills().dead),
                _ => unreachable!("because only these spoil machines"),
            }
            if matches!(fault, Fault::Stall { .. }) {
                self.queue.push(now, crate::queue::Item::Synced(*p));
            }
        }
    }

    fn break_connections(&mut self, from: &[ProcessId], to: &[ProcessId], cause: u64) {
        for (a, b) in links(from, to, true) {
            for key in self.network.between(a, b) {
                let departure = self.departure(a, b, self.now(), cause);
                self.network.reset(key, departure, &mut self.queue);
            }
        }
    }

    pub(crate) fn lose_power(&mut self, p: ProcessId, keep: Keep, cause: u64) {
        self.note_loss(p);
        self.network.darken(p);
        let lost = self.lose_page_cache(p, keep);
        self.end_with(p, Down::PowerLost, lost, cause);
    }

    fn lose_disk(&mut self, p: ProcessId, cause: u64) {
        self.note_loss(p);
        self.end(p, Down::Killed, cause);
        let batches_lost = self.machines[p.index()].disk.replace();
        self.tell_process(
            p,
            Some(cause),
            What::Process(ProcessFact::DiskReplaced { batches_lost }),
        );
    }

    /// The way of a message between two processes.
    pub(crate) fn departure(
        &mut self,
        from: ProcessId,
        to: ProcessId,
        at: klab_kafka::time::Time,
        cause: u64,
    ) -> Departure {
        let chance = self.chance(from, to);
        Departure { at, cause, chance }
    }

    /// Draws for the way of a message, each number from a stream of its own and only if it can matter.
    pub(crate) fn chance(&mut self, from: ProcessId, to: ProcessId) -> Chance {
        use crate::streams::Stream;
        let (has_tail, loss) = (self.network.has_tail(), self.network.loss(from, to));
        let mut draw = |stream| self.streams.draw(stream, &self.names);
        Chance {
            latency: draw(Stream::Latency(from, to)),
            tail: if has_tail {
                draw(Stream::Tail(from, to))
            } else {
                0
            },
            loss: if loss > 0 {
                draw(Stream::Loss(from, to))
            } else {
                0
            },
        }
    }
}

fn catch(step: u64, i: &Intercept<Box<[ProcessId]>>, lose: bool) -> Catch {
    Catch {
        id: step,
        api: i.api,
        response: i.response,
        from: i.from.to_vec(),
        to: i.to.to_vec(),
        skip: i.nth.saturating_sub(1),
        lose,
        spent: false,
    }
}

fn waylay(step: u64, of: &Intercept<Box<[ProcessId]>>, take: u32, deed: Deed) -> Waylay {
    Waylay {
        id: step,
        api: of.api,
        from: of.from.to_vec(),
        to: of.to.to_vec(),
        skip: of.nth.saturating_sub(1),
        take,
        deed,
    }
}

/// All directed links between two sides, each once; a process is not linked to itself.
fn links(from: &[ProcessId], to: &[ProcessId], one_way: bool) -> Vec<(ProcessId, ProcessId)> {
    let mut links = std::collections::BTreeSet::new();
    for a in from {
        for b in to.iter().filter(|b| *b != a) {
            links.insert((*a, *b));
            if !one_way {
                links.insert((*b, *a));
            }
        }
    }
    links.into_iter().collect()
}

/// Pairs that do not see each other, where each of a ring sees itself and its nearest up to a bare majority.
fn far_in_ring(ring: &[ProcessId]) -> Vec<(ProcessId, ProcessId)> {
    let n = ring.len();
    let neighbours = n / 2;
    let mut far = Vec::new();
    for (i, a) in ring.iter().enumerate() {
        for (j, b) in ring.iter().enumerate() {
            let apart = i.abs_diff(j).min(n - i.abs_diff(j));
            // Half of the neighbours on each side; an odd number of them is rounded up.
            if apart > neighbours.div_ceil(2) {
                far.push((*a, *b));
            }
        }
    }
    far
}
