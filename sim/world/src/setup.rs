//! From a scenario to machines: their names and order, and what each process is told before it starts.
//!
//! Order: controllers, brokers, producers, consumers, the admin client, the reader. Each kind in the order of its names,
//! so that adding one application changes nobody else's name or draws.

use crate::app::App;
use crate::clocks::{Clocks, Drift};
use crate::disks::Disk;
use crate::network::Network;
use crate::process::{Alarms, Down, Machine, Names, Process, ProcessId};
use crate::run::Run;
use crate::scenario::{ADMIN, READER, Scenario};
use crate::select::fixed;
use klab_kafka::broker::{Broker, BrokerConfig};
use klab_kafka::client::admin::Admin;
use klab_kafka::context::Context;
use klab_kafka::controller::{Controller, ControllerConfig};
use klab_kafka::disk::DiskImage;
use klab_kafka::ids::{Address, ClientId, NodeId};
use klab_kafka::rules::Rules;
use klab_kafka::time::Time;
use std::collections::VecDeque;
use std::sync::Arc;

/// The machines of a scenario, none running yet.
pub fn machines(scenario: &Scenario) -> (Names, Vec<Machine>) {
    let cluster = &scenario.cluster;
    let controllers = (1..=cluster.controllers).map(|i| format!("controller-{i}").into());
    let brokers = (1..=cluster.brokers).map(|i| format!("broker-{i}").into());
    let apps = scenario
        .producers
        .keys()
        .chain(scenario.consumers.keys())
        .cloned();
    let names: Vec<Arc<str>> = controllers
        .chain(brokers)
        .chain(apps)
        .chain([ADMIN.into(), READER.into()])
        .collect();
    let machine = |_: &Arc<str>| Machine {
        process: None,
        down: Some(Down::New),
        disk: Disk::default(),
        clocks: Clocks {
            start: scenario.start,
            ahead_ms: 0,
            drift: Drift::default(),
        },
        starts: 0,
        busy_until: Time(0),
        paused: false,
        stopping: false,
        restart: false,
        listening: false,
        slow: 1,
        inbox: VecDeque::new(),
        held: Vec::new(),
        alarms: Alarms::default(),
        waking: false,
    };
    let machines = names.iter().map(machine).collect();
    (Names::new(names), machines)
}

/// The network of a scenario, before anybody is connected.
pub fn network(scenario: &Scenario, names: &Names) -> Network {
    let plan = &scenario.network;
    let mut network = Network::new((plan.latency.min, plan.latency.max), plan.bandwidth);
    network.set_tail(plan.tail);
    network.set_loss(plan.loss);
    for link in &plan.links {
        let (a, b) = &link.between;
        let side = |s| fixed(scenario, names, s).unwrap_or_default();
        let (a, b) = (side(a), side(b));
        let latency = link.latency.map(|l| (l.min, l.max));
        for (x, y) in a.iter().flat_map(|x| b.iter().map(move |y| (*x, *y))) {
            if x != y {
                network.set_link(x, y, latency, link.bandwidth);
                network.set_link(y, x, latency, link.bandwidth);
            }
        }
    }
    for (name, bandwidth) in &plan.nodes {
        let p = names.find(name).expect("a machine of the scenario");
        network.set_card(p, *bandwidth);
    }
    network
}

/// Starts a process from what is on its disk.
pub fn boot(
    scenario: &Scenario,
    p: ProcessId,
    run: &Run,
    disk: DiskImage,
    cx: &mut Context<'_>,
    names: &Names,
) -> Process {
    let name = names.of(p);
    if let Some(n) = numbered(name, "controller-") {
        let config = ControllerConfig {
            node: NodeId(3000 + n),
            voters: voters(scenario, names),
            server: server_config(scenario, name),
        };
        return Process::Controller(Box::new(Controller::boot(
            config,
            rules(scenario, name),
            disk,
            cx,
        )));
    }
    if let Some(n) = numbered(name, "broker-") {
        let racks = &scenario.cluster.racks;
        let config = BrokerConfig {
            node: NodeId(n),
            address: p.address(),
            rack: (!racks.is_empty()).then(|| racks[(n as usize - 1) % racks.len()].clone()),
            voters: voters(scenario, names),
            server: server_config(scenario, name),
        };
        return Process::Broker(Box::new(Broker::boot(
            config,
            rules(scenario, name),
            disk,
            cx,
        )));
    }
    let bootstrap = bootstrap(scenario, names);
    if name == ADMIN {
        return Process::Admin(Box::new(Admin::new(
            ClientId(0),
            &bootstrap,
            scenario.admin.clone(),
        )));
    }
    let app = if name == READER {
        App::reading(run.to_read(), &bootstrap)
    } else if let Some(plan) = scenario.consumers.get(name) {
        let rules = plan.rules.as_ref().unwrap_or(&scenario.cluster.rules);
        App::consuming(plan.clone(), rules.clone(), &bootstrap)
    } else {
        let plan = scenario.producers.get(name);
        let plan = plan.expect("every process is of a known kind").clone();
        App::producing(p.0, plan, run.source(p), &bootstrap)
    };
    Process::App(Box::new(app))
}

fn numbered(name: &str, prefix: &str) -> Option<i32> {
    name.strip_prefix(prefix)?.parse().ok()
}

fn server_config(scenario: &Scenario, name: &str) -> klab_kafka::config::ServerConfig {
    scenario
        .cluster
        .config_of
        .get(name)
        .unwrap_or(&scenario.cluster.config)
        .clone()
}

fn rules(scenario: &Scenario, name: &str) -> Rules {
    scenario
        .cluster
        .rules_of
        .get(name)
        .unwrap_or(&scenario.cluster.rules)
        .clone()
}

fn voters(scenario: &Scenario, names: &Names) -> Vec<(NodeId, Address)> {
    let voter = |i: u32| {
        let p = names
            .find(&format!("controller-{i}"))
            .expect("controllers are named in order");
        (NodeId(3000 + i as i32), p.address())
    };
    (1..=scenario.cluster.controllers).map(voter).collect()
}

fn bootstrap(scenario: &Scenario, names: &Names) -> Vec<Address> {
    let broker = |i: u32| {
        names
            .find(&format!("broker-{i}"))
            .expect("brokers are named in order")
            .address()
    };
    (1..=scenario.cluster.brokers).map(broker).collect()
}
