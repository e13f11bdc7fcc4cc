//! Every value of a scenario, from its place in the tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use klab_kafka::config::{LibrdkafkaConfig, ServerConfig, TopicConfig};
use klab_kafka::ids::NodeId;
use klab_kafka::rules::Rules;
use klab_kafka::time::{Duration, Timestamp};

use super::config;
use super::fields::{Entry, Fields, Mistakes, check_name, list, text, whole};
use super::{set_of, step};
use crate::network::harm::Tail;
use crate::scenario::asset::Asset;
use crate::scenario::error::{Mistake, quoted};
use crate::scenario::expect::{Expectation, PROMISES};
use crate::scenario::grammar::{self, Kind};
use crate::scenario::quantity::{Range, Rate};
use crate::scenario::selector::Known;
use crate::scenario::tree::{Node, Value};
use crate::scenario::{
    ADMIN, Answers, ClusterPlan, ConsumerPlan, EndPlan, Heal, KeyOrder, LinkPlan, NetworkPlan,
    OnFailure, OnRestart, OnStop, Polls, ProducerPlan, READER, RowsPlan, Scenario, Step, THEMES,
    TopicPlan, Try, Twin, step::ids_by_content,
};

/// Reads all of a scenario but its twins' own scenarios.
pub fn scenario(mistakes: &Mistakes<'_>, tree: &Node) -> Scenario {
    let root = Fields::new(mistakes, tree, "");
    root.whole("format");
    let cluster = cluster(&root.object("cluster"));
    let topics = named(&root, "topics", |entry| {
        topic(
            &Fields::new(mistakes, entry.node, "/topics/*"),
            cluster.brokers,
        )
    });
    let known = known(&root, &cluster, &topics);
    let assets = assets(&root);
    let producers = named(&root, "producers", |entry| {
        producer(
            &Fields::new(mistakes, entry.node, "/producers/*"),
            &known,
            &assets,
        )
    });
    let consumers = named(&root, "consumers", |entry| {
        consumer(
            &Fields::new(mistakes, entry.node, "/consumers/*"),
            &known,
            &cluster.rules,
        )
    });
    let end = end(&root.object("end"), EndPlan::default_at(&producers));
    let tries = root.list("try").into_iter();
    let mut scenario = Scenario {
        title: root.text("title").unwrap_or_default(),
        teaches: root.text("teaches"),
        seed: root.whole("seed"),
        start: Timestamp(root.instant("start").unwrap_or_default()),
        network: network(&root.object("network"), &known),
        cluster,
        admin: config::settings(&root.object("admin")),
        topics,
        producers,
        assets,
        consumers,
        steps: steps(&root, &known),
        end,
        expect: expectations(&root, &known),
        tries: tries
            .map(|node| one_try(&Fields::new(mistakes, node, "/try/*")))
            .collect(),
        tell: tell(&root, &known),
        twins: Vec::new(),
    };
    let plain = scenario.clone();
    let twins = root.list("twins").into_iter();
    scenario.twins = twins
        .map(|node| twin(&Fields::new(mistakes, node, "/twins/*"), &known, &plain))
        .collect();
    scenario
}

