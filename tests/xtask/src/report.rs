//! Steps with their times, and the last line that sums up the tests.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::counts::Counts;
use crate::tools::Missing;

/// What has been done so far.
pub struct Report {
    started: Instant,
    steps: Vec<(String, Duration)>,
    counts: Counts,
    counts_tests: bool,
}

impl Report {
    /// Nothing done yet.
    pub fn start() -> Self {
        Self { started: Instant::now(), steps: Vec::new(), counts: Counts::default(), counts_tests: false }
    }

    /// Does one step, saying so before, and how long it took after.
    ///
    /// # Errors
    /// The step's own, with its title.
    pub fn step<T>(&mut self, title: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        println!("\n=== {title}");
        let started = Instant::now();
        let result = work();
        self.steps.push((title.to_owned(), started.elapsed()));
        result.map_err(|error| error.context(title.to_owned()))
    }

    /// A step that runs tests and counts them, whether or not they pass.
    ///
    /// # Errors
    /// The step's own, with its title.
    pub fn tests(&mut self, title: &str, work: impl FnOnce(&mut Counts) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut counts = Counts::default();
        let result = self.step(title, || work(&mut counts));
        self.counts.passed += counts.passed;
        self.counts.failed += counts.failed;
        self.counts_tests = true;
        result
    }

    /// Prints the times of all steps and the sum of the tests; exit status as in the crate's description.
    pub fn finish(mut self, outcome: anyhow::Result<()>) -> ExitCode {
        println!("\n=== times");
        for (title, time) in &self.steps {
            println!("{:>8.1} s  {title}", time.as_secs_f64());
        }
        println!("{:>8.1} s  in all", self.started.elapsed().as_secs_f64());
        let status = match &outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // What the steps printed must stand before the reason, also where both streams go to one file.
                let _ = std::io::stdout().flush();
                eprintln!("\nerror: {error:#}");
                if error.is::<Missing>() { ExitCode::from(2) } else { ExitCode::from(1) }
            }
        };
        if outcome.is_err() && self.counts.failed == 0 {
            self.counts.failed = 1;
        }
        if self.counts_tests || outcome.is_err() {
            println!("\nTests as counted by cargo and node; a step that fails without a failed test counts as one.");
            println!("{} passed, {} failed", self.counts.passed, self.counts.failed);
        }
        status
    }
}
