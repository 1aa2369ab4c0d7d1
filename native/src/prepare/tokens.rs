//! The first stage: all text to tokens on disk, with a ledger. It can go on from its last checkpoint.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use clinicalbert_core::tokenizer::WordPiece;
use serde::{Deserialize, Serialize};

use super::ledger::{Ledger, Line, Outcome};
use super::progress::Progress;
use super::rows::{Batches, sha_64};
use super::sentence_files::LineBatches;
use super::store::{Extent, StoreWriter};
use super::summary::{Counts, Stage};
use super::text::{Batch, Document, TextWorker, Tokenized};
use super::work_folder::WorkFolder;
use super::{Input, Settings};
use crate::{notes, ordered, whole_file};

/// Everything that a later run needs to go on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Checkpoint {
    batches: usize,
    finished: bool,
    train: Extent,
    holdout: Extent,
    ledger_bytes: u64,
    counts: Counts,
    /// The line of a document whose end has not been seen (only with sentence files).
    open: Option<Line>,
    documents: u64,
}

/// Tokenizes everything into the stores `train` and `holdout` of the work folder, unless that has been done.
///
/// # Errors
/// Input that cannot be read on, or a disk that refuses.
pub fn tokenize(settings: &Settings, tokenizer: &WordPiece, work: &WorkFolder, progress: &Progress) -> Result<(Counts, Stage)> {
    let start = Instant::now();
    let record = work.path().join("tokens.json");
    let checkpoint: Checkpoint = match fs::read(&record) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged; delete its folder", record.display()))?
        }
        Err(_) => Checkpoint::default(),
    };
    if checkpoint.finished {
        return Ok((checkpoint.counts, Stage::new("tokens", start.elapsed())));
    }
    if checkpoint.batches > 0 {
        progress.say(&format!("going on after {} rows", checkpoint.counts.rows_read));
    }
    let wide_ids = tokenizer.vocab_size() > 1 << 16;
    let id_bytes = if wide_ids { 4 } else { 2 };
    let done = checkpoint.batches;
    let (batches, bar) = batches(&settings.input, settings.part, progress)?;
    let mut taker = Taker {
        train: StoreWriter::open(&work.path().join("train"), id_bytes, checkpoint.train)?,
        holdout: StoreWriter::open(&work.path().join("holdout"), id_bytes, checkpoint.holdout)?,
        ledger: Ledger::open(work.path().join("ledger.csv"), checkpoint.ledger_bytes)?,
        id_bytes,
        share: settings.holdout,
        checkpoint,
    };
    let mut saved = taker.checkpoint.counts.rows_read;
    let mut times = [0.0; 2];
    ordered::map(
        settings.threads,
        // An interrupted run reads its rows again (duplicates must be known) but does no work on them.
        batches.skip_ok(done),
        || TextWorker::new(tokenizer, &settings.splitting, wide_ids, settings.key),
        |worker, batch| worker.work(batch),
        |tokenized| {
            for (total, time) in times.iter_mut().zip(tokenized.times) {
                *total += time.as_secs_f64();
            }
            taker.take(tokenized)?;
            bar.rows(taker.checkpoint.counts.rows_read);
            if taker.checkpoint.counts.rows_read - saved >= settings.checkpoint_every {
                saved = taker.checkpoint.counts.rows_read;
                taker.save(&record)?;
            }
            Ok(())
        },
    )?;
    taker.finish()?;
    taker.save(&record)?;
    bar.finish();
    let counts = taker.checkpoint.counts;
    let [splitting, tokenizing] = times;
    let stage = Stage { splitting, tokenizing, ..Stage::new("tokens", start.elapsed()) };
    Ok((counts, stage))
}

/// Whether a store has any document.
///
/// # Errors
/// It cannot be looked at.
pub fn has_documents(store: &Path) -> Result<bool> {
    Ok(fs::metadata(store.join("documents")).with_context(|| format!("cannot read {}", store.display()))?.len() > 8)
}

type BatchIterator = Box<dyn Iterator<Item = Result<Batch>> + Send>;

