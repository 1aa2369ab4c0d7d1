//! The command tree. Each command's flags live beside its code in [`crate::commands`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clinicalbert_core::text::{SentenceRules, SplitOptions, Splitter};
use serde::{Deserialize, Serialize};

use crate::commands;
use crate::splitting::Splitting;

/// Clinical notes in, a pretrained BERT out.
#[derive(Debug, Parser)]
#[command(name = "native", version, about, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags that every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Worker threads; all cores if not given
    #[arg(long, global = true, value_name = "N", help_heading = "Common")]
    pub threads: Option<usize>,
    /// Results as JSON on standard output
    #[arg(long, global = true, help_heading = "Common")]
    pub json: bool,
    /// Say nothing but errors and results
    #[arg(long, short, global = true, help_heading = "Common")]
    pub quiet: bool,
    /// Where NVRTC and cuBLASLt are, if they are not found: a CUDA toolkit, a Python environment with `nvidia-*` wheels, or the folder of the
    /// libraries (or CLINICALBERT_CUDA)
    #[arg(long, global = true, value_name = "DIR", help_heading = "Common")]
    pub cuda_path: Option<PathBuf>,
    /// When the program started.
    #[arg(skip = Instant::now())]
    pub began: Instant,
}

impl Common {
    /// Worker threads.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

/// The commands, in the order in which data flows.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one in a process")]
pub enum Command {
    /// Write invented notes in the shape of MIMIC's, to try everything without credentialed data
    Sample(commands::sample::Arguments),
    /// Train a cased WordPiece vocabulary on notes
    Vocab(commands::vocab::Arguments),
    /// Show a note's sections and sentences with their offsets
    Split(commands::split::Arguments),
    /// Turn notes into masked pretraining examples (TFRecord) and a ledger of every row
    Prepare(Box<commands::prepare::Arguments>),
    /// Pretrain BERT (MLM + NSP); with no other argument, a small one on invented notes
    Train(commands::train::Arguments),
    /// Held-out MLM and NSP loss and accuracy of a model
    Eval(commands::eval::Arguments),
    /// Vectors of texts
    Embed(commands::embed::Arguments),
    /// What a model expects in place of [MASK]
    FillMask(commands::fill_mask::Arguments),
    /// Turn a model from any checkpoint into a Hugging Face folder, a TensorFlow checkpoint or ONNX
    Convert(commands::convert::Arguments),
    /// What is in a model of any format or in a folder of examples, and what it can be used for
    Inspect(commands::inspect::Arguments),
    /// Serve the demo page to this machine's browser
    Demo(commands::demo::Arguments),
    /// What this machine is; with --train, whether a run would go well
    Doctor(Box<commands::doctor::Arguments>),
    /// Measure the program on this machine
    Bench(commands::bench::Arguments),
}

/// Google's scripts spell flags with underscores (`--max_seq_length=128`): every flag is accepted in both spellings.
pub fn with_google_spellings(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    arguments.map(|argument| match argument.to_str() {
        Some(flag) if flag.starts_with("--") && flag.contains('_') => {
            let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            let name = name.replace('_', "-");
            value.map_or_else(|| name.clone(), |value| format!("{name}={value}")).into()
        }
        _ => argument,
    })
}

/// Where notes come from and which of their columns matter; shared by every command that reads notes.
#[derive(Debug, Clone, Default, Args)]
pub struct NotesInput {
    /// Notes: CSV, TSV, JSON lines (also .gz, .zst) or Parquet, as MIMIC distributes them or with the columns named below, text files, folders
    /// of them, patterns such as `notes/*.csv.gz`, `-` for standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub notes: Vec<PathBuf>,
    /// Column that holds the text; TEXT in either case if not given
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// Column that names the row; ROW_ID or note_id if not given, else the row number
    #[arg(long, value_name = "NAME")]
    pub id_column: Option<String>,
    /// Column that names the patient; SUBJECT_ID if not given
    #[arg(long, value_name = "NAME")]
    pub patient_column: Option<String>,
    /// Column that holds the category; CATEGORY or note_type if not given
    #[arg(long, value_name = "NAME")]
    pub category_column: Option<String>,
    /// Take only notes of this category; may be given several times
    #[arg(long, value_name = "NAME")]
    pub category: Vec<String>,
    /// Take notes that are marked as errors (ISERROR) too
    #[arg(long)]
    pub include_errors: bool,
    /// Take only rows with this value in this column; may be given several times, all must hold
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub conditions: Vec<String>,
    /// Stop after so many notes
    #[arg(long, value_name = "N")]
    pub max_notes: Option<u64>,
}

/// How notes are cut; shared by every command that cuts notes.
#[derive(Debug, Clone, Default, Args)]
pub struct SplitFlags {
    /// Rules that cut notes into sections
    #[arg(long, value_enum, default_value_t)]
    pub splitter: SplitterName,
    /// What finds sentences
    #[arg(long, value_enum, default_value_t)]
    pub sentences_by: SentencesBy,
    /// For --sentences-by file: JSON lines {"id": …, "sentences": [[start, end], …]}, or what `native split --format jsonl` writes
    #[arg(long, value_name = "FILE")]
    pub boundaries: Option<PathBuf>,
    /// What the offsets in --boundaries count: bytes of UTF-8, or characters as in Python
    #[arg(long, value_enum, default_value_t)]
    pub boundary_offsets: OffsetUnit,
}

/// `--boundary-offsets`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OffsetUnit {
    /// Bytes of UTF-8
    #[default]
    Bytes,
    /// Unicode code points
    Characters,
}

/// `--splitter`.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum SplitterName {
    /// Ours: the original's bugs mended, MIMIC-IV's `___`, indented and inline headers
    #[default]
    Clinical,
    /// The published rules with their authors' own two fixes
    Fixed,
    /// The published rules with all their bugs, lost notes included
    Faithful,
    /// The whole note is one section
    None,
}

/// `--sentences-by`.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum SentencesBy {
    /// Our rules, made for clinical text
    #[default]
    Rules,
    /// The rule component of the original
    OriginalRules,
    /// Another program, whose boundaries are in --boundaries
    File,
}

impl SplitFlags {
    /// How to cut notes.
    ///
    /// # Errors
    /// Flags that contradict each other, or a file of boundaries that cannot be used.
    pub fn splitting(&self) -> Result<Splitting> {
        let splitter = match self.splitter {
            SplitterName::Clinical => Splitter::Clinical,
            SplitterName::Fixed => Splitter::Fixed,
            SplitterName::Faithful => Splitter::Faithful,
            SplitterName::None => Splitter::None,
        };
        let sentences_by = match (self.sentences_by, &self.boundaries) {
            (SentencesBy::File, Some(file)) => return Splitting::at_boundaries(splitter, file, self.boundary_offsets),
            (SentencesBy::File, None) => bail!("--sentences-by file needs --boundaries FILE, which says where sentences lie"),
            (_, Some(_)) => bail!("--boundaries is used with --sentences-by file only: add it, or leave --boundaries out"),
            (SentencesBy::Rules, None) => SentenceRules::Rules,
            (SentencesBy::OriginalRules, None) => SentenceRules::OriginalRules,
        };
        Ok(Splitting::by_rules(SplitOptions { splitter, sentences_by }))
    }
}
