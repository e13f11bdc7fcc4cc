//! From a [`Scenario`] back to a file. What the table of keys means anyway is not written.

use super::grammar::{self, Missing};
use super::quantity::{
    write_bytes, write_duration, write_durations, write_instant, write_rate, write_sizes,
};
use super::step::{FAMILIES, ids_by_content};
use super::tree::{Key, Node, Value};
use super::*;
use crate::disks::Keep;
use crate::fault::Intercept;
use crate::network::harm::Tail;
use klab_kafka::config::{Configs, LibrdkafkaConfig, ProducerConfig};
use klab_kafka::rules::SWITCHES;

impl Scenario {
    /// The tree of a file that means this scenario.
    pub fn to_node(&self) -> Node {
        let mut node = Node::map([
            ("format", Some(Node::number(1))),
            ("title", Some(Node::text(&*self.title))),
            (
                "teaches",
                self.teaches.as_ref().map(|text| Node::text(&**text)),
            ),
            ("start", Some(Node::text(write_instant(self.start.0)))),
            ("seed", self.seed.map(Node::number)),
            ("network", Some(network(&self.network))),
            ("cluster", Some(cluster(&self.cluster))),
            ("admin", Some(admin(&self.admin))),
            ("topics", Some(named(&self.topics, topic))),
            ("producers", Some(named(&self.producers, producer))),
            (
                "consumers",
                Some(named(&self.consumers, |plan| {
                    consumer(plan, &self.cluster.rules)
                })),
            ),
            (
                "assets",
                Some(named(&self.assets, |asset| texts(asset.lines()))),
            ),
            ("steps", Some(steps(&self.steps))),
            (
                "end",
                Some(end(&self.end, EndPlan::default_at(&self.producers))),
            ),
            ("expect", Some(texts(&self.expect))),
            ("try", Some(Node::list(self.tries.iter().map(one_try)))),
            ("tell", Some(texts(&self.tell))),
            ("twins", Some(Node::list(self.twins.iter().map(twin)))),
        ]);
        leave_out_defaults(&mut node, "");
        node
    }
}

fn texts<T: ToString>(items: &[T]) -> Node {
    Node::list(items.iter().map(|item| Node::text(item.to_string())))
}

fn named<T>(items: &BTreeMap<Arc<str>, T>, write: impl Fn(&T) -> Node) -> Node {
    Node::map(
        items
            .iter()
            .map(|(name, item)| (&**name, Some(write(item)))),
    )
}

fn network(network: &NetworkPlan) -> Node {
    Node::map([
        (
            "latency",
            Some(Node::text(write_durations(network.latency))),
        ),
        (
            "bandwidth",
            network
                .bandwidth
                .map(|bytes| Node::text(write_bytes(bytes))),
        ),
        ("tail", network.tail.map(tail)),
        ("loss", Some(Node::number(network.loss))),
        ("links", Some(Node::list(network.links.iter().map(link)))),
        (
            "nodes",
            Some(named(&network.nodes, |bytes| {
                Node::map([("bandwidth", Some(Node::text(write_bytes(*bytes))))])
            })),
        ),
    ])
}

fn tail(tail: Tail) -> Node {
    Node::map([
        ("ppm", Some(Node::number(tail.ppm))),
        ("upto", Some(Node::text(write_duration(tail.upto)))),
    ])
}

fn link(link: &LinkPlan) -> Node {
    let (a, b) = &link.between;
    Node::map([
        ("between", Some(texts(&[a, b]))),
        (
            "latency",
            link.latency.map(|l| Node::text(write_durations(l))),
        ),
        (
            "bandwidth",
            link.bandwidth.map(|b| Node::text(write_bytes(b))),
        ),
    ])
}

