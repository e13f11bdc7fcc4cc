//! What neither the compiler nor clippy can forbid, about the text of our own files. Each test names what it keeps; each finding is
//! `file:line: what is wrong; what to do`.
//!
//! What is left out: what the `clippy.toml` of an engine crate can say by itself.

#[path = "tidy/source.rs"]
mod source;

use source::{File, rust_files, text_files};

/// The crates whose runs must be the same to the bit, natively and in a browser.
const ENGINE: &[&str] = &["sim/kafka/src", "sim/world/src"];
/// The crates of the page's module, which Debian's older compiler must build too.
const MODULE: &[&str] = &["sim/kafka", "sim/world", "web/src"];
/// All our Rust.
const ALL: &[&str] = &["sim", "web", "book", "tests", "xtask"];
/// These files spell out what they forbid.
const TIDY: &str = "tests/tests/tidy";
/// The files that may name `Context`: the door itself, and the roles, which act through it. A new role is added here.
const ROLES: &[&str] = &[
    "sim/kafka/src/context.rs",
    "sim/kafka/src/effect.rs",
    "sim/kafka/src/lib.rs",
    // Roles; a role may be several files in its folder.
    "sim/kafka/src/broker.rs",
    "sim/kafka/src/broker/bench.rs",
    "sim/kafka/src/broker/channel.rs",
    "sim/kafka/src/broker/following.rs",
    "sim/kafka/src/broker/housekeeping.rs",
    "sim/kafka/src/broker/network.rs",
    "sim/kafka/src/broker/serving.rs",
    "sim/kafka/src/controller.rs",
    "sim/kafka/src/client/admin.rs",
    "sim/kafka/src/client/connections.rs",
    "sim/kafka/src/client/consumer.rs",
    "sim/kafka/src/client/machine.rs",
    "sim/kafka/src/client/network.rs",
    "sim/kafka/src/client/producer.rs",
    "sim/kafka/src/client/producer/local.rs",
    "sim/kafka/src/client/producer/sender.rs",
    "sim/kafka/src/raft/driver.rs",
    // Where roles run.
    "sim/world/src/app.rs",
    "sim/world/src/app/bench.rs",
    "sim/world/src/app/consuming.rs",
    "sim/world/src/app/producing.rs",
    "sim/world/src/app/reading.rs",
    "sim/world/src/machinery.rs",
    "sim/world/src/process.rs",
    "sim/world/src/setup.rs",
    "sim/world/src/world.rs",
];
/// How a file is read: as it is, or without its comments and strings.
type View = fn(&File) -> std::str::Lines<'_>;
/// The longest that a file may be, in lines.
const LONGEST: usize = 900;

#[test]
fn every_file_says_what_it_is() {
    let files = rust_files(ALL);
    let headless = files.iter().filter(|file| !file.text.starts_with("//!"));
    assert_clean(headless.map(|file| {
        file.finding(1, "no header; begin with //! lines: what this is, the guarantee it keeps, what is left out")
    }));
}

#[test]
fn every_file_holds_one_subject() {
    let files = rust_files(ALL);
    let long = files
        .iter()
        .filter(|file| file.text.lines().count() > LONGEST);
    assert_clean(long.map(|file| {
        file.finding(
            LONGEST,
            &format!("longer than {LONGEST} lines; give its second subject a file of its own"),
        )
    }));
}

#[test]
fn nothing_is_left_open() {
    let open = "left open; do it, or say in the header that it is left out";
    let stub = "a stub; write it, or leave the branch out";
    let rules = [
        ("TODO", open),
        ("FIXME", open),
        ("XXX", open),
        ("todo!", stub),
        ("unimplemented!", stub),
    ];
    assert_clean(forbid(&but_tidy(rust_files(ALL)), File::lines, &rules));
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let why = "a path of one machine; use a path inside the repository";
    let rules = [
        ("/root/", why),
        ("/home/", why),
        ("/work/", why),
        ("/Users/", why),
    ];
    assert_clean(forbid(&but_tidy(text_files()), File::lines, &rules));
}

