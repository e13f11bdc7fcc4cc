//! Which fields of Kafka's messages are said: read from how they print themselves, since the schemas' structs have no other
//! way to be walked.

use std::collections::{BTreeMap, BTreeSet};

/// By message, struct and field, the values seen.
#[derive(Default)]
pub struct Fields {
    seen: BTreeMap<String, BTreeSet<String>>,
    message: String,
}

impl Fields {
    /// Takes in a message as it prints itself.
    pub fn see(&mut self, printed: &str) {
        let name = printed.split(' ').next();
        self.message = name.unwrap_or_default().to_owned();
        let rest = self.value(printed);
        assert!(rest.is_empty(), "not understood: {rest}");
    }

    /// Fields that said the same in all messages.
    pub fn unsaid(&self) -> BTreeSet<&str> {
        let same = self.seen.iter().filter(|(_, values)| values.len() == 1);
        same.map(|(name, _)| name.as_str()).collect()
    }

    /// Reads one value; returns what follows.
    fn value<'a>(&mut self, text: &'a str) -> &'a str {
        let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && !"_-.".contains(c));
        let text = text
            .strip_prefix('b')
            .filter(|t| t.starts_with('"'))
            .unwrap_or(text);
        if text.starts_with('"') {
            return quoted(text);
        }
        let end = word(text).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        match rest.chars().next() {
            Some(' ') if rest.starts_with(" { ") => self.fields(name, &rest[3..]),
            Some('(') => self.list(&rest[1..], ')'),
            Some('[') => self.list(&rest[1..], ']'),
            Some('{') => self.list(&rest[1..], '}'),
            _ => rest,
        }
    }

    fn fields<'a>(&mut self, name: &str, mut text: &'a str) -> &'a str {
        loop {
            let (field, rest) = text.split_once(": ").expect("a field has a value");
            let after = self.value(rest);
            let said = &rest[..rest.len() - after.len()];
            let of = match name == self.message {
                true => format!("{name}.{field}"),
                false => format!("{} {name}.{field}", self.message),
            };
            let values = self.seen.entry(of).or_default();
            // Two are enough to know that it says something.
            if values.len() < 2 {
                values.insert(said.to_owned());
            }
            match after.strip_prefix(", ") {
                Some(next) => text = next,
                None => return after.strip_prefix(" }").expect("a struct has an end"),
            }
        }
    }

    fn list<'a>(&mut self, mut text: &'a str, close: char) -> &'a str {
        loop {
            if let Some(rest) = text.strip_prefix(close) {
                return rest;
            }
            text = self.value(text);
            text = text.strip_prefix(", ").unwrap_or(text);
        }
    }
}

/// What follows a quoted text.
fn quoted(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return &text[at + 1..],
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    panic!("a text without an end: {text}")
}

#[test]
fn a_field_that_always_says_the_same_is_unsaid() {
    let mut fields = Fields::default();
    fields.see(
        r#"A { n: 1, b: b"x\" }, n: 2", list: [B { k: Some(-3), e: {} }, B { k: None, e: {} }] }"#,
    );
    fields.see(r#"A { n: 2, b: b"x\" }, n: 2", list: [] }"#);
    assert_eq!(fields.unsaid(), BTreeSet::from(["A B.e", "A.b"]));
}
