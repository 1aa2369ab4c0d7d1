//! Tokenizing at the speed of a look-up: notes say the same words again and again.
//!
//! BERT's rules never look across a blank, and across ASCII punctuation only where characters beyond ASCII stand in the same stretch (an
//! accent may follow, a final sigma may look past a full stop). So text is cut into units — stretches between ASCII blanks, and inside
//! those that are ASCII throughout, runs between punctuation — and the pieces of a unit are worked out once.

use std::{collections::HashMap, mem::take};

use super::{Rules, WordPiece};
use crate::Result;

/// Units remembered in each of the two generations.
const REMEMBERED_UNITS: usize = 1 << 16;
/// Longer units, in bytes, are rare and worked out every time.
const LONGEST_REMEMBERED: usize = 32;

/// Encodes text with a memory of the words it has met; at most some 30 MiB, 8 MiB with ordinary text. One for each thread.
///
/// Memory is bounded by generations: when the young one is full it becomes the old one, and the old one is forgotten but for what is met
/// again.
pub struct Encoder<'a> {
    word_piece: &'a WordPiece,
    young: Generation,
    old: Generation,
    unit_ids: Vec<u32>,
}

#[derive(Default)]
struct Generation {
    /// Where in `ids` the ids of a unit start and end.
    units: HashMap<Box<str>, (u32, u32), ahash::RandomState>,
    ids: Vec<u32>,
}

impl Generation {
    fn get(&self, unit: &str) -> Option<&[u32]> {
        let &(start, end) = self.units.get(unit)?;
        self.ids.get(start as usize..end as usize)
    }

    fn insert(&mut self, unit: &str, ids: &[u32]) {
        let start = self.ids.len() as u32;
        self.ids.extend_from_slice(ids);
        self.units.insert(unit.into(), (start, self.ids.len() as u32));
    }
}

impl<'a> Encoder<'a> {
    pub(super) fn new(word_piece: &'a WordPiece) -> Self {
        Self { word_piece, young: Generation::default(), old: Generation::default(), unit_ids: Vec::new() }
    }

    /// Appends the ids of running text to `ids`: exactly those of [`WordPiece::pieces`].
    ///
    /// # Errors
    /// [`crate::Error::Tokenizer`] if a rule of `tokenizer.json` fails on the text.
    pub fn append_ids(&mut self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        if self.word_piece.rules == (Rules::File { local: false }) {
            return self.word_piece.append_ids(text, ids);
        }
        for unit in units(text) {
            match self.young.get(unit) {
                Some(known) => ids.extend_from_slice(known),
                None => self.append_unit(unit, ids)?,
            }
        }
        Ok(())
    }

    #[cold]
    fn append_unit(&mut self, unit: &str, ids: &mut Vec<u32>) -> Result<()> {
        if unit.len() > LONGEST_REMEMBERED {
            return self.word_piece.append_ids(unit, ids);
        }
        self.unit_ids.clear();
        match self.old.get(unit) {
            Some(known) => self.unit_ids.extend_from_slice(known),
            None => self.word_piece.append_ids(unit, &mut self.unit_ids)?,
        }
        if self.young.units.len() >= REMEMBERED_UNITS {
            self.old = take(&mut self.young);
        }
        self.young.insert(unit, &self.unit_ids);
        ids.extend_from_slice(&self.unit_ids);
        Ok(())
    }
}

/// Parts of a text that can be tokenized one by one: the ids of the text are theirs, one after another.
pub(super) fn units(text: &str) -> impl Iterator<Item = &str> {
    let stretches = text.split(['\t', '\n', '\r', ' ']).filter(|stretch| !stretch.is_empty());
    stretches.flat_map(|stretch| Runs { splits: stretch.is_ascii(), rest: stretch })
}

/// Runs of a stretch: each punctuation character, and what stands between; the whole stretch where it must not be split.
struct Runs<'a> {
    splits: bool,
    rest: &'a str,
}

impl<'a> Iterator for Runs<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let end = match self.rest.bytes().position(|byte| byte.is_ascii_punctuation()) {
            Some(0) if self.splits => 1,
            Some(place) if self.splits => place,
            _ => self.rest.len(),
        };
        let (run, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!run.is_empty()).then_some(run)
    }
}
