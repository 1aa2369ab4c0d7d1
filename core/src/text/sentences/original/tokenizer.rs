//! scispaCy's tokenizer: white space first, then each word from both ends inwards.
//!
//! spaCy 2.0.18 `tokenizer.pyx` with the rules of scispacy 0.1.0. A single blank between words belongs to no token; any other white space
//! is a token of its own, less the blank that it begins with after a word.

use super::affixes::{infixes, prefix, suffix};
use super::classes::is_space;
use super::exceptions::pieces;
use super::url::is_url;
use crate::text::Span;

/// The tokens of `text`, in order.
pub fn tokens(text: &str) -> Vec<Span> {
    let mut tokens = Vec::with_capacity(text.len() / 4);
    let mut start = 0;
    let mut in_space = text.starts_with(is_space);
    for (at, c) in text.char_indices() {
        if is_space(c) != in_space {
            push_word(text, Span::new(start, at), &mut tokens);
            start = if c == ' ' { at + 1 } else { at };
            in_space = !in_space;
        }
    }
    push_word(text, Span::new(start, text.len()), &mut tokens);
    tokens
}

/// Cuts one run of text or of white space.
fn push_word(text: &str, run: Span, tokens: &mut Vec<Span>) {
    if run.is_empty() {
        return;
    }
    let Span { mut start, mut end } = run;
    let mut suffixes = Vec::new();
    while pieces(Span::new(start, end).of(text)).is_none() {
        let word = Span::new(start, end).of(text);
        if word.is_empty() || is_url(word) {
            break;
        }
        let front = prefix(word);
        if front > 0 && pieces(word.get(front..).unwrap_or("")).is_some() {
            tokens.push(Span::new(start, start + front));
            start += front;
            break;
        }
        let back = suffix(word);
        if back > 0 && pieces(word.get(..word.len() - back).unwrap_or("")).is_some() {
            suffixes.push(Span::new(end - back, end));
            end -= back;
            break;
        }
        if front == 0 && back == 0 {
            break;
        }
        if front > 0 {
            tokens.push(Span::new(start, start + front));
            start += front;
        }
        // The two ends of a short word may overlap: then the front wins.
        if back > 0 && front + back <= word.len() {
            suffixes.push(Span::new(end - back, end));
            end -= back;
        }
    }
    push_middle(text, Span::new(start, end), tokens);
    tokens.extend(suffixes.into_iter().rev());
}

/// Cuts what is left of a word between its affixes.
fn push_middle(text: &str, middle: Span, tokens: &mut Vec<Span>) {
    let word = middle.of(text);
    let mut start = middle.start;
    let mut push = |end: usize| {
        if start < end {
            tokens.push(Span::new(start, end));
            start = end;
        }
    };
    if let Some(lengths) = pieces(word) {
        let mut end = middle.start;
        for length in lengths {
            end += length;
            push(end);
        }
    } else if !is_url(word) {
        for (from, to) in infixes(word).filter(|&(from, _)| from > 0) {
            push(middle.start + from);
            push(middle.start + to);
        }
    }
    push(middle.end);
}
