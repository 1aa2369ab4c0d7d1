//! Words that section headers of clinical notes are made of.
//!
//! A list of whole headers is never complete (`Medications on Admission`, `ADMISSION MEDICATIONS`, `MEDS PRIOR TO ADMISSION`),
//! so headers are known by their words: each one belongs to the vocabulary, and at least one names a kind of section.
//! Written from general knowledge of discharge summaries, progress, radiology, operative, echo and nursing notes.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// What a word says about the header that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Names a section by itself: `History`, `Impression`.
    Head,
    /// Names a section, but as often a label within one: `Labs`, `Vitals`, `Exam`.
    Label,
    /// Says which: `Past`, `Discharge`, `Family`.
    Modifier,
    /// Joins words: `of`, `on`, `and`.
    Link,
}

/// How well known a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    /// Some word of it is in no list.
    Unknown,
    /// Made of words that also label lines within a section.
    Label,
    /// A section's name wherever it stands.
    Section,
}

const HEADS: &str = "\
    addendum allergies allergy assessment assessments cc comparison comparisons complaint complaints complications \
    concerns conclusion conclusions condition consults course diagnoses diagnosis disposition dx events fh fhx finding \
    findings fmh history hospitalization hospitalizations hpi hx immunization immunizations impression impressions \
    indication indications instructions interpretation issues notification notifications objective operation \
    operations plan plans pmh pmhx procedure procedures prognosis psh pshx read reason recommendation recommendations \
    ros shx subjective summary technique";

const LABELS: &str = "\
    anesthesia care comments consultations contrast data description details ecg echo education ekg exam examination \
    factors follow-up followup imaging implants information lab laboratories laboratory labs list medication \
    medications meds micro microbiology notes pathology pe problems radiology reactions report results signs specimens \
    status studies study systems tests treatment up vital vitals";

const MODIFIERS: &str = "\
    24 active acute additional admission admitting adverse antenatal associated before birth brief cardiac chief \
    chronic clinic clinical code concise consultation current delivery department detailed developmental diagnostic \
    diet differential discharge drug ed emergency er family final follow followup general gyn gynecologic \
    gynecological home hospital hour icu illness illnesses immediate inpatient intake interim interval invasive known \
    last major maternal medical menstrual minor neonatal nursing nutrition ob obstetric obstetrical occupational \
    oncologic oncological oncology operating operative other outpatient overall overnight past patient performed \
    perioperative pertinent physical post-operative postoperative pre-admission pre-operative preadmission pregnancy \
    prenatal preoperative present presenting previous primary principal problem provisional psychiatric psychosocial \
    radiologic recent relevant review reviewed risk secondary sexual significant social substance surgeries surgery \
    surgical systemic test this transfer transitional travel underlying updated wet";

const LINKS: &str = "\
    a and at by during for from in of on or p prior the to with";

/// Fields of the head and the foot of a document: they say who, when and where, and are no section of the note.
const ADMINISTRATIVE: &[&str] = &[
    "account number",
    "admission date",
    "attending",
    "attending physician",
    "birth date",
    "completed by",
    "dictated by",
    "discharge date",
    "dob",
    "electronically signed by",
    "gender",
    "job",
    "job number",
    "medical record number",
    "mrn",
    "patient name",
    "service",
    "sex",
    "signed by",
    "signed electronically by",
    "transcribed by",
    "unit no",
    "unit number",
];

/// Words of the body's parts and functions, of measurements and habits: labels of lines within an examination, a review of
/// systems, an echo or a plan.
const BODY: &str = "\
    abd abdomen airway alcohol anus aorta aortic atrium back bladder blood bone bones brain breast breasts cardiac \
    cardiovascular cervix chest constitutional cor ears endocrine ent extremities extremity eyes face fluids gait \
    gastrointestinal general genitalia genitourinary gi gu head heart heent height hematologic hematology immunologic \
    infectious integumentary joints kidney kidneys liver lung lungs lymph lymphatic lymphatics mitral mouth \
    musculoskeletal neck nerve nerves nervous neuro neurologic neurological neurology nodes nose nutrition ocular oral \
    pelvic pelvis pericardium pressure psych psychiatric psychological pulm pulmonary pulse pulses pupils rectal \
    rectum renal resp respiratory rhythm septum skin social spine spleen stomach temperature throat thyroid tobacco \
    uterus valve vascular vein veins ventricle weight";

/// The words of a header: runs of letters, digits, hyphens and apostrophes outside round brackets.
fn words(header: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let between = move |c: char| {
        depth = if c == '(' { depth + 1 } else { depth };
        let outside = depth == 0;
        depth = if c == ')' { depth.saturating_sub(1) } else { depth };
        !outside || !(c.is_alphanumeric() || matches!(c, '-' | '\'' | '’'))
    };
    header.split(between).filter(|word| !word.is_empty())
}

/// Calls `look` with the word in lower case; `None` for words that are in no list for their length or letters.
fn in_lower_case<T>(word: &str, look: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let mut lower = [0; LONGEST_WORD];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    look(std::str::from_utf8(lower).ok()?)
}

/// No listed word is longer, in bytes.
const LONGEST_WORD: usize = 20;

static WORDS: LazyLock<HashMap<&str, Word>> = LazyLock::new(|| {
    let kinds = [(LINKS, Word::Link), (MODIFIERS, Word::Modifier), (LABELS, Word::Label), (HEADS, Word::Head)];
    kinds.into_iter().flat_map(|(list, kind)| list.split_whitespace().map(move |word| (word, kind))).collect()
});

static BODY_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| BODY.split_whitespace().collect());

/// How well known the words of a header are.
pub(super) fn known(header: &str) -> Known {
    let (mut head, mut label, mut modifier) = (false, false, false);
    for word in words(header) {
        match in_lower_case(word, |word| WORDS.get(word).copied()) {
            Some(Word::Head) => head = true,
            Some(Word::Label) => label = true,
            Some(Word::Modifier) => modifier = true,
            Some(Word::Link) => {}
            None => return Known::Unknown,
        }
    }
    if head || (label && modifier) {
        Known::Section
    } else if label || header.trim() == "A/P" {
        Known::Label
    } else {
        Known::Unknown
    }
}

/// Whether a label is an administrative field of the document.
pub(super) fn is_administrative(label: &str) -> bool {
    let phrase = words(label).collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    phrase.starts_with("date of ") || ADMINISTRATIVE.contains(&phrase.as_str())
}

/// Whether a header names a part or function of the body, or a measurement.
pub(super) fn is_of_the_body(header: &str) -> bool {
    words(header).any(|word| in_lower_case(word, |word| BODY_WORDS.get(word).copied()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_known_by_their_words() {
        for header in [
            "History of Present Illness",
            "MEDICATIONS ON ADMISSION",
            "Pertinent Results",
            "Reason for This Examination",
            "24 Hour Events",
            "Past medical history (per daughter)",
            "Labs / Radiology on Admission",
        ] {
            assert_eq!(known(header), Known::Section, "{header}");
        }
        for header in ["Labs", "VITAL SIGNS", "Exam"] {
            assert_eq!(known(header), Known::Label, "{header}");
        }
        for header in ["Lipid panel", "Cardiovascular", "Past", "History of abnormal smears", ""] {
            assert_eq!(known(header), Known::Unknown, "{header}");
        }
    }
}
