//! Text of one sentence a line, read as Google's `create_pretraining_data.py` reads it: files flow into each other, only blank lines
//! end a document.

use std::io::{BufRead, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, Result, ensure};

use crate::notes::open_decoded;

/// Lines handed to a worker at once, in bytes.
const BATCH_BYTES: usize = 256 << 10;
/// Longest line, in bytes; as with notes, a file of another kind must not fill the memory.
const LONGEST_LINE: u64 = 128 << 20;

/// Whole lines in batches; no batch holds lines of two files.
pub struct LineBatches {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<(PathBuf, Box<dyn BufRead + Send>)>,
    counter: Arc<AtomicU64>,
}

impl LineBatches {
    /// Opens the first file, so that a wrong name is an error at once.
    ///
    /// # Errors
    /// A file is missing, empty or a folder.
    pub fn new(files: Vec<PathBuf>, counter: Arc<AtomicU64>) -> Result<Self> {
        ensure!(!files.is_empty(), "no text is given; name the files with --sentences");
        let mut batches = Self { files: files.into_iter(), current: None, counter };
        batches.open_next()?;
        Ok(batches)
    }

    fn open_next(&mut self) -> Result<()> {
        self.current = match self.files.next() {
            Some(path) => Some((path.clone(), open_decoded(&path, Arc::clone(&self.counter))?)),
            None => None,
        };
        Ok(())
    }

    fn batch(&mut self) -> Result<Option<Vec<u8>>> {
        while let Some((path, file)) = &mut self.current {
            let mut batch = Vec::new();
            let place = || format!("cannot read {}", path.display());
            while batch.len() < BATCH_BYTES {
                let read = file.take(LONGEST_LINE).read_until(b'\n', &mut batch).with_context(place)?;
                ensure!((read as u64) < LONGEST_LINE, "{} has a line of more than {} MiB", path.display(), LONGEST_LINE >> 20);
                if read == 0 {
                    break;
                }
            }
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
            self.open_next()?;
        }
        Ok(None)
    }
}

impl Iterator for LineBatches {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}
