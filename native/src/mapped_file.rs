//! A file as memory, so that data of any size costs no more memory than the part in use.

use std::fs::{File, OpenOptions};
use std::path::Path;

use anyhow::{Context, Result};
use memmap2::{Mmap, MmapMut};

/// Maps a file that nobody changes while it is mapped.
///
/// # Errors
/// The file is missing, empty or cannot be mapped.
#[allow(unsafe_code, reason = "mapping a file is unsafe by nature: see SAFETY")]
pub fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    // SAFETY: undefined only if the file shrinks or changes meanwhile. Callers map files of folders that they hold a lock on,
    // finished results, which are renamed into place whole and never written again, or weights, which nobody edits in place.
    unsafe { Mmap::map(&file) }.with_context(|| format!("cannot map {}", path.display()))
}

/// Makes a file of so many zero bytes and maps it for writing. Its length must not be 0.
///
/// # Errors
/// The disk refuses, or the file cannot be mapped.
#[allow(unsafe_code, reason = "mapping a file is unsafe by nature: see SAFETY")]
pub fn create(path: &Path, bytes: u64) -> Result<MmapMut> {
    let create = || {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        file.set_len(bytes)?;
        // Touching a page that the disk has no room for would kill the process; a full disk is to be told here.
        allocate(&file, bytes)?;
        // SAFETY: as in `map`; the file is new and lies in a folder that the caller holds a lock on.
        unsafe { MmapMut::map_mut(&file) }
    };
    create().with_context(|| format!("cannot write {} (free some space or choose another --out)", path.display()))
}

/// Writes zeros, so that the disk has set aside every page of the file.
fn allocate(mut file: &File, bytes: u64) -> std::io::Result<()> {
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), bytes), &mut file).map(|_| ())
}
