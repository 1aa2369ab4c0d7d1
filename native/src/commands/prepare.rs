//! `native prepare`: notes to masked pretraining examples, every row accounted for.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use clinicalbert_core::examples::{self, Masking};
use clinicalbert_core::tokenizer::Case;

use super::Answer;
use crate::cli::{Common, NotesInput, SplitFlags};
use crate::prepare::{self, Comparison, Input, Key, Output, Progress, Settings, Summary};

/// Flags. Names and meaning of the example settings are Google's; the defaults are the Bio_ClinicalBERT model card's.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    notes: NotesInput,
    /// Text already cut: one sentence a line, blank lines between documents (several files, patterns)
    #[arg(long, value_name = "FILE", num_args = 1.., value_delimiter = ',', alias = "input-file", conflicts_with = "notes")]
    sentences: Vec<PathBuf>,
    /// Vocabulary: vocab.txt, tokenizer.json, or a model folder
    #[arg(long, value_name = "FILE", alias = "vocab-file")]
    vocab: Option<PathBuf>,
    /// Folder for the result
    #[arg(long, short, value_name = "DIR", alias = "output-dir", conflicts_with = "output_file")]
    out: Option<PathBuf>,
    /// TFRecord files for the examples, and nothing else (as Google's program has it)
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    output_file: Vec<PathBuf>,
    #[command(flatten)]
    split: SplitFlags,
    /// Tokens of an example
    #[arg(long, default_value_t = 128, value_name = "N", help_heading = "Examples")]
    max_seq_length: usize,
    /// Slots for masked tokens; training must be told the same
    #[arg(long, default_value_t = 20, value_name = "N", help_heading = "Examples")]
    max_predictions_per_seq: usize,
    /// Share of tokens that are masked
    #[arg(long, default_value_t = 0.15, value_name = "P", help_heading = "Examples")]
    masked_lm_prob: f64,
    /// Share of examples that aim at less than the full length
    #[arg(long, default_value_t = 0.1, value_name = "P", help_heading = "Examples")]
    short_seq_prob: f64,
    /// How often the text is gone through, with other masks
    #[arg(long, default_value_t = 5, value_name = "N", help_heading = "Examples")]
    dupe_factor: usize,
    /// The same seed gives the same bytes
    #[arg(long, alias = "seed", default_value_t = 12345, value_name = "N", help_heading = "Examples")]
    random_seed: u64,
    /// Mask whole words instead of single pieces
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = truth, action = clap::ArgAction::Set, help_heading = "Examples")]
    do_whole_word_mask: bool,
    /// When masks are drawn: once, as the original does, or whenever training reads an example, others in every epoch
    #[arg(long, value_enum, default_value_t, help_heading = "Examples")]
    masking: MaskingName,
    /// Lower-case the text and drop accents; if not given, as the vocabulary is
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = truth, help_heading = "Examples")]
    do_lower_case: Option<bool>,
    /// Number of TFRecord files that examples are dealt to in turn
    #[arg(long, default_value_t = 1, value_name = "N")]
    shards: usize,
    /// Share of the patients whose notes go to DIR/holdout instead
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    holdout: f64,
    /// Only part I of N of the rows, for arrays of jobs; I from 0 to N-1, or from 1 to N
    #[arg(long, value_name = "I/N", value_parser = part)]
    shard: Option<(u64, u64)>,
    /// Put parts that were prepared with --shard together into --out
    #[arg(long, value_name = "DIR", num_args = 2.., conflicts_with_all = ["notes", "sentences", "compare"])]
    merge: Vec<PathBuf>,
    /// Tell where two preparations differ, from their summaries alone; exit status 1 if they do
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with_all = ["notes", "sentences"])]
    compare: Vec<PathBuf>,
    /// Secret that two sites share: the summary then has keyed hashes by which --compare sees differences in text and tokens
    #[arg(long, value_name = "TEXT", env = "CLINICALBERT_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Rows between points to go on from
    #[arg(long, default_value_t = 20_000, hide = true)]
    checkpoint_every: u64,
}

/// `--masking`.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum MaskingName {
    /// Stored with the examples
    #[default]
    Static,
    /// Drawn from (seed, epoch, example) when training reads an example; only native can read such a folder
    Dynamic,
}

/// Booleans as Python's flag libraries write them.
fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "t" | "yes" | "y" => Ok(true),
        "false" | "0" | "f" | "no" | "n" => Ok(false),
        _ => Err("expected True or False".into()),
    }
}

/// `i/n`; n/n is the same part as 0/n, so that counting from 0 and counting from 1 both give every part once.
fn part(text: &str) -> Result<(u64, u64), String> {
    let numbers: Option<(u64, u64)> =
        text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
    match numbers {
        Some((part, parts)) if parts > 0 && part <= parts => Ok((part % parts, parts)),
        _ => Err("expected I/N with I from 0 to N-1 (or from 1 to N), such as 0/8".into()),
    }
}

