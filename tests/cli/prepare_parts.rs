//! `native prepare --shard`, `--merge` and `--compare`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::prepare::{invented_notes, ledger, records, summary};
use super::{native, run};

fn prepare(folder: &Path, out: &str, flags: &[&str]) {
    let common = ["prepare", "--notes", "notes.csv.gz", "--vocab", "vocab.txt", "--quiet", "--out", out];
    run(folder, &[&common[..], flags].concat());
}

/// Exit status and standard output of a comparison.
fn compare(folder: &Path, first: &str, second: &str) -> (i32, String) {
    let output = native().current_dir(folder).args(["prepare", "--compare", first, second]).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn merged_parts_hold_every_row_and_every_example_of_the_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    invented_notes(path, 60);
    prepare(path, "whole", &[]);
    for part in ["0/2", "1/2"] {
        prepare(path, &part.replace('/', "-"), &["--shard", part, "--shards", "2"]);
    }
    run(path, &["prepare", "--merge", "1-2", "0-2", "--out", "merged", "--quiet"]);
    let (merged, whole) = (summary(&path.join("merged")), summary(&path.join("whole")));
    for count in ["rows_read", "kept", "outcomes", "sections", "sentences", "tokens", "words", "categories", "tokens_histogram"] {
        assert_eq!(merged[count], whole[count], "{count}");
    }
    let ids = |out: &str| ledger(&path.join(out)).into_iter().map(|line| line["id"].clone()).collect::<BTreeSet<_>>();
    assert_eq!(ids("merged"), ids("whole"));
    let mut of_parts = Vec::new();
    for (part, shard) in [("0-2", 0), ("0-2", 1), ("1-2", 0), ("1-2", 1)] {
        of_parts.extend(records(&path.join(part).join(format!("examples-{shard:05}-of-00002.tfrecord"))));
    }
    let of_merged: Vec<_> =
        (0..4).flat_map(|shard| records(&path.join(format!("merged/examples-{shard:05}-of-00004.tfrecord")))).collect();
    assert!(of_merged == of_parts);
    assert_eq!(merged["examples"], of_merged.len());
    assert!(path.join("merged/examples-00003-of-00004.tfrecord.index").exists());
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    invented_notes(path, 30);
    for (out, flags) in
        [("a", &["--shard", "0/3"][..]), ("b", &["--shard", "1/3"]), ("c", &["--shard", "2/3", "--dupe-factor", "2"])]
    {
        prepare(path, out, flags);
    }
    for (parts, told) in [(["a", "b"], "part 2/3 is missing"), (["a", "a"], "twice"), (["a", "c"], "different settings")] {
        let output =
            native().current_dir(path).args(["prepare", "--merge", parts[0], parts[1], "--out", "merged"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(told), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!path.join("merged").exists());
    }
}

#[test]
fn equal_preparations_compare_equal_and_others_are_told_apart_by_stage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    invented_notes(path, 40);
    prepare(path, "a", &["--key", "secret"]);
    prepare(path, "b", &["--key", "secret", "--threads", "1"]);
    prepare(path, "original", &["--key", "secret", "--sentences-by", "original-rules"]);
    prepare(path, "other-key", &["--key", "another"]);
    prepare(path, "no-key", &[]);
    assert_eq!(compare(path, "a", "b").0, 0);
    assert!(compare(path, "a", "b").1.contains("tokens: the same in all 256 groups"));
    let (status, told) = compare(path, "a", "original");
    assert_eq!(status, 1);
    assert!(told.contains("text: the same in all") && told.contains("sentence boundaries, groups that differ"), "{told}");
    assert!(told.contains("settings.sentences_by: \"rules\" against \"original-rules\""), "{told}");
    let (status, told) = compare(path, "a", "other-key");
    assert_eq!(status, 0);
    assert!(told.contains("different keys"), "{told}");
    assert!(compare(path, "a", "no-key").1.contains("in one of the two only"));
    assert_eq!(native().current_dir(path).args(["prepare", "--compare", "a", "absent"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn one_changed_letter_is_seen_in_the_text_but_no_text_is_in_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    invented_notes(path, 1);
    let rows = |name: &str| format!("note_id,text\n1,Seen by Dr. {name}. Stable. Home.\n2,Second note. All well.\n");
    for (out, name) in [("first", "Xylander"), ("second", "Xylandor")] {
        fs::write(path.join("notes.csv"), rows(name)).unwrap();
        run(path, &["prepare", "--notes", "notes.csv", "--vocab", "vocab.txt", "--out", out, "--key", "k", "--quiet"]);
        for file in ["summary.json", "report.html", "ledger.csv"] {
            let text = fs::read_to_string(path.join(out).join(file)).unwrap();
            assert!(!text.contains("Xyl") && !text.contains("Stable"), "{file}");
        }
    }
    let (status, told) = compare(path, "first", "second");
    assert_eq!(status, 1);
    assert!(told.contains("rows and outcomes: the same"), "{told}");
    assert!(
        told.contains("text, groups that differ: 1 of 256") && told.contains("tokens, groups that differ: 1 of 256"),
        "{told}"
    );
}
