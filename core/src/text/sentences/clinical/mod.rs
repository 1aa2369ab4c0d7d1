//! Sentence boundaries in clinical text and in papers, by rules.
//!
//! Two passes, each linear. [`lines`] decides which lines run on: a blank line, a list item, a heading or a line that stops short of the wrap
//! width ends a run. [`prose`] then cuts each run at full stops, question and exclamation marks, ellipses and list markers, taking its line
//! breaks for blanks. [`words`] knows the abbreviations.

mod lines;
mod lists;
mod neighbours;
mod prose;
mod words;

use crate::text::Span;

/// The sentences of `text`: never blank, no white space at either end, together all that is not white space.
pub(super) fn sentence_spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::with_capacity(text.len() / 64 + 1);
    lines::each_run(text, |run| prose::split(text, run, &mut spans));
    spans
}
