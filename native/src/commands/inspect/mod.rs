//! `native inspect`.

mod model;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use super::Answer;
use crate::cli::Common;
use crate::dataset::Dataset;

/// Keys in the order in which a reader wants them.
type Report = Vec<(String, Value)>;

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Model folder, weights file, TensorFlow prefix, or examples
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// List every tensor too, and what would become of it
    #[arg(long)]
    tensors: bool,
}

/// Runs the command.
///
/// # Errors
/// The path is none of these, or what is there is damaged.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    let path = &arguments.path;
    let report = if holds_examples(path)? { examples(path)? } else { model::report(path, arguments.tensors)? };
    match common.json {
        true => println!("{}", Value::Object(report.into_iter().collect())),
        false => print!("{}", text(&report)),
    }
    Ok(Answer::Yes)
}

/// Whether there are examples rather than a model.
fn holds_examples(path: &Path) -> Result<bool> {
    let is_examples = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("tfrecord"));
    if !path.is_dir() {
        return Ok(is_examples(path));
    }
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(files.iter().any(|file| is_examples(file)))
}

fn examples(path: &Path) -> Result<Report> {
    let data = Dataset::open(path)?;
    let shape = data.shape();
    let mut report: Report = vec![
        ("data".into(), json!(path)),
        ("examples".into(), json!(data.len())),
        ("max_seq_length".into(), json!(shape.max_seq_length)),
        ("max_predictions_per_seq".into(), json!(shape.max_predictions_per_seq)),
    ];
    let name = |file: &Path| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files: Map<String, Value> = data.files().map(|(file, count)| (name(file), json!(count))).collect();
    report.push(("files".into(), Value::Object(files)));
    report.push(("fingerprint".into(), json!(data.fingerprint()?)));
    let holdout = path.join("holdout");
    if holdout.is_dir() {
        report.push(("holdout_examples".into(), json!(Dataset::open(&holdout)?.len())));
    }
    if let Ok(Value::Object(summary)) =
        fs::read(path.join("summary.json")).map(|bytes| serde_json::from_slice(&bytes).unwrap_or_default())
    {
        let counts = ["rows_read", "kept", "outcomes", "sections", "sentences", "tokens", "unknown_pieces"];
        report.extend(summary.into_iter().filter(|(key, _)| counts.contains(&key.as_str())));
    }
    Ok(report)
}

/// The report for a reader: nested entries indented.
fn text(report: &Report) -> String {
    let mut text = String::new();
    for (key, value) in report {
        match value {
            Value::Object(inner) => {
                text.push_str(&format!("{key}\n"));
                let width = inner.keys().map(String::len).max().unwrap_or(0) + 2;
                inner.iter().for_each(|(key, value)| text.push_str(&format!("  {key:<width$}{}\n", plain(value))));
            }
            Value::Array(items) if items.is_empty() => text.push_str(&format!("{key:<26}none\n")),
            Value::Array(items) => {
                text.push_str(&format!("{key}\n"));
                items.iter().for_each(|item| text.push_str(&format!("  {}\n", plain(item))));
            }
            value => text.push_str(&format!("{key:<26}{}\n", plain(value))),
        }
    }
    text
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
