//! `native convert`, and every command with a model in another format than ours.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::train::{prepared, train};
use super::{error, native, run};

/// A trained model in `run`, its last checkpoint as a TensorFlow training checkpoint in `tf`.
fn converted() -> tempfile::TempDir {
    let folder = prepared();
    train(folder.path(), "run", &["--steps", "20"]);
    convert(folder.path(), "run/checkpoints/step-000000020", "tf", "tf", &["--with-optimizer"]);
    folder
}

fn convert(folder: &Path, from: &str, to: &str, out: &str, more: &[&str]) -> String {
    let output = run(folder, &[&["convert", "--from", from, "--to", to, "--out", out], more].concat());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_training_checkpoint_goes_to_tensorflow_and_back_without_a_changed_bit() {
    let folder = converted();
    let at = |path: &str| fs::read(folder.path().join(path)).unwrap();
    assert_eq!(at("tf/checkpoint"), b"model_checkpoint_path: \"model.ckpt-20\"\nall_model_checkpoint_paths: \"model.ckpt-20\"\n");
    convert(folder.path(), "tf", "hf", "back", &["--with-optimizer"]);
    for file in
        ["model.safetensors", "optimizer.safetensors", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "config.json"]
    {
        assert!(at(&format!("back/{file}")) == at(&format!("run/checkpoints/step-000000020/{file}")), "{file}");
    }
    convert(folder.path(), "back", "tf", "again", &["--with-optimizer"]);
    for file in ["model.ckpt-20.index", "model.ckpt-20.data-00000-of-00001", "bert_config.json", "vocab.txt", "checkpoint"] {
        assert!(at(&format!("again/{file}")) == at(&format!("tf/{file}")), "{file}");
    }
    let weights = convert(folder.path(), "tf", "tf", "weights", &[]);
    assert_eq!(weights, "");
    let size = |path: &str| fs::metadata(folder.path().join(path)).unwrap().len();
    let (all, parameters) = (size("tf/model.ckpt-20.data-00000-of-00001"), size("weights/bert_model.ckpt.data-00000-of-00001"));
    assert_eq!(all, 3 * parameters + 8, "both slots are as large as the weights, the step has eight bytes");
}

#[test]
fn verification_runs_both_sides_and_prints_every_output() {
    let folder = converted();
    let told = convert(folder.path(), "run/model", "tf", "a", &["--verify"]);
    for output in ["hidden state 0", "hidden state 2", "MLM scores", "NSP scores"] {
        assert!(told.lines().any(|line| line.starts_with(output) && line.contains("max-abs 0.0e0")), "{output}: {told}");
    }
    let json = convert(folder.path(), "tf", "hf", "b", &["--verify", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["equal"], json["differences"].as_array().unwrap().len()), (&true.into(), 5));
}

#[test]
fn the_card_tells_where_a_model_came_from() {
    let folder = converted();
    convert(folder.path(), "run/model", "tf", "a", &[]);
    convert(folder.path(), "a", "hf", "b", &["--hidden-act", "gelu_new"]);
    let card = fs::read_to_string(folder.path().join("b/README.md")).unwrap();
    assert!(card.starts_with("---\n") && card.contains("## Lineage"), "the first card is kept: {card}");
    assert_eq!(card.matches("## Conversion").count(), 2, "{card}");
    assert!(card.contains("| `model.safetensors` |") && card.contains("| `bert_model.ckpt.data-00000-of-00001` |"));
    assert!(fs::read_to_string(folder.path().join("b/config.json")).unwrap().contains("\"hidden_act\": \"gelu_new\""));
}

#[test]
fn the_folder_for_sentence_transformers_says_how_vectors_are_pooled() {
    let folder = converted();
    convert(folder.path(), "run/model", "hf", "st", &["--sentence-transformers", "--pooling", "cls"]);
    let json = |file: &str| -> Value { serde_json::from_slice(&fs::read(folder.path().join("st").join(file)).unwrap()).unwrap() };
    assert_eq!(json("modules.json")[1]["path"], "1_Pooling");
    let pooling = json("1_Pooling/config.json");
    assert_eq!((&pooling["pooling_mode_cls_token"], &pooling["pooling_mode_mean_tokens"]), (&true.into(), &false.into()));
    assert_eq!(pooling["word_embedding_dimension"], 16);
    assert_eq!(json("sentence_bert_config.json")["max_seq_length"], 32);
}

#[test]
fn onnx_folders_are_laid_out_for_transformers_js() {
    let folder = converted();
    for (task, class) in [("fill-mask", "BertForMaskedLM"), ("feature-extraction", "BertModel")] {
        convert(folder.path(), "run/model", "onnx", task, &["--task", task]);
        let out = folder.path().join(task);
        let config: Value = serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
        assert_eq!(config["architectures"][0], class);
        assert!(out.join("tokenizer.json").is_file() && out.join("tokenizer_config.json").is_file());
        assert!(fs::metadata(out.join("onnx/model.onnx")).unwrap().len() > 10_000);
        assert!(!out.join("model.safetensors").exists());
    }
    let told = error(folder.path(), &["convert", "--from", "run/model", "--to", "onnx", "--out", "x", "--verify"]);
    assert!(told.contains("cannot run ONNX"), "{told}");
}

#[test]
fn every_command_takes_a_tensorflow_checkpoint_by_any_of_its_names() {
    let folder = converted();
    let vectors = |model: &str| run(folder.path(), &["embed", "--model", model, "--text", "chest pain", "--quiet"]).stdout;
    let expected = vectors("run/model");
    for model in ["tf", "tf/model.ckpt-20", "tf/model.ckpt-20.index", "tf/model.ckpt-20.data-00000-of-00001", "tf/vocab.txt"] {
        assert_eq!(vectors(model), expected, "{model}");
    }
    let scores = |model: &str| run(folder.path(), &["fill-mask", "--model", model, "--text", "a [MASK]", "--json"]).stdout;
    assert_eq!(scores("tf"), scores("run/model"));
    let figures = |model: &str| run(folder.path(), &["eval", "--model", model, "--data", "data/holdout"]).stdout;
    assert_eq!(figures("tf"), figures("run/checkpoints/step-000000020"), "global_step too");
    train(folder.path(), "one", &["--init", "run/model", "--steps", "3"]);
    train(folder.path(), "other", &["--init", "tf/model.ckpt-20", "--steps", "3"]);
    let model = |run: &str| fs::read(folder.path().join(run).join("model/model.safetensors")).unwrap();
    assert!(model("one") == model("other"));
}

#[test]
fn inspect_tells_what_would_become_of_every_tensor() {
    let folder = converted();
    let json = |path: &str| -> Value {
        serde_json::from_slice(&run(folder.path(), &["inspect", path, "--json", "--tensors"]).stdout).unwrap()
    };
    let report = json("tf");
    assert_eq!((&report["format"], &report["global_step"]), (&"TensorFlow checkpoint".into(), &20.into()));
    for use_of_it in ["embed", "fill-mask", "eval", "train --init", "convert --with-optimizer"] {
        assert_eq!(report["can"][use_of_it], "yes", "{use_of_it}");
    }
    let tensors = &report["tensors"];
    assert_eq!(tensors["bert/pooler/dense/kernel"], "f32 [16 × 16], becomes bert.pooler.dense.weight, transposed");
    assert_eq!(tensors["bert/pooler/dense/kernel/adam_m"], "f32 [16 × 16], skipped: optimizer state");
    fs::remove_file(folder.path().join("tf/model.ckpt-20.data-00000-of-00001")).unwrap();
    fs::remove_file(folder.path().join("tf/vocab.txt")).unwrap();
    let report = json("tf");
    let why = report["files"].as_str().unwrap();
    assert!(why.contains("model.ckpt-20.data-00000-of-00001 is missing"), "{why}");
    assert_eq!(report["can"]["embed"], "no, a file is missing");
    assert!(report["missing"].as_array().unwrap().is_empty());
}

#[test]
fn weights_for_the_web_are_a_model_for_every_command() {
    let folder = converted();
    convert(folder.path(), "run/model", "web", "web", &[]);
    let files: Vec<String> = fs::read_dir(folder.path().join("web"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            !["README.md", "config.json", "manifest.json", "tokenizer_config.json", "vocab.txt"].contains(&name.as_str())
        })
        .collect();
    assert_eq!(files, ["weights-00001-of-00001.bin"]);
    let manifest: Value = serde_json::from_slice(&fs::read(folder.path().join("web/manifest.json")).unwrap()).unwrap();
    assert_eq!(
        (&manifest["format"], &manifest["version"], &manifest["source"]["name"]),
        (&"clinicalbert-web".into(), &1.into(), &"model".into())
    );

    let vectors = |model: &str| run(folder.path(), &["embed", "--model", model, "--text", "chest pain", "--quiet"]).stdout;
    for model in ["web", "web/manifest.json", "web/weights-00001-of-00001.bin"] {
        assert_eq!(vectors(model), vectors("run/model"), "{model}");
    }
    let scores = |model: &str| run(folder.path(), &["fill-mask", "--model", model, "--text", "a [MASK]", "--json"]).stdout;
    assert_eq!(scores("web"), scores("run/model"));
    convert(folder.path(), "web", "hf", "back", &[]);
    let weights = |model: &str| fs::read(folder.path().join(model).join("model.safetensors")).unwrap();
    assert!(weights("back") == weights("run/model"), "full precision goes there and back without a changed bit");
    let report = run(folder.path(), &["inspect", "web", "--json"]).stdout;
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!((&report["format"], &report["can"]["fill-mask"]), (&"weights for the web".into(), &"yes".into()));
}

#[test]
fn rounded_weights_are_smaller_close_and_said_to_be_rounded() {
    let folder = converted();
    let bytes = |model: &str| -> u64 {
        let manifest: Value =
            serde_json::from_slice(&fs::read(folder.path().join(model).join("manifest.json")).unwrap()).unwrap();
        manifest["bytes"].as_u64().unwrap()
    };
    convert(folder.path(), "run/model", "web", "full", &[]);
    for dtype in ["f16", "int8"] {
        let told = convert(folder.path(), "run/model", "web", dtype, &["--dtype", dtype, "--verify"]);
        assert_eq!(
            told.lines().filter(|line| line.contains("cosine 0.999") || line.contains("cosine 1.000")).count(),
            5,
            "{told}"
        );
        assert!(bytes(dtype) * 10 < bytes("full") * 7, "{dtype}");
        let back = run(folder.path(), &["convert", "--from", dtype, "--to", "hf", "--out", &format!("{dtype}-back")]);
        let told = String::from_utf8(back.stderr).unwrap();
        assert!(told.contains(&format!("values were rounded to {dtype}")), "{told}");
        let card = fs::read_to_string(folder.path().join(dtype).join("README.md")).unwrap();
        assert!(card.contains("matrices rounded to"), "{card}");
    }
    let told = error(folder.path(), &["convert", "--from", "run/model", "--to", "hf", "--out", "x", "--dtype", "int8"]);
    assert!(told.contains("--dtype goes with --to web"), "{told}");
}

#[test]
fn what_cannot_be_converted_says_why_and_leaves_nothing() {
    let folder = converted();
    let told = |arguments: &[&str]| error(folder.path(), &[&["convert"], arguments].concat());
    assert!(told(&["--from", "run/model", "--to", "tf", "--out", "tf"]).contains("is there already"));
    let told = told(&["--from", "run/model", "--to", "tf", "--out", "x", "--with-optimizer"]);
    assert!(told.contains("has no optimizer state"), "{told}");
    let told = error(folder.path(), &["convert", "--from", "run", "--to", "tf", "--out", "x"]);
    assert!(told.contains("folder of a run"), "{told}");
    fs::remove_file(folder.path().join("tf/model.ckpt-20.data-00000-of-00001")).unwrap();
    let told = error(folder.path(), &["convert", "--from", "tf", "--to", "hf", "--out", "x"]);
    assert!(told.contains("model.ckpt-20.data-00000-of-00001 is missing"), "{told}");
    assert!(!folder.path().join("x").exists());
    assert_eq!(native().args(["convert", "--from", "a", "--to", "keras", "--out", "b"]).output().unwrap().status.code(), Some(2));
}
