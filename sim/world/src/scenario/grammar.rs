//! The grammar of a scenario: one table of keys. The decoder takes names, kinds, units and defaults from it, the
//! reference page and the JSON Schema are made from it, and nothing else knows a key.
//!
//! A path is written as a JSON Pointer in which `*` stands for a name that the author chose or for a place in a list.
//! A default is the text that the file would have said.

use super::quantity::Range;
use Kind::*;
use Missing::{Absent, Is, Required};

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands, such as `/topics/*/partitions`.
    pub path: &'static str,
    /// What may be written there.
    pub kind: Kind,
    /// What is meant when it is missing.
    pub default: Missing,
    /// What it does.
    pub sentence: &'static str,
}

/// What a missing key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It must be written.
    Required,
    /// As if this JSON stood there.
    Is(&'static str),
    /// Nothing is meant.
    Absent,
}

/// What may be written for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An object with the keys of this table.
    Object,
    /// An object whose keys are names that the author chose.
    Names,
    /// A list.
    List,
    /// A text for people.
    Text,
    /// A name that the author chooses.
    Name,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number in a range.
    Whole(Range<u64>),
    /// `true` or `false`.
    Bool,
    /// `"150ms"`.
    Duration,
    /// `"1ms..3ms"`.
    Durations,
    /// `"20/s"`.
    Rate,
    /// `"64KiB"`.
    Bytes,
    /// `"10B..1KiB"`.
    Sizes,
    /// The lines of a file.
    Lines,
    /// `2` or `"1..3"`.
    Counts,
    /// `"2026-01-01T00:00:00Z"`.
    Instant,
    /// The name of a topic of this scenario.
    Topic,
    /// `"orders-0"`.
    Partition,
    /// `"leader of orders-0"`.
    Selector,
    /// Two selectors: the ends of a link.
    Link,
    /// `"leader of orders-0 appended offset 40"`.
    Trigger,
    /// `"isr of orders-0 is 1"`, `"time is past 20s"`.
    Condition,
    /// `"8s"` or `"ever"`.
    Lasts,
    /// `"drawn"`, `"synced"`, or a number.
    Keep,
    /// `"log.lost == 0"`.
    Expectation,
    /// Keys of Kafka, in Kafka's spelling.
    Config(Table),
    /// Protocol switches, for all processes or by server.
    Switches,
    /// Protocol switches that one consumer obeys.
    OwnSwitches,
    /// An era of Kafka.
    Era,
    /// Paths into the scenario and what to put there.
    Set,
    /// A path into the scenario.
    Pointer,
    /// Any value.
    Json,
    /// Known, and not built yet.
    NotBuilt(&'static str),
}

/// Which of Kafka's tables a config is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Brokers and controllers.
    Server,
    /// Topics.
    Topic,
    /// Producers.
    Producer,
    /// Consumers.
    Consumer,
    /// Admin clients.
    Admin,
}

