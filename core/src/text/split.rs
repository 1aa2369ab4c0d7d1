//! Sections first, then the sentences of each.

use std::borrow::Cow;

use super::mapped::MappedText;
use super::sections::{Cut, cut};
use super::sentences::sentence_spans;
use super::{Sentence, Span, SplitNote, SplitOptions, Splitter, placeholders};
use crate::{Error, Result};

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
            // The original's sentences hold the white space at their ends that spaCy makes tokens of; the note's span does not.
            let sentences = sentence_spans(&unit.text, options.sentences_by).into_iter();
            let sentences = sentences.map(|span| (span, span.trimmed(&unit.text))).filter(|(_, visible)| !visible.is_empty());
            note.sentences.extend(sentences.map(|(span, visible)| Sentence {
                text: spaced(unit, span, spacing),
                span: unit.origin(visible),
                section: number,
            }));
        }
        note.sections.push(section);
    }
    Ok(note)
}

/// Cuts a note into sections by rules, and into sentences at boundaries that another program has found: `sentences` are ranges of the
/// note's bytes, in order and apart. Blank ones are left out. White space is collapsed as with our own rules.
///
/// # Errors
/// [`Error::Boundaries`] for a range that is not in the note, cuts a character or overlaps the one before;
/// [`Error::LostByOriginalRules`] as in [`split_note`].
pub fn split_note_at<'note>(text: &'note str, splitter: Splitter, sentences: &[Span]) -> Result<SplitNote<'note>> {
    let sections = cut(text, splitter)?.into_iter().map(|cut| cut.section).collect();
    let mut note = SplitNote { sections, placeholders: placeholders(text), ..SplitNote::default() };
    let mut before = 0;
    for (number, &Span { start, end }) in sentences.iter().enumerate() {
        let wrong = |why: &str| Err(Error::Boundaries(format!("sentence {} ({start} to {end}) {why}", number + 1)));
        if end > text.len() || start > end {
            return wrong(&format!("does not lie in the note, which has {} bytes", text.len()));
        }
        if start < before {
            return wrong("begins before the one before it ends");
        }
        let Some(slice) = text.get(start..end) else { return wrong("cuts a character in two; are the offsets bytes of UTF-8?") };
        before = end;
        let span = Span::new(start, end).trimmed(text);
        if !span.is_empty() {
            let section = note.sections.partition_point(|section| section.span.start <= span.start).saturating_sub(1);
            let text = collapsed(slice).map_or(Cow::Borrowed(slice), Cow::Owned);
            note.sentences.push(Sentence { text, span, section });
        }
    }
    Ok(note)
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
    use crate::text::SentenceRules;

    fn texts(note: &str, splitter: Splitter, sentences_by: SentenceRules) -> Vec<String> {
        let split = split_note(note, SplitOptions { splitter, sentences_by }).unwrap();
        split.sentences.into_iter().map(|sentence| sentence.text.into_owned()).collect()
    }

    #[test]
    fn sentences_stand_on_one_line_and_lead_back_to_the_note() {
        let note =
            "Social History:\r\n  She lives in a small house by the sea with her\r\n husband\t of years.\r\n\r\nPLAN:  rest";
        let split = split_note(note, SplitOptions::default()).unwrap();
        let sentences: Vec<_> = split.sentences.iter().map(|s| (s.text.as_ref(), s.span.of(note).len(), s.section)).collect();
        let lives = "She lives in a small house by the sea with her husband of years.";
        assert_eq!(sentences, [("Social History:", 15, 0), (lives, lives.len() + 3, 0), ("PLAN: rest", 11, 1)]);
        assert!(split.sentences.iter().all(|s| matches!(s.text, Cow::Owned(_)) == (s.text != s.span.of(note))));
    }

    #[test]
    fn boundaries_of_another_program_are_followed_and_their_sections_found() {
        let note = "HPI:\nShe  fell.\n \nPLAN:\nRest, Dr.\u{a0}Wu.";
        let found = [Span::new(0, 15), Span::new(15, 18), Span::new(18, note.len())];
        let split = split_note_at(note, Splitter::Clinical, &found).unwrap();
        let sentences: Vec<_> = split.sentences.iter().map(|s| (s.text.as_ref(), s.span.of(note), s.section)).collect();
        assert_eq!(
            sentences,
            [("HPI: She fell.", "HPI:\nShe  fell.", 0), ("PLAN: Rest, Dr. Wu.", "PLAN:\nRest, Dr.\u{a0}Wu.", 1)]
        );
    }

    #[test]
    fn boundaries_that_do_not_fit_the_note_are_told_by_number() {
        let told = |found: &[(usize, usize)]| {
            let spans: Vec<Span> = found.iter().map(|&(start, end)| Span::new(start, end)).collect();
            split_note_at("né.", Splitter::None, &spans).unwrap_err().to_string()
        };
        assert!(told(&[(0, 1), (1, 5)]).contains("sentence 2 (1 to 5) does not lie in the note, which has 4 bytes"));
        assert!(told(&[(2, 1)]).contains("does not lie in the note"));
        assert!(told(&[(0, 3), (1, 4)]).contains("begins before the one before it ends"));
        assert!(told(&[(0, 2)]).contains("cuts a character"));
    }

    #[test]
    fn the_originals_sentences_keep_their_spacing() {
        let note = "seen: a b  c\n Reason: d\te -\n f g  h";
        assert_eq!(
            texts(note, Splitter::Faithful, SentenceRules::OriginalRules),
            ["seen: a b  c", " Reason: d\te -", "  f g  h"],
            "as written by the original's mechanics"
        );
        assert_eq!(texts(note, Splitter::None, SentenceRules::OriginalRules), ["seen: a b c Reason: d e -", "f g h"]);
        let split =
            split_note(note, SplitOptions { splitter: Splitter::Faithful, sentences_by: SentenceRules::OriginalRules }).unwrap();
        assert_eq!(split.sentences[2].span.of(note), "f g  h");
    }

    #[test]
    fn white_space_of_any_script_collapses() {
        assert_eq!(collapsed(" A\u{a0}• b\u{2003} \u{b}c’ \r\n").as_deref(), Some("A • b c’"));
        assert_eq!(collapsed("A • b c’ é"), None);
        assert_eq!(collapsed(" a b"), Some("a b".to_owned()));
        assert_eq!(collapsed(""), None);
    }
}
