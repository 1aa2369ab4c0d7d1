//! Which tokenizer a folder means. A cased model that is silently lower-cased is the commonest mistake made with Bio_ClinicalBERT,
//! whose own folder says nothing about case (`EmilyAlsentzer/clinicalBERT` issue 26): so the vocabulary itself is asked.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clinicalbert_core::tokenizer::{Case, WordPiece};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{small_file, vocabulary};

/// Reads the tokenizer of a model folder, with the case that the folder's tokenizer files say, else the vocabulary itself.
///
/// # Errors
/// There is none, it is damaged, or the folder asks for lower-casing of a cased vocabulary.
pub fn read_tokenizer(folder: &Path) -> Result<WordPiece> {
    let tokenizer = vocabulary::load(folder, asked_case(folder)?)?;
    let has_capitals = |entry: &str| !entry.starts_with('[') && entry.chars().any(char::is_uppercase);
    ensure!(
        tokenizer.case() == Case::Cased || !tokenizer.vocab_txt().lines().any(has_capitals),
        "the vocabulary of {} is cased, but the folder asks for lower-casing, which would hide half of it: set \"do_lower_case\": false in \
         tokenizer_config.json (and \"lowercase\": false in tokenizer.json)",
        folder.display()
    );
    Ok(tokenizer)
}

/// Reads a vocabulary given by itself, or the folder of one; case as its entries say.
///
/// # Errors
/// As [`read_tokenizer`].
pub fn read_vocabulary(path: &Path) -> Result<WordPiece> {
    match path.is_dir() {
        true => read_tokenizer(path),
        false => vocabulary::load(path, None),
    }
}

/// What the folder asks for: `tokenizer_config.json` before `tokenizer.json`, as in transformers.
fn asked_case(folder: &Path) -> Result<Option<Case>> {
    #[derive(Default, Deserialize)]
    struct TokenizerConfig {
        do_lower_case: Option<bool>,
    }
    #[derive(Default, Deserialize)]
    struct TokenizerJson {
        normalizer: Option<Normalizer>,
    }
    #[derive(Deserialize)]
    struct Normalizer {
        lowercase: Option<bool>,
    }
    let config: TokenizerConfig = read_json(&folder.join("tokenizer_config.json"))?;
    let lower = match config.do_lower_case {
        Some(lower) => Some(lower),
        None => {
            read_json::<TokenizerJson>(&folder.join("tokenizer.json"))?.normalizer.and_then(|normalizer| normalizer.lowercase)
        }
    };
    Ok(lower.map(|lower| if lower { Case::Uncased } else { Case::Cased }))
}

/// The default if there is no such file.
fn read_json<T: Default + DeserializeOwned>(file: &Path) -> Result<T> {
    if !file.is_file() {
        return Ok(T::default());
    }
    let bytes = small_file::read(file)?;
    serde_json::from_slice(&bytes).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASED: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nFever\nfever\n";
    const UNCASED: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nfever\n";

    fn folder(vocab: &str, config: Option<&str>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocab.txt"), vocab).unwrap();
        if let Some(config) = config {
            std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        }
        folder
    }

    fn case(vocab: &str, config: Option<&str>) -> Result<Case> {
        Ok(read_tokenizer(folder(vocab, config).path())?.case())
    }

    #[test]
    fn a_folder_that_says_nothing_has_the_case_of_its_vocabulary() {
        assert_eq!(case(CASED, None).unwrap(), Case::Cased);
        assert_eq!(case(CASED, Some("{}")).unwrap(), Case::Cased);
        assert_eq!(case(UNCASED, None).unwrap(), Case::Uncased);
        assert_eq!(case(UNCASED, Some(r#"{"do_lower_case":false}"#)).unwrap(), Case::Cased);
    }

    #[test]
    fn lower_casing_a_cased_vocabulary_is_an_error_with_the_fix() {
        let text = case(CASED, Some(r#"{"do_lower_case":true}"#)).unwrap_err().to_string();
        assert!(text.contains(r#"set "do_lower_case": false"#), "{text}");
        let folder = folder(CASED, None);
        let json = folder.path().join("tokenizer.json");
        std::fs::write(&json, r#"{"normalizer":{"type":"BertNormalizer","lowercase":true}}"#).unwrap();
        assert!(read_tokenizer(folder.path()).err().unwrap().to_string().contains(r#""lowercase": false in tokenizer.json"#));
        std::fs::write(&json, r#"{"normalizer":{"type":"BertNormalizer","lowercase":false}}"#).unwrap();
        assert_eq!(read_tokenizer(folder.path()).unwrap().case(), Case::Cased);
    }

    #[test]
    fn a_folder_without_a_vocabulary_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_tokenizer(folder.path()).err().unwrap().to_string().contains("neither vocab.txt nor tokenizer.json"));
    }
}