fn named<T>(
    root: &Fields<'_>,
    name: &str,
    read: impl Fn(&Entry<'_>) -> T,
) -> BTreeMap<Arc<str>, T> {
    root.names(name)
        .into_iter()
        .map(|entry| (entry.name.clone(), read(&entry)))
        .collect()
}

/// The words that selectors may use. Numbers that could not be read count as one, so that they make no second mistake.
fn known(
    root: &Fields<'_>,
    cluster: &ClusterPlan,
    topics: &BTreeMap<Arc<str>, TopicPlan>,
) -> Known {
    let size = |topic: &TopicPlan| {
        (
            topic.partitions.max(1),
            u32::try_from(topic.replication_factor.max(1)).expect("positive"),
        )
    };
    let size = |name: &Arc<str>, topic: &TopicPlan| {
        let (partitions, replicas) = size(topic);
        (partitions.max(grown(root, name)), replicas)
    };
    let mut known = Known {
        topics: topics
            .iter()
            .map(|(name, topic)| (name.clone(), size(name, topic)))
            .collect(),
        processes: nodes(cluster)
            .into_iter()
            .chain([ADMIN, READER].map(Arc::from))
            .collect(),
        racks: cluster.racks.iter().cloned().collect(),
    };
    for entry in ["producers", "consumers"]
        .into_iter()
        .flat_map(|apps| root.names(apps))
    {
        let name = check_name(&entry.name).and_then(|name| free(&name, &known));
        if root.mistakes.check(entry.span, name).is_some() {
            known.processes.insert(entry.name);
        }
    }
    known
}

/// How many partitions a topic has at most, as operators' steps say.
fn grown(root: &Fields<'_>, topic: &str) -> i32 {
    let Some(Value::List(steps)) = root.found("steps").map(|node| &node.value) else {
        return 0;
    };
    let count = |step: &Node| {
        let admin = step.get("admin")?;
        let verb = |verb: &str, count: &str| {
            let object = admin.get(verb)?;
            let named = object.get("topic")?.value == Value::Text(topic.into());
            match &object.get(count)?.value {
                Value::Number(n) if named => n.parse().ok(),
                _ => None,
            }
        };
        verb("add-partitions", "count").or_else(|| verb("create-topic", "partitions"))
    };
    steps.iter().filter_map(count).max().unwrap_or(0)
}

fn nodes(cluster: &ClusterPlan) -> Vec<Arc<str>> {
    let brokers = (1..=cluster.brokers).map(|n| format!("broker-{n}").into());
    let controllers = (1..=cluster.controllers).map(|n| format!("controller-{n}").into());
    brokers.chain(controllers).collect()
}

/// An application may not be called like a node, like a role, or like another application.
fn free(name: &Arc<str>, known: &Known) -> Result<(), Mistake> {
    let roles = [
        "brokers",
        "controllers",
        "clients",
        "everyone",
        "the",
        "any",
        "rack",
        "leader",
        "follower",
        "followers",
    ];
    let node = ["broker-", "controller-"]
        .iter()
        .any(|node| name.starts_with(node));
    match node || roles.contains(&&**name) || known.processes.contains(name) {
        true => Err(Mistake::new(
            format!("the name {}, which is taken", quoted(name)),
            "another name for this application",
        )),
        false => Ok(()),
    }
}

fn network(fields: &Fields<'_>, known: &Known) -> NetworkPlan {
    let latency = fields
        .durations("latency")
        .unwrap_or(Range { min: 0, max: 0 });
    let links = fields.list("links").into_iter();
    NetworkPlan {
        latency,
        bandwidth: fields.bytes("bandwidth"),
        tail: fields
            .found("tail")
            .and_then(|_| tail(&fields.object("tail"))),
        loss: fields.small("loss").unwrap_or_default(),
        links: links
            .filter_map(|node| {
                link(
                    &Fields::new(fields.mistakes, node, "/network/links/*"),
                    known,
                )
            })
            .collect(),
        nodes: fields
            .names("nodes")
            .into_iter()
            .filter_map(|entry| {
                let name = known.process(&entry.name);
                let name = fields.mistakes.check(entry.span, name);
                let own = Fields::new(fields.mistakes, entry.node, "/network/nodes/*");
                Some((name?, own.bytes("bandwidth")?))
            })
            .collect(),
    }
}

fn tail(fields: &Fields<'_>) -> Option<Tail> {
    let (ppm, upto) = (fields.small("ppm"), fields.duration("upto"));
    Some(Tail {
        ppm: ppm?,
        upto: upto?,
    })
}

/// Links whose ends do not change while a run goes on.
fn link(fields: &Fields<'_>, known: &Known) -> Option<LinkPlan> {
    let between = step::link(fields, "between", known);
    for side in between.iter().flat_map(|(a, b)| [a, b]) {
        if !side.is_fixed() {
            let found = format!("the selector \"{side}\", whose meaning changes");
            let node = fields.found("between").expect("it was read");
            fields.mistakes.add(
                node.span,
                Mistake::new(
                    found,
                    "processes by name, brokers, controllers, clients, everyone, or a rack",
                ),
            );
        }
    }
    Some(LinkPlan {
        between: between?,
        latency: fields.durations("latency"),
        bandwidth: fields.bytes("bandwidth"),
    })
}

fn cluster(fields: &Fields<'_>) -> ClusterPlan {
    let rack = |node: &Node| {
        fields
            .mistakes
            .check(node.span, text(node, &Kind::Name).and_then(check_name))
    };
    let era = fields
        .value("era", |node, _| config::era(node))
        .unwrap_or_default();
    let mut cluster = ClusterPlan {
        brokers: fields.small("brokers").unwrap_or(1),
        controllers: fields.small("controllers").unwrap_or(1),
        racks: fields.list("racks").into_iter().filter_map(rack).collect(),
        rules: Rules::era(&era).unwrap_or_default(),
        era,
        rules_of: BTreeMap::new(),
        config: ServerConfig::default(),
        config_of: BTreeMap::new(),
        sync: fields.durations("sync").unwrap_or(Range { min: 0, max: 0 }),
        sync_tail: fields
            .found("sync-tail")
            .and_then(|_| tail(&fields.object("sync-tail"))),
    };
    let nodes = nodes(&cluster);
    (cluster.rules, cluster.rules_of) =
        config::for_all_and_each(fields, "rules", &nodes, cluster.rules, config::switch);
    (cluster.config, cluster.config_of) = config::for_all_and_each(
        fields,
        "config",
        &nodes,
        cluster.config,
        config::server_setting,
    );
    cluster
}

fn topic(fields: &Fields<'_>, brokers: u32) -> TopicPlan {
    let (partitions, replication) = (
        fields.small("partitions"),
        fields.small("replication.factor"),
    );
    let replicas = fields.found("replicas").map(|node| by_hand(fields, node));
    let count = |n: usize| u32::try_from(n).expect("a list has a limit");
    let (partitions, replication) = match &replicas {
        Some(replicas) => (
            Some(count(replicas.len())),
            Some(count(replicas.first().map_or(0, Vec::len))),
        ),
        None => (partitions, replication),
    };
    let config = fields.names("config").into_iter().filter_map(|entry| {
        let value =
            config::setting::<TopicConfig>(fields.mistakes, &entry.name, entry.span, entry.node)?;
        Some((entry.name, value.into()))
    });
    TopicPlan {
        partitions: i32::try_from(partitions.unwrap_or(1)).expect("the table keeps it small"),
        replication_factor: i16::try_from(replication.unwrap_or(brokers.min(3)))
            .unwrap_or(i16::MAX),
        replicas,
        config: config.collect(),
        later: fields.word("created") == "later",
    }
}

fn by_hand(fields: &Fields<'_>, node: &Node) -> Vec<Vec<NodeId>> {
    for other in ["partitions", "replication.factor"] {
        if let Some(node) = fields.found(other) {
            let found = format!("\"{other}\" beside \"replicas\"");
            fields.mistakes.add(
                node.span,
                Mistake::new(found, "one of the two: replicas by hand say how many"),
            );
        }
    }
    let kind = grammar::find("/topics/*/replicas/*/*")
        .expect("in the table")
        .kind;
    let broker = |node: &&Node| fields.mistakes.check(node.span, whole(node, &kind));
    let id = |n: u64| NodeId(i32::try_from(n).expect("the table keeps it small"));
    let replicas = |node: &Node| {
        list(fields.mistakes, node)
            .iter()
            .filter_map(broker)
            .map(id)
            .collect()
    };
    list(fields.mistakes, node)
        .into_iter()
        .map(replicas)
        .collect()
}

fn assets(root: &Fields<'_>) -> BTreeMap<Arc<str>, Asset> {
    let read = |entry: Entry<'_>| {
        let asset = Asset::of(entry.node);
        let asset = root.mistakes.check(entry.node.span, asset)?;
        Some((entry.name, asset))
    };
    root.names("assets").into_iter().filter_map(read).collect()
}

