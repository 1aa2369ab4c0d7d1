//! The class of every token.

use super::{require, softmax};
use crate::{
    Result,
    bert::{Backend, Batch, Classifies, Model},
    text::Span,
    tokenizer::WordPiece,
};

/// Windows of a forward pass.
const ROWS: usize = 8;

/// A token and its likeliest class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenClass {
    /// The token's bytes in the text.
    pub span: Span,
    /// Its entry of the vocabulary.
    pub id: u32,
    /// Number of the class.
    pub class: usize,
    /// The class's probability.
    pub score: f64,
}

/// The likeliest class of every token of `text`, in order. Texts longer than the model allows are read in windows that overlap by half, and a
/// token is judged in the one in which more can be seen around it.
///
/// # Errors
/// [`crate::Error::Tensor`] if the model has no such head, or one for something else; the tokenizer or the machine fails.
pub async fn classify_tokens<B: Backend>(model: &Model<B>, tokenizer: &WordPiece, text: &str) -> Result<Vec<TokenClass>> {
    require(model.config(), Classifies::Tokens)?;
    let encoded = tokenizer.encode(text, None, None)?;
    // Special tokens that stand in the text have bytes there; the two around it have none.
    let tokens: Vec<(u32, Span)> =
        encoded.input_ids.iter().copied().zip(&encoded.spans).filter_map(|(id, span)| Some((id, (*span)?))).collect();
    let windows = windows(tokens.len(), model.config().max_position_embeddings.saturating_sub(2).max(1));
    let classes = model.config().labels.names().len();
    let special = tokenizer.special();
    let mut found = Vec::with_capacity(tokens.len());
    for group in windows.chunks(ROWS) {
        let rows: Vec<Vec<u32>> = group
            .iter()
            .map(|window| {
                let inside = tokens.iter().skip(window.start).take(window.length).map(|(id, _)| *id);
                std::iter::once(special.classify).chain(inside).chain([special.separator]).collect()
            })
            .collect();
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let types = vec![0; longest];
        let rows = rows.iter().map(|row| (row.as_slice(), types.get(..row.len()).unwrap_or_default()));
        let batch = Batch::from_rows(rows)?;
        let logits = model.token_class_logits(&batch).await?;
        for (window, logits) in group.iter().zip(logits.data.chunks_exact((batch.length * classes).max(1))) {
            let judged = logits.chunks_exact(classes.max(1)).skip(1 + window.skip).take(window.keep);
            for ((id, span), logits) in tokens.iter().skip(window.start + window.skip).zip(judged) {
                let best = softmax(logits).into_iter().enumerate().max_by(|(_, one), (_, other)| one.total_cmp(other));
                let (class, score) = best.unwrap_or_default();
                found.push(TokenClass { span: *span, id: *id, class, score });
            }
        }
    }
    Ok(found)
}

/// A stretch of tokens that the model sees at once, and those of it that it judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    start: usize,
    length: usize,
    skip: usize,
    keep: usize,
}

/// Windows of at most `most` tokens that together judge every one of `tokens` once.
fn windows(tokens: usize, most: usize) -> Vec<Window> {
    if tokens <= most {
        return vec![Window { start: 0, length: tokens, skip: 0, keep: tokens }];
    }
    let last = tokens - most;
    let starts: Vec<usize> = (0..last).step_by(most.div_ceil(2)).chain([last]).collect();
    let mut judged = 0;
    let ends = starts.iter().skip(1).map(|next| next + most / 4).chain([tokens]);
    let window = |(start, end): (&usize, usize)| {
        let window = Window { start: *start, length: most, skip: judged - start, keep: end - judged };
        judged = end;
        window
    };
    starts.iter().zip(ends).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_judge_every_token_once_and_none_at_an_edge_within_the_text() {
        assert_eq!(windows(10, 10), [Window { start: 0, length: 10, skip: 0, keep: 10 }]);
        assert_eq!(windows(0, 10), [Window { start: 0, length: 0, skip: 0, keep: 0 }]);
        for (tokens, most) in [(11, 10), (29, 10), (1000, 510), (5000, 510), (7, 1), (9, 2), (10, 3)] {
            let windows = windows(tokens, most);
            let mut judged = 0;
            for (number, window) in windows.iter().enumerate() {
                assert_eq!(window.start + window.skip, judged, "{tokens} {most} {windows:?}");
                judged += window.keep;
                assert!(window.keep > 0 && window.skip + window.keep <= window.length && window.start + window.length <= tokens);
                let after = window.length - window.skip - window.keep;
                assert!(number == 0 || window.skip >= most / 4, "{tokens} {most} {windows:?}");
                assert!(number + 1 == windows.len() || after >= most / 4, "{tokens} {most} {windows:?}");
            }
            assert_eq!(judged, tokens);
        }
    }
}
