//! Records the shared graph as a plan: every operation of [`Backend`] adds its launches and notes what its backward pass will need.

use std::cell::RefCell;

use clinicalbert_core::{
    Error, Result,
    bert::{
        Activation, Backend, Batch, Config, Dropout, Embeddings, Graph, Inputs, Linear, Loss, Nonlinearity, Norm, Targets,
        Weights,
    },
};

use super::{
    batch_memory::{BatchMemory, BatchShape},
    kernels::Real,
    layout::Layout,
    plan::{Argument, Launch, Matrix, Memory, Place, Plan, Product, Storage},
};

/// Rows of a block, `WARPS` of common.cu, and its threads.
pub const WARPS: usize = 4;
pub const THREADS: usize = 32 * WARPS;
/// Threads of a block of the loss kernel, of the update's, and of those that sum over rows: `SUM_THREADS` of common.cu.
pub const WIDE: usize = 256;
/// Values of a thread of `activation_forward`, and columns of one that sums over rows.
pub const SPAN: usize = 8;
/// Keys for which one word has the bits of dropout, and for which there are words: `TILE` of attention_tiles.cu.
const WORD: usize = 32;
const TILE: usize = 16 * WARPS;
/// Fewest classes that cuBLASLt is asked for; the next sentence head has 2.
const FEW_CLASSES: usize = 8;
/// Offsets in [`Memory::Results`]: four sums of losses and hits, f64; the sum of squares, f64; `Norm` of update.cu.
pub const FIGURES: usize = 0;
/// See [`FIGURES`].
pub const SQUARES: usize = 32;
/// See [`FIGURES`].
pub const NORM: usize = 40;
/// Bytes of the results.
pub const RESULTS: usize = 56;

/// A tensor on the device, `[rows, width]`, its rows `stride` values apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Its first value.
    pub place: Place,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub width: usize,
    /// Values from one row to the next.
    pub stride: usize,
    /// A bias that has still to be added: the loss does that for logits.
    pub bias: Option<Place>,
}

/// What an operation leaves for its backward pass.
#[derive(Debug, Clone)]
pub enum Done {
    /// The sum of embeddings.
    Embed { out: Value, normalized: Place, inverses: Place, tables: Embeddings<Value>, dropout: Option<Dropout> },
    /// `before` is the result before the non-linearity.
    Linear { x: Value, layer: Linear<Value>, out: Value, before: Option<(Place, usize)> },
    /// A head with few classes.
    Classify { x: Value, layer: Linear<Value>, out: Value },
    /// x's place holds the normalized values.
    AddNorm { x: Value, residual: Option<Value>, norm: Norm<Value>, out: Value, inverses: Place, dropout: Option<Dropout> },
    /// All heads. `kept` has a bit for every weight that dropout keeps, if the kernels leave that.
    Attention { qkv: Value, out: Value, divisors: Place, kept: Option<Place>, dropout: Option<Dropout> },
    /// `indices` are sorted by sequence.
    Rows { x: Value, indices: Value, out: Value },
    /// Scores over the vocabulary.
    Vocab { x: Value, word: Value, bias: Value, out: Value },
    /// The gradient of the logits is there already.
    Loss { logits: Value, gradient: Value },
}

/// The plan as far as it is recorded.
#[derive(Debug, Default)]
pub struct State {
    /// Launches and buffers.
    pub plan: Plan,
    /// Operations in their order.
    pub tape: Vec<Done>,
    losses: usize,
}

/// Records one pass.
#[derive(Debug)]
pub struct Recorder<'a> {
    /// Shape of the model.
    pub config: &'a Config,
    /// Where the weights lie.
    pub layout: &'a Layout,
    /// Storage of activations.
    pub real: Real,
    /// Shape of the batch.
    pub shape: BatchShape,
    /// Where the batch lies.
    pub memory: BatchMemory,
    /// Plan and tape.
    pub state: RefCell<State>,
}

impl<'a> Recorder<'a> {
    /// A recorder with nothing recorded.
    pub fn new(config: &'a Config, layout: &'a Layout, real: Real, shape: BatchShape) -> Self {
        Self { config, layout, real, shape, memory: BatchMemory::new(shape), state: RefCell::default() }
    }

