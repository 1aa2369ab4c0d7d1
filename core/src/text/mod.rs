//! From the text of one note to its sections and sentences, with byte offsets into the original at every stage.

mod mapped;
mod placeholders;
mod sections;
pub mod sentences;
mod span;
mod split;

pub use placeholders::placeholders;
pub use sentences::sentence_spans;
pub use span::Span;
pub use split::{split_note, split_note_at};

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Which rules cut a note into sections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Splitter {
    /// Ours: every known bug of the original mended, MIMIC-IV's `___`, indented and inline headers, capitals without a colon.
    #[default]
    Clinical,
    /// The published rules with their authors' own two fixes.
    Fixed,
    /// The published rules with all their bugs, lost notes included.
    Faithful,
    /// The whole note is one section.
    None,
}

/// Which rules find sentence boundaries inside a section.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SentenceRules {
    /// Ours, made for clinical text.
    #[default]
    Rules,
    /// The rule component of the original over scispaCy's tokenization.
    OriginalRules,
}

/// How a note is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitOptions {
    /// Rules for sections.
    pub splitter: Splitter,
    /// Rules for sentences.
    pub sentences_by: SentenceRules,
}

/// A section of a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section<'note> {
    /// The header as it stands in the note, colon included; `None` for text under no header: before the first one, after a
    /// ruler, and administrative fields such as `Attending:`. With the original's rules a section is one of its segments.
    pub title: Option<Span>,
    /// The whole section, header included, white space at both ends excluded.
    pub span: Span,
    /// The text of the section: that of the span, but altered as the original program alters it with its rules.
    pub text: Cow<'note, str>,
}

/// A sentence of a note, as the next stage of the pipeline sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence<'note> {
    /// The text handed on, on one line: line breaks are blanks. With [`Splitter::Clinical`] and [`Splitter::None`] every run
    /// of white space is one blank and the ends are bare. With the original's rules all other white space is kept; with
    /// [`SentenceRules::OriginalRules`] too, also what the original leaves at the ends. (A blank sentence, which splits a
    /// document in the original's output, takes its statistical parser: the rules alone never make one.)
    pub text: Cow<'note, str>,
    /// Where it lies in the note, white space at both ends excluded.
    pub span: Span,
    /// Number of its section in [`SplitNote::sections`].
    pub section: usize,
}

/// One note, cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SplitNote<'note> {
    /// Sections in the order of the note.
    pub sections: Vec<Section<'note>>,
    /// Sentences in the order of the note; none is blank.
    pub sentences: Vec<Sentence<'note>>,
    /// De-identification placeholders: `[** … **]` and `___`.
    pub placeholders: Vec<Span>,
}
