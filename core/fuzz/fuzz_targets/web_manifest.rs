//! `manifest.json` of weights for the web.

#![no_main]

use clinicalbert_core::weights::web::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::from_json(bytes) else { return };
    assert!(!manifest.list().is_empty() && manifest.to_json().is_ok());
});
