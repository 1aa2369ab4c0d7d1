//! What a person sees while a model trains: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use clinicalbert_core::bert::StepReport;
use indicatif::{ProgressBar, ProgressStyle};

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Weight of the newest step in the running means that are shown.
const NEWEST: f64 = 0.05;

/// Shows a run. It knows nothing that matters to the run itself.
#[derive(Debug)]
pub struct Progress {
    steps: u64,
    quiet: bool,
    bar: Option<ProgressBar>,
    last_line: Instant,
    shown: Option<Shown>,
}

#[derive(Debug, Clone, Copy)]
struct Shown {
    loss: f64,
    mlm: f64,
    nsp: f64,
    /// Seconds a step.
    seconds: f64,
    /// Tokens a step.
    tokens: f64,
}

impl Progress {
    /// For a run of `steps` updates of which `done` are done.
    pub fn new(steps: u64, done: u64, quiet: bool) -> Self {
        let bar = (!quiet && stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(steps).with_position(done);
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} step {pos}/{len}  {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { steps, quiet, bar, last_line: Instant::now(), shown: None }
    }

    /// Tells of an update: `step` are done, this one took `seconds` for `examples` with `tokens`, padding not counted.
    pub fn step(&mut self, step: u64, report: &StepReport, seconds: f64, examples: usize, tokens: usize) {
        if self.quiet {
            return;
        }
        let new = Shown { loss: report.loss, mlm: report.mlm_accuracy, nsp: report.nsp_accuracy, seconds, tokens: tokens as f64 };
        let mean = |old: f64, new: f64| old + NEWEST * (new - old);
        let shown = self.shown.map_or(new, |old| Shown {
            loss: mean(old.loss, new.loss),
            mlm: mean(old.mlm, new.mlm),
            nsp: mean(old.nsp, new.nsp),
            seconds: mean(old.seconds, new.seconds),
            tokens: mean(old.tokens, new.tokens),
        });
        self.shown = Some(shown);
        let left = clock(shown.seconds * self.steps.saturating_sub(step) as f64);
        let in_a_second = |count: f64| count / shown.seconds.max(f64::MIN_POSITIVE);
        let text = format!(
            "loss {:.3}  MLM {:.1} %  NSP {:.1} %  {:.1} examples/s  {:.0} tokens/s  {left} left",
            shown.loss,
            100.0 * shown.mlm,
            100.0 * shown.nsp,
            in_a_second(examples as f64),
            in_a_second(shown.tokens),
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position(step);
                bar.set_message(text);
            }
            None if self.last_line.elapsed() >= LINE_EVERY || step == self.steps => {
                self.last_line = Instant::now();
                eprintln!("step {step}/{}  {text}", self.steps);
            }
            None => {}
        }
    }

    /// Says a line, above the bar if there is one.
    pub fn say(&self, line: impl AsRef<str>) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.println(line.as_ref()),
            None => eprintln!("{}", line.as_ref()),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// Time for people: `1:02:03`, or `2:03` below an hour.
pub fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_read_like_a_clock() {
        assert_eq!([0.4, 61.0, 3599.6, 86_400.0].map(super::clock), ["0:00", "1:01", "1:00:00", "24:00:00"]);
    }
}
