//! Where two preparations part, told from their summaries alone.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::digest::STAGES;
use super::summary;

/// What two summaries say of each other.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Comparison {
    /// Whether nothing differs.
    pub same: bool,
    /// What differs: name, value in the first, value in the second.
    pub differences: Vec<(String, String, String)>,
    /// What can be said beside that.
    pub remarks: Vec<String>,
}

/// Compares the summaries of two prepared folders.
///
/// # Errors
/// One of them has no summary.
pub fn compare(first: &Path, second: &Path) -> Result<Comparison> {
    let [first, second] = [summary::read(first)?, summary::read(second)?];
    let mut remarks = Vec::new();
    let mut differences = Vec::new();
    if first.settings.version != second.settings.version {
        remarks.push(format!("made by different versions: {} and {}", first.settings.version, second.settings.version));
    }
    let digests = [first.counts.digests.as_slice(), second.counts.digests.as_slice()];
    match digests {
        [[], []] => {
            remarks.push("no keyed hashes: prepare both with the same --key to compare text, sentences and tokens too".into())
        }
        [[], _] | [_, []] => remarks.push("keyed hashes in one of the two only: prepare both with the same --key".into()),
        _ if first.settings.key_check != second.settings.key_check => {
            remarks
                .push("the keyed hashes were made with different keys and say nothing: prepare both with the same --key".into());
        }
        [ours, theirs] => {
            for (stage, name) in STAGES.iter().enumerate() {
                let parted = ours.iter().zip(theirs).filter(|(ours, theirs)| ours.get(stage) != theirs.get(stage)).count();
                if parted > 0 {
                    differences.push((
                        format!("{name}, groups that differ"),
                        format!("{parted} of {}", ours.len()),
                        String::new(),
                    ));
                } else {
                    remarks.push(format!("{name}: the same in all {} groups", ours.len()));
                }
            }
        }
    }
    let [first, second] = [first, second].map(|mut summary| {
        // What does not speak of the content, or was looked at above.
        summary.fingerprint.clear();
        summary.settings.version.clear();
        summary.settings.key_check = None;
        summary.counts.digests.clear();
        serde_json::to_value(&summary)
    });
    differing("", &first?, &second?, &mut differences);
    Ok(Comparison { same: differences.is_empty(), differences, remarks })
}

/// Values that differ, by their place in the summary.
fn differing(place: &str, first: &Value, second: &Value, found: &mut Vec<(String, String, String)>) {
    match (first, second) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
            for key in keys {
                let inner = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                let value = |side: &serde_json::Map<String, Value>| side.get(key).cloned().unwrap_or(Value::Null);
                differing(&inner, &value(ours), &value(theirs), found);
            }
        }
        _ if first == second => {}
        _ => found.push((place.to_owned(), first.to_string(), second.to_string())),
    }
}
