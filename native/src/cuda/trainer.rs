//! Pretraining on a device that runs plans: what [`clinicalbert_core::bert::Trainer`] does on the CPU, from the same inputs.

use std::cell::RefCell;
use std::collections::HashMap;

use anyhow::{Result, ensure};
use clinicalbert_core::{
    bert::{
        Batch, Config, DropoutKey, EvaluationSums, Freeze, MLM_DIVISOR_EPSILON, MaskedSlots, StepReport, UpdateSettings,
        loss_divisors,
    },
    weights::Tensors,
};

use super::{
    backward::Options,
    batch_memory::{BatchMemory, BatchShape, Step},
    kernels::Real,
    layout::Layout,
    machine::GpuMachine,
    plan::{Launch, Memory, Place, Plan},
    record::{FIGURES, RESULTS, Recorder, SQUARES},
    update::{REPORT, REPORTS, update},
};

/// Longest sequence: `LENGTH_MAX` of attention.cu.
pub const LENGTH_MAX: usize = 512;

/// Batches of so many shapes are planned at a time.
const SHAPES_MAX: usize = 64;
/// Ends of parts of an update, for [`Trainer::part_times`].
const STARTED: usize = 0;
const FORWARD: usize = 1;
const BACKWARD: usize = 2;
const UPDATED: usize = 3;

/// A pretraining model and its optimizer's state on a GPU.
pub struct Trainer {
    config: Config,
    settings: UpdateSettings,
    seed: u64,
    real: Real,
    layout: Layout,
    machine: RefCell<GpuMachine>,
    plans: RefCell<HashMap<(BatchShape, Pass), usize>>,
    /// Updates begun, and those of which the ring has been read.
    begun: u64,
    read: u64,
    reports: Vec<StepReport>,
}

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Pass {
    /// A micro-batch of an update.
    Training {
        /// Whether gradients begin anew, rather than being added to those before.
        first: bool,
        /// Whether the update follows.
        last: bool,
    },
    /// Losses without gradients.
    Evaluation,
}

impl Trainer {
    /// Puts a model on the machine. Moments start at 0; `seed` decides on dropout.
    ///
    /// # Errors
    /// Weights that are missing or do not fit, nothing that is not frozen, or a GPU without enough memory.
    pub fn new(
        mut machine: GpuMachine,
        config: &Config,
        weights: &Tensors,
        (settings, seed): (UpdateSettings, u64),
        freeze: &Freeze,
    ) -> Result<Self> {
        config.validate()?;
        freeze.check(config)?;
        let layout = Layout::new(config, freeze)?;
        // Kernels count with `int`.
        ensure!(i32::try_from(layout.total).is_ok(), "{} parameters are more than fit: {} do", layout.total, i32::MAX);
        ensure!(layout.trains(), "freeze: every part of the model is frozen, nothing is left to train");
        for memory in [Memory::Weights, Memory::Gradients, Memory::First, Memory::Second] {
            machine.reserve(memory, 4 * layout.total)?;
        }
        machine.reserve(Memory::Flags, layout.flags.len())?;
        machine.write(Memory::Flags, 0, &layout.flags)?;
        machine.reserve(Memory::Results, RESULTS)?;
        machine.reserve(Memory::Reports, REPORTS * REPORT)?;
        let arena = layout.arena(weights)?;
        machine.write(Memory::Weights, 0, bytemuck::cast_slice(&arena))?;
        let real = machine.real();
        if real == Real::Bf16 {
            machine.reserve(Memory::Copies, 2 * layout.total)?;
            machine.write(Memory::Copies, 0, bytemuck::cast_slice(&in_bf16(&arena)))?;
        }
        let (machine, plans, reports) = (RefCell::new(machine), RefCell::default(), Vec::new());
        Ok(Self { config: config.clone(), settings, seed, real, layout, machine, plans, begun: 0, read: 0, reports })
    }

