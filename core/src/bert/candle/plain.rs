//! The same backend in candle's elementary operations and with its own gradients: what the custom operations are tested against.

use candle_core::{D, DType, Device, Tensor, Var};

use super::{
    super::{
        Activation, Backend, Batch, Config, Dropout, DropoutKey, Embeddings, Graph, Heads, Inputs, Linear, Loss, MaskedSlots,
        Nonlinearity, Norm, Targets, Weights, fused_shape, initialize,
    },
    Candle,
};
use crate::Result;

struct Plain(DropoutKey);

impl Backend for Plain {
    type Tensor = Tensor;

    fn upload(&self, batch: &Batch) -> Result<Inputs<Tensor>> {
        Candle::default().upload(batch)
    }

    fn upload_indices(&self, indices: &[u32]) -> Result<Tensor> {
        Candle::default().upload_indices(indices)
    }

    fn upload_values(&self, values: &[f32], shape: &[usize]) -> Result<Tensor> {
        Candle::default().upload_values(values, shape)
    }

    fn embed(
        &self,
        inputs: &Inputs<Tensor>,
        tables: &Embeddings<Tensor>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        let word = tables.word.index_select(&inputs.input_ids.flatten_all()?, 0)?;
        let token_type = tables.token_type.index_select(&inputs.token_type_ids.flatten_all()?, 0)?;
        let (rows, width) = word.dims2()?;
        let position = tables.position.narrow(0, 0, inputs.length)?;
        let sum = (word + token_type)?.reshape((inputs.batch, inputs.length, width))?.broadcast_add(&position)?;
        self.dropped(&layer_norm(&sum.reshape((rows, width))?, &tables.norm, epsilon)?, dropout)
    }

    fn linear(&self, x: &Tensor, layer: &Linear<Tensor>, then: Nonlinearity) -> Result<Tensor> {
        nonlinearity(&x.matmul(&layer.weight.t()?)?.broadcast_add(&layer.bias)?, then)
    }

    fn add_norm(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        norm: &Norm<Tensor>,
        epsilon: f64,
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        let x = self.dropped(x, dropout)?;
        let sum = match residual {
            Some(residual) => (residual + x)?,
            None => x,
        };
        layer_norm(&sum, norm, epsilon)
    }

    fn attention(&self, qkv: &Tensor, inputs: &Inputs<Tensor>, heads: usize, dropout: Option<Dropout>) -> Result<Tensor> {
        let [query, key, value] = split_heads(qkv, inputs.batch, inputs.length, heads)?;
        let weights = attention_weights(&query, &key, &inputs.attention_mask)?;
        let context = self.dropped(&weights, dropout)?.matmul(&value)?; // [batch, heads, length, head size]
        Ok(context.transpose(1, 2)?.reshape((inputs.batch * inputs.length, ()))?)
    }

    fn rows(&self, x: &Tensor, indices: &Tensor) -> Result<Tensor> {
        Ok(x.index_select(indices, 0)?)
    }

    fn vocab(&self, x: &Tensor, word: &Tensor, bias: &Tensor) -> Result<Tensor> {
        Ok(x.matmul(&word.t()?)?.broadcast_add(bias)?)
    }

    fn loss(&self, logits: &Tensor, labels: &Tensor, weights: &Tensor) -> Result<Loss<Tensor>> {
        let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
        let normalizer = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
        let nll = (normalizer - shifted.gather(&labels.unsqueeze(1)?, D::Minus1)?)?.squeeze(1)?;
        let correct = logits.detach().argmax(D::Minus1)?.eq(labels)?.to_dtype(DType::F32)?;
        Ok(Loss { nll: (nll * weights)?.sum_all()?, correct: (correct * weights)?.sum_all()? })
    }

    async fn read(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        Candle::default().read(tensor).await
    }
}

impl Plain {
    fn dropped(&self, x: &Tensor, dropout: Option<Dropout>) -> Result<Tensor> {
        let Some(dropout) = dropout else { return Ok(x.clone()) };
        let mut multipliers = vec![0.0; x.elem_count()];
        self.0.multipliers(dropout, 0, &mut multipliers);
        Ok((x * Tensor::from_vec(multipliers, x.shape(), &Device::Cpu)?)?)
    }
}

fn layer_norm(x: &Tensor, norm: &Norm<Tensor>, epsilon: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?;
    Ok(centred.broadcast_div(&deviation)?.broadcast_mul(&norm.weight)?.broadcast_add(&norm.bias)?)
}

fn nonlinearity(x: &Tensor, then: Nonlinearity) -> Result<Tensor> {
    Ok(match then {
        Nonlinearity::Identity => x.clone(),
        Nonlinearity::Tanh => x.tanh()?,
        Nonlinearity::Gelu(Activation::Gelu) => x.gelu_erf()?,
        Nonlinearity::Gelu(Activation::GeluTanh) => x.gelu()?,
    })
}

