//! `PREFIX.index` of a TensorFlow checkpoint, over data files of zeros.

#![no_main]

use clinicalbert_core::weights::{Bundle, BundleIndex, WeightsFile, load, load_slots};
use libfuzzer_sys::fuzz_target;

/// As large as the tensors of a small model.
static DATA: [u8; 1 << 19] = [0; 1 << 19];

fuzz_target!(|bytes: &[u8]| {
    let Ok(index) = BundleIndex::open(bytes) else { return };
    let shards = index.data_files("prefix").len();
    let Ok(bundle) = Bundle::open(index, vec![&DATA; shards]) else { return };
    for listing in bundle.list() {
        let _ = bundle.read(&listing.name);
    }
    let _ = (load(&bundle, None), load_slots(&bundle, None), bundle.global_step());
});
