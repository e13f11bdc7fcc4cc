//! Who is meant by a selector at this moment.

use crate::process::ProcessId;
use crate::scenario::selector::{Role, Selector, Struck, TopicPartition};
use crate::streams::Stream;
use crate::view::View;
use crate::world::World;
use klab_kafka::controller::records::PartitionRegistration;
use klab_kafka::ids::NodeId;
use std::collections::BTreeSet;

impl World {
    /// The processes that a selector means now; none if nobody holds the role. `step` names the draws.
    pub fn resolve(&mut self, selector: &Selector, step: u64) -> Box<[ProcessId]> {
        if let Selector::Several(parts) = selector {
            let meant = parts.iter().flat_map(|part| self.resolve(part, step));
            let meant: BTreeSet<ProcessId> = meant.collect();
            return meant.into_iter().collect();
        }
        let candidates = self.candidates(selector);
        match selector {
            Selector::IsrMember(_) | Selector::StandbyController => self.pick(candidates, 1, step),
            Selector::MinorityOfControllers => {
                let n = (candidates.len().max(1) - 1) / 2;
                self.pick(candidates, n, step)
            }
            Selector::MajorityOfControllers => {
                let n = candidates.len() / 2 + 1;
                self.pick(candidates, n, step)
            }
            _ => candidates.into(),
        }
    }

    /// Whether a process is meant by a selector now, where the selector draws nothing.
    pub fn is_meant(&self, selector: &Selector, p: ProcessId) -> bool {
        self.candidates(selector).contains(&p)
    }

    fn pick(&mut self, mut from: Vec<ProcessId>, n: usize, step: u64) -> Box<[ProcessId]> {
        let mut picked = Vec::new();
        while picked.len() < n && !from.is_empty() {
            let i = self
                .streams
                .below(Stream::Step(step), from.len() as u64, &self.names);
            let i = usize::try_from(i).expect("drawn below the length");
            picked.push(from.remove(i));
        }
        picked.into()
    }

    fn candidates(&self, selector: &Selector) -> Vec<ProcessId> {
        let view = View::new(self);
        let named = |prefix: &str| -> Vec<ProcessId> {
            self.names
                .iter()
                .filter(|(_, n)| n.starts_with(prefix))
                .map(|(p, _)| p)
                .collect()
        };
        let nodes = |nodes: Vec<NodeId>| {
            nodes
                .into_iter()
                .filter_map(|n| view.process_of(n))
                .collect()
        };
        match selector {
            Selector::Process(name) => self.names.find(name).into_iter().collect(),
            Selector::Brokers => named("broker-"),
            Selector::Controllers
            | Selector::MinorityOfControllers
            | Selector::MajorityOfControllers => named("controller-"),
            Selector::Clients => self.clients(),
            Selector::Everyone => self.names.iter().map(|(p, _)| p).collect(),
            Selector::Rack(rack) => self.rack(rack),
            Selector::Leader(tp) => nodes(
                registration(view, tp)
                    .and_then(|r| r.leader)
                    .into_iter()
                    .collect(),
            ),
            Selector::FormerLeader(tp) => self.former_leader(tp).into_iter().collect(),
            Selector::Follower(tp, n) => nodes(
                followers(view, tp)
                    .into_iter()
                    .skip(*n as usize)
                    .take(1)
                    .collect(),
            ),
            Selector::Followers(tp) => nodes(followers(view, tp)),
            Selector::Replicas(tp) => nodes(
                registration(view, tp)
                    .map(|r| r.replicas.clone())
                    .unwrap_or_default(),
            ),
            Selector::IsrMember(tp) => {
                let isr = registration(view, tp).map(|r| (r.isr.clone(), r.leader));
                nodes(
                    isr.map(|(isr, l)| isr.into_iter().filter(|n| Some(*n) != l).collect())
                        .unwrap_or_default(),
                )
            }
            Selector::ActiveController => view
                .active_controller()
                .map(|(p, _)| p)
                .into_iter()
                .collect(),
            Selector::StandbyController => {
                let active = view.active_controller().map(|(p, _)| p);
                named("controller-")
                    .into_iter()
                    .filter(|p| Some(*p) != active)
                    .collect()
            }
            Selector::Struck(struck, role) => self.struck(*struck, *role).into_iter().collect(),
            Selector::Several(parts) => parts.iter().flat_map(|p| self.candidates(p)).collect(),
        }
    }

    fn clients(&self) -> Vec<ProcessId> {
        let is_server = |n: &str| n.starts_with("broker-") || n.starts_with("controller-");
        self.names
            .iter()
            .filter(|(_, n)| !is_server(n))
            .map(|(p, _)| p)
            .collect()
    }

    fn rack(&self, rack: &str) -> Vec<ProcessId> {
        let racks = &self.scenario().cluster.racks;
        let brokers = self.names.iter().filter(|(_, n)| n.starts_with("broker-"));
        brokers
            .enumerate()
            .filter(|(i, _)| !racks.is_empty() && &*racks[i % racks.len()] == rack)
            .map(|(_, (p, _))| p)
            .collect()
    }

    fn struck(&self, struck: Struck, role: Role) -> Option<ProcessId> {
        let fits = |p: &ProcessId| {
            let name = self.names.of(*p);
            match role {
                Role::Broker => name.starts_with("broker-"),
                Role::Controller => name.starts_with("controller-"),
                Role::Client => !name.starts_with("broker-") && !name.starts_with("controller-"),
            }
        };
        self.steps.latest_struck(struck).iter().copied().find(fits)
    }

    fn former_leader(&self, tp: &TopicPartition) -> Option<ProcessId> {
        let id = View::new(self).partition(&tp.topic, tp.partition)?;
        self.former_leaders.get(&id).copied()
    }
}

/// A partition as the controllers have it.
pub(crate) fn registration<'a>(
    view: View<'a>,
    tp: &TopicPartition,
) -> Option<&'a PartitionRegistration> {
    let id = view.partition(&tp.topic, tp.partition)?;
    view.image()?.partition(id)
}

fn followers(view: View<'_>, tp: &TopicPartition) -> Vec<NodeId> {
    registration(view, tp)
        .map(|r| {
            r.replicas
                .iter()
                .copied()
                .filter(|n| Some(*n) != r.leader)
                .collect()
        })
        .unwrap_or_default()
}