impl Kind {
    /// What was expected, in an error.
    pub fn expected(&self) -> String {
        let fixed = match self {
            Kind::Whole(range) if range.max == u64::MAX => {
                return format!("a whole number of at least {}", range.min);
            }
            Kind::Whole(range) => {
                return format!("a whole number from {} to {}", range.min, range.max);
            }
            Kind::Word(words) => return super::error::one_of(words),
            Kind::Object => "an object: `{ … }`",
            Kind::Names => "an object with a name for each entry: `{ \"name\": { … } }`",
            Kind::List => "a list: `[ … ]`",
            Kind::Text => "a text in double quotes",
            Kind::Name => "a name in double quotes",
            Kind::Bool => "true or false",
            Kind::Duration => "a duration with its unit, such as \"150ms\"",
            Kind::Durations => "a duration or a range, such as \"2ms\" or \"1ms..3ms\"",
            Kind::Rate => "a rate, such as \"20/s\"",
            Kind::Bytes => "a size with its unit, such as \"64KiB\"",
            Kind::Sizes => "a size or a range, such as \"64KiB\" or \"10B..1KiB\"",
            Kind::Lines => "a file, such as \"airports.jsonl\", or a list of lines",
            Kind::Counts => "a whole number or a range, such as 2 or \"1..3\"",
            Kind::Instant => "an instant in UTC, such as \"2026-01-01T00:00:00Z\"",
            Kind::Topic => "the name of a topic",
            Kind::Partition => "a partition, such as \"orders-0\"",
            Kind::Selector => "a process by name or by role, such as \"leader of orders-0\"",
            Kind::Link => "two processes, such as `[\"leader of orders-0\", \"controllers\"]`",
            Kind::Trigger => {
                "a fact to wait for, such as \"leader of orders-0 appended offset 40\""
            }
            Kind::Condition => {
                "a condition, such as \"isr of orders-0 is 1\" or \"time is past 20s\""
            }
            Kind::Lasts => "a duration, such as \"8s\", or \"ever\"",
            Kind::Keep => {
                "\"drawn\", \"synced\", \"torn\", \"torn at 512B\" or a number of batches"
            }
            Kind::Expectation => "an expectation, such as \"log.lost == 0\"",
            Kind::Config(_) => "an object with Kafka's keys, such as `{ \"linger.ms\": 5 }`",
            Kind::Switches => {
                "an object with protocol switches, such as `{ \"prevote\": \"off\" }`"
            }
            Kind::OwnSwitches => {
                "an object with protocol switches, such as `{ \"position-validation\": \"off\" }`"
            }
            Kind::Era => "an era of Kafka, such as \"4.0\"",
            Kind::Set => {
                "an object with paths, such as `{ \"/producers/shop/config/acks\": \"1\" }`"
            }
            Kind::Pointer => "a path, such as \"/producers/shop/config/acks\"",
            Kind::Json => "a value",
            Kind::NotBuilt(_) => "a key that is built",
        };
        fixed.into()
    }

    /// The unit of the quantity, for the reference page.
    pub fn unit(&self) -> &'static str {
        match self {
            Kind::Duration | Kind::Durations | Kind::Lasts => "ns, us, ms, s, min, h, d",
            Kind::Rate => "per ns, us, ms, s, min, h, d",
            Kind::Bytes | Kind::Sizes => "B, KB, KiB, MB, MiB, GB, GiB",
            Kind::Instant => "RFC 3339, UTC",
            _ => "",
        }
    }
}

/// The key at a path of the table.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The keys directly below a path, with their names.
pub fn below(path: &str) -> impl Iterator<Item = (&'static str, &'static Key)> + '_ {
    KEYS.iter().filter_map(move |key| {
        let name = key.path.strip_prefix(path)?.strip_prefix('/')?;
        (!name.contains('/') && name != "*").then_some((name, key))
    })
}

const fn key(path: &'static str, kind: Kind, default: Missing, sentence: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        sentence,
    }
}

const fn whole(min: u64, max: u64) -> Kind {
    Kind::Whole(Range { min, max })
}

const MANY: u64 = u64::MAX;
const GROUPS: &str = "groups come with a later release; `consumers` with `assign` work now";
const APPS: &str = "applications with their own logic come with a later release; `producers` and `consumers` work now";
const SWARM: &str = "swarms come with a later release; `random` in a `window` works now";

