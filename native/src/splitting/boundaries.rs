//! A file of sentence boundaries: JSON lines, one for each note, in any order.
//!
//! Only the place of each line is kept in memory (about 30 bytes a note); a line is read when its note comes.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use clinicalbert_core::Error;
use clinicalbert_core::text::Span;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::checksum::hexadecimal;
use crate::cli::OffsetUnit;
use crate::read_at::read_at;

/// An opened file.
#[derive(Debug)]
pub struct Boundaries {
    path: PathBuf,
    file: File,
    unit: OffsetUnit,
    /// First byte and length of each line, by the hash of its id.
    lines: HashMap<u64, (u64, u32)>,
    sha256: String,
}

/// A line.
#[derive(Deserialize)]
struct Line {
    id: Id,
    sentences: Vec<Range>,
}

#[derive(Deserialize)]
struct OnlyId {
    id: Id,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(i64),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Range {
    Pair(usize, usize),
    Fields { start: usize, end: usize },
}

impl Id {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

impl Boundaries {
    /// Finds the lines of a file.
    ///
    /// # Errors
    /// It cannot be read, a line is no JSON object with an id, or an id is there twice.
    pub fn open(path: &Path, unit: OffsetUnit) -> Result<Self> {
        let unreadable = || format!("cannot read {}", path.display());
        let file = File::open(path).with_context(unreadable)?;
        let (mut lines, mut hash) = (HashMap::new(), Sha256::new());
        let (mut reader, mut line, mut offset) = (BufReader::with_capacity(1 << 20, &file), Vec::new(), 0u64);
        for number in 1.. {
            line.clear();
            if reader.read_until(b'\n', &mut line).with_context(unreadable)? == 0 {
                break;
            }
            hash.update(&line);
            let start = offset;
            offset += line.len() as u64;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            // serde's own message may quote the line.
            let found = serde_json::from_slice::<OnlyId>(&line).map_err(|_| {
                anyhow!(
                    "{}, line {number}: expected JSON such as {{\"id\": \"7\", \"sentences\": [[0, 12], [13, 40]]}}, unpacked and one \
                     note a line",
                    path.display()
                )
            })?;
            let length = u32::try_from(line.len()).with_context(|| format!("{}, line {number} is too long", path.display()))?;
            let first = lines.insert(hashed(&found.id.text()), (start, length)).is_none();
            ensure!(first, "{}, line {number}: its id was there before; boundaries of a note belong on one line", path.display());
        }
        let sha256 = hexadecimal(hash);
        Ok(Self { path: path.to_owned(), file, unit, lines, sha256 })
    }

    /// SHA-256 of the file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What its offsets count.
    pub const fn unit(&self) -> OffsetUnit {
        self.unit
    }

    /// Where the sentences of a note lie, in bytes.
    ///
    /// # Errors
    /// [`Error::Boundaries`]: the file has no line for the note, or one that cannot be read.
    pub fn of(&self, id: &str, text: &str) -> clinicalbert_core::Result<Vec<Span>> {
        let name = self.path.display();
        let missing = || Error::Boundaries(format!("{name} has no line with this id"));
        let &(start, length) = self.lines.get(&hashed(id)).ok_or_else(missing)?;
        let mut bytes = vec![0; length as usize];
        read_at(&self.file, &mut bytes, start).map_err(|error| Error::Boundaries(format!("cannot read {name}: {error}")))?;
        let unreadable = |_| Error::Boundaries(format!("the line at byte {start} of {name} has no list of [start, end]"));
        let line: Line = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if line.id.text() != id {
            return Err(missing());
        }
        let ranges = line.sentences.into_iter().map(|range| match range {
            Range::Pair(start, end) | Range::Fields { start, end } => Span::new(start, end),
        });
        if self.unit == OffsetUnit::Bytes || text.is_ascii() {
            return Ok(ranges.collect());
        }
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).chain([text.len()]).collect();
        let place = |character: usize| {
            let beyond = || Error::Boundaries(format!("offset {character} is beyond the note's {} characters", places.len() - 1));
            places.get(character).copied().ok_or_else(beyond)
        };
        ranges.map(|Span { start, end }| Ok(Span::new(place(start)?, place(end)?))).collect()
    }
}

/// Two ids of one corpus have the same hash once in 10^7 corpora of two million notes; the id in the line is compared as well.
fn hashed(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(lines: &str, unit: OffsetUnit) -> Result<Boundaries> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines).unwrap();
        Boundaries::open(file.path(), unit)
    }

    #[test]
    fn pairs_objects_numbers_and_any_order_are_read() {
        let lines = "{\"id\": 9, \"sentences\": [[0, 4]]}\n\n{\"id\":\"a\",\"text\":\"x\",\"sentences\":[{\"start\":1,\"end\":2,\"text\":\"b\"}]}";
        let found = open(lines, OffsetUnit::Bytes).unwrap();
        assert_eq!(found.of("a", "abc").unwrap(), [Span::new(1, 2)]);
        assert_eq!(found.of("9", "abcd").unwrap(), [Span::new(0, 4)]);
        assert!(found.of("7", "abcd").unwrap_err().to_string().contains("no line with this id"));
    }

    #[test]
    fn characters_become_bytes() {
        let found = open("{\"id\": 1, \"sentences\": [[0, 2], [2, 5]]}", OffsetUnit::Characters).unwrap();
        assert_eq!(found.of("1", "é.abc").unwrap(), [Span::new(0, 3), Span::new(3, 6)]);
        assert!(found.of("1", "é.").unwrap_err().to_string().contains("offset 5 is beyond the note's 2 characters"));
    }

    #[test]
    fn lines_that_cannot_be_used_are_named_without_their_text() {
        let told = |lines: &str| format!("{:#}", open(lines, OffsetUnit::Bytes).unwrap_err());
        let no_json = told("{\"id\": 1, \"sentences\": []}\nMr. Smith fell.\n");
        assert!(no_json.contains("line 2: expected JSON") && !no_json.contains("Smith"), "{no_json}");
        assert!(told("{\"id\": 1, \"sentences\": []}\n{\"id\": \"1\", \"sentences\": []}\n").contains("line 2: its id"));
        let found = open("{\"id\": 1, \"sentences\": [\"Smith\"]}", OffsetUnit::Bytes).unwrap();
        let told = found.of("1", "").unwrap_err().to_string();
        assert!(told.contains("the line at byte 0") && !told.contains("Smith"), "{told}");
    }
}
