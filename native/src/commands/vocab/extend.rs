//! `native vocab --add-tokens`: a model with new entries in its vocabulary, to prepare notes with and to go on training from.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clinicalbert_core::bert;
use clinicalbert_core::tokenizer::{self, Extension, WordPiece};
use serde_json::json;

use crate::cli::Common;
use crate::commands::Answer;
use crate::model_folder::{self, ModelFolder};

/// Rows are a multiple of this when some are added: matrix products with the tied table are faster then on GPUs.
const MULTIPLE: usize = 8;
/// Decides the rows that no token has yet.
const SEED: u64 = 12_345;

/// Writes the extended model into the new folder `out`.
///
/// # Errors
/// A list or model that cannot be used, or a folder that is there.
pub fn run(list: &Path, init: &Path, out: &Path, common: &Common) -> Result<Answer> {
    let tokens = fs::read_to_string(list).with_context(|| format!("cannot read {} as UTF-8 text", list.display()))?;
    let ModelFolder { mut config, mut loaded, tokenizer, .. } = ModelFolder::read(init)?;
    let Extension { mut vocab, rows, filled, known, impossible } = tokenizer::extend(&tokenizer, &tokens)?;
    let (before, entries) = (config.vocab_size, vocab.lines().count());
    // A model may have rows beyond its vocabulary already; those are used up before any is added.
    let padded = if entries > before { entries.next_multiple_of(MULTIPLE) } else { before };
    let padding = if entries > before { padded - entries } else { 0 };
    let names = (0_u64..).map(|number| format!("[unused{number}]"));
    let names: Vec<_> = names.filter(|name| !vocab.lines().any(|entry| entry == name)).take(padding).collect();
    vocab.extend(names.iter().flat_map(|name| [name.as_str(), "\n"]));
    let extended = WordPiece::from_vocab(&vocab, tokenizer.case())?;
    bert::extend(&mut config, &mut loaded.tensors, &rows, padded, SEED)?;

    let appended = rows.len() - filled;
    let card = format!(
        "# BERT with an extended vocabulary\n\nFrom `{}`: {} new tokens, {filled} in place of `[unused]` entries and {appended} as new rows, each \
         beginning as the mean of its former pieces; {padding} rows of padding, {} in all. To be trained further before it is used.\n",
        init.file_name().unwrap_or_default().to_string_lossy(),
        rows.len(),
        config.vocab_size
    );
    model_folder::write_folder(out, &config, &loaded.tensors, &extended, &card)?;
    if common.json {
        let answer = json!({ "out": out, "added": rows.len(), "filled": filled, "appended": appended, "padding": padding, "known": known,
            "impossible_lines": impossible, "vocab_size": config.vocab_size });
        println!("{answer}");
    } else {
        println!(
            "{} tokens added: {filled} in place of [unused] entries, {appended} as new rows; {before} rows before, {} now ({padding} of padding)",
            rows.len(),
            config.vocab_size
        );
        if known > 0 {
            println!("{known} were there already");
        }
        if !impossible.is_empty() {
            let lines: Vec<_> = impossible.iter().map(ToString::to_string).collect();
            println!("left out, because they are several words (white space or punctuation inside): lines {}", lines.join(", "));
        }
        println!("model: {0}\nprepare the notes with --vocab {0}, then train with --init {0}", out.display());
    }
    Ok(Answer::Yes)
}
