//! Scenarios by path or by their name in the library; the only file of klab that reads and writes others.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use klab_world::scenario::{Scenario, decode, library, limits};

use crate::args;
use crate::outcome::Wrong;

/// Reads the scenario of a command line, or its twin: by number from 1, or by title.
pub fn chosen(args: &args::Scenario) -> Result<Scenario, Wrong> {
    let scenario = scenario(&args.file, &args.sets)?;
    let Some(wanted) = &args.twin else {
        return Ok(scenario);
    };
    let number = wanted.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let twins = &scenario.twins;
    let twin = number
        .and_then(|n| twins.get(n))
        .or_else(|| twins.iter().find(|twin| *twin.title == **wanted));
    let titles: Vec<String> = twins
        .iter()
        .enumerate()
        .map(|(n, twin)| format!("{} ({})", n + 1, twin.title))
        .collect();
    match twin {
        Some(twin) => Ok((*twin.scenario).clone()),
        None if titles.is_empty() => Err(Wrong::usage(
            format!("{} has no twin", args.file),
            "leave --twin out",
        )),
        None => Err(Wrong::usage(
            format!("{} has no twin {wanted:?}", args.file),
            format!("its twins are {}", titles.join(", ")),
        )),
    }
}

/// Reads a scenario: a file, or else one of the library.
pub fn scenario(name: &str, sets: &[(String, String)]) -> Result<Scenario, Wrong> {
    let path = Path::new(name);
    let bytes = match library::find(name) {
        Some(text) if !path.exists() => text.into_bytes(),
        _ => bytes(path, limits::FILE_BYTES.max, MISSING)?,
    };
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok(decode::read(name, &bytes, sets, &|base| {
        find(&folder, base)
    })?)
}

/// A base is looked for beside the file that names it, then in the library.
fn find(folder: &Path, base: &str) -> Option<String> {
    let beside = [folder.join(base), folder.join(format!("{base}.jsonc"))];
    let file = beside.iter().find(|path| path.is_file());
    match file {
        Some(path) => String::from_utf8(bytes(path, limits::FILE_BYTES.max, MISSING).ok()?).ok(),
        None => library::find(base),
    }
}

/// What to do when a scenario is not there.
const MISSING: &str = "name a file, or one of the scenarios that `klab list` shows";

/// The most that a tape may hold.
pub const TAPE_MAX: u64 = 64 << 20;

/// A file, as far as it may be long: a byte more than that is enough to refuse it.
pub fn bytes(path: &Path, max: u64, missing: &str) -> Result<Vec<u8>, Wrong> {
    let name = path.display();
    let file = fs::File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Wrong::usage(format!("there is no file {name}"), missing),
        ErrorKind::PermissionDenied => Wrong::usage(
            format!("{name} may not be read"),
            format!("make it readable: chmod +r {name}"),
        ),
        _ => Wrong::usage(
            format!("{name} cannot be opened: {error}"),
            "name a scenario file",
        ),
    })?;
    let mut bytes = Vec::new();
    let read = file.take(max + 1).read_to_end(&mut bytes);
    read.map_err(|error| {
        Wrong::usage(
            format!("{name} cannot be read: {error}"),
            "name a scenario file, not a folder",
        )
    })?;
    Ok(bytes)
}

/// Writes a file that the command line named.
pub fn write(path: &Path, contents: &[u8]) -> Result<(), Wrong> {
    fs::write(path, contents).map_err(|error| {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let help = match folder {
            Some(folder) => format!("make the folder first: mkdir -p {}", folder.display()),
            None => "name a file in a folder that you may write to".to_owned(),
        };
        Wrong::usage(
            format!("{} cannot be written: {error}", path.display()),
            help,
        )
    })
}

/// Refuses before the run what could not be written after it.
pub fn writable(path: &Path) -> Result<PathBuf, Wrong> {
    let existed = path.exists();
    let opened = fs::OpenOptions::new().append(true).create(true).open(path);
    match opened {
        Ok(_) if !existed => drop(fs::remove_file(path)),
        Ok(_) => {}
        Err(_) => return write(path, b"").map(|()| path.to_path_buf()),
    }
    Ok(path.to_path_buf())
}
