//! Parts of a model that keep their weights while the rest is trained: `embeddings,layers=0-5`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Config, Parameter, Part};
use crate::{Error, Result};

/// What is frozen: it gets no update, no decay and has no share in the gradient's norm.
///
/// Written as a list with commas: `embeddings` (word, position and type tables and their LayerNorm; the word table is the MLM output's
/// too), `layers=A-B` or `layers=A` (from 0, both ends included), `pooler`, `mlm` (head without the tied table), `nsp`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Freeze(Vec<Frozen>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frozen {
    Embeddings,
    Layers(usize, usize),
    Part(Part),
}

impl Freeze {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `parameter` is.
    pub fn contains(&self, parameter: &Parameter) -> bool {
        let layer = parameter.layer();
        self.0.iter().any(|frozen| match *frozen {
            Frozen::Embeddings => parameter.part == Part::Encoder && layer.is_none(),
            Frozen::Layers(first, last) => layer.is_some_and(|layer| (first..=last).contains(&layer)),
            Frozen::Part(part) => parameter.part == part,
        })
    }

    /// Checks that a model has these layers.
    ///
    /// # Errors
    /// [`Error::Config`] naming the layer that it does not have.
    pub fn check(&self, config: &Config) -> Result<()> {
        let layers = config.num_hidden_layers;
        for frozen in &self.0 {
            if let Frozen::Layers(_, last) = *frozen
                && last >= layers
            {
                let reason =
                    format!("freeze: {frozen} asks for layer {last}, the model has layers 0 to {}", layers.saturating_sub(1));
                return Err(Error::Config(reason));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Embeddings => f.write_str("embeddings"),
            Self::Layers(first, last) if first == last => write!(f, "layers={first}"),
            Self::Layers(first, last) => write!(f, "layers={first}-{last}"),
            Self::Part(Part::Pooler) => f.write_str("pooler"),
            Self::Part(Part::MlmHead) => f.write_str("mlm"),
            Self::Part(Part::NspHead) => f.write_str("nsp"),
            Self::Part(Part::Encoder) => f.write_str("encoder"),
            Self::Part(Part::Classifier) => f.write_str("classifier"),
        }
    }
}

impl FromStr for Frozen {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let layers = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some(Self::Layers(first, last))
        };
        let found = match text {
            "embeddings" => Some(Self::Embeddings),
            "pooler" => Some(Self::Part(Part::Pooler)),
            "mlm" => Some(Self::Part(Part::MlmHead)),
            "nsp" => Some(Self::Part(Part::NspHead)),
            other => other.strip_prefix("layers=").and_then(layers),
        };
        found.ok_or_else(|| {
            Error::Config(format!(
                "freeze: expected embeddings, layers=A-B, pooler, mlm or nsp, with commas between, found {text:?}"
            ))
        })
    }
}

impl FromStr for Freeze {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect::<Result<_>>().map(Self)
    }
}

impl TryFrom<String> for Freeze {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Freeze> for String {
    fn from(freeze: Freeze) -> Self {
        freeze.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bert::parameters;

    fn frozen(text: &str) -> Vec<String> {
        let config = Config { num_hidden_layers: 12, ..Config::default() };
        let freeze: Freeze = text.parse().unwrap();
        parameters(&config).into_iter().filter(|row| freeze.contains(row)).map(|row| row.name).collect()
    }

    #[test]
    fn parts_are_named_as_in_the_table() {
        assert_eq!(frozen("embeddings").len(), 5);
        assert_eq!(frozen("layers=0-5, pooler").len(), 6 * 16 + 2);
        // Layer 1 is not layer 10 or 11.
        assert!(frozen("layers=1").iter().all(|name| name.starts_with("bert.encoder.layer.1.")));
        assert_eq!(frozen("mlm,nsp").len(), 7);
        assert_eq!(frozen("").len(), 0);
    }

    #[test]
    fn what_cannot_be_frozen_is_refused() {
        for text in ["layer=1", "layers=3-1", "layers=x", "everything"] {
            assert!(text.parse::<Freeze>().unwrap_err().to_string().contains("expected embeddings"), "{text}");
        }
        let error = "layers=0-12".parse::<Freeze>().unwrap().check(&Config::default()).unwrap_err().to_string();
        assert!(error.contains("layers=0-12 asks for layer 12, the model has layers 0 to 11"), "{error}");
    }

    #[test]
    fn it_reads_back_as_it_is_written() {
        let text = "embeddings,layers=0-5,layers=7,mlm";
        assert_eq!(String::from(text.parse::<Freeze>().unwrap()), text);
    }
}