/// The table.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    // The scenario itself.
    key("/$schema", Text, Absent, "Where the JSON Schema of scenarios lies (schema/scenario.json), for editors; klab does not look there."),
    key("/format", whole(1, 1), Is("1"), "The version of this grammar."),
    key("/title", Text, Required, "What happens, in one line."),
    key("/teaches", Text, Absent, "What one can learn from it."),
    key("/base", Name, Absent, "Another scenario that this one changes: steps are added to its steps, any other key takes the place of its key."),
    key("/set", Set, Is("{}"), "Values put into the base at their paths, before the other keys."),
    key("/start", Instant, Is("\"2026-01-01T00:00:00Z\""), "The wall clock when the cluster boots."),
    key("/seed", whole(0, MANY), Absent, "The seed, if the command line names none; without both 1."),
    // Where it runs.
    key("/network", Object, Is("{}"), "The network between all processes."),
    key("/network/latency", Durations, Is("\"1ms..3ms\""), "How long bytes travel one way: always the same, or drawn from a range."),
    key("/network/bandwidth", Bytes, Absent, "Bytes per second on each connection; without it the network is as fast as it likes."),
    key("/network/tail", Object, Absent, "A few messages that take much longer than the others: twice as long, half as often."),
    key("/network/tail/ppm", whole(1, 1_000_000), Is("1000"), "How many of a million."),
    key("/network/tail/upto", Duration, Required, "The longest that one of them takes."),
    key("/network/loss", whole(0, 1_000_000), Is("0"), "How many of a million messages are lost at each try; a lost one is sent again after 200 ms, 400 ms and so on, and after 15 s its connection breaks."),
    key("/network/links", List, Is("[]"), "Links that differ from the others; a later entry wins."),
    key("/network/links/*", Object, Required, "Links that differ."),
    key("/network/links/*/between", Link, Required, "Whose: processes by name, brokers, controllers, clients, everyone, or racks."),
    key("/network/links/*/latency", Durations, Absent, "How long bytes travel one way on them."),
    key("/network/links/*/bandwidth", Bytes, Absent, "Bytes per second on each connection."),
    key("/network/nodes", Names, Is("{}"), "Machines that differ, by name."),
    key("/network/nodes/*", Object, Required, "A machine that differs."),
    key("/network/nodes/*/bandwidth", Bytes, Required, "Bytes per second that it can send to all others together."),
    key("/cluster", Object, Is("{}"), "The brokers and the controllers. Combined mode is left out."),
    key("/cluster/brokers", whole(1, 200), Is("3"), "How many brokers: broker-1, broker-2, …"),
    key("/cluster/controllers", whole(1, 9), Is("3"), "How many controllers: controller-1, controller-2, …; all of them vote."),
    key("/cluster/racks", List, Is("[]"), "The racks of the brokers, in turn."),
    key("/cluster/racks/*", Name, Required, "A rack."),
    key("/cluster/era", Era, Is("\"4.0\""), "The release whose rules all processes follow."),
    key("/cluster/rules", Switches, Is("{}"), "Single protocol switches that differ from the era, for servers and consumers; under a server's name, for that server alone."),
    key("/cluster/config", Config(Table::Server), Is("{}"), "Kafka's settings of brokers and controllers; under a process's name, for that process alone."),
    key("/cluster/sync", Durations, Is("\"500us..1ms\""), "How long a disk takes to sync a file."),
    key("/cluster/sync-tail", Object, Absent, "A few syncs that take much longer than the others: twice as long, half as often."),
    key("/cluster/sync-tail/ppm", whole(1, 1_000_000), Is("1000"), "How many of a million."),
    key("/cluster/sync-tail/upto", Duration, Required, "The longest that one of them takes."),
    key("/admin", Object, Is("{}"), "The operator."),
    key("/admin/config", Config(Table::Admin), Is("{}"), "Kafka's settings of the operator's client."),
    // What is in it.
    key("/topics", Names, Is("{}"), "The topics, created before time 0."),
    key("/topics/*", Object, Required, "A topic."),
    key("/topics/*/partitions", whole(1, 5_000), Is("1"), "How many partitions."),
    key("/topics/*/replication.factor", whole(1, 200), Absent, "How many replicas of each partition, which Kafka places; without it 3, or all brokers if there are fewer."),
    key("/topics/*/replicas", List, Absent, "Replicas by hand, instead of partitions and replication.factor: the brokers of each partition, the preferred leader first."),
    key("/topics/*/replicas/*", List, Required, "The replicas of one partition."),
    key("/topics/*/replicas/*/*", whole(1, 200), Required, "A broker's number."),
    key("/topics/*/created", Word(&["before", "later"]), Is("\"before\""), "Before time 0; or by a step or a client, and the name is only known."),
    key("/topics/*/config", Config(Table::Topic), Is("{}"), "Kafka's settings of the topic."),
    key("/producers", Names, Is("{}"), "Applications that only send."),
    key("/producers/*", Object, Required, "A producer."),
    key("/producers/*/topic", Topic, Required, "Where it sends to."),
    key("/producers/*/records", whole(1, 10_000_000), Required, "How many records it sends."),
    key("/producers/*/rate", Rate, Is("\"20/s\""), "How fast its own callers ask."),
    key("/producers/*/after", Duration, Is("\"0s\""), "When its callers begin to ask."),
    key("/producers/*/burst", whole(1, 1_000_000), Is("1"), "How many records fall due at once; the rate stays what it is."),
    key("/producers/*/unanswered", whole(1, 1_000_000), Absent, "How many of its sends may be without an answer before it sends more; 1 is `send(…).get()`. Without it, it does not wait."),
    key("/producers/*/keys", whole(1, 1_000_000), Absent, "How many different keys its records have; without it they have none."),
    key("/producers/*/tombstones", whole(1, 1_000_000), Absent, "Every so manieth record has no value: in a compacted topic it deletes its key."),
    key("/producers/*/key-order", Word(&["in-turn", "uniform", "skewed"]), Is("\"in-turn\""), "Which key comes when: one after the other, each as often as any other, or the first as often as the next two, as the next four, and so on, nearly Zipf's law."),
    key("/producers/*/size", Sizes, Is("\"100B\""), "The size of each record's value: always the same, or drawn from a range."),
    key("/producers/*/rows", Name, Absent, "The asset whose rows it sends as values, from the first on, again and again."),
    key("/producers/*/key-field", Text, Absent, "The field of a row that is the record's key; without it the rows have none."),
    key("/producers/*/partition", whole(0, 4_999), Absent, "The partition that it names for each record; without it a partitioner chooses."),
    key("/producers/*/timestamp", Instant, Absent, "The timestamp that it gives each record; without it `send` takes the producer's clock."),
    key("/producers/*/headers", Names, Is("{}"), "Headers of each record."),
    key("/producers/*/headers/*", Text, Required, "A header's value."),
    key("/producers/*/answers", Word(&["in-callback", "after-send"]), Is("\"in-callback\""), "When it tells its own caller that a record is accepted."),
