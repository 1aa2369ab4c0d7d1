//! Text that may differ from the note, with the origin of each of its pieces in the note.
//!
//! The original splitter hands on altered strings: rulers normalised to five characters, a title and its answer joined by a
//! blank, a line break put before a list. Sentences are found in those strings, but their offsets must be the note's.

use std::borrow::Cow;

use super::Span;

/// Text with a way back to the note.
#[derive(Debug, Clone)]
pub(super) struct MappedText<'note> {
    /// The text as the next stage reads it.
    pub text: Cow<'note, str>,
    /// Where the text starts in the note, if it stands there verbatim (then there are no pieces).
    start: usize,
    /// Pieces in order, covering the whole text, if it differs from the note.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Length in the text.
    len: usize,
    /// What it stands for in the note; a piece of the same length is verbatim.
    origin: Span,
}

impl<'note> MappedText<'note> {
    /// The note's own text at `span`.
    pub fn verbatim(note: &'note str, span: Span) -> Self {
        Self { text: Cow::Borrowed(span.of(note)), start: span.start, pieces: Vec::new() }
    }

    /// Pieces of text one after the other, each with the range of the note that it stands for.
    pub fn joined(pieces: &[(&str, Span)]) -> Self {
        let text: String = pieces.iter().map(|(text, _)| *text).collect();
        let start = pieces.first().map_or(0, |(_, origin)| origin.start);
        let pieces = pieces.iter().map(|(text, origin)| Piece { len: text.len(), origin: *origin }).collect();
        Self { text: Cow::Owned(text), start, pieces }
    }

    /// The range of the note that `range` of the text stands for. Part of a piece that is not verbatim stands for all of it.
    pub fn origin(&self, range: Span) -> Span {
        if self.pieces.is_empty() {
            return range.shifted(self.start);
        }
        let mut at = 0;
        let mut origin: Option<Span> = None;
        for piece in &self.pieces {
            let (from, to) = (range.start.max(at), range.end.min(at + piece.len));
            if from < to {
                let part = if piece.len == piece.origin.len() {
                    Span::new(piece.origin.start + from - at, piece.origin.start + to - at)
                } else {
                    piece.origin
                };
                origin = Some(Span::new(origin.map_or(part.start, |before| before.start), part.end));
            }
            at += piece.len;
        }
        origin.unwrap_or(Span::new(self.start, self.start))
    }

    /// The range of the note that the whole text stands for.
    pub fn whole(&self) -> Span {
        self.origin(Span::new(0, self.text.len()))
    }

    /// The text at `range`, borrowed from the note where it stands there verbatim.
    pub fn slice(&self, range: Span) -> Cow<'note, str> {
        match &self.text {
            Cow::Borrowed(text) => Cow::Borrowed(range.of(text)),
            Cow::Owned(text) => Cow::Owned(range.of(text).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_text_leads_back_to_the_note() {
        let note = "Plan:\n\n  rest ______ end";
        let mapped = MappedText::joined(&[
            ("Plan:", Span::new(0, 5)),
            (" ", Span::new(5, 9)),
            ("rest", Span::new(9, 13)),
            ("_____", Span::new(14, 20)),
        ]);
        assert_eq!(mapped.text, "Plan: rest_____");
        assert_eq!(mapped.origin(Span::new(6, 10)).of(note), "rest");
        assert_eq!(mapped.origin(Span::new(7, 9)).of(note), "es");
        assert_eq!(mapped.origin(Span::new(2, 8)).of(note), "an:\n\n  re");
        assert_eq!(mapped.origin(Span::new(12, 13)).of(note), "______", "a part of a ruler is the ruler");
        assert_eq!(mapped.whole(), Span::new(0, 20));
    }
}
