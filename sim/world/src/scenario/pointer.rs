//! JSON Pointers (RFC 6901): paths into a scenario for `--set`, `set`, `try` and twins. Keys and topics contain dots, so
//! dotted paths would not do.
//!
//! A pointer may add a key to an object that exists, or objects on the way to it, but never an entry beyond the end of a
//! list (`-` appends). Whether the new key is one that a scenario knows is the decoder's business.

use super::error::{Mistake, Span, nearest, quoted};
use super::tree::{Key, Node, Value};

/// The value at a pointer.
pub fn get<'a>(root: &'a Node, pointer: &str) -> Result<&'a Node, Mistake> {
    let mut node = root;
    for part in parts(pointer)? {
        node = match &node.value {
            Value::List(items) => &items[index(&part, items.len())?],
            Value::Map(entries) => match entries.iter().find(|(key, _)| key.name == part) {
                Some((_, node)) => node,
                None => return Err(missing(pointer, &part, entries)),
            },
            _ => return Err(no_way(pointer, &part, node)),
        };
    }
    Ok(node)
}

/// Puts a value at a pointer.
pub fn set(root: &mut Node, pointer: &str, value: Node) -> Result<(), Mistake> {
    let mut parts = parts(pointer)?;
    let Some(last) = parts.pop() else {
        return Err(Mistake::new(
            "the empty pointer",
            "the path of one value, such as \"/producers/shop/config/acks\"",
        ));
    };
    let at = value.span;
    let mut node = root;
    for (i, part) in parts.iter().enumerate() {
        let next = parts.get(i + 1).unwrap_or(&last);
        node = step(node, pointer, part, next, at)?;
    }
    match &mut node.value {
        Value::List(items) if last == "-" => items.push(value),
        Value::List(items) => {
            let index = index(&last, items.len())?;
            items[index] = value;
        }
        Value::Map(entries) => match entries.iter_mut().find(|(key, _)| key.name == last) {
            Some((_, old)) => *old = value,
            None => entries.push((
                Key {
                    span: at,
                    name: last,
                },
                value,
            )),
        },
        _ => return Err(no_way(pointer, &last, node)),
    }
    Ok(())
}

/// One step down, making an object where a key is missing and no list is meant.
fn step<'a>(
    node: &'a mut Node,
    pointer: &str,
    part: &str,
    next: &str,
    at: Span,
) -> Result<&'a mut Node, Mistake> {
    if !matches!(node.value, Value::List(_) | Value::Map(_)) {
        return Err(no_way(pointer, part, node));
    }
    match &mut node.value {
        Value::List(items) => {
            let index = index(part, items.len())?;
            Ok(&mut items[index])
        }
        Value::Map(entries) => {
            let found = entries.iter().position(|(key, _)| key.name == part);
            let list_is_meant = next == "-" || next.bytes().all(|b| b.is_ascii_digit());
            if found.is_none() && list_is_meant {
                return Err(Mistake::new(
                    format!("no value at {}", quoted(pointer)),
                    "a value that is there",
                ));
            }
            let index = found.unwrap_or_else(|| {
                let key = Key {
                    span: at,
                    name: part.to_owned(),
                };
                entries.push((
                    key,
                    Node {
                        span: at,
                        value: Value::Map(Vec::new()),
                    },
                ));
                entries.len() - 1
            });
            Ok(&mut entries[index].1)
        }
        _ => unreachable!("because only objects and lists come this far"),
    }
}

fn parts(pointer: &str) -> Result<Vec<String>, Mistake> {
    const POINTER: &str = "a JSON Pointer, such as \"/producers/shop/config/acks\"";
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let path = pointer
        .strip_prefix('/')
        .ok_or_else(|| Mistake::new(quoted(pointer), POINTER).hint("it begins with a slash"))?;
    let parts: Vec<String> = path
        .split('/')
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    match parts.len() as u64 > super::limits::NESTING.max {
        true => Err(super::limits::NESTING.exceeded(parts.len() as u64)),
        false => Ok(parts),
    }
}

fn index(part: &str, len: usize) -> Result<usize, Mistake> {
    match part.parse::<usize>() {
        Ok(index) if index < len => Ok(index),
        _ => Err(Mistake::new(
            format!("the list entry {}", quoted(part)),
            match len {
                0 => "no index: this list is empty".to_owned(),
                _ => format!("an index from 0 to {}", len - 1),
            },
        )),
    }
}

fn missing(pointer: &str, part: &str, entries: &[(Key, Node)]) -> Mistake {
    let known: Vec<&str> = entries.iter().map(|(key, _)| key.name.as_str()).collect();
    let mistake = Mistake::new(
        format!("no value at {}", quoted(pointer)),
        super::error::one_of(&known),
    );
    match nearest(part, &known) {
        Some(near) => mistake.hint(format!("did you mean \"{near}\"?")),
        None => mistake,
    }
}

fn no_way(pointer: &str, part: &str, node: &Node) -> Mistake {
    Mistake::new(
        format!(
            "{} inside {} on the way of {}",
            quoted(part),
            node.found(),
            quoted(pointer)
        ),
        "an object or a list there",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Node {
        Node::parse(text, 0).expect("good JSON")
    }

    fn after(text: &str, pointer: &str, value: &str) -> Result<String, Mistake> {
        let mut root = tree(text);
        set(&mut root, pointer, tree(value))?;
        Ok(root.to_line())
    }

    #[test]
    fn a_pointer_changes_a_value_and_may_add_a_key() {
        assert_eq!(
            after("{\"a\": {\"b.c\": 1}}", "/a/b.c", "2"),
            Ok("{ \"a\": { \"b.c\": 2 } }".into())
        );
        assert_eq!(
            after("{\"a\": {}}", "/a/b/c", "2"),
            Ok("{ \"a\": { \"b\": { \"c\": 2 } } }".into())
        );
        assert_eq!(
            after("{\"a\": [1, 2]}", "/a/1", "3"),
            Ok("{ \"a\": [1, 3] }".into())
        );
        assert_eq!(
            after("{\"a\": [1]}", "/a/-", "3"),
            Ok("{ \"a\": [1, 3] }".into())
        );
        assert_eq!(
            after("{\"x/y\": 1}", "/x~1y", "3"),
            Ok("{ \"x/y\": 3 }".into())
        );
    }

    #[test]
    fn a_pointer_that_leads_nowhere_says_where_it_ends() {
        assert_eq!(
            after("{}", "a", "1").expect_err("no slash").hint.as_deref(),
            Some("it begins with a slash")
        );
        assert_eq!(
            after("{\"a\": [1]}", "/a/7", "1")
                .expect_err("too far")
                .expected,
            "an index from 0 to 0"
        );
        assert_eq!(
            after("{\"a\": 5}", "/a/b", "1")
                .expect_err("a number")
                .expected,
            "an object or a list there"
        );
        assert_eq!(
            get(&tree("{\"acks\": 1}"), "/ack")
                .expect_err("a slip")
                .hint
                .as_deref(),
            Some("did you mean \"acks\"?")
        );
        assert_eq!(
            get(&tree("{\"a\": [7]}"), "/a/0").expect("there").found(),
            "the number 7"
        );
    }
}
