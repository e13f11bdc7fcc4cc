//! Faults in words: what was done, and what is over.

use super::Lexicon;
use crate::disks::Keep;
use crate::fault::{Fault, Intercept, Realised};
use crate::process::ProcessId;

impl Lexicon {
    /// What a fault does, as a sentence.
    pub fn fault(&self, fault: &Realised) -> String {
        let all = |who: &[ProcessId]| self.processes(who);
        match fault {
            Fault::Cut { from, to, one_way } => {
                let (from, to) = (all(from), all(to));
                match one_way {
                    true => format!("nothing passes from {from} to {to}"),
                    false => format!("nothing passes between {from} and {to}"),
                }
            }
            Fault::BlackHole { from, to } => {
                format!("what goes from {} to {} vanishes", all(from), all(to))
            }
            Fault::Reset { from, to } => {
                format!(
                    "the connections between {} and {} are broken",
                    all(from),
                    all(to)
                )
            }
            Fault::SlowLink { from, to, factor } => {
                let (from, to) = (all(from), all(to));
                format!("messages between {from} and {to} take {factor} times as long")
            }
            Fault::Hold(i) => format!("{} is held", self.message(i)),
            Fault::Lose(i) => format!("{} is lost, and its connection with it", self.message(i)),
            Fault::Kill { who } => format!("{} {} killed", all(who), is(who)),
            Fault::PowerLoss { who, keep } => {
                let kept = match keep {
                    Keep::Drawn => "a part of what was not flushed survives".into(),
                    Keep::Synced => "only what was flushed survives".into(),
                    Keep::More(n) => format!("what was flushed and {n} batches more survive"),
                    Keep::Bytes(1) => "what was not flushed is cut at some byte".into(),
                    Keep::Bytes(n) => {
                        format!("what was not flushed is cut at a multiple of {n} bytes")
                    }
                };
                format!("{} {} power; {kept}", all(who), loses(who))
            }
            Fault::DiskLoss { who } => {
                format!(
                    "{} {} killed, and the disk is replaced by an empty one",
                    all(who),
                    is(who)
                )
            }
            Fault::Pause { who } => format!("{} {} paused", all(who), is(who)),
            Fault::Stop { who } => format!("{} {} asked to stop", all(who), is(who)),
            Fault::Start { who } => format!("{} {} started", all(who), is(who)),
            Fault::Clog { from, to, one_way } => {
                let (from, to) = (all(from), all(to));
                match one_way {
                    true => format!("what is sent from {from} to {to} waits"),
                    false => format!("what is sent between {from} and {to} waits"),
                }
            }
            Fault::DropPackets { from, to, ppm } => {
                let (from, to) = (all(from), all(to));
                format!("{ppm} of a million messages between {from} and {to} are lost at each try")
            }
            Fault::Refuse { who } => format!("{} {} new connections", all(who), refuses(who)),
            Fault::SlowAccept { who, delay } => {
                let ms = delay.as_millis();
                format!("new connections to {} stand {ms} ms later", all(who))
            }
            Fault::Ring { who } => format!("each of {} sees only its neighbours", all(who)),
            Fault::Clock { who, ahead_ms } => {
                let way = if *ahead_ms < 0 { "behind" } else { "ahead" };
                let ms = ahead_ms.unsigned_abs();
                format!("the wall clock of {} is {ms} ms {way}", all(who))
            }
            Fault::Drift { who, ppm } => {
                let way = if *ppm < 0 { "slow" } else { "fast" };
                let ppm = ppm.unsigned_abs();
                format!("the wall clock of {} runs {ppm} ppm too {way}", all(who))
            }
            Fault::SlowNode { who, factor } => {
                format!(
                    "{} {} {factor} times as long for everything",
                    all(who),
                    takes(who)
                )
            }
            Fault::Stall { who } => format!("the disk of {} finishes no sync", all(who)),
            Fault::Answer { of, take, error } => {
                let error = error.name();
                let requests = self.requests(of, *take);
                format!("{requests} answered {error} in its place")
            }
            Fault::Throttle { of, take, by } => {
                let (requests, ms) = (self.requests(of, *take), by.as_millis());
                format!("{requests} followed by {ms} ms in which nothing more is read")
            }
            Fault::CrashAt { who, point, power } => {
                let (dies, point) = (dies(who, power.is_some()), point.sentence());
                format!("{} {dies} as soon as {point}", all(who))
            }
            Fault::FailDisk { who, full } => match full {
                true => format!("the disk of {} is full", all(who)),
                false => format!("the disk of {} does not answer", all(who)),
            },
        }
    }

