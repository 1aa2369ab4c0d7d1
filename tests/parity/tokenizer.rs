//! WordPiece against Google's `FullTokenizer` and Hugging Face's tokenizers.

use std::fs;

use clinicalbert_core::tokenizer::{Case, WordPiece};
use clinicalbert_tests::reference;
use serde_json::Value;

fn lines(path: &std::path::Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(word_piece: &WordPiece, text: &str) -> Vec<u32> {
    word_piece.pieces(text).unwrap().iter().map(|piece| piece.id).collect()
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u32).collect()
}

#[test]
fn toy_strings_have_googles_pieces() {
    let Some(path) = reference("spec/golden/tokenize.json") else { return };
    let vocab = fs::read_to_string(path.with_file_name("toy_vocab.txt")).unwrap();
    let word_piece = WordPiece::from_vocab(&vocab, Case::Cased).unwrap();
    let golden: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for row in golden.as_array().unwrap() {
        let pieces = ids(&word_piece, row["text"].as_str().unwrap());
        let names: Value = pieces.iter().map(|&id| word_piece.token(id).unwrap()).collect();
        assert_eq!(names, row["wordpieces_cased"], "{}", row["text"]);
    }
}

#[test]
fn parity_strings_have_googles_ids_directly_and_through_an_encoder() {
    let (Some(path), Some(vocab)) =
        (reference("data/tokenizer-parity/parity-dev.jsonl"), reference("data/vocab/bert-base-cased-vocab.txt"))
    else {
        return;
    };
    let vocab = fs::read_to_string(vocab).unwrap();
    for (case, expected) in [(Case::Cased, "ids_cased"), (Case::Uncased, "ids_lower")] {
        let word_piece = WordPiece::from_vocab(&vocab, case).unwrap();
        let mut encoder = word_piece.encoder();
        for (number, row) in lines(&path).iter().enumerate() {
            let text = row["text"].as_str().unwrap();
            let expected = numbers(&row[expected]);
            assert_eq!(ids(&word_piece, text), expected, "{case:?} string {number}");
            for _ in 0..2 {
                let mut ids = Vec::new();
                encoder.append_ids(text, &mut ids).unwrap();
                assert_eq!(ids, expected, "{case:?} string {number} through the encoder");
            }
        }
    }
}

#[test]
fn encodings_are_hugging_faces() {
    let (Some(path), Some(vocab)) =
        (reference("data/tokenizer-parity/encode-dev.jsonl"), reference("data/vocab/bert-base-cased-vocab.txt"))
    else {
        return;
    };
    let vocab = fs::read_to_string(vocab).unwrap();
    for (case, expected) in [(Case::Cased, "cased"), (Case::Uncased, "lower")] {
        let word_piece = WordPiece::from_vocab(&vocab, case).unwrap();
        for (number, row) in lines(&path).iter().enumerate() {
            let text = row["text"].as_str().unwrap();
            let second = row["text_pair"].as_str().filter(|second| !second.is_empty());
            let max_length = row["max_length"].as_u64().map(|length| length as usize);
            let encoding = word_piece.encode(text, second, max_length).unwrap();
            let used = numbers(&row[expected]["attention_mask"]).iter().filter(|&&mask| mask == 1).count();
            let expected = |name: &str| row[expected][name].as_array().unwrap()[..used].to_vec();

            assert_eq!(Value::from(encoding.input_ids), Value::from(expected("input_ids")), "{case:?} encoding {number}");
            assert_eq!(Value::from(encoding.token_type_ids.clone()), Value::from(expected("token_type_ids")));
            let spans = encoding.spans.iter().zip(&encoding.token_type_ids).map(|(span, &token_type)| {
                let text = if token_type == 0 { text } else { second.unwrap() };
                let characters = |end: usize| text[..end].chars().count();
                span.map_or([0, 0], |span| [characters(span.start), characters(span.end)])
            });
            assert_eq!(
                spans.map(|span| Value::from(span.to_vec())).collect::<Vec<_>>(),
                expected("offsets"),
                "{case:?} encoding {number}"
            );
        }
    }
}
