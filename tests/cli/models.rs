//! `native eval`, `fill-mask`, `embed`, `inspect` on a model that `native train` made.

use std::fs;
use std::path::Path;

use clinicalbert_tests::reference;
use serde_json::Value;

use super::train::{prepared, train};
use super::{error, native, run};

fn trained() -> tempfile::TempDir {
    let folder = prepared();
    train(folder.path(), "run", &["--steps", "20"]);
    folder
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_slice(&run(folder, arguments).stdout).unwrap()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-5 * (1.0 + b.abs())
}

#[test]
fn eval_gives_the_originals_figures_as_training_saw_them() {
    let folder = trained();
    let flags = ["eval", "--model", "run/checkpoints/step-000000020", "--data", "data/holdout", "--max-eval-steps", "100"];
    let text = String::from_utf8(run(folder.path(), &flags).stdout).unwrap();
    let keys: Vec<&str> = text.lines().map(|line| line.split(" = ").next().unwrap()).collect();
    let expected = [
        "global_step",
        "loss",
        "masked_lm_accuracy",
        "masked_lm_loss",
        "next_sentence_accuracy",
        "next_sentence_loss",
        "perplexity",
    ];
    assert_eq!(keys, expected);
    let figures = json(folder.path(), &[&flags[..], &["--json"]].concat());
    assert_eq!(figures["global_step"], 20);
    let metrics = fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(metrics.lines().rfind(|line| line.contains("eval")).unwrap()).unwrap();
    for (ours, theirs) in
        [("masked_lm_loss", "mlm_loss"), ("next_sentence_loss", "nsp_loss"), ("masked_lm_accuracy", "mlm_accuracy")]
    {
        // Batches of 8 here, of 4 there: sums come in another order.
        assert!(close(figures[ours].as_f64().unwrap(), last[theirs].as_f64().unwrap()), "{ours}: {figures} {last}");
    }
    assert!(json(folder.path(), &["eval", "--model", "run/model", "--data", "data", "--json"]).get("global_step").is_none());
}

#[test]
fn fill_mask_answers_in_the_shape_of_hugging_face() {
    let folder = trained();
    let base = ["fill-mask", "--model", "run/model", "--json"];
    let one = json(folder.path(), &[&base[..], &["--text", "a [MASK] b", "--top-k", "3"]].concat());
    assert_eq!(one.as_array().unwrap().len(), 3);
    for key in ["score", "token", "token_str", "sequence"] {
        assert!(one[0].get(key).is_some(), "{key}");
    }
    assert!(one[0]["score"].as_f64() >= one[1]["score"].as_f64());
    let two = json(folder.path(), &[&base[..], &["--text", "[MASK] and [MASK]"]].concat());
    assert_eq!((two.as_array().unwrap().len(), two[0].as_array().unwrap().len()), (2, 5));
    fs::write(folder.path().join("lines.txt"), "x [MASK]\n\ny [MASK]\n").unwrap();
    let lines = json(folder.path(), &[&base[..], &["lines.txt"]].concat());
    assert_eq!(lines.as_array().unwrap().len(), 2);
    let jointly = json(folder.path(), &[&base[..], &["--jointly", "--text", "[MASK] [MASK]", "--top-k", "2"]].concat());
    assert_eq!(jointly[0]["tokens"].as_array().unwrap().len(), 2);
    let told = error(folder.path(), &["fill-mask", "--model", "run/model", "lines.txt", "--text", "secret words"]);
    assert!(told.contains("text 1: no [MASK] in the text") && !told.contains("secret"), "{told}");
    let long = "a ".repeat(40) + "[MASK]";
    assert!(
        error(folder.path(), &["fill-mask", "--model", "run/model", "--text", &long])
            .contains("has 43 tokens, the model allows 32")
    );
}

#[test]
fn vectors_are_the_same_in_both_formats_and_long_texts_are_cut() {
    let folder = trained();
    let long = "chest pain ".repeat(20);
    fs::write(folder.path().join("texts.txt"), format!("a b\n{long}\n")).unwrap();
    let output = run(folder.path(), &["embed", "--model", "run/model", "texts.txt"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("1 texts were longer than 32 tokens"), "{told}");
    let rows: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), &rows[0]["id"], &rows[0]["windows"]), (2, &"1".into(), &1.into()));
    assert!(rows[1]["windows"].as_u64().unwrap() > 1);
    run(folder.path(), &["embed", "--model", "run/model", "texts.txt", "--format", "npy", "--out", "v.npy", "--quiet"]);
    let bytes = fs::read(folder.path().join("v.npy")).unwrap();
    let matrix: Vec<f32> = bytes[128..].chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect();
    let vectors: Vec<f32> =
        rows.iter().flat_map(|row| row["embedding"].as_array().unwrap()).map(|value| value.as_f64().unwrap() as f32).collect();
    assert_eq!(matrix, vectors);
    assert_eq!(fs::read_to_string(folder.path().join("v.npy.ids")).unwrap(), "1\n2\n");
    let notes = run(
        folder.path(),
        &["embed", "--model", "run/model", "--notes", "notes.csv", "--pooling", "cls", "--layer", "0", "--quiet"],
    );
    assert!(String::from_utf8(notes.stdout).unwrap().lines().count() >= 11);
    let told = error(folder.path(), &["embed", "--model", "run/model", "--text", "a", "--max-seq-length", "64"]);
    assert!(told.contains("more than the model allows: at most 32"), "{told}");
    assert!(error(folder.path(), &["embed", "--model", "run/model", "--text", "a", "--layer", "-4"]).contains("has 2 layers"));
    assert!(error(folder.path(), &["embed", "--model", "run/model"]).contains("no text"));
}

