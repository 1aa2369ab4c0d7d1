//! Reading: protobuf fields into the values of an example, with nothing taken on trust.

use crate::{
    Error, Result,
    examples::{Example, Settings},
    protobuf::{Fields, Value, read_varint},
};

/// The lengths that examples are padded to; part of every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Tokens of an example.
    pub max_seq_length: usize,
    /// Slots for masked tokens.
    pub max_predictions_per_seq: usize,
}

impl From<&Settings> for Shape {
    fn from(settings: &Settings) -> Self {
        Self { max_seq_length: settings.max_seq_length, max_predictions_per_seq: settings.max_predictions_per_seq }
    }
}

impl Shape {
    /// Checks that data of this shape can be trained on with the shape that training asks for. Fewer slots than asked for are
    /// no obstacle here; the original stops with a parse error unless both numbers agree.
    ///
    /// # Errors
    /// [`Error::Examples`] naming both numbers and the flag to change.
    pub fn check_training(&self, asked: Shape) -> Result<()> {
        let differs = |flag: &str, data: usize, training: usize| {
            Err(Error::Examples(format!(
                "the data was prepared with {flag} {data} but training asks for {training}; train with {flag} {data}, or prepare the data again with {flag} {training}"
            )))
        };
        if self.max_seq_length > asked.max_seq_length {
            return differs("--max-seq-length", self.max_seq_length, asked.max_seq_length);
        }
        if self.max_predictions_per_seq > asked.max_predictions_per_seq {
            return differs("--max-predictions-per-seq", self.max_predictions_per_seq, asked.max_predictions_per_seq);
        }
        Ok(())
    }
}

/// A list of one of the kinds a feature can hold.
#[derive(Default)]
enum List {
    #[default]
    Absent,
    Integers(Vec<i64>),
    Floats(Vec<f32>),
}

#[derive(Default)]
struct Features {
    input_ids: List,
    input_mask: List,
    segment_ids: List,
    masked_lm_positions: List,
    masked_lm_ids: List,
    masked_lm_weights: List,
    next_sentence_labels: List,
}

/// Reads a serialized `tf.train.Example` into `example`, without the padding, and tells the lengths it was padded to.
///
/// # Errors
/// [`Error::Examples`] naming the feature that is missing, has an unexpected length or holds values that no example can have.
pub fn decode(bytes: &[u8], example: &mut Example) -> Result<Shape> {
    let features = read_features(bytes)
        .ok_or_else(|| Error::Examples("expected a serialized tf.train.Example, found other bytes".into()))?;
    let ids = features.input_ids.integers("input_ids")?;
    let input_mask = features.input_mask.integers("input_mask")?;
    let segments = features.segment_ids.integers("segment_ids")?;
    let positions = features.masked_lm_positions.integers("masked_lm_positions")?;
    let masked_ids = features.masked_lm_ids.integers("masked_lm_ids")?;
    let weights = features.masked_lm_weights.floats("masked_lm_weights")?;
    let labels = features.next_sentence_labels.integers("next_sentence_labels")?;

    same_length("input_mask", input_mask.len(), "input_ids", ids.len())?;
    same_length("segment_ids", segments.len(), "input_ids", ids.len())?;
    same_length("masked_lm_ids", masked_ids.len(), "masked_lm_positions", positions.len())?;
    same_length("masked_lm_weights", weights.len(), "masked_lm_positions", positions.len())?;

    let tokens = run_of("input_mask", "ones then zeros", input_mask, |&value| value == 1, |&value| value == 0)?;
    let filled = run_of("masked_lm_weights", "ones then zeros", weights, |&value| value == 1.0, |&value| value == 0.0)?;
    let used_segments = segments.get(..tokens).unwrap_or(&[]);
    example.first_segment_length = run_of(
        "segment_ids",
        "zeros then ones, as far as there are tokens",
        used_segments,
        |&value| value == 0,
        |&value| value == 1,
    )?;
    example.is_random_next = match labels {
        [0] => false,
        [1] => true,
        _ => return Err(Error::Examples("next_sentence_labels must hold one number, 0 or 1".into())),
    };
    refill("input_ids", ids, tokens, u32::MAX, &mut example.input_ids)?;
    refill("masked_lm_ids", masked_ids, filled, u32::MAX, &mut example.masked_ids)?;
    let last = u32::try_from(tokens).unwrap_or(u32::MAX).saturating_sub(1);
    refill("masked_lm_positions", positions, filled, last, &mut example.masked_positions)?;
    Ok(Shape { max_seq_length: ids.len(), max_predictions_per_seq: positions.len() })
}

