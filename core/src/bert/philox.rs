//! Philox4x32-10: the counter-based generator behind every random draw of the model, on every machine.
//!
//! Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3" (SC11). A draw is a pure function of a counter and
//! a key, so a mask can be made again anywhere (backward pass, another machine, a resumed run) without keeping a state.

const MULTIPLIER_0: u32 = 0xD251_1F53;
const MULTIPLIER_1: u32 = 0xCD9E_8D57;
const WEYL_0: u32 = 0x9E37_79B9;
const WEYL_1: u32 = 0xBB67_AE85;

/// Four uniform 32-bit words for a counter and a key.
#[inline(always)]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let product_0 = u64::from(MULTIPLIER_0) * u64::from(c0);
        let product_1 = u64::from(MULTIPLIER_1) * u64::from(c2);
        (c0, c1, c2, c3) =
            ((product_1 >> 32) as u32 ^ c1 ^ k0, product_1 as u32, (product_0 >> 32) as u32 ^ c3 ^ k1, product_0 as u32);
        k0 = k0.wrapping_add(WEYL_0);
        k1 = k1.wrapping_add(WEYL_1);
    }
    [c0, c1, c2, c3]
}

/// [`philox`] for sixteen consecutive values of the first counter word, word by word: in this form the loops become vector code.
#[inline(always)]
pub fn philox_run(first: u32, rest: [u32; 3], key: [u32; 2]) -> [[u32; 16]; 4] {
    let mut c0: [u32; 16] = std::array::from_fn(|lane| first.wrapping_add(lane as u32));
    let [mut c1, mut c2, mut c3] = rest.map(|word| [word; 16]);
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        for (((c0, c1), c2), c3) in c0.iter_mut().zip(&mut c1).zip(&mut c2).zip(&mut c3) {
            let product_0 = u64::from(MULTIPLIER_0) * u64::from(*c0);
            let product_1 = u64::from(MULTIPLIER_1) * u64::from(*c2);
            (*c0, *c1, *c2, *c3) =
                ((product_1 >> 32) as u32 ^ *c1 ^ k0, product_1 as u32, (product_0 >> 32) as u32 ^ *c3 ^ k1, product_0 as u32);
        }
        k0 = k0.wrapping_add(WEYL_0);
        k1 = k1.wrapping_add(WEYL_1);
    }
    [c0, c1, c2, c3]
}

/// A 64-bit seed as a key, low word first.
#[inline]
pub const fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three vectors for `philox4x32 10` in `kat_vectors` of Random123 1.14.
    #[test]
    fn published_vectors() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn a_run_equals_single_draws() {
        let run = philox_run(u32::MAX - 3, [5, 6, 7], [8, 9]);
        for lane in 0..16 {
            let single = philox([(u32::MAX - 3).wrapping_add(lane as u32), 5, 6, 7], [8, 9]);
            assert_eq!(run.map(|words| words[lane]), single);
        }
    }
}
