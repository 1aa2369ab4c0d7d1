//! Where every parameter lies in the flat arenas: weights, their bf16 copies, gradients and both moments have one layout.
//!
//! Table order, so that query, key and value are one matrix. Every tensor of the graph begins at a chunk of the update kernels, so that a
//! chunk has one set of flags. The vocabulary is padded to a multiple of 128 rows of zeros: rows of 28,996 bf16 values are no multiple
//! of 16 bytes, and cuBLASLt falls back to slow kernels for them.

use anyhow::{Context, Result};
use clinicalbert_core::{
    Error,
    bert::{Config, Freeze, Heads, Parameter, Weights, fused_shape},
    weights::{HostTensor, Tensors},
};

use super::{
    plan::{Memory, Place},
    record::Value,
};

/// Values of a chunk: `CHUNK` in update.cu.
pub const CHUNK: usize = 1024;
/// The vocabulary is padded to a multiple of this.
const VOCABULARY_MULTIPLE: usize = 128;
/// Flags of a chunk, as in update.cu.
const TRAINED: u8 = 1;
const DECAYED: u8 = 2;

/// The arenas' layout; offsets and lengths in values.
#[derive(Debug)]
pub struct Layout {
    /// Values of an arena, padding included; a multiple of [`CHUNK`].
    pub total: usize,
    /// Flags of every chunk.
    pub flags: Vec<u8>,
    /// Rows of the word table with padding.
    pub padded_vocabulary: usize,
    /// Offset of every tensor of the graph, in table order.
    starts: Vec<usize>,
    /// Parameters with their offsets.
    entries: Vec<(Parameter, usize)>,
}

impl Layout {
    /// The layout of a pretraining model.
    ///
    /// # Errors
    /// None at present.
    pub fn new(config: &Config, freeze: &Freeze) -> Result<Self> {
        let padded_vocabulary = config.vocab_size.next_multiple_of(VOCABULARY_MULTIPLE);
        let (mut total, mut flags, mut entries, mut starts) = (0, Vec::new(), Vec::new(), Vec::new());
        Weights::build(config, Heads::ALL, |group| {
            starts.push(total);
            let trained = group.iter().all(|parameter| !freeze.contains(parameter));
            let decayed = group.iter().any(|parameter| parameter.decayed);
            for parameter in group {
                entries.push((parameter.clone(), total));
                total += parameter.elements();
            }
            if entries.len() == 1 {
                total = padded_vocabulary * config.hidden_size;
            }
            total = total.next_multiple_of(CHUNK);
            let flag = if trained { TRAINED } else { 0 } | if decayed { DECAYED } else { 0 };
            flags.resize(total / CHUNK, flag);
            Ok(())
        })?;
        Ok(Self { total, flags, padded_vocabulary, starts, entries })
    }

    /// Whether anything is trained.
    pub fn trains(&self) -> bool {
        self.flags.iter().any(|flag| flag & TRAINED != 0)
    }

    /// Whether the word table is.
    pub fn trains_words(&self) -> bool {
        self.flags.first().is_some_and(|flag| flag & TRAINED != 0)
    }

    /// Values of the word table with padding up to the next chunk; it comes first.
    pub fn word_values(&self) -> usize {
        self.starts.get(1).copied().unwrap_or_default()
    }

    /// The weight at `offset`; its place reaches to the next, padding included.
    pub fn value(&self, offset: usize, rows: usize, width: usize) -> Value {
        let next = self.starts.partition_point(|start| *start <= offset);
        let end = self.starts.get(next).copied().unwrap_or(self.total);
        let place = Place { memory: Memory::Weights, offset: 4 * offset, bytes: 4 * (end - offset) };
        Value { place, rows, width, stride: width, bias: None }
    }

    /// Where a parameter lies.
    pub fn offset(&self, name: &str) -> Option<usize> {
        self.entries.iter().find(|(parameter, _)| parameter.name == name).map(|(_, offset)| *offset)
    }

