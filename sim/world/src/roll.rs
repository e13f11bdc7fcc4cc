//! Rolling restarts: servers are stopped and started again one after another, each only when the cluster is whole.
//!
//! That is how operators upgrade (P6): they wait until nothing is under-replicated. What is really done is an ordinary stop
//! of a while for each server, which is what the tape holds.

use crate::fault::{Fault, Realised};
use crate::process::ProcessId;
use crate::scenario::Lasts;
use crate::steps::{Deed, Due};
use crate::view::View;
use crate::world::World;
use klab_kafka::time::Duration;
use serde::Serialize;

/// How often an operator looks whether the cluster is whole.
const LOOK: Duration = Duration::millis(500);

/// A rolling restart under way.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Roll {
    /// Who is still to come, the next one first.
    pub left: Vec<ProcessId>,
    /// How many were restarted.
    pub done: u64,
    /// They are killed; else asked to stop.
    pub kill: bool,
    /// How long each is down.
    pub down: Duration,
}

impl World {
    /// Its first turn is a deed of its own, so that a tape holds each stop at its own time.
    pub(crate) fn begin_roll(&mut self, step: u64, who: &[ProcessId], kill: bool, down: Duration) {
        let roll = Roll {
            left: who.to_vec(),
            done: 0,
            kill,
            down,
        };
        self.steps.add(Due {
            at: self.now(),
            step,
            deed: Deed::Roll(roll),
        });
    }

    /// The next server's turn, if the cluster is whole; else a look a little later.
    pub(crate) fn roll(&mut self, step: u64, mut roll: Roll) {
        let mut again = self.now() + LOOK;
        if self.is_whole() && !roll.left.is_empty() {
            let who: Box<[ProcessId]> = [roll.left.remove(0)].into();
            let fault: Realised = match roll.kill {
                true => Fault::Kill { who },
                false => Fault::Stop { who },
            };
            self.do_fault(
                step.wrapping_add(roll.done),
                fault,
                Lasts::For(roll.down),
                None,
            );
            roll.done += 1;
            again = again + roll.down;
        }
        if !roll.left.is_empty() {
            self.steps.add(Due {
                at: again,
                step,
                deed: Deed::Roll(roll),
            });
        }
    }

    /// Whether every server runs, every broker is unfenced and registered since it last lost data, every replica is in sync
    /// and a controller is active.
    fn is_whole(&self) -> bool {
        let view = View::new(self);
        let is_server = |p: ProcessId| {
            ["broker-", "controller-"]
                .iter()
                .any(|kind| self.names.of(p).starts_with(kind))
        };
        let runs = view
            .machines()
            .all(|(p, m)| !is_server(p) || (m.process.is_some() && !m.stopping));
        let Some(image) = view.image().filter(|_| view.active_controller().is_some()) else {
            return false;
        };
        let partitions = image.topics.values().flat_map(|t| t.partitions.values());
        runs && !crate::swarm::faults::has_tainted(self)
            && image.brokers.values().all(|b| b.is_active())
            && partitions
                .into_iter()
                .all(|r| r.isr.len() == r.replicas.len())
    }
}
