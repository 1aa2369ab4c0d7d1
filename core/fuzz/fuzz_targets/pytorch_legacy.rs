//! `pytorch_model.bin` as a series of pickles, behind the magic number that every such file begins with.

#![no_main]

use clinicalbert_core::weights::{PyTorch, WeightsFile, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.";
    let bytes = [&magic[..], bytes].concat();
    let Ok(file) = PyTorch::open(&bytes) else { return };
    for listing in file.list() {
        let _ = file.read(&listing.name);
    }
    let _ = load(&file, None);
});
