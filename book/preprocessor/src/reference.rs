//! The reference pages: the tables that the engine itself reads, as Markdown.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result, bail};
use klab_kafka::config::{
    Configs, ConsumerConfig, LibrdkafkaConfig, ProducerConfig, ServerConfig, TopicConfig,
};
use klab_kafka::rules::SWITCHES;
use klab_world::scenario::grammar::{KEYS, Kind, Missing};
use klab_world::scenario::{expect, limits, selector, trigger};

/// A table by its name.
pub fn table(name: &str) -> Result<String> {
    Ok(match name {
        "rules" => rules()?,
        "keys" => keys(),
        "processes" => pairs("process", selector::FORMS),
        "triggers" => triggers(),
        "metrics" => {
            let rows = expect::METRICS.map(|(_, name, _, sentence)| (name, sentence));
            pairs("metric", rows)
        }
        "goals" => pairs(
            "`sometimes:`",
            expect::GOALS.map(|(_, name, words)| (name, words)),
        ),
        "switches" => switches(),
        "limits" => limits_(),
        "brokers" => configs::<ServerConfig>(),
        "topics" => configs::<TopicConfig>(),
        "producers" => configs::<ProducerConfig>(),
        "librdkafka" => configs::<LibrdkafkaConfig>(),
        "consumers" => configs::<ConsumerConfig>(),
        _ => bail!("klab has no table {name:?}"),
    })
}

/// The command line knows them: their places are found when it is built.
fn rules() -> Result<String> {
    let klab = std::env::var_os("KLAB").context("KLAB does not name the command line")?;
    let told = Command::new(klab).args(["rules", "--markdown"]).output()?;
    if !told.status.success() {
        bail!(
            "klab rules failed: {}",
            String::from_utf8_lossy(&told.stderr)
        );
    }
    String::from_utf8(told.stdout).context("klab rules is no text")
}

fn keys() -> String {
    let mut table = head(&["key", "what it does", "what may be written", "if missing"]);
    for key in KEYS
        .iter()
        .filter(|key| !matches!(key.kind, Kind::NotBuilt(_)))
    {
        let missing = match key.default {
            Missing::Required => "must be written".to_owned(),
            Missing::Absent => String::new(),
            Missing::Is(text) => format!("`{text}`"),
        };
        let name = if key.path.is_empty() {
            "the file"
        } else {
            key.path
        };
        row(
            &mut table,
            &[&code(name), key.sentence, &key.kind.expected(), &missing],
        );
    }
    table
}

fn triggers() -> String {
    let mut table = head(&["verb", "the fact"]);
    let partition = trigger::PARTITION_VERBS
        .iter()
        .map(|(_, verb, words)| (verb, true, words));
    let record = trigger::RECORD_VERBS
        .iter()
        .map(|(_, verb, words)| (verb, true, words));
    let process = trigger::PROCESS_VERBS
        .iter()
        .map(|(_, verb, words)| (verb, false, words));
    for (verb, number, words) in partition.chain(record).chain(process) {
        let verb = if number {
            format!("{verb} <number>")
        } else {
            (*verb).to_owned()
        };
        row(&mut table, &[&code(&verb), words]);
    }
    table
}

fn switches() -> String {
    let mut table = head(&["switch", "values, the safe one first", "the rule"]);
    for switch in SWITCHES {
        row(
            &mut table,
            &[
                &code(switch.name),
                &switch.values.join(", "),
                switch.sentence,
            ],
        );
    }
    table
}

fn limits_() -> String {
    let mut table = head(&["at most", "why"]);
    for limit in limits::ALL {
        row(
            &mut table,
            &[&format!("{} {}", limit.max, limit.name), limit.sentence],
        );
    }
    table
}

fn configs<C: Configs>() -> String {
    let mut table = head(&["setting", "what it does", "value", "Kafka's default"]);
    let defaults = C::default();
    for key in C::KEYS {
        let value = match key.unit {
            "" => key.expects.to_owned(),
            unit => format!("{}, in {unit}", key.expects),
        };
        let default = (key.get)(&defaults);
        row(
            &mut table,
            &[&code(key.name), key.sentence, &value, &default],
        );
    }
    table
}

fn pairs<'a>(what: &str, rows: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut table = head(&[what, "what it is"]);
    for (name, words) in rows {
        row(&mut table, &[&code(name), words]);
    }
    table
}

fn head(names: &[&str]) -> String {
    let mut table = String::new();
    row(&mut table, names);
    row(&mut table, &vec!["---"; names.len()]);
    table
}

fn row(table: &mut String, cells: &[&str]) {
    for cell in cells {
        write!(table, "| {} ", cell.replace('|', "\\|")).expect("a String takes it");
    }
    table.push_str("|\n");
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

#[test]
fn every_table_has_a_row_for_each_entry() {
    for (name, least) in [
        ("keys", 40),
        ("processes", 17),
        ("triggers", 18),
        ("metrics", 23),
        ("goals", 16),
        ("switches", 7),
        ("limits", 12),
        ("brokers", 30),
        ("topics", 6),
        ("producers", 10),
        ("librdkafka", 5),
        ("consumers", 5),
    ] {
        let rows = table(name).expect("it is there").lines().count() - 2;
        assert!(rows >= least, "{name}: {rows}");
    }
    assert!(table("nothing").is_err());
}
