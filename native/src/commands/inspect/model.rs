//! What weights of any format hold, what would become of each tensor, and what the model can and cannot be used for.
//!
//! Whatever lies beside the weights may be missing or wrong: then the report says so and goes on.

use std::fs;
use std::path::Path;

use anyhow::Result;
use clinicalbert_core::bert::{Config, Part, parameters_and_classifier};
use clinicalbert_core::tokenizer::WordPiece;
use clinicalbert_core::weights::{Listing, Plan, check};
use serde_json::{Map, Value, json};

use super::Report;
use crate::model_folder::{self, Found};

/// Reports on the weights at `path`; every tensor too if asked for, or if they are no BERT's.
///
/// # Errors
/// There are no weights, or they are damaged.
pub fn report(path: &Path, with_tensors: bool) -> Result<Report> {
    let found = Found::at(path)?;
    let list = found.list()?;
    let folder = found.folder();
    let config = model_folder::config_in(&folder);
    let tokenizer = model_folder::read_tokenizer(&folder);
    let files = found.files();
    let mut report: Report =
        vec![("model".into(), json!(found.file)), ("format".into(), json!(found.format.name())), ("files".into(), sizes(&files))];
    let mut put = |key: &str, value: Value| report.push((key.into(), value));
    let plan = match Plan::new(&list, config.as_ref().ok()) {
        Ok(plan) => plan,
        Err(error) if config.is_err() => {
            put("bert", json!(error.to_string()));
            put("tensors", tensors(&list, &Plan::default()));
            return Ok(report);
        }
        Err(error) => return Err(anyhow::Error::new(error).context(found.file.display().to_string())),
    };
    put("config", told(&config, |config| Ok(serde_json::from_str(&serde_json::to_string(config)?)?)));
    put("tokenizer", told(&tokenizer, |tokenizer| Ok(vocabulary(tokenizer))));
    put("parameters", counts(&list, &plan, config.as_ref().ok()));
    // Reads every value once: checksums, and whether all are finite.
    let readable = files.is_ok() && plan.has(Part::Encoder);
    if readable {
        found.open(|file| Ok(check(file, &plan)?))?;
    }
    let slots = list.iter().filter(|listing| listing.name.ends_with("/adam_m")).count();
    let optimizer = slots > 0 || folder.join("optimizer.safetensors").is_file();
    let step = if files.is_ok() { found.step()? } else { None };
    if let Some(step) = step {
        put("global_step", json!(step));
    }
    let obstacle = match (&files, &config) {
        (Err(_), _) => Some("a file is missing"),
        (_, Err(_)) => Some("there is no configuration"),
        _ if !plan.has(Part::Encoder) => Some("the encoder is incomplete"),
        _ => None,
    };
    let no_tokenizer = tokenizer.is_err().then_some("there is no vocabulary");
    put("can", uses(&plan, obstacle, no_tokenizer, optimizer && step.is_some()));
    put("missing", json!(plan.missing.iter().map(|(name, _)| name).collect::<Vec<_>>()));
    put("skipped", skipped(&plan));
    if with_tensors {
        put("tensors", tensors(&list, &plan));
    }
    Ok(report)
}

/// Names and sizes of the files, or why there are none.
fn sizes(files: &Result<Vec<std::path::PathBuf>>) -> Value {
    told(files, |files| {
        let size = |file: &std::path::PathBuf| -> Result<(String, Value)> {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, json!(format!("{} bytes", fs::metadata(file)?.len()))))
        };
        Ok(Value::Object(files.iter().map(size).collect::<Result<_>>()?))
    })
}

fn told<T>(value: &Result<T>, tell: impl FnOnce(&T) -> Result<Value>) -> Value {
    match value.as_ref().map(tell) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => json!(format!("none: {error:#}")),
        Err(error) => json!(format!("none: {error:#}")),
    }
}

