//! stub
use crate::text::Span;
pub(super) fn sentence_spans(text: &str) -> Vec<Span> { vec![Span::new(0, text.len()).trimmed(text)] }
