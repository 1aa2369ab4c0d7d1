//! Which tokens of a pair are hidden and what stands in their place.

use super::{Settings, Vocabulary, corpus::TokenId, python_random::Draws};

/// One hidden token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mask {
    /// Place in `[CLS] A [SEP] B [SEP]`.
    pub position: u16,
    /// The token that stands there instead: `[MASK]`, the token itself or any entry of the vocabulary.
    pub id: u32,
}

/// The two texts of an example, between the special tokens.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a, Id> {
    /// A.
    pub first: &'a [Id],
    /// B.
    pub second: &'a [Id],
}

impl<Id: TokenId> Pair<'_, Id> {
    /// Tokens, `[CLS]` and both `[SEP]` included.
    pub fn length(&self) -> usize {
        self.first.len() + self.second.len() + 3
    }

    /// Positions and ids of the tokens that can be hidden: all but the special ones.
    fn candidates(&self) -> impl Iterator<Item = (u16, u32)> {
        let after_first = self.first.len() as u16 + 2;
        let first = (1..).zip(self.first);
        first.chain((after_first..).zip(self.second)).map(|(position, &id)| (position, id.into()))
    }

    fn token(&self, position: u16) -> Option<u32> {
        let position = usize::from(position).checked_sub(1)?;
        let token = match self.first.get(position) {
            Some(token) => Some(token),
            None => self.second.get(position.checked_sub(self.first.len() + 1)?),
        };
        token.map(|&token| token.into())
    }
}

/// Draws masks, reusing its memory from pair to pair.
#[derive(Debug, Clone, Default)]
pub struct Masker {
    positions: Vec<u16>,
    /// Ranges of `positions` that are hidden together, if whole words are.
    groups: Vec<(u16, u16)>,
    /// By position, what stands there instead.
    ids: Vec<u32>,
    /// One bit for every position: whether it is hidden. Cheaper than sorting the masks.
    hidden: Vec<u64>,
}

impl Masker {
    /// The masks of a pair by position, in `masks`, with the draws of Google's `create_masked_lm_predictions`
    /// (google-research/bert @ eedf571) in their order.
    ///
    /// Quirks kept: with whole words, a B that starts within a word joins the last word of A; random tokens come from the whole
    /// vocabulary, special entries included.
    pub fn mask<Id: TokenId>(
        &mut self,
        pair: &Pair<'_, Id>,
        settings: &Settings,
        vocabulary: &Vocabulary,
        draws: &mut impl Draws,
        masks: &mut Vec<Mask>,
    ) {
        self.positions.clear();
        self.positions.extend(pair.candidates().map(|(position, _)| position));
        self.ids.resize(pair.length(), 0);
        self.hidden.clear();
        self.hidden.resize(pair.length().div_ceil(64), 0);
        let mut left = settings.masked_tokens(pair.length());
        if settings.whole_word_mask {
            self.group(pair, vocabulary);
            let (mut groups, positions) = (std::mem::take(&mut self.groups), std::mem::take(&mut self.positions));
            draws.shuffle(&mut groups);
            for &(start, end) in &groups {
                let group = positions.get(usize::from(start)..usize::from(end)).unwrap_or(&[]);
                if left == 0 {
                    break;
                }
                if group.len() <= left {
                    left -= group.len();
                    group.iter().for_each(|&position| self.hide(position, pair, vocabulary, draws));
                }
            }
            (self.groups, self.positions) = (groups, positions);
        } else {
            // The same draws, a position at a time.
            let mut positions = std::mem::take(&mut self.positions);
            draws.shuffle(&mut positions);
            positions.iter().take(left).for_each(|&position| self.hide(position, pair, vocabulary, draws));
            self.positions = positions;
        }
        self.collect(masks);
    }

