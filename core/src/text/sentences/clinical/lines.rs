//! Which lines of a text run on into the next one, and which end there.
//!
//! Notes mix three things that all end in a single line break: prose wrapped at some width, lists with an item a line, and headings. In greedily
//! wrapped prose a line ends because the next word did not fit, which the widths of the paragraph's lines tell.

use super::lists::{Enumerator, bullet};
use super::words::leaves_open;
use crate::text::Span;

/// Widths between which a paragraph's longest line may be the mark of wrapped text. Typed and dictated notes wrap at 60 to 100 columns.
const WRAP_WIDTHS: std::ops::RangeInclusive<usize> = 56..=130;
/// Lines shorter than this do not run on into a line in small letters unless the paragraph is wrapped: they are a list.
const SHORT_LINE: usize = 40;
/// Columns for a placeholder, whose length is not that of the name or date which stood there when the line was wrapped.
const PLACEHOLDER_WIDTH: usize = 12;
/// Longest heading or label in bytes.
const LONGEST_LABEL: usize = 48;

/// A line that is not blank.
#[derive(Clone, Copy)]
struct Line<'text> {
    /// Without white space at either end.
    span: Span,
    text: &'text str,
    /// In characters, indent included, a placeholder counting [`PLACEHOLDER_WIDTH`].
    width: usize,
    /// In characters, indent included, as it stands.
    columns: usize,
}

/// Calls `emit` for each run of lines that belong together, white space at both ends excluded.
pub(super) fn each_run(text: &str, mut emit: impl FnMut(Span)) {
    let mut paragraph: Vec<Line> = Vec::new();
    let mut start = 0;
    for raw in text.split('\n') {
        let end = start + raw.len();
        let span = Span::new(start, end).trimmed(text);
        if span.is_empty() {
            each_run_of_paragraph(&paragraph, &mut emit);
            paragraph.clear();
        } else {
            let line = Span::new(start, span.end).of(text);
            paragraph.push(Line { span, text: span.of(text), width: width(line), columns: characters(line) });
        }
        start = end + 1;
    }
    each_run_of_paragraph(&paragraph, &mut emit);
}

fn each_run_of_paragraph(lines: &[Line], emit: &mut impl FnMut(Span)) {
    let Some(first) = lines.first() else { return };
    let longest = lines.iter().map(|line| line.width).max().unwrap_or(0);
    let mut item = Enumerator::at(first.text);
    let mut run = first.span;
    for (line, next) in lines.iter().zip(lines.iter().skip(1)) {
        let next_item = Enumerator::at(next.text);
        let continues_list = item.zip(next_item).is_some_and(|(item, next)| item.is_followed_by(next));
        // A letter out of order is a word or an initial: `q. p.m.`, `E. coli`.
        let is_item = next_item.is_some_and(|item| !item.is_letter || item.value == 1);
        let splits_placeholder = has_open_placeholder(line.text) && next.text.contains("**]");
        if !splits_placeholder && (continues_list || !runs_on(line, next, is_item, longest)) {
            emit(run);
            run = next.span;
            item = next_item.or(item);
        }
        run.end = next.span.end;
    }
    emit(run);
}

/// Whether `line` and `next` belong to one run, in a paragraph whose longest line has `longest` columns.
fn runs_on(line: &Line, next: &Line, is_item: bool, longest: usize) -> bool {
    if bullet(next.text) > 0
        || is_ruler(next.text)
        || is_ruler(line.text)
        || ends_as_heading(line.text)
        || begins_with_time(next.text)
    {
        return false;
    }
    let is_open = line.text.ends_with([',', '(', '[', '/', '&', '=', '+']) || leaves_open(last_word(line.text));
    if is_open && !is_item {
        return true;
    }
    let first_word = next.text.split(char::is_whitespace).next().unwrap_or("");
    let is_wrapped = WRAP_WIDTHS.contains(&longest);
    // The wrapping saw a line with placeholders either as it stands or with names and dates in their places.
    let is_full = is_wrapped && line.width.max(line.columns) + 1 + width(first_word) > longest.max(*WRAP_WIDTHS.start() + 4);
    if begins_with_label(next.text) && !(is_full && is_open) {
        return false;
    }
    if next.text.starts_with(char::is_lowercase) && !is_item {
        return is_wrapped || line.width >= SHORT_LINE;
    }
    is_full
}

/// Whether a placeholder that opens in the line does not close in it.
fn has_open_placeholder(line: &str) -> bool {
    line.rsplit_once("[**").is_some_and(|(_, inside)| !inside.contains("**]"))
}

/// Columns of a line.
fn width(line: &str) -> usize {
    let mut columns = 0;
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("[**") {
        let Some((_, after)) = after.split_once("**]") else { break };
        columns += characters(before) + PLACEHOLDER_WIDTH;
        rest = after;
    }
    columns + characters(rest)
}

fn characters(text: &str) -> usize {
    text.bytes().filter(|byte| (byte & 0xc0) != 0x80).count()
}

fn last_word(line: &str) -> &str {
    line.rsplit(char::is_whitespace).next().unwrap_or("").trim_start_matches(['(', '[', '"'])
}

/// `-----`, `=====`, `* * *`: no letter or digit, at least three signs.
fn is_ruler(line: &str) -> bool {
    line.len() >= 3 && line.bytes().all(|byte| matches!(byte, b'-' | b'=' | b'_' | b'*' | b'~' | b'#' | b'+' | b' '))
}

/// A line that ends with a colon, or a short one in capitals without a full stop.
fn ends_as_heading(line: &str) -> bool {
    if line.ends_with(':') {
        return true;
    }
    let is_short = line.len() <= LONGEST_LABEL && !line.ends_with(['.', ',', ';', '-']);
    let capitals = || line.bytes().filter(u8::is_ascii_uppercase).count();
    let is_capitals = || line.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b' ' | b'&' | b'/' | b'-' | b'\''));
    is_short && is_capitals() && capitals() >= 4
}

/// `Label: text`: at most five words from a capital to the colon.
fn begins_with_label(line: &str) -> bool {
    let Some(colon) = line.bytes().take(LONGEST_LABEL).position(|byte| byte == b':') else { return false };
    let label = line.get(..colon).unwrap_or("");
    let is_followed = line.get(colon + 1..).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
    let is_label = label.starts_with(char::is_uppercase) && !label.contains(['.', ';', ',', '?']);
    is_followed && is_label && label.split_ascii_whitespace().count() <= 5
}

/// A row of a flowsheet: a date or placeholder and a time, or a time alone.
fn begins_with_time(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let is_time = |word: &str| {
        let (hours, rest) = word.split_once(':').unwrap_or(("", ""));
        matches!(hours.len(), 1 | 2)
            && hours.bytes().all(|byte| byte.is_ascii_digit())
            && rest.starts_with(|c: char| c.is_ascii_digit())
    };
    let Some(first) = words.next() else { return false };
    let is_date = first.starts_with("[**") || (first.starts_with(|c: char| c.is_ascii_digit()) && first.contains(['-', '/']));
    is_time(first) || (is_date && words.next().is_some_and(is_time))
}
