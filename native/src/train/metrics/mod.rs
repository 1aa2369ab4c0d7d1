//! `metrics.jsonl`, one row a logged step, and the same figures as TensorBoard has them.

mod events;
mod rows;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::whole_file;
use events::Events;
pub use rows::{EvalRow, FileRecords, LeftOutRow, TrainRow};

/// Name of the file in a run's folder.
pub const FILE: &str = "metrics.jsonl";

/// All rows of the run in `folder`.
///
/// # Errors
/// The file is missing or damaged.
pub fn read(folder: &Path) -> Result<Vec<Value>> {
    let path = folder.join(FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("{} is damaged", path.display()))).collect()
}

/// The open files.
#[derive(Debug)]
pub struct Metrics {
    file: File,
    /// Bytes of whole rows.
    length: u64,
    events: Events,
}

impl Metrics {
    /// Opens the files of a run of which `steps` updates stand, or of one that has not begun. Rows of later updates, written before a
    /// crash or before the run went back, are cut off.
    ///
    /// # Errors
    /// Why the files cannot be read or written.
    pub fn open(folder: &Path, steps: Option<u64>) -> Result<Self> {
        #[derive(Deserialize)]
        struct Row {
            step: u64,
        }
        let path = folder.join(FILE);
        let context = || format!("cannot write {}", path.display());
        if path.exists() {
            let rows = BufReader::new(File::open(&path).with_context(context)?).lines();
            whole_file::write_file(&path, |file| {
                for row in rows {
                    // A row that a crash left half-written is no JSON; it and what follows go.
                    let Ok(row) = row else { break };
                    match serde_json::from_str::<Row>(&row) {
                        Ok(Row { step }) if steps.is_some_and(|steps| step <= steps) => writeln!(file, "{row}")?,
                        _ => break,
                    }
                }
                Ok(())
            })?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).with_context(context)?;
        let length = file.metadata().with_context(context)?.len();
        Ok(Self { file, length, events: Events::create(folder, steps.map_or(0, |steps| steps + 1))? })
    }

    /// Appends a row whole or not at all.
    ///
    /// # Errors
    /// The disk refused.
    pub fn write(&mut self, row: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        // Before the line, whose success is this function's: an event that comes twice is drawn as one point.
        self.events.write(&serde_json::from_slice(&line)?)?;
        if let Err(error) = self.file.write_all(&line) {
            // What a full disk took of the line must not stand before the next attempt.
            self.file.set_len(self.length)?;
            return Err(error).with_context(|| format!("cannot write {FILE}"));
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// Returns once all rows are on disk, which they must be before a checkpoint of their step is.
    ///
    /// # Errors
    /// The disk refused.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().with_context(|| format!("cannot write {FILE}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_after_the_checkpoint_and_half_rows_are_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let rows = |last: &str| format!("{{\"step\":0,\"split\":\"eval\"}}\n{{\"step\":1,\"loss\":2.5}}\n{last}");
        std::fs::write(&path, rows("{\"step\":3}\n{\"st")).unwrap();
        let mut metrics = Metrics::open(folder.path(), Some(2)).unwrap();
        metrics.write(&serde_json::json!({"step": 3})).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), rows("{\"step\":3}\n"));
        Metrics::open(folder.path(), Some(0)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"step\":0,\"split\":\"eval\"}\n");
        Metrics::open(folder.path(), None).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "", "a run that begins anew evaluates step 0 again");
    }
}
