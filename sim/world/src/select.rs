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
        self.steps.latest_struck(struck, fits)
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::scenario::Lasts;
    use crate::scenario::selector::{FORMS, Known, form_of_words};
    use crate::trace::{Phase, Record, What};
    use crate::world::Watch;
    use klab_kafka::event::{ControllerEvent, Event};
    use klab_kafka::time::Duration;
    use std::sync::Arc;

    /// Three controllers, three brokers in racks a, b and c, orders-0 on all of them, `shop`: ready, led by broker-1.
    pub(crate) fn ready() -> World {
        let mut scenario = Scenario::tracer();
        (scenario.cluster.brokers, scenario.cluster.controllers) = (3, 3);
        scenario.cluster.racks = ["a", "b", "c"].map(Arc::from).into();
        scenario.end.at = Duration::secs(600);
        let orders = scenario.topics.get_mut("orders").expect("the one topic");
        orders.replication_factor = 3;
        orders.replicas = Some(vec![[1, 2, 3].map(NodeId).into()]);
        let watch = Watch {
            records: true,
            checkers: false,
        };
        let mut world = World::new(Arc::new(scenario), 1, watch);
        step_until(&mut world, |w| w.phase() == Phase::Running);
        world
    }

    fn step_until(world: &mut World, is_so: impl Fn(&World) -> bool) {
        while !is_so(world) {
            assert!(world.step(), "the run was over before");
        }
    }

    /// What selectors may name there.
    pub(crate) fn known(world: &World) -> Known {
        Known {
            topics: [("orders".into(), (1, 3))].into(),
            processes: world.names.iter().map(|(_, n)| n.clone()).collect(),
            racks: ["a", "b", "c"].map(Arc::from).into(),
        }
    }

    pub(crate) fn process(world: &World, name: &str) -> ProcessId {
        world.names.find(name).expect("it is there")
    }

    /// broker-2 has led between two terms of broker-1 and is dead, a controller that is not active is cut off, and the shop
    /// is paused.
    fn struck() -> World {
        let mut world = ready();
        let only = |w: &World, name: &str| -> Box<[ProcessId]> { [process(w, name)].into() };
        let who = only(&world, "broker-1");
        world.intervene(Fault::Kill { who }, Lasts::UntilHeal);
        until_led(&mut world, 2, &[2, 3]);
        let who = only(&world, "broker-1");
        world.intervene(Fault::Start { who }, Lasts::UntilHeal);
        until_led(&mut world, 2, &[1, 2, 3]);
        let who = only(&world, "broker-2");
        world.intervene(Fault::Kill { who }, Lasts::UntilHeal);
        until_led(&mut world, 1, &[1, 3]);
        let (_, standby) = controllers_told(&world);
        let cut = Fault::Cut {
            from: only(&world, standby[0]),
            to: [].into(),
            one_way: false,
        };
        world.intervene(cut, Lasts::UntilHeal);
        let who = only(&world, "shop");
        world.intervene(Fault::Pause { who }, Lasts::UntilHeal);
        world
    }

    fn until_led(world: &mut World, leader: i32, isr: &[i32]) {
        let orders = TopicPartition {
            topic: "orders".into(),
            partition: 0,
        };
        step_until(world, |w| {
            let now = registration(View::new(w), &orders).expect("it exists");
            let members: BTreeSet<i32> = now.isr.iter().map(|n| n.0).collect();
            now.leader == Some(NodeId(leader)) && members.iter().eq(isr)
        });
    }

    /// The active controller and the others, as the trace tells it.
    fn controllers_told(world: &World) -> (&str, Vec<&str>) {
        let is_it = |r: &&Record| {
            matches!(
                r.what,
                What::Told(Event::Controller(ControllerEvent::Activated { .. }))
            )
        };
        let activated = world.trace().records().iter().rfind(is_it);
        let active = activated.expect("one is active").process;
        let active = world.names.of(active.expect("a controller told it"));
        let all = ["controller-1", "controller-2", "controller-3"];
        (active, all.into_iter().filter(|c| *c != active).collect())
    }

    /// Whom a selector means: so many of these, drawn; all of them if it draws nothing.
    type Row<'a> = (&'a str, usize, &'a [&'a str]);

    fn each_means(world: &World, rows: &[Row<'_>]) {
        for (text, n, of) in rows {
            let selector = Selector::parse(text, &known(world)).expect("a selector");
            let mut seen = BTreeSet::new();
            for step in 0..64 {
                let meant = world.clone().resolve(&selector, step);
                let meant: BTreeSet<&str> = meant.iter().map(|p| world.names.of(*p)).collect();
                assert_eq!(meant.len(), *n, "{text}: {meant:?}");
                seen.extend(meant);
            }
            let of: BTreeSet<&str> = of.iter().copied().collect();
            assert_eq!(seen, of, "{text}, over many draws");
            for (p, name) in world.names.iter() {
                assert_eq!(
                    world.is_meant(&selector, p),
                    of.contains(&**name),
                    "{text}: {name}"
                );
            }
        }
    }

    #[test]
    fn every_form_of_a_selector_means_who_holds_the_role_at_that_moment() {
        let world = struck();
        let (active, standby) = controllers_told(&world);
        let controllers = ["controller-1", "controller-2", "controller-3"];
        let brokers = ["broker-1", "broker-2", "broker-3"];
        let clients = ["admin", "reader", "shop"];
        let everyone = [&controllers[..], &brokers, &clients].concat();
        let rows: [Row<'_>; 27] = [
            ("broker-2", 1, &["broker-2"]),
            ("brokers", 3, &brokers),
            ("controllers", 3, &controllers),
            ("clients", 3, &clients),
            ("everyone", 9, &everyone),
            ("rack b", 1, &["broker-2"]),
            ("leader of orders-0", 1, &["broker-1"]),
            ("former leader of orders-0", 1, &["broker-2"]),
            ("follower of orders-0", 1, &["broker-2"]),
            ("follower of orders-0 [1]", 1, &["broker-3"]),
            ("followers of orders-0", 2, &["broker-2", "broker-3"]),
            ("replicas of orders-0", 3, &brokers),
            ("isr of orders-0", 2, &["broker-1", "broker-3"]),
            (
                "any isr member of orders-0 but the leader",
                1,
                &["broker-3"],
            ),
            ("active controller", 1, &[active]),
            ("any controller but the active one", 1, &standby),
            ("minority of controllers", 1, &controllers),
            ("majority of controllers", 2, &controllers),
            ("the crashed broker", 1, &["broker-2"]),
            ("the paused client", 1, &["shop"]),
            ("the cut controller", 1, &[standby[0]]),
            ("the crashed controller", 0, &[]),
            ("any of replicas of orders-0", 1, &brokers),
            ("half of brokers", 1, &brokers),
            ("half of isr of orders-0", 1, &["broker-1", "broker-3"]),
            (
                "broker-1 and broker-2 and rack b",
                2,
                &["broker-1", "broker-2"],
            ),
            // Without a first side there are no others.
            ("the others", 0, &[]),
        ];
        each_means(&world, &rows);
        for (form, _) in FORMS {
            let words =
                |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
            let is_of = |(text, ..): &Row<'_>| {
                let words = words(text);
                form_of_words(&words.iter().map(String::as_str).collect::<Vec<_>>()) == form
            };
            assert!(rows.iter().any(is_of), "no row has the form \"{form}\"");
        }
    }

    #[test]
    fn the_first_leader_of_a_partition_is_its_former_leader_after_one_change() {
        let mut world = ready();
        let who = [process(&world, "broker-1")].into();
        world.intervene(Fault::Kill { who }, Lasts::UntilHeal);
        until_led(&mut world, 2, &[2, 3]);
        each_means(&world, &[("former leader of orders-0", 1, &["broker-1"])]);
    }

    #[test]
    fn a_later_crash_of_another_role_does_not_hide_who_crashed() {
        let mut world = struck();
        let who = [process(&world, "controller-1")].into();
        world.intervene(Fault::Kill { who }, Lasts::UntilHeal);
        each_means(
            &world,
            &[
                ("the crashed broker", 1, &["broker-2"]),
                ("the crashed controller", 1, &["controller-1"]),
            ],
        );
    }

    #[test]
    fn before_anything_was_done_nobody_was_struck_and_nobody_led_before() {
        let world = ready();
        each_means(
            &world,
            &[
                ("leader of orders-0", 1, &["broker-1"]),
                ("former leader of orders-0", 0, &[]),
                ("follower of orders-0", 1, &["broker-2"]),
                (
                    "any isr member of orders-0 but the leader",
                    1,
                    &["broker-2", "broker-3"],
                ),
                ("the crashed broker", 0, &[]),
                ("the paused controller", 0, &[]),
                ("the cut client", 0, &[]),
            ],
        );
    }

    #[test]
    fn the_others_are_all_whom_the_first_side_does_not_mean() {
        let mut world = ready();
        let from = Selector::Several(vec![Selector::Brokers, Selector::Controllers]);
        let cut = Fault::Cut {
            from,
            to: Selector::TheOthers,
            one_way: true,
        };
        let Some(Fault::Cut { to, .. }) = world.realise(&cut, 7) else {
            panic!("both sides mean somebody")
        };
        let names: Vec<&str> = to.iter().map(|p| world.names.of(*p)).collect();
        assert_eq!(names, ["shop", "admin", "reader"]);
    }

    #[test]
    fn a_harm_whose_selector_means_nobody_is_not_done_and_a_ring_needs_four() {
        let mut world = ready();
        let who = Selector::Struck(Struck::Crashed, Role::Broker);
        assert_eq!(world.realise(&Fault::Kill { who }, 7), None);
        let who = Selector::Brokers;
        assert_eq!(world.realise(&Fault::Ring { who }, 7), None);
        let who = Selector::Several(vec![Selector::Brokers, Selector::ActiveController]);
        assert!(world.realise(&Fault::Ring { who }, 7).is_some());
    }
}
