//! Reading parameters and the optimizer's state by a [`Plan`], one tensor after the other.

use super::{HostTensor, Plan, Tensors, Used, WeightsFile, tensor_error};
use crate::{
    Result,
    bert::{Config, Part},
};

/// Parameters read from a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// By Hugging Face name, in Hugging Face's orientation; all values are finite.
    pub tensors: Tensors,
    /// Where they came from, what was left aside and what is missing.
    pub plan: Plan,
}

/// The optimizer's state beside the parameters, as Google's training writes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slots {
    /// Adam's running mean of gradients (`adam_m`), by parameter.
    pub first: Tensors,
    /// Adam's running mean of squared gradients (`adam_v`), by parameter.
    pub second: Tensors,
    /// Updates done (`global_step`).
    pub step: u64,
}

/// What Google's training appends to a variable's name for its running mean of gradients.
pub const ADAM_FIRST: &str = "/adam_m";
/// The same for its running mean of squared gradients.
pub const ADAM_SECOND: &str = "/adam_v";

impl Loaded {
    /// Whether the file has all of a part.
    pub fn has(&self, part: Part) -> bool {
        self.plan.has(part)
    }
}

/// Reads the parameters of `config` (or of the model that the file implies) from a file of any format, one tensor at a time.
///
/// Missing heads are for the caller to judge ([`Plan::require`]); a missing piece of the encoder is an error here.
///
/// # Errors
/// Those of [`Plan::new`], [`Plan::require`] for the encoder and [`WeightsFile::read`]; [`crate::Error::Tensor`] for a value that is not
/// finite and for a decoder that is not tied to the word embeddings.
pub fn load(file: &dyn WeightsFile, config: Option<&Config>) -> Result<Loaded> {
    let plan = Plan::new(&file.list(), config)?;
    plan.require(Part::Encoder)?;
    let mut tensors = Tensors::new();
    for Used { in_file, parameter, transposed } in &plan.used {
        tensors.insert(parameter.clone(), read(file, in_file, *transposed)?);
    }
    for (copy, parameter) in &plan.tied {
        check_tied(file, copy, parameter, tensors.get(parameter))?;
    }
    Ok(Loaded { tensors, plan })
}

/// Finds what [`load`] would find wrong with the values, without keeping them.
///
/// # Errors
/// As [`load`].
pub fn check(file: &dyn WeightsFile, plan: &Plan) -> Result<()> {
    for Used { in_file, parameter, .. } in &plan.used {
        let tensor = read(file, in_file, false)?;
        for (copy, _) in plan.tied.iter().filter(|(_, original)| original == parameter) {
            check_tied(file, copy, parameter, Some(&tensor))?;
        }
    }
    Ok(())
}

fn check_tied(file: &dyn WeightsFile, copy: &str, parameter: &str, original: Option<&HostTensor>) -> Result<()> {
    if original == Some(&file.read(copy)?) {
        return Ok(());
    }
    let reason = format!("differs from {parameter}; only models whose output matrix is the word embeddings can be used");
    Err(tensor_error(copy, reason))
}

/// Reads the optimizer's state beside TensorFlow parameters; `None` if there is none.
///
/// # Errors
/// [`crate::Error::Tensor`] if a slot or `global_step` is missing or damaged; those of [`Plan::new`].
pub fn load_slots(file: &dyn WeightsFile, config: Option<&Config>) -> Result<Option<Slots>> {
    let list = file.list();
    let plan = Plan::new(&list, config)?;
    if !list.iter().any(|listing| listing.name.ends_with(ADAM_FIRST)) {
        return Ok(None);
    }
    let step =
        file.global_step()?.ok_or_else(|| tensor_error("global_step", "expected beside the optimizer's slots, not found"))?;
    let mut slots = Slots { step, ..Slots::default() };
    for Used { in_file, parameter, transposed } in &plan.used {
        slots.first.insert(parameter.clone(), read(file, &format!("{in_file}{ADAM_FIRST}"), *transposed)?);
        slots.second.insert(parameter.clone(), read(file, &format!("{in_file}{ADAM_SECOND}"), *transposed)?);
    }
    Ok(Some(slots))
}

fn read(file: &dyn WeightsFile, name: &str, transposed: bool) -> Result<HostTensor> {
    let tensor = file.read(name)?;
    if let Some((index, value)) = tensor.data.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(tensor_error(name, format!("expected finite values, value {index} is {value}; the file is damaged")));
    }
    Ok(if transposed { tensor.transposed() } else { tensor })
}
