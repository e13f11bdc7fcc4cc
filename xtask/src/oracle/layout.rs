//! How vectors are written, so that a difference can be read: what is short stands on one line, a list of short things is
//! packed into lines, all else is broken up.

use serde_json::Value;

/// The longest line, indentation not counted.
const WIDTH: usize = 130;

/// JSON with a line's end.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    out.push('\n');
    out
}

fn write(value: &Value, depth: usize, out: &mut String) {
    let short = value.to_string();
    if short.len() <= WIDTH {
        out.push_str(&short);
        return;
    }
    let inner = "  ".repeat(depth + 1);
    match value {
        Value::Array(items) => {
            out.push('[');
            // Where the line began, while it may still take more.
            let mut line: Option<usize> = None;
            for (i, item) in items.iter().enumerate() {
                let size = item.to_string().len();
                let comma = if i == 0 { "" } else { "," };
                out.push_str(comma);
                let fits = line.is_some_and(|from| out.len() - from + size < WIDTH);
                if !fits {
                    out.push('\n');
                    out.push_str(&inner);
                    line = Some(out.len());
                }
                write(item, depth + 1, out);
                line = line.filter(|_| size <= WIDTH);
            }
            close(']', depth, out);
        }
        Value::Object(entries) => {
            out.push('{');
            for (i, (key, item)) in entries.iter().enumerate() {
                let comma = if i == 0 { "\n" } else { ",\n" };
                out.push_str(comma);
                out.push_str(&inner);
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(": ");
                write(item, depth + 1, out);
            }
            close('}', depth, out);
        }
        _ => out.push_str(&short),
    }
}

fn close(bracket: char, depth: usize, out: &mut String) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
    out.push(bracket);
}

/// The JSON Pointer at which two values first differ; none if they are equal.
pub fn first_difference(a: &Value, b: &Value) -> Option<String> {
    let at = |key: &dyn std::fmt::Display, rest: String| format!("/{key}{rest}");
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.into_iter()
                .find_map(|key| match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => first_difference(a, b).map(|rest| at(key, rest)),
                    _ => Some(at(key, String::new())),
                })
        }
        (Value::Array(a), Value::Array(b)) => {
            let longest = a.len().max(b.len());
            (0..longest).find_map(|i| match (a.get(i), b.get(i)) {
                (Some(a), Some(b)) => first_difference(a, b).map(|rest| at(&i, rest)),
                _ => Some(at(&i, String::new())),
            })
        }
        _ => (a != b).then(String::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_reads_as_the_same_and_no_line_is_long() {
        let value = json!({
            "numbers": (0..200).collect::<Vec<_>>(),
            "rows": (0..9).map(|i| "x".repeat(100 + i)).collect::<Vec<_>>(),
            "nested": [{ "a": [1, 2], "b": "y".repeat(140) }, 7, [8]],
            "empty": [],
        });
        let written = text(&value);
        assert_eq!(serde_json::from_str::<Value>(&written).ok(), Some(value));
        let longest = written.lines().map(str::len).max();
        assert!(longest.is_some_and(|n| n < WIDTH + 30), "{written}");
        assert!(written.lines().count() < 40, "{written}");
    }

    #[test]
    fn the_first_difference_is_named_by_its_place() {
        let kept = json!({ "a": [1, { "b": 2 }], "c": 3 });
        let differs = |made| first_difference(&kept, &made);
        assert_eq!(differs(kept.clone()), None);
        let changed = json!({ "a": [1, { "b": 4 }], "c": 3 });
        assert_eq!(differs(changed), Some("/a/1/b".into()));
        let shorter = json!({ "a": [1], "c": 3 });
        assert_eq!(differs(shorter), Some("/a/1".into()));
        let more = json!({ "a": [1, { "b": 2 }], "c": 3, "d": 4 });
        assert_eq!(differs(more), Some("/d".into()));
    }
}
