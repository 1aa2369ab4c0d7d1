//! Opening weights of any format: files are mapped, so a tensor is in memory only once it has been read.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clinicalbert_core::weights::web::{Manifest, WebWeights};
use clinicalbert_core::weights::{Bundle, BundleIndex, Format, Listing, PyTorch, Safetensors, ShardIndex, WeightsFile};
use memmap2::Mmap;

use super::find::Found;
use crate::mapped_file::map;

impl Found {
    /// Opens the weights and hands them to `use_weights`.
    ///
    /// # Errors
    /// A file is missing or damaged, or what `use_weights` returned; the file is named.
    pub fn open<T>(&self, use_weights: impl FnOnce(&dyn WeightsFile) -> Result<T>) -> Result<T> {
        let result = || -> Result<T> {
            let main = map(&self.file)?;
            let parts = self.parts(&main)?.iter().map(|file| map(file)).collect::<Result<Vec<Mmap>>>()?;
            let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
            match self.format {
                Format::Safetensors => use_weights(&Safetensors::open(&main)?),
                Format::SafetensorsIndex => use_weights(&Safetensors::open_shards(&ShardIndex::from_json(&main)?, &parts)?),
                Format::PyTorch => use_weights(&PyTorch::open(&main)?),
                Format::TensorFlow => use_weights(&Bundle::open(BundleIndex::open(&main)?, parts)?),
                Format::Web => use_weights(&WebWeights::open(&Manifest::from_json(&main)?, &parts)?),
            }
        };
        result().with_context(|| self.file.display().to_string())
    }

    /// What is in the weights. A TensorFlow index and a manifest tell without the data.
    ///
    /// # Errors
    /// As [`Found::open`].
    pub fn list(&self) -> Result<Vec<Listing>> {
        match self.format {
            Format::TensorFlow => {
                let index = BundleIndex::open(&map(&self.file)?).with_context(|| self.file.display().to_string())?;
                Ok(index.list())
            }
            Format::Web => {
                let manifest = Manifest::from_json(&map(&self.file)?).with_context(|| self.file.display().to_string())?;
                Ok(manifest.list())
            }
            _ => self.open(|file| Ok(file.list())),
        }
    }

    /// All files that hold the weights: the index, if there is one, and what it names.
    ///
    /// # Errors
    /// A file that the index names is not there.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let parts = self.parts(&map(&self.file)?).with_context(|| self.file.display().to_string())?;
        Ok([vec![self.file.clone()], parts].concat())
    }

    /// The files that the index names; none for a format without one.
    fn parts(&self, main: &[u8]) -> Result<Vec<PathBuf>> {
        let names: Vec<String> = match self.format {
            Format::Safetensors | Format::PyTorch => return Ok(Vec::new()),
            Format::SafetensorsIndex => ShardIndex::from_json(main)?.shards().into_iter().map(str::to_owned).collect(),
            Format::Web => Manifest::from_json(main)?.shards.into_iter().map(|shard| shard.name).collect(),
            Format::TensorFlow => {
                BundleIndex::open(main)?.data_files(&self.file.file_stem().unwrap_or_default().to_string_lossy())
            }
        };
        ensure!(
            self.format == Format::Web || !names.iter().any(|name| name.ends_with(".bin")),
            "PyTorch weights in shards are not read: save the model again with save_pretrained of transformers, which writes safetensors"
        );
        let parts: Vec<PathBuf> = names.iter().map(|name| self.file.with_file_name(name)).collect();
        for part in &parts {
            ensure!(part.is_file(), "{} is missing: copy it there too", part.display());
        }
        Ok(parts)
    }
}