#[test]
fn the_engine_holds_no_floats() {
    let why = "a float; use integers: nanoseconds, parts per million, fixed point";
    let engine = but_tests(rust_files(ENGINE));
    let literals = find(&engine, File::code_lines, source::has_float_literal, why);
    // serde's Serializer must name the types in order to refuse them.
    let mut engine = engine;
    engine.retain(|file| file.path != "sim/world/src/digest.rs");
    let words = forbid(&engine, File::code_lines, &[("f32", why), ("f64", why)]);
    assert_clean(words.into_iter().chain(literals));
}

#[test]
fn the_engine_is_one_code_for_every_machine() {
    let why = "another code on another machine; what differs belongs to the cli or to web";
    let dev = "another code in release; dev and release give one hash";
    let rules = [
        ("target_arch", why),
        ("target_pointer_width", why),
        ("target_os", why),
        ("debug_assertions", dev),
    ];
    assert_clean(forbid(&rust_files(ENGINE), File::code_lines, &rules));
}

/// What a digest does not see, and why it need not, by file: so many fields and no more.
const UNSEEN: &[(&str, usize, &str)] = &[
    (
        "sim/kafka/src/broker.rs",
        1,
        "a buffer that is empty between two steps",
    ),
    (
        "sim/kafka/src/broker/alarms.rs",
        1,
        "nothing: the alarms are written as the map that they are",
    ),
    (
        "sim/kafka/src/broker/network.rs",
        1,
        "nothing whenever no step is under way",
    ),
    (
        "sim/kafka/src/client/connections.rs",
        1,
        "nothing: before it no deadline of theirs is due, whatever it is",
    ),
    (
        "sim/kafka/src/controller/records.rs",
        1,
        "nothing: it is written as the list that it is",
    ),
    (
        "sim/kafka/src/ids.rs",
        2,
        "nothing: a number is written as a number, a record's id as its two fields",
    ),
    (
        "sim/kafka/src/log/batch.rs",
        2,
        "the checksum stands for the bytes and for the header",
    ),
    (
        "sim/kafka/src/log/batches.rs",
        2,
        "nothing: it is written as the list that it is, batch by batch",
    ),
    (
        "sim/kafka/src/log/builder.rs",
        1,
        "nothing: bytes are written as a byte string, all of them",
    ),
    (
        "sim/kafka/src/raft/driver.rs",
        1,
        "a buffer that is empty between two steps",
    ),
    (
        "sim/kafka/src/raft/fetch.rs",
        1,
        "nothing: it is written as the answer that it becomes",
    ),
    (
        "sim/kafka/src/raft/log.rs",
        1,
        "nothing: the log is written as a list of lists of batches",
    ),
    (
        "sim/kafka/src/sorted.rs",
        1,
        "nothing: it is written as the map that it is",
    ),
    (
        "sim/world/src/clocks.rs",
        1,
        "nothing: a drift that there is none of, so that a run without it keeps its hash",
    ),
    (
        "sim/world/src/disks.rs",
        1,
        "nothing: ills that there are none of",
    ),
    ("sim/world/src/doctor.rs", 1, "no state of a run"),
    (
        "sim/world/src/network.rs",
        3,
        "nothing: spoils, clogs and throttles that there are none of",
    ),
    (
        "sim/world/src/network/connections.rs",
        1,
        "the empty places of connections that are gone",
    ),
    ("sim/world/src/outcome.rs", 1, "no state of a run"),
    (
        "sim/world/src/process.rs",
        2,
        "the list of alarms says which is the earliest; a process is written as its number",
    ),
    (
        "sim/world/src/steps.rs",
        3,
        "a tape has nothing that waits, and its run is the same run",
    ),
    ("sim/world/src/verdict.rs", 1, "no state of a run"),
];

#[test]
fn every_field_of_the_engine_reaches_the_digest() {
    let skips = |line: &str| {
        [
            "serde(skip",
            "serialize_with",
            "serde(with",
            "serde(into",
            "serde(transparent",
        ]
        .iter()
        .any(|word| line.contains(word))
            || (line.contains(" Serialize for ") && line.contains("impl"))
    };
    let files = but_tests(rust_files(ENGINE));
    let own = |file: &&File| {
        let lines = file.lines();
        lines
            .take_while(|line| !line.starts_with("mod tests {"))
            .filter(|line| skips(line))
            .count()
    };
    let found = files.iter().map(|file| (file.path.as_str(), own(file)));
    let found: Vec<(&str, usize)> = found.filter(|(_, n)| *n > 0).collect();
    let named: Vec<(&str, usize)> = UNSEEN.iter().map(|(path, n, _)| (*path, *n)).collect();
    assert_eq!(
        found, named,
        "fields that no hash takes in; derive Serialize, or name them in UNSEEN with the reason"
    );
}

