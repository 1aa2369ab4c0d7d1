//! Step E of the original: numbered lists become one segment an item.

use std::collections::HashSet;

use super::python::{digit, is_space, strip};
use crate::{Error, Result};

/// How a list was cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum List<'text> {
    /// No line starts with a number and a dot.
    None,
    /// There is such a line, but nothing was cut; the original leaves the line break that it had put before the text.
    Uncut,
    /// The text before the first item, if any, and the items; the last one runs on to the end of the text.
    Items(Vec<&'text str>),
}

/// Cuts a list. The original counts up from the first item's number while the next number stands at any line start, then cuts
/// as many times at whatever items come next. The published rules take a number followed by any character for an item when
/// they count (`literal_dot` is false), so that the count can exceed the items, and the note is lost.
pub(super) fn cut_list(text: &str, literal_dot: bool) -> Result<List<'_>> {
    let starts = line_starts(text);
    let items: Vec<usize> = starts.iter().copied().filter(|&at| text.get(at..).and_then(number).is_some()).collect();
    let Some(first) = items.first().and_then(|&at| text.get(at..)).and_then(number) else { return Ok(List::None) };
    let cuts = count(text, &starts, &first, literal_dot);
    // The original compares the last number counted with 1, so a list that is `0.` alone is none.
    if cuts == 0 || (cuts == 1 && first == b"0") {
        return Ok(List::Uncut);
    }
    if cuts > items.len() {
        return Err(Error::LostByOriginalRules("it counts more list items than there are to cut (its step for numbered lists)"));
    }
    let mut parts = Vec::with_capacity(cuts + 1);
    let mut rest = 0;
    for &at in items.iter().take(cuts) {
        let before = strip(text.get(rest..at).unwrap_or(""));
        if !before.is_empty() {
            parts.push(before);
        }
        rest = at;
    }
    parts.push(strip(text.get(rest..).unwrap_or("")));
    Ok(List::Items(parts))
}

/// Where the first visible character of the text stands, and of every line that has one.
fn line_starts(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    loop {
        let line = text.get(at..).unwrap_or("");
        let Some(visible) = line.find(|c| !is_space(c)) else { break };
        at += visible;
        starts.push(at);
        let Some(newline) = text.get(at..).and_then(|rest| rest.find('\n')) else { break };
        at += newline + 1;
    }
    starts
}

/// The number before a dot at the start of the text, as Python prints it.
fn number(text: &str) -> Option<Vec<u8>> {
    let mut digits = Vec::new();
    for c in text.chars() {
        match digit(c) {
            Some(value) => digits.push(b'0' + u8::try_from(value).ok()?),
            None if c == '.' && !digits.is_empty() => {
                let zeros = digits.iter().take_while(|&&d| d == b'0').count().min(digits.len() - 1);
                digits.drain(..zeros);
                return Some(digits);
            }
            None => return None,
        }
    }
    None
}

/// How many numbers, counted up from `first`, stand at line starts, each followed by a dot or, unless `literal_dot`, by
/// anything but a line break. A longer number counts for each of its beginnings then.
fn count(text: &str, starts: &[usize], first: &[u8], literal_dot: bool) -> usize {
    // No more numbers than bytes can be counted, so few more digits than the first number has are ever needed.
    let longest = first.len().max(12) + 1;
    let mut seen: HashSet<&[u8]> = HashSet::new();
    for &at in starts {
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        let digits = rest.iter().take(longest).take_while(|b| b.is_ascii_digit()).count();
        for len in first.len()..=digits {
            let follows = rest.get(len).is_some_and(|&next| if literal_dot { next == b'.' } else { next != b'\n' });
            if let (true, Some(number)) = (follows, rest.get(..len)) {
                seen.insert(number);
            }
        }
    }
    let mut next = first.to_vec();
    let mut counted = 0;
    while seen.contains(next.as_slice()) {
        counted += 1;
        increment(&mut next);
    }
    counted
}

/// Adds one to a decimal number.
fn increment(number: &mut Vec<u8>) {
    for digit in number.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    number.insert(0, b'1');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_count_takes_any_character_for_a_dot() {
        let text = "1. alpha\n2. beta\n30 mg given";
        assert!(matches!(cut_list(text, false), Err(Error::LostByOriginalRules(_))));
        assert_eq!(cut_list(text, true).unwrap(), List::Items(vec!["1. alpha", "2. beta\n30 mg given"]));
    }

    #[test]
    fn counting_carries_and_starts_where_the_list_starts() {
        assert_eq!(cut_list("9. a\n10. b\n\n 11. c", false).unwrap(), List::Items(vec!["9. a", "10. b", "11. c"]));
        assert_eq!(cut_list("intro\n٣. a", true).unwrap(), List::Uncut, "counts in ASCII digits only");
        assert_eq!(cut_list("0. a", false).unwrap(), List::Uncut);
        assert_eq!(cut_list("0. a\n1. b", false).unwrap(), List::Items(vec!["0. a", "1. b"]));
        assert_eq!(cut_list("text 1. c", false).unwrap(), List::None);
    }
}
