//! De-identification placeholders: MIMIC-III's `[** … **]` and MIMIC-IV's `___`.

use super::Span;

/// The longest `[** … **]`, in bytes. Those of MIMIC-III are far shorter; the bound keeps a `[**` that is never closed from
/// taking in text that is none of it.
const LONGEST: usize = 200;

/// A run of underscores as long as this, alone on its line, is a ruler.
const RULER: usize = 5;

/// Where the placeholders of a text are, in order.
///
/// `[** … **]` runs to the first closer, over a line break too (MIMIC-III wraps lines inside them), over no blank line and no
/// other opener. A run of three or more underscores is one, unless it is a ruler.
pub fn placeholders(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(ahead) = text.as_bytes().iter().skip(at).position(|b| matches!(b, b'[' | b'_')) {
        let start = at + ahead;
        let rest = text.get(start..).unwrap_or("");
        let underscores = rest.bytes().take_while(|&b| b == b'_').count();
        let end = if underscores > 0 { Some(start + underscores) } else { bracketed(rest).map(|len| start + len) };
        if let Some(span) = end.map(|end| Span::new(start, end))
            && (underscores == 0 || underscores >= 3 && !rules_its_line(text, span))
        {
            found.push(span);
        }
        at = end.unwrap_or(start + 1);
    }
    found
}

/// Length of the `[** … **]` that the text starts with.
fn bracketed(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("[**")?.as_bytes();
    let close = inside.windows(3).take(LONGEST).position(|window| matches!(window, b"**]" | b"[**"))?;
    let (content, closer) = inside.split_at_checked(close)?;
    (closer.starts_with(b"**]") && !has_blank_line(content)).then_some(close + 6)
}

fn has_blank_line(content: &[u8]) -> bool {
    let lines = content.split(|&b| b == b'\n').count();
    let inner = content.split(|&b| b == b'\n').skip(1).take(lines.saturating_sub(2));
    inner.into_iter().any(|line| line.iter().all(u8::is_ascii_whitespace))
}

/// Whether a run of underscores is long and all that its line holds.
fn rules_its_line(text: &str, run: Span) -> bool {
    let blank = [' ', '\t', '\r'];
    let before = text.get(..run.start).unwrap_or("").trim_end_matches(blank);
    let after = text.get(run.end..).unwrap_or("").trim_start_matches(blank);
    run.len() >= RULER && (before.is_empty() || before.ends_with('\n')) && (after.is_empty() || after.starts_with('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        placeholders(text).into_iter().map(|span| span.of(text)).collect()
    }

    #[test]
    fn brackets_close_at_the_first_closer() {
        assert_eq!(found("on [**3-4**] by Dr. [**Last Name 22**]."), ["[**3-4**]", "[**Last Name 22**]"]);
        assert_eq!(found("Dr. [**Last Name (un)\n3350**] a"), ["[**Last Name (un)\n3350**]"]);
        assert_eq!(found("[****] [*x*] é[**é**]"), ["[****]", "[**é**]"]);
    }

    #[test]
    fn an_opener_that_is_never_closed_is_none() {
        assert_eq!(found("[**a [**b**]"), ["[**b**]"]);
        assert!(found("[**a\n\nb**]").is_empty());
        assert!(found(&format!("[**{}**]", "a".repeat(400))).is_empty());
        assert!(found("[**").is_empty());
    }

    #[test]
    fn underscores_are_placeholders_unless_they_rule_a_line() {
        assert_eq!(found("___ yo M seen __ by Dr. ___.\n___\n"), ["___", "___", "___"]);
        assert!(found("a\n ______________ \nb").is_empty());
        assert_eq!(found("Name: ______"), ["______"]);
    }
}
