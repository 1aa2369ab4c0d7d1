//! The sorted table of keys and values in a `.index` file: LevelDB's format, as `tensorflow/core/lib/io/table` has it.
//!
//! Blocks of entries whose keys share prefixes, each block with a type byte and a masked CRC-32C; a block of handles to them; a
//! footer of 48 bytes.

use std::borrow::Cow;

use crate::{
    Error, Result,
    checksum::{agrees, masked_crc32c},
    weights::cursor::Cursor,
};

/// Last eight bytes of every table, `0xdb4775248b80fb57` little-endian.
pub(in crate::weights) const MAGIC: [u8; 8] = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];

/// Two handles padded to 40 bytes, and the magic number.
pub(super) const FOOTER: usize = 48;

/// Most entries that are read; BERT-large with its optimizer's slots has 1,163.
const MAX_ENTRIES: usize = 1 << 16;

/// Longest key that is read. Prefixes let a short file have long keys.
const MAX_KEY: usize = 512;

/// Longest decompressed block that is read; the original starts a new one after 256 KiB.
const MAX_BLOCK: usize = 1 << 24;

/// Calls `visit` with every key and value, in ascending order of keys.
pub(super) fn read(bytes: &[u8], mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    let footer =
        bytes.len().checked_sub(FOOTER).and_then(|start| bytes.get(start..)).and_then(|footer| footer.strip_suffix(&MAGIC));
    let footer = footer.ok_or_else(|| {
        error("expected the footer of a TensorFlow index at the end of the file; it is cut short, or not the `.index` file of a V2 checkpoint")
    })?;
    let mut cursor = Cursor(footer);
    let (_, _, handle) = (cursor.varint(), cursor.varint(), Handle::read(&mut cursor));
    let index = handle.ok_or_else(|| error("damaged footer"))?.block(bytes)?;
    let mut end = 0;
    let mut count = 0;
    let mut last = None;
    entries(&index, |_, value| {
        let handle = Handle::read(&mut Cursor(value)).filter(|handle| handle.start >= end);
        let handle = handle.ok_or_else(|| error("its blocks overlap or are out of order"))?;
        end = handle.start.saturating_add(handle.length);
        entries(&handle.block(bytes)?, |key, value| {
            count += 1;
            if count > MAX_ENTRIES {
                return Err(error(format!("more than {MAX_ENTRIES} entries; this is no BERT")));
            }
            if last.as_deref().is_some_and(|last: &[u8]| last >= key) {
                return Err(error("keys out of order"));
            }
            last = Some(key.to_vec());
            visit(key, value)
        })
    })
}

/// Where a block lies.
struct Handle {
    start: u64,
    length: u64,
}

impl Handle {
    fn read(cursor: &mut Cursor) -> Option<Self> {
        Some(Self { start: cursor.varint()?, length: cursor.varint()? })
    }

    /// The block's contents, verified and decompressed.
    fn block<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>> {
        let Self { start, length } = self;
        let mut cursor = Cursor(bytes);
        let block = cursor.take_u64(*start).and_then(|_| {
            let with_type = Cursor(cursor.0).take_u64(length.checked_add(1)?)?;
            let (kind, contents) = with_type.split_last()?;
            cursor.take(with_type.len())?;
            Some((with_type, *kind, contents, cursor.u32()?))
        });
        let (with_type, kind, contents, expected) =
            block.ok_or_else(|| error(format!("block of {length} bytes at byte {start} lies outside the file")))?;
        if !agrees(masked_crc32c(with_type), expected) {
            return Err(error(format!("wrong checksum of the block at byte {start}; the file is damaged, copy it again")));
        }
        match kind {
            0 => Ok(contents.into()),
            1 => {
                let length = snap::raw::decompress_len(contents).ok().filter(|length| *length <= MAX_BLOCK);
                let block = length.and_then(|_| snap::raw::Decoder::new().decompress_vec(contents).ok());
                Ok(block.ok_or_else(|| error(format!("damaged compression of the block at byte {start}")))?.into())
            }
            other => Err(error(format!("block at byte {start} has unknown compression {other}"))),
        }
    }
}

/// Calls `visit` with every key and value of a block.
fn entries(block: &[u8], mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    let restarts = |block: &[u8]| u32::from_le_bytes(block.last_chunk().copied().unwrap_or_default());
    let tail = usize::try_from(restarts(block)).ok().and_then(|count| count.checked_mul(4)?.checked_add(4));
    let length = tail.and_then(|tail| block.len().checked_sub(tail)).ok_or_else(|| error("a block is damaged"))?;
    let mut cursor = Cursor(block.get(..length).unwrap_or_default());
    let mut key = Vec::new();
    while !cursor.0.is_empty() {
        let value = entry(&mut cursor, &mut key).ok_or_else(|| error("an entry of a block is damaged"))?;
        visit(&key, value)?;
    }
    Ok(())
}

/// Reads one entry: `key` is the key before it and becomes this one's.
fn entry<'a>(cursor: &mut Cursor<'a>, key: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (shared, unshared, length) = (cursor.varint()?, cursor.varint()?, cursor.varint()?);
    let shared = usize::try_from(shared).ok().filter(|shared| *shared <= key.len())?;
    let rest = cursor.take_u64(unshared)?;
    key.truncate(shared);
    key.extend_from_slice(rest);
    (key.len() <= MAX_KEY).then_some(())?;
    cursor.take_u64(length)
}

pub(super) fn error(reason: impl std::fmt::Display) -> Error {
    Error::Weights(format!("TensorFlow index: {reason}"))
}
