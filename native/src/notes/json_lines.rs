//! One JSON object a line; its keys are the columns.

use std::io::{BufRead, Read};

use anyhow::{Context, Result};
use serde_json::Value;

use super::columns::Columns;
use super::source::Opened;
use super::{Content, LONGEST_ROW, Row};
use crate::cli::NotesInput;

/// Rows of one file.
pub(super) struct JsonLines {
    opened: Opened,
    input: NotesInput,
    /// Columns of the line before: lines of one file mostly have the same keys.
    known: Option<(Vec<String>, Columns)>,
    line: Vec<u8>,
    offset: u64,
    number: u64,
    prefix: String,
    done: bool,
}

impl JsonLines {
    pub fn new(opened: Opened, input: &NotesInput, prefix: String) -> Self {
        Self { opened, input: input.clone(), known: None, line: Vec::new(), offset: 0, number: 0, prefix, done: false }
    }

    /// The row in the line at hand; an error if the very first one lacks the text column.
    fn row(&mut self, offset: u64) -> Result<Row> {
        let number = format!("{}{}", self.prefix, self.number);
        let unreadable = |reason: String| Row {
            id: format!("{}row {}", self.prefix, self.number),
            patient: None,
            category: String::new(),
            content: Content::Unreadable { offset, reason },
        };
        let object = match serde_json::from_slice::<Value>(&self.line) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Ok(unreadable("expected a JSON object".into())),
            // Only the place: a parser's message may quote what it read.
            Err(error) => return Ok(unreadable(format!("not JSON: column {} of the line", error.column()))),
        };
        let keys = || object.keys().map(String::as_str);
        if !self.known.as_ref().is_some_and(|(known, _)| known.iter().map(String::as_str).eq(keys())) {
            let header: Vec<String> = keys().map(str::to_owned).collect();
            match Columns::find(&header, &self.input, &self.opened.name) {
                Ok(columns) => self.known = Some((header, columns)),
                Err(error) if self.number == 1 => return Err(error),
                Err(_) => return Ok(unreadable("the object lacks a key that is asked for".into())),
            }
        }
        let values: Vec<String> = object.values().map(plain).collect();
        let Some((_, columns)) = &self.known else { return Ok(unreadable("the object has no keys".into())) };
        Ok(columns.row(|place| values.get(place).map(String::as_bytes), || number, offset))
    }
}

/// A value as it would stand in a CSV field.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Iterator for JsonLines {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            self.line.clear();
            let offset = self.offset;
            let read = self.opened.bytes.as_mut().take(LONGEST_ROW).read_until(b'\n', &mut self.line);
            let place = || format!("{}, after row {} at byte {offset}", self.opened.name, self.number);
            match read.with_context(place) {
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
                Ok(0) => self.done = true,
                Ok(count) => {
                    self.offset += count as u64;
                    if !self.line.trim_ascii().is_empty() {
                        self.number += 1;
                        return Some(self.row(offset));
                    }
                }
            }
        }
        None
    }
}