    /// Begins an update; as the CPU's, but the GPU is still at work on it and on those before when this returns.
    ///
    /// # Errors
    /// A batch that does not fit the model, or a failing GPU, maybe in an update before.
    pub fn begin(&mut self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32) -> Result<()> {
        if self.begun - self.read == REPORTS as u64 {
            self.read_reports()?;
        }
        self.passes(micro_batches, step, rate, true)?;
        self.begun += 1;
        Ok(())
    }

    /// Reports of updates, in their order, each once: of all that were begun, when they are done.
    ///
    /// # Errors
    /// A failing GPU.
    pub fn reports(&mut self) -> Result<Vec<StepReport>> {
        self.read_reports()?;
        Ok(std::mem::take(&mut self.reports))
    }

    fn read_reports(&mut self) -> Result<()> {
        let mut ring = vec![0.0_f64; REPORTS * REPORT / 8];
        self.machine.get_mut().read(Memory::Reports, bytemuck::cast_slice_mut(&mut ring))?;
        let (figures, _) = ring.as_chunks::<{ REPORT / 8 }>();
        for update in self.read..self.begun {
            let Some([mlm_loss, mlm_accuracy, nsp_loss, nsp_accuracy, grad_norm]) = figures.get(place_of(update)).copied() else {
                continue;
            };
            let loss = mlm_loss + nsp_loss;
            self.reports.push(StepReport { loss, mlm_loss, nsp_loss, mlm_accuracy, nsp_accuracy, grad_norm });
        }
        self.read = self.begun;
        Ok(())
    }

    /// The gradients that [`Self::begin`] would use, before clipping, by Hugging Face's names; the CPU's trainer leaves out those of frozen
    /// parameters, which are here too.
    ///
    /// # Errors
    /// As [`Self::begin`].
    #[cfg(test)]
    pub fn gradients(&self, micro_batches: &[(Batch, MaskedSlots)], step: u64) -> Result<Tensors> {
        self.passes(micro_batches, step, 0.0, false)?;
        self.tensors(Memory::Gradients)
    }

    /// All passes of an update; with `updates`, the update itself follows the last of them.
    fn passes(&self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32, updates: bool) -> Result<()> {
        ensure!(!micro_batches.is_empty(), "expected at least one micro-batch, found none");
        let divisors = loss_divisors(micro_batches.iter().map(|(_, slots)| slots));
        let divisors = (divisors.0 + MLM_DIVISOR_EPSILON, divisors.1);
        for (index, (batch, slots)) in micro_batches.iter().enumerate() {
            let pass = Pass::Training { first: index == 0, last: updates && index + 1 == micro_batches.len() };
            let key = DropoutKey::new(self.seed, step, index)?;
            self.pass(batch, slots, pass, divisors, Step { key, rate, report: place_of(self.begun) as u32 })?;
        }
        Ok(())
    }

    /// Losses and hits on one batch, without dropout.
    ///
    /// # Errors
    /// A batch that does not fit the model, or a failing machine.
    pub fn evaluate(&self, batch: &Batch, slots: &MaskedSlots) -> Result<EvaluationSums> {
        let key = DropoutKey::new(self.seed, 0, 0)?;
        self.pass(batch, slots, Pass::Evaluation, (1.0, 1.0), Step { key, rate: 0.0, report: 0 })?;
        let mut sums = [0.0_f64; 4];
        self.machine.borrow().read(Memory::Results, bytemuck::cast_slice_mut(&mut sums))?;
        let [mlm_nll, mlm_correct, nsp_nll, nsp_correct] = sums;
        let (mlm_weight, rows) = loss_divisors([slots]);
        let batch_losses = mlm_nll / f64::from(mlm_weight + MLM_DIVISOR_EPSILON) + nsp_nll / f64::from(rows);
        let (mlm_weight, rows) = (f64::from(mlm_weight), f64::from(rows));
        Ok(EvaluationSums { mlm_nll, mlm_correct, mlm_weight, nsp_nll, nsp_correct, rows, batch_losses, batches: 1.0 })
    }