fn cluster(cluster: &ClusterPlan) -> Node {
    let era = Rules::era(&cluster.era).expect("only eras that are built are decoded");
    let rules = switches(&cluster.rules, &era);
    let rules_of = cluster.rules_of.iter().map(|(name, own)| {
        (
            name.to_string(),
            Some(Node::map(switches(own, &cluster.rules))),
        )
    });
    let config = settings(&cluster.config, &ServerConfig::default());
    let config_of = cluster.config_of.iter().map(|(name, own)| {
        (
            name.to_string(),
            Some(Node::map(settings(own, &cluster.config))),
        )
    });
    Node::map([
        ("brokers", Some(Node::number(cluster.brokers))),
        ("controllers", Some(Node::number(cluster.controllers))),
        ("racks", Some(texts(&cluster.racks))),
        ("era", Some(Node::text(&*cluster.era))),
        ("rules", Some(Node::map(rules.into_iter().chain(rules_of)))),
        (
            "config",
            Some(Node::map(config.into_iter().chain(config_of))),
        ),
        ("sync", Some(Node::text(write_durations(cluster.sync)))),
        ("sync-tail", cluster.sync_tail.map(tail)),
    ])
}

/// The switches that differ.
fn switches(rules: &Rules, from: &Rules) -> Vec<(String, Option<Node>)> {
    let differ = SWITCHES
        .iter()
        .filter(|switch| (switch.get)(rules) != (switch.get)(from));
    differ
        .map(|switch| {
            (
                switch.name.to_owned(),
                Some(Node::text((switch.get)(rules))),
            )
        })
        .collect()
}

/// The settings that were written. Some know whether they were written, even if it was their default (P-1): writing such
/// a one again changes nothing, and writing it into `from` does.
fn settings<C: Configs + Clone + PartialEq>(config: &C, from: &C) -> Vec<(String, Option<Node>)> {
    let written = |key: &&klab_kafka::config::ConfigKey<C>| {
        let set = |into: &C| {
            let mut changed = into.clone();
            (key.set)(&mut changed, &(key.get)(config))
                .ok()
                .map(|()| changed)
        };
        set(config).as_ref() == Some(config) && set(from).as_ref() != Some(from)
    };
    let keys = C::KEYS.iter().filter(written);
    keys.map(|key| (key.name.to_owned(), Some(setting(&(key.get)(config)))))
        .collect()
}

/// A number or a truth is written as itself, anything else as a text; 0 and 1 may be words (`acks`).
pub(super) fn setting(value: &str) -> Node {
    match value {
        "true" => Node::bool(true),
        "false" => Node::bool(false),
        number if number.parse::<i64>().is_ok_and(|n| n > 1) => Node::number(number),
        text => Node::text(text),
    }
}

fn admin(config: &AdminConfig) -> Node {
    let config = settings(config, &AdminConfig::default());
    Node::map([("config", Some(Node::map(config)))])
}

fn topic(topic: &TopicPlan) -> Node {
    let replicas = topic.replicas.as_ref().map(|partitions| {
        let partition =
            |brokers: &Vec<NodeId>| Node::list(brokers.iter().map(|broker| Node::number(broker.0)));
        Node::list(partitions.iter().map(partition))
    });
    let by_kafka = |node: Node| replicas.is_none().then_some(node);
    Node::map([
        ("partitions", by_kafka(Node::number(topic.partitions))),
        (
            "replication.factor",
            by_kafka(Node::number(topic.replication_factor)),
        ),
        ("config", Some(named(&topic.config, |value| setting(value)))),
        ("replicas", replicas.clone()),
        ("created", topic.later.then(|| Node::text("later"))),
    ])
}

