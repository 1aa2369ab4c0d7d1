//! `native prepare` on good input: the original's bytes, and every row accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use clinicalbert_core::examples::tfrecord::Records;
use clinicalbert_tests::reference;
use serde_json::Value;

use super::{native, run, write_character_vocabulary};

pub fn summary(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("summary.json")).unwrap()).unwrap()
}

/// Lines of the ledger by column.
pub fn ledger(folder: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(folder.join("ledger.csv")).unwrap().deserialize().map(Result::unwrap).collect()
}

/// Every row has one outcome, and ledger and summary agree.
fn assert_accounted_for(folder: &Path, rows: u64) {
    let (summary, ledger) = (summary(folder), ledger(folder));
    assert_eq!(summary["rows_read"], rows);
    assert_eq!(ledger.len() as u64, rows);
    let outcomes = summary["outcomes"].as_object().unwrap();
    assert_eq!(outcomes.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), rows);
    for (outcome, count) in outcomes {
        assert_eq!(ledger.iter().filter(|line| line["outcome"] == *outcome).count() as u64, count.as_u64().unwrap(), "{outcome}");
    }
    for column in ["sections", "sentences", "tokens", "unknown_pieces"] {
        let total: u64 =
            ledger.iter().filter(|line| line["outcome"] == "kept").map(|line| line[column].parse::<u64>().unwrap()).sum();
        assert_eq!(summary[column], total, "{column}");
    }
}

pub fn records(file: &Path) -> Vec<Vec<u8>> {
    Records::new(&fs::read(file).unwrap()).map(|record| record.unwrap().to_vec()).collect()
}

pub fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

pub fn invented_notes(folder: &Path, notes: usize) {
    run(folder, &["sample", "--notes", &notes.to_string(), "--out", "notes.csv.gz", "--quiet"]);
    write_character_vocabulary(&folder.join("vocab.txt"));
}

#[test]
fn google_flags_as_written_give_the_bytes_of_googles_program() {
    let Some(data) = reference("data/pretraining-data") else { return };
    let Some(vocab) = reference("data/vocab/bert-base-cased-vocab.txt") else { return };
    let folder = tempfile::tempdir().unwrap();
    for input in ["a-input.txt", "b-input-1.txt", "b-input-2.txt"] {
        fs::write(folder.path().join(input), unpacked(&data.join(format!("{input}.gz")))).unwrap();
    }
    let runs: [(&str, &[&str]); 3] = [
        (
            "--input_file=a-input.txt --output_file=a.tfrecord --do_lower_case=False --max_seq_length=128 --max_predictions_per_seq=20 \
             --masked_lm_prob=0.15 --random_seed=12345 --dupe_factor=5",
            &["a"],
        ),
        (
            "--input_file=b-input-1.txt,b-input-2.txt --output_file=b-0.tfrecord,b-1.tfrecord --do_lower_case=False \
             --do_whole_word_mask=True --max_seq_length=64 --max_predictions_per_seq=10 --masked_lm_prob=0.15 --short_seq_prob=0.25 \
             --random_seed=7 --dupe_factor=2",
            &["b-0", "b-1"],
        ),
        (
            "--input_file=b-input-1.txt --output_file=c.tfrecord --do_lower_case=True --max_seq_length=512 --max_predictions_per_seq=77 \
             --masked_lm_prob=0.15 --random_seed=2024 --dupe_factor=1",
            &["c"],
        ),
    ];
    for (flags, outputs) in runs {
        let vocab = format!("--vocab_file={}", vocab.display());
        run(folder.path(), &[&["prepare", &vocab], flags.split_whitespace().collect::<Vec<_>>().as_slice()].concat());
        for output in outputs {
            let ours = fs::read(folder.path().join(format!("{output}.tfrecord"))).unwrap();
            assert!(ours == unpacked(&data.join(format!("{output}.tfrecord.gz"))), "{output}.tfrecord differs");
        }
    }
}

