//! JSON with a position on every value: what the decoder reads, what JSON Pointers change, what an export writes.
//!
//! The text is parsed by jsonc-parser with everything loose switched off but comments. Numbers stay text, so that a
//! huge one is refused where it is read and never rounded. A key that stands twice in an object is an error here.
//! Left out: comments do not survive an export.

use jsonc_parser::ast;
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::error::{Mistake, Span, quoted};
use super::limits;

/// A value and where it stands. Two values are equal wherever they stand.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// The JSON kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number as it was written.
    Number(String),
    /// A string.
    Text(String),
    /// `[…]`
    List(Vec<Node>),
    /// `{…}`, in the order of the file; no key stands twice.
    Map(Vec<(Key, Node)>),
}

/// A key of an object and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it stands.
    pub span: Span,
    /// Its name.
    pub name: String,
}

impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.value == other.value
    }
}
impl Eq for Node {}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.name == other.name
    }
}
impl Eq for Key {}

/// The text of a file, or where its first byte that is no UTF-8 stands.
pub fn text_of(bytes: &[u8]) -> Result<&str, (Span, Mistake)> {
    size(bytes.len()).map_err(|mistake| (Span::default(), mistake))?;
    std::str::from_utf8(bytes).map_err(|error| {
        let at = u32::try_from(error.valid_up_to()).expect("the file size has a limit");
        let found = format!(
            "byte 0x{:02x}, which is not UTF-8",
            bytes[error.valid_up_to()]
        );
        (
            Span {
                source: 0,
                start: at,
                end: at,
            },
            Mistake::new(found, "a text file in UTF-8"),
        )
    })
}

/// Who reads a file may stop one byte after the limit, so the real size need not be known.
fn size(bytes: usize) -> Result<(), Mistake> {
    let max = limits::FILE_BYTES.max;
    match bytes as u64 > max {
        true => Err(Mistake {
            found: format!("more than {max} bytes in one file"),
            ..limits::FILE_BYTES.exceeded(max)
        }),
        false => Ok(()),
    }
}

impl Node {
    /// Parses one text. Stops at the first mistake: after it positions mean little.
    pub fn parse(text: &str, source: u32) -> Result<Node, (Span, Mistake)> {
        let whole = Span {
            source,
            start: 0,
            end: 0,
        };
        size(text.len()).map_err(|mistake| (whole, mistake))?;
        if let Some(at) = too_deep(text) {
            return Err((
                span(source, at, at + 1),
                limits::NESTING.exceeded(limits::NESTING.max + 1),
            ));
        }
        let parsed =
            parse_to_ast(text, &CollectOptions::default(), &strict()).map_err(|error| {
                let range = error.range();
                // The parser ends some ranges one token late; the first character is always the right one.
                (
                    span(source, range.start, range.end.max(range.start)),
                    syntax(error.kind()),
                )
            })?;
        match parsed.value {
            Some(value) => Node::from_ast(value, source),
            None => Err((
                whole,
                Mistake::new("an empty file", "an object: `{ \"format\": 1, … }`"),
            )),
        }
    }

    fn from_ast(value: ast::Value<'_>, source: u32) -> Result<Node, (Span, Mistake)> {
        let at = |range: jsonc_parser::common::Range| span(source, range.start, range.end);
        Ok(match value {
            ast::Value::NullKeyword(node) => Node {
                span: at(node.range),
                value: Value::Null,
            },
            ast::Value::BooleanLit(node) => Node {
                span: at(node.range),
                value: Value::Bool(node.value),
            },
            ast::Value::NumberLit(node) => Node {
                span: at(node.range),
                value: Value::Number(node.value.to_owned()),
            },
            ast::Value::StringLit(node) => Node {
                span: at(node.range),
                value: Value::Text(node.value.into_owned()),
            },
            ast::Value::Array(node) => {
                let items = node
                    .elements
                    .into_iter()
                    .map(|item| Node::from_ast(item, source));
                Node {
                    span: at(node.range),
                    value: Value::List(items.collect::<Result<_, _>>()?),
                }
            }
            ast::Value::Object(node) => Node {
                span: at(node.range),
                value: Value::Map(object(node, source)?),
            },
        })
    }

    /// The value under a key, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|(key, _)| key.name == name)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// What was found, for an error: `the number 7`, `a list`.
    pub fn found(&self) -> String {
        match &self.value {
            Value::Null => "null".into(),
            Value::Bool(value) => format!("{value}"),
            Value::Number(text) if text.len() > 32 => {
                format!("a number of {} characters", text.len())
            }
            Value::Number(text) => format!("the number {text}"),
            Value::Text(text) => format!("the text {}", quoted(text)),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Map(_) => "an object".into(),
        }
    }
}

/// Making trees, for exports.
impl Node {
    /// A text.
    pub fn text(text: impl Into<String>) -> Node {
        Node {
            span: Span::default(),
            value: Value::Text(text.into()),
        }
    }

    /// A whole number.
    pub fn number(number: impl ToString) -> Node {
        Node {
            span: Span::default(),
            value: Value::Number(number.to_string()),
        }
    }

