//! What a person can do to a process or a link at this moment. Each offer is a step of a scenario without its time, so that
//! doing it is nothing but one more step.

use super::servers::mood;
use crate::line::picture;
use crate::trace::Phase;
use crate::view::View;
use serde::Serialize;

/// Something that can be done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Offer {
    /// The words on its button.
    pub words: String,
    /// The step, as JSON, without its time.
    pub act: String,
}

/// A line of the table: verb, how, for so many seconds.
type Row = (&'static str, Option<&'static str>, Option<u64>);

const SERVER: &[Row] = &[
    ("crash", None, Some(10)),
    ("crash", None, None),
    ("crash", Some("power-loss"), Some(10)),
    ("crash", Some("disk-loss"), Some(10)),
    ("pause", None, Some(5)),
    ("pause", None, Some(15)),
    ("isolate", None, Some(10)),
    ("stop", None, Some(10)),
    ("refuse", None, Some(10)),
    ("slow-accept", None, Some(10)),
    ("slow-node", None, Some(10)),
    ("stall", None, Some(5)),
    ("fail-disk", None, Some(10)),
    ("clock", None, Some(10)),
];
const APP: &[Row] = &[
    ("crash", None, Some(5)),
    ("pause", None, Some(5)),
    ("isolate", None, Some(10)),
    ("stop", None, Some(5)),
    ("slow-node", None, Some(10)),
    ("clock", None, Some(10)),
];
const DOWN: &[Row] = &[("start", None, None)];
const LINK: &[Row] = &[
    ("cut", None, Some(10)),
    ("cut", None, None),
    ("slow", None, Some(10)),
    ("clog", None, Some(5)),
    ("drop-packets", None, Some(10)),
    ("reset", None, None),
];

/// What can be done to a process; nothing if there is none of this name, or if the end of the run has begun.
pub fn of_process(view: View<'_>, name: &str) -> Vec<Offer> {
    let found = view.names().find(name);
    let Some(p) = found.filter(|_| view.phase() == Phase::Running) else {
        return Vec::new();
    };
    let is_server = name.starts_with("broker-") || name.starts_with("controller-");
    let machine = view.machine(p);
    let table = match machine.process {
        None if machine.starts == 0 => return Vec::new(),
        None => DOWN,
        Some(_) if is_server => SERVER,
        Some(_) => APP,
    };
    let who = serde_json::Value::from(name);
    let can = |row: &&Row| row.0 != "pause" || mood(machine) != super::servers::Mood::Paused;
    table
        .iter()
        .filter(can)
        .map(|row| offer(row, &who))
        .collect()
}

/// What can be done to a link, whose ends are named as in `Wire`.
pub fn of_link(view: View<'_>, a: &str, b: &str) -> Vec<Offer> {
    if view.phase() != Phase::Running {
        return Vec::new();
    }
    let ends = serde_json::Value::from(vec![a, b]);
    LINK.iter().map(|row| offer(row, &ends)).collect()
}

fn offer((verb, how, seconds): &Row, object: &serde_json::Value) -> Offer {
    let mut act = serde_json::Map::new();
    act.insert((*verb).into(), object.clone());
    if let Some(how) = how {
        act.insert("how".into(), (*how).into());
    }
    match *verb {
        "slow" | "slow-node" => _ = act.insert("factor".into(), 50.into()),
        "clock" => _ = act.insert("by".into(), "1h".into()),
        "drop-packets" => _ = act.insert("ppm".into(), 100_000.into()),
        "slow-accept" => _ = act.insert("delay".into(), "2s".into()),
        _ => {}
    }
    if let Some(n) = seconds {
        act.insert("for".into(), format!("{n}s").into());
    }
    Offer {
        words: picture::offer(verb, *how, *seconds),
        act: serde_json::Value::from(act).to_string(),
    }
}