fn vocabulary(tokenizer: &WordPiece) -> Value {
    json!({ "case": model_folder::case_name(tokenizer.case()), "vocab_size": tokenizer.vocab_size() })
}

/// Values of each part that would be used, and of everything that would not.
fn counts(list: &[Listing], plan: &Plan, config: Option<&Config>) -> Value {
    let values = |listing: &Listing| listing.shape.iter().product::<usize>();
    let of = |name: &str| list.iter().find(|listing| listing.name == name).map_or(0, values);
    let table = config.map(parameters_and_classifier).unwrap_or_default();
    let used = |part: Part| -> usize {
        let of_part = |parameter: &str| table.iter().any(|row| row.part == part && row.name == parameter);
        plan.used.iter().filter(|used| of_part(&used.parameter)).map(|used| of(&used.in_file)).sum()
    };
    let all: usize = plan.used.iter().map(|used| of(&used.in_file)).sum();
    let left: usize = plan.skipped.iter().map(|(name, _)| of(name)).sum();
    let mut counts = Map::new();
    if config.is_some() {
        counts.insert("encoder".into(), json!(used(Part::Encoder)));
        counts.insert("pooler".into(), json!(used(Part::Pooler)));
        counts.insert("mlm_head".into(), json!(used(Part::MlmHead)));
        counts.insert("nsp_head".into(), json!(used(Part::NspHead)));
        if config.is_some_and(|config| config.classifies.is_some()) {
            counts.insert("classifier".into(), json!(used(Part::Classifier)));
        }
    }
    counts.insert("all".into(), json!(all));
    counts.insert("values_not_used".into(), json!(left));
    counts.into()
}

/// What the model can be used for. `obstacle` stops everything, `no_tokenizer` whatever takes text.
fn uses(plan: &Plan, obstacle: Option<&str>, no_tokenizer: Option<&str>, optimizer: bool) -> Value {
    let answer = |reasons: [Option<&str>; 2]| match reasons.into_iter().flatten().next() {
        None => "yes".to_owned(),
        Some(reason) => format!("no, {reason}"),
    };
    let text = obstacle.or(no_tokenizer);
    let without = |part: Part| (!plan.has(part)).then_some("the head is missing");
    let pretraining = plan.missing.iter().all(|(_, part)| *part == Part::Classifier);
    let heads = (!pretraining).then_some("a head is missing");
    let train = match (obstacle, pretraining) {
        (None, false) => "yes, what is missing starts with new weights".to_owned(),
        (obstacle, _) => answer([obstacle, None]),
    };
    json!({
        "embed": answer([text, None]),
        "fill-mask": answer([text, without(Part::MlmHead)]),
        "eval": answer([text, heads]),
        "train --init": train,
        "convert --with-optimizer": answer([obstacle, (!optimizer).then_some("there is no optimizer state")]),
    })
}

/// How many tensors are left aside for each reason.
fn skipped(plan: &Plan) -> Value {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for (_, reason) in &plan.skipped {
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason, 1)),
        }
    }
    json!(reasons.into_iter().map(|(reason, count)| format!("{count}: {reason}")).collect::<Vec<_>>())
}

/// Type and shape of every tensor, and what would become of it where that is not plain from its name.
fn tensors(list: &[Listing], plan: &Plan) -> Value {
    let fate = |name: &str| match plan.used.iter().find(|used| used.in_file == name) {
        Some(used) if used.transposed => format!(", becomes {}, transposed", used.parameter),
        Some(used) if used.parameter != name => format!(", becomes {}", used.parameter),
        Some(_) => String::new(),
        None => {
            plan.skipped.iter().find(|(skipped, _)| skipped == name).map_or(String::new(), |(_, why)| format!(", skipped: {why}"))
        }
    };
    let describe = |listing: &Listing| {
        let shape = listing.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ");
        (listing.name.clone(), json!(format!("{} [{shape}]{}", listing.dtype, fate(&listing.name))))
    };
    list.iter().map(describe).collect::<Map<_, _>>().into()
}
