//! TensorFlow's checkpoint format since 2017, the "V2 tensor bundle": a sorted table of names (`PREFIX.index`) and raw values
//! (`PREFIX.data-00000-of-00001`, perhaps in several shards). There is no other Rust reader or writer.

mod message;
mod state;
mod table;
mod table_writer;
mod writer;

use std::collections::BTreeMap;

use super::{Dtype, HostTensor, Listing, WeightsFile, check_not_something_else, elements, show, tensor_error};
use crate::{
    Result,
    checksum::{agrees, masked_crc32c},
};

use message::{Header, Unusable};
use table::error;

pub use message::BundleEntry;
pub use state::CheckpointState;
pub(super) use table::MAGIC as TABLE_MAGIC;
pub use writer::write_bundle;

/// Most shards: their numbers have five digits.
const MAX_SHARDS: u64 = 99_999;

/// The contents of a `.index` file: which tensors there are and where. It can be listed without the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleIndex {
    shards: u64,
    entries: BTreeMap<String, BundleEntry>,
}

impl BundleIndex {
    /// From the bytes of `PREFIX.index`.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] if this is no such file, a version 1 checkpoint, or damaged; [`crate::Error::Tensor`] for an entry whose numbers disagree.
    pub fn open(bytes: &[u8]) -> Result<Self> {
        check_not_something_else(bytes)?;
        let mut header = None;
        let mut entries = BTreeMap::new();
        table::read(bytes, |key, value| {
            if header.is_none() {
                header = Some(open_header(key, value)?);
                return Ok(());
            }
            let name =
                std::str::from_utf8(key).map_err(|_| error("a name is not UTF-8; variables in partitions are not supported"))?;
            let entry = BundleEntry::decode(value).map_err(|reason| match reason {
                Unusable::Partitioned => {
                    tensor_error(name, "is stored in partitions, which BERT never is and which are not supported")
                }
                _ => tensor_error(name, "its entry in the index is damaged"),
            })?;
            let expected = elements(&entry.shape).zip(entry.dtype.size()).and_then(|(length, size)| length.checked_mul(size));
            let readable = entry.dtype != Dtype::Other;
            if readable && expected.and_then(|size| u64::try_from(size).ok()) != Some(entry.size) {
                let reason = format!("shape {} of {} does not fill its {} bytes", show(&entry.shape), entry.dtype, entry.size);
                return Err(tensor_error(name, reason));
            }
            entries.insert(name.to_owned(), entry);
            Ok(())
        })?;
        let header = header.ok_or_else(|| error("it is empty"))?;
        Ok(Self { shards: header.shards, entries })
    }

    /// Names of the data files of a checkpoint `prefix`, in the order in which [`Bundle::open`] wants them.
    pub fn data_files(&self, prefix: &str) -> Vec<String> {
        (0..self.shards).map(|shard| format!("{prefix}.data-{shard:05}-of-{:05}", self.shards)).collect()
    }

    /// Where every tensor lies, by name.
    pub fn entries(&self) -> &BTreeMap<String, BundleEntry> {
        &self.entries
    }

    /// Everything in the checkpoint, sorted by name.
    pub fn list(&self) -> Vec<Listing> {
        let listing = |(name, entry): (&String, &BundleEntry)| Listing {
            name: name.clone(),
            dtype: entry.dtype,
            shape: entry.shape.clone(),
        };
        self.entries.iter().map(listing).collect()
    }
}

fn open_header(key: &[u8], value: &[u8]) -> Result<Header> {
    let version_one = || {
        error(
            "this is a TensorFlow version 1 checkpoint, a format from before 2017; \
             open it in TensorFlow and save it again with tf.train.Saver, which writes version 2",
        )
    };
    let header = match Header::decode(value) {
        Ok(header) if key.is_empty() => header,
        Err(Unusable::VersionOne) if key.is_empty() => return Err(version_one()),
        _ => return Err(error("it does not begin with the header of a checkpoint")),
    };
    if header.big_endian {
        return Err(error("its values are big-endian; save it again on another machine"));
    }
    if header.shards == 0 || header.shards > MAX_SHARDS {
        return Err(error(format!("expected 1 to {MAX_SHARDS} data files, found {}", header.shards)));
    }
    Ok(header)
}

