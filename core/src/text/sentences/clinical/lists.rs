//! Marks that begin a list item: bullets, and numbers or letters with a point or a bracket.

/// What stands behind the number or letter of an enumerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// `1.`
    Point,
    /// `1)`
    Bracket,
    /// `1.)`, `1).`
    Both,
}

/// `1.`, `b)`, `12.)` at the front of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Enumerator {
    /// The number, or the letter's place in the alphabet.
    pub value: u32,
    /// Whether it is a letter.
    pub is_letter: bool,
    pub mark: Mark,
    /// Bytes of number or letter and mark.
    pub len: usize,
}

impl Enumerator {
    /// The enumerator with which `text` begins. White space or a letter must follow it, so `2.5` is none.
    pub fn at(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = bytes.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        let (value, is_letter, length) = match (digits, bytes.first()?) {
            (1..=3, _) => (text.get(..digits)?.parse().ok()?, false, digits),
            (0, letter @ b'a'..=b'z') => (u32::from(letter - b'a') + 1, true, 1),
            (0, letter @ b'A'..=b'Z') => (u32::from(letter - b'A') + 1, true, 1),
            _ => return None,
        };
        let after = text.get(length..)?;
        let (mark, mark_length) = match after.as_bytes() {
            [b'.', b')', ..] | [b')', b'.', ..] => (Mark::Both, 2),
            [b'.', ..] => (Mark::Point, 1),
            [b')', ..] => (Mark::Bracket, 1),
            _ => return None,
        };
        let next = after.get(mark_length..)?.chars().next();
        let is_item = match next {
            None => true,
            Some(c) if is_letter => c.is_whitespace(),
            Some(c) => c.is_whitespace() || c.is_alphabetic(),
        };
        is_item.then_some(Self { value, is_letter, mark, len: length + mark_length })
    }

    /// Whether `next` is the item after this one.
    pub fn is_followed_by(self, next: Self) -> bool {
        self.value.checked_add(1) == Some(next.value) && self.is_letter == next.is_letter && self.mark == next.mark
    }
}

/// Bytes of the bullet with which `text` begins; 0 for none.
pub(super) fn bullet(text: &str) -> usize {
    let mut chars = text.chars();
    let (first, next) = (chars.next(), chars.next());
    match first {
        Some(c) if is_bullet_sign(c) => c.len_utf8(),
        // A sign that also has other uses must stand before its item, not inside a number, a ruler or emphasis.
        Some('-') if next.is_some_and(|c| c.is_whitespace() || c.is_alphabetic() || c == '[') => 1,
        Some('*' | '+' | '>' | '#' | '–' | '—') if next.is_some_and(char::is_whitespace) => 1,
        Some('#') if next.is_some_and(|c| c.is_alphanumeric()) => 1,
        _ => 0,
    }
}

/// Signs that are bullets wherever they stand.
pub(super) fn is_bullet_sign(c: char) -> bool {
    matches!(c, '•' | '⁃' | '●' | '▪' | '■' | '◦' | '‣' | '►' | '○' | '∙' | '\u{f0b7}' | '\u{f0a7}')
}
