//! From the names that files use to BERT's parameters: what is used, what is skipped and why, what is missing.
//!
//! The parameter table drives it: for every parameter the spellings it may have are looked up in the file, and whatever no
//! parameter asked for is skipped with a reason. Spellings differ by
//! - the prefix (`bert.` from a pretraining model, none from `BertModel`, `module.bert.` from a data-parallel one),
//! - `LayerNorm.gamma` / `.beta` in files of 2018 and 2019,
//! - Google's names, whose kernels are `[in, out]`.

use std::collections::{BTreeMap, BTreeSet};

use super::{HostTensor, Listing, Tensors, WeightsFile, show, tensor_error};
use crate::{
    Error, Result,
    bert::{Config, Parameter, Part, parameters},
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
    /// Copies of a parameter under a second name: (name in the file, parameter). [`load`] insists that they are equal.
    pub tied: Vec<(String, String)>,
}

/// Parameters read from a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// By Hugging Face name, in Hugging Face's orientation; all values are finite.
    pub tensors: Tensors,
    /// Where they came from, what was left aside and what is missing.
    pub plan: Plan,
}

/// The optimizer's state beside the parameters, as Google's training writes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slots {
    /// Adam's running mean of gradients (`adam_m`), by parameter.
    pub first: Tensors,
    /// Adam's running mean of squared gradients (`adam_v`), by parameter.
    pub second: Tensors,
    /// Updates done (`global_step`).
    pub step: u64,
}

/// What Google's training appends to a variable's name for its running mean of gradients.
pub const ADAM_FIRST: &str = "/adam_m";
/// The same for its running mean of squared gradients.
pub const ADAM_SECOND: &str = "/adam_v";

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
        for Parameter { name, tf_name, mut shape, tf_transposed, part, .. } in parameters(config) {
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
        };
        let others = missing.count();
        Err(Error::Weights(format!("the {title} is incomplete: {first} and {others} more tensors are missing; {advice}")))
    }
}

impl Loaded {
    /// Whether the file has all of a part.
    pub fn has(&self, part: Part) -> bool {
        self.plan.has(part)
    }
}

/// Reads the parameters of `config` (or of the model that the file implies) from a file of any format, one tensor at a time.
///
/// Missing heads are for the caller to judge ([`Plan::require`]); a missing piece of the encoder is an error here.
///
/// # Errors
/// Those of [`Plan::new`], [`Plan::require`] for the encoder and [`WeightsFile::read`]; [`Error::Tensor`] for a value that is not
/// finite and for a decoder that is not tied to the word embeddings.
pub fn load(file: &dyn WeightsFile, config: Option<&Config>) -> Result<Loaded> {
    let plan = Plan::new(&file.list(), config)?;
    plan.require(Part::Encoder)?;
    let mut tensors = Tensors::new();
    for Used { in_file, parameter, transposed } in &plan.used {
        tensors.insert(parameter.clone(), read(file, in_file, *transposed)?);
    }
    for (copy, parameter) in &plan.tied {
        if tensors.get(parameter) != Some(&file.read(copy)?) {
            let reason = format!("differs from {parameter}; only models whose output matrix is the word embeddings can be used");
            return Err(tensor_error(copy, reason));
        }
    }
    Ok(Loaded { tensors, plan })
}

/// Reads the optimizer's state beside TensorFlow parameters; `None` if there is none.
///
/// # Errors
/// [`Error::Tensor`] if a slot or `global_step` is missing or damaged; those of [`Plan::new`].
pub fn load_slots(file: &dyn WeightsFile, config: Option<&Config>) -> Result<Option<Slots>> {
    let list = file.list();
    let plan = Plan::new(&list, config)?;
    if !list.iter().any(|listing| listing.name.ends_with(ADAM_FIRST)) {
        return Ok(None);
    }
    let step =
        file.global_step()?.ok_or_else(|| tensor_error("global_step", "expected beside the optimizer's slots, not found"))?;
    let mut slots = Slots { step, ..Slots::default() };
    for Used { in_file, parameter, transposed } in &plan.used {
        slots.first.insert(parameter.clone(), read(file, &format!("{in_file}{ADAM_FIRST}"), *transposed)?);
        slots.second.insert(parameter.clone(), read(file, &format!("{in_file}{ADAM_SECOND}"), *transposed)?);
    }
    Ok(Some(slots))
}

