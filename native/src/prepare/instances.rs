//! The second stage: which segments make an example and what is hidden in it, with exactly Google's draws.
//!
//! All draws come from one generator, one after another, so this stage runs on one core; it writes down places in the store instead of
//! tokens, so it takes little.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use bytemuck::Pod;
use clinicalbert_core::examples::corpus::{Corpus, TokenId};
use clinicalbert_core::examples::instances::Instances;
use clinicalbert_core::examples::packed::Packing;
use clinicalbert_core::examples::{self, Vocabulary};

use super::progress::Progress;
use super::store::{Appended, Store};
use super::summary::Stage;

/// What examples are made of.
pub struct Making<'a> {
    /// Folder of the store; the instances go there too.
    pub store: &'a Path,
    /// How they are made.
    pub settings: &'a examples::Settings,
    /// Of which vocabulary.
    pub vocabulary: &'a Vocabulary,
    /// Number of token ids, which decides how wide they are kept.
    pub vocab_size: usize,
    /// Whether it is held-out text.
    pub is_holdout: bool,
}

impl Making<'_> {
    /// One of two names, for the text to train on and the held-out text.
    pub fn name(&self, train: &'static str, holdout: &'static str) -> &'static str {
        if self.is_holdout { holdout } else { train }
    }

    /// How instances are packed in their file.
    pub fn packing(&self) -> Packing {
        Packing::new(self.settings, self.vocab_size)
    }

    /// The packed instances in the order of making.
    pub fn instances(&self) -> PathBuf {
        self.store.join("instances")
    }

    /// For every place of the output the number of an instance (`u32`).
    pub fn order(&self) -> PathBuf {
        self.store.join("order")
    }

    /// Whether ids take four bytes.
    pub fn has_wide_ids(&self) -> bool {
        self.vocab_size > 1 << 16
    }

    /// Writes [`Making::instances`] and [`Making::order`], unless that has been done.
    ///
    /// # Errors
    /// The settings do not fit the corpus, or the disk refuses.
    pub fn make(&self, progress: &Progress) -> Result<Stage> {
        let start = Instant::now();
        if !self.order().exists() {
            let store = Store::open(self.store)?;
            if self.has_wide_ids() {
                self.make_from(store.corpus::<u32>()?, progress)?;
            } else {
                self.make_from(store.corpus::<u16>()?, progress)?;
            }
        }
        Ok(Stage::new(self.name("instances", "held-out instances"), start.elapsed()))
    }

    fn make_from<Id: TokenId + Pod>(&self, corpus: Corpus<'_, Id>, progress: &Progress) -> Result<()> {
        /// Share of the documents between two looks at the bar.
        const LOOK_EVERY: u64 = 1 << 14;
        let bar = progress.share("pairs and masks");
        let packing = self.packing();
        let mut file = Appended::open(self.instances(), 0)?;
        let mut instances = Instances::new(corpus, self.settings, self.vocabulary)?;
        let (mut record, mut made) = (Vec::new(), 0u64);
        while let Some(instance) = instances.next_instance() {
            record.clear();
            packing.append(instance, &mut record)?;
            file.write(&record)?;
            made += 1;
            if made.is_multiple_of(LOOK_EVERY) {
                bar.set(instances.progress());
            }
        }
        file.sync()?;
        // The order is written last and renamed into place: where it is, this stage is done.
        let unfinished = self.store.join("order.unfinished");
        let mut order = Appended::open(unfinished.clone(), 0)?;
        order.write(bytemuck::cast_slice(&instances.final_order()?))?;
        order.sync()?;
        fs::rename(&unfinished, self.order()).with_context(|| format!("cannot write {}", self.order().display()))?;
        bar.finish();
        Ok(())
    }
}
