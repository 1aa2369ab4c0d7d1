//! The section splitter of the published pipeline, with its bugs or with its authors' own two fixes.
//!
//! `sent_tokenize_rules` of EmilyAlsentzer/clinicalBERT @ a9d9169, `lm_pretraining/heuristic_tokenize.py`, restated step by step
//! as scans over the note: every segment stays a range of the note, so that offsets survive, and the time is linear.
//! Its step D (split on a ruler between single line breaks) is not here: after step A no such ruler is left.

use super::list::{List, cut_list};
use super::python::{is_space, strip};
use super::title::{inline_title, is_title};
use crate::text::mapped::MappedText;
use crate::text::{Section, Span};
use crate::{Error, Result};

/// A segment before titles and answers are joined.
#[derive(Debug, Clone, Copy)]
struct Segment {
    span: Span,
    /// The text that stands for the span, if it is a ruler.
    ruler: Option<&'static str>,
    /// Whether step E left a line break before it.
    line_break: bool,
}

impl Segment {
    fn plain(note: &str, text: &str) -> Self {
        Self { span: span_of(note, text), ruler: None, line_break: false }
    }

    fn text<'note>(&self, note: &'note str) -> &'note str {
        self.ruler.unwrap_or_else(|| self.span.of(note))
    }

    fn is_title(&self, note: &str) -> bool {
        // The line break matters to one text only: `Disp:` is refused, but not after a line break.
        is_title(self.text(note)) || (self.line_break && is_title(&format!("\n{}", self.text(note))))
    }

    fn has_line_break(&self, note: &str) -> bool {
        self.line_break || self.text(note).contains('\n')
    }

    fn pieces<'note>(&self, note: &'note str) -> impl Iterator<Item = (&'note str, Span)> {
        let line_break = self.line_break.then_some(("\n", Span::new(self.span.start, self.span.start)));
        line_break.into_iter().chain([(self.text(note), self.span)])
    }
}

/// Cuts a note as the original does: `fixed` with its authors' two fixes, otherwise as published.
///
/// # Errors
/// [`Error::LostByOriginalRules`] where the original fails.
pub(super) fn segments(note: &str, fixed: bool) -> Result<Vec<(Section<'_>, MappedText<'_>)>> {
    let mut found = Vec::new();
    let blocks = blocks(note);
    let (blocks, mut segments) = admission(note, &blocks)?;
    for block in blocks {
        cut_at_headers(note, block, &mut segments);
    }
    for segment in segments {
        cut_lists(note, segment, fixed, &mut found)?;
    }
    let mut segments = Vec::with_capacity(found.len());
    for segment in found {
        cut_at_inline_titles(note, segment, &mut segments);
    }
    Ok(join_answers(note, &segments, fixed))
}

/// Where `part`, a slice of `note`, stands in it.
fn span_of(note: &str, part: &str) -> Span {
    let start = part.as_ptr().addr().saturating_sub(note.as_ptr().addr());
    Span::new(start, start + part.len())
}

/// Step A: blocks between blank lines. Each run of three or more `-` or `_` is a block of its own, written with five.
fn blocks(note: &str) -> Vec<Segment> {
    let bytes = note.as_bytes();
    let run = |at: usize, byte: u8| bytes.iter().skip(at).take_while(|&&b| b == byte).count();
    let mut blocks = Vec::new();
    let (mut block, mut at) = (0, 0);
    while let Some(ahead) = bytes.iter().skip(at).position(|b| matches!(b, b'\n' | b'-' | b'_')) {
        let separator = at + ahead;
        let (mut end, mut rulers, mut newlines) = (separator, Vec::new(), 0);
        loop {
            let lines = run(end, b'\n');
            newlines += lines;
            end += lines;
            let (dashes, underscores) = (run(end, b'-'), run(end, b'_'));
            if dashes < 3 && underscores < 3 {
                break;
            }
            let ruler = if dashes >= 3 { "-----" } else { "_____" };
            let span = Span::new(end, end + dashes + underscores);
            rulers.push(Segment { span, ruler: Some(ruler), line_break: false });
            end = span.end;
        }
        at = end.max(separator + 1);
        if newlines >= 2 || !rulers.is_empty() {
            blocks.push(Segment { span: Span::new(block, separator), ruler: None, line_break: false });
            blocks.append(&mut rulers);
            block = end;
        }
    }
    blocks.push(Segment { span: Span::new(block, note.len()), ruler: None, line_break: false });
    blocks
}

/// Step B: the admission and the birth line at the start of the note, four segments each; the rest of their block is dropped.
fn admission<'blocks>(note: &str, blocks: &'blocks [Segment]) -> Result<(&'blocks [Segment], Vec<Segment>)> {
    let mut rest = blocks;
    let mut segments = Vec::new();
    for (first, second) in [("Admission Date:", "Discharge Date:"), ("Date of Birth:", "Sex:")] {
        let Some((block, others)) = rest.split_first() else {
            return Err(Error::LostByOriginalRules("nothing follows its admission line (its step for the admission line)"));
        };
        if let Some(parts) = two_fields(block.text(note), first, second) {
            segments.extend(parts.map(|part| Segment::plain(note, part)));
            rest = others;
        }
    }
    Ok((rest, segments))
}

