//! Entries of a vocabulary by id and by name.

use std::collections::HashMap;

use crate::{Error, Result, examples::corpus::is_python_space};

/// Names by id. Ids without a name (gaps in a `tokenizer.json`) have an empty one.
#[derive(Debug, Clone)]
pub(super) struct Entries {
    names: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Entries {
    /// Lines of a `vocab.txt`, as Google's `load_vocab` reads them (google-research/bert @ eedf571, `tokenization.py`).
    pub fn from_text(vocab: &str) -> Result<Self> {
        let vocab = vocab.strip_prefix('\u{feff}').unwrap_or(vocab);
        let names: Vec<String> = vocab.split_terminator('\n').map(|line| line.trim_matches(is_python_space).to_owned()).collect();
        let count = u32::try_from(names.len()).map_err(|_| Error::Tokenizer("a vocabulary of 2^32 lines or more".into()))?;
        let ids = names.iter().cloned().zip(0..count).collect();
        Ok(Self { names, ids })
    }

    pub fn from_ids(ids: HashMap<String, u32>) -> Result<Self> {
        let rows = ids.values().max().map_or(0, |&largest| largest as usize + 1);
        // A few gaps happen; a stray id must not reserve gigabytes.
        if rows > 2 * ids.len() + 1024 {
            return Err(Error::Tokenizer(format!(
                "expected ids that run from 0, found {} entries with ids up to {}",
                ids.len(),
                rows - 1
            )));
        }
        let mut names = vec![String::new(); rows];
        for (name, &id) in &ids {
            if let Some(place) = names.get_mut(id as usize) {
                place.clone_from(name);
            }
        }
        Ok(Self { names, ids })
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn name(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize).map(String::as_str)
    }

    pub fn id(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Ids by name, as the `tokenizers` crate takes them.
    pub fn by_name(&self) -> ahash::AHashMap<String, u32> {
        self.ids.iter().map(|(name, &id)| (name.clone(), id)).collect()
    }

    /// Ids of the distinct entries in the order in which they first stand in the file, as Google's `list(vocab.keys())`.
    pub fn distinct(&self) -> Vec<u32> {
        let mut seen = vec![false; self.names.len()];
        let ids = self.names.iter().filter_map(|name| self.id(name));
        ids.filter(|&id| seen.get_mut(id as usize).is_some_and(|seen| !std::mem::replace(seen, true))).collect()
    }
}
