//! Byte weights in panels.

use super::{GROUP, Instructions};

/// `[outputs, inputs]`, as the innermost loop reads them.
#[derive(Debug, Clone)]
pub struct Weights {
    outputs: usize,
    inputs: usize,
    /// Outputs of a panel.
    width: usize,
    /// `[panels, inputs / 4, width, 4]`, zeros at the ends.
    bytes: Vec<i8>,
    /// Sums of every group's bytes, `[panels, groups, width]`.
    sums: Vec<f32>,
    /// `[outputs]`, zeros at the end.
    scales: Vec<f32>,
}

/// Some outputs that are computed together.
pub struct Panel<'a> {
    pub bytes: &'a [i8],
    pub sums: &'a [f32],
    pub scales: &'a [f32],
}

impl Weights {
    /// Zeros.
    pub fn new(instructions: Instructions, outputs: usize, inputs: usize) -> Self {
        let (_, width) = instructions.tile();
        let padded = outputs.next_multiple_of(width);
        Self {
            outputs,
            inputs,
            width,
            bytes: vec![0; padded * inputs.next_multiple_of(4)],
            sums: vec![0.0; padded * inputs.div_ceil(GROUP)],
            scales: vec![0.0; padded],
        }
    }

    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// The panel that output `first` begins.
    pub fn panel(&self, first: usize) -> Panel<'_> {
        let (bytes, sums) = (self.inputs.next_multiple_of(4), self.inputs.div_ceil(GROUP));
        Panel {
            bytes: self.bytes.get(first * bytes..(first + self.width) * bytes).unwrap_or_default(),
            sums: self.sums.get(first * sums..(first + self.width) * sums).unwrap_or_default(),
            scales: self.scales.get(first..first + self.width).unwrap_or_default(),
        }
    }

    /// Places of a row's bytes, four by four.
    fn places(&self, row: usize) -> impl Iterator<Item = usize> + use<> {
        let (width, quads) = (self.width, self.inputs.div_ceil(4));
        let first = row / width * width * quads + row % width;
        (0..quads).map(move |quad| 4 * (first + quad * width))
    }

    /// Puts in a row: its scale, then a byte a value ([`crate::bert::Encoding::Int8`]).
    pub fn set_row(&mut self, row: usize, encoded: &[u8]) {
        let Some((scale, bytes)) = encoded.split_first_chunk() else { return };
        if let Some(place) = self.scales.get_mut(row) {
            *place = f32::from_le_bytes(*scale);
        }
        let bytes: &[i8] = bytemuck::cast_slice(bytes);
        for (place, bytes) in self.places(row).zip(bytes.chunks(4)) {
            if let Some(place) = self.bytes.get_mut(place..place + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
        let groups = self.inputs.div_ceil(GROUP);
        let first = row / self.width * self.width * groups + row % self.width;
        for (group, bytes) in bytes.chunks(GROUP).enumerate() {
            if let Some(place) = self.sums.get_mut(first + group * self.width) {
                *place = bytes.iter().map(|byte| i32::from(*byte)).sum::<i32>() as f32;
            }
        }
    }

    /// Values of a row.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        let scale = self.scales.get(row).copied().unwrap_or_default();
        for (place, out) in self.places(row).zip(out.chunks_mut(4)) {
            for (out, byte) in out.iter_mut().zip(self.bytes.get(place..).unwrap_or_default()) {
                *out = scale * f32::from(*byte);
            }
        }
    }
}
