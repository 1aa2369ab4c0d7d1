//! A plan: everything that a pass does, as data. What it needs is known before anything is allocated, it is run eagerly or captured as one
//! graph, and the tests run it without a GPU.

use std::collections::HashMap;

use clinicalbert_core::bert::{Dropout, UpdateSettings};

/// Alignment of every buffer in bytes: what cudaMalloc gives and cuBLASLt likes best.
const ALIGNMENT: usize = 256;

/// The pieces of device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Memory {
    /// Weights in f32.
    Weights,
    /// Weights as matrix products read them, if that is not f32.
    Copies,
    /// Gradients in f32.
    Gradients,
    /// Adam's first moments.
    First,
    /// Adam's second moments.
    Second,
    /// Flags of the chunks.
    Flags,
    /// A batch and what else changes from one pass to the next; one upload.
    Inputs,
    /// Sums that are read back.
    Results,
    /// A buffer of this plan; its place is [`Plan::offset`].
    Buffer(usize),
}

/// A place in device memory; offset in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which piece.
    pub memory: Memory,
    /// Bytes from its beginning.
    pub offset: usize,
}

/// An argument of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument {
    /// An address, or null.
    Pointer(Option<Place>),
    /// `int`
    Int(usize),
    /// `u64`
    Long(usize),
    /// `float`
    Float(f32),
    /// `double`
    Double(f64),
    /// `Dropout` of common.cu; `step` is the place of its `Step`.
    Dropout {
        /// Nothing is dropped if there is none.
        dropout: Option<Dropout>,
        /// Seed, step and micro-batch.
        step: Place,
    },
    /// `Adam` of update.cu.
    Adam(UpdateSettings),
}

impl From<Place> for Argument {
    fn from(place: Place) -> Self {
        Self::Pointer(Some(place))
    }
}

impl From<usize> for Argument {
    fn from(value: usize) -> Self {
        Self::Int(value)
    }
}

/// What numbers are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// f32
    Single,
    /// [`super::kernels::Real`]
    Real,
}

/// A matrix in row-major order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matrix {
    /// Its first value.
    pub place: Place,
    /// Values from one row to the next.
    pub stride: usize,
    /// Whether the product takes it transposed.
    pub transposed: bool,
}

/// `out = a·b (+ bias) (+ out)`, `[m, k]·[k, n]`, each operand after its transposition; a and b are stored as reals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// What is summed over.
    pub k: usize,
    /// `[m, k]`
    pub a: Matrix,
    /// `[k, n]`
    pub b: Matrix,
    /// `[m, n]`
    pub out: Matrix,
    /// How the result is stored.
    pub storage: Storage,
    /// Added to every row; reals.
    pub bias: Option<Place>,
    /// Whether the result is added to what is there.
    pub accumulate: bool,
}

/// One thing for the device to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Launch {
    /// A kernel of ours.
    Kernel {
        /// Its name in the sources.
        name: &'static str,
        /// Blocks.
        grid: [usize; 3],
        /// Threads of a block.
        threads: usize,
        /// In the order of its declaration.
        arguments: Vec<Argument>,
    },
    /// A matrix product.
    Product(Product),
    /// Bytes set to 0.
    Zero {
        /// The first.
        place: Place,
        /// How many.
        bytes: usize,
    },
}

impl Launch {
    fn buffers(&self) -> Vec<usize> {
        let places: Vec<Place> = match self {
            Self::Kernel { arguments, .. } => arguments
                .iter()
                .filter_map(|argument| match argument {
                    Argument::Pointer(place) => *place,
                    _ => None,
                })
                .collect(),
            Self::Product(Product { a, b, out, bias, .. }) => [a.place, b.place, out.place].into_iter().chain(*bias).collect(),
            Self::Zero { place, .. } => vec![*place],
        };
        let buffer = |place: Place| if let Memory::Buffer(number) = place.memory { Some(number) } else { None };
        places.into_iter().filter_map(buffer).collect()
    }
}

