//! Reading a file at any place, on any system.

use std::fs::File;

/// Fills `buffer` from byte `offset` on, without moving any cursor.
///
/// # Errors
/// The file ends before, or the disk refuses.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset);
    #[cfg(not(unix))]
    {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = file;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buffer)
    }
}
