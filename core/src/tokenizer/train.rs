//! A WordPiece vocabulary from text.
//!
//! The same merging as the `tokenizers` crate's trainer, which cannot be used where a run must be repeatable: its ids of `##` characters, and
//! with them its choice between pairs of equal count, follow the order of a randomly seeded hash map, and its counts have 31 bits.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
};

use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::{Case, GOOGLE_LONGEST_WORD, SPECIAL_TOKENS, encoder::units, google::GoogleRules};
use crate::{Error, Result};

/// Settings of vocabulary training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    /// Entries wanted, special tokens included. There are fewer if the text runs out of frequent pairs.
    pub size: usize,
    /// Whether letters keep their case.
    pub case: Case,
    /// Pairs seen less often are not joined.
    pub min_frequency: u64,
    /// Characters kept, the most frequent first; words with others do not count.
    pub alphabet: usize,
}

impl Default for Training {
    /// BERT-base's size; the other numbers are those of Hugging Face's `BertWordPieceTokenizer.train`.
    fn default() -> Self {
        Self { size: 28_996, case: Case::Cased, min_frequency: 2, alphabet: 1000 }
    }
}

/// Learns a vocabulary and gives it as the text of a `vocab.txt`: the special tokens (`[PAD] [UNK] [CLS] [SEP] [MASK]`, ids 0 to 4), the
/// characters and then the `##` characters by code point, then joined pieces in the order of their joining. Equal texts give equal bytes.
///
/// # Errors
/// [`Error::Tokenizer`] if there is no word, or the characters alone need more entries than wanted.
pub fn train_vocabulary<Text: AsRef<str>>(texts: impl IntoIterator<Item = Text>, training: &Training) -> Result<String> {
    let words = count_words(texts, training.case)?;
    let alphabet = alphabet(&words, training.alphabet);
    let mut pieces = Pieces::default();
    for token in SPECIAL_TOKENS {
        pieces.id(token.into());
    }
    let counted =
        |word: &str| word.chars().count() <= GOOGLE_LONGEST_WORD && word.chars().all(|character| alphabet.contains(&character));
    let words: Vec<(&String, u64)> = words.iter().filter(|(word, _)| counted(word)).map(|(word, &count)| (word, count)).collect();
    let starts: BTreeSet<char> = words.iter().filter_map(|(word, _)| word.chars().next()).collect();
    let goes_on: BTreeSet<char> = words.iter().flat_map(|(word, _)| word.chars().skip(1)).collect();
    starts.union(&goes_on).for_each(|character| {
        pieces.id(character.to_string());
    });
    goes_on.iter().for_each(|character| {
        pieces.id(format!("##{character}"));
    });
    if words.is_empty() || pieces.names.len() > training.size {
        return Err(Error::Tokenizer(format!(
            "{} different words need at least {} vocabulary entries for special tokens and characters, {} are wanted",
            words.len(),
            pieces.names.len(),
            training.size
        )));
    }
    let words = words.into_iter().map(|(word, count)| (pieces.spell(word), count)).collect();
    Joining::new(words).run(&mut pieces, training);
    Ok(pieces.names.iter().flat_map(|name| [name, "\n"]).collect())
}

fn count_words<Text: AsRef<str>>(texts: impl IntoIterator<Item = Text>, case: Case) -> Result<BTreeMap<String, u64>> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for text in texts {
        for unit in units(text.as_ref()) {
            match counts.get_mut(unit) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(unit.to_owned(), 1);
                }
            }
        }
    }
    let rules = GoogleRules { case };
    let mut words = BTreeMap::new();
    for (unit, count) in counts {
        let mut normalized = NormalizedString::from(unit);
        let failed = |_| Error::Tokenizer("a unit of text cannot be cut into words".into());
        rules.normalize(&mut normalized).map_err(failed)?;
        let mut parts = PreTokenizedString::from(normalized);
        rules.pre_tokenize(&mut parts).map_err(failed)?;
        for (word, _, _) in parts.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            *words.entry(word.to_owned()).or_default() += count;
        }
    }
    Ok(words)
}

fn alphabet(words: &BTreeMap<String, u64>, most: usize) -> BTreeSet<char> {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in words {
        for character in word.chars() {
            *counts.entry(character).or_default() += count;
        }
    }
    let mut by_count: Vec<(Reverse<u64>, char)> =
        counts.into_iter().map(|(character, count)| (Reverse(count), character)).collect();
    by_count.sort_unstable();
    by_count.into_iter().take(most).map(|(_, character)| character).collect()
}