/// Launches in their order, and the buffers that they use.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is done.
    pub launches: Vec<Launch>,
    /// Bytes of all buffers together, which share memory where their lifetimes allow it.
    pub bytes: usize,
    /// Every buffer's name and length in bytes.
    buffers: Vec<(&'static str, usize)>,
    offsets: Vec<usize>,
}

impl Plan {
    /// A new buffer. Launches decide how long it lives.
    pub fn buffer(&mut self, name: &'static str, bytes: usize) -> Place {
        self.buffers.push((name, bytes));
        Place { memory: Memory::Buffer(self.buffers.len() - 1), offset: 0 }
    }

    /// Adds a launch of a kernel.
    pub fn kernel(&mut self, name: &'static str, grid: [usize; 3], threads: usize, arguments: Vec<Argument>) {
        self.launches.push(Launch::Kernel { name, grid, threads, arguments });
    }

    /// Gives every buffer its place: in the order of first use, the lowest where no living buffer lies.
    pub fn allocate(&mut self) {
        let mut lifetimes: HashMap<usize, (usize, usize)> = HashMap::new();
        for (index, launch) in self.launches.iter().enumerate() {
            for buffer in launch.buffers() {
                lifetimes.entry(buffer).and_modify(|(_, last)| *last = index).or_insert((index, index));
            }
        }
        self.offsets = vec![0; self.buffers.len()];
        let mut order: Vec<_> = lifetimes.into_iter().map(|(buffer, lifetime)| (lifetime, buffer)).collect();
        order.sort_unstable();
        let mut placed: Vec<(usize, usize, usize)> = Vec::new(); // (offset, end, last use)
        for ((first, last), buffer) in order {
            placed.retain(|(_, _, until)| *until >= first);
            placed.sort_unstable();
            let bytes = self.buffers.get(buffer).map_or(0, |(_, bytes)| bytes.next_multiple_of(ALIGNMENT));
            let mut offset = 0;
            for (start, end, _) in &placed {
                if offset + bytes <= *start {
                    break;
                }
                offset = offset.max(*end);
            }
            placed.push((offset, offset + bytes, last));
            if let Some(place) = self.offsets.get_mut(buffer) {
                *place = offset;
            }
            self.bytes = self.bytes.max(offset + bytes);
        }
    }

    /// Where a buffer lies in the memory that all of them share.
    pub fn offset(&self, buffer: usize) -> usize {
        self.offsets.get(buffer).copied().unwrap_or_default()
    }
}

#[cfg(test)]
impl Plan {
    /// Multiplications and additions in the matrix products.
    pub fn product_operations(&self) -> u64 {
        let operations = |launch: &Launch| match launch {
            Launch::Product(Product { m, n, k, .. }) => 2 * (m * n * k) as u64,
            _ => 0,
        };
        self.launches.iter().map(operations).sum()
    }

    /// Panics if two buffers that live at one time share memory, or one is not aligned.
    pub fn check(&self) {
        let mut lifetimes: HashMap<usize, (usize, usize)> = HashMap::new();
        for (index, launch) in self.launches.iter().enumerate() {
            for buffer in launch.buffers() {
                let (_, last) = lifetimes.entry(buffer).or_insert((index, index));
                *last = index;
            }
        }
        for (one, (first, last)) in &lifetimes {
            let range = self.offsets[*one]..self.offsets[*one] + self.buffers[*one].1;
            assert!(range.start % ALIGNMENT == 0 && range.end <= self.bytes);
            for (other, (other_first, other_last)) in &lifetimes {
                let start = self.offsets[*other];
                let apart = start >= range.end || start + self.buffers[*other].1 <= range.start;
                assert!(
                    one == other || apart || last < other_first || other_last < first,
                    "{:?} {:?}",
                    self.buffers[*one],
                    self.buffers[*other]
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_share_memory_only_when_one_is_no_longer_used() {
        let mut plan = Plan::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| plan.buffer(name, 300));
        for (one, other) in [(a, b), (b, c), (c, c)] {
            plan.kernel("any", [1; 3], 32, vec![one.into(), other.into()]);
        }
        plan.allocate();
        plan.check();
        assert_eq!((plan.offset(0), plan.offset(1), plan.offset(2), plan.bytes), (0, 512, 0, 1024));
    }
}
