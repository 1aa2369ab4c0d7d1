//! Instances as records of one size, for the file they wait in between making and the final shuffle.

use super::{
    Masking, Settings,
    instances::{Instance, Segment},
    masking::Mask,
};
use crate::{Error, Result};

/// Starts of both segments (`u64`), their lengths (`u16`), the label and the number of masks (`u16`); all little-endian.
const HEADER: usize = 8 + 8 + 2 + 2 + 1 + 2;

/// How instances are packed: a position (`u16`) and an id (`u16`, or `u32` with a large vocabulary) for every slot.
/// At 128 tokens and 20 predictions a record has 103 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    slots: usize,
    wide_ids: bool,
}

impl Packing {
    /// The packing for examples of these settings over a vocabulary of that many entries.
    pub fn new(settings: &Settings, vocab_size: usize) -> Self {
        let slots = match settings.masking {
            Masking::Static => settings.max_predictions_per_seq.min(settings.max_seq_length),
            Masking::Dynamic => 0,
        };
        Self { slots, wide_ids: vocab_size > 1 << 16 }
    }

    /// Bytes of a record.
    pub fn record_length(self) -> usize {
        HEADER + self.slots * self.slot_length()
    }

    fn slot_length(self) -> usize {
        if self.wide_ids { 6 } else { 4 }
    }

    /// Appends the record of an instance.
    ///
    /// # Errors
    /// [`Error::Examples`] if the instance has longer segments, larger ids or more masks than the settings allow.
    pub fn append(self, instance: &Instance, bytes: &mut Vec<u8>) -> Result<()> {
        let Instance { first, second, is_random_next, masks } = instance;
        let too_large = || Error::Examples("the instance was made with other settings than the packing".into());
        let end = bytes.len() + self.record_length();
        bytes.extend_from_slice(&first.start.to_le_bytes());
        bytes.extend_from_slice(&second.start.to_le_bytes());
        for length in [first.length, second.length] {
            bytes.extend_from_slice(&u16::try_from(length).map_err(|_| too_large())?.to_le_bytes());
        }
        bytes.push(u8::from(*is_random_next));
        let count = u16::try_from(masks.len()).map_err(|_| too_large())?;
        bytes.extend_from_slice(&count.to_le_bytes());
        for mask in masks {
            bytes.extend_from_slice(&mask.position.to_le_bytes());
            if self.wide_ids {
                bytes.extend_from_slice(&mask.id.to_le_bytes());
            } else {
                bytes.extend_from_slice(&u16::try_from(mask.id).map_err(|_| too_large())?.to_le_bytes());
            }
        }
        if bytes.len() > end {
            return Err(too_large());
        }
        bytes.resize(end, 0);
        Ok(())
    }

    /// Reads one record into `instance`, whose memory is used again.
    ///
    /// # Errors
    /// [`Error::Examples`] if the bytes are not a record of this packing.
    pub fn read(self, bytes: &[u8], instance: &mut Instance) -> Result<()> {
        let damaged = || Error::Examples(format!("a packed instance of {} bytes is damaged or was cut", self.record_length()));
        if bytes.len() != self.record_length() {
            return Err(damaged());
        }
        let mut rest = bytes;
        let mut start = || take::<8>(&mut rest).map(u64::from_le_bytes);
        let (first, second) = (start().ok_or_else(damaged)?, start().ok_or_else(damaged)?);
        let mut short = || take::<2>(&mut rest).map(u16::from_le_bytes);
        let (first_length, second_length) = (short().ok_or_else(damaged)?, short().ok_or_else(damaged)?);
        instance.first = Segment { start: first, length: first_length.into() };
        instance.second = Segment { start: second, length: second_length.into() };
        let [label] = take(&mut rest).ok_or_else(damaged)?;
        instance.is_random_next = label != 0;
        let count = usize::from(take(&mut rest).map(u16::from_le_bytes).ok_or_else(damaged)?);
        let slots = rest.get(..count * self.slot_length()).ok_or_else(damaged)?;
        instance.masks.clear();
        instance.masks.extend(slots.chunks_exact(self.slot_length()).map(|slot| match *slot {
            [a, b, c, d, e, f] => Mask { position: u16::from_le_bytes([a, b]), id: u32::from_le_bytes([c, d, e, f]) },
            [a, b, c, d] => Mask { position: u16::from_le_bytes([a, b]), id: u32::from(u16::from_le_bytes([c, d])) },
            _ => Mask::default(),
        }));
        Ok(())
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: u32) -> Instance {
        Instance {
            first: Segment { start: 1 << 40, length: 17 },
            second: Segment { start: 3, length: 108 },
            is_random_next: true,
            masks: vec![Mask { position: 4, id }, Mask { position: 300, id: 103 }],
        }
    }

    #[test]
    fn what_is_packed_comes_back() {
        for (vocab_size, id, length) in [(28_996, 28_995, 103), (70_000, 69_999, 143)] {
            let packing = Packing::new(&Settings::default(), vocab_size);
            let mut bytes = Vec::new();
            packing.append(&instance(id), &mut bytes).unwrap();
            assert_eq!(bytes.len(), length);
            let mut read = Instance::default();
            packing.read(&bytes, &mut read).unwrap();
            assert_eq!(read, instance(id));
        }
    }

    #[test]
    fn cut_damaged_and_unfitting_records_are_errors() {
        let packing = Packing::new(&Settings::default(), 28_996);
        let mut bytes = Vec::new();
        packing.append(&instance(7), &mut bytes).unwrap();
        let mut read = Instance::default();
        assert!(packing.read(&bytes[1..], &mut read).is_err());
        bytes[21] = 0xff;
        assert!(packing.read(&bytes, &mut read).is_err());
        assert!(packing.append(&instance(70_000), &mut Vec::new()).is_err());
        let crowded = Instance { masks: vec![Mask::default(); 21], ..instance(7) };
        assert!(packing.append(&crowded, &mut Vec::new()).is_err());
    }
}
