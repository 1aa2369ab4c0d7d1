//! The few pages of the ZIP format that `torch.save` uses: stored (uncompressed) entries, found through the central directory.
//!
//! Own code because the values must stay where they are: an entry is a slice of the memory-mapped file. The `zip` crate hands out
//! readers that copy, and needs the file only as a stream.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use crate::{Error, Result, checksum::agrees};

/// One stored file of an archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub bytes: &'a [u8],
    crc32: u32,
}

impl Entry<'_> {
    /// Compares the bytes with the archive's checksum.
    pub fn verify(&self, name: &str) -> Result<()> {
        let found = crc32fast::hash(self.bytes);
        if agrees(found, self.crc32) {
            return Ok(());
        }
        Err(error(format!(
            "{name}: CRC-32 {found:08x}, expected {:08x}; the file is damaged, copy or download it again",
            self.crc32
        )))
    }
}

/// The archive's entries by name.
pub(super) fn entries(bytes: &[u8]) -> Result<BTreeMap<&str, Entry<'_>>> {
    let (start, length, count) = central_directory(bytes)
        .ok_or_else(|| error("no table of contents at the end; the file is cut short, copy or download it again"))?;
    let directory = slice(bytes, start, length).ok_or_else(|| error("its table of contents lies outside the file"))?;
    let mut cursor = Cursor(directory);
    let mut entries = BTreeMap::new();
    while !cursor.0.is_empty() {
        let number = entries.len();
        if number == MAX_ENTRIES {
            return Err(error(format!("more than {MAX_ENTRIES} entries; this is no model")));
        }
        let damaged = || error(format!("entry {number} of its table of contents is damaged"));
        let header = Header::read(&mut cursor).ok_or_else(damaged)?;
        let name = std::str::from_utf8(header.name).map_err(|_| damaged())?;
        if header.method != 0 || header.flags & 1 != 0 {
            return Err(error(format!("entry {name:?} is compressed or encrypted; torch.save writes neither")));
        }
        let bytes =
            header.values(bytes).ok_or_else(|| error(format!("entry {name:?} lies outside the file, which is cut short")))?;
        if entries.insert(name, Entry { bytes, crc32: header.crc32 }).is_some() {
            return Err(error(format!("two entries are called {name:?}")));
        }
    }
    if entries.len() as u64 != count {
        return Err(error(format!("expected {count} entries, found {}", entries.len())));
    }
    Ok(entries)
}

/// Offset, length and number of entries of the central directory.
fn central_directory(bytes: &[u8]) -> Option<(u64, u64, u64)> {
    // The end record is followed by a comment of at most 65,535 bytes.
    let first = bytes.len().saturating_sub(END_LENGTH + usize::from(u16::MAX));
    let tail = bytes.get(first..)?;
    let (at, record) = tail
        .windows(END_LENGTH)
        .enumerate()
        .rev()
        .find(|(at, record)| record.starts_with(b"PK\x05\x06") && comment_fits(record, tail.len() - at))?;
    let locator = (first + at).checked_sub(20).and_then(|start| bytes.get(start..)?.strip_prefix(b"PK\x06\x07"));
    if let Some(locator) = locator {
        let mut cursor = Cursor(locator);
        cursor.take(4)?;
        let record = slice(bytes, cursor.u64()?, 56)?.strip_prefix(b"PK\x06\x06")?;
        let mut cursor = Cursor(record);
        cursor.take(28)?;
        let (count, length, start) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
        return Some((start, length, count));
    }
    let mut cursor = Cursor(record);
    cursor.take(10)?;
    let (count, length, start) = (cursor.u16()?, cursor.u32()?, cursor.u32()?);
    Some((start.into(), length.into(), count.into()))
}

const END_LENGTH: usize = 22;

/// Most entries that are read; a model has one for each tensor.
const MAX_ENTRIES: usize = 1 << 16;

fn comment_fits(record: &[u8], rest: usize) -> bool {
    record.last_chunk().is_some_and(|length| END_LENGTH + usize::from(u16::from_le_bytes(*length)) == rest)
}

