//! What a run is made of, taken away piece by piece: consumers, producers, topics, brokers, controllers, settings, records.
//!
//! Whoever goes is forgotten by everything that names it; a step that has nobody left goes with it.

use super::Search;
use crate::fault::Fault;
use crate::scenario::quantity::Range;
use crate::scenario::selector::Selector;
use crate::scenario::{Action, OnRestart, ProducerPlan, Scenario, Step};
use klab_kafka::config::{ConsumerConfig, ProducerConfig, ServerConfig};
use klab_kafka::rules::{Rules, SWITCHES};
use klab_kafka::time::Duration;
use std::sync::Arc;

impl Search<'_> {
    pub(super) fn fewer_entities(&mut self) {
        self.fewer_clients();
        self.fewer_topics();
        self.fewer_servers();
        self.fewer_records();
        self.plainer_settings();
    }

    fn fewer_clients(&mut self) {
        for name in names(&self.best.consumers) {
            self.change(|s| {
                s.consumers.remove(&name);
                forget(s, &name);
            });
        }
        for name in names(&self.best.producers) {
            self.change(|s| {
                s.producers.remove(&name);
                forget(s, &name);
            });
        }
    }

    fn fewer_topics(&mut self) {
        for name in names(&self.best.topics) {
            self.change(|s| without_topic(s, &name));
            self.change(|s| keep_partitions(s, &name, 1));
            self.change(|s| fewer_replicas(s, &name));
        }
    }

    fn fewer_servers(&mut self) {
        for count in [1, 3] {
            if count < self.best.cluster.controllers && self.change(|s| keep_controllers(s, count))
            {
                break;
            }
        }
        while self.best.cluster.brokers > 1 && self.change(without_last_broker) {}
    }

    /// Half as many, as long as that will do, then a few less.
    fn fewer_records(&mut self) {
        for name in names(&self.best.producers) {
            for (times, by) in [(1, 8), (1, 2), (3, 4), (9, 10)] {
                let fewer = |s: &mut Scenario| {
                    let plan = s.producers.get_mut(&name).expect("nobody took it away");
                    plan.records = (plan.records * times / by).max(1);
                };
                while self.change(fewer) {}
            }
        }
    }

    fn plainer_settings(&mut self) {
        self.change(|s| s.cluster.config = ServerConfig::default());
        self.change(|s| s.cluster.config_of.clear());
        self.change(|s| s.cluster.rules_of.clear());
        self.change(|s| s.cluster.racks.clear());
        let era = Rules::era(&self.best.cluster.era).unwrap_or_default();
        for switch in SWITCHES {
            self.change(|s| (switch.set)(&mut s.cluster.rules, (switch.get)(&era)));
        }
        for name in names(&self.best.topics) {
            let keys = names(&self.best.topics[&name].config);
            for key in keys {
                self.change(|s| {
                    let topic = s.topics.get_mut(&name).expect("nobody took it away");
                    topic.config.remove(&key);
                });
            }
        }
        for name in names(&self.best.producers) {
            let mut one = |change: fn(&mut ProducerPlan)| {
                self.change(|s| change(s.producers.get_mut(&name).expect("nobody took it away")))
            };
            one(|p| p.config = ProducerConfig::default());
            one(|p| p.keys = None);
            one(|p| p.size = Range { min: 100, max: 100 });
            one(|p| p.headers.clear());
            one(|p| p.after = Duration::ZERO);
            one(|p| p.on_restart = OnRestart::Continue);
        }
        for name in names(&self.best.consumers) {
            self.change(|s| {
                let plan = s.consumers.get_mut(&name).expect("nobody took it away");
                plan.config = ConsumerConfig::default();
            });
            self.change(|s| {
                let plan = s.consumers.get_mut(&name).expect("nobody took it away");
                plan.rules = None;
            });
        }
    }
}

fn names<T>(of: &std::collections::BTreeMap<Arc<str>, T>) -> Vec<Arc<str>> {
    of.keys().cloned().collect()
}

