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
    let bytes = text.as_bytes();
    match spacing {
        Spacing::Kept if bytes.contains(&b'\n') => Cow::Owned(text.replace('\n', " ")),
        Spacing::Collapsed if !is_collapsed(&text) => {
            let mut collapsed = String::with_capacity(text.len());
            for word in text.split_whitespace() {
                if !collapsed.is_empty() {
                    collapsed.push(' ');
                }
                collapsed.push_str(word);
            }
            Cow::Owned(collapsed)
        }
        _ => text,
    }
}

/// Whether all white space is single blanks between words.
fn is_collapsed(text: &str) -> bool {
    let mut blank = true;
    for c in text.chars() {
        if c.is_whitespace() && (blank || c != ' ') {
            return false;
        }
        blank = c == ' ';
    }
    !blank
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