/// Exit status of a program that Ctrl-C ended, by the shells' convention: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Runs the command.
///
/// # Errors
/// Whatever cannot be prepared, as one line.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    if let [first, second] = arguments.compare.as_slice() {
        return tell(&prepare::compare(first, second)?, common);
    }
    // Whatever is done at that moment, the work folder is fit to go on from: Ctrl-C may end the process at once.
    ctrlc::set_handler(|| {
        eprintln!("stopped; the same command goes on from here");
        std::process::exit(INTERRUPTED);
    })
    .context("cannot listen for Ctrl-C")?;
    let summary = match (arguments.merge.as_slice(), &arguments.out) {
        ([], _) => prepare::prepare(&settings(arguments, common)?, &Progress { quiet: common.quiet })?,
        (_, None) => bail!("no place for the result is given: name a folder with --out DIR"),
        (folders, Some(out)) => prepare::merge(folders, out)?,
    };
    if common.json {
        let mut json = serde_json::to_value(&summary)?;
        if let Some(object) = json.as_object_mut() {
            object.insert("stages".into(), serde_json::to_value(&summary.stages)?);
        }
        println!("{json}");
    }
    if !common.quiet {
        eprint!("{}", table(&summary));
    }
    Ok(Answer::Yes)
}

/// The comparison on standard output: it is the result.
fn tell(comparison: &Comparison, common: &Common) -> Result<Answer> {
    let mut text = String::new();
    if common.json {
        text = serde_json::to_string(comparison)? + "\n";
    } else {
        for (what, first, second) in &comparison.differences {
            text.push_str(&format!("{what}: {first}{}{second}\n", if second.is_empty() { "" } else { " against " }));
        }
        for remark in &comparison.remarks {
            text.push_str(&format!("{remark}\n"));
        }
        text.push_str(if comparison.same { "the two preparations agree\n" } else { "the two preparations differ\n" });
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(if comparison.same { Answer::Yes } else { Answer::No })
}

fn settings(arguments: &Arguments, common: &Common) -> Result<Settings> {
    let input = match (arguments.notes.notes.is_empty(), arguments.sentences.is_empty()) {
        (false, true) => Input::Notes(arguments.notes.clone()),
        (true, false) => Input::Sentences(arguments.sentences.clone()),
        _ => bail!("nothing to prepare: name notes with --notes FILE, or text that is already cut with --sentences FILE"),
    };
    if matches!(input, Input::Sentences(_)) {
        ensure!(arguments.shard.is_none(), "--shard is for --notes; prepare parts of ready sentences by naming other files");
    }
    let Some(vocab) = arguments.vocab.clone() else {
        bail!("no vocabulary is given: name vocab.txt, tokenizer.json or a model folder with --vocab (native vocab makes one)");
    };
    let (out, shards) = match (&arguments.out, arguments.output_file.as_slice()) {
        (Some(folder), _) => (Output::Folder(folder.clone()), arguments.shards),
        (None, []) => bail!("no place for the result is given: name a folder with --out DIR"),
        (None, files) => (Output::Files(files.to_vec()), files.len()),
    };
    ensure!(
        arguments.holdout == 0.0 || matches!(out, Output::Folder(_)),
        "--output-file has no place for the notes that --holdout sets apart: name a folder with --out DIR"
    );
    Ok(Settings {
        input,
        vocab,
        case: arguments.do_lower_case.map(|lower| if lower { Case::Uncased } else { Case::Cased }),
        out,
        splitting: arguments.split.splitting()?,
        examples: examples::Settings {
            max_seq_length: arguments.max_seq_length,
            max_predictions_per_seq: arguments.max_predictions_per_seq,
            masked_lm_prob: arguments.masked_lm_prob,
            short_seq_prob: arguments.short_seq_prob,
            dupe_factor: arguments.dupe_factor,
            random_seed: arguments.random_seed,
            whole_word_mask: arguments.do_whole_word_mask,
            masking: match arguments.masking {
                MaskingName::Static => Masking::Static,
                MaskingName::Dynamic => Masking::Dynamic,
            },
        },
        shards,
        holdout: arguments.holdout,
        part: arguments.shard,
        key: arguments.key.as_deref().map(Key::new),
        threads: common.threads(),
        checkpoint_every: arguments.checkpoint_every,
    })
}

/// The result for a reader.
fn table(summary: &Summary) -> String {
    let counts = &summary.counts;
    let mut lines = vec![("rows read".to_owned(), counts.rows_read)];
    lines.extend(
        counts
            .outcomes
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(outcome, count)| (format!("  {}", outcome.name().replace('_', " ")), *count)),
    );
    for (name, count) in [
        ("sections", counts.sections),
        ("sentences", counts.sentences),
        ("words", counts.words),
        ("tokens", counts.tokens),
        ("unknown pieces", counts.unknown_pieces),
        ("examples", summary.examples),
        ("held-out examples", summary.holdout_examples),
    ] {
        lines.push((name.into(), count));
    }
    let mut text: String = lines.iter().map(|(name, count)| format!("{name:<26}{count:>14}\n")).collect();
    text.push_str(&format!("{:<26}{:>14}\n", "case", summary.settings.case));
    for stage in &summary.stages {
        text.push_str(&format!("{:<26}{:>12.2} s\n", format!("time, {}", stage.name), stage.seconds));
    }
    text
}
