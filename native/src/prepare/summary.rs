//! `summary.json`: what was done with what, in counts. No time, path or text in it: the same input and settings give the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clinicalbert_core::examples;
use clinicalbert_core::tokenizer::{Case, WordPiece};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::digest::{GROUPS, Sums};
use super::ledger::{Line, Outcome};
use super::report;
use super::work_folder::WorkFolder;
use super::{Input, Settings};
use crate::checksum::hexadecimal;
use crate::notes;
use crate::splitting::SplittingRecord;

/// The result in numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// SHA-256 of settings and input files (names, sizes, times of change): the same command finds its own result by it.
    pub fingerprint: String,
    /// Everything that decides the result.
    pub settings: SettingsRecord,
    /// What became of the input.
    #[serde(flatten)]
    pub counts: Counts,
    /// Examples.
    pub examples: u64,
    /// Examples from held-out text.
    pub holdout_examples: u64,
    /// Times of this run; not in the file.
    #[serde(skip)]
    pub stages: Vec<Stage>,
}

/// Settings that decide the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingsRecord {
    /// Version of this program.
    pub version: String,
    /// Of the examples.
    #[serde(flatten)]
    pub examples: examples::Settings,
    /// Of sections and sentences; absent for text that came cut.
    #[serde(flatten)]
    pub splitting: Option<SplittingRecord>,
    /// `cased` or `uncased`.
    pub case: String,
    /// SHA-256 of the vocabulary as `vocab.txt`.
    pub vocab_sha256: String,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Number of files.
    pub shards: usize,
    /// Share held out.
    pub holdout: f64,
    /// `i/n`, if only a part of the rows was taken.
    pub part: Option<String>,
    /// Categories, conditions and limits, as given.
    pub filters: BTreeMap<String, String>,
    /// Tells the keys of keyed hashes apart.
    pub key_check: Option<u64>,
}

impl SettingsRecord {
    /// What is recorded of the settings.
    pub fn new(settings: &Settings, tokenizer: &WordPiece) -> Self {
        let mut filters = BTreeMap::new();
        if let Input::Notes(input) = &settings.input {
            let given = [
                ("text_column", input.text_column.clone().unwrap_or_default()),
                ("id_column", input.id_column.clone().unwrap_or_default()),
                ("patient_column", input.patient_column.clone().unwrap_or_default()),
                ("category_column", input.category_column.clone().unwrap_or_default()),
                ("category", input.category.join("|")),
                ("where", input.conditions.join("|")),
                ("include_errors", if input.include_errors { "true".into() } else { String::new() }),
                ("max_notes", input.max_notes.map(|most| most.to_string()).unwrap_or_default()),
            ];
            filters
                .extend(given.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), value)));
        }
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            examples: settings.examples.clone(),
            splitting: matches!(settings.input, Input::Notes(_)).then(|| settings.splitting.record()),
            case: if tokenizer.case() == Case::Cased { "cased".into() } else { "uncased".into() },
            vocab_sha256: hexadecimal(Sha256::new_with_prefix(tokenizer.vocab_txt())),
            vocab_size: tokenizer.vocab_size(),
            shards: settings.shards,
            holdout: settings.holdout,
            part: settings.part.map(|(part, parts)| format!("{part}/{parts}")),
            filters,
            key_check: settings.key.map(|key| key.check()),
        }
    }

    /// `i` and `n` of a part `i/n`.
    pub fn part_number(&self) -> Option<(u64, u64)> {
        let (number, count) = self.part.as_ref()?.split_once('/')?;
        Some((number.parse().ok()?, count.parse().ok()?))
    }
}

/// Counts over all rows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Rows of the input, or documents of sentence files.
    pub rows_read: u64,
    /// Rows whose sentences are in the examples.
    pub kept: u64,
    /// Rows by what became of them; every outcome is named.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Sections of kept rows.
    pub sections: u64,
    /// Sentences of kept rows.
    pub sentences: u64,
    /// Tokens of kept rows.
    pub tokens: u64,
    /// Tokens that are `[UNK]`.
    pub unknown_pieces: u64,
    /// Words of the text that was read.
    pub words: u64,
    /// UTF-8 bytes of it.
    pub bytes: u64,
    /// Rows that are held out.
    pub held_out: u64,
    /// Kept rows by category.
    pub categories: BTreeMap<String, u64>,
    /// Kept rows by tokens: entry `k` counts those with less than 2^k tokens and at least half of that.
    pub tokens_histogram: Vec<u64>,
    /// Characters that the vocabulary lacks.
    pub unknown_characters: BTreeMap<char, u64>,
    /// Sums of keyed hashes by group; empty without a key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<Sums>,
}

impl Counts {
    /// Counts a line of the ledger.
    pub fn add(&mut self, line: &Line) {
        self.rows_read += 1;
        *self.outcomes.entry(line.outcome).or_default() += 1;
        if line.outcome != Outcome::Kept {
            return;
        }
        self.kept += 1;
        self.held_out += u64::from(line.held_out);
        self.sections += line.sections;
        self.sentences += line.sentences;
        self.tokens += line.tokens;
        self.unknown_pieces += line.unknown_pieces;
        *self.categories.entry(line.category.clone()).or_default() += 1;
        let class = (u64::BITS - line.tokens.leading_zeros()) as usize;
        if self.tokens_histogram.len() <= class {
            self.tokens_histogram.resize(class + 1, 0);
        }
        if let Some(count) = self.tokens_histogram.get_mut(class) {
            *count += 1;
        }
    }

