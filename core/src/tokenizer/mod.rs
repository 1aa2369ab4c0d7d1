//! WordPiece as BERT was trained with it, through the `tokenizers` crate; cased unless told otherwise.
//!
//! A vocabulary file gives Google's rules (`FullTokenizer`), which the `tokenizers` crate follows but for a few characters and the longest
//! word; a `tokenizer.json` gives the rules that it names. Preparation runs texts through an [`Encoder`], which remembers words.
//!
//! ```
//! use clinicalbert_core::tokenizer::{Case, WordPiece};
//!
//! let tokenizer = WordPiece::from_vocab("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nWarf\n##arin\n.\n", Case::Cased)?;
//! let pieces = tokenizer.pieces("Warfarin.")?;
//! assert_eq!(pieces.iter().map(|piece| piece.id).collect::<Vec<_>>(), [5, 6, 7]);
//! assert_eq!(pieces[1].span.of("Warfarin."), "arin");
//! # Ok::<(), clinicalbert_core::Error>(())
//! ```

mod encoder;
mod encoding;
mod extend;
mod google;
mod json;
mod train;
mod vocabulary;

pub use encoder::Encoder;
pub use encoding::Encoding;
pub use extend::{Extension, extend};
pub use train::{Training, train_vocabulary};

use tokenizers::{
    AddedToken, ModelWrapper, NormalizedString, Normalizer, NormalizerWrapper, OffsetType, PreTokenizedString, PreTokenizer,
    PreTokenizerWrapper, Tokenizer, models::wordpiece, normalizers::BertNormalizer, pre_tokenizers::bert::BertPreTokenizer,
    processors::bert::BertProcessing,
};

use crate::{Error, Result, examples, text::Span};
use google::GoogleRules;
use vocabulary::Entries;

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

/// Names of the special tokens, in the order in which a new vocabulary begins with them.
pub const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Longest word, in characters, that Google's code cuts into pieces; a longer one is unknown as a whole. Hugging Face has 100.
const GOOGLE_LONGEST_WORD: usize = 200;

/// How text becomes words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Google's, for a vocabulary file.
    Google(GoogleRules),
    /// Those that `tokenizer.json` names.
    File {
        /// Whether white space separates words that have nothing to do with each other, so that they can be remembered one by one.
        local: bool,
    },
}

/// A WordPiece tokenizer with BERT's pre-tokenization.
pub struct WordPiece {
    tokenizer: Tokenizer,
    model: wordpiece::WordPiece,
    rules: Rules,
    case: Case,
    special: SpecialTokens,
    entries: Entries,
}

