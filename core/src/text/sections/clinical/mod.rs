//! Our section splitter: headers by shape, words and surroundings; no character of the note is ever lost.
//!
//! Each line is judged by itself first ([`line`]), then by its surroundings: capitals mean nothing in a note that is all in
//! capitals, a line in capitals under a header's colon is that header's text, and a label is a section only where the note
//! has no better headers.

mod lexicon;
mod line;

use lexicon::{Known, is_of_the_body};
use line::{Line, Style, classify};

use super::Cut;
use crate::text::mapped::MappedText;
use crate::text::{Section, Span};

/// A line that may start a section.
struct Candidate {
    /// The line without white space at its ends.
    span: Span,
    line: Line,
    /// Whether it is the first of a paragraph.
    starts_paragraph: bool,
    /// What the last line that is not blank was, if it was a candidate too.
    previous: Option<Line>,
}

/// Cuts a note into sections, each with its sentences' texts: the header where it stands alone, rulers, and the rest.
pub(super) fn sections(note: &str) -> Vec<Cut<'_>> {
    let candidates = candidates(note);
    let rules = Rules::of(note, &candidates);
    let mut cuts = Vec::new();
    let mut open = Open { title: None, start: 0, alone: false, administrative: false };
    for candidate in &candidates {
        let start = candidate.span.start;
        let next = match candidate.line {
            Line::Header { style, len, .. } if rules.accept(note, candidate) => {
                let title = Span::new(start, start + len).trimmed(note);
                let alone = !matches!(style, Style::Inline | Style::InlineCapitals);
                Open { title: Some(title), start, alone, administrative: false }
            }
            Line::Administrative if !open.administrative => Open { title: None, start, alone: false, administrative: true },
            // A ruler closes the section that it stands under, unless it underlines the header.
            Line::Ruler if !candidate.underlines() => {
                Open { title: None, start: candidate.span.end, alone: false, administrative: false }
            }
            _ => continue,
        };
        close(note, &open, next.start, &candidates, &mut cuts);
        open = next;
    }
    close(note, &open, note.len(), &candidates, &mut cuts);
    cuts
}

/// The section that is being read.
struct Open {
    title: Option<Span>,
    start: usize,
    /// Whether its header stands on a line of its own.
    alone: bool,
    administrative: bool,
}

/// Ends a section at `end` and divides it into the texts of its sentences.
fn close<'note>(note: &'note str, open: &Open, end: usize, candidates: &[Candidate], cuts: &mut Vec<Cut<'note>>) {
    let span = Span::new(open.start, end).trimmed(note);
    if span.is_empty() {
        return;
    }
    let mut units = Vec::new();
    let mut rest = span.start;
    let mut add = |text: MappedText<'note>| {
        if !text.text.trim().is_empty() {
            units.push(text);
        }
    };
    if let (true, Some(title)) = (open.alone, open.title) {
        add(MappedText::verbatim(note, title));
        rest = title.end;
    }
    let from = candidates.partition_point(|candidate| candidate.span.start < span.start);
    let inside = candidates.iter().skip(from).take_while(|candidate| candidate.span.start < span.end);
    for ruler in inside.filter(|candidate| candidate.line == Line::Ruler).map(|candidate| candidate.span) {
        add(MappedText::verbatim(note, Span::new(rest, ruler.start)));
        let short = Span::new(ruler.start, (ruler.start + SHORT_RULER).min(ruler.end)).of(note);
        add(MappedText::joined(&[(short, ruler)]));
        rest = ruler.end;
    }
    add(MappedText::verbatim(note, Span::new(rest, span.end)));
    cuts.push(Cut { section: Section { title: open.title, span, text: span.of(note).into() }, units });
}

/// Rulers are handed on no longer than the original does: 78 underscores would fill a training example.
const SHORT_RULER: usize = 5;

/// All lines that may start a section, in order.
fn candidates(note: &str) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let (mut at, mut starts_paragraph, mut previous) = (0, true, None);
    for line in note.split('\n') {
        let text = line.trim();
        if text.is_empty() {
            starts_paragraph = true;
        } else {
            let kind = classify(text);
            let start = at + (line.len() - line.trim_start().len());
            let span = Span::new(start, start + text.len());
            if kind != Line::Text {
                candidates.push(Candidate { span, line: kind, starts_paragraph, previous });
            }
            previous = (kind != Line::Text).then_some(kind);
            starts_paragraph = false;
        }
        at += line.len() + 1;
    }
    candidates
}

impl Candidate {
    fn underlines(&self) -> bool {
        let alone = matches!(self.previous, Some(Line::Header { style: Style::OwnLine | Style::Capitals | Style::Bare, .. }));
        alone && !self.starts_paragraph
    }
}

/// What the whole note says about its headers.
struct Rules {
    /// Nearly all letters are capitals, so capitals make no header.
    capitals_only: bool,
    /// The note has headers in capitals, or on lines of their own.
    has_plain_headers: bool,
    /// The note has headers in capitals without a colon.
    has_capitals: bool,
}

impl Rules {
    fn of(note: &str, candidates: &[Candidate]) -> Self {
        let small = note.bytes().filter(u8::is_ascii_lowercase).count();
        let capital = note.bytes().filter(u8::is_ascii_uppercase).count();
        let styles = |wanted: &[Style]| {
            let of = |line| matches!(line, Line::Header { style, known, .. } if wanted.contains(&style) && known > Known::Unknown);
            candidates.iter().any(|candidate| of(candidate.line))
        };
        Self {
            // A note of a few headers with short answers has many capitals too, so the bar is high.
            capitals_only: small * 5 < capital,
            has_plain_headers: styles(&[Style::OwnLine, Style::Capitals, Style::InlineCapitals]),
            has_capitals: styles(&[Style::Capitals]),
        }
    }

    /// Whether a candidate is a header.
    fn accept(&self, note: &str, candidate: &Candidate) -> bool {
        let Line::Header { style, len, known } = candidate.line else { return false };
        let header = Span::new(candidate.span.start, candidate.span.start + len).of(note);
        let under_own_line = matches!(candidate.previous, Some(Line::Header { style: Style::OwnLine, .. }));
        match style {
            Style::OwnLine => known > Known::Unknown || !self.capitals_only || candidate.starts_paragraph,
            Style::Capitals if known > Known::Unknown => !under_own_line || candidate.starts_paragraph,
            Style::Capitals => !self.capitals_only && candidate.starts_paragraph && !under_own_line,
            Style::Bare => candidate.starts_paragraph && !self.has_capitals,
            Style::InlineCapitals if known > Known::Unknown => true,
            Style::InlineCapitals => {
                !self.capitals_only && candidate.starts_paragraph && header.contains(' ') && !is_of_the_body(header)
            }
            Style::Inline => known == Known::Section || !self.has_plain_headers,
        }
    }
}
