//! Inference: a pass of the shared graph is recorded, and runs when somebody reads from it.

use std::cell::RefCell;

use anyhow::{Context, Result as Outcome};
use clinicalbert_core::{
    Error, Result,
    bert::{
        Backend, Batch, Config, Dropout, Embeddings, Encoding, Freeze, Inputs, Linear, Load, Loss, Nonlinearity, Norm, Parameter,
        fused_shape,
    },
};

use super::{
    batch_memory::{BatchMemory, BatchShape},
    kernels::{Real, Variant},
    layout::Layout,
    machine::{GpuMachine, Purpose},
    plan::{Memory, Place},
    record::{Recorder, State, Value, vector},
    trainer::{LENGTH_MAX, in_bf16},
};

/// A GPU with a model's weights.
pub struct Inference {
    config: Config,
    layout: Layout,
    real: Real,
    machine: RefCell<GpuMachine>,
    pass: RefCell<Option<Pass>>,
}

/// What has been recorded since the batch was brought.
struct Pass {
    shape: BatchShape,
    state: State,
    inputs: Vec<u8>,
    /// Launches that have run; nothing has if something was recorded, or another tensor is to be kept, since.
    ran: usize,
}

impl Inference {
    /// Opens GPU `number` for a model of this shape.
    ///
    /// # Errors
    /// What is missing and how to get it; no such GPU, or one that is too old or too small.
    pub fn open(number: usize, config: &Config, real: Real) -> Outcome<Self> {
        config.validate()?;
        let variant = Variant { hidden: config.hidden_size, head_size: config.head_size(), real };
        let mut machine = GpuMachine::open(number, variant, Purpose::Inference)?;
        let layout = Layout::new(config, &Freeze::default())?;
        machine.reserve(Memory::Weights, 4 * layout.total)?;
        if real == Real::Bf16 {
            machine.reserve(Memory::Copies, 2 * layout.total)?;
        }
        Ok(Self { config: config.clone(), layout, real, machine: RefCell::new(machine), pass: RefCell::default() })
    }

    fn record<T>(&self, operation: impl FnOnce(&Recorder<'_>) -> Result<T>) -> Result<T> {
        self.with_pass(|pass| {
            let recorder = Recorder {
                config: &self.config,
                layout: &self.layout,
                real: self.real,
                shape: pass.shape,
                memory: BatchMemory::new(pass.shape),
                state: RefCell::new(std::mem::take(&mut pass.state)),
            };
            let result = operation(&recorder);
            pass.state = recorder.state.into_inner();
            result
        })
    }

    fn with_pass<T>(&self, with: impl FnOnce(&mut Pass) -> Result<T>) -> Result<T> {
        with(self.pass.borrow_mut().as_mut().ok_or_else(|| Error::Backend("CUDA: a pass begins with its batch".into()))?)
    }

    /// Hidden states are what is asked for most: they stay, so that several can be read from one pass.
    fn kept(&self, value: Result<Value>) -> Result<Value> {
        let value = value?;
        self.with_pass(|pass| {
            pass.state.plan.keep(value.place);
            Ok(value)
        })
    }

    fn values(&self, pass: &mut Pass, value: &Value) -> Outcome<Vec<f32>> {
        let mut machine = self.machine.borrow_mut();
        let plan = &mut pass.state.plan;
        if plan.keep(value.place) || pass.ran != plan.launches.len() {
            plan.complete();
            machine.run_once(plan, &pass.inputs)?;
            pass.ran = plan.launches.len();
        }
        let read = |place: Place, count: usize, real: Real| -> Outcome<Vec<f32>> {
            let mut bytes = vec![0; count * real.bytes()];
            machine.read_place(plan, place, &mut bytes)?;
            Ok(match real {
                Real::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
                Real::Bf16 => bytes.as_chunks().0.iter().map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32()).collect(),
            })
        };
        // Logits are f32, and their bias is still to be added.
        let Some(bias) = value.bias else { return read(value.place, value.rows * value.width, self.real) };
        let bias = read(bias, value.width, Real::F32)?;
        let logits = read(value.place, value.rows * value.stride, Real::F32)?;
        let rows = logits.chunks(value.stride.max(1));
        Ok(rows.flat_map(|row| row.iter().zip(&bias).map(|(logit, bias)| logit + bias)).collect())
    }
}

impl Pass {
    /// Adds to the inputs.
    fn input(&mut self, bytes: &[u8]) -> Place {
        let place = Place { memory: Memory::Inputs, offset: self.inputs.len(), bytes: bytes.len() };
        self.inputs.extend_from_slice(bytes);
        self.inputs.resize(self.inputs.len().next_multiple_of(16), 0);
        place
    }
}

fn failed(error: anyhow::Error) -> Error {
    Error::Backend(format!("CUDA: {error:#}"))
}

