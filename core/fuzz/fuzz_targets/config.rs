//! `config.json`.

#![no_main]

use clinicalbert_core::bert::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Config::from_json(bytes);
});
