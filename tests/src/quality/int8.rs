//! What a model loses when it is run with `--dtype int8`: sentence vectors and fillings beside those of `--dtype f32`, by the real binary.

use std::fmt;
use std::io::{Error, Result};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Sentences that are compared.
const SENTENCES: usize = 1000;

/// Agreement over all sentences.
#[derive(Debug, Clone, Copy)]
pub struct Agreement {
    /// Sentences.
    pub sentences: usize,
    /// Smallest cosine of a sentence's two vectors (mean over tokens).
    pub smallest_cosine: f64,
    /// Mean cosine.
    pub mean_cosine: f64,
    /// Share of the masked words for which the likeliest token is the same.
    pub same_first: f64,
}

impl fmt::Display for Agreement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sentences, smallest_cosine, mean_cosine, same_first } = self;
        writeln!(
            formatter,
            "int8 beside f32, {sentences} sentences of invented notes, one word of each masked for the fillings"
        )?;
        writeln!(formatter, "cosine of sentence vectors: smallest {smallest_cosine:.5}, mean {mean_cosine:.5}")?;
        write!(formatter, "likeliest token the same:   {:.1} %", 100.0 * same_first)
    }
}

/// Compares the two on sentences of notes that are invented with a seed of their own, so that a model has not seen them.
///
/// # Errors
/// A command of the binary fails, or prints something else than it should.
pub fn agreement(native: &Path, model: &Path) -> Result<Agreement> {
    let folder = tempfile::tempdir()?;
    let run = |arguments: &[&str]| -> Result<String> {
        let output = Command::new(native).args(arguments).arg("--quiet").current_dir(folder.path()).output()?;
        if !output.status.success() {
            return Err(Error::other(format!("native {arguments:?}: {}", String::from_utf8_lossy(&output.stderr))));
        }
        String::from_utf8(output.stdout).map_err(Error::other)
    };
    run(&["sample", "--notes", "200", "--seed", "777", "--out", "notes.csv"])?;
    let mut sentences = Vec::new();
    for note in run(&["split", "--notes", "notes.csv", "--format", "jsonl"])?.lines() {
        let note: Value = serde_json::from_str(note)?;
        let texts = note["sentences"].as_array().into_iter().flatten().filter_map(|sentence| sentence["text"].as_str());
        sentences.extend(texts.filter(|text| text.split_whitespace().count() >= 5).map(str::to_owned));
    }
    // Notes repeat themselves; every sentence counts once.
    sentences.sort_unstable();
    sentences.dedup();
    let every = (sentences.len() / SENTENCES).max(1);
    let sentences: Vec<_> = sentences.iter().step_by(every).take(SENTENCES).map(String::as_str).collect();
    let masked: Vec<_> = sentences.iter().enumerate().map(|(number, sentence)| mask(sentence, number)).collect();
    std::fs::write(folder.path().join("whole.txt"), sentences.join("\n"))?;
    std::fs::write(folder.path().join("masked.txt"), masked.join("\n"))?;
    let model = std::path::absolute(model)?;
    let model = model.to_string_lossy();
    let vectors = |dtype: &str| -> Result<Vec<Vec<f64>>> {
        let lines = run(&["embed", "--model", &model, "--dtype", dtype, "whole.txt"])?;
        lines.lines().map(|line| Ok(serde_json::from_value(serde_json::from_str::<Value>(line)?["embedding"].take())?)).collect()
    };
    let first_tokens = |dtype: &str| -> Result<Vec<Value>> {
        let found = run(&["fill-mask", "--model", &model, "--dtype", dtype, "--top-k", "1", "--json", "masked.txt"])?;
        let found: Vec<Value> = serde_json::from_str(&found)?;
        Ok(found.into_iter().map(|mut tokens| tokens[0]["token"].take()).collect())
    };
    let (exact, rounded) = (vectors("f32")?, vectors("int8")?);
    let cosines: Vec<f64> = exact.iter().zip(&rounded).map(|(a, b)| cosine(a, b)).collect();
    let (exact, rounded) = (first_tokens("f32")?, first_tokens("int8")?);
    let same = exact.iter().zip(&rounded).filter(|(a, b)| a == b && !a.is_null()).count();
    Ok(Agreement {
        sentences: sentences.len(),
        smallest_cosine: cosines.iter().copied().fold(1.0, f64::min),
        mean_cosine: cosines.iter().sum::<f64>() / cosines.len().max(1) as f64,
        same_first: same as f64 / exact.len().max(1) as f64,
    })
}

/// The sentence with one of its words masked, which one depends on the sentence's number.
fn mask(sentence: &str, number: usize) -> String {
    let mut words: Vec<_> = sentence.split_whitespace().collect();
    let chosen = number % words.len().max(1);
    if let Some(word) = words.get_mut(chosen) {
        *word = "[MASK]";
    }
    words.join(" ")
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
