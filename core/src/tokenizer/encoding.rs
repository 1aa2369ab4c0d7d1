//! Text as a model's input: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, cut to a length.

use super::{Piece, WordPiece};
use crate::{Error, Result, text::Span};

/// One row of a model's input, without padding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Entries of the vocabulary.
    pub input_ids: Vec<u32>,
    /// 0 up to the first `[SEP]`, 1 after it.
    pub token_type_ids: Vec<u8>,
    /// Bytes of the text (of A or of B) that a token stands for; `None` for the special tokens around them.
    pub spans: Vec<Option<Span>>,
    /// Whether text was cut off to fit.
    pub is_truncated: bool,
}

impl WordPiece {
    /// Encodes a text or a pair of texts as Hugging Face's tokenizers do: special tokens in the text mean themselves, and what is longer
    /// than `max_length` tokens is cut off at the end, of a pair the longer text first.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if `max_length` leaves no room for the special tokens, or the text cannot be cut into pieces.
    pub fn encode(&self, text: &str, second: Option<&str>, max_length: Option<usize>) -> Result<Encoding> {
        let mut first = self.pieces_with_special(text)?;
        let mut second = second.map(|second| self.pieces_with_special(second)).transpose()?;
        let around = if second.is_some() { 3 } else { 2 };
        let room = max_length.unwrap_or(usize::MAX).checked_sub(around).ok_or_else(|| {
            Error::Tokenizer(format!(
                "a max_length of {} leaves no room for {around} special tokens",
                max_length.unwrap_or_default()
            ))
        })?;
        let whole = first.len() + second.as_ref().map_or(0, Vec::len);
        let (keep_first, keep_second) = shares(first.len(), second.as_ref().map_or(0, Vec::len), room);
        first.truncate(keep_first);
        if let Some(second) = &mut second {
            second.truncate(keep_second);
        }

        let mut encoding = Encoding { is_truncated: keep_first + keep_second < whole, ..Encoding::default() };
        encoding.push(self.special.classify, None, 0);
        encoding.push_text(&first, self.special.separator, 0);
        if let Some(second) = &second {
            encoding.push_text(second, self.special.separator, 1);
        }
        Ok(encoding)
    }
}

impl Encoding {
    fn push(&mut self, id: u32, span: Option<Span>, token_type: u8) {
        self.input_ids.push(id);
        self.token_type_ids.push(token_type);
        self.spans.push(span);
    }

    fn push_text(&mut self, pieces: &[Piece], separator: u32, token_type: u8) {
        pieces.iter().for_each(|piece| self.push(piece.id, Some(piece.span), token_type));
        self.push(separator, None, token_type);
    }
}

/// How many tokens of each text are kept: `longest_first` of the `tokenizers` crate, where an odd place goes to the longer text.
fn shares(first: usize, second: usize, room: usize) -> (usize, usize) {
    if first.saturating_add(second) <= room {
        return (first, second);
    }
    let shorter = first.min(second);
    let (short, long) = if shorter <= room / 2 { (shorter, room - shorter) } else { (room / 2, room - room / 2) };
    if first > second { (long, short) } else { (short, long) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_text_is_cut_first_and_then_both() {
        assert_eq!(shares(10, 0, 7), (7, 0));
        assert_eq!(shares(3, 20, 11), (3, 8));
        assert_eq!(shares(20, 3, 11), (8, 3));
        assert_eq!(shares(20, 30, 11), (5, 6));
        assert_eq!(shares(30, 20, 11), (6, 5));
        assert_eq!(shares(4, 4, usize::MAX), (4, 4));
    }
}
