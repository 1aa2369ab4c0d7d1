//! How the commands cut notes: by rules, or at sentence boundaries that another program has found.

mod boundaries;
pub mod differences;

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use clinicalbert_core::text::{SplitNote, SplitOptions, Splitter, split_note, split_note_at};
use serde::{Deserialize, Serialize};

use crate::cli::OffsetUnit;
use boundaries::Boundaries;

/// A way to cut notes.
#[derive(Debug, Clone)]
pub struct Splitting {
    options: SplitOptions,
    /// In place of the rules for sentences.
    boundaries: Option<Arc<Boundaries>>,
}

/// A way to cut notes as it is written down: equal records cut equal notes equally.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplittingRecord {
    /// Rules for sections.
    pub splitter: Splitter,
    /// `rules`, `original-rules` or `file`.
    pub sentences_by: String,
    /// SHA-256 of the file of boundaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundaries_sha256: Option<String>,
    /// What its offsets count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary_offsets: Option<OffsetUnit>,
}

impl Splitting {
    /// By rules alone.
    pub const fn by_rules(options: SplitOptions) -> Self {
        Self { options, boundaries: None }
    }

    /// Sections by rules, sentences as `file` says.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is no JSON or names no note.
    pub fn at_boundaries(splitter: Splitter, file: &Path, unit: OffsetUnit) -> Result<Self> {
        let boundaries = Some(Arc::new(Boundaries::open(file, unit)?));
        Ok(Self { options: SplitOptions { splitter, ..SplitOptions::default() }, boundaries })
    }

    /// Cuts a note; `id` is looked up in the file of boundaries, if there is one.
    ///
    /// # Errors
    /// `LostByOriginalRules` and `Boundaries` of [`clinicalbert_core::Error`].
    pub fn split<'note>(&self, id: &str, text: &'note str) -> clinicalbert_core::Result<SplitNote<'note>> {
        match &self.boundaries {
            Some(boundaries) => split_note_at(text, self.options.splitter, &boundaries.of(id, text)?),
            None => split_note(text, self.options),
        }
    }

    /// What is written down of it.
    pub fn record(&self) -> SplittingRecord {
        let boundaries_sha256 = self.boundaries.as_ref().map(|boundaries| boundaries.sha256().to_owned());
        let rules = serde_json::to_value(self.options.sentences_by).ok();
        let rules = rules.and_then(|name| name.as_str().map(ToOwned::to_owned)).unwrap_or_default();
        let sentences_by = if boundaries_sha256.is_some() { "file".into() } else { rules };
        let boundary_offsets = self.boundaries.as_ref().map(|boundaries| boundaries.unit());
        SplittingRecord { splitter: self.options.splitter, sentences_by, boundaries_sha256, boundary_offsets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_equal_only_where_notes_are_cut_equally() {
        let folder = tempfile::tempdir().unwrap();
        let record = |lines: &str, unit| {
            let file = folder.path().join("boundaries.jsonl");
            std::fs::write(&file, lines).unwrap();
            Splitting::at_boundaries(Splitter::None, &file, unit).unwrap().record()
        };
        let (one, other) = ("{\"id\": 1, \"sentences\": []}", "{\"id\": 2, \"sentences\": []}");
        assert_eq!(record(one, OffsetUnit::Bytes), record(one, OffsetUnit::Bytes));
        assert_ne!(record(one, OffsetUnit::Bytes), record(one, OffsetUnit::Characters));
        assert_ne!(record(one, OffsetUnit::Bytes), record(other, OffsetUnit::Bytes));
    }
}
