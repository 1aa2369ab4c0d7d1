//! `native train`: a run to its end, runs that cannot begin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use clinicalbert_tests::reference;
use serde_json::Value;

use super::train_interrupted::result;
use super::{native, run, write_character_vocabulary};

/// A model that takes a few milliseconds an update.
pub const TINY: [&str; 18] = [
    "--hidden-size",
    "16",
    "--num-hidden-layers",
    "2",
    "--num-attention-heads",
    "2",
    "--max-position-embeddings",
    "32",
    "--train-batch-size",
    "4",
    "--gradient-accumulation-steps",
    "2",
    "--learning-rate",
    "0.01",
    "--log-every",
    "1",
    "--save-checkpoints-steps",
    "10",
];

/// A folder with prepared examples in `data` and held-out ones in `data/holdout`.
pub fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_character_vocabulary(&folder.path().join("vocab.txt"));
    run(folder.path(), &["sample", "--notes", "12", "--out", "notes.csv", "--quiet"]);
    let shape = ["--max-seq-length", "32", "--max-predictions-per-seq", "5", "--dupe-factor", "1", "--shards", "2"];
    let flags = ["prepare", "--notes", "notes.csv", "--vocab", "vocab.txt", "--out", "data", "--holdout", "0.3", "--quiet"];
    run(folder.path(), &[&flags[..], &shape].concat());
    folder
}

/// Trains the tiny model in `out`.
pub fn train(folder: &Path, out: &str, more: &[&str]) -> Output {
    run(folder, &[&["train", "--data", "data", "--out", out], &TINY[..], more].concat())
}

