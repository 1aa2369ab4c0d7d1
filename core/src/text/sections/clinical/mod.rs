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
struct Candidate<'note> {
    /// The line without white space at its ends.
    span: Span,
    line: Line,
    /// The line directly above; `None` for the first of a paragraph.
    above: Option<&'note str>,
    /// What the last line that is not blank was, if it was a candidate too.
    previous: Option<Line>,
    /// Whether a ruler stands directly below.
    underlined: bool,
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
fn close<'note>(note: &'note str, open: &Open, end: usize, candidates: &[Candidate<'_>], cuts: &mut Vec<Cut<'note>>) {
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
fn candidates(note: &str) -> Vec<Candidate<'_>> {
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    let (mut at, mut above, mut previous) = (0, None, None);
    for line in note.split('\n') {
        let text = line.trim();
        if text.is_empty() {
            above = None;
        } else {
            let kind = classify(text);
            if kind != Line::Text {
                let start = at + (line.len() - line.trim_start().len());
                let candidate =
                    Candidate { span: Span::new(start, start + text.len()), line: kind, above, previous, underlined: false };
                if let (true, Some(header)) = (candidate.underlines(), candidates.last_mut()) {
                    header.underlined = true;
                }
                candidates.push(candidate);
            }
            previous = (kind != Line::Text).then_some(kind);
            above = Some(text);
        }
        at += line.len() + 1;
    }
    candidates
}

impl Candidate<'_> {
    /// Whether it is a ruler directly below a line that may be a header.
    fn underlines(&self) -> bool {
        let below = matches!(self.previous, Some(Line::Header { style: Style::OwnLine | Style::Capitals | Style::Bare, .. }));
        self.line == Line::Ruler && below && self.above.is_some()
    }

    fn starts_paragraph(&self) -> bool {
        self.above.is_none()
    }

    /// Whether the line above, if there is one, ends a sentence.
    fn follows_sentence(&self) -> bool {
        self.above.is_none_or(|above| above.ends_with(['.', '!', '?']))
    }

    /// Whether the line above is as long as a line of wrapped prose, and ends no sentence.
    fn may_continue_prose(&self) -> bool {
        self.above.is_some_and(|above| above.len() > SHORT_LINE) && !self.follows_sentence()
    }
}

/// Lines up to this many bytes are not wrapped prose; notes are wrapped at 60 columns or more.
const SHORT_LINE: usize = 50;

/// What the whole note says about its headers.
struct Rules {
    /// Nearly all letters are capitals, so capitals make no header.
    capitals_only: bool,
    /// The note has headers on lines of their own, or in capitals, with a colon.
    has_colons: bool,
    /// The note has headers in capitals without a colon.
    has_capitals: bool,
    /// The note has headers without a colon that are not in capitals.
    has_bare: bool,
    /// Where the note's visible text ends.
    end: usize,
}

