//! WordPiece as BERT was trained with it, through the `tokenizers` crate; cased unless told otherwise.

use crate::{Error, Result, text::Span};

/// Whether letters keep their case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Case {
    /// Letters are kept as they are (`do_lower_case: false`).
    #[default]
    Cased,
    /// Letters are lower-cased and accents removed (`do_lower_case: true`).
    Uncased,
}

/// A piece of text and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Entry of the vocabulary.
    pub id: u32,
    /// Bytes of the text that the piece stands for.
    pub span: Span,
}

/// Ids of the tokens that BERT gives a meaning of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// `[PAD]`
    pub pad: u32,
    /// `[UNK]`
    pub unknown: u32,
    /// `[CLS]`
    pub classify: u32,
    /// `[SEP]`
    pub separator: u32,
    /// `[MASK]`
    pub mask: u32,
}

/// A WordPiece tokenizer with BERT's pre-tokenization.
pub struct WordPiece {
    case: Case,
    special: SpecialTokens,
}

impl WordPiece {
    /// From the text of a `vocab.txt`: one entry a line, the line number is the id.
    pub fn from_vocab(vocab: &str, case: Case) -> Result<Self> {
        let _ = (vocab, case);
        Err(Error::Tokenizer("not yet".into()))
    }
    /// From the bytes of a Hugging Face `tokenizer.json`; case is read from its normalizer.
    pub fn from_tokenizer_json(json: &[u8]) -> Result<Self> {
        let _ = json;
        Err(Error::Tokenizer("not yet".into()))
    }
    /// Pieces of running text. Special tokens written in the text are not recognised, as in the original.
    pub fn pieces(&self, text: &str) -> Result<Vec<Piece>> {
        let _ = text;
        Ok(Vec::new())
    }
    /// Appends the ids of running text to `ids`; the fast path of preparation.
    pub fn append_ids(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let _ = (text, ids);
        Ok(())
    }
    /// The entry with this id.
    pub fn token(&self, id: u32) -> Option<&str> {
        let _ = id;
        None
    }
    /// The id of an entry.
    pub fn id(&self, token: &str) -> Option<u32> {
        let _ = token;
        None
    }
    /// Number of entries.
    pub fn vocab_size(&self) -> usize {
        0
    }
    /// Whether letters keep their case.
    pub fn case(&self) -> Case {
        self.case
    }
    /// Ids of the special tokens.
    pub fn special(&self) -> SpecialTokens {
        self.special
    }
    /// `vocab.txt`: one entry a line.
    pub fn vocab_txt(&self) -> String {
        String::new()
    }
    /// `tokenizer.json` as Hugging Face reads it (with `[CLS] … [SEP]` post-processing and `[MASK]` recognised as special).
    pub fn tokenizer_json(&self) -> Result<String> {
        Ok(String::new())
    }
}
