//! Texts from flags, files of lines, standard input or notes.

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cli::NotesInput;
use crate::notes::{self, Content};

/// Where texts come from; shared by the commands that use a model.
#[derive(Debug, Clone, Default, Args)]
pub struct TextsInput {
    /// A text; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub text: Vec<String>,
    /// Files with one text a line; `-` is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// A text and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The note's id, the line (`3`, or `file:3` if there are several files), or the number of the flag.
    pub id: String,
    /// The text itself.
    pub text: String,
}

impl TextsInput {
    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.files.is_empty()
    }

    /// The texts, in order. Empty lines are left out.
    ///
    /// # Errors
    /// Nothing was given; each text: a file that cannot be read.
    pub fn read(&self) -> Result<Box<dyn Iterator<Item = Result<Text>> + '_>> {
        if self.is_empty() {
            bail!("no text: give --text \"…\", a file with one text a line, or - for standard input");
        }
        let flags = (1..).zip(&self.text).map(|(number, text)| Ok(Text { id: number.to_string(), text: text.clone() }));
        let mut all: Box<dyn Iterator<Item = Result<Text>>> = Box::new(flags);
        for file in &self.files {
            let name = if self.files.len() > 1 { format!("{}:", file.display()) } else { String::new() };
            all = Box::new(all.chain(lines(file, name)?));
        }
        Ok(all)
    }
}

fn lines(file: &Path, name: String) -> Result<impl Iterator<Item = Result<Text>>> {
    let reader: Box<dyn BufRead> = match file.to_str() {
        Some("-") => Box::new(stdin().lock()),
        _ => Box::new(BufReader::new(File::open(file).with_context(|| format!("cannot open {}", file.display()))?)),
    };
    let shown = file.display().to_string();
    Ok((1_u64..).zip(reader.lines()).filter_map(move |(number, line)| match line {
        Ok(line) if line.trim().is_empty() => None,
        Ok(text) => Some(Ok(Text { id: format!("{name}{number}"), text })),
        Err(error) => Some(Err(error).with_context(|| format!("{shown}, line {number}: cannot be read as UTF-8 text"))),
    }))
}

/// The readable notes, in order; `skipped` counts the others.
///
/// # Errors
/// The input cannot be opened; each note: a file that cannot be read on.
pub fn from_notes<'a>(input: &NotesInput, skipped: &'a mut u64) -> Result<impl Iterator<Item = Result<Text>> + 'a> {
    Ok(notes::open(input)?.filter_map(move |row| match row {
        Ok(row) => match row.content {
            Content::Note(text) if !text.trim().is_empty() => Some(Ok(Text { id: row.id, text })),
            Content::Filtered => None,
            _ => {
                *skipped += 1;
                None
            }
        },
        Err(error) => Some(Err(error)),
    }))
}
