//! Reading an object by the table of keys: unknown keys, missing keys, defaults and kinds are dealt with here once.
//!
//! Mistakes are collected; a value that could not be read is replaced by the plainest one so that reading goes on.
//! Whatever was replaced so is never used: a scenario with a mistake is not returned.

use std::cell::RefCell;
use std::sync::Arc;

use crate::scenario::error::{Mistake, ScenarioError, Sources, Span, nearest, one_of, quoted};
use crate::scenario::grammar::{self, Key, Kind, Missing};
use crate::scenario::limits;
use crate::scenario::quantity::{self, Range, Rate};
use crate::scenario::tree::{Node, Value};

/// More mistakes than this help nobody.
const MISTAKES_MAX: usize = 32;

/// The mistakes found so far.
pub struct Mistakes<'a> {
    sources: &'a Sources,
    list: RefCell<Vec<ScenarioError>>,
}

impl<'a> Mistakes<'a> {
    /// None yet.
    pub fn new(sources: &'a Sources) -> Mistakes<'a> {
        Mistakes {
            sources,
            list: RefCell::default(),
        }
    }

    /// Notes a mistake.
    pub fn add(&self, span: Span, mistake: Mistake) {
        self.take(self.sources.error(span, mistake));
    }

    /// Takes over an error that another reading found.
    pub fn take(&self, error: ScenarioError) {
        let mut list = self.list.borrow_mut();
        if list.len() < MISTAKES_MAX && !list.contains(&error) {
            list.push(error);
        }
    }

    /// Notes the mistake, if there is one.
    pub fn check<T>(&self, span: Span, result: Result<T, Mistake>) -> Option<T> {
        result.map_err(|mistake| self.add(span, mistake)).ok()
    }

    /// The entries of an object whose keys are names.
    pub fn entries<'n>(&self, node: &'n Node) -> Vec<Entry<'n>> {
        let Value::Map(entries) = &node.value else {
            self.add(
                node.span,
                Mistake::new(node.found(), Kind::Names.expected()),
            );
            return Vec::new();
        };
        self.check(node.span, limits::ENTRIES.hold(entries.len() as u64));
        let entries = entries.iter().take(limits::ENTRIES.len_max());
        entries
            .map(|(key, node)| Entry {
                name: key.name.as_str().into(),
                span: key.span,
                node,
            })
            .collect()
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// All of them, in the order of the file.
    pub fn into_list(self) -> Vec<ScenarioError> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|error| (error.line, error.column));
        list
    }
}

/// What a missing object means.
const EMPTY: &Node = &Node {
    span: Span {
        source: 0,
        start: 0,
        end: 0,
    },
    value: Value::Map(Vec::new()),
};

/// An object and its place in the table.
pub struct Fields<'a> {
    /// The mistakes.
    pub mistakes: &'a Mistakes<'a>,
    /// The object.
    pub node: &'a Node,
    path: String,
}

/// An entry of an object whose keys are names, or of a list.
pub struct Entry<'a> {
    /// The name, empty in a list.
    pub name: Arc<str>,
    /// Where the name stands, or the value in a list.
    pub span: Span,
    /// The value.
    pub node: &'a Node,
}

