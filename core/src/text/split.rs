//! Sections first, then the sentences of each.

use std::borrow::Cow;

use super::mapped::MappedText;
use super::sections::{Cut, cut};
use super::sentences::sentence_spans;
use super::{Sentence, SentenceRules, Span, SplitNote, SplitOptions, Splitter, placeholders};
use crate::Result;

/// What becomes of the white space inside a sentence.
#[derive(Clone, Copy)]
enum Spacing {
    /// Each run of white space becomes one blank.
    Collapsed,
    /// Line breaks become blanks, all else stays, as in the original.
    Kept,
}

/// Cuts a note into sections and sentences.
///
/// # Errors
/// [`crate::Error::LostByOriginalRules`] only with [`Splitter::Faithful`] and [`Splitter::Fixed`], where the original program
/// loses the note.
pub fn split_note(text: &str, options: SplitOptions) -> Result<SplitNote<'_>> {
    let original = matches!(options.splitter, Splitter::Faithful | Splitter::Fixed);
    let spacing = if original { Spacing::Kept } else { Spacing::Collapsed };
    let mut note = SplitNote { placeholders: placeholders(text), ..SplitNote::default() };
    for Cut { section, units } in cut(text, options.splitter)? {
        let number = note.sections.len();
        for unit in &units {
            let spans = sentence_spans(&unit.text, options.sentences_by);
            let outer = if original && options.sentences_by == SentenceRules::OriginalRules {
                with_original_spacing(&unit.text, &spans)
            } else {
                spans.clone()
            };
            note.sentences.extend(spans.iter().zip(outer).map(|(&span, outer)| Sentence {
                text: spaced(unit, outer, spacing),
                span: unit.origin(span),
                section: number,
            }));
        }
        note.sections.push(section);
    }
    Ok(note)
}

/// Spans of sentences as spaCy has them: white space before the first word of a segment belongs to the first sentence; between
/// two sentences, and at the end, one single blank belongs to neither, and all other white space to the later one, or at the
/// end to the last one.
fn with_original_spacing(text: &str, spans: &[Span]) -> Vec<Span> {
    let mut start = 0;
    let starts: Vec<usize> = spans
        .iter()
        .map(|span| {
            let own = start;
            let blank = text.get(span.end..).is_some_and(|rest| rest.starts_with(' '));
            start = span.end + usize::from(blank);
            own
        })
        .collect();
    let last = spans.last().map_or(0, |span| span.end);
    let end = if text.get(last..) == Some(" ") { last } else { text.len() };
    let ends = spans.iter().skip(1).zip(spans).map(|(_, span)| span.end).chain([end]);
    starts.into_iter().zip(ends).map(|(start, end)| Span::new(start, end)).collect()
}

/// The text of a sentence on one line; borrowed where nothing has to change.
fn spaced<'note>(unit: &MappedText<'note>, span: Span, spacing: Spacing) -> Cow<'note, str> {
    let text = unit.slice(span);
    match spacing {
        Spacing::Kept if text.contains('\n') => Cow::Owned(text.replace('\n', " ")),
        Spacing::Collapsed => collapsed(&text).map_or(text, Cow::Owned),
        Spacing::Kept => text,
    }
}

/// The text with one blank for each run of white space, and none at its ends; `None` if it is so already.
fn collapsed(text: &str) -> Option<String> {
    let mut rest = text.trim();
    let Some(mut run) = wide_run(rest) else { return (rest.len() < text.len()).then(|| rest.to_owned()) };
    let mut collapsed = String::with_capacity(text.len());
    loop {
        collapsed.push_str(rest.get(..run).unwrap_or(""));
        collapsed.push(' ');
        rest = rest.get(run..).unwrap_or("").trim_start();
        match wide_run(rest) {
            Some(next) => run = next,
            None => break,
        }
    }
    collapsed.push_str(rest);
    Some(collapsed)
}

/// Where the first run of white space begins that is not a single blank, in a text that ends without any.
fn wide_run(text: &str) -> Option<usize> {
    // Only these bytes begin white space: ASCII's own, and the first bytes of U+0085 and U+00A0, U+1680, U+2000 to U+205F, U+3000.
    let may_begin = |b: u8| b <= b' ' || matches!(b, 0xc2 | 0xe1 | 0xe2 | 0xe3);
    let white = |at: usize| text.get(at..).and_then(|rest| rest.chars().next()).is_some_and(char::is_whitespace);
    let mut at = 0;
    loop {
        at += text.as_bytes().get(at..)?.windows(2).position(|pair| match *pair {
            [b' ', next] => may_begin(next),
            [byte, _] => may_begin(byte),
            _ => false,
        })?;
        let blank = text.as_bytes().get(at) == Some(&b' ');
        if white(if blank { at + 1 } else { at }) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(note: &str, splitter: Splitter) -> Vec<String> {
        let options = SplitOptions { splitter, sentences_by: SentenceRules::default() };
        split_note(note, options).unwrap().sentences.into_iter().map(|sentence| sentence.text.into_owned()).collect()
    }

    #[test]
    fn sentences_stand_on_one_line_and_lead_back_to_the_note() {
        let note = "Social History:\r\n  Lives\r\n alone\t here\r\n\r\nPLAN:  rest";
        let split = split_note(note, SplitOptions::default()).unwrap();
        let sentences: Vec<_> = split.sentences.iter().map(|s| (s.text.as_ref(), s.span.of(note), s.section)).collect();
        assert_eq!(
            sentences,
            [
                ("Social History:", "Social History:", 0),
                ("Lives alone here", "Lives\r\n alone\t here", 0),
                ("PLAN: rest", "PLAN:  rest", 1)
            ]
        );
        assert!(split.sentences.iter().all(|s| matches!(s.text, Cow::Owned(_)) == (s.text != s.span.of(note))));
    }

    #[test]
    fn the_originals_segments_keep_their_spacing() {
        assert_eq!(texts("A b  c\nd\te", Splitter::Faithful), ["A b  c d\te"]);
        assert_eq!(texts("A b  c\nd\te", Splitter::None), ["A b c d e"]);
        assert_eq!(texts(" A\u{a0}• b\u{2003} \u{b}c’ \r\n", Splitter::None), ["A • b c’"]);
    }

    #[test]
    fn original_sentences_keep_the_white_space_that_spacy_gives_them() {
        let text = " \n a. B -\n c  d ";
        let spans = [Span::new(3, 5), Span::new(6, 9), Span::new(11, 15)];
        let outer: Vec<&str> = with_original_spacing(text, &spans).into_iter().map(|span| span.of(text)).collect();
        assert_eq!(outer, [" \n a.", "B -", "\n c  d"].map(|s| s));
        assert!(with_original_spacing("", &[]).is_empty());
    }
}
