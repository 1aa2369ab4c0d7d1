//! The two protocol buffer messages in the values of a `.index` file (`tensorflow/core/protobuf/tensor_bundle.proto`).

use crate::{
    protobuf::{Fields, Message, Value},
    weights::Dtype,
};

/// `BundleHeaderProto`: the value of the empty key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub shards: u64,
    pub big_endian: bool,
}

/// Where a tensor lies: `BundleEntryProto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleEntry {
    /// How its values are stored.
    pub dtype: Dtype,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Number of the data file, from 0.
    pub shard: u64,
    /// First byte in the data file.
    pub offset: u64,
    /// Number of bytes.
    pub size: u64,
    /// CRC-32C of the bytes, masked as TensorFlow stores it.
    pub masked_crc32c: u32,
}

/// Why a message cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    Damaged,
    /// The header of the format before 2017.
    VersionOne,
    /// A variable in pieces under several keys.
    Partitioned,
}

impl Header {
    pub fn decode(bytes: &[u8]) -> Result<Self, Unusable> {
        let mut header = Self { shards: 0, big_endian: false };
        for field in fields(bytes)? {
            match field {
                (1, Value::Integer(shards)) => header.shards = shards,
                // Version 1 keeps a SavedTensorSliceMeta message here.
                (1, Value::Bytes(_)) => return Err(Unusable::VersionOne),
                (2, Value::Integer(endianness)) => header.big_endian = endianness != 0,
                _ => {}
            }
        }
        Ok(header)
    }

    /// The header of one little-endian shard, `producer` version 1.
    pub const ONE_SHARD: [u8; 6] = [0x08, 0x01, 0x1a, 0x02, 0x08, 0x01];
}

impl BundleEntry {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unusable> {
        let mut entry = Self { dtype: Dtype::Other, shape: vec![], shard: 0, offset: 0, size: 0, masked_crc32c: 0 };
        for field in fields(bytes)? {
            match field {
                (1, Value::Integer(number)) => entry.dtype = dtype(number),
                (2, Value::Bytes(shape)) => entry.shape = decode_shape(shape)?,
                (3, Value::Integer(shard)) => entry.shard = shard,
                (4, Value::Integer(offset)) => entry.offset = offset,
                (5, Value::Integer(size)) => entry.size = size,
                (6, Value::Four(crc)) => entry.masked_crc32c = u32::from_le_bytes(crc),
                (7, _) => return Err(Unusable::Partitioned),
                _ => {}
            }
        }
        Ok(entry)
    }

    /// The message of a tensor in shard 0. Only `f32` and `i64` are ever written.
    pub(super) fn encode(&self) -> Vec<u8> {
        let dimension = |shape: Message, length: &usize| shape.bytes(2, unless_zero(Message::default(), 1, *length as u64));
        let shape = self.shape.iter().fold(Message::default(), dimension);
        let dtype = if self.dtype == Dtype::I64 { DT_INT64 } else { DT_FLOAT };
        let entry = Message::default().integer(1, dtype).bytes(2, shape);
        let entry = unless_zero(entry, 3, self.shard);
        let entry = unless_zero(entry, 4, self.offset);
        unless_zero(entry, 5, self.size).four(6, self.masked_crc32c.to_le_bytes()).into_bytes()
    }
}

// `tensorflow/core/framework/types.proto`
const DT_FLOAT: u64 = 1;
const DT_INT64: u64 = 9;

fn dtype(number: u64) -> Dtype {
    match number {
        DT_FLOAT => Dtype::F32,
        2 => Dtype::F64,
        3 => Dtype::I32,
        4 => Dtype::U8,
        5 => Dtype::I16,
        6 => Dtype::I8,
        DT_INT64 => Dtype::I64,
        10 => Dtype::Bool,
        14 => Dtype::Bf16,
        19 => Dtype::F16,
        _ => Dtype::Other,
    }
}

/// `TensorShapeProto`: field 2 repeats, each a message whose field 1 is the length.
fn decode_shape(bytes: &[u8]) -> Result<Vec<usize>, Unusable> {
    let mut shape = Vec::new();
    for field in fields(bytes)? {
        if let (2, Value::Bytes(dimension)) = field {
            let length = fields(dimension)?
                .into_iter()
                .find_map(|field| if let (1, Value::Integer(length)) = field { Some(length) } else { None });
            shape.push(usize::try_from(length.unwrap_or(0)).map_err(|_| Unusable::Damaged)?);
        }
    }
    Ok(shape)
}

/// Number and value of every field of a message.
fn fields(bytes: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Unusable> {
    Fields(bytes).collect::<Option<_>>().ok_or(Unusable::Damaged)
}

/// Adds an integer unless it is 0, which TensorFlow leaves out.
fn unless_zero(message: Message, field: u64, value: u64) -> Message {
    if value == 0 { message } else { message.integer(field, value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_the_original_bytes() {
        let entry =
            BundleEntry { dtype: Dtype::F32, shape: vec![32], shard: 0, offset: 0, size: 128, masked_crc32c: 0x0403_0201 };
        let bytes = [0x08, 1, 0x12, 4, 0x12, 2, 0x08, 0x20, 0x28, 0x80, 1, 0x35, 1, 2, 3, 4];
        assert_eq!(entry.encode(), bytes);
        assert_eq!(BundleEntry::decode(&bytes), Ok(entry));
        let step = BundleEntry { dtype: Dtype::I64, shape: vec![], shard: 0, offset: 300, size: 8, masked_crc32c: 0 };
        assert_eq!(step.encode(), [0x08, 9, 0x12, 0, 0x20, 0xac, 2, 0x28, 8, 0x35, 0, 0, 0, 0]);
        assert_eq!(BundleEntry::decode(&step.encode()), Ok(step));
    }

    #[test]
    fn headers_tell_the_versions_apart() {
        assert_eq!(Header::decode(&Header::ONE_SHARD), Ok(Header { shards: 1, big_endian: false }));
        assert_eq!(Header::decode(&[0x0a, 1, 0]), Err(Unusable::VersionOne));
        assert_eq!(Header::decode(&[0x0a, 9, 0]), Err(Unusable::Damaged));
    }
}
