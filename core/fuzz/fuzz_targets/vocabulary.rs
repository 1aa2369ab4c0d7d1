//! `vocab.txt` and `tokenizer.json`, and a text cut with them.

#![no_main]

use clinicalbert_core::tokenizer::{Case, WordPiece};
use libfuzzer_sys::fuzz_target;

const TEXT: &str = "Fever of 101.5\u{b0}F, [MASK] re\u{301}sume\u{301} \u{6f22}\u{5b57}\u{200d}\u{1f600}\tend";

fuzz_target!(|bytes: &[u8]| {
    let from_text = std::str::from_utf8(bytes).ok().and_then(|vocab| WordPiece::from_vocab(vocab, Case::Uncased).ok());
    for tokenizer in [from_text, WordPiece::from_tokenizer_json(bytes).ok()].into_iter().flatten() {
        let _ = (tokenizer.pieces(TEXT), tokenizer.pieces_with_special(TEXT), tokenizer.tokenizer_json());
    }
});