key("/producers/*/on-failure", Word(&["give-up", "resend"]), Is("\"give-up\""), "What it does when a send fails that may go well another time: tell its caller, or send the record again as a new one, a second later."),
    key("/producers/*/on-restart", Word(&["continue", "resend-unconfirmed"]), Is("\"continue\""), "What it does with records it has no confirmation for, when it comes back."),
    key("/producers/*/on-stop", Word(&["close", "exit"]), Is("\"close\""), "What it does when it is asked to stop: close its producer, which sends what is queued, or exit at once."),
    key("/producers/*/client", Word(&["java", "librdkafka"]), Is("\"java\""), "Which client it has: Kafka's own, or librdkafka, which is under Python, Go, C# and Node, with its own settings."),
    key("/producers/*/polls", Word(&["after-send", "at-the-end"]), Is("\"after-send\""), "When it polls: librdkafka hands out delivery reports only then. Kafka's own client needs no poll."),
    key("/producers/*/config", Config(Table::Producer), Is("{}"), "Kafka's settings of the producer, or librdkafka's if that is its client."),
    key("/consumers", Names, Is("{}"), "Applications that read assigned partitions, without a group."),
    key("/consumers/*", Object, Required, "A consumer."),
    key("/consumers/*/assign", List, Required, "The partitions it reads."),
    key("/consumers/*/assign/*", Partition, Required, "A partition."),
    key("/consumers/*/config", Config(Table::Consumer), Is("{}"), "Kafka's settings of the consumer."),
    key("/consumers/*/rules", OwnSwitches, Is("{}"), "Protocol switches of this consumer that differ from those of the cluster."),
    key("/groups", NotBuilt(GROUPS), Absent, "Consumer groups."),
    key("/apps", NotBuilt(APPS), Absent, "Applications with their own logic."),
    key("/assets", Names, Is("{}"), "Rows that records are made of."),
    key("/assets/*", Lines, Required, "A file beside the scenario or one that comes with klab, such as \"airports.jsonl\", or its lines: objects of JSON, or CSV with the names of its fields in the first line."),
    // What happens to it.
    key("/steps", List, Is("[]"), "What happens: when, one verb, modifiers."),
    key("/steps/*", Object, Required, "A step."),
    key("/steps/*/id", whole(1, MANY), Absent, "Its own number, by which it draws; without one a hash of its content."),
    key("/steps/*/at", Duration, Absent, "When: at this time."),
    key("/steps/*/when", Trigger, Absent, "When: as soon as this happens."),
    key("/steps/*/window", Durations, Absent, "When: at times drawn from this range."),
    key("/steps/*/random", Word(&["partition", "network", "crash", "power", "pause", "message", "disk", "clock", "slow", "answer", "any"]), Absent, "Harms of this family, drawn by seed."),
    key("/steps/*/swarm", NotBuilt(SWARM), Absent, "A whole schedule drawn by seed."),
    key("/steps/*/crash", Selector, Absent, "These processes die."),
    key("/steps/*/pause", Selector, Absent, "These processes take no input."),
    key("/steps/*/stop", Selector, Absent, "These processes are asked to stop cleanly."),
    key("/steps/*/start", Selector, Absent, "These processes are started, if they do not run."),
    key("/steps/*/cut", Link, Absent, "Nothing passes between the two; what is under way waits."),
    key("/steps/*/isolate", Selector, Absent, "These processes are cut from everyone."),
    key("/steps/*/black-hole", Link, Absent, "What goes from the first to the second vanishes."),
    key("/steps/*/reset", Link, Absent, "The connections between the two break; both ends are told."),
    key("/steps/*/slow", Link, Absent, "Messages between the two take longer."),
    key("/steps/*/clog", Link, Absent, "What is sent between the two from now on waits, and is let go all at once."),
    key("/steps/*/drop-packets", Link, Absent, "Some messages between the two are lost and sent again later, as TCP does."),
    key("/steps/*/refuse", Selector, Absent, "Nobody gets a new connection to these processes."),
    key("/steps/*/slow-accept", Selector, Absent, "New connections to these processes stand later."),
    key("/steps/*/ring", Selector, Absent, "Each of these processes, four or more, sees a bare majority of them, its neighbours in a ring; no two see the same."),
    key("/steps/*/clock", Selector, Absent, "The wall clocks of these machines are wrong; their monotonic ones are not."),
    key("/steps/*/slow-node", Selector, Absent, "These processes take longer for everything."),
    key("/steps/*/stall", Selector, Absent, "The disks of these machines finish no sync."),
    key("/steps/*/fail-disk", Selector, Absent, "The disks of these machines refuse writes: who has no other halts."),
    key("/steps/*/hold", Object, Absent, "One request or response is held, and all behind it on its connection."),
    key("/steps/*/hold/request", Name, Absent, "The API whose request is held."),
    key("/steps/*/hold/response", Name, Absent, "The API whose response is held."),
    key("/steps/*/hold/from", Selector, Required, "Who sends it."),
    key("/steps/*/hold/to", Selector, Required, "Who should get it."),
    key("/steps/*/hold/nth", whole(1, 1_000_000), Is("1"), "The how manieth from now on."),
    key("/steps/*/answer", Object, Absent, "Some requests are answered with an error in their server's place, which never sees them."),
    key("/steps/*/answer/request", Name, Required, "The API whose requests are answered."),
    key("/steps/*/answer/from", Selector, Required, "Who sends them."),
    key("/steps/*/answer/to", Selector, Required, "In whose place."),
    key("/steps/*/answer/with", Name, Required, "The error, by Kafka's name, such as \"NOT_LEADER_OR_FOLLOWER\"."),
    key("/steps/*/answer/nth", whole(1, 1_000_000), Is("1"), "The how manieth from now on is the first."),
    key("/steps/*/answer/take", whole(1, 1_000_000), Is("1"), "How many, that one included."),
    key("/steps/*/throttle", Object, Absent, "After some requests their server reads nothing from their connection for a while."),
    key("/steps/*/throttle/request", Name, Required, "The API of the requests."),
    key("/steps/*/throttle/from", Selector, Required, "Who sends them."),
    key("/steps/*/throttle/to", Selector, Required, "Who reads them."),
    key("/steps/*/throttle/by", Duration, Is("\"1s\""), "For how long, each time."),
    key("/steps/*/throttle/nth", whole(1, 1_000_000), Is("1"), "The how manieth from now on is the first."),
    key("/steps/*/throttle/take", whole(1, 1_000_000), Is("1"), "How many, that one included."),
    key("/steps/*/roll", Selector, Absent, "These servers are restarted one after another, each when all replicas are in sync."),
    key("/steps/*/lose", Object, Absent, "One request or response is lost, and with it its connection."),
    key("/steps/*/lose/request", Name, Absent, "The API whose request is lost."),
    key("/steps/*/lose/response", Name, Absent, "The API whose response is lost."),
    key("/steps/*/lose/from", Selector, Required, "Who sends it."),
    key("/steps/*/lose/to", Selector, Required, "Who should get it."),
    key("/steps/*/lose/nth", whole(1, 1_000_000), Is("1"), "The how manieth from now on."),
    key("/steps/*/admin", Object, Absent, "An operator asks for something, through a client of their own."),
    key("/steps/*/admin/alter-config", Config(Table::Topic), Absent, "Change settings, null for none: of the topic named by `topic`, or of brokers, with `broker` and a number or \"all\"."),
    key("/steps/*/admin/describe-config", Object, Absent, "Show which settings somebody has set, and in which layer."),
    key("/steps/*/admin/describe-config/topic", Topic, Absent, "Those of a topic."),
    key("/steps/*/admin/describe-config/broker", Json, Absent, "Those of a broker, by its number; \"all\" for the dynamic default."),
    key("/steps/*/admin/create-topic", Object, Absent, "Create a topic."),
    key("/steps/*/admin/create-topic/topic", Topic, Required, "Its name."),
    key("/steps/*/admin/create-topic/partitions", whole(1, 5_000), Absent, "How many partitions; without it `num.partitions`."),
    key("/steps/*/admin/create-topic/replication.factor", whole(1, 200), Absent, "How many replicas; without it `default.replication.factor`."),
    key("/steps/*/admin/create-topic/replicas", List, Absent, "Replicas by hand, one list of brokers for each partition."),
    key("/steps/*/admin/create-topic/config", Config(Table::Topic), Is("{}"), "Kafka's settings of the topic."),
    key("/steps/*/admin/create-topic/validate-only", Bool, Is("false"), "Only ask whether it could be created."),
    key("/steps/*/admin/delete-topic", Topic, Absent, "Delete a topic."),
    key("/steps/*/admin/add-partitions", Object, Absent, "Give a topic more partitions."),
    key("/steps/*/admin/add-partitions/topic", Topic, Required, "Which."),
    key("/steps/*/admin/add-partitions/count", whole(1, 5_000), Required, "How many it shall have, with those it has."),
    key("/steps/*/admin/add-partitions/replicas", List, Absent, "Replicas of the new ones by hand."),
    key("/steps/*/admin/add-partitions/validate-only", Bool, Is("false"), "Only ask whether they could be created."),
    key("/steps/*/admin/elect-leaders", Object, Absent, "Elect leaders."),
    key("/steps/*/admin/elect-leaders/election", Word(&["preferred", "unclean"]), Is("\"preferred\""), "The first replica, if it is in sync; or any that lives, where there is no leader."),
    key("/steps/*/admin/elect-leaders/partitions", List, Absent, "Of which partitions; without it of all."),
    key("/steps/*/admin/elect-leaders/partitions/*", Partition, Required, "A partition."),
    key("/steps/*/admin/delete-records", Object, Absent, "Give up records of a partition (DeleteRecords)."),
    key("/steps/*/admin/delete-records/partition", Partition, Required, "Of which partition."),
    key("/steps/*/admin/delete-records/before", whole(0, 1_000_000_000), Absent, "The first offset to be kept; without it all that is committed goes."),
    key("/steps/*/how", Text, Absent, "For `crash`: \"kill\" (what was written is in the page cache), \"power-loss\" or \"disk-loss\". For `cut`, `isolate` and `clog`: \"two-way\" or \"one-way\". For `clock`: \"ahead\" or \"behind\" `by` so much, or `ppm` millionths too \"fast\" or \"slow\". For `fail-disk`: \"full\" or \"dead\". For `roll`: \"stop\" or \"kill\"."),
    key("/steps/*/down", Duration, Is("\"1s\""), "How long each one is down."),
    key("/steps/*/keep", Keep, Is("\"drawn\""), "What a loss of power leaves of each file beyond what was synced: a drawn part, nothing (\"synced\"), so many batches, or a drawn number of bytes (\"torn\", \"torn at 512B\", \"torn at 4KiB\")."),
    key("/steps/*/factor", whole(2, 1_000), Is("10"), "How many times as long it takes."),
    key("/steps/*/ppm", whole(1, 1_000_000), Is("10000"), "How many messages of a million are lost at each try, or how many millionths a clock runs wrong."),
    key("/steps/*/by", Duration, Is("\"500ms\""), "How far the clock is wrong."),
    key("/steps/*/delay", Duration, Is("\"1s\""), "How much later a connection stands."),
    key("/steps/*/for", Lasts, Absent, "How long it lasts; without it until the end, when the scenario heals, or as `random` draws; \"ever\" lasts beyond that."),
    key("/steps/*/nth", whole(1, 1_000_000), Is("1"), "The how manieth time that the trigger is met."),
    key("/steps/*/after", Duration, Is("\"0s\""), "So long after the trigger is met; at once means between two outputs of the process."),
    key("/steps/*/point", Word(&["before-response", "after-response", "after-append", "after-metadata-append", "before-answer", "before-request", "after-request", "on-answer", "between-checkpoints", "after-truncation", "after-epoch", "after-vote", "after-roll", "before-flush", "after-clean-marker"]), Is("\"before-response\""), "After `when`: at once, before the process's answers leave, or just after they left. For `crash`: the place in its own work at which a process dies the next time it passes there."),
    key("/steps/*/while", Condition, Absent, "The trigger counts only while this holds."),
    key("/steps/*/optional", Bool, Is("false"), "The run is good even if nothing triggers the step or nobody fits its selectors."),
    key("/steps/*/count", Counts, Is("1"), "How many times in the window."),
    key("/steps/*/budget", Word(&["recoverable", "none"]), Is("\"recoverable\""), "What random harms may destroy: never all copies of an acknowledged record, or anything."),
    // How it ends.
    key("/end", Object, Is("{}"), "How the run ends: heal, get quiet, let a fresh reader read all."),
    key("/end/at", Duration, Absent, "When the workload is over and healing begins; without it after 1 min, or 10 s after the last record is due."),
    key("/end/heal", Word(&["all", "none"]), Is("\"all\""), "What is healed when the workload is done: every fault but those for ever, or nothing."),
    key("/end/within", Duration, Absent, "How long the cluster may take after that until it is quiet and all is read; without it twice the longest timeout in force."),
    // What is said about it.
    key("/expect", List, Is("[]"), "What must hold at the end."),
    key("/expect/*", Expectation, Required, "An expectation."),
    key("/try", List, Is("[]"), "What a reader may change."),
    key("/try/*", Object, Required, "One thing to change."),
    key("/try/*/set", Pointer, Required, "Which value."),
    key("/try/*/to", List, Required, "The values to choose from."),
    key("/try/*/to/*", Json, Required, "A value."),
    key("/tell", List, Is("[]"), "What the short telling keeps."),
    key("/tell/*", Text, Required, "A topic of the telling."),
    key("/twins", List, Is("[]"), "The same scenario with one thing changed."),
    key("/twins/*", Object, Required, "A twin."),
    key("/twins/*/title", Text, Required, "What is different."),
    key("/twins/*/set", Set, Required, "Values put at their paths."),
    key("/twins/*/expect", List, Is("[]"), "What must hold at the end of the twin, instead."),
    key("/twins/*/expect/*", Expectation, Required, "An expectation."),
];
