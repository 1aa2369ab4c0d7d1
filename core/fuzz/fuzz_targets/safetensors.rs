//! `model.safetensors`.

#![no_main]

use clinicalbert_core::weights::{Safetensors, WeightsFile, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = Safetensors::open(bytes) else { return };
    for listing in file.list() {
        let _ = file.read(&listing.name);
    }
    let _ = load(&file, None);
});
