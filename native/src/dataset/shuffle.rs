//! A random order of `0..n` that is computed, not stored: any place in it can be asked for at once.
//!
//! A shuffled list would need memory for every example and a resumed run would have to draw it again. A Feistel network is a
//! permutation of `0..2^bits` for any round function; walking on from values outside `0..n` (cycle walking) makes it one of
//! `0..n`. With `2^bits < 4n` that takes fewer than four steps on average.

/// The order of one epoch: a permutation of `0..n` that depends on nothing but (seed, epoch, n).
#[derive(Debug, Clone, Copy)]
pub struct Order {
    n: u64,
    half_bits: u32,
    key: u64,
}

/// With four rounds a Feistel network of ideal rounds cannot be told from random (Luby and Rackoff 1988);
/// more are taken because small data sets make the halves, and so the rounds, small.
const ROUNDS: u64 = 8;

impl Order {
    /// The order of the examples of `epoch`.
    pub const fn new(seed: u64, epoch: u64, n: u64) -> Self {
        let bits = u64::BITS - n.saturating_sub(1).leading_zeros();
        let half_bits = if bits < 2 { 1 } else { bits.div_ceil(2) };
        Self { n, half_bits, key: mix(mix(seed) ^ epoch) }
    }

    /// What stands at `place`, both in `0..n`.
    pub const fn at(&self, place: u64) -> u64 {
        let mut value = self.encrypt(place);
        while value >= self.n && self.n > 0 {
            value = self.encrypt(value);
        }
        value
    }

    const fn encrypt(&self, value: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        let mut round = 0;
        while round < ROUNDS {
            let scrambled = mix(self.key ^ mix(right ^ (round << 56))) & mask;
            (left, right) = (right, left ^ scrambled);
            round += 1;
        }
        (left << self.half_bits) | right
    }
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014, constants of variant 13 by Stafford).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_comes_once_an_epoch() {
        for n in [1, 2, 3, 4, 5, 17, 64, 1000, 4097] {
            let order = Order::new(7, 3, n);
            let mut seen: Vec<u64> = (0..n).map(|place| order.at(place)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..n).collect::<Vec<_>>(), "n = {n}");
        }
    }

    #[test]
    fn seeds_and_epochs_give_other_orders_and_the_same_ones_again() {
        let order = |seed, epoch| -> Vec<u64> {
            let order = Order::new(seed, epoch, 500);
            (0..500).map(|place| order.at(place)).collect()
        };
        assert_eq!(order(1, 0), order(1, 0));
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
    }

    #[test]
    fn first_places_are_spread_over_the_whole_data() {
        // 1000 draws from 0..1: the mean's standard deviation is 0.009, a share of a tenth has one of 9.5.
        let n = 1_000_000;
        let order = Order::new(12345, 0, n);
        let mut tenths = [0_u32; 10];
        let mut sum = 0.0;
        for place in 0..1000 {
            let value = order.at(place);
            sum += value as f64 / n as f64;
            tenths[(value * 10 / n) as usize] += 1;
        }
        assert!((sum / 1000.0 - 0.5).abs() < 0.04, "mean {}", sum / 1000.0);
        assert!(tenths.iter().all(|count| (60..140).contains(count)), "{tenths:?}");
    }
}
