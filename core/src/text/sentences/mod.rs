//! Sentence boundaries (stand-in until the real rules are merged): one sentence a section.

use super::{SentenceRules, Span};

/// Spans of the sentences of `text`, relative to it.
pub fn sentence_spans(text: &str, rules: SentenceRules) -> Vec<Span> {
    let _ = rules;
    let whole = Span::new(0, text.len()).trimmed(text);
    if whole.is_empty() { Vec::new() } else { vec![whole] }
}
