//! `native vocab`: a WordPiece vocabulary from notes, or new entries for that of a model.

mod extend;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use clinicalbert_core::tokenizer::{Case, Training, train_vocabulary};

use super::Answer;
use crate::cli::{Common, NotesInput};
use crate::notes::{self, Content};
use crate::whole_file::write_file;

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    input: NotesInput,
    /// Entries wanted, special tokens included; fewer if the notes run out of frequent pieces
    #[arg(long, default_value_t = 28_996, value_name = "N")]
    size: usize,
    /// Pairs of pieces seen less often are not joined
    #[arg(long, default_value_t = 2, value_name = "N")]
    min_frequency: u64,
    /// Lower-case the text and drop accents
    #[arg(long)]
    do_lower_case: bool,
    /// Add the tokens of this file, one a line, to the vocabulary of --init instead: in place of its [unusedN] entries, then as new rows.
    /// Each begins as the mean of the pieces that it was before
    #[arg(long, value_name = "FILE", requires = "init", conflicts_with = "notes")]
    add_tokens: Option<PathBuf>,
    /// Model whose vocabulary is extended
    #[arg(long, value_name = "MODEL", requires = "add_tokens")]
    init: Option<PathBuf>,
    /// File to write, with --add-tokens the folder of the extended model [default: vocab.txt]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Trains and writes the vocabulary.
///
/// # Errors
/// The notes cannot be read or hold no word, or the output exists already.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    if let (Some(list), Some(init)) = (&arguments.add_tokens, &arguments.init) {
        let out = arguments.out.as_ref().context("--out is missing: the folder that the extended model is to be written to")?;
        return extend::run(list, init, out, common);
    }
    let out = arguments.out.clone().unwrap_or_else(|| "vocab.txt".into());
    if arguments.input.notes.is_empty() {
        bail!("nothing to learn from: name notes with --notes FILE (native sample makes invented ones)");
    }
    let case = if arguments.do_lower_case { Case::Uncased } else { Case::Cased };
    let training = Training { size: arguments.size, case, min_frequency: arguments.min_frequency, ..Training::default() };
    let entries = write_vocabulary(&arguments.input, &training, &out)?;
    if common.json {
        println!("{}", serde_json::json!({ "entries": entries, "out": out }));
    } else if !common.quiet {
        eprintln!("{entries} entries in {}", out.display());
    }
    Ok(Answer::Yes)
}

/// Learns a vocabulary from notes and writes it as `vocab.txt`; gives the number of entries.
///
/// # Errors
/// The notes cannot be read or hold no word, or the output exists already.
pub fn write_vocabulary(input: &NotesInput, training: &Training, out: &Path) -> Result<usize> {
    if out.exists() {
        bail!("{} exists already: choose another --out, or remove it", out.display());
    }
    let mut failed = None;
    let texts = notes::open(input)?.map_while(|row| match row {
        Ok(row) => match row.content {
            Content::Note(text) => Some(text),
            _ => Some(String::new()),
        },
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    let vocabulary = train_vocabulary(texts, training);
    if let Some(error) = failed {
        return Err(error);
    }
    let vocabulary = vocabulary?;
    write_file(out, |file| Ok(file.write_all(vocabulary.as_bytes())?))?;
    Ok(vocabulary.lines().count())
}
