//! `cargo xtask web`: the whole page, ready to be served or copied into a book: `target/web/page`.
//!
//! The module and its bindings come first (`web.rs`), then npm fetches what `web/package-lock.json` pins, the compiler looks at
//! the types, and the bundler writes. `kafka-lab.js` with `klab_web_bg.wasm` beside it is the element alone; the rest is the
//! playground around it. `--test` runs the page's tests under Node and in Chromium, `--serve` serves it to this machine.
//!
//! Nothing is installed from here but npm's packages into `web/node_modules`: what else is missing, the error names.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::commands;

/// The oldest Node that is tried.
const NODE: u32 = 20;
const WHAT_TO_INSTALL: &str = "the page needs Node 20 or newer and npm (https://nodejs.org; Debian: apt-get install nodejs npm)";

/// What may be said on the command line.
#[derive(clap::Args)]
pub struct Options {
    /// Serve the page to this machine afterwards, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// Run the page's tests afterwards, under Node and in Chromium
    #[arg(long)]
    test: bool,
    /// Where to serve it
    #[arg(long, default_value_t = 8017)]
    port: u16,
}

/// What `cargo xtask web` leaves behind.
pub struct Built {
    module: crate::web::Built,
    /// The page.
    pub folder: PathBuf,
    script: u64,
}

impl fmt::Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        writeln!(f, "{}", self.module)?;
        write!(f, "{folder}: kafka-lab.js has {} bytes", self.script)
    }
}

/// Builds the page, tests it and serves it, as the options say.
pub fn run(options: &Options) -> Result<()> {
    let built = build()?;
    println!("{built}");
    if options.test {
        test(&built)?;
    }
    if options.serve {
        serve(&built.folder, options.port, "page")?;
    }
    Ok(())
}

/// Serves a folder to this machine until Ctrl-C, with the headers for a `page` or a `book`.
pub fn serve(folder: &Path, port: u16, kind: &str) -> Result<()> {
    let (serve, port) = (Path::new("app/serve.mjs"), port.to_string());
    node([
        serve.as_os_str(),
        folder.as_os_str(),
        port.as_ref(),
        kind.as_ref(),
    ])
}

/// Builds the module and the page.
pub fn build() -> Result<Built> {
    check_node()?;
    let module = crate::web::build()?;
    let folder = module.folder.with_file_name("page");
    fetch_packages()?;
    let compiler = Path::new("node_modules/typescript/bin/tsc");
    node([compiler.as_os_str(), "--noEmit".as_ref()]).context("the page's types do not fit")?;
    let bundle = Path::new("app/build.mjs");
    node([
        bundle.as_os_str(),
        module.folder.as_os_str(),
        folder.as_os_str(),
    ])?;
    let script = std::fs::metadata(folder.join("kafka-lab.js"))
        .context("the bundler has written no kafka-lab.js")?
        .len();
    Ok(Built {
        module,
        folder,
        script,
    })
}

/// The tests compare the page with the command line, so that is built first.
fn test(built: &Built) -> Result<()> {
    let release = crate::programs("release")?;
    let web = built.folder.parent().expect("it lies in target/web");
    let mut node = Command::new("node");
    node.args(["--test", "--test-concurrency=1", "tests"])
        .env("KLAB_WEB", web)
        .env("KLAB", release.join("klab"))
        .current_dir(web_folder());
    commands::run(&mut node, "the page's tests failed")
}

fn check_node() -> Result<()> {
    let told = Command::new("node").arg("--version").output();
    let told = told.context(WHAT_TO_INSTALL)?;
    let version = String::from_utf8_lossy(&told.stdout);
    let major = version.trim().trim_start_matches('v').split('.').next();
    match major.and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= NODE => Ok(()),
        _ => bail!("node says it is {}; {WHAT_TO_INSTALL}", version.trim()),
    }
}

/// Fetches the pinned packages, unless those that are there are the pinned ones.
fn fetch_packages() -> Result<()> {
    let pinned = std::fs::read(web_folder().join("package-lock.json"))
        .context("reading web/package-lock.json")?;
    let mark = web_folder().join("node_modules/.klab-fetched");
    if std::fs::read(&mark).is_ok_and(|fetched| fetched == pinned) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(web_folder());
    commands::run(&mut npm, "npm could not fetch the page's packages")?;
    std::fs::write(&mark, pinned).context("marking the packages as fetched")
}

fn node<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<()> {
    let mut node = Command::new("node");
    commands::run(
        node.args(arguments).current_dir(web_folder()),
        "node failed",
    )
}

fn web_folder() -> PathBuf {
    crate::root().join("web")
}