impl<'a> Fields<'a> {
    /// Begins to read an object. Keys that the table does not have are noted.
    pub fn new(mistakes: &'a Mistakes<'a>, node: &'a Node, path: &str) -> Fields<'a> {
        let fields = Fields {
            mistakes,
            node,
            path: path.to_owned(),
        };
        match &node.value {
            Value::Map(entries) => {
                for (key, _) in entries {
                    fields.know(&key.name, key.span);
                }
            }
            _ => mistakes.add(
                node.span,
                Mistake::new(node.found(), Kind::Object.expected()),
            ),
        }
        fields
    }

    fn know(&self, name: &str, span: Span) {
        let known: Vec<(&str, &Key)> = grammar::below(&self.path).collect();
        match known.iter().find(|(known, _)| *known == name) {
            Some((
                _,
                Key {
                    kind: Kind::NotBuilt(instead),
                    ..
                },
            )) => {
                let mistake = Mistake::new(
                    format!("not built yet: {}", quoted(name)),
                    self.choices(&known),
                );
                self.mistakes.add(span, mistake.hint(*instead));
            }
            Some(_) => {}
            None => {
                let place = self.place();
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                let mistake = Mistake::new(
                    format!("unknown key {}{place}", quoted(name)),
                    self.choices(&known),
                );
                self.mistakes.add(
                    span,
                    match (nearest(name, &names), super::config::table_of(name)) {
                        (Some(near), _) => mistake.hint(format!("did you mean \"{near}\"?")),
                        (None, Some(owner)) => mistake.hint(format!(
                            "{} is a setting of {owner}: it belongs into `config`",
                            quoted(name)
                        )),
                        (None, None) => mistake,
                    },
                );
            }
        }
    }

    /// Whether a key stands here that is known and not built: that mistake is enough.
    pub fn has_unbuilt(&self) -> bool {
        grammar::below(&self.path)
            .any(|(name, key)| matches!(key.kind, Kind::NotBuilt(_)) && self.found(name).is_some())
    }

    fn choices(&self, known: &[(&str, &Key)]) -> String {
        let built = known
            .iter()
            .filter(|(_, key)| !matches!(key.kind, Kind::NotBuilt(_)));
        one_of(&built.map(|(name, _)| *name).collect::<Vec<_>>())
    }

    /// ` in a step`, for messages: the sentence-less name of the object.
    fn place(&self) -> String {
        let place = match self.path.as_str() {
            "" => "",
            "/topics/*" => " in a topic",
            "/producers/*" => " in a producer",
            "/consumers/*" => " in a consumer",
            "/steps/*" => " in a step",
            "/twins/*" => " in a twin",
            "/try/*" => " in `try`",
            other => {
                return format!(
                    " in `{}`",
                    other
                        .rsplit('/')
                        .find(|part| *part != "*")
                        .unwrap_or_default()
                );
            }
        };
        place.into()
    }

    /// The row of a key of this object.
    fn key(&self, name: &str) -> &'static Key {
        grammar::find(&format!("{}/{name}", self.path))
            .expect("the decoder asks only for keys of the table")
    }

    /// The value of a key as it stands in the file.
    pub fn found(&self, name: &str) -> Option<&'a Node> {
        self.node.get(name)
    }

    /// Where a key stands, or the object if it does not.
    pub fn key_span(&self, name: &str) -> Span {
        match &self.node.value {
            Value::Map(entries) => entries
                .iter()
                .find(|(key, _)| key.name == name)
                .map_or(self.node.span, |(key, _)| key.span),
            _ => self.node.span,
        }
    }

    /// Reads a key; `None` if it is absent or wrong, and then what is wrong is noted.
    pub fn value<T>(
        &self,
        name: &str,
        read: impl Fn(&Node, &Kind) -> Result<T, Mistake>,
    ) -> Option<T> {
        let key = self.key(name);
        if let Some(node) = self.found(name) {
            return self.mistakes.check(node.span, read(node, &key.kind));
        }
        match key.default {
            Missing::Absent => None,
            Missing::Is(text) => {
                let node = Node::parse(text, 0).expect("a default of the table is JSON");
                Some(read(&node, &key.kind).expect("a default of the table is of its kind"))
            }
            Missing::Required => {
                self.missing(name, key);
                None
            }
        }
    }

    /// Notes a required key that is not there, unless a misspelt one was noted already that must be it.
    fn missing(&self, name: &str, key: &Key) {
        let Value::Map(entries) = &self.node.value else {
            return;
        };
        let is_known = |key: &str| grammar::below(&self.path).any(|(known, _)| known == key);
        let is_slip = |key: &str| !is_known(key) && nearest(key, &[name]).is_some();
        if !entries.iter().any(|(key, _)| is_slip(&key.name)) {
            let open = Span {
                end: self.node.span.start + 1,
                ..self.node.span
            };
            let found = format!("no \"{name}\"{}", self.place());
            self.mistakes.add(
                open,
                Mistake::new(found, key.kind.expected()).hint(key.sentence),
            );
        }
    }

    /// A whole number.
    pub fn whole(&self, name: &str) -> Option<u64> {
        self.value(name, whole)
    }

    /// A whole number that fits 32 bits by its range.
    pub fn small(&self, name: &str) -> Option<u32> {
        self.whole(name)
            .map(|n| u32::try_from(n).expect("the table keeps it small"))
    }

    /// `true` or `false`.
    pub fn bool(&self, name: &str) -> bool {
        self.value(name, |node, kind| match node.value {
            Value::Bool(value) => Ok(value),
            _ => Err(Mistake::new(node.found(), kind.expected())),
        })
        .unwrap_or_default()
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<Arc<str>> {
        self.value(name, |node, kind| text(node, kind).map(Arc::from))
    }

    /// One of a closed list of words.
    pub fn word(&self, name: &str) -> &'static str {
        let found = self.value(name, word);
        found.unwrap_or_else(|| match self.key(name).kind {
            Kind::Word(words) => words[0],
            _ => unreachable!("because only words are read as words"),
        })
    }

    /// A duration in nanoseconds.
    pub fn duration(&self, name: &str) -> Option<u64> {
        self.quantity(name, quantity::duration)
    }

    /// One duration or two.
    pub fn durations(&self, name: &str) -> Option<Range<u64>> {
        self.quantity(name, quantity::durations)
    }

    /// A rate.
    pub fn rate(&self, name: &str) -> Option<Rate> {
        self.quantity(name, quantity::rate)
    }

    /// A size in bytes.
    pub fn bytes(&self, name: &str) -> Option<u64> {
        self.quantity(name, quantity::bytes)
    }

    /// One size or two.
    pub fn sizes(&self, name: &str) -> Option<Range<u64>> {
        self.quantity(name, quantity::sizes)
    }

    /// An instant in milliseconds since the epoch.
    pub fn instant(&self, name: &str) -> Option<i64> {
        self.quantity(name, quantity::instant)
    }

    /// One number or two.
    pub fn counts(&self, name: &str) -> Option<Range<u32>> {
        self.value(name, |node, kind| match &node.value {
            Value::Number(text) | Value::Text(text) => quantity::counts(text),
            _ => Err(Mistake::new(node.found(), kind.expected())),
        })
    }

    fn quantity<T>(&self, name: &str, read: impl Fn(&str) -> Result<T, Mistake>) -> Option<T> {
        self.value(name, |node, kind| match &node.value {
            Value::Number(_) => Err(Mistake::new(node.found(), kind.expected())
                .hint("a quantity is a text with its unit")),
            _ => read(text(node, kind)?),
        })
    }

    /// The entries of an object whose keys are names.
    pub fn names(&self, name: &str) -> Vec<Entry<'a>> {
        self.found(name)
            .map(|node| self.mistakes.entries(node))
            .unwrap_or_default()
    }

    /// The entries of a list.
    pub fn list(&self, name: &str) -> Vec<&'a Node> {
        let key = self.key(name);
        match self.found(name) {
            Some(node) => return list(self.mistakes, node),
            None if key.default == Missing::Required => self.missing(name, key),
            None => {}
        }
        Vec::new()
    }

    /// The object below a key; an empty one if it is missing.
    pub fn object(&self, name: &str) -> Fields<'a> {
        let path = format!("{}/{name}", self.path);
        Fields::new(self.mistakes, self.found(name).unwrap_or(EMPTY), &path)
    }
}