#[test]
fn every_row_is_accounted_for_and_the_folder_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 400);
    let prepare = ["prepare", "--notes", "notes.csv.gz", "--vocab", "vocab.txt", "--out", "out", "--holdout", "0.1", "--json"];
    let told: Value = serde_json::from_slice(&run(folder.path(), &prepare).stdout).unwrap();
    let out = folder.path().join("out");
    assert_accounted_for(&out, 400);
    let summary = summary(&out);
    assert_eq!(told["examples"], summary["examples"]);
    assert!(summary["outcomes"]["error_flag"].as_u64().unwrap() > 0);
    assert_eq!(records(&out.join("examples-00000-of-00001.tfrecord")).len() as u64, summary["examples"].as_u64().unwrap());
    let held_out = records(&out.join("holdout/examples-00000-of-00001.tfrecord"));
    assert_eq!(held_out.len() as u64, summary["holdout_examples"].as_u64().unwrap());
    assert!(!held_out.is_empty());
    for name in ["vocab.txt", "tokenizer.json", "examples-00000-of-00001.tfrecord.index"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing but input, vocabulary and result is left");
}

#[test]
fn examples_are_dealt_to_shards_in_turn_and_indexed() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 60);
    let prepare = |out: &str, shards: &str, threads: &str| {
        let flags = ["--shards", shards, "--threads", threads, "--quiet"];
        run(folder.path(), &[&["prepare", "--notes", "notes.csv.gz", "--vocab", "vocab.txt", "--out", out], &flags[..]].concat());
    };
    prepare("one", "1", "1");
    prepare("three", "3", "4");
    let all = records(&folder.path().join("one/examples-00000-of-00001.tfrecord"));
    for shard in 0..3 {
        let path = folder.path().join(format!("three/examples-{shard:05}-of-00003.tfrecord"));
        let dealt: Vec<_> = all.iter().skip(shard).step_by(3).cloned().collect();
        assert!(records(&path) == dealt, "shard {shard}");
        let index = fs::read(path.with_extension("tfrecord.index")).unwrap();
        assert_eq!(&index[..8], b"CBINDEX1");
        let numbers: Vec<u64> = index[8..].chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap())).collect();
        assert_eq!(numbers[0], dealt.len() as u64);
        assert_eq!(numbers.len(), dealt.len() + 2);
        assert_eq!(*numbers.last().unwrap(), fs::metadata(&path).unwrap().len());
    }
}

#[test]
fn parts_take_each_row_once() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 50);
    let mut ids = Vec::new();
    for part in ["1/3", "2/3", "3/3"] {
        let out = part.replace('/', "-of-");
        run(
            folder.path(),
            &["prepare", "--notes", "notes.csv.gz", "--vocab", "vocab.txt", "--out", &out, "--shard", part, "--quiet"],
        );
        ids.extend(ledger(&folder.path().join(out)).into_iter().map(|line| line["id"].clone()));
    }
    assert_eq!(ids.len(), 50);
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 50);
}

