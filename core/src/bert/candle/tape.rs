//! The operations of a forward pass, to be gone back through.
//!
//! candle has a backward pass of its own, which first fills every gradient with zeros and then adds to it. For a model of 4 layers, 256 wide,
//! that is a seventh of an update's time. Here the first gradient of a tensor is taken as it is, and everything that an operation held is
//! let go of as soon as it has been gone back through.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result, Tensor, TensorId};

use super::{
    super::threads::{for_chunks, zeros},
    host::{tensor, with_values},
};

/// Operations in the order in which they were done.
#[derive(Default)]
pub struct Tape(Mutex<Recorded>);

#[derive(Default)]
struct Recorded {
    steps: Vec<Step>,
    /// Results that depend on a variable. What does not, such as the lowest layers when they are frozen, is not gone back through.
    varying: HashSet<TensorId>,
    /// Results whose sum of first values is to be made small.
    losses: Vec<Tensor>,
}

struct Step {
    operation: Operation,
    result: Tensor,
}

enum Operation {
    One(Box<dyn CustomOp1 + Send + Sync>, Tensor),
    Two(Box<dyn CustomOp2 + Send + Sync>, [Tensor; 2]),
    Three(Box<dyn CustomOp3 + Send + Sync>, [Tensor; 3]),
}

impl Operation {
    fn inputs(&self) -> &[Tensor] {
        match self {
            Self::One(_, input) => std::slice::from_ref(input),
            Self::Two(_, inputs) => inputs,
            Self::Three(_, inputs) => inputs,
        }
    }
}

impl Tape {
    pub fn one(&self, operation: impl CustomOp1 + Send + Sync + 'static, x: &Tensor) -> Result<Tensor> {
        let result = x.apply_op1_no_bwd(&operation)?;
        self.record(Operation::One(Box::new(operation), x.clone()), result)
    }

    pub fn two(&self, operation: impl CustomOp2 + Send + Sync + 'static, [x, y]: [&Tensor; 2]) -> Result<Tensor> {
        let result = x.apply_op2_no_bwd(y, &operation)?;
        self.record(Operation::Two(Box::new(operation), [x, y].map(Clone::clone)), result)
    }

    pub fn three(&self, operation: impl CustomOp3 + Send + Sync + 'static, [x, y, z]: [&Tensor; 3]) -> Result<Tensor> {
        let result = x.apply_op3_no_bwd(y, z, &operation)?;
        self.record(Operation::Three(Box::new(operation), [x, y, z].map(Clone::clone)), result)
    }

    /// Makes the first value of a result a part of what is to be made small.
    pub fn add_loss(&self, result: &Tensor) {
        self.recorded(|recorded| recorded.losses.push(result.clone()));
    }

    fn record(&self, operation: Operation, result: Tensor) -> Result<Tensor> {
        self.recorded(|recorded| {
            if operation.inputs().iter().any(|input| input.is_variable() || recorded.varying.contains(&input.id())) {
                recorded.varying.insert(result.id());
                recorded.steps.push(Step { operation, result: result.clone() });
            }
        });
        Ok(result)
    }

    fn recorded<R>(&self, use_it: impl FnOnce(&mut Recorded) -> R) -> R {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gradients of the losses' sum, by tensor; those of the variables are all there.
    pub fn backward(&self) -> Result<Gradients> {
        let Recorded { mut steps, losses, .. } = self.recorded(std::mem::take);
        let mut gradients = Gradients::default();
        for loss in losses {
            gradients.add(&loss, Some(loss.ones_like()?))?;
        }
        while let Some(Step { operation, result }) = steps.pop() {
            let Some(gradient) = gradients.0.remove(&result.id()) else { continue };
            match operation {
                Operation::One(operation, x) => {
                    let found = operation.bwd(&x, &result, &gradient)?;
                    gradients.add(&x, found)?;
                }
                Operation::Two(operation, [x, y]) => {
                    let found = operation.bwd(&x, &y, &result, &gradient)?;
                    gradients.add(&x, found.0)?;
                    gradients.add(&y, found.1)?;
                }
                Operation::Three(operation, [x, y, z]) => {
                    let found = operation.bwd(&x, &y, &z, &result, &gradient)?;
                    gradients.add(&x, found.0)?;
                    gradients.add(&y, found.1)?;
                    gradients.add(&z, found.2)?;
                }
            }
        }
        Ok(gradients)
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.recorded(|recorded| write!(f, "Tape of {} steps", recorded.steps.len()))
    }
}

/// Gradients by tensor.
#[derive(Debug, Default)]
pub struct Gradients(HashMap<TensorId, Tensor>);

impl Gradients {
    /// The gradient of a tensor; `None` if nothing depends on it.
    pub fn get(&self, tensor: &Tensor) -> Option<&Tensor> {
        self.0.get(&tensor.id())
    }

    fn add(&mut self, tensor: &Tensor, gradient: Option<Tensor>) -> Result<()> {
        let Some(gradient) = gradient else { return Ok(()) };
        let sum = match self.0.remove(&tensor.id()) {
            Some(other) => sum(&other, &gradient)?,
            None => gradient,
        };
        self.0.insert(tensor.id(), sum);
        Ok(())
    }
}

/// On our threads: candle has others for this, for which no core is left.
fn sum(first: &Tensor, second: &Tensor) -> Result<Tensor> {
    const CHUNK: usize = 1 << 14;
    let mut out = zeros(first.elem_count());
    with_values(first, |first| {
        with_values(second, |second| {
            for_chunks(
                &mut out,
                CHUNK,
                #[inline(always)]
                |index, out| {
                    let pairs = first
                        .chunks(CHUNK)
                        .nth(index)
                        .unwrap_or_default()
                        .iter()
                        .zip(second.chunks(CHUNK).nth(index).unwrap_or_default());
                    out.iter_mut().zip(pairs).for_each(|(out, (first, second))| *out = first + second);
                },
            );
        })
    })??;
    tensor(out, first.shape())
}
