//! Section headers found by the `clinical` splitter, against the headers known to be in three public sets.
//!
//! A header is found if a section's title starts at its first character. What counts as a false one:
//!
//! * **precision**: every title that is no gold header, except before the note's first gold header: there stand the fields of
//!   the synthetic set's preambles (`Allergies:`, `Reason:`, `Admitting Diagnosis:`), which its README names as left out of
//!   its gold although they are sections.
//! * **strict precision**: every title that is no gold header.
//!
//! Sections without a title (administrative fields, text after a ruler) are no headers in either count.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{Read, Result};
use std::path::Path;

use clinicalbert_core::text::{Span, SplitOptions, split_note};
use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::reference;

/// Counts for one set of notes.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Name of the set.
    pub set: &'static str,
    /// Notes read.
    pub notes: usize,
    /// Headers in the gold.
    pub gold: usize,
    /// Gold headers found.
    pub found: usize,
    /// Titles that are no gold header and are in no part that the gold leaves out.
    pub spurious: usize,
    /// Titles that the gold leaves out by its README.
    pub left_out: usize,
    /// Gold placeholders.
    pub placeholders: usize,
    /// Gold placeholders not found whole, or divided between two sentences.
    pub placeholders_cut: usize,
}

impl Row {
    /// Share of the gold headers that were found.
    pub fn recall(&self) -> f64 {
        ratio(self.found, self.gold)
    }

    /// Share of the titles that are gold headers, of those that the gold decides on.
    pub fn precision(&self) -> f64 {
        ratio(self.found, self.found + self.spurious)
    }

    /// Share of all titles that are gold headers.
    pub fn strict_precision(&self) -> f64 {
        ratio(self.found, self.found + self.spurious + self.left_out)
    }

    fn add(&mut self, note: &str, gold: &[usize], placeholders: &[Span]) {
        let Ok(split) = split_note(note, SplitOptions::default()) else { return };
        let titles: HashSet<usize> = split.sections.iter().filter_map(|section| section.title).map(|title| title.start).collect();
        let known: HashSet<usize> = gold.iter().copied().collect();
        let first = gold.iter().min().copied().unwrap_or(0);
        let (left_out, spurious): (Vec<usize>, Vec<usize>) = titles.difference(&known).partition(|&&start| start < first);
        let sentences = || split.sentences.iter().map(|sentence| sentence.span);
        let whole = |span: &&Span| {
            split.placeholders.contains(span)
                && sentences().any(|sentence| sentence.start <= span.start && span.end <= sentence.end)
        };
        self.notes += 1;
        self.gold += known.len();
        self.found += titles.intersection(&known).count();
        self.spurious += spurious.len();
        self.left_out += left_out.len();
        self.placeholders += placeholders.len();
        self.placeholders_cut += placeholders.iter().filter(|span| !whole(span)).count();
    }
}

/// One row for each set that is there.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The rows.
    pub rows: Vec<Row>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| set | notes | headers | recall | precision | strict precision | placeholders | cut |")?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|---:|")?;
        for row in &self.rows {
            let (recall, precision, strict) = (row.recall(), row.precision(), row.strict_precision());
            writeln!(
                f,
                "| {} | {} | {} | {recall:.4} | {precision:.4} | {strict:.4} | {} | {} |",
                row.set, row.notes, row.gold, row.placeholders, row.placeholders_cut
            )?;
        }
        Ok(())
    }
}

/// Measures the default splitter on every set that lies beside the checkout.
pub fn report() -> Report {
    let sets: [fn() -> Option<Result<Row>>; 3] = [synthetic_noteevents, aci_bench, mts_dialog];
    Report { rows: sets.iter().filter_map(|set| set()).filter_map(Result::ok).collect() }
}

