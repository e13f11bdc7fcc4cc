//! Decoding a step: exactly one *when*, exactly one verb, and the modifiers that fit them.

use klab_kafka::protocol::{Api, ErrorCode};
use klab_kafka::time::Duration;

use super::fields::{Fields, Mistakes, list, text};
use crate::ambush::CrashPoint;
use crate::disks::Keep;
use crate::fault::{Fault, Intercept};
use crate::refusal::ANSWERABLE;
use crate::scenario::error::{Mistake, Span, one_of};
use crate::scenario::grammar::Kind;
use crate::scenario::quantity;
use crate::scenario::selector::{Known, Selector};
use crate::scenario::step::FAMILIES;
use crate::scenario::tree::{Node, Value};
use crate::scenario::trigger::Trigger;
use crate::scenario::{Action, Budget, Condition, Family, Lasts, ScenarioTime, Step, When};

/// The ways to say when.
const WHENS: [&str; 3] = ["at", "when", "window"];
/// The verbs.
pub const VERBS: [&str; 25] = [
    "crash",
    "pause",
    "stop",
    "start",
    "cut",
    "isolate",
    "black-hole",
    "reset",
    "slow",
    "clog",
    "drop-packets",
    "refuse",
    "slow-accept",
    "ring",
    "clock",
    "slow-node",
    "stall",
    "fail-disk",
    "hold",
    "lose",
    "answer",
    "throttle",
    "roll",
    "admin",
    "random",
];
/// Which modifiers fit which keys.
const MODIFIERS: [(&str, &[&str]); 14] = [
    ("point", &["when", "crash"]),
    ("down", &["roll"]),
    ("nth", &["when"]),
    ("after", &["when"]),
    ("while", &["when"]),
    ("count", &["window"]),
    ("budget", &["random"]),
    (
        "how",
        &[
            "crash",
            "cut",
            "isolate",
            "clog",
            "clock",
            "fail-disk",
            "roll",
        ],
    ),
    ("by", &["clock"]),
    ("ppm", &["drop-packets", "clock"]),
    ("delay", &["slow-accept"]),
    ("keep", &["crash"]),
    ("factor", &["slow", "slow-node"]),
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
            "clog",
            "drop-packets",
            "refuse",
            "slow-accept",
            "ring",
            "clock",
            "slow-node",
            "stall",
            "fail-disk",
            "hold",
            "answer",
            "throttle",
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
        "admin" => super::admin::operation(&fields, known),
        "random" => Some(random(&fields)),
        "roll" => roll(&fields, known),
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
pub(super) fn one_key(
    fields: &Fields<'_>,
    what: &str,
    keys: &[&'static str],
) -> Option<&'static str> {
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
    let is_of_crash = CrashPoint::named(fields.word("point")).is_some();
    if is_of_crash && fields.found("crash").is_none() {
        let mistake = Mistake::new(
            "a place in a process's own work",
            "\"before-response\" or \"after-response\", or `crash` beside it",
        );
        fields.mistakes.add(fields.key_span("point"), mistake);
    }
    if fields.found("point").is_some() && fields.found("after").is_some() && !is_of_crash {
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
        "refuse" => Fault::Refuse { who: who()? },
        "slow-accept" => Fault::SlowAccept {
            who: who()?,
            delay: Duration(fields.duration("delay")?),
        },
        "ring" => Fault::Ring { who: who()? },
        "clock" => clock(fields, who()?)?,
        "slow-node" => Fault::SlowNode {
            who: who()?,
            factor: fields.small("factor")?,
        },
        "stall" => Fault::Stall { who: who()? },
        "fail-disk" => Fault::FailDisk {
            who: who()?,
            full: how(fields, "fail", &["full", "dead"])? == "full",
        },
        "answer" => answer(&fields.object("answer"), known)?,
        "throttle" => throttle(&fields.object("throttle"), known)?,
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
                "clog" => Fault::Clog {
                    from,
                    to,
                    one_way: one_way(fields)?,
                },
                "drop-packets" => Fault::DropPackets {
                    from,
                    to,
                    ppm: fields.small("ppm")?,
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

/// A wall clock that is set wrong, or that runs wrong.
fn clock(fields: &Fields<'_>, who: Selector) -> Option<Fault<Selector>> {
    let way = how(fields, "be wrong", &["ahead", "behind", "fast", "slow"])?;
    let runs_wrong = matches!(way, "fast" | "slow");
    let other = if runs_wrong { "by" } else { "ppm" };
    if fields.found(other).is_some() {
        let found = format!("\"{other}\" beside \"{way}\"");
        let expected = "`by` for a clock that is set wrong, `ppm` for one that runs wrong";
        let mistake = Mistake::new(found, expected);
        fields.mistakes.add(fields.key_span(other), mistake);
    }
    let (by, ppm) = (fields.duration("by")?, fields.small("ppm")?);
    let ms = i64::try_from(by / 1_000_000).expect("a run is a hundred days long");
    let ppm = i32::try_from(ppm).expect("at most a million");
    Some(match way {
        "ahead" => Fault::Clock { who, ahead_ms: ms },
        "behind" => Fault::Clock { who, ahead_ms: -ms },
        "fast" => Fault::Drift { who, ppm },
        _ => Fault::Drift { who, ppm: -ppm },
    })
}

fn crash(fields: &Fields<'_>, who: Selector) -> Option<Fault<Selector>> {
    let keep = fields.value("keep", |node, kind| match &node.value {
        Value::Text(text) if text == "drawn" => Ok(Keep::Drawn),
        Value::Text(text) if text == "synced" => Ok(Keep::Synced),
        Value::Text(text) if text == "torn" => Ok(Keep::Bytes(1)),
        Value::Text(text) if text.starts_with("torn at ") => {
            let block = quantity::bytes(text.trim_start_matches("torn at "))?;
            let block = u32::try_from(block).ok().filter(|n| *n >= 1);
            block
                .map(Keep::Bytes)
                .ok_or_else(|| Mistake::new(node.found(), kind.expected()))
        }
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
    let point = fields.word("point");
    if let Some(point) = CrashPoint::named(point) {
        if how == "disk-loss" {
            let mistake = Mistake::new(
                "a disk that is lost at a crash point",
                "\"kill\" or \"power-loss\"",
            );
            fields.mistakes.add(fields.key_span("point"), mistake);
        }
        let power = match how {
            "power-loss" => Some(keep?),
            _ => None,
        };
        return Some(Fault::CrashAt { who, point, power });
    }
    if fields.found("point").is_some() && fields.found("when").is_none() {
        let found = format!("\"{point}\" without `when`");
        let mistake = Mistake::new(found, "a place in the process's own work");
        fields.mistakes.add(fields.key_span("point"), mistake);
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

pub(super) fn link(fields: &Fields<'_>, verb: &str, known: &Known) -> Option<(Selector, Selector)> {
    let Some(node) = fields.found(verb) else {
        fields.list(verb);
        return None;
    };
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
    let api = fields.value(message, |node, kind| self::api(node, kind, &Api::ALL));
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

/// An API of a table by its name.
fn api(node: &Node, kind: &Kind, apis: &[Api]) -> Result<Api, Mistake> {
    let found = text(node, kind)?;
    let api = apis.iter().find(|api| format!("{api:?}") == found).copied();
    let names: Vec<String> = apis.iter().map(|api| format!("{api:?}")).collect();
    api.ok_or_else(|| Mistake::unknown("API", found, names.iter().map(String::as_str)))
}

/// Requests that something is done to as they come to their server.
fn requests(fields: &Fields<'_>, known: &Known) -> Option<(Intercept<Selector>, u32)> {
    let api = fields.value("request", |node, kind| self::api(node, kind, &ANSWERABLE));
    let end =
        |name: &str| fields.value(name, |node, kind| Selector::parse(text(node, kind)?, known));
    let (from, to) = (end("from"), end("to"));
    let (nth, take) = (fields.small("nth"), fields.small("take"));
    let of = Intercept {
        api: api?,
        response: false,
        from: from?,
        to: to?,
        nth: nth?,
    };
    Some((of, take?))
}

fn answer(fields: &Fields<'_>, known: &Known) -> Option<Fault<Selector>> {
    let requests = requests(fields, known);
    let error = fields.value("with", |node, kind| {
        let found = text(node, kind)?;
        let all = || ErrorCode::ALL.iter().filter(|e| !e.is_none());
        let error = all().find(|e| e.name() == found).copied();
        error.ok_or_else(|| Mistake::unknown("error", found, all().map(|e| e.name())))
    });
    let (of, take) = requests?;
    Some(Fault::Answer {
        of,
        take,
        error: error?,
    })
}

fn throttle(fields: &Fields<'_>, known: &Known) -> Option<Fault<Selector>> {
    let (requests, by) = (requests(fields, known), fields.duration("by"));
    let (of, take) = requests?;
    Some(Fault::Throttle {
        of,
        take,
        by: Duration(by?),
    })
}

fn roll(fields: &Fields<'_>, known: &Known) -> Option<Action> {
    let who = fields.value("roll", |node, kind| {
        Selector::parse(text(node, kind)?, known)
    });
    Some(Action::Roll {
        who: who?,
        kill: how(fields, "restart", &["stop", "kill"])? == "kill",
        down: Duration(fields.duration("down")?),
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
