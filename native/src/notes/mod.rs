//! Notes as they come: files of several kinds, one row at a time, in bounded memory. Every row of the input comes out, also one that
//! cannot be read, so that nothing is lost in silence.

mod columns;
mod delimited;
mod json_lines;
mod parquet_file;
mod source;
mod text_files;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use crate::cli::NotesInput;
use source::{Kind, Source};
pub use source::{expand, open_decoded};

/// Longest row that is read, in bytes: a quote that is never closed must not draw a whole corpus into memory.
const LONGEST_ROW: u64 = 128 << 20;

/// One row of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The row's own name, or its number where it has none.
    pub id: String,
    /// The patient, where the input names one.
    pub patient: Option<String>,
    /// The category; empty where the input names none.
    pub category: String,
    /// What the row holds.
    pub content: Content,
}

/// What a row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The text of a note.
    Note(String),
    /// A note that its author marked as an error (ISERROR).
    ErrorFlag,
    /// A note that the filters leave out.
    Filtered,
    /// A row that cannot be read.
    Unreadable {
        /// Where the row starts in the (unpacked) file, in bytes.
        offset: u64,
        /// What was expected and what was found; no text of the note.
        reason: String,
    },
}

/// Rows of all input files, in order.
pub struct Rows {
    input: NotesInput,
    sources: std::vec::IntoIter<Source>,
    several: bool,
    current: Option<Box<dyn Iterator<Item = Result<Row>> + Send>>,
    notes: u64,
    total_bytes: u64,
    bytes_read: Arc<AtomicU64>,
}

impl Rows {
    /// Bytes of all input files as they lie on disk; 0 if unknown (standard input).
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Bytes read so far; counts on while the rows are read elsewhere.
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes_read)
    }

    /// What goes before a row's number where several files are read.
    fn prefix(&self, source: &Source) -> String {
        if self.several { format!("{}:", source.short_name()) } else { String::new() }
    }

    fn open(&self, source: &Source) -> Result<Box<dyn Iterator<Item = Result<Row>> + Send>> {
        if source.kind == Kind::Text {
            self.bytes_read.fetch_add(source.bytes, Ordering::Relaxed);
            return Ok(Box::new(text_files::row(source).into_iter()));
        }
        if source.kind == Kind::Parquet {
            // Its parts are read here and there; what counts is that it will be read.
            self.bytes_read.fetch_add(source.bytes, Ordering::Relaxed);
            return Ok(Box::new(parquet_file::ParquetFile::new(source, &self.input, self.prefix(source))?));
        }
        let opened = source::open(source, Arc::clone(&self.bytes_read))?;
        let prefix = self.prefix(source);
        Ok(match opened.kind {
            Kind::JsonLines => Box::new(json_lines::JsonLines::new(opened, &self.input, prefix)),
            _ => Box::new(delimited::Delimited::new(opened, &self.input, prefix)?),
        })
    }
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.input.max_notes.is_some_and(|most| self.notes >= most) {
            return None;
        }
        loop {
            if let Some(row) = self.current.as_mut().and_then(Iterator::next) {
                self.notes += u64::from(matches!(row, Ok(Row { content: Content::Note(_), .. })));
                return Some(row);
            }
            let source = self.sources.next()?;
            match self.open(&source) {
                Ok(rows) => self.current = Some(rows),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Opens the notes; the first file is looked into, so that a wrong name or column is an error at once.
///
/// # Errors
/// A file that is missing, empty, of an unknown kind or without the column that is asked for, or a damaged filter.
pub fn open(input: &NotesInput) -> Result<Rows> {
    let sources = source::list(&input.notes)?;
    let mut rows = Rows {
        input: input.clone(),
        several: sources.len() > 1,
        total_bytes: if sources.iter().any(|source| source.bytes == 0) {
            0
        } else {
            sources.iter().map(|source| source.bytes).sum()
        },
        sources: sources.into_iter(),
        current: None,
        notes: 0,
        bytes_read: Arc::default(),
    };
    if let Some(source) = rows.sources.next() {
        rows.current = Some(rows.open(&source)?);
    }
    Ok(rows)
}
