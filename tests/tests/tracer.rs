//! One record through all doors: one broker, one controller, one application.

use klab_kafka::event::{ClientEvent, Event};
use klab_world::scenario::Scenario;
use klab_world::trace::{Phase, What};
use klab_world::world::{Watch, World};
use std::sync::Arc;

const ALL: Watch = Watch {
    records: true,
    checkers: true,
};

#[test]
fn one_record_is_acknowledged_and_the_run_ends() {
    let mut world = World::new(Arc::new(Scenario::tracer()), 1, ALL);
    world.run_to_end();
    let acked = world.trace().records().iter().filter(|r| {
        matches!(
            r.what,
            What::Told(Event::Client(_, ClientEvent::Acked { .. }))
        )
    });
    assert_eq!(acked.count(), 1);
    assert_eq!(world.phase(), Phase::Done);
    assert_eq!(
        world.hash(),
        0x65ac3cd3eedc55cb,
        "a changed hash needs its reason in the commit"
    );
}

#[test]
fn watching_changes_nothing() {
    let scenario = Arc::new(Scenario::tracer());
    let blind = Watch {
        records: false,
        checkers: false,
    };
    let hash = |watch| {
        let mut world = World::new(scenario.clone(), 1, watch);
        world.run_to_end();
        world.hash()
    };
    assert_eq!(hash(ALL), hash(blind));
}
