//! Tests that need a GPU. Libraries are chosen when a process starts, so such a test runs itself once more with the emulated one
//! (`tests/gpu/emulator`), or with CLINICALBERT_TEST_GPU=1 on a real one.

use std::process::Command;

use clinicalbert_tests::emulated_gpu;

use super::gpu::gpus;

/// Says that this process has a GPU, real or not.
const HAS_GPU: &str = "CLINICALBERT_TEST_GPU";

/// Whether this process has a GPU that is not emulated.
pub fn is_real() -> bool {
    std::env::var_os(HAS_GPU).is_some() && gpus().is_ok_and(|gpus| gpus.first().is_some_and(|gpu| gpu.name != "emulated GPU"))
}

/// Whether this process has a GPU and the test can go on. If not, `test` (its full name) is run in a process that has the emulated one.
pub fn on_a_gpu(test: &str) -> bool {
    if std::env::var_os(HAS_GPU).is_some() {
        return true;
    }
    let folder = tempfile::tempdir().unwrap();
    if !emulated_gpu::build(folder.path()) {
        return false;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([test, "--exact", "--nocapture"]).env(HAS_GPU, "1").env_remove("CLINICALBERT_CUDA");
    again.env("LD_LIBRARY_PATH", folder.path()).env("XDG_CACHE_HOME", folder.path());
    let output = again.output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    assert!(!told.contains("warning:"), "{told}");
    false
}
