//! A large file that is written once and not read soon.
//!
//! Written the plain way, tens of gigabytes of examples would push everything else out of the system's file cache, and wait there for the
//! disk until the end. Here a second thread brings each block to the disk while the next one is written, and then drops it from the cache.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

use super::store::{Appended, cannot_write};

/// Bytes of a block: a tenth of a second for a disk of today.
const BLOCK: u64 = 64 << 20;

/// A new file.
pub struct Streamed {
    path: PathBuf,
    file: Appended,
    /// Bytes that are on the disk or on their way.
    sent: u64,
    sending: Option<JoinHandle<io::Result<()>>>,
}

impl Streamed {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn create(path: PathBuf) -> Result<Self> {
        Ok(Self { file: Appended::open(path.clone(), 0)?, path, sent: 0, sending: None })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The disk refuses these bytes or earlier ones.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write(bytes)?;
        if self.file.length() - self.sent < BLOCK {
            return Ok(());
        }
        self.wait()?;
        let (start, end, file) = (self.sent, self.file.length(), self.file.flushed()?);
        self.sent = end;
        self.sending = Some(thread::spawn(move || {
            file.sync_data()?;
            drop_from_cache(&file, start, end);
            Ok(())
        }));
        Ok(())
    }

    /// Brings everything to the disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> Result<()> {
        self.wait()?;
        self.file.sync().map(|_| ())
    }

    fn wait(&mut self) -> Result<()> {
        let Some(sending) = self.sending.take() else { return Ok(()) };
        let outcome = sending.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes to the disk failed")));
        outcome.with_context(|| cannot_write(&self.path))
    }
}

/// Advice only: where it is not taken nothing is lost but memory.
#[cfg(target_os = "linux")]
fn drop_from_cache(file: &File, start: u64, end: u64) {
    let length = std::num::NonZeroU64::new(end - start);
    let _ = rustix::fs::fadvise(file, start, length, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn drop_from_cache(_file: &File, _start: u64, _end: u64) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_out_whole_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = Streamed::create(path.clone()).unwrap();
        let piece: Vec<u8> = (0..1_000_003_u32).map(|place| place as u8).collect();
        let pieces = 3 * BLOCK as usize / piece.len();
        for _ in 0..pieces {
            file.write(&piece).unwrap();
        }
        file.finish().unwrap();
        let written = std::fs::read(&path).unwrap();
        assert_eq!(written.len(), pieces * piece.len());
        assert!(written.chunks(piece.len()).all(|chunk| chunk == piece));
    }
}