    /// The weights, by Hugging Face's names.
    ///
    /// # Errors
    /// A failing machine.
    pub fn weights(&self) -> Result<Tensors> {
        self.tensors(Memory::Weights)
    }

    /// First and second moments, by the names of the weights.
    ///
    /// # Errors
    /// A failing machine.
    pub fn moments(&self) -> Result<(Tensors, Tensors)> {
        Ok((self.tensors(Memory::First)?, self.tensors(Memory::Second)?))
    }

    /// Goes on from stored moments.
    ///
    /// # Errors
    /// Moments that are missing or do not fit.
    pub fn set_moments(&mut self, first: &Tensors, second: &Tensors) -> Result<()> {
        let machine = self.machine.get_mut();
        machine.write(Memory::First, 0, bytemuck::cast_slice(&self.layout.arena(first)?))?;
        machine.write(Memory::Second, 0, bytemuck::cast_slice(&self.layout.arena(second)?))
    }

    fn tensors(&self, memory: Memory) -> Result<Tensors> {
        let mut arena = vec![0.0_f32; self.layout.total];
        self.machine.borrow().read(memory, bytemuck::cast_slice_mut(&mut arena))?;
        Ok(self.layout.tensors(&arena))
    }

    /// Takes the time of the parts of an update from now on.
    ///
    /// # Errors
    /// A failing GPU.
    pub fn time_parts(&mut self) -> Result<()> {
        self.machine.get_mut().time_parts(UPDATED + 1)
    }

    /// Milliseconds of the last update's forward pass, backward pass and optimizer, when it is done.
    ///
    /// # Errors
    /// As [`GpuMachine::part_time`].
    pub fn part_times(&self) -> Result<[f64; 3]> {
        let machine = self.machine.borrow();
        Ok([machine.part_time(STARTED, FORWARD)?, machine.part_time(FORWARD, BACKWARD)?, machine.part_time(BACKWARD, UPDATED)?])
    }

    /// The GPU.
    pub fn machine(&mut self) -> &mut GpuMachine {
        self.machine.get_mut()
    }

    fn pass(&self, batch: &Batch, slots: &MaskedSlots, pass: Pass, divisors: (f32, f32), step: Step) -> Result<()> {
        batch.validate(&self.config)?;
        slots.validate(batch, &self.config)?;
        let shape = BatchShape::of(batch, slots)?;
        ensure!(shape.length <= LENGTH_MAX, "sequences of {} tokens are longer than the GPU's {LENGTH_MAX}", shape.length);
        let memory = BatchMemory::new(shape);
        let inputs = memory.pack(batch, slots, divisors, step);
        let (mut machine, mut plans) = (self.machine.borrow_mut(), self.plans.borrow_mut());
        let plan = match plans.get(&(shape, pass)) {
            Some(plan) => *plan,
            None => {
                // Every shape has its memory for arguments and its graph, and small batches come in many lengths.
                if plans.len() == SHAPES_MAX {
                    plans.clear();
                    machine.forget_plans()?;
                }
                let plan = plan(&self.config, &self.layout, (self.real, self.settings), shape, pass)?;
                machine.reserve(Memory::Inputs, memory.bytes)?;
                *plans.entry((shape, pass)).or_insert(machine.add(plan)?)
            }
        };
        machine.run(plan, &inputs)
    }
}

/// Place of an update's figures in the ring.
fn place_of(update: u64) -> usize {
    (update % REPORTS as u64) as usize
}

/// Bits of the nearest bf16 values.
pub fn in_bf16(values: &[f32]) -> Vec<u16> {
    values.iter().map(|value| half::bf16::from_f32(*value).to_bits()).collect()
}