    #[inline]
    fn hide<Id: TokenId>(&mut self, position: u16, pair: &Pair<'_, Id>, vocabulary: &Vocabulary, draws: &mut impl Draws) {
        let id = if draws.random() < 0.8 {
            vocabulary.mask
        } else if draws.random() < 0.5 {
            pair.token(position).unwrap_or(vocabulary.mask)
        } else {
            vocabulary.entries.get(draws.below(vocabulary.entries.len())).copied().unwrap_or(vocabulary.mask)
        };
        let place = usize::from(position);
        if let (Some(slot), Some(bits)) = (self.ids.get_mut(place), self.hidden.get_mut(place / 64)) {
            *slot = id;
            *bits |= 1 << (place % 64);
        }
    }

    /// The hidden positions in ascending order.
    fn collect(&self, masks: &mut Vec<Mask>) {
        masks.clear();
        for (word, &bits) in self.hidden.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let place = 64 * word + bits.trailing_zeros() as usize;
                masks.push(Mask { position: place as u16, id: self.ids.get(place).copied().unwrap_or_default() });
                bits &= bits - 1;
            }
        }
    }

    /// Whole words: a piece that goes on a word belongs to the group before it.
    fn group<Id: TokenId>(&mut self, pair: &Pair<'_, Id>, vocabulary: &Vocabulary) {
        self.groups.clear();
        for (place, (_, id)) in (0..).zip(pair.candidates()) {
            match self.groups.last_mut() {
                Some((_, end)) if vocabulary.is_continuation(id) => *end = place + 1,
                _ => self.groups.push((place, place + 1)),
            }
        }
    }
}

impl Settings {
    /// How many tokens of an example of `length` tokens are hidden. Python rounds halves to the even number.
    pub fn masked_tokens(&self, length: usize) -> usize {
        let share = (length as f64 * self.masked_lm_prob).round_ties_even();
        self.max_predictions_per_seq.min((share as usize).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::python_random::PythonRandom, *};

    fn vocabulary() -> Vocabulary {
        Vocabulary {
            classify: 1,
            separator: 2,
            mask: 3,
            entries: (0..100).collect(),
            continuations: (0..100).map(|id| id >= 50).collect(),
        }
    }

    #[test]
    fn halves_round_to_even() {
        let settings = Settings { max_predictions_per_seq: 20, ..Settings::default() };
        assert_eq!([3, 30, 50, 70, 128, 512].map(|length| settings.masked_tokens(length)), [1, 4, 8, 10, 19, 20]);
    }

    #[test]
    fn special_tokens_are_never_hidden_and_positions_rise() {
        let first: Vec<u16> = (10..30).collect();
        let pair = Pair { first: &first, second: &[40, 41, 42] };
        let settings = Settings { masked_lm_prob: 1.0, max_predictions_per_seq: 100, ..Settings::default() };
        let mut masks = Vec::new();
        Masker::default().mask(&pair, &settings, &vocabulary(), &mut PythonRandom::new(1), &mut masks);
        let positions: Vec<u16> = masks.iter().map(|mask| mask.position).collect();
        assert_eq!(positions, (1..21).chain(22..25).collect::<Vec<u16>>());
    }

    #[test]
    fn whole_words_are_hidden_together_even_across_the_separator() {
        // 10 ##60 | 11 [SEP] ##61 | 12
        let pair = Pair::<u16> { first: &[10, 60, 11], second: &[61, 12] };
        let settings = Settings { masked_lm_prob: 0.26, whole_word_mask: true, ..Settings::default() };
        for seed in 0..50 {
            let mut masks = Vec::new();
            Masker::default().mask(&pair, &settings, &vocabulary(), &mut PythonRandom::new(seed), &mut masks);
            let hidden = |position| masks.iter().any(|mask| mask.position == position);
            assert_eq!(hidden(1), hidden(2), "seed {seed}");
            assert_eq!(hidden(3), hidden(5), "seed {seed}");
            assert!(masks.len() <= 2, "seed {seed}");
        }
    }
}