impl WordPiece {
    /// From the text of a `vocab.txt`: one entry a line, the line number is the id. Words are cut by Google's rules.
    ///
    /// Lines are stripped as Python strips them. Of an entry that stands twice the later line is its id, as in Google's code.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] naming the special tokens that are missing.
    pub fn from_vocab(vocab: &str, case: Case) -> Result<Self> {
        let entries = Entries::from_text(vocab)?;
        let model = wordpiece::WordPiece::builder()
            .vocab(entries.by_name())
            .max_input_chars_per_word(GOOGLE_LONGEST_WORD)
            .build()
            .map_err(|error| Error::Tokenizer(error.to_string()))?;
        let special = special_tokens(|token| entries.id(token))?;
        let mut tokenizer = Tokenizer::new(model.clone());
        tokenizer
            .with_normalizer(Some(BertNormalizer::new(true, true, None, case == Case::Uncased)))
            .map_err(|error| Error::Tokenizer(error.to_string()))?
            .with_pre_tokenizer(Some(BertPreTokenizer))
            .with_post_processor(Some(BertProcessing::new(
                ("[SEP]".into(), special.separator),
                ("[CLS]".into(), special.classify),
            )))
            .with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()));
        recognise_special_tokens(&mut tokenizer)?;
        Ok(Self { tokenizer, model, rules: Rules::Google(GoogleRules { case }), case, special, entries })
    }

    /// From the bytes of a Hugging Face `tokenizer.json`; case is read from its normalizer. Its own rules and its own longest word hold.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the file cannot be read, its model is not WordPiece, or special tokens are missing.
    pub fn from_tokenizer_json(json: &[u8]) -> Result<Self> {
        let mut tokenizer = json::read(json)?;
        let ModelWrapper::WordPiece(model) = tokenizer.get_model() else {
            return Err(Error::Tokenizer("tokenizer.json: expected a model of type WordPiece, found another".into()));
        };
        let model = model.clone();
        let special = special_tokens(|token| tokenizer.token_to_id(token))?;
        if !tokenizer.get_vocab(false).contains_key(&model.unk_token) {
            return Err(Error::Tokenizer("tokenizer.json: the model's unk_token is not in its vocabulary".into()));
        }
        recognise_special_tokens(&mut tokenizer)?;
        let entries = Entries::from_ids(tokenizer.get_vocab(true))?;
        let normalizer = tokenizer.get_normalizer();
        let local = matches!(normalizer, None | Some(NormalizerWrapper::BertNormalizer(_)))
            && matches!(tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)));
        let case = if normalizer.is_some_and(lowers) { Case::Uncased } else { Case::Cased };
        Ok(Self { tokenizer, model, rules: Rules::File { local }, case, special, entries })
    }

    /// Pieces of running text. Special tokens written in the text are not recognised, as in the original.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if a rule of `tokenizer.json` fails on the text.
    pub fn pieces(&self, text: &str) -> Result<Vec<Piece>> {
        self.cut(self.normalized(text)?, OffsetType::Byte).map(|encoding| pieces_of(text, &encoding))
    }

    /// Pieces of a text in which `[MASK]`, `[SEP]` and the other special tokens mean themselves, as Hugging Face's tokenizers take them.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if a rule of `tokenizer.json` fails on the text.
    pub fn pieces_with_special(&self, text: &str) -> Result<Vec<Piece>> {
        let added = self.tokenizer.get_added_vocabulary();
        let split = match &self.rules {
            Rules::Google(rules) => added.extract_and_normalize(Some(rules), text),
            Rules::File { .. } => added.extract_and_normalize(self.tokenizer.get_normalizer(), text),
        };
        self.cut(split, OffsetType::Byte).map(|encoding| pieces_of(text, &encoding))
    }

    /// Appends the ids of running text to `ids`: those of [`WordPiece::pieces`], without their places. An [`Encoder`] gives the
    /// same ids many times faster.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if a rule of `tokenizer.json` fails on the text.
    pub fn append_ids(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        ids.extend_from_slice(self.cut(self.normalized(text)?, OffsetType::None)?.get_ids());
        Ok(())
    }

    /// An encoder with a memory of its own; one for each thread.
    pub fn encoder(&self) -> Encoder<'_> {
        Encoder::new(self)
    }

    /// The entry with this id.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.entries.name(id)
    }

    /// The id of an entry.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// Rows that an embedding table for this vocabulary needs: one more than the largest id.
    pub fn vocab_size(&self) -> usize {
        self.entries.len()
    }

    /// Whether letters keep their case.
    pub fn case(&self) -> Case {
        self.case
    }

    /// Ids of the special tokens.
    pub fn special(&self) -> SpecialTokens {
        self.special
    }

    /// What example making needs of the vocabulary.
    pub fn vocabulary(&self) -> examples::Vocabulary {
        examples::Vocabulary {
            classify: self.special.classify,
            separator: self.special.separator,
            mask: self.special.mask,
            entries: self.entries.distinct(),
            continuations: self.entries.names().map(|name| name.starts_with("##")).collect(),
        }
    }

    /// `vocab.txt`: one entry a line.
    pub fn vocab_txt(&self) -> String {
        self.entries.names().flat_map(|name| [name, "\n"]).collect()
    }

    /// `tokenizer.json` as Hugging Face reads it: with `[CLS] … [SEP]` post-processing and `[MASK]` recognised as special. The longest
    /// word is the one in force: 200 characters after a `vocab.txt`, else what the loaded file says.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokenizer cannot be written.
    pub fn tokenizer_json(&self) -> Result<String> {
        self.tokenizer.to_string(true).map_err(|error| Error::Tokenizer(error.to_string()))
    }

    /// `tokenizer_config.json` for Hugging Face's `AutoTokenizer`, which would take letters for lower-cased without it.
    pub fn tokenizer_config_json(&self, model_max_length: usize) -> String {
        let config = serde_json::json!({
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": self.case == Case::Uncased,
            "tokenize_chinese_chars": true,
            "strip_accents": null,
            "model_max_length": model_max_length,
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        });
        format!("{config:#}\n")
    }

    fn normalized(&self, text: &str) -> Result<PreTokenizedString> {
        let mut normalized = NormalizedString::from(text);
        match (&self.rules, self.tokenizer.get_normalizer()) {
            (Rules::Google(rules), _) => rules.normalize(&mut normalized),
            (Rules::File { .. }, Some(normalizer)) => normalizer.normalize(&mut normalized),
            (Rules::File { .. }, None) => Ok(()),
        }
        .map_err(failed)?;
        Ok(normalized.into())
    }

    fn cut(&self, mut text: PreTokenizedString, offsets: OffsetType) -> Result<tokenizers::Encoding> {
        match (&self.rules, self.tokenizer.get_pre_tokenizer()) {
            (Rules::Google(rules), _) => rules.pre_tokenize(&mut text),
            (Rules::File { .. }, Some(pre_tokenizer)) => pre_tokenizer.pre_tokenize(&mut text),
            (Rules::File { .. }, None) => Ok(()),
        }
        .map_err(failed)?;
        text.tokenize(|word| tokenizers::Model::tokenize(&self.model, word.get())).map_err(failed)?;
        text.into_encoding(None, 0, offsets).map_err(failed)
    }
}