/// `FIRST value SECOND value` on the first line of a block; the first value is as long as can be.
fn two_fields<'note>(block: &'note str, first: &str, second: &str) -> Option<[&'note str; 4]> {
    let line = block.split('\n').next()?;
    let values = line.strip_prefix(first)?.strip_prefix(' ')?;
    let at = values.rmatch_indices(second).map(|(at, _)| at).find(|&at| {
        let after = values.get(at + second.len()..).unwrap_or("");
        values.get(..at).is_some_and(|before| before.ends_with(' ')) && after.starts_with(' ')
    })?;
    let title = values.get(at..at + second.len())?;
    let (before, after) = (values.get(..at)?, values.get(at + second.len()..)?);
    Some([line.get(..first.len())?, strip(before), title, strip(after)])
}

/// Step C: cuts a block at its headers, each at the first place where its words occur.
fn cut_at_headers(note: &str, block: &Segment, segments: &mut Vec<Segment>) {
    let text = block.text(note);
    if block.ruler.is_some() {
        return segments.push(*block);
    }
    let mut rest = text;
    for header in text.split('\n').filter_map(header) {
        let Some(at) = rest.find(header) else { continue };
        let (before, from) = rest.split_at(at);
        let (header, after) = from.split_at(header.len());
        if !strip(before).is_empty() {
            segments.push(Segment::plain(note, strip(before)));
        }
        segments.push(Segment::plain(note, header));
        rest = strip(after);
    }
    if !rest.is_empty() {
        segments.push(Segment::plain(note, strip(rest)));
    }
}

/// The header at the start of a line: an ASCII capital, at least one character more, a colon, and the shape of a title.
fn header(line: &str) -> Option<&str> {
    let colon = line.starts_with(|c: char| c.is_ascii_uppercase()).then(|| line.find(':'))??;
    let header = line.get(..=colon).filter(|_| colon > 1)?;
    is_title(header).then_some(header)
}

/// Step E: one segment a list item.
fn cut_lists(note: &str, segment: Segment, fixed: bool, segments: &mut Vec<Segment>) -> Result<()> {
    match cut_list(segment.text(note), fixed)? {
        List::None => segments.push(segment),
        List::Uncut => segments.push(Segment { line_break: true, ..segment }),
        List::Items(items) => segments.extend(items.into_iter().map(|item| Segment::plain(note, item))),
    }
    Ok(())
}

/// Step F: a line that starts with a header starts a segment.
fn cut_at_inline_titles(note: &str, segment: Segment, segments: &mut Vec<Segment>) {
    let text = segment.text(note);
    let (mut start, mut at) = (0_usize, 0_usize);
    let mut line_break = segment.line_break;
    for line in text.split('\n') {
        if inline_title(line).is_some() && (at > 0 || line_break) {
            // The line break before the title goes with it: the segment before ends one byte earlier.
            let before = text.get(start..at.saturating_sub(1)).unwrap_or("");
            segments.push(Segment { line_break: line_break && at > 0, ..Segment::plain(note, before) });
            (start, line_break) = (at, false);
        }
        at += line.len() + 1;
    }
    let span = Span::new(segment.span.start + start, segment.span.end);
    segments.push(Segment { span, line_break, ..segment });
}

/// Step G: a one-line answer joins its title if it is the only one; otherwise the published rules drop it.
fn join_answers<'note>(note: &'note str, segments: &[Segment], fixed: bool) -> Vec<(Section<'note>, MappedText<'note>)> {
    let titles: Vec<bool> = segments.iter().map(|segment| segment.is_title(note)).collect();
    let is_title = |i: usize| titles.get(i).copied().unwrap_or(false);
    let mut sections: Vec<(Section<'note>, MappedText<'note>)> = Vec::with_capacity(segments.len());
    let mut title: Option<Segment> = None;
    for (i, &segment) in segments.iter().enumerate() {
        match title.filter(|_| !segment.has_line_break(note) && !is_title(i)) {
            Some(title) if i + 1 == segments.len() || is_title(i + 1) => {
                sections.pop();
                sections.push(section(note, Some(title), segment));
            }
            Some(_) if !fixed => {}
            _ => sections.push(section(note, None, segment)),
        }
        title = is_title(i).then_some(segment);
    }
    sections
}

/// A segment, after its title if that was joined to it.
fn section<'note>(note: &'note str, title: Option<Segment>, segment: Segment) -> (Section<'note>, MappedText<'note>) {
    let text = match title {
        Some(title) => {
            let blank = (" ", Span::new(title.span.end, segment.span.start));
            MappedText::joined(&title.pieces(note).chain([blank]).chain(segment.pieces(note)).collect::<Vec<_>>())
        }
        None if segment.line_break || segment.ruler.is_some() => MappedText::joined(&segment.pieces(note).collect::<Vec<_>>()),
        None => MappedText::verbatim(note, segment.span),
    };
    let own = segment.text(note);
    let inline = || own.split('\n').next().and_then(inline_title).map(|title| span_of(note, title.trim_matches(is_space)));
    let title = match title {
        Some(title) => Some(title.span),
        None if segment.ruler.is_some() => None,
        None if is_title(own) => Some(segment.span),
        None => inline(),
    };
    let span = text.whole().trimmed(note);
    (Section { title: title.map(|title| title.trimmed(note)), span, text: text.text.clone() }, text)
}
