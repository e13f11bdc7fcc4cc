//! `cargo xtask new`: the first file of a new scenario or checker, written, and every further place where a scenario, a
//! checker, a fault or a config has to be named, edited or listed.
//!
//! What is a matter of form is done; what needs thought is listed with its file and line. A test holds the lists to the
//! repository: a place that has moved fails it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// What may be said on the command line.
#[derive(clap::Args)]
pub struct Options {
    /// Of what kind
    #[arg(value_enum)]
    kind: Kind,
    /// Its name: producer/p99-my-story, my-promise, my-fault, or Kafka's key of a config
    name: String,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// A story with a twin
    Scenario,
    /// A promise and what watches it
    Checker,
    /// A harm
    Fault,
    /// A setting of Kafka
    Config,
}

/// A place to go to: a file, a text that stands there, and what to do.
struct Place {
    file: &'static str,
    at: &'static str,
    todo: &'static str,
}

/// Makes it.
pub fn run(options: &Options) -> Result<()> {
    let root = crate::root();
    let name = options.name.as_str();
    if name.contains("..") || name.starts_with('/') || name.contains(char::is_whitespace) {
        bail!("{name:?} is no name");
    }
    match options.kind {
        Kind::Scenario => new_scenario(&root, name)?,
        Kind::Checker => new_checker(&root, name)?,
        Kind::Fault | Kind::Config => {}
    }
    for place in places(options.kind) {
        let line = line_of(&root, place)?;
        println!("{}:{line}: {}", place.file, place.todo);
    }
    Ok(())
}

fn places(kind: Kind) -> &'static [Place] {
    match kind {
        Kind::Scenario => SCENARIO,
        Kind::Checker => CHECKER,
        Kind::Fault => FAULT,
        Kind::Config => CONFIG,
    }
}

const SCENARIO: &[Place] = &[
    Place {
        file: "sim/world/src/scenario/library.rs",
        at: "library! {",
        todo: "the new name stands here; move it to its neighbours",
    },
    Place {
        file: "tests/tests/stories.rs",
        at: "fn every_telling_begins_with",
        todo: "it keeps the telling of the story: `cargo xtask bless`, then look at it",
    },
];

const CHECKER: &[Place] = &[
    Place {
        file: "sim/world/src/check.rs",
        at: "pub const ALL:",
        todo: "one more promise: its PROMISE in the place where a verdict should list it",
    },
    Place {
        file: "sim/world/src/check.rs",
        at: "pub struct Checkers {",
        todo: "a field for what watches it",
    },
    Place {
        file: "sim/world/src/check.rs",
        at: "let opportunities = [",
        todo: "its opportunities, in the order of ALL",
    },
    Place {
        file: "sim/world/src/check.rs",
        at: "match &record.what {",
        todo: "the records that are shown to it",
    },
    Place {
        file: "sim/world/src/check/canary.rs",
        at: "pub const MUTATED:",
        todo: "the test that sees it bark",
    },
    Place {
        file: "sim/world/src/check/canaries.rs",
        at: "#[test]",
        todo: "that test: a good history changed in one place",
    },
];

const FAULT: &[Place] = &[
    Place {
        file: "sim/world/src/fault.rs",
        at: "pub enum Fault<W> {",
        todo: "a variant with its sentence; the compiler then points at map, apply and lift",
    },
    Place {
        file: "sim/world/src/line/harm.rs",
        at: "pub fn fault(&self",
        todo: "what it does, as a sentence",
    },
    Place {
        file: "sim/world/src/scenario/grammar.rs",
        at: "key(\"/steps/*/crash\"",
        todo: "its verb, and its modifiers below",
    },
    Place {
        file: "sim/world/src/scenario/decode/step.rs",
        at: "Fault::Kill",
        todo: "from the verb to the fault",
    },
    Place {
        file: "sim/world/src/scenario/encode.rs",
        at: "fn fault(fault",
        todo: "and back",
    },
    Place {
        file: "sim/world/src/scenario/decode/tests.rs",
        at: "const WHOLE",
        todo: "a step with it, in the file that uses every part of the grammar",
    },
    Place {
        file: "sim/world/src/line/picture.rs",
        at: "pub fn dare(",
        todo: "what the page's button says",
    },
    Place {
        file: "sim/world/src/swarm/faults.rs",
        at: "fn draw(targets",
        todo: "its family, if drawn runs can do it of themselves",
    },
    Place {
        file: "sim/world/src/swarm/steps.rs",
        at: "fn draw_deed(",
        todo: "or as a step that a drawn file says",
    },
    Place {
        file: "sim/world/src/swarm/explore.rs",
        at: "fn kind(",
        todo: "the name under which drawn runs count it",
    },
    Place {
        file: "sim/world/src/swarm/explore/aims.rs",
        at: "harm(\"cut\"",
        todo: "in how many drawn runs it must be",
    },
    Place {
        file: "sim/world/src/frame/menu.rs",
        at: "pub fn",
        todo: "a row, if a person can do it in the page",
    },
    Place {
        file: "tests/tests/faults.rs",
        at: "#[test]",
        todo: "its effect, as a claim",
    },
    Place {
        file: "schema/scenario.json",
        at: "\"steps\"",
        todo: "made anew by `cargo xtask bless`",
    },
];

