//! The shape of a BERT, as `config.json` (Hugging Face) and `bert_config.json` (Google) have it.

use serde::{Deserialize, Serialize};

use super::{Classifies, Labels, ProblemType};
use crate::{Error, Result};

/// The feed-forward activation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// x·Φ(x) with the exact error function: what the published Hugging Face model and BioBERT's code use.
    #[default]
    #[serde(rename = "gelu")]
    Gelu,
    /// The tanh approximation: Google's code since 2019-02-07 (google-research/bert bee6030).
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh")]
    GeluTanh,
}

/// The shape of a BERT. Unknown keys of the file are ignored; defaults are BERT-base cased.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Feed-forward activation.
    pub hidden_act: Activation,
    /// Dropout of hidden states.
    pub hidden_dropout_prob: f32,
    /// Dropout of attention weights.
    pub attention_probs_dropout_prob: f32,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Number of segment types.
    pub type_vocab_size: usize,
    /// Standard deviation of new weights.
    pub initializer_range: f64,
    /// LayerNorm's epsilon, inside the square root; 1e-12 in the original.
    pub layer_norm_eps: f64,
    /// What a classifier head says something about; `None` for models that were saved without one.
    #[serde(
        rename = "architectures",
        deserialize_with = "Classifies::read",
        serialize_with = "Classifies::write",
        skip_serializing_if = "Option::is_none"
    )]
    pub classifies: Option<Classifies>,
    /// The classes of that head.
    #[serde(rename = "id2label", skip_serializing_if = "Labels::are_default")]
    pub labels: Labels,
    /// How its numbers become probabilities, if the file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem_type: Option<ProblemType>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vocab_size: 28_996,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            initializer_range: 0.02,
            layer_norm_eps: 1e-12,
            classifies: None,
            labels: Labels::default(),
            problem_type: None,
        }
    }
}

impl Config {
    /// From the bytes of `config.json` or `bert_config.json`.
    ///
    /// # Errors
    /// [`Error::Config`] if it is no JSON object, `model_type` is not `bert`, or [`Config::validate`] fails.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Kind {
            model_type: Option<String>,
        }
        let kind: Kind = serde_json::from_slice(json).map_err(|error| Error::Config(error.to_string()))?;
        if let Some(found) = kind.model_type.filter(|found| found != "bert") {
            return Err(Error::Config(format!("model_type must be bert, found {found}")));
        }
        let config: Self = serde_json::from_slice(json).map_err(|error| Error::Config(error.to_string()))?;
        config.validate()?;
        Ok(config)
    }

    /// Width of one attention head.
    pub const fn head_size(&self) -> usize {
        match self.num_attention_heads {
            0 => 0,
            heads => self.hidden_size / heads,
        }
    }

    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// [`Error::Config`] naming the key, what it must be and what it is.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        for (key, value) in sizes {
            // 2^24 bounds what a damaged file can make us allocate; no BERT comes near it.
            if value == 0 || value > 1 << 24 {
                return Err(Error::Config(format!("{key} must be between 1 and {}, found {value}", 1 << 24)));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::Config(format!(
                "hidden_size {} must be a multiple of num_attention_heads {}",
                self.hidden_size, self.num_attention_heads
            )));
        }
        for (key, value) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::Config(format!("{key} must be in 0..1, found {value}")));
            }
        }
        Ok(())
    }
}
