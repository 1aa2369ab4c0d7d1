//! Token ids of a whole corpus on disk: two bytes an id (four for a large vocabulary), mapped into memory when read.
//!
//! Three files: `tokens` (ids of all sentences one after another), `sentences` and `documents` (`u64` offsets, first 0, as
//! [`clinicalbert_core::examples::corpus::Corpus`] wants them). They live only while a preparation runs, so numbers are in the machine's order.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use bytemuck::Pod;
use clinicalbert_core::examples::corpus::{Corpus, TokenId};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use crate::mapped_file;

/// How much a store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Tokens of all sentences.
    pub tokens: u64,
    /// Sentences.
    pub sentences: u64,
    /// Documents that have ended.
    pub documents: u64,
    /// Sentences of ended documents.
    ended: u64,
}

/// A store being written.
pub struct StoreWriter {
    tokens: Appended,
    sentences: Appended,
    documents: Appended,
    extent: Extent,
}

impl StoreWriter {
    /// Goes on in `folder` after `extent` (nothing, for a new store); whatever was written after it is dropped.
    ///
    /// # Errors
    /// The disk refuses, or the files hold less than `extent`.
    pub fn open(folder: &Path, id_bytes: usize, extent: Extent) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let offsets = |name: &str, count: u64| -> Result<Appended> {
            let mut file = Appended::open(folder.join(name), if extent == Extent::default() { 0 } else { 8 * (count + 1) })?;
            if extent == Extent::default() {
                file.write(&0u64.to_ne_bytes())?;
            }
            Ok(file)
        };
        Ok(Self {
            tokens: Appended::open(folder.join("tokens"), extent.tokens * id_bytes as u64)?,
            sentences: offsets("sentences", extent.sentences)?,
            documents: offsets("documents", extent.documents)?,
            extent,
        })
    }

    /// Adds a sentence of `count` ids in the machine's byte order; an empty one is passed over.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn push_sentence(&mut self, ids: &[u8], count: u64) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.tokens.write(ids)?;
        self.extent.tokens += count;
        self.extent.sentences += 1;
        self.sentences.write(&self.extent.tokens.to_ne_bytes())
    }

    /// Ends the open document; an empty one is passed over.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn end_document(&mut self) -> Result<()> {
        if self.extent.ended == self.extent.sentences {
            return Ok(());
        }
        self.extent.ended = self.extent.sentences;
        self.extent.documents += 1;
        self.documents.write(&self.extent.sentences.to_ne_bytes())
    }

    /// Brings everything to the disk; a later [`StoreWriter::open`] can go on from the extent returned.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&mut self) -> Result<Extent> {
        for file in [&mut self.tokens, &mut self.sentences, &mut self.documents] {
            file.sync()?;
        }
        Ok(self.extent)
    }
}

/// A file that grows, with its name for messages.
pub struct Appended {
    path: PathBuf,
    file: BufWriter<File>,
    length: u64,
}

impl Appended {
    /// Opens a file for writing from byte `length` on; what it holds after that is dropped.
    ///
    /// # Errors
    /// The disk refuses, or the file is shorter.
    pub fn open(path: PathBuf, length: u64) -> Result<Self> {
        let open = || -> std::io::Result<File> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            if file.metadata()?.len() < length {
                return Err(std::io::Error::other("it is shorter than recorded; delete the folder it lies in and start again"));
            }
            file.set_len(length)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, file: BufWriter::with_capacity(1 << 20, file), length })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.length += bytes.len() as u64;
        self.file.write_all(bytes).with_context(|| cannot_write(&self.path))
    }

    /// Bytes of the file.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Another handle on the file, after handing the system everything that was written.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn flushed(&mut self) -> Result<File> {
        self.file.flush().and_then(|()| self.file.get_ref().try_clone()).with_context(|| cannot_write(&self.path))
    }

    /// Brings everything to the disk and says how many bytes there are.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&mut self) -> Result<u64> {
        self.file.flush().and_then(|()| self.file.get_ref().sync_data()).with_context(|| cannot_write(&self.path))?;
        Ok(self.length)
    }
}

/// The system's own message (such as "No space left on device") follows.
pub fn cannot_write(path: &Path) -> String {
    format!("cannot write {} (free some space or choose another --out)", path.display())
}

/// A finished store.
pub struct Store {
    tokens: Mmap,
    sentences: Mmap,
    documents: Mmap,
}

impl Store {
    /// Maps the store in `folder`.
    ///
    /// # Errors
    /// A file is missing or empty.
    pub fn open(folder: &Path) -> Result<Self> {
        let map = |name: &str| mapped_file::map(&folder.join(name));
        Ok(Self { tokens: map("tokens")?, sentences: map("sentences")?, documents: map("documents")? })
    }

    /// Its documents, with ids of the width they were written in.
    ///
    /// # Errors
    /// The files do not fit each other.
    pub fn corpus<Id: TokenId + Pod>(&self) -> Result<Corpus<'_, Id>> {
        Ok(Corpus::new(numbers(&self.tokens)?, numbers(&self.sentences)?, numbers(&self.documents)?)?)
    }
}

/// The bytes of a mapped file as numbers in the machine's order.
///
/// # Errors
/// The file does not hold a whole number of them.
pub fn numbers<T: Pod>(bytes: &[u8]) -> Result<&[T]> {
    bytemuck::try_cast_slice(bytes).map_err(|error| anyhow!("a temporary file was damaged ({error}); delete it and start again"))
}

/// The same, to be written to.
///
/// # Errors
/// The file does not hold a whole number of them.
pub fn numbers_mut<T: Pod>(bytes: &mut [u8]) -> Result<&mut [T]> {
    bytemuck::try_cast_slice_mut(bytes)
        .map_err(|error| anyhow!("a temporary file was damaged ({error}); delete it and start again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u16]) -> &[u8] {
        bytemuck::cast_slice(ids)
    }

    #[test]
    fn a_store_goes_on_after_what_was_synced_and_drops_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = StoreWriter::open(folder.path(), 2, Extent::default()).unwrap();
        writer.push_sentence(ids(&[1, 2]), 2).unwrap();
        writer.end_document().unwrap();
        writer.push_sentence(ids(&[3]), 1).unwrap();
        let extent = writer.sync().unwrap();
        writer.push_sentence(ids(&[9, 9]), 2).unwrap();
        writer.sync().unwrap();

        let mut writer = StoreWriter::open(folder.path(), 2, extent).unwrap();
        writer.push_sentence(ids(&[]), 0).unwrap();
        writer.push_sentence(ids(&[4, 5]), 2).unwrap();
        writer.end_document().unwrap();
        writer.end_document().unwrap();
        writer.sync().unwrap();

        let store = Store::open(folder.path()).unwrap();
        assert_eq!(numbers::<u16>(&store.tokens).unwrap(), [1, 2, 3, 4, 5]);
        assert_eq!(numbers::<u64>(&store.sentences).unwrap(), [0, 2, 3, 5]);
        assert_eq!(numbers::<u64>(&store.documents).unwrap(), [0, 1, 3]);
        assert_eq!(store.corpus::<u16>().unwrap().document_count(), 2);
    }
}
