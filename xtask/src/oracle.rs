//! `cargo xtask oracle`: asks Apache Kafka itself, and keeps what it answers under `tests/vectors`, where `tests/tests/oracle.rs`
//! holds klab to it. Needs Java 17, its compiler and Maven; the tests need neither.
//!
//! What is asked of client classes and of brokers stands in `xtask/oracle`; which Kafka, in its `pom.xml`.

mod cluster;
mod layout;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use cluster::Cluster;

/// What may be said on the command line.
#[derive(clap::Args)]
pub struct Options {
    /// Keep nothing: say whether what Kafka answers now differs from what is kept
    #[arg(long)]
    check: bool,
}

/// What is asked of client classes: a file's name, what is asked, what its values mean.
const CLASSES: [(&str, &str, &str); 4] = [
    (
        "keys",
        "keys",
        "BuiltInPartitioner.partitionForKey of 10,000 keys by number of partitions, in base 36, 100 keys a row. Key i is made of draws with seed i: its length below 67, then its bytes",
    ),
    (
        "batches",
        "batches",
        "RecordAccumulator with one partition. A step appends a record, [partition, key length or -1, value length or -1, headers, timestamp]; an empty one lets the first batch of each partition leave. A result is [partition, appended bytes, batch is full, batch is new, draws so far], or for each batch that left [partition, records, estimated size, final size]",
    ),
    (
        "sticky",
        "sticky",
        "RecordAccumulator with a BuiltInPartitioner that draws what is listed; steps and results as in batches, partition -1 for the sticky one. Weighed: partitions that are drawn while their queues are so long, the first `counted` of them being in reach, and the range of a draw",
    ),
    (
        "tables",
        "tables",
        "Kafka's errors with what clients do about them, its APIs with their newest stable version, the defaults of its settings",
    ),
];

/// What the answers of brokers mean.
const ANSWERS: &str = "Three nodes on loopback, 1 both broker and controller, eligible leader replicas off; then 3 was killed. Answers to requests, by what was asked in xtask/oracle/src/klab/oracle/Answers.java; describe is what the tool kafka-topics prints, topic ids struck out";

/// Asks, and keeps or compares.
pub fn run(options: &Options) -> Result<()> {
    let java = Java::prepare()?;
    let versions = java.ask("versions", &[])?;
    let said = |of: &str| versions[of].as_str().unwrap_or("?").to_owned();
    println!("Apache Kafka {}, Java {}", said("kafka"), said("java"));
    let mut vectors = Vec::new();
    for (file, what, means) in CLASSES {
        vectors.push((file, means, java.ask(what, &[])?));
    }
    vectors.push(("answers", ANSWERS, answers(&java)?));
    let folder = crate::root().join("tests/vectors");
    let mut differing = Vec::new();
    for (file, means, answer) in vectors {
        let path = folder.join(format!("{file}.json"));
        let made = json!({
            "made by": "cargo xtask oracle",
            "kafka": said("kafka"),
            "java": said("java"),
            "means": means,
            "vectors": answer,
        });
        let difference = difference(&path, &made)?;
        match &difference {
            None => println!("  {file}: as it is kept"),
            Some(at) => println!("  {file}: differs from what is kept, first at {at}"),
        }
        if difference.is_some() && !options.check {
            fs::write(&path, layout::text(&made))
                .with_context(|| format!("writing {}", path.display()))?;
        }
        differing.extend(difference.map(|_| file));
    }
    match (differing.as_slice(), options.check) {
        ([], _) => println!("nothing differs"),
        (files, false) => println!("written: {}", files.join(", ")),
        (files, true) => bail!("differing from what is kept: {}", files.join(", ")),
    }
    Ok(())
}

/// What three brokers answer, first all of them, then without the third.
fn answers(java: &Java) -> Result<Value> {
    let mut cluster = Cluster::start(java)?;
    let ports = cluster.ports();
    let mut answers = java.ask("healthy", &ports)?;
    cluster.kill(3)?;
    let more = java.ask("one-down", &ports)?;
    if let (Value::Object(all), Value::Object(more)) = (&mut answers, more) {
        all.extend(more);
    }
    Ok(answers)
}

/// Where what is kept first differs, whatever Java it was made with; none if it does not.
fn difference(path: &Path, made: &Value) -> Result<Option<String>> {
    if !path.exists() {
        return Ok(Some("its beginning: nothing is kept".into()));
    }
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut kept: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    kept["java"] = made["java"].clone();
    Ok(layout::first_difference(&kept, made))
}

/// A Java machine with our questions, Kafka and all that it needs.
struct Java {
    classpath: String,
    folder: PathBuf,
}

impl Java {
    /// Has Maven fetch Kafka, and compiles the questions.
    fn prepare() -> Result<Java> {
        let source = crate::root().join("xtask/oracle");
        let folder = crate::root().join("target/oracle");
        let classes = folder.join("classes");
        fs::create_dir_all(&classes).context("making target/oracle")?;
        let list = folder.join("classpath.txt");
        let mut maven = Command::new("mvn");
        maven
            .args(["--quiet", "--batch-mode", "--file"])
            .arg(source.join("pom.xml"))
            .arg("org.apache.maven.plugins:maven-dependency-plugin:2.8:build-classpath")
            .arg(format!("-Dmdep.outputFile={}", list.display()));
        finish(&mut maven)?;
        let fetched = fs::read_to_string(&list).context("reading what Maven fetched")?;
        let classpath = format!("{}:{}", classes.display(), fetched.trim());
        let mut compiler = Command::new("javac");
        compiler
            .args(["-Xlint:all,-classfile,-processing", "-Werror", "-classpath"])
            .args([classpath.as_str(), "-d"])
            .arg(&classes)
            .args(sources(&source.join("src"))?);
        finish(&mut compiler)?;
        Ok(Java { classpath, folder })
    }

    /// Asks one thing; the answer comes in a file, since what Kafka prints is not for us.
    fn ask(&self, what: &str, ports: &[u16]) -> Result<Value> {
        let path = self.folder.join(format!("{what}.json"));
        let mut java = self.command(128);
        java.args(["-ea", "klab.oracle.Main", what])
            .arg(&path)
            .args(ports.iter().map(u16::to_string))
            .stderr(Stdio::piped());
        finish(&mut java)?;
        let text = fs::read_to_string(&path).with_context(|| format!("no answer to {what}"))?;
        serde_json::from_str(&text).with_context(|| format!("the answer to {what}"))
    }

    /// A Java machine that may have so many MiB.
    fn command(&self, heap: u32) -> Command {
        let mut java = Command::new("java");
        java.arg(format!("-Xmx{heap}m"))
            .args(["-classpath", &self.classpath])
            .stdin(Stdio::null());
        java
    }
}

/// Runs a command to its end.
fn finish(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("starting {name}: is it installed?"))?;
    if !output.status.success() {
        bail!(
            "{name} failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// All Java files below a folder, by name.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|e| e == "java") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
