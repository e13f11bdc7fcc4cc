//! `mdbook-klab`: what mdBook runs over the chapters. The native engine runs every lab and bakes what it finds into the page, so a
//! caption cannot be out of date; the reference pages come from the engine's own tables. `check` tries the exercises with every seed.
//!
//! In a chapter stand fences ` ```kafka-lab ` with one JSON object (`lab::Fence`) and lines `{{#klab NAME}}` (`reference`).
//! `KLAB` names the command line, which knows the table of rules; `KLAB_PICTURE` the page's `picture.js`, which draws posters under
//! Node. `cargo xtask book` sets both.

mod exercises;
mod lab;
mod poster;
mod reference;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use mdbook_preprocessor::book::Book;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

#[derive(Parser)]
#[command(name = "mdbook-klab", about = "klab's part in its book")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// mdBook asks whether a renderer is supported
    Supports {
        /// Its name
        renderer: String,
    },
    /// Tries every answer to every exercise, and compares with what its file declares
    Check {
        /// The folder of the exercises
        folder: std::path::PathBuf,
        /// So many seeds, from 0; without it as many as each exercise asks for
        #[arg(long)]
        seeds: Option<u64>,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        None => preprocess(),
        Some(Command::Supports { renderer }) => match renderer.as_str() {
            "html" => Ok(()),
            _ => return ExitCode::FAILURE,
        },
        Some(Command::Check { folder, seeds }) => exercises::check(&folder, seeds),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mdbook-klab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn preprocess() -> Result<()> {
    let (context, book) = mdbook_preprocessor::parse_input(std::io::stdin())?;
    let whole = Bake.run(&context, book)?;
    serde_json::to_writer(std::io::stdout(), &whole).context("writing the book to mdBook")
}

struct Bake;

impl Preprocessor for Bake {
    fn name(&self) -> &str {
        "klab"
    }

    fn run(&self, context: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let source = context.root.join(&context.config.book.src);
        let mut outcome = Ok(());
        book.for_each_chapter_mut(|chapter| {
            if outcome.is_err() {
                return;
            }
            let path = chapter.path.as_ref();
            let folders = path.map_or(0, |path| path.components().count() - 1);
            match baked(&chapter.content, &source, &"../".repeat(folders)) {
                Ok(content) => chapter.content = content,
                Err(error) => outcome = Err(error.context(format!("in {:?}", chapter.name))),
            }
        });
        outcome.map(|()| book)
    }
}

/// A chapter with its labs and tables in it. `to_root` leads from its page to the root of the book.
fn baked(content: &str, source: &Path, to_root: &str) -> Result<String> {
    let mut baked = String::new();
    let mut lines = content.lines();
    while let Some(line) = lines.next() {
        if line.trim_end() == "```kafka-lab" {
            let mut fence = String::new();
            loop {
                match lines.next() {
                    Some("```") => break,
                    Some(line) => fence.extend([line, "\n"]),
                    None => bail!("a kafka-lab fence has no end"),
                }
            }
            let lab = lab::Lab::open(&fence, source).with_context(|| format!("in {fence}"))?;
            baked.push_str(&lab.bake(source, to_root)?);
        } else if let Some(name) = line
            .strip_prefix("{{#klab ")
            .and_then(|l| l.strip_suffix("}}"))
        {
            baked.push_str(&reference::table(name)?);
        } else {
            baked.push_str(line);
        }
        baked.push('\n');
    }
    Ok(baked)
}