/// What a producer takes from an asset.
fn rows(fields: &Fields<'_>, assets: &BTreeMap<Arc<str>, Asset>) -> Option<RowsPlan> {
    let key_field = fields.text("key-field");
    let Some(name) = fields.found("rows") else {
        if fields.found("key-field").is_some() {
            let mistake = Mistake::new("\"key-field\" without \"rows\"", "the asset in `rows`");
            fields.mistakes.add(fields.key_span("key-field"), mistake);
        }
        return None;
    };
    let asset = text(name, &Kind::Name).and_then(|name| {
        let known = assets.get_key_value(name);
        known.ok_or_else(|| Mistake::unknown("asset", name, assets.keys().map(|name| &**name)))
    });
    let (asset, rows) = fields.mistakes.check(name.span, asset)?;
    let found = rows.rows(key_field.as_deref());
    let place = fields
        .found("key-field")
        .map_or(name.span, |node| node.span);
    Some(RowsPlan {
        asset: asset.clone(),
        rows: fields.mistakes.check(place, found)?,
        key_field,
    })
}

fn producer(
    fields: &Fields<'_>,
    known: &Known,
    assets: &BTreeMap<Arc<str>, Asset>,
) -> ProducerPlan {
    let librdkafka: Option<LibrdkafkaConfig> = match fields.word("client") {
        "librdkafka" => Some(config::settings(fields)),
        _ => None,
    };
    let small = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    let size = fields.sizes("size").unwrap_or(Range { min: 0, max: 0 });
    let headers = fields.names("headers").into_iter().filter_map(|entry| {
        let value = text(entry.node, &Kind::Text);
        let value = fields.mistakes.check(entry.node.span, value)?;
        Some((entry.name, value.into()))
    });
    let polls = match fields.word("polls") {
        "at-the-end" => Polls::AtTheEnd,
        _ => Polls::AfterSend,
    };
    let unanswered = fields.small("unanswered");
    if unanswered.is_some() && polls == Polls::AtTheEnd {
        let found = "\"unanswered\" with \"polls\": \"at-the-end\"";
        let mistake = Mistake::new(
            found,
            "one of the two: who waits for an answer polls for it",
        );
        fields.mistakes.add(fields.key_span("unanswered"), mistake);
    }
    ProducerPlan {
        topic: fields
            .value("topic", |node, kind| known.topic(text(node, kind)?))
            .unwrap_or_default(),
        records: fields.small("records").unwrap_or(1),
        rate: fields.rate("rate").unwrap_or(Rate {
            count: 1,
            per_ns: 1,
        }),
        burst: fields.small("burst").unwrap_or(1),
        after: Duration(fields.duration("after").unwrap_or_default()),
        unanswered,
        keys: fields.small("keys"),
        tombstones: fields.small("tombstones"),
        key_order: match fields.word("key-order") {
            "uniform" => KeyOrder::Uniform,
            "skewed" => KeyOrder::Skewed,
            _ => KeyOrder::InTurn,
        },
        size: Range {
            min: small(size.min),
            max: small(size.max),
        },
        rows: rows(fields, assets),
        partition: fields
            .small("partition")
            .map(|p| i32::try_from(p).expect("the table keeps it small")),
        timestamp: fields.instant("timestamp").map(Timestamp),
        headers: headers.collect(),
        on_failure: match fields.word("on-failure") {
            "resend" => OnFailure::Resend,
            _ => OnFailure::GiveUp,
        },
        answers: match fields.word("answers") {
            "after-send" => Answers::AfterSend,
            _ => Answers::InCallback,
        },
        on_restart: match fields.word("on-restart") {
            "resend-unconfirmed" => OnRestart::ResendUnconfirmed,
            _ => OnRestart::Continue,
        },
        on_stop: match fields.word("on-stop") {
            "exit" => OnStop::Exit,
            _ => OnStop::Close,
        },
        config: match &librdkafka {
            Some(own) => own.in_java(),
            None => config::settings(fields),
        },
        librdkafka,
        polls,
    }
}

