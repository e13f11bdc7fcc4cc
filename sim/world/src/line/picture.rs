//! The words of the picture: what stands on a card, beside a replica, on a request under way and on a button that does harm.

use super::{Lexicon, count, list};
use crate::fault::{Fault, Realised};
use crate::frame::clients::Tally;
use crate::frame::servers::Mood;
use crate::frame::wires::WireState;
use klab_kafka::ids::{NodeId, Offset};
use klab_kafka::protocol::Api;

/// How a process is, in one or two words.
pub fn mood(mood: Mood) -> &'static str {
    match mood {
        Mood::New => "not started",
        Mood::Starting => "starting",
        Mood::Running => "running",
        Mood::Fenced => "fenced",
        Mood::Stopping => "stopping",
        Mood::Paused => "paused",
        Mood::Killed => "killed",
        Mood::PowerLost => "without power",
        Mood::Exited => "stopped",
    }
}

/// The sign of a mood, so that colour is not all that says it.
pub fn mood_sign(mood: Mood) -> &'static str {
    match mood {
        Mood::Running => "",
        Mood::New => "·",
        Mood::Starting => "↻",
        Mood::Fenced => "⊘",
        Mood::Stopping => "↓",
        Mood::Paused => "‖",
        Mood::Killed | Mood::PowerLost => "✖",
        Mood::Exited => "■",
    }
}

/// The letter of a request on a wire.
pub fn letter(api: Api) -> char {
    match api {
        Api::Produce => 'P',
        Api::Fetch => 'F',
        Api::ListOffsets | Api::OffsetForLeaderEpoch => 'O',
        Api::Metadata => 'M',
        Api::CreateTopics
        | Api::DeleteTopics
        | Api::CreatePartitions
        | Api::ElectLeaders
        | Api::IncrementalAlterConfigs
        | Api::DescribeConfigs
        | Api::Envelope => 'C',
        Api::InitProducerId | Api::AllocateProducerIds => 'I',
        Api::Vote | Api::BeginQuorumEpoch | Api::EndQuorumEpoch => 'V',
        Api::AlterPartition => 'A',
        Api::BrokerRegistration => 'R',
        Api::BrokerHeartbeat => 'H',
    }
}

/// A request or an answer under way.
pub fn flight(
    api: Api,
    response: bool,
    from: &str,
    to: &str,
    records: u64,
    stalled: bool,
) -> String {
    let what = match response {
        true => format!("the answer to {api:?}"),
        false => format!("{api:?}"),
    };
    let with = match records {
        0 => String::new(),
        n => format!(" with {}", count(n, "record")),
    };
    let held = if stalled {
        "; it does not get through"
    } else {
        ""
    };
    format!("{what}{with} from {from} to {to}{held}")
}

/// A link between two.
pub fn wire(a: &str, b: &str, state: WireState) -> String {
    match state {
        WireState::Open => format!("{a} and {b} reach each other"),
        WireState::Slow(n) => format!("messages between {a} and {b} take {n} times as long"),
        WireState::Partly => format!("not everything passes between {a} and {b}"),
        WireState::Cut => format!("nothing passes between {a} and {b}"),
        WireState::Hole => format!("what goes between {a} and {b} vanishes"),
    }
}

/// What is known of one replica's log.
pub struct ReplicaWords<'a> {
    /// The partition.
    pub partition: &'a str,
    /// The broker.
    pub broker: &'a str,
    /// It leads, in this picture's metadata.
    pub leads: bool,
    /// It is in the ISR.
    pub in_isr: bool,
    /// Its process runs.
    pub live: bool,
    /// Its high watermark, if its process runs.
    pub hw: Option<Offset>,
    /// Its end.
    pub leo: Offset,
}

/// One replica.
pub fn replica(r: &ReplicaWords<'_>) -> String {
    let role = match (r.live, r.leads, r.in_isr) {
        (false, ..) => "on disk only",
        (_, true, _) => "leads",
        (_, _, true) => "follows, in the ISR",
        (_, _, false) => "follows, out of the ISR",
    };
    let committed =
        r.hw.map_or(String::new(), |hw| format!(", committed up to {hw}"));
    format!(
        "{} on {} {role}: its log ends at {}{committed}",
        r.partition, r.broker, r.leo
    )
}

/// One partition as the controllers have it.
pub fn partition(name: &str, leader: Option<&str>, epoch: i32, isr: &[NodeId]) -> String {
    let members: Vec<String> = isr.iter().map(NodeId::to_string).collect();
    let isr = format!("ISR [{}]", members.join(","));
    match leader {
        Some(leader) => format!("{name}: {leader} leads in epoch {epoch}, {isr}"),
        None => format!("{name}: no leader in epoch {epoch}, {isr}"),
    }
}

