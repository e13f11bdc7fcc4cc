//! `cargo xtask dist`: klab as it is given away, a release build that has seen klab's own runs (profile-guided optimisation).
//!
//! klab's code for one record is several times a processor's first-level instruction cache, and flat: no function stands out.
//! Only counts tell the compiler which side of each branch is the common one. So klab is built twice, first with counters; the
//! benchmark's loads and drawn runs of every family of faults are what it is trained on. Nothing that klab computes may change
//! by that: `cargo xtask profiles --dist` compares the hashes.
//!
//! What is left out: the page's module, whose browser compiles it once more anyway.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::commands::{self, beside_rustc, output};

/// What klab does while it counts: the benchmark, and whole drawn runs.
const TRAINING: [&[&str]; 2] = [&["bench", "--passes", "1"], &["swarm", "--seeds", "0..40"]];

/// Builds, and says where klab lies.
pub fn run() -> Result<()> {
    let klab = build(&tool()?)?;
    println!("{}", klab.display());
    Ok(())
}

/// LLVM's own program that adds up what was counted, of the compiler's LLVM or a later one.
pub struct Profdata(PathBuf);

/// Looks for it: beside the compiler, where rustup puts it, or where Debian does.
pub fn tool() -> Result<Profdata> {
    let told = output(Command::new("rustc").arg("--version").arg("--verbose"))?;
    let llvm = told
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "));
    let llvm = llvm.context("rustc does not say which LLVM it is built with")?;
    let major = llvm.split('.').next().unwrap_or(llvm);
    let of_debian = PathBuf::from(format!("/usr/lib/llvm-{major}/bin/llvm-profdata"));
    let found = beside_rustc("llvm-profdata").or_else(|| of_debian.exists().then_some(of_debian));
    found.map(Profdata).with_context(|| {
        format!("llvm-profdata of LLVM {major} is missing: rustup component add llvm-tools (or Debian: apt-get install llvm-{major})")
    })
}

/// Builds klab with counters, trains it, and builds it again; where it lies.
pub fn build(profdata: &Profdata) -> Result<PathBuf> {
    let folder = crate::target().join("dist");
    let counts = folder.join("counts");
    eprintln!("building klab with counters");
    let counting = compile(&folder, "generate", &counts)?;
    let sum = folder.join("klab.profdata");
    if !is_newer(&sum, &counting)? {
        train(profdata, &counting, &counts, &sum)?;
    }
    eprintln!("building klab as it is given away");
    let trained = compile(&folder, "use", &sum)?;
    let klab = folder.join("klab");
    std::fs::copy(trained, &klab)?;
    Ok(klab)
}

/// Lets klab count, and adds up what it counted.
fn train(profdata: &Profdata, counting: &Path, counts: &Path, sum: &Path) -> Result<()> {
    // What an earlier training or a build script counted is not this klab's.
    if counts.exists() {
        std::fs::remove_dir_all(counts)?;
    }
    for arguments in TRAINING {
        eprintln!("counting: klab {}", arguments.join(" "));
        output(Command::new(counting).args(arguments))?;
    }
    let mut merge = Command::new(&profdata.0);
    output(merge.args(["merge", "--output"]).arg(sum).arg(counts))?;
    Ok(())
}

/// Whether a file is there and younger than another one.
fn is_newer(file: &Path, than: &Path) -> Result<bool> {
    Ok(file.exists() && file.metadata()?.modified()? > than.metadata()?.modified()?)
}

/// Both builds are alike but for the counters, or the counts would not fit the functions.
fn compile(folder: &Path, how: &str, what: &Path) -> Result<PathBuf> {
    let target = folder.join(how);
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--locked", "--release", "--package", "klab-cli"])
        .arg("--target-dir")
        .arg(&target)
        // Not RUSTFLAGS, which spaces would cut.
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            format!("-Cprofile-{how}={}", what.display()),
        )
        .current_dir(crate::root());
    commands::build(&mut cargo, "klab")?;
    Ok(target.join("release/klab"))
}
