//! Which tokenizer a folder means. A cased model that is silently lower-cased is the commonest mistake made with Bio_ClinicalBERT,
//! whose own folder says nothing about case (`EmilyAlsentzer/clinicalBERT` issue 26): so the vocabulary itself is asked.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clinicalbert_core::tokenizer::{Case, WordPiece};
use serde::Deserialize;

/// Reads the tokenizer of a model folder: `vocab.txt` with the case that `tokenizer_config.json` or the entries themselves say, else
/// `tokenizer.json`.
///
/// # Errors
/// Neither is there, one is damaged, or the folder asks for lower-casing of a cased vocabulary.
pub fn read_tokenizer(folder: &Path) -> Result<WordPiece> {
    let (vocab, json) = (folder.join("vocab.txt"), folder.join("tokenizer.json"));
    if vocab.is_file() {
        let asked = asked_case(folder)?;
        return read_with_case(&vocab, asked);
    }
    ensure!(
        json.is_file(),
        "{} has neither vocab.txt nor tokenizer.json: put the vocabulary that belongs to the model there",
        folder.display()
    );
    let bytes = fs::read(&json).with_context(|| format!("cannot read {}", json.display()))?;
    let tokenizer = WordPiece::from_tokenizer_json(&bytes).with_context(|| json.display().to_string())?;
    check_case(&tokenizer.vocab_txt(), tokenizer.case(), &json)?;
    Ok(tokenizer)
}

/// Reads a `vocab.txt` or `tokenizer.json` given by itself, or the folder of one; case as its entries say.
///
/// # Errors
/// As [`read_tokenizer`].
pub fn read_vocabulary(path: &Path) -> Result<WordPiece> {
    if path.is_dir() {
        return read_tokenizer(path);
    }
    if path.extension().is_some_and(|extension| extension == "json") {
        let bytes = fs::read(path).with_context(|| format!("cannot read the vocabulary {}", path.display()))?;
        return WordPiece::from_tokenizer_json(&bytes).with_context(|| path.display().to_string());
    }
    read_with_case(path, None)
}

fn read_with_case(vocab: &Path, asked: Option<Case>) -> Result<WordPiece> {
    let text = fs::read_to_string(vocab).with_context(|| format!("cannot read the vocabulary {}", vocab.display()))?;
    let case = asked.unwrap_or(if has_capitals(&text) { Case::Cased } else { Case::Uncased });
    check_case(&text, case, vocab)?;
    WordPiece::from_vocab(&text, case).with_context(|| vocab.display().to_string())
}

fn asked_case(folder: &Path) -> Result<Option<Case>> {
    #[derive(Deserialize)]
    struct TokenizerConfig {
        do_lower_case: Option<bool>,
    }
    let file = folder.join("tokenizer_config.json");
    let Ok(bytes) = fs::read(&file) else { return Ok(None) };
    let config: TokenizerConfig = serde_json::from_slice(&bytes).with_context(|| file.display().to_string())?;
    Ok(config.do_lower_case.map(|lower| if lower { Case::Uncased } else { Case::Cased }))
}

fn check_case(vocab: &str, case: Case, file: &Path) -> Result<()> {
    if case == Case::Uncased && has_capitals(vocab) {
        bail!(
            "{} is cased, but the folder asks for lower-casing, which would hide half of it: set \"do_lower_case\": false in \
             tokenizer_config.json (and \"lowercase\": false in tokenizer.json)",
            file.display()
        );
    }
    Ok(())
}

/// Whether an entry other than `[CLS]` and its like has a capital letter.
fn has_capitals(vocab: &str) -> bool {
    vocab.lines().any(|entry| !entry.starts_with('[') && entry.chars().any(char::is_uppercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASED: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nFever\nfever\n";
    const UNCASED: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nfever\n";

    fn folder(vocab: &str, config: Option<&str>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("vocab.txt"), vocab).unwrap();
        if let Some(config) = config {
            fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
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
    }

    #[test]
    fn a_folder_without_a_vocabulary_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_tokenizer(folder.path()).err().unwrap().to_string().contains("neither vocab.txt nor tokenizer.json"));
    }
}
