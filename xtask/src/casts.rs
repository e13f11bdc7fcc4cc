//! `cargo xtask casts`: no number of 64 bits becomes a `usize` by `as` in the engine crates.
//!
//! Such a cast drops the upper half in a browser and nowhere else. Clippy knows the types but offers only one lint for every cast that
//! may truncate, most of which are meant (`len() as i32`); so we ask it, and keep what it says of `usize`.
//! What is left out: tests, which run natively.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Runs clippy over the engine crates and lists what it finds.
pub fn run() -> Result<()> {
    let clippy = Command::new("cargo")
        .args(["clippy", "--quiet", "--locked", "--message-format=json"])
        .args(["--package", "klab-kafka", "--package", "klab-world"])
        .args(["--", "--warn", "clippy::cast_possible_truncation"])
        .current_dir(crate::root())
        .output()
        .context("starting cargo clippy")?;
    if !clippy.status.success() {
        bail!("the engine crates do not pass `cargo clippy`; mend that first");
    }
    let findings = findings(&String::from_utf8_lossy(&clippy.stdout));
    if !findings.is_empty() {
        bail!("{} to mend:\n{}", findings.len(), findings.join("\n"));
    }
    println!("no cast in the engine depends on the width of a pointer");
    Ok(())
}

/// One line of cargo's output; most carry no message.
#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    message: String,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: u32,
}

fn findings(output: &str) -> Vec<String> {
    let lines = output
        .lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let messages = lines.filter_map(|line| line.message);
    let wide = messages.filter(|message| message.message.contains("to `usize` may truncate"));
    wide.filter_map(|message| {
        let at = message.spans.first()?;
        Some(format!(
            "{}:{}: {}; use usize::try_from(n).expect(\"why it fits\")",
            at.file_name, at.line_start, message.message
        ))
    })
    .collect()
}

#[test]
fn only_casts_to_usize_are_found() {
    let line = |message: &str| {
        let spans = serde_json::json!([{ "file_name": "a.rs", "line_start": 7 }]);
        serde_json::json!({ "reason": "compiler-message", "message": { "message": message, "spans": spans } }).to_string()
    };
    let wide =
        "casting `u64` to `usize` may truncate the value on targets with 32-bit wide pointers";
    let output = [
        line("casting `usize` to `i32` may truncate the value"),
        line(wide),
        "{\"reason\":\"build-finished\"}".to_owned(),
    ];
    let found = findings(&output.join("\n"));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("a.rs:7: casting `u64` to `usize`"),
        "{}",
        found[0]
    );
}
