//! New entries for a vocabulary that a model has already: `[unusedN]` slots first, which BERT's vocabularies have for this, then new ids.

use std::collections::BTreeSet;

use super::{Case, WordPiece};
use crate::{Result, bert::NewRow};

/// A vocabulary with new entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extension {
    /// The new `vocab.txt`.
    pub vocab: String,
    /// New entries, in the order in which they were given, with the pieces of the old vocabulary; `[UNK]` if it had none.
    pub rows: Vec<NewRow>,
    /// How many of them took the place of an `[unusedN]`.
    pub filled: usize,
    /// Tokens that the vocabulary had already, or that stood twice.
    pub known: usize,
    /// Lines, from 1, of tokens that no text would ever become: with white space or punctuation inside they are several words.
    pub impossible: Vec<usize>,
}

/// Adds the tokens of a list, one a line (`##…` for one that goes on a word), to the vocabulary of `tokenizer`. They are lower-cased for an
/// uncased one.
///
/// # Errors
/// [`crate::Error::Tokenizer`] if a rule of `tokenizer.json` fails on a token.
pub fn extend(tokenizer: &WordPiece, list: &str) -> Result<Extension> {
    let mut names: Vec<String> = tokenizer.vocab_txt().lines().map(str::to_owned).collect();
    let mut taken: BTreeSet<String> = names.iter().cloned().collect();
    let unused: Vec<usize> = (0..).zip(&names).filter(|(_, name)| is_unused(name)).map(|(id, _)| id).collect();
    let mut unused = unused.into_iter();
    let mut extension = Extension::default();
    for (line, token) in (1..).zip(list.lines()).map(|(line, token)| (line, token.trim())).filter(|(_, token)| !token.is_empty())
    {
        let token = if tokenizer.case() == Case::Uncased { token.to_lowercase() } else { token.to_owned() };
        let Some(pieces) = pieces(tokenizer, &token)? else {
            extension.impossible.push(line);
            continue;
        };
        if !taken.insert(token.clone()) {
            extension.known += 1;
            continue;
        }
        let slot = unused.next();
        extension.filled += usize::from(slot.is_some());
        let id = slot.unwrap_or(names.len());
        match names.get_mut(id) {
            Some(name) => *name = token,
            None => names.push(token),
        }
        extension.rows.push(NewRow { id: id as u32, pieces });
    }
    extension.vocab = names.iter().flat_map(|name| [name.as_str(), "\n"]).collect();
    Ok(extension)
}

/// `[unused7]`
fn is_unused(name: &str) -> bool {
    let number = name.strip_prefix("[unused").and_then(|rest| rest.strip_suffix(']'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Ids of a token's pieces; `None` if text like it is more than one word.
fn pieces(tokenizer: &WordPiece, token: &str) -> Result<Option<Vec<u32>>> {
    let (word, goes_on) = token.strip_prefix("##").map_or((token, false), |word| (word, true));
    let mut ids = Vec::new();
    tokenizer.append_ids(word, &mut ids)?;
    let goes_on_a_word = |id: &u32| tokenizer.token(*id).is_some_and(|name| name.starts_with("##"));
    let Some((first, rest)) = ids.split_first_mut() else { return Ok(None) };
    if !rest.iter().all(goes_on_a_word) {
        return Ok(None);
    }
    if goes_on && let Some(id) = tokenizer.token(*first).and_then(|name| tokenizer.id(&format!("##{name}"))) {
        *first = id;
    }
    Ok(Some(ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[unused1]\n[unused2]\nneo\n##plasm\n##a\nFever\n##neo\n.\n";

    fn extended(case: Case, list: &str) -> Extension {
        extend(&WordPiece::from_vocab(VOCAB, case).unwrap(), list).unwrap()
    }

    #[test]
    fn unused_slots_are_filled_before_rows_are_added() {
        let extension = extended(Case::Cased, "neoplasm\n\nneoplasma\n##neoplasm\nxyz\n");
        let entries: Vec<_> = extension.rows.iter().map(|entry| (entry.id, entry.pieces.as_slice())).collect();
        assert_eq!(entries, [(5, &[7, 8][..]), (6, &[7, 8, 9]), (13, &[11, 8]), (14, &[1])]);
        assert_eq!(extension.filled, 2);
        let names: Vec<_> = extension.vocab.lines().collect();
        assert_eq!((names[5], names[6], names[7], names[13], names[14]), ("neoplasm", "neoplasma", "neo", "##neoplasm", "xyz"));
        let again = WordPiece::from_vocab(&extension.vocab, Case::Cased).unwrap();
        let mut ids = Vec::new();
        again.append_ids("neoplasma Fever", &mut ids).unwrap();
        assert_eq!(ids, [6, 10]);
    }

    #[test]
    fn tokens_that_are_there_or_can_never_be_are_told() {
        let extension = extended(Case::Cased, "Fever\nneo.plasm\nneo plasm\nplasma\nplasma\n.\n");
        assert_eq!((extension.known, extension.impossible.as_slice(), extension.rows.len()), (3, &[2, 3][..], 1));
        assert_eq!(extended(Case::Uncased, "NEOPLASM").vocab.lines().nth(5), Some("neoplasm"));
    }
}
