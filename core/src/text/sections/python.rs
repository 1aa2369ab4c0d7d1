//! What Python 3's `str` and `re` take for white space and digits, where Rust differs.

/// Python's `str.isspace` and `\s`: Unicode `White_Space` and the four separators U+001C to U+001F.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Python's `str.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Zeros of Unicode's decimal digits (category Nd, each followed by its 1 to 9), as Python 3.11 has them (Unicode 14).
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20, 0x1040,
    0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0,
    0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec,
    0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// The value of a character that `\d` matches.
pub(super) fn digit(c: char) -> Option<u32> {
    if c.is_ascii() {
        return c.to_digit(10);
    }
    let code = u32::from(c);
    let zero = ZEROS.partition_point(|&zero| zero <= code).checked_sub(1).and_then(|i| ZEROS.get(i))?;
    Some(code - zero).filter(|&value| value < 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_digits_are_pythons() {
        assert_eq!(strip("\u{1c}\u{a0} a\u{200b}\u{3000}\n"), "a\u{200b}");
        assert_eq!(digit('7'), Some(7));
        assert_eq!(digit('\u{663}'), Some(3));
        assert_eq!(digit('\u{1fbf9}'), Some(9));
        assert_eq!(digit('²'), None);
        assert_eq!(digit('Ⅷ'), None);
    }
}
