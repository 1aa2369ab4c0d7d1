//! From notes straight to training: vocabulary and examples are made first, in the run's own folder.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clinicalbert_core::examples;
use clinicalbert_core::text::SplitOptions;
use clinicalbert_core::tokenizer::Training;

use super::run_folder::check_free;
use super::settings::Settings;
use crate::cli::{Common, NotesInput};
use crate::commands::vocab::write_vocabulary;
use crate::model_folder::folder_of;
use crate::prepare::{self, Input, Output, Progress};
use crate::splitting::Splitting;

/// Share of the patients whose notes are only evaluated on.
const HOLDOUT: f64 = 0.02;

/// Makes `<out>/data` from notes, with `vocab_size` entries where a vocabulary has to be learned first. What an earlier, interrupted call
/// has made already is used.
///
/// # Errors
/// Notes or a vocabulary that cannot be used, a folder that holds something else, a disk that refuses.
pub fn prepare_notes(notes: &NotesInput, settings: &Settings, vocab_size: usize, out: &Path, common: &Common) -> Result<PathBuf> {
    check_free(out)?;
    let given = settings.vocab.clone().or_else(|| settings.init.as_deref().map(folder_of));
    let vocab = match given {
        Some(vocab) => vocab,
        None => learned_vocabulary(notes, vocab_size, out, common)?,
    };
    let data = out.join("data");
    let defaults = examples::Settings::default();
    let examples = examples::Settings {
        max_seq_length: settings.max_seq_length.unwrap_or(defaults.max_seq_length),
        max_predictions_per_seq: settings.max_predictions_per_seq.unwrap_or(defaults.max_predictions_per_seq),
        random_seed: settings.seed,
        ..defaults
    };
    let preparation = prepare::Settings {
        input: Input::Notes(notes.clone()),
        vocab,
        case: None,
        out: Output::Folder(data.clone()),
        splitting: Splitting::by_rules(SplitOptions::default()),
        examples,
        shards: 1,
        holdout: HOLDOUT,
        part: None,
        threads: common.threads(),
        checkpoint_every: 20_000,
        key: None,
    };
    let summary = prepare::prepare(&preparation, &Progress { quiet: common.quiet })?;
    if !common.quiet {
        eprintln!("{}; {} examples, {} held out", summary.counts.outcome_line(), summary.examples, summary.holdout_examples);
    }
    Ok(data)
}

fn learned_vocabulary(notes: &NotesInput, size: usize, out: &Path, common: &Common) -> Result<PathBuf> {
    let vocab = out.join("vocab.txt");
    if !vocab.exists() {
        std::fs::create_dir_all(out)?;
        let entries = write_vocabulary(notes, &Training { size, ..Training::default() }, &vocab)?;
        if !common.quiet {
            eprintln!("learned a cased vocabulary of {entries} entries");
        }
    }
    Ok(vocab)
}
