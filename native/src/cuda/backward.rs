//! The backward pass: goes back through what was recorded, writing parameters' gradients into the one flat arena.
//!
//! A gradient that a second operation adds to is added to by the matrix product itself; there is no zeroing and adding.

use std::collections::{HashMap, HashSet};

use clinicalbert_core::{
    Error, Result,
    bert::{Dropout, Linear, Norm, NormRule},
};

use super::{
    layout::CHUNK,
    plan::{Argument, Memory, Place, Product, Storage},
    record::{Done, Recorder, SPAN, SQUARES, THREADS, Value, WARPS, WIDE, plain, row_blocks, transposed},
};

/// Most blocks that share the rows of a LayerNorm's backward pass; each leaves one set of partial sums. As many as an H200 runs at once.
const NORM_BLOCKS: usize = 384;
/// Columns of a block that sums over rows, rows that it takes at a time, and most blocks that share a column.
const COLUMNS: usize = 32 * SPAN;
const WIDE_WARPS: usize = WIDE / 32;
const COLUMN_GROUPS: usize = 64;
/// Most blocks of a sum of squares.
const SQUARE_BLOCKS: usize = 1024;

/// Blocks that sum this many squares.
pub fn square_blocks(values: usize) -> usize {
    values.div_ceil(CHUNK).clamp(1, SQUARE_BLOCKS)
}

/// Blocks that sum over rows.
fn column_blocks(rows: usize, width: usize) -> [usize; 3] {
    [width.div_ceil(COLUMNS), rows.div_ceil(WIDE_WARPS).clamp(1, COLUMN_GROUPS), 1]
}

/// Gradients of what has been computed.
#[derive(Debug, Default)]
struct Gradients {
    /// By the place of the value.
    places: HashMap<Place, Place>,
    /// Gradients of results whose bias has its gradient already, from the LayerNorm that follows.
    summed: HashSet<Place>,
}

/// How parameters' gradients are made.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether they are added to those of the micro-batches before.
    pub accumulate: bool,
    /// Which norm the update will want.
    pub norm_rule: NormRule,
    /// Whether the word table's gradient counts in it.
    pub words_trained: bool,
}