fn producer(producer: &ProducerPlan) -> Node {
    let answers = match producer.answers {
        Answers::InCallback => "in-callback",
        Answers::AfterSend => "after-send",
    };
    let key_order = match producer.key_order {
        KeyOrder::InTurn => "in-turn",
        KeyOrder::Uniform => "uniform",
        KeyOrder::Skewed => "skewed",
    };
    let size = Range {
        min: u64::from(producer.size.min),
        max: u64::from(producer.size.max),
    };
    let rows = producer.rows.as_ref();
    let on_failure = match producer.on_failure {
        OnFailure::GiveUp => "give-up",
        OnFailure::Resend => "resend",
    };
    let on_restart = match producer.on_restart {
        OnRestart::Continue => "continue",
        OnRestart::ResendUnconfirmed => "resend-unconfirmed",
    };
    let on_stop = match producer.on_stop {
        OnStop::Close => "close",
        OnStop::Exit => "exit",
    };
    let (client, config) = match &producer.librdkafka {
        Some(own) => ("librdkafka", settings(own, &LibrdkafkaConfig::default())),
        None => (
            "java",
            settings(&producer.config, &ProducerConfig::default()),
        ),
    };
    let polls = match producer.polls {
        Polls::AfterSend => "after-send",
        Polls::AtTheEnd => "at-the-end",
    };
    Node::map([
        ("topic", Some(Node::text(&*producer.topic))),
        ("records", Some(Node::number(producer.records))),
        ("rate", Some(Node::text(write_rate(producer.rate)))),
        ("burst", Some(Node::number(producer.burst))),
        ("after", Some(Node::text(write_duration(producer.after.0)))),
        ("unanswered", producer.unanswered.map(Node::number)),
        ("keys", producer.keys.map(Node::number)),
        ("tombstones", producer.tombstones.map(Node::number)),
        ("key-order", Some(Node::text(key_order))),
        ("size", Some(Node::text(write_sizes(size)))),
        ("rows", rows.map(|rows| Node::text(&*rows.asset))),
        (
            "key-field",
            rows.and_then(|rows| rows.key_field.as_deref().map(Node::text)),
        ),
        ("partition", producer.partition.map(Node::number)),
        (
            "timestamp",
            producer.timestamp.map(|at| Node::text(write_instant(at.0))),
        ),
        (
            "headers",
            Some(named(&producer.headers, |value| Node::text(&**value))),
        ),
        ("answers", Some(Node::text(answers))),
        ("on-failure", Some(Node::text(on_failure))),
        ("on-restart", Some(Node::text(on_restart))),
        ("on-stop", Some(Node::text(on_stop))),
        ("client", Some(Node::text(client))),
        ("polls", Some(Node::text(polls))),
        ("config", Some(Node::map(config))),
    ])
}

fn consumer(consumer: &ConsumerPlan, cluster: &Rules) -> Node {
    Node::map([
        ("assign", Some(texts(&consumer.assign))),
        (
            "config",
            Some(Node::map(settings(
                &consumer.config,
                &ConsumerConfig::default(),
            ))),
        ),
        (
            "rules",
            consumer
                .rules
                .as_ref()
                .map(|own| Node::map(switches(own, cluster))),
        ),
    ])
}

impl Step {
    /// The tree of this step in a file, without an id.
    pub fn to_node(&self) -> Node {
        let mut node = step(self, None);
        leave_out_defaults(&mut node, "/steps/*");
        node
    }
}

/// A step whose content is its name needs no id.
fn steps(steps: &[Step]) -> Node {
    let by_content = ids_by_content(steps).into_iter();
    Node::list(
        steps
            .iter()
            .zip(by_content)
            .map(|(one, id)| step(one, (one.id != id).then_some(one.id))),
    )
}

fn step(step: &Step, id: Option<u64>) -> Node {
    let mut entries: Vec<(&str, Option<Node>)> = vec![("id", id.map(Node::number))];
    entries.extend(when(&step.when));
    match &step.action {
        Action::Fault(fault) => entries.extend(self::fault(fault)),
        Action::Random { family, budget } => {
            let known = FAMILIES.iter().find(|(known, _)| known == family);
            let (_, name) = known.expect("the table is whole");
            entries.push(("random", Some(Node::text(*name))));
            let budget = match budget {
                Budget::Recoverable => "recoverable",
                Budget::None => "none",
            };
            entries.push(("budget", Some(Node::text(budget))));
        }
        Action::Roll { who, kill, down } => {
            let how = if *kill { "kill" } else { "stop" };
            entries.push(("roll", Some(Node::text(who.to_string()))));
            entries.push(("how", Some(Node::text(how))));
            entries.push(("down", Some(Node::text(write_duration(down.0)))));
        }
        Action::Admin(operation) => entries.push(("admin", Some(operation.to_node()))),
    }
    entries.push((
        "for",
        match step.lasts {
            Lasts::For(duration) => Some(Node::text(write_duration(duration.0))),
            Lasts::UntilHeal => None,
            Lasts::Ever => Some(Node::text("ever")),
        },
    ));
    entries.push(("optional", Some(Node::bool(step.optional))));
    Node::map(entries)
}

