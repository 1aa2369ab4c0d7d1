//! The loop: batch, update, row, evaluation, checkpoint.

use std::time::Instant;

use anyhow::{Result, ensure};
use clinicalbert_core::bert::{Config, EvaluationMetrics, Schedule, StepReport, parameters};
use clinicalbert_core::tokenizer::WordPiece;

use super::batches::Batches;
use super::checkpoint::{self, Contents, State};
use super::device::TrainingDevice;
use super::metrics::{EvalRow, Metrics, TrainRow};
use super::progress::Progress;
use super::run_folder::RunFolder;
use super::settings::Settings;
use super::{Inputs, Outcome, Ready, card, evaluation, interrupt};
use crate::dataset::Dataset;
use crate::model_folder;

/// A run under way.
pub struct Run<'a> {
    folder: &'a RunFolder,
    settings: &'a Settings,
    schedule: Schedule,
    batches: Batches<'a>,
    held_out: Option<&'a Dataset>,
    fingerprint: &'a str,
    config: Config,
    tokenizer: WordPiece,
    device: Box<dyn TrainingDevice>,
    step: u64,
    metrics: Metrics,
    progress: Progress,
    evaluations: Option<(EvaluationMetrics, EvaluationMetrics)>,
}

impl<'a> Run<'a> {
    /// A run of which `step` updates are done.
    ///
    /// # Errors
    /// The disk refused.
    pub fn new(
        folder: &'a RunFolder,
        settings: &'a Settings,
        inputs: &'a Inputs,
        ready: Ready,
        step: u64,
        quiet: bool,
    ) -> Result<Self> {
        let Ready { device, config, tokenizer, remarks } = ready;
        let run = Self {
            folder,
            settings,
            schedule: settings.schedule(),
            batches: inputs.batches(settings),
            held_out: inputs.held_out.as_ref(),
            fingerprint: &inputs.fingerprint,
            config,
            tokenizer,
            device,
            step,
            metrics: Metrics::open(&folder.metrics(), step)?,
            progress: Progress::new(settings.num_train_steps, step, quiet),
            evaluations: None,
        };
        remarks.iter().for_each(|remark| run.progress.say(remark));
        run.announce();
        Ok(run)
    }

    fn announce(&self) {
        let Config { num_hidden_layers, hidden_size, vocab_size, .. } = self.config;
        let parameters: usize = parameters(&self.config).iter().map(|parameter| parameter.elements()).sum();
        self.progress.say(format!(
            "{num_hidden_layers} layers, {hidden_size} wide, {} vocabulary of {vocab_size}: {:.1} million parameters on the {}",
            model_folder::case_name(self.tokenizer.case()),
            parameters as f64 / 1e6,
            self.device.name()
        ));
        let Settings { train_batch_size, gradient_accumulation_steps, .. } = self.settings;
        self.progress.say(format!(
            "{} examples; {} updates of {train_batch_size} × {gradient_accumulation_steps} examples, {} of them warm-up",
            self.batches.dataset.len(),
            self.schedule.steps,
            self.schedule.warmup_steps
        ));
    }

    /// Trains to the end, or to a signal.
    ///
    /// # Errors
    /// A damaged example, a loss that is no number, a failing machine, a disk that refuses.
    pub fn go(mut self) -> Result<Outcome> {
        interrupt::listen()?;
        let (steps, examples) = (self.schedule.steps, self.settings.examples_per_step());
        let due = |step: u64, every: u64| step.is_multiple_of(every) || step == steps;
        let mut saved = self.step;
        // Seconds and updates since the last row, evaluations and checkpoints not counted.
        let (mut seconds, mut updates) = (0.0, 0);
        if self.step == 0 {
            self.evaluate()?;
        }
        while self.step < steps {
            if interrupt::requested() {
                if self.step > saved {
                    self.save()?;
                }
                return Ok(Outcome::Stopped { step: self.step });
            }
            let began = Instant::now();
            let rate = self.schedule.rate(self.step);
            let report = self.device.step(&self.batches.of_step(self.step)?, self.step, rate)?;
            self.step += 1;
            check_finite(&report, self.step, saved)?;
            let took = began.elapsed().as_secs_f64();
            (seconds, updates) = (seconds + took, updates + 1);
            self.progress.step(self.step, &report, took, examples);
            if due(self.step, self.settings.log_every) {
                let speed = (updates * examples) as f64 / seconds;
                self.metrics.write(&TrainRow::new(self.step, &report, rate, speed))?;
                (seconds, updates) = (0.0, 0);
            }
            // Before the checkpoint, so that a run resumed from it has the row and does not write it again.
            if due(self.step, self.settings.eval_every()) {
                self.evaluate()?;
            }
            if due(self.step, self.settings.save_checkpoints_steps) {
                self.save()?;
                saved = self.step;
            }
        }
        self.finish()
    }

    fn evaluate(&mut self) -> Result<()> {
        let Some(held_out) = self.held_out else { return Ok(()) };
        let Settings { train_batch_size, eval_examples, .. } = *self.settings;
        let device = self.device.as_ref();
        let figures =
            evaluation::evaluate(device, held_out, self.batches.shape, train_batch_size, eval_examples, self.step, |_| ())?;
        self.metrics.write(&EvalRow::new(&figures))?;
        self.progress.say(format!("held out, step {}: {}", self.step, evaluation::sentence(&figures)));
        self.evaluations = Some((self.evaluations.map_or(figures, |(first, _)| first), figures));
        Ok(())
    }

    fn save(&self) -> Result<()> {
        self.metrics.sync()?;
        let state = State {
            step: self.step,
            examples: self.step * self.settings.examples_per_step() as u64,
            data_fingerprint: self.fingerprint.to_owned(),
            program: concat!("clinicalbert ", env!("CARGO_PKG_VERSION")).into(),
            files: Default::default(),
        };
        let contents = Contents { config: self.config.clone(), weights: self.device.weights()?, moments: self.device.moments()? };
        checkpoint::write(&self.folder.checkpoints(), state, &contents, &self.tokenizer)?;
        checkpoint::remove_old(&self.folder.checkpoints(), self.settings.keep_checkpoints)
    }

    fn finish(self) -> Result<Outcome> {
        let model = self.folder.model();
        // There already if a finished run is resumed.
        if !model.exists() {
            let card = card::card(&card::Facts {
                settings: self.settings,
                config: &self.config,
                data: self.batches.dataset,
                fingerprint: self.fingerprint,
                case: model_folder::case_name(self.tokenizer.case()),
                metrics: &self.folder.metrics(),
            })?;
            model_folder::write_folder(&model, &self.config, &self.device.weights()?, &self.tokenizer, &card)?;
        }
        Ok(Outcome::Done { model, evaluations: self.evaluations })
    }
}

fn check_finite(report: &StepReport, step: u64, saved: u64) -> Result<()> {
    ensure!(
        report.loss.is_finite() && report.grad_norm.is_finite(),
        "update {step} has loss {} and gradient norm {}: the weights have diverged. The last good checkpoint is step {saved}; start another \
         run from it (--init) with a lower --learning-rate or a longer --num-warmup-steps",
        report.loss,
        report.grad_norm
    );
    Ok(())
}