    /// Records both losses of pretraining.
    ///
    /// # Errors
    /// None that a whole layout does not exclude.
    pub fn losses(&self, training: bool) -> Result<()> {
        let weights = self.weights()?;
        let memory = &self.memory;
        let (slots, sequences) = (self.shape.sequences * self.shape.slots, self.shape.sequences);
        let targets = Targets {
            positions: vector(memory.positions, slots),
            ids: vector(memory.slot_ids, slots),
            weights: vector(memory.slot_weights, slots),
            next_sentence: vector(memory.labels, sequences),
            next_sentence_weights: vector(memory.label_weights, sequences),
        };
        let inputs = self.upload(&Batch::default())?;
        Graph { backend: self, config: self.config, weights: &weights, training }.losses(&inputs, &targets)?;
        Ok(())
    }

    fn weights(&self) -> Result<Weights<Value>> {
        self.layout.weights(self.config, |offset, shape| {
            let width = shape.last().copied().unwrap_or_default();
            self.layout.value(offset, shape.iter().product::<usize>() / width.max(1), width)
        })
    }

    /// The weight as matrix products read it.
    pub fn stored(&self, weight: Value) -> Place {
        match self.real {
            Real::F32 => weight.place,
            Real::Bf16 => {
                let Place { offset, bytes, .. } = weight.place;
                Place { memory: Memory::Copies, offset: offset / 2, bytes: bytes / 2 }
            }
        }
    }

    /// Names of the attention kernels (forward, backward for queries, backward for keys), and how many queries or keys a block has.
    pub fn attention_kernels(&self) -> ([&'static str; 3], usize) {
        let size = self.config.head_size();
        match self.real == Real::Bf16 && size.is_multiple_of(16) && size <= 128 {
            true => (["attention_tiles_forward", "attention_tiles_backward_queries", "attention_tiles_backward_keys"], TILE),
            false => (["attention_forward", "attention_backward_queries", "attention_backward_keys"], WARPS),
        }
    }

    /// A new tensor of reals.
    pub fn real(&self, name: &'static str, rows: usize, width: usize) -> Value {
        let place = self.buffer(name, rows * width * self.real.bytes());
        Value { place, rows, width, stride: width, bias: None }
    }

    /// A new buffer.
    pub fn buffer(&self, name: &'static str, bytes: usize) -> Place {
        self.state.borrow_mut().plan.buffer(name, bytes)
    }

    /// Launches a kernel.
    pub fn kernel(&self, name: &'static str, grid: [usize; 3], threads: usize, arguments: Vec<Argument>) {
        self.state.borrow_mut().plan.kernel(name, grid, threads, arguments);
    }

    /// Launches a matrix product.
    pub fn product(&self, product: Product) {
        self.state.borrow_mut().plan.launches.push(Launch::Product(product));
    }

    /// Sets bytes to 0.
    pub fn zero(&self, place: Place) {
        self.state.borrow_mut().plan.launches.push(Launch::Zero(place));
    }

    /// The end of part number `part` of the pass.
    pub fn mark(&self, part: usize) {
        self.state.borrow_mut().plan.launches.push(Launch::Mark(part));
    }

    /// Launches so far.
    pub fn launches(&self) -> usize {
        self.state.borrow().plan.launches.len()
    }

    /// A dropout argument.
    pub fn dropout(&self, dropout: Option<Dropout>) -> Argument {
        Argument::Dropout { dropout, step: self.memory.step }
    }

    fn done(&self, done: Done) {
        self.state.borrow_mut().tape.push(done);
    }

    fn epsilon(epsilon: f64) -> Argument {
        Argument::Float(epsilon as f32)
    }
}

/// A vector of indices or numbers.
pub fn vector(place: Place, width: usize) -> Value {
    Value { place, rows: 1, width, stride: width, bias: None }
}

/// Blocks for kernels that have a warp for every row.
pub fn row_blocks(rows: usize) -> [usize; 3] {
    [rows.div_ceil(WARPS), 1, 1]
}

/// Number of an activation's form in activation.cu.
pub fn form(then: Nonlinearity) -> Option<usize> {
    match then {
        Nonlinearity::Identity => None,
        Nonlinearity::Gelu(Activation::Gelu) => Some(0),
        Nonlinearity::Gelu(Activation::GeluTanh) => Some(1),
        Nonlinearity::Tanh => Some(2),
    }
}

/// A matrix as it lies.
pub fn plain(place: Place, stride: usize) -> Matrix {
    Matrix { place, stride, transposed: false }
}

/// A matrix to be taken transposed.
pub fn transposed(place: Place, stride: usize) -> Matrix {
    Matrix { place, stride, transposed: true }
}

impl Backend for Recorder<'_> {
    type Tensor = Value;

