//! What the end-to-end and parity tests share: where reference data lies and how to read it.

pub mod emulated_gpu;
pub mod quality;

use std::path::PathBuf;

/// A file or folder of the reference data beside the checkout, or `None`, with a line saying that the test is skipped.
///
/// Usage: `let Some(path) = reference("spec/golden/sections.jsonl") else { return };`
pub fn reference(path: &str) -> Option<PathBuf> {
    let full = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("skipped: needs ../shared/{path}");
    None
}
