//! Model folders: configuration, weights of any format, vocabulary. Read as Hugging Face and as Google lay them out, written as
//! Hugging Face does.

mod find;
mod optimizer;
mod tokenizer;
mod weights;
mod write;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clinicalbert_core::{
    bert::{Config, Heads, Part},
    tokenizer::{Case, WordPiece},
    weights::{Loaded, load},
};

use crate::small_file;
pub use find::Found;
pub use optimizer::{OPTIMIZER, read_moments, write_moments, write_slots};
pub use tokenizer::{read_tokenizer, read_vocabulary};
pub use write::{write_companions, write_config_and_vocabulary, write_files, write_folder};

/// Names that the configuration may have: Hugging Face's, Google's.
const CONFIG_FILES: [&str; 2] = ["config.json", "bert_config.json"];

/// A model as read.
pub struct ModelFolder {
    /// The folder.
    pub path: PathBuf,
    /// Shape of the model.
    pub config: Config,
    /// Where the weights were.
    pub found: Found,
    /// Weights by name, and what the file had beside them.
    pub loaded: Loaded,
    /// The tokenizer; its vocabulary fits the model.
    pub tokenizer: WordPiece,
}

impl ModelFolder {
    /// Reads a folder, or the folder of the weights file or TensorFlow prefix that is given.
    ///
    /// # Errors
    /// What is missing, damaged or does not fit together, and what to do about it.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_with(path, None, None)
    }

    /// Reads weights with a configuration and a vocabulary that may lie elsewhere; those beside the weights if not given.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_with(path: &Path, config: Option<&Path>, vocab: Option<&Path>) -> Result<Self> {
        let found = Found::at(path)?;
        let folder = found.folder();
        let config = config.map_or_else(|| config_in(&folder), read_config_file)?;
        let tokenizer = vocab.map_or_else(|| read_tokenizer(&folder), read_vocabulary)?;
        check_vocabulary(&tokenizer, &config, vocab.unwrap_or(&folder))?;
        // Last, because the small files are quickly found wrong.
        let loaded = found.open(|file| Ok(load(file, Some(&config))?))?;
        Ok(Self { path: folder, config, found, loaded, tokenizer })
    }

    /// Requires a head.
    ///
    /// # Errors
    /// The weights do not have it: what the folder can be used for all the same.
    pub fn require(&self, part: Part, purpose: &str) -> Result<()> {
        let place = || format!("{} cannot be used for {purpose}", self.path.display());
        self.loaded.plan.require(part).with_context(place)
    }

    /// Which heads the weights have.
    pub fn heads(&self) -> Heads {
        Heads::of(&self.config, &self.loaded.tensors)
    }

    /// What is worth knowing before using the model, in a line.
    pub fn describe(&self) -> String {
        let Config { hidden_size, num_hidden_layers, num_attention_heads, .. } = self.config;
        let case = case_name(self.tokenizer.case());
        format!(
            "{num_hidden_layers} layers, {hidden_size} wide, {num_attention_heads} heads, {case} vocabulary of {}",
            self.tokenizer.vocab_size()
        )
    }
}

/// `cased` or `uncased`.
pub const fn case_name(case: Case) -> &'static str {
    match case {
        Case::Cased => "cased",
        Case::Uncased => "uncased",
    }
}

/// The folder itself, or the one that holds the file or prefix.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        _ if path.is_dir() => path.to_owned(),
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Reads the configuration that belongs to the weights at `path`.
///
/// # Errors
/// There are no weights, or as [`config_in`].
pub fn read_config(path: &Path) -> Result<Config> {
    config_in(&Found::at(path)?.folder())
}

/// Reads `config.json` or `bert_config.json` of a folder.
///
/// # Errors
/// There is none, or it describes no BERT.
pub fn config_in(folder: &Path) -> Result<Config> {
    let file = CONFIG_FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file());
    let file = file.with_context(|| {
        format!(
            "{} has neither config.json nor bert_config.json: put the one that belongs to the weights there",
            folder.display()
        )
    })?;
    read_config_file(&file)
}

/// Reads a configuration file.
///
/// # Errors
/// It cannot be read or describes no BERT.
pub fn read_config_file(file: &Path) -> Result<Config> {
    let bytes = small_file::read(file)?;
    Config::from_json(&bytes).with_context(|| file.display().to_string())
}

/// Reads the weights of a folder, or a weights file.
///
/// # Errors
/// There are none, or they do not fit `config`.
pub fn read_weights(path: &Path, config: &Config) -> Result<Loaded> {
    Found::at(path)?.open(|file| Ok(load(file, Some(config))?))
}

/// Checks that every id of the tokenizer has a row in the model.
///
/// # Errors
/// The vocabulary is longer than the model's.
pub fn check_vocabulary(tokenizer: &WordPiece, config: &Config, source: &Path) -> Result<()> {
    ensure!(
        tokenizer.vocab_size() <= config.vocab_size,
        "the vocabulary at {} has {} entries, the model {}: use the vocab.txt that belongs to the model",
        source.display(),
        tokenizer.vocab_size(),
        config.vocab_size
    );
    Ok(())
}