/// The entries of a list, or a mistake.
pub fn list<'a>(mistakes: &Mistakes<'_>, node: &'a Node) -> Vec<&'a Node> {
    match &node.value {
        Value::List(items) => {
            mistakes.check(node.span, limits::ENTRIES.hold(items.len() as u64));
            items.iter().take(limits::ENTRIES.len_max()).collect()
        }
        _ => {
            mistakes.add(node.span, Mistake::new(node.found(), Kind::List.expected()));
            Vec::new()
        }
    }
}

/// Reads a whole number of a range.
pub fn whole(node: &Node, kind: &Kind) -> Result<u64, Mistake> {
    let Kind::Whole(range) = kind else {
        unreachable!("because only whole numbers are read as whole numbers")
    };
    let Value::Number(text) = &node.value else {
        return Err(Mistake::new(node.found(), kind.expected()));
    };
    match text.parse::<u64>() {
        Ok(number) if (range.min..=range.max).contains(&number) => Ok(number),
        _ => Err(Mistake::new(node.found(), kind.expected())),
    }
}

/// Reads a text.
pub fn text<'a>(node: &'a Node, kind: &Kind) -> Result<&'a str, Mistake> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(Mistake::new(node.found(), kind.expected())),
    }
}

/// Reads a word of a closed list.
pub fn word(node: &Node, kind: &Kind) -> Result<&'static str, Mistake> {
    let Kind::Word(words) = kind else {
        unreachable!("because only words are read as words")
    };
    let found = text(node, kind)?;
    words
        .iter()
        .find(|word| **word == found)
        .copied()
        .ok_or_else(|| Mistake::unknown("word", found, words.iter().copied()))
}

/// A name that the author chose.
pub fn check_name(name: &str) -> Result<Arc<str>, Mistake> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match !name.is_empty()
        && name.len() <= 100
        && name.chars().all(good)
        && name != "."
        && name != ".."
    {
        true => Ok(name.into()),
        false => Err(Mistake::new(
            format!("the name {}", quoted(name)),
            "1 to 100 letters, digits, dots, dashes and underscores",
        )),
    }
}
