//! Protocol buffers, as far as the formats here need them: fields in, fields out.
//!
//! By hand because a dozen small messages do not need a code generator, and equal bytes need its habits (fields in order of their
//! numbers) anyway. Nothing that is read is taken on trust; nothing is copied.

/// A field's value by its wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0: integers, truth values, enums.
    Integer(u64),
    /// Wire type 1: `fixed64`, `double`.
    Eight([u8; 8]),
    /// Wire type 2: bytes, text, messages, packed lists.
    Bytes(&'a [u8]),
    /// Wire type 5: `fixed32`, `float`.
    Four([u8; 4]),
}

/// Numbers and values of a message's fields; `None` once where the bytes are no message, then the end.
#[derive(Debug, Clone)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = read_varint(&mut self.0)?;
        let value = match tag & 7 {
            0 => Value::Integer(read_varint(&mut self.0)?),
            1 => Value::Eight(self.chunk()?),
            2 => {
                let length = usize::try_from(read_varint(&mut self.0)?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Four(self.chunk()?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Takes a base-128 number, seven bits a byte, the lowest first; `None` where it is cut or does not fit 64 bits.
pub fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
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

/// Appends a base-128 number.
pub fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Bytes that [`varint`] takes.
pub const fn varint_length(value: usize) -> usize {
    (1 + (value | 1).ilog2() / 7) as usize
}

/// A message under construction. Every value is written, zero too; a caller whose format leaves zeros out does not add them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// Adds an integer.
    #[must_use]
    pub fn integer(mut self, field: u64, value: u64) -> Self {
        varint(&mut self.0, field << 3);
        varint(&mut self.0, value);
        self
    }

    /// Adds a `fixed32` or, by its bits, a `float`.
    #[must_use]
    pub fn four(mut self, field: u64, value: [u8; 4]) -> Self {
        varint(&mut self.0, field << 3 | 5);
        self.0.extend(value);
        self
    }

    /// Adds bytes, text or a finished message.
    #[must_use]
    pub fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        self.begin_bytes(field, value.as_ref().len());
        self.0.extend_from_slice(value.as_ref());
        self
    }

    /// Adds what stands before `length` bytes, which the caller writes after the message.
    pub fn begin_bytes(&mut self, field: u64, length: usize) {
        varint(&mut self.0, field << 3 | 2);
        varint(&mut self.0, length as u64);
    }

    /// This message and then the fields of another.
    #[must_use]
    pub fn followed_by(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    /// The message as it is written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let message =
            Message::default().integer(1, 300).four(2, 1.5_f32.to_le_bytes()).bytes(16, Message::default().integer(1, 0));
        let bytes = message.into_bytes();
        assert_eq!(bytes, [0x08, 0xac, 2, 0x15, 0, 0, 0xc0, 0x3f, 0x82, 1, 2, 0x08, 0]);
        let fields: Vec<_> = Fields(&bytes).collect();
        assert_eq!(fields[0], Some((1, Value::Integer(300))));
        assert_eq!(fields[1], Some((2, Value::Four(1.5_f32.to_le_bytes()))));
        assert_eq!(fields[2], Some((16, Value::Bytes(&[0x08, 0]))));
        for length in 1..bytes.len() {
            // A cut between two fields leaves a message of fewer fields.
            let fields: Vec<_> = Fields(&bytes[..length]).collect();
            assert!(fields.len() < 3 || fields[2].is_none(), "cut to {length}");
        }
    }

    #[test]
    fn varints_end_where_64_bits_end() {
        let read = |mut bytes: &[u8]| read_varint(&mut bytes);
        assert_eq!(read(&[0xac, 0x02, 9]), Some(300));
        assert_eq!(read(&[0xff; 9]), None);
        assert_eq!(read(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]), Some(u64::MAX));
        assert_eq!(read(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 2]), None);
    }

    proptest! {
        #[test]
        fn every_number_has_its_length_and_comes_back(value: u64) {
            let mut bytes = Vec::new();
            varint(&mut bytes, value);
            prop_assert_eq!(bytes.len(), varint_length(value as usize));
            prop_assert_eq!(read_varint(&mut bytes.as_slice()), Some(value));
        }

        #[test]
        fn any_bytes_are_fields_or_refused(bytes: Vec<u8>) {
            let fields = Fields(&bytes).count();
            prop_assert!(fields <= bytes.len());
        }
    }
}
