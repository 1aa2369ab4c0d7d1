//! `native prepare` on disks that are full or cannot be written to: an error that says so, and nothing that looks whole.
//!
//! The disks are small ones in memory, in a mount namespace of the test's own; where that is not allowed the tests say that they are skipped.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::prepare::invented_notes;

/// Runs `native prepare` with `disk` mounted with these options, then `after`, a line of shell; `None` where mounting is not allowed.
fn prepare_on(folder: &Path, options: &str, after: &str) -> Option<Output> {
    let disk = folder.join("disk");
    fs::create_dir_all(&disk).unwrap();
    let native = assert_cmd::cargo::cargo_bin("native");
    let script = format!(
        "mount -t tmpfs -o {options} none disk || exit 99\n\
         '{}' prepare --notes notes.csv.gz --vocab vocab.txt --out disk/out --quiet\n status=$?\n{after}\nexit $status",
        native.display()
    );
    let run =
        |unshare: &[&str]| Command::new("unshare").args(unshare).args(["sh", "-c", &script]).current_dir(folder).output().ok();
    let outputs = [&["--mount"][..], &["--mount", "--map-root-user"]].into_iter().filter_map(run);
    let done = outputs
        .filter(|output| !String::from_utf8_lossy(&output.stderr).contains("unshare"))
        .find(|output| output.status.code() != Some(99));
    if done.is_none() {
        println!("skipped: mounting a small disk is not allowed here");
    }
    done
}

#[test]
fn a_full_disk_is_told_and_nothing_is_left_on_it() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 400);
    for kilobytes in [64, 512, 2048, 8192] {
        let Some(output) = prepare_on(folder.path(), &format!("size={kilobytes}k"), "ls -A disk") else { return };
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{kilobytes} KB: {told}");
        assert!(told.contains("No space left") && told.contains("free some space"), "{kilobytes} KB: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "left behind at {kilobytes} KB");
    }
}

#[test]
fn an_output_that_cannot_be_written_to_is_told() {
    let folder = tempfile::tempdir().unwrap();
    invented_notes(folder.path(), 5);
    let Some(output) = prepare_on(folder.path(), "ro", "ls -A disk") else { return };
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("Read-only file system") && told.lines().count() == 1, "{told}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}
