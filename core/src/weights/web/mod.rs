//! Weights as a page fetches them: a manifest that says everything beforehand, and one stream of rows cut into shards.
//!
//! Tensors stand in the order in which the graph asks for them ([`crate::bert::Weights::build`]), query, key and value as one, so that a
//! stream can fill them on the machine one after the other and nothing is ever held twice. Shards are what a browser can fetch, check and
//! keep by itself; a row may begin in one and end in the next.

mod loader;
mod manifest;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use loader::Loader;
pub use manifest::{Manifest, NamedFile, Source, StoredTensor, TokenizerFacts};
pub use read::WebWeights;
pub use write::{Description, write};

/// Name of the file that says what the others are.
pub const MANIFEST: &str = "manifest.json";

/// Most bytes of a shard: few enough for a browser to fetch again after an interruption.
pub const SHARD_BYTES: usize = 16 << 20;

/// SHA-256 in hexadecimal digits, as a manifest has it.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hexadecimal(Sha256::digest(bytes).as_slice())
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