fn read(file: &dyn WeightsFile, name: &str, transposed: bool) -> Result<HostTensor> {
    let tensor = file.read(name)?;
    if let Some((index, value)) = tensor.data.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(tensor_error(name, format!("expected finite values, value {index} is {value}; the file is damaged")));
    }
    Ok(if transposed { tensor.transposed() } else { tensor })
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
    } else if name.ends_with("position_ids") {
        "the numbers 0, 1, 2, … as transformers 3 and 4 saved them"
    } else {
        "no parameter of BERT's encoder, pooler or pretraining heads"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Memory(Tensors);

    impl WeightsFile for Memory {
        fn list(&self) -> Vec<Listing> {
            let listing = |(name, tensor): (&String, &HostTensor)| Listing {
                name: name.clone(),
                dtype: super::super::Dtype::F32,
                shape: tensor.shape.clone(),
            };
            self.0.iter().map(listing).collect()
        }

        fn read(&self, name: &str) -> Result<HostTensor> {
            self.0.get(name).cloned().ok_or_else(|| tensor_error(name, "not in the file"))
        }

        fn global_step(&self) -> Result<Option<u64>> {
            Ok(Some(8))
        }
    }

    const PARTS: [Part; 4] = [Part::Encoder, Part::Pooler, Part::MlmHead, Part::NspHead];

    fn config() -> Config {
        Config {
            vocab_size: 7,
            hidden_size: 4,
            num_hidden_layers: 2,
            num_attention_heads: 1,
            intermediate_size: 6,
            max_position_embeddings: 5,
            type_vocab_size: 2,
            ..Config::default()
        }
    }

    /// Every value of every parameter differs from every other.
    fn model() -> Tensors {
        let mut next = 0.0;
        let parameters = parameters(&config()).into_iter().map(|parameter| {
            let values = parameter.shape.iter().product();
            let data = std::iter::repeat_with(|| {
                next += 1.0;
                next
            });
            (parameter.name, HostTensor { data: data.take(values).collect(), shape: parameter.shape })
        });
        parameters.collect()
    }

    fn renamed(rename: impl Fn(&str) -> String) -> Tensors {
        model().into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect()
    }

    fn error(tensors: Tensors) -> String {
        load(&Memory(tensors), Some(&config())).unwrap_err().to_string()
    }

    #[test]
    fn every_spelling_gives_the_same_parameters() {
        let old = |name: &str| name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        let spellings = [
            model(),
            renamed(|name| name.trim_start_matches("bert.").to_owned()),
            renamed(|name| format!("module.{name}")),
            renamed(old),
            renamed(|name| name.replace("cls.predictions.bias", "cls.predictions.decoder.bias")),
        ];
        for (number, spelling) in spellings.into_iter().enumerate() {
            for config in [Some(&config()), None] {
                let loaded = load(&Memory(spelling.clone()), config).unwrap();
                assert_eq!(loaded.tensors, model(), "spelling {number}");
                assert_eq!((loaded.plan.skipped, loaded.plan.missing), (vec![], vec![]));
            }
        }
    }

    #[test]
    fn tensorflow_kernels_are_turned() {
        let mut google = Tensors::new();
        for parameter in parameters(&config()) {
            let tensor = model().remove(&parameter.name).unwrap();
            let tensor = if parameter.tf_transposed { tensor.transposed() } else { tensor };
            for slot in ["adam_m", "adam_v"] {
                google.insert(format!("{}/{slot}", parameter.tf_name), tensor.clone());
            }
            google.insert(parameter.tf_name, tensor);
        }
        google.insert("bert/embeddings/word_embeddings/BERTAdam".into(), HostTensor::default());
        google.insert("beta1_power".into(), HostTensor::default());
        for config in [Some(&config()), None] {
            let loaded = load(&Memory(google.clone()), config).unwrap();
            assert_eq!(loaded.tensors, model());
            assert!(PARTS.into_iter().all(|part| loaded.has(part)));
            assert!(loaded.plan.skipped.iter().all(|(_, reason)| reason == "optimizer state"));
            assert_eq!(loaded.plan.skipped.len(), 2 * model().len() + 2);
            let slots = load_slots(&Memory(google.clone()), config).unwrap().unwrap();
            assert_eq!((slots.first, slots.second, slots.step), (model(), model(), 8));
        }
    }

    #[test]
    fn what_is_no_parameter_is_skipped_with_a_reason() {
        let mut tensors = model();
        let words = tensors["bert.embeddings.word_embeddings.weight"].clone();
        tensors.insert("cls.predictions.decoder.weight".into(), words);
        tensors.insert("bert.embeddings.position_ids".into(), HostTensor::default());
        tensors.insert("classifier.weight".into(), HostTensor::default());
        let plan = load(&Memory(tensors), None).unwrap().plan;
        let reasons: Vec<_> = plan.skipped.iter().map(|(name, reason)| (name.as_str(), reason.as_str())).collect();
        assert_eq!(
            reasons,
            [
                ("bert.embeddings.position_ids", "the numbers 0, 1, 2, … as transformers 3 and 4 saved them"),
                ("classifier.weight", "no parameter of BERT's encoder, pooler or pretraining heads"),
                ("cls.predictions.decoder.weight", "a copy of bert.embeddings.word_embeddings.weight"),
            ]
        );
    }

    #[test]
    fn a_missing_head_is_told_and_a_missing_layer_is_an_error() {
        let mut tensors = model();
        tensors.retain(|name, _| !name.starts_with("cls.predictions") && !name.starts_with("bert.pooler"));
        let loaded = load(&Memory(tensors.clone()), Some(&config())).unwrap();
        let has: Vec<_> = PARTS.into_iter().filter(|part| loaded.has(*part)).collect();
        assert_eq!(has, [Part::Encoder, Part::NspHead]);
        let message = loaded.plan.require(Part::MlmHead).unwrap_err().to_string();
        assert!(message.contains("masked language model head is incomplete") && message.contains("and 4 more"), "{message}");
        tensors.remove("bert.encoder.layer.1.output.dense.bias");
        assert!(error(tensors).contains("bert.encoder.layer.1.output.dense.bias and 0 more tensors are missing"));
    }

    #[test]
    fn damage_is_an_error_that_names_the_tensor() {
        let mut tensors = model();
        tensors.get_mut("bert.pooler.dense.bias").unwrap().data[2] = f32::NAN;
        assert!(error(tensors).contains("tensor bert.pooler.dense.bias: expected finite values, value 2 is NaN"));
        let mut tensors = model();
        tensors.insert("bert.pooler.dense.bias".into(), HostTensor { shape: vec![5], data: vec![0.0; 5] });
        assert!(error(tensors).contains("expected shape [4] by the configuration, found [5]"));
        let mut tensors = model();
        tensors.insert("cls.predictions.decoder.weight".into(), HostTensor { shape: vec![7, 4], data: vec![0.0; 28] });
        assert!(error(tensors).contains("differs from bert.embeddings.word_embeddings.weight"));
        assert!(error(Tensors::from([("x".into(), HostTensor::default())])).contains("no BERT"));
        let layers = Config { num_hidden_layers: 1 << 24, ..config() };
        assert!(load(&Memory(model()), Some(&layers)).unwrap_err().to_string().contains("16777216 layers"));
    }
}
