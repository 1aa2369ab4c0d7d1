//! Milliseconds of a pretraining update on the CPU: 4 layers, 256 wide, 4 heads, 1024 in the feed-forward block, vocabulary 8000,
//! 32 rows of 128 tokens, 20 predictions, dropout 0.1.
//!
//! `RAYON_NUM_THREADS=2 cargo run --release -p clinicalbert-core --features candle --example step_time [updates]`

use std::time::Instant;

use clinicalbert_core::{
    Result,
    bert::{Batch, Config, MaskedSlots, Trainer, UpdateSettings, initialize},
};

const ROWS: usize = 32;
const LENGTH: usize = 128;
const PREDICTIONS: u32 = 20;

fn main() -> Result<()> {
    let updates: u64 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10);
    let config = Config {
        vocab_size: 8000,
        hidden_size: 256,
        num_hidden_layers: 4,
        num_attention_heads: 4,
        intermediate_size: 1024,
        ..Config::default()
    };
    let mut trainer = Trainer::new(&config, &initialize(&config, 1), UpdateSettings::default(), 1)?;
    let batch = [batch()];
    trainer.step(&batch, 0, 1e-4)?;
    let mut times = Vec::new();
    for step in 1..=updates {
        let start = Instant::now();
        let report = trainer.step(&batch, step, 1e-4)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        eprintln!("{step}: {:.0} ms, loss {}, norm {}", times.last().copied().unwrap_or_default(), report.loss, report.grad_norm);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get(times.len() * share / 4).or(times.last()).copied().unwrap_or_default();
    println!("median {:.0} ms, fastest {:.0} ms", at(2), at(0));
    Ok(())
}

fn batch() -> (Batch, MaskedSlots) {
    let cells = ROWS * LENGTH;
    let ids = |count: usize| (0..count as u32).map(|at| 5 + at.wrapping_mul(2_654_435_761) % 7990).collect::<Vec<_>>();
    let types = (0..cells).map(|at| u8::from(at % LENGTH >= LENGTH / 2)).collect();
    let batch =
        Batch { rows: ROWS, length: LENGTH, input_ids: ids(cells), attention_mask: vec![1; cells], token_type_ids: types };
    let positions = (0..ROWS as u32).flat_map(|row| (0..PREDICTIONS).map(move |slot| row * LENGTH as u32 + 1 + slot * 6));
    let slots = MaskedSlots {
        positions: positions.collect(),
        ids: ids(ROWS * PREDICTIONS as usize),
        weights: vec![1.0; ROWS * PREDICTIONS as usize],
        next_sentence: (0..ROWS as u32).map(|row| row % 2).collect(),
    };
    (batch, slots)
}
