//! `native prepare` off the original's path: masks drawn in training, sentences found by another program.

use std::fs;
use std::io::Write;
use std::path::Path;

use clinicalbert_core::examples::{Example, tf_example};
use flate2::{Compression, write::GzEncoder};

use super::prepare::{invented_notes, ledger, records, summary, unpacked};
use super::train::train;
use super::{native, run};

const EXAMPLES: &str = "examples-00000-of-00001.tfrecord";

/// Prepares the invented notes of `folder`.
fn prepare(folder: &Path, out: &str, flags: &[&str]) {
    let common = ["prepare", "--notes", "notes.csv.gz", "--vocab", "vocab.txt", "--out", out, "--quiet"];
    run(folder, &[&common[..], flags].concat());
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = native().current_dir(folder).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

fn examples(file: &Path) -> Vec<Example> {
    let read = |record: &Vec<u8>| {
        let mut example = Example::default();
        tf_example::decode(record, &mut example).unwrap();
        example
    };
    records(file).iter().map(read).collect()
}

#[test]
fn dynamic_masking_stores_whole_text_and_masks_it_in_training() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 12);
    let shape = ["--max-seq-length", "32", "--max-predictions-per-seq", "5", "--dupe-factor", "1", "--holdout", "0.3"];
    prepare(folder.path(), "data", &[&shape[..], &["--masking", "dynamic"]].concat());
    let data = folder.path().join("data");
    assert_eq!(summary(&data)["settings"]["masking"], "dynamic");
    let stored = examples(&data.join(EXAMPLES));
    assert!(stored.len() > 20 && stored.iter().all(|example| example.masked_positions.is_empty()));
    assert!(examples(&data.join("holdout").join(EXAMPLES)).iter().all(|example| !example.masked_positions.is_empty()));

    // Enough steps that every example comes twice, and a loss that was measured.
    train(folder.path(), "run", &["--steps", "40"]);
    let metrics = fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(metrics.lines().find(|line| !line.contains("eval")).unwrap()).unwrap();
    let uniform = (fs::read_to_string(data.join("vocab.txt")).unwrap().lines().count() as f64).ln();
    assert!((first["mlm_loss"].as_f64().unwrap() - uniform).abs() < 0.5, "{first}");
    // A run that stops and goes on draws the same masks.
    train(folder.path(), "again", &["--steps", "40"]);
    let model = |name: &str| fs::read(folder.path().join(name).join("model/model.safetensors")).unwrap();
    assert_eq!(model("run"), model("again"));
}

#[test]
fn examples_without_masks_are_refused_where_nothing_says_how_to_draw_them() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 6);
    prepare(folder.path(), "data", &["--masking", "dynamic", "--max-seq-length", "32"]);
    let file = format!("data/{EXAMPLES}");
    let told = refused(folder.path(), &["train", "--data", &file, "--vocab", "vocab.txt", "--out", "run"]);
    assert!(told.contains("without masks") && told.contains("give the whole prepared folder"), "{told}");
    let told = refused(
        folder.path(),
        &["prepare", "--notes", "notes.csv.gz", "--vocab", "vocab.txt", "--output-file", "x.tfrecord", "--masking", "dynamic"],
    );
    assert!(told.contains("--masking dynamic") && told.contains("--out"), "{told}");
}

#[test]
fn notes_that_are_set_apart_need_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 6);
    let told = refused(
        folder.path(),
        &["prepare", "--notes", "notes.csv.gz", "--vocab", "vocab.txt", "--output-file", "x.tfrecord", "--holdout", "0.5"],
    );
    assert!(told.contains("--holdout") && told.contains("--out DIR"), "{told}");
}

