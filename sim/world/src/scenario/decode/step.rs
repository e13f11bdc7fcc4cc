//! Decoding a step: exactly one *when*, exactly one verb, and the modifiers that fit them.

use std::collections::BTreeMap;
use std::sync::Arc;

use klab_kafka::config::{Configs, TopicConfig};
use klab_kafka::protocol::Api;
use klab_kafka::time::Duration;

use super::fields::{Fields, Mistakes, list, text};
use crate::disks::Keep;
use crate::fault::{Fault, Intercept};
use crate::scenario::error::{Mistake, Span, one_of};
use crate::scenario::grammar::Kind;
use crate::scenario::quantity;
use crate::scenario::selector::{Known, Selector};
use crate::scenario::step::FAMILIES;
use crate::scenario::tree::{Key, Node, Value};
use crate::scenario::trigger::Trigger;
use crate::scenario::{Action, Budget, Condition, Family, Lasts, ScenarioTime, Step, When};

/// The ways to say when.
const WHENS: [&str; 3] = ["at", "when", "window"];
/// The verbs.
pub const VERBS: [&str; 13] = [
    "crash",
    "pause",
    "stop",
    "start",
    "cut",
    "isolate",
    "black-hole",
    "reset",
    "slow",
    "hold",
    "lose",
    "admin",
    "random",
];
/// Which modifiers fit which keys.
const MODIFIERS: [(&str, &[&str]); 10] = [
    ("point", &["when"]),
    ("nth", &["when"]),
    ("after", &["when"]),
    ("while", &["when"]),
    ("count", &["window"]),
    ("budget", &["random"]),
    ("how", &["crash", "cut", "isolate"]),
    ("keep", &["crash"]),
    ("factor", &["slow"]),
    (
        "for",
        &[
            "crash",
            "pause",
            "stop",
            "cut",
            "isolate",
            "black-hole",
            "slow",
            "hold",
            "random",
        ],
    ),
];

/// Reads a step, and its own id if it has one; what is wrong with it is noted.
pub fn step(mistakes: &Mistakes<'_>, node: &Node, known: &Known) -> Option<(Step, Option<u64>)> {
    let fields = Fields::new(mistakes, node, "/steps/*");
    let when = one_key(&fields, "when it acts", &WHENS)?;
    let verb = one_key(&fields, "what it does", &VERBS)?;
    modifiers(&fields, &[when, verb]);
    let action = match verb {
        "admin" => admin(&fields, known),
        "random" => Some(random(&fields)),
        _ => fault(&fields, verb, known).map(Action::Fault),
    };
    let when = time(&fields, when, known);
    let (lasts, id, optional) = (lasts(&fields), fields.whole("id"), fields.bool("optional"));
    Some((
        Step {
            id: 0,
            when: when?,
            action: action?,
            lasts: lasts?,
            optional,
        },
        id,
    ))
}

/// The one of some keys that stands in the step.
fn one_key(fields: &Fields<'_>, what: &str, keys: &[&'static str]) -> Option<&'static str> {
    let Value::Map(_) = fields.node.value else {
        return None;
    };
    let found: Vec<&'static str> = keys
        .iter()
        .filter(|key| fields.found(key).is_some())
        .copied()
        .collect();
    match found[..] {
        [one] => Some(one),
        [] if fields.has_unbuilt() => None,
        [] => {
            let open = Span {
                end: fields.node.span.start + 1,
                ..fields.node.span
            };
            fields.mistakes.add(
                open,
                Mistake::new(format!("a step that does not say {what}"), one_of(keys)),
            );
            None
        }
        [first, second, ..] => {
            let mistake = Mistake::new(
                format!("\"{second}\" beside \"{first}\""),
                format!("one of them: a step says once {what}"),
            );
            fields.mistakes.add(fields.key_span(second), mistake);
            None
        }
    }
}

/// Refuses modifiers that mean nothing here.
fn modifiers(fields: &Fields<'_>, keys: &[&str]) {
    for (modifier, of) in MODIFIERS {
        if fields.found(modifier).is_some() && !of.iter().any(|key| keys.contains(key)) {
            let found = format!(
                "\"{modifier}\" in a step with \"{}\"",
                keys.join("\" and \"")
            );
            let expected = format!("\"{modifier}\" only beside {}", one_of(of));
            fields
                .mistakes
                .add(fields.key_span(modifier), Mistake::new(found, expected));
        }
    }
}

