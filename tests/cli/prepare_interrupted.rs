//! `native prepare` killed at any moment: the same command goes on and ends with the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{run, write_character_vocabulary};

const KILLS: u32 = 50;

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
        if entry.is_dir() {
            files.extend(contents(&entry).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            files.insert(name, fs::read(&entry).unwrap());
        }
    }
    files
}

fn assert_same(folder: &Path, kills: u32) {
    let [ours, theirs] = ["out", "undisturbed"].map(|name| contents(&folder.join(name)));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "after {kills} kills");
    let different: Vec<_> = ours.keys().filter(|name| ours[*name] != theirs[*name]).collect();
    assert!(different.is_empty(), "after {kills} kills: {different:?} differ");
}

#[test]
fn killed_at_fifty_moments_it_ends_with_the_bytes_of_an_undisturbed_run() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["sample", "--notes", "1500", "--out", "notes.csv.gz", "--quiet"]);
    write_character_vocabulary(&folder.path().join("vocab.txt"));
    let prepare = |out: &str| {
        let flags = ["--holdout", "0.1", "--shards", "4", "--dupe-factor", "2", "--checkpoint-every", "100", "--quiet"];
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("native"));
        command
            .current_dir(folder.path())
            .args(["prepare", "--notes", "notes.csv.gz", "--vocab", "vocab.txt", "--out", out])
            .args(flags);
        command.stderr(Stdio::inherit());
        command
    };
    let start = Instant::now();
    assert!(prepare("undisturbed").status().unwrap().success());
    let whole_run = start.elapsed();

    let (mut kills, mut finished, mut gone_on) = (0, 0, 0);
    while kills < KILLS {
        let mut child = prepare("out").spawn().unwrap();
        // Moments spread over the length of a run by the golden ratio.
        std::thread::sleep(whole_run.mul_f64(f64::from(kills + 1) * 0.618_034 % 1.0).max(Duration::from_millis(2)));
        kills += 1;
        child.kill().unwrap();
        child.wait().unwrap();
        let work = folder.path().join(".out.partial");
        gone_on += u32::from(work.join("tokens.json").exists());
        if folder.path().join("out").exists() {
            finished += 1;
            assert_same(folder.path(), kills);
            fs::remove_dir_all(folder.path().join("out")).unwrap();
            let _ = fs::remove_dir_all(&work);
        }
    }
    assert!(gone_on > 0, "no kill came between two checkpoints");
    assert!(prepare("out").status().unwrap().success());
    assert_same(folder.path(), kills);
    assert!(!folder.path().join(".out.partial").exists());
    println!("{kills} kills, {gone_on} of them past a checkpoint, {finished} runs finished in between");
}