/// The rows of `metrics.jsonl`.
pub fn rows(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_leaves_metrics_checkpoints_and_a_model() {
    let folder = prepared();
    let output = train(folder.path(), "run", &["--steps", "40", "--keep-checkpoints", "2", "--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["steps"], 40);
    let run = folder.path().join("run");
    let (eval, train): (Vec<_>, Vec<_>) = rows(&run).into_iter().partition(|row| row["split"] == "eval");
    assert_eq!(train.iter().map(|row| row["step"].as_u64().unwrap()).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    assert_eq!(eval.iter().map(|row| row["step"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 10, 20, 30, 40]);
    assert_eq!(eval[4]["mlm_loss"], answer["evaluation"]["masked_lm_loss"]);
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap();
    for key in ["loss", "nsp_loss", "mlm_accuracy", "nsp_accuracy", "grad_norm", "examples_per_second"] {
        assert!(train.iter().all(|row| number(row, key).is_finite()), "{key}");
    }
    assert!(number(&eval[4], "mlm_loss") < 0.85 * number(&eval[0], "mlm_loss"), "{eval:?}");
    // Two warm-up updates (a fifteenth of 40), the first with a rate of 0, then linear decay.
    let rates: Vec<f64> = train.iter().map(|row| number(row, "learning_rate")).collect();
    for (step, expected) in [(0, 0.0), (1, 0.005), (2, 0.0095), (39, 0.00025)] {
        assert!((rates[step] - expected).abs() < 1e-8, "{rates:?}");
    }
    let mut checkpoints: Vec<_> =
        fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    checkpoints.sort();
    let losses: Vec<f64> = eval.iter().map(|row| number(row, "mlm_loss")).collect();
    let best = 10 * (0..5).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).unwrap();
    let mut expected: Vec<_> =
        std::collections::BTreeSet::from([best, 30, 40]).into_iter().map(|step| format!("step-{step:09}")).collect();
    expected.sort();
    assert_eq!(checkpoints, expected, "the newest two, and the one with the lowest held-out MLM loss");
    for file in
        ["config.json", "model.safetensors", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
    {
        assert!(run.join("model").join(file).is_file(), "{file}");
    }
    let card = fs::read_to_string(run.join("model/README.md")).unwrap();
    assert!(card.contains("| 40 | ") && card.contains("fingerprint"), "{card}");
}

#[test]
fn a_finished_run_has_nothing_left_to_do() {
    let folder = prepared();
    train(folder.path(), "run", &["--steps", "10"]);
    let before = result(&folder.path().join("run"));
    run(folder.path(), &["train", "--resume", "--out", "run"]);
    assert!(result(&folder.path().join("run")) == before);
}

/// The one line of an error, after checking that nothing is left behind.
fn error(folder: &Path, arguments: &[&str]) -> String {
    let names =
        || fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<std::collections::BTreeSet<PathBuf>>();
    let before = names();
    let output = native().current_dir(folder).arg("train").args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_eq!(names(), before, "something was left behind");
    told
}

#[test]
fn what_cannot_be_trained_is_a_one_line_error() {
    let folder = prepared();
    let path = folder.path();
    fs::create_dir(path.join("empty")).unwrap();
    fs::write(path.join("config.json"), r#"{"model_type": "gpt2"}"#).unwrap();
    fs::create_dir(path.join("bare")).unwrap();
    fs::write(path.join("bare/config.json"), r#"{"model_type": "bert", "hidden_size": 16, "num_attention_heads": 2}"#).unwrap();
    fs::create_dir(path.join("alone")).unwrap();
    fs::copy(path.join("data/holdout/examples-00000-of-00001.tfrecord"), path.join("alone/a.tfrecord")).unwrap();
    fs::write(path.join("few.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n").unwrap();
    fs::write(path.join("no-mask.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n").unwrap();
    for (arguments, expected) in [
        (&["--data", "alone", "--out", "o"][..], "no vocabulary beside the examples"),
        (&["--data", "alone", "--vocab", "few.txt", "--out", "o"], "prepared with the model's vocabulary?"),
        (&["--data", "alone", "--vocab", "no-mask.txt", "--out", "o"], "[MASK]"),
        (&["--data", "data", "--vocab", "few.txt", "--out", "o"], "differ: prepare the notes with --vocab"),
        (&["--data", "absent", "--out", "o"], "native prepare"),
        (&["--data", "empty", "--out", "o"], "no *.tfrecord file"),
        (&["--data", "notes.csv", "--out", "o"], "record 0"),
        (&["--data", "data"], "--out is missing"),
        (&["--data", "data", "--out", "data"], "is not empty"),
        (&["--data", "data", "--out", "vocab.txt"], "is a file"),
        (&["--init", "bare", "--out", "o"], "nothing to train on"),
        (&["--data", "data", "--init", "bare", "--out", "o"], "has no weights: expected model.safetensors"),
        (&["--data", "data", "--init", "absent", "--out", "o"], "no model at absent"),
        (&["--data", "data", "--config-file", "config.json", "--out", "o"], "model_type must be bert, found gpt2"),
        (&["--data", "data", "--max-position-embeddings", "16", "--out", "o"], "32 tokens, the model has 16 positions"),
        (&["--data", "data", "--max-predictions-per-seq", "4", "--out", "o"], "--max-predictions-per-seq 5"),
        (&["--data", "data", "--max-seq-length", "16", "--out", "o"], "--max-seq-length 32"),
        (&["--data", "data", "--hidden-size", "17", "--out", "o"], "multiple of num_attention_heads"),
        (&["--data", "data", "--hidden-act", "relu", "--out", "o"], "relu"),
        (&["--data", "data", "--device", "cuda:99", "--out", "o"], "--device cuda:99: "),
        (&["--data", "data", "--device", "tpu", "--out", "o"], "auto, cpu, cuda or cuda:N, found tpu"),
        (&["--data", "data", "--cuda-path", "absent", "--out", "o"], "--cuda-path absent: expected a folder"),
        (&["--data", "data", "--steps", "0", "--out", "o"], "num_train_steps must be at least 1"),
        (&["--data", "data", "--steps", "5", "--num-warmup-steps", "5", "--out", "o"], "must be below num_train_steps"),
        (&["--data", "data", "--notes", "notes.csv", "--out", "o"], "exclude each other"),
        (&["--resume", "--out", "empty"], "holds no run"),
        (&["--resume"], "--resume needs --out"),
    ] {
        let told = error(path, arguments);
        assert!(told.contains(expected), "{arguments:?}: expected {expected:?} in: {told}");
    }
}

#[test]
fn a_run_is_neither_overwritten_nor_changed_by_resuming() {
    let folder = prepared();
    train(folder.path(), "run", &["--steps", "10"]);
    let told = error(folder.path(), &["--data", "data", "--out", "run"]);
    assert!(told.contains("already holds a run (last checkpoint: step 10): add --resume"), "{told}");
    let told = error(folder.path(), &["--resume", "--out", "run", "--learning-rate", "0.5"]);
    assert!(told.contains("learning_rate = 0.5 (flag) differs from the run's 0.01"), "{told}");
    let flags = ["--notes", "notes.csv", "--vocab", "vocab.txt", "--out", "other", "--max-seq-length", "32", "--quiet"];
    run(folder.path(), &[&["prepare"], &flags[..], &["--max-predictions-per-seq", "5"]].concat());
    let told = error(folder.path(), &["--resume", "--out", "run", "--data", "other"]);
    assert!(told.contains("is not the data that this run has seen"), "{told}");
}

#[test]
fn settings_show_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.toml"), "seed = 7\nlog_every = 3\n").unwrap();
    let output = native()
        .current_dir(folder.path())
        .args(["train", "--config", "mine.toml", "--num_train_steps=9", "--data", "d", "--out", "o", "--print-config"])
        .env("CLINICALBERT_TRAIN_SEED", "8")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    for (key, value, source) in [
        ("seed", "8", "environment"),
        ("log_every", "3", "--config"),
        ("num_train_steps", "9", "flag"),
        ("train_batch_size", "32", "default"),
    ] {
        let line = told.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        assert!(line.starts_with(&format!("{key} = {value} ")) && line.ends_with(source), "{line}");
    }
}

#[test]
fn training_goes_on_from_a_hugging_face_model() {
    let Some(model) = reference("data/tf-checkpoint/hf") else { return };
    let folder = prepared();
    let model = model.to_str().unwrap();
    // Its vocabulary of 200 has room for the data's; it has no vocab.txt of its own, so the data's is taken.
    let flags = ["--data", "data", "--init", model, "--steps", "5", "--train-batch-size", "4"];
    run(folder.path(), &[&["train", "--out", "run"], &flags[..]].concat());
    let config: Value = serde_json::from_slice(&fs::read(folder.path().join("run/model/config.json")).unwrap()).unwrap();
    assert_eq!((config["vocab_size"].as_u64(), config["hidden_size"].as_u64()), (Some(200), Some(32)));
    let told = error(folder.path(), &[&flags[..], &["--out", "other", "--hidden-size", "64"]].concat());
    assert!(told.contains("the shape that is asked for is not that of --init"), "{told}");
}

#[test]
fn heads_that_a_model_lacks_start_new_and_are_named() {
    let Some(model) = reference("data/tiny-bert-hf") else { return };
    let folder = prepared();
    let model = model.to_str().unwrap();
    let vocab = format!("{model}/vocab.txt");
    let shape = ["--max-seq-length", "16", "--max-predictions-per-seq", "3", "--dupe-factor", "1", "--quiet"];
    run(folder.path(), &[&["prepare", "--notes", "notes.csv", "--vocab", &vocab, "--out", "own"], &shape[..]].concat());
    let flags = ["train", "--data", "own", "--init", model, "--steps", "2", "--train-batch-size", "2", "--out", "run"];
    let told = String::from_utf8(run(folder.path(), &flags).stderr).unwrap();
    assert!(told.contains("start with new weights: bert.pooler.dense.weight"), "{told}");
    assert!(told.contains("cls.seq_relationship.bias"), "{told}");
}

#[test]
fn notes_are_prepared_first() {
    let folder = prepared();
    let flags =
        ["train", "--notes", "notes.csv", "--vocab", "vocab.txt", "--out", "run", "--steps", "3", "--max-seq-length", "32"];
    run(folder.path(), &[&flags[..], &TINY[..]].concat());
    assert!(folder.path().join("run/data/summary.json").is_file());
    assert!(folder.path().join("run/model/model.safetensors").is_file());
    assert_eq!(rows(&folder.path().join("run")).iter().filter(|row| row["split"] != "eval").count(), 3);
}

#[test]
fn without_arguments_there_is_a_demonstration_that_never_overwrites_another() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["clinicalbert-demo", "clinicalbert-demo-2"] {
        let output = run(folder.path(), &["train", "--steps", "2", "--num-warmup-steps", "1", "--eval-examples", "32"]);
        let told = String::from_utf8(output.stdout).unwrap();
        let model = folder.path().join(name).join("model");
        assert!(model.join("model.safetensors").is_file());
        for part in [format!("model: {name}/model"), "MLM loss fell by".into(), "native fill-mask".into(), "--notes".into()] {
            assert!(told.contains(&part), "expected {part:?} in: {told}");
        }
    }
}