const CONFIG: &[Place] = &[
    Place {
        file: "sim/kafka/src/config.rs",
        at: "ServerConfig {",
        todo: "a row, if it is a broker's or a controller's: field, type, Kafka's default, key, unit, sentence",
    },
    Place {
        file: "sim/kafka/src/config.rs",
        at: "TopicConfig {",
        todo: "a row, if it is a topic's",
    },
    Place {
        file: "sim/kafka/src/config.rs",
        at: "ProducerConfig {",
        todo: "a row, if it is a producer's",
    },
    Place {
        file: "sim/kafka/src/config.rs",
        at: "ConsumerConfig {",
        todo: "a row, if it is a consumer's",
    },
    Place {
        file: "sim/kafka/src/config.rs",
        at: "AdminConfig {",
        todo: "a row, if it is an operator's",
    },
    Place {
        file: "sim/kafka/src/config.rs",
        at: "LibrdkafkaConfig {",
        todo: "a row, if it is librdkafka's",
    },
    Place {
        file: "sim/kafka/src/config/layers.rs",
        at: "const SYNONYMS",
        todo: "the broker's key behind a topic's; below, whether a running broker takes it, and the least value",
    },
    Place {
        file: "sim/world/src/swarm/knobs.rs",
        at: "pub const KNOBS",
        todo: "values that drawn runs give it",
    },
    Place {
        file: "schema/scenario.json",
        at: "\"config\"",
        todo: "made anew by `cargo xtask bless`",
    },
];

/// Where a place is now, from 1.
fn line_of(root: &Path, place: &Place) -> Result<usize> {
    let text = fs::read_to_string(root.join(place.file))
        .with_context(|| format!("reading {}", place.file))?;
    let found = text.lines().position(|line| line.contains(place.at));
    let found = found.with_context(|| {
        format!(
            "{} has no {:?} any more: xtask/src/new.rs must learn where it went",
            place.file, place.at
        )
    })?;
    Ok(found + 1)
}

fn new_scenario(root: &Path, name: &str) -> Result<()> {
    let file = root.join("scenarios").join(format!("{name}.jsonc"));
    write_new(&file, &scenario(name))?;
    let library = root.join("sim/world/src/scenario/library.rs");
    let text = fs::read_to_string(&library)?;
    let with = text.replacen(
        "library! {\n",
        &format!("library! {{\n    \"{name}\",\n"),
        1,
    );
    fs::write(&library, with)?;
    println!("made {}; `cargo run -- run {name}` runs it", file.display());
    Ok(())
}

fn new_checker(root: &Path, name: &str) -> Result<()> {
    let module = name.replace([' ', '-'], "_");
    let file = root.join(format!("sim/world/src/check/{module}.rs"));
    write_new(&file, &checker(name))?;
    let check = root.join("sim/world/src/check.rs");
    let text = fs::read_to_string(&check)?;
    let with = text.replacen(
        "pub mod acked;\n",
        &format!("pub mod acked;\npub mod {module};\n"),
        1,
    );
    fs::write(&check, with)?;
    println!("made {}", file.display());
    Ok(())
}

