//! Sentence boundaries inside a section: ours, made for clinical text, and the original program's rules.

mod clinical;
pub mod original;

use super::{SentenceRules, Span};

/// Sentences of `text`, in order, as byte ranges of it on character borders.
///
/// With [`SentenceRules::Rules`] no span is blank or has white space at either end, and together they cover every character that is not white
/// space.
///
/// With [`SentenceRules::OriginalRules`] the spans are the original's sentences exactly: they hold the line breaks and blanks that scispaCy makes
/// tokens of, tile the text but for single blanks between them, and one may be blank. The original's line is the span's text with each `\n`
/// replaced by a blank.
pub fn sentence_spans(text: &str, rules: SentenceRules) -> Vec<Span> {
    match rules {
        SentenceRules::Rules => clinical::sentence_spans(text),
        SentenceRules::OriginalRules => original::sentence_spans(text),
    }
}
