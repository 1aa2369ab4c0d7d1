//! Rows in batches for the workers; what depends on the rows before (duplicates, parts) is decided here.

use std::collections::HashSet;

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::notes::{Content, Row};

/// Text of one batch, in bytes: large against the cost of handing it over, small against memory.
const BATCH_BYTES: usize = 256 << 10;
/// Rows of one batch at most.
const BATCH_ROWS: usize = 1024;

/// A row, and whether a row before it has the same id.
#[derive(Debug)]
pub struct InputRow {
    /// The row.
    pub row: Row,
    /// Whether its id was there before.
    pub duplicate: bool,
}

/// Collects rows to batches. The same input always gives the same batches: an interrupted run counts them.
pub struct Batches<I> {
    rows: I,
    part: Option<(u64, u64)>,
    seen: HashSet<u64>,
    number: u64,
}

impl<I: Iterator<Item = Result<Row>>> Batches<I> {
    /// Batches of the rows of one part, or of all.
    pub fn new(rows: I, part: Option<(u64, u64)>) -> Self {
        Self { rows, part, seen: HashSet::new(), number: 0 }
    }

    fn batch(&mut self) -> Result<Vec<InputRow>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES && batch.len() < BATCH_ROWS {
            let Some(row) = self.rows.next().transpose()? else { break };
            // Rows of other parts are looked at too: a duplicate is one in whatever part the first stands.
            let has_text = matches!(&row.content, Content::Note(text) if !text.is_empty());
            let duplicate = has_text && !self.seen.insert(short_hash(&row.id));
            let number = self.number;
            self.number += 1;
            if self.part.is_some_and(|(part, parts)| number % parts != part) {
                continue;
            }
            bytes += if let Content::Note(text) = &row.content { text.len() } else { 0 };
            batch.push(InputRow { row, duplicate });
        }
        Ok(batch)
    }
}

impl<I: Iterator<Item = Result<Row>>> Iterator for Batches<I> {
    type Item = Result<Vec<InputRow>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.batch() {
            Ok(batch) if batch.is_empty() => None,
            batch => Some(batch),
        }
    }
}

/// 64 bits of a name: numbers as they are, so that MIMIC's ids never collide; others by SHA-256 (at two million rows the chance of any
/// collision is 1 in 10 million).
fn short_hash(name: &str) -> u64 {
    let is_plain_number =
        !name.is_empty() && name.len() < 19 && !name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| is_plain_number).unwrap_or_else(|| sha_64(name) | 1 << 63)
}

/// The first 8 bytes of the SHA-256 of a name, big-endian.
pub fn sha_64(name: &str) -> u64 {
    Sha256::digest(name.as_bytes()).first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str) -> Result<Row> {
        Ok(Row { id: id.into(), patient: None, category: String::new(), content: Content::Note("x".into()) })
    }

    fn ids(part: Option<(u64, u64)>) -> Vec<(String, bool)> {
        let rows = ["1", "2", "a", "2", "a", "01"].into_iter().map(row);
        Batches::new(rows, part).flat_map(Result::unwrap).map(|input| (input.row.id, input.duplicate)).collect()
    }

    #[test]
    fn a_second_row_with_an_id_is_a_duplicate() {
        let duplicates: Vec<bool> = ids(None).into_iter().map(|(_, duplicate)| duplicate).collect();
        assert_eq!(duplicates, [false, false, false, true, true, false]);
    }

    #[test]
    fn parts_are_disjoint_together_everything_and_agree_on_duplicates() {
        let mut parts: Vec<_> = (0..3).flat_map(|part| ids(Some((part, 3)))).collect();
        let mut all = ids(None);
        parts.sort();
        all.sort();
        assert_eq!(parts, all);
    }
}
