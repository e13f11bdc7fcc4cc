//! Eras as a value: one field per protocol switch. Turning one off brings an older Kafka back, and with it the bug
//! that the rule was made against (failures named by KIP or KAFKA number).
//!
//! Every process has its own `Rules`, so that mixed versions can be run.

use serde::{Deserialize, Serialize};

/// The protocol switches of one process.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// How a follower finds where its log departs from the leader's.
    pub truncate: Truncate,
    /// Which set of replicas the high watermark waits for (KIP-497).
    pub hw_quorum: HwQuorum,
    /// A follower joins the ISR only from the start of the leader's epoch on (KAFKA-7128).
    pub isr_expand_epoch_start: bool,
    /// ISR members are checked by broker epoch, so that a reborn broker cannot be let in by a late request (KIP-903).
    pub isr_broker_epoch: bool,
    /// A voter asks whether it could win before it raises the epoch (KIP-996).
    pub prevote: bool,
    /// The quorum's high watermark moves only over a record of the leader's own epoch (Raft §5.4.2, KAFKA-12619).
    pub own_epoch_commit: bool,
    /// A quorum leader without a majority of fetchers resigns (KAFKA-15489).
    pub check_quorum: bool,
    /// A consumer names the leader epoch that it knows, and has another leader confirm its position (KIP-320).
    pub position_validation: bool,
}

/// Values of the switch `truncate`, newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Truncate {
    /// Fetch carries the last fetched epoch and is answered with a diverging epoch (KIP-595's fetch, 2.7).
    FetchEpoch,
    /// OffsetForLeaderEpoch answers with the largest epoch not above the asked one, and the follower asks again (KIP-279, 2.0).
    Kip279,
    /// OffsetForLeaderEpoch answers with an offset alone (KIP-101, 0.11).
    Kip101,
    /// The follower truncates to its own high watermark.
    Hw,
}

/// Values of the switch `hw-quorum`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HwQuorum {
    /// Committed and pending members count (KIP-497).
    MaximalIsr,
    /// Only the committed ISR counts.
    CommittedIsr,
}

/// One row per switch: its name in text, its values (the safe one first), the rule's sentence.
pub struct Switch {
    /// kebab-case name.
    pub name: &'static str,
    /// Values in text, the safe one first.
    pub values: &'static [&'static str],
    /// Who obeys it.
    pub of: Obeys,
    /// What the rule is for and which change brought it.
    pub sentence: &'static str,
    /// Sets the field from a text that is one of `values`.
    pub set: fn(&mut Rules, &str),
    /// The field in text.
    pub get: fn(&Rules) -> &'static str,
}

/// Whose rule a switch turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obeys {
    /// Brokers and controllers.
    Servers,
    /// Consumers.
    Consumers,
}

const ON_OFF: &[&str] = &["on", "off"];

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// All switches.
pub const SWITCHES: &[Switch] = &[
    Switch {
        name: "truncate",
        values: &["fetch-epoch", "kip279", "kip101", "hw"],
        of: Obeys::Servers,
        sentence: "How a follower finds where its log departs from the leader's (KIP-101, KIP-279, KIP-595).",
        set: |r, v| {
            r.truncate = match v {
                "fetch-epoch" => Truncate::FetchEpoch,
                "kip279" => Truncate::Kip279,
                "kip101" => Truncate::Kip101,
                _ => Truncate::Hw,
            }
        },
        get: |r| match r.truncate {
            Truncate::FetchEpoch => "fetch-epoch",
            Truncate::Kip279 => "kip279",
            Truncate::Kip101 => "kip101",
            Truncate::Hw => "hw",
        },
    },
    Switch {
        name: "hw-quorum",
        values: &["maximal-isr", "committed-isr"],
        of: Obeys::Servers,
        sentence: "Whether the high watermark also waits for replicas whose entry into the ISR is still pending (KIP-497).",
        set: |r, v| {
            r.hw_quorum = match v {
                "maximal-isr" => HwQuorum::MaximalIsr,
                _ => HwQuorum::CommittedIsr,
            }
        },
        get: |r| match r.hw_quorum {
            HwQuorum::MaximalIsr => "maximal-isr",
            HwQuorum::CommittedIsr => "committed-isr",
        },
    },
    Switch {
        name: "isr-expand-epoch-start",
        values: ON_OFF,
        of: Obeys::Servers,
        sentence: "A follower joins the ISR only once it has reached the start of the leader's epoch (KAFKA-7128).",
        set: |r, v| r.isr_expand_epoch_start = v == "on",
        get: |r| on_off(r.isr_expand_epoch_start),
    },
    Switch {
        name: "isr-broker-epoch",
        values: ON_OFF,
        of: Obeys::Servers,
        sentence: "ISR members are named with their broker epoch, so that a reborn broker is not let in by a late request (KIP-903).",
        set: |r, v| r.isr_broker_epoch = v == "on",
        get: |r| on_off(r.isr_broker_epoch),
    },
    Switch {
        name: "prevote",
        values: ON_OFF,
        of: Obeys::Servers,
        sentence: "A voter asks whether it could win before it raises the epoch (KIP-996).",
        set: |r, v| r.prevote = v == "on",
        get: |r| on_off(r.prevote),
    },
    Switch {
        name: "own-epoch-commit",
        values: ON_OFF,
        of: Obeys::Servers,
        sentence: "The quorum's high watermark moves only over a record of the leader's own epoch (KAFKA-12619).",
        set: |r, v| r.own_epoch_commit = v == "on",
        get: |r| on_off(r.own_epoch_commit),
    },
    Switch {
        name: "check-quorum",
        values: ON_OFF,
        of: Obeys::Servers,
        sentence: "A quorum leader that a majority has stopped fetching from resigns (KAFKA-15489).",
        set: |r, v| r.check_quorum = v == "on",
        get: |r| on_off(r.check_quorum),
    },
    Switch {
        name: "position-validation",
        values: ON_OFF,
        of: Obeys::Consumers,
        sentence: "A consumer names the leader epoch that it knows, and under another leader has its position confirmed before it reads on (KIP-320).",
        set: |r, v| r.position_validation = v == "on",
        get: |r| on_off(r.position_validation),
    },
];

impl Rules {
    /// The eras that can be named, newest first.
    pub const ERAS: &[&str] = &["4.0"];

    /// The switches of a Kafka release; `None` for an era that is not built.
    pub fn era(name: &str) -> Option<Rules> {
        (name == "4.0").then(Rules::default)
    }
}

impl Default for Rules {
    /// Era 4.0: every rule above in force, eligible leader replicas off.
    fn default() -> Rules {
        Rules {
            truncate: Truncate::FetchEpoch,
            hw_quorum: HwQuorum::MaximalIsr,
            isr_expand_epoch_start: true,
            isr_broker_epoch: true,
            prevote: true,
            own_epoch_commit: true,
            check_quorum: true,
            position_validation: true,
        }
    }
}
