//! `native train` when an update goes wrong: it is undone, its examples are named and left out, and the rest is as it would have been.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use clinicalbert_core::examples::{
    Example,
    tf_example::{Encoder, Shape},
    tfrecord,
};
use serde_json::Value;

use super::train::{TINY, rows};
use super::train_interrupted::{result, start, wait_until};
use super::{native, run, write_character_vocabulary};

const EXAMPLES: u64 = 3200;
const POISON: u64 = 1234;

/// Examples that are all the same, which a model soon knows, but for one that says otherwise.
pub fn poisoned() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_character_vocabulary(&folder.path().join("vocab.txt"));
    let mut encoder = Encoder::new(Shape { max_seq_length: 8, max_predictions_per_seq: 1 });
    let mut bytes = Vec::new();
    for number in 0..EXAMPLES {
        let example = Example {
            input_ids: vec![2, 10, 4, 12, 3, 13, 3],
            first_segment_length: 5,
            masked_positions: vec![2],
            masked_ids: vec![if number == POISON { 150 } else { 11 }],
            is_random_next: false,
        };
        tfrecord::append_with(&mut bytes, |bytes| encoder.append(&example, bytes).unwrap());
    }
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/examples-00000-of-00001.tfrecord"), bytes).unwrap();
    folder
}

fn left_out(run: &Path) -> Vec<Value> {
    rows(run).into_iter().filter(|row| row["split"] == "left out").collect()
}

#[test]
fn a_batch_that_makes_the_loss_jump_is_undone_named_and_left_out() {
    let folder = poisoned();
    // Every example once; with this seed the planted one comes when there is a trend to depart from.
    let settings = ["--vocab", "vocab.txt", "--steps", "400", "--seed", "4", "--keep-checkpoints", "0"];
    let begin = |out| [&["train", "--data", "data", "--out", out], &TINY[..], &settings].concat();
    let told = String::from_utf8(run(folder.path(), &begin("run")).stderr).unwrap();
    let path = folder.path().join("run");
    let [row] = &left_out(&path)[..] else { panic!("expected one update left out: {told}") };
    let step = row["step"].as_u64().unwrap();
    let reason = row["reason"].as_str().unwrap();
    assert!(reason.starts_with("loss ") && reason.contains("deviations above the usual"), "{reason}");
    let examples = &row["examples"][0];
    assert_eq!(examples["file"], "data/examples-00000-of-00001.tfrecord");
    let records = examples["records"].as_array().unwrap();
    assert!(records.len() == 8 && records.contains(&POISON.into()), "{row}");
    assert!(told.contains(&format!("update {step} has loss ")) && told.contains(&format!("{POISON}")), "{told}");
    let steps: Vec<u64> = rows(&path).iter().map(|row| row["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=400).collect::<Vec<_>>(), "every update once, the one left out in its place");
    let state: Value = serde_json::from_slice(&fs::read(path.join("checkpoints/step-000000400/state.json")).unwrap()).unwrap();
    assert_eq!(state["left_out"][0]["step"], step);
    assert_eq!(state["data"][0]["epochs"], serde_json::json!([EXAMPLES - 8]), "what was left out was not consumed");

    // Killed after the going back, before and after a checkpoint remembers it.
    let mut arguments = begin("killed");
    for rows_written in [step + 1, step + 12] {
        let mut child = start(folder.path(), &arguments, Stdio::null());
        let killed = folder.path().join("killed/metrics.jsonl");
        wait_until("progress", || fs::read_to_string(&killed).is_ok_and(|text| text.lines().count() as u64 >= rows_written));
        child.kill().unwrap();
        child.wait().unwrap();
        arguments = vec!["train", "--resume", "--out", "killed"];
    }
    run(folder.path(), &arguments);
    assert!(result(&folder.path().join("killed")) == result(&path), "the results differ");
}

#[test]
fn a_run_that_keeps_going_wrong_gives_up_and_says_what_to_do() {
    let folder = poisoned();
    let settings =
        ["--vocab", "vocab.txt", "--learning-rate", "1e30", "--steps", "30", "--num-warmup-steps", "1", "--max-rollbacks", "2"];
    let tiny: Vec<&str> = TINY.iter().copied().filter(|flag| !["--learning-rate", "0.01"].contains(flag)).collect();
    let arguments = [&["train", "--data", "data", "--out", "run"], &tiny[..], &settings].concat();
    let output = native().current_dir(folder.path()).args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("2 updates were left out before it (--max-rollbacks 2): the run has diverged"), "{told}");
    assert!(told.contains("lower --learning-rate") && told.contains("going back to step 0"), "{told}");
}
