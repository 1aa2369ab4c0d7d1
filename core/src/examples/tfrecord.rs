//! TFRecord: records of any bytes, each framed by its length and checksums.
//!
//! `u64` length, `u32` masked CRC32C of those eight bytes, the payload, `u32` masked CRC32C of the payload; all little-endian
//! (tensorflow/core/lib/io/record_writer.h).

use crate::{
    Error, Result,
    checksum::{agrees, masked_crc32c},
};

/// Bytes of a frame before its payload.
pub const HEADER_LENGTH: usize = 12;
/// Bytes of a frame after its payload.
pub const FOOTER_LENGTH: usize = 4;

/// Appends one record whose payload `write` appends.
pub fn append_with(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; HEADER_LENGTH]);
    write(bytes);
    let Some((header, payload)) = bytes.get_mut(start..).and_then(|record| record.split_first_chunk_mut::<HEADER_LENGTH>())
    else {
        return;
    };
    let length = (payload.len() as u64).to_le_bytes();
    let crc = masked_crc32c(payload);
    for (place, byte) in header.iter_mut().zip(length.into_iter().chain(masked_crc32c(&length).to_le_bytes())) {
        *place = byte;
    }
    bytes.extend_from_slice(&crc.to_le_bytes());
}

/// Appends one record.
pub fn append(bytes: &mut Vec<u8>, payload: &[u8]) {
    append_with(bytes, |bytes| bytes.extend_from_slice(payload));
}

/// The length of the payload that a frame's first bytes announce; `None` if their checksum is wrong.
/// For readers that hold no whole file: the length is to be trusted only as far as there are bytes.
pub fn payload_length(header: [u8; HEADER_LENGTH]) -> Option<u64> {
    let (length, crc) = header.split_first_chunk::<8>()?;
    agrees(masked_crc32c(length), u32::from_le_bytes(*crc.first_chunk()?)).then(|| u64::from_le_bytes(*length))
}

/// Records of a whole file, one after another, checked.
///
/// Ends after the first error: what follows a broken frame cannot be found.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    index: u64,
    offset: u64,
}

impl<'a> Records<'a> {
    /// Reads from the first byte of a file.
    pub fn new(file: &'a [u8]) -> Self {
        Self { rest: file, index: 0, offset: 0 }
    }

    /// Byte offset of the next record.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn read(&mut self) -> std::result::Result<&'a [u8], String> {
        let cut = |part, needed: u64, found: usize| {
            format!("expected {needed} bytes of {part}, found {found}; the file was cut, make or copy it again")
        };
        let damaged =
            |part: &str| format!("the checksum of its {part} does not agree; this is no TFRecord file, or it is damaged");
        let (header, rest) =
            self.rest.split_first_chunk::<HEADER_LENGTH>().ok_or_else(|| cut("header", HEADER_LENGTH as u64, self.rest.len()))?;
        let length = payload_length(*header).ok_or_else(|| damaged("length"))?;
        let needed = || cut("payload and checksum", length.saturating_add(FOOTER_LENGTH as u64), rest.len());
        let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
        let (payload, rest) = split.ok_or_else(needed)?;
        let (crc, rest) = rest.split_first_chunk::<FOOTER_LENGTH>().ok_or_else(needed)?;
        if !agrees(masked_crc32c(payload), u32::from_le_bytes(*crc)) {
            return Err(damaged("payload"));
        }
        self.rest = rest;
        self.index += 1;
        self.offset += (HEADER_LENGTH + payload.len() + FOOTER_LENGTH) as u64;
        Ok(payload)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (index, offset) = (self.index, self.offset);
        Some(self.read().map_err(|reason| {
            self.rest = &[];
            Error::Record { index, offset, reason }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        payloads.iter().for_each(|payload| append(&mut bytes, payload));
        bytes
    }

    #[test]
    fn a_frame_is_tensorflows() {
        // Worked out from the format's definition with a bit-by-bit CRC in Python; the parity tests read TensorFlow's own files.
        assert_eq!(file(&[b"abc"]), [3, 0, 0, 0, 0, 0, 0, 0, 176, 153, 73, 14, b'a', b'b', b'c', 110, 87, 241, 33]);
    }

    #[test]
    fn records_come_back() {
        let bytes = file(&[b"one", b"", &[7; 300]]);
        let read: Result<Vec<_>> = Records::new(&bytes).collect();
        assert_eq!(read.unwrap(), [b"one".as_slice(), b"", &[7; 300]]);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_found_and_placed() {
        let bytes = file(&[b"first", b"second"]);
        let second = 12 + 5 + 4;
        for end in second + 1..bytes.len() {
            let error = Records::new(&bytes[..end]).last().unwrap().unwrap_err();
            assert!(matches!(error, Error::Record { index: 1, offset, .. } if offset == second as u64), "{error}");
        }
        for bit in 0..8 * bytes.len() {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Records::new(&bytes).any(|record| record.is_err()), "bit {bit}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let errors = Records::new(&bytes).filter(|record| record.is_err()).count();
            assert!(errors <= 1);
        }
    }

    #[test]
    fn a_length_beyond_the_file_is_an_error_and_reserves_nothing() {
        let length = u64::MAX.to_le_bytes();
        let bytes: Vec<u8> = length.into_iter().chain(masked_crc32c(&length).to_le_bytes()).chain([0; 20]).collect();
        let error = Records::new(&bytes).next().unwrap().unwrap_err();
        assert!(error.to_string().contains("record 0 at byte 0: expected 18446744073709551615 bytes"), "{error}");
        assert!(Records::new(&bytes).nth(1).is_none());
    }
}
