//! A scenario: everything that a run depends on besides its seed. The values here are decoded and checked; the text of a
//! file becomes them in `decode`, and `encode` writes a file that means the same.
//!
//! A scenario holds no positions and no comments: two files that mean the same are equal. Names are kept in sorted maps,
//! since the order of keys in a JSON object means nothing.
//! Left out until they are built: groups, applications with their own logic, swarms.

pub mod asset;
pub mod decode;
pub mod encode;
pub mod error;
pub mod expect;
pub mod grammar;
pub mod library;
pub mod limits;
pub mod operation;
pub mod pointer;
pub mod quantity;
pub mod schema;
pub mod selector;
pub mod step;
pub mod timeouts;
pub mod tree;
pub mod trigger;

pub use error::{ScenarioError, ScenarioErrors};

use crate::fault::Fault;
use crate::network::harm::Tail;
use expect::Expectation;
use klab_kafka::config::{
    AdminConfig, ConsumerConfig, LibrdkafkaConfig, ProducerConfig, ServerConfig,
};
use klab_kafka::ids::NodeId;
use klab_kafka::rules::Rules;
use klab_kafka::time::{Duration, Timestamp};
use operation::Operation;
use quantity::{Range, Rate};
use selector::{Selector, TopicPartition};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use trigger::Trigger;

/// The name of the operators' process.
pub const ADMIN: &str = "admin";
/// The name of the process that reads everything at the end.
pub const READER: &str = "reader";

/// What a telling can keep, beside partitions and processes.
pub const THEMES: [(&str, &str); 8] = [
    ("faults", "what was done to the cluster, and when it ended"),
    ("elections", "leaders of partitions and of the quorum"),
    ("isr", "members that leave and join"),
    ("truncations", "records cut off a log"),
    (
        "retention",
        "records given up or compacted, and readers that find theirs gone",
    ),
    ("failures", "sends that were tried again or given up"),
    (
        "operators",
        "what operators asked, what they were told, and what it changed",
    ),
    ("verdict", "what became of the records"),
];

/// Time since the run was ready, in nanoseconds; negative before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
pub struct ScenarioTime(pub i64);

/// A scenario.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Scenario {
    /// Names the change, not the outcome.
    pub title: Arc<str>,
    /// What it is about.
    pub teaches: Option<Arc<str>>,
    /// The seed of a run that names none.
    pub seed: Option<u64>,
    /// The wall clock at boot, in ms since 1970.
    pub start: Timestamp,
    /// The links.
    pub network: NetworkPlan,
    /// The servers.
    pub cluster: ClusterPlan,
    /// Kafka's settings of the operator's client.
    pub admin: AdminConfig,
    /// Topics to create, by name.
    pub topics: BTreeMap<Arc<str>, TopicPlan>,
    /// Applications that produce, by name.
    pub producers: BTreeMap<Arc<str>, ProducerPlan>,
    /// Applications that read assigned partitions, by name.
    pub consumers: BTreeMap<Arc<str>, ConsumerPlan>,
    /// Rows that records are made of, by name.
    pub assets: BTreeMap<Arc<str>, asset::Asset>,
    /// What is done to them all.
    pub steps: Vec<Step>,
    /// How the run ends.
    pub end: EndPlan,
    /// What must hold at the end.
    pub expect: Vec<Expectation>,
    /// What a viewer may change.
    pub tries: Vec<Try>,
    /// What the short telling keeps.
    pub tell: Vec<Arc<str>>,
    /// The same story with settings changed.
    pub twins: Vec<Twin>,
}

/// The links between all machines.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NetworkPlan {
    /// One way, in nanoseconds.
    pub latency: Range<u64>,
    /// Bytes per second and link; none is unlimited.
    pub bandwidth: Option<u64>,
    /// A few messages that take much longer.
    pub tail: Option<Tail>,
    /// So many of a million messages are lost at each try, and sent again later.
    pub loss: u32,
    /// Links that differ.
    pub links: Vec<LinkPlan>,
    /// Bytes per second that a machine can send to all others together, by name.
    pub nodes: BTreeMap<Arc<str>, u64>,
}

/// Links that differ from the others: those between any of one side and any of the other.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LinkPlan {
    /// The two sides, known from the file.
    pub between: (Selector, Selector),
    /// Their latency, one way, in nanoseconds.
    pub latency: Option<Range<u64>>,
    /// Their bandwidth in bytes per second.
    pub bandwidth: Option<u64>,
}