/// A record in a cell.
pub fn cell(
    record: Option<&str>,
    offset: Offset,
    epoch: i32,
    committed: bool,
    told: &str,
) -> String {
    let what = record.unwrap_or("a control record");
    let committed = if committed {
        "committed"
    } else {
        "not committed"
    };
    let told = match told {
        "" => String::new(),
        told => format!("; its application {told}"),
    };
    format!("{what} at offset {offset}, epoch {epoch}, {committed} here{told}")
}

/// What an application was told about a record of its own.
pub fn told(acked: bool, failed: bool) -> &'static str {
    match (acked, failed) {
        (true, _) => "was told that it is written",
        (_, true) => "was told that it failed",
        _ => "was told nothing yet",
    }
}

/// What a producer has sent and was told.
pub fn producer(tally: &Tally) -> String {
    let mut parts = vec![format!("{} of {} acknowledged", tally.acked, tally.planned)];
    if tally.waiting > 0 {
        parts.push(format!("{} without an answer", tally.waiting));
    }
    if tally.failed > 0 {
        parts.push(format!("{} failed", tally.failed));
    }
    parts.join(", ")
}

/// What a reader got.
pub fn reader(read: u64) -> String {
    format!("{} read", count(read, "record"))
}

/// The whole picture in one line.
pub fn label(clock: &str, up: usize, down: &[String], leaders: &[String], faults: usize) -> String {
    let mut parts = vec![format!(
        "At {clock}: {} running",
        count(up as u64, "broker")
    )];
    if !down.is_empty() {
        parts.push(format!("not running: {}", list(down)));
    }
    parts.extend(leaders.iter().cloned());
    if faults > 0 {
        parts.push(format!("{} in force", count(faults as u64, "fault")));
    }
    format!("{}.", parts.join("; "))
}

/// The button that lets a fault happen.
pub fn dare(fault: &Realised) -> &'static str {
    match fault {
        Fault::Kill { .. } => "Let it crash",
        Fault::PowerLoss { .. } => "Let the power go",
        Fault::DiskLoss { .. } => "Let the disk go",
        Fault::Pause { .. } => "Let it pause",
        Fault::Stop { .. } => "Let it stop",
        Fault::Start { .. } => "Let it start",
        Fault::Lose(_) => "Let it get lost",
        Fault::Cut { .. }
        | Fault::BlackHole { .. }
        | Fault::Reset { .. }
        | Fault::SlowLink { .. }
        | Fault::Clog { .. }
        | Fault::DropPackets { .. }
        | Fault::Refuse { .. }
        | Fault::SlowAccept { .. }
        | Fault::Ring { .. }
        | Fault::Clock { .. }
        | Fault::Drift { .. }
        | Fault::SlowNode { .. }
        | Fault::Stall { .. }
        | Fault::FailDisk { .. }
        | Fault::Answer { .. }
        | Fault::Throttle { .. }
        | Fault::CrashAt { .. }
        | Fault::Hold(_) => "Let it happen",
    }
}

impl Lexicon {
    /// What is about to be done.
    pub fn ahead(&self, at: klab_kafka::time::Time, fault: &Realised) -> String {
        format!("Next, at {}: {}.", self.time(at), self.fault(fault))
    }
}

/// What a person can do to a process or a link, as the words on a button.
pub fn offer(verb: &str, how: Option<&str>, seconds: Option<u64>) -> String {
    let what = match (verb, how) {
        ("crash", Some("power-loss")) => "Cut its power",
        ("crash", Some("disk-loss")) => "Crash it and empty its disk",
        ("crash", _) => "Crash it",
        ("pause", _) => "Pause it",
        ("stop", _) => "Ask it to stop",
        ("start", _) => "Start it",
        ("isolate", _) => "Cut it off from everyone",
        ("cut", Some("one-way")) => "Cut one way only",
        ("cut", _) => "Cut this link",
        ("slow", _) => "Slow this link 50 times",
        ("reset", _) => "Break its connections",
        ("clog", _) => "Hold what is sent, then let it go at once",
        ("drop-packets", _) => "Lose one packet in ten",
        ("clock", _) => "Set its clock an hour ahead",
        ("slow-node", _) => "Make it 50 times as slow",
        ("stall", _) => "Let its disk hang",
        ("fail-disk", _) => "Fill its disk",
        ("roll", _) => "Restart all brokers in turn",
        ("refuse", _) => "Refuse new connections",
        ("slow-accept", _) => "Accept connections 2 seconds late",
        (other, _) => return other.into(),
    };
    match seconds {
        Some(n) => format!("{what} for {n} s"),
        None if matches!(verb, "crash" | "cut") => format!("{what} until the end"),
        None => what.into(),
    }
}
