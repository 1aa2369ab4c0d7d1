//! A cut note in the shape in which JavaScript gets it: that of `native split --format jsonl`, with offsets in UTF-16 code units.

use clinicalbert_core::text::{SentenceRules, Span, SplitNote, SplitOptions, Splitter};
use serde::{Deserialize, Serialize};

use crate::utf16::{Cursor, Range};

/// How a note is to be cut; what is absent has the default of the command line.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    splitter: Splitter,
    sentences_by: SentenceRules,
}

impl From<Options> for SplitOptions {
    fn from(options: Options) -> Self {
        Self { splitter: options.splitter, sentences_by: options.sentences_by }
    }
}

/// A note, cut.
#[derive(Debug, Serialize)]
pub struct Cut<'note> {
    sections: Vec<Section<'note>>,
    sentences: Vec<Sentence<'note>>,
    placeholders: Vec<Placeholder<'note>>,
}

#[derive(Debug, Serialize)]
struct Section<'note> {
    title: Option<&'note str>,
    text: &'note str,
    #[serde(flatten)]
    range: Range,
}

#[derive(Debug, Serialize)]
struct Sentence<'note> {
    text: &'note str,
    section: usize,
    #[serde(flatten)]
    range: Range,
}

#[derive(Debug, Serialize)]
struct Placeholder<'note> {
    text: &'note str,
    #[serde(flatten)]
    range: Range,
}

impl<'note> Cut<'note> {
    /// The parts of `note` that `split` names.
    pub fn new(note: &'note str, split: &'note SplitNote<'note>) -> Self {
        Self {
            sections: in_code_units(note, &split.sections, |section| section.span)
                .map(|(section, range)| Section {
                    title: section.title.map(|title| title.of(note)),
                    text: section.span.of(note),
                    range,
                })
                .collect(),
            sentences: in_code_units(note, &split.sentences, |sentence| sentence.span)
                .map(|(sentence, range)| Sentence { text: &sentence.text, section: sentence.section, range })
                .collect(),
            placeholders: in_code_units(note, &split.placeholders, |&span| span)
                .map(|(span, range)| Placeholder { text: span.of(note), range })
                .collect(),
        }
    }
}

fn in_code_units<'part, Part>(
    note: &'part str,
    parts: &'part [Part],
    span: impl Fn(&Part) -> Span + 'part,
) -> impl Iterator<Item = (&'part Part, Range)> {
    let mut cursor = Cursor::new(note);
    parts.iter().map(move |part| (part, cursor.range(span(part))))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use clinicalbert_core::text;

    use super::*;

    #[test]
    fn parts_keep_their_text_and_get_utf16_offsets() {
        let note = "Exam: 🫀 regular.\nSeen by [**Name**].";
        let sentence =
            |start, end| text::Sentence { text: Cow::Borrowed(&note[start..end]), span: Span::new(start, end), section: 0 };
        let split = SplitNote {
            sections: vec![text::Section {
                title: Some(Span::new(0, 5)),
                span: Span::new(0, note.len()),
                text: Cow::Borrowed(note),
            }],
            sentences: vec![sentence(0, 19), sentence(20, 39)],
            placeholders: vec![Span::new(28, 38)],
        };
        let cut = Cut::new(note, &split);
        assert_eq!(cut.sections[0].title, Some("Exam:"));
        assert_eq!(cut.sections[0].range, Range { start: 0, end: 37 });
        assert_eq!(cut.sentences[0].text, "Exam: 🫀 regular.");
        assert_eq!(cut.sentences[1].range, Range { start: 18, end: 37 });
        assert_eq!((cut.placeholders[0].text, cut.placeholders[0].range), ("[**Name**]", Range { start: 26, end: 36 }));
    }
}
