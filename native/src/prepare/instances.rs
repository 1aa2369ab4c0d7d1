//! The second stage: which segments make an example and what is hidden in it, with exactly Google's draws.
//!
//! All draws come from one generator, one after another, so this stage runs on one core; it writes down places in the store instead of
//! tokens, so it takes little.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytemuck::Pod;
use clinicalbert_core::examples::corpus::{Corpus, TokenId};
use clinicalbert_core::examples::instances::Instances;
use clinicalbert_core::examples::packed::Packing;
use clinicalbert_core::examples::{self, Vocabulary};

use super::progress::Progress;
use super::store::{Appended, Store, numbers_mut};
use super::summary::Stage;
use crate::{mapped_file, ordered};

/// Instances that are handed to the disk at once.
const BATCH: usize = 1 << 14;

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

    fn make_from<Id: TokenId + Pod + Sync>(&self, corpus: Corpus<'_, Id>, progress: &Progress) -> Result<()> {
        let bar = progress.share("pairs and masks");
        let packing = self.packing();
        let mut file = Appended::open(self.instances(), 0)?;
        let mut instances = Instances::new(corpus, self.settings, self.vocabulary)?;
        let batches = std::iter::from_fn(|| {
            let batch = packed_batch(&mut instances, packing).transpose()?;
            bar.set(instances.progress());
            Some(batch)
        });
        // One thread draws, this one writes.
        ordered::map(1, batches, || (), |(), batch| Ok(batch), |batch| file.write(&batch))?;
        file.sync()?;
        // The order is written last and renamed into place: where it is, this stage is done.
        let unfinished = self.store.join("order.unfinished");
        ensure!(instances.made() > 0, "no example can be made of these documents");
        let mut order = mapped_file::create(&unfinished, instances.made() * size_of::<u32>() as u64)?;
        instances.final_order(numbers_mut(&mut order)?)?;
        order.flush().with_context(|| format!("cannot write {}", unfinished.display()))?;
        fs::rename(&unfinished, self.order()).with_context(|| format!("cannot write {}", self.order().display()))?;
        bar.finish();
        Ok(())
    }
}

/// The next instances, packed; `None` after the last.
fn packed_batch<Id: TokenId>(instances: &mut Instances<'_, Id>, packing: Packing) -> Result<Option<Vec<u8>>> {
    let mut batch = Vec::with_capacity(BATCH * packing.record_length());
    for _ in 0..BATCH {
        let Some(instance) = instances.next_instance() else { break };
        packing.append(instance, &mut batch)?;
    }
    Ok((!batch.is_empty()).then_some(batch))
}
