//! Beginnings and ends of processes: start, boot from disk, kill, loss of power, pause, resume, a wish to stop.
//!
//! What belongs to the machine (disk, clocks) outlives the process; what waits for the process dies with it.

use crate::disks::Keep;
use crate::network::harm::Chance;
use crate::network::{Departure, Network};
use crate::process::{Coming, Down, Machine, Pending, Process, ProcessId};
use crate::streams::Stream;
use crate::trace::{Phase, ProcessFact, What};
use crate::world::World;
use klab_kafka::ids::ConnId;
use klab_kafka::input::{Closed, Command};

impl World {
    /// Starts a process that does not run.
    /// One that is still on its way to a clean stop is started again once it has ended.
    pub(crate) fn start(&mut self, p: ProcessId, cause: u64) {
        let m = &mut self.machines[p.index()];
        if m.process.is_some() {
            m.restart = m.stopping;
            return;
        }
        let was_dark = m.down == Some(Down::PowerLost);
        m.down = None;
        m.starts += 1;
        m.listening = false;
        m.paused = false;
        m.stopping = false;
        m.restart = false;
        m.busy_until = self.now;
        m.disk.forget_syncs();
        let start = m.starts;
        let cause = (cause > 0).then_some(cause);
        let record = self.tell_process(p, cause, What::Process(ProcessFact::Started { start }));
        if was_dark {
            self.relight(p, record);
        }
        self.boot(p, record);
        if self.run.phase >= Phase::Running {
            self.come(
                p,
                Pending {
                    cause: record,
                    input: Coming::Command(Command::Start),
                },
            );
        }
    }

    /// Starts a process that has run before: no end of a harm makes somebody come early.
    pub(crate) fn start_again(&mut self, p: ProcessId, cause: u64) {
        if self.machines[p.index()].starts > 0 {
            self.start(p, cause);
        }
    }

    fn relight(&mut self, p: ProcessId, cause: u64) {
        let mut network = std::mem::replace(&mut self.network, Network::new((0, 0), None));
        let (now, streams, names) = (self.now, &mut self.streams, &self.names);
        let departures = |a, b| Departure {
            at: now,
            cause,
            chance: Chance {
                latency: streams.draw(Stream::Latency(a, b), names),
                ..Chance::default()
            },
        };
        network.lighten(p, departures, &mut self.queue);
        self.network = network;
    }

    fn boot(&mut self, p: ProcessId, record: u64) {
        let mut outputs = std::mem::take(&mut self.outputs);
        let image = self.machines[p.index()].disk.image();
        let (scenario, run, names) = (self.scenario.clone(), self.run.clone(), self.names.clone());
        let process = self.with_machine(p, &mut outputs, |cx| {
            crate::setup::boot(&scenario, p, &run, image, cx, &names)
        });
        self.machines[p.index()].process = Some(process);
        self.apply_outputs(p, &mut outputs, record);
        self.outputs = outputs;
    }

    /// Ends a process; its connections are closed by its system.
    pub(crate) fn end(&mut self, p: ProcessId, how: Down, cause: u64) {
        self.end_with(p, how, 0, cause);
    }

    pub(crate) fn end_with(&mut self, p: ProcessId, how: Down, batches_lost: u64, cause: u64) {
        let m = &mut self.machines[p.index()];
        let Some(process) = m.process.take() else {
            // A machine that runs nothing can still lose its power, and with it what it never wrote to its disk.
            if how == Down::PowerLost && m.starts > 0 {
                m.down = Some(how);
                let ended = ProcessFact::Ended { how, batches_lost };
                self.tell_process(p, Some(cause), What::Process(ended));
            }
            return;
        };
        m.down = Some(how);
        m.paused = false;
        m.inbox.clear();
        m.held.clear();
        m.alarms.clear();
        if let Process::App(app) = &process {
            self.run.remember(p, app.source());
        }
        let record = self.tell_process(
            p,
            Some(cause),
            What::Process(ProcessFact::Ended { how, batches_lost }),
        );
        if how == Down::PowerLost {
            return;
        }
        for key in self.network.of(p) {
            let conn = ConnId(key.0);
            if let Some(peer) = self.peer(conn, p) {
                let departure = self.departure(p, peer, self.now, record);
                self.network
                    .close(conn, p, Closed::PeerGone, departure, &mut self.queue);
            }
        }
        if how == Down::Exited && self.machines[p.index()].restart {
            self.start(p, record);
        }
    }

    /// Starts whoever gave up by itself while the run is mended. Not at once, as no supervisor does: who gives up at boot
    /// would boot for ever. Who was asked to stop stays down as long as the asker says.
    pub(crate) fn start_who_gave_up(&mut self) {
        self.start_those(|_, m| {
            let gave_up = m.down == Some(Down::Exited) && !m.stopping;
            m.process.is_none() && gave_up && !m.disk.is_failing()
        });
    }

    /// Starts all that does not run though no lasting harm keeps it down: at the end of a run even a process that gave up
    /// by itself, before the healing or during it, has somebody who starts it again.
    pub(crate) fn start_all(&mut self, kept_down: &[ProcessId]) {
        self.start_those(|p, m| m.down.is_some_and(|d| d != Down::New) && !kept_down.contains(&p));
    }

    fn start_those(&mut self, is_due: impl Fn(ProcessId, &Machine) -> bool) {
        let all: Vec<ProcessId> = self.names.iter().map(|(p, _)| p).collect();
        for p in all {
            if is_due(p, &self.machines[p.index()]) {
                self.start(p, 0);
            }
        }
    }

    pub(crate) fn lose_page_cache(&mut self, p: ProcessId, keep: Keep) -> u64 {
        let (streams, names) = (&mut self.streams, &self.names);
        let draw = |n| streams.below(Stream::PowerLoss(p), n, names);
        self.machines[p.index()].disk.lose_power(keep, draw)
    }

    pub(crate) fn pause(&mut self, p: ProcessId, cause: u64) {
        let m = &mut self.machines[p.index()];
        if m.process.is_some() && !m.paused {
            m.paused = true;
            self.tell_process(p, Some(cause), What::Process(ProcessFact::Paused));
        }
    }

    pub(crate) fn resume(&mut self, p: ProcessId, cause: u64) {
        let m = &mut self.machines[p.index()];
        if m.process.is_none() || !m.paused {
            return;
        }
        m.paused = false;
        m.busy_until = m.busy_until.max(self.now);
        let mut held = std::mem::take(&mut m.held);
        let record = self.tell_process(p, Some(cause), What::Process(ProcessFact::Resumed));
        self.apply_outputs(p, &mut held, record);
        self.wake_later(p);
    }

    pub(crate) fn ask_to_stop(&mut self, p: ProcessId, cause: u64) {
        self.machines[p.index()].stopping = true;
        self.come(
            p,
            Pending {
                cause,
                input: Coming::Stop,
            },
        );
    }
}
