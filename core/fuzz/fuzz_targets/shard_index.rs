//! `model.safetensors.index.json`, over shards that all hold one tensor.

#![no_main]

use clinicalbert_core::weights::{Safetensors, ShardIndex, WeightsFile};
use libfuzzer_sys::fuzz_target;

const HEADER: &str = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;

fuzz_target!(|bytes: &[u8]| {
    let Ok(index) = ShardIndex::from_json(bytes) else { return };
    let shard = [&(HEADER.len() as u64).to_le_bytes()[..], HEADER.as_bytes(), &[0; 4]].concat();
    let shards = vec![shard.as_slice(); index.shards().len()];
    if let Ok(file) = Safetensors::open_shards(&index, &shards) {
        file.list();
    }
});
