//! The loop: batch, update, row, evaluation, checkpoint; and back to the last checkpoint when an update goes wrong.

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clinicalbert_core::bert::{Config, EvaluationMetrics, Parameter, Schedule, parameters};
use clinicalbert_core::tokenizer::WordPiece;

use super::checkpoint::{self, Contents};
use super::device::{self, TrainingDevice};
use super::disk_full::{Interrupted, wait_for_room};
use super::inputs::{Inputs, Stretch};
use super::metrics::{EvalRow, FileRecords, LeftOutRow, Metrics, TrainRow};
use super::progress::Progress;
use super::run_folder::RunFolder;
use super::settings::Settings;
use super::state::{Best, LeftOut, State, file_name};
use super::watchdog::Trends;
use super::{Outcome, Ready, card, evaluation, interrupt, report};
use crate::{model_folder, whole_file};

/// A run under way.
pub struct Run<'a> {
    folder: &'a RunFolder,
    settings: &'a Settings,
    schedule: Schedule,
    inputs: &'a Inputs,
    config: Config,
    tokenizer: WordPiece,
    device: Box<dyn TrainingDevice>,
    state: State,
    /// Step of the newest checkpoint, if there is one.
    saved: Option<u64>,
    metrics: Metrics,
    progress: Progress,
    /// Updates that were begun and have not been looked at, and since when they were: a machine that works by itself is asked only now
    /// and then.
    begun: Vec<Begun>,
    began: Instant,
    /// Time and number of updates since the last row, evaluations and checkpoints not counted.
    since_row: Pace,
    evaluations: Option<(EvaluationMetrics, EvaluationMetrics)>,
}

/// An update under way.
#[derive(Debug)]
struct Begun {
    /// Its number from 1.
    step: u64,
    rate: f32,
    examples: usize,
    /// Padding not counted.
    tokens: usize,
}

/// An update that went wrong.
#[derive(Debug)]
struct Trouble {
    /// Its number from 1.
    step: u64,
    reason: String,
}

#[derive(Debug, Default)]
struct Pace {
    seconds: f64,
    examples: usize,
}

impl<'a> Run<'a> {
    /// A run of which nothing is done.
    ///
    /// # Errors
    /// The disk refused.
    pub fn begin(folder: &'a RunFolder, settings: &'a Settings, inputs: &'a Inputs, ready: Ready, quiet: bool) -> Result<Self> {
        let state = State::new(inputs.untouched()?);
        Self::new(folder, settings, inputs, ready, state, None, quiet)
    }

    /// A run that goes on from a checkpoint with this state.
    ///
    /// # Errors
    /// The disk refused.
    pub fn resume(
        folder: &'a RunFolder,
        settings: &'a Settings,
        inputs: &'a Inputs,
        ready: Ready,
        state: State,
        quiet: bool,
    ) -> Result<Self> {
        let saved = Some(state.step);
        Self::new(folder, settings, inputs, ready, state, saved, quiet)
    }

    fn new(
        folder: &'a RunFolder,
        settings: &'a Settings,
        inputs: &'a Inputs,
        ready: Ready,
        state: State,
        saved: Option<u64>,
        quiet: bool,
    ) -> Result<Self> {
        let Ready { device, config, tokenizer, remarks } = ready;
        let run = Self {
            metrics: Metrics::open(folder.path(), saved)?,
            progress: Progress::new(settings.num_train_steps, state.step, quiet),
            schedule: settings.schedule(),
            folder,
            settings,
            inputs,
            config,
            tokenizer,
            device,
            state,
            saved,
            begun: Vec::new(),
            began: Instant::now(),
            since_row: Pace::default(),
            evaluations: None,
        };
        remarks.iter().for_each(|remark| run.progress.say(remark));
        run.announce();
        Ok(run)
    }

