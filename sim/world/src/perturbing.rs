//! For tests of the digest: a run on its way, and whether a change of its state alone is seen in its hash.
//!
//! The tests stand beside the state they change, since most of it is private; each names every field of what it changes,
//! so that a new field does not compile until it is there.

use crate::scenario::selector::TopicPartition;
use crate::scenario::{ConsumerPlan, Scenario};
use crate::trace::Phase;
use crate::world::{Watch, World};
use klab_kafka::config::{ConsumerConfig, OffsetReset};
use std::sync::Arc;

/// A change of one thing, with its name.
pub(crate) type Change = (&'static str, fn(&mut World));

/// A small cluster with one process of each kind, all of them running and talking.
pub(crate) fn on_its_way() -> World {
    let mut scenario = Scenario::tracer();
    let auditor = ConsumerPlan {
        assign: vec![TopicPartition {
            topic: "orders".into(),
            partition: 0,
        }],
        config: ConsumerConfig {
            auto_offset_reset: OffsetReset::Earliest,
            ..ConsumerConfig::default()
        },
        rules: None,
    };
    scenario.consumers = [("auditor".into(), auditor)].into();
    let watch = Watch {
        records: false,
        checkers: false,
    };
    let mut world = World::new(Arc::new(scenario), 1, watch);
    while world.phase() < Phase::Reading || !is_talking(&world) {
        assert!(world.step(), "the run was over before");
    }
    world
}

/// Whether something is under way to a server.
fn is_talking(world: &World) -> bool {
    let mut connections = world.network.connections();
    connections.any(|(_, c)| !c.to_server.messages.is_empty())
}

/// Every change alone gives a hash that neither the untouched run nor another change has.
pub(crate) fn each_is_seen(world: &World, changes: &[Change]) {
    let mut seen = vec![("no change", world.hash())];
    for (name, change) in changes {
        let mut changed = world.clone();
        change(&mut changed);
        let hash = changed.hash();
        let same = seen.iter().find(|(_, other)| *other == hash);
        assert_eq!(same, None, "{name} gives the hash of another");
        seen.push((name, hash));
    }
}
