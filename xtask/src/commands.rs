//! Running other programs: what must succeed says why it did not.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What a program that must succeed prints.
pub fn output(command: &mut Command) -> Result<String> {
    let ended = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        bail!("{command:?} ended with {}:\n{said}", ended.status);
    }
    String::from_utf8(ended.stdout).with_context(|| format!("{command:?} prints no text"))
}

/// Runs a program whose messages go to the terminal; `failed` says what it means if it fails.
pub fn run(command: &mut Command, failed: &str) -> Result<()> {
    let status = command.status();
    let status = status.with_context(|| {
        let name = command.get_program().to_string_lossy();
        format!("starting {name}: is it installed?")
    })?;
    if !status.success() {
        bail!("{failed} (see above)");
    }
    Ok(())
}

/// Lets cargo build something, which is named if that fails.
pub fn build(cargo: &mut Command, what: &str) -> Result<()> {
    run(cargo, &format!("{what} does not build"))
}

/// What the toolchain that runs us answers, as a path.
pub fn rustc_says(question: &[&str]) -> Option<PathBuf> {
    let mut rustc = Command::new("rustc");
    rustc.args(question).current_dir(crate::root());
    output(&mut rustc)
        .ok()
        .map(|text| PathBuf::from(text.trim()))
}

/// A program that rustup keeps beside the compiler, if it is there.
pub fn beside_rustc(name: &str) -> Option<PathBuf> {
    let libraries = rustc_says(&["--print", "target-libdir"])?;
    let program = libraries.parent()?.join("bin").join(name);
    program.exists().then_some(program)
}