fn when(when: &When) -> Vec<(&'static str, Option<Node>)> {
    match when {
        When::At(at) => vec![(
            "at",
            Some(Node::text(write_duration(at.0.max(0).unsigned_abs()))),
        )],
        When::Met {
            trigger,
            nth,
            after,
            only_while,
        } => vec![
            ("when", Some(Node::text(trigger.to_string()))),
            ("nth", Some(Node::number(nth))),
            ("after", Some(Node::text(write_duration(after.0)))),
            (
                "while",
                only_while
                    .as_ref()
                    .map(|condition| Node::text(condition.to_string())),
            ),
        ],
        When::Drawn { count, window } => {
            let counts = match count.min == count.max {
                true => Node::number(count.min),
                false => Node::text(format!("{}..{}", count.min, count.max)),
            };
            vec![
                ("count", Some(counts)),
                ("window", Some(Node::text(write_durations(*window)))),
            ]
        }
    }
}

fn fault(fault: &Fault<Selector>) -> Vec<(&'static str, Option<Node>)> {
    let one = |who: &Selector| Some(Node::text(who.to_string()));
    let link = |from: &Selector, to: &Selector| Some(texts(&[from, to]));
    let how = |how: &str| ("how", Some(Node::text(how)));
    match fault {
        Fault::Kill { who } => vec![("crash", one(who))],
        Fault::PowerLoss { who, keep } => {
            let keep = ("keep", Some(self::keep(keep)));
            vec![("crash", one(who)), how("power-loss"), keep]
        }
        Fault::CrashAt { who, point, power } => {
            let (who, point) = (("crash", one(who)), Node::text(point.name()));
            let point = ("point", Some(point));
            match power {
                None => vec![who, point],
                Some(keep) => {
                    let keep = ("keep", Some(self::keep(keep)));
                    vec![who, how("power-loss"), keep, point]
                }
            }
        }
        Fault::Answer { of, take, error } => {
            let with = ("with", Some(Node::text(error.name())));
            vec![("answer", Some(requests(of, *take, with)))]
        }
        Fault::Throttle { of, take, by } => {
            let by = ("by", Some(Node::text(write_duration(by.0))));
            vec![("throttle", Some(requests(of, *take, by)))]
        }
        Fault::DiskLoss { who } => vec![("crash", one(who)), how("disk-loss")],
        Fault::Pause { who } => vec![("pause", one(who))],
        Fault::Stop { who } => vec![("stop", one(who))],
        Fault::Start { who } => vec![("start", one(who))],
        Fault::Cut {
            from,
            to: Selector::Everyone,
            one_way: false,
        } => vec![("isolate", one(from))],
        Fault::Cut {
            from,
            to,
            one_way: false,
        } => vec![("cut", link(from, to))],
        Fault::Cut {
            from,
            to,
            one_way: true,
        } => vec![("cut", link(from, to)), how("one-way")],
        Fault::BlackHole { from, to } => vec![("black-hole", link(from, to))],
        Fault::Reset { from, to } => vec![("reset", link(from, to))],
        Fault::SlowLink { from, to, factor } => vec![
            ("slow", link(from, to)),
            ("factor", Some(Node::number(factor))),
        ],
        Fault::Clog { from, to, one_way } => {
            let clog = ("clog", link(from, to));
            match one_way {
                true => vec![clog, how("one-way")],
                false => vec![clog],
            }
        }
        Fault::DropPackets { from, to, ppm } => vec![
            ("drop-packets", link(from, to)),
            ("ppm", Some(Node::number(ppm))),
        ],
        Fault::Refuse { who } => vec![("refuse", one(who))],
        Fault::SlowAccept { who, delay } => vec![
            ("slow-accept", one(who)),
            ("delay", Some(Node::text(write_duration(delay.0)))),
        ],
        Fault::Ring { who } => vec![("ring", one(who))],
        Fault::Clock { who, ahead_ms } => {
            let by = write_duration(ahead_ms.unsigned_abs() * 1_000_000);
            let way = if *ahead_ms < 0 { "behind" } else { "ahead" };
            vec![("clock", one(who)), how(way), ("by", Some(Node::text(by)))]
        }
        Fault::Drift { who, ppm } => {
            let way = if *ppm < 0 { "slow" } else { "fast" };
            let ppm = Node::number(ppm.unsigned_abs());
            vec![("clock", one(who)), how(way), ("ppm", Some(ppm))]
        }
        Fault::SlowNode { who, factor } => vec![
            ("slow-node", one(who)),
            ("factor", Some(Node::number(factor))),
        ],
        Fault::Stall { who } => vec![("stall", one(who))],
        Fault::FailDisk { who, full } => {
            vec![
                ("fail-disk", one(who)),
                how(if *full { "full" } else { "dead" }),
            ]
        }
        Fault::Hold(message) => vec![("hold", Some(intercept(message)))],
        Fault::Lose(message) => vec![("lose", Some(intercept(message)))],
    }
}

