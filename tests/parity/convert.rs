//! Every stored checkpoint through the real binary: read from each format, written, read back, compared with the original program's
//! tensors and outputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clinicalbert_core::bert::{Activation, Batch, Candle, Config, Model};
use clinicalbert_core::weights::Tensors;
use clinicalbert_tests::reference;
use pollster::block_on;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::bert::{attended, batch, close, json, numbers, row, tensors};

/// A vocabulary of so many entries; the stored models have none.
fn vocabulary(folder: &Path, entries: usize) -> PathBuf {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let text: Vec<String> = special.into_iter().chain((5..entries).map(|entry| format!("Entry{entry}"))).collect();
    let path = folder.join("vocab.txt");
    fs::write(&path, text.join("\n") + "\n").unwrap();
    path
}

#[track_caller]
fn native(arguments: &[&str]) -> String {
    let output = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin("native")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Converts to a Hugging Face folder with `--verify` and reads what was written.
#[track_caller]
fn converted(from: &Path, config: &Path, act: &str, more: &[&str], out: &Path) -> (Config, Tensors) {
    let entries = json(config)["vocab_size"].as_u64().unwrap() as usize;
    let vocab = vocabulary(out.parent().unwrap(), entries);
    let paths = [from, config, &vocab, out].map(|path| path.to_str().unwrap());
    let flags =
        ["convert", "--to", "hf", "--quiet", "--verify", "--hidden-act", act, "--from", paths[0], "--config-file", paths[1]];
    native(&[&flags[..], &["--vocab", paths[2], "--out", paths[3]], more].concat());
    let config = Config::from_json(&fs::read(out.join("config.json")).unwrap()).unwrap();
    (config, tensors(out.join("model.safetensors")))
}

/// All ways to the initial weights of `data/tf-checkpoint`.
const CHECKPOINT: [&str; 7] = [
    "bert_model.ckpt",
    "bert_model.ckpt.data-00000-of-00001",
    "sharded",
    "sharded/bert_model.ckpt.data-00001-of-00003",
    "hf",
    "hf/pytorch_model.bin",
    "hf/pytorch_model_legacy.bin",
];

#[test]
fn every_file_of_the_checkpoint_becomes_the_same_folder_with_the_stored_outputs() {
    let Some(source) = reference("data/tf-checkpoint") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut first: Option<Tensors> = None;
    for (number, from) in CHECKPOINT.into_iter().enumerate() {
        let out = folder.path().join(number.to_string());
        let (config, weights) = converted(&source.join(from), &source.join("bert_config.json"), "gelu", &[], &out);
        let written = fs::read(out.join("model.safetensors")).unwrap();
        assert!(written == fs::read(source.join("hf/model.safetensors")).unwrap(), "{from}: the bytes that transformers writes");
        assert_eq!(first.get_or_insert_with(|| weights.clone()), &weights, "{from}");
        assert_eq!(config.hidden_act, Activation::Gelu);
    }
    for (act, file) in [("gelu", "expected-hf-gelu-erf.safetensors"), ("gelu_new", "expected-hf-gelu-tanh.safetensors")] {
        let out = folder.path().join(act);
        let (config, weights) = converted(&source.join("bert_model.ckpt"), &source.join("bert_config.json"), act, &[], &out);
        let expected = tensors(source.join(file));
        let model = Model::new(Candle::default(), &config, &weights).unwrap();
        let (batch, _) = batch(&json(source.join("batches.json"))[0]);
        for (index, state) in block_on(model.hidden_states(&batch)).unwrap().iter().enumerate() {
            let name = format!("hidden_states_{index}");
            close(&name, &attended(state, &batch), &attended(&expected[&name], &batch));
        }
        let name = "seq_relationship_logits";
        close(name, &block_on(model.nsp_logits(&batch)).unwrap().data, &expected[name].data);
        let everywhere: Vec<_> = (0..(batch.rows * batch.length) as u32).collect();
        let logits = block_on(model.mlm_logits(&batch, &everywhere)).unwrap();
        close("prediction_logits", &attended(&logits, &batch), &attended(&expected["prediction_logits"], &batch));
    }
}

#[test]
fn bundles_through_the_binary_are_the_original_bytes() {
    for (folder, prefix, config) in [
        ("data/tf-checkpoint", "bert_model.ckpt", "bert_config.json"),
        ("data/tf-checkpoint", "model.ckpt-8", "bert_config.json"),
        ("spec/golden", "tf_ckpt/init.ckpt", "tiny_config.json"),
        ("spec/golden", "tf_ckpt/model.ckpt-6", "tiny_config.json"),
    ] {
        let Some(source) = reference(folder) else { return };
        let folder = tempfile::tempdir().unwrap();
        let with_optimizer = prefix.contains('-');
        let more: &[&str] = if with_optimizer { &["--with-optimizer"] } else { &[] };
        let hf = folder.path().join("hf");
        converted(&source.join(prefix), &source.join(config), "gelu", more, &hf);
        let tf = folder.path().join("tf");
        native(
            &[&["convert", "--from", hf.to_str().unwrap(), "--to", "tf", "--out", tf.to_str().unwrap(), "--quiet"], more]
                .concat(),
        );
        let name = if with_optimizer { prefix.rsplit('/').next().unwrap() } else { "bert_model.ckpt" };
        for ending in ["index", "data-00000-of-00001"] {
            let (ours, theirs) = (tf.join(format!("{name}.{ending}")), source.join(format!("{prefix}.{ending}")));
            assert!(fs::read(ours).unwrap() == fs::read(theirs).unwrap(), "{prefix}.{ending}");
        }
        if prefix.ends_with("ckpt-6") {
            let state = |folder: &Path| fs::read_to_string(folder.join("checkpoint")).unwrap();
            assert_eq!(state(&tf), state(&source.join("tf_ckpt")));
        }
    }
}

#[test]
fn golden_models_give_the_stored_outputs_from_every_file() {
    let Some(source) = reference("spec/golden") else { return };
    let golden = json(source.join("hf_golden.json"));
    let (inputs, _) = batch(&json(source.join("tf_golden.json"))["batch0"]);
    let folder = tempfile::tempdir().unwrap();
    let files =
        ["tf_ckpt/init.ckpt", "hf_tiny/model.safetensors", "hf_tiny/pytorch_model.bin", "hf_tiny/pytorch_model_legacy.bin"];
    for (number, from) in files.into_iter().enumerate() {
        let act = if number % 2 == 0 { "gelu" } else { "gelu_new" };
        let out = folder.path().join(number.to_string());
        let (config, weights) = converted(&source.join(from), &source.join("tiny_config.json"), act, &[], &out);
        let expected = &golden[act];
        let model = Model::new(Candle::default(), &config, &weights).unwrap();
        let sequence = block_on(model.last_hidden_state(&inputs)).unwrap();
        let first: Vec<_> = (0..3).flat_map(|position| row(&sequence, 0, position)).copied().collect();
        close(from, &first, &numbers(&expected["sequence_output_row0"]));
        let logits = block_on(model.mlm_logits(&inputs, &[0])).unwrap();
        close(from, &logits.data, &numbers(&expected["prediction_logits_row0_pos0"]));
        close(from, &block_on(model.nsp_logits(&inputs)).unwrap().data, &numbers(&expected["seq_relationship_logits"]));
    }
}

#[test]
fn a_model_from_elsewhere_without_prefix_and_heads_gives_the_stored_outputs() {
    let Some(source) = reference("data/tiny-bert-hf") else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    native(&["convert", "--from", source.to_str().unwrap(), "--to", "hf", "--out", out.to_str().unwrap(), "--quiet", "--verify"]);
    let written = json(out.join("config.json"));
    assert_eq!(written["architectures"][0], "BertModel");
    let config = Config::from_json(&fs::read(out.join("config.json")).unwrap()).unwrap();
    let model = Model::new(Candle::default(), &config, &tensors(out.join("model.safetensors"))).unwrap();
    let input = json(source.join("expected-input.json"));
    let of = |key: &str| numbers(&input[key]);
    let rows = input["input_ids"].as_array().unwrap().len();
    let bytes = |key: &str| of(key).into_iter().map(|value| value as u8).collect::<Vec<_>>();
    let input_ids: Vec<u32> = of("input_ids").into_iter().map(|id| id as u32).collect();
    let length = input_ids.len() / rows;
    let batch =
        Batch { rows, length, input_ids, attention_mask: bytes("attention_mask"), token_type_ids: bytes("token_type_ids") };
    let expected = tensors(source.join("expected.safetensors"));
    for (index, state) in block_on(model.hidden_states(&batch)).unwrap().iter().enumerate() {
        let name = format!("hidden_states_{index}");
        close(&name, &attended(state, &batch), &attended(&expected[&name], &batch));
    }
    for file in ["vocab.txt", "special_tokens_map.json"] {
        let read = |folder: &Path| fs::read_to_string(folder.join(file)).unwrap().trim_end().to_owned();
        match file {
            "vocab.txt" => assert_eq!(read(&out), read(&source)),
            _ => assert_eq!(json(out.join(file)), json(source.join(file))),
        }
    }
}

/// `native inspect` of every stored checkpoint lists every tensor with its type and shape, and the values have the stored hashes.
#[test]
fn inspect_lists_every_stored_tensor() {
    for (path, listing) in [
        ("data/tf-checkpoint/bert_model.ckpt", "data/tf-checkpoint/bert_model.ckpt.variables.json"),
        ("data/tf-checkpoint/sharded", "data/tf-checkpoint/bert_model.ckpt.variables.json"),
        ("data/tf-checkpoint/model.ckpt-8.index", "data/tf-checkpoint/model.ckpt.variables.json"),
        ("data/tf-real-index", "data/tf-real-index/variables.json"),
    ] {
        let Some(listing) = reference(listing) else { return };
        let path = listing.ancestors().nth(3).unwrap().join(path);
        let report: Value = serde_json::from_str(&native(&["inspect", path.to_str().unwrap(), "--json", "--tensors"])).unwrap();
        let expected: BTreeMap<String, Value> = serde_json::from_value(json(listing)).unwrap();
        let found = report["tensors"].as_object().unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{}", path.display());
        for (name, variable) in &expected {
            let shape: Vec<String> = variable["shape"].as_array().unwrap().iter().map(ToString::to_string).collect();
            let dtype = variable["dtype"].as_str().unwrap().replace("float", "f").replace("int", "i");
            let start = format!("{dtype} [{}]", shape.join(" × "));
            assert!(found[name].as_str().unwrap().starts_with(&start), "{name}: {} is not {start}", found[name]);
        }
        assert!(report["missing"].as_array().unwrap().is_empty());
    }
}

/// The slots too: what comes out in our form has the hashes that were stored of TensorFlow's, turned back.
#[test]
fn converted_optimizer_state_has_the_stored_hashes() {
    let Some(source) = reference("data/tf-checkpoint") else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (config, weights) =
        converted(&source.join("model.ckpt-8"), &source.join("bert_config.json"), "gelu", &["--with-optimizer"], &out);
    let optimizer = tensors(out.join("optimizer.safetensors"));
    assert_eq!(json(out.join("state.json"))["step"], 8);
    let stored = json(source.join("model.ckpt.variables.json"));
    let table = clinicalbert_core::bert::parameters(&config);
    assert_eq!((weights.len(), optimizer.len()), (table.len(), 2 * table.len()));
    for parameter in table {
        for slot in ["", "/adam_m", "/adam_v"] {
            let name = format!("{}{slot}", parameter.name);
            let tensor = if slot.is_empty() { &weights[&name] } else { &optimizer[&name] };
            let tensor = if parameter.tf_transposed { tensor.transposed() } else { tensor.clone() };
            let bytes: Vec<u8> = tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect();
            let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(stored[&format!("{}{slot}", parameter.tf_name)]["sha256"], hash, "{name}");
        }
    }
}