impl Recorder<'_> {
    /// Adds the backward pass of everything recorded so far.
    ///
    /// # Errors
    /// A graph in which something is used in a way that BERT does not use it.
    pub fn backward(&self, options: Options) -> Result<()> {
        let tape = std::mem::take(&mut self.state.borrow_mut().tape);
        let first = self.launches();
        let mut gradients = Gradients::default();
        for (index, done) in tape.iter().enumerate().rev() {
            let before = index.checked_sub(1).and_then(|index| tape.get(index));
            self.back(done, before, &mut gradients, options)?;
        }
        self.state.borrow_mut().plan.backward = first..self.launches();
        Ok(())
    }

    /// Goes back through an operation; `previous` is the one that was recorded before it.
    fn back(&self, done: &Done, previous: Option<&Done>, gradients: &mut Gradients, options: Options) -> Result<()> {
        let of = |value: &Value, gradients: &Gradients| {
            gradients.places.get(&value.place).copied().ok_or_else(|| Error::Backend("CUDA: a result has no gradient".into()))
        };
        match done {
            Done::Loss { logits, gradient } => {
                gradients.places.insert(logits.place, gradient.place);
            }
            Done::Vocab { x, word, bias, out } => {
                let gradient = of(out, gradients)?;
                self.column_sums(Value { place: gradient, ..*out }, *bias, options);
                self.word_gradient(gradient, x, word, out, options);
                let inner = self.real("gradient", x.rows, x.width).place;
                let table = plain(self.stored(*word), word.stride);
                self.times_weight(gradient, out.stride, (x.rows, out.stride), (table, word.width), inner, false);
                gradients.places.insert(x.place, inner);
            }
            Done::Classify { x, layer, out } => {
                let (gradient, classes) = (of(out, gradients)?, out.width);
                self.column_sums(Value { place: gradient, ..*out }, layer.bias, options);
                let weight = gradient_of(layer.weight);
                let arguments =
                    vec![gradient.into(), x.place.into(), weight.into(), x.rows.into(), classes.into(), flag(options.accumulate)];
                self.kernel("classify_backward_weight", row_blocks(classes), THREADS, arguments);
                let inner = self.real("gradient", x.rows, x.width).place;
                let arguments = vec![gradient.into(), layer.weight.place.into(), inner.into(), x.rows.into(), classes.into()];
                self.kernel("classify_backward_rows", row_blocks(x.rows), THREADS, arguments);
                gradients.places.insert(x.place, inner);
            }
            Done::Linear { x, layer, out, before } => {
                let gradient = of(out, gradients)?;
                self.linear_backward(gradient, x, layer, out, *before, gradients, options);
            }
            Done::AddNorm { x, residual, norm, out, inverses, dropout } => {
                let gradient = of(out, gradients)?;
                // Without residual and dropout both gradients are one.
                let two = residual.is_some() || dropout.is_some();
                let dropped = two.then(|| self.real("dropped", x.rows, x.width).place);
                let inner = dropped.unwrap_or(gradient);
                let bias = match previous {
                    Some(Done::Linear { layer, out, before: None, .. }) if out.place == x.place => Some(layer.bias),
                    _ => None,
                };
                self.norm_backward((gradient, dropped), x.place, *inverses, (norm, bias), x.rows, (false, *dropout), options);
                gradients.places.insert(x.place, inner);
                gradients.summed.extend(bias.map(|_| inner));
                if let Some(residual) = residual
                    && gradients.places.insert(residual.place, gradient).is_some()
                {
                    return Err(Error::Backend("CUDA: a residual is used again after its norm".into()));
                }
            }
            Done::Attention { qkv, out, divisors, kept, dropout } => {
                let gradient = of(out, gradients)?;
                let inner = self.real("gradient", qkv.rows, qkv.width).place;
                self.attention_backward(gradient, qkv, out, (*divisors, *kept), inner, *dropout);
                gradients.places.insert(qkv.place, inner);
            }
            Done::Rows { x, indices, out } => {
                let gradient = of(out, gradients)?;
                let known = gradients.places.get(&x.place).copied();
                let inner = known.unwrap_or_else(|| self.real("gradient", x.rows, x.width).place);
                let per_sequence = indices.width / self.shape.sequences.max(1);
                let arguments = vec![
                    gradient.into(),
                    indices.place.into(),
                    inner.into(),
                    self.shape.length.into(),
                    per_sequence.into(),
                    x.rows.into(),
                    flag(known.is_some()),
                ];
                self.kernel("rows_scatter", row_blocks(x.rows), THREADS, arguments);
                gradients.places.insert(x.place, inner);
            }
            Done::Embed { out, normalized, inverses, tables, dropout } => {
                let gradient = of(out, gradients)?;
                let norm = (&tables.norm, None);
                self.norm_backward((gradient, None), *normalized, *inverses, norm, out.rows, (true, *dropout), options);
                self.table_gradients(gradient, [tables.word, tables.position, tables.token_type], options);
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "what the operation had, and its surroundings")]
    fn linear_backward(
        &self,
        gradient: Place,
        x: &Value,
        layer: &Linear<Value>,
        out: &Value,
        before: Option<(Place, usize)>,
        gradients: &mut Gradients,
        options: Options,
    ) {
        let (rows, width) = (x.rows, out.width);
        match before {
            None if gradients.summed.contains(&gradient) => {}
            None => self.column_sums(Value { place: gradient, ..*out }, layer.bias, options),
            Some((before, form)) => {
                let blocks @ [_, groups, _] = column_blocks(rows, width);
                let partial = self.buffer("partial sums", 4 * groups * width);
                let arguments = vec![gradient.into(), before.into(), partial.into(), rows.into(), width.into(), form.into()];
                self.kernel("activation_backward", blocks, WIDE, arguments);
                self.sum_partials(partial, groups, width, layer.bias, options);
            }
        }
        self.weight_gradient(gradient, width, x, layer.weight, options.accumulate, gradient_of(layer.weight));
        let known = gradients.places.get(&x.place).copied();
        let inner = known.unwrap_or_else(|| self.real("gradient", rows, x.width).place);
        let weight = plain(self.stored(layer.weight), layer.weight.stride);
        self.times_weight(gradient, width, (rows, width), (weight, x.width), inner, known.is_some());
        gradients.places.insert(x.place, inner);
    }

    /// `out (+)= gradient · weight`.
    fn times_weight(
        &self,
        gradient: Place,
        stride: usize,
        (m, k): (usize, usize),
        (weight, n): (super::plan::Matrix, usize),
        out: Place,
        accumulate: bool,
    ) {
        let (a, out) = (plain(gradient, stride), plain(out, n));
        self.product(Product { m, n, k, a, b: weight, out, storage: Storage::Real, bias: None, accumulate });
    }

    /// `place (+)= gradientᵀ · x`.
    fn weight_gradient(&self, gradient: Place, outputs: usize, x: &Value, weight: Value, accumulate: bool, place: Place) {
        self.product(Product {
            m: outputs,
            n: x.width,
            k: x.rows,
            a: transposed(gradient, outputs),
            b: plain(x.place, x.stride),
            out: plain(place, weight.stride),
            storage: Storage::Single,
            bias: None,
            accumulate,
        });
    }

    /// The tied table's gradient as an output. The original takes the norm of this part before the looked-up rows are added, for every
    /// micro-batch by itself; see `core/src/bert/clip.rs`.
    fn word_gradient(&self, gradient: Place, x: &Value, word: &Value, out: &Value, options: Options) {
        let table = gradient_of(*word);
        let values = out.stride * word.width;
        let alone = options.norm_rule == NormRule::Original && options.words_trained;
        let place = if alone && options.accumulate { self.buffer("word gradient", 4 * values) } else { table };
        self.weight_gradient(gradient, out.stride, x, *word, options.accumulate && !alone, place);
        if alone {
            self.squares("gradient_squares", vec![place.into(), Argument::Pointer(None)], values);
            if options.accumulate {
                let arguments = vec![place.into(), table.into(), Argument::Long(values)];
                self.kernel("add_values", [values.div_ceil(WIDE), 1, 1], WIDE, arguments);
            }
        }
    }

    fn table_gradients(&self, gradient: Place, [word, position, kind]: [Value; 3], options: Options) {
        let (rows, memory, hidden) = (self.shape.rows(), self.memory, word.width);
        if options.norm_rule == NormRule::Original && options.words_trained {
            self.squares("row_squares", vec![gradient.into()], rows * hidden);
        }
        let partial = self.buffer("segment sums", 4 * rows * hidden);
        let arguments =
            vec![gradient.into(), memory.order.into(), memory.segments.into(), memory.segment_count.into(), partial.into()];
        self.kernel("segment_sums", row_blocks(rows), THREADS, arguments);
        let arguments = vec![
            partial.into(),
            memory.tokens.into(),
            memory.token_segments.into(),
            memory.token_count.into(),
            gradient_of(word).into(),
        ];
        self.kernel("token_sums", row_blocks(rows), THREADS, arguments);
        let length = self.shape.length;
        let arguments = vec![
            gradient.into(),
            gradient_of(position).into(),
            self.shape.sequences.into(),
            length.into(),
            flag(options.accumulate),
        ];
        self.kernel("position_sums", [position.rows, 1, 1], THREADS, arguments);
        let blocks = rows.div_ceil(WARPS).min(NORM_BLOCKS);
        let (types, values) = (kind.rows, kind.rows * hidden);
        let partial = self.buffer("type sums", 4 * blocks * values);
        let arguments = vec![gradient.into(), memory.types.into(), partial.into(), rows.into()];
        self.kernel("type_sums", [blocks, types, 1], THREADS, arguments);
        self.sum_partials(partial, blocks, values, kind, options);
    }

    /// Gradients of a LayerNorm's argument and parameters, and of a bias before it.
    #[allow(clippy::too_many_arguments, reason = "what the operation had, and its surroundings")]
    fn norm_backward(
        &self,
        (gradient, dropped): (Place, Option<Place>),
        normalized: Place,
        inverses: Place,
        (norm, bias): (&Norm<Value>, Option<Value>),
        rows: usize,
        (dropout_is_last, dropout): (bool, Option<Dropout>),
        options: Options,
    ) {
        let (blocks, width) = (rows.div_ceil(WARPS).min(NORM_BLOCKS), norm.weight.width);
        let partial = self.buffer("partial sums", 4 * 3 * blocks * width);
        let arguments = vec![
            gradient.into(),
            Argument::Pointer(dropped),
            normalized.into(),
            inverses.into(),
            norm.weight.place.into(),
            partial.into(),
            rows.into(),
            flag(dropout_is_last),
            self.dropout(dropout),
        ];
        self.kernel("norm_backward", [blocks, 1, 1], THREADS, arguments);
        let [scale, shift] = [norm.weight, norm.bias].map(|parameter| gradient_of(parameter).into());
        let bias = Argument::Pointer(bias.map(gradient_of));
        let arguments = vec![partial.into(), scale, shift, bias, blocks.into(), flag(options.accumulate)];
        self.kernel("norm_sums", [width.div_ceil(32), 3, 1], WIDE, arguments);
    }

    fn attention_backward(
        &self,
        gradient: Place,
        qkv: &Value,
        out: &Value,
        (divisors, kept): (Place, Option<Place>),
        inner: Place,
        dropout: Option<Dropout>,
    ) {
        let (heads, length) = (self.config.num_attention_heads, self.shape.length);
        let alongs = self.buffer("alongs", 4 * qkv.rows * heads);
        let ([_, for_queries, for_keys], queries) = self.attention_kernels();
        let grid = [length.div_ceil(queries), heads, self.shape.sequences];
        // Both kernels have the same parameters; the second alone does not need the result.
        let arguments = |out: Option<Place>| {
            let places = [qkv.place, self.memory.mask].into_iter().chain(out).chain([gradient, divisors, alongs, inner]);
            let rest = [length.into(), self.dropout(dropout)].into_iter().chain(kept.map(Argument::from));
            places.map(Argument::from).chain(rest).collect()
        };
        self.kernel(for_queries, grid, THREADS, arguments(Some(out.place)));
        self.kernel(for_keys, grid, THREADS, arguments(None));
    }

    /// The gradient of a bias: sums over rows.
    fn column_sums(&self, gradient: Value, bias: Value, options: Options) {
        let (rows, width) = (gradient.rows, gradient.width);
        let blocks @ [_, groups, _] = column_blocks(rows, width);
        let partial = self.buffer("partial sums", 4 * groups * width);
        let arguments = vec![gradient.place.into(), partial.into(), rows.into(), width.into(), gradient.stride.into()];
        self.kernel("column_sums", blocks, WIDE, arguments);
        self.sum_partials(partial, groups, width, bias, options);
    }

    /// Sums of `count` rows of sums.
    fn sum_partials(&self, partial: Place, count: usize, width: usize, parameter: Value, options: Options) {
        let out = gradient_of(parameter);
        let arguments = vec![partial.into(), out.into(), count.into(), width.into(), flag(options.accumulate)];
        self.kernel("sum_partials", [width.div_ceil(32), 1, 1], WIDE, arguments);
    }

    /// Adds a sum of squares of so many values to [`SQUARES`]; `arguments` are those of the kernel before their number.
    fn squares(&self, name: &'static str, arguments: Vec<Argument>, values: usize) {
        let blocks = square_blocks(values);
        let partial = self.buffer("squares", 8 * blocks);
        let total = Place { memory: Memory::Results, offset: SQUARES, bytes: 8 };
        let rest = vec![Argument::Long(values), partial.into()];
        self.kernel(name, [blocks, 1, 1], WIDE, [arguments, rest].concat());
        self.kernel("square_total", [1; 3], WIDE, vec![partial.into(), blocks.into(), total.into()]);
    }
}

/// Where a parameter's gradient lies.
fn gradient_of(parameter: Value) -> Place {
    Place { memory: Memory::Gradients, ..parameter.place }
}

fn flag(value: bool) -> Argument {
    Argument::Int(usize::from(value))
}
