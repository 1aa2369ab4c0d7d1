//! The vocabulary in whatever form it comes.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clinicalbert_core::tokenizer::{Case, WordPiece};

use crate::small_file;

/// Loads `vocab.txt`, `tokenizer.json`, or a folder that holds one of them.
///
/// # Errors
/// Neither is there, or it is no vocabulary of BERT's kind.
pub fn load(path: &Path, case: Option<Case>) -> Result<WordPiece> {
    let folder_file = |name: &str| path.join(name);
    let file = if path.is_dir() {
        let file = [folder_file("vocab.txt"), folder_file("tokenizer.json")].into_iter().find(|file| file.is_file());
        file.with_context(|| format!("{} has neither vocab.txt nor tokenizer.json; name the vocabulary itself", path.display()))?
    } else {
        path.to_owned()
    };
    let shown = file.display();
    let bytes = small_file::read(&file)?;
    ensure!(!bytes.is_empty(), "the vocabulary {shown} is empty; expected one entry a line");
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    let tokenizer = if is_json && case.is_none() {
        WordPiece::from_tokenizer_json(&bytes)
    } else if is_json {
        WordPiece::from_tokenizer_json(&bytes)
            .and_then(|tokenizer| WordPiece::from_vocab(&tokenizer.vocab_txt(), case.unwrap_or(tokenizer.case())))
    } else {
        let text = std::str::from_utf8(&bytes).with_context(|| format!("the vocabulary {shown} is not UTF-8 text"))?;
        WordPiece::from_vocab(text, case.unwrap_or_else(|| likely_case(text)))
    };
    tokenizer.with_context(|| format!("the vocabulary {shown} cannot be used"))
}

/// A vocabulary without a single capital outside its special tokens was made from lower-cased text.
fn likely_case(vocab: &str) -> Case {
    let has_capital = |entry: &str| !entry.starts_with('[') && entry.chars().any(char::is_uppercase);
    if vocab.lines().any(has_capital)
        || !vocab.lines().any(|entry| entry.chars().any(char::is_lowercase) && !entry.starts_with('['))
    {
        Case::Cased
    } else {
        Case::Uncased
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_read_from_the_entries() {
        assert_eq!(likely_case("[PAD]\n[UNK]\nThe\nthe\n"), Case::Cased);
        assert_eq!(likely_case("[PAD]\n[UNK]\nthe\n##s\n"), Case::Uncased);
        assert_eq!(likely_case("[PAD]\n[UNK]\n1\n2\n"), Case::Cased);
    }
}
