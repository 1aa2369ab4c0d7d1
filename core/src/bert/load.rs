//! Laying weights down on a machine, row by row as they arrive, so that no second copy of a model is ever held.

use super::{Backend, Config, Encoding, Heads, Parameter, Weights, parameters::check};
use crate::{Result, weights::Tensors};

/// A machine on which weights can be laid down.
///
/// A tensor of the graph is one entry of the parameter table, or three one below the other (query, key, value);
/// [`super::fused_shape`] gives its shape, the entries' names tell what it is for.
pub trait Load: Backend {
    /// A weight while its rows arrive.
    type Partial;

    /// Whether a model of this shape can run here; asked before anything is laid down.
    ///
    /// # Errors
    /// What the machine does not allow, and what to do about it.
    fn accepts(&self, _config: &Config) -> Result<()> {
        Ok(())
    }

    /// Makes room for a weight.
    ///
    /// # Errors
    /// The machine has no room for it, or cannot compute with this encoding.
    fn begin(&self, group: &[Parameter], encoding: Encoding) -> Result<Self::Partial>;

    /// Lays down what comes next, in the encoding of [`Self::begin`]: any number of whole rows of a matrix, of whole values of a vector.
    ///
    /// # Errors
    /// More bytes than the weight has, or those of the machine.
    fn append(&self, partial: &mut Self::Partial, bytes: &[u8]) -> Result<()>;

    /// The weight, when all of its rows are there.
    ///
    /// # Errors
    /// Rows are missing, or those of the machine.
    fn finish(&self, partial: Self::Partial) -> Result<Self::Tensor>;
}

/// Values that are encoded at once: few calls, little memory.
const AT_ONCE: usize = 1 << 18;

/// Lays down named host tensors, matrices in the encoding that is given; other tensors among them are ignored.
///
/// # Errors
/// [`crate::Error::Tensor`] naming weights that are missing or do not fit, and those of the machine.
pub fn lay_down<B: Load>(
    backend: &B,
    config: &Config,
    heads: Heads,
    tensors: &Tensors,
    matrices: Encoding,
) -> Result<Weights<B::Tensor>> {
    check(config, heads, tensors)?;
    backend.accepts(config)?;
    let mut bytes = Vec::new();
    Weights::build(config, heads, |group| {
        let encoding = matrices.of(group);
        let mut partial = backend.begin(group, encoding)?;
        for tensor in group.iter().filter_map(|parameter| tensors.get(&parameter.name)) {
            let width = tensor.shape.last().copied().unwrap_or(1).max(1);
            for rows in tensor.data.chunks(width * (AT_ONCE / width).max(1)) {
                bytes.clear();
                rows.chunks(width).for_each(|row| encoding.encode(row, &mut bytes));
                backend.append(&mut partial, &bytes)?;
            }
        }
        backend.finish(partial)
    })
}
