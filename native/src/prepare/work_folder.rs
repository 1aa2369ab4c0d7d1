//! The folder beside the output in which a preparation works. It survives a kill, so that the same command goes on in it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Output;

/// A work folder that this process alone uses.
pub struct WorkFolder {
    path: PathBuf,
    _lock: File,
}

impl WorkFolder {
    /// Whether a preparation with this fingerprint was interrupted.
    pub fn waits(output: &Path, fingerprint: &str) -> bool {
        path_beside(output).is_ok_and(|path| fs::read_to_string(path.join("fingerprint")).is_ok_and(|found| found == fingerprint))
    }

    /// Opens `.<name of the output>.partial` beside the output; what another preparation left in it is dropped.
    ///
    /// # Errors
    /// The place cannot be written to, or another process is working there.
    pub fn open(output: &Path, fingerprint: &str) -> Result<Self> {
        let path = path_beside(output)?;
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}; choose another --out", path.display()))?;
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).with_context(|| format!("cannot create {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another process is preparing {}: wait for it, or stop it", output.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {}", lock_path.display())),
        }
        let note = path.join("fingerprint");
        if fs::read_to_string(&note).ok().as_deref() != Some(fingerprint) {
            for entry in fs::read_dir(&path)? {
                let entry = entry?.path();
                if entry.is_dir() {
                    fs::remove_dir_all(&entry)?;
                } else if entry != lock_path {
                    fs::remove_file(&entry)?;
                }
            }
            crate::whole_file::write_file(&note, |file| Ok(std::io::Write::write_all(file, fingerprint.as_bytes())?))?;
        }
        Ok(Self { path, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What becomes the output.
    pub fn result(&self) -> PathBuf {
        self.path.join("result")
    }

    /// Puts the finished result in its place and removes the rest.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn publish(&self, out: &Output) -> Result<()> {
        let result = self.result();
        let rename = |from: &Path, to: &Path| fs::rename(from, to).with_context(|| format!("cannot write {}", to.display()));
        match out {
            Output::Folder(folder) => {
                File::open(&result)?.sync_all()?;
                rename(&result, folder)?;
            }
            Output::Files(files) => {
                for (number, file) in files.iter().enumerate() {
                    rename(&result.join(super::shards::file_name(number, files.len())), file)?;
                }
            }
        }
        if let Some(parent) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        self.remove();
        Ok(())
    }

    /// Removes the folder; what cannot be removed stays.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn path_beside(output: &Path) -> Result<PathBuf> {
    let name = output.file_name().with_context(|| format!("{} is no name for an output", output.display()))?;
    Ok(output.with_file_name(format!(".{}.partial", name.to_string_lossy())))
}
