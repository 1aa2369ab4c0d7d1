//! How little a model expects each word of a text: every word is hidden in turn, and its probability is read, given all others.
//!
//! Of a word of several pieces, a piece is scored with those after it hidden too, so that the end of a word does not give away its beginning
//! (PLL-word-l2r of Kauf and Ivanova, "A Better Way to Do Masked Language Model Scoring", ACL 2023).

use crate::{
    Error, Result,
    bert::{Backend, Batch, Model},
    text::Span,
    tokenizer::{Piece, WordPiece},
};

/// Hidden pieces of a forward pass.
const ROWS: usize = 16;

/// A word, and how little it was expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surprise {
    /// The word's bytes in the text.
    pub span: Span,
    /// −ln of its probability; 0 is certain.
    pub nats: f64,
}

/// Every word of `text`, in order. Of texts longer than the model allows, each piece is scored from the longest stretch around it.
///
/// # Errors
/// [`Error::Tensor`] without an MLM head; the tokenizer or the machine fails.
pub async fn surprise<B: Backend>(model: &Model<B>, tokenizer: &WordPiece, text: &str) -> Result<Vec<Surprise>> {
    let pieces = tokenizer.pieces(text)?;
    let ends = word_ends(&pieces, tokenizer);
    let mut words: Vec<Surprise> = Vec::new();
    let mut end_before = 0;
    let hidden: Vec<_> = pieces.iter().copied().zip(ends.iter().copied()).enumerate().collect();
    for group in hidden.chunks(ROWS) {
        let rows: Vec<_> = group.iter().map(|(at, (_, end))| row(&pieces, *at, *end, tokenizer, model)).collect();
        let types = vec![0; rows.iter().map(|row| row.ids.len()).max().unwrap_or(0)];
        let batch =
            Batch::from_rows(rows.iter().map(|row| (row.ids.as_slice(), types.get(..row.ids.len()).unwrap_or_default())))?;
        let positions: Vec<u32> =
            rows.iter().enumerate().map(|(number, row)| (number * batch.length + row.position) as u32).collect();
        let logits = model.mlm_logits(&batch, &positions).await?;
        let scores = logits.data.chunks_exact(model.config().vocab_size);
        for ((at, (piece, end)), scores) in group.iter().zip(scores) {
            let nats = negative_log_probability(scores, piece.id)?;
            match words.last_mut() {
                Some(word) if *at > 0 && *end == end_before => {
                    word.span.end = piece.span.end;
                    word.nats += nats;
                }
                _ => words.push(Surprise { span: piece.span, nats }),
            }
            end_before = *end;
        }
    }
    Ok(words)
}

/// For every piece the number of the first piece after its word.
fn word_ends(pieces: &[Piece], tokenizer: &WordPiece) -> Vec<usize> {
    let mut ends = vec![pieces.len(); pieces.len()];
    let mut end = pieces.len();
    for (number, piece) in pieces.iter().enumerate().rev() {
        if let Some(slot) = ends.get_mut(number) {
            *slot = end;
        }
        if !tokenizer.token(piece.id).is_some_and(|token| token.starts_with("##")) {
            end = number;
        }
    }
    ends
}

struct Row {
    ids: Vec<u32>,
    /// Where the piece that is scored stands in it.
    position: usize,
}

/// The stretch around piece `at`, which is hidden with the rest of its word.
fn row<B: Backend>(pieces: &[Piece], at: usize, end: usize, tokenizer: &WordPiece, model: &Model<B>) -> Row {
    let special = tokenizer.special();
    let length = pieces.len().min(model.config().max_position_embeddings.saturating_sub(2));
    let start = at.saturating_sub(length / 2).min(pieces.len() - length);
    let inside = pieces.iter().enumerate().skip(start).take(length);
    let shown = inside.map(|(number, piece)| if (at..end).contains(&number) { special.mask } else { piece.id });
    Row { ids: std::iter::once(special.classify).chain(shown).chain([special.separator]).collect(), position: 1 + at - start }
}

fn negative_log_probability(logits: &[f32], id: u32) -> Result<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let normalizer: f64 = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum();
    let logit = logits.get(id as usize);
    let logit = logit.ok_or_else(|| Error::Batch(format!("token id {id} must be below {}", logits.len())))?;
    Ok(normalizer.ln() - f64::from(logit - largest))
}

#[cfg(test)]
#[cfg(feature = "candle")]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::{
        bert::{Candle, Config, initialize},
        tasks::masked_text::Masked,
        tokenizer::Case,
    };

    fn model(max_position_embeddings: usize) -> (Model<Candle>, WordPiece) {
        let config = Config {
            vocab_size: 9,
            hidden_size: 8,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 8,
            max_position_embeddings,
            initializer_range: 0.5,
            ..Config::default()
        };
        let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nfever\n##ish\n##ness\ncough\n";
        let tokenizer = WordPiece::from_vocab(words, Case::Cased).unwrap();
        (Model::new(Candle::default(), &config, &initialize(&config, 1)).unwrap(), tokenizer)
    }

    fn words(text: &str, longest: usize) -> Vec<Surprise> {
        let (model, tokenizer) = model(longest);
        block_on(surprise(&model, &tokenizer, text)).unwrap()
    }

    /// By the way of filling masks: the probability of a token for the first mask.
    fn filled(text: &str, token: u32) -> f64 {
        let (model, tokenizer) = model(16);
        let masked = Masked::new(text, &tokenizer, model.config()).unwrap();
        let first = block_on(masked.fill(&model, 9)).unwrap().remove(0);
        -first.iter().find(|filled| filled.token == token).unwrap().score.ln()
    }

    #[test]
    fn a_word_is_as_surprising_as_it_is_unlikely_for_its_mask() {
        let found = words("cough, fever", 16);
        assert_eq!(found.iter().map(|word| (word.span.start, word.span.end)).collect::<Vec<_>>(), [(0, 5), (5, 6), (7, 12)]);
        assert!((found[0].nats - filled("[MASK], fever", 8)).abs() < 1e-5);
        assert!((found[2].nats - filled("cough, [MASK]", 5)).abs() < 1e-5);
    }

    #[test]
    fn the_pieces_of_a_word_are_found_from_left_to_right_and_added() {
        let found = words("cough feverishness", 16);
        assert_eq!((found.len(), found[1].span.start, found[1].span.end), (2, 6, 18));
        let parts =
            filled("cough [MASK] [MASK] [MASK]", 5) + filled("cough fever [MASK] [MASK]", 6) + filled("cough feverish [MASK]", 7);
        assert!((found[1].nats - parts).abs() < 1e-5, "{} {parts}", found[1].nats);
    }

    #[test]
    fn texts_of_any_length_have_all_their_words() {
        assert_eq!(words("", 8), []);
        let long = "fever cough ".repeat(20);
        let found = words(&long, 8);
        assert_eq!(found.len(), 40);
        assert!(found.iter().all(|word| word.nats > 0.0 && word.nats.is_finite()));
        // Words far from both ends see the same stretch around them.
        assert!((found[10].nats - found[20].nats).abs() < 1e-6);
    }
}
