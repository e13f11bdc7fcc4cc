//! Build steps that cargo alone cannot do: `cargo xtask <step>`.
//!
//! Nothing here is needed to run or to test klab natively; `cargo run` and `cargo test --workspace` stand alone.

mod bench;
mod bless;
mod book;
mod callgrind;
mod casts;
mod commands;
mod costs;
mod dist;
mod new;
mod oracle;
mod page;
mod parity;
mod profiles;
mod switches;
mod web;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "klab's build steps beyond cargo's own")]
struct Cli {
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand)]
enum Step {
    /// Build the page with its WebAssembly module, into target/web/page; serve it, test it
    Web(page::Options),
    /// Build the book with its labs, into target/book; check its exercises, serve it, test it
    Book(book::Options),
    /// Run every scenario natively and in WebAssembly, and compare the hashes
    Parity(parity::Options),
    /// Run every scenario with the klab of a plain build and with that of a release build, and compare the hashes
    Profiles(profiles::Options),
    /// Find each protocol switch by drawn runs alone, in three ranges of seeds
    Switches(switches::Options),
    /// Begin a scenario, a checker, a fault or a config: files made, and all further places listed
    New(new::Options),
    /// Write the goldens anew and say which changed
    Bless(bless::Options),
    /// Ask Apache Kafka itself what klab is compared with, and keep its answers under tests/vectors
    Oracle(oracle::Options),
    /// Find casts in the engine crates that a browser's 32-bit usize would cut
    Casts,
    /// Count the instructions per delivered record and per idle virtual second, under valgrind
    Callgrind(callgrind::Options),
    /// Build klab as it is given away, trained by its own runs, into target/dist/klab
    Dist,
    /// Measure klab's speed beside that of other simulators, in turn, and its memory
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().step {
        Step::Web(options) => page::run(&options),
        Step::Book(options) => book::run(&options),
        Step::Parity(options) => parity::run(&options),
        Step::Profiles(options) => profiles::run(&options),
        Step::Switches(options) => switches::run(&options),
        Step::New(options) => new::run(&options),
        Step::Bless(options) => bless::run(&options),
        Step::Oracle(options) => oracle::run(&options),
        Step::Casts => casts::run(),
        Step::Callgrind(options) => callgrind::run(&options),
        Step::Dist => dist::run(),
        Step::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace: this crate's parent folder.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent()
        .expect("xtask lies one folder below the workspace")
        .to_path_buf()
}

/// Builds klab and the book's preprocessor in a profile (`debug` or `release`) and says where they lie. Always both: for one
/// alone cargo chooses other features of the packages below, and builds the engine again.
fn programs(profile: &str) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--locked", "--package", "klab-cli"])
        .args(["--package", "klab-book"])
        .current_dir(root());
    if profile == "release" {
        cargo.arg("--release");
    }
    commands::build(&mut cargo, "klab")?;
    Ok(target().join(profile))
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |dir| root().join(dir))
}
