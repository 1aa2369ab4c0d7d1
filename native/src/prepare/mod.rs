//! Notes to masked examples: the stages, and what lies between them on disk.
//!
//! ```text
//! rows ── text (split, tokenize; all cores) ──▶ store: two bytes a token      ledger: one line a row
//!      ── instances (Google's draws, one after another) ──▶ a hundred bytes each, and the order of the final shuffle
//!      ── shards (all cores) ──▶ TFRecord files and their indices ──▶ the finished folder, renamed into place
//! ```
//!
//! Memory does not grow with the corpus: what does grow lies in files that are mapped. A preparation that is killed leaves its work
//! folder behind, and the same command goes on in it.

mod compare;
mod digest;
mod instances;
mod ledger;
mod merge;
mod progress;
mod report;
mod rows;
mod sentence_files;
mod shards;
mod store;
mod streamed;
mod summary;
mod text;
mod tokens;
mod work_folder;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clinicalbert_core::examples::{self, Masking};
use clinicalbert_core::tokenizer::Case;

use crate::cli::NotesInput;
use crate::splitting::Splitting;
use crate::vocabulary;
pub use compare::{Comparison, compare};
pub use digest::Key;
pub use merge::merge;
pub use progress::Progress;
pub use summary::Summary;
use work_folder::WorkFolder;

/// What to prepare, from what, into what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the text comes from.
    pub input: Input,
    /// `vocab.txt`, `tokenizer.json`, or a model folder that has one of them.
    pub vocab: PathBuf,
    /// Whether letters keep their case; `None`: as the vocabulary has it.
    pub case: Option<Case>,
    /// Where the result goes.
    pub out: Output,
    /// How notes are cut.
    pub splitting: Splitting,
    /// How examples are made.
    pub examples: examples::Settings,
    /// Number of files that examples are dealt to.
    pub shards: usize,
    /// Share of the patients (of the notes, where no patient is named) that is held out.
    pub holdout: f64,
    /// Only every so-manieth row: `(i, n)` takes the rows whose number leaves the remainder `i` by `n`.
    pub part: Option<(u64, u64)>,
    /// Key of the hashes in the summary; without it there are none.
    pub key: Option<Key>,
    /// Worker threads.
    pub threads: usize,
    /// Rows between two points that an interrupted run can go on from.
    pub checkpoint_every: u64,
}

/// Where the text comes from.
#[derive(Debug, Clone)]
pub enum Input {
    /// Notes, to be cut here.
    Notes(NotesInput),
    /// Files of one sentence a line with blank lines between documents.
    Sentences(Vec<PathBuf>),
}

/// Where the result goes.
#[derive(Debug, Clone)]
pub enum Output {
    /// A folder with everything.
    Folder(PathBuf),
    /// Only TFRecord files, of these names (Google's `--output_file`).
    Files(Vec<PathBuf>),
}

impl Output {
    /// The path that the work folder lies beside.
    fn anchor(&self) -> Result<&Path> {
        match self {
            Self::Folder(folder) => Ok(folder),
            Self::Files(files) => files.first().map(PathBuf::as_path).context("no output file is named"),
        }
    }
}

/// Does everything; goes on where an interrupted preparation with the same settings stopped.
///
/// # Errors
/// Input that cannot be used, settings that cannot work, a disk that refuses. The result is then absent, not incomplete.
pub fn prepare(settings: &Settings, progress: &Progress) -> Result<Summary> {
    settings.examples.check()?;
    ensure!(settings.shards > 0, "--shards must be at least 1");
    ensure!((0.0..1.0).contains(&settings.holdout), "--holdout must be from 0 to below 1, found {}", settings.holdout);
    ensure!(
        settings.examples.masking == Masking::Static || matches!(settings.out, Output::Folder(_)),
        "--masking dynamic stores no masks, and a lone TFRecord file does not say how to draw them: name a folder with --out instead of --output-file"
    );
    let tokenizer = vocabulary::load(&settings.vocab, settings.case)?;
    let vocabulary = tokenizer.vocabulary();
    let record = summary::SettingsRecord::new(settings, &tokenizer);
    let fingerprint = summary::fingerprint(settings, &record)?;
    if let Some(finished) = finished(&settings.out, &fingerprint)? {
        progress.say("already prepared with these settings from this input: nothing to do");
        return Ok(finished);
    }

    let work = WorkFolder::open(settings.out.anchor()?, &fingerprint)?;
    let outcome = (|| {
        let (counts, stage) = tokens::tokenize(settings, &tokenizer, &work, progress)?;
        let mut stages = vec![stage];
        let mut make = |name: &str, examples: &examples::Settings, target: &Path, shards| -> Result<u64> {
            let store = work.path().join(name);
            if !tokens::has_documents(&store)? {
                return Ok(0);
            }
            let making = instances::Making {
                store: &store,
                settings: examples,
                vocabulary: &vocabulary,
                vocab_size: tokenizer.vocab_size(),
                is_holdout: name == "holdout",
            };
            stages.push(making.make(progress)?);
            let (count, stage) = shards::write(&making, target, shards, settings.threads, progress)?;
            stages.push(stage);
            Ok(count)
        };
        let examples = make("train", &settings.examples, &work.result(), settings.shards)?;
        ensure!(
            examples > 0,
            "no note is left to make examples of ({}); look at the filters and the input",
            counts.outcome_line()
        );
        // Held-out text is measured, not learnt: going through it once is enough, with masks that stay the same.
        let once = examples::Settings { dupe_factor: 1, masking: Masking::Static, ..settings.examples.clone() };
        let holdout_examples = make("holdout", &once, &work.result().join("holdout"), 1)?;
        let summary = Summary { fingerprint: fingerprint.clone(), settings: record, counts, examples, holdout_examples, stages };
        summary::write(&summary, &tokenizer, &work)?;
        work.publish(&settings.out)?;
        Ok(summary)
    })();
    if outcome.is_err() {
        // An error is not an interruption: the same command would meet it again, so nothing is left lying about.
        work.remove();
    }
    outcome
}

/// The summary of a finished preparation with the same settings and input, if that is what the output holds.
fn finished(out: &Output, fingerprint: &str) -> Result<Option<Summary>> {
    match out {
        Output::Files(files) => {
            // A kill may have come when some of the files were in place already.
            let waits = WorkFolder::waits(out.anchor()?, fingerprint);
            for file in files {
                ensure!(waits || !file.exists(), "{} exists already: choose another name, or remove it", file.display());
            }
            Ok(None)
        }
        Output::Folder(folder) => {
            let is_empty = || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
            if !folder.exists() || is_empty() {
                return Ok(None);
            }
            match summary::read(folder) {
                Ok(summary) if summary.fingerprint == fingerprint => Ok(Some(summary)),
                Ok(_) => bail!(
                    "{} holds another preparation (other settings or input): choose another --out, or remove that folder",
                    folder.display()
                ),
                Err(_) => bail!("{} exists and is not empty: choose another --out, or remove it", folder.display()),
            }
        }
    }
}
