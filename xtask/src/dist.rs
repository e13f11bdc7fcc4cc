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

use anyhow::{Context, Result, bail};

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
    let of = |field: &str| told.lines().find_map(|l| l.strip_prefix(field));
    let llvm = of("LLVM version: ").context("rustc does not say which LLVM it is built with")?;
    let host = of("host: ").context("rustc does not say for which host it is")?;
    let major = llvm.split('.').next().unwrap_or(llvm);
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let places = [
        format!("{}/lib/rustlib/{host}/bin/llvm-profdata", sysroot.trim()),
        format!("/usr/lib/llvm-{major}/bin/llvm-profdata"),
    ];
    let found = places.iter().map(PathBuf::from).find(|p| p.exists());
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
    let status = Command::new("cargo")
        .args(["build", "--locked", "--release", "--package", "klab-cli"])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", format!("-Cprofile-{how}={}", what.display()))
        .current_dir(crate::root())
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("klab does not build (see cargo's message above)");
    }
    Ok(target.join("release/klab"))
}

/// What a program that must succeed prints.
fn output(command: &mut Command) -> Result<String> {
    let ended = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        bail!("{command:?} ended with {}:\n{said}", ended.status);
    }
    String::from_utf8(ended.stdout).with_context(|| format!("{command:?} prints no text"))
}
