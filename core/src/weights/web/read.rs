//! Weights for the web as a weights file like any other, for the command line.

use super::{Manifest, StoredTensor};
use crate::{
    Error, FileFault, Result,
    bert::Encoding,
    weights::{Dtype, HostTensor, Listing, WeightsFile, tensor_error},
};

/// All shards of a model, opened.
#[derive(Debug)]
pub struct WebWeights<'a> {
    manifest: &'a Manifest,
    /// Where every shard begins in the stream, and its bytes.
    shards: Vec<(u64, &'a [u8])>,
}

impl<'a> WebWeights<'a> {
    /// Checks every shard, in the manifest's order, against its size and SHA-256.
    ///
    /// # Errors
    /// [`Error::File`] naming the shard that is missing or damaged.
    pub fn open(manifest: &'a Manifest, shards: &[&'a [u8]]) -> Result<Self> {
        let mut begin = 0;
        let mut opened = Vec::with_capacity(shards.len());
        for (number, named) in manifest.shards.iter().enumerate() {
            let bytes = *shards.get(number).ok_or_else(|| named.fault(FileFault::Missing))?;
            named.check(bytes)?;
            opened.push((begin, bytes));
            begin += named.bytes;
        }
        Ok(Self { manifest, shards: opened })
    }

    /// Appends `length` bytes of the stream.
    fn copy(&self, mut from: u64, mut length: usize, into: &mut Vec<u8>) -> Result<()> {
        while length > 0 {
            let shard = self.shards.iter().rev().find(|(begin, _)| *begin <= from);
            let there = shard.and_then(|(begin, bytes)| bytes.get(usize::try_from(from - begin).ok()?..)).unwrap_or_default();
            let now = there.get(..length.min(there.len())).unwrap_or_default();
            if now.is_empty() {
                return Err(Error::Weights("the shards end before the tensors".into()));
            }
            into.extend_from_slice(now);
            from += now.len() as u64;
            length -= now.len();
        }
        Ok(())
    }
}

impl Manifest {
    /// What is in the weights, as the manifest says; query, key and value each by its own name.
    pub fn list(&self) -> Vec<Listing> {
        let mut list: Vec<_> = self
            .tensors
            .iter()
            .flat_map(|stored| {
                stored.names.iter().map(|name| Listing { name: name.clone(), dtype: dtype(stored), shape: part(stored) })
            })
            .collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }
}

impl WeightsFile for WebWeights<'_> {
    fn list(&self) -> Vec<Listing> {
        self.manifest.list()
    }

    fn read(&self, name: &str) -> Result<HostTensor> {
        let mut begin = 0;
        for stored in &self.manifest.tensors {
            if let Some(number) = stored.names.iter().position(|found| found == name) {
                let (shape, unit) = (part(stored), stored.unit());
                let rows = shape.first().copied().unwrap_or(1);
                let mut data = Vec::with_capacity(rows * stored.width());
                let mut row = Vec::with_capacity(unit);
                for index in number * rows..(number + 1) * rows {
                    row.clear();
                    self.copy(begin + index as u64 * unit as u64, unit, &mut row)?;
                    stored.encoding.decode(&row, &mut data);
                }
                return Ok(HostTensor { shape, data });
            }
            begin += stored.bytes();
        }
        Err(tensor_error(name, "not in the manifest"))
    }
}

/// Shape of one of the parameters that a tensor consists of: they are alike.
fn part(stored: &StoredTensor) -> Vec<usize> {
    let mut shape = stored.shape.clone();
    if let Some(rows) = shape.first_mut() {
        *rows /= stored.names.len().max(1);
    }
    shape
}

const fn dtype(stored: &StoredTensor) -> Dtype {
    match stored.encoding {
        Encoding::F32 => Dtype::F32,
        Encoding::F16 => Dtype::F16,
        Encoding::Int8 => Dtype::ScaledI8,
    }
}
