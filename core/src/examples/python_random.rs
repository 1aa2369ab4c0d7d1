//! CPython's `random.Random`, bit for bit: Google's data are decided by it, so equal data need the equal generator.
//!
//! Mersenne Twister MT19937 with CPython 3's way of seeding and drawing (`Modules/_randommodule.c`, `Lib/random.py`; unchanged
//! from 3.2 to 3.13 for what is used here). Python 2 differs in `randint` and `shuffle`.

const STATE_WORDS: usize = 624;
const SHIFT_WORDS: usize = 397;

/// The draws that example making needs, so that masks can also come from another generator than CPython's.
pub trait Draws {
    /// A number from 0 inclusive to 1 exclusive, 53 bits of it random.
    fn random(&mut self) -> f64;

    /// A whole number below `bound`; 0 if `bound` is 0.
    fn below(&mut self, bound: usize) -> usize;

    /// A whole number from `low` to `high`, both inclusive.
    fn randint(&mut self, low: usize, high: usize) -> usize {
        low + self.below((high + 1).saturating_sub(low))
    }

    /// Fisher-Yates from the last place down, as CPython 3 does it.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last + 1);
            items.swap(last, other);
        }
    }
}

/// CPython's generator.
#[derive(Clone)]
pub struct PythonRandom {
    state: [u32; STATE_WORDS],
    /// The words that the state gives, scrambled (tempered) all at once, which the compiler makes vector code of.
    words: [u32; STATE_WORDS],
    /// Place of the next word to give.
    next: usize,
}

impl PythonRandom {
    /// `random.Random(seed)`. CPython drops the sign of its seed; so may the caller.
    pub fn new(seed: u64) -> Self {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        let mut generator = Self { state: [0; STATE_WORDS], words: [0; STATE_WORDS], next: STATE_WORDS };
        let keys = [low, high];
        generator.seed_by_array(if high == 0 { &keys[..1] } else { &keys });
        generator
    }