    /// What the end of a fault brings, as a sentence.
    pub fn mended(&self, fault: &Realised) -> String {
        let all = |who: &[ProcessId]| self.processes(who);
        match fault {
            Fault::Cut { from, to, .. }
            | Fault::BlackHole { from, to }
            | Fault::Reset { from, to } => {
                format!("messages pass between {} and {}", all(from), all(to))
            }
            Fault::SlowLink { from, to, .. } => {
                format!(
                    "messages between {} and {} are as fast as before",
                    all(from),
                    all(to)
                )
            }
            Fault::Clog { from, to, .. } => {
                format!(
                    "what waited between {} and {} is let go",
                    all(from),
                    all(to)
                )
            }
            Fault::DropPackets { from, to, .. } => {
                format!(
                    "messages between {} and {} are lost no more",
                    all(from),
                    all(to)
                )
            }
            Fault::Refuse { who } => format!("{} {} new connections", all(who), accepts(who)),
            Fault::SlowAccept { who, .. } => {
                format!("new connections to {} stand as soon as before", all(who))
            }
            Fault::Ring { who } => format!("{} see one another", all(who)),
            Fault::Clock { who, .. } | Fault::Drift { who, .. } => {
                format!("the wall clock of {} is set right", all(who))
            }
            Fault::SlowNode { who, .. } => {
                format!("{} {} as fast as before", all(who), is(who))
            }
            Fault::Stall { who } => format!("the disk of {} goes on", all(who)),
            Fault::Answer { of, .. } => {
                let answers = if of.to.len() == 1 {
                    "answers"
                } else {
                    "answer"
                };
                format!("{} {answers} for itself again", all(&of.to))
            }
            Fault::Throttle { of, .. } => {
                let reads = if of.to.len() == 1 { "reads" } else { "read" };
                format!("{} {reads} on as before", all(&of.to))
            }
            Fault::CrashAt { who, point, .. } => {
                let (goes, point) = (goes(who), point.sentence());
                format!("{} {goes} on, whether or not {point}", all(who))
            }
            Fault::FailDisk { who, .. } => format!("the disk of {} works again", all(who)),
            Fault::Hold(i) | Fault::Lose(i) => format!("{} goes on", self.message(i)),
            Fault::Pause { who } => format!("{} {} on", all(who), goes(who)),
            Fault::Kill { who }
            | Fault::PowerLoss { who, .. }
            | Fault::DiskLoss { who }
            | Fault::Stop { who }
            | Fault::Start { who } => format!("{} {} again", all(who), starts(who)),
        }
    }

    /// `the next 3 Produce requests from shop to broker-1 are`.
    fn requests(&self, of: &Intercept<Box<[ProcessId]>>, take: u32) -> String {
        let (from, to) = (self.processes(&of.from), self.processes(&of.to));
        let which = match of.nth {
            0 | 1 => "the next".into(),
            n => format!("from number {n} of the next on"),
        };
        let (noun, are) = match take {
            1 => ("request", "is"),
            _ => ("requests", "are"),
        };
        format!(
            "{which} {take} {:?} {noun} from {from} to {to} {are}",
            of.api
        )
    }

    fn message(&self, i: &Intercept<Box<[ProcessId]>>) -> String {
        let kind = if i.response { "answer" } else { "request" };
        let (from, to) = (self.processes(&i.from), self.processes(&i.to));
        let which = match i.nth {
            0 | 1 => "the next".into(),
            n => format!("number {n} of the next"),
        };
        format!("{which} {:?} {kind} from {from} to {to}", i.api)
    }
}

fn is(who: &[ProcessId]) -> &'static str {
    if who.len() == 1 { "is" } else { "are" }
}

fn loses(who: &[ProcessId]) -> &'static str {
    if who.len() == 1 { "loses" } else { "lose" }
}

fn takes(who: &[ProcessId]) -> &'static str {
    if who.len() == 1 { "takes" } else { "take" }
}

fn dies(who: &[ProcessId], power: bool) -> &'static str {
    match (who.len(), power) {
        (1, false) => "dies",
        (_, false) => "die",
        (1, true) => "loses power",
        (_, true) => "lose power",
    }
}

fn refuses(who: &[ProcessId]) -> &'static str {
    if who.len() == 1 { "refuses" } else { "refuse" }
}

fn accepts(who: &[ProcessId]) -> &'static str {
    if who.len() == 1 { "accepts" } else { "accept" }
}

fn goes(who: &[ProcessId]) -> &'static str {
    if who.len() == 1 { "goes" } else { "go" }
}

fn starts(who: &[ProcessId]) -> &'static str {
    if who.len() == 1 { "starts" } else { "start" }
}
