//! A GPU made of g++, for the tests: a library that stands in for NVIDIA's three (`driver.cpp`, `products.cpp`) and runs our kernels on the CPU
//! (`threads.cpp`). Libraries are chosen when a process starts, so a test that needs a GPU runs itself once more with this one, or with
//! CLINICALBERT_TEST_GPU=1 on a real one.

use std::fs;
use std::path::Path;
use std::process::Command;

const SOURCES: [(&str, &str); 4] = [
    ("driver.cpp", include_str!("driver.cpp")),
    ("products.cpp", include_str!("products.cpp")),
    ("driver.h", include_str!("driver.h")),
    ("threads.cpp", include_str!("threads.cpp")),
];
/// Says that this process has a GPU, real or not.
const HAS_GPU: &str = "CLINICALBERT_TEST_GPU";
/// Names by which NVIDIA's libraries are looked for.
const NAMES: [&str; 6] = ["libcuda.so", "libcuda.so.1", "libnvrtc.so", "libnvrtc.so.13", "libcublasLt.so", "libcublasLt.so.13"];

/// Whether this process has a GPU and the test can go on. If not, `test` (its full name) is run in a process that has the emulated one.
pub fn on_a_gpu(test: &str) -> bool {
    if std::env::var_os(HAS_GPU).is_some() {
        return true;
    }
    if Command::new("g++").arg("--version").output().is_err() {
        println!("skipped: needs g++ to run the kernels on the CPU");
        return false;
    }
    let folder = tempfile::tempdir().unwrap();
    build(folder.path());
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([test, "--exact", "--nocapture"]).env(HAS_GPU, "1").env_remove("CLINICALBERT_CUDA");
    again.env("LD_LIBRARY_PATH", folder.path()).env("XDG_CACHE_HOME", folder.path());
    let output = again.output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    assert!(!told.contains("warning:"), "{told}");
    false
}

/// Builds the emulated GPU's libraries in a folder.
fn build(folder: &Path) {
    for (name, text) in SOURCES {
        fs::write(folder.join(name), text).unwrap();
    }
    let quoted = |path: &Path| format!("\"{}\"", path.display());
    let mut compiler = Command::new("g++");
    compiler.current_dir(folder).args([
        "-std=c++17",
        "-O1",
        "-w",
        "-fPIC",
        "-shared",
        "driver.cpp",
        "products.cpp",
        "-ldl",
        "-o",
    ]);
    compiler.arg(NAMES[0]).arg(format!("-DTHREADS={}", quoted(&folder.join("threads.cpp"))));
    compiler.arg(format!("-DFOLDER={}", quoted(folder)));
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in &NAMES[1..] {
        fs::hard_link(folder.join(NAMES[0]), folder.join(name)).unwrap();
    }
}
