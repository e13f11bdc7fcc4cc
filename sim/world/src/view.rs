//! The state of a run for those who look and may not touch: checkers, frames, selectors, people.

use crate::disks::Disk;
use crate::network::Network;
use crate::process::{Machine, Names, Process, ProcessId};
use crate::scenario::Scenario;
use crate::trace::Phase;
use crate::world::World;
use klab_kafka::broker::Broker;
use klab_kafka::controller::Controller;
use klab_kafka::controller::image::Image;
use klab_kafka::ids::{NodeId, TopicId, TopicIdPartition};
use klab_kafka::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A read-only view of a world.
#[derive(Clone, Copy)]
pub struct View<'a> {
    world: &'a World,
}

impl<'a> View<'a> {
    /// A view of this world.
    pub fn new(world: &'a World) -> View<'a> {
        View { world }
    }

    /// Time since boot.
    pub fn now(&self) -> Time {
        self.world.now()
    }

    /// When the run was ready.
    pub fn ready(&self) -> Option<Time> {
        self.world.ready()
    }

    /// The phase of the run.
    pub fn phase(&self) -> Phase {
        self.world.phase()
    }

    /// The seed of the run.
    pub fn seed(&self) -> u64 {
        self.world.seed()
    }

    /// The names that deleted topics had.
    pub fn former_topics(&self) -> &'a BTreeMap<TopicId, Arc<str>> {
        &self.world.former_topics
    }

    /// What was missing when a deadline passed and the run was given up.
    pub fn stuck(&self) -> Option<&'a crate::stuck::Stuck> {
        self.world.run.stuck.as_ref()
    }

    /// Whether any fault is in force, for ever or not yet lifted.
    pub fn is_harmed(&self) -> bool {
        !self.world.steps.active().is_empty()
    }

    /// Faults in force.
    pub fn faults(&self) -> impl Iterator<Item = &'a crate::fault::Realised> {
        self.world.steps.active().iter().map(|(_, fault, _)| fault)
    }

    /// Facts told so far.
    pub fn seq(&self) -> u64 {
        self.world.trace().count()
    }

    /// What is run.
    pub fn scenario(&self) -> &'a Scenario {
        self.world.scenario()
    }

    /// All names.
    pub fn names(&self) -> &'a Names {
        &self.world.names
    }

    /// All machines, by process.
    pub fn machines(&self) -> impl Iterator<Item = (ProcessId, &'a Machine)> {
        self.world
            .machines
            .iter()
            .enumerate()
            .map(|(i, m)| (ProcessId(i as u32), m))
    }

    /// One machine.
    pub fn machine(&self, p: ProcessId) -> &'a Machine {
        &self.world.machines[p.index()]
    }

    /// A machine's disk.
    pub fn disk(&self, p: ProcessId) -> &'a Disk {
        &self.machine(p).disk
    }

    /// All connections.
    pub fn network(&self) -> &'a Network {
        &self.world.network
    }

    /// Running brokers.
    pub fn brokers(&self) -> impl Iterator<Item = (ProcessId, &'a Broker)> {
        self.machines().filter_map(|(p, m)| match &m.process {
            Some(Process::Broker(b)) => Some((p, &**b)),
            _ => None,
        })
    }

    /// Running controllers.
    pub fn controllers(&self) -> impl Iterator<Item = (ProcessId, &'a Controller)> {
        self.machines().filter_map(|(p, m)| match &m.process {
            Some(Process::Controller(c)) => Some((p, &**c)),
            _ => None,
        })
    }

    /// The running quorum leader with the highest epoch.
    pub fn active_controller(&self) -> Option<(ProcessId, &'a Controller)> {
        self.controllers()
            .filter(|(_, c)| c.raft().is_leader())
            .max_by_key(|(_, c)| c.raft().epoch())
    }

    /// The cluster as the active controller has it, or else the running controller that knows most.
    pub fn image(&self) -> Option<&'a Image> {
        match self.active_controller() {
            Some((_, c)) => Some(c.image()),
            None => self
                .controllers()
                .map(|(_, c)| c.image())
                .max_by_key(|i| i.end),
        }
    }

    /// The process of a node id.
    pub fn process_of(&self, node: NodeId) -> Option<ProcessId> {
        let name = match node.0 {
            3001.. => format!("controller-{}", node.0 - 3000),
            _ => format!("broker-{}", node.0),
        };
        self.world.names.find(&name)
    }

    /// A partition by its topic's name.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<TopicIdPartition> {
        let topic = *self.image()?.names.get(topic)?;
        Some(TopicIdPartition { topic, partition })
    }
}
