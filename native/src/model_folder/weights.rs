//! Finding and opening weights: a file, the shards of one, or a folder with either.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clinicalbert_core::weights::{Safetensors, ShardIndex, WeightsFile};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The weights files of a folder, or the one that is given; several if the model is in shards, in the order of the index.
///
/// # Errors
/// There are none.
pub fn weights_files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    ensure!(path.exists(), "no model at {}: expected a folder with model.safetensors, or such a file", path.display());
    if path.join(SINGLE).is_file() {
        return Ok(vec![path.join(SINGLE)]);
    }
    if path.join(INDEX).is_file() {
        let index = read_index(&path.join(INDEX))?;
        return Ok(index.shards().into_iter().map(|name| path.join(name)).collect());
    }
    bail!("{} has no weights: expected model.safetensors (or {INDEX} and its shards) in it", path.display())
}

/// Opens the weights at `path` and hands them to `use_weights`.
///
/// # Errors
/// There are none, they are damaged, or what `use_weights` returned; the file is named.
pub fn with_weights<T>(path: &Path, use_weights: impl FnOnce(&dyn WeightsFile) -> Result<T>) -> Result<T> {
    let files = weights_files(path)?;
    let read = |file: &PathBuf| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    let bytes = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    let slices: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
    let result = match slices.as_slice() {
        [single] if !path.join(INDEX).is_file() => Safetensors::open(single),
        shards => Safetensors::open_shards(&read_index(&path.join(INDEX))?, shards),
    };
    let name = || files.first().map(|file| file.display().to_string()).unwrap_or_default();
    use_weights(&result.with_context(name)?).with_context(name)
}

fn read_index(file: &Path) -> Result<ShardIndex> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    ShardIndex::from_json(&bytes).with_context(|| file.display().to_string())
}
