//! What drawn runs must reach together: a search that never elects a leader has shown nothing by finding nothing.

use super::Explored;
use crate::scenario::expect::Goal;
use crate::swarm::Half;
use crate::verdict::FindingKind;
use klab_kafka::time::Duration;

/// Aims are judged from so many runs of both halves on.
pub const JUDGED_FROM: u64 = 500;

/// Inputs are judged from so many on: the rarest are given to one run in 150, and by chance to none of 500.
pub const INPUTS_JUDGED_FROM: u64 = 2_000;

/// Harm is drawn over so long at least.
pub const HARM_FOR: Duration = Duration::secs(60);

/// Something that enough runs must show.
pub struct Aim {
    /// What, in a few words.
    pub name: &'static str,
    /// In how many of them.
    pub least: Least,
    shows: Shown,
}

/// What shows it.
#[derive(Clone, Copy)]
enum Shown {
    /// This.
    By(fn(&Explored) -> bool),
    /// A harm of its name.
    Harm,
}

/// How many runs are enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Least {
    /// So many, of [`JUDGED_FROM`] or more.
    Runs(u64),
    /// Every one.
    All,
}

impl Least {
    /// Whether so many of all runs are enough.
    pub fn is_met(self, reached: u64, runs: u64) -> bool {
        match self {
            Least::Runs(least) => reached >= least,
            Least::All => reached == runs,
        }
    }
}

const TEN: Least = Least::Runs(10);
const THREE: Least = Least::Runs(3);
const ONE: Least = Least::Runs(1);

/// All aims.
pub const AIMS: &[Aim] = &[
    aim("60 virtual seconds open to harm", Least::All, |e| {
        e.open_to_harm >= HARM_FOR
    }),
    aim("harm that bites", Least::Runs(300), |e| e.bites),
    aim("free half: something lost", Least::Runs(20), |e| {
        e.half == Half::Free && e.found.contains_key(&FindingKind::Lost)
    }),
    aim("leader elected cleanly", TEN, |e| e.elects_cleanly),
    aim("leader elected uncleanly", TEN, |e| {
        e.goals.contains(&Goal::LeaderElectedUncleanly)
    }),
    aim("log truncated", TEN, |e| {
        e.goals.contains(&Goal::LogTruncated)
    }),
    aim("log compacted", TEN, |e| {
        e.goals.contains(&Goal::LogCompacted)
    }),
    aim("isr shrunk", TEN, |e| e.goals.contains(&Goal::IsrShrunk)),
    aim("isr expanded", TEN, |e| {
        e.goals.contains(&Goal::IsrExpanded)
    }),
    aim("write fenced", TEN, |e| {
        e.goals.contains(&Goal::WriteFenced)
    }),
    aim("controller elected", TEN, |e| {
        e.goals.contains(&Goal::ControllerElected)
    }),
    aim("prevote refused", THREE, |e| {
        e.goals.contains(&Goal::PreVoteRefused)
    }),
    aim("duplicate recognised", TEN, |e| {
        e.goals.contains(&Goal::DuplicateRecognised)
    }),
    aim("epoch bumped", THREE, |e| {
        e.goals.contains(&Goal::EpochBumped)
    }),
    aim("delivery timed out", TEN, |e| {
        e.goals.contains(&Goal::DeliveryTimedOut)
    }),
    aim("rolling restarts", TEN, |e| {
        e.inputs.contains("/steps/*/roll")
    }),
    harm("cut", TEN),
    harm("one-way cut", TEN),
    harm("reset", TEN),
    harm("black hole", TEN),
    harm("slow link", TEN),
    harm("clog", TEN),
    harm("lost packets", TEN),
    harm("held message", TEN),
    harm("lost message", TEN),
    harm("refused connections", TEN),
    harm("slow accept", TEN),
    harm("ring of majorities", TEN),
    harm("kill", TEN),
    harm("clean stop", TEN),
    harm("pause", TEN),
    harm("slow node", TEN),
    harm("crash point", TEN),
    // Of 500 runs some 8, 24 and 17 have these: by chance it may be far fewer.
    harm("power lost at a point", ONE),
    harm("power loss", THREE),
    harm("disk replaced", THREE),
    harm("torn power loss", TEN),
    harm("stalled disk", TEN),
    harm("full disk", TEN),
    harm("dead disk", TEN),
    harm("wrong clock", TEN),
    harm("drifting clock", TEN),
    harm("answer in place", TEN),
    harm("throttle", TEN),
];

const fn aim(name: &'static str, least: Least, shows: fn(&Explored) -> bool) -> Aim {
    let shows = Shown::By(shows);
    Aim { name, least, shows }
}

/// A harm, by the name that a run counts it under.
const fn harm(name: &'static str, least: Least) -> Aim {
    let shows = Shown::Harm;
    Aim { name, least, shows }
}

impl Aim {
    /// Whether one run shows it.
    pub fn is_reached(&self, run: &Explored) -> bool {
        match self.shows {
            Shown::By(shows) => shows(run),
            Shown::Harm => run.harms.contains(self.name),
        }
    }
}
