//! Pretraining on a device that runs plans: what [`clinicalbert_core::bert::Trainer`] does on the CPU, from the same inputs.

use std::cell::RefCell;
use std::collections::HashMap;

use anyhow::{Result, ensure};
use clinicalbert_core::{
    bert::{
        Batch, Config, DropoutKey, EvaluationSums, Freeze, MLM_DIVISOR_EPSILON, MaskedSlots, NormRule, StepReport,
        UpdateSettings, loss_divisors,
    },
    weights::Tensors,
};

use super::{
    backward::Options,
    batch_memory::{BatchMemory, BatchShape},
    kernels::Real,
    layout::Layout,
    plan::{Memory, Place, Plan},
    record::{FIGURES, NORM, RESULTS, Recorder, SQUARES},
    update::update,
};

/// Longest sequence: `LENGTH_MAX` of attention.cu.
const LENGTH_MAX: usize = 512;

/// Device memory and what runs plans on it.
pub trait Machine {
    /// Gives a piece of memory at least this size; what it held may be lost if it grows. New memory is 0.
    ///
    /// # Errors
    /// Not enough memory.
    fn reserve(&mut self, memory: Memory, bytes: usize) -> Result<()>;

    /// Copies to the beginning of a piece of memory.
    ///
    /// # Errors
    /// A failing machine.
    fn write(&mut self, memory: Memory, bytes: &[u8]) -> Result<()>;

    /// Copies from the beginning of a piece of memory, when everything launched before is done.
    ///
    /// # Errors
    /// A failing machine.
    fn read(&self, memory: Memory, bytes: &mut [u8]) -> Result<()>;

    /// Launches all of a plan.
    ///
    /// # Errors
    /// A failing machine.
    fn run(&mut self, plan: &Plan) -> Result<()>;
}

/// A pretraining model and its optimizer's state on a machine.
pub struct Trainer {
    config: Config,
    settings: UpdateSettings,
    seed: u64,
    real: Real,
    layout: Layout,
    machine: RefCell<Box<dyn Machine>>,
    update: Plan,
    plans: RefCell<HashMap<(BatchShape, Pass), Plan>>,
}

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Pass {
    /// The first micro-batch of an update.
    First,
    /// One that adds to the gradients before it.
    Further,
    /// Losses without gradients.
    Evaluation,
}

impl Trainer {
    /// Puts a model on the machine. Moments start at 0; `seed` decides on dropout.
    ///
    /// # Errors
    /// Weights that are missing or do not fit, nothing that is not frozen, or a machine without enough memory.
    pub fn new(
        mut machine: Box<dyn Machine>,
        config: &Config,
        weights: &Tensors,
        (settings, seed): (UpdateSettings, u64),
        freeze: &Freeze,
        real: Real,
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
        machine.write(Memory::Flags, &layout.flags)?;
        machine.reserve(Memory::Results, RESULTS)?;
        let arena = layout.arena(weights)?;
        machine.write(Memory::Weights, bytemuck::cast_slice(&arena))?;
        if real == Real::Bf16 {
            let copies: Vec<u16> = arena.iter().map(|value| half::bf16::from_f32(*value).to_bits()).collect();
            machine.reserve(Memory::Copies, 2 * layout.total)?;
            machine.write(Memory::Copies, bytemuck::cast_slice(&copies))?;
        }
        let step = BatchMemory::new(BatchShape { sequences: 1, length: 1, slots: 1 }).step;
        let update = update(&layout, settings, step, real == Real::Bf16);
        let (machine, plans) = (RefCell::new(machine), RefCell::default());
        Ok(Self { config: config.clone(), settings, seed, real, layout, machine, update, plans })
    }

    /// One update; as the CPU's.
    ///
    /// # Errors
    /// A batch that does not fit the model, or a failing machine.
    pub fn step(&mut self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32) -> Result<StepReport> {
        self.backward(micro_batches, step, rate)?;
        self.run(&self.update)?;
        let (sums, norm) = self.results()?;
        let [mlm_loss, mlm_accuracy, nsp_loss, nsp_accuracy] = sums;
        Ok(StepReport { loss: mlm_loss + nsp_loss, mlm_loss, nsp_loss, mlm_accuracy, nsp_accuracy, grad_norm: norm })
    }

    /// The gradients that [`Self::step`] would use, before clipping, by Hugging Face's names; the CPU's trainer leaves out those of frozen
    /// parameters, which are here too.
    ///
    /// # Errors
    /// As [`Self::step`].
    #[cfg(test)]
    pub fn gradients(&self, micro_batches: &[(Batch, MaskedSlots)], step: u64) -> Result<Tensors> {
        self.backward(micro_batches, step, 0.0)?;
        self.tensors(Memory::Gradients)
    }