#[test]
fn filters_leave_rows_out_and_count_them() {
    let folder = tempfile::tempdir().unwrap();
    write_character_vocabulary(&folder.path().join("vocab.txt"));
    let rows = "row_id,subject_id,hadm_id,category,iserror,text\n1,1,10,Nursing,,Stable today.\n2,1,11,Radiology,,No change.\n\
                3,2,11,Nursing ,1,Wrong chart.\n4,2,11,nursing,,Went home.\n5,2,11,Nursing,,Slept well.\n";
    fs::write(folder.path().join("notes.csv"), rows).unwrap();
    let outcomes = |out: &str, flags: &[&str]| {
        let common = ["prepare", "--notes", "notes.csv", "--vocab", "vocab.txt", "--quiet", "--out", out];
        run(folder.path(), &[&common[..], flags].concat());
        ledger(&folder.path().join(out)).into_iter().map(|line| line["outcome"].clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(outcomes("a", &["--category", "Nursing"]), "kept filtered error_flag kept kept");
    assert_eq!(outcomes("b", &["--include-errors", "--where", "HADM_ID=11"]), "filtered kept kept kept kept");
    assert_eq!(outcomes("c", &["--max-notes", "2"]), "kept kept");
}

#[test]
fn the_same_notes_in_every_form_give_the_same_examples() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_character_vocabulary(&path("vocab.txt"));
    let texts = ["Chest pain.\nPlan: aspirin, rest. Follow up.", "Brief \"visit\". No fever. Home.", "X-ray clear. No effusion."];
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let csv: String = texts.iter().enumerate().map(|(id, text)| format!("{id},{}\r\n", quoted(text))).collect();
    fs::write(path("notes.csv"), format!("\u{feff}note_id,TEXT\r\n{csv}")).unwrap();
    fs::write(path("notes.tsv"), format!("note_id\tTEXT\n{csv}").replace(",\"", "\t\"")).unwrap();
    let json: String = texts
        .iter()
        .enumerate()
        .map(|(id, text)| serde_json::json!({"note_id": id, "text": text}).to_string() + "\n\n")
        .collect();
    fs::write(path("notes.jsonl"), &json).unwrap();
    fs::create_dir_all(path("notes/deep")).unwrap();
    for (name, text) in ["a.txt", "b.txt", "deep/c.TXT"].iter().zip(texts) {
        fs::write(path("notes").join(name), text).unwrap();
    }
    for (number, text) in texts.iter().enumerate() {
        fs::write(path(&format!("part-{number}.csv")), format!("Text\n{}\n", quoted(text))).unwrap();
    }
    let mut results = Vec::new();
    for (number, input) in ["notes.csv", "notes.tsv", "notes.jsonl", "notes", "part-*.csv", "-"].into_iter().enumerate() {
        let out = format!("out-{number}");
        let arguments = ["prepare", "--notes", input, "--vocab", "vocab.txt", "--out", &out, "--quiet"];
        native().current_dir(folder.path()).args(arguments).write_stdin(json.clone()).assert().success();
        assert_accounted_for(&path(&out), 3);
        results.push(fs::read(path(&out).join("examples-00000-of-00001.tfrecord")).unwrap());
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn the_same_command_twice_does_nothing_and_another_one_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 20);
    let prepare = ["prepare", "--notes", "notes.csv.gz", "--vocab", "vocab.txt", "--out", "out"];
    run(folder.path(), &prepare);
    let before = fs::metadata(folder.path().join("out/summary.json")).unwrap().modified().unwrap();
    let again = run(folder.path(), &prepare);
    assert!(String::from_utf8_lossy(&again.stderr).contains("already prepared"));
    let other = native().current_dir(folder.path()).args(prepare).args(["--dupe-factor", "2"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another preparation"));
    assert_eq!(fs::metadata(folder.path().join("out/summary.json")).unwrap().modified().unwrap(), before);
}

#[test]
fn a_vocabulary_of_more_than_65536_entries_works() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 20);
    let vocab = fs::read_to_string(folder.path().join("vocab.txt")).unwrap();
    let filler: String = (0..70_000).map(|number| format!("[unused{number}]\n")).collect();
    // The characters come last, so that their ids need more than two bytes.
    let (special, characters) = vocab.split_at(vocab.find("##").unwrap());
    fs::write(folder.path().join("large.txt"), format!("{special}{filler}{characters}")).unwrap();
    run(folder.path(), &["prepare", "--notes", "notes.csv.gz", "--vocab", "large.txt", "--out", "out", "--quiet"]);
    assert!(summary(&folder.path().join("out"))["examples"].as_u64().unwrap() > 20);
}

#[test]
fn reference_notes_are_prepared_and_accounted_for() {
    let Some(synthetic) = reference("data/synthetic-noteevents/NOTEEVENTS-dev.csv.gz") else { return };
    let Some(transcriptions) = reference("data/mtsamples/mtsamples-dev.csv.gz") else { return };
    let Some(vocab) = reference("data/vocab/bert-base-cased-vocab.txt") else { return };
    let folder = tempfile::tempdir().unwrap();
    let vocab = vocab.to_str().unwrap();
    for (splitter, lost) in [("clinical", 0), ("fixed", 1), ("faithful", 2), ("none", 0)] {
        let input = synthetic.to_str().unwrap();
        run(
            folder.path(),
            &["prepare", "--notes", input, "--vocab", vocab, "--out", splitter, "--splitter", splitter, "--quiet"],
        );
        let out = folder.path().join(splitter);
        assert_accounted_for(&out, 132);
        let found = summary(&out)["outcomes"]["lost_by_original_rules"].as_u64().unwrap_or(0);
        assert_eq!(found, lost, "notes lost by {splitter}");
    }
    let input = transcriptions.to_str().unwrap();
    let flags = ["--text-column", "transcription", "--vocab", vocab, "--out", "mtsamples", "--dupe-factor", "1", "--quiet"];
    run(folder.path(), &[&["prepare", "--notes", input], &flags[..]].concat());
    assert_accounted_for(&folder.path().join("mtsamples"), 4_499);
    assert_eq!(summary(&folder.path().join("mtsamples"))["kept"], 4_473);
}
