//! A GPU made of g++, for machines that have none: `tests/gpu/emulator`.

use std::path::Path;
use std::process::Command;

/// Builds its libraries in a folder: a program that is started with LD_LIBRARY_PATH there has a GPU. False, with a line that says that the
/// test is skipped, where it cannot be built.
///
/// # Panics
/// The compiler refuses.
pub fn build(folder: &Path) -> bool {
    if !cfg!(target_os = "linux") || Command::new("g++").arg("--version").output().is_err() {
        eprintln!("skipped: needs Linux and g++ to run the kernels on the CPU");
        return false;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("gpu/emulator/build.sh");
    let output = Command::new("bash").arg(script).arg(folder).output();
    let output = output.unwrap_or_else(|error| panic!("bash: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}
