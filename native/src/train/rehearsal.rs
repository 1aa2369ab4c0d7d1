//! `native doctor --train`: tries a run before it is begun, on its own data, model, settings and machine, and leaves nothing behind.
//!
//! Everything is asked of the [`TrainingDevice`] that will train, so the answers hold for every kind of machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clinicalbert_core::bert::{Batch, Config, MaskedSlots, Parameter, StepReport, parameters};
use clinicalbert_core::tokenizer::WordPiece;
use clinicalbert_core::weights::Tensors;
use serde::Serialize;

use super::checkpoint::{self, Contents};
use super::device::{self, TrainingDevice};
use super::inputs::{Inputs, Stretch};
use super::settings::Settings;
use super::start::Start;
use super::state::State;
use super::{batches, progress::clock};
use crate::machine::{self, Machine, bytes};

/// How far a new model's MLM loss may be from ln(vocabulary), in nats. Its scores have a variance of about hidden size × 0.0176² (products
/// of a normalized vector with weights drawn at 0.02 and cut at two deviations), whose half is added to the loss: 0.12 at 768.
const MLM_TOLERANCE: f64 = 0.5;
/// How far its NSP loss may be from ln 2: its scores vary with the pooled vector, by 0.35 at 768.
const NSP_TOLERANCE: f64 = 0.3;
/// Most examples of the batch that is to be learnt by heart.
const LEARNT: usize = 4;
/// Most updates and longest time for it, and the share of the loss that must be gone by then.
const LEARNING_UPDATES: u64 = 200;
const LEARNING_TIME: Duration = Duration::from_secs(25);
const LEARNING_SHARE: f64 = 0.1;
/// The share that ends it early.
const LEARNT_SHARE: f64 = 0.5;
/// Time for measuring updates of a phase, after the first.
const MEASURING_TIME: Duration = Duration::from_secs(8);
const MEASURED_UPDATES: usize = 4;
/// Memory that should stay free beside what the run needs, as a share of all.
const MEMORY_RESERVE: f64 = 0.05;

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether the run can be begun as far as this goes.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do about it, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<&'static str>,
}

impl Check {
    fn new(name: &'static str, ok: bool, found: String, fix: &'static str) -> Self {
        Self { name, ok, found, fix: (!ok).then_some(fix) }
    }
}

/// Tries the run that `settings` describe; `tell` hears each result as it comes. `out` is where the run would be written.
///
/// # Errors
/// A failing machine. What is wrong with the run itself is no error but a result.
pub fn rehearse(settings: &Settings, out: &Path, mut tell: impl FnMut(&Check)) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    let mut note = |check: Check| {
        tell(&check);
        checks.push(check);
    };
    let opened = Inputs::open(settings).and_then(|inputs| {
        let start = Start::new(settings, &inputs.paths())?;
        inputs.check(&start.contents.config)?;
        let device = device::place(settings, &start.contents)?;
        Ok((inputs, start, device))
    });
    let (inputs, start, mut device) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            note(Check::new(
                "data and model",
                false,
                format!("{error:#}"),
                "what is said there; nothing else can be tried before it",
            ));
            return Ok(checks);
        }
    };
    let examples: u64 = inputs.sources().map(crate::dataset::Dataset::len).sum();
    let config = start.contents.config.clone();
    let size: usize = parameters(&config).iter().map(Parameter::elements).sum();
    let found = format!("{examples} examples, {:.1} million parameters, on the {}", size as f64 / 1e6, device.name());
    note(Check::new("data and model", true, found, ""));

    let mut rehearsal = Rehearsal { settings, inputs: &inputs, config: &config, tokenizer: &start.tokenizer };
    let (first, seconds) = rehearsal.time(device.as_mut())?;
    note(rehearsal.loss_at_start(&first));
    note(rehearsal.gradients(&device.moments()?.0));
    note(memory());
    drop(device);
    let (check, learnt) = rehearsal.learn(&start.contents)?;
    note(check);
    let (check, checkpoint_size) = rehearsal.round_trip(learnt, out)?;
    note(check);
    note(rehearsal.disk(checkpoint_size, out)?);
    note(rehearsal.duration(&seconds));
    Ok(checks)
}

struct Rehearsal<'a> {
    settings: &'a Settings,
    inputs: &'a Inputs,
    config: &'a Config,
    tokenizer: &'a WordPiece,
}

/// A batch as the device takes it.
type MicroBatches = Vec<(Batch, MaskedSlots)>;