impl NetworkPlan {
    /// All links alike, with nothing wrong with them.
    pub fn plain(latency: Range<u64>, bandwidth: Option<u64>) -> NetworkPlan {
        NetworkPlan {
            latency,
            bandwidth,
            tail: None,
            loss: 0,
            links: Vec::new(),
            nodes: BTreeMap::new(),
        }
    }
}

/// The servers.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ClusterPlan {
    /// How many brokers: `broker-1` and on, node ids from 1.
    pub brokers: u32,
    /// How many controllers: `controller-1` and on, node ids from 3001.
    pub controllers: u32,
    /// Racks, given to the brokers in turn.
    pub racks: Vec<Arc<str>>,
    /// The era's name.
    pub era: Arc<str>,
    /// The protocol switches of every server and every consumer.
    pub rules: Rules,
    /// Those of single servers, by name.
    pub rules_of: BTreeMap<Arc<str>, Rules>,
    /// Settings of every server.
    pub config: ServerConfig,
    /// Those of single servers, by name.
    pub config_of: BTreeMap<Arc<str>, ServerConfig>,
    /// How long a sync takes, in nanoseconds.
    pub sync: Range<u64>,
    /// A few syncs that take much longer.
    pub sync_tail: Option<Tail>,
}

/// A topic to create.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TopicPlan {
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas of each.
    pub replication_factor: i16,
    /// Replicas by hand, one list per partition; else the controller places them.
    pub replicas: Option<Vec<Vec<NodeId>>>,
    /// Its configs, key and value in text.
    pub config: BTreeMap<Arc<str>, Arc<str>>,
    /// A step or a client creates it; before, its name is only known.
    pub later: bool,
}

/// An application that produces.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ProducerPlan {
    /// To which topic.
    pub topic: Arc<str>,
    /// How many records.
    pub records: u32,
    /// How many in which time.
    pub rate: Rate,
    /// How many fall due at once.
    pub burst: u32,
    /// When it begins, after ready.
    pub after: Duration,
    /// How many sends may be without an answer before it sends more; none does not wait.
    pub unanswered: Option<u32>,
    /// How many different keys; none sends without keys.
    pub keys: Option<u32>,
    /// Every so manieth record has no value: a tombstone for its key.
    pub tombstones: Option<u32>,
    /// Which key comes when.
    pub key_order: KeyOrder,
    /// The sizes of a value in bytes.
    pub size: Range<u32>,
    /// The rows that it sends instead of values and keys of its own.
    pub rows: Option<RowsPlan>,
    /// The partition that it names.
    pub partition: Option<i32>,
    /// The timestamp that it gives each record.
    pub timestamp: Option<Timestamp>,
    /// The headers that it gives each record.
    pub headers: BTreeMap<Arc<str>, Arc<str>>,
    /// When it tells its own caller that a record is accepted.
    pub answers: Answers,
    /// What it does when a send fails that may go well another time.
    pub on_failure: OnFailure,
    /// What it does after a restart.
    pub on_restart: OnRestart,
    /// Whether it flushes and closes when asked to stop.
    pub on_stop: OnStop,
    /// Kafka's settings; of librdkafka, what its own come to in these words.
    pub config: ProducerConfig,
    /// librdkafka's settings, if that is its client.
    pub librdkafka: Option<LibrdkafkaConfig>,
    /// When it polls: librdkafka serves delivery reports then.
    pub polls: Polls,
}

impl ProducerPlan {
    /// The bytes of its largest value.
    pub fn largest_value(&self) -> u64 {
        let rows = self.rows.iter().flat_map(|rows| rows.rows.iter());
        let largest = rows.map(|row| row.value.len() as u64).max();
        largest.unwrap_or(u64::from(self.size.max))
    }
}

/// When an application tells its own caller that a record is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum Answers {
    /// As soon as `send` returns.
    AfterSend,
    /// When the callback says that it is written.
    #[default]
    InCallback,
}

/// Which key comes when. Keys and sizes are drawn by the record's number alone: a record has the same ones in every run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum KeyOrder {
    /// One after the other.
    #[default]
    InTurn,
    /// Each as often as any other.
    Uniform,
    /// The first as often as the next two together, as the next four together, …: nearly Zipf's law.
    Skewed,
}

/// Rows of an asset as a producer sends them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RowsPlan {
    /// Which asset.
    pub asset: Arc<str>,
    /// Which field is the key.
    pub key_field: Option<Arc<str>>,
    /// Key and value of each row, in order.
    pub rows: Arc<[asset::Row]>,
}