    /// `init_by_array` of the reference MT19937.
    #[allow(
        clippy::indexing_slicing,
        reason = "indices run through 0..624 and are wrapped by hand; keys are taken modulo their number"
    )]
    fn seed_by_array(&mut self, keys: &[u32]) {
        let state = &mut self.state;
        state[0] = 19_650_218;
        for i in 1..STATE_WORDS {
            state[i] = mixed(state[i - 1]).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        let (mut i, mut j) = (1, 0);
        for _ in 0..STATE_WORDS.max(keys.len()) {
            let word = state[i] ^ mixed(state[i - 1]).wrapping_mul(1_664_525);
            state[i] = word.wrapping_add(keys[j]).wrapping_add(j as u32);
            (i, j) = (i + 1, (j + 1) % keys.len());
            if i == STATE_WORDS {
                state[0] = state[STATE_WORDS - 1];
                i = 1;
            }
        }
        for _ in 1..STATE_WORDS {
            let word = state[i] ^ mixed(state[i - 1]).wrapping_mul(1_566_083_941);
            state[i] = word.wrapping_sub(i as u32);
            i += 1;
            if i == STATE_WORDS {
                state[0] = state[STATE_WORDS - 1];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
    }

    #[allow(clippy::indexing_slicing, reason = "constant ranges inside the 624 words")]
    fn refill(&mut self) {
        let state = &mut self.state;
        let twist = |upper: u32, lower: u32, far: u32| {
            let word = (upper & 0x8000_0000) | (lower & 0x7fff_ffff);
            far ^ (word >> 1) ^ ((word & 1).wrapping_neg() & 0x9908_b0df)
        };
        for i in 0..STATE_WORDS - SHIFT_WORDS {
            state[i] = twist(state[i], state[i + 1], state[i + SHIFT_WORDS]);
        }
        for i in STATE_WORDS - SHIFT_WORDS..STATE_WORDS - 1 {
            state[i] = twist(state[i], state[i + 1], state[i + SHIFT_WORDS - STATE_WORDS]);
        }
        state[STATE_WORDS - 1] = twist(state[STATE_WORDS - 1], state[0], state[SHIFT_WORDS - 1]);
        for (word, &state) in self.words.iter_mut().zip(&self.state) {
            let mut tempered = state ^ (state >> 11);
            tempered ^= (tempered << 7) & 0x9d2c_5680;
            tempered ^= (tempered << 15) & 0xefc6_0000;
            *word = tempered ^ (tempered >> 18);
        }
        self.next = 0;
    }

    #[inline]
    fn word(&mut self) -> u32 {
        if self.next >= STATE_WORDS {
            self.refill();
        }
        let word = self.words.get(self.next).copied().unwrap_or_default();
        self.next += 1;
        word
    }

    /// `getrandbits(bits)`, 1 to 64 bits: the first word drawn is the low one.
    fn bits(&mut self, bits: u32) -> u64 {
        if bits <= 32 {
            return u64::from(self.word() >> (32 - bits));
        }
        let low = u64::from(self.word());
        low | (u64::from(self.word() >> (64 - bits)) << 32)
    }
}

fn mixed(word: u32) -> u32 {
    word ^ (word >> 30)
}

impl Draws for PythonRandom {
    #[inline]
    fn random(&mut self) -> f64 {
        let (high, low) = (self.word() >> 5, self.word() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) * (1.0 / 9_007_199_254_740_992.0)
    }

    /// `_randbelow_with_getrandbits`: draws as many bits as `bound` has until the number is below it.
    fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        let bits = u64::BITS - bound.leading_zeros();
        if bits == 0 {
            return 0;
        }
        loop {
            let number = self.bits(bits);
            if number < bound {
                return number as usize;
            }
        }
    }

    /// The draws of the trait's own method. Whether a draw is taken or made again is as good as a coin toss, which a processor cannot
    /// foresee; so an item is exchanged with itself for a draw that is not taken, and there is nothing to foresee.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        if items.len() > u32::MAX as usize {
            return (1..items.len()).rev().for_each(|last| items.swap(last, self.below(last + 1)));
        }
        let mut last = items.len().saturating_sub(1);
        while last > 0 {
            if self.next >= STATE_WORDS {
                self.refill();
            }
            // As long as the bound, `last + 1`, has this many bits.
            let bits = usize::BITS - (last + 1).leading_zeros();
            let lowest = (1 << (bits - 1)) - 1;
            let mut used = 0;
            for word in self.words.get(self.next..).unwrap_or_default() {
                let other = (word >> (u32::BITS - bits)) as usize;
                let taken = other <= last;
                items.swap(last, if taken { other } else { last });
                last -= usize::from(taken);
                used += 1;
                if last < lowest.max(1) {
                    break;
                }
            }
            self.next += used;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Values printed by CPython 3.11.
    #[test]
    fn draws_what_cpython_draws() {
        let mut random = PythonRandom::new(12345);
        assert_eq!([random.random(), random.random()], [0.416_619_872_545_341_16, 0.010_169_169_457_068_361]);
        let mut numbers: Vec<u32> = (0..8).collect();
        PythonRandom::new(7).shuffle(&mut numbers);
        assert_eq!(numbers, SHUFFLED_BY_SEED_7);
    }

    #[test]
    fn seeds_beyond_32_bits_use_both_words() {
        let mut random = PythonRandom::new((5 << 32) + 1);
        assert_eq!([random.below(1000), random.below(1000)], BELOW_1000_BY_SEED_2_POW_32_TIMES_5_PLUS_1);
        assert_eq!(random.bits(40), FORTY_BITS_AFTERWARDS);
    }

    #[test]
    fn zero_is_a_seed_and_a_bound() {
        let mut random = PythonRandom::new(0);
        assert_eq!(random.random(), 0.844_421_851_525_048_1);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn shuffling_draws_as_one_item_after_another_does() {
        for length in [0, 1, 2, 3, 4, 5, 126, 127, 128, 129, 5000] {
            let (mut fast, mut plain) = (PythonRandom::new(length), PythonRandom::new(length));
            let (mut shuffled, mut expected): (Vec<u64>, Vec<u64>) = ((0..length).collect(), (0..length).collect());
            for _ in 0..3 {
                fast.shuffle(&mut shuffled);
                for last in (1..expected.len()).rev() {
                    expected.swap(last, plain.below(last + 1));
                }
            }
            assert_eq!(shuffled, expected);
            assert_eq!(fast.random(), plain.random(), "as many words are used for {length} items");
        }
    }

    const SHUFFLED_BY_SEED_7: [u32; 8] = [6, 7, 2, 4, 0, 3, 1, 5];
    const BELOW_1000_BY_SEED_2_POW_32_TIMES_5_PLUS_1: [usize; 2] = [586, 930];
    const FORTY_BITS_AFTERWARDS: u64 = 876605869200;
}
