//! What stands before and after a possible sentence end.

use super::lists::is_bullet_sign;

/// How the text after a possible end begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening<'text> {
    /// Nothing follows.
    Nothing,
    /// A word with a capital.
    Capital(&'text str),
    /// A word in small letters.
    Small(&'text str),
    /// A word such as `p53`, `mRNA`, `γH2AX`: small letter first, but no ordinary word.
    Symbol,
    /// A digit.
    Digit,
    /// A placeholder.
    Placeholder,
    /// `(a)`, `(12)`: a label in brackets.
    Label,
    /// A bullet or another sign that opens a phrase.
    Sign,
    /// Punctuation that goes on with the sentence.
    Punctuation,
}

impl<'text> Opening<'text> {
    /// How `rest` begins, quotes and brackets before the first word left aside.
    pub fn of(rest: &'text str) -> Self {
        let rest = rest.trim_start();
        if rest.starts_with("[**") || rest.starts_with("___") {
            return Self::Placeholder;
        }
        if is_bracketed_label(rest) {
            return Self::Label;
        }
        let inner = rest.trim_start_matches(['"', '“', '‘', '\'', '(', '[', '«', '*', '`']);
        let Some(first) = inner.chars().next() else {
            return if rest.is_empty() { Self::Nothing } else { Self::Punctuation };
        };
        if inner.len() < rest.len() && inner.starts_with("**") {
            return Self::Placeholder;
        }
        let length = inner.find(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’' && c != '-').unwrap_or(inner.len());
        let word = inner.get(..length).unwrap_or("");
        if first.is_uppercase() {
            let whole = word.split(['-', '\'', '’']).next().unwrap_or(word);
            // An initial is no word that opens a sentence: `A.` is not `A`.
            let is_initial = length == 1 && inner.as_bytes().get(1) == Some(&b'.');
            return Self::Capital(if is_initial { inner.get(..2).unwrap_or(whole) } else { whole });
        }
        if first.is_ascii_digit() {
            return Self::Digit;
        }
        if first.is_alphabetic() {
            let is_symbol = !first.is_ascii() || word.chars().any(|c| c.is_uppercase() || c.is_ascii_digit());
            return if is_symbol { Self::Symbol } else { Self::Small(word) };
        }
        let is_sign = is_bullet_sign(first) || matches!(first, '-' | '–' | '—' | '+' | '#' | '~' | '<' | '>' | '$' | '*' | '?');
        if is_sign { Self::Sign } else { Self::Punctuation }
    }
}

/// `(a)`, `[12]`, `(A–C)`: at most four letters or digits in brackets.
fn is_bracketed_label(rest: &str) -> bool {
    let Some(inner) = rest.strip_prefix(['(', '[']) else { return false };
    let length = inner.bytes().take(5).take_while(u8::is_ascii_alphanumeric).count();
    (1..=2).contains(&length) && inner.get(length..).is_some_and(|rest| rest.starts_with([')', ']']))
}

/// At most the first `longest` bytes of `text`.
pub(super) fn head(text: &str, longest: usize) -> &str {
    text.get(..text.floor_char_boundary(longest)).unwrap_or(text)
}

/// At most the last `longest` bytes of `text`.
pub(super) fn tail(text: &str, longest: usize) -> &str {
    text.get(text.ceil_char_boundary(text.len().saturating_sub(longest))..).unwrap_or(text)
}

/// The word that ends at `end`: what stands between white space and `end`, opening quotes and brackets left aside.
/// At most 32 bytes of it are looked at: longer words are no abbreviation.
pub(super) fn word_before(text: &str, floor: usize, end: usize) -> &str {
    let before = tail(text.get(floor..end).unwrap_or(""), 32);
    let word = before.rsplit(char::is_whitespace).next().unwrap_or(before);
    word.trim_start_matches(['(', '[', '{', '"', '“', '‘', '\'', '«', '*', ',', '/'])
}

/// Quotes and brackets that close right after a full stop.
pub(super) fn closers(rest: &str) -> usize {
    rest.len() - rest.trim_start_matches(['"', '”', '\'', '’', ')', ']', '}', '»', '`', '*']).len()
}
