//! `native prepare` on bad input: one line that says what is wrong and how to mend it, or a counted row; never half a result.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::prepare::ledger;
use super::{native, run, write_character_vocabulary};

const HEADER: &str = "ROW_ID,SUBJECT_ID,CATEGORY,ISERROR,TEXT\n";

fn folder_with(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_character_vocabulary(&folder.path().join("vocab.txt"));
    fs::write(folder.path().join(name), bytes).unwrap();
    folder
}

/// The one line of an error, after checking that nothing is left behind.
fn error(folder: &Path, arguments: &[&str]) -> String {
    let names =
        || fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>();
    let before = names();
    let output = native().current_dir(folder).arg("prepare").args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_eq!(names(), before, "something was left behind");
    told
}

fn error_with(name: &str, bytes: &[u8], flags: &[&str]) -> String {
    let folder = folder_with(name, bytes);
    error(folder.path(), &[&["--notes", name, "--vocab", "vocab.txt", "--out", "out"], flags].concat())
}

fn assert_says(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "expected {part:?} in: {told}");
    }
}

#[test]
fn files_that_are_not_notes_are_one_line_errors() {
    let good = format!("{HEADER}1,1,N,,Fine.\n");
    let flags = ["--notes", "absent.csv", "--vocab", "vocab.txt", "--out", "out"];
    assert_says(&error(folder_with("notes.csv", b"").path(), &flags), &["absent.csv", "check the name"]);
    assert_says(&error_with("notes.csv", b"", &[]), &["notes.csv is empty", "fetch or export it again"]);
    assert_says(
        &error_with("notes.csv", good.as_bytes(), &["--text-column", "note"]),
        &["\"note\"", "ROW_ID, SUBJECT_ID", "--text-column"],
    );
    assert_says(&error_with("notes.csv", good.as_bytes(), &["--where", "HADM_ID=1"]), &["\"HADM_ID\"", "--where"]);
    assert_says(&error_with("notes.csv", b"a,b\n1,2\n", &[]), &["\"TEXT\"", "a, b"]);
    assert_says(&error_with("notes.jsonl", b"{\"a\": 1}\n", &[]), &["\"TEXT\"", "--text-column"]);
    assert_says(&error_with("notes.csv", HEADER.as_bytes(), &[]), &["no note is left", "0 rows read"]);
    assert_says(&error_with("notes.csv", good.as_bytes(), &["--holdout", "1.5"]), &["--holdout", "1.5"]);
    assert_says(&error_with("notes.csv", good.as_bytes(), &["--max-seq-length", "2"]), &["max_seq_length", "found 2"]);
    let folder = folder_with("notes.csv", good.as_bytes());
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert_says(&error(folder.path(), &["--notes", "empty", "--vocab", "vocab.txt", "--out", "out"]), &["folder without .txt"]);
    assert_says(&error(folder.path(), &["--sentences", "empty", "--vocab", "vocab.txt", "--out", "out"]), &["empty is a folder"]);
    assert_says(&error(folder.path(), &["--notes", "notes.csv", "--out", "out"]), &["--vocab"]);
    assert_says(&error(folder.path(), &["--notes", "notes.csv", "--vocab", "vocab.txt"]), &["--out"]);
    assert_says(&error(folder.path(), &["--vocab", "vocab.txt", "--out", "out"]), &["--notes", "--sentences"]);
    assert_says(&error(folder.path(), &["--notes", "notes.csv", "--vocab", "empty", "--out", "out"]), &["vocab.txt"]);
    fs::write(folder.path().join("no-mask.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n").unwrap();
    assert_says(
        &error(folder.path(), &["--notes", "notes.csv", "--vocab", "no-mask.txt", "--out", "out"]),
        &["no-mask.txt", "[MASK]"],
    );
}

#[test]
fn a_file_without_a_header_does_not_show_its_text() {
    let told = error_with("notes.csv", b"1,2,The patient Mr Smith was seen today for his usual complaint of pain\n", &[]);
    assert_says(&told, &["header line"]);
    assert!(!told.contains("Smith"), "{told}");
}

#[test]
fn a_cut_or_damaged_compressed_file_is_an_error() {
    let rows: String = (0..2000).map(|row| format!("{row},{},N,,Seen today for {} reasons.\n", row % 9, row * row)).collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(format!("{HEADER}{rows}").as_bytes()).unwrap();
    let mut packed = packed.finish().unwrap();
    let cut = &packed[..packed.len() - 100];
    assert_says(&error_with("notes.csv.gz", cut, &[]), &["notes.csv.gz, row ", "was cut before its end", "fetch it again"]);
    let middle = packed.len() / 2;
    packed[middle..middle + 50].fill(0xff);
    assert_says(&error_with("notes.csv.gz", &packed, &[]), &["is damaged", "fetch it again"]);
}

/// Outcomes and reasons of the ledger.
fn outcomes(name: &str, bytes: &[u8]) -> Vec<(String, String, String)> {
    let folder = folder_with(name, bytes);
    run(folder.path(), &["prepare", "--notes", name, "--vocab", "vocab.txt", "--out", "out", "--quiet"]);
    let line = |line: std::collections::BTreeMap<String, String>| {
        let why = if line["byte_offset"].is_empty() {
            String::new()
        } else {
            format!("at {}: {}", line["byte_offset"], line["reason"])
        };
        (line["id"].clone(), line["outcome"].clone(), why)
    };
    ledger(&folder.path().join("out")).into_iter().map(line).collect()
}

fn of<'a>(lines: &'a [(String, String, String)], id: &str) -> (&'a str, &'a str) {
    let line = lines.iter().find(|line| line.0 == id).unwrap_or_else(|| panic!("no line for {id} in {lines:?}"));
    (&line.1, &line.2)
}