/// What an application does when a send fails that may go well another time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum OnFailure {
    /// It tells its caller.
    #[default]
    GiveUp,
    /// It sends the record again as a new one, a second later (C5).
    Resend,
}

/// When an application polls its client for delivery reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum Polls {
    /// After each send, and while it flushes at the end.
    #[default]
    AfterSend,
    /// Only while it flushes at the end, and before it sends again what failed.
    AtTheEnd,
}

/// What an application does after a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum OnRestart {
    /// It goes on with the next record.
    #[default]
    Continue,
    /// It sends again what it has no confirmation for.
    ResendUnconfirmed,
}

/// What an application does when it is asked to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum OnStop {
    /// It closes its producer, which sends what is queued.
    #[default]
    Close,
    /// It exits at once.
    Exit,
}

/// An application that reads assigned partitions.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ConsumerPlan {
    /// Which.
    pub assign: Vec<TopicPartition>,
    /// Kafka's settings.
    pub config: ConsumerConfig,
    /// Its protocol switches, if they differ from the cluster's.
    pub rules: Option<Rules>,
}

/// One thing that is done.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Step {
    /// Its own name for draws: a hash of its content unless given, so that its place in the list does not matter.
    pub id: u64,
    /// When.
    pub when: When,
    /// What.
    pub action: Action,
    /// Until when; none leaves it to the end of the run.
    pub lasts: Lasts,
    /// It may match nothing or never be met.
    pub optional: bool,
}

/// When a step is due.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum When {
    /// At a time.
    At(ScenarioTime),
    /// When a fact is told: the `nth` time, `after` it, while a condition holds.
    Met {
        /// The fact.
        trigger: Trigger,
        /// The how manieth time, from 1.
        nth: u32,
        /// How long after it.
        after: Duration,
        /// It counts only while this holds.
        only_while: Option<Condition>,
    },
    /// At drawn times.
    Drawn {
        /// How many.
        count: Range<u32>,
        /// Between when and when, in nanoseconds after ready.
        window: Range<u64>,
    },
}

/// What must hold for a fact to count.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Condition {
    /// `isr of orders-0 is 1`: so many members, as the controller has it.
    Isr(TopicPartition, u32),
    /// `time is past 20s`: counted from when the run was ready.
    Past(Duration),
}

/// What is done.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Action {
    /// A harm.
    Fault(Fault<Selector>),
    /// A harm of a family, drawn when its time comes.
    Random {
        /// Of which family.
        family: Family,
        /// What it may destroy for good.
        budget: Budget,
    },
    /// Servers are restarted one after another, each when the cluster is whole.
    Roll {
        /// Who, in order.
        who: Selector,
        /// They are killed; else asked to stop.
        kill: bool,
        /// How long each is down.
        down: Duration,
    },
    /// An operator asks for something.
    Admin(Operation),
}

/// What drawn harm may destroy for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum Budget {
    /// Never all copies of an acknowledged record.
    #[default]
    Recoverable,
    /// Anything.
    None,
}

/// Families of drawn harms (C.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Family {
    /// Cuts of all kinds.
    Partition,
    /// Resets, black holes, slow and clogged links, lost packets, connections that are refused or late.
    Network,
    /// Kills, also at points of a process's own work, and clean stops.
    Crash,
    /// Losses of power.
    Power,
    /// Pauses.
    Pause,
    /// Held and lost messages.
    Message,
    /// Disks that hang, fill up or die.
    Disk,
    /// Wall clocks that jump or drift.
    Clock,
    /// Slow nodes.
    Slow,
    /// Requests that are answered in their server's place, or throttled.
    Answer,
    /// Any of them.
    Any,
}

/// How long a step's harm lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Lasts {
    /// Until the run heals.
    UntilHeal,
    /// So long.
    For(Duration),
    /// Even the healing leaves it.
    Ever,
}

/// How a run ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EndPlan {
    /// When faults are lifted and the end begins, after ready. Never a matter of the steps: adding one must not move it
    /// (the prefix law), so a step that lies after it is a mistake. Without a word: [`EndPlan::default_at`].
    pub at: Duration,
    /// What is lifted.
    pub heal: Heal,
    /// How long it may take until all is quiet and read. Without a word: twice the longest timeout in force.
    pub within: Option<Duration>,
}

/// What is lifted at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum Heal {
    /// Everything but what lasts for ever.
    #[default]
    All,
    /// Nothing.
    None,
}