    /// `null`.
    pub fn null() -> Node {
        Node {
            span: Span::default(),
            value: Value::Null,
        }
    }

    /// `true` or `false`.
    pub fn bool(value: bool) -> Node {
        Node {
            span: Span::default(),
            value: Value::Bool(value),
        }
    }

    /// A list.
    pub fn list(items: impl IntoIterator<Item = Node>) -> Node {
        Node {
            span: Span::default(),
            value: Value::List(items.into_iter().collect()),
        }
    }

    /// An object; entries without a value are left out.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Option<Node>)>) -> Node {
        let entry = |(name, node): (K, Option<Node>)| {
            Some((
                Key {
                    span: Span::default(),
                    name: name.into(),
                },
                node?,
            ))
        };
        Node {
            span: Span::default(),
            value: Value::Map(entries.into_iter().filter_map(entry).collect()),
        }
    }
}

/// Writing trees.
impl Node {
    /// On one line.
    pub fn to_line(&self) -> String {
        match &self.value {
            Value::Null => "null".into(),
            Value::Bool(value) => value.to_string(),
            Value::Number(text) => text.clone(),
            Value::Text(text) => json_text(text),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(Node::to_line).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Map(entries) if entries.is_empty() => "{}".into(),
            Value::Map(entries) => {
                let entry = |(key, node): &(Key, Node)| {
                    format!("{}: {}", json_text(&key.name), node.to_line())
                };
                format!(
                    "{{ {} }}",
                    entries.iter().map(entry).collect::<Vec<_>>().join(", ")
                )
            }
        }
    }

    /// As a file: what fits on a line stands on one.
    pub fn to_file(&self) -> String {
        let mut out = String::new();
        self.write(0, 0, &mut out);
        out.push('\n');
        out
    }

    fn write(&self, depth: usize, taken: usize, out: &mut String) {
        const WIDTH: usize = 120;
        let line = self.to_line();
        let fits = 2 * depth + taken + line.chars().count() < WIDTH;
        let (open, close, entries): (_, _, Vec<(Option<&str>, &Node)>) = match &self.value {
            Value::List(items) if !fits => {
                ('[', ']', items.iter().map(|node| (None, node)).collect())
            }
            Value::Map(entries) if !fits || (depth == 0 && !entries.is_empty()) => (
                '{',
                '}',
                entries
                    .iter()
                    .map(|(key, node)| (Some(key.name.as_str()), node))
                    .collect(),
            ),
            _ => return out.push_str(&line),
        };
        out.push(open);
        for (i, (name, node)) in entries.iter().enumerate() {
            out.push_str(if i == 0 { "\n" } else { ",\n" });
            out.push_str(&"  ".repeat(depth + 1));
            let name = name
                .map(|name| format!("{}: ", json_text(name)))
                .unwrap_or_default();
            out.push_str(&name);
            node.write(depth + 1, name.chars().count(), out);
        }
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
        out.push(close);
    }
}

fn json_text(text: &str) -> String {
    serde_json::to_string(text).expect("a text is always JSON")
}

fn object(node: ast::Object<'_>, source: u32) -> Result<Vec<(Key, Node)>, (Span, Mistake)> {
    let mut entries: Vec<(Key, Node)> = Vec::with_capacity(node.properties.len());
    let mut names = std::collections::BTreeSet::new();
    for property in node.properties {
        let (range, name) = match property.name {
            ast::ObjectPropName::String(name) => (name.range, name.value.into_owned()),
            ast::ObjectPropName::Word(word) => (word.range, word.value.to_owned()),
        };
        let key = Key {
            span: span(source, range.start, range.end),
            name,
        };
        if !names.insert(key.name.clone()) {
            let found = format!("the key {} for the second time", quoted(&key.name));
            return Err((key.span, Mistake::new(found, "each key once in an object")));
        }
        entries.push((key, Node::from_ast(property.value, source)?));
    }
    Ok(entries)
}

fn span(source: u32, start: usize, end: usize) -> Span {
    let small = |n: usize| u32::try_from(n).expect("the file size has a limit");
    Span {
        source,
        start: small(start),
        end: small(end),
    }
}

/// Comments and nothing else beyond JSON.
fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// The byte at which the nesting goes beyond its limit: looked for before parsing, since a parser recurses.
fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0u64, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => {
                depth += 1;
                if depth > limits::NESTING.max {
                    return Some(at);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = end_of_string(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'/') => at = find(bytes, at, b"\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => at = find(bytes, at + 2, b"*/") + 1,
            _ => {}
        }
        at += 1;
    }
    None
}

fn end_of_string(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let from = from.min(bytes.len());
    bytes[from..]
        .windows(what.len())
        .position(|window| window == what)
        .map_or(bytes.len(), |at| from + at)
}

