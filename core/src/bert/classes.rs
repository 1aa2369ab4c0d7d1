//! The classes that a fine-tuned model tells apart, as Hugging Face's `config.json` names them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Most classes that are accepted; the coding systems of medicine that a head is trained on have some thousands.
const MAX_CLASSES: usize = 1 << 16;

/// What a classifier head says something about, by the class of transformers in `architectures`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classifies {
    /// Every token: `BertForTokenClassification`.
    Tokens,
    /// A whole text, through the pooler: `BertForSequenceClassification`.
    Texts,
}

impl Classifies {
    /// The class of transformers.
    pub const fn architecture(self) -> &'static str {
        match self {
            Self::Tokens => "BertForTokenClassification",
            Self::Texts => "BertForSequenceClassification",
        }
    }

    /// For [`super::Config`]: from `architectures`, of which the others have no classifier.
    pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let names: Option<Vec<String>> = Deserialize::deserialize(deserializer)?;
        let is = |kind: &Self| names.iter().flatten().any(|name| name == kind.architecture());
        Ok([Self::Tokens, Self::Texts].into_iter().find(is))
    }

    /// For [`super::Config`]: as `architectures`.
    pub(super) fn write<S: Serializer>(kind: &Option<Self>, serializer: S) -> Result<S::Ok, S::Error> {
        kind.map(|kind| [kind.architecture()]).serialize(serializer)
    }
}

/// How a classifier's numbers become probabilities: `problem_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// They do not: each is the answer itself.
    Regression,
    /// One class is right: softmax.
    SingleLabelClassification,
    /// Any number of classes are right: each by its own sigmoid.
    MultiLabelClassification,
}

/// Names of the classes, by number: `id2label`. Two if the file does not say, which is transformers' default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(Vec<String>);

impl Labels {
    /// Names in the order of their numbers.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether these are what transformers takes if a file does not say.
    pub fn are_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self(vec!["LABEL_0".into(), "LABEL_1".into()])
    }
}

impl From<Vec<String>> for Labels {
    fn from(names: Vec<String>) -> Self {
        Self(names)
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().enumerate().map(|(number, name)| (number.to_string(), name)))
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // JSON's keys are text, of which "10" sorts before "2".
        let named: Option<BTreeMap<String, String>> = Deserialize::deserialize(deserializer)?;
        let Some(named) = named else { return Ok(Self::default()) };
        if named.is_empty() || named.len() > MAX_CLASSES {
            return Err(de::Error::custom(format!("id2label must name 1 to {MAX_CLASSES} classes, found {}", named.len())));
        }
        let name = |number: usize| {
            let missing =
                || de::Error::custom(format!("id2label must name classes 0 to {}, {number} is missing", named.len() - 1));
            named.get(&number.to_string()).cloned().ok_or_else(missing)
        };
        Ok(Self((0..named.len()).map(name).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn a_fine_tuned_model_s_configuration_is_read_and_written() {
        let json = r#"{"architectures": ["BertForTokenClassification"], "id2label": {"0": "O", "1": "B-problem", "2": "I-problem",
            "3": "a", "4": "b", "5": "c", "6": "d", "7": "e", "8": "f", "9": "g", "10": "h"}, "problem_type": null}"#;
        let config = Config::from_json(json.as_bytes()).unwrap();
        assert_eq!(config.classifies, Some(Classifies::Tokens));
        assert_eq!(
            (config.labels.names().len(), &*config.labels.names()[1], &*config.labels.names()[10]),
            (11, "B-problem", "h")
        );
        assert_eq!(config.problem_type, None);
        let written = serde_json::to_string(&config).unwrap();
        assert!(written.contains(r#""architectures":["BertForTokenClassification"]"#), "{written}");
        assert_eq!(Config::from_json(written.as_bytes()).unwrap(), config);
    }

    #[test]
    fn pretraining_models_have_no_classifier_and_write_nothing_of_one() {
        let config = Config::from_json(br#"{"architectures": ["BertForPreTraining"]}"#).unwrap();
        assert_eq!((config.classifies, config.labels.names().len()), (None, 2));
        let written = serde_json::to_string(&config).unwrap();
        assert!(!["architectures", "id2label", "problem_type"].iter().any(|key| written.contains(key)), "{written}");
    }

    #[test]
    fn classes_that_are_not_numbered_from_0_are_refused() {
        for labels in [r#"{"1": "O"}"#, r#"{"0": "O", "2": "B"}"#, "{}"] {
            let error = Config::from_json(format!(r#"{{"id2label": {labels}}}"#).as_bytes()).unwrap_err();
            assert!(error.to_string().contains("id2label must name"), "{error}");
        }
    }
}