fn time(fields: &Fields<'_>, when: &str, known: &Known) -> Option<When> {
    if when == "at" {
        let ns = i64::try_from(fields.duration("at")?).expect("a run is a hundred days long");
        return Some(When::At(ScenarioTime(ns)));
    }
    if when == "window" {
        let (count, window) = (fields.counts("count"), fields.durations("window"));
        return Some(When::Drawn {
            count: count?,
            window: window?,
        });
    }
    let trigger = fields.value("when", |node, kind| {
        Trigger::parse(text(node, kind)?, known)
    });
    let only_while = fields.value("while", |node, kind| {
        Condition::parse(text(node, kind)?, known)
    });
    let (nth, after) = (fields.small("nth"), fields.duration("after"));
    Some(When::Met {
        trigger: trigger?,
        nth: nth?,
        after: Duration(after?.max(point(fields))),
        only_while,
    })
}

/// The least time after the trigger: everything that the process does in the same step happens at the same instant.
fn point(fields: &Fields<'_>) -> u64 {
    if fields.found("point").is_some() && fields.found("after").is_some() {
        let mistake = Mistake::new(
            "\"point\" beside \"after\"",
            "one of the two: later than at once is after the response",
        );
        fields.mistakes.add(fields.key_span("point"), mistake);
    }
    u64::from(fields.word("point") == "after-response")
}

fn lasts(fields: &Fields<'_>) -> Option<Lasts> {
    if fields.found("for").is_none() {
        return Some(Lasts::UntilHeal);
    }
    fields.value("for", |node, kind| match text(node, kind)? {
        "ever" => Ok(Lasts::Ever),
        text => quantity::duration(text).map(|ns| Lasts::For(Duration(ns))),
    })
}

fn fault(fields: &Fields<'_>, verb: &str, known: &Known) -> Option<Fault<Selector>> {
    let who = || fields.value(verb, |node, kind| Selector::parse(text(node, kind)?, known));
    Some(match verb {
        "crash" => crash(fields, who()?)?,
        "pause" => Fault::Pause { who: who()? },
        "stop" => Fault::Stop { who: who()? },
        "start" => Fault::Start { who: who()? },
        "isolate" => Fault::Cut {
            from: who()?,
            to: Selector::Everyone,
            one_way: one_way(fields)?,
        },
        "hold" => Fault::Hold(intercept(&fields.object("hold"), known)?),
        "lose" => Fault::Lose(intercept(&fields.object("lose"), known)?),
        _ => {
            let (from, to) = link(fields, verb, known)?;
            match verb {
                "cut" => Fault::Cut {
                    from,
                    to,
                    one_way: one_way(fields)?,
                },
                "black-hole" => Fault::BlackHole { from, to },
                "reset" => Fault::Reset { from, to },
                "slow" => Fault::SlowLink {
                    from,
                    to,
                    factor: fields.small("factor")?,
                },
                _ => unreachable!("because these are all the verbs"),
            }
        }
    })
}

fn crash(fields: &Fields<'_>, who: Selector) -> Option<Fault<Selector>> {
    let keep = fields.value("keep", |node, kind| match &node.value {
        Value::Text(text) if text == "drawn" => Ok(Keep::Drawn),
        Value::Text(text) if text == "synced" => Ok(Keep::Synced),
        Value::Number(text) => text
            .parse()
            .map(Keep::More)
            .map_err(|_| Mistake::new(node.found(), kind.expected())),
        _ => Err(Mistake::new(node.found(), kind.expected())),
    });
    let how = how(fields, "crash", &["kill", "power-loss", "disk-loss"])?;
    if fields.found("keep").is_some() && how != "power-loss" {
        let mistake = Mistake::new(
            "\"keep\" without a loss of power",
            "`\"how\": \"power-loss\"` beside it: a kill keeps all that was written",
        );
        fields.mistakes.add(fields.key_span("keep"), mistake);
    }
    Some(match how {
        "power-loss" => Fault::PowerLoss { who, keep: keep? },
        "disk-loss" => Fault::DiskLoss { who },
        _ => Fault::Kill { who },
    })
}

fn one_way(fields: &Fields<'_>) -> Option<bool> {
    Some(how(fields, "cut", &["two-way", "one-way"])? == "one-way")
}

/// `how`, whose words depend on the verb; the first is the default.
fn how(fields: &Fields<'_>, verb: &str, words: &[&'static str]) -> Option<&'static str> {
    let Some(node) = fields.found("how") else {
        return Some(words[0]);
    };
    let known = text(node, &Kind::Text).and_then(|found| {
        let word = words.iter().find(|word| **word == found).copied();
        word.ok_or_else(|| {
            Mistake::unknown(&format!("way to {verb}"), found, words.iter().copied())
        })
    });
    fields.mistakes.check(node.span, known)
}

