//! What starting takes long to find out and comes out the same next time: compiled kernels, chosen algorithms. In the user's cache folder,
//! `clinicalbert/` in `$XDG_CACHE_HOME` or `~/.cache`. Whatever fails here only costs the time once more.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::whole_file::write_file;

/// The bytes that were kept under this name.
pub fn read(name: &str) -> Option<Vec<u8>> {
    fs::read(folder()?.join(name)).ok()
}

/// Keeps bytes; whether that worked.
pub fn write(name: &str, bytes: &[u8]) -> bool {
    let Some(folder) = folder() else { return false };
    fs::create_dir_all(&folder).is_ok() && write_file(&folder.join(name), |file| Ok(file.write_all(bytes)?)).is_ok()
}

fn folder() -> Option<PathBuf> {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")))?;
    Some(caches.join("clinicalbert"))
}
