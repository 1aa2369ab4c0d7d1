//! From the names that files use to BERT's parameters: what is used, what is skipped and why, what is missing.
//!
//! The parameter table drives it: for every parameter the spellings it may have are looked up in the file, and whatever no
//! parameter asked for is skipped with a reason. Spellings differ by
//! - the prefix (`bert.` from a pretraining model, none from `BertModel`, `module.bert.` from a data-parallel one),
//! - `LayerNorm.gamma` / `.beta` in files of 2018 and 2019,
//! - Google's names, whose kernels are `[in, out]`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Listing, show, tensor_error};
use crate::{
    Error, Result,
    bert::{Config, Parameter, Part, parameters_and_classifier},
};

/// A tensor of the file that becomes a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Its name in the file.
    pub in_file: String,
    /// The parameter's (Hugging Face) name.
    pub parameter: String,
    /// Whether the file keeps it as `[in, out]`.
    pub transposed: bool,
}

/// What would be done with every tensor of a file, found from its listing alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tensors that become parameters, in the order of the parameter table.
    pub used: Vec<Used>,
    /// Tensors that are left aside, with the reason, sorted by name.
    pub skipped: Vec<(String, String)>,
    /// Parameters that the file lacks, and the part each belongs to.
    pub missing: Vec<(String, Part)>,
    /// Copies of a parameter under a second name: (name in the file, parameter). [`super::load`] insists that they are equal.
    pub tied: Vec<(String, String)>,
}

impl Plan {
    /// Matches a listing with the parameters of `config`, or of the model that the listing itself implies.
    ///
    /// # Errors
    /// [`Error::Weights`] if there are no word embeddings, so that this is no BERT; [`Error::Tensor`] if a shape is not the expected one.
    pub fn new(list: &[Listing], config: Option<&Config>) -> Result<Self> {
        let file: BTreeMap<&str, &Listing> = list.iter().map(|listing| (listing.name.as_str(), listing)).collect();
        let prefix = Prefix::find(&file)?;
        let implied;
        let (config, origin) = match config {
            Some(config) => (config, "by the configuration"),
            None => {
                implied = prefix.implied_config(&file);
                (&implied, "by the other tensors")
            }
        };
        // Also keeps a damaged configuration from asking for millions of parameters.
        if config.num_hidden_layers > list.len() {
            return Err(Error::Weights(format!(
                "the configuration has {} layers, the file {} tensors in all; they are not of one model",
                config.num_hidden_layers,
                list.len()
            )));
        }
        let mut plan = Self::default();
        let mut left: BTreeSet<&str> = file.keys().copied().collect();
        for Parameter { name, tf_name, mut shape, tf_transposed, part, .. } in parameters_and_classifier(config) {
            let spellings = prefix.spellings(&name, &tf_name);
            let Some(found) = spellings.iter().find_map(|spelling| file.get(spelling.as_str())) else {
                plan.missing.push((name, part));
                continue;
            };
            let transposed = tf_transposed && prefix.tensorflow;
            if transposed {
                shape.reverse();
            }
            if found.shape != shape {
                let reason = format!("expected shape {shape:?} {origin}, found {}", show(&found.shape));
                return Err(tensor_error(&found.name, reason));
            }
            left.remove(found.name.as_str());
            plan.used.push(Used { in_file: found.name.clone(), parameter: name, transposed });
        }
        for (copy, parameter) in TIED {
            let copy = prefix.spelling(copy);
            if left.contains(copy.as_str()) {
                plan.skipped.push((copy.clone(), format!("a copy of {parameter}")));
                plan.tied.push((copy, parameter.into()));
            }
        }
        left.retain(|name| plan.tied.iter().all(|(copy, _)| copy != name));
        plan.skipped.extend(left.into_iter().map(|name| (name.to_owned(), reason_to_skip(name).to_owned())));
        plan.skipped.sort();
        Ok(plan)
    }

    /// Whether the file has all of a part.
    pub fn has(&self, part: Part) -> bool {
        self.missing.iter().all(|(_, of)| *of != part)
    }

    /// Makes a missing part an error.
    ///
    /// # Errors
    /// [`Error::Weights`] naming the part, its missing parameters and what kind of file has them.
    pub fn require(&self, part: Part) -> Result<()> {
        let mut missing = self.missing.iter().filter(|(_, of)| *of == part).map(|(name, _)| name);
        let Some(first) = missing.next() else { return Ok(()) };
        let heads = "take weights that were saved with their pretraining heads (BertForPreTraining), not the encoder alone";
        let (title, advice) = match part {
            Part::Encoder => ("encoder", "the file is incomplete or of a model with another number of layers"),
            Part::Pooler => ("pooler", "take weights that were saved with it (BertModel, BertForPreTraining)"),
            Part::MlmHead => ("masked language model head", heads),
            Part::NspHead => ("next sentence head", heads),
            Part::Classifier => ("classifier", "take weights that were saved after fine-tuning, with their own config.json"),
        };
        let others = missing.count();
        Err(Error::Weights(format!("the {title} is incomplete: {first} and {others} more tensors are missing; {advice}")))
    }
}