#[test]
fn rows_that_cannot_be_read_are_counted_with_place_and_reason() {
    let mut bytes = HEADER.as_bytes().to_vec();
    bytes.extend_from_slice(b"1,1,N,,Good text.\n2,1,N,,\"bad \xff\xfe text\"\n3,1,N,,nul \0 here\n4,1,N\n5,1,N,,a,b,c\n6,1,N,,\"  \n\"\n7,1,N,,Fine.\n");
    let lines = outcomes("notes.csv", &bytes);
    assert_eq!(lines.len(), 7);
    assert_eq!(of(&lines, "1"), ("kept", ""));
    assert_eq!(of(&lines, "2"), ("unreadable", "at 58: not UTF-8: byte 4 of the text"));
    assert_eq!(of(&lines, "3"), ("unreadable", "at 79: a NUL byte: byte 4 of the text"));
    assert_eq!(of(&lines, "4"), ("unreadable", "at 97: 3 fields, expected 5"));
    assert!(of(&lines, "5").1.starts_with("at 103: 7 fields, expected 5"));
    assert_eq!(of(&lines, "6"), ("empty", ""));
    assert_eq!(of(&lines, "7"), ("kept", ""));
}

#[test]
fn a_quote_that_is_never_closed_is_told() {
    let end = outcomes("notes.csv", format!("{HEADER}1,1,N,,Good text.\n2,1,N,,\"never closed\n3,1,N,,lost\n").as_bytes());
    assert_eq!(end.len(), 2);
    assert!(of(&end, "2").1.contains("never closed"));
    let middle =
        format!("{HEADER}1,1,\"N\",,\"Good text.\"\n2,1,\"N\",,\"never closed\n3,1,\"N\",,\"lost\"\n4,1,\"N\",,\"Fine.\"\n");
    let middle = outcomes("notes.csv", middle.as_bytes());
    assert!(of(&middle, "2").1.contains("never closed"));
    assert_eq!(of(&middle, "4"), ("kept", ""));
}

#[test]
fn json_lines_that_cannot_be_read_are_counted() {
    let lines = outcomes(
        "notes.jsonl",
        b"{\"note_id\": 1, \"text\": \"Fine.\"}\n{\"note_id\": 2\n[3]\n{\"note_id\": 4}\n{\"note_id\": 5, \"text\": null}\n",
    );
    assert_eq!(of(&lines, "1"), ("kept", ""));
    assert!(of(&lines, "row 2").1.contains("not JSON"));
    assert!(of(&lines, "row 3").1.contains("expected a JSON object"));
    assert!(of(&lines, "row 4").1.contains("lacks a key"));
    assert_eq!(of(&lines, "5"), ("empty", ""));
}

#[test]
fn a_second_row_with_the_same_id_is_a_duplicate_unless_the_first_was_empty() {
    let lines = outcomes("notes.csv", format!("{HEADER}1,1,N,,\n1,1,N,,Text.\n1,1,N,,More.\n").as_bytes());
    assert_eq!(lines.iter().map(|line| line.1.as_str()).collect::<Vec<_>>(), ["empty", "kept", "duplicate"]);
}

#[test]
fn other_delimiters_are_recognised() {
    for delimiter in ["\t", ";", "|"] {
        let rows = format!("{HEADER}1,1,N,,\"a, b; c\"\n").replace(",,", ",").replace(",ISERROR", "").replace(',', delimiter);
        assert_eq!(of(&outcomes("notes.csv", rows.as_bytes()), "1").0, "kept", "{delimiter:?}");
    }
}

#[test]
fn a_long_note_and_many_empty_rows_are_no_problem() {
    let long = "Word after word. ".repeat(200_000);
    let empty: String = (2..50_000).map(|row| format!("{row},,,,\n")).collect();
    let lines = outcomes("notes.csv", format!("{HEADER}1,1,N,,{long}\n{empty}").as_bytes());
    assert_eq!(lines.len(), 49_999);
    assert_eq!(of(&lines, "1").0, "kept");
    assert_eq!(of(&lines, "49999").0, "empty");
}
