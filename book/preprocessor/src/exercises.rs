//! The exercises, tried natively: every answer that can be given, over every seed, against what the file declares of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use klab_world::exercise::{Exercise, Run, Tally, written};
use rayon::prelude::*;

/// The files of a folder, by name.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed =
        std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    let mut files: Vec<PathBuf> = listed
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "jsonc"));
    files.sort();
    if files.is_empty() {
        bail!("{} has no exercise", folder.display());
    }
    Ok(files)
}

/// One file.
pub fn read(file: &Path) -> Result<Exercise> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let exercise = Exercise::read(&file.display().to_string(), &text).map_err(|e| anyhow!(e))?;
    if exercise.about().id != name {
        bail!("{} says that it is {}", file.display(), exercise.about().id);
    }
    Ok(exercise)
}

/// Tries everything; an error if one file does not say what is so.
pub fn check(folder: &Path, seeds: Option<u64>) -> Result<()> {
    let mut doubts = Vec::new();
    for file in files(folder)? {
        let exercise = read(&file)?;
        let about = exercise.about();
        let seeds = seeds.unwrap_or(exercise.seeds());
        println!(
            "{} ({}): {}",
            about.id,
            exercise.misconception(),
            about.title
        );
        for answer in exercise.answers() {
            let scenario = Arc::new(exercise.scenario(&answer).map_err(|e| anyhow!(e))?);
            let runs: Result<Vec<Run>, String> = (0..seeds)
                .into_par_iter()
                .map(|seed| Run::whole(&scenario, seed))
                .collect();
            let mut tally = Tally::of(&scenario);
            runs.map_err(|e| anyhow!(e))?
                .iter()
                .for_each(|run| tally.add(run));
            let found = exercise.doubts(&answer, &tally);
            println!("  {:<42} {}", written(&answer), tally.headline());
            doubts.extend(found);
        }
    }
    for doubt in &doubts {
        eprintln!("{doubt}");
    }
    match doubts.len() {
        0 => Ok(()),
        n => bail!("{n} doubts about the exercises (above)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few seeds, so that any change of the engine that turns an exercise over is seen at once; `cargo xtask book --check` tries all.
    #[test]
    fn every_answer_does_what_its_exercise_declares() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../exercises");
        check(&folder, Some(4)).expect("the files say what is so");
    }
}
