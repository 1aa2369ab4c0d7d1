//! Writing weights for the web: tensor after tensor into shards of equal size.

use std::mem;

use super::{Manifest, NamedFile, Source, StoredTensor, TokenizerFacts, manifest::groups};
use crate::{
    Error,
    bert::{Config, Encoding, Heads, parameters::check},
    weights::{Tensors, tensor_error},
};

/// What a manifest says beside the weights.
#[derive(Debug, Clone)]
pub struct Description {
    /// Shape of the model.
    pub config: Config,
    /// Vocabulary and how text becomes its entries.
    pub tokenizer: TokenizerFacts,
    /// Where the weights came from.
    pub source: Source,
}

/// Hands shards of at most `shard_bytes` bytes to `take`, name and bytes, one after the other, matrices stored in `encoding`; the manifest
/// is for the caller to write when all of them are safe.
///
/// # Errors
/// Those of `take`; [`Error::Config`] for an impossible model, [`Error::Tensor`] naming weights that are missing, do not fit, or are too
/// large for half precision.
pub fn write<E: From<Error>>(
    description: &Description,
    tensors: &Tensors,
    encoding: Encoding,
    shard_bytes: usize,
    mut take: impl FnMut(&str, &[u8]) -> Result<(), E>,
) -> Result<Manifest, E> {
    let Description { config, tokenizer, source } = description.clone();
    config.validate()?;
    let heads = Heads::of(&config, tensors);
    check(&config, heads, tensors)?;
    let groups = groups(&config, heads)?;
    let stored: Vec<_> = groups.iter().map(|group| StoredTensor::new(group, encoding)).collect();
    let bytes: u64 = stored.iter().map(StoredTensor::bytes).sum();
    let mut shards = Shards {
        size: shard_bytes.max(1),
        count: bytes.div_ceil(shard_bytes.max(1) as u64),
        filling: Vec::new(),
        done: Vec::new(),
    };
    for (group, stored) in groups.iter().zip(&stored) {
        for (parameter, tensor) in group.iter().filter_map(|parameter| Some((parameter, tensors.get(&parameter.name)?))) {
            if stored.encoding == Encoding::F16 && tensor.data.iter().any(|value| !half::f16::from_f32(*value).is_finite()) {
                let reason = format!("has values beyond half precision's ±{}; store it as f32 or int8", half::f16::MAX);
                return Err(tensor_error(&parameter.name, reason).into());
            }
            for row in tensor.data.chunks(stored.width()) {
                stored.encoding.encode(row, &mut shards.filling);
                shards.cut(&mut take)?;
            }
        }
    }
    let shards = shards.end(&mut take)?;
    Ok(Manifest::new(config, heads, encoding, stored, shards, tokenizer, source))
}

struct Shards {
    size: usize,
    count: u64,
    filling: Vec<u8>,
    done: Vec<NamedFile>,
}

impl Shards {
    /// Gives away what is full.
    fn cut<E>(&mut self, take: &mut impl FnMut(&str, &[u8]) -> Result<(), E>) -> Result<(), E> {
        while self.filling.len() >= self.size {
            let rest = self.filling.split_off(self.size);
            let full = mem::replace(&mut self.filling, rest);
            self.give(&full, take)?;
        }
        Ok(())
    }

    fn end<E>(mut self, take: &mut impl FnMut(&str, &[u8]) -> Result<(), E>) -> Result<Vec<NamedFile>, E> {
        let last = mem::take(&mut self.filling);
        if !last.is_empty() {
            self.give(&last, take)?;
        }
        Ok(self.done)
    }

    fn give<E>(&mut self, bytes: &[u8], take: &mut impl FnMut(&str, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let name = format!("weights-{:05}-of-{:05}.bin", self.done.len() + 1, self.count);
        take(&name, bytes)?;
        self.done.push(NamedFile::of(&name, bytes));
        Ok(())
    }
}
