//! Drawn harm: from a step's own stream to a concrete fault.
//!
//! Thin still: kills of one broker.

use crate::fault::{Fault, Realised};
use crate::process::ProcessId;
use crate::scenario::selector::Selector;
use crate::scenario::{Family, Lasts};
use crate::streams::Stream;
use crate::world::World;
use klab_kafka::time::Duration;

/// Draws one fault of a family for a step; none if nobody is there to harm.
pub fn draw_fault(
    world: &mut World,
    step: u64,
    _family: Family,
    lasts: Lasts,
) -> Option<(Realised, Lasts)> {
    let brokers = world.resolve(&Selector::Brokers, step);
    let i = world
        .streams
        .below(Stream::Step(step), brokers.len() as u64, &world.names);
    let who: Box<[ProcessId]> = [*brokers.get(i as usize)?].into();
    let lasts = match lasts {
        Lasts::UntilHeal => {
            let ms = world
                .streams
                .within(Stream::Step(step), 1, 20_000, &world.names);
            Lasts::For(Duration::millis(ms))
        }
        other => other,
    };
    Some((Fault::Kill { who }, lasts))
}
