//! The folder of a run and what lies where in it.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{checkpoint, settings::Settings};
use crate::whole_file;

/// What may lie in the folder before the run begins: notes that are being prepared for it.
const PREPARED: [&str; 4] = ["data", ".data.partial", "vocab.txt", "notes.csv.gz"];

/// An open run folder; nobody else trains in it as long as this lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// Begins a run: writes `run.toml` into a folder that is new or empty.
    ///
    /// # Errors
    /// The folder holds something already, or cannot be written.
    pub fn create(path: &Path, settings: &Settings) -> Result<Self> {
        check_free(path)?;
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        let text = format!(
            "# Settings of this run, as merged. They can be given to another one: native train --config run.toml --out …\n\n{}",
            toml::to_string(settings)?
        );
        whole_file::write_file(&settings_file(path), |file| Ok(file.write_all(text.as_bytes())?))?;
        Self::open(path)
    }

    /// Opens the folder of a run that was begun.
    ///
    /// # Errors
    /// There is no run, or another process trains in it.
    pub fn open(path: &Path) -> Result<Self> {
        let file = settings_file(path);
        ensure!(
            file.is_file(),
            "{} holds no run to resume: expected run.toml in it; leave out --resume to begin one",
            path.display()
        );
        let lock = File::open(&file).with_context(|| format!("cannot open {}", file.display()))?;
        match lock.try_lock() {
            Ok(()) => {
                let folder = Self { path: path.to_owned(), _lock: lock };
                whole_file::remove_unfinished(&folder.path)?;
                whole_file::remove_unfinished(&folder.checkpoints())?;
                Ok(folder)
            }
            Err(TryLockError::WouldBlock) => bail!("another process is training in {}: wait for it or stop it", path.display()),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", file.display())),
        }
    }

    /// The folder itself: `metrics.jsonl` and TensorBoard's events are in it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where checkpoints are.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Curves and settings for a reader.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The model at the end.
    pub fn model(&self) -> PathBuf {
        self.path.join("model")
    }
}

/// The merged settings of the run in this folder.
pub fn settings_file(path: &Path) -> PathBuf {
    path.join("run.toml")
}

/// Checks that a run can begin in this folder.
///
/// # Errors
/// It holds a run, or anything else.
pub fn check_free(path: &Path) -> Result<()> {
    if settings_file(path).exists() {
        let newest = checkpoint::list(&path.join("checkpoints"))?.last().map_or(0, |(step, _)| *step);
        bail!(
            "{} already holds a run (last checkpoint: step {newest}): add --resume to go on with it, or choose another --out",
            path.display()
        );
    }
    ensure!(!path.is_file(), "--out {} is a file: choose a folder", path.display());
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
            let name = entry?.file_name();
            let ours = PREPARED.iter().any(|prepared| name == *prepared);
            ensure!(ours, "{} is not empty and holds no run: choose another --out", path.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_in_an_empty_folder_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("deep/run");
        let run = RunFolder::create(&path, &Settings::default()).unwrap();
        let error = |path: &Path| RunFolder::create(path, &Settings::default()).unwrap_err().to_string();
        assert!(error(&path).contains("already holds a run (last checkpoint: step 0): add --resume"));
        assert!(error(parent.path()).contains("is not empty"));
        assert!(error(&settings_file(&path)).contains("is a file"));
        assert!(RunFolder::open(&path).unwrap_err().to_string().contains("another process"));
        drop(run);
        RunFolder::open(&path).unwrap();
        assert!(RunFolder::open(parent.path()).unwrap_err().to_string().contains("holds no run"));
    }
}
