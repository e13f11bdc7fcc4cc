//! A mistake in a scenario: where it stands, what was found, what was expected, and the nearest known name.
//!
//! Every mistake of a file or of `--set` is a [`ScenarioError`]; it has the words for the terminal, the page and the tests.
//! Many may be collected from one file. How they are drawn is the business of the cli and of the page.

use std::fmt;
use std::sync::Arc;

/// A text that values came from: the scenario itself, its `base`, or a `--set` of the command line.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// What to call it: a path, a library name, or the option.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
}

/// Only the name: a panic that prints an error need not print the whole file.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?})", self.name)
    }
}

/// Where a value stands: bytes [start, end) of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Index into [`Sources`].
    pub source: u32,
    /// First byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// All the texts that one scenario came from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    list: Vec<Source>,
}

impl Sources {
    /// Adds a text and returns its index.
    pub fn add(&mut self, name: &str, text: &str) -> u32 {
        self.list.push(Source {
            name: name.into(),
            text: text.into(),
        });
        u32::try_from(self.list.len() - 1).expect("a scenario has few sources")
    }

    /// An error at a span, with its line and column worked out.
    pub fn error(&self, span: Span, mistake: Mistake) -> ScenarioError {
        let source = self.list[span.source as usize].clone();
        let start = floor_boundary(&source.text, span.start as usize);
        let end = ceil_boundary(&source.text, (span.end as usize).max(start));
        let before = &source.text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        ScenarioError {
            line: count(before.matches('\n').count() + 1),
            column: count(before[line_start..].chars().count() + 1),
            start: count(start),
            end: count(end),
            source,
            mistake,
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// What is wrong, in words, before it is known where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What was found: the title of the error.
    pub found: String,
    /// What was expected in its place.
    pub expected: String,
    /// The nearest known name, or another way out.
    pub hint: Option<String>,
}

impl Mistake {
    /// A mistake without a hint.
    pub fn new(found: impl Into<String>, expected: impl Into<String>) -> Mistake {
        Mistake {
            found: found.into(),
            expected: expected.into(),
            hint: None,
        }
    }

    /// The same with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Mistake {
        self.hint = Some(hint.into());
        self
    }

    /// A name that is none of the known ones: lists them and names the nearest.
    pub fn unknown<'a>(
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Mistake {
        let known: Vec<&str> = known.into_iter().collect();
        let mistake = Mistake::new(format!("unknown {what} {}", quoted(name)), one_of(&known));
        match nearest(name, &known) {
            Some(near) => mistake.hint(format!("did you mean \"{near}\"?")),
            None => mistake,
        }
    }
}

/// One mistake at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The text it stands in.
    pub source: Source,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// First byte in the source.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
    /// What is wrong.
    pub mistake: Mistake,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}; expected {}",
            self.source.name, self.line, self.column, self.mistake.found, self.mistake.expected
        )?;
        match &self.mistake.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ScenarioError {}

/// At least one mistake, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioErrors(pub Vec<ScenarioError>);

impl fmt::Display for ScenarioErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ScenarioErrors {}

/// A found text in quotes, cut when it is long: an error is read by a person.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 48;
    let cut: String = text.chars().take(SHOWN).collect();
    let more = if text.chars().nth(SHOWN).is_some() {
        "…"
    } else {
        ""
    };
    format!("{:?}", format!("{cut}{more}"))
}

/// `"a", "b" or "c"`, at most sixteen names.
pub fn one_of(known: &[&str]) -> String {
    const SHOWN: usize = 16;
    let mut names: Vec<String> = known
        .iter()
        .take(SHOWN)
        .map(|name| format!("\"{name}\""))
        .collect();
    if known.len() > SHOWN {
        return format!(
            "one of {} and {} more",
            names.join(", "),
            known.len() - SHOWN
        );
    }
    match names.pop() {
        None => "nothing here".into(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} or {last}", names.join(", ")),
    }
}

/// The known name nearest to `name`, if it is near enough to be a slip of the hand.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.chars().count() > 64 {
        return None;
    }
    let plain = |text: &str| -> Vec<char> {
        text.chars()
            .map(|c| if c == '_' { '-' } else { c })
            .flat_map(char::to_lowercase)
            .collect()
    };
    let wanted = plain(name);
    let allowed = (wanted.len() / 3).max(1);
    known
        .iter()
        .map(|known| (distance(&wanted, &plain(known)), *known))
        .filter(|(far, _)| *far <= allowed)
        .min_by_key(|(far, _)| *far)
        .map(|(_, known)| known)
}

/// Edit distance with swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_finds_the_name_and_a_stranger_finds_none() {
        let known = ["partitions", "replication.factor", "replicas", "config"];
        assert_eq!(nearest("partitons", &known), Some("partitions"));
        assert_eq!(
            nearest("Replication_Factor", &known),
            Some("replication.factor")
        );
        assert_eq!(nearest("cofnig", &known), Some("config"));
        assert_eq!(nearest("era", &known), None);
    }

    #[test]
    fn an_error_counts_lines_and_characters_from_one() {
        let mut sources = Sources::default();
        let source = sources.add("a.jsonc", "{\n  \"ü\": 7 }");
        let error = sources.error(
            Span {
                source,
                start: 10,
                end: 11,
            },
            Mistake::new("a 7", "an 8"),
        );
        assert_eq!(error.to_string(), "a.jsonc:2:8: a 7; expected an 8");
    }

    #[test]
    fn a_span_inside_a_character_is_widened_and_never_panics() {
        let mut sources = Sources::default();
        let source = sources.add("a", "ü");
        let error = sources.error(
            Span {
                source,
                start: 1,
                end: 1,
            },
            Mistake::new("x", "y"),
        );
        assert_eq!((error.start, error.end, error.column), (0, 2, 1));
    }
}
