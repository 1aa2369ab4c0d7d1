//! One worker's part: rows or lines in, token ids and a ledger line for each row out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use clinicalbert_core::Error;
use clinicalbert_core::examples::corpus::{decode_ignoring_errors, line_text};
use clinicalbert_core::tokenizer::{Encoder, WordPiece};

use super::digest::{Key, Sums};
use super::ledger::{Line, Outcome};
use super::rows::InputRow;
use crate::notes::{Content, Row};
use crate::splitting::Splitting;

/// What a worker is given.
pub enum Batch {
    /// Rows of notes.
    Rows(Vec<InputRow>),
    /// Lines of one sentence each.
    Lines(Vec<u8>),
}

/// What a worker makes of a batch.
#[derive(Debug, Default)]
pub struct Tokenized {
    /// Ids of all sentences one after another, two or four bytes each in the machine's order.
    pub ids: Vec<u8>,
    /// Number of ids of each sentence.
    pub sentences: Vec<u32>,
    /// Documents and rows that are none.
    pub documents: Vec<Document>,
    /// Words (runs of characters that are not white space) and bytes of the notes that were read.
    pub words: u64,
    /// UTF-8 bytes of them.
    pub bytes: u64,
    /// Characters that the vocabulary lacks, in sentences with unknown pieces.
    pub unknown_characters: BTreeMap<char, u64>,
    /// Time spent on cutting notes, and on tokenizing.
    pub times: [Duration; 2],
}

/// A document, or a stretch of one.
#[derive(Debug)]
pub struct Document {
    /// Its ledger line.
    pub line: Line,
    /// The patient, if known.
    pub patient: Option<String>,
    /// Number of its sentences in [`Tokenized::sentences`].
    pub sentences: usize,
    /// Whether it ends here.
    pub ends: bool,
    /// Group and keyed hashes, if there is a key.
    pub digests: Option<(usize, Sums)>,
}

/// Works on batches.
pub struct TextWorker<'a> {
    encoder: Encoder<'a>,
    splitting: &'a Splitting,
    wide_ids: bool,
    key: Option<Key>,
    unknown: u32,
    ids: Vec<u32>,
    known_characters: BTreeMap<char, bool>,
    result: Tokenized,
}

impl<'a> TextWorker<'a> {
    /// A worker with its own memory.
    pub fn new(tokenizer: &'a WordPiece, splitting: &'a Splitting, wide_ids: bool, key: Option<Key>) -> Self {
        Self {
            encoder: tokenizer.encoder(),
            splitting,
            wide_ids,
            key,
            unknown: tokenizer.special().unknown,
            ids: Vec::new(),
            known_characters: BTreeMap::new(),
            result: Tokenized::default(),
        }
    }

    /// Works on one batch.
    ///
    /// # Errors
    /// The tokenizer fails.
    pub fn work(&mut self, batch: Batch) -> Result<Tokenized> {
        match batch {
            Batch::Rows(rows) => {
                for InputRow { row, duplicate } in rows {
                    self.row(row, duplicate)?;
                }
            }
            Batch::Lines(bytes) => self.lines(&bytes)?,
        }
        Ok(std::mem::take(&mut self.result))
    }

    fn row(&mut self, row: Row, duplicate: bool) -> Result<()> {
        let Row { id, patient, category, content } = row;
        let mut line = Line::new(id, category, Outcome::Kept);
        let before = self.result.sentences.len();
        let mut sums = Sums::default();
        match content {
            Content::ErrorFlag => line.outcome = Outcome::ErrorFlag,
            Content::Filtered => line.outcome = Outcome::Filtered,
            Content::Unreadable { offset, reason } => {
                line.outcome = Outcome::Unreadable;
                (line.byte_offset, line.reason) = (Some(offset), reason);
            }
            Content::Note(_) if duplicate => line.outcome = Outcome::Duplicate,
            Content::Note(text) => sums = self.note(&text, &mut line)?,
        }
        let sentences = self.result.sentences.len() - before;
        let digests = self.key.map(|key| {
            let [row, ..] = &mut sums;
            *row = key.row(&line.id, line.outcome);
            (key.group(&line.id), sums)
        });
        self.result.documents.push(Document { line, patient, sentences, ends: true, digests });
        Ok(())
    }