fn write_new(file: &Path, text: &str) -> Result<()> {
    if file.exists() {
        bail!("{} is there already", file.display());
    }
    let folder = file.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

/// A story that runs and is good: its leader dies, and nothing is lost.
fn scenario(name: &str) -> String {
    let up = "../".repeat(name.matches('/').count() + 1);
    format!(
        r#"// What happens here, and why, in two or three sentences.
{{
  "$schema": "{up}schema/scenario.json",
  "format": 1,
  "title": "The leader dies",
  "teaches": "what one can learn from it",
  "topics": {{ "orders": {{ "replication.factor": 3, "config": {{ "min.insync.replicas": 2 }} }} }},
  "producers": {{ "shop": {{ "topic": "orders", "records": 60, "rate": "20/s", "config": {{ "acks": "all" }} }} }},
  "steps": [{{ "at": "1s", "crash": "leader of orders-0", "for": "12s" }}],
  "expect": ["acked == 60", "log.lost == 0", "sometimes: leader elected"],
  "try": [{{ "set": "/producers/shop/config/acks", "to": ["all", "1"] }}],
  "tell": ["faults", "elections", "verdict"],
  "twins": [
    {{
      "title": "it comes back at once",
      "set": {{ "/steps/0/for": "1s" }},
      "expect": ["acked == 60", "log.lost == 0", "unexplained == 0"]
    }}
  ]
}}
"#
    )
}

/// A checker that watches and counts, and finds nothing yet: its canary will fail until it does.
fn checker(name: &str) -> String {
    let title: String = name
        .split(['-', '_'])
        .flat_map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_uppercase().chain(letters).collect::<String>())
        })
        .collect();
    let words = name.replace(['-', '_'], " ");
    format!(
        r#"//! **{words}**: the promise in one sentence.
//!
//! Explained by the settings and harms that allow a break.

use super::history::History;
use super::{{Promise, Seen}};
use crate::trace::Record;

/// The promise.
pub const PROMISE: Promise = Promise {{
    name: "{words}",
    sentence: "The promise in one sentence.",
    ids: "B0",
    canary: "the switch, the setting or the changed history with which it must bark",
}};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct {title} {{
    /// How often it could have been broken.
    pub opportunities: u64,
}}

impl {title} {{
    /// A fact was told.
    pub fn record(&mut self, _record: &Record, _history: &History) -> Option<Seen> {{
        self.opportunities += 1;
        None
    }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use klab_web::run::Run;
    use std::process::Command;

    #[test]
    fn every_place_that_is_listed_is_there() {
        for kind in [Kind::Scenario, Kind::Checker, Kind::Fault, Kind::Config] {
            for place in places(kind) {
                line_of(&crate::root(), place).unwrap_or_else(|why| panic!("{why}"));
            }
        }
    }

    #[test]
    fn a_new_scenario_and_its_twin_run_and_are_good() {
        let text = scenario("theme/s01-new");
        assert_eq!(Run::twins(&text).expect("a good file").len(), 1);
        for twin in [0, 1] {
            let mut run = Run::open(&text, twin, 1).expect("a good file");
            while !run.run(10_000).expect("within the limits") {}
            let verdict: serde_json::Value =
                serde_json::from_str(&run.verdict()).expect("it is JSON");
            let judged = verdict["outcome"]["judged"].as_array().expect("a list");
            assert!(!judged.is_empty());
            assert!(judged.iter().all(|one| one["holds"] == true), "{judged:#?}");
            assert_eq!(verdict["outcome"]["broken"], serde_json::json!([]));
        }
    }

    #[test]
    fn a_new_checker_is_rust_as_rustfmt_writes_it() {
        let folder = std::env::temp_dir().join(format!("klab-new-{}", std::process::id()));
        let file = folder.join("my_promise.rs");
        write_new(&file, &checker("my-promise")).expect("a folder of its own");
        assert!(write_new(&file, "").is_err(), "it is not written over");
        let check = Command::new("rustfmt")
            .args(["--edition", "2024", "--check"])
            .arg(&file)
            .output()
            .expect("rustfmt is a component of the toolchain");
        fs::remove_dir_all(&folder).expect("it was made above");
        assert!(
            check.status.success(),
            "{}",
            String::from_utf8_lossy(&check.stdout)
        );
        assert!(checker("my-promise").contains("pub struct MyPromise {"));
    }
}
