//! The optimizer's state beside a model: slots in a TensorFlow checkpoint, or `optimizer.safetensors` and `state.json` in one of ours.

use std::collections::BTreeMap;
use std::fs;
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
use crate::{mapped_file, whole_file};

/// Adam's moments, under the parameters' names with TensorFlow's endings.
const OPTIMIZER: &str = "optimizer.safetensors";
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
        let Ok(bytes) = fs::read(&file) else { return Ok(None) };
        let state: State = serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", file.display()))?;
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
        let file = self.folder().join(OPTIMIZER);
        if !file.is_file() {
            return Ok(None);
        }
        let step = self.step()?.with_context(|| format!("{} has no {STATE}, which tells the step", self.folder().display()))?;
        let read = || -> Result<Slots> {
            let bytes = mapped_file::map(&file)?;
            let opened = Safetensors::open(&bytes)?;
            Ok(Slots { first: slot(&opened, ADAM_FIRST, tensors)?, second: slot(&opened, ADAM_SECOND, tensors)?, step })
        };
        read().with_context(|| file.display().to_string()).map(Some)
    }
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

/// Writes `optimizer.safetensors` and a `state.json` with the step into a model folder.
///
/// # Errors
/// The disk refused.
pub fn write_slots(folder: &Path, slots: &Slots) -> Result<()> {
    let named = [(&slots.first, ADAM_FIRST), (&slots.second, ADAM_SECOND)].into_iter();
    let named =
        named.flat_map(|(tensors, ending)| tensors.iter().map(move |(name, tensor)| (format!("{name}{ending}"), tensor.clone())));
    let named: Tensors = named.collect();
    whole_file::write_file(&folder.join(OPTIMIZER), |file| Ok(safetensors::write(&named, &BTreeMap::new(), file)?))?;
    let state = json!({ "step": slots.step, "program": concat!("clinicalbert ", env!("CARGO_PKG_VERSION")) });
    whole_file::write_file(&folder.join(STATE), |file| Ok(writeln!(file, "{state:#}")?))
}
