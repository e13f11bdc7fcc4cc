//! The wasm door: the only crate that knows JavaScript. A thin coat over [`klab_world`].

use klab_world::scenario::Scenario;
use klab_world::world::{Watch, World};
use std::sync::Arc;
use wasm_bindgen::prelude::wasm_bindgen;

/// Runs the tracer scenario to its end and returns its hash.
#[wasm_bindgen]
pub fn tracer_hash(seed: u64) -> u64 {
    let watch = Watch {
        records: false,
        checkers: true,
    };
    let mut world = World::new(Arc::new(Scenario::tracer()), seed, watch);
    world.run_to_end();
    world.hash()
}
