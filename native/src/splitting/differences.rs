//! How many notes the splitters cut differently.

use std::collections::BTreeMap;

use anyhow::Result;
use clinicalbert_core::Error;
use clinicalbert_core::text::{SentenceRules, Span, SplitNote, SplitOptions, Splitter, split_note};
use serde::Serialize;

use crate::notes::{Content, Row};
use crate::ordered;

/// The modes compared, with their names.
pub const MODES: [(&str, Splitter); 3] =
    [("clinical", Splitter::Clinical), ("fixed", Splitter::Fixed), ("faithful", Splitter::Faithful)];

/// Notes for one worker at a time.
const BATCH: usize = 256;

/// Counts over all notes that could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// Notes compared.
    pub notes: u64,
    /// Notes lost, sections and sentences of the others, by mode.
    pub modes: BTreeMap<&'static str, Mode>,
    /// Notes that two modes treat differently, by `first/second`.
    pub pairs: BTreeMap<String, Pair>,
}

/// What one mode made of the notes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Mode {
    /// Notes that its rules lose.
    pub lost: u64,
    /// Sections of the others.
    pub sections: u64,
    /// Sentences of the others.
    pub sentences: u64,
}

/// Notes that two modes treat differently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Lost by one of the two, or with other sections.
    pub sections: u64,
    /// Lost by one of the two, or with other sentences, as the next stage gets them.
    pub sentences: u64,
}

/// Cuts every note in all modes and compares; rows that are no notes are passed over.
///
/// # Errors
/// Input that cannot be read on.
pub fn count(rows: impl Iterator<Item = Result<Row>> + Send, rules: SentenceRules, threads: usize) -> Result<Differences> {
    let mut rows = rows.filter_map(|row| match row {
        Ok(Row { content: Content::Note(text), .. }) => Some(Ok(text)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    let batches = std::iter::from_fn(move || {
        let batch: Result<Vec<String>> = rows.by_ref().take(BATCH).collect();
        (!matches!(&batch, Ok(texts) if texts.is_empty())).then_some(batch)
    });
    let mut all = Differences::default();
    let compare = |(): &mut (), texts: Vec<String>| {
        let mut found = Differences::default();
        texts.iter().try_for_each(|text| found.note(text, rules)).map(|()| found)
    };
    ordered::map(
        threads,
        batches,
        || (),
        compare,
        |found| {
            all.merge(&found);
            Ok(())
        },
    )?;
    Ok(all)
}

impl Differences {
    fn note(&mut self, text: &str, sentences_by: SentenceRules) -> Result<()> {
        self.notes += 1;
        let mut cuts = Vec::with_capacity(MODES.len());
        for (name, splitter) in MODES {
            let cut = match split_note(text, SplitOptions { splitter, sentences_by }) {
                Err(Error::LostByOriginalRules(_)) => None,
                cut => Some(cut?),
            };
            let mode = self.modes.entry(name).or_default();
            match &cut {
                Some(note) => {
                    mode.sections += note.sections.len() as u64;
                    mode.sentences += note.sentences.len() as u64;
                }
                None => mode.lost += 1,
            }
            cuts.push((name, cut));
        }
        while let Some((second, last)) = cuts.pop() {
            for (first, cut) in &cuts {
                let pair = self.pairs.entry(format!("{first}/{second}")).or_default();
                pair.sections += u64::from(differ(cut, &last, section_spans));
                pair.sentences += u64::from(differ(cut, &last, sentence_texts));
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: &Self) {
        self.notes += other.notes;
        for (name, mode) in &other.modes {
            let total = self.modes.entry(name).or_default();
            total.lost += mode.lost;
            total.sections += mode.sections;
            total.sentences += mode.sentences;
        }
        for (name, pair) in &other.pairs {
            let total = self.pairs.entry(name.clone()).or_default();
            total.sections += pair.sections;
            total.sentences += pair.sentences;
        }
    }
}

fn section_spans<'a>(note: &'a SplitNote<'_>) -> Vec<(Span, &'a str)> {
    note.sections.iter().map(|section| (section.span, "")).collect()
}

fn sentence_texts<'a>(note: &'a SplitNote<'_>) -> Vec<(Span, &'a str)> {
    note.sentences.iter().map(|sentence| (sentence.span, sentence.text.as_ref())).collect()
}

type Parts<'a> = Vec<(Span, &'a str)>;

fn differ(
    first: &Option<SplitNote<'_>>,
    second: &Option<SplitNote<'_>>,
    parts: for<'a> fn(&'a SplitNote<'_>) -> Parts<'a>,
) -> bool {
    first.as_ref().map(parts) != second.as_ref().map(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Result<Row> {
        Ok(Row { id: String::new(), patient: None, category: String::new(), content: Content::Note(text.into()) })
    }

    #[test]
    fn equal_cuts_are_equal_and_others_are_counted_by_pair() {
        // The second has a header in capitals without a colon, which only our rules know.
        let rows = ["plain words without any header", "HISTORY\nShe fell.\nPLAN\nRest."].map(row);
        let found = count(rows.into_iter(), SentenceRules::Rules, 1).unwrap();
        assert_eq!(found.notes, 2);
        assert_eq!(found.pairs["fixed/faithful"].sections, 0);
        assert_eq!(found.pairs["clinical/faithful"].sections, 1);
        assert_eq!((found.modes["clinical"].lost, found.modes["clinical"].sections), (0, 3));
    }

    #[test]
    fn many_batches_add_up() {
        let rows = (0..1000).map(|number| row(if number % 2 == 0 { "a\n" } else { "HISTORY\nShe fell.\nPLAN\nRest." }));
        let found = count(rows, SentenceRules::Rules, 2).unwrap();
        assert_eq!((found.notes, found.pairs["clinical/fixed"].sections), (1000, 500));
    }
}