    fn upload(&self, _: &Batch) -> Result<Inputs<Value>> {
        let rows = self.shape.rows();
        Ok(Inputs {
            batch: self.shape.sequences,
            length: self.shape.length,
            input_ids: vector(self.memory.ids, rows),
            token_type_ids: vector(self.memory.types, rows),
            attention_mask: vector(self.memory.mask, rows),
        })
    }

    /// The graph asks for the first positions of the sequences and nothing else.
    fn upload_indices(&self, indices: &[u32]) -> Result<Value> {
        let first = indices.iter().enumerate().all(|(sequence, position)| *position as usize == sequence * self.shape.length);
        match first && indices.len() == self.shape.sequences {
            true => Ok(vector(self.memory.first, indices.len())),
            false => Err(Error::Backend("CUDA: only the first positions of sequences are known when a plan is made".into())),
        }
    }

    fn upload_values(&self, _: &[f32], _: &[usize]) -> Result<Value> {
        Err(Error::Backend("CUDA: no numbers are known when a plan is made".into()))
    }

    fn embed(&self, inputs: &Inputs<Value>, tables: &Embeddings<Value>, epsilon: f64, dropout: Option<Dropout>) -> Result<Value> {
        let (rows, hidden) = (self.shape.rows(), self.config.hidden_size);
        let (normalized, out) = (self.real("normalized", rows, hidden), self.real("hidden", rows, hidden));
        let inverses = self.buffer("inverses", 4 * rows);
        let arguments = vec![
            inputs.input_ids.place.into(),
            inputs.token_type_ids.place.into(),
            tables.word.place.into(),
            tables.position.place.into(),
            tables.token_type.place.into(),
            tables.norm.weight.place.into(),
            tables.norm.bias.place.into(),
            normalized.place.into(),
            out.place.into(),
            inverses.into(),
            rows.into(),
            self.shape.length.into(),
            Self::epsilon(epsilon),
            self.dropout(dropout),
        ];
        self.kernel("embed_forward", row_blocks(rows), THREADS, arguments);
        self.done(Done::Embed { out, normalized: normalized.place, inverses, tables: tables.clone(), dropout });
        Ok(out)
    }

    fn linear(&self, x: &Value, layer: &Linear<Value>, then: Nonlinearity) -> Result<Value> {
        let width = layer.weight.rows;
        if width < FEW_CLASSES && then == Nonlinearity::Identity {
            let place = self.buffer("logits", 4 * x.rows * width);
            let out = Value { place, rows: x.rows, width, stride: width, bias: Some(layer.bias.place) };
            let arguments = vec![x.place.into(), layer.weight.place.into(), place.into(), x.rows.into(), width.into()];
            self.kernel("classify_forward", [x.rows.div_ceil(WARPS), width, 1], THREADS, arguments);
            self.done(Done::Classify { x: *x, layer: layer.clone(), out });
            return Ok(out);
        }
        let linear = self.real("linear", x.rows, width);
        self.product(Product {
            m: x.rows,
            n: width,
            k: x.width,
            a: plain(x.place, x.stride),
            b: transposed(self.stored(layer.weight), layer.weight.stride),
            out: plain(linear.place, width),
            storage: Storage::Real,
            bias: Some(self.stored(layer.bias)),
            accumulate: false,
        });
        let (out, before) = match form(then) {
            None => (linear, None),
            Some(form) => {
                let (out, count) = (self.real("activation", x.rows, width), x.rows * width);
                let arguments = vec![linear.place.into(), out.place.into(), Argument::Long(count), form.into()];
                self.kernel("activation_forward", [count.div_ceil(WIDE * SPAN), 1, 1], WIDE, arguments);
                (out, Some((linear.place, form)))
            }
        };
        self.done(Done::Linear { x: *x, layer: layer.clone(), out, before });
        Ok(out)
    }

