//! Which columns hold what. Names are MIMIC's unless flags say otherwise, in either case.

use anyhow::{Context, Result, bail};

use super::{Content, Row};
use crate::cli::NotesInput;

/// Places of the columns that matter, and the filters on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    text: usize,
    id: Option<usize>,
    patient: Option<usize>,
    category: Option<usize>,
    is_error: Option<usize>,
    conditions: Vec<(usize, String)>,
    categories: Vec<String>,
    include_errors: bool,
}

impl Columns {
    /// Finds the columns in a header.
    ///
    /// # Errors
    /// A column that a flag names, or the text, is not there: the message lists those that are.
    pub fn find<S: AsRef<str>>(header: &[S], input: &NotesInput, file: &str) -> Result<Self> {
        let place = |name: &str| {
            let exact = header.iter().position(|column| column.as_ref() == name);
            exact.or_else(|| header.iter().position(|column| column.as_ref().trim().eq_ignore_ascii_case(name.trim())))
        };
        let missing = |name: &str, flag: &str| {
            format!("{file} has no column {name:?}; its columns are: {}. Name the right one with {flag}", shown(header))
        };
        let wanted = |given: &Option<String>, flag: &str, usual: &[&str]| match given {
            Some(name) => place(name).map(Some).with_context(|| missing(name, flag)),
            None => Ok(usual.iter().find_map(|name| place(name))),
        };
        let Some(text) = wanted(&input.text_column, "--text-column", &["text"])? else {
            bail!(missing("TEXT", "--text-column"));
        };
        let mut conditions = Vec::new();
        for condition in &input.conditions {
            let (name, value) = condition
                .split_once('=')
                .with_context(|| format!("--where {condition:?}: expected COLUMN=VALUE, such as --where HADM_ID=1234"))?;
            conditions.push((place(name).with_context(|| missing(name, "--where"))?, value.to_owned()));
        }
        let category = wanted(&input.category_column, "--category-column", &["category", "note_type"])?;
        if category.is_none() && !input.category.is_empty() {
            bail!(missing("CATEGORY", "--category-column"));
        }
        Ok(Self {
            text,
            id: wanted(&input.id_column, "--id-column", &["row_id", "note_id"])?,
            patient: wanted(&input.patient_column, "--patient-column", &["subject_id"])?,
            category,
            is_error: place("iserror"),
            conditions,
            categories: input.category.iter().map(|name| name.trim().to_lowercase()).collect(),
            include_errors: input.include_errors,
        })
    }

    /// The row with these fields; `number` names it where it has no id, `offset` is where it starts.
    pub fn row<'a>(&self, field: impl Fn(usize) -> Option<&'a [u8]>, number: impl FnOnce() -> String, offset: u64) -> Row {
        let value = |place: Option<usize>| place.and_then(&field).map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        let category = value(self.category).unwrap_or_default();
        let selected = (self.categories.is_empty() || self.categories.contains(&category.to_lowercase()))
            && self
                .conditions
                .iter()
                .all(|(place, wanted)| field(*place).is_some_and(|found| found.trim_ascii() == wanted.trim().as_bytes()));
        let flagged = value(self.is_error).is_some_and(|flag| matches!(flag.as_str(), "1" | "1.0" | "true" | "True"));
        let content = if !selected {
            Content::Filtered
        } else if flagged && !self.include_errors {
            Content::ErrorFlag
        } else {
            text(field(self.text).unwrap_or_default(), offset)
        };
        Row {
            id: value(self.id).filter(|id| !id.is_empty()).unwrap_or_else(number),
            patient: value(self.patient).filter(|patient| !patient.is_empty()),
            category,
            content,
        }
    }

    /// The id in a row of the wrong shape, if what stands in its place looks like one and not like text.
    pub fn likely_id(&self, field: Option<&[u8]>) -> Option<String> {
        let id = std::str::from_utf8(field?).ok()?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        (self.id.is_some() && (1..=32).contains(&id.len()) && id.chars().all(plain) && id.contains(|c: char| c.is_ascii_digit()))
            .then(|| id.to_owned())
    }

    /// Place of the id column.
    pub fn id_place(&self) -> Option<usize> {
        self.id
    }
}

/// The text of a note, or why it cannot be read.
pub(super) fn text(bytes: &[u8], offset: u64) -> Content {
    let unreadable = |reason: String| Content::Unreadable { offset, reason };
    match std::str::from_utf8(bytes) {
        Err(error) => unreadable(format!("not UTF-8: byte {} of the text", error.valid_up_to())),
        Ok(text) => match text.find('\0') {
            Some(at) => unreadable(format!("a NUL byte: byte {at} of the text")),
            None => Content::Note(text.to_owned()),
        },
    }
}

/// Column names for a message. A file without a header has note text in its first line, so nothing long is shown.
fn shown<S: AsRef<str>>(header: &[S]) -> String {
    const LONGEST_NAME: usize = 40;
    const MOST_NAMES: usize = 40;
    let mut names: Vec<String> = header
        .iter()
        .take(MOST_NAMES)
        .map(|name| match name.as_ref() {
            "" => "(without a name)".into(),
            name if name.len() > LONGEST_NAME || name.contains('\n') => "(a long text: is there a header line?)".into(),
            name => name.to_owned(),
        })
        .collect();
    if header.len() > MOST_NAMES {
        names.push(format!("and {} more", header.len() - MOST_NAMES));
    }
    names.join(", ")
}