/// A checkpoint with its values.
#[derive(Debug)]
pub struct Bundle<'a> {
    index: BundleIndex,
    shards: Vec<&'a [u8]>,
}

impl<'a> Bundle<'a> {
    /// Checks that every tensor of the index lies within its data file ([`BundleIndex::data_files`]) and over no other.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] if files are missing; [`crate::Error::Tensor`] for a tensor outside its file.
    pub fn open(index: BundleIndex, shards: Vec<&'a [u8]>) -> Result<Self> {
        if u64::try_from(shards.len()).ok() != Some(index.shards) {
            return Err(error(format!("expected {} data files, found {}", index.shards, shards.len())));
        }
        let mut entries: Vec<_> = index.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| (entry.shard, entry.offset, entry.size));
        let mut filled = (0, 0);
        for (name, entry) in entries {
            let file = usize::try_from(entry.shard).ok().and_then(|shard| shards.get(shard));
            let length = file.map_or(0, |file| file.len());
            let end = entry.offset.checked_add(entry.size).filter(|end| usize::try_from(*end).is_ok_and(|end| end <= length));
            let Some(end) = end else {
                file.map_or(Ok(()), |file| check_not_something_else(file))?;
                let BundleEntry { shard, offset, size, .. } = entry;
                let reason = format!(
                    "its {size} bytes at byte {offset} of data file {shard} are beyond that file's {length} bytes; \
                     the file is cut short or belongs to another index"
                );
                return Err(tensor_error(name, reason));
            };
            if (entry.shard, entry.offset) < filled {
                return Err(tensor_error(name, "its bytes overlap another tensor's; the index is damaged"));
            }
            filled = (entry.shard, end);
        }
        Ok(Self { index, shards })
    }

    /// What the index says.
    pub fn index(&self) -> &BundleIndex {
        &self.index
    }

    /// A tensor's bytes as they are stored, compared with their checksum.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if there is no such tensor, or its bytes are damaged.
    pub fn bytes(&self, name: &str) -> Result<&'a [u8]> {
        let entry = self.index.entries.get(name).ok_or_else(|| tensor_error(name, "not in the checkpoint"))?;
        let place = |entry: &BundleEntry| -> Option<&'a [u8]> {
            let shard = self.shards.get(usize::try_from(entry.shard).ok()?)?;
            shard.get(usize::try_from(entry.offset).ok()?..)?.get(..usize::try_from(entry.size).ok()?)
        };
        let bytes = place(entry).ok_or_else(|| tensor_error(name, "lies outside its data file"))?;
        let found = masked_crc32c(bytes);
        // The checksum of text values covers other bytes than these.
        if entry.dtype != Dtype::Other && !agrees(found, entry.masked_crc32c) {
            let reason = format!(
                "wrong checksum (masked CRC-32C {found:08x}, expected {:08x}); data file {} is damaged or belongs to another index",
                entry.masked_crc32c, entry.shard
            );
            return Err(tensor_error(name, reason));
        }
        Ok(bytes)
    }
}

impl WeightsFile for Bundle<'_> {
    fn list(&self) -> Vec<Listing> {
        self.index.list()
    }

    fn read(&self, name: &str) -> Result<HostTensor> {
        let bytes = self.bytes(name)?;
        let entry = self.index.entries.get(name).ok_or_else(|| tensor_error(name, "not in the checkpoint"))?;
        let not_float = || tensor_error(name, format!("expected floating-point values, found {}", entry.dtype));
        Ok(HostTensor { shape: entry.shape.clone(), data: entry.dtype.decode(bytes).ok_or_else(not_float)? })
    }

    fn global_step(&self) -> Result<Option<u64>> {
        const NAME: &str = "global_step";
        let Some(entry) = self.index.entries.get(NAME) else { return Ok(None) };
        let bytes = self.bytes(NAME)?;
        let step = match (entry.dtype, bytes.first_chunk(), bytes.first_chunk()) {
            (Dtype::I64, Some(bytes), _) => u64::try_from(i64::from_le_bytes(*bytes)).ok(),
            (Dtype::I32, _, Some(bytes)) => u64::try_from(i32::from_le_bytes(*bytes)).ok(),
            _ => None,
        };
        step.map(Some)
            .ok_or_else(|| tensor_error(NAME, format!("expected a whole number, found {} of another kind", entry.dtype)))
    }
}