    fn announce(&self) {
        let Config { num_hidden_layers, hidden_size, vocab_size, .. } = self.config;
        let table = parameters(&self.config);
        let count = |frozen: bool| {
            let counted = table.iter().filter(|parameter| !frozen || self.settings.freeze.contains(parameter));
            counted.map(Parameter::elements).sum::<usize>() as f64 / 1e6
        };
        let frozen = if self.settings.freeze.is_empty() { String::new() } else { format!(", {:.1} of them frozen", count(true)) };
        self.progress.say(format!(
            "{num_hidden_layers} layers, {hidden_size} wide, {} vocabulary of {vocab_size}: {:.1} million parameters{frozen}, on the {}",
            model_folder::case_name(self.tokenizer.case()),
            count(false),
            self.device.name()
        ));
        for Stretch { batches, steps, .. } in self.inputs.stretches() {
            let sources: Vec<_> = batches.mixture.sources().iter().map(|source| format!("{} examples", source.len())).collect();
            self.progress.say(format!(
                "{}; {} updates of {} × {} examples",
                sources.join(" + "),
                steps.end - steps.start,
                batches.batch_size,
                batches.micro_batches
            ));
        }
        self.progress.say(format!("{} updates in all, {} of them warm-up", self.schedule.steps, self.schedule.warmup_steps));
    }

    /// Trains to the end, or to a signal.
    ///
    /// # Errors
    /// A damaged example, updates that keep going wrong, a failing machine, a disk that refuses.
    pub fn go(mut self) -> Result<Outcome> {
        interrupt::listen()?;
        match self.train() {
            Ok(true) => self.finish(),
            Ok(false) => Ok(Outcome::Stopped { step: self.state.step }),
            Err(error) if error.is::<Interrupted>() => Ok(Outcome::Stopped { step: self.saved.unwrap_or(0) }),
            Err(error) => Err(error),
        }
    }

    /// Whether all updates are done, rather than stopped by a signal.
    fn train(&mut self) -> Result<bool> {
        if self.saved.is_none() {
            self.evaluate()?;
            // As the original does; a disk that has no room for checkpoints shows now rather than hours later.
            self.save()?;
        }
        while self.state.step < self.schedule.steps {
            if interrupt::requested() {
                if let Some(trouble) = self.settle()? {
                    self.go_back(trouble)?;
                }
                self.save()?;
                return Ok(false);
            }
            if self.begins_a_phase()? {
                // What was usual in the phase before says nothing about other data.
                self.state.trends = Trends::default();
            }
            match self.state.next_left_out().cloned() {
                Some(left_out) => self.leave_out(left_out)?,
                None => {
                    self.update()?;
                    if self.has_to_settle()?
                        && let Some(trouble) = self.settle()?
                    {
                        self.go_back(trouble)?;
                        continue;
                    }
                }
            }
            // Before the checkpoint, so that a run resumed from it has the row and does not write it again.
            let is_evaluated = self.is_due(self.settings.eval_every());
            let is_best = is_evaluated && self.evaluate()?;
            let is_saved = is_best || self.is_due(self.settings.save_checkpoints_steps);
            if is_saved {
                self.save()?;
            }
            if is_evaluated || is_saved {
                self.report()?;
            }
        }
        Ok(true)
    }

    fn is_due(&self, every: u64) -> bool {
        self.is_due_at(self.state.step, every)
    }

    fn is_due_at(&self, step: u64, every: u64) -> bool {
        step.is_multiple_of(every) || step == self.schedule.steps
    }

    fn begins_a_phase(&self) -> Result<bool> {
        Ok(self.inputs.at(self.state.step)?.steps.start == self.state.step)
    }

