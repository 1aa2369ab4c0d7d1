//! The update as a plan: global norm, clip, Adam over the flat arenas.

use clinicalbert_core::bert::{NormRule, UpdateSettings};

use super::{
    backward::square_blocks,
    layout::{CHUNK, Layout},
    plan::{Argument, Memory, Place, Plan},
    record::{NORM, SQUARES, WIDE},
};

/// What follows the last micro-batch. `step` is the place of the learning rate; `copies` says whether weights are copied in bf16.
pub fn update(layout: &Layout, settings: UpdateSettings, step: Place, copies: bool) -> Plan {
    let mut plan = Plan::default();
    let start = |memory| Place { memory, offset: 0 };
    // The word table's part is there already under the original's rule: it is the norm of rows that have not been added up.
    let first = if settings.norm_rule == NormRule::Original { layout.word_values() } else { 0 };
    let (gradients, flags) =
        (Place { memory: Memory::Gradients, offset: 4 * first }, Place { memory: Memory::Flags, offset: first / CHUNK });
    let blocks = square_blocks(layout.total - first);
    let partial = plan.buffer("squares", 8 * blocks);
    let results = |offset| Place { memory: Memory::Results, offset };
    let arguments = vec![gradients.into(), flags.into(), Argument::Long(layout.total - first), partial.into()];
    plan.kernel("gradient_squares", [blocks, 1, 1], WIDE, arguments);
    plan.kernel("square_total", [1; 3], WIDE, vec![partial.into(), blocks.into(), results(SQUARES).into()]);
    let arguments = vec![results(SQUARES).into(), Argument::Double(settings.clip_norm), results(NORM).into()];
    plan.kernel("clip", [1; 3], 1, arguments);
    let arguments = vec![
        start(Memory::Weights).into(),
        start(Memory::First).into(),
        start(Memory::Second).into(),
        start(Memory::Gradients).into(),
        Argument::Pointer(copies.then(|| start(Memory::Copies))),
        start(Memory::Flags).into(),
        step.into(),
        results(NORM).into(),
        Argument::Adam(settings),
    ];
    plan.kernel("adam", [layout.total / CHUNK, 1, 1], WIDE, arguments);
    plan.allocate();
    plan
}
