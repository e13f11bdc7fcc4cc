//! Assets: rows from a file that a producer sends. A scenario carries their lines, so that it is the same run on a machine
//! without that file.
//!
//! A line that begins with a brace is an object of JSON, and the whole line is the value. Else the first line is the header
//! of a CSV file (RFC 4180, one record a line), and each line after it is a value. A field that serves as the key gives its
//! text without quotes; a number or a truth gives itself.
//! Left out: fields within fields, CSV records of several lines.

use super::error::{Mistake, quoted};
use super::limits;
use super::tree::{Node, Value};
use bytes::Bytes;
use serde::Serialize;
use std::sync::Arc;

/// The lines of a file of rows, as they stand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Asset {
    lines: Arc<[Arc<str>]>,
}

/// One row as a record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Row {
    /// Its key field.
    pub key: Option<Bytes>,
    /// The line.
    pub value: Bytes,
}

impl Asset {
    /// From a list of lines.
    ///
    /// # Errors
    /// No lines, too many, or something else.
    pub fn of(node: &Node) -> Result<Asset, Mistake> {
        let expected = super::grammar::Kind::Lines.expected();
        let Value::List(items) = &node.value else {
            return Err(Mistake::new(node.found(), expected));
        };
        limits::ENTRIES.hold(items.len() as u64)?;
        let line = |item: &Node| match &item.value {
            Value::Text(text) => Ok(Arc::from(text.as_str())),
            _ => Err(Mistake::new(item.found(), expected.clone())),
        };
        let lines: Vec<Arc<str>> = items.iter().map(line).collect::<Result<_, Mistake>>()?;
        let asset = Asset {
            lines: lines.into(),
        };
        match asset.values().is_empty() {
            true => Err(Mistake::new("an asset without rows", expected)),
            false => Ok(asset),
        }
    }

    /// All lines, the header of a CSV file included.
    pub fn lines(&self) -> &[Arc<str>] {
        &self.lines
    }

    /// Its rows, with this field as their key.
    ///
    /// # Errors
    /// A row without that field, or one that is not of the asset's form.
    pub fn rows(&self, key_field: Option<&str>) -> Result<Arc<[Row]>, Mistake> {
        let row = |(number, line): (usize, &Arc<str>)| {
            let key = match key_field {
                None => None,
                Some(field) => Some(self.field(line, field).ok_or_else(|| {
                    let found = format!("row {number} without the field {}", quoted(field));
                    Mistake::new(found, "a field that every row has")
                })?),
            };
            Ok(Row {
                key: key.map(Bytes::from),
                value: Bytes::copy_from_slice(line.as_bytes()),
            })
        };
        (1..).zip(self.values()).map(row).collect()
    }

    fn values(&self) -> &[Arc<str>] {
        match self.is_json() {
            true => &self.lines,
            false => self.lines.get(1..).unwrap_or_default(),
        }
    }

    fn is_json(&self) -> bool {
        let first = self.lines.first();
        first.is_some_and(|line| line.trim_start().starts_with('{'))
    }

    fn field(&self, line: &str, field: &str) -> Option<String> {
        if self.is_json() {
            let object: serde_json::Value = serde_json::from_str(line).ok()?;
            return match object.get(field)? {
                serde_json::Value::String(text) => Some(text.clone()),
                serde_json::Value::Number(number) => Some(number.to_string()),
                serde_json::Value::Bool(truth) => Some(truth.to_string()),
                _ => None,
            };
        }
        let place = cells(self.lines.first()?).iter().position(|c| c == field)?;
        cells(line).into_iter().nth(place)
    }
}

/// The cells of a line of CSV: commas between them, quotes around those that have commas, doubled quotes within.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let cell = cells.last_mut().expect("there is one at the start");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cell.push(c),
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(lines: &[&str]) -> Result<Asset, Mistake> {
        Asset::of(&Node::list(lines.iter().map(|line| Node::text(*line))))
    }

    fn keys(lines: &[&str], field: &str) -> Result<Vec<Bytes>, Mistake> {
        let rows = asset(lines)?.rows(Some(field))?;
        Ok(rows.iter().filter_map(|row| row.key.clone()).collect())
    }

    #[test]
    fn a_line_of_json_is_a_value_and_its_field_the_key() {
        let lines = [
            r#"{"code":"LIS","runways":2}"#,
            r#"{"code":"OSL","runways":2}"#,
        ];
        assert_eq!(keys(&lines, "code").expect("good"), ["LIS", "OSL"]);
        assert_eq!(keys(&lines, "runways").expect("good"), ["2", "2"]);
        let rows = asset(&lines).expect("good").rows(None).expect("good");
        assert_eq!(rows[1].value, lines[1]);
        assert_eq!(rows[1].key, None);
    }

    #[test]
    fn the_first_line_of_csv_names_its_fields() {
        let lines = [
            "code,city",
            "LIS,Lisbon",
            r#"IAD,"Washington, D.C.""#,
            r#"X,"a ""b""""#,
        ];
        let cities = keys(&lines, "city").expect("good");
        assert_eq!(cities, ["Lisbon", "Washington, D.C.", "a \"b\""]);
    }

    #[test]
    fn a_row_without_the_key_field_is_named() {
        let lines = [r#"{"code":"LIS"}"#, r#"{"city":"Oslo"}"#];
        let mistake = keys(&lines, "code").expect_err("the second has none");
        assert_eq!(mistake.found, "row 2 without the field \"code\"");
        assert!(asset(&["code,city"]).is_err(), "a header alone has no rows");
    }
}