/// The vocabulary as it grows.
#[derive(Default)]
struct Pieces {
    names: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Pieces {
    fn id(&mut self, name: String) -> u32 {
        let next = self.names.len() as u32;
        *self.ids.entry(name).or_insert_with_key(|name| {
            self.names.push(name.clone());
            next
        })
    }

    fn spell(&mut self, word: &str) -> Vec<u32> {
        let mut characters = word.chars();
        let first = characters.next().map(|character| character.to_string());
        let names: Vec<String> = first.into_iter().chain(characters.map(|character| format!("##{character}"))).collect();
        names.into_iter().map(|name| self.id(name)).collect()
    }

    /// The piece that `left` and `right` make: `ab` of `a` and `##b`, `##ab` of `##a` and `##b`.
    fn join(&mut self, (left, right): Pair) -> u32 {
        let name = |id: u32| self.names.get(id as usize).map_or("", String::as_str);
        let right = name(right);
        let joined = [name(left), right.strip_prefix("##").unwrap_or(right)].concat();
        self.id(joined)
    }
}

type Pair = (u32, u32);

/// Words as pieces, with the counts of neighbouring pairs kept up to date.
struct Joining {
    words: Vec<(Vec<u32>, u64)>,
    counts: HashMap<Pair, u64>,
    /// Words that hold a pair, or once held it.
    holders: HashMap<Pair, Vec<u32>>,
    /// Most frequent first, then the pair with the smaller ids. Counts may be out of date and are checked when taken.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Joining {
    fn new(words: Vec<(Vec<u32>, u64)>) -> Self {
        let mut joining = Self { words, counts: HashMap::new(), holders: HashMap::new(), queue: BinaryHeap::new() };
        for (number, (pieces, count)) in (0..).zip(&joining.words) {
            for pair in pairs(pieces) {
                *joining.counts.entry(pair).or_default() += count;
                joining.holders.entry(pair).or_default().push(number);
            }
        }
        joining.queue = joining.counts.iter().map(|(&pair, &count)| (count, Reverse(pair))).collect();
        joining
    }

    fn run(mut self, pieces: &mut Pieces, training: &Training) {
        while pieces.names.len() < training.size {
            let Some((count, Reverse(pair))) = self.queue.pop() else { break };
            let current = self.counts.get(&pair).copied().unwrap_or_default();
            if current != count {
                if current > 0 {
                    self.queue.push((current, Reverse(pair)));
                }
                continue;
            }
            if count < training.min_frequency.max(1) {
                break;
            }
            let joined = pieces.join(pair);
            self.join(pair, joined);
        }
    }

    fn join(&mut self, pair: Pair, joined: u32) {
        let mut holders = self.holders.remove(&pair).unwrap_or_default();
        holders.sort_unstable();
        holders.dedup();
        let mut grown = BTreeSet::new();
        for number in holders {
            let Some((pieces, count)) = self.words.get_mut(number as usize) else { continue };
            for old in pairs(pieces) {
                if let Some(total) = self.counts.get_mut(&old) {
                    *total = total.saturating_sub(*count);
                }
            }
            *pieces = replaced(pieces, pair, joined);
            for new in pairs(pieces) {
                *self.counts.entry(new).or_default() += *count;
                if new.0 == joined || new.1 == joined {
                    self.holders.entry(new).or_default().push(number);
                    grown.insert(new);
                }
            }
        }
        self.counts.remove(&pair);
        let count = |pair: Pair| self.counts.get(&pair).map(|&count| (count, Reverse(pair)));
        self.queue.extend(grown.into_iter().filter_map(count));
    }
}

fn pairs(pieces: &[u32]) -> impl Iterator<Item = Pair> {
    pieces.iter().copied().zip(pieces.iter().copied().skip(1))
}

/// The pieces with every occurrence of the pair replaced, from the left.
fn replaced(pieces: &[u32], (left, right): Pair, joined: u32) -> Vec<u32> {
    let mut result = Vec::with_capacity(pieces.len());
    let mut rest = pieces;
    while let Some((&piece, after)) = rest.split_first() {
        match after.split_first() {
            Some((&next, beyond)) if piece == left && next == right => {
                result.push(joined);
                rest = beyond;
            }
            _ => {
                result.push(piece);
                rest = after;
            }
        }
    }
    result
}
