//! Who is meant by a selector at this moment.

use crate::fault::{Fault, Realised};
use crate::process::{Names, ProcessId};
use crate::scenario::Scenario;
use crate::scenario::selector::{Role, Selector, Struck, TopicPartition};
use crate::streams::Stream;
use crate::view::View;
use crate::world::World;
use klab_kafka::controller::records::PartitionRegistration;
use klab_kafka::ids::NodeId;
use std::collections::BTreeSet;

/// In a ring of fewer everybody sees everybody.
const RING: usize = 4;

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
            Selector::IsrMember(_) | Selector::StandbyController | Selector::AnyOf(_) => {
                self.pick(candidates, 1, step)
            }
            Selector::MinorityOfControllers => {
                let n = (candidates.len().max(1) - 1) / 2;
                self.pick(candidates, n, step)
            }
            Selector::MajorityOfControllers => {
                let n = candidates.len() / 2 + 1;
                self.pick(candidates, n, step)
            }
            Selector::HalfOf(_) => {
                let n = candidates.len() / 2;
                self.pick(candidates, n, step)
            }
            _ => candidates.into(),
        }
    }

    /// A harm to those whom its selectors mean now; none if one of them means nobody.
    pub(crate) fn realise(&mut self, fault: &Fault<Selector>, step: u64) -> Option<Realised> {
        let mut first: Option<Box<[ProcessId]>> = None;
        let realised = fault.map(|selector| {
            let who = match (selector, &first) {
                (Selector::TheOthers, Some(first)) => {
                    let all = self.names.iter().map(|(p, _)| p);
                    all.filter(|p| !first.contains(p)).collect()
                }
                _ => self.resolve(selector, step),
            };
            first.get_or_insert_with(|| who.clone());
            if who.is_empty() { Err(()) } else { Ok(who) }
        });
        realised
            .ok()
            .filter(|f| !matches!(f, Fault::Ring { who } if who.len() < RING))
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
        if let Some(fixed) = fixed(self.scenario(), &self.names, selector) {
            return fixed;
        }
        let view = View::new(self);
        let controllers = || named(&self.names, "controller-");
        let nodes = |nodes: Vec<NodeId>| {
            nodes
                .into_iter()
                .filter_map(|n| view.process_of(n))
                .collect()
        };
        match selector {
            Selector::MinorityOfControllers | Selector::MajorityOfControllers => controllers(),
            Selector::HalfOf(part) | Selector::AnyOf(part) => self.candidates(part),
            Selector::Isr(tp) => {
                let isr = registration(view, tp).map(|r| r.isr.clone());
                nodes(isr.unwrap_or_default())
            }
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
                controllers()
                    .into_iter()
                    .filter(|p| Some(*p) != active)
                    .collect()
            }
            Selector::Struck(struck, role) => self.struck(*struck, *role).into_iter().collect(),
            Selector::Several(parts) => parts.iter().flat_map(|p| self.candidates(p)).collect(),
            Selector::Process(_)
            | Selector::Brokers
            | Selector::Controllers
            | Selector::Clients
            | Selector::Everyone
            | Selector::Rack(_) => unreachable!("because these are known from the file"),
            // Resolved where the first side is known.
            Selector::TheOthers => Vec::new(),
        }
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

/// Whom a selector means that can be known from the file alone; none if it is another kind.
pub fn fixed(scenario: &Scenario, names: &Names, selector: &Selector) -> Option<Vec<ProcessId>> {
    Some(match selector {
        Selector::Process(name) => names.find(name).into_iter().collect(),
        Selector::Brokers => named(names, "broker-"),
        Selector::Controllers => controllers(names),
        Selector::Clients => {
            let is_server = |n: &str| n.starts_with("broker-") || n.starts_with("controller-");
            let clients = names.iter().filter(|(_, n)| !is_server(n));
            clients.map(|(p, _)| p).collect()
        }
        Selector::Everyone => names.iter().map(|(p, _)| p).collect(),
        Selector::Rack(rack) => {
            let racks = &scenario.cluster.racks;
            let brokers = named(names, "broker-").into_iter().enumerate();
            let is_in = |i: usize| !racks.is_empty() && racks[i % racks.len()] == *rack;
            brokers.filter(|(i, _)| is_in(*i)).map(|(_, p)| p).collect()
        }
        Selector::Several(parts) => {
            let parts = parts.iter().map(|part| fixed(scenario, names, part));
            parts.collect::<Option<Vec<_>>>()?.concat()
        }
        _ => return None,
    })
}

/// All controllers: the quorum's voters.
pub(crate) fn controllers(names: &Names) -> Vec<ProcessId> {
    named(names, "controller-")
}

fn named(names: &Names, prefix: &str) -> Vec<ProcessId> {
    let of = names.iter().filter(|(_, n)| n.starts_with(prefix));
    of.map(|(p, _)| p).collect()
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
