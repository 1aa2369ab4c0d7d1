//! Words that scispaCy's tokenizer takes for web addresses and leaves whole, `b.i.daily` among them.
//!
//! spaCy 2.0.18's pattern (`lang/tokenizer_exceptions.py`) lets anything follow the host, so only the front and the last character count.

/// Longer words are never addresses: bounds the work on endless words.
const LONGEST: usize = 4096;

/// Whether spaCy's URL pattern matches the whole word.
pub(super) fn is_url(word: &str) -> bool {
    let is_word = |c: char| c.is_alphabetic() || c.is_ascii_digit() || c == '_';
    if word.len() > LONGEST || !word.contains('.') {
        return false;
    }
    if !word.starts_with(is_word) || !word.ends_with(|c: char| is_word(c) || c == '/') {
        return false;
    }
    let rest = ["https://", "http://", "ftp://", "mailto://"].iter().find_map(|protocol| word.strip_prefix(protocol));
    let after_user = word.char_indices().skip(1).filter(|&(_, c)| c == '@').filter_map(|(at, _)| word.get(at + 1..));
    std::iter::once(word).chain(rest).chain(after_user).any(|host| starts_with_name(host) || starts_with_address(host))
}

/// `label.label.tld`: labels of small letters, digits and inner hyphens; the last begins with two small letters.
fn starts_with_name(host: &str) -> bool {
    let mut rest = host.as_bytes();
    loop {
        let length = rest.iter().take_while(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || **byte == b'-').count();
        let (label, after) = rest.split_at(length);
        let Some(after) = after.strip_prefix(b".") else { return false };
        if label.is_empty() || label.ends_with(b"-") {
            return false;
        }
        if matches!(after, [first, second, ..] if first.is_ascii_lowercase() && second.is_ascii_lowercase()) {
            return true;
        }
        rest = after;
    }
}

/// A public dotted IPv4 address. Its last number needs only its first digit, since anything may follow.
fn starts_with_address(host: &str) -> bool {
    let mut parts = host.splitn(4, '.');
    let number = |part: Option<&str>| -> Option<u16> {
        let part = part.filter(|part| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        part.parse().ok()
    };
    let first_part = parts.next();
    let (Some(first), Some(second_part), Some(third_part), Some(last)) =
        (number(first_part), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    // Three digits must not begin with 0: `1?\d{1,2}|2[0-4]\d|25[0-5]`.
    let middle = |part: &str| number(Some(part)).filter(|value| *value <= 255 && (part.len() < 3 || !part.starts_with('0')));
    let (Some(second), Some(_)) = (middle(second_part), middle(third_part)) else { return false };
    let is_private = match first {
        10 | 127 => true,
        169 => second == 254,
        192 => second == 168,
        172 => (16..=31).contains(&second),
        _ => false,
    };
    let is_public = (1..=223).contains(&first) && !first_part.is_some_and(|part| part.starts_with('0')) && !is_private;
    is_public && last.starts_with(|c: char| ('1'..='9').contains(&c))
}
