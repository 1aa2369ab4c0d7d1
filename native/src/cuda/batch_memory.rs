//! What changes from one pass to the next, as one piece of memory: one copy brings it to the GPU, its addresses stay.

use anyhow::{Result, ensure};
use clinicalbert_core::bert::{Batch, DropoutKey, MaskedSlots};

use super::{
    plan::{Memory, Place},
    token_rows::TokenRows,
};

/// The shape of a batch; a plan is made for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchShape {
    /// Sequences.
    pub sequences: usize,
    /// Tokens of each.
    pub length: usize,
    /// Masked slots of each.
    pub slots: usize,
}

impl BatchShape {
    /// Tokens in all.
    pub fn rows(&self) -> usize {
        self.sequences * self.length
    }

    /// Of a batch.
    ///
    /// # Errors
    /// Slots that are not equally many for each sequence, in their order, as `Batch::from_examples` has them.
    pub fn of(batch: &Batch, slots: &MaskedSlots) -> Result<Self> {
        let per_sequence = slots.positions.len() / batch.rows.max(1);
        let shape = Self { sequences: batch.rows, length: batch.length, slots: per_sequence };
        let mut all = slots.positions.iter().enumerate();
        let sorted = all.all(|(slot, position)| *position as usize / batch.length.max(1) == slot / per_sequence.max(1));
        ensure!(per_sequence * batch.rows == slots.positions.len() && sorted, "masked slots are not sorted by sequence");
        Ok(shape)
    }
}

/// `Step` of common.cu: what a pass is, beside its batch.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Which elements dropout drops.
    pub key: DropoutKey,
    /// Learning rate.
    pub rate: f32,
    /// Where in the ring the update's figures go.
    pub report: u32,
}

/// Offsets in [`Memory::Inputs`].
#[derive(Debug, Clone, Copy)]
pub struct BatchMemory {
    /// `Step` of common.cu.
    pub step: Place,
    /// Token ids, u32.
    pub ids: Place,
    /// Segment types, u8.
    pub types: Place,
    /// 1 for a token, u8.
    pub mask: Place,
    /// Flat positions of the masked slots, u32.
    pub positions: Place,
    /// Tokens to be found there, u32.
    pub slot_ids: Place,
    /// Their weights, f32.
    pub slot_weights: Place,
    /// Flat positions of the sequences' first tokens, u32.
    pub first: Place,
    /// Next sentence labels, u32.
    pub labels: Place,
    /// Their weights, f32.
    pub label_weights: Place,
    /// [`TokenRows::order`]
    pub order: Place,
    /// [`TokenRows::segments`]
    pub segments: Place,
    /// How many segments, u32.
    pub segment_count: Place,
    /// [`TokenRows::tokens`]
    pub tokens: Place,
    /// [`TokenRows::token_segments`]
    pub token_segments: Place,
    /// How many tokens, u32.
    pub token_count: Place,
    /// All of it.
    pub bytes: usize,
}

impl BatchMemory {
    /// For batches of a shape.
    pub fn new(shape: BatchShape) -> Self {
        let (rows, slots, sequences) = (shape.rows(), shape.sequences * shape.slots, shape.sequences);
        let mut bytes = 0;
        let mut next = |count: usize, size: usize| {
            let offset = bytes;
            bytes += (count * size).next_multiple_of(16);
            Place { memory: Memory::Inputs, offset, bytes: count * size }
        };
        let mut memory = Self {
            step: next(6, 4),
            ids: next(rows, 4),
            types: next(rows, 1),
            mask: next(rows, 1),
            positions: next(slots, 4),
            slot_ids: next(slots, 4),
            slot_weights: next(slots, 4),
            first: next(sequences, 4),
            labels: next(sequences, 4),
            label_weights: next(sequences, 4),
            order: next(rows, 4),
            segments: next(rows + 1, 4),
            segment_count: next(1, 4),
            tokens: next(rows, 4),
            token_segments: next(rows + 1, 4),
            token_count: next(1, 4),
            bytes: 0,
        };
        memory.bytes = bytes;
        memory
    }

    /// The bytes of a batch. Losses are divided by `divisors` (masked slots, next sentence).
    pub fn pack(&self, batch: &Batch, slots: &MaskedSlots, divisors: (f32, f32), step: Step) -> Vec<u8> {
        let sorted = TokenRows::new(&batch.input_ids);
        let weights: Vec<f32> = slots.weights.iter().map(|weight| weight / divisors.0).collect();
        let first: Vec<u32> = (0..batch.rows).map(|sequence| (sequence * batch.length) as u32).collect();
        let label_weights = vec![1.0 / divisors.1; batch.rows];
        let Step { key, rate, report } = step;
        let step = [key.seed as u32, (key.seed >> 32) as u32, key.step, key.micro_batch, rate.to_bits(), report];
        let mut packed = vec![0; self.bytes];
        let mut put = |place: Place, bytes: &[u8]| {
            if let Some(to) = packed.get_mut(place.offset..place.offset + bytes.len()) {
                to.copy_from_slice(bytes);
            }
        };
        put(self.types, &batch.token_type_ids);
        put(self.mask, &batch.attention_mask);
        put(self.slot_weights, bytemuck::cast_slice(&weights));
        put(self.label_weights, bytemuck::cast_slice(&label_weights));
        for (place, values) in [
            (self.step, &step[..]),
            (self.ids, &batch.input_ids),
            (self.positions, &slots.positions),
            (self.slot_ids, &slots.ids),
            (self.first, &first),
            (self.labels, &slots.next_sentence),
            (self.order, &sorted.order),
            (self.segments, &sorted.segments),
            (self.segment_count, &[sorted.segments.len() as u32 - 1]),
            (self.tokens, &sorted.tokens),
            (self.token_segments, &sorted.token_segments),
            (self.token_count, &[sorted.tokens.len() as u32]),
        ] {
            put(place, bytemuck::cast_slice(values));
        }
        packed
    }
}