/// A setting that a viewer may change.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Try {
    /// Where it stands, as a JSON Pointer.
    pub set: Arc<str>,
    /// Its values, as JSON text.
    pub to: Vec<Arc<str>>,
}

/// The same story with settings changed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Twin {
    /// Names the change.
    pub title: Arc<str>,
    /// Where and to what, as JSON text.
    pub set: BTreeMap<Arc<str>, Arc<str>>,
    /// The scenario with the change made.
    pub scenario: Box<Scenario>,
}

impl EndPlan {
    /// When the end begins if the scenario does not say: after 60 s, or 10 s after the last record is due.
    pub fn default_at(producers: &BTreeMap<Arc<str>, ProducerPlan>) -> Duration {
        let last = |p: &ProducerPlan| p.after + Duration(p.rate.nth_ns(p.records.into()));
        let worked_off = producers.values().map(last).max().unwrap_or_default();
        Duration::secs(60).max(worked_off + Duration::secs(10))
    }
}

impl Scenario {
    /// Reads a scenario whose bases are in the library.
    ///
    /// # Errors
    /// Every mistake that was found.
    pub fn parse(name: &str, text: &str) -> Result<Scenario, ScenarioErrors> {
        decode::read(name, text.as_bytes(), &[], &library::find)
    }

    /// The same scenario with other values at some places: pointers, and values as JSON text.
    ///
    /// # Errors
    /// A place that does not exist, or a value that does not fit there.
    pub fn with(&self, sets: &[(String, String)]) -> Result<Scenario, ScenarioErrors> {
        decode::read(
            "the scenario",
            self.export().as_bytes(),
            sets,
            &library::find,
        )
    }

    /// The same scenario with one more step, and without twins: what somebody does to a run is a step of it. A step
    /// whose id is 0 gets one from its content.
    pub fn with_step(&self, step: Step) -> Scenario {
        let mut scenario = Scenario {
            tries: Vec::new(),
            twins: Vec::new(),
            ..self.clone()
        };
        scenario.steps.push(step);
        let by_content = step::ids_by_content(&scenario.steps);
        if let (Some(step), Some(id)) = (scenario.steps.last_mut(), by_content.last()) {
            step.id = if step.id == 0 { *id } else { step.id };
        }
        scenario
    }

    /// A file that means this scenario.
    pub fn export(&self) -> String {
        self.to_node().to_file()
    }

    /// The smallest cluster with one topic and one producer of one record.
    pub fn tracer() -> Scenario {
        let rate = Rate {
            count: 1,
            per_ns: 1_000_000_000,
        };
        let topic = TopicPlan {
            partitions: 1,
            replication_factor: 1,
            replicas: None,
            config: BTreeMap::new(),
            later: false,
        };
        let producer = ProducerPlan {
            topic: "orders".into(),
            records: 1,
            rate,
            after: Duration::ZERO,
            burst: 1,
            keys: None,
            unanswered: None,
            tombstones: None,
            key_order: KeyOrder::InTurn,
            size: Range { min: 16, max: 16 },
            rows: None,
            partition: None,
            timestamp: None,
            headers: BTreeMap::new(),
            answers: Answers::InCallback,
            on_failure: OnFailure::GiveUp,
            on_restart: OnRestart::Continue,
            on_stop: OnStop::Close,
            config: ProducerConfig::default(),
            librdkafka: None,
            polls: Polls::AfterSend,
        };
        Scenario {
            title: "One record".into(),
            teaches: None,
            seed: None,
            start: Timestamp(1_767_225_600_000),
            network: NetworkPlan::plain(
                Range {
                    min: 1_000_000,
                    max: 3_000_000,
                },
                None,
            ),
            cluster: ClusterPlan {
                brokers: 1,
                controllers: 1,
                racks: Vec::new(),
                era: "4.0".into(),
                rules: Rules::default(),
                rules_of: BTreeMap::new(),
                config: ServerConfig::default(),
                config_of: BTreeMap::new(),
                sync: Range {
                    min: 500_000,
                    max: 1_000_000,
                },
                sync_tail: None,
            },
            admin: AdminConfig::default(),
            topics: [("orders".into(), topic)].into(),
            producers: [("shop".into(), producer)].into(),
            consumers: BTreeMap::new(),
            assets: BTreeMap::new(),
            steps: Vec::new(),
            end: EndPlan {
                at: Duration::secs(2),
                heal: Heal::All,
                within: None,
            },
            expect: Vec::new(),
            tries: Vec::new(),
            tell: Vec::new(),
            twins: Vec::new(),
        }
    }
}
