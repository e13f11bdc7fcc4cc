//! The repository's own files as text, for `tidy.rs`: which there are, what of them is code, and what a line holds.
//!
//! The scanner knows comments, strings, characters and lifetimes, and no more of Rust.
//! What is left out: macros that make code from tokens; files that git ignores are found by their folder's name alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// One file of the repository.
pub struct File {
    /// From the root, with forward slashes.
    pub path: String,
    /// As it is.
    pub text: String,
    /// The same lines, with a space for each character of comments and strings.
    pub code: String,
}

impl File {
    /// The lines as they are.
    pub fn lines(&self) -> std::str::Lines<'_> {
        self.text.lines()
    }

    /// The lines without their comments and strings.
    pub fn code_lines(&self) -> std::str::Lines<'_> {
        self.code.lines()
    }

    /// `file:line: what is wrong; what to do`.
    pub fn finding(&self, line: usize, why: &str) -> String {
        format!("{}:{line}: {why}", self.path)
    }
}

/// All Rust files under these folders of the repository, in the order of their paths.
pub fn rust_files(folders: &[&str]) -> Vec<&'static File> {
    let mut files = text_files();
    files.retain(|file| {
        file.path.ends_with(".rs") && folders.iter().any(|folder| is_under(&file.path, folder))
    });
    assert!(
        !files.is_empty(),
        "no Rust file under {folders:?}: were they moved?"
    );
    files
}

/// All files that hold text, in the order of their paths; what is built or fetched is passed over.
pub fn text_files() -> Vec<&'static File> {
    static FILES: LazyLock<Vec<File>> = LazyLock::new(read_all);
    FILES.iter().collect()
}

fn is_under(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn read_all() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests lies one folder below the workspace");
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository can be read") {
            let path = entry.expect("an entry of a folder can be read").path();
            let name = path
                .file_name()
                .expect("an entry has a name")
                .to_string_lossy()
                .into_owned();
            if is_ours(&name) && path.is_dir() {
                folders.push(path);
            } else if is_ours(&name) {
                found.extend(read(root, path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Not built, not fetched, not some tool's own.
fn is_ours(name: &str) -> bool {
    let ours = [".cargo", ".ci", ".github", ".gitignore"].contains(&name);
    ours || !name.starts_with('.') && !["target", "node_modules"].contains(&name)
}

/// `None` for files that hold no text.
fn read(root: &Path, path: PathBuf) -> Option<File> {
    let text = fs::read_to_string(&path).ok()?;
    let code = if path.extension().is_some_and(|extension| extension == "rs") {
        code_of(&text)
    } else {
        String::new()
    };
    let path = path
        .strip_prefix(root)
        .expect("found below the root")
        .to_string_lossy()
        .replace('\\', "/");
    Some(File { path, text, code })
}

/// Whether `word` stands in `line` by itself, not as a part of a longer name or as a lifetime.
pub fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let opens = !word.starts_with(is_name) || !before.is_some_and(|c| is_name(c) || c == '\'');
        let closes = !word.ends_with(is_name) || !after.is_some_and(is_name);
        opens && closes
    })
}

/// Whether a line of code holds a number with a point, such as `0.5`: not a range, not a field of a tuple.
pub fn has_float_literal(code: &str) -> bool {
    let bytes = code.as_bytes();
    (1..bytes.len().saturating_sub(1)).any(|at| {
        if bytes[at] != b'.' || !bytes[at - 1].is_ascii_digit() || !bytes[at + 1].is_ascii_digit() {
            return false;
        }
        let digits = code[..at]
            .bytes()
            .rev()
            .take_while(|b| b.is_ascii_digit() || *b == b'_')
            .count();
        let before = code[..at - digits].bytes().next_back();
        !before.is_some_and(|b| b == b'.' || b.is_ascii_alphanumeric())
    })
}

/// The lines on which an `if` or `while` joins a `let` to something else by `&&`.
pub fn let_chains(code: &str) -> Vec<usize> {
    let starts = code
        .match_indices("let ")
        .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    let chains = starts.filter(|(at, _)| {
        let before = code[..*at].trim_end();
        let opens = before.ends_with("if") || before.ends_with("while");
        before.ends_with("&&") || opens && joins_more(&code[*at..])
    });
    chains.map(|(at, _)| code[..at].lines().count()).collect()
}

/// Whether `&&` stands between a `let` and the block that it opens, outside of all brackets.
fn joins_more(condition: &str) -> bool {
    let mut depth = 0_i32;
    let from_value = condition.find('=').unwrap_or(0) + 1;
    for (at, c) in condition
        .char_indices()
        .skip_while(|(at, _)| *at < from_value)
    {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return false,
            '&' if depth == 0 && condition[at..].starts_with("&& ") => return true,
            _ => {}
        }
    }
    false
}

