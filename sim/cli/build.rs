//! Finds where each rule of Kafka is obeyed and tested: ids such as R-12 stand at the branch that obeys them and at the
//! test that claims them, so the table that `klab rules` prints is read from the source and cannot grow stale.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Where rules are obeyed and tested, from the root of the workspace.
const SOURCES: [&str; 3] = ["sim/kafka/src", "sim/world/src", "tests"];
/// The first letters of ids of rules.
const SECTIONS: &str = "NLRKPC";

/// Where a rule stands.
#[derive(Default)]
struct Place {
    /// The first file that obeys it, and how well the place says so: 0 at a branch, 1 at an item, 2 in a header.
    file: Option<(usize, String)>,
    /// The first test that names it.
    test: Option<String>,
}

fn main() {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let root = Path::new(&package).join("../..");
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    let mut tested: Vec<String> = Vec::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
        for path in rust_files(&root.join(source)) {
            let text = fs::read_to_string(&path).expect("a source file is text");
            let name = path
                .strip_prefix(&root)
                .expect("it lies below the root")
                .to_string_lossy()
                .replace('\\', "/");
            look(&name, &text, &mut places);
            if text.contains("#[test]") || text.contains("mod tests;") {
                tested.push(name);
            }
        }
    }
    let mut out = String::from("&[\n");
    for (id, place) in places {
        let (_, file) = place.file.unwrap_or_default();
        let test = place.test.unwrap_or_default();
        writeln!(out, "    ({id:?}, {file:?}, {test:?}),").expect("a string takes everything");
    }
    out.push_str("]\n");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names a folder"));
    fs::write(folder.join("places.rs"), out).expect("cargo's folder can be written to");
    let tested = tested
        .iter()
        .map(|name| format!("{name:?},\n"))
        .collect::<String>();
    fs::write(folder.join("tested.rs"), format!("&[{tested}]\n"))
        .expect("cargo's folder can be written to");
}

/// All Rust files below a folder, sorted.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the sources are there");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    paths.sort();
    let below = |path: PathBuf| {
        if path.is_dir() {
            rust_files(&path)
        } else {
            vec![path]
        }
    };
    paths
        .into_iter()
        .flat_map(below)
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect()
}

/// Notes the ids of one file. What lies in a module of tests is tests, as are files and folders named for them. What a header says
/// is left out is no place.
fn look(name: &str, text: &str, places: &mut BTreeMap<String, Place>) {
    let named_for_tests = name.ends_with("tests.rs") || name.contains("/tests/");
    let mut in_tests = name.starts_with("tests/") || named_for_tests;
    let mut left_out = false;
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        left_out |= line.starts_with("//! Left out");
        left_out &= line.starts_with("//! ");
        if left_out {
            continue;
        }
        let opens = |next: &&str| next.starts_with("mod ") && next.ends_with('{');
        in_tests |= line.trim() == "#[cfg(test)]" && lines.get(number + 1).is_some_and(opens);
        let rank = ["//!", "///"]
            .iter()
            .position(|doc| line.trim().starts_with(doc))
            .map_or(0, |rank| 2 - rank);
        let rank = rank + if name.starts_with("sim/kafka") { 0 } else { 3 };
        for id in ids(line) {
            let place = places.entry(id).or_default();
            if in_tests {
                place.test = place.test.take().or_else(|| test_at(&lines, number));
            } else if place.file.as_ref().is_none_or(|(known, _)| rank < *known) {
                place.file = Some((rank, name.to_owned()));
            }
        }
    }
}

/// The test that a line belongs to: the function around it, or the one that the comment stands before.
fn test_at(lines: &[&str], number: usize) -> Option<String> {
    let is_function = |at: &usize| lines[*at].trim().starts_with("fn ");
    let indent = |at: usize| lines[at].len() - lines[at].trim_start().len();
    let next = (number..lines.len()).find(is_function);
    let stands_before = lines[number].trim().starts_with("//")
        && next.is_some_and(|next| indent(next) == indent(number));
    let at = if stands_before {
        next
    } else {
        (0..=number).rev().find(is_function)
    }?;
    let is_test = lines[at.saturating_sub(3)..at]
        .iter()
        .any(|line| line.trim() == "#[test]");
    let name = lines[at]
        .trim()
        .strip_prefix("fn ")?
        .split(['(', '<'])
        .next()?;
    is_test.then(|| name.to_owned())
}

/// The ids in a line: a letter of a section, a dash, digits, and nothing of a word around them.
fn ids(line: &str) -> Vec<String> {
    let bytes = line.as_bytes();
    let is_word =
        |at: Option<&u8>| at.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_');
    let mut ids = Vec::new();
    for (at, letter) in line
        .char_indices()
        .filter(|(_, letter)| SECTIONS.contains(*letter))
    {
        let digits = line[at + 1..].strip_prefix('-').map_or(0, |rest| {
            rest.bytes().take_while(u8::is_ascii_digit).count()
        });
        let end = at + 2 + digits;
        if digits > 0
            && !is_word(at.checked_sub(1).and_then(|before| bytes.get(before)))
            && !is_word(bytes.get(end))
        {
            ids.push(format!("{letter}{}", &line[at + 1..end]));
        }
    }
    ids
}
