//! `native doctor`: what it says of a machine and of a run that is still to be begun.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::native;
use super::train::{TINY, prepared};

/// The checks of `doctor --train` and whether it was content.
fn rehearsed(folder: &Path, more: &[&str]) -> (Vec<Value>, bool) {
    let flags = [&["doctor", "--train", "--data", "data", "--json", "--steps", "40"], &TINY[..], more].concat();
    let output = native().current_dir(folder).args(flags).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
    assert_eq!(answer["ok"], output.status.success(), "{answer}");
    (answer["checks"].as_array().unwrap().clone(), output.status.success())
}

/// Names of the checks that failed.
fn failed(checks: &[Value]) -> Vec<&str> {
    checks.iter().filter(|check| check["ok"] == false).map(|check| check["name"].as_str().unwrap()).collect()
}

#[test]
fn a_machine_is_described() {
    let output = native().arg("doctor").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for part in ["processor", "memory", "disk", "devices", "CUDA"] {
        assert!(told.lines().any(|line| line.starts_with(part)), "{part} not in {told}");
    }
}

#[test]
fn what_is_missing_for_a_gpu_is_named_with_its_fix_and_training_says_the_same() {
    let output = native().args(["doctor", "--json"]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let missing: Vec<_> = answer["cuda_missing"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    for (library, fix) in [("driver", "install it"), ("nvrtc", "pip install nvidia-cuda-nvrtc"), ("cublaslt", "nvidia-cublas")] {
        let told = missing.iter().any(|text| text.to_lowercase().contains(library) && text.contains(fix));
        assert_eq!(answer["cuda"][library] == "missing", told, "{library}: {answer}");
    }
    if missing.iter().any(|text| text.contains("driver")) {
        assert_eq!(answer["gpus"].as_array().unwrap().len(), 0);
        let folder = prepared();
        let told = super::error(folder.path(), &["train", "--data", "data", "--device", "cuda", "--out", "o"]);
        assert!(told.contains(missing[0]), "{told}");
        let told = super::train::train(folder.path(), "run", &["--device", "auto", "--steps", "2"]);
        let told = String::from_utf8(told.stderr).unwrap();
        assert_eq!(told.lines().filter(|line| line.contains("no GPU is used") && line.contains(missing[0])).count(), 1, "{told}");
    }
}

#[test]
fn a_run_that_would_go_well_passes_every_check_and_leaves_nothing() {
    let folder = prepared();
    let names = || fs::read_dir(folder.path()).unwrap().count();
    let before = names();
    let (checks, ok) = rehearsed(folder.path(), &[]);
    assert!(ok, "{checks:?}");
    let found: Vec<_> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(found, ["data and model", "loss at start", "gradients", "memory", "learning", "checkpoint", "disk", "time"]);
    let text = |at: usize| checks[at]["found"].as_str().unwrap();
    // 14 tensors beside the 16 of each layer.
    assert!(text(2).contains("all 46 trained tensors") && text(1).contains("ln 193 = 5.263"), "{checks:?}");
    assert!(text(7).contains("40 updates take 0:0"), "{checks:?}");
    assert_eq!(names(), before);
}

#[test]
fn what_would_go_wrong_is_found_with_a_fix() {
    let folder = prepared();
    let path = folder.path();
    fs::write(path.join("loud.toml"), "[model]\ninitializer_range = 2.0\n").unwrap();
    let (checks, _) = rehearsed(path, &["--config", "loud.toml"]);
    assert!(failed(&checks).contains(&"loss at start"), "{checks:?}");
    assert!(checks[1]["fix"].as_str().unwrap().contains("initializer_range"));

    let (checks, ok) = rehearsed(path, &["--freeze", "embeddings,layers=0-1,pooler,mlm,nsp"]);
    assert!(!ok && failed(&checks) == ["data and model"], "{checks:?}");
    assert!(checks[0]["found"].as_str().unwrap().contains("nothing is left to train"));

    let (checks, _) = rehearsed(path, &["--freeze", "embeddings"]);
    assert!(checks[2]["found"].as_str().unwrap().contains("all 41 trained tensors"), "{checks:?}");
}

#[test]
fn a_disk_that_is_too_small_is_found() {
    let folder = prepared();
    let mut flags = vec!["doctor", "--train", "--data", "data", "--json", "--keep-checkpoints", "0", "--steps", "1000000000"];
    flags.extend(TINY);
    let output = native().current_dir(folder.path()).args(flags).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(failed(answer["checks"].as_array().unwrap()), ["disk"], "{answer}");
}