/// Takes a process out of every step.
fn forget(scenario: &mut Scenario, name: &str) {
    let without = |step: Step| -> Option<Step> {
        let Action::Fault(fault) = &step.action else {
            return Some(step);
        };
        let fault: Result<Fault<Selector>, ()> = fault.map(|who| but(who, name).ok_or(()));
        let action = Action::Fault(fault.ok()?);
        Some(Step { action, ..step })
    };
    let steps = std::mem::take(&mut scenario.steps);
    scenario.steps = steps.into_iter().filter_map(without).collect();
}

/// The same processes but one; none if nobody is left.
fn but(who: &Selector, name: &str) -> Option<Selector> {
    match who {
        Selector::Process(p) if **p == *name => None,
        Selector::Several(parts) => {
            let mut left: Vec<Selector> = parts.iter().filter_map(|p| but(p, name)).collect();
            match left.len() {
                0 => None,
                1 => left.pop(),
                _ => Some(Selector::Several(left)),
            }
        }
        other => Some(other.clone()),
    }
}

fn without_topic(scenario: &mut Scenario, topic: &str) {
    scenario.topics.remove(topic);
    let producers = names(&scenario.producers).into_iter();
    let of_topic: Vec<Arc<str>> = producers
        .filter(|name| *scenario.producers[name].topic == *topic)
        .collect();
    for name in of_topic {
        scenario.producers.remove(&name);
        forget(scenario, &name);
    }
    keep_assigned(scenario, |tp_topic, _| tp_topic != topic);
    // What operators ask for has many forms; all name a topic by its text.
    let name = format!("\"{topic}\"");
    let is_elsewhere = |step: &Step| match &step.action {
        Action::Admin(_) => !step.to_string().contains(&name),
        _ => true,
    };
    scenario.steps.retain(is_elsewhere);
}

fn keep_partitions(scenario: &mut Scenario, topic: &str, count: i32) {
    let plan = scenario.topics.get_mut(topic);
    let Some(plan) = plan.filter(|plan| plan.partitions > count) else {
        return;
    };
    plan.partitions = count;
    if let Some(replicas) = &mut plan.replicas {
        replicas.truncate(usize::try_from(count).unwrap_or(1));
    }
    keep_assigned(scenario, |of, partition| of != topic || partition < count);
}

/// Consumers without a partition go.
fn keep_assigned(scenario: &mut Scenario, keep: impl Fn(&str, i32) -> bool) {
    for name in names(&scenario.consumers) {
        let plan = scenario.consumers.get_mut(&name).expect("just listed");
        plan.assign.retain(|tp| keep(&tp.topic, tp.partition));
        if plan.assign.is_empty() {
            scenario.consumers.remove(&name);
            forget(scenario, &name);
        }
    }
}

fn fewer_replicas(scenario: &mut Scenario, topic: &str) {
    let Some(plan) = scenario.topics.get_mut(topic) else {
        return;
    };
    if plan.replicas.is_none() && plan.replication_factor > 3 {
        plan.replication_factor = 3;
    }
}

fn keep_controllers(scenario: &mut Scenario, count: u32) {
    for gone in count + 1..=scenario.cluster.controllers {
        gone_server(scenario, &format!("controller-{gone}"));
    }
    scenario.cluster.controllers = count;
}

fn without_last_broker(scenario: &mut Scenario) {
    let last = scenario.cluster.brokers;
    gone_server(scenario, &format!("broker-{last}"));
    let left = last - 1;
    scenario.cluster.brokers = left;
    scenario.cluster.racks.truncate(left as usize);
    for plan in scenario.topics.values_mut() {
        for replicas in plan.replicas.iter_mut().flatten() {
            replicas.retain(|b| i64::from(b.0) <= i64::from(left));
        }
        let most = i16::try_from(left).unwrap_or(i16::MAX);
        plan.replication_factor = plan.replication_factor.min(most);
    }
}

fn gone_server(scenario: &mut Scenario, name: &str) {
    forget(scenario, name);
    scenario.cluster.rules_of.remove(name);
    scenario.cluster.config_of.remove(name);
}