    /// Begins the next update.
    fn update(&mut self) -> Result<()> {
        if self.begun.is_empty() {
            self.began = Instant::now();
        }
        let step = self.state.step;
        let Stretch { batches, first_source, .. } = self.inputs.at(step)?;
        let rate = self.schedule.rate(step);
        let micro_batches = batches.of_step(step)?;
        self.device.begin(&micro_batches, step, rate)?;
        self.state.step += 1;
        for place in batches.places(step) {
            if let Some(source) = self.state.data.get_mut(first_source + place.source) {
                source.add(place.epoch);
            }
        }
        let tokens = micro_batches.iter().flat_map(|(batch, _)| &batch.attention_mask).filter(|mask| **mask == 1).count();
        self.begun.push(Begun { step: self.state.step, rate, examples: batches.examples_per_step(), tokens });
        Ok(())
    }

    /// Whether the updates so far have to be known before anything else happens.
    fn has_to_settle(&self) -> Result<bool> {
        let Settings { log_every, save_checkpoints_steps, .. } = *self.settings;
        let is_due =
            [log_every, save_checkpoints_steps, self.settings.eval_every()].map(|every| self.is_due(every)).contains(&true);
        Ok(is_due || self.device.is_done_at_once() || self.state.next_left_out().is_some() || self.begins_a_phase()?)
    }

    /// Looks at all updates that were begun, or tells what is wrong with one; the device then holds weights that are not to be used.
    fn settle(&mut self) -> Result<Option<Trouble>> {
        let reports = self.device.reports()?;
        let seconds = self.began.elapsed().as_secs_f64() / self.begun.len().max(1) as f64;
        for (Begun { step, rate, examples, tokens }, report) in std::mem::take(&mut self.begun).into_iter().zip(reports) {
            if let Some(reason) = self.state.trends.trouble(&report, self.settings.spike_threshold) {
                return Ok(Some(Trouble { step, reason }));
            }
            self.state.trends.add(report.loss, report.grad_norm);
            self.since_row = Pace { seconds: self.since_row.seconds + seconds, examples: self.since_row.examples + examples };
            self.progress.step(step, &report, seconds, examples, tokens);
            if self.is_due_at(step, self.settings.log_every) {
                let speed = self.since_row.examples as f64 / self.since_row.seconds;
                self.write_row(&TrainRow::new(step, &report, rate, speed))?;
                self.since_row = Pace::default();
            }
        }
        Ok(None)
    }

    /// Goes back to the newest checkpoint with the note that the next update is to be left out. What lies between is computed again and
    /// comes out the same, so the result is that of a run that never made the update.
    fn go_back(&mut self, Trouble { step, reason }: Trouble) -> Result<()> {
        let mut left_out = std::mem::take(&mut self.state.left_out);
        let (state, contents) =
            checkpoint::newest(&self.folder.checkpoints(), |warning| self.progress.say(format!("warning: {warning}")))?
                .context("there is no checkpoint to go back to: the checkpoints folder was emptied while the run went on")?;
        ensure!(
            left_out.len() < self.settings.max_rollbacks,
            "update {step} has {reason}, and {} updates were left out before it (--max-rollbacks {}): the run has diverged. The last good \
             checkpoint is step {}; start another run from it (--init) with a lower --learning-rate or a longer --num-warmup-steps",
            left_out.len(),
            self.settings.max_rollbacks,
            state.step
        );
        self.progress.say(format!(
            "update {step} has {reason}: going back to step {} and leaving out {}",
            state.step,
            self.records_of(step - 1)?.iter().map(FileRecords::sentence).collect::<Vec<_>>().join("; ")
        ));
        left_out.push(LeftOut { step, reason });
        self.device = device::place(self.settings, &contents)?;
        self.metrics = wait_for_room(|line| self.progress.say(line), || Metrics::open(self.folder.path(), Some(state.step)))?;
        self.saved = Some(state.step);
        self.state = State { left_out, ..state };
        self.since_row = Pace::default();
        Ok(())
    }

    fn leave_out(&mut self, left_out: LeftOut) -> Result<()> {
        let LeftOut { step, reason } = left_out;
        let row = LeftOutRow { step, split: "left out", reason, examples: self.records_of(step - 1)? };
        self.state.step = step;
        self.write_row(&row)
    }