/// The launches of a pass over batches of one shape.
fn plan(
    config: &Config,
    layout: &Layout,
    (real, settings): (Real, UpdateSettings),
    shape: BatchShape,
    pass: Pass,
) -> Result<Plan> {
    let recorder = Recorder::new(config, layout, real, shape);
    recorder.mark(STARTED);
    let is_training = pass != Pass::Evaluation;
    let is_further = matches!(pass, Pass::Training { first: false, .. });
    if !is_further {
        recorder.zero(Place { memory: Memory::Results, offset: FIGURES, bytes: SQUARES + 8 });
    }
    recorder.losses(is_training)?;
    recorder.mark(FORWARD);
    if is_training {
        let (norm_rule, words_trained) = (settings.norm_rule, layout.trains_words());
        recorder.backward(Options { accumulate: is_further, norm_rule, words_trained })?;
    }
    recorder.mark(BACKWARD);
    let step = recorder.memory.step;
    let mut plan = recorder.state.into_inner().plan;
    if matches!(pass, Pass::Training { last: true, .. }) {
        update(&mut plan, layout, settings, step, real == Real::Bf16);
        plan.launches.push(Launch::Mark(UPDATED));
    }
    plan.complete();
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::branches::{Order, tests::check};
    use crate::cuda::plan::{Launch, Product};

    #[test]
    fn the_update_of_bert_base_is_counted() {
        let (config, shape) = (Config::default(), BatchShape { sequences: 32, length: 128, slots: 20 });
        let layout = Layout::new(&config, &Freeze::default()).unwrap();
        let make = |pass| plan(&config, &layout, (Real::Bf16, UpdateSettings::default()), shape, pass).unwrap();
        let training = |first, last| make(Pass::Training { first, last });
        let (first, further, evaluation) = (training(true, true), training(false, false), make(Pass::Evaluation));
        for plan in [&first, &further, &evaluation] {
            plan.check();
            check(plan);
        }
        // Every weight's gradient runs beside, and nothing of the chain that they come from.
        let beside = |launch: &&(&Launch, &Order)| launch.1.beside;
        let ordered: Vec<_> = first.launches.iter().zip(&first.order).collect();
        let products_beside = ordered.iter().filter(beside).filter(|(launch, _)| matches!(launch, Launch::Product(_))).count();
        assert_eq!(products_beside, 51);
        let waits = ordered.iter().filter(|(_, order)| !order.beside && order.after.is_some()).count();
        println!("{} beside, the others wait for them {waits} times", ordered.iter().filter(beside).count());
        let products = |plan: &Plan| plan.launches.iter().filter(|launch| matches!(launch, Launch::Product(_))).count();
        // Forward 4 a layer, pooler, transform, vocabulary; backward twice as many.
        assert_eq!((products(&evaluation), products(&first), products(&further)), (51, 153, 153));
        // By hand: a layer has 4·768² + 2·768·3072 weights and 4,096 rows, the heads 640 and 32; a multiplication and an addition each,
        // three times over.
        let weights: u64 = 4096 * 12 * (4 * 768 * 768 + 2 * 768 * 3072) + 640 * (768 * 768 + 29_056 * 768) + 32 * 768 * 768;
        assert_eq!(first.product_operations(), 6 * weights);
        assert_eq!(evaluation.product_operations(), 2 * weights);
        println!(
            "launches: {} first, {} further, {} evaluation",
            first.launches.len(),
            further.launches.len(),
            evaluation.launches.len()
        );
        println!(
            "buffers: {} MB first, {} MB further, {} MB evaluation",
            first.bytes >> 20,
            further.bytes >> 20,
            evaluation.bytes >> 20
        );
        let results = first.launches.iter().filter_map(|launch| match launch {
            Launch::Product(Product { out, .. }) if out.place.memory == Memory::Gradients => Some(out.place.offset),
            _ => None,
        });
        let mut offsets: Vec<_> = results.collect();
        assert_eq!(offsets.len(), 51);
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets.len(), 51, "two products write one gradient");
    }
}
