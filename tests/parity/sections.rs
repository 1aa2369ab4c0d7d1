//! Sections: the original's segments reproduced, and the quality of ours.

use clinicalbert_core::Error;
use clinicalbert_core::text::{SplitOptions, Splitter, split_note};
use clinicalbert_tests::{quality, reference};
use serde_json::Value;

fn segments(note: &str, splitter: Splitter) -> Result<Vec<String>, Error> {
    let options = SplitOptions { splitter, ..SplitOptions::default() };
    let split = split_note(note, options)?;
    Ok(split.sections.into_iter().map(|section| section.text.into_owned()).collect())
}

/// Outputs of clinicalBERT @ a9d9169 under Python 3.6, and of the same with its authors' two fixes.
#[test]
fn the_originals_segments_are_reproduced() {
    let Some(path) = reference("spec/golden/sections.jsonl") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let mut notes = 0;
    for line in text.lines() {
        let golden: Value = serde_json::from_str(line).unwrap();
        let note = golden["note"].as_str().unwrap();
        for (mode, splitter) in [("faithful", Splitter::Faithful), ("fixed", Splitter::Fixed)] {
            let ours = segments(note, splitter);
            match golden[mode]["segments"].as_array() {
                Some(theirs) => {
                    assert_eq!(ours.unwrap(), theirs.iter().map(|s| s.as_str().unwrap()).collect::<Vec<_>>(), "{golden}")
                }
                None => assert!(matches!(ours, Err(Error::LostByOriginalRules(_))), "{golden}"),
            }
        }
        notes += 1;
    }
    assert_eq!(notes, 32);
}

/// The project's floor for its own rules, on data that they were not made from.
#[test]
fn clinical_headers_are_found() {
    let report = quality::sections::report();
    println!("{report}");
    for row in &report.rows {
        assert!(row.recall() >= 0.98, "{row:?}");
        assert!(row.precision() >= 0.98, "{row:?}");
        assert_eq!(row.placeholders_cut, 0, "{row:?}");
    }
}