impl Rules {
    fn of(note: &str, candidates: &[Candidate<'_>]) -> Self {
        let small = note.bytes().filter(u8::is_ascii_lowercase).count();
        let capital = note.bytes().filter(u8::is_ascii_uppercase).count();
        let has = |wanted: &[Style], least: Known| {
            candidates.iter().any(|candidate| match candidate.line {
                Line::Header { style, known, .. } => wanted.contains(&style) && known >= least,
                _ => false,
            })
        };
        Self {
            // A note of a few headers with short answers has many capitals too, so the bar is high.
            capitals_only: small * 5 < capital,
            has_colons: has(&[Style::OwnLine, Style::InlineCapitals], Known::Label),
            has_capitals: has(&[Style::Capitals], Known::Label),
            has_bare: has(&[Style::Bare], Known::Section),
            end: note.trim_end().len(),
        }
    }

    /// Whether a candidate is a header.
    fn accept(&self, note: &str, candidate: &Candidate<'_>) -> bool {
        let Line::Header { style, len, known } = candidate.line else { return false };
        let header = Span::new(candidate.span.start, candidate.span.start + len).of(note);
        let answers = matches!(candidate.previous, Some(Line::Header { style: Style::OwnLine, .. }));
        let letters = header.chars().filter(|c| c.is_alphabetic()).count();
        let has_text = candidate.span.end < self.end;
        match (style, known) {
            _ if candidate.underlined => true,
            (Style::OwnLine, Known::Unknown) => candidate.starts_paragraph() || (letters > 2 && !self.capitals_only),
            (Style::OwnLine, _) => true,
            (Style::Capitals, Known::Unknown) => {
                let stands_out = candidate.starts_paragraph() || (letters > 3 && candidate.follows_sentence());
                stands_out && has_text && !answers && !self.capitals_only && (self.has_capitals || !self.has_colons)
            }
            (Style::Capitals, _) => !answers || candidate.starts_paragraph(),
            (Style::Bare, Known::Section) => !candidate.may_continue_prose() && !self.has_capitals,
            (Style::Bare, _) => candidate.starts_paragraph() && self.has_bare && !self.has_capitals && !self.has_colons,
            (Style::InlineCapitals, Known::Unknown) => {
                candidate.starts_paragraph() && header.contains(' ') && !is_of_the_body(header) && !self.capitals_only
            }
            (Style::InlineCapitals, _) => true,
            (Style::Inline, Known::Section) => true,
            (Style::Inline, _) => !(self.has_colons || self.has_capitals || self.has_bare),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Titles (empty for none) and what the texts of each section are.
    fn cut(note: &str) -> Vec<(&str, Vec<String>)> {
        let title = |cut: &Cut<'_>| cut.section.title.map_or("", |title| title.of(note));
        sections(note)
            .iter()
            .map(|cut| (title(cut), cut.units.iter().map(|unit| unit.text.trim().to_owned()).collect()))
            .collect()
    }

    fn titles(note: &str) -> Vec<&str> {
        cut(note).into_iter().map(|(title, _)| title).collect()
    }

    #[test]
    fn lists_keep_every_item_and_answers_stay_under_their_header() {
        assert_eq!(
            cut("Past Medical History:\n1. Hypertension\n2. Diabetes\n30 mg given\n\nCAD\n\nALLERGIES:  none\n"),
            [
                (
                    "Past Medical History:",
                    vec!["Past Medical History:".into(), "1. Hypertension\n2. Diabetes\n30 mg given\n\nCAD".into()]
                ),
                ("ALLERGIES:", vec!["ALLERGIES:  none".into()]),
            ]
        );
    }

    #[test]
    fn administrative_fields_keep_all_lines_and_bear_no_title() {
        let note = "Admission Date: [**1**] Discharge Date: [**2**]\nmore\n\nSex: F\n\nAllergies:\nNone\n\nAttending: ___.\n\nPlan:\nrest";
        assert_eq!(titles(note), ["", "Allergies:", "", "Plan:"]);
        assert_eq!(cut(note)[0].1, ["Admission Date: [**1**] Discharge Date: [**2**]\nmore\n\nSex: F"]);
        assert_eq!(cut("Admission Date: a Discharge Date: b").len(), 1);
    }

    #[test]
    fn blanks_on_a_line_and_carriage_returns_change_nothing() {
        let plain = "HISTORY\n\nHe fell.\n\nPLAN\n\nRest.";
        assert_eq!(titles(plain), ["HISTORY", "PLAN"]);
        for note in [plain.replace('\n', "\r\n"), plain.replace("\n\n", "\n \t\n"), plain.replace('\n', "\n  ")] {
            assert_eq!(titles(&note), ["HISTORY", "PLAN"], "{note:?}");
        }
    }

    #[test]
    fn three_underscores_break_nothing_and_rulers_close_a_section() {
        assert_eq!(cut("HPI:\n___ yo M\n___\n"), [("HPI:", vec!["HPI:".to_owned(), "___ yo M\n___".to_owned()])]);
        let ruled = cut(" Reason: r/o pna\n ________________\n WET READ pending\n FINAL REPORT\n");
        assert_eq!(ruled[0], ("Reason:", vec!["Reason: r/o pna".to_owned(), "_____".to_owned()]));
        assert_eq!(ruled[1].0, "");
        assert_eq!(
            titles("ADMISSION LABS\n==========\nNa 140\n\nCHRONIC ISSUES:\n------\nnone"),
            ["ADMISSION LABS", "CHRONIC ISSUES:"]
        );
    }

    #[test]
    fn labels_within_a_section_start_none() {
        let note =
            "PHYSICAL EXAM:\nHEENT: clear\nVital signs: stable\n\nLEFT ATRIUM: normal\n• Plan: none\n\nWBC: 8\nNeck\n- supple\n";
        assert_eq!(titles(note), ["PHYSICAL EXAM:"]);
    }

    #[test]
    fn a_header_is_cut_where_its_line_starts() {
        assert_eq!(titles("Old plan: see Plan: below\nPlan: do it\n"), ["", "Plan:"]);
    }

    #[test]
    fn capitals_mean_nothing_among_capitals() {
        assert_eq!(titles("NURSING NOTE\nPT RESTING.\nRESP CARE\nON VENT\n\nPLAN: MONITOR\nTRANSFER"), ["", "PLAN:"]);
        assert_eq!(titles("Allergies:\nNKDA\n\nService:\n\nCARDIOLOGY\n\nThe patient was well."), ["Allergies:", ""]);
    }

    #[test]
    fn headers_without_a_colon_need_room() {
        let icu = "Review of systems is unchanged\n   Physical Examination\n   Heart: regular\n";
        assert_eq!(titles(icu), ["", "Physical Examination"]);
        let prose = "He was admitted with a long list of complaints, among them his\nPast Medical History\nand so on.";
        assert_eq!(titles(prose), [""]);
        assert_eq!(titles("Chief Complaint\n\nFall\n\nResults\nnone\n\nLabs: none"), ["Chief Complaint", "Results"]);
        assert_eq!(titles("CHIEF COMPLAINT\n\nFall\n\nResults\nnone"), ["CHIEF COMPLAINT"]);
    }
}
