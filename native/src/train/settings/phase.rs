//! Phases: stretches of one run with data of their own, such as BERT's 90 % of the updates at 128 tokens and 10 % at 512 (README of
//! google-research/bert @ eedf571). The learning rate goes through all of them as through one run.
//!
//! ```toml
//! [[phases]]
//! data = "prepared-128"
//! num_train_steps = 135000
//! [[phases]]
//! data = "prepared-512"
//! num_train_steps = 15000
//! train_batch_size = 8
//! gradient_accumulation_steps = 4
//! ```

use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::{Settings, Source, source};

/// One stretch; what is not given is as in the rest of the settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Prepared folders or TFRecord files.
    #[serde(with = "source::one_or_many")]
    pub data: Vec<Source>,
    /// Prepared folder or TFRecord file that is only evaluated on; the data's own held-out examples if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_data: Option<PathBuf>,
    /// Updates of this stretch.
    pub num_train_steps: u64,
    /// Examples of one forward pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_batch_size: Option<usize>,
    /// Forward passes of one update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradient_accumulation_steps: Option<usize>,
}

impl Phase {
    /// Phases of a run: those of its settings, or the whole run as the only one.
    pub fn of(settings: &Settings) -> Vec<Self> {
        if !settings.phases.is_empty() {
            return settings.phases.clone();
        }
        vec![Self {
            data: settings.data.clone(),
            eval_data: settings.eval_data.clone(),
            num_train_steps: settings.num_train_steps,
            train_batch_size: None,
            gradient_accumulation_steps: None,
        }]
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.data.iter_mut().map(|source| &mut source.path).chain(&mut self.eval_data)
    }

    pub(super) fn validate(&self) -> Result<()> {
        ensure!(!self.data.is_empty(), "a phase has no data: every [[phases]] needs data = \"DIR\" and num_train_steps");
        for (key, value) in [
            ("num_train_steps", Some(self.num_train_steps)),
            ("train_batch_size", self.train_batch_size.map(|size| size as u64)),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps.map(|count| count as u64)),
        ] {
            ensure!(value != Some(0), "{key} of a phase must be at least 1, found 0");
        }
        Ok(())
    }
}
