//! NumPy's `.npy`, format 1.0: a matrix of `f32`, row by row.

use std::io::{Result, Seek, SeekFrom, Write};

/// Bytes before the values: magic and header, padded so that the number of rows can be put in at the end.
const HEADER: usize = 128;

/// Writes a matrix of which the number of rows is known only at the end.
pub struct Npy<'a, W: Write + Seek> {
    out: &'a mut W,
    width: usize,
    rows: u64,
}

impl<'a, W: Write + Seek> Npy<'a, W> {
    /// Begins a matrix of `width` columns.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn begin(out: &'a mut W, width: usize) -> Result<Self> {
        out.write_all(&header(0, width))?;
        Ok(Self { out, width, rows: 0 })
    }

    /// Appends a row of `width` values.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn row(&mut self, values: &[f32]) -> Result<()> {
        self.rows += 1;
        values.iter().try_for_each(|value| self.out.write_all(&value.to_le_bytes()))
    }

    /// Puts in the number of rows.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(self) -> Result<()> {
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header(self.rows, self.width))?;
        self.out.seek(SeekFrom::End(0)).map(|_| ())
    }
}

fn header(rows: u64, width: usize) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&((HEADER - 10) as u16).to_le_bytes());
    bytes.extend_from_slice(format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}").as_bytes());
    bytes.resize(HEADER - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn the_file_is_as_numpy_describes_it() {
        let mut out = Cursor::new(Vec::new());
        let mut npy = Npy::begin(&mut out, 2).unwrap();
        npy.row(&[1.0, 2.0]).unwrap();
        npy.row(&[3.0, 4.0]).unwrap();
        npy.finish().unwrap();
        let bytes = out.into_inner();
        assert_eq!(bytes[..10], *b"\x93NUMPY\x01\x00\x76\x00");
        assert!(bytes[10..].starts_with(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }"));
        assert_eq!((bytes[127], bytes.len()), (b'\n', 128 + 16));
        assert_eq!(bytes[140..], 4.0_f32.to_le_bytes());
    }
}