fn same_length(name: &str, length: usize, other: &str, expected: usize) -> Result<()> {
    if length == expected {
        return Ok(());
    }
    Err(Error::Examples(format!("{name} has {length} values but {other} has {expected}; both must have as many")))
}

/// Length of the first run, with everything after it of the second kind.
fn run_of<T>(name: &str, expected: &str, values: &[T], first: impl Fn(&T) -> bool, second: impl Fn(&T) -> bool) -> Result<usize> {
    let length = values.iter().take_while(|value| first(value)).count();
    match values.iter().skip(length).position(|value| !second(value)) {
        None => Ok(length),
        Some(place) => {
            Err(Error::Examples(format!("{name} must hold {expected}; the value at place {} does not fit", length + place)))
        }
    }
}

fn refill(name: &str, values: &[i64], used: usize, most: u32, target: &mut Vec<u32>) -> Result<()> {
    target.clear();
    for &value in values.iter().take(used) {
        match u32::try_from(value) {
            Ok(value) if value <= most => target.push(value),
            _ => return Err(Error::Examples(format!("{name} holds {value}, expected 0 to {most}"))),
        }
    }
    Ok(())
}

impl List {
    fn integers(&self, name: &str) -> Result<&[i64]> {
        match self {
            Self::Integers(values) => Ok(values),
            Self::Absent => Err(missing(name)),
            Self::Floats(_) => Err(Error::Examples(format!("feature {name} holds floats, expected integers"))),
        }
    }

    fn floats(&self, name: &str) -> Result<&[f32]> {
        match self {
            Self::Floats(values) => Ok(values),
            // A list without values has no kind.
            Self::Integers(values) if values.is_empty() => Ok(&[]),
            Self::Absent => Err(missing(name)),
            Self::Integers(_) => Err(Error::Examples(format!("feature {name} holds integers, expected floats"))),
        }
    }
}

fn missing(name: &str) -> Error {
    Error::Examples(format!("feature {name} is missing; expected the seven features of create_pretraining_data.py"))
}

fn read_features(bytes: &[u8]) -> Option<Features> {
    let mut features = Features::default();
    // Protobuf merges a message that is given in several parts.
    for part in Fields(bytes) {
        if let (1, Value::Bytes(part)) = part? {
            for entry in Fields(part) {
                if let (1, Value::Bytes(entry)) = entry? {
                    read_entry(entry, &mut features)?;
                }
            }
        }
    }
    Some(features)
}