/// Says that a rule failed, without the crate's own message, which may quote the text.
fn failed(_: tokenizers::Error) -> Error {
    Error::Tokenizer("a rule of tokenizer.json cannot be applied to this text".into())
}

fn pieces_of(text: &str, encoding: &tokenizers::Encoding) -> Vec<Piece> {
    let border = |at: usize| text.floor_char_boundary(at.min(text.len()));
    let span = |&(start, end): &(usize, usize)| Span::new(border(start), border(end));
    encoding.get_ids().iter().zip(encoding.get_offsets()).map(|(&id, offsets)| Piece { id, span: span(offsets) }).collect()
}

fn special_tokens(id: impl Fn(&str) -> Option<u32>) -> Result<SpecialTokens> {
    let ids = SPECIAL_TOKENS.map(&id);
    let [Some(pad), Some(unknown), Some(classify), Some(separator), Some(mask)] = ids else {
        let missing: Vec<&str> = SPECIAL_TOKENS.into_iter().filter(|token| id(token).is_none()).collect();
        return Err(Error::Tokenizer(format!(
            "expected a BERT vocabulary with {}, but it has no {}",
            SPECIAL_TOKENS.join(" "),
            missing.join(" ")
        )));
    };
    Ok(SpecialTokens { pad, unknown, classify, separator, mask })
}

fn recognise_special_tokens(tokenizer: &mut Tokenizer) -> Result<()> {
    let tokens = SPECIAL_TOKENS.map(|token| AddedToken::from(token, true));
    tokenizer.add_special_tokens(tokens).map(|_| ()).map_err(|error| Error::Tokenizer(error.to_string()))
}

fn lowers(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::BertNormalizer(rules) => rules.lowercase,
        NormalizerWrapper::Lowercase(_) => true,
        NormalizerWrapper::Sequence(sequence) => sequence.as_ref().iter().any(lowers),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