    fn note(&mut self, text: &str, line: &mut Line) -> Result<Sums> {
        self.result.words += words(text);
        self.result.bytes += text.len() as u64;
        let start = Instant::now();
        let note = match self.splitting.split(&line.id, text) {
            Err(Error::Boundaries(reason)) => {
                line.outcome = Outcome::Unreadable;
                line.reason = reason;
                return Ok(Sums::default());
            }
            Err(Error::LostByOriginalRules(reason)) => {
                line.outcome = Outcome::LostByOriginalRules;
                line.reason = reason.into();
                return Ok(Sums::default());
            }
            note => note?,
        };
        let cut = Instant::now();
        let first_id = self.result.ids.len();
        line.sections = note.sections.len() as u64;
        for sentence in &note.sentences {
            self.sentence(&sentence.text, line)?;
        }
        let [cutting, tokenizing] = &mut self.result.times;
        *cutting += cut - start;
        *tokenizing += cut.elapsed();
        if line.tokens == 0 {
            line.outcome = Outcome::Empty;
        }
        let ids = self.result.ids.get(first_id..).unwrap_or_default();
        let sums = |key: Key| [0, key.text(&line.id, text), key.sentences(&line.id, &note), key.tokens(&line.id, ids)];
        Ok(self.key.map(sums).unwrap_or_default())
    }

    fn lines(&mut self, bytes: &[u8]) -> Result<()> {
        let start = Instant::now();
        let text = decode_ignoring_errors(bytes);
        self.result.bytes += text.len() as u64;
        self.result.words += words(&text);
        // The number of the document is known only where batches come together again.
        let document = || Line::new(String::new(), String::new(), Outcome::Kept);
        let (mut line, mut before) = (document(), self.result.sentences.len());
        let mut end = |worker: &mut Self, line: Line, ends: bool| {
            let sentences = worker.result.sentences.len() - before;
            before = worker.result.sentences.len();
            worker.result.documents.push(Document { line, patient: None, sentences, ends, digests: None });
        };
        for sentence in text.split_terminator('\n') {
            let sentence = line_text(sentence);
            if sentence.is_empty() {
                end(self, std::mem::replace(&mut line, document()), true);
            } else {
                self.sentence(&sentence, &mut line)?;
            }
        }
        end(self, line, false);
        self.result.times[1] += start.elapsed();
        Ok(())
    }

    fn sentence(&mut self, text: &str, line: &mut Line) -> Result<()> {
        self.ids.clear();
        self.encoder.append_ids(text, &mut self.ids)?;
        if self.ids.is_empty() {
            return Ok(());
        }
        let unknown = self.ids.iter().filter(|&&id| id == self.unknown).count() as u64;
        if unknown > 0 {
            self.count_unknown_characters(text);
        }
        line.sentences += 1;
        line.tokens += self.ids.len() as u64;
        line.unknown_pieces += unknown;
        self.result.sentences.push(self.ids.len() as u32);
        if self.wide_ids {
            self.result.ids.extend_from_slice(bytemuck::cast_slice(&self.ids));
        } else {
            // The store is narrow only when every id fits.
            self.result.ids.extend(self.ids.iter().flat_map(|&id| (id as u16).to_ne_bytes()));
        }
        Ok(())
    }

    fn count_unknown_characters(&mut self, text: &str) {
        let mut encoded = [0; 4];
        for character in text.chars().filter(|character| !character.is_whitespace() && !character.is_ascii_alphanumeric()) {
            let known = *self.known_characters.entry(character).or_insert_with(|| {
                let mut ids = Vec::new();
                let told = self.encoder.append_ids(character.encode_utf8(&mut encoded), &mut ids);
                told.is_err() || !ids.contains(&self.unknown)
            });
            if !known {
                *self.result.unknown_characters.entry(character).or_default() += 1;
            }
        }
    }
}

/// Words as `str.split` of Python counts them, but for the rare white space outside ASCII.
fn words(text: &str) -> u64 {
    let mut in_space = true;
    let mut count = 0;
    for byte in text.bytes() {
        let space = byte.is_ascii_whitespace();
        count += u64::from(in_space & !space);
        in_space = space;
    }
    count
}
