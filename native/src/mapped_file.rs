//! A file as memory, so that data of any size costs no more memory than the part in use.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use memmap2::Mmap;

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