/// `text` with a space for each character of its comments, strings and character literals; lines stay where they are.
pub fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let hidden = hidden_len(rest, code.chars().next_back());
        let (taken, left) = match hidden {
            0 => rest.split_at(rest.chars().next().map_or(0, char::len_utf8)),
            hidden => rest.split_at(hidden),
        };
        if hidden == 0 {
            code.push_str(taken);
        } else {
            code.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = left;
    }
    code
}

/// How many bytes at the beginning of `rest` are a comment, a string or a character; 0 for code.
fn hidden_len(rest: &str, before: Option<char>) -> usize {
    let after_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let hashes = rest
        .strip_prefix('r')
        .map_or(0, |raw| raw.bytes().take_while(|b| *b == b'#').count());
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        block_comment_len(rest)
    } else if rest.starts_with('"') {
        quoted_len(rest, '"')
    } else if !after_name && rest.starts_with('r') && rest[1 + hashes..].starts_with('"') {
        let close = format!("\"{}", "#".repeat(hashes));
        let body = 2 + hashes;
        rest[body..]
            .find(&close)
            .map_or(rest.len(), |at| body + at + close.len())
    } else if rest.starts_with('\'') && is_character(rest) {
        quoted_len(rest, '\'')
    } else {
        0
    }
}

/// Block comments nest.
fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let step = match rest.as_bytes().get(at..at + 2) {
            Some(b"/*") => 1,
            Some(b"*/") => -1,
            _ => 0,
        };
        depth += step;
        at += if step == 0 { 1 } else { 2 };
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// `'a'` and `'\n'` are characters, `'a` is a lifetime.
fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

#[test]
fn comments_and_strings_are_no_code() {
    let text = "let a = \"f64 \\\" f64\"; // f64\n/* f64 /* f64 */ */ let b = r#\"f64\"#; let c = '\"'; f::<'a>(f32)";
    let code = code_of(text);
    assert!(!has_word(&code, "f64"));
    assert!(has_word(&code, "f32"));
    assert_eq!(
        (code.lines().count(), code.chars().count()),
        (2, text.chars().count())
    );
}

#[test]
fn a_word_is_found_only_by_itself() {
    assert!(has_word("let x: f64 = y", "f64"));
    assert!(has_word("static X: u8", "static"));
    assert!(has_word("todo!()", "todo!"));
    assert!(!has_word("&'static str", "static"));
    assert!(!has_word("buf64 + f64s", "f64"));
}

#[test]
fn a_number_with_a_point_is_a_float() {
    assert!(has_float_literal("x * 0.5"));
    assert!(has_float_literal("1_000.25"));
    assert!(!has_float_literal("0..5"));
    assert!(!has_float_literal("pair.0.1"));
    assert!(!has_float_literal("7.min(8)"));
}

#[test]
fn a_let_joined_to_more_is_a_let_chain() {
    assert_eq!(let_chains("a;\nif let Some(x) = y && x > 1 { }"), [2]);
    assert_eq!(let_chains("if ready\n    && let Some(x) = y\n{ }"), [2]);
    assert_eq!(let_chains("while let Some(x) = f(a)\n    && x { }"), [1]);
    assert!(let_chains("if let Some(x) = f(a && b) { c && d }").is_empty());
    assert!(let_chains("let x = a && b; if x { }").is_empty());
    assert!(let_chains("if let Some(x) = y { let z = a && b; }").is_empty());
}
