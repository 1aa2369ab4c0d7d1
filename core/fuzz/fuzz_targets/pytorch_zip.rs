//! `pytorch_model.bin` as a zip archive.

#![no_main]

use clinicalbert_core::weights::{PyTorch, WeightsFile, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Otherwise it is the older format.
    if !bytes.starts_with(b"PK") {
        return;
    }
    let Ok(file) = PyTorch::open(bytes) else { return };
    for listing in file.list() {
        let _ = file.read(&listing.name);
    }
    let _ = load(&file, None);
});
