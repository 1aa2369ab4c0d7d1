//! The original's two tests for a header, by shape alone (`is_title` and `is_inline_title`).

use std::borrow::Cow;

use super::python::is_space;

/// Whether the whole text is a header: it ends with a colon, and every word outside round brackets starts with a capital,
/// but for `of`, `on` and `or`. An empty text before the colon passes; `Disp:` does not.
pub(super) fn is_title(text: &str) -> bool {
    let Some(text) = text.strip_suffix(':') else { return false };
    let text = without_brackets(text);
    text.split(is_space)
        .filter(|word| !word.is_empty() && !matches!(*word, "of" | "on" | "or"))
        .all(|word| word.starts_with(char::is_uppercase))
        && text != "Disp"
}

/// The header that a line starts with: letters and blanks from its first column, a colon and a blank.
pub(super) fn inline_title(line: &str) -> Option<&str> {
    let colon = line.bytes().position(|b| !(b.is_ascii_alphabetic() || b == b' '))?;
    let (title, rest) = (line.get(..=colon)?, line.get(colon + 1..)?);
    (colon > 0 && title.ends_with(':') && rest.starts_with(' ') && is_title(title)).then_some(title)
}

/// The text without `( … )`: from each opening bracket to the first closing one; an unclosed bracket stays.
fn without_brackets(text: &str) -> Cow<'_, str> {
    let mut kept = Cow::Borrowed("");
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once('(') {
        let Some((_, after)) = inside.split_once(')') else { break };
        kept.to_mut().push_str(before);
        rest = after;
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    kept.to_mut().push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_capitalised_words_before_a_colon() {
        for title in ["Plan:", "History of Present Illness:", ":", "(x):", "Plan (2 of 3):", "Évaluation:", "A(b c)d:", " Disp:"]
        {
            assert!(is_title(title), "{title}");
        }
        for text in ["Plan", "Disp:", "Assessment and Plan:", "2nd Plan:", "Plan: b", "(x) y:", "Foo (Bar baz:", ""] {
            assert!(!is_title(text), "{text}");
        }
    }

    #[test]
    fn inline_titles_are_letters_and_blanks_before_a_colon_and_a_blank() {
        assert_eq!(inline_title(" Reason: r/o pna"), Some(" Reason:"));
        assert_eq!(inline_title(" : x"), Some(" :"));
        for line in ["Reason:", "Reason:x", "Date/Time: x", ": x", "not a title: x", ""] {
            assert_eq!(inline_title(line), None, "{line}");
        }
    }
}
