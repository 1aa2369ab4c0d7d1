//! What one line of a note may be, by itself: a header, a ruler, an administrative field or text.

use super::lexicon::{Known, is_administrative, known};

/// Headers are short: the longest that is taken for one, in bytes, without what follows its colon.
const LONGEST: usize = 80;

/// The longest without a colon, in bytes: a longer line is one of wrapped prose.
const LONGEST_BARE: usize = 60;

/// A header of more words than this is a sentence.
const MOST_WORDS: usize = 10;

/// How a header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `Past Medical History:` and nothing behind.
    OwnLine,
    /// `PAST MEDICAL HISTORY` without a colon.
    Capitals,
    /// `Physical Examination` without a colon.
    Bare,
    /// `ALLERGIES: none`.
    InlineCapitals,
    /// `Reason: cough`.
    Inline,
}

/// What a line may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// It starts with a header of so many bytes, colon included.
    Header {
        /// How it is written.
        style: Style,
        /// Its length in bytes.
        len: usize,
        /// How well its words are known.
        known: Known,
    },
    /// A field of the document's head or foot.
    Administrative,
    /// A row of dashes or the like.
    Ruler,
    /// Anything else.
    Text,
}

/// Judges a line without white space at its ends.
pub(super) fn classify(line: &str) -> Line {
    if is_ruler(line) {
        return Line::Ruler;
    }
    if !line.starts_with(char::is_alphanumeric) {
        return Line::Text;
    }
    let Some(colon) = line.bytes().take(LONGEST + 1).position(|b| b == b':') else {
        return if line.len() <= LONGEST_BARE { without_colon(line) } else { Line::Text };
    };
    let (Some(label), Some(after)) = (line.get(..colon), line.get(colon + 1..)) else { return Line::Text };
    let Some(shape) = shape(label) else {
        return if is_administrative(label) { Line::Administrative } else { Line::Text };
    };
    let known = known(label);
    if known < Known::Section && is_administrative(label) {
        return Line::Administrative;
    }
    let style = match (after.trim_matches(|c: char| c == ':' || c.is_whitespace()).is_empty(), shape) {
        (true, Shape::Capitals | Shape::Title) => Style::OwnLine,
        (true, Shape::Other) if known == Known::Section => Style::OwnLine,
        (false, Shape::Capitals) if after.starts_with(char::is_whitespace) || known > Known::Unknown => Style::InlineCapitals,
        (false, Shape::Title | Shape::Other) if known > Known::Unknown => Style::Inline,
        _ => return Line::Text,
    };
    Line::Header { style, len: colon + 1, known }
}

/// Whether a line is three or more of `-`, `=`, `*`, `~`, or five or more of `_` (MIMIC-IV's `___` is a placeholder).
pub(super) fn is_ruler(line: &str) -> bool {
    let Some(first) = line.chars().next() else { return false };
    let least = match first {
        '-' | '=' | '*' | '~' => 3,
        '_' => 5,
        _ => return false,
    };
    line.len() >= least && line.chars().all(|c| c == first)
}

fn without_colon(line: &str) -> Line {
    let Some(shape) = shape(line) else { return Line::Text };
    let known = known(line);
    let style = match shape {
        Shape::Capitals if !is_answer(line) => Style::Capitals,
        Shape::Title if known > Known::Unknown => Style::Bare,
        Shape::Other if known == Known::Section => Style::Bare,
        _ => return Line::Text,
    };
    Line::Header { style, len: line.len(), known }
}

/// A line in capitals that answers a header rather than being one.
fn is_answer(line: &str) -> bool {
    const ANSWERS: &[&str] = &[
        "AS ABOVE",
        "DNR",
        "DNR/DNI",
        "EXPIRED",
        "FEMALE",
        "FULL",
        "FULL CODE",
        "GOOD",
        "HOME",
        "MALE",
        "MEDICINE",
        "N/A",
        "NA",
        "NAD",
        "NEGATIVE",
        "NIL",
        "NKA",
        "NKDA",
        "NO",
        "NONE",
        "NORMAL",
        "POSITIVE",
        "SEE ABOVE",
        "STABLE",
        "UNCHANGED",
        "UNKNOWN",
        "YES",
    ];
    ANSWERS.binary_search(&line).is_ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Every letter is a capital.
    Capitals,
    /// Every word but the small ones starts with a capital.
    Title,
    /// Anything else.
    Other,
}