#[test]
fn the_engine_sorts_equals_in_an_order_of_its_own() {
    let why = "leaves the order of equals to the standard library; use the stable sort";
    let rules = [
        ("sort_unstable", why),
        ("sort_unstable_by", why),
        ("sort_unstable_by_key", why),
        ("select_nth_unstable", why),
        ("select_nth_unstable_by", why),
        ("select_nth_unstable_by_key", why),
    ];
    assert_clean(forbid(&rust_files(ENGINE), File::code_lines, &rules));
}

#[test]
fn the_engine_has_no_globals() {
    assert_clean(forbid(
        &rust_files(ENGINE),
        File::code_lines,
        &[("static", "a global; make it const, or pass it")],
    ));
}

#[test]
fn only_roles_name_the_context() {
    let mut others = but_tests(rust_files(&["sim"]));
    others.retain(|file| !ROLES.contains(&file.path.as_str()));
    let why = "only roles act through Context; return a value or push into the role's buffer, or add a new role to ROLES in tidy.rs";
    let mut findings = forbid(&others, File::code_lines, &[("Context", why)]);
    // One finding a file says it all.
    findings.dedup_by_key(|finding| finding.split(':').next().map(str::to_owned));
    assert_clean(findings);
}

#[test]
fn kafka_does_not_know_where_it_runs() {
    let why = "klab-kafka does not know what world it runs in; say it in Kafka's words";
    let betrays = |line: &str| {
        let line = line.to_lowercase();
        [
            "simulat",
            "scenario",
            "klab-world",
            "klab_world",
            "virtual time",
        ]
        .iter()
        .any(|word| line.contains(word))
    };
    assert_clean(find(
        &rust_files(&["sim/kafka/src"]),
        File::lines,
        betrays,
        why,
    ));
}

#[test]
fn the_module_builds_with_rust_1_85() {
    let why = "a let chain, which needs Rust 1.88; nest the ifs, or use let-else, matches! or is_some_and";
    assert_clean(rust_files(MODULE).iter().flat_map(|file| {
        source::let_chains(&file.code)
            .into_iter()
            .map(|line| file.finding(line, why))
    }));
}

#[test]
fn both_engine_crates_obey_the_same_lints() {
    let mut configs = text_files();
    configs.retain(|file| file.path.ends_with("clippy.toml"));
    let paths: Vec<&str> = configs.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        ["sim/kafka/clippy.toml", "sim/world/clippy.toml"],
        "the engine crates' clippy.toml, and no other"
    );
    assert_eq!(
        configs[0].text, configs[1].text,
        "the two clippy.toml differ; copy one over the other"
    );
}

fn but_tidy(mut files: Vec<&'static File>) -> Vec<&'static File> {
    files.retain(|file| !file.path.starts_with(TIDY));
    files
}

/// Tests beside the code may draw by floats and play a role's part.
fn but_tests(mut files: Vec<&'static File>) -> Vec<&'static File> {
    files.retain(|file| {
        !file.path.ends_with("tests.rs")
            && !file.path.contains("/tests/")
            && !file.path.ends_with("/capture.rs")
    });
    files
}

/// A finding for each line on which one of the words stands by itself.
fn forbid(files: &[&File], view: View, rules: &[(&str, &str)]) -> Vec<String> {
    let of_rule = |(word, why): &(&str, &str)| {
        find(
            files,
            view,
            |line| source::has_word(line, word),
            &format!("`{word}`: {why}"),
        )
    };
    rules.iter().flat_map(of_rule).collect()
}

/// A finding for each line of which `is_wrong` is true.
fn find(files: &[&File], view: View, is_wrong: impl Fn(&str) -> bool, why: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        let wrong = view(file).enumerate().filter(|(_, line)| is_wrong(line));
        findings.extend(wrong.map(|(number, _)| file.finding(number + 1, why)));
    }
    findings
}

fn assert_clean(findings: impl IntoIterator<Item = String>) {
    let findings: Vec<String> = findings.into_iter().collect();
    assert!(
        findings.is_empty(),
        "{} to tidy:\n{}",
        findings.len(),
        findings.join("\n")
    );
}