    /// Leaves the gradients of an update in their arena.
    fn backward(&self, micro_batches: &[(Batch, MaskedSlots)], step: u64, rate: f32) -> Result<()> {
        ensure!(!micro_batches.is_empty(), "expected at least one micro-batch, found none");
        let divisors = loss_divisors(micro_batches.iter().map(|(_, slots)| slots));
        for (index, (batch, slots)) in micro_batches.iter().enumerate() {
            let pass = if index == 0 { Pass::First } else { Pass::Further };
            let key = DropoutKey::new(self.seed, step, index)?;
            self.pass(batch, slots, pass, (divisors.0 + MLM_DIVISOR_EPSILON, divisors.1), key, rate)?;
        }
        Ok(())
    }

    /// Losses and hits on one batch, without dropout.
    ///
    /// # Errors
    /// A batch that does not fit the model, or a failing machine.
    pub fn evaluate(&self, batch: &Batch, slots: &MaskedSlots) -> Result<EvaluationSums> {
        let key = DropoutKey::new(self.seed, 0, 0)?;
        self.pass(batch, slots, Pass::Evaluation, (1.0, 1.0), key, 0.0)?;
        let ([mlm_nll, mlm_correct, nsp_nll, nsp_correct], _) = self.results()?;
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
        machine.write(Memory::First, bytemuck::cast_slice(&self.layout.arena(first)?))?;
        machine.write(Memory::Second, bytemuck::cast_slice(&self.layout.arena(second)?))
    }

    fn tensors(&self, memory: Memory) -> Result<Tensors> {
        let mut arena = vec![0.0_f32; self.layout.total];
        self.machine.borrow().read(memory, bytemuck::cast_slice_mut(&mut arena))?;
        Ok(self.layout.tensors(&arena))
    }

    fn pass(
        &self,
        batch: &Batch,
        slots: &MaskedSlots,
        pass: Pass,
        divisors: (f32, f32),
        key: DropoutKey,
        rate: f32,
    ) -> Result<()> {
        batch.validate(&self.config)?;
        slots.validate(batch, &self.config)?;
        let shape = BatchShape::of(batch, slots)?;
        ensure!(shape.length <= LENGTH_MAX, "sequences of {} tokens are longer than the GPU's {LENGTH_MAX}", shape.length);
        let memory = BatchMemory::new(shape);
        let mut plans = self.plans.borrow_mut();
        let plan = match plans.entry((shape, pass)) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(plan(&self.config, &self.layout, (self.real, self.settings.norm_rule), shape, pass)?)
            }
        };
        {
            let mut machine = self.machine.borrow_mut();
            machine.reserve(Memory::Inputs, memory.bytes)?;
            machine.write(Memory::Inputs, &memory.pack(batch, slots, divisors, key, rate))?;
        }
        self.run(plan)
    }

    fn run(&self, plan: &Plan) -> Result<()> {
        let mut machine = self.machine.borrow_mut();
        machine.reserve(Memory::Buffer(0), plan.bytes)?;
        machine.run(plan)
    }

    fn results(&self) -> Result<([f64; 4], f64)> {
        let mut results = [0.0_f64; RESULTS / 8];
        self.machine.borrow().read(Memory::Results, bytemuck::cast_slice_mut(&mut results))?;
        let value = |offset: usize| results.get(offset / 8).copied().unwrap_or(f64::NAN);
        Ok(([0, 8, 16, 24].map(|offset| value(FIGURES + offset)), value(NORM)))
    }
}

/// The launches of a pass over batches of one shape.
fn plan(config: &Config, layout: &Layout, (real, norm_rule): (Real, NormRule), shape: BatchShape, pass: Pass) -> Result<Plan> {
    let recorder = Recorder::new(config, layout, real, shape);
    if pass != Pass::Further {
        recorder.zero(Place { memory: Memory::Results, offset: FIGURES }, SQUARES + 8);
    }
    recorder.losses(pass != Pass::Evaluation)?;
    if pass != Pass::Evaluation {
        let accumulate = pass == Pass::Further;
        recorder.backward(Options { accumulate, norm_rule, words_trained: layout.trains_words() })?;
    }
    let mut plan = recorder.state.into_inner().plan;
    plan.allocate();
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::plan::{Launch, Product};

    #[test]
    fn the_update_of_bert_base_is_counted() {
        let (config, shape) = (Config::default(), BatchShape { sequences: 32, length: 128, slots: 20 });
        let layout = Layout::new(&config, &Freeze::default()).unwrap();
        let make = |pass| plan(&config, &layout, (Real::Bf16, NormRule::Original), shape, pass).unwrap();
        let (first, further, evaluation) = (make(Pass::First), make(Pass::Further), make(Pass::Evaluation));
        for plan in [&first, &further, &evaluation] {
            plan.check();
        }
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