    fn add_norm(
        &self,
        x: &Value,
        residual: Option<&Value>,
        norm: &Norm<Value>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Value> {
        let (out, inverses) = (self.real("hidden", x.rows, x.width), self.buffer("inverses", 4 * x.rows));
        let arguments = vec![
            x.place.into(),
            Argument::Pointer(residual.map(|residual| residual.place)),
            norm.weight.place.into(),
            norm.bias.place.into(),
            out.place.into(),
            inverses.into(),
            x.rows.into(),
            Self::epsilon(epsilon),
            self.dropout(dropout),
        ];
        self.kernel("norm_forward", row_blocks(x.rows), THREADS, arguments);
        self.done(Done::AddNorm { x: *x, residual: residual.copied(), norm: norm.clone(), out, inverses, dropout });
        Ok(out)
    }

    fn attention(&self, qkv: &Value, inputs: &Inputs<Value>, heads: usize, dropout: Option<Dropout>) -> Result<Value> {
        let out = self.real("context", qkv.rows, qkv.width / 3);
        let divisors = self.buffer("divisors", 4 * qkv.rows * heads);
        let mut arguments = vec![
            qkv.place.into(),
            inputs.attention_mask.place.into(),
            out.place.into(),
            divisors.into(),
            inputs.length.into(),
            self.dropout(dropout),
        ];
        let ([forward, ..], queries) = self.attention_kernels();
        let words = inputs.length.next_multiple_of(TILE) / WORD;
        let kept = (queries == TILE).then(|| self.buffer("kept weights", 4 * qkv.rows * heads * words));
        arguments.extend(kept.map(Argument::from));
        self.kernel(forward, [inputs.length.div_ceil(queries), heads, inputs.batch], THREADS, arguments);
        self.done(Done::Attention { qkv: *qkv, out, divisors, kept, dropout });
        Ok(out)
    }

    fn rows(&self, x: &Value, indices: &Value) -> Result<Value> {
        let out = self.real("rows", indices.width, x.width);
        let arguments = vec![x.place.into(), indices.place.into(), out.place.into(), indices.width.into()];
        self.kernel("rows_gather", row_blocks(indices.width), THREADS, arguments);
        self.done(Done::Rows { x: *x, indices: *indices, out });
        Ok(out)
    }

    fn vocab(&self, x: &Value, word: &Value, bias: &Value) -> Result<Value> {
        let stride = self.layout.padded_vocabulary;
        let place = self.buffer("scores", 4 * x.rows * stride);
        let out = Value { place, rows: x.rows, width: word.rows, stride, bias: Some(bias.place) };
        self.product(Product {
            m: x.rows,
            n: stride,
            k: x.width,
            a: plain(x.place, x.stride),
            b: transposed(self.stored(*word), word.stride),
            out: plain(place, stride),
            storage: Storage::Single,
            bias: None,
            accumulate: false,
        });
        self.done(Done::Vocab { x: *x, word: *word, bias: *bias, out });
        Ok(out)
    }

    /// The gradient is made at the same time: the losses are what backward passes begin with.
    fn loss(&self, logits: &Value, labels: &Value, weights: &Value) -> Result<Loss<Value>> {
        let bias = logits.bias.ok_or_else(|| Error::Backend("CUDA: logits come from a head".into()))?;
        let mut gradient = self.real("score gradients", logits.rows, logits.stride);
        gradient.width = logits.width;
        let figures = self.buffer("figures", 8 * logits.rows);
        let arguments = vec![
            logits.place.into(),
            bias.into(),
            labels.place.into(),
            weights.place.into(),
            gradient.place.into(),
            figures.into(),
            logits.width.into(),
            logits.stride.into(),
        ];
        self.kernel("loss", [logits.rows, 1, 1], WIDE, arguments);
        let number = {
            let mut state = self.state.borrow_mut();
            state.losses += 1;
            state.losses - 1
        };
        let sums = Place { memory: Memory::Results, offset: FIGURES + 16 * number, bytes: 16 };
        self.kernel("loss_sum", [1; 3], WIDE, vec![figures.into(), sums.into(), logits.rows.into()]);
        self.done(Done::Loss { logits: *logits, gradient });
        Ok(Loss { nll: vector(sums, 1), correct: vector(sums.after(8), 1) })
    }

    async fn read(&self, _: &Value) -> Result<Vec<f32>> {
        Err(Error::Backend("CUDA: nothing can be read while a plan is made".into()))
    }
}
