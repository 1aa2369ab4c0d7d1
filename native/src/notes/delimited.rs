//! CSV and TSV with a header line. A row that cannot be read comes out as such, with its place; the reader then goes on.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};

use super::columns::Columns;
use super::source::Opened;
use super::{Content, LONGEST_ROW, Row};
use crate::cli::NotesInput;

/// Added behind the file's last byte. If it comes back as a row of its own, all quotes were closed; if it is the end of a field, the
/// file ended within quotes, which the `csv` crate takes without a word.
const END: &[u8] = b"\n\0end of rows\0\n";

/// Rows of one file.
pub(super) struct Delimited {
    name: String,
    reader: csv::Reader<Limited>,
    /// Where the current row starts, for the reader's limit.
    row_start: Arc<AtomicU64>,
    columns: Columns,
    width: usize,
    record: csv::ByteRecord,
    number: u64,
    prefix: String,
    done: Cell<bool>,
}

impl Delimited {
    /// Reads the header.
    ///
    /// # Errors
    /// A header without the columns that are asked for.
    pub fn new(opened: Opened, input: &NotesInput, prefix: String) -> Result<Self> {
        let Opened { name, mut bytes, tab, .. } = opened;
        let delimiter = if tab { b'\t' } else { likely_delimiter(bytes.fill_buf().unwrap_or_default()) };
        let row_start = Arc::<AtomicU64>::default();
        let limited = Limited { inner: bytes.chain(END), offset: 0, row_start: Arc::clone(&row_start) };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(1 << 18)
            .from_reader(limited);
        let mut record = csv::ByteRecord::new();
        reader.read_byte_record(&mut record).with_context(|| format!("cannot read the header of {name}"))?;
        let header: Vec<String> = record.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
        if header.iter().any(|column| column.contains('\0')) {
            bail!("{name} has no header line, or a quote in it is never closed");
        }
        let columns = Columns::find(&header, input, &name)?;
        Ok(Self { name, reader, row_start, columns, width: header.len(), record, number: 0, prefix, done: Cell::new(false) })
    }

    fn row(&self, offset: u64) -> Row {
        let number = || format!("{}{}", self.prefix, self.number);
        if self.record.len() == self.width {
            return self.columns.row(|place| self.record.get(place), number, offset);
        }
        let found = self.record.len();
        let hint = if found > self.width { " (is a quote before it never closed?)" } else { "" };
        self.unreadable(offset, format!("{found} fields, expected {}{hint}", self.width))
    }

    fn unreadable(&self, offset: u64, reason: String) -> Row {
        let id = self.columns.likely_id(self.columns.id_place().and_then(|place| self.record.get(place)));
        Row {
            id: id.unwrap_or_else(|| format!("{}row {}", self.prefix, self.number)),
            patient: None,
            category: String::new(),
            content: Content::Unreadable { offset, reason },
        }
    }
}

impl Iterator for Delimited {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done.get() {
            return None;
        }
        let offset = self.reader.position().byte();
        self.row_start.store(offset, Ordering::Relaxed);
        self.number += 1;
        match self.reader.read_byte_record(&mut self.record) {
            Err(error) => {
                self.done.set(true);
                // csv's own message would name a line; ours names the file, the row and what the unpacking said.
                let cause = match error.into_kind() {
                    csv::ErrorKind::Io(cause) => cause,
                    other => io::Error::other(format!("{other:?}")),
                };
                Some(Err(cause).with_context(|| format!("{}, row {} at byte {offset}", self.name, self.number)))
            }
            Ok(false) => None,
            Ok(true) => {
                let end = END.trim_ascii();
                let last = self.record.iter().next_back().unwrap_or_default();
                if self.record.len() == 1 && last == end {
                    self.done.set(true);
                    return None;
                }
                // The place of the row itself: blank lines before it do not count.
                let offset = self.record.position().map_or(offset, csv::Position::byte);
                if last.trim_ascii_end().ends_with(end) {
                    self.done.set(true);
                    let reason = "a quoted field is never closed: everything up to the end of the file is lost".into();
                    return Some(Ok(self.unreadable(offset, reason)));
                }
                Some(Ok(self.row(offset)))
            }
        }
    }
}

/// The character that occurs most often between the names of the header line.
fn likely_delimiter(start: &[u8]) -> u8 {
    let header = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| header.iter().filter(|&&byte| byte == delimiter).count();
    // The last of equals wins, so that a single column is read as CSV.
    [b'|', b';', b'\t', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

/// Refuses to go on within a row that is too long.
struct Limited {
    inner: io::Chain<Box<dyn BufRead + Send>, &'static [u8]>,
    offset: u64,
    row_start: Arc<AtomicU64>,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.offset.saturating_sub(self.row_start.load(Ordering::Relaxed)) > LONGEST_ROW {
            return Err(io::Error::other(format!(
                "the row is longer than {} MiB, so a quote in it or before it is never closed; mend the file there",
                LONGEST_ROW >> 20
            )));
        }
        let count = self.inner.read(buffer)?;
        self.offset += count as u64;
        Ok(count)
    }
}
