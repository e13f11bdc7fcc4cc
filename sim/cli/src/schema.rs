//! `klab schema`: the JSON Schema of scenario files, or of what `--json` prints. `klab completions`: what a shell completes.

use std::io::Write;

use clap::CommandFactory;
use klab_world::scenario::schema;

use crate::args::{Completions, Klab, Schema};
use crate::outcome::Outcome;

/// What `--json` prints, kept in the repository.
const OUTPUT: &str = include_str!("../../../schema/output.json");

/// Prints one of the two.
pub fn schema(args: &Schema) -> Outcome {
    let text = match args.output {
        true => OUTPUT.to_owned(),
        false => schema::text(&schema::scenario()),
    };
    write(text.as_bytes())
}

/// Prints the script for a shell.
pub fn completions(args: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Klab::command(), "klab", &mut script);
    write(&script)
}

/// Whoever no longer reads it does not matter.
fn write(bytes: &[u8]) -> Outcome {
    drop(std::io::stdout().write_all(bytes));
    Outcome::Good
}