fn consumer(fields: &Fields<'_>, known: &Known, rules: &Rules) -> ConsumerPlan {
    let partition = |node: &Node| {
        let partition = text(node, &Kind::Partition).and_then(|text| known.partition(text));
        fields.mistakes.check(node.span, partition)
    };
    let assign = fields
        .list("assign")
        .into_iter()
        .filter_map(partition)
        .collect();
    ConsumerPlan {
        assign,
        config: config::settings(fields),
        rules: config::own_switches(fields, rules),
    }
}

fn steps(root: &Fields<'_>, known: &Known) -> Vec<Step> {
    let read = |node: &Node| step::step(root.mistakes, node, known);
    let (mut steps, own): (Vec<Step>, Vec<Option<u64>>) =
        root.list("steps").into_iter().filter_map(read).unzip();
    for (i, by_content) in ids_by_content(&steps).into_iter().enumerate() {
        steps[i].id = own[i].unwrap_or(by_content);
    }
    steps
}

fn end(fields: &Fields<'_>, default_at: Duration) -> EndPlan {
    let heal = match fields.word("heal") {
        "none" => Heal::None,
        _ => Heal::All,
    };
    EndPlan {
        at: fields.duration("at").map_or(default_at, Duration),
        heal,
        within: fields.duration("within").map(Duration),
    }
}

