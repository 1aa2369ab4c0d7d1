//! Sentence boundaries inside a section: ours, made for clinical text, and the original program's rules.

mod clinical;
pub mod original;

use super::{SentenceRules, Span};

/// Sentences of `text`, in order, as byte ranges of it on character borders.
///
/// With [`SentenceRules::Rules`] no span is blank or has white space at either end, and together they cover every character that is not white
/// space.
///
/// With [`SentenceRules::OriginalRules`] the spans are the original's sentences exactly: they hold the line breaks and blanks that scispaCy makes
/// tokens of, tile the text but for single blanks between them, and one may be blank. The original's line is the span's text with each `\n`
/// replaced by a blank.
pub fn sentence_spans(text: &str, rules: SentenceRules) -> Vec<Span> {
    match rules {
        SentenceRules::Rules => clinical::sentence_spans(text),
        SentenceRules::OriginalRules => original::sentence_spans(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(text: &str) -> Vec<&str> {
        sentence_spans(text, SentenceRules::Rules).into_iter().map(|span| span.of(text)).collect()
    }

    fn assert_split(expected: &[&str]) {
        assert_eq!(ours(&expected.join(" ")), expected);
    }

    #[test]
    fn abbreviations_doses_and_names_do_not_end_a_sentence() {
        assert_split(&["Dr. A. B. Jones gave 0.5 mg p.o. b.i.d. with meals.", "He agreed."]);
        assert_split(&["Seen by Mr. [**Last Name 4**] vs. Dr. ___ at 9 a.m. in clinic.", "___ left."]);
        assert_split(&["Cultures grew E. coli (Fig. 2) and approx. 5 other strains, e.g. S. aureus.", "P < 0.05."]);
        assert_split(&["Lives in the U.S. with family.", "Has vitamin D.", "T 98.6 at 10:30.", "BP 120/80."]);
    }

    #[test]
    fn abbreviations_end_a_sentence_where_the_next_word_opens_one() {
        assert_split(&[
            "Lasix 40 mg p.o. q.d.",
            "Zocor 5 days of p.o. Levaquin.",
            "She takes DM, HTN meds, etc.",
            "The rest is at Briggs & Co.",
            "It is well.",
        ]);
        assert_split(&["By Smith et al.", "This was shown in hepatitis C.", "We left at 6 P.M.", "Dr. Jones stayed."]);
    }

    #[test]
    fn small_letters_begin_a_sentence_after_an_ordinary_word_and_as_symbols() {
        assert_split(&["pt alert and oriented.", "follows commands.", "p53 was lost.", "mRNA rose at conc. of 5 mM."]);
        assert_split(&["He said \"fine.\" and left (at once.) with her."]);
    }

    #[test]
    fn quotes_brackets_marks_and_ellipses_close_with_their_sentence() {
        assert_split(&["\"Fine.\"", "He left!?", "(See below.)", "(B) The cells ... grew", "• Next"]);
        assert_split(&["? pneumonia vs. CHF.", "No m/r/g.", "That was it....", "Done."]);
    }

    #[test]
    fn list_items_are_sentences_inline_and_on_lines() {
        assert_split(&["1. Aspirin 81 mg daily", "2. Lasix 40 mg", "3. Diabetes type 2."]);
        assert_eq!(
            ours("Plan:\n1. Rest\n2.5 mg X\n- Fluids\n-- more\n* end"),
            ["Plan:", "1. Rest", "2.5 mg X", "- Fluids", "-- more", "* end"]
        );
    }

    #[test]
    fn wrapped_lines_run_on_and_short_lines_do_not() {
        let wrapped = "The patient is a 57-year-old male with a past medical history of chronic\nHepatitis who was seen at the clinic of\nDr. Jones";
        assert_eq!(ours(wrapped), [wrapped]);
        assert_eq!(
            ours("Hypertension\nDiabetes\nhigh cholesterol\n \t\r\nCAD"),
            ["Hypertension", "Diabetes", "high cholesterol", "CAD"]
        );
        assert_eq!(
            ours("HOSPITAL COURSE\nthe patient\r\nLabs: WBC-8.8 RBC-3.52*"),
            ["HOSPITAL COURSE", "the patient", "Labs: WBC-8.8 RBC-3.52*"]
        );
    }

    #[test]
    fn missing_blanks_and_references_after_the_full_stop_are_seen() {
        assert_eq!(
            ours("She had pain.Patient left. Cells grew.12,13 The end. See a.Bc@x.org or Node.Js."),
            ["She had pain.", "Patient left.", "Cells grew.12,13", "The end.", "See a.Bc@x.org or Node.Js."]
        );
    }

    /// Random strings of the signs that the rules look at, and of random code points.
    fn random_text(state: &mut u64) -> String {
        let mut next = |bound: u64| {
            // xorshift64 (Marsaglia 2003)
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            *state % bound
        };
        const PARTS: [&str; 40] = [
            ".", ". ", " . . .", "..", "!", "?", "\n", "\n\n", "\r\n", "\t", " ", "1.", "2)", "a.", "[**", "**]", "___", "[",
            "]", "(", ")", "\"", "”", "•", "- ", "…", ",", ":", "Dr", "mg", "No", "The", "patient", "U.S.", "e.g.", "é",
            "\u{2028}", "\u{85}", "=", "A",
        ];
        let length = next(60);
        (0..length)
            .map(|_| match next(5) {
                0 => char::from_u32(next(0x11_0000) as u32).unwrap_or('\u{fffd}').to_string(),
                _ => PARTS[next(PARTS.len() as u64) as usize].to_owned(),
            })
            .collect()
    }

    #[test]
    fn spans_of_any_text_are_valid_ascending_and_cover_all_but_white_space() {
        let mut state = 20_180_418;
        for round in 0..20_000 {
            let text = random_text(&mut state);
            for rules in [SentenceRules::Rules, SentenceRules::OriginalRules] {
                let spans = sentence_spans(&text, rules);
                let mut end = 0;
                for span in &spans {
                    assert!(
                        text.get(span.start..span.end).is_some_and(|sentence| !sentence.is_empty()),
                        "round {round}: {span:?} of {text:?}"
                    );
                    assert!(span.start >= end, "round {round}: {spans:?} of {text:?}");
                    assert!(text[end..span.start].trim().is_empty(), "round {round}: text lost before {span:?} of {text:?}");
                    assert!(
                        rules == SentenceRules::OriginalRules || *span == span.trimmed(&text),
                        "round {round}: {span:?} of {text:?}"
                    );
                    end = span.end;
                }
                assert!(text[end..].trim().is_empty(), "round {round}: text lost at the end of {text:?}");
            }
        }
    }
}