/// What the central directory says of one entry.
struct Header<'a> {
    flags: u16,
    method: u16,
    crc32: u32,
    length: u64,
    start: u64,
    name: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        if cursor.take(4)? != b"PK\x01\x02" {
            return None;
        }
        cursor.take(4)?;
        let (flags, method) = (cursor.u16()?, cursor.u16()?);
        cursor.take(4)?;
        let (crc32, stored, length) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let (name_length, extra_length, comment_length) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
        cursor.take(8)?;
        let start = cursor.u32()?;
        let name = cursor.take(name_length.into())?;
        let extra = cursor.take(extra_length.into())?;
        cursor.take(comment_length.into())?;
        // ZIP64: fields that do not fit stand in extra field 1, in this order, and are all ones here.
        let mut wide = Cursor(extra_field(extra, 1).unwrap_or_default());
        let mut widen = |value: u32| if value == u32::MAX { wide.u64() } else { Some(value.into()) };
        let length = widen(length)?;
        let stored = widen(stored)?;
        let start = widen(start)?;
        (method != 0 || stored == length).then_some(Self { flags, method, crc32, length, start, name })
    }

    /// The entry's bytes, behind its local header.
    fn values<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let local = slice(bytes, self.start, 30)?.strip_prefix(b"PK\x03\x04")?;
        let mut cursor = Cursor(local);
        cursor.take(22)?;
        let skipped = 30 + u64::from(cursor.u16()?) + u64::from(cursor.u16()?);
        slice(bytes, self.start.checked_add(skipped)?, self.length)
    }
}

fn extra_field(extra: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut cursor = Cursor(extra);
    loop {
        let (id, length) = (cursor.u16()?, cursor.u16()?);
        let field = cursor.take(length.into())?;
        if id == wanted {
            return Some(field);
        }
    }
}

fn slice(bytes: &[u8], start: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    bytes.get(start..)?.get(..usize::try_from(length).ok()?)
}

fn error(reason: impl std::fmt::Display) -> Error {
    Error::Weights(format!("PyTorch zip archive: {reason}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An archive of stored entries, as `torch.save` would write it.
    pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, content) in files {
            let start = bytes.len() as u32;
            let mut common = vec![0; 6];
            common.extend([0; 4]);
            common.extend(crc32fast::hash(content).to_le_bytes());
            common.extend((content.len() as u32).to_le_bytes());
            common.extend((content.len() as u32).to_le_bytes());
            common.extend((name.len() as u16).to_le_bytes());
            common.extend([0; 2]);
            bytes.extend(b"PK\x03\x04");
            bytes.extend(&common);
            bytes.extend(name.as_bytes());
            bytes.extend(*content);
            directory.extend(b"PK\x01\x02\0\0");
            directory.extend(&common);
            directory.extend([0; 10]);
            directory.extend(start.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let start = bytes.len() as u32;
        bytes.extend(&directory);
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend((files.len() as u16).to_le_bytes());
        bytes.extend((files.len() as u16).to_le_bytes());
        bytes.extend((directory.len() as u32).to_le_bytes());
        bytes.extend(start.to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    #[test]
    fn stored_entries_are_found_and_verified() {
        let mut bytes = archive(&[("a/data.pkl", b"one"), ("a/data/0", b"second")]);
        let found = entries(&bytes).unwrap();
        assert_eq!(found["a/data.pkl"].bytes, b"one");
        assert_eq!(found["a/data/0"].bytes, b"second");
        found["a/data/0"].verify("a/data/0").unwrap();
        let at = bytes.windows(6).position(|window| window == b"second").unwrap();
        bytes[at] ^= 1;
        assert!(entries(&bytes).unwrap()["a/data/0"].verify("a/data/0").unwrap_err().to_string().contains("a/data/0: CRC-32"));
    }

    #[test]
    fn cut_archives_are_errors_at_every_length() {
        let bytes = archive(&[("a/data.pkl", b"one"), ("a/data/0", b"second")]);
        for length in 0..bytes.len() {
            assert!(entries(&bytes[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn archives_of_more_entries_than_a_model_has_are_refused() {
        let names: Vec<String> = (0..=MAX_ENTRIES).map(|number| number.to_string()).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert!(entries(&archive(&files)).unwrap_err().to_string().contains("more than 65536 entries"));
    }

    #[test]
    fn compressed_entries_and_doubled_names_are_errors() {
        let mut bytes = archive(&[("a", b"one")]);
        let at = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        bytes[at + 10] = 8;
        assert!(entries(&bytes).unwrap_err().to_string().contains("compressed"));
        assert!(entries(&archive(&[("a", b"1"), ("a", b"2")])).unwrap_err().to_string().contains("two entries"));
    }
}
