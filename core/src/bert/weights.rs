//! The weights as the graph wants them: handles of a machine's tensors, query, key and value fused.

use super::{Config, Embeddings, Heads, Linear, Norm, Parameter, parameters_and_classifier};
use crate::{Error, Result};

/// One encoder layer.
#[derive(Debug, Clone)]
pub struct Layer<T> {
    /// Query, key and value in one projection, `[3·hidden, hidden]`.
    pub qkv: Linear<T>,
    /// After attention.
    pub attention_output: Linear<T>,
    /// After attention and residual.
    pub attention_norm: Norm<T>,
    /// Into the feed-forward block.
    pub intermediate: Linear<T>,
    /// Out of the feed-forward block.
    pub output: Linear<T>,
    /// After feed-forward and residual.
    pub output_norm: Norm<T>,
}

/// The masked language model head. Its output table is the word embeddings.
#[derive(Debug, Clone)]
pub struct MlmHead<T> {
    /// Dense layer before the table.
    pub transform: Linear<T>,
    /// Norm before the table.
    pub norm: Norm<T>,
    /// Bias of every vocabulary entry.
    pub bias: T,
}

/// All weights of a model.
#[derive(Debug, Clone)]
pub struct Weights<T> {
    /// Embedding tables and their norm.
    pub embeddings: Embeddings<T>,
    /// Encoder layers, from the input.
    pub layers: Vec<Layer<T>>,
    /// Dense layer on `[CLS]`.
    pub pooler: Option<Linear<T>>,
    /// Masked language model head.
    pub mlm: Option<MlmHead<T>>,
    /// Next sentence head.
    pub nsp: Option<Linear<T>>,
    /// Classifier of tokens or texts.
    pub classifier: Option<Linear<T>>,
}

impl<T> Weights<T> {
    /// Builds the structure by asking `make` once for every tensor of the graph, in the order of [`parameters_and_classifier`].
    ///
    /// `make` gets the table's entries that the tensor consists of, one below the other: a single one, or three for the fused projection.
    /// Values of a group are consecutive in a flat arena, so there it is a view.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn build(config: &Config, heads: Heads, make: impl FnMut(&[Parameter]) -> Result<T>) -> Result<Self> {
        let table: Vec<_> =
            parameters_and_classifier(config).into_iter().filter(|parameter| heads.include(parameter.part)).collect();
        let mut walk = Walk { left: &table, make };
        Ok(Self {
            embeddings: Embeddings {
                word: walk.next(1)?,
                position: walk.next(1)?,
                token_type: walk.next(1)?,
                norm: walk.norm()?,
            },
            layers: (0..config.num_hidden_layers)
                .map(|_| {
                    Ok(Layer {
                        qkv: Linear { weight: walk.next(3)?, bias: walk.next(3)? },
                        attention_output: walk.linear()?,
                        attention_norm: walk.norm()?,
                        intermediate: walk.linear()?,
                        output: walk.linear()?,
                        output_norm: walk.norm()?,
                    })
                })
                .collect::<Result<_>>()?,
            pooler: heads.pooler.then(|| walk.linear()).transpose()?,
            mlm: heads
                .mlm
                .then(|| Ok::<_, Error>(MlmHead { transform: walk.linear()?, norm: walk.norm()?, bias: walk.next(1)? }))
                .transpose()?,
            nsp: heads.nsp.then(|| walk.linear()).transpose()?,
            classifier: heads.classifier.then(|| walk.linear()).transpose()?,
        })
    }
}

/// Shape of the tensor that consists of these entries, one below the other.
pub fn fused_shape(group: &[Parameter]) -> Vec<usize> {
    let rows = group.iter().filter_map(|parameter| parameter.shape.first()).sum();
    let rest = group.first().into_iter().flat_map(|parameter| parameter.shape.iter().skip(1).copied());
    std::iter::once(rows).chain(rest).collect()
}

