//! A folder of examples among several, and its share: `DIR` or `DIR=WEIGHT`.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Error, Result, ensure};
use serde::{Deserialize, Serialize};

/// Prepared examples and the weight that they are drawn with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Source {
    /// Prepared folder or TFRecord file.
    pub path: PathBuf,
    /// Share of a batch relative to the other sources; their numbers of examples if none has one.
    pub weight: Option<f64>,
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self { path, weight: None }
    }
}

impl FromStr for Source {
    type Err = Error;

    /// What follows the last `=` is a weight if it is a number, else all of it is a path.
    fn from_str(text: &str) -> Result<Self> {
        match text.rsplit_once('=').and_then(|(path, weight)| Some((path, weight.parse::<f64>().ok()?))) {
            Some((path, weight)) => {
                ensure!(weight.is_finite() && weight > 0.0, "the weight of {path} must be above 0, found {weight}");
                Ok(Self { path: path.into(), weight: Some(weight) })
            }
            None => Ok(Self { path: text.into(), weight: None }),
        }
    }
}

impl TryFrom<String> for Source {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        let path = source.path.to_string_lossy();
        source.weight.map_or_else(|| path.clone().into_owned(), |weight| format!("{path}={weight}"))
    }
}

/// Sources in a file: one string, or a list of them.
pub mod one_or_many {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Source;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }

    /// Writes a single source without a list around it.
    pub fn serialize<S: Serializer>(sources: &[Source], serializer: S) -> Result<S::Ok, S::Error> {
        match sources {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }

    /// Reads either.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Source>, D::Error> {
        let texts = match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        };
        texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_after_the_last_equals_sign_is_a_weight() {
        let source = |text: &str| text.parse::<Source>().unwrap();
        assert_eq!(source("notes/ecg=2.5"), Source { path: "notes/ecg".into(), weight: Some(2.5) });
        assert_eq!(source("runs/lr=low"), Source { path: "runs/lr=low".into(), weight: None });
        assert_eq!(String::from(source("a=b=3")), "a=b=3");
        assert!("a=0".parse::<Source>().unwrap_err().to_string().contains("above 0"));
    }
}
