//! Weights files of the original programs: TensorFlow 1.12 and 2.21, torch 1.12 and 2.11, transformers.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clinicalbert_core::{
    bert::{Config, Part},
    weights::{
        Bundle, BundleIndex, CheckpointState, Dtype, HostTensor, Plan, PyTorch, Safetensors, Tensors, WeightsFile, load,
        load_slots, safetensors, write_bundle,
    },
};
use clinicalbert_tests::reference;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// One line of `*.variables.json`.
#[derive(Deserialize)]
struct Variable {
    shape: Vec<usize>,
    dtype: String,
    sha256: Option<String>,
    shard_id: Option<u64>,
    offset: Option<u64>,
    size: Option<u64>,
    crc32c_masked: Option<u32>,
}

fn variables(path: &Path) -> BTreeMap<String, Variable> {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn little_endian(tensor: &HostTensor) -> Vec<u8> {
    tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A checkpoint's index and data files, in memory.
struct Files {
    index: Vec<u8>,
    data: Vec<Vec<u8>>,
}

impl Files {
    fn read(prefix: &Path) -> Self {
        let index = fs::read(format!("{}.index", prefix.display())).unwrap();
        let names = BundleIndex::open(&index).unwrap().data_files(prefix.to_str().unwrap());
        Self { index, data: names.iter().map(|name| fs::read(name).unwrap()).collect() }
    }

    fn open(&self) -> Bundle<'_> {
        Bundle::open(BundleIndex::open(&self.index).unwrap(), self.data.iter().map(Vec::as_slice).collect()).unwrap()
    }
}

fn config(path: PathBuf) -> Config {
    Config::from_json(&fs::read(path).unwrap()).unwrap()
}

/// Every parameter of a Hugging Face file, by whatever reader its name asks for.
fn hugging_face(path: &Path, config: &Config) -> Tensors {
    let bytes = fs::read(path).unwrap();
    let loaded = if path.extension().unwrap() == "safetensors" {
        load(&Safetensors::open(&bytes).unwrap(), Some(config))
    } else {
        load(&PyTorch::open(&bytes).unwrap(), Some(config))
    }
    .unwrap();
    assert_eq!(loaded.plan.missing, [], "{}", path.display());
    for (name, reason) in &loaded.plan.skipped {
        assert!(name.ends_with("position_ids") || name.starts_with("cls.predictions.decoder."), "{name}: {reason}");
    }
    loaded.tensors
}

#[test]
fn every_tensor_of_a_bundle_has_the_stored_hash() {
    let Some(folder) = reference("data/tf-checkpoint") else { return };
    for (prefix, listing, count) in [
        ("bert_model.ckpt", "bert_model.ckpt.variables.json", 46),
        ("sharded/bert_model.ckpt", "bert_model.ckpt.variables.json", 46),
        ("model.ckpt-8", "model.ckpt.variables.json", 139),
    ] {
        let files = Files::read(&folder.join(prefix));
        let bundle = files.open();
        let expected = variables(&folder.join(listing));
        assert_eq!(bundle.list().len(), count, "{prefix}");
        assert_eq!(expected.len(), count);
        for listing in bundle.list() {
            let variable = &expected[&listing.name];
            assert_eq!(listing.shape, variable.shape, "{prefix}: {}", listing.name);
            let hash = variable.sha256.clone().unwrap();
            assert_eq!(sha256(bundle.bytes(&listing.name).unwrap()), hash, "{prefix}: {}", listing.name);
            match variable.dtype.as_str() {
                "float32" => assert_eq!(sha256(&little_endian(&bundle.read(&listing.name).unwrap())), hash),
                other => assert_eq!((other, listing.dtype), ("int64", Dtype::I64)),
            }
        }
    }
    let files = Files::read(&folder.join("model.ckpt-8"));
    assert_eq!(files.open().global_step().unwrap(), Some(8));
}

#[test]
fn the_index_of_a_released_model_is_read_without_its_data() {
    let Some(folder) = reference("data/tf-real-index") else { return };
    let index = BundleIndex::open(&fs::read(folder.join("chinese_L-12_H-768_A-12.ckpt.index")).unwrap()).unwrap();
    let expected = variables(&folder.join("variables.json"));
    assert_eq!(expected.len(), 206);
    assert_eq!(index.entries().len(), 206);
    for (name, entry) in index.entries() {
        let variable = &expected[name];
        assert_eq!((&entry.shape, entry.dtype, variable.dtype.as_str()), (&variable.shape, Dtype::F32, "float32"), "{name}");
        let place = (Some(entry.shard), Some(entry.offset), Some(entry.size), Some(entry.masked_crc32c));
        assert_eq!(place, (variable.shard_id, variable.offset, variable.size, variable.crc32c_masked), "{name}");
    }
    for config in [Some(&config(folder.join("bert_config.json"))), None] {
        let plan = Plan::new(&index.list(), config).unwrap();
        assert_eq!((plan.used.len(), plan.skipped, plan.missing), (206, vec![], vec![]));
    }
}

#[test]
fn tensorflow_pytorch_and_safetensors_files_of_one_model_are_equal() {
    let cases = [
        ("data/tf-checkpoint", "bert_model.ckpt", "hf"),
        ("data/tf-checkpoint", "sharded/bert_model.ckpt", "hf"),
        ("spec/golden", "tf_ckpt/init.ckpt", "hf_tiny"),
    ];
    for (folder, prefix, hf) in cases {
        let Some(folder) = reference(folder) else { return };
        let config = config(folder.join(hf).join("config.json"));
        let files = Files::read(&folder.join(prefix));
        let expected = load(&files.open(), Some(&config)).unwrap();
        assert_eq!(expected.plan.missing, []);
        assert_eq!(expected.tensors.len(), 46);
        for name in ["model.safetensors", "pytorch_model.bin", "pytorch_model_legacy.bin"] {
            assert_eq!(hugging_face(&folder.join(hf).join(name), &config), expected.tensors, "{prefix} and {name}");
        }
    }
}

#[test]
fn a_training_checkpoint_has_its_slots_and_step() {
    for (prefix, config_path, steps) in [
        ("data/tf-checkpoint/model.ckpt-8", "data/tf-checkpoint/bert_config.json", 8),
        ("spec/golden/tf_ckpt/model.ckpt-6", "spec/golden/tiny_config.json", 6),
    ] {
        let (Some(index), Some(config_path)) = (reference(&format!("{prefix}.index")), reference(config_path)) else { return };
        let files = Files::read(&index.with_extension(""));
        let bundle = files.open();
        let config = config(config_path);
        let step = bundle.global_step().unwrap().unwrap();
        assert_eq!(step, steps);
        let loaded = load(&bundle, Some(&config)).unwrap();
        let slots = load_slots(&bundle, Some(&config)).unwrap().unwrap();
        let shapes =
            |tensors: &Tensors| tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect::<Vec<_>>();
        assert_eq!(shapes(&slots.first), shapes(&loaded.tensors));
        assert_eq!(shapes(&slots.second), shapes(&loaded.tensors));
        assert!(slots.second.values().flat_map(|tensor| &tensor.data).all(|value| *value >= 0.0));
        assert_eq!(loaded.plan.skipped.len(), 2 * loaded.tensors.len() + 1);
    }
    let Some(folder) = reference("spec/golden/tf_ckpt") else { return };
    let text = fs::read_to_string(folder.join("checkpoint")).unwrap();
    assert_eq!(CheckpointState::from_text(&text).unwrap().latest, "model.ckpt-6");
    assert_eq!(CheckpointState { latest: "model.ckpt-6".into() }.to_text(), text);
}

#[test]
fn bundles_written_back_are_the_original_bytes() {
    for (prefix, config_path) in [
        ("data/tf-checkpoint/bert_model.ckpt", "data/tf-checkpoint/bert_config.json"),
        ("data/tf-checkpoint/model.ckpt-8", "data/tf-checkpoint/bert_config.json"),
        ("spec/golden/tf_ckpt/init.ckpt", "spec/golden/tiny_config.json"),
        ("spec/golden/tf_ckpt/model.ckpt-6", "spec/golden/tiny_config.json"),
    ] {
        let (Some(index), Some(config_path)) = (reference(&format!("{prefix}.index")), reference(config_path)) else { return };
        let files = Files::read(&index.with_extension(""));
        let bundle = files.open();
        let config = config(config_path);
        let tensors = load(&bundle, Some(&config)).unwrap().tensors;
        let slots = load_slots(&bundle, Some(&config)).unwrap();
        let mut data = Vec::new();
        let index = write_bundle(&config, &tensors, slots.as_ref(), &mut data).unwrap();
        assert!(data == files.data[0], "{prefix}: data differs");
        assert_eq!(index, files.index, "{prefix}: index differs");
    }
}

#[test]
fn safetensors_written_back_hold_the_same_tensors() {
    let Some(folder) = reference("data/tf-checkpoint/hf") else { return };
    let config = config(folder.join("config.json"));
    let original = fs::read(folder.join("model.safetensors")).unwrap();
    let tensors = hugging_face(&folder.join("model.safetensors"), &config);
    let mut bytes = Vec::new();
    safetensors::write(&tensors, &BTreeMap::new(), &mut bytes).unwrap();
    assert!(bytes == original, "the file has the bytes that transformers writes");
}

#[test]
fn a_model_without_prefix_and_pooler_is_read() {
    let Some(folder) = reference("data/tiny-bert-hf") else { return };
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let file = Safetensors::open(&bytes).unwrap();
    assert!(file.list().iter().all(|listing| !listing.name.starts_with("bert.")));
    let loaded = load(&file, Some(&config(folder.join("config.json")))).unwrap();
    assert_eq!(load(&file, None).unwrap().tensors, loaded.tensors);
    let has: Vec<_> =
        [Part::Encoder, Part::Pooler, Part::MlmHead, Part::NspHead].into_iter().filter(|part| loaded.has(*part)).collect();
    assert_eq!(has, [Part::Encoder]);
    assert!(loaded.tensors.keys().all(|name| name.starts_with("bert.")));
    assert_eq!(loaded.plan.used.len() + loaded.plan.skipped.len(), file.list().len());
    let message = loaded.plan.require(Part::MlmHead).unwrap_err().to_string();
    assert!(message.contains("masked language model head"), "{message}");
}

#[test]
fn damaged_files_are_errors_and_never_other_values() {
    let Some(folder) = reference("data/tf-checkpoint") else { return };
    let config = config(folder.join("bert_config.json"));
    let files = Files::read(&folder.join("bert_model.ckpt"));
    let expected = load(&files.open(), Some(&config)).unwrap().tensors;
    let bin = fs::read(folder.join("hf/pytorch_model.bin")).unwrap();
    let legacy = fs::read(folder.join("hf/pytorch_model_legacy.bin")).unwrap();
    let safetensors = fs::read(folder.join("hf/model.safetensors")).unwrap();
    let index = |bytes: &[u8]| {
        let bundle = Bundle::open(BundleIndex::open(bytes)?, files.data.iter().map(Vec::as_slice).collect())?;
        Ok(load(&bundle, Some(&config))?.tensors)
    };
    let torch = |bytes: &[u8]| Ok(load(&PyTorch::open(bytes)?, Some(&config))?.tensors);
    let safe = |bytes: &[u8]| Ok(load(&Safetensors::open(bytes)?, Some(&config))?.tensors);
    type Reader<'a> = &'a dyn Fn(&[u8]) -> clinicalbert_core::Result<Tensors>;
    // Formats with checksums must notice every flipped bit; in the others only the header can be checked.
    for (name, bytes, read, has_checksums) in [
        ("index", &files.index, &index as Reader, true),
        ("zip .bin", &bin, &torch, true),
        ("legacy .bin", &legacy, &torch, false),
        ("safetensors", &safetensors, &safe, false),
    ] {
        for length in (0..bytes.len()).step_by(bytes.len().div_ceil(300)) {
            assert!(read(&bytes[..length]).is_err(), "{name} cut to {length}");
        }
        let mut damaged = bytes.clone();
        for position in (0..bytes.len()).step_by(bytes.len().div_ceil(300)) {
            damaged[position] ^= 0x10;
            match read(&damaged) {
                Ok(tensors) if has_checksums => assert!(tensors == expected, "{name} flipped at {position}"),
                Ok(_) | Err(_) => {}
            }
            damaged[position] ^= 0x10;
        }
    }
}