fn keep(keep: &Keep) -> Node {
    match keep {
        Keep::Drawn => Node::text("drawn"),
        Keep::Synced => Node::text("synced"),
        Keep::More(batches) => Node::number(batches),
        Keep::Bytes(1) => Node::text("torn"),
        Keep::Bytes(block) => Node::text(format!("torn at {}", write_bytes(u64::from(*block)))),
    }
}

fn requests(of: &Intercept<Selector>, take: u32, deed: (&'static str, Option<Node>)) -> Node {
    Node::map([
        ("request", Some(Node::text(format!("{:?}", of.api)))),
        ("from", Some(Node::text(of.from.to_string()))),
        ("to", Some(Node::text(of.to.to_string()))),
        deed,
        ("nth", Some(Node::number(of.nth))),
        ("take", Some(Node::number(take))),
    ])
}

fn intercept(message: &Intercept<Selector>) -> Node {
    let kind = if message.response {
        "response"
    } else {
        "request"
    };
    Node::map([
        (kind, Some(Node::text(format!("{:?}", message.api)))),
        ("from", Some(Node::text(message.from.to_string()))),
        ("to", Some(Node::text(message.to.to_string()))),
        ("nth", Some(Node::number(message.nth))),
    ])
}

fn end(end: &EndPlan, default_at: Duration) -> Node {
    let heal = match end.heal {
        Heal::All => "all",
        Heal::None => "none",
    };
    Node::map([
        (
            "at",
            (end.at != default_at).then(|| Node::text(write_duration(end.at.0))),
        ),
        ("heal", Some(Node::text(heal))),
        (
            "within",
            end.within
                .map(|within| Node::text(write_duration(within.0))),
        ),
    ])
}

/// JSON text that was checked when the scenario was read, or a text.
fn json(text: &str) -> Node {
    Node::parse(text, 0).unwrap_or_else(|_| Node::text(text))
}

fn one_try(one: &Try) -> Node {
    Node::map([
        ("set", Some(Node::text(&*one.set))),
        ("to", Some(Node::list(one.to.iter().map(|text| json(text))))),
    ])
}

fn twin(twin: &Twin) -> Node {
    Node::map([
        ("title", Some(Node::text(&*twin.title))),
        ("set", Some(named(&twin.set, |text| json(text)))),
        ("expect", Some(texts(&twin.scenario.expect))),
    ])
}

/// Takes away what a missing key would mean.
fn leave_out_defaults(node: &mut Node, path: &str) {
    let below = |name: &str| match grammar::find(&format!("{path}/{name}")) {
        Some(_) => format!("{path}/{name}"),
        None => format!("{path}/*"),
    };
    match &mut node.value {
        Value::List(items) => items
            .iter_mut()
            .for_each(|item| leave_out_defaults(item, &below("*"))),
        Value::Map(entries) => {
            for (key, node) in entries.iter_mut() {
                leave_out_defaults(node, &below(&key.name));
            }
            entries.retain(|(Key { name, .. }, node)| {
                match grammar::find(&below(name)).map(|key| key.default) {
                    Some(Missing::Is(text)) => {
                        Node::parse(text, 0).expect("a default of the table is JSON") != *node
                    }
                    _ => true,
                }
            });
        }
        _ => {}
    }
}
