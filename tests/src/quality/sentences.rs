//! Sentence boundaries of the `rules` against gold data: GENIA, CRAFT, the English golden rules.
//!
//! A boundary is the number of characters, white space left out, before the end of a sentence; the end of a document's last sentence is given
//! and does not count. Counts are summed over documents. Exact F1 counts a sentence whose two ends are both right. `tests/quality/sentence_peers.py`
//! applies the same definitions to spaCy and pySBD.

use std::collections::BTreeSet;
use std::fmt;

use clinicalbert_core::text::SentenceRules;
use clinicalbert_core::text::sentences::sentence_spans;
use serde_json::Value;

use crate::reference;

/// The sets: name in the table, file under the reference data.
const SETS: [(&str, &str); 3] = [
    ("GENIA", "data/sentences-genia/genia-dev.jsonl"),
    ("CRAFT", "data/sentences-craft/craft-dev.jsonl"),
    ("golden rules", "data/sentences-golden-rules/english-golden-rules-dev.jsonl"),
];

/// Figures of one set, each from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name of the set.
    pub set: &'static str,
    /// Share of our boundaries that are gold.
    pub precision: f64,
    /// Share of gold boundaries that are ours.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// F1 of whole sentences.
    pub exact_f1: f64,
}

/// The table of all sets that are there.
#[derive(Debug, Clone, PartialEq)]
pub struct Table(pub Vec<Row>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<14}{:>10}{:>10}{:>10}{:>10}", "set", "precision", "recall", "F1", "exact F1")?;
        for Row { set, precision, recall, f1, exact_f1 } in &self.0 {
            writeln!(f, "{set:<14}{precision:>10.4}{recall:>10.4}{f1:>10.4}{exact_f1:>10.4}")?;
        }
        Ok(())
    }
}

/// Measures our rules on every set that is there.
///
/// # Panics
/// If a file of the reference data is not what its README says.
pub fn report() -> Table {
    Table(
        SETS.into_iter().filter_map(|(set, path)| Some(measure(set, &std::fs::read_to_string(reference(path)?).ok()?))).collect(),
    )
}

fn measure(set: &'static str, lines: &str) -> Row {
    let [mut boundaries, mut sentences] = [Counts::default(); 2];
    for line in lines.lines() {
        let document: Value = serde_json::from_str(line).unwrap_or_default();
        let text = document["text"].as_str().unwrap_or_default();
        let gold = ends(gold_sentences(&document, text).iter().map(String::as_str));
        let ours = ends(sentence_spans(text, SentenceRules::Rules).into_iter().map(|span| span.of(text)));
        boundaries.add(&inner(&gold), &inner(&ours));
        sentences.add(&pairs(&gold), &pairs(&ours));
    }
    assert!(sentences.gold > 0, "{set}: no gold sentences found; expected JSON lines with `text` and `sentences`");
    let (precision, recall) = (boundaries.precision(), boundaries.recall());
    Row { set, precision, recall, f1: boundaries.f1(), exact_f1: sentences.f1() }
}

/// The gold sentences, given as strings or as offsets in code points.
fn gold_sentences(document: &Value, text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let sentences = document["sentences"].as_array().into_iter().flatten();
    let offset = |value: &Value| value.as_u64().unwrap_or_default() as usize;
    let slice = |start, end| characters.get(start..end).unwrap_or_default().iter().collect();
    sentences.map(|gold| gold.as_str().map_or_else(|| slice(offset(&gold[0]), offset(&gold[1])), str::to_owned)).collect()
}

/// Ends of sentences, counted in characters that are not white space.
fn ends<'text>(sentences: impl Iterator<Item = &'text str>) -> Vec<usize> {
    let lengths = sentences.map(|sentence| sentence.chars().filter(|c| !c.is_whitespace()).count());
    lengths
        .scan(0, |end, length| {
            *end += length;
            Some(*end)
        })
        .collect()
}

fn inner(ends: &[usize]) -> BTreeSet<(usize, usize)> {
    ends.iter().rev().skip(1).map(|&end| (end, end)).collect()
}

fn pairs(ends: &[usize]) -> BTreeSet<(usize, usize)> {
    std::iter::once(&0).chain(ends).copied().zip(ends.iter().copied()).collect()
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    both: usize,
    gold: usize,
    ours: usize,
}

impl Counts {
    fn add(&mut self, gold: &BTreeSet<(usize, usize)>, ours: &BTreeSet<(usize, usize)>) {
        self.both += gold.intersection(ours).count();
        self.gold += gold.len();
        self.ours += ours.len();
    }

    fn precision(self) -> f64 {
        self.both as f64 / self.ours.max(1) as f64
    }

    fn recall(self) -> f64 {
        self.both as f64 / self.gold.max(1) as f64
    }

    fn f1(self) -> f64 {
        2.0 * self.both as f64 / (self.gold + self.ours).max(1) as f64
    }
}
