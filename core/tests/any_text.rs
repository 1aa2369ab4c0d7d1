//! Whatever the text: offsets are valid, nothing panics, and nothing is lost where nothing should be.

#![cfg(not(target_family = "wasm"))]

use clinicalbert_core::text::{SentenceRules, Span, SplitNote, SplitOptions, Splitter, split_note};
use proptest::prelude::*;

/// Text with much of what the rules look at.
fn notes() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\n",
        "\n",
        "\n\n",
        "\r\n",
        " ",
        "\t",
        "\u{a0}",
        "\u{1c}",
        "1.",
        "2.",
        "30 mg",
        "٣.",
        "-",
        "---",
        "_",
        "___",
        "________",
        "=====",
        "Plan:",
        "PLAN",
        "Past Medical History:",
        "HISTORY OF PRESENT ILLNESS",
        " Reason: r/o pna",
        "Disp:",
        "ALLERGIES: none",
        "A/P:",
        "Admission Date: ",
        " Discharge Date: ",
        "Attending:",
        "[**",
        "**]",
        "[**2101-1-1**]",
        "(",
        ")",
        ":",
        ".",
        "é",
        "’",
        "\u{3000}",
        "The patient rests",
        "ROS",
        "Labs",
        "24 Hour Events:",
    ]);
    let made =
        prop::collection::vec(prop_oneof![6 => pieces.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)], 0..40);
    let bytes = prop::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    prop_oneof![4 => made.prop_map(|pieces| pieces.concat()), 1 => any::<String>(), 1 => bytes]
}

fn assert_valid(note: &str, split: &SplitNote<'_>) {
    let on_borders = |span: Span| span.start <= span.end && note.get(span.start..span.end).is_some();
    let spans = |spans: &mut dyn Iterator<Item = Span>, what: &str| {
        let mut end = 0;
        for span in spans {
            assert!(on_borders(span), "{what}: {span:?} in {note:?}");
            assert!(span.start >= end, "{what}: {span:?} overlaps or stands before the one before it, in {note:?}");
            end = span.end;
        }
    };
    spans(&mut split.sections.iter().map(|section| section.span), "section");
    spans(&mut split.sentences.iter().map(|sentence| sentence.span), "sentence");
    spans(&mut split.placeholders.iter().copied(), "placeholder");
    for section in &split.sections {
        assert_eq!(section.span, section.span.trimmed(note), "{note:?}");
        if let Some(title) = section.title {
            assert!(on_borders(title) && section.span.start <= title.start && title.end <= section.span.end, "{note:?}");
        }
    }
    for sentence in &split.sentences {
        let section = split.sections.get(sentence.section).map_or(Span::new(1, 0), |section| section.span);
        assert!(section.start <= sentence.span.start && sentence.span.end <= section.end, "{note:?}");
        assert!(!sentence.text.contains('\n'), "{note:?}");
        assert!(!sentence.text.trim().is_empty(), "{note:?}");
    }
}

/// What is left of the note's visible text without the spans.
fn lost(note: &str, spans: impl Iterator<Item = Span>) -> String {
    let mut left = String::new();
    let mut at = 0;
    for span in spans {
        left.push_str(note.get(at..span.start).unwrap_or(""));
        at = span.end;
    }
    left.push_str(note.get(at..).unwrap_or(""));
    // The original takes four control characters for white space, as Python does.
    left.retain(|c| !c.is_whitespace() && !matches!(c, '\u{1c}'..='\u{1f}'));
    left
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_note_is_cut_at_valid_offsets_and_nothing_is_lost(note in notes()) {
        for splitter in [Splitter::Clinical, Splitter::None, Splitter::Fixed, Splitter::Faithful] {
            for sentences_by in [SentenceRules::Rules, SentenceRules::OriginalRules] {
                let Ok(split) = split_note(&note, SplitOptions { splitter, sentences_by }) else {
                    assert!(matches!(splitter, Splitter::Fixed | Splitter::Faithful), "{note:?}");
                    continue;
                };
                assert_valid(&note, &split);
                // The authors' fixes leave one loss: text in the paragraph of the admission and birth lines.
                let loses = splitter == Splitter::Faithful
                    || (splitter == Splitter::Fixed && ["Admission Date:", "Date of Birth:"].iter().any(|field| note.contains(field)));
                if !loses {
                    assert_eq!(lost(&note, split.sections.iter().map(|section| section.span)), "", "{splitter:?} {note:?}");
                    assert_eq!(lost(&note, split.sentences.iter().map(|sentence| sentence.span)), "", "{splitter:?} {note:?}");
                }
            }
        }
    }
}