/// The shape of a text that may be a header: it starts with a capital (or is known to start with a number), has a few words
/// of letters, and, outside round brackets, nothing that only prose, names or values have. `None` for all others.
fn shape(text: &str) -> Option<Shape> {
    let (mut depth, mut letters, mut words) = (0_usize, 0, 0);
    let (mut small_letters, mut small_words, mut digits) = (false, false, false);
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ if depth > 0 => {}
            c if c.is_alphabetic() => {
                letters += 1;
                small_letters |= c.is_lowercase();
                if last.is_whitespace() {
                    words += 1;
                    small_words |= c.is_lowercase() && !is_small_word(text.get(at..).unwrap_or(""));
                }
            }
            '0'..='9' => digits = true,
            '_' if last != '_' => {}
            ' ' | '\t' | '/' | '&' | ',' | '-' | '\'' | '’' | '+' | '#' => {}
            _ => return None,
        }
        if words > MOST_WORDS {
            return None;
        }
        last = c;
    }
    let starts_well = text.starts_with(char::is_uppercase) && !digits;
    if depth > 0 || letters < 2 || !(starts_well || known(text) == Known::Section) {
        return None;
    }
    Some(match (small_letters, small_words) {
        (false, _) => Shape::Capitals,
        (true, false) => Shape::Title,
        (true, true) => Shape::Other,
    })
}

/// Whether a text starts with a word that stays small in a title.
fn is_small_word(text: &str) -> bool {
    const SMALL: &[&str] =
        &["a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "per", "the", "to", "vs", "with"];
    SMALL.contains(&text.split(|c: char| !c.is_alphabetic()).next().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(line: &str) -> Option<Style> {
        match classify(line) {
            Line::Header { style, .. } => Some(style),
            _ => None,
        }
    }

    #[test]
    fn headers_are_told_by_shape_and_words() {
        assert_eq!(style("Changes to Medical and Family History:"), Some(Style::OwnLine));
        assert_eq!(style("Past medical history:"), Some(Style::OwnLine));
        assert_eq!(style("PHYSICAL EXAM"), Some(Style::Capitals));
        assert_eq!(style("Physical Examination"), Some(Style::Bare));
        assert_eq!(style("HOSPITAL COURSE:  The patient"), Some(Style::InlineCapitals));
        assert_eq!(style("Reason: r/o pna"), Some(Style::Inline));
        assert_eq!(style("HISTORY OF PRESENT ILLNESS (per records):"), Some(Style::OwnLine));
    }

    #[test]
    fn values_prose_and_names_are_no_headers() {
        for line in [
            "The patient has undergone the following therapies:",
            "WBC-8.8 RBC-4.1",
            "10:15 Na 140",
            "Dr. Smith:",
            "MEDQUIST36",
            "[**Name**]:",
            "NKDA",
            "Neck",
            "Cardiovascular: RRR",
            "Disp:*30 Tablet(s)* Refills:*0*",
            "A: stable",
            "- Plan: rest",
            "",
        ] {
            assert_eq!(style(line), None, "{line}");
        }
    }

    #[test]
    fn rulers_and_administrative_fields() {
        assert_eq!(classify("-----"), Line::Ruler);
        assert_eq!(classify("___"), Line::Text, "MIMIC-IV's placeholder");
        assert_eq!(classify("______"), Line::Ruler);
        assert_eq!(classify("Attending:[**Name**]"), Line::Administrative);
        assert_eq!(classify("Date of Birth:  ___   Sex: F"), Line::Administrative);
    }
}
