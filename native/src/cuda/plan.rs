//! A plan: everything that a pass does, as data. What it needs is known before anything is allocated, it is run eagerly or captured as one
//! graph, and the tests run it without a GPU.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use clinicalbert_core::bert::{Dropout, UpdateSettings};

use super::{
    branches::{self, Order},
    kernels::written,
};

/// Alignment of every buffer in bytes: what cudaMalloc gives and cuBLASLt likes best.
const ALIGNMENT: usize = 256;
/// How many launches later memory may be used again that one on the second branch has used, so that the first seldom waits for it: about
/// a layer's backward pass.
const LAUNCHES_BESIDE: usize = 24;

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
    /// Sums of the pass.
    Results,
    /// Figures of the last updates, a ring that is read back now and then.
    Reports,
    /// A buffer of this plan; its place is [`Plan::offset`].
    Buffer(usize),
}

/// A place in device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which piece.
    pub memory: Memory,
    /// Bytes from its beginning.
    pub offset: usize,
    /// How many bytes from there on are meant.
    pub bytes: usize,
}

impl Place {
    /// What follows after so many of its bytes.
    pub fn after(self, bytes: usize) -> Self {
        Self { memory: self.memory, offset: self.offset + bytes, bytes: self.bytes.saturating_sub(bytes) }
    }
}

/// What a launch does to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    /// Where.
    pub place: Place,
    /// Whether it is written, and not read alone.
    pub written: bool,
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
    Zero(Place),
    /// The end of a part of the pass, whose time is taken if somebody measures: everything before it is done.
    Mark(usize),
}

impl Launch {
    /// All places that it reads or writes, but for inputs behind dropout arguments.
    pub fn touches(&self) -> Vec<Touch> {
        let touch = |written| move |place| Touch { place, written };
        match self {
            Self::Kernel { name, arguments, .. } => arguments
                .iter()
                .zip(written(name))
                .filter_map(|(argument, written)| match argument {
                    Argument::Pointer(Some(place)) => Some(Touch { place: *place, written: *written }),
                    _ => None,
                })
                .collect(),
            Self::Product(Product { a, b, out, bias, .. }) => {
                [a.place, b.place].into_iter().chain(*bias).map(touch(false)).chain([out.place].map(touch(true))).collect()
            }
            Self::Zero(place) => vec![touch(true)(*place)],
            Self::Mark(_) => Vec::new(),
        }
    }
}

/// Launches in their order, and the buffers that they use.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is done.
    pub launches: Vec<Launch>,
    /// Which of the launches are the backward pass.
    pub backward: Range<usize>,
    /// Branch and waiting of every launch.
    pub order: Vec<Order>,
    /// Bytes of all buffers together, which share memory where their lifetimes allow it.
    pub bytes: usize,
    /// Every buffer's name and length in bytes.
    buffers: Vec<(&'static str, usize)>,
    offsets: Vec<usize>,
    /// Buffers that live to the end, because somebody will read them.
    kept: HashSet<Memory>,
}

impl Plan {
    /// A new buffer. Launches decide how long it lives.
    pub fn buffer(&mut self, name: &'static str, bytes: usize) -> Place {
        self.buffers.push((name, bytes));
        Place { memory: Memory::Buffer(self.buffers.len() - 1), offset: 0, bytes }
    }

    /// Adds a launch of a kernel.
    pub fn kernel(&mut self, name: &'static str, grid: [usize; 3], threads: usize, arguments: Vec<Argument>) {
        self.launches.push(Launch::Kernel { name, grid, threads, arguments });
    }

    /// Keeps a buffer to the end; false if it was kept already.
    pub fn keep(&mut self, place: Place) -> bool {
        self.kept.insert(place.memory)
    }

    /// When everything is recorded: gives every launch its branch and every buffer its place.
    pub fn complete(&mut self) {
        let beside = branches::beside(&self.launches, self.backward.clone());
        self.allocate(&beside);
        self.order = branches::order(&self.launches, &beside, |place| self.range(place));
    }

    /// In the order of first use, the lowest place where no living buffer lies.
    fn allocate(&mut self, beside: &[bool]) {
        self.offsets = vec![0; self.buffers.len()];
        let mut order: Vec<_> = self.lifetimes(beside).into_iter().map(|(buffer, lifetime)| (lifetime, buffer)).collect();
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

    /// First and last use of every buffer.
    fn lifetimes(&self, beside: &[bool]) -> HashMap<usize, (usize, usize)> {
        let mut lifetimes: HashMap<usize, (usize, usize)> = HashMap::new();
        for (index, (launch, beside)) in self.launches.iter().zip(beside).enumerate() {
            let until = if *beside { index + LAUNCHES_BESIDE } else { index };
            for touch in launch.touches() {
                if let Memory::Buffer(buffer) = touch.place.memory {
                    let (_, last) = lifetimes.entry(buffer).or_insert((index, until));
                    *last = if self.kept.contains(&touch.place.memory) { usize::MAX } else { until.max(*last) };
                }
            }
        }
        lifetimes
    }

    /// Where a place lies in device memory: buffers are offsets in the memory that all of them share.
    pub fn range(&self, place: Place) -> (Memory, Range<usize>) {
        let (memory, first) = match place.memory {
            Memory::Buffer(buffer) => (Memory::Buffer(0), self.offsets.get(buffer).copied().unwrap_or_default()),
            other => (other, 0),
        };
        (memory, first + place.offset..first + place.offset + place.bytes)
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

    /// Panics if two buffers that live at one time share memory, one is not aligned, or a launch goes beyond one.
    pub fn check(&self) {
        let lifetimes = self.lifetimes(&vec![false; self.launches.len()]);
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
        for Touch { place, .. } in self.launches.iter().flat_map(Launch::touches) {
            assert!(place.bytes > 0, "{place:?}");
            if let Memory::Buffer(buffer) = place.memory {
                assert!(place.offset + place.bytes <= self.buffers[buffer].1, "{place:?} {:?}", self.buffers[buffer]);
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
            plan.kernel("activation_forward", [1; 3], 32, vec![one.into(), other.into()]);
        }
        plan.complete();
        plan.check();
        assert_eq!([a, b, c].map(|place| plan.range(place).1.start), [0, 512, 0]);
        assert_eq!(plan.bytes, 1024);
    }
}
