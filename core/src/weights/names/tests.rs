use super::*;
use crate::bert::{Classifies, parameters};
use crate::weights::{HostTensor, Tensors, WeightsFile, check, load, load_slots, tensor_error};

struct Memory(Tensors);

impl WeightsFile for Memory {
    fn list(&self) -> Vec<Listing> {
        let listing = |(name, tensor): (&String, &HostTensor)| Listing {
            name: name.clone(),
            dtype: crate::weights::Dtype::F32,
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
    tensors.insert("crf.weight".into(), HostTensor::default());
    let plan = load(&Memory(tensors), None).unwrap().plan;
    let reasons: Vec<_> = plan.skipped.iter().map(|(name, reason)| (name.as_str(), reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            ("bert.embeddings.position_ids", "the numbers 0, 1, 2, … as transformers 3 and 4 saved them"),
            ("classifier.weight", "a classifier that config.json says nothing of (architectures, id2label)"),
            ("cls.predictions.decoder.weight", "a copy of bert.embeddings.word_embeddings.weight"),
            ("crf.weight", "no parameter of BERT's encoder, pooler or pretraining heads"),
        ]
    );
}

#[test]
fn a_classifier_that_the_configuration_names_is_used() {
    let mut tensors = model();
    tensors.insert("classifier.weight".into(), HostTensor { shape: vec![2, 4], data: vec![0.5; 8] });
    tensors.insert("classifier.bias".into(), HostTensor { shape: vec![2], data: vec![0.5; 2] });
    let config = Config { classifies: Some(Classifies::Texts), ..config() };
    let loaded = load(&Memory(tensors.clone()), Some(&config)).unwrap();
    assert_eq!((loaded.tensors, loaded.plan.skipped.len()), (tensors.clone(), 0));
    let three = Config { labels: ["a", "b", "c"].map(String::from).to_vec().into(), ..config };
    let error = load(&Memory(tensors), Some(&three)).unwrap_err().to_string();
    assert!(error.contains("classifier.weight") && error.contains("[3, 4]"), "{error}");
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
    let plan = Plan::new(&Memory(tensors.clone()).list(), None).unwrap();
    let checked = check(&Memory(tensors.clone()), &plan).unwrap_err().to_string();
    assert!(checked.contains("tensor bert.pooler.dense.bias: expected finite values, value 2 is NaN"));
    assert_eq!(error(tensors), checked);
    let mut tensors = model();
    tensors.insert("bert.pooler.dense.bias".into(), HostTensor { shape: vec![5], data: vec![0.0; 5] });
    assert!(error(tensors).contains("expected shape [4] by the configuration, found [5]"));
    let mut tensors = model();
    tensors.insert("cls.predictions.decoder.weight".into(), HostTensor { shape: vec![7, 4], data: vec![0.0; 28] });
    let plan = Plan::new(&Memory(tensors.clone()).list(), None).unwrap();
    let checked = check(&Memory(tensors.clone()), &plan).unwrap_err().to_string();
    assert!(checked.contains("differs from bert.embeddings.word_embeddings.weight"));
    assert_eq!(error(tensors), checked);
    assert!(error(Tensors::from([("x".into(), HostTensor::default())])).contains("no BERT"));
    let layers = Config { num_hidden_layers: 1 << 24, ..config() };
    assert!(load(&Memory(model()), Some(&layers)).unwrap_err().to_string().contains("16777216 layers"));
}