fn expectations(fields: &Fields<'_>, known: &Known) -> Vec<Expectation> {
    let read = |node: &Node| Expectation::parse(text(node, &Kind::Expectation)?, known, &PROMISES);
    fields
        .list("expect")
        .into_iter()
        .filter_map(|node| fields.mistakes.check(node.span, read(node)))
        .collect()
}

fn one_try(fields: &Fields<'_>) -> Try {
    let to = fields
        .list("to")
        .into_iter()
        .map(|node| node.to_line().into());
    Try {
        set: fields.text("set").unwrap_or_default(),
        to: to.collect(),
    }
}

fn twin(fields: &Fields<'_>, known: &Known, plain: &Scenario) -> Twin {
    let set = fields
        .value("set", |node, _| {
            set_of(node).map_err(|(_, mistake)| mistake)
        })
        .unwrap_or_default();
    expectations(fields, known);
    Twin {
        title: fields.text("title").unwrap_or_default(),
        set: set
            .into_iter()
            .map(|(key, node)| (key.name.into(), node.to_line().into()))
            .collect(),
        scenario: Box::new(plain.clone()),
    }
}

/// What a telling keeps: themes, partitions, processes.
fn tell(root: &Fields<'_>, known: &Known) -> Vec<Arc<str>> {
    let themes = || THEMES.iter().map(|(theme, _)| *theme);
    let read = |node: &Node| -> Result<Arc<str>, Mistake> {
        let Value::Text(found) = &node.value else {
            return Err(Mistake::new(node.found(), Kind::Text.expected()));
        };
        let found = found.as_str();
        let good = themes().any(|theme| theme == found)
            || known.partition(found).is_ok()
            || known.processes.contains(found);
        let names = themes().chain(known.processes.iter().map(|name| &**name));
        if good {
            Ok(found.into())
        } else {
            Err(Mistake::unknown("theme", found, names))
        }
    };
    root.list("tell")
        .into_iter()
        .filter_map(|node| root.mistakes.check(node.span, read(node)))
        .collect()
}
