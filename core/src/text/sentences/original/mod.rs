//! The rule component of the original program, over scispaCy's tokens.
//!
//! `clinicalBERT/lm_pretraining/format_mimic_for_BERT.py` at commit a9d9169: `sbd_component` sets sentence starts and `fix_deid_tokens` merges
//! placeholders, which takes away the starts inside them. The original joins to these the boundaries of a learned parser, which no rules
//! reproduce: they are not here.

mod affixes;
mod classes;
mod exceptions;
mod tokenizer;
mod url;

pub use tokenizer::tokens;

use crate::text::Span;

/// Numbers of the tokens at which the original's rules start a sentence; never 0.
///
/// A start follows a full stop before a title-case token, and a hyphen before anything but a hyphen. The last token never starts one,
/// because the original walks over all tokens but the last two.
pub fn rule_starts(text: &str, tokens: &[Span]) -> Vec<usize> {
    let walked = tokens.len().saturating_sub(2);
    let pairs = tokens.iter().zip(tokens.iter().skip(1)).take(walked).enumerate();
    let starts = pairs.filter(|(_, (token, next))| match token.of(text) {
        "." => classes::is_title(next.of(text)),
        "-" => next.of(text) != "-",
        _ => false,
    });
    starts.map(|(number, _)| number + 1).collect()
}

/// Spans that the original takes for placeholders: its `\[\*\*.{0,15}.*?\*\*\]`, on one line.
///
/// The pattern swallows up to 15 characters before it looks for the end, so a short placeholder runs on to the end of the next one.
pub fn placeholder_spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut line_start = 0;
    for line in text.split('\n') {
        let mut at = 0;
        while let Some(end) = line.get(at..).and_then(|rest| rest.find("[**")).and_then(|found| {
            at += found;
            placeholder_end(line, at)
        }) {
            spans.push(Span::new(line_start + at, line_start + end));
            at = end;
        }
        line_start += line.len() + 1;
    }
    spans
}

/// Where the placeholder that opens at `open` ends: at the first closer past 15 characters, else at the last closer before that.
fn placeholder_end(line: &str, open: usize) -> Option<usize> {
    let content = line.get(open + 3..)?;
    let swallowed = content.char_indices().nth(15).map_or(content.len(), |(at, _)| at);
    let past = content.get(swallowed..)?.find("**]").map(|found| swallowed + found);
    // A closer that begins within the swallowed characters may end outside them.
    let within = content.match_indices("**]").map(|(at, _)| at).take_while(|&at| at < swallowed).last();
    Some(open + 3 + past.or(within)? + 3)
}

/// Whether a span starts and ends on token borders; only then does the original merge it.
pub fn is_token_aligned(tokens: &[Span], span: Span) -> bool {
    let starts = tokens.binary_search_by_key(&span.start, |token| token.start).is_ok();
    starts && tokens.binary_search_by_key(&span.end, |token| token.end).is_ok()
}

/// The original's sentences, less those that only its parser finds.
pub(super) fn sentence_spans(text: &str) -> Vec<Span> {
    let tokens = tokens(text);
    let merged: Vec<Span> = placeholder_spans(text).into_iter().filter(|&span| is_token_aligned(&tokens, span)).collect();
    let mut placeholders = merged.iter().peekable();
    let mut starts = rule_starts(text, &tokens).into_iter().peekable();
    let mut spans: Vec<Span> = Vec::new();
    for (number, token) in tokens.iter().enumerate() {
        while placeholders.next_if(|placeholder| placeholder.end <= token.start).is_some() {}
        let is_start = starts.next_if_eq(&number).is_some();
        let is_merged = placeholders.peek().is_some_and(|placeholder| placeholder.start < token.start);
        match spans.last_mut() {
            Some(sentence) if !is_start || is_merged => sentence.end = token.end,
            _ => spans.push(*token),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(text: &str) -> Vec<&str> {
        sentence_spans(text).into_iter().map(|span| span.of(text)).collect()
    }

    #[test]
    fn the_bullet_dash_ends_the_sentence_before_it() {
        assert_eq!(sentences("- foo bar\n- baz"), ["-", "foo bar\n- baz"]);
        assert_eq!(sentences("a - - b c d"), ["a - -", "b c d"]);
    }

    #[test]
    fn boundaries_between_two_near_placeholders_vanish() {
        let text = "seen on [**3-4**]. The pt - stable. Then Dr. [**Last Name 22**] came.";
        assert_eq!(sentences(text), [text]);
        let far = "seen on [**2190-3-4 at noon**]. The pt came. Then home.";
        assert_eq!(sentences(far), ["seen on [**2190-3-4 at noon**].", "The pt came.", "Then home."]);
    }

    #[test]
    fn a_placeholder_without_an_end_costs_nothing_and_merges_nothing() {
        assert!(placeholder_spans("[**open\n**] [**").is_empty());
        assert_eq!(placeholder_spans("[**b**]\n[**3**]"), [Span::new(0, 7), Span::new(8, 15)]);
    }
}
