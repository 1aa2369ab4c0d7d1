//! What is said while work goes on: bars on a terminal, nothing elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where talk goes.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Say nothing.
    pub quiet: bool,
}

impl Progress {
    /// A line on standard error.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    /// A bar over bytes of input, which `read` counts.
    pub fn bytes(&self, what: &str, total: u64, read: Arc<AtomicU64>) -> Bar {
        let bar = self.bar(what, total, "{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left");
        Bar { bar, read: Some(read) }
    }

    /// A bar over examples.
    pub fn count(&self, what: &str, total: u64) -> Bar {
        Bar { bar: self.bar(what, total, "{msg} {wide_bar} {human_pos}/{human_len}, {per_sec}, {eta} left"), read: None }
    }

    /// A bar over a share of 1.
    pub fn share(&self, what: &str) -> Bar {
        Bar { bar: self.bar(what, SHARES, "{msg} {wide_bar} {percent} %, {eta} left"), read: None }
    }

    fn bar(&self, what: &str, total: u64, template: &str) -> ProgressBar {
        // indicatif itself draws nothing when standard error is no terminal.
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(5) };
        let bar = ProgressBar::with_draw_target((total > 0).then_some(total), target).with_message(what.to_owned());
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

const SHARES: u64 = 10_000;

/// A bar; it vanishes when dropped.
pub struct Bar {
    bar: ProgressBar,
    read: Option<Arc<AtomicU64>>,
}

impl Bar {
    /// So many rows have been taken; the bar follows the bytes read.
    pub fn rows(&self, rows: u64) {
        if let Some(read) = &self.read {
            self.bar.set_position(read.load(Ordering::Relaxed));
        }
        if rows.is_multiple_of(1024) {
            self.bar.tick();
        }
    }

    /// So many more are done.
    pub fn add(&self, count: u64) {
        self.bar.inc(count);
    }

    /// Share that is done, 0 to 1.
    pub fn set(&self, share: f64) {
        self.bar.set_position((share * SHARES as f64) as u64);
    }

    /// Done.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