    /// Where the examples of update number `step`, from 0, lie.
    fn records_of(&self, step: u64) -> Result<Vec<FileRecords>> {
        let batches = &self.inputs.at(step)?.batches;
        let mut found: Vec<FileRecords> = Vec::new();
        for place in batches.places(step) {
            let Some(dataset) = batches.mixture.sources().get(place.source) else { continue };
            let (name, record) = dataset.locate(place.example)?;
            let file = if dataset.path().is_dir() { format!("{}/{name}", file_name(dataset.path())) } else { name };
            match found.iter_mut().find(|entry| entry.file == file) {
                Some(entry) => entry.records.push(record),
                None => found.push(FileRecords { file, records: vec![record] }),
            }
        }
        Ok(found)
    }

    /// Evaluates on held-out examples, if there are any; whether the MLM loss is the lowest so far.
    fn evaluate(&mut self) -> Result<bool> {
        let Stretch { held_out, batches, .. } = self.inputs.at(self.state.step.saturating_sub(1))?;
        if held_out.is_empty() {
            return Ok(false);
        }
        let (device, most, step) = (self.device.as_ref(), self.settings.eval_examples, self.state.step);
        let figures = evaluation::evaluate(device, held_out, batches.shape, batches.batch_size, most, step, |_| ())?;
        self.write_row(&EvalRow::new(&figures))?;
        self.progress.say(format!("held out, step {step}: {}", evaluation::sentence(&figures)));
        self.evaluations = Some((self.evaluations.map_or(figures, |(first, _)| first), figures));
        let mlm_loss = figures.masked_lm_loss as f32;
        let is_best = mlm_loss.is_finite() && self.state.best.is_none_or(|best| mlm_loss < best.mlm_loss);
        if is_best {
            self.state.best = Some(Best { step, mlm_loss });
        }
        Ok(is_best)
    }

    fn write_row(&mut self, row: &impl serde::Serialize) -> Result<()> {
        let Self { metrics, progress, .. } = self;
        wait_for_room(|line| progress.say(line), || metrics.write(row))
    }

    fn save(&mut self) -> Result<()> {
        if self.saved == Some(self.state.step) {
            return Ok(());
        }
        let contents = Contents { config: self.config.clone(), weights: self.device.weights()?, moments: self.device.moments()? };
        let checkpoints = self.folder.checkpoints();
        wait_for_room(
            |line| self.progress.say(line),
            || {
                self.metrics.sync()?;
                checkpoint::write(&checkpoints, &self.state, &contents, &self.tokenizer)
            },
        )?;
        self.saved = Some(self.state.step);
        checkpoint::remove_old(&checkpoints, self.settings.keep_checkpoints, self.state.best.map(|best| best.step))
    }

    fn facts(&self) -> card::Facts<'_> {
        card::Facts {
            settings: self.settings,
            config: &self.config,
            inputs: self.inputs,
            state: &self.state,
            case: model_folder::case_name(self.tokenizer.case()),
            folder: self.folder.path(),
            device: self.device.name(),
        }
    }

    fn report(&self) -> Result<()> {
        let page = report::page(&self.facts())?;
        let write = || whole_file::write_file(&self.folder.report(), |file| Ok(file.write_all(page.as_bytes())?));
        wait_for_room(|line| self.progress.say(line), write)
    }

    fn finish(self) -> Result<Outcome> {
        let model = self.folder.model();
        // There already if a finished run is resumed.
        if !model.exists() {
            let card = card::card(&self.facts())?;
            let weights = self.device.weights()?;
            let write = || model_folder::write_folder(&model, &self.config, &weights, &self.tokenizer, &card);
            match wait_for_room(|line| self.progress.say(line), write) {
                Err(error) if error.is::<Interrupted>() => return Ok(Outcome::Stopped { step: self.state.step }),
                result => result?,
            }
        }
        Ok(Outcome::Done { model, evaluations: self.evaluations })
    }
}
