//! The last stage: instances in their final order, spelled out as TFRecord files with their indices.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use bytemuck::Pod;
use clinicalbert_core::examples::Example;
use clinicalbert_core::examples::corpus::{Corpus, TokenId};
use clinicalbert_core::examples::instances::Instance;
use clinicalbert_core::examples::tf_example::{Encoder, Shape};
use clinicalbert_core::examples::tfrecord;

use super::instances::Making;
use super::progress::{Bar, Progress};
use super::store::{Appended, Store, numbers};
use super::streamed::Streamed;
use super::summary::Stage;
use crate::dataset::index;
use crate::{mapped_file, ordered};

/// Examples that a worker spells out at once.
const BATCH: usize = 1024;

/// Name of a shard.
pub fn file_name(shard: usize, shards: usize) -> String {
    format!("examples-{shard:05}-of-{shards:05}.tfrecord")
}

/// Writes all shards into `target`, passing over those that are there; examples are dealt to them in turn, as Google's code does.
///
/// # Errors
/// The disk refuses.
pub fn write(making: &Making<'_>, target: &Path, shards: usize, threads: usize, progress: &Progress) -> Result<(u64, Stage)> {
    let start = Instant::now();
    fs::create_dir_all(target).with_context(|| format!("cannot create {}", target.display()))?;
    let store = Store::open(making.store)?;
    let (order, instances) = (mapped_file::map(&making.order())?, mapped_file::map(&making.instances())?);
    let order: &[u32] = numbers(&order)?;
    let bar = progress.count("writing examples", order.len() as u64);
    let writing = Writing { making, order, instances: &instances, shards, threads, bar: &bar };
    for shard in 0..shards {
        let file = target.join(file_name(shard, shards));
        if file.exists() {
            continue;
        }
        if making.has_wide_ids() {
            writing.shard(shard, &file, store.corpus::<u32>()?)?;
        } else {
            writing.shard(shard, &file, store.corpus::<u16>()?)?;
        }
    }
    bar.finish();
    Ok((order.len() as u64, Stage::new(making.name("examples", "held-out examples"), start.elapsed())))
}

struct Writing<'a> {
    making: &'a Making<'a>,
    order: &'a [u32],
    instances: &'a [u8],
    shards: usize,
    threads: usize,
    bar: &'a Bar,
}

impl Writing<'_> {
    fn shard<Id: TokenId + Pod + Sync>(&self, shard: usize, target: &Path, corpus: Corpus<'_, Id>) -> Result<()> {
        // Written in the store's folder, which is no part of the result, and moved when whole: the index first, so that a data file
        // in the result always has one.
        let (data_file, index_file) = (self.making.store.join("shard"), self.making.store.join("shard.index"));
        let mut data = Streamed::create(data_file.clone())?;
        let mut offsets = Appended::open(index_file.clone(), 0)?;
        let places = self.order.get(shard..).unwrap_or_default();
        let count = places.len().div_ceil(self.shards);
        offsets.write(index::MAGIC)?;
        offsets.write(&(count as u64).to_le_bytes())?;
        let mut offset = 0u64;
        offsets.write(&offset.to_le_bytes())?;
        ordered::map(
            self.threads,
            places.chunks(BATCH * self.shards).map(Ok),
            || Speller::new(self.making),
            |speller, places| speller.spell(places.iter().step_by(self.shards), self.instances, corpus),
            |spelled: Spelled| {
                data.write(&spelled.bytes)?;
                for &length in &spelled.lengths {
                    offset += u64::from(length);
                    offsets.write(&offset.to_le_bytes())?;
                }
                self.bar.add(spelled.lengths.len() as u64);
                Ok(())
            },
        )?;
        data.finish()?;
        offsets.sync()?;
        fs::rename(&index_file, index::index_path(target))
            .and_then(|()| fs::rename(&data_file, target))
            .with_context(|| format!("cannot write {}", target.display()))
    }
}

/// Records one after another, and their lengths.
struct Spelled {
    bytes: Vec<u8>,
    lengths: Vec<u32>,
}

/// Turns packed instances into records, reusing its memory.
struct Speller<'a> {
    making: &'a Making<'a>,
    encoder: Encoder,
    instance: Instance,
    example: Example,
}

impl<'a> Speller<'a> {
    fn new(making: &'a Making<'a>) -> Self {
        let encoder = Encoder::new(Shape::from(making.settings));
        Self { making, encoder, instance: Instance::default(), example: Example::default() }
    }

    fn spell<'p, Id: TokenId>(
        &mut self,
        places: impl Iterator<Item = &'p u32>,
        instances: &[u8],
        corpus: Corpus<'_, Id>,
    ) -> Result<Spelled> {
        let packing = self.making.packing();
        let length = packing.record_length();
        let mut spelled = Spelled { bytes: Vec::with_capacity(BATCH << 10), lengths: Vec::with_capacity(BATCH) };
        for &number in places {
            let start = number as usize * length;
            let packed =
                instances.get(start..start + length).ok_or_else(|| anyhow!("the file of instances was cut; start again"))?;
            packing.read(packed, &mut self.instance)?;
            self.instance.fill(&corpus, self.making.vocabulary, &mut self.example);
            let before = spelled.bytes.len();
            let mut outcome = Ok(());
            tfrecord::append_with(&mut spelled.bytes, |bytes| outcome = self.encoder.append(&self.example, bytes));
            outcome?;
            spelled.lengths.push((spelled.bytes.len() - before) as u32);
        }
        Ok(spelled)
    }
}