/// Second names under which Hugging Face's files may repeat a parameter.
const TIED: [(&str, &str); 2] = [
    ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
    ("cls.predictions.decoder.bias", "cls.predictions.bias"),
];

const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";
const WORD_EMBEDDINGS_TENSORFLOW: &str = "embeddings/word_embeddings";

/// What stands before the encoder's and the heads' names in this file, and whose names they are.
struct Prefix {
    encoder: String,
    heads: String,
    tensorflow: bool,
}

impl Prefix {
    /// Found from where the word embeddings are: every BERT has them.
    fn find(file: &BTreeMap<&str, &Listing>) -> Result<Self> {
        let of = |ending: &str| file.keys().filter_map(|name| name.strip_suffix(ending)).min_by_key(|prefix| prefix.len());
        let (encoder, bert, tensorflow) = match (of(WORD_EMBEDDINGS), of(WORD_EMBEDDINGS_TENSORFLOW)) {
            (Some(encoder), _) => (encoder, "bert.", false),
            (None, Some(encoder)) => (encoder, "bert/", true),
            (None, None) => {
                let example = file.keys().next().map_or_else(|| "nothing".into(), |name| format!("names such as {name:?}"));
                return Err(Error::Weights(format!(
                    "no BERT: expected a tensor …{WORD_EMBEDDINGS} or …{WORD_EMBEDDINGS_TENSORFLOW}, found {example}"
                )));
            }
        };
        let heads = encoder.strip_suffix(bert).unwrap_or(encoder);
        Ok(Self { encoder: encoder.into(), heads: heads.into(), tensorflow })
    }

    /// A Hugging Face name as this file would have it.
    fn spelling(&self, name: &str) -> String {
        name.strip_prefix("bert.").map_or_else(|| format!("{}{name}", self.heads), |rest| format!("{}{rest}", self.encoder))
    }

    /// The names that this file may have for a parameter, the likeliest first.
    fn spellings(&self, name: &str, tf_name: &str) -> Vec<String> {
        if self.tensorflow {
            let rest = tf_name.strip_prefix("bert/");
            return vec![rest.map_or_else(|| format!("{}{tf_name}", self.heads), |rest| format!("{}{rest}", self.encoder))];
        }
        let mut spellings = vec![self.spelling(name)];
        for (now, once) in [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")] {
            spellings.extend(name.strip_suffix(now).map(|start| self.spelling(&format!("{start}{once}"))));
        }
        spellings.extend(TIED.iter().filter(|(_, original)| name == *original).map(|(copy, _)| self.spelling(copy)));
        spellings
    }

    /// The sizes that the tensors themselves imply. The number of heads is not among them; no shape depends on it.
    fn implied_config(&self, file: &BTreeMap<&str, &Listing>) -> Config {
        let length = |name: &str, tf_name: &str, axis: usize| {
            let spelling = if self.tensorflow { tf_name } else { name };
            file.get(format!("{}{spelling}", self.encoder).as_str()).and_then(|listing| listing.shape.get(axis)).copied()
        };
        let words = |axis| length(WORD_EMBEDDINGS, WORD_EMBEDDINGS_TENSORFLOW, axis).unwrap_or_default();
        let rows = |table: &str| length(&format!("embeddings.{table}.weight"), &format!("embeddings/{table}"), 0);
        let wide = length("encoder.layer.0.intermediate.dense.bias", "encoder/layer_0/intermediate/dense/bias", 0);
        let start = format!("{}{}", self.encoder, if self.tensorflow { "encoder/layer_" } else { "encoder.layer." });
        let layers: BTreeSet<usize> = file
            .keys()
            .filter_map(|name| name.strip_prefix(start.as_str())?.split(['.', '/']).next()?.parse().ok())
            .filter(|layer| *layer < file.len())
            .collect();
        let default = Config::default();
        Config {
            vocab_size: words(0),
            hidden_size: words(1),
            num_hidden_layers: layers.last().map_or(0, |last| last + 1),
            num_attention_heads: 1,
            intermediate_size: wide.unwrap_or(default.intermediate_size),
            max_position_embeddings: rows("position_embeddings").unwrap_or(default.max_position_embeddings),
            type_vocab_size: rows("token_type_embeddings").unwrap_or(default.type_vocab_size),
            ..default
        }
    }
}

/// Why a tensor that no parameter asked for is left aside.
fn reason_to_skip(name: &str) -> &'static str {
    // BioBERT v1 was trained with another Adam, whose slots are called BERTAdam (dmis-lab/biobert issue 2).
    let optimizer = ["adam_m", "adam_v", "AdamWeightDecayOptimizer", "BERTAdam", "_power", "global_step"];
    if optimizer.iter().any(|word| name.contains(word)) {
        "optimizer state"
    } else if name.ends_with("classifier.weight") || name.ends_with("classifier.bias") {
        "a classifier that config.json says nothing of (architectures, id2label)"
    } else if name.ends_with("position_ids") {
        "the numbers 0, 1, 2, … as transformers 3 and 4 saved them"
    } else {
        "no parameter of BERT's encoder, pooler or pretraining heads"
    }
}

#[cfg(test)]
mod tests;
