//! The command line as a user meets it: exit codes, words, colours, and that nothing it is given makes it panic.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn klab(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klab"));
    command
        .args(args)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE");
    command.output().expect("klab was built")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("klab ended by itself")
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file of its own for one test.
fn file(name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, contents).expect("the folder for tests is there");
    path
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

const SMALL: &str = r#"{
  "title": "small",
  "cluster": { "brokers": 1, "controllers": 1 },
  "topics": { "orders": {} },
  "producers": { "shop": { "topic": "orders", "records": 3 } },
  "steps": [{ "at": "1s", "pause": "shop", "for": "100ms" }],
  "end": { "at": "3s", "within": "60s" },
  "expect": ["sent == 3"]
}"#;

#[test]
fn a_good_scenario_runs_and_is_good() {
    let small = file("good.jsonc", SMALL);
    let run = klab(&["run", path(&small)]);
    assert_eq!(code(&run), 0, "{}{}", out(&run), err(&run));
    assert!(out(&run).starts_with("small · seed 1\n"), "{}", out(&run));
    assert!(out(&run).contains("  ✓ sent == 3\n"), "{}", out(&run));
    assert_eq!(code(&klab(&["check", path(&small)])), 0);
}

#[test]
fn an_expectation_that_fails_is_exit_1() {
    let small = file("failing.jsonc", SMALL);
    let run = klab(&["run", path(&small), "--set", "/expect/0=sent == 4"]);
    assert_eq!(code(&run), 1);
    assert!(out(&run).contains("  ✕ sent == 4: 3\n"), "{}", out(&run));
}

