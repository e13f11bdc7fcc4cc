//! One record through all doors: one broker, one controller, one application; and what its trace says of causes.

use klab_kafka::event::{ClientEvent, Event};
use klab_kafka::ids::ConnId;
use klab_world::process::ProcessId;
use klab_world::scenario::{Scenario, library};
use klab_world::trace::{Handled, Phase, What};
use klab_world::world::{Watch, World};
use std::collections::BTreeMap;
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

#[test]
fn both_ends_of_a_connection_opened_because_the_client_asked() {
    let text = library::find("quickstart").expect("the first story");
    let scenario = Scenario::parse("quickstart", &text).unwrap_or_else(|errors| panic!("{errors}"));
    let mut world = World::new(Arc::new(scenario), 1, ALL);
    world.run_to_end();
    let mut asked: BTreeMap<ConnId, (u64, ProcessId)> = BTreeMap::new();
    for record in world.trace().records() {
        let (What::Handled(Handled::Opened { conn, peer }), Some(cause)) =
            (&record.what, record.cause)
        else {
            continue;
        };
        // The server learns of it first.
        let (first, client) = *asked.entry(*conn).or_insert((cause, *peer));
        assert_eq!(first, cause, "{record:?}");
        let of = &world.trace().records()[cause as usize - 1];
        assert_eq!((of.seq, of.process), (cause, Some(client)), "{record:?}");
    }
    assert!(asked.len() > 20);
}