/// The parser's complaints in our words.
fn syntax(kind: &ParseErrorKind) -> Mistake {
    use ParseErrorKind as K;
    let (found, expected): (&str, &str) = match kind {
        K::ExpectedColonAfterObjectKey => ("no colon after the key", "`\"key\": value`"),
        K::ExpectedObjectValue => ("a key without a value", "`\"key\": value`"),
        K::ExpectedComma => ("no comma before this", "a comma between two entries"),
        K::TrailingCommasNotAllowed => (
            "a comma with nothing after it",
            "another entry, or no comma",
        ),
        K::ExpectedStringObjectProperty => ("a key without quotes", "a key in double quotes"),
        K::SingleQuotedStringsNotAllowed => ("single quotes", "double quotes"),
        K::MultipleRootJsonValues => (
            "more text after the end of the scenario",
            "one object and nothing after it",
        ),
        K::UnterminatedObject => ("an object that is never closed", "a `}`"),
        K::UnterminatedArray => ("a list that is never closed", "a `]`"),
        K::UnterminatedCommentBlock => ("a comment that is never closed", "a `*/`"),
        K::UnexpectedCloseBrace => ("a `}` without its `{`", "a value"),
        K::UnexpectedCloseBracket => ("a `]` without its `[`", "a value"),
        K::UnexpectedColon => ("a colon", "a value"),
        K::UnexpectedComma => ("a comma", "a value"),
        K::UnexpectedWord => (
            "a word without quotes",
            "a value: text stands in double quotes",
        ),
        K::UnexpectedTokenInObject => {
            ("something that is no key", "a key in double quotes, or `}`")
        }
        K::HexadecimalNumbersNotAllowed
        | K::UnaryPlusNumbersNotAllowed
        | K::BareDecimalPointNumbersNotAllowed => (
            "a number that JSON does not know",
            "a whole number such as 42",
        ),
        K::NonFiniteNumbersNotAllowed => ("a number without an end", "a whole number such as 42"),
        K::ExpectedDigit
        | K::ExpectedDigitFollowingNegativeSign
        | K::ExpectedPlusMinusOrDigitInNumberLiteral => {
            ("a number that breaks off", "a whole number such as 42")
        }
        K::String(kind) => {
            return Mistake::new(format!("a broken text ({kind})"), "a text in double quotes");
        }
        K::NestingDepthExceeded => return limits::NESTING.exceeded(limits::NESTING.max + 1),
        K::CommentsNotAllowed | K::UnexpectedToken => ("something that is not JSON", "a value"),
    };
    Mistake::new(found, expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> (u32, Mistake) {
        let (span, mistake) = Node::parse(text, 0).expect_err("this text is wrong");
        (span.start, mistake)
    }

    #[test]
    fn comments_are_the_only_liberty() {
        assert!(Node::parse("// a\n{ /* b */ \"a\": [1, true, null] }", 0).is_ok());
        assert_eq!(
            mistake("{ \"a\": 1, }").1.found,
            "a comma with nothing after it"
        );
        assert_eq!(
            mistake("{ \"a\": 1 \"b\": 2 }").1.found,
            "no comma before this"
        );
        assert_eq!(mistake("{ a: 1 }").1.found, "a key without quotes");
        assert_eq!(mistake("{ \"a\": 'b' }").1.found, "single quotes");
        assert_eq!(
            mistake("{ \"a\": 0x1F }").1.found,
            "a number that JSON does not know"
        );
        assert_eq!(mistake("").1.found, "an empty file");
        assert_eq!(mistake("{").1.found, "an object that is never closed");
        assert_eq!(
            mistake("{} {}").1.found,
            "more text after the end of the scenario"
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_at_its_second_place() {
        let (at, mistake) = mistake("{ \"a\": 1, \"a\": 2 }");
        assert_eq!(
            (at, mistake.found.as_str()),
            (10, "the key \"a\" for the second time")
        );
    }

    #[test]
    fn deep_nesting_is_refused_before_anyone_recurses() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(mistake(&deep[..900_000]).0, 32);
        let in_text = format!("[{:?}]", "[".repeat(1000));
        assert!(Node::parse(&in_text, 0).is_ok());
        let in_comment = format!("/*{}*/ [] // {}", "[".repeat(1000), "{".repeat(1000));
        assert!(Node::parse(&in_comment, 0).is_ok());
    }

    #[test]
    fn a_file_that_is_not_text_names_the_byte() {
        let (span, mistake) = text_of(b"{ \xff }").expect_err("not UTF-8");
        assert_eq!(
            (span.start, mistake.found.as_str()),
            (2, "byte 0xff, which is not UTF-8")
        );
    }

    #[test]
    fn a_tree_written_as_a_file_is_the_same_tree() {
        let long = "x".repeat(100);
        let text = format!(
            "{{ \"a\": [1, true, null, {{}}], \"b\": {{ \"c\": [\"{long}\", \"\\u0001\\n\"] }} }}"
        );
        let tree = Node::parse(&text, 0).expect("good JSON");
        assert_eq!(Node::parse(&tree.to_file(), 0).expect("good JSON"), tree);
        assert_eq!(Node::parse(&tree.to_line(), 0).expect("good JSON"), tree);
    }

    #[test]
    fn odd_endings_do_not_panic() {
        for text in [
            "\"", "\"\\", "/*", "//", "/", "[\"\\", "{\"a\\\"", "\u{feff}", "[1e", "-", "\"\\u12",
        ] {
            assert!(Node::parse(text, 0).is_err(), "{text:?} is no scenario");
        }
    }
}