#[test]
fn a_trigger_that_never_comes_is_exit_1_unless_optional() {
    let small = file("trigger.jsonc", SMALL);
    let step = |optional: &str| {
        format!(r#"/steps/0={{ "when": "shop sent record 99", "pause": "shop"{optional} }}"#)
    };
    let run = klab(&["run", path(&small), "--set", &step("")]);
    assert_eq!(code(&run), 1);
    assert!(
        out(&run).contains(
            "its trigger never came: { \"when\": \"shop sent record 99\", \"pause\": \"shop\" }"
        ),
        "{}",
        out(&run)
    );
    assert_eq!(
        code(&klab(&[
            "run",
            path(&small),
            "--set",
            &step(", \"optional\": true")
        ])),
        0
    );
}

#[test]
fn a_mistake_in_a_scenario_is_exit_2_with_its_line_and_the_nearest_name() {
    let bad = file("bad.jsonc", SMALL.replace("\"records\"", "\"recods\""));
    for command in ["run", "check"] {
        let run = klab(&[command, path(&bad)]);
        assert_eq!(code(&run), 2);
        assert!(
            err(&run).contains("error: unknown key \"recods\" in a producer"),
            "{}",
            err(&run)
        );
        assert!(err(&run).contains("bad.jsonc:5:47"), "{}", err(&run));
        assert!(
            err(&run).contains("help: did you mean \"records\"?"),
            "{}",
            err(&run)
        );
        assert!(
            !err(&run).contains("no \"records\""),
            "one slip is one mistake: {}",
            err(&run)
        );
    }
}

#[test]
fn a_wrong_command_line_is_exit_2_and_says_what_to_do() {
    let small = file("usage.jsonc", SMALL);
    let small = path(&small);
    for (args, words) in [
        (
            &["run", "nowhere.jsonc"][..],
            "there is no file nowhere.jsonc",
        ),
        (
            &["run", small, "--write-tape", "/nowhere/at/all"],
            "make the folder first: mkdir -p /nowhere/at",
        ),
        (
            &["run", small, "--replay", "nowhere.tape"],
            "name a file that `klab run FILE --write-tape TAPE` wrote",
        ),
        (&["run", small, "--replay", small], "not a tape"),
        (&["run", small, "--twin", "1"], "has no twin"),
        (&["run", small, "--set", "acks=1"], "expected POINTER=VALUE"),
        (&["run", small, "--set", "/acks=1"], "unknown key \"acks\""),
        (
            &["run", small, "--until", "5"],
            "expected a duration with its unit",
        ),
        (&["run", small, "--seed=-1"], "invalid value"),
        (
            &["run", small, "--sed", "1"],
            "a similar argument exists: '--seed'",
        ),
        (&["sweep", small, "--seeds", "9..1"], "expected two numbers"),
        (
            &["sweep", small, "--seeds", "0..9", "--jobs", "0"],
            "invalid value",
        ),
        (
            &["state", small, "--at", "1s", "--process", "broker-9"],
            "one of controller-1, broker-1, shop, admin, reader",
        ),
        (
            &["why", small, "--record", "shop"],
            "a record is a producer, # and its number",
        ),
        (
            &["why", small, "--record", "shop17"],
            "and its number from 0, such as shop#0",
        ),
        (
            &["why", small, "--record", "shp#1"],
            "did you mean shop#1? the producers are shop",
        ),
        (
            &["why", small, "--record", "bank#1"],
            "the producers are shop",
        ),
        (
            &["why", small, "--record", "shop#3"],
            "its records are shop#0 to shop#2",
        ),
        (
            &["why", small, "--event", "99999999"],
            "`klab run --lines` shows them",
        ),
        (&["why", small, "--event", "0"], "so try 1; "),
        (
            &[
                "why",
                small,
                "--set",
                "/producers/shop/rate=1/s",
                "--set",
                r#"/steps/0={ "at": "1500ms", "crash": "shop", "for": "ever" }"#,
                "--record",
                "shop#2",
            ],
            "the last one it came to is shop#1",
        ),
        (&["why", small], "--record <ID>|--event <SEQ>"),
        (&["rum"], "a similar subcommand exists: 'run'"),
    ] {
        let run = klab(args);
        assert_eq!(code(&run), 2, "{args:?}: {}", err(&run));
        assert!(err(&run).contains(words), "{args:?}: {}", err(&run));
    }
}

#[test]
fn files_that_are_no_scenario_are_exit_2_at_once() {
    let deep = "[".repeat(1 << 20);
    for (name, contents, words) in [
        ("empty.jsonc", Vec::new(), "an empty file"),
        (
            "binary.jsonc",
            b"{ \"title\": \"\xff\" }".to_vec(),
            "byte 0xff, which is not UTF-8",
        ),
        (
            "deep.jsonc",
            deep.into_bytes(),
            "33 objects and lists inside one another",
        ),
        (
            "number.jsonc",
            format!("{{ \"title\": \"t\", \"seed\": {} }}", "9".repeat(100_000)).into_bytes(),
            "a number of 100000 characters",
        ),
        (
            "big.jsonc",
            vec![b' '; 50 << 20],
            "more than 1048576 bytes in one file",
        ),
    ] {
        let path_ = file(name, contents);
        let began = std::time::Instant::now();
        let run = klab(&["check", path(&path_)]);
        assert_eq!(code(&run), 2, "{name}: {}", err(&run));
        assert!(err(&run).contains(words), "{name}: {}", err(&run));
        assert!(
            err(&run).contains(&format!("{name}:1:")),
            "{name}: {}",
            err(&run)
        );
        assert!(
            err(&run).len() < 10_000,
            "{name}: an error is read by a person"
        );
        assert!(began.elapsed().as_secs() < 2, "{name}");
        drop(fs::remove_file(path_));
    }
}

#[test]
fn a_tape_repeats_its_run_and_a_tape_that_does_not_is_a_bug() {
    let small = file("taped.jsonc", SMALL);
    let tape = file("run.tape", "");
    let made = klab(&[
        "run",
        path(&small),
        "--seed",
        "7",
        "--write-tape",
        path(&tape),
        "--json",
    ]);
    let again = klab(&["run", path(&small), "--replay", path(&tape), "--json"]);
    let hash = |output: &Output| {
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (told["seed"].clone(), told["hash"].clone())
    };
    assert_eq!(code(&again), 0, "{}", err(&again));
    assert_eq!(hash(&made), hash(&again));
    assert_eq!(
        code(&klab(&[
            "run",
            path(&small),
            "--replay",
            path(&tape),
            "--set",
            "/seed=3"
        ])),
        2
    );
    let text = fs::read_to_string(&tape).expect("a tape");
    let other = file(
        "other.tape",
        text.replace(hash(&made).1.as_str().expect("a text"), "0000000000000000"),
    );
    let bug = klab(&["run", path(&small), "--replay", path(&other)]);
    assert_eq!(code(&bug), 3);
    assert!(
        err(&bug).starts_with("a bug in klab: the tape ends with the hash 0000000000000000"),
        "{}",
        err(&bug)
    );
}

#[test]
fn a_sweep_counts_its_seeds() {
    let small = file("sweep.jsonc", SMALL);
    let sweep = klab(&["sweep", path(&small), "--seeds", "0..5", "--jobs", "2"]);
    assert_eq!(code(&sweep), 0, "{}", out(&sweep));
    assert!(
        out(&sweep).contains("5 of 5 seeds are good"),
        "{}",
        out(&sweep)
    );
    assert_eq!(err(&sweep), "", "no progress bar where nobody looks");
    let failing = klab(&[
        "sweep",
        path(&small),
        "--seeds",
        "0..5",
        "--set",
        "/expect/0=sent == 4",
    ]);
    assert_eq!(code(&failing), 1);
    assert!(
        out(&failing).contains("     5 × sent == 4: seeds 0, 1, 2, 3, 4\n"),
        "{}",
        out(&failing)
    );
    assert!(
        out(&failing).contains("--set '/expect/0=sent == 4' --seed 0"),
        "{}",
        out(&failing)
    );
}

#[test]
fn colours_are_for_terminals() {
    let bad = file("plain.jsonc", "{}");
    let plain = klab(&["check", path(&bad)]);
    assert!(!err(&plain).contains('\u{1b}'), "{}", err(&plain));
    let list = klab(&["list"]);
    assert_eq!(code(&list), 0);
    assert!(!out(&list).contains('\u{1b}'));
    assert!(out(&list).contains("producer/p01-lost-acknowledgement"));
}

#[test]
fn a_state_is_shown_as_it_is() {
    let small = file("state.jsonc", SMALL);
    let state = klab(&["state", path(&small), "--at", "1s", "--process", "broker-1"]);
    assert_eq!(code(&state), 0, "{}", err(&state));
    assert!(out(&state).starts_with("broker-1 at "), "{}", out(&state));
    assert!(out(&state).contains("Broker {"), "{}", out(&state));
}

#[test]
fn a_run_that_loses_or_doubles_a_record_says_how_to_ask_why() {
    for (args, command) in [
        (
            &["run", "p01", "--seed", "3"][..],
            "klab why p01 --seed 3 --record shop#20",
        ),
        (
            &["run", "p03", "--seed", "2", "--tell"],
            "klab why p03 --seed 2 --record shop#2",
        ),
    ] {
        let run = klab(args);
        let hint = format!("\n  why: {command}");
        assert!(out(&run).contains(&hint), "{}", out(&run));
        assert!(!out(&run).contains('\u{1b}'), "{}", out(&run));
        let asked = out(&run);
        let asked = asked
            .lines()
            .find_map(|line| line.strip_prefix("  why: klab "));
        let asked: Vec<&str> = asked.expect("the hint").split(' ').collect();
        let why = klab(&asked);
        assert_eq!(code(&why), 0, "{asked:?}: {}", err(&why));
        assert!(out(&why).contains("fault: "), "{}", out(&why));
    }
    let quiet = klab(&["run", "p01", "--twin", "1"]);
    assert!(!out(&quiet).contains("klab why"), "{}", out(&quiet));
}

#[test]
fn why_names_events_that_the_lines_show() {
    let why = klab(&["why", "p01", "--record", "shop#20"]);
    assert_eq!(code(&why), 0, "{}", err(&why));
    let lines = klab(&["run", "p01", "--lines"]);
    let lines = out(&lines);
    let told: Vec<String> = out(&why).lines().map(str::to_owned).collect();
    assert!((5..=10).contains(&told.len()), "{told:#?}");
    for line in told {
        let number = line
            .trim_start_matches('#')
            .split(' ')
            .next()
            .expect("a number")
            .to_owned();
        assert!(
            lines
                .lines()
                .any(|line| line.trim_start().starts_with(&format!("{number} "))),
            "{line}"
        );
    }
}

#[test]
fn topics_are_described_as_kafkas_own_tool_does_by_whoever_is_asked() {
    let with_config = SMALL.replace(
        r#""orders": {}"#,
        r#""orders": { "partitions": 2, "config": { "max.message.bytes": 5000, "min.insync.replicas": 1 } }"#,
    );
    let small = file("topics.jsonc", with_config);
    let run = klab(&["topics", path(&small), "--at", "2s"]);
    assert_eq!(code(&run), 0, "{}{}", out(&run), err(&run));
    let said = out(&run);
    let lines: Vec<&str> = said.lines().collect();
    let [topic, first, second] = lines[..] else {
        panic!("a line for the topic and one for each partition: {lines:?}")
    };
    assert!(topic.starts_with("Topic: orders\tTopicId: "), "{topic}");
    // In the order in which they lie in Java's map.
    let rest = "\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: min.insync.replicas=1,max.message.bytes=5000";
    assert!(topic.ends_with(rest), "{topic}");
    let partition = |n: u8| {
        format!(
            "\tTopic: orders\tPartition: {n}\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: "
        )
    };
    assert_eq!([first, second], [partition(0), partition(1)]);
    let json = klab(&["topics", path(&small), "--at", "2s", "--json"]);
    assert!(out(&json).contains(r#""replication_factor": 1"#));
    let unknown = klab(&["topics", path(&small), "--at", "2s", "--broker", "broker-9"]);
    assert_eq!(code(&unknown), 2);
}