fn read_entry(entry: &[u8], features: &mut Features) -> Option<()> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields(entry) {
        match field? {
            (1, Value::Bytes(bytes)) => name = bytes,
            (2, Value::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    let list = match name {
        b"input_ids" => &mut features.input_ids,
        b"input_mask" => &mut features.input_mask,
        b"segment_ids" => &mut features.segment_ids,
        b"masked_lm_positions" => &mut features.masked_lm_positions,
        b"masked_lm_ids" => &mut features.masked_lm_ids,
        b"masked_lm_weights" => &mut features.masked_lm_weights,
        b"next_sentence_labels" => &mut features.next_sentence_labels,
        _ => return Some(()),
    };
    *list = List::Integers(Vec::new());
    for field in Fields(value) {
        match field? {
            (2, Value::Bytes(bytes)) => *list = List::Floats(read_floats(bytes)?),
            (3, Value::Bytes(bytes)) => *list = List::Integers(read_integers(bytes)?),
            _ => {}
        }
    }
    Some(())
}

fn read_integers(list: &[u8]) -> Option<Vec<i64>> {
    let mut values = Vec::new();
    for field in Fields(list) {
        match field? {
            (1, Value::Bytes(mut packed)) => {
                // No value takes less than a byte, so this reserves no more than the record itself has.
                values.reserve(packed.len());
                while !packed.is_empty() {
                    values.push(read_varint(&mut packed)? as i64);
                }
            }
            (1, Value::Integer(value)) => values.push(value as i64),
            _ => {}
        }
    }
    Some(values)
}

fn read_floats(list: &[u8]) -> Option<Vec<f32>> {
    let mut values = Vec::new();
    for field in Fields(list) {
        match field? {
            (1, Value::Bytes(packed)) => {
                let (floats, rest) = packed.as_chunks::<4>();
                if !rest.is_empty() {
                    return None;
                }
                values.extend(floats.iter().map(|&bytes| f32::from_le_bytes(bytes)));
            }
            (1, Value::Four(bytes)) => values.push(f32::from_le_bytes(bytes)),
            _ => {}
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{encoded, example},
        *,
    };

    fn error(bytes: &[u8]) -> String {
        decode(bytes, &mut Example::default()).unwrap_err().to_string()
    }

    fn replaced(from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut bytes = encoded(&example(), 8, 3);
        let place = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[place..place + from.len()].copy_from_slice(to);
        bytes
    }

    #[test]
    fn unpacked_lists_and_unknown_fields_are_read() {
        // int64_list { value: 5 value: 300 } one by one, with a field 9 in between.
        let list = [0x08, 5, 0x48, 1, 0x08, 0xac, 0x02];
        assert_eq!(read_integers(&list), Some(vec![5, 300]));
        let floats: Vec<u8> = [0x0d].into_iter().chain(1f32.to_le_bytes()).chain([0x0d]).chain(0f32.to_le_bytes()).collect();
        assert_eq!(read_floats(&floats), Some(vec![1.0, 0.0]));
    }

    #[test]
    fn a_missing_feature_is_named() {
        assert!(error(&replaced(b"segment_ids", b"segment_idz")).contains("feature segment_ids is missing"));
        assert!(error(&[]).contains("input_ids is missing"));
    }

    #[test]
    fn values_that_no_example_has_are_errors() {
        let mask = replaced(&[1, 1, 1, 1, 1, 1, 1, 0], &[1, 1, 0, 1, 1, 1, 1, 0]);
        assert!(error(&mask).contains("input_mask must hold ones then zeros"), "{}", error(&mask));
        let position = replaced(&[0x0a, 3, 2, 4, 0], &[0x0a, 3, 2, 7, 0]);
        assert!(error(&position).contains("masked_lm_positions holds 7, expected 0 to 6"), "{}", error(&position));
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = encoded(&example(), 8, 3);
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end], &mut Example::default()).is_err(), "cut at {end}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = decode(&bytes, &mut Example::default());
        }

        #[test]
        fn examples_with_flipped_bytes_are_read_or_refused(place in 0..200_usize, byte: u8) {
            let mut bytes = encoded(&example(), 8, 3);
            let length = bytes.len();
            bytes[place % length] = byte;
            let mut read = Example::default();
            if decode(&bytes, &mut read).is_ok() {
                assert!(read.masked_positions.iter().all(|&position| (position as usize) < read.input_ids.len()));
            }
        }
    }

    #[test]
    fn a_mismatch_with_training_is_explained() {
        let data = Shape { max_seq_length: 128, max_predictions_per_seq: 22 };
        let asked = Shape { max_seq_length: 128, max_predictions_per_seq: 20 };
        let message = data.check_training(asked).unwrap_err().to_string();
        assert!(message.contains("--max-predictions-per-seq 22 but training asks for 20"), "{message}");
        assert!(asked.check_training(data).is_ok());
    }
}
