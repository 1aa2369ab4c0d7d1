//! `native vocab --add-tokens`: a model with a larger vocabulary, prepared for and trained on like any other.

use std::fs;

use safetensors::SafeTensors;
use serde_json::Value;

use super::train::{TINY, prepared, train};
use super::{native, run};

#[test]
fn a_model_with_new_tokens_is_prepared_for_and_trained() {
    let folder = prepared();
    let path = folder.path();
    train(path, "run", &["--steps", "10"]);
    fs::write(path.join("tokens.txt"), "patient\n\nnot one\nfever\nA\n").unwrap();
    let flags = ["vocab", "--add-tokens", "tokens.txt", "--init", "run/model", "--out", "extended", "--json"];
    let answer: Value = serde_json::from_slice(&run(path, &flags).stdout).unwrap();
    // 193 entries, no [unused] among them: two rows more are 195, and 200 is the next multiple of 8.
    let expected = serde_json::json!({ "out": "extended", "added": 2, "filled": 0, "appended": 2, "padding": 5, "known": 1,
        "impossible_lines": [3], "vocab_size": 200 });
    assert_eq!(answer, expected);
    let read = |name: &str| fs::read(path.join(name).join("model.safetensors")).unwrap();
    let (before, after) = (read("run/model"), read("extended"));
    let (before, after) = (SafeTensors::deserialize(&before).unwrap(), SafeTensors::deserialize(&after).unwrap());
    for name in before.names() {
        let (old, new) = (before.tensor(name).unwrap(), after.tensor(name).unwrap());
        assert!(new.data().starts_with(old.data()), "{name}: what was there stays");
    }
    let config: Value = serde_json::from_slice(&fs::read(path.join("extended/config.json")).unwrap()).unwrap();
    assert_eq!(config["vocab_size"], 200);
    let vocab = fs::read_to_string(path.join("extended/vocab.txt")).unwrap();
    assert_eq!(vocab.lines().skip(193).collect::<Vec<_>>()[..3], ["patient", "fever", "[unused0]"]);
    let tokenizer: Value = serde_json::from_slice(&fs::read(path.join("extended/tokenizer.json")).unwrap()).unwrap();
    assert_eq!(tokenizer["model"]["vocab"]["fever"], 194);

    let shape = ["--max-seq-length", "32", "--max-predictions-per-seq", "5", "--dupe-factor", "1", "--quiet"];
    run(path, &[&["prepare", "--notes", "notes.csv", "--vocab", "extended", "--out", "again"], &shape[..]].concat());
    let training: Vec<&str> = TINY[8..].to_vec();
    run(path, &[&["train", "--data", "again", "--init", "extended", "--out", "second", "--steps", "3"], &training[..]].concat());
    let refused =
        native().current_dir(path).args(["train", "--data", "data", "--init", "extended", "--out", "third"]).output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("differ: prepare the notes with --vocab extended"), "{told}");
}
