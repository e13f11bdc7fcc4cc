//! Build steps that cargo alone cannot do: `cargo xtask <step>`.
//!
//! Nothing here is needed to run or to test klab natively; `cargo run` and `cargo test --workspace` stand alone.
//! What is left out: the book and the benchmarks, until they exist.

mod callgrind;
mod casts;
mod costs;
mod page;
mod parity;
mod profiles;
mod switches;
mod web;

use std::path::PathBuf;
use std::process::ExitCode;

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
    /// Run every scenario natively and in WebAssembly, and compare the hashes
    Parity(parity::Options),
    /// Run every scenario with the klab of a plain build and with that of a release build, and compare the hashes
    Profiles(profiles::Options),
    /// Find each protocol switch by drawn runs alone, in three ranges of seeds
    Switches(switches::Options),
    /// Find casts in the engine crates that a browser's 32-bit usize would cut
    Casts,
    /// Count the instructions per delivered record and per idle virtual second, under valgrind
    Callgrind(callgrind::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().step {
        Step::Web(options) => page::run(&options),
        Step::Parity(options) => parity::run(&options),
        Step::Profiles(options) => profiles::run(&options),
        Step::Switches(options) => switches::run(&options),
        Step::Casts => casts::run(),
        Step::Callgrind(options) => callgrind::run(&options),
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
