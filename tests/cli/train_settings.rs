//! `native train` with the settings that change what is trained on and what is trained: mixtures, phases, frozen parts, presets; and the
//! report on it all.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use safetensors::SafeTensors;
use serde_json::Value;

use super::train::{TINY, prepared, rows, train};
use super::train_interrupted::{result, start, wait_until};
use super::{native, run};

fn state(run: &Path, step: u64) -> Value {
    let path = run.join(format!("checkpoints/step-{step:09}/state.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Examples that the run has seen of each source.
fn seen(state: &Value) -> Vec<u64> {
    let sum = |source: &Value| source["epochs"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    state["data"].as_array().unwrap().iter().map(sum).collect()
}

/// A second preparation beside `data`, of sequences half as long.
fn with_short_data() -> tempfile::TempDir {
    let folder = prepared();
    let shape = ["--max-seq-length", "16", "--max-predictions-per-seq", "3", "--dupe-factor", "1"];
    let flags = ["prepare", "--notes", "notes.csv", "--vocab", "vocab.txt", "--out", "short", "--holdout", "0.3", "--quiet"];
    run(folder.path(), &[&flags[..], &shape].concat());
    folder
}

/// Begins a run, kills it once `checkpoint` is there, and resumes it.
fn killed_and_resumed(folder: &Path, begin: &[&str], checkpoint: &str) {
    let mut child = start(folder, begin, Stdio::null());
    wait_until(checkpoint, || folder.join("killed/checkpoints").join(checkpoint).exists());
    child.kill().unwrap();
    child.wait().unwrap();
    run(folder, &["train", "--resume", "--out", "killed"]);
}

#[test]
fn several_preparations_are_mixed_by_their_weights() {
    let folder = with_short_data();
    let begin = |out| [&["train", "--data", "short=3", "--data", "data=1", "--out", out, "--steps", "60"], &TINY[..]].concat();
    run(folder.path(), &begin("run"));
    let seen = seen(&state(&folder.path().join("run"), 60));
    // 480 places of a shuffled round of 7,500 and 2,500: 360 ± 9.
    assert!(seen[0] + seen[1] == 480 && (320..400).contains(&seen[0]), "{seen:?}");
    let card = fs::read_to_string(folder.path().join("run/model/README.md")).unwrap();
    assert!(card.contains("- Data: `short`") && card.contains(&format!("{} seen", seen[1])), "{card}");
    killed_and_resumed(folder.path(), &begin("killed"), "step-000000020");
    assert!(result(&folder.path().join("killed")) == result(&folder.path().join("run")), "the results differ");
}

#[test]
fn phases_follow_one_another_under_one_schedule() {
    let folder = with_short_data();
    let phases = "[[phases]]\ndata = \"short\"\nnum_train_steps = 35\n\
                  [[phases]]\ndata = \"data\"\nnum_train_steps = 15\ntrain_batch_size = 2\n";
    fs::write(folder.path().join("phases.toml"), phases).unwrap();
    let begin = |out| [&["train", "--config", "phases.toml", "--out", out], &TINY[..]].concat();
    run(folder.path(), &begin("run"));
    let path = folder.path().join("run");
    assert_eq!(seen(&state(&path, 50)), [35 * 8, 15 * 4]);
    let rates: Vec<f64> = rows(&path).iter().filter_map(|row| row["learning_rate"].as_f64()).collect();
    assert_eq!(rates.len(), 50);
    for step in [34, 35, 49] {
        assert!((rates[step] - 0.01 * (1.0 - step as f64 / 50.0)).abs() < 1e-7, "{rates:?}");
    }
    // The checkpoint before the border, then the one after it.
    killed_and_resumed(folder.path(), &begin("killed"), "step-000000030");
    assert!(result(&folder.path().join("killed")) == result(&path), "the results differ");
}

#[test]
fn frozen_parts_keep_their_bits() {
    let folder = prepared();
    train(folder.path(), "run", &["--steps", "10", "--freeze", "embeddings,layers=0"]);
    let read = |step: &str, file: &str| fs::read(folder.path().join(format!("run/checkpoints/step-{step}/{file}"))).unwrap();
    let (before, after) = (read("000000000", "model.safetensors"), read("000000010", "model.safetensors"));
    let (before, after) = (SafeTensors::deserialize(&before).unwrap(), SafeTensors::deserialize(&after).unwrap());
    let optimizer = read("000000010", "optimizer.safetensors");
    let optimizer = SafeTensors::deserialize(&optimizer).unwrap();
    for name in before.names() {
        let is_frozen = name.starts_with("bert.embeddings.") || name.starts_with("bert.encoder.layer.0.");
        let is_unchanged = before.tensor(name).unwrap().data() == after.tensor(name).unwrap().data();
        assert_eq!(is_unchanged, is_frozen, "{name}");
        for slot in ["adam_m", "adam_v"] {
            let is_zero = optimizer.tensor(&format!("{name}/{slot}")).unwrap().data().iter().all(|byte| *byte == 0);
            assert_eq!(is_zero, is_frozen, "{name}/{slot}");
        }
    }
    train(folder.path(), "free", &["--steps", "10"]);
    let norm = |run: &str| rows(&folder.path().join(run)).iter().find_map(|row| row["grad_norm"].as_f64()).unwrap();
    assert!(norm("run") < norm("free"), "frozen parts have no share in the norm");
}

#[test]
fn a_preset_is_a_layer_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["train", "--preset", "bio-discharge", "--seed", "1", "--data", "d", "--out", "o", "--print-config"];
    let told = String::from_utf8(run(folder.path(), &flags).stdout).unwrap();
    for (key, value, source) in
        [("num_train_steps", "100000", "preset"), ("learning_rate", "0.00005", "preset"), ("seed", "1", "flag")]
    {
        let line = told.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        assert!(line.ends_with(source), "{line}");
        assert!(line.starts_with(&format!("{key} = {value} ")) || key == "learning_rate", "{line}");
    }
    let output = native().current_dir(folder.path()).args(["train", "--preset", "legal", "--out", "o"]).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("bio-clinical"));
}

#[test]
fn the_report_has_curves_and_no_folders_of_this_machine() {
    let folder = prepared();
    train(folder.path(), "run", &["--steps", "20"]);
    let page = fs::read_to_string(folder.path().join("run/report.html")).unwrap();
    assert_eq!(page.matches("<svg ").count(), 9);
    assert!(page.contains("20 of 20") && page.contains("held out (last ") && page.contains("processor"), "{page}");
    assert!(page.contains("prefers-color-scheme: dark") && !page.contains("http-equiv=\"refresh\"") && !page.contains("src="));
    assert!(!page.contains(folder.path().to_str().unwrap()), "paths stay here");
}
