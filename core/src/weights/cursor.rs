//! Reading numbers from the front of a byte slice; `None` where it is too short.

use crate::protobuf::read_varint;

/// The bytes that are still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes as many bytes as a number from the file says.
    pub fn take_u64(&mut self, count: u64) -> Option<&'a [u8]> {
        self.take(usize::try_from(count).ok()?)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// Takes the bytes before the next line feed, and the line feed.
    pub fn line(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|byte| *byte == b'\n')?;
        let line = self.take(length)?;
        self.take(1)?;
        Some(line)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A base-128 number, seven bits a byte, the lowest first.
    pub fn varint(&mut self) -> Option<u64> {
        read_varint(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_beyond_the_end() {
        let mut cursor = Cursor(&[1, 2, 3]);
        assert_eq!((cursor.u32(), cursor.take_u64(u64::MAX), cursor.line()), (None, None, None));
        assert_eq!((cursor.u16(), cursor.u8(), cursor.u8()), (Some(0x0201), Some(3), None));
    }
}