impl Rehearsal<'_> {
    /// Makes updates of every phase at a rate of 0, which leaves the weights alone: the report of the very first, and the seconds that an
    /// update of each phase takes.
    fn time(&mut self, device: &mut dyn TrainingDevice) -> Result<(StepReport, Vec<f64>)> {
        let mut first = None;
        let mut seconds = Vec::new();
        for Stretch { batches, steps, .. } in self.inputs.stretches() {
            let began = Instant::now();
            let mut times = Vec::new();
            // The first update of a phase also makes room in memory, so it is not measured unless it is the only one.
            while times.len() <= MEASURED_UPDATES && (times.is_empty() || began.elapsed() < MEASURING_TIME) {
                let step = steps.start + times.len() as u64;
                let start = Instant::now();
                let report = device.step(&batches.of_step(step)?, step, 0.0)?;
                times.push(start.elapsed().as_secs_f64());
                first.get_or_insert(report);
            }
            let measured = times.get(1..).filter(|later| !later.is_empty()).unwrap_or(&times);
            seconds.push(measured.iter().sum::<f64>() / measured.len() as f64);
        }
        Ok((first.context("a run has at least one phase")?, seconds))
    }

    fn loss_at_start(&self, report: &StepReport) -> Check {
        let StepReport { mlm_loss, nsp_loss, .. } = *report;
        let (chance, coin) = ((self.config.vocab_size as f64).ln(), 2.0_f64.ln());
        if self.settings.init.is_some() {
            let found = format!("MLM {mlm_loss:.3}, chance is ln {} = {chance:.3}; NSP {nsp_loss:.3}", self.config.vocab_size);
            let fix = "the model does no better than chance: check that the examples were prepared with its vocabulary and case, and \
                       that the file has the MLM head (native inspect)";
            return Check::new("loss at start", mlm_loss < chance, found, fix);
        }
        let found = format!(
            "MLM {mlm_loss:.3} (expected ln {} = {chance:.3} ± {MLM_TOLERANCE}), NSP {nsp_loss:.3} (expected ln 2 = {coin:.3} ± {NSP_TOLERANCE})",
            self.config.vocab_size
        );
        let ok = (mlm_loss - chance).abs() <= MLM_TOLERANCE && (nsp_loss - coin).abs() <= NSP_TOLERANCE;
        Check::new(
            "loss at start",
            ok,
            found,
            "new weights should know nothing: check initializer_range and layer_norm_eps in [model]",
        )
    }

    /// After a first update from moments of zero, a first moment is a tenth of the clipped gradient.
    fn gradients(&self, first_moments: &Tensors) -> Check {
        let trained: Vec<_> =
            parameters(self.config).into_iter().filter(|parameter| !self.settings.freeze.contains(parameter)).collect();
        let is_alive = |parameter: &&Parameter| {
            // Softmax does not see a shift of all keys, so this gradient is 0 but for rounding.
            let may_be_zero = parameter.name.ends_with("attention.self.key.bias");
            let moment = first_moments.get(&parameter.name);
            moment.is_some_and(|moment| moment.data.iter().all(|value| value.is_finite()))
                && (may_be_zero || moment.is_some_and(|moment| moment.data.iter().any(|value| *value != 0.0)))
        };
        let dead: Vec<_> =
            trained.iter().filter(|parameter| !is_alive(parameter)).map(|parameter| parameter.name.as_str()).collect();
        let found = match dead.as_slice() {
            [] => format!("all {} trained tensors have one", trained.len()),
            [first, ..] => format!("{} of {} have none or none that is finite: {first}, …", dead.len(), trained.len()),
        };
        Check::new("gradients", dead.is_empty(), found, "this is a bug of the backend: train with --device cpu and report it")
    }

    /// Learns a few examples by heart, without dropout; gives the model as it is then.
    fn learn(&self, contents: &Contents) -> Result<(Check, Contents)> {
        let config = Config { hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0, ..self.config.clone() };
        let mut contents = Contents { config, weights: contents.weights.clone(), moments: contents.moments.clone() };
        let mut device = device::place(self.settings, &contents)?;
        let batch = self.few_examples()?;
        // Wider models need smaller updates; 1.3e-4 at 768, 6e-3 at 16.
        let rate = 0.1 / self.config.hidden_size as f32;
        let (began, mut updates) = (Instant::now(), 0);
        let (mut start, mut now) = (f64::NAN, f64::NAN);
        while updates < LEARNING_UPDATES && began.elapsed() < LEARNING_TIME {
            now = device.step(&batch, updates, rate)?.loss;
            updates += 1;
            if updates == 1 {
                start = now;
            }
            if now <= (1.0 - LEARNT_SHARE) * start {
                break;
            }
        }
        let found =
            format!("loss on one batch from {start:.3} to {now:.3} in {updates} updates, {:.0} s", began.elapsed().as_secs_f64());
        let fix = "updates do not reach the model: check --freeze; otherwise train with --device cpu and report it";
        contents.weights = device.weights()?;
        contents.moments = device.moments()?;
        Ok((Check::new("learning", now <= (1.0 - LEARNING_SHARE) * start, found, fix), contents))
    }

    fn few_examples(&self) -> Result<MicroBatches> {
        let batches = &self.inputs.at(0)?.batches;
        let mut examples = Vec::new();
        for place in batches.places(0).take(LEARNT) {
            examples.extend(batches.read(place)?);
        }
        Ok(vec![batches::collect(&examples, batches.shape)?])
    }

    /// Writes and reads a checkpoint, and makes the same update from both; also tells the checkpoint's size.
    fn round_trip(&self, contents: Contents, out: &Path) -> Result<(Check, u64)> {
        let near = std::path::absolute(out)?;
        let near = near.ancestors().find(|folder| folder.is_dir()).unwrap_or(&near);
        let folder = near.join(format!(".doctor-{}", std::process::id()));
        let result = self.write_and_read(&contents, &folder);
        // Nothing stays, whatever happened.
        let _ = fs::remove_dir_all(&folder);
        Ok(match result {
            Ok((size, seconds)) => {
                let found =
                    format!("{} written and read back in {seconds:.1} s, bit for bit, and the next update too", bytes(size));
                (Check::new("checkpoint", true, found, ""), size)
            }
            Err(error) => {
                let fix = "choose an --out where files can be written and come back as they were";
                (Check::new("checkpoint", false, format!("{error:#}"), fix), 0)
            }
        })
    }

    fn write_and_read(&self, contents: &Contents, folder: &Path) -> Result<(u64, f64)> {
        let began = Instant::now();
        let written = checkpoint::write(folder, &State::new(Vec::new()), contents, self.tokenizer)?;
        let size = fs::read_dir(&written)?.map(|entry| Ok(entry?.metadata()?.len())).sum::<Result<u64>>()?;
        let (_, read) = checkpoint::read(&written)?;
        let seconds = began.elapsed().as_secs_f64();
        ensure!(same_bits(&contents.weights, &read.weights), "weights came back with other values");
        let moments = [(&contents.moments.0, &read.moments.0), (&contents.moments.1, &read.moments.1)];
        ensure!(moments.iter().all(|(before, after)| same_bits(before, after)), "moments came back with other values");
        let batch = self.few_examples()?;
        let next = |contents: &Contents| -> Result<(StepReport, Tensors)> {
            let mut device = device::place(self.settings, contents)?;
            Ok((device.step(&batch, 1, 1e-4)?, device.weights()?))
        };
        let (ours, theirs) = (next(contents)?, next(&read)?);
        ensure!(ours.0 == theirs.0 && same_bits(&ours.1, &theirs.1), "the update after it came out differently");
        Ok((size, seconds))
    }

    fn disk(&self, checkpoint: u64, out: &Path) -> Result<Check> {
        let Settings { num_train_steps, save_checkpoints_steps, keep_checkpoints, .. } = *self.settings;
        let saved = num_train_steps / save_checkpoints_steps + 2;
        // Beside the newest: the best, and the one that is being written before an old one goes.
        let kept = if keep_checkpoints == 0 { saved } else { saved.min(keep_checkpoints as u64 + 2) };
        let (needed, room) = (checkpoint.saturating_mul(kept).saturating_add(checkpoint / 3), machine::room_at(out)?);
        let found = format!("{kept} checkpoints and the model need {}, {} are free", bytes(needed), bytes(room));
        Ok(Check::new("disk", needed < room, found, "free some space, choose another --out, or lower --keep-checkpoints"))
    }

    fn duration(&self, seconds: &[f64]) -> Check {
        let stretches = self.inputs.stretches().iter().zip(seconds);
        let mut total = 0.0;
        let mut speeds = Vec::new();
        for (Stretch { batches, steps, .. }, seconds) in stretches {
            total += seconds * (steps.end - steps.start) as f64;
            speeds.push(format!("{seconds:.3} s an update, {:.1} examples/s", batches.examples_per_step() as f64 / seconds));
        }
        let found = format!("{}; {} updates take {}", speeds.join(", then "), self.settings.num_train_steps, clock(total));
        Check::new("time", true, found, "")
    }
}

fn memory() -> Check {
    let machine = Machine::here();
    let reserve = (MEMORY_RESERVE * machine.memory as f64) as u64;
    let peak = machine::peak_memory().map_or_else(String::new, |peak| format!("an update has needed up to {}; ", bytes(peak)));
    // Weights and moments once more, for a checkpoint, are in what is still available.
    let found = format!("{peak}{} of {} are still available", bytes(machine.memory_available), bytes(machine.memory));
    let fix = "lower --train-batch-size and raise --gradient-accumulation-steps by the same factor: the updates stay the same";
    Check::new("memory", machine.memory == 0 || machine.memory_available > reserve, found, fix)
}

fn same_bits(ours: &Tensors, theirs: &Tensors) -> bool {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|((name, ours), (other, theirs))| name == other && bits(&ours.data) == bits(&theirs.data))
}