    /// The graph's weights, made from every tensor's offset and shape.
    ///
    /// # Errors
    /// Another model's configuration.
    pub fn weights<T>(&self, config: &Config, mut make: impl FnMut(usize, &[usize]) -> T) -> Result<Weights<T>, Error> {
        let mut starts = self.starts.iter();
        Weights::build(config, Heads::ALL, |group| {
            let start = starts.next().ok_or_else(|| Error::Backend("CUDA: the layout is another model's".into()))?;
            Ok(make(*start, &fused_shape(group)))
        })
    }

    /// An arena from named tensors; what is padding is 0.
    ///
    /// # Errors
    /// A tensor that is missing or has another size.
    pub fn arena(&self, tensors: &Tensors) -> Result<Vec<f32>> {
        let mut arena = vec![0.0; self.total];
        for (parameter, offset) in &self.entries {
            let tensor = tensors.get(&parameter.name).with_context(|| format!("tensor {} is missing", parameter.name))?;
            let place = arena.get_mut(*offset..offset + parameter.elements()).filter(|place| place.len() == tensor.data.len());
            let place = place.with_context(|| format!("tensor {}: expected {} values", parameter.name, parameter.elements()))?;
            place.copy_from_slice(&tensor.data);
        }
        Ok(arena)
    }

    /// Named tensors from an arena.
    pub fn tensors(&self, arena: &[f32]) -> Tensors {
        let named = self.entries.iter().filter_map(|(parameter, offset)| {
            let data = arena.get(*offset..offset + parameter.elements())?.to_vec();
            Some((parameter.name.clone(), HostTensor { shape: parameter.shape.clone(), data }))
        });
        named.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clinicalbert_core::bert::parameters;

    #[test]
    fn bert_base_has_29_056_word_rows_and_every_tensor_begins_a_chunk() {
        let layout = Layout::new(&Config::default(), &Freeze::default()).unwrap();
        assert_eq!((layout.padded_vocabulary, layout.word_values()), (29_056, 29_056 * 768));
        let offsets = layout.weights(&Config::default(), |offset, _| offset).unwrap();
        let first = &offsets.layers[0];
        assert_eq!(first.qkv.bias - first.qkv.weight, 3 * 768 * 768);
        assert_eq!(first.qkv.weight % CHUNK, 0);
        assert_eq!(layout.flags.len() * CHUNK, layout.total);
        // 108,932,934 parameters, 60 × 768 of padded vocabulary, and less than a chunk for each of 182 tensors.
        let padding = layout.total - 108_932_934 - 60 * 768;
        assert!(padding < 182 * CHUNK, "{padding}");
        assert_eq!(layout.flags[offsets.layers[3].output.weight / CHUNK], TRAINED | DECAYED);
        assert_eq!(layout.flags[offsets.layers[3].output.bias / CHUNK], TRAINED);
    }

    #[test]
    fn tensors_go_in_and_out_unchanged_and_do_not_overlap() {
        let config = Config {
            vocab_size: 5,
            hidden_size: 4,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 6,
            max_position_embeddings: 3,
            ..Config::default()
        };
        let mut count = 0.0;
        let tensors: Tensors = parameters(&config)
            .into_iter()
            .map(|row| {
                let data = (0..row.elements()).map(|_| {
                    count += 1.0;
                    count
                });
                (row.name.clone(), HostTensor { data: data.collect(), shape: row.shape })
            })
            .collect();
        let layout = Layout::new(&config, &"layers=1".parse().unwrap()).unwrap();
        let arena = layout.arena(&tensors).unwrap();
        assert_eq!(arena.iter().filter(|value| **value != 0.0).count() as f32, count);
        assert_eq!(layout.tensors(&arena), tensors);
        let offsets = layout.weights(&config, |offset, _| offset).unwrap();
        assert_eq!(layout.flags[offsets.layers[1].qkv.weight / CHUNK] & TRAINED, 0);
        assert_eq!(layout.flags[offsets.layers[0].qkv.weight / CHUNK] & TRAINED, TRAINED);
    }
}