/// `[rows, 3·hidden]` → query, key and value, `[batch, heads, length, head size]` each.
fn split_heads(qkv: &Tensor, batch: usize, length: usize, heads: usize) -> Result<[Tensor; 3]> {
    let parts = qkv.reshape((batch, length, 3, heads, ()))?;
    let part = |which| -> Result<Tensor> { Ok(parts.narrow(2, which, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous()?) };
    Ok([part(0)?, part(1)?, part(2)?])
}

/// `softmax(Q·Kᵀ/√d − 10000·(1 − mask))`, `[batch, heads, length, length]`.
fn attention_weights(query: &Tensor, key: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let (batch, _, length, head_size) = query.dims4()?;
    let scores = (query.matmul(&key.t()?)? * (1.0 / (head_size as f64).sqrt()))?;
    let padding = mask.affine(10_000.0, -10_000.0)?.reshape((batch, 1, 1, length))?;
    let scores = scores.broadcast_add(&padding)?;
    let exponentials = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
    Ok(exponentials.broadcast_div(&exponentials.sum_keepdim(D::Minus1)?)?)
}

/// A model whose sizes fit no vector and no block, a batch with padding, and dropout.
fn setting(hidden_act: Activation) -> (Config, Batch, MaskedSlots) {
    let config = Config {
        vocab_size: 61,
        hidden_size: 36,
        num_hidden_layers: 2,
        num_attention_heads: 3,
        intermediate_size: 50,
        hidden_act,
        hidden_dropout_prob: 0.2,
        attention_probs_dropout_prob: 0.3,
        max_position_embeddings: 40,
        initializer_range: 0.3,
        ..Config::default()
    };
    let rows = [37_u32, 20, 1].map(|length| {
        let ids: Vec<_> = (0..length).map(|at| 1 + at * at % 60).collect();
        let types: Vec<_> = (0..length).map(|at| u8::from(at > length / 2)).collect();
        (ids, types)
    });
    let batch = Batch::from_rows(rows.iter().map(|(ids, types)| (ids.as_slice(), types.as_slice()))).unwrap();
    let slots = MaskedSlots {
        positions: vec![1, 5, 36, 38, 50, 37],
        ids: vec![7, 60, 0, 7, 3, 0],
        weights: vec![1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        next_sentence: vec![0, 1, 1],
    };
    (config, batch, slots)
}

/// Losses, hits and the gradient of every weight.
fn run<B: Backend<Tensor = Tensor>>(
    backend: &B,
    hidden_act: Activation,
    backward: impl Fn(&B, Tensor, &[Var]) -> Vec<Tensor>,
) -> Vec<Vec<f32>> {
    let (config, batch, slots) = setting(hidden_act);
    let tensors = initialize(&config, 3);
    let mut variables = Vec::new();
    let weights = Weights::build(&config, Heads::ALL, |group| {
        let data: Vec<_> = group.iter().flat_map(|parameter| tensors[&parameter.name].data.clone()).collect();
        // Biases and norms away from 0 and 1, so that they matter.
        let data = data.into_iter().enumerate().map(|(at, value)| value + 0.1 * (at as f32).sin()).collect();
        let variable = Var::from_vec(data, fused_shape(group), &Device::Cpu)?;
        let tensor = variable.as_tensor().clone();
        variables.push(variable);
        Ok(tensor)
    })
    .unwrap();
    let graph = Graph { backend, config: &config, weights: &weights, training: true };
    let targets = Targets::upload(backend, &slots, 5.0, 3.0).unwrap();
    let losses = graph.losses(&backend.upload(&batch).unwrap(), &targets).unwrap();
    let gradients = backward(backend, (&losses.mlm.nll + &losses.nsp.nll).unwrap(), &variables);
    let scalars = [losses.mlm.nll, losses.mlm.correct, losses.nsp.nll, losses.nsp.correct];
    let scalars = scalars.map(|scalar| vec![scalar.to_scalar::<f32>().unwrap()]);
    let gradients = gradients.iter().map(|gradient| gradient.flatten_all().unwrap().to_vec1().unwrap());
    scalars.into_iter().chain(gradients).collect()
}

#[test]
fn custom_operations_give_the_gradients_of_elementary_ones() {
    let key = DropoutKey { seed: 11, step: 3, micro_batch: 2 };
    for hidden_act in [Activation::Gelu, Activation::GeluTanh] {
        let expected = run(&Plain(key), hidden_act, |_, loss, variables| {
            let gradients = loss.backward().unwrap();
            variables.iter().map(|variable| gradients.get(variable).unwrap().clone()).collect()
        });
        let found = run(&Candle::training(key, None), hidden_act, |candle, _, variables| {
            let gradients = candle.backward().unwrap();
            variables.iter().map(|variable| gradients.get(variable).unwrap().clone()).collect()
        });
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let largest = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs())).max(1e-3);
            for (found, expected) in found.iter().zip(expected) {
                // f32 rounding through two layers and back.
                assert!((found - expected).abs() < 2e-5 * largest, "tensor {index}: {found} {expected}");
            }
        }
    }
}
