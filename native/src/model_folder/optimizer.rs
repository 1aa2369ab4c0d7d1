//! The optimizer's state beside a model: slots in a TensorFlow checkpoint, or `optimizer.safetensors` and `state.json` in one of ours.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clinicalbert_core::bert::Config;
use clinicalbert_core::weights::{
    ADAM_FIRST, ADAM_SECOND, Format, Safetensors, Slots, Tensors, WeightsFile, load_slots, safetensors,
};
use serde::Deserialize;
use serde_json::json;

use super::find::Found;
use crate::{mapped_file, small_file, whole_file};

/// Adam's moments, under the parameters' names with TensorFlow's endings.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// Where training stands.
const STATE: &str = "state.json";

impl Found {
    /// Updates behind the weights, if a checkpoint says so.
    ///
    /// # Errors
    /// It says so, but in a way that cannot be read.
    pub fn step(&self) -> Result<Option<u64>> {
        #[derive(Deserialize)]
        struct State {
            step: u64,
        }
        if self.format == Format::TensorFlow {
            return self.open(|file| Ok(file.global_step()?));
        }
        let file = self.folder().join(STATE);
        if !file.is_file() {
            return Ok(None);
        }
        let state: State =
            serde_json::from_slice(&small_file::read(&file)?).with_context(|| format!("{} is damaged", file.display()))?;
        Ok(Some(state.step))
    }

    /// The optimizer's state of the parameters `tensors`; `None` if the weights have none.
    ///
    /// # Errors
    /// It is incomplete, damaged, or of another model.
    pub fn slots(&self, config: &Config, tensors: &Tensors) -> Result<Option<Slots>> {
        if self.format == Format::TensorFlow {
            return self.open(|file| Ok(load_slots(file, Some(config))?));
        }
        let folder = self.folder();
        if !folder.join(OPTIMIZER).is_file() {
            return Ok(None);
        }
        let step = self.step()?.with_context(|| format!("{} has no {STATE}, which tells the step", folder.display()))?;
        let (first, second) = read_moments(&folder, tensors)?;
        Ok(Some(Slots { first, second, step }))
    }
}

/// Adam's first and second moments of the parameters `tensors` from a folder's `optimizer.safetensors`.
///
/// # Errors
/// The file is incomplete, damaged, or of another model.
pub fn read_moments(folder: &Path, tensors: &Tensors) -> Result<(Tensors, Tensors)> {
    let file = folder.join(OPTIMIZER);
    let read = || -> Result<_> {
        let bytes = mapped_file::map(&file)?;
        let opened = Safetensors::open(&bytes)?;
        Ok((slot(&opened, ADAM_FIRST, tensors)?, slot(&opened, ADAM_SECOND, tensors)?))
    };
    read().with_context(|| file.display().to_string())
}

fn slot(file: &Safetensors<'_>, ending: &str, tensors: &Tensors) -> Result<Tensors> {
    let read = |name: &String, like: &Vec<usize>| -> Result<_> {
        let slot = format!("{name}{ending}");
        let tensor = file.read(&slot)?;
        ensure!(tensor.shape == *like, "tensor {slot}: expected the parameter's shape {like:?}, found {:?}", tensor.shape);
        ensure!(tensor.data.iter().all(|value| value.is_finite()), "tensor {slot}: expected finite values; the file is damaged");
        Ok((name.clone(), tensor))
    };
    tensors.iter().map(|(name, tensor)| read(name, &tensor.shape)).collect()
}

/// Writes `optimizer.safetensors` into a folder.
///
/// # Errors
/// The disk refused.
pub fn write_moments(folder: &Path, first: &Tensors, second: &Tensors) -> Result<()> {
    let named =
        |tensors: &Tensors, ending: &str| -> Vec<String> { tensors.keys().map(|name| format!("{name}{ending}")).collect() };
    let names = [named(first, ADAM_FIRST), named(second, ADAM_SECOND)].concat();
    let slots: BTreeMap<_, _> = names.into_iter().zip(first.values().chain(second.values())).collect();
    whole_file::write_file(&folder.join(OPTIMIZER), |file| Ok(safetensors::write_named(&slots, &BTreeMap::new(), file)?))
}

/// Writes `optimizer.safetensors` and a `state.json` with the step into a model folder.
///
/// # Errors
/// The disk refused.
pub fn write_slots(folder: &Path, slots: &Slots) -> Result<()> {
    write_moments(folder, &slots.first, &slots.second)?;
    let state = json!({ "step": slots.step, "program": concat!("clinicalbert ", env!("CARGO_PKG_VERSION")) });
    whole_file::write_file(&folder.join(STATE), |file| Ok(writeln!(file, "{state:#}")?))
}
