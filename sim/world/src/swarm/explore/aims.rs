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
    /// Whether one run shows it.
    pub is_reached: fn(&Explored) -> bool,
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
    aim("cuts", TEN, |e| does(e, &["cut", "one-way cut"])),
    aim("bad links", TEN, |e| {
        does(e, &["reset", "black hole", "slow link"])
    }),
    aim("crashes and stops", TEN, |e| {
        does(e, &["kill", "clean stop"])
    }),
    aim("lost power or disks", TEN, |e| {
        does(e, &["power loss", "torn power loss", "disk replaced"])
    }),
    aim("torn files", TEN, |e| does(e, &["torn power loss"])),
    aim("clogs and lost packets", TEN, |e| {
        does(e, &["clog", "lost packets"])
    }),
    aim("connections refused or late", TEN, |e| {
        does(e, &["refused connections", "slow accept"])
    }),
    aim("rings of majorities", TEN, |e| {
        does(e, &["ring of majorities"])
    }),
    aim("wrong clocks", TEN, |e| {
        does(e, &["wrong clock", "drifting clock"])
    }),
    aim("slow nodes", TEN, |e| does(e, &["slow node"])),
    aim("stalled disks", TEN, |e| does(e, &["stalled disk"])),
    aim("full and dead disks", TEN, |e| {
        does(e, &["full disk", "dead disk"])
    }),
    aim("answers in a server's place", TEN, |e| {
        does(e, &["answer in place"])
    }),
    aim("throttled clients", TEN, |e| does(e, &["throttle"])),
    aim("crashes at a point of the own work", TEN, |e| {
        does(e, &["crash point", "power lost at a point"])
    }),
    aim("rolling restarts", TEN, |e| {
        e.inputs.contains("/steps/*/roll")
    }),
    aim("pauses", TEN, |e| does(e, &["pause"])),
    aim("messages held or lost", TEN, |e| {
        does(e, &["held message", "lost message"])
    }),
];

const fn aim(name: &'static str, least: Least, is_reached: fn(&Explored) -> bool) -> Aim {
    Aim {
        name,
        least,
        is_reached,
    }
}

fn does(e: &Explored, kinds: &[&str]) -> bool {
    kinds.iter().any(|kind| e.harms.contains(kind))
}
