//! Everything that the model computes for some texts, as safetensors: for comparing with other implementations.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use clinicalbert_core::{
    bert::{Backend, Batch, Model, Part},
    tokenizer::WordPiece,
    weights::{HostTensor, Tensors, safetensors},
};

use pollster::block_on;

use crate::whole_file;

/// Writes, for text number i from 0, `i.ids` `[length]`, `i.hidden.0` … `i.hidden.N` `[length, hidden]` and, where the model has the
/// heads, `i.mlm` `[length, vocab]` and `i.nsp` `[2]`.
///
/// # Errors
/// A text that is longer than the model allows; the disk refused.
pub fn write<'a>(
    out: &Path,
    model: &Model<impl Backend>,
    tokenizer: &WordPiece,
    texts: impl Iterator<Item = &'a str>,
) -> Result<()> {
    let special = tokenizer.special();
    let mut tensors = Tensors::new();
    for (number, text) in texts.enumerate() {
        let mut ids = vec![special.classify];
        tokenizer.append_ids(text, &mut ids)?;
        ids.push(special.separator);
        let batch = Batch::from_rows([(ids.as_slice(), vec![0; ids.len()].as_slice())])?;
        let mut keep = |name: String, tensor: HostTensor| {
            // The batch of one is dropped: [1, length, hidden] becomes [length, hidden].
            let shape = tensor
                .shape
                .iter()
                .copied()
                .skip(usize::from(tensor.shape.first() == Some(&1) && tensor.shape.len() > 1))
                .collect();
            tensors.insert(format!("{number}.{name}"), HostTensor { shape, data: tensor.data });
        };
        keep("ids".into(), HostTensor { shape: vec![ids.len()], data: ids.iter().map(|id| *id as f32).collect() });
        for (layer, state) in block_on(model.hidden_states(&batch))?.into_iter().enumerate() {
            keep(format!("hidden.{layer}"), state);
        }
        if model.heads().include(Part::MlmHead) {
            keep("mlm".into(), block_on(model.mlm_logits(&batch, &(0..ids.len() as u32).collect::<Vec<_>>()))?);
        }
        if model.heads().include(Part::NspHead) {
            keep("nsp".into(), block_on(model.nsp_logits(&batch))?);
        }
    }
    whole_file::write_file(out, |file| Ok(safetensors::write(&tensors, &BTreeMap::new(), file)?))
}
