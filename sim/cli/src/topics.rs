//! `klab topics`: the topics at one time, as `kafka-topics.sh --describe` prints them.

use klab_world::topics::describe;
use klab_world::view::View;

use crate::args::Topics;
use crate::outcome::{Outcome, Wrong};
use crate::report;
use crate::state::world_at;

/// Runs up to the time and describes the topics.
pub fn topics(args: &Topics) -> Result<Outcome, Wrong> {
    let Some((world, _)) = world_at(&args.moment)? else {
        return Ok(Outcome::Bug);
    };
    let view = View::new(&world);
    let asked = match &args.broker {
        Some(name) => Some(view.names().find(name).ok_or_else(|| {
            Wrong::usage(format!("no process {name:?}"), "a broker, such as broker-1")
        })?),
        None => None,
    };
    let Some(topics) = describe(view, asked) else {
        return Err(Wrong::usage(
            "no broker that runs and knows the metadata at that time".to_owned(),
            "another time, or another --broker".to_owned(),
        ));
    };
    match args.json {
        true => {
            let json = serde_json::to_string_pretty(&topics).expect("plain data");
            report::print(&json);
        }
        false => report::print(topics.to_string().trim_end_matches('\n')),
    }
    Ok(Outcome::Good)
}
