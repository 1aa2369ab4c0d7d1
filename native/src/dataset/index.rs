//! Where each record of a TFRecord file begins: the sidecar `NAME.index`, or a scan of a file that has none.
//!
//! Sidecar: the eight bytes `CBINDEX1`, the number of records, then the offset of every record and the size of the file;
//! all numbers are 64-bit little-endian.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use clinicalbert_core::examples::tfrecord;

use super::read_at;

/// First bytes of a sidecar.
pub const MAGIC: &[u8; 8] = b"CBINDEX1";
const HEADER: u64 = 16;

/// Offsets of the records of one file. They stay on disk when a sidecar holds them: a large corpus has tens of millions.
#[derive(Debug)]
pub enum Offsets {
    /// In the sidecar.
    Sidecar {
        /// The open sidecar.
        file: File,
        /// Its name, for errors.
        path: PathBuf,
        /// Number of records.
        records: u64,
    },
    /// In memory, after a scan: one offset a record, then the size of the file.
    Scanned(Vec<u64>),
}

/// The sidecar's name: the data file's with `.index` appended.
pub fn index_path(data: &Path) -> PathBuf {
    let mut name = OsString::from(data);
    name.push(".index");
    name.into()
}

impl Offsets {
    /// Opens the sidecar of `data` if there is one, else scans `data`, checking every checksum.
    ///
    /// # Errors
    /// A sidecar that does not belong to the file, or a damaged file.
    pub fn open(data: &Path, data_size: u64) -> Result<Self> {
        let path = index_path(data);
        match File::open(&path) {
            Ok(file) => Self::sidecar(file, path.clone(), data_size)
                .with_context(|| format!("{} does not belong to its file: delete it (the file is then scanned)", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => scan(data),
            Err(error) => Err(error).with_context(|| format!("cannot open {}", path.display())),
        }
    }

    fn sidecar(file: File, path: PathBuf, data_size: u64) -> Result<Self> {
        let size = file.metadata()?.len();
        let mut header = [0; HEADER as usize];
        ensure!(size > HEADER, "expected at least {HEADER} bytes, found {size}");
        read_at(&file, &mut header, 0)?;
        let (magic, count) = header.split_at(8);
        ensure!(magic == MAGIC, "expected it to begin with CBINDEX1");
        let records = u64::from_le_bytes(count.try_into()?);
        let expected =
            records.checked_add(1).and_then(|entries| entries.checked_mul(8)).and_then(|bytes| bytes.checked_add(HEADER));
        ensure!(expected == Some(size), "{records} records do not fit its size of {size} bytes");
        let offsets = Self::Sidecar { file, path, records };
        let (_, end) = match records {
            0 => (0, 0),
            records => offsets.range(records - 1)?,
        };
        ensure!(records == 0 || end == data_size, "it ends at byte {end}, the file at byte {data_size}");
        Ok(offsets)
    }

    /// Number of records.
    pub fn len(&self) -> u64 {
        match self {
            Self::Sidecar { records, .. } => *records,
            Self::Scanned(offsets) => offsets.len().saturating_sub(1) as u64,
        }
    }

    /// First byte of a record and of the next.
    ///
    /// # Errors
    /// No such record, or the sidecar cannot be read.
    pub fn range(&self, record: u64) -> Result<(u64, u64)> {
        ensure!(record < self.len(), "expected a record below {}, found {record}", self.len());
        let (start, end) = match self {
            Self::Sidecar { file, path, .. } => {
                let mut pair = [0; 16];
                read_at(file, &mut pair, HEADER + 8 * record).with_context(|| format!("cannot read {}", path.display()))?;
                let (start, end) = pair.split_at(8);
                (u64::from_le_bytes(start.try_into()?), u64::from_le_bytes(end.try_into()?))
            }
            Self::Scanned(offsets) => {
                let mut from = offsets.iter().skip(usize::try_from(record)?).copied();
                (from.next().unwrap_or(0), from.next().unwrap_or(0))
            }
        };
        ensure!(start < end, "record {record} ends at byte {end}, before its start at byte {start}");
        Ok((start, end))
    }

    /// Hands the bytes of the whole index to `take`, for the fingerprint.
    ///
    /// # Errors
    /// The sidecar cannot be read.
    pub fn bytes(&self, mut take: impl FnMut(&[u8])) -> Result<()> {
        match self {
            Self::Sidecar { path, .. } => {
                let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
                reader.seek_relative(HEADER as i64)?;
                loop {
                    let chunk = reader.fill_buf()?;
                    if chunk.is_empty() {
                        return Ok(());
                    }
                    take(chunk);
                    let read = chunk.len();
                    reader.consume(read);
                }
            }
            Self::Scanned(offsets) => {
                offsets.iter().for_each(|offset| take(&offset.to_le_bytes()));
                Ok(())
            }
        }
    }
}

/// Writes the sidecar of `data`: `offsets` has one entry a record and then the file's size.
#[cfg(test)]
pub fn write_index(data: &Path, offsets: &[u64]) {
    let count = offsets.len() as u64 - 1;
    let numbers = [&[count], offsets].concat();
    let bytes: Vec<u8> = MAGIC.iter().copied().chain(numbers.iter().flat_map(|number| number.to_le_bytes())).collect();
    std::fs::write(index_path(data), bytes).unwrap();
}

/// Walks a file from record to record, one in memory at a time, and checks every checksum.
fn scan(data: &Path) -> Result<Offsets> {
    let context = || format!("cannot read {}", data.display());
    let mut reader = BufReader::with_capacity(1 << 20, File::open(data).with_context(context)?);
    let mut offsets = vec![0];
    let mut offset = 0;
    let mut frame = Vec::new();
    while !reader.fill_buf().with_context(context)?.is_empty() {
        frame.clear();
        reader.by_ref().take(tfrecord::HEADER_LENGTH as u64).read_to_end(&mut frame).with_context(context)?;
        // A frame that lies about its length is read to the end of the file at most; the check below then finds it cut.
        let payload = frame.first_chunk().and_then(|header| tfrecord::payload_length(*header)).unwrap_or(0);
        reader
            .by_ref()
            .take(payload.saturating_add(tfrecord::FOOTER_LENGTH as u64))
            .read_to_end(&mut frame)
            .with_context(context)?;
        if let Some(Err(error)) = tfrecord::Records::new(&frame).next() {
            bail!("{}: record {} at byte {offset} is damaged: {error}", data.display(), offsets.len() - 1);
        }
        offset += frame.len() as u64;
        offsets.push(offset);
    }
    Ok(Offsets::Scanned(offsets))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of three records and the offsets of their starts and its end.
    fn file(folder: &Path) -> (PathBuf, Vec<u64>) {
        let (mut bytes, mut offsets) = (Vec::new(), Vec::new());
        for payload in [&b"one"[..], b"", b"three"] {
            offsets.push(bytes.len() as u64);
            tfrecord::append(&mut bytes, payload);
        }
        offsets.push(bytes.len() as u64);
        let path = folder.join("examples-00000-of-00001.tfrecord");
        std::fs::write(&path, bytes).unwrap();
        (path, offsets)
    }

    fn ranges(offsets: &Offsets) -> Vec<(u64, u64)> {
        (0..offsets.len()).map(|record| offsets.range(record).unwrap()).collect()
    }

    #[test]
    fn the_sidecar_tells_the_same_as_a_scan() {
        let folder = tempfile::tempdir().unwrap();
        let (path, offsets) = file(folder.path());
        let scanned = Offsets::open(&path, *offsets.last().unwrap()).unwrap();
        write_index(&path, &offsets);
        let sidecar = Offsets::open(&path, *offsets.last().unwrap()).unwrap();
        assert!(matches!((&scanned, &sidecar), (Offsets::Scanned(_), Offsets::Sidecar { .. })));
        assert_eq!(ranges(&scanned), [(0, 19), (19, 35), (35, 56)]);
        assert_eq!(ranges(&scanned), ranges(&sidecar));
        assert!(sidecar.range(3).is_err());
        let (mut first, mut second) = (Vec::new(), Vec::new());
        scanned.bytes(|bytes| first.extend_from_slice(bytes)).unwrap();
        sidecar.bytes(|bytes| second.extend_from_slice(bytes)).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn a_sidecar_of_another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, offsets) = file(folder.path());
        write_index(&path, &offsets);
        let text = format!("{:#}", Offsets::open(&path, 57).unwrap_err());
        assert!(text.contains("ends at byte 56, the file at byte 57") && text.contains("delete it"), "{text}");
        let index = index_path(&path);
        let bytes = std::fs::read(&index).unwrap();
        for cut in [0, 7, 16, bytes.len() - 1] {
            std::fs::write(&index, &bytes[..cut]).unwrap();
            assert!(Offsets::open(&path, 56).is_err(), "cut to {cut}");
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = file(folder.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[35 + 12] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(format!("{:#}", Offsets::open(&path, 56).unwrap_err()).contains("record 2 at byte 35"));
    }
}
