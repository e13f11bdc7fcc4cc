//! klab-web as a WebAssembly module, and the JavaScript bindings beside it: the first half of `cargo xtask web`, and what
//! `cargo xtask parity` runs.
//!
//! Two compilers can do it. An ordinary machine has rustup's standard library for `wasm32-unknown-unknown`, because
//! `rust-toolchain.toml` names that target. Where rustup has none, Debian's `rustc-web` builds the library from Debian's own source
//! package. Nothing is ever installed from here: when neither is at hand, the error says what to install.
//!
//! The bindings are made for the web; Node loads the very same file, so what the parity run proves is what a browser gets.
//! What is left out: `wasm-opt`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::commands::{self, beside_rustc, rustc_says};

const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_STD_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std";

const WHAT_TO_INSTALL: &str = "no compiler here can build for wasm32-unknown-unknown. Install one of these and try again:
    rustup target add wasm32-unknown-unknown
    apt-get install rustc-web cargo-web rust-web-src libstd-rust-web-dev    (Debian, where rustup has no such target)";

/// Who compiles the module.
enum Compiler {
    /// The toolchain that runs this program, with its own standard library for the target.
    Rustup,
    /// Debian's compiler, which builds the standard library first; `linker` is rustup's, where there is one.
    Debian { linker: Option<PathBuf> },
}

/// What `cargo xtask web` leaves behind.
pub struct Built {
    /// The folder of `door.js`, which JavaScript imports, and of what wasm-bindgen makes: `klab_web.js`, `klab_web_bg.wasm`, `.d.ts`.
    pub folder: PathBuf,
    compiler: Compiler,
    bytes: u64,
}

impl fmt::Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compiler = match self.compiler {
            Compiler::Rustup => "rustup's target",
            Compiler::Debian { .. } => "Debian's rustc-web",
        };
        let folder = self.folder.display();
        write!(f, "{folder}: {} bytes of wasm, by {compiler}", self.bytes)
    }
}

/// Builds the module in profile `web` and writes it, with its bindings, to `target/web/pkg`.
pub fn build() -> Result<Built> {
    let compiler = choose_compiler().context(WHAT_TO_INSTALL)?;
    let target_dir = crate::root().join("target/web");
    compile(&compiler, &target_dir)?;
    let folder = target_dir.join("pkg");
    let module = target_dir.join(TARGET).join("web/klab_web.wasm");
    bind(&module, &folder)
        .with_context(|| format!("making the bindings of {}", module.display()))?;
    let bytes = std::fs::metadata(folder.join("klab_web_bg.wasm"))
        .context("the bindings were made, but their module is missing")?
        .len();
    Ok(Built {
        folder,
        compiler,
        bytes,
    })
}

fn choose_compiler() -> Option<Compiler> {
    if holds_libstd(&rustc_says(&[
        "--print",
        "target-libdir",
        "--target",
        TARGET,
    ])?) {
        return Some(Compiler::Rustup);
    }
    let debian = [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_STD_SOURCE];
    if debian.iter().all(|path| Path::new(path).exists()) {
        return Some(Compiler::Debian {
            // It has no linker for wasm; rustup's brings one.
            linker: beside_rustc("rust-lld"),
        });
    }
    None
}

fn holds_libstd(libdir: &Path) -> bool {
    std::fs::read_dir(libdir).is_ok_and(|files| {
        files
            .flatten()
            .any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
    })
}

fn compile(compiler: &Compiler, target_dir: &Path) -> Result<()> {
    let mut cargo = match compiler {
        Compiler::Rustup => Command::new("cargo"),
        Compiler::Debian { linker } => {
            let mut cargo = Command::new(DEBIAN_CARGO);
            // The only way to make a stable compiler build its own standard library.
            cargo
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", DEBIAN_RUSTC)
                .arg("-Zbuild-std=std,panic_abort");
            if let Some(linker) = linker {
                cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            }
            cargo
        }
    };
    cargo
        .args(["build", "--locked", "--package", "klab-web"])
        .args(["--target", TARGET, "--profile", "web", "--target-dir"])
        .arg(target_dir)
        .current_dir(crate::root());
    commands::build(&mut cargo, "klab-web")
}

fn bind(module: &Path, folder: &Path) -> Result<()> {
    Bindgen::new()
        .input_path(module)
        .web(true)?
        .typescript(true)
        // For door.js, which puts a fresh instance in the place of one that panicked.
        .reset_state_function(true)
        // Otherwise `init()` without an argument does not know where the module lies.
        .omit_default_module_path(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)?;
    for file in ["door.js", "door.d.ts"] {
        std::fs::copy(crate::root().join("web").join(file), folder.join(file))
            .with_context(|| format!("copying web/{file}"))?;
    }
    // Node takes a .js file for a module of the web only if it is told so.
    std::fs::write(
        folder.join("package.json"),
        "{ \"name\": \"klab-web\", \"type\": \"module\", \"private\": true }\n",
    )?;
    Ok(())
}
