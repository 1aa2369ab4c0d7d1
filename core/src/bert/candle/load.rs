//! Weights on candle: `f32` whatever they were stored in, which makes it the reference for machines that compute with fewer bits.

use candle_core::{Device, Tensor};

use super::Candle;
use crate::{
    Error, Result,
    bert::{Encoding, Load, Parameter, fused_shape},
};

/// Values so far.
#[derive(Debug)]
pub struct Partial {
    name: String,
    shape: Vec<usize>,
    encoding: Encoding,
    values: Vec<f32>,
}

impl Load for Candle {
    type Partial = Partial;

    fn begin(&self, group: &[Parameter], encoding: Encoding) -> Result<Partial> {
        let shape = fused_shape(group);
        let name = group.first().map(|parameter| parameter.name.clone()).unwrap_or_default();
        Ok(Partial { name, values: Vec::with_capacity(shape.iter().product()), shape, encoding })
    }

    fn append(&self, partial: &mut Partial, bytes: &[u8]) -> Result<()> {
        let width = partial.shape.last().copied().unwrap_or(1).max(1);
        for row in bytes.chunks(partial.encoding.row_bytes(width)) {
            partial.encoding.decode(row, &mut partial.values);
        }
        Ok(())
    }

    fn finish(&self, Partial { name, shape, values, .. }: Partial) -> Result<Tensor> {
        let expected = shape.iter().product::<usize>();
        if values.len() != expected {
            return Err(Error::Tensor { name, reason: format!("expected {expected} values, found {}", values.len()) });
        }
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bert::{Config, Heads, initialize, lay_down};

    #[test]
    fn weights_arrive_whole_in_every_encoding_and_only_matrices_are_rounded() {
        let config = Config { vocab_size: 13, hidden_size: 8, num_hidden_layers: 1, intermediate_size: 12, ..Config::default() };
        let tensors = initialize(&config, 1);
        let laid = |encoding| lay_down(&Candle::default(), &config, Heads::ALL, &tensors, encoding).unwrap();
        let exact = laid(Encoding::F32);
        let query = &tensors["bert.encoder.layer.0.attention.self.query.weight"];
        let qkv = Candle::host(&exact.layers[0].qkv.weight).unwrap();
        assert_eq!((&qkv.shape[..], &qkv.data[..64]), (&[24, 8][..], &query.data[..]));
        for (encoding, error) in [(Encoding::F16, 2e-5), (Encoding::Int8, 2e-4)] {
            let rounded = laid(encoding);
            let apart = |a: &Tensor, b: &Tensor| {
                let (a, b) = (Candle::host(a).unwrap(), Candle::host(b).unwrap());
                a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
            };
            let matrix = apart(&exact.layers[0].output.weight, &rounded.layers[0].output.weight);
            assert!(matrix > 0.0 && matrix < error, "{encoding:?} {matrix}");
            assert_eq!(apart(&exact.embeddings.position, &rounded.embeddings.position), 0.0);
            assert_eq!(apart(&exact.layers[0].qkv.bias, &rounded.layers[0].qkv.bias), 0.0);
        }
    }

    #[test]
    fn a_weight_of_which_rows_are_missing_is_named() {
        let config = Config::default();
        let group = &crate::bert::parameters(&config)[3..4];
        let mut partial = Candle::default().begin(group, Encoding::F32).unwrap();
        Candle::default().append(&mut partial, &[0; 8]).unwrap();
        let message = Candle::default().finish(partial).unwrap_err().to_string();
        assert!(message.contains("embeddings.LayerNorm.weight") && message.contains("expected 768 values, found 2"), "{message}");
    }
}
