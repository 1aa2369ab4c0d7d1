//! `native sample`: invented notes to try everything on.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::Answer;
use crate::cli::Common;
use crate::synthetic::{synthetic_notes, write_csv};
use crate::whole_file::write_file;

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Number of notes
    #[arg(long, short, default_value_t = 1000, value_name = "N")]
    notes: usize,
    /// File to write, gzip if it ends in .gz
    #[arg(long, short, default_value = "notes.csv.gz", value_name = "FILE")]
    out: PathBuf,
    /// The same seed gives the same notes
    #[arg(long, default_value_t = 12345)]
    seed: u64,
    /// Share of identifiers written in the clear (invented ones) instead of as [** … **] placeholders; a list of them goes to FILE.identifiers.jsonl
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    plant_identifiers: f64,
}

/// Writes the notes.
///
/// # Errors
/// The output exists already or cannot be written.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    let Arguments { notes, out, seed, plant_identifiers } = arguments;
    if out.exists() {
        bail!("{} exists already: choose another --out, or remove it", out.display());
    }
    if !(0.0..=1.0).contains(plant_identifiers) {
        bail!("--plant-identifiers must be between 0 and 1, found {plant_identifiers}");
    }
    if *plant_identifiers > 0.0 {
        let mut list = out.clone().into_os_string();
        list.push(".identifiers.jsonl");
        write_file(list.as_ref(), |file| {
            for note in synthetic_notes(*seed, *plant_identifiers).take(*notes) {
                let row = serde_json::json!({ "ROW_ID": note.row, "identifiers": note.planted });
                writeln!(file, "{row}")?;
            }
            Ok(())
        })?;
    }
    write_csv(out, synthetic_notes(*seed, *plant_identifiers).take(*notes))?;
    if common.json {
        println!("{}", serde_json::json!({ "notes": notes, "out": out, "seed": seed }));
    } else if !common.quiet {
        eprintln!("{notes} invented notes in {}", out.display());
        eprintln!(
            "next: native vocab --notes {0} --out vocab.txt, then native prepare --notes {0} --vocab vocab.txt --out prepared",
            out.display()
        );
    }
    Ok(Answer::Yes)
}
