//! Google's seven features of an example as a serialized `tf.train.Example`.
//!
//! Feature names are written in order, so equal examples are equal bytes (protobuf itself leaves the order of a map open). Reading takes
//! any order, packed or unpacked lists, and fields it does not know.

mod read;

pub use read::{Shape, decode};

use super::Example;
use crate::{
    Error, Result,
    protobuf::{varint, varint_length},
};

/// Protobuf tags: field number and wire type in one byte.
mod tag {
    /// `Example.features`, `Features.feature`, `key` of a map entry, and the value list of each `…List`, packed.
    pub const FIRST_BYTES: u8 = 0x0a;
    /// `value` of a map entry, and `Feature.float_list`.
    pub const SECOND_BYTES: u8 = 0x12;
    /// `Feature.int64_list`.
    pub const THIRD_BYTES: u8 = 0x1a;
}

/// Writes examples of one shape, reusing its memory.
#[derive(Debug, Clone)]
pub struct Encoder {
    shape: Shape,
    values: Vec<u8>,
    features: Vec<u8>,
}

impl Encoder {
    /// Examples are padded with zeros to this shape.
    pub fn new(shape: Shape) -> Self {
        Self { shape, values: Vec::new(), features: Vec::new() }
    }

    /// Appends the serialized example.
    ///
    /// # Errors
    /// [`Error::Examples`] if the example does not fit the shape or is inconsistent.
    pub fn append(&mut self, example: &Example, bytes: &mut Vec<u8>) -> Result<()> {
        let Shape { max_seq_length, max_predictions_per_seq } = self.shape;
        let (tokens, masked) = (example.input_ids.len(), example.masked_positions.len());
        if tokens > max_seq_length || masked > max_predictions_per_seq || masked != example.masked_ids.len() {
            return Err(Error::Examples(format!(
                "an example of {tokens} tokens with {masked} masked positions and {} masked ids does not fit {max_seq_length} tokens and \
                 {max_predictions_per_seq} predictions",
                example.masked_ids.len()
            )));
        }
        let first = example.first_segment_length.min(tokens);
        self.features.clear();
        self.integers("input_ids", &example.input_ids, max_seq_length);
        self.small("input_mask", &[(1, tokens), (0, max_seq_length)]);
        self.integers("masked_lm_ids", &example.masked_ids, max_predictions_per_seq);
        self.integers("masked_lm_positions", &example.masked_positions, max_predictions_per_seq);
        self.values.clear();
        for slot in 0..max_predictions_per_seq {
            let weight: f32 = if slot < masked { 1.0 } else { 0.0 };
            self.values.extend_from_slice(&weight.to_le_bytes());
        }
        self.feature("masked_lm_weights", tag::SECOND_BYTES);
        self.small("next_sentence_labels", &[(u8::from(example.is_random_next), 1)]);
        self.small("segment_ids", &[(0, first), (1, tokens), (0, max_seq_length)]);
        bytes.push(tag::FIRST_BYTES);
        varint(bytes, self.features.len() as u64);
        bytes.extend_from_slice(&self.features);
        Ok(())
    }

    fn integers(&mut self, name: &str, values: &[u32], slots: usize) {
        self.values.clear();
        for &value in values {
            varint(&mut self.values, value.into());
        }
        self.values.resize(self.values.len() + slots - values.len(), 0);
        self.feature(name, tag::THIRD_BYTES);
    }

    /// Values below 128, one byte each: runs of one value, each with the place where it ends.
    fn small(&mut self, name: &str, runs: &[(u8, usize)]) {
        self.values.clear();
        for &(value, end) in runs {
            self.values.resize(end, value);
        }
        self.feature(name, tag::THIRD_BYTES);
    }

    /// Appends the map entry of `self.values`, as a list of the kind that `kind` stands for.
    fn feature(&mut self, name: &str, kind: u8) {
        let field = |length: usize| 1 + varint_length(length) + length;
        let values = self.values.len();
        // Protobuf leaves out an empty packed list.
        let list = if values == 0 { 0 } else { field(values) };
        let features = &mut self.features;
        let mut open = |tag: u8, length: usize| {
            features.push(tag);
            varint(features, length as u64);
        };
        open(tag::FIRST_BYTES, field(name.len()) + field(field(list)));
        open(tag::FIRST_BYTES, name.len());
        features.extend_from_slice(name.as_bytes());
        let mut open = |tag: u8, length: usize| {
            features.push(tag);
            varint(features, length as u64);
        };
        open(tag::SECOND_BYTES, field(list));
        open(kind, list);
        if values > 0 {
            open(tag::FIRST_BYTES, values);
            features.extend_from_slice(&self.values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn example() -> Example {
        Example {
            input_ids: vec![101, 8667, 103, 102, 1291, 28_995, 102],
            first_segment_length: 4,
            masked_positions: vec![2, 4],
            masked_ids: vec![117, 1291],
            is_random_next: true,
        }
    }

    pub(super) fn encoded(example: &Example, max_seq_length: usize, max_predictions_per_seq: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        Encoder::new(Shape { max_seq_length, max_predictions_per_seq }).append(example, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_comes_back_with_its_shape() {
        for (length, slots) in [(7, 2), (128, 20), (512, 77)] {
            let mut read = Example::default();
            let shape = decode(&encoded(&example(), length, slots), &mut read).unwrap();
            assert_eq!((read, shape.max_seq_length, shape.max_predictions_per_seq), (example(), length, slots));
        }
    }

    #[test]
    fn no_slots_give_empty_lists() {
        let plain = Example { masked_positions: vec![], masked_ids: vec![], ..example() };
        let mut read = Example::default();
        assert_eq!(decode(&encoded(&plain, 8, 0), &mut read).unwrap().max_predictions_per_seq, 0);
        assert_eq!(read, plain);
    }

    #[test]
    fn an_example_that_does_not_fit_is_an_error() {
        let mut encoder = Encoder::new(Shape { max_seq_length: 6, max_predictions_per_seq: 2 });
        assert!(encoder.append(&example(), &mut Vec::new()).is_err());
        let mut encoder = Encoder::new(Shape { max_seq_length: 7, max_predictions_per_seq: 1 });
        assert!(encoder.append(&example(), &mut Vec::new()).is_err());
    }
}
