//! Invented batches: ids at random, one example in ten short, as examples of notes are.

use clinicalbert_core::bert::{Batch, Config, MaskedSlots};

use super::Case;

const SEED: u64 = 1;
/// One example in so many is short.
const SHORT: u32 = 10;
/// Share of an example's tokens that are masked.
const MASKED: f64 = 0.15;

/// So many batches, all different.
pub fn batches(config: &Config, case: Case, count: usize) -> Vec<(Batch, MaskedSlots)> {
    let mut random = fastrand::Rng::with_seed(SEED);
    (0..count).map(|_| batch(config, case, &mut random)).collect()
}

fn batch(config: &Config, case: Case, random: &mut fastrand::Rng) -> (Batch, MaskedSlots) {
    let (length, largest) = (case.length, config.vocab_size.max(2) as u32);
    let mut batch = Batch { rows: case.batch, length, ..Batch::default() };
    let mut slots = MaskedSlots::default();
    for row in 0..case.batch {
        let is_short = random.u32(0..SHORT) == 0;
        let tokens = if is_short { random.usize(length.min(16).min(length / 2)..length) } else { length };
        for position in 0..length {
            let there = position < tokens;
            batch.input_ids.push(if there { random.u32(1..largest) } else { 0 });
            batch.attention_mask.push(u8::from(there));
            batch.token_type_ids.push(u8::from(there && position >= tokens / 2));
        }
        let masked = ((tokens as f64 * MASKED).round() as usize).clamp(1, case.slots());
        let first = (row * length) as u32;
        // The first token is never masked; unused slots come last and point at it.
        let mut positions: Vec<u32> = random.choose_multiple(1..tokens as u32, masked);
        positions.sort_unstable();
        for slot in 0..case.slots() {
            let position = positions.get(slot).copied();
            slots.positions.push(first + position.unwrap_or(0));
            slots.ids.push(if position.is_some() { random.u32(1..largest) } else { 0 });
            slots.weights.push(if position.is_some() { 1.0 } else { 0.0 });
        }
        slots.next_sentence.push(random.u32(0..2));
    }
    (batch, slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fit_the_model_and_differ() {
        let config = Config { vocab_size: 50, max_position_embeddings: 64, ..Config::default() };
        for case in ["8x64", "3x5"] {
            let batches = batches(&config, case.parse().unwrap(), 4);
            for (batch, slots) in &batches {
                batch.validate(&config).unwrap();
                slots.validate(batch, &config).unwrap();
            }
            assert_ne!(batches[0].0.input_ids, batches[1].0.input_ids);
        }
    }
}
