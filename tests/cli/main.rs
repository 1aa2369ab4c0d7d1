//! The real `native` binary, driven as a user drives it. Build it first: `cargo build -p clinicalbert-native`.

mod convert;
mod cuda;
mod damaged_models;
mod demo;
mod doctor;
mod models;
mod prepare;
mod prepare_bad_input;
mod prepare_choices;
mod prepare_disk;
mod prepare_interrupted;
mod prepare_parts;
mod train;
mod train_interrupted;
mod train_settings;
mod train_watchdog;
mod vocab_extension;

use std::path::Path;
use std::process::Output;

/// The binary, ready for arguments.
fn native() -> assert_cmd::Command {
    assert_cmd::Command::new(assert_cmd::cargo::cargo_bin("native"))
}

/// Runs the binary in a folder and expects success.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    let output = native().current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The one line of an error.
fn error(folder: &Path, arguments: &[&str]) -> String {
    let output = native().current_dir(folder).args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    told
}

/// A vocabulary of single characters, so that every ASCII text has tokens.
fn write_character_vocabulary(path: &Path) {
    let mut entries: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from).into();
    for character in ('!'..='~').map(String::from) {
        entries.push(format!("##{character}"));
        entries.push(character);
    }
    std::fs::write(path, entries.join("\n") + "\n").unwrap();
}