fn synthetic_noteevents() -> Option<Result<Row>> {
    #[derive(Deserialize)]
    struct Header {
        header_start: usize,
    }
    #[derive(Deserialize)]
    struct Gold {
        sections: Vec<Header>,
        placeholders: Vec<(usize, usize)>,
    }
    let folder = reference("data/synthetic-noteevents")?;
    let read = || {
        let mut row = Row { set: "synthetic-noteevents", ..Row::default() };
        let gold = unzip(&folder.join("gold-dev.jsonl.gz"))?;
        let notes = column(&folder.join("NOTEEVENTS-dev.csv.gz"), &["TEXT"])?;
        for (line, note) in gold.lines().zip(notes) {
            let gold: Gold = serde_json::from_str(line)?;
            let note = note.concat();
            // The gold counts code points; a span counts bytes.
            let bytes: Vec<usize> = note.char_indices().map(|(at, _)| at).chain([note.len()]).collect();
            let byte = |point: usize| bytes.get(point).copied().unwrap_or(note.len());
            let headers: Vec<usize> = gold.sections.iter().map(|header| byte(header.header_start)).collect();
            let placeholders: Vec<Span> = gold.placeholders.iter().map(|&(from, to)| Span::new(byte(from), byte(to))).collect();
            row.add(&note, &headers, &placeholders);
        }
        Ok(row)
    };
    Some(read())
}

/// ACI-BENCH's headers are lines of their own in capitals (a colon may follow); the set has no offsets.
fn aci_bench() -> Option<Result<Row>> {
    let folder = reference("data/aci-bench")?;
    let read = || {
        let mut row = Row { set: "aci-bench", ..Row::default() };
        for file in ["train.csv.gz", "valid.csv.gz", "clinicalnlp_taskB_test1.csv.gz"] {
            for note in column(&folder.join(file), &["note"])? {
                let note = note.concat();
                let mut at = 0;
                let mut headers = Vec::new();
                for line in note.split('\n') {
                    let text = line.trim().trim_end_matches(':');
                    let in_capitals = text.contains(char::is_alphabetic) && !text.contains(char::is_lowercase);
                    if in_capitals && text.chars().all(|c| c.is_alphabetic() || c == ' ') {
                        headers.push(at + (line.len() - line.trim_start().len()));
                    }
                    at += line.len() + 1;
                }
                row.add(&note, &headers, &[]);
            }
        }
        Ok(row)
    };
    Some(read())
}

/// MTS-Dialog has one section a row, header apart: five rows make a note here, each header (`GENHX`, `FAM/SOCHX`, …) on a line
/// of its own above its text.
fn mts_dialog() -> Option<Result<Row>> {
    let folder = reference("data/mts-dialog")?;
    let read = || {
        let mut row = Row { set: "mts-dialog", ..Row::default() };
        for file in ["MTS-Dialog-TrainingSet-dev.csv.gz", "MTS-Dialog-ValidationSet-dev.csv.gz"] {
            let sections = column(&folder.join(file), &["section_header", "section_text"])?;
            for (number, five) in sections.chunks(5).enumerate() {
                let colon = if number % 2 == 0 { "" } else { ":" };
                let mut note = String::new();
                let mut headers = Vec::new();
                for section in five {
                    headers.push(note.len());
                    note.push_str(&section.join(&format!("{colon}\n")));
                    note.push_str("\n\n");
                }
                row.add(&note, &headers, &[]);
            }
        }
        Ok(row)
    };
    Some(read())
}

fn unzip(path: &Path) -> Result<String> {
    let mut text = String::new();
    GzDecoder::new(File::open(path)?).read_to_string(&mut text)?;
    Ok(text)
}

/// The named columns of a gzipped CSV file.
fn column(path: &Path, names: &[&str]) -> Result<Vec<Vec<String>>> {
    let mut reader = csv::Reader::from_reader(GzDecoder::new(File::open(path)?));
    let header = reader.headers()?.clone();
    let places: Vec<usize> = names.iter().filter_map(|name| header.iter().position(|field| field == *name)).collect();
    reader
        .records()
        .map(|record| {
            let record = record?;
            Ok(places.iter().map(|&place| record.get(place).unwrap_or("").to_owned()).collect())
        })
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}
