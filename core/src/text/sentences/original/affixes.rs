//! What scispaCy's tokenizer splits off the front, the end and the middle of a word.
//!
//! The rules are those of scispacy 0.1.0 (`custom_tokenizer.py`) over the classes of spaCy 2.0.18, written as scanners:
//! a regular expression takes the first alternative that fits at the front, and the longest that fits at the end.

use super::classes::{UNITS, is_alpha, is_alpha_lower, is_alpha_upper, is_currency, is_icon, is_punct, is_quote};

const BRACKETS: [(char, char); 3] = [('(', ')'), ('[', ']'), ('{', '}')];

/// Bytes to split off the front of `word`; 0 for none.
pub(super) fn prefix(word: &str) -> usize {
    let mut chars = word.chars();
    let Some(first) = chars.next() else { return 0 };
    let rest = chars.as_str();
    let length = first.len_utf8();
    for (open, close) in BRACKETS {
        if first == open {
            return if closes_inside(rest, open, close) { 0 } else { length };
        }
        if first == close {
            return length;
        }
    }
    if first == '.' {
        let dots = word.bytes().take_while(|&byte| byte == b'.').count();
        return if dots > 1 { dots } else { 0 };
    }
    if let Some(long) = ["``", "’’", "US$", "C$", "A$"].into_iter().find(|long| word.starts_with(long)) {
        return long.len();
    }
    let is_prefix =
        matches!(first, '§' | '%' | '=' | '+') || is_punct(first) || is_quote(first) || is_currency(first) || is_icon(first);
    if is_prefix { length } else { 0 }
}

/// Whether a bracket opened before `rest` closes in it, with at least one character inside (no further opening) and one after.
fn closes_inside(rest: &str, open: char, close: char) -> bool {
    let inside = rest.split(open).next().unwrap_or(rest);
    let mut from_second = inside.char_indices().skip(1);
    from_second.any(|(at, c)| c == close && at + c.len_utf8() < rest.len())
}

/// Bytes to split off the end of `word`; 0 for none.
pub(super) fn suffix(word: &str) -> usize {
    let Some(last) = word.chars().next_back() else { return 0 };
    let length = last.len_utf8();
    let before = word.get(..word.len() - length).unwrap_or("");
    if last == '.' {
        let dots = word.bytes().rev().take_while(|&byte| byte == b'.').count();
        return if dots > 1 { dots } else { usize::from(is_full_stop_after(before)) };
    }
    if let Some(pair) = ["''", "’’", "‘‘", "``", "……", "'s", "'S", "’s", "’S"].into_iter().find(|pair| word.ends_with(pair))
    {
        return pair.len();
    }
    if let Some(&(open, close)) = BRACKETS.iter().find(|&&(_, close)| last == close) {
        return if opened_inside(before, open, close) { 0 } else { length };
    }
    if BRACKETS.iter().any(|&(open, _)| last == open) || is_punct(last) || is_quote(last) || is_icon(last) || last == '’' {
        return length;
    }
    let after_digit = |text: &str| text.as_bytes().last().is_some_and(u8::is_ascii_digit);
    if is_currency(last) {
        let named = ["US$", "C$", "A$"].into_iter().find(|currency| word.strip_suffix(currency).is_some_and(after_digit));
        return named.map_or(if after_digit(before) { length } else { 0 }, str::len);
    }
    if last == '+' {
        return usize::from(after_digit(before));
    }
    unit_after_number(word)
}

/// Whether the closing bracket after `before` was opened in it, after at least one character and with at least one inside.
fn opened_inside(before: &str, open: char, close: char) -> bool {
    let inside = before.rsplit(close).next().unwrap_or(before);
    let from = before.len() - inside.len();
    inside.char_indices().any(|(at, c)| c == open && from + at > 0 && at + c.len_utf8() < inside.len())
}

/// Whether one full stop after `before` is a token of its own.
fn is_full_stop_after(before: &str) -> bool {
    let mut back = before.chars().rev();
    let (last, second) = (back.next(), back.next());
    match last {
        None => false,
        // The original puts the alternatives of its quotes, bars and brackets included, inside a character class.
        Some('0'..='9' | '%' | '²' | '-' | ')' | ']' | '+' | '(' | '?' | ':' | '|' | ',' | '’') => true,
        Some(c) if is_alpha_lower(c) || is_quote(c) => true,
        Some('F' | 'C' | 'K') if second == Some('°') => true,
        Some(c) => is_alpha_upper(c) && second.is_some_and(|c| is_alpha_upper(c) || c == '|' || c.is_ascii_digit()),
    }
}

/// The unit of a word that is nothing but digits and a unit. (Looked up after digits alone: `h3g` and `1.5mg` stay whole.)
fn unit_after_number(word: &str) -> usize {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let has_number = unit.len() < word.len();
    if has_number && UNITS.split_ascii_whitespace().any(|known| known == unit) { unit.len() } else { 0 }
}

/// The parts split out of the middle of `word`, as byte ranges, in order.
pub(super) fn infixes(word: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut at = 0;
    let mut previous = None;
    std::iter::from_fn(move || {
        loop {
            let rest = word.get(at..)?;
            let first = rest.chars().next()?;
            let length = infix(previous, first, rest);
            let step = if length > 0 { length } else { first.len_utf8() };
            previous = rest.get(..step)?.chars().next_back();
            at += step;
            if length > 0 {
                return Some((at - length, at));
            }
        }
    })
}

/// Bytes of the infix at the front of `rest`, which begins with `first` and follows `previous`; 0 for none.
fn infix(previous: Option<char>, first: char, rest: &str) -> usize {
    if first.is_ascii_alphanumeric() {
        return 0;
    }
    let length = first.len_utf8();
    if rest.starts_with("..") {
        return rest.bytes().take_while(|&byte| byte == b'.').count();
    }
    if first == '…' || first == '×' || is_icon(first) {
        return length;
    }
    let Some(previous) = previous else { return 0 };
    let next = rest.chars().nth(1);
    let is_split = match first {
        '+' | '-' | '*' | '^' if previous.is_ascii_digit() && next.is_some_and(|c| c.is_ascii_digit() || c == '-') => true,
        '.' if is_alpha_lower(previous) && next.is_some_and(is_alpha_upper) => true,
        ',' if is_alpha(previous) && next.is_some_and(is_alpha) => true,
        _ => false,
    };
    if is_split {
        return length;
    }
    if is_alpha(previous) {
        let dash = rest.trim_start_matches(['?', '"', ';', ':', '=', ',', '.']);
        let is_split = |hyphen: &&str| dash.strip_prefix(*hyphen).and_then(|after| after.chars().next()).is_some_and(is_alpha);
        if let Some(hyphen) = ["–", "—", "--", "---", "——", "~"].into_iter().find(is_split) {
            return rest.len() - dash.len() + hyphen.len();
        }
    }
    let joins = matches!(first, ':' | '<' | '>' | '=') && (is_alpha(previous) || previous == '"') && next.is_some_and(is_alpha);
    if joins { length } else { 0 }
}
