//! Tokenized documents in flat arrays, so that a billion tokens can lie in a memory-mapped file, and Google's rules for reading them.

use std::borrow::Cow;

use crate::{Error, Result};

/// The number type that token ids are kept in: `u16` where the vocabulary has at most 65,536 entries, else `u32`.
pub trait TokenId: Copy + Into<u32> + TryFrom<u32> {}

impl TokenId for u16 {}
impl TokenId for u32 {}

/// Borrowed documents → sentences → token ids.
#[derive(Debug, Clone, Copy)]
pub struct Corpus<'a, Id> {
    ids: &'a [Id],
    sentences: &'a [u64],
    documents: &'a [u64],
}

impl<'a, Id: TokenId> Corpus<'a, Id> {
    /// `ids` of all sentences one after another; `sentences[s]..sentences[s + 1]` are the ids of sentence `s`, and
    /// `documents[d]..documents[d + 1]` the sentences of document `d`. Both start with 0 and end with a total.
    ///
    /// # Errors
    /// [`Error::Examples`] if the offsets do not rise strictly (an empty sentence or document) or do not end at the totals.
    pub fn new(ids: &'a [Id], sentences: &'a [u64], documents: &'a [u64]) -> Result<Self> {
        check_offsets("sentences", sentences, ids.len())?;
        check_offsets("documents", documents, sentences.len().saturating_sub(1))?;
        Ok(Self { ids, sentences, documents })
    }

    /// Number of documents.
    pub fn document_count(&self) -> usize {
        self.documents.len().saturating_sub(1)
    }

    /// Number of sentences.
    pub fn sentence_count(&self) -> usize {
        self.sentences.len().saturating_sub(1)
    }

    /// Number of tokens.
    pub fn token_count(&self) -> usize {
        self.ids.len()
    }

    /// Offsets of the sentences of a document: one more than it has sentences, each the place of a first id among all ids.
    pub(super) fn offsets(&self, document: usize) -> &'a [u64] {
        let bounds = self.documents.get(document..).and_then(|rest| rest.first_chunk::<2>());
        bounds.and_then(|&[start, end]| self.sentences.get(start as usize..=end as usize)).unwrap_or(&[])
    }

    /// Ids from `start` on; empty where the corpus has none.
    pub(super) fn ids(&self, start: u64, length: usize) -> &'a [Id] {
        usize::try_from(start).ok().and_then(|start| self.ids.get(start..start.checked_add(length)?)).unwrap_or(&[])
    }
}

fn check_offsets(what: &str, offsets: &[u64], total: usize) -> Result<()> {
    let rising = offsets.windows(2).all(|pair| matches!(pair, [start, end] if start < end));
    if !rising || offsets.first() != Some(&0) || offsets.last() != Some(&(total as u64)) {
        return Err(Error::Examples(format!(
            "the offsets of {what} must start with 0, rise strictly and end with {total}; they end with {:?}",
            offsets.last()
        )));
    }
    Ok(())
}

/// Documents being collected in memory.
#[derive(Debug, Clone)]
pub struct Documents<Id> {
    ids: Vec<Id>,
    sentences: Vec<u64>,
    documents: Vec<u64>,
}

impl<Id> Default for Documents<Id> {
    fn default() -> Self {
        Self { ids: Vec::new(), sentences: vec![0], documents: vec![0] }
    }
}

impl<Id: TokenId> Documents<Id> {
    /// Adds a sentence to the open document; an empty one is passed over, as in the original.
    ///
    /// # Errors
    /// [`Error::Examples`] if an id does not fit the number type.
    pub fn push_sentence(&mut self, ids: &[u32]) -> Result<()> {
        for &id in ids {
            self.ids.push(Id::try_from(id).map_err(|_| {
                Error::Examples(format!("token id {id} does not fit {} bits; keep ids in 32", 8 * size_of::<Id>()))
            })?);
        }
        if !ids.is_empty() {
            self.sentences.push(self.ids.len() as u64);
        }
        Ok(())
    }

    /// Ends the open document; an empty one is passed over.
    pub fn end_document(&mut self) {
        let sentences = self.sentences.len() as u64 - 1;
        if self.documents.last() != Some(&sentences) {
            self.documents.push(sentences);
        }
    }

