//! One line for every row of the input: what became of it. Never a word of its text.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::store::Appended;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its sentences are in the examples.
    Kept,
    /// It has no text, or none that gives a token.
    Empty,
    /// Its author marked it as an error.
    ErrorFlag,
    /// It could not be read; place and reason are in the line.
    Unreadable,
    /// A row before it has the same id.
    Duplicate,
    /// The original program loses it (only with its own rules).
    LostByOriginalRules,
    /// The filters leave it out.
    Filtered,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 7] =
        [Self::Kept, Self::Empty, Self::ErrorFlag, Self::Unreadable, Self::Duplicate, Self::LostByOriginalRules, Self::Filtered];

    /// Its name in the ledger and the summary.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Empty => "empty",
            Self::ErrorFlag => "error_flag",
            Self::Unreadable => "unreadable",
            Self::Duplicate => "duplicate",
            Self::LostByOriginalRules => "lost_by_original_rules",
            Self::Filtered => "filtered",
        }
    }
}

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Name of the row.
    pub id: String,
    /// Its category.
    pub category: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it is held out.
    pub held_out: bool,
    /// Sections found.
    pub sections: u64,
    /// Sentences with at least one token.
    pub sentences: u64,
    /// Tokens.
    pub tokens: u64,
    /// Tokens that are `[UNK]`.
    pub unknown_pieces: u64,
    /// Where an unreadable row starts.
    pub byte_offset: Option<u64>,
    /// Why a row was not kept, where the outcome does not say it all.
    pub reason: String,
}

impl Line {
    /// A line without counts.
    pub fn new(id: String, category: String, outcome: Outcome) -> Self {
        Self {
            id,
            category,
            outcome,
            held_out: false,
            sections: 0,
            sentences: 0,
            tokens: 0,
            unknown_pieces: 0,
            byte_offset: None,
            reason: String::new(),
        }
    }
}

/// The ledger being written, as CSV.
pub struct Ledger {
    file: Appended,
    csv: csv::Writer<Vec<u8>>,
}

impl Ledger {
    /// Goes on after `length` bytes; 0 starts a new one with its header.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open(path: PathBuf, length: u64) -> Result<Self> {
        let mut ledger = Self { file: Appended::open(path, length)?, csv: writer() };
        if length == 0 {
            ledger.csv.write_record([
                "id",
                "category",
                "outcome",
                "held_out",
                "sections",
                "sentences",
                "tokens",
                "unknown_pieces",
                "byte_offset",
                "reason",
            ])?;
        }
        Ok(ledger)
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn push(&mut self, line: &Line) -> Result<()> {
        self.csv.serialize(line)?;
        if self.csv.get_ref().len() > 1 << 16 {
            self.flush()?;
        }
        Ok(())
    }

    /// Brings everything to the disk and says how many bytes there are.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&mut self) -> Result<u64> {
        self.flush()?;
        self.file.sync()
    }

    fn flush(&mut self) -> Result<()> {
        let bytes = std::mem::replace(&mut self.csv, writer()).into_inner().map_err(|error| error.into_error())?;
        self.file.write(&bytes)
    }
}

fn writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new())
}