struct Walk<'a, M> {
    left: &'a [Parameter],
    make: M,
}

impl<M> Walk<'_, M> {
    fn next<T>(&mut self, count: usize) -> Result<T>
    where
        M: FnMut(&[Parameter]) -> Result<T>,
    {
        let table_ends = || Error::Config("the parameter table is shorter than the graph".into());
        let (group, left) = self.left.split_at_checked(count).ok_or_else(table_ends)?;
        self.left = left;
        (self.make)(group)
    }

    fn linear<T>(&mut self) -> Result<Linear<T>>
    where
        M: FnMut(&[Parameter]) -> Result<T>,
    {
        Ok(Linear { weight: self.next(1)?, bias: self.next(1)? })
    }

    fn norm<T>(&mut self) -> Result<Norm<T>>
    where
        M: FnMut(&[Parameter]) -> Result<T>,
    {
        Ok(Norm { weight: self.next(1)?, bias: self.next(1)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bert::{Classifies, parameters};

    #[test]
    fn every_place_of_the_graph_gets_its_parameters() {
        let config = Config { num_hidden_layers: 2, ..Config::default() };
        let mut made = 0;
        let weights = Weights::build(&config, Heads::ALL, |group| {
            made += group.len();
            Ok((group.iter().map(|row| row.name.clone()).collect::<Vec<_>>().join("+"), fused_shape(group)))
        })
        .unwrap();
        assert_eq!(made, parameters(&config).len());
        let layer = &weights.layers[1];
        let at = "bert.encoder.layer.1.attention";
        assert_eq!(layer.qkv.weight.0, format!("{at}.self.query.weight+{at}.self.key.weight+{at}.self.value.weight"));
        assert_eq!((&layer.qkv.weight.1[..], &layer.qkv.bias.1[..]), (&[2304, 768][..], &[2304][..]));
        assert_eq!(layer.attention_output.weight.0, format!("{at}.output.dense.weight"));
        assert_eq!(layer.attention_norm.bias.0, format!("{at}.output.LayerNorm.bias"));
        assert_eq!(layer.intermediate.bias.0, "bert.encoder.layer.1.intermediate.dense.bias");
        assert_eq!(layer.output.weight.0, "bert.encoder.layer.1.output.dense.weight");
        assert_eq!(layer.output_norm.weight.0, "bert.encoder.layer.1.output.LayerNorm.weight");
        assert_eq!(weights.pooler.unwrap().bias.0, "bert.pooler.dense.bias");
        assert_eq!(weights.mlm.unwrap().bias.0, "cls.predictions.bias");
        assert_eq!(weights.nsp.unwrap().weight.0, "cls.seq_relationship.weight");
        assert_eq!(weights.embeddings.token_type.0, "bert.embeddings.token_type_embeddings.weight");
    }

    #[test]
    fn heads_that_are_left_out_are_not_asked_for() {
        let heads = Heads { pooler: true, nsp: true, ..Heads::NONE };
        let weights = Weights::build(&Config::default(), heads, |group| Ok(group[0].name.clone())).unwrap();
        assert!(weights.mlm.is_none());
        assert_eq!(weights.nsp.unwrap().bias, "cls.seq_relationship.bias");
    }

    #[test]
    fn a_classifier_has_a_row_for_every_class() {
        let labels = ["O", "B-problem", "I-problem"].map(String::from).to_vec().into();
        let config = Config { classifies: Some(Classifies::Tokens), labels, ..Config::default() };
        let heads = Heads { classifier: true, ..Heads::NONE };
        let weights = Weights::build(&config, heads, |group| Ok((group[0].name.clone(), fused_shape(group)))).unwrap();
        let classifier = weights.classifier.unwrap();
        assert_eq!(classifier.weight, ("classifier.weight".into(), vec![3, 768]));
        assert_eq!(classifier.bias, ("classifier.bias".into(), vec![3]));
    }
}