fn link(fields: &Fields<'_>, verb: &str, known: &Known) -> Option<(Selector, Selector)> {
    let node = fields.found(verb).expect("the verb was found");
    let ends = match &node.value {
        Value::List(_) => list(fields.mistakes, node),
        _ => Vec::new(),
    };
    let [from, to] = ends[..] else {
        let found = if let Value::Text(_) = node.value {
            "one end of a link".into()
        } else {
            node.found()
        };
        fields.mistakes.add(
            node.span,
            Mistake::new(found, Kind::Link.expected())
                .hint("\"isolate\" cuts one process from everyone"),
        );
        return None;
    };
    let end = |node: &Node| {
        fields.mistakes.check(
            node.span,
            text(node, &Kind::Selector).and_then(|text| Selector::parse(text, known)),
        )
    };
    let (from, to) = (end(from), end(to));
    Some((from?, to?))
}

fn intercept(fields: &Fields<'_>, known: &Known) -> Option<Intercept<Selector>> {
    let message = one_key(fields, "which message", &["request", "response"])?;
    let api = fields.value(message, |node, kind| {
        let found = text(node, kind)?;
        let api = APIS.iter().find(|api| format!("{api:?}") == found).copied();
        let names: Vec<String> = APIS.iter().map(|api| format!("{api:?}")).collect();
        api.ok_or_else(|| Mistake::unknown("API", found, names.iter().map(String::as_str)))
    });
    let end =
        |name: &str| fields.value(name, |node, kind| Selector::parse(text(node, kind)?, known));
    let (from, to, nth) = (end("from"), end("to"), fields.small("nth"));
    Some(Intercept {
        api: api?,
        response: message == "response",
        from: from?,
        to: to?,
        nth: nth?,
    })
}

fn admin(fields: &Fields<'_>, known: &Known) -> Option<Action> {
    let admin = fields.object("admin");
    let verb = one_key(&admin, "what to do", &["alter-config", "delete-records"])?;
    match verb {
        "delete-records" => delete_records(&admin, known),
        _ => alter_config(&admin, known),
    }
}

fn delete_records(admin: &Fields<'_>, known: &Known) -> Option<Action> {
    let fields = admin.object("delete-records");
    let before = match fields.found("before") {
        Some(_) => Some(fields.whole("before")?),
        None => None,
    };
    let partition = fields.value("partition", |node, kind| known.partition(text(node, kind)?));
    Some(Action::DeleteRecords {
        partition: partition?,
        before: before.map(|at| i64::try_from(at).expect("the grammar bounds it")),
    })
}

fn alter_config(admin: &Fields<'_>, known: &Known) -> Option<Action> {
    let node = admin.found("alter-config")?;
    let Value::Map(entries) = &node.value else {
        admin.mistakes.add(
            node.span,
            Mistake::new(
                node.found(),
                "a topic and its settings: `{ \"topic\": \"orders\", \"min.insync.replicas\": 1 }`",
            ),
        );
        return None;
    };
    let mut topic = None;
    let mut config: BTreeMap<Arc<str>, Option<Arc<str>>> = BTreeMap::new();
    for (Key { span, name }, value) in entries {
        if name == "topic" {
            topic = admin.mistakes.check(
                value.span,
                text(value, &Kind::Topic).and_then(|name| known.topic(name)),
            );
        } else if let Some(value) =
            super::config::setting::<TopicConfig>(admin.mistakes, name, *span, value)
        {
            config.insert(name.as_str().into(), Some(value.into()));
        }
    }
    if entries.iter().all(|(key, _)| key.name != "topic") {
        admin.mistakes.add(
            node.span,
            Mistake::new(
                "no \"topic\" whose settings to change",
                "the name of a topic",
            ),
        );
    }
    if entries.len() < 2 {
        let example = TopicConfig::KEYS.first().map_or("", |key| key.name);
        admin.mistakes.add(
            node.span,
            Mistake::new(
                "no setting to change",
                format!("one of Kafka's settings of topics, such as \"{example}\""),
            ),
        );
    }
    Some(Action::AlterConfig {
        topic: topic?,
        config,
    })
}

fn random(fields: &Fields<'_>) -> Action {
    let budget = match fields.word("budget") {
        "none" => Budget::None,
        _ => Budget::Recoverable,
    };
    let word = fields.word("random");
    let found = FAMILIES.iter().find(|(_, name)| *name == word);
    let family = found.map_or(Family::Any, |(family, _)| *family);
    Action::Random { family, budget }
}

/// The APIs by which a message can be held or lost.
pub const APIS: [Api; 17] = [
    Api::Produce,
    Api::Fetch,
    Api::ListOffsets,
    Api::Metadata,
    Api::CreateTopics,
    Api::InitProducerId,
    Api::OffsetForLeaderEpoch,
    Api::IncrementalAlterConfigs,
    Api::Vote,
    Api::BeginQuorumEpoch,
    Api::EndQuorumEpoch,
    Api::AlterPartition,
    Api::Envelope,
    Api::BrokerRegistration,
    Api::BrokerHeartbeat,
    Api::AllocateProducerIds,
    Api::DeleteRecords,
];
