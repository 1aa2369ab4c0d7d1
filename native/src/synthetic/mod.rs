//! Invented notes in the shape of MIMIC-III's `NOTEEVENTS.csv`, so that everything can be tried without credentialed data.
//!
//! The same seed gives the same bytes. Nothing here is from a real note: see [`conditions`].

mod conditions;
mod notes;
mod patient;
mod template;

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::whole_file::write_file;
use notes::Kind;
use patient::Patient;
use template::Writer;

pub use template::Identifier;

/// Header of MIMIC-III v1.4's `NOTEEVENTS.csv`.
const HEADER: &str =
    r#""ROW_ID","SUBJECT_ID","HADM_ID","CHARTDATE","CHARTTIME","STORETIME","CATEGORY","DESCRIPTION","CGID","ISERROR","TEXT""#;

/// One invented note.
pub struct SyntheticNote {
    /// `ROW_ID`, from 1.
    pub row: usize,
    /// The text, `TEXT`.
    pub text: String,
    /// Identifiers that stand in the text in the clear.
    pub planted: Vec<Identifier>,
    category: &'static str,
    description: &'static str,
    subject: u32,
    date: String,
    is_error: bool,
}

/// Notes without end; `plant` is the share of identifiers that are written in the clear rather than as placeholders.
pub fn synthetic_notes(seed: u64, plant: f64) -> impl Iterator<Item = SyntheticNote> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut pending: Vec<(std::rc::Rc<Patient>, Kind)> = Vec::new();
    (1..).map(move |row| {
        if pending.is_empty() {
            // A stay: a few notes about one patient, the discharge summary last.
            let patient = std::rc::Rc::new(Patient::invent(&mut random));
            pending.push((patient.clone(), Kind::Discharge));
            for _ in 0..random.usize(1..=5) {
                let kind = random.choice(Kind::ALL.get(1..).unwrap_or_default()).copied().unwrap_or(Kind::Nursing);
                pending.push((patient.clone(), kind));
            }
        }
        let (patient, kind) = pending.pop().unwrap_or_else(|| (std::rc::Rc::new(Patient::invent(&mut random)), Kind::Nursing));
        let mut writer = Writer::new(&patient, plant, &mut random);
        kind.write(&mut writer, &patient);
        let (text, planted) = (writer.text, writer.planted);
        let (category, description) = kind.names();
        // MIMIC-III marks fewer than one note in a thousand as an error; here it is one in two hundred, so that small samples have some.
        let is_error = random.usize(..200) == 0;
        let date = format!("{}-{:02}-{:02}", patient.year, patient.month, patient.day);
        SyntheticNote { row, text, planted, category, description, subject: patient.subject, date, is_error }
    })
}

/// Writes `notes` notes as CSV, gzip if the name ends in `.gz`; whole or not at all.
///
/// # Errors
/// Why the file cannot be written.
pub fn write_notes(out: &Path, notes: usize, seed: u64) -> Result<()> {
    write_csv(out, synthetic_notes(seed, 0.0).take(notes))
}

/// Writes given notes as CSV, gzip if the name ends in `.gz`; whole or not at all.
///
/// # Errors
/// Why the file cannot be written.
pub fn write_csv(out: &Path, notes: impl Iterator<Item = SyntheticNote>) -> Result<()> {
    write_file(out, |file| {
        if out.extension().is_some_and(|extension| extension == "gz") {
            let mut gzip = GzEncoder::new(file, Compression::default());
            write_rows(&mut gzip, notes)?;
            gzip.finish()?;
        } else {
            write_rows(file, notes)?;
        }
        Ok(())
    })
}

/// Rows as MIMIC writes them: numbers bare, strings quoted with doubled quotes, empty fields empty.
fn write_rows(to: &mut impl Write, notes: impl Iterator<Item = SyntheticNote>) -> Result<()> {
    writeln!(to, "{HEADER}")?;
    for note in notes {
        let error = if note.is_error { "1" } else { "" };
        let (date, text) = (&note.date, note.text.replace('"', "\"\""));
        writeln!(
            to,
            r#"{},{},{},"{date}",,,"{}","{}",,{error},"{text}""#,
            note.row,
            note.subject,
            100_000 + note.subject,
            note.category,
            note.description
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let bytes = |seed| {
            let mut written = Vec::new();
            write_rows(&mut written, synthetic_notes(seed, 0.0).take(50)).unwrap();
            written
        };
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
    }

    #[test]
    fn every_kind_of_note_appears_and_none_is_empty() {
        let notes: Vec<_> = synthetic_notes(1, 0.0).take(200).collect();
        for kind in Kind::ALL {
            assert!(notes.iter().any(|note| note.category == kind.names().0), "{kind:?}");
        }
        assert!(notes.iter().all(|note| !note.text.trim().is_empty()));
        assert!(notes.iter().all(|note| note.planted.is_empty() && !note.text.contains('{')));
    }

    #[test]
    fn planted_identifiers_are_listed_with_their_place() {
        let notes: Vec<_> = synthetic_notes(1, 1.0).take(100).collect();
        assert!(notes.iter().map(|note| note.planted.len()).sum::<usize>() > 100);
        assert!(notes.iter().all(|note| !note.text.contains("[**")));
    }
}
