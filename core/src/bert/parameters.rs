//! The one table of parameters: every name, shape and rule that files, initialisation, update and graph need.
//!
//! Order matters: the weights of query, key and value follow one another, and so do their biases, so that in one flat arena in table
//! order the fused projection `[3·hidden, hidden]` is a plain view of three entries. [`super::Weights::build`] says which entries
//! are fused; nothing else needs to know.

use serde::{Deserialize, Serialize};

use super::Config;
use crate::{Error, Result, weights::Tensors};

/// What a parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Embeddings and layers.
    Encoder,
    /// Dense layer on `[CLS]`.
    Pooler,
    /// Masked language model head, without the table that is tied to the word embeddings.
    MlmHead,
    /// Next sentence head.
    NspHead,
}

/// How a new parameter starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial {
    /// Truncated normal, standard deviation [`Config::initializer_range`].
    Normal,
    /// 0: biases and LayerNorm's shift.
    Zeros,
    /// 1: LayerNorm's scale.
    Ones,
}

/// One named parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Hugging Face's name, with the `bert.` prefix.
    pub name: String,
    /// Google's variable name.
    pub tf_name: String,
    /// Hugging Face's shape: linear layers are `[out, in]`.
    pub shape: Vec<usize>,
    /// Whether Google's variable is `[in, out]`.
    pub tf_transposed: bool,
    /// Whether weight decay reaches it: not if Google's name contains `LayerNorm`, `layer_norm` or `bias`
    /// (google-research/bert @ eedf571, `optimization.py`; so `output_bias` is left out too).
    pub decayed: bool,
    /// What it belongs to.
    pub part: Part,
    /// How it starts.
    pub initial: Initial,
}

impl Parameter {
    /// Number of values.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it multiplies something: weights of linear layers, and the word table, which scores are made with. The other tables are
    /// only added.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() == 2 && !self.name.contains("position_embeddings") && !self.name.contains("token_type_embeddings")
    }

    /// Number of the layer that it belongs to, if it belongs to one.
    pub fn layer(&self) -> Option<usize> {
        self.name.strip_prefix("bert.encoder.layer.")?.split('.').next()?.parse().ok()
    }
}

/// Which parts a model has beside the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// Dense layer on `[CLS]`.
    pub pooler: bool,
    /// Masked language model.
    pub mlm: bool,
    /// Next sentence prediction; needs the pooler.
    pub nsp: bool,
}

impl Heads {
    /// Everything that pretraining needs.
    pub const ALL: Self = Self { pooler: true, mlm: true, nsp: true };

    /// Whether a part is there.
    pub const fn include(self, part: Part) -> bool {
        match part {
            Part::Encoder => true,
            Part::Pooler => self.pooler,
            Part::MlmHead => self.mlm,
            Part::NspHead => self.nsp,
        }
    }

    /// The heads of which `tensors` has at least one parameter.
    pub fn of(config: &Config, tensors: &Tensors) -> Self {
        let table = parameters(config);
        let any = |part| table.iter().any(|parameter| parameter.part == part && tensors.contains_key(&parameter.name));
        Self { pooler: any(Part::Pooler), mlm: any(Part::MlmHead), nsp: any(Part::NspHead) }
    }
}

/// All parameters of a pretraining model, in the order described at the top of this file.
pub fn parameters(config: &Config) -> Vec<Parameter> {
    let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
    let mut table = Table { rows: Vec::with_capacity(14 + 16 * config.num_hidden_layers), part: Part::Encoder };
    for (table_name, rows) in [
        ("word_embeddings", config.vocab_size),
        ("position_embeddings", config.max_position_embeddings),
        ("token_type_embeddings", config.type_vocab_size),
    ] {
        let (name, tf) = (format!("bert.embeddings.{table_name}.weight"), format!("bert/embeddings/{table_name}"));
        table.push(name, tf, vec![rows, hidden], false, Initial::Normal);
    }
    table.norm("bert.embeddings.LayerNorm", "bert/embeddings/LayerNorm", hidden);
    for layer in 0..config.num_hidden_layers {
        let (hf, tf) = (format!("bert.encoder.layer.{layer}"), format!("bert/encoder/layer_{layer}"));
        let projections = ["query", "key", "value"]
            .map(|which| (format!("{hf}.attention.self.{which}"), format!("{tf}/attention/self/{which}")));
        for (hf, tf) in &projections {
            table.weight(hf, tf, hidden, hidden);
        }
        for (hf, tf) in &projections {
            table.bias(hf, tf, hidden);
        }
        table.dense(&format!("{hf}.attention.output.dense"), &format!("{tf}/attention/output/dense"), hidden, hidden);
        table.norm(&format!("{hf}.attention.output.LayerNorm"), &format!("{tf}/attention/output/LayerNorm"), hidden);
        table.dense(&format!("{hf}.intermediate.dense"), &format!("{tf}/intermediate/dense"), ffn, hidden);
        table.dense(&format!("{hf}.output.dense"), &format!("{tf}/output/dense"), hidden, ffn);
        table.norm(&format!("{hf}.output.LayerNorm"), &format!("{tf}/output/LayerNorm"), hidden);
    }
    table.part = Part::Pooler;
    table.dense("bert.pooler.dense", "bert/pooler/dense", hidden, hidden);
    table.part = Part::MlmHead;
    table.dense("cls.predictions.transform.dense", "cls/predictions/transform/dense", hidden, hidden);
    table.norm("cls.predictions.transform.LayerNorm", "cls/predictions/transform/LayerNorm", hidden);
    table.push(
        "cls.predictions.bias".into(),
        "cls/predictions/output_bias".into(),
        vec![config.vocab_size],
        false,
        Initial::Zeros,
    );
    table.part = Part::NspHead;
    let nsp = ("cls.seq_relationship", "cls/seq_relationship/output");
    table.push(format!("{}.weight", nsp.0), format!("{}_weights", nsp.1), vec![2, hidden], false, Initial::Normal);
    table.push(format!("{}.bias", nsp.0), format!("{}_bias", nsp.1), vec![2], false, Initial::Zeros);
    table.rows
}