fn batches(input: &Input, part: Option<(u64, u64)>, progress: &Progress) -> Result<(BatchIterator, super::progress::Bar)> {
    match input {
        Input::Notes(input) => {
            let rows = notes::open(input)?;
            let bar = progress.bytes("reading notes", rows.total_bytes(), rows.bytes_read());
            Ok((Box::new(Batches::new(rows, part).map(|batch| Ok(Batch::Rows(batch?)))), bar))
        }
        Input::Sentences(files) => {
            let files = notes::expand(files)?;
            let total = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|metadata| metadata.len()).sum();
            let read = Arc::default();
            let lines = LineBatches::new(files, Arc::clone(&read))?;
            Ok((Box::new(lines.map(|batch| Ok(Batch::Lines(batch?)))), progress.bytes("reading sentences", total, read)))
        }
    }
}

/// Passes over the first items, but not over errors.
trait SkipOk: Iterator<Item = Result<Batch>> + Sized {
    fn skip_ok(self, count: usize) -> impl Iterator<Item = Result<Batch>> {
        self.enumerate().filter(move |(number, item)| *number >= count || item.is_err()).map(|(_, item)| item)
    }
}

impl<I: Iterator<Item = Result<Batch>>> SkipOk for I {}

/// Takes the workers' results in order and writes them down.
struct Taker {
    train: StoreWriter,
    holdout: StoreWriter,
    ledger: Ledger,
    id_bytes: usize,
    share: f64,
    checkpoint: Checkpoint,
}

impl Taker {
    fn take(&mut self, tokenized: Tokenized) -> Result<()> {
        let counts = &mut self.checkpoint.counts;
        counts.words += tokenized.words;
        counts.bytes += tokenized.bytes;
        for (character, count) in tokenized.unknown_characters {
            *counts.unknown_characters.entry(character).or_default() += count;
        }
        let (mut ids, mut sentences) = (tokenized.ids.as_slice(), tokenized.sentences.as_slice());
        for document in tokenized.documents {
            let lengths = sentences.split_off(..document.sentences).unwrap_or_default();
            self.document(document, lengths, &mut ids)?;
        }
        self.checkpoint.batches += 1;
        Ok(())
    }

    fn document(&mut self, document: Document, lengths: &[u32], ids: &mut &[u8]) -> Result<()> {
        let Document { line, patient, ends, digests, .. } = document;
        if let Some((group, sums)) = digests {
            self.checkpoint.counts.add_digests(group, &sums);
        }
        let mut line = self.joined(line);
        line.held_out = self.share > 0.0 && is_held_out(patient.as_deref().unwrap_or(&line.id), self.share);
        let store = if line.held_out { &mut self.holdout } else { &mut self.train };
        for &length in lengths {
            let bytes = ids.split_off(..length as usize * self.id_bytes).unwrap_or_default();
            store.push_sentence(bytes, u64::from(length))?;
        }
        if ends {
            store.end_document()?;
            self.line(&line)
        } else {
            self.checkpoint.open = Some(line);
            Ok(())
        }
    }

    /// The document's line together with that of the stretches before it; a document of a sentence file gets its number.
    fn joined(&mut self, mut line: Line) -> Line {
        if let Some(before) = self.checkpoint.open.take() {
            line.sentences += before.sentences;
            line.tokens += before.tokens;
            line.unknown_pieces += before.unknown_pieces;
            line.id = before.id;
        } else if line.id.is_empty() {
            line.id = (self.checkpoint.documents + 1).to_string();
        }
        line
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        // Blank lines in a row make no document.
        if line.outcome == Outcome::Kept && line.tokens == 0 {
            return Ok(());
        }
        self.checkpoint.documents += 1;
        self.checkpoint.counts.add(line);
        self.ledger.push(line)
    }

    /// The last document of sentence files ends with the input.
    fn finish(&mut self) -> Result<()> {
        if let Some(line) = self.checkpoint.open.take() {
            self.train.end_document()?;
            self.holdout.end_document()?;
            self.line(&line)?;
        }
        for outcome in Outcome::ALL {
            self.checkpoint.counts.outcomes.entry(outcome).or_default();
        }
        self.checkpoint.finished = true;
        Ok(())
    }

    fn save(&mut self, record: &Path) -> Result<()> {
        self.checkpoint.train = self.train.sync()?;
        self.checkpoint.holdout = self.holdout.sync()?;
        self.checkpoint.ledger_bytes = self.ledger.sync()?;
        let json = serde_json::to_vec(&self.checkpoint)?;
        whole_file::write_file(record, |file| Ok(std::io::Write::write_all(file, &json)?))
    }
}

/// Whether a patient (or note) is in the held-out share: by hash, so that one's notes stay together and every run agrees.
fn is_held_out(name: &str, share: f64) -> bool {
    sha_64(name) as f64 / 2f64.powi(64) < share
}