#[test]
fn boundaries_from_a_file_give_what_the_same_boundaries_by_rules_give() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 12);
    // Our rules shorten rulers on top; boundaries alone do not.
    let notes = unpacked(&folder.path().join("notes.csv.gz"));
    let notes = String::from_utf8(notes).unwrap().replace(&"_".repeat(78), "");
    fs::remove_file(folder.path().join("notes.csv.gz")).unwrap();
    let mut packed = GzEncoder::new(fs::File::create(folder.path().join("notes.csv.gz")).unwrap(), Compression::fast());
    packed.write_all(notes.as_bytes()).unwrap();
    packed.finish().unwrap();
    let split = run(folder.path(), &["split", "--notes", "notes.csv.gz", "--format", "jsonl"]);
    fs::write(folder.path().join("boundaries.jsonl"), split.stdout).unwrap();
    prepare(folder.path(), "by-rules", &[]);
    prepare(folder.path(), "by-file", &["--sentences-by", "file", "--boundaries", "boundaries.jsonl"]);
    let bytes = |out: &str| fs::read(folder.path().join(out).join(EXAMPLES)).unwrap();
    assert!(bytes("by-file") == bytes("by-rules"));
    assert_eq!(summary(&folder.path().join("by-file"))["settings"]["sentences_by"], "file");
}

#[test]
fn a_note_whose_boundaries_are_missing_or_wrong_is_counted_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    super::write_character_vocabulary(&folder.path().join("vocab.txt"));
    fs::write(folder.path().join("notes.csv"), "ROW_ID,TEXT\n1,She fell. Rest.\n2,Smith fell.\n3,Rest.\n4,H\u{e9} fell.\n")
        .unwrap();
    let lines = "{\"id\": 1, \"sentences\": [[0, 9], [10, 15]]}\n{\"id\": 2, \"sentences\": [[0, 90]]}\n{\"id\": 4, \"sentences\": [[0, 8]]}\n";
    fs::write(folder.path().join("b.jsonl"), lines).unwrap();
    let flags = [
        "prepare",
        "--notes",
        "notes.csv",
        "--vocab",
        "vocab.txt",
        "--sentences-by",
        "file",
        "--boundaries",
        "b.jsonl",
        "--quiet",
    ];
    run(folder.path(), &[&flags[..], &["--out", "out", "--boundary-offsets", "characters"]].concat());
    let found: Vec<_> = ledger(&folder.path().join("out"))
        .into_iter()
        .map(|line| (line["outcome"].clone(), line["sentences"].clone(), line["reason"].clone()))
        .collect();
    assert_eq!(found[0], ("kept".into(), "2".into(), String::new()));
    assert_eq!((found[1].0.as_str(), found[2].0.as_str()), ("unreadable", "unreadable"));
    assert!(found[1].2.contains("has 11 bytes") && !found[1].2.contains("Smith"), "{found:?}");
    assert!(found[2].2.contains("no line with this id"), "{found:?}");
    assert_eq!(found[3].0, "kept");
}

#[test]
fn flags_about_boundaries_that_contradict_each_other_are_told() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 2);
    let split = |flags: &[&str]| refused(folder.path(), &[&["split", "--notes", "notes.csv.gz"], flags].concat());
    assert!(split(&["--sentences-by", "file"]).contains("needs --boundaries FILE"));
    assert!(split(&["--boundaries", "vocab.txt"]).contains("add it"));
    assert!(split(&["--sentences-by", "file", "--boundaries", "vocab.txt"]).contains("vocab.txt, line 1: expected JSON"));
}

#[test]
fn the_report_of_differences_counts_lost_notes_as_preparing_does() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 40);
    let output = run(folder.path(), &["split", "--notes", "notes.csv.gz", "--differences", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for splitter in ["clinical", "fixed", "faithful"] {
        prepare(folder.path(), splitter, &["--splitter", splitter]);
        let counts = summary(&folder.path().join(splitter));
        assert_eq!(found["modes"][splitter]["lost"], counts["outcomes"]["lost_by_original_rules"], "{splitter}");
        assert_eq!(found["modes"][splitter]["sentences"], counts["sentences"], "{splitter}");
    }
    assert!(found["pairs"]["clinical/faithful"]["sentences"].as_u64().unwrap() > 0);
    let table = String::from_utf8(run(folder.path(), &["split", "--notes", "notes.csv.gz", "--differences"]).stdout).unwrap();
    assert!(table.contains("fixed / faithful"), "{table}");
}
