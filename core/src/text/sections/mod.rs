//! Sections of a note: by our rules, or by those of the published pipeline.

mod clinical;
mod list;
mod original;
mod python;
mod title;

use super::mapped::MappedText;
use super::{Section, Span, Splitter};
use crate::Result;

/// A section and the texts in which its sentences are to be found, in order: no sentence crosses from one to the next.
pub(super) struct Cut<'note> {
    pub section: Section<'note>,
    pub units: Vec<MappedText<'note>>,
}

/// Cuts a note into sections.
///
/// # Errors
/// [`crate::Error::LostByOriginalRules`] where the original fails ([`Splitter::Faithful`], more rarely [`Splitter::Fixed`]).
pub(super) fn cut(note: &str, splitter: Splitter) -> Result<Vec<Cut<'_>>> {
    let segments = match splitter {
        Splitter::Clinical => return Ok(clinical::sections(note)),
        Splitter::None => {
            let span = Span::new(0, note.len()).trimmed(note);
            let whole = Section { title: None, span, text: span.of(note).into() };
            if span.is_empty() { Vec::new() } else { vec![(whole, MappedText::verbatim(note, span))] }
        }
        Splitter::Faithful => original::segments(note, false)?,
        Splitter::Fixed => original::segments(note, true)?,
    };
    Ok(segments.into_iter().map(|(section, text)| Cut { section, units: vec![text] }).collect())
}