#[test]
fn a_gpu_gives_the_vectors_and_fillings_of_the_cpu() {
    let folder = trained();
    fs::write(folder.path().join("texts.txt"), format!("a b\n{}\nc [MASK] d\n", "chest pain ".repeat(20))).unwrap();
    let embed = ["embed", "--model", "run/model", "texts.txt", "--quiet"];
    let gpu = native().current_dir(folder.path()).args(embed).args(["--device", "wgpu"]).output().unwrap();
    let told = String::from_utf8_lossy(&gpu.stderr);
    if told.contains("no usable GPU") && std::env::var_os("CI").is_none() {
        eprintln!("skipped: no adapter; Debian: apt-get install mesa-vulkan-drivers");
        return;
    }
    assert!(gpu.status.success(), "{told}");
    let rows = |output: Vec<u8>| -> Vec<Value> {
        String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (gpu, cpu) = (rows(gpu.stdout), rows(run(folder.path(), &embed).stdout));
    assert_eq!((gpu.len(), cpu.len()), (3, 3));
    for (gpu, cpu) in gpu.iter().zip(&cpu) {
        let vectors = gpu["embedding"].as_array().unwrap().iter().zip(cpu["embedding"].as_array().unwrap());
        assert!(vectors.clone().all(|(gpu, cpu)| close(gpu.as_f64().unwrap(), cpu.as_f64().unwrap())), "{gpu} {cpu}");
        assert_eq!((&gpu["tokens"], &gpu["windows"]), (&cpu["tokens"], &cpu["windows"]));
    }
    let fill = ["fill-mask", "--model", "run/model", "--json", "--text", "c [MASK] d", "--top-k", "1"];
    let (gpu, cpu) = (json(folder.path(), &[&fill[..], &["--device", "wgpu"]].concat()), json(folder.path(), &fill));
    assert_eq!(gpu[0]["token"], cpu[0]["token"]);
    assert!(close(gpu[0]["score"].as_f64().unwrap(), cpu[0]["score"].as_f64().unwrap()));
}

#[test]
fn inspect_tells_what_there_is() {
    let folder = trained();
    let model = json(folder.path(), &["inspect", "run/model", "--json", "--tensors"]);
    assert_eq!(model["tokenizer"]["case"], "cased");
    assert_eq!(model["can"]["fill-mask"], "yes");
    assert_eq!(model["tensors"]["cls.seq_relationship.weight"], "f32 [2 × 16]");
    let data = json(folder.path(), &["inspect", "data", "--json"]);
    assert_eq!((&data["max_seq_length"], data["files"].as_object().unwrap().len()), (&32.into(), 2));
    assert_eq!(data["rows_read"], 12);
    assert!(json(folder.path(), &["inspect", "run/model/model.safetensors", "--json"])["missing"].as_array().unwrap().is_empty());
    assert!(error(folder.path(), &["inspect", "absent"]).contains("no model at absent"));
    assert!(error(folder.path(), &["inspect", "run"]).contains("folder of a run"));
}

#[test]
fn a_model_without_heads_or_weights_says_what_it_cannot_do() {
    let Some(encoder) = reference("data/tiny-bert-hf") else { return };
    let folder = trained();
    let encoder = encoder.to_str().unwrap();
    let told = error(folder.path(), &["fill-mask", "--model", encoder, "--text", "a [MASK]"]);
    assert!(told.contains("cannot be used for fill-mask") && told.contains("masked language model head"), "{told}");
    assert!(error(folder.path(), &["eval", "--model", encoder, "--data", "data"]).contains("cannot be used for eval"));
    assert_eq!(json(folder.path(), &["inspect", encoder, "--json"])["can"]["fill-mask"], "no, the head is missing");
    fs::remove_file(folder.path().join("run/model/model.safetensors")).unwrap();
    for command in [&["embed", "--text", "a"][..], &["fill-mask", "--text", "[MASK]"], &["eval", "--data", "data"]] {
        let told = error(folder.path(), &[command, &["--model", "run/model"]].concat());
        assert!(told.contains("has no weights: expected model.safetensors"), "{told}");
    }
}
