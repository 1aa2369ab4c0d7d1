//! Reading numbers from the front of a byte slice; `None` where it is too short.

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
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte holds one bit.
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_end_where_64_bits_end() {
        assert_eq!(Cursor(&[0xac, 0x02, 9]).varint(), Some(300));
        assert_eq!(Cursor(&[0xff; 9]).varint(), None);
        assert_eq!(Cursor(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]).varint(), Some(u64::MAX));
        assert_eq!(Cursor(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 2]).varint(), None);
    }

    #[test]
    fn nothing_is_taken_beyond_the_end() {
        let mut cursor = Cursor(&[1, 2, 3]);
        assert_eq!((cursor.u32(), cursor.take_u64(u64::MAX), cursor.line()), (None, None, None));
        assert_eq!((cursor.u16(), cursor.u8(), cursor.u8()), (Some(0x0201), Some(3), None));
    }
}
