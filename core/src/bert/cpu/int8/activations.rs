//! Rows of activations as bytes of seven bits.

use super::{super::super::math::range, GROUP, Instructions};

/// Largest byte.
const LARGEST: f32 = 127.0;
/// Adding 1.5 · 2²³ rounds to an integer, which then stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// Rows in bands, as the innermost loop reads them.
#[derive(Debug, Default)]
pub struct Activations {
    quads: usize,
    /// `[bands, inputs / 4, rows of a band, 4]`, zeros at the ends.
    bytes: Vec<u8>,
    groups: usize,
    /// Step and low of every group, `[bands, groups, rows of a band]`.
    steps: Vec<[f32; 2]>,
}

/// A band's bytes by four inputs, and its steps and lows by groups.
type Band<'a, const ROWS: usize> = (&'a [[[u8; 4]; ROWS]], &'a [[[f32; 2]; ROWS]]);

impl Activations {
    /// Of rows of `inputs` values.
    #[inline(always)]
    pub fn new(instructions: Instructions, x: &[f32], inputs: usize) -> Self {
        let (band, _) = instructions.tile();
        let (quads, groups) = (inputs.div_ceil(4), inputs.div_ceil(GROUP));
        let rows = (x.len() / inputs.max(1)).next_multiple_of(band);
        let (mut bytes, mut steps) = (vec![0; rows * quads * 4], vec![[0.0; 2]; rows * groups]);
        let mut line = vec![0; quads * 4];
        let bands =
            x.chunks(band * inputs).zip(bytes.chunks_exact_mut(band * quads * 4)).zip(steps.chunks_exact_mut(band * groups));
        for ((x, bytes), steps) in bands {
            for (row, x) in x.chunks_exact(inputs).enumerate() {
                let places = steps.iter_mut().skip(row).step_by(band);
                for ((x, line), place) in x.chunks(GROUP).zip(line.chunks_mut(GROUP)).zip(places) {
                    *place = quantize(x, line);
                }
                let places = bytes.as_chunks_mut::<4>().0.iter_mut().skip(row).step_by(band);
                places.zip(line.as_chunks::<4>().0).for_each(|(place, quad)| *place = *quad);
            }
        }
        Self { quads, bytes, groups, steps }
    }

    /// Bands of `ROWS` rows, which is what they were made for: bytes by inputs, steps by groups.
    #[inline(always)]
    pub fn bands<const ROWS: usize>(&self) -> impl Iterator<Item = Band<'_, ROWS>> {
        let bytes = self.bytes.as_chunks::<4>().0.as_chunks::<ROWS>().0;
        bytes.chunks_exact(self.quads.max(1)).zip(self.steps.as_chunks::<ROWS>().0.chunks_exact(self.groups.max(1)))
    }
}

/// Step and low of the values, and a byte for each.
#[inline(always)]
fn quantize(values: &[f32], bytes: &mut [u8]) -> [f32; 2] {
    let (low, high) = range(values);
    let step = (high - low) / LARGEST;
    let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
    for (byte, value) in bytes.iter_mut().zip(values) {
        // Within 0 to 127 whatever the value is.
        *byte = (((value - low) * inverse + ROUNDER).to_bits() & 127) as u8;
    }
    [step, low]
}
