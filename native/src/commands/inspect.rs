//! `native inspect`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::Args;
use clinicalbert_core::bert::{Part, parameters};
use clinicalbert_core::weights::{Listing, Plan};
use serde_json::{Map, Value, json};

use super::Answer;
use crate::cli::Common;
use crate::dataset::Dataset;
use crate::model_folder::{self, ModelFolder};

/// Keys in the order in which a reader wants them.
type Report = Vec<(String, Value)>;

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Model folder, weights file, or folder of examples
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// List every tensor of a model folder too
    #[arg(long)]
    tensors: bool,
}

/// Runs the command.
///
/// # Errors
/// The path is none of these, or what is there is damaged.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    let path = &arguments.path;
    ensure!(path.exists(), "nothing at {}: check the name", path.display());
    let report = match kind(path)? {
        Kind::Model => model(path, arguments.tensors)?,
        Kind::Weights => weights(path)?,
        Kind::Examples => examples(path)?,
    };
    match common.json {
        true => println!("{}", Value::Object(report.into_iter().collect())),
        false => print!("{}", text(&report)),
    }
    Ok(Answer::Yes)
}

enum Kind {
    Model,
    Weights,
    Examples,
}

fn kind(path: &Path) -> Result<Kind> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if path.is_file() {
        return Ok(if extension == "safetensors" { Kind::Weights } else { Kind::Examples });
    }
    if path.join("config.json").is_file() || path.join("bert_config.json").is_file() {
        return Ok(Kind::Model);
    }
    let inner = path.join("model");
    if path.join("run.toml").is_file() {
        bail!("{} is the folder of a run: inspect {} or one of its checkpoints", path.display(), inner.display());
    }
    match model_folder::weights_files(path) {
        Ok(_) => Ok(Kind::Weights),
        Err(_) => Ok(Kind::Examples),
    }
}

fn model(path: &Path, with_tensors: bool) -> Result<Report> {
    let folder = ModelFolder::read(path)?;
    let plan = &folder.loaded.plan;
    let count = |part: Part| -> usize {
        parameters(&folder.config)
            .iter()
            .filter(|row| row.part == part && folder.loaded.tensors.contains_key(&row.name))
            .map(|row| row.elements())
            .sum()
    };
    let can = |part: Part| if plan.has(part) { "yes" } else { "no, the head is missing" };
    let mut report = Report::new();
    let mut put = |key: &str, value: Value| report.push((key.into(), value));
    put("model", json!(folder.path));
    put("summary", json!(folder.describe()));
    put("config", serde_json::from_str(&serde_json::to_string(&folder.config)?)?);
    put(
        "parameters",
        json!({
            "encoder": count(Part::Encoder),
            "pooler": count(Part::Pooler),
            "mlm_head": count(Part::MlmHead),
            "nsp_head": count(Part::NspHead),
            "all": folder.loaded.tensors.values().map(|tensor| tensor.data.len()).sum::<usize>(),
        }),
    );
    put(
        "tokenizer",
        json!({ "case": model_folder::case_name(folder.tokenizer.case()), "vocab_size": folder.tokenizer.vocab_size() }),
    );
    put(
        "can",
        json!({ "embed": "yes", "train --init": "yes", "fill-mask": can(Part::MlmHead), "eval": if plan.missing.is_empty() { "yes" } else { "no, a head is missing" } }),
    );
    put("missing", json!(plan.missing.iter().map(|(name, _)| name).collect::<Vec<_>>()));
    put("skipped", json!(plan.skipped.iter().map(|(name, reason)| format!("{name}: {reason}")).collect::<Vec<_>>()));
    if with_tensors {
        put("tensors", tensors(&model_folder::with_weights(path, |file| Ok(file.list()))?));
    }
    Ok(report)
}

fn weights(path: &Path) -> Result<Report> {
    let list = model_folder::with_weights(path, |file| Ok(file.list()))?;
    let values: usize = list.iter().map(|listing| listing.shape.iter().product::<usize>()).sum();
    let mut report = Report::new();
    report.push(("weights".into(), json!(path)));
    report.push(("values".into(), json!(values)));
    let bert = match Plan::new(&list, None) {
        Ok(plan) => json!({
            "used": plan.used.len(),
            "missing": plan.missing.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "skipped": plan.skipped.iter().map(|(name, reason)| format!("{name}: {reason}")).collect::<Vec<_>>(),
        }),
        Err(error) => json!(error.to_string()),
    };
    report.push(("bert".into(), bert));
    report.push(("tensors".into(), tensors(&list)));
    Ok(report)
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
        std::fs::read(path.join("summary.json")).map(|bytes| serde_json::from_slice(&bytes).unwrap_or_default())
    {
        let counts = ["rows_read", "kept", "outcomes", "sections", "sentences", "tokens", "unknown_pieces"];
        report.extend(summary.into_iter().filter(|(key, _)| counts.contains(&key.as_str())));
    }
    Ok(report)
}

fn tensors(list: &[Listing]) -> Value {
    let shape = |listing: &Listing| listing.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ");
    list.iter()
        .map(|listing| (listing.name.clone(), json!(format!("{} [{}]", listing.dtype, shape(listing)))))
        .collect::<Map<_, _>>()
        .into()
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
