//! Keyed hashes of rows, so that two sites can see whether, and at which stage, their preparations part, without showing a word.
//!
//! Rows fall into groups by the keyed hash of their id. For each group and stage the hashes are added up, so the order of the rows does
//! not matter and nobody learns the hash of a single row. Without the key nobody can try out texts against the sums.

use clinicalbert_core::text::SplitNote;
use sha2::{Digest, Sha256};

use super::ledger::Outcome;

/// Number of groups: many, so that a difference is narrowed down to a few rows in a thousand.
pub const GROUPS: usize = 256;

/// What is hashed of a row, in the order of the pipeline.
pub const STAGES: [&str; 4] = ["rows and outcomes", "text", "sentence boundaries", "tokens"];

/// Sums of one group, by stage.
pub type Sums = [u64; STAGES.len()];

/// A secret that both sites know.
#[derive(Debug, Clone, Copy)]
pub struct Key([u8; 32]);

impl Key {
    /// The key that a passphrase stands for.
    pub fn new(passphrase: &str) -> Self {
        Self(Sha256::digest(passphrase.as_bytes()).into())
    }

    /// Tells two keys apart without giving them away.
    pub fn check(&self) -> u64 {
        self.hash(b"check", &[])
    }

    /// The group of a row.
    pub fn group(&self, id: &str) -> usize {
        (self.hash(b"group", &[id.as_bytes()]) % GROUPS as u64) as usize
    }

    /// The row itself and what became of it.
    pub fn row(&self, id: &str, outcome: Outcome) -> u64 {
        self.hash(b"row", &[id.as_bytes(), outcome.name().as_bytes()])
    }

    /// The text of a row.
    pub fn text(&self, id: &str, text: &str) -> u64 {
        self.hash(b"text", &[id.as_bytes(), text.as_bytes()])
    }

    /// Where its sentences lie.
    pub fn sentences(&self, id: &str, note: &SplitNote<'_>) -> u64 {
        let offsets: Vec<u8> = note
            .sentences
            .iter()
            .flat_map(|sentence| [sentence.span.start, sentence.span.end])
            .flat_map(|offset| (offset as u64).to_le_bytes())
            .collect();
        self.hash(b"sentences", &[id.as_bytes(), &offsets])
    }

    /// The ids of its tokens.
    pub fn tokens(&self, id: &str, tokens: &[u8]) -> u64 {
        self.hash(b"tokens", &[id.as_bytes(), tokens])
    }

    /// SHA-256 with the key on both sides, each part with its length; the first 8 bytes.
    fn hash(&self, purpose: &[u8], parts: &[&[u8]]) -> u64 {
        let mut hash = Sha256::new_with_prefix(self.0);
        for part in [purpose].iter().chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(self.0);
        hash.finalize().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}
