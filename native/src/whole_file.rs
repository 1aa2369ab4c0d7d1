//! Files and folders that are written whole or not at all: a temporary name beside the target, synced, then renamed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Writes a file through `write`; the name appears only once every byte is on disk.
///
/// # Errors
/// What `write` returned, or why the disk refused; the target is then as it was before.
pub fn write_file(target: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let temporary = temporary_name(target);
    let result = File::create(&temporary)
        .with_context(|| format!("cannot create {}", temporary.display()))
        .and_then(|file| {
            let mut writer = BufWriter::with_capacity(1 << 20, file);
            write(&mut writer)?;
            writer.flush()?;
            writer.get_ref().sync_all()?;
            Ok(())
        })
        .and_then(|()| publish(&temporary, target));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result.with_context(|| format!("cannot write {}", target.display()))
}

/// Fills a folder through `fill`, which gets a temporary folder beside `target`; the name appears once everything is on disk.
/// Files written inside must be synced by `fill` (as [`write_file`] does).
///
/// # Errors
/// What `fill` returned, or why the disk refused; the target is then as it was before.
pub fn write_folder(target: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let temporary = temporary_name(target);
    let _ = fs::remove_dir_all(&temporary);
    let result = fs::create_dir_all(&temporary)
        .with_context(|| format!("cannot create {}", temporary.display()))
        .and_then(|()| fill(&temporary))
        .and_then(|()| {
            File::open(&temporary)?.sync_all()?;
            publish(&temporary, target)
        });
    if result.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    result.with_context(|| format!("cannot write {}", target.display()))
}

fn temporary_name(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Removes what a killed process had begun to write into `folder` and nobody will finish. Only for folders in which nobody else writes.
///
/// # Errors
/// The disk refused.
pub fn remove_unfinished(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let process = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")?.rsplit_once('.'));
        if process.is_some_and(|(_, process)| process.parse::<u32>().is_ok()) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn publish(temporary: &Path, target: &Path) -> Result<()> {
    fs::rename(temporary, target)?;
    // The rename itself is durable once the folder that holds the name is synced.
    if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        fs::create_dir(temporary_name(&target)).unwrap();
        fs::write(temporary_name(&folder.path().join("run.toml")), "half").unwrap();
        for mine in [".notes.tmp", "model.7.tmp", ".cache"] {
            fs::write(folder.path().join(mine), "mine").unwrap();
        }
        remove_unfinished(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        remove_unfinished(&target).unwrap();
    }
}
