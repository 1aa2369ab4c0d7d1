//! Byte offsets of UTF-8 to offsets in UTF-16 code units, as JavaScript's strings count.

use clinicalbert_core::text::Span;
use serde::Serialize;

/// Half-open range of UTF-16 code units: `note.slice(start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Range {
    /// First code unit.
    pub start: usize,
    /// One past the last code unit.
    pub end: usize,
}

/// A place in a text, known in both countings. Asking for places in rising order costs one pass over the text in all;
/// asking for an earlier one starts over.
pub struct Cursor<'text> {
    text: &'text str,
    bytes: usize,
    units: usize,
}

impl<'text> Cursor<'text> {
    /// At the start of `text`.
    pub const fn new(text: &'text str) -> Self {
        Self { text, bytes: 0, units: 0 }
    }

    /// The span in code units.
    pub fn range(&mut self, span: Span) -> Range {
        Range { start: self.units_at(span.start), end: self.units_at(span.end) }
    }

    /// Code units before `byte`. A byte beyond the end counts as the end, one inside a character as the last place known before it.
    fn units_at(&mut self, byte: usize) -> usize {
        if byte < self.bytes {
            (self.bytes, self.units) = (0, 0);
        }
        let byte = byte.min(self.text.len());
        if let Some(between) = self.text.get(self.bytes..byte) {
            self.units += if between.is_ascii() { between.len() } else { between.encode_utf16().count() };
            self.bytes = byte;
        }
        self.units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What JavaScript's `slice` would give.
    fn slice(text: &str, range: Range) -> String {
        let units: Vec<u16> = text.encode_utf16().collect();
        String::from_utf16(&units[range.start..range.end]).unwrap()
    }

    #[test]
    fn every_span_covers_the_same_text_in_both_countings() {
        // One, two, three and four bytes a character; the last takes two UTF-16 units, and the family is seven code points.
        let text = "BP 120/80 – 37 °C, naïve, 咳嗽, 🫀 👨‍👩‍👧 end";
        let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        for (number, &start) in borders.iter().enumerate() {
            for &end in &borders[number..] {
                let range = Cursor::new(text).range(Span::new(start, end));
                assert_eq!(slice(text, range), &text[start..end]);
            }
        }
    }

    #[test]
    fn a_cursor_goes_forward_and_back() {
        let text = "🫀a🫁b";
        let mut cursor = Cursor::new(text);
        assert_eq!(cursor.range(Span::new(5, 9)), Range { start: 3, end: 5 });
        assert_eq!(cursor.range(Span::new(0, 4)), Range { start: 0, end: 2 });
        assert_eq!(cursor.range(Span::new(9, 10)), Range { start: 5, end: 6 });
    }

    #[test]
    fn offsets_that_are_no_places_of_the_text_do_no_harm() {
        let mut cursor = Cursor::new("é");
        assert_eq!(cursor.range(Span::new(1, 99)), Range { start: 0, end: 1 });
    }
}