impl Backend for Inference {
    type Tensor = Value;

    fn upload(&self, batch: &Batch) -> Result<Inputs<Value>> {
        if batch.length > LENGTH_MAX {
            return Err(Error::Batch(format!("{} tokens are longer than the GPU's {LENGTH_MAX}", batch.length)));
        }
        let shape = BatchShape { sequences: batch.rows, length: batch.length, slots: 0 };
        // The place of `Step`, which is for dropout, comes first.
        let mut pass = Pass { shape, state: State::default(), inputs: vec![0; BatchMemory::new(shape).step.bytes], ran: 0 };
        pass.input(&[]);
        let rows = shape.rows();
        let inputs = Inputs {
            batch: batch.rows,
            length: batch.length,
            input_ids: vector(pass.input(bytemuck::cast_slice(&batch.input_ids)), rows),
            token_type_ids: vector(pass.input(&batch.token_type_ids), rows),
            attention_mask: vector(pass.input(&batch.attention_mask), rows),
        };
        *self.pass.borrow_mut() = Some(pass);
        Ok(inputs)
    }

    fn upload_indices(&self, indices: &[u32]) -> Result<Value> {
        self.with_pass(|pass| Ok(vector(pass.input(bytemuck::cast_slice(indices)), indices.len())))
    }

    fn upload_values(&self, _: &[f32], _: &[usize]) -> Result<Value> {
        Err(Error::Backend("CUDA: losses are for training".into()))
    }

    fn embed(&self, inputs: &Inputs<Value>, tables: &Embeddings<Value>, epsilon: f64, dropout: Option<Dropout>) -> Result<Value> {
        self.kept(self.record(|recorder| recorder.embed(inputs, tables, epsilon, dropout)))
    }

    fn linear(&self, x: &Value, layer: &Linear<Value>, then: Nonlinearity) -> Result<Value> {
        self.record(|recorder| recorder.linear(x, layer, then))
    }

    fn add_norm(
        &self,
        x: &Value,
        residual: Option<&Value>,
        norm: &Norm<Value>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Value> {
        self.kept(self.record(|recorder| recorder.add_norm(x, residual, norm, epsilon, dropout)))
    }

    fn attention(&self, qkv: &Value, inputs: &Inputs<Value>, heads: usize, dropout: Option<Dropout>) -> Result<Value> {
        self.record(|recorder| recorder.attention(qkv, inputs, heads, dropout))
    }

    fn rows(&self, x: &Value, indices: &Value) -> Result<Value> {
        self.record(|recorder| recorder.rows(x, indices))
    }

    fn vocab(&self, x: &Value, word: &Value, bias: &Value) -> Result<Value> {
        self.record(|recorder| recorder.vocab(x, word, bias))
    }

    fn loss(&self, _: &Value, _: &Value, _: &Value) -> Result<Loss<Value>> {
        Err(Error::Backend("CUDA: losses are for training".into()))
    }

    async fn read(&self, tensor: &Value) -> Result<Vec<f32>> {
        self.with_pass(|pass| self.values(pass, tensor).map_err(failed))
    }
}

/// A weight while its rows arrive.
#[derive(Debug)]
pub struct Partial {
    name: String,
    shape: Vec<usize>,
    encoding: Encoding,
    values: Vec<f32>,
}

impl Load for Inference {
    type Partial = Partial;

    fn begin(&self, group: &[Parameter], encoding: Encoding) -> Result<Partial> {
        let name = group.first().map(|parameter| parameter.name.clone()).unwrap_or_default();
        Ok(Partial { name, shape: fused_shape(group), encoding, values: Vec::new() })
    }

    fn append(&self, partial: &mut Partial, bytes: &[u8]) -> Result<()> {
        let width = partial.shape.last().copied().unwrap_or(1).max(1);
        for row in bytes.chunks(partial.encoding.row_bytes(width)) {
            partial.encoding.decode(row, &mut partial.values);
        }
        Ok(())
    }

    fn finish(&self, Partial { name, shape, values, .. }: Partial) -> Result<Value> {
        let expected = shape.iter().product::<usize>();
        if values.len() != expected {
            return Err(Error::Tensor { name, reason: format!("expected {expected} values, found {}", values.len()) });
        }
        let offset = self.layout.offset(&name).context("the layout is another model's").map_err(failed)?;
        let mut machine = self.machine.borrow_mut();
        machine.write(Memory::Weights, 4 * offset, bytemuck::cast_slice(&values)).map_err(failed)?;
        if self.real == Real::Bf16 {
            machine.write(Memory::Copies, 2 * offset, bytemuck::cast_slice(&in_bf16(&values))).map_err(failed)?;
        }
        let width = shape.last().copied().unwrap_or_default();
        Ok(self.layout.value(offset, expected / width.max(1), width))
    }
}
