//! `klab shrink`: from a failing run to a small scenario file that fails in the same way.

use std::path::Path;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use klab_world::scenario::Scenario;
use klab_world::shrink::failure::Failure;
use klab_world::shrink::{self, Progress, Shrunk};

use crate::args::Shrink;
use crate::engine;
use crate::files;
use crate::outcome::{Outcome, Wrong};
use crate::report;
use crate::run::SEED;

/// Shrinks it, writes the file, and reads it again to see that it fails.
pub fn shrink(args: &Shrink) -> Result<Outcome, Wrong> {
    let scenario = Arc::new(files::chosen(&args.scenario)?);
    let wanted = match &args.expect {
        Some(text) => Some(expected(&scenario, text)?),
        None => None,
    };
    files::writable(&args.output)?;
    let seed = args.seed.or(scenario.seed).unwrap_or(SEED);
    let again = format!(
        "klab shrink {} --seed {seed} -o FILE",
        args.scenario.again()
    );
    let bar = bar(args.runs);
    let found = engine::catch(|| {
        let mut tell = |progress: Progress| tell(&bar, &progress);
        shrink::shrink(&scenario, seed, wanted, args.runs, &mut tell)
    });
    bar.finish_and_clear();
    let shrunk = match found {
        Err(what) => {
            report::bug(&what, &again);
            return Ok(Outcome::Bug);
        }
        Ok(Err(nothing)) => {
            return Err(Wrong::usage(
                format!("{} with seed {seed}: {nothing}", args.scenario.file),
                "name a scenario and a seed for which `klab run` fails, or say with --expect what it misses",
            ));
        }
        Ok(Ok(shrunk)) => shrunk,
    };
    let file = with_comment(&shrunk, args, seed);
    files::write(&args.output, file.as_bytes())?;
    if !fails_again(&args.output, &shrunk) {
        report::bug("the shrunk file does not fail in the same way", &again);
        return Ok(Outcome::Bug);
    }
    report::print(&format!("{}", shrunk.failure));
    report::print(&format!("from {}", shrunk.before));
    report::print(&format!("to   {}, in {} runs", shrunk.after, shrunk.runs));
    report::print(&format!("klab run {}", args.output.display()));
    Ok(Outcome::Good)
}

/// An expectation of the command line, as one of this scenario.
fn expected(scenario: &Scenario, text: &str) -> Result<Failure, Wrong> {
    let list = serde_json::json!([text]).to_string();
    let with = scenario.with(&[("/expect".to_owned(), list)])?;
    let one = with.expect.into_iter().next();
    Ok(Failure::Expected(one.expect("one was put there")))
}

/// The file, with a comment that tells where it comes from.
fn with_comment(shrunk: &Shrunk, args: &Shrink, seed: u64) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "// Shrunk by klab {version} from {} with seed {seed}, which failed so: {}.\n\
         // From {}\n\
         // to   {}, in {} runs.\n{}",
        args.scenario.again(),
        shrunk.failure,
        shrunk.before,
        shrunk.after,
        shrunk.runs,
        shrunk.scenario.export(),
    )
}

/// What was written is what counts: it is read and run once more.
fn fails_again(path: &Path, shrunk: &Shrunk) -> bool {
    let name = path.to_string_lossy();
    let Ok(scenario) = files::scenario(&name, &[]) else {
        return false;
    };
    let seed = scenario.seed.unwrap_or(SEED);
    let failing = engine::catch(|| shrunk.failure.is_of(&Arc::new(scenario), seed));
    matches!(failing, Ok(Some(_)))
}

/// A bar for a person; nothing for a file.
fn bar(runs: u32) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {msg}");
    let bar = ProgressBar::with_draw_target(Some(runs.into()), ProgressDrawTarget::stderr());
    bar.with_style(style.expect("the template is right"))
}

fn tell(bar: &ProgressBar, progress: &Progress) {
    bar.set_position(progress.runs.into());
    let size = progress.size;
    bar.set_message(format!(
        "{}: {} steps, {} brokers, {} records",
        progress.stage, size.steps, size.brokers, size.records
    ));
}