    /// Adds a row's keyed hashes to those of its group.
    pub fn add_digests(&mut self, group: usize, sums: &Sums) {
        if self.digests.is_empty() {
            self.digests = vec![Sums::default(); GROUPS];
        }
        if let Some(total) = self.digests.get_mut(group) {
            for (total, sum) in total.iter_mut().zip(sums) {
                *total = total.wrapping_add(*sum);
            }
        }
    }

    /// Adds the counts of another part of the rows.
    pub fn merge(&mut self, other: &Self) {
        for (total, count) in [
            (&mut self.rows_read, other.rows_read),
            (&mut self.kept, other.kept),
            (&mut self.sections, other.sections),
            (&mut self.sentences, other.sentences),
            (&mut self.tokens, other.tokens),
            (&mut self.unknown_pieces, other.unknown_pieces),
            (&mut self.words, other.words),
            (&mut self.bytes, other.bytes),
            (&mut self.held_out, other.held_out),
        ] {
            *total += count;
        }
        add_all(&mut self.outcomes, &other.outcomes);
        add_all(&mut self.categories, &other.categories);
        add_all(&mut self.unknown_characters, &other.unknown_characters);
        let classes = self.tokens_histogram.len().max(other.tokens_histogram.len());
        self.tokens_histogram.resize(classes, 0);
        for (total, count) in self.tokens_histogram.iter_mut().zip(&other.tokens_histogram) {
            *total += count;
        }
        for (group, sums) in other.digests.iter().enumerate() {
            self.add_digests(group, sums);
        }
    }

    /// The outcomes in one line.
    pub fn outcome_line(&self) -> String {
        let mut line = format!("{} rows read", self.rows_read);
        for (outcome, count) in self.outcomes.iter().filter(|(_, count)| **count > 0) {
            let _ = write!(line, ", {count} {}", outcome.name().replace('_', " "));
        }
        line
    }
}

fn add_all<K: Clone + Ord>(totals: &mut BTreeMap<K, u64>, counts: &BTreeMap<K, u64>) {
    for (name, count) in counts {
        *totals.entry(name.clone()).or_default() += count;
    }
}

/// Time of a stage, in seconds.
#[derive(Debug, Clone, Serialize)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// Wall time.
    pub seconds: f64,
    /// Of all workers together: cutting notes.
    pub splitting: f64,
    /// Of all workers together: tokenizing.
    pub tokenizing: f64,
}

impl Stage {
    /// A stage without workers' times.
    pub fn new(name: &'static str, time: Duration) -> Self {
        Self { name, seconds: time.as_secs_f64(), splitting: 0.0, tokenizing: 0.0 }
    }
}

/// SHA-256 over the settings and the input files' names, sizes and times of change.
///
/// # Errors
/// An input file is missing.
pub fn fingerprint(settings: &Settings, record: &SettingsRecord) -> Result<String> {
    let mut hash = Sha256::new_with_prefix(serde_json::to_vec(record)?);
    let given = match &settings.input {
        Input::Notes(input) => &input.notes,
        Input::Sentences(files) => files,
    };
    for file in notes::expand(given)? {
        hash.update(file.to_string_lossy().as_bytes());
        if file == Path::new("-") {
            // What comes through a pipe cannot be read again: such a run never goes on from another.
            hash.update(std::process::id().to_le_bytes());
            continue;
        }
        let metadata = fs::metadata(&file).with_context(|| format!("cannot read {}; check the name", file.display()))?;
        hash.update(metadata.len().to_le_bytes());
        let changed =
            metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
        hash.update(changed.as_nanos().to_le_bytes());
    }
    Ok(hexadecimal(hash))
}

/// Writes everything beside the examples into the result.
///
/// # Errors
/// The disk refuses.
pub fn write(summary: &Summary, tokenizer: &WordPiece, work: &WorkFolder) -> Result<()> {
    let result = work.result();
    // Written without a detour, so that a kill leaves no temporary name in the result, which is published as a whole.
    let text = |name: &str, text: &str| -> Result<()> {
        let path = result.join(name);
        let write =
            || fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        write().with_context(|| format!("cannot write {}", path.display()))
    };
    let ledger = work.path().join("ledger.csv");
    if ledger.exists() {
        fs::rename(&ledger, result.join("ledger.csv")).with_context(|| format!("cannot move {}", ledger.display()))?;
    }
    text("vocab.txt", &tokenizer.vocab_txt())?;
    text("tokenizer.json", &tokenizer.tokenizer_json()?)?;
    let mut json = serde_json::to_string_pretty(summary)?;
    json.push('\n');
    text("report.html", &report::html(summary))?;
    text("summary.json", &json)
}

/// Reads the summary of a prepared folder, or the file itself.
///
/// # Errors
/// There is none, or it is no summary.
pub fn read(folder: &Path) -> Result<Summary> {
    let path = if folder.is_file() { folder.to_owned() } else { folder.join("summary.json") };
    let bytes =
        fs::read(&path).with_context(|| format!("cannot read {}: expected a folder that native prepare made", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is no summary of a preparation", path.display()))
}
