//! What a run starts from: its newest checkpoint, a model that is there, or new weights.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clinicalbert_core::{
    bert::{Config, initialize, initialize_missing},
    tokenizer::WordPiece,
    weights::Tensors,
};
use serde::Deserialize;
use toml::Table;

use super::{checkpoint::Contents, settings::Settings};
use crate::model_folder;

/// A pretraining model about to be trained.
pub struct Start {
    /// Shape, weights and the optimizer's state.
    pub contents: Contents,
    /// Its vocabulary.
    pub tokenizer: WordPiece,
    /// Things to tell the user.
    pub remarks: Vec<String>,
}

impl Start {
    /// A model to begin with, as the settings say.
    ///
    /// # Errors
    /// A model, vocabulary or shape that cannot be used, or that do not fit together.
    pub fn new(settings: &Settings, data: &[&Path]) -> Result<Self> {
        match &settings.init {
            Some(init) => Self::from_model(settings, init, data),
            None => Self::fresh(settings, data),
        }
    }

    fn fresh(settings: &Settings, data: &[&Path]) -> Result<Self> {
        let (tokenizer, source) = vocabulary(settings, None, data)?;
        let config = shape(tokenizer.vocab_size(), &settings.model)?;
        model_folder::check_vocabulary(&tokenizer, &config, Path::new(&source))?;
        let weights = initialize(&config, settings.seed);
        Ok(Self { contents: with_zero_moments(config, weights), tokenizer, remarks: vec!["starting from new weights".into()] })
    }

    fn from_model(settings: &Settings, init: &Path, data: &[&Path]) -> Result<Self> {
        // Pretraining has no classifier: one that a fine-tuned model brings along is left aside.
        let mut config = Config { classifies: None, ..model_folder::read_config(init)? };
        let before = config.clone();
        overlay(&mut config, &settings.model)?;
        let same_shape = Config {
            hidden_act: before.hidden_act,
            hidden_dropout_prob: before.hidden_dropout_prob,
            attention_probs_dropout_prob: before.attention_probs_dropout_prob,
            initializer_range: before.initializer_range,
            layer_norm_eps: before.layer_norm_eps,
            ..config.clone()
        };
        ensure!(
            same_shape == before,
            "the shape that is asked for is not that of --init {} ({} layers, {} wide, {} entries): leave out the flags of shape, \
             or leave out --init to begin with new weights",
            init.display(),
            before.num_hidden_layers,
            before.hidden_size,
            before.vocab_size
        );
        let mut weights = model_folder::read_weights(init, &config)?.tensors;
        let (tokenizer, _) = vocabulary(settings, Some(init), data)?;
        model_folder::check_vocabulary(&tokenizer, &config, init)?;
        let drawn = initialize_missing(&config, &mut weights, settings.seed);
        let mut remarks = vec![format!("starting from {}", init.display())];
        if !drawn.is_empty() {
            remarks.push(format!("not in {}, so they start with new weights: {}", init.display(), drawn.join(", ")));
        }
        Ok(Self { contents: with_zero_moments(config, weights), tokenizer, remarks })
    }
}

fn with_zero_moments(config: Config, weights: Tensors) -> Contents {
    let mut zeros = weights.clone();
    zeros.values_mut().for_each(|tensor| tensor.data.fill(0.0));
    Contents { config, weights, moments: (zeros.clone(), zeros) }
}

/// The vocabulary of the run and where it is: the model's own, else `--vocab`, else the data's. Where there are several they must agree.
fn vocabulary(settings: &Settings, init: Option<&Path>, data: &[&Path]) -> Result<(WordPiece, String)> {
    let own = |folder: &Path| folder.join("vocab.txt").is_file() || folder.join("tokenizer.json").is_file();
    let mut found: Vec<(WordPiece, String)> = Vec::new();
    if let Some(folder) = init.map(model_folder::folder_of).filter(|folder| own(folder)) {
        found.push((model_folder::read_tokenizer(&folder)?, folder.display().to_string()));
    }
    if let Some(path) = &settings.vocab {
        found.push((model_folder::read_vocabulary(path)?, path.display().to_string()));
    }
    let data: Vec<_> = data.iter().copied().map(model_folder::folder_of).collect();
    for folder in data.iter().filter(|folder| own(folder)) {
        found.push((model_folder::read_tokenizer(folder)?, folder.display().to_string()));
    }
    let beside = || data.first().map(|folder| folder.display().to_string()).unwrap_or_default();
    let mut found = found.into_iter();
    let (first, source) =
        found.next().with_context(|| format!("no vocabulary beside the examples in {}: give --vocab", beside()))?;
    for (other, other_source) in found {
        ensure!(
            first.vocab_txt() == other.vocab_txt(),
            "the vocabularies of {source} and {other_source} differ: prepare the notes with --vocab {source}"
        );
    }
    Ok((first, source))
}

/// The shape of a new model: BERT-base but for what a `[model]` table says.
///
/// # Errors
/// Settings that there are not, or that make no BERT.
pub fn shape(vocab_size: usize, model: &Table) -> Result<Config> {
    let mut config = Config { vocab_size, ..Config::default() };
    overlay(&mut config, model)?;
    // The feed-forward block is four times as wide as the model, as in every published BERT, unless it is given.
    if model.contains_key("hidden_size") && !model.contains_key("intermediate_size") {
        config.intermediate_size = 4 * config.hidden_size;
    }
    config.validate()?;
    Ok(config)
}

/// Puts the values of a `[model]` table over a configuration.
fn overlay(config: &mut Config, model: &Table) -> Result<()> {
    let mut table = table(config)?;
    for (key, value) in model {
        ensure!(table.contains_key(key), "[model] has no setting {key}: it takes those of config.json ({})", known(&table));
        table.insert(key.clone(), value.clone());
    }
    *config = Config::deserialize(table).context("[model]")?;
    Ok(())
}

fn known(table: &Table) -> String {
    table.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// A configuration as a TOML table.
///
/// # Errors
/// Never in practice: every value has a place in TOML.
pub fn table(config: &Config) -> Result<Table> {
    // Through JSON, which prints single precision with its own digits: 0.1, not 0.10000000149011612.
    let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(config)?)?;
    Ok(Table::try_from(json)?)
}

/// Reads a `config.json` given for the shape alone.
///
/// # Errors
/// It cannot be read or describes no BERT.
pub fn shape_table(file: &Path) -> Result<Table> {
    ensure!(fs::metadata(file).is_ok(), "no model configuration at {}", file.display());
    table(&model_folder::read_config_file(file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_laid_over_the_configuration_and_unknown_keys_are_named() {
        let mut config = Config::default();
        overlay(&mut config, &toml::from_str("hidden_size = 12\nhidden_act = \"gelu_new\"").unwrap()).unwrap();
        assert_eq!((config.hidden_size, config.num_hidden_layers), (12, 12));
        let text = overlay(&mut config, &toml::from_str("hidden = 12").unwrap()).unwrap_err().to_string();
        assert!(text.contains("no setting hidden") && text.contains("num_hidden_layers"), "{text}");
    }

    #[test]
    fn a_configuration_comes_back_from_its_table() {
        let table = table(&Config::default()).unwrap();
        assert_eq!(table.get("hidden_dropout_prob").unwrap().as_float(), Some(0.1));
        assert_eq!(Config::deserialize(table).unwrap(), Config::default());
    }
}
