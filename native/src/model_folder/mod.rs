//! Model folders as Hugging Face lays them out: configuration, weights, vocabulary.

mod tokenizer;
mod weights;
mod write;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clinicalbert_core::{
    bert::{Config, Part},
    tokenizer::{Case, WordPiece},
    weights::Loaded,
};

pub use tokenizer::{read_tokenizer, read_vocabulary};
pub use weights::{weights_files, with_weights};
pub use write::{write_files, write_folder};

/// Names that the configuration may have: Hugging Face's, Google's.
const CONFIG_FILES: [&str; 2] = ["config.json", "bert_config.json"];

/// A model as read.
pub struct ModelFolder {
    /// The folder.
    pub path: PathBuf,
    /// Shape of the model.
    pub config: Config,
    /// Weights by name, and what the file had beside them.
    pub loaded: Loaded,
    /// The tokenizer; its vocabulary fits the model.
    pub tokenizer: WordPiece,
}

impl ModelFolder {
    /// Reads a folder, or the folder of the weights file that is given.
    ///
    /// # Errors
    /// What is missing, damaged or does not fit together, and what to do about it.
    pub fn read(path: &Path) -> Result<Self> {
        let config = read_config(path)?;
        let loaded = read_weights(path, &config)?;
        let folder = folder_of(path);
        let tokenizer = read_tokenizer(&folder)?;
        check_vocabulary(&tokenizer, &config, &folder)?;
        Ok(Self { path: folder, config, loaded, tokenizer })
    }

    /// Requires a head.
    ///
    /// # Errors
    /// The weights do not have it: what the folder can be used for all the same.
    pub fn require(&self, part: Part, purpose: &str) -> Result<()> {
        let place = || format!("{} cannot be used for {purpose}", self.path.display());
        self.loaded.plan.require(part).with_context(place)
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

/// The folder itself, or the one that holds the given file.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.is_file() {
        true => path.parent().map_or_else(PathBuf::new, Path::to_owned),
        false => path.to_owned(),
    }
}

/// Reads `config.json` or `bert_config.json` of a folder (or of a weights file's folder).
///
/// # Errors
/// There is none, or it describes no BERT.
pub fn read_config(path: &Path) -> Result<Config> {
    ensure!(path.exists(), "no model at {}: expected a folder with config.json, model.safetensors and vocab.txt", path.display());
    let folder = folder_of(path);
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
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Config::from_json(&bytes).with_context(|| file.display().to_string())
}

/// Reads the weights of a folder, or a weights file.
///
/// # Errors
/// There are none, or they do not fit `config`.
pub fn read_weights(path: &Path, config: &Config) -> Result<Loaded> {
    with_weights(path, |file| Ok(clinicalbert_core::weights::load(file, Some(config))?))
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
