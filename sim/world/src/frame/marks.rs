//! Marks on the line of time: faults with their ends, elections, truncations, phases of the run. And the moment at which a
//! page opens: just before the first fault that strikes a process.

use crate::fault::{Fault, Realised};
use crate::line::{Lexicon, picture};
use crate::trace::{Phase, Record, What};
use klab_kafka::event::{ControllerEvent, Event, LogEvent};
use klab_kafka::ids::METADATA_TOPIC;
use klab_kafka::time::{Duration, Time};
use serde::Serialize;

/// How long before the first fault a page opens.
const BEFORE: Duration = Duration::millis(200);
/// A line of time with more marks than this tells nothing: of each lane the first ones are kept.
const LANE_MAX: usize = 200;

/// Where a mark stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// What was done to the run.
    Fault,
    /// Who leads.
    Election,
    /// What was cut off logs.
    Log,
    /// The course of the run.
    Phase,
}

/// A mark on the line of time.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Mark {
    /// When, in nanoseconds since ready.
    pub at: i64,
    /// Until when, if it lasts and ends.
    pub until: Option<i64>,
    /// The trace record.
    pub seq: u64,
    /// Where it stands.
    pub lane: Lane,
    /// Its sign.
    pub sign: &'static str,
    /// What it says.
    pub words: String,
}

/// The moment at which a page opens.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Opening {
    /// When, in nanoseconds since ready.
    pub at: i64,
    /// The words of the one button.
    pub dare: String,
    /// What comes next.
    pub ahead: String,
}

/// All marks of a run, in order.
pub fn marks(records: &[Record], lexicon: &Lexicon, ready: Time) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    let mut began: Vec<(u64, &Realised, usize)> = Vec::new();
    for record in records.iter().filter(|r| r.at >= ready) {
        if let What::Fault {
            step,
            fault,
            lifted: true,
        } = &record.what
        {
            let same = |(s, f, _): &(u64, &Realised, usize)| s == step && *f == fault;
            if let Some(at) = began.iter().rposition(same) {
                let (.., mark) = began.remove(at);
                marks[mark].until = Some(since(ready, record.at));
            }
        }
        let Some((lane, sign)) = lane(record) else {
            continue;
        };
        if marks.iter().filter(|m| m.lane == lane).count() >= LANE_MAX {
            continue;
        }
        if let What::Fault {
            step,
            fault,
            lifted: false,
        } = &record.what
        {
            began.push((*step, fault, marks.len()));
        }
        marks.push(Mark {
            at: since(ready, record.at),
            until: None,
            seq: record.seq,
            lane,
            sign,
            words: lexicon.sentence(record),
        });
    }
    marks
}

/// The moment just before the first fault that strikes a process, or else before the first fault of all.
pub fn opening(records: &[Record], lexicon: &Lexicon, ready: Time) -> Option<Opening> {
    let faults = || {
        records.iter().filter_map(|record| match &record.what {
            What::Fault {
                fault,
                lifted: false,
                ..
            } => Some((record.at, fault)),
            _ => None,
        })
    };
    let strikes = |fault: &Realised| {
        matches!(
            fault,
            Fault::Kill { .. }
                | Fault::PowerLoss { .. }
                | Fault::DiskLoss { .. }
                | Fault::Pause { .. }
                | Fault::Stop { .. }
        )
    };
    let (at, fault) = faults()
        .find(|(_, fault)| strikes(fault))
        .or_else(|| faults().next())?;
    Some(Opening {
        at: (since(ready, at) - BEFORE.0 as i64).max(0),
        dare: picture::dare(fault).into(),
        ahead: lexicon.ahead(at, fault),
    })
}

fn lane(record: &Record) -> Option<(Lane, &'static str)> {
    Some(match &record.what {
        What::Fault { lifted, .. } => (Lane::Fault, if *lifted { "▽" } else { "▲" }),
        What::Phase(Phase::Healing) => (Lane::Phase, "✚"),
        What::Phase(Phase::Done) => (Lane::Phase, "■"),
        What::Told(Event::Controller(ControllerEvent::LeaderElected { .. })) => {
            (Lane::Election, "★")
        }
        What::Told(Event::Log(partition, LogEvent::Truncated { from, to, .. }))
            if from > to && partition.topic != METADATA_TOPIC =>
        {
            (Lane::Log, "✂")
        }
        _ => return None,
    })
}

fn since(ready: Time, at: Time) -> i64 {
    at.0 as i64 - ready.0 as i64
}
