//! Writing a folder that `from_pretrained` of transformers loads as it is.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Result, ensure};
use clinicalbert_core::{
    bert::{Config, Heads},
    tokenizer::WordPiece,
    weights::{Tensors, safetensors},
};
use serde::Serialize;
use serde_json::json;

use crate::whole_file;

/// Hugging Face's `config.json`.
#[derive(Serialize)]
struct HuggingFaceConfig<'a> {
    architectures: [&'a str; 1],
    model_type: &'a str,
    torch_dtype: &'a str,
    pad_token_id: u32,
    position_embedding_type: &'a str,
    tie_word_embeddings: bool,
    #[serde(flatten)]
    config: &'a Config,
}

/// Writes a new model folder with its card, whole or not at all.
///
/// # Errors
/// The folder is there already, or the disk refused.
pub fn write_folder(folder: &Path, config: &Config, weights: &Tensors, tokenizer: &WordPiece, card: &str) -> Result<()> {
    ensure!(!folder.exists(), "{} is there already: remove it, or choose another name", folder.display());
    whole_file::write_folder(folder, |folder| {
        write_files(folder, config, weights, tokenizer)?;
        write_text(&folder.join("README.md"), card)
    })
}

/// Writes everything but the card into a folder that is there.
///
/// # Errors
/// The disk refused.
pub fn write_files(folder: &Path, config: &Config, weights: &Tensors, tokenizer: &WordPiece) -> Result<()> {
    write_companions(folder, config, Heads::of(config, weights), tokenizer)?;
    whole_file::write_file(&folder.join("model.safetensors"), |file| Ok(safetensors::write(weights, &BTreeMap::new(), file)?))
}

/// Writes configuration and tokenizer of a model with these heads, in every form that transformers reads.
///
/// # Errors
/// The disk refused.
pub fn write_companions(folder: &Path, config: &Config, heads: Heads, tokenizer: &WordPiece) -> Result<()> {
    write_config_and_vocabulary(folder, config, heads, tokenizer)?;
    write_text(&folder.join("tokenizer.json"), &tokenizer.tokenizer_json()?)?;
    let special = json!({
        "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
    });
    write_json(&folder.join("special_tokens_map.json"), &special)
}

/// Writes configuration and vocabulary of a model with these heads: all that a program needs which knows BERT's tokenizer.
///
/// # Errors
/// The disk refused.
pub fn write_config_and_vocabulary(folder: &Path, config: &Config, heads: Heads, tokenizer: &WordPiece) -> Result<()> {
    let hugging_face = HuggingFaceConfig {
        architectures: [architecture(heads)],
        model_type: "bert",
        torch_dtype: "float32",
        pad_token_id: tokenizer.special().pad,
        position_embedding_type: "absolute",
        tie_word_embeddings: true,
        config,
    };
    write_json(&folder.join("config.json"), &hugging_face)?;
    write_text(&folder.join("vocab.txt"), &tokenizer.vocab_txt())?;
    // Spelled out: left out, transformers lower-cases a cased model and puts no limit on the length.
    write_text(&folder.join("tokenizer_config.json"), &tokenizer.tokenizer_config_json(config.max_position_embeddings))
}

/// The class of transformers that has these heads and no others.
const fn architecture(heads: Heads) -> &'static str {
    match heads {
        Heads { mlm: true, nsp: true, .. } => "BertForPreTraining",
        Heads { mlm: true, nsp: false, .. } => "BertForMaskedLM",
        Heads { mlm: false, nsp: true, .. } => "BertForNextSentencePrediction",
        Heads { mlm: false, nsp: false, .. } => "BertModel",
    }
}

fn write_json(file: &Path, value: &impl Serialize) -> Result<()> {
    write_text(file, &(serde_json::to_string_pretty(value)? + "\n"))
}

fn write_text(file: &Path, text: &str) -> Result<()> {
    whole_file::write_file(file, |file| Ok(file.write_all(text.as_bytes())?))
}

#[cfg(test)]
mod tests {
    use clinicalbert_core::{bert::initialize, tokenizer::Case};

    use super::super::ModelFolder;
    use super::*;

    fn tiny() -> (Config, WordPiece) {
        let config = Config {
            vocab_size: 7,
            hidden_size: 4,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            intermediate_size: 8,
            max_position_embeddings: 16,
            ..Config::default()
        };
        (config, WordPiece::from_vocab("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nFever\n##s\n", Case::Cased).unwrap())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (config, tokenizer) = tiny();
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("model");
        let weights = initialize(&config, 1);
        write_folder(&folder, &config, &weights, &tokenizer, "# card").unwrap();
        let read = ModelFolder::read(&folder).unwrap();
        assert_eq!((read.config, read.loaded.tensors, read.tokenizer.case()), (config.clone(), weights.clone(), Case::Cased));
        assert_eq!(ModelFolder::read(&folder.join("model.safetensors")).unwrap().loaded.tensors, weights);
        let again = write_folder(&folder, &config, &weights, &tokenizer, "").unwrap_err();
        assert!(again.to_string().contains("there already"));
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn the_configuration_says_what_transformers_asks_for() {
        let (config, tokenizer) = tiny();
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), &config, &initialize(&config, 1), &tokenizer).unwrap();
        let text = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
        for line in [
            "\"BertForPreTraining\"",
            "\"torch_dtype\": \"float32\"",
            "\"hidden_act\": \"gelu\"",
            "\"hidden_dropout_prob\": 0.1,",
        ] {
            assert!(text.contains(line), "{line} not in {text}");
        }
        let text = std::fs::read_to_string(folder.path().join("tokenizer_config.json")).unwrap();
        assert!(text.contains("\"do_lower_case\": false") && text.contains("\"model_max_length\": 16"));
    }

    #[test]
    fn a_folder_without_weights_says_so() {
        let (config, tokenizer) = tiny();
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), &config, &initialize(&config, 1), &tokenizer).unwrap();
        std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
        let text = ModelFolder::read(folder.path()).err().unwrap().to_string();
        assert!(text.contains("has no weights: expected model.safetensors"), "{text}");
    }

    #[test]
    fn a_vocabulary_longer_than_the_model_is_refused() {
        let (config, tokenizer) = tiny();
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), &config, &initialize(&config, 1), &tokenizer).unwrap();
        std::fs::write(folder.path().join("vocab.txt"), tokenizer.vocab_txt() + "more\n").unwrap();
        let text = ModelFolder::read(folder.path()).err().unwrap().to_string();
        assert!(text.contains("has 8 entries, the model 7"), "{text}");
    }
}