/// Checks that `tensors` has every parameter of the encoder and of `heads`, in its shape and finite.
///
/// # Errors
/// [`Error::Tensor`] naming the parameters that are missing, or the first that does not fit.
pub fn check(config: &Config, heads: Heads, tensors: &Tensors) -> Result<()> {
    let wanted: Vec<_> = parameters(config).into_iter().filter(|parameter| heads.include(parameter.part)).collect();
    let missing: Vec<_> =
        wanted.iter().map(|parameter| parameter.name.as_str()).filter(|name| !tensors.contains_key(*name)).collect();
    if let Some(first) = missing.first() {
        let reason = match missing.len() {
            1 => "is missing".to_owned(),
            count => format!("is missing, as are {} more: {}", count - 1, missing.join(", ")),
        };
        return Err(Error::Tensor { name: (*first).to_owned(), reason });
    }
    for (parameter, tensor) in wanted.iter().filter_map(|parameter| Some((parameter, tensors.get(&parameter.name)?))) {
        let reason = if tensor.shape != parameter.shape || tensor.data.len() != parameter.elements() {
            format!(
                "expected shape {:?} ({} values), found {:?} ({})",
                parameter.shape,
                parameter.elements(),
                tensor.shape,
                tensor.data.len()
            )
        } else if !tensor.data.iter().all(|value| value.is_finite()) {
            "holds values that are not finite".to_owned()
        } else {
            continue;
        };
        return Err(Error::Tensor { name: parameter.name.clone(), reason });
    }
    Ok(())
}

struct Table {
    rows: Vec<Parameter>,
    part: Part,
}

impl Table {
    fn push(&mut self, name: String, tf_name: String, shape: Vec<usize>, tf_transposed: bool, initial: Initial) {
        let decayed = !["LayerNorm", "layer_norm", "bias"].iter().any(|excluded| tf_name.contains(excluded));
        self.rows.push(Parameter { name, tf_name, shape, tf_transposed, decayed, part: self.part, initial });
    }

    fn weight(&mut self, hf: &str, tf: &str, outputs: usize, inputs: usize) {
        self.push(format!("{hf}.weight"), format!("{tf}/kernel"), vec![outputs, inputs], true, Initial::Normal);
    }

    fn bias(&mut self, hf: &str, tf: &str, outputs: usize) {
        self.push(format!("{hf}.bias"), format!("{tf}/bias"), vec![outputs], false, Initial::Zeros);
    }

    fn dense(&mut self, hf: &str, tf: &str, outputs: usize, inputs: usize) {
        self.weight(hf, tf, outputs, inputs);
        self.bias(hf, tf, outputs);
    }

    fn norm(&mut self, hf: &str, tf: &str, width: usize) {
        self.push(format!("{hf}.weight"), format!("{tf}/gamma"), vec![width], false, Initial::Ones);
        self.push(format!("{hf}.bias"), format!("{tf}/beta"), vec![width], false, Initial::Zeros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::HostTensor;

    #[test]
    fn bert_base_cased_has_206_tensors_and_108_932_934_parameters() {
        let table = parameters(&Config::default());
        let count = |part| table.iter().filter(|row| row.part == part).map(Parameter::elements).sum::<usize>();
        assert_eq!(table.len(), 206);
        assert_eq!(count(Part::Encoder) + count(Part::Pooler), 108_310_272);
        assert_eq!(count(Part::MlmHead), 621_124);
        assert_eq!(count(Part::NspHead), 1_538);
    }

    #[test]
    fn biases_and_norms_are_not_decayed_and_everything_else_is() {
        for row in parameters(&Config { num_hidden_layers: 1, ..Config::default() }) {
            assert_eq!(row.decayed, row.initial == Initial::Normal, "{}", row.tf_name);
        }
    }

    #[test]
    fn missing_misshapen_and_infinite_tensors_are_named() {
        let config = Config { vocab_size: 3, hidden_size: 2, num_attention_heads: 1, num_hidden_layers: 1, ..Config::default() };
        let mut tensors: Tensors = parameters(&config)
            .into_iter()
            .map(|row| (row.name.clone(), HostTensor { data: vec![0.0; row.elements()], shape: row.shape }))
            .collect();
        assert_eq!(Heads::of(&config, &tensors), Heads::ALL);
        assert!(check(&config, Heads::ALL, &tensors).is_ok());
        tensors.remove("cls.predictions.bias");
        assert!(check(&config, Heads { mlm: false, ..Heads::ALL }, &tensors).is_ok());
        assert_eq!(check(&config, Heads::ALL, &tensors).unwrap_err().to_string(), "tensor cls.predictions.bias: is missing");
        tensors.insert("cls.predictions.bias".into(), HostTensor { shape: vec![2], data: vec![0.0; 2] });
        let message = check(&config, Heads::ALL, &tensors).unwrap_err().to_string();
        assert!(message.contains("expected shape [3]"), "{message}");
        tensors.insert("cls.predictions.bias".into(), HostTensor { shape: vec![3], data: vec![0.0, f32::NAN, 0.0] });
        assert!(check(&config, Heads::ALL, &tensors).unwrap_err().to_string().contains("not finite"));
    }
}
