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
    // All values are looked at before any is kept: a damaged file then costs the memory of one tensor, not of the model.
    check(file, &plan)?;
    let mut tensors = Tensors::new();
    for Used { in_file, parameter, transposed } in &plan.used {
        let tensor = file.read(in_file)?;
        tensors.insert(parameter.clone(), if *transposed { tensor.transposed() } else { tensor });
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::bert::initialize;
    use crate::weights::{Dtype, Listing};

    /// A file that counts how often it is read.
    struct Counted(Tensors, Cell<usize>);

    impl WeightsFile for Counted {
        fn list(&self) -> Vec<Listing> {
            let listing = |(name, tensor): (&String, &HostTensor)| Listing {
                name: name.clone(),
                dtype: Dtype::F32,
                shape: tensor.shape.clone(),
            };
            self.0.iter().map(listing).collect()
        }

        fn read(&self, name: &str) -> Result<HostTensor> {
            self.1.set(self.1.get() + 1);
            Ok(self.0[name].clone())
        }
    }

    /// The first pass keeps nothing, so a damaged file costs little memory.
    #[test]
    fn a_bad_value_in_the_last_tensor_is_found_before_any_is_kept() {
        let config = Config { vocab_size: 7, hidden_size: 8, num_hidden_layers: 1, intermediate_size: 4, ..Config::default() };
        let mut tensors = initialize(&config, 1);
        let count = tensors.len();
        let good = Counted(tensors.clone(), Cell::default());
        assert_eq!((load(&good, Some(&config)).unwrap().tensors, good.1.get()), (tensors.clone(), 2 * count));
        tensors.get_mut("cls.seq_relationship.weight").unwrap().data[15] = f32::INFINITY;
        let bad = Counted(tensors, Cell::default());
        let message = load(&bad, Some(&config)).unwrap_err().to_string();
        assert!(message.contains("cls.seq_relationship.weight") && message.contains("value 15 is inf"), "{message}");
        assert!(bad.1.get() <= count);
    }
}
