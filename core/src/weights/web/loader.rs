//! A stream of shards into a model: rows go to the machine as they arrive, and only a row that is not whole yet is kept.

use sha2::{Digest, Sha256};

use super::{Manifest, NamedFile, hexadecimal};
use crate::{
    Error, FileFault, Result,
    bert::{Load, Model, Parameter, Weights},
};

/// A model while its weights arrive.
///
/// After an error it takes nothing more: the load begins anew, with a new loader.
pub struct Loader<B: Load> {
    manifest: Manifest,
    groups: Vec<Vec<Parameter>>,
    backend: B,
    finished: Vec<B::Tensor>,
    /// The weight whose rows are arriving, and the bytes that it still wants.
    partial: Option<(B::Partial, u64)>,
    /// The beginning of a row.
    row: Vec<u8>,
    /// Number of the shard that is arriving, the bytes of it that are there, and their hash so far.
    shard: usize,
    arrived: u64,
    hash: Sha256,
    /// Bytes of the shards before.
    before: u64,
    has_failed: bool,
}

impl<B: Load> Loader<B> {
    /// Ready for the first shard.
    ///
    /// # Errors
    /// [`Error::Config`] if the manifest's configuration is impossible, and what the machine does not allow.
    pub fn new(backend: B, manifest: Manifest) -> Result<Self> {
        let groups = manifest.groups()?;
        backend.accepts(&manifest.config)?;
        Ok(Self {
            manifest,
            groups,
            backend,
            finished: Vec::new(),
            partial: None,
            row: Vec::new(),
            shard: 0,
            arrived: 0,
            hash: Sha256::new(),
            before: 0,
            has_failed: false,
        })
    }

    /// What is being loaded.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes that are there.
    pub const fn loaded_bytes(&self) -> u64 {
        self.before + self.arrived
    }

    /// Takes what comes next of shard number `shard` (from 0), in pieces of any size. Shards come in the manifest's order.
    ///
    /// # Errors
    /// [`Error::File`] if an earlier shard is not whole, or this one is too long or damaged; those of the machine.
    pub fn push(&mut self, shard: usize, bytes: &[u8]) -> Result<()> {
        if self.has_failed {
            return Err(Error::Weights("this load has failed already: begin it anew".into()));
        }
        let result = self.take(shard, bytes);
        self.has_failed = result.is_err();
        result
    }

    /// The model, when all shards are there.
    ///
    /// # Errors
    /// [`Error::File`] naming the shard that is missing or not whole.
    pub fn finish(self) -> Result<Model<B>> {
        if let Some(current) = self.manifest.shards.get(self.shard) {
            return Err(self.unfinished(current));
        }
        let mut tensors = self.finished.into_iter();
        let Manifest { config, heads, .. } = &self.manifest;
        let incomplete = || Error::Weights("the load has failed: begin it anew".into());
        let weights = Weights::build(config, *heads, |_| tensors.next().ok_or_else(incomplete))?;
        Ok(Model::from_weights(self.backend, config, *heads, weights))
    }

    fn take(&mut self, shard: usize, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let Some(named) = self.manifest.shards.get(shard) else {
            let count = self.manifest.shards.len();
            return Err(Error::Weights(format!("there are {count} shards, numbered from 0; found number {shard}")));
        };
        let added = bytes.len() as u64;
        if shard < self.shard {
            return Err(named.fault(FileFault::Size { expected: named.bytes, found: named.bytes.saturating_add(added) }));
        }
        if let Some(current) = self.manifest.shards.get(self.shard).filter(|_| shard > self.shard) {
            return Err(self.unfinished(current));
        }
        let arrived = self.arrived.saturating_add(added);
        if arrived > named.bytes {
            return Err(named.fault(FileFault::Size { expected: named.bytes, found: arrived }));
        }
        self.hash.update(bytes);
        self.arrived = arrived;
        if arrived == named.bytes {
            // Before the rows of its end are laid down: a damaged shard completes nothing.
            named.check_hash(hexadecimal(self.hash.finalize_reset().as_slice()))?;
            self.before = self.before.saturating_add(arrived);
            (self.shard, self.arrived) = (shard + 1, 0);
        }
        self.lay_down(bytes)
    }

    /// What is wrong with the shard that is arriving, if nothing more comes.
    fn unfinished(&self, current: &NamedFile) -> Error {
        current.fault(match self.arrived {
            0 => FileFault::Missing,
            found => FileFault::Size { expected: current.bytes, found },
        })
    }

    fn lay_down(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let number = self.finished.len();
            let (Some(group), Some(stored)) = (self.groups.get(number), self.manifest.tensors.get(number)) else {
                return Err(Error::Weights("the shards have more bytes than the tensors".into()));
            };
            let (mut partial, left) = match self.partial.take() {
                Some(partial) => partial,
                None => (self.backend.begin(group, stored.encoding)?, stored.bytes()),
            };
            let unit = stored.unit();
            let laid = if self.row.is_empty() && bytes.len() >= unit {
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                let (rows, rest) = bytes.split_at(bytes.len().min(most) / unit * unit);
                bytes = rest;
                self.backend.append(&mut partial, rows)?;
                rows.len()
            } else {
                let (part, rest) = bytes.split_at(bytes.len().min(unit - self.row.len()));
                bytes = rest;
                self.row.extend_from_slice(part);
                if self.row.len() < unit {
                    0
                } else {
                    self.backend.append(&mut partial, &self.row)?;
                    self.row.clear();
                    unit
                }
            };
            let left = left - laid as u64;
            match left {
                0 => self.finished.push(self.backend.finish(partial)?),
                left => self.partial = Some((partial, left)),
            }
        }
        Ok(())
    }
}
