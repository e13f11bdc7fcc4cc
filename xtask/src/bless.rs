//! `cargo xtask bless`: writes the goldens anew (tellings, snapshots, schemas) and says which changed. Then look at the diff, and say in
//! the commit why they did.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::commands::output;

/// What may be said on the command line.
#[derive(clap::Args)]
pub struct Options {
    /// Only the goldens of these packages, instead of all that have some
    #[arg(long = "package", short = 'p', value_name = "PACKAGE")]
    packages: Vec<String>,
}

/// Packages that keep goldens.
const PACKAGES: [&str; 4] = ["klab-kafka", "klab-world", "klab-cli", "tests"];

/// Writes them.
pub fn run(options: &Options) -> Result<()> {
    let before = changed()?;
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--locked", "--no-fail-fast"]);
    let all = PACKAGES.map(str::to_owned);
    let packages = match options.packages.as_slice() {
        [] => &all[..],
        some => some,
    };
    for package in packages {
        cargo.args(["--package", package]);
    }
    let status = cargo
        .env("INSTA_UPDATE", "always")
        .current_dir(crate::root())
        .status()
        .context("starting cargo")?;
    let after = changed()?;
    match after.is_empty() {
        true => println!("no golden changed"),
        false => println!("goldens that differ from the last commit:"),
    }
    for file in &after {
        let mark = if before.contains(file) {
            " (differed before)"
        } else {
            ""
        };
        println!("  {file}{mark}");
    }
    if !status.success() {
        bail!("some tests fail for another reason than a golden (see above)");
    }
    Ok(())
}

/// Goldens that differ from what is committed.
fn changed() -> Result<BTreeSet<String>> {
    let mut git = Command::new("git");
    git.args(["status", "--porcelain", "--untracked-files=all"]);
    Ok(goldens(&output(git.current_dir(crate::root()))?))
}

fn goldens(status: &str) -> BTreeSet<String> {
    let files = status.lines().filter_map(|line| line.get(3..));
    let is_golden = |file: &&str| file.ends_with(".snap") || file.starts_with("schema/");
    files.filter(is_golden).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goldens_are_picked_from_what_git_says() {
        let status = " M schema/scenario.json\n?? tests/tests/snapshots/a.snap\n M README.md\n";
        let found: Vec<String> = goldens(status).into_iter().collect();
        assert_eq!(
            found,
            ["schema/scenario.json", "tests/tests/snapshots/a.snap"]
        );
    }
}
