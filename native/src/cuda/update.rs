//! The update as a plan: global norm, clip, Adam over the flat arenas.

use clinicalbert_core::bert::{NormRule, UpdateSettings};

use super::{
    backward::square_blocks,
    layout::{CHUNK, Layout},
    plan::{Argument, Memory, Place, Plan},
    record::{FIGURES, NORM, SQUARES, WIDE},
};

/// Figures of updates that the ring holds.
pub const REPORTS: usize = 64;
/// Bytes of an update's figures: four sums of losses and hits and the norm, f64.
pub const REPORT: usize = 40;

/// Adds what follows the last micro-batch. `step` is the place of the learning rate; `copies` says whether weights are copied in bf16.
pub fn update(plan: &mut Plan, layout: &Layout, settings: UpdateSettings, step: Place, copies: bool) {
    let arena = |memory, size| Place { memory, offset: 0, bytes: size * layout.total };
    // The word table's part is there already under the original's rule: it is the norm of rows that have not been added up.
    let first = if settings.norm_rule == NormRule::Original { layout.word_values() } else { 0 };
    let flags = Place { memory: Memory::Flags, offset: 0, bytes: layout.flags.len() };
    let blocks = square_blocks(layout.total - first);
    let partial = plan.buffer("squares", 8 * blocks);
    let results = |offset, bytes| Place { memory: Memory::Results, offset, bytes };
    let (squares, norm) = (results(SQUARES, 8), results(NORM, 16));
    let arguments = vec![
        arena(Memory::Gradients, 4).after(4 * first).into(),
        flags.after(first / CHUNK).into(),
        Argument::Long(layout.total - first),
        partial.into(),
    ];
    plan.kernel("gradient_squares", [blocks, 1, 1], WIDE, arguments);
    plan.kernel("square_total", [1; 3], WIDE, vec![partial.into(), blocks.into(), squares.into()]);
    let reports = Place { memory: Memory::Reports, offset: 0, bytes: REPORTS * REPORT };
    let clip = Argument::Double(settings.clip_norm);
    let arguments = vec![squares.into(), clip, norm.into(), results(FIGURES, 32).into(), step.into(), reports.into()];
    plan.kernel("clip", [1; 3], 1, arguments);
    let arguments = vec![
        arena(Memory::Weights, 4).into(),
        arena(Memory::First, 4).into(),
        arena(Memory::Second, 4).into(),
        arena(Memory::Gradients, 4).into(),
        Argument::Pointer(copies.then(|| arena(Memory::Copies, 2))),
        flags.into(),
        step.into(),
        norm.into(),
        Argument::Adam(settings),
    ];
    plan.kernel("adam", [layout.total / CHUNK, 1, 1], WIDE, arguments);
}
