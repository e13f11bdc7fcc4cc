//! `cargo xtask book`: the book, into `target/book`. mdBook builds it from a staged copy of `book/`, with the page's element, with
//! `ARCHITECTURE.md` as it stands, and with what the preprocessor (`mdbook-klab`, crate klab-book) bakes into the chapters.
//!
//! A warning of mdBook and a link that leads nowhere inside the book are errors. `--check` alone tries the exercises natively and needs
//! neither Node nor mdBook. mdBook is taken from `target/tools`, or from the PATH, or else installed into `target/tools` by cargo.
//!
//! What is left out: links that lead out of the book.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::commands;

/// The mdBook that is tried.
const MDBOOK: &str = "0.5.4";

/// What may be said on the command line.
#[derive(clap::Args)]
pub struct Options {
    /// Only try every answer to every exercise, with all seeds, natively
    #[arg(long)]
    check: bool,
    /// With --check: so many seeds instead of those that an exercise asks for
    #[arg(long, requires = "check")]
    seeds: Option<u64>,
    /// Test the built book in Chromium
    #[arg(long)]
    test: bool,
    /// Serve it to this machine afterwards, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// Where to serve it
    #[arg(long, default_value_t = 8018)]
    port: u16,
}

/// Builds the book, or checks its exercises, as the options say.
pub fn run(options: &Options) -> Result<()> {
    if options.check {
        return check(options.seeds);
    }
    let page = crate::page::build()?;
    let release = crate::programs("release")?;
    let mdbook = mdbook()?;
    let staged = stage(&page.folder)?;
    let book = crate::root().join("target/book");
    build(&mdbook, &release, &page.folder, &staged, &book)?;
    check_links(&book)?;
    println!("{}: the book", book.display());
    if options.test {
        test(&book)?;
    }
    if options.serve {
        crate::page::serve(&book, options.port, "book")?;
    }
    Ok(())
}

fn check(seeds: Option<u64>) -> Result<()> {
    let release = crate::programs("release")?;
    let mut check = Command::new(release.join("mdbook-klab"));
    check.arg("check").arg(crate::root().join("book/exercises"));
    if let Some(seeds) = seeds {
        check.args(["--seeds", &seeds.to_string()]);
    }
    let failed = "an exercise does not do what its file declares";
    commands::run(&mut check, failed)
}

/// The mdBook of `target/tools`, of the PATH, or a new one.
fn mdbook() -> Result<PathBuf> {
    let tools = crate::root().join("target/tools");
    let ours = tools.join("bin/mdbook");
    let fits = |program: &Path| {
        let told = Command::new(program).arg("--version").output();
        told.is_ok_and(|told| {
            String::from_utf8_lossy(&told.stdout).trim() == format!("mdbook v{MDBOOK}")
        })
    };
    for program in [ours.clone(), PathBuf::from("mdbook")] {
        if fits(&program) {
            return Ok(program);
        }
    }
    println!(
        "mdbook {MDBOOK} is not here; cargo installs it into target/tools, once (some minutes)"
    );
    // Without optimisations: it is built in half the time, and our book is small.
    let status = Command::new("cargo")
        .args([
            "install",
            "--debug",
            "mdbook",
            "--version",
            MDBOOK,
            "--locked",
            "--no-default-features",
        ])
        .args(["--features", "search", "--root"])
        .arg(&tools)
        .current_dir(crate::root())
        .status()
        .context("starting cargo")?;
    match status.success() && fits(&ours) {
        true => Ok(ours),
        false => bail!("cargo could not install mdbook {MDBOOK} (see its message above)"),
    }
}

/// A copy of the book's source with what it takes from elsewhere in the repository.
fn stage(page: &Path) -> Result<PathBuf> {
    let root = crate::root();
    let staged = root.join("target/book-staged");
    if staged.exists() {
        std::fs::remove_dir_all(&staged).context("clearing target/book-staged")?;
    }
    let book = root.join("book");
    copy_folder(&book.join("src"), &staged.join("src"))?;
    copy_folder(&book.join("exercises"), &staged.join("exercises"))?;
    for file in ["book.toml", "klab.css", "klab.js"] {
        copy(&book.join(file), &staged.join(file))?;
    }
    copy(
        &root.join("ARCHITECTURE.md"),
        &staged.join("src/architecture.md"),
    )?;
    let lab = staged.join("src/lab");
    std::fs::create_dir_all(&lab)?;
    for file in ["kafka-lab.js", "klab_web_bg.wasm"] {
        copy(&page.join(file), &lab.join(file))?;
    }
    Ok(staged)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to)?,
            false => copy(&entry.path(), &to)?,
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = std::fs::copy(from, to);
    copied.with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}

fn build(mdbook: &Path, release: &Path, page: &Path, staged: &Path, book: &Path) -> Result<()> {
    let told = Command::new(mdbook)
        .arg("build")
        .arg("--dest-dir")
        .arg(book)
        .arg(staged)
        .env("PATH", path_with(release)?)
        .env("KLAB", release.join("klab"))
        .env("KLAB_PICTURE", page.join("picture.js"))
        .output()
        .context("starting mdbook")?;
    let words = String::from_utf8_lossy(&told.stderr);
    eprint!("{words}");
    if !told.status.success() {
        bail!("mdbook failed (see its message above)");
    }
    if words.contains("WARN") {
        bail!("mdbook has warned (see its message above)");
    }
    Ok(())
}

/// The PATH with the preprocessor's folder first.
fn path_with(folder: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).context("the target folder cannot stand in a PATH")
}

/// mdBook says nothing of a link that leads nowhere.
fn check_links(book: &Path) -> Result<()> {
    let mut broken = Vec::new();
    for page in pages(book)? {
        let html = std::fs::read_to_string(&page)?;
        let here = page.parent().expect("it lies in the book");
        for link in ["href=\"", "src=\"", "srcset=\""]
            .iter()
            .flat_map(|name| html.split(name).skip(1))
        {
            let link = link.split('"').next().unwrap_or_default();
            let file = link.split(['#', '?']).next().unwrap_or_default();
            let out = link.contains(':') || file.is_empty() || file.starts_with('/');
            if !out && !here.join(file).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    match broken.is_empty() {
        true => Ok(()),
        false => bail!("links that lead nowhere:\n{}", broken.join("\n")),
    }
}

/// The pages of the book, but the one for an address that does not exist, whose links begin at the root of a server.
fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            pages.extend(self::pages(&path)?);
        } else if path.extension().is_some_and(|end| end == "html") && !path.ends_with("404.html") {
            pages.push(path);
        }
    }
    Ok(pages)
}

/// The tests look at what is built, with the packages of the page's tests.
fn test(book: &Path) -> Result<()> {
    let mut node = Command::new("node");
    node.args(["--test", "--test-concurrency=1", "book/tests"])
        .env("KLAB_BOOK", book)
        .current_dir(crate::root());
    commands::run(&mut node, "the book's tests failed")
}