    /// Reads text of one sentence a line with blank lines between documents, as Google's code does, and tokenizes it with `append_ids`.
    /// The last document stays open: there, documents do not end at the end of a file. Call [`Documents::end_document`] after the last file.
    ///
    /// # Errors
    /// Those of `append_ids` and [`Documents::push_sentence`].
    pub fn push_lines(&mut self, text: &str, mut append_ids: impl FnMut(&str, &mut Vec<u32>) -> Result<()>) -> Result<()> {
        let mut ids = Vec::new();
        for line in text.split_terminator('\n') {
            let line = line_text(line);
            if line.is_empty() {
                self.end_document();
                continue;
            }
            ids.clear();
            append_ids(&line, &mut ids)?;
            self.push_sentence(&ids)?;
        }
        Ok(())
    }

    /// The documents that have ended.
    ///
    /// # Errors
    /// [`Error::Examples`] if a document is still open.
    pub fn corpus(&self) -> Result<Corpus<'_, Id>> {
        Corpus::new(&self.ids, &self.sentences, &self.documents)
    }
}

/// A line as Google's code sees it: without carriage returns (TensorFlow's reader drops them wherever they stand) and without Python's
/// white space at either end, which includes U+001C to U+001F. Empty for a line that ends a document.
pub fn line_text(line: &str) -> Cow<'_, str> {
    let strip = |line: &str| -> (usize, usize) {
        let start = line.len() - line.trim_start_matches(is_python_space).len();
        (start, start + line.trim_matches(is_python_space).len())
    };
    if line.trim_end_matches('\r').contains('\r') {
        let line = line.replace('\r', "");
        return Cow::Owned(line.trim_matches(is_python_space).to_owned());
    }
    let (start, end) = strip(line);
    Cow::Borrowed(line.get(start..end).unwrap_or(""))
}

/// `bytes.decode("utf-8", "ignore")`: text without the bytes that are not UTF-8.
pub fn decode_ignoring_errors(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()),
    }
}

/// `str.isspace` of Python.
pub(crate) fn is_python_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &str) -> Vec<Vec<u32>> {
        let mut documents = Documents::<u16>::default();
        let one_id_a_word = |line: &str, ids: &mut Vec<u32>| {
            ids.extend(line.split_whitespace().map(|word| word.len() as u32));
            Ok(())
        };
        documents.push_lines(text, one_id_a_word).unwrap();
        documents.end_document();
        let corpus = documents.corpus().unwrap();
        let ids = |document| {
            let offsets = corpus.offsets(document);
            corpus.ids(offsets[0], (offsets[offsets.len() - 1] - offsets[0]) as usize)
        };
        (0..corpus.document_count()).map(|document| ids(document).iter().map(|&id| u32::from(id)).collect()).collect()
    }

    #[test]
    fn blank_lines_separate_documents_and_empty_documents_vanish() {
        assert_eq!(lengths("\n\na bb\nccc\n\n \t\r\n\ndddd"), [vec![1, 2, 3], vec![4]]);
    }

    #[test]
    fn a_line_of_separator_controls_ends_a_document() {
        assert_eq!(lengths("a\n\u{1c}\u{1d}\u{1e}\u{1f}\nbb\n\u{a0}\u{85}\nccc\n"), [vec![1], vec![2], vec![3]]);
    }

    #[test]
    fn carriage_returns_are_dropped_and_join_what_they_stood_between() {
        assert_eq!(line_text("a\rb \r"), "ab");
        assert_eq!(line_text(" a b\r"), "a b");
    }

    #[test]
    fn bytes_that_are_not_text_are_ignored() {
        assert_eq!(decode_ignoring_errors(b"a\xffb\xe2\x82c\xf0\x9f\x98\x80"), "abc\u{1f600}");
    }

    #[test]
    fn ids_that_do_not_fit_and_bad_offsets_are_errors() {
        assert!(Documents::<u16>::default().push_sentence(&[65_536]).is_err());
        assert!(Corpus::<u16>::new(&[1, 2], &[0, 1, 1, 2], &[0, 3]).is_err());
        assert!(Corpus::<u16>::new(&[1, 2], &[0, 2], &[0, 2]).is_err());
        assert!(Corpus::<u16>::new(&[], &[], &[]).is_err());
        assert!(Corpus::<u16>::new(&[], &[0], &[0]).is_ok());
    }
}
