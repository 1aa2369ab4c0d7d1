//! Prepared examples on disk as one long list with random access, over all files of a folder.
//!
//! A global shuffle needs any example at any time: the offset index says where it lies, a positional read fetches it and its
//! checksums are verified. Files are read rather than mapped: a file that shrinks under a map kills the process.

pub mod index;
mod masking;
mod mixture;
mod shuffle;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clinicalbert_core::examples::{
    Example,
    dynamic::{DynamicMasking, MaskKey},
    tf_example::{self, Shape},
    tfrecord::Records,
};
use sha2::{Digest, Sha256};

use crate::checksum::hexadecimal;
use crate::read_at::read_at;
use index::Offsets;
pub use mixture::{Mixture, Place};
pub use shuffle::Order;

/// Records that go into the fingerprint of a file, beside its index.
const SAMPLED: u64 = 64;

/// An open folder of examples, or a single file.
#[derive(Debug)]
pub struct Dataset {
    path: PathBuf,
    shards: Vec<Shard>,
    examples: u64,
    shape: Shape,
    /// Draws the masks, if the examples were stored without.
    masking: Option<DynamicMasking>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    file: File,
    offsets: Offsets,
    /// Number of its first example in the whole.
    first: u64,
}

impl Dataset {
    /// Opens a prepared folder (`examples-*.tfrecord`, else every `*.tfrecord`) or one TFRecord file, also of Google's making.
    ///
    /// # Errors
    /// No such files, none with an example, an index that does not belong to its file, examples of different shapes, or examples without
    /// masks in a folder that does not say how to draw them.
    pub fn open(path: &Path) -> Result<Self> {
        let mut shards = Vec::new();
        let mut examples = 0;
        for path in files(path)? {
            let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
            let size = file.metadata()?.len();
            let offsets = Offsets::open(&path, size)?;
            let first = examples;
            examples += offsets.len();
            shards.push(Shard { path, file, offsets, first });
        }
        ensure!(examples > 0, "{} holds no example; prepare it again: native prepare --notes … --out DIR", path.display());
        let mut dataset = Self {
            path: path.to_owned(),
            shards,
            examples,
            shape: Shape { max_seq_length: 0, max_predictions_per_seq: 0 },
            masking: masking::of_folder(path)?,
        };
        let mut shape = None;
        for shard in dataset.shards.iter().filter(|shard| shard.offsets.len() > 0) {
            let mut example = Example::default();
            let found = dataset.read(shard.first, &mut example)?;
            ensure!(
                dataset.masking.is_some() || !example.masked_positions.is_empty() || found.max_predictions_per_seq == 0,
                "{} has examples without masks, as `native prepare --masking dynamic` stores them: give the whole prepared folder, whose \
                 summary.json and vocab.txt say how masks are drawn",
                shard.path.display()
            );
            let Shape { max_seq_length, max_predictions_per_seq } = *shape.get_or_insert(found);
            ensure!(
                shape == Some(found),
                "{} has {} tokens and {} predictions an example, other files of {} have {max_seq_length} and {max_predictions_per_seq}; \
                 keep preparations in folders of their own",
                shard.path.display(),
                found.max_seq_length,
                found.max_predictions_per_seq,
                path.display()
            );
        }
        dataset.shape = shape.unwrap_or(dataset.shape);
        Ok(dataset)
    }

    /// The folder or file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of examples; at least one.
    pub const fn len(&self) -> u64 {
        self.examples
    }

    /// Files and their numbers of examples.
    pub fn files(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.shards.iter().map(|shard| (shard.path.as_path(), shard.offsets.len()))
    }

    /// Tokens and masked slots that every example is padded to.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Reads example `number` of `0..len()` with the masks that it has in an epoch of a run; stored masks are the same in all.
    ///
    /// # Errors
    /// As [`Dataset::read`].
    pub fn read_masked(&self, number: u64, seed: u64, epoch: u64, example: &mut Example) -> Result<()> {
        self.read(number, example)?;
        if let Some(masking) = &self.masking {
            masking.mask(example, MaskKey { seed, epoch, example: number });
        }
        Ok(())
    }

    /// Reads example `number` of `0..len()` as stored and tells the lengths that it is padded to.
    ///
    /// # Errors
    /// No such example, or a damaged record: its file, number and byte.
    pub fn read(&self, number: u64, example: &mut Example) -> Result<Shape> {
        let shard = self.shard(number)?;
        let record = number - shard.first;
        let bytes = shard.bytes(record)?;
        let place = || format!("{}: record {record}", shard.path.display());
        let payload = Records::new(&bytes).next().context("empty record").and_then(|record| Ok(record?)).with_context(place)?;
        tf_example::decode(payload, example).with_context(place)
    }

    /// Name of the file that holds example `number`, and the number of its record there.
    ///
    /// # Errors
    /// No such example.
    pub fn locate(&self, number: u64) -> Result<(String, u64)> {
        let shard = self.shard(number)?;
        Ok((shard.path.file_name().unwrap_or_default().to_string_lossy().into_owned(), number - shard.first))
    }

    fn shard(&self, number: u64) -> Result<&Shard> {
        let after = self.shards.partition_point(|shard| shard.first <= number);
        let shard = after.checked_sub(1).and_then(|at| self.shards.get(at));
        shard
            .filter(|_| number < self.examples)
            .with_context(|| format!("expected an example below {}, found {number}", self.examples))
    }

    /// SHA-256, in hexadecimal, over the index of every file and a sample of its records: it tells two preparations apart without
    /// reading either whole.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for shard in &self.shards {
            let records = shard.offsets.len();
            hash.update(records.to_le_bytes());
            shard.offsets.bytes(|bytes| hash.update(bytes))?;
            for sample in 0..SAMPLED.min(records) {
                hash.update(shard.bytes(sample * records / SAMPLED.min(records))?);
            }
        }
        if let Some(masking) = &self.masking {
            hash.update(serde_json::to_vec(masking.settings())?);
        }
        Ok(hexadecimal(hash))
    }
}

impl Shard {
    fn bytes(&self, record: u64) -> Result<Vec<u8>> {
        let (start, end) = self.offsets.range(record)?;
        let length = usize::try_from(end - start)?;
        // A damaged index must not ask for more memory than there is file.
        ensure!(end <= self.file.metadata()?.len(), "{} was cut: it ends before byte {end}", self.path.display());
        let mut bytes = vec![0; length];
        read_at(&self.file, &mut bytes, start).with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(bytes)
    }
}

/// The data files of a folder by name, or the file itself.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let kind = fs::metadata(path)
        .with_context(|| format!("no examples at {}: prepare them with native prepare --notes … --out DIR", path.display()))?;
    if kind.is_file() {
        ensure!(
            path.extension().is_none_or(|extension| extension != "gz"),
            "{} is compressed, examples are read at random: unpack it first (gunzip)",
            path.display()
        );
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tfrecord" || extension == "tf_record") {
            found.push(path);
        }
    }
    found.sort();
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("examples-"));
    if found.iter().any(ours) {
        found.retain(ours);
        check_complete(&found)?;
    }
    if found.is_empty() {
        bail!(
            "{} holds no *.tfrecord file: prepare notes with native prepare --notes … --out DIR, and give that DIR",
            path.display()
        );
    }
    Ok(found)
}

/// `examples-SSSSS-of-NNNNN`: checks that all N are there.
fn check_complete(files: &[PathBuf]) -> Result<()> {
    let names = files.iter().filter_map(|path| path.file_stem().and_then(|name| name.to_str()));
    for (name, path) in names.zip(files) {
        let expected = name.rsplit_once("-of-").and_then(|(_, count)| count.parse().ok());
        ensure!(
            expected.is_none_or(|expected: usize| expected == files.len()),
            "{} belongs to a set of {}, but {} files are there; copy the missing ones, or prepare again",
            path.display(),
            expected.unwrap_or(0),
            files.len()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clinicalbert_core::examples::{tf_example::Encoder, tfrecord};

    use super::index::write_index;
    use super::*;

    fn example(id: u32) -> Example {
        Example {
            input_ids: vec![2, id, 3, 7, 3],
            first_segment_length: 3,
            masked_positions: vec![1],
            masked_ids: vec![id],
            is_random_next: id % 2 == 1,
        }
    }

    /// Files with these ids as examples.
    pub fn write(folder: &Path, files: &[&[u32]], slots: usize) {
        let mut encoder = Encoder::new(Shape { max_seq_length: 8, max_predictions_per_seq: slots });
        for (number, ids) in files.iter().enumerate() {
            let (mut bytes, mut offsets) = (Vec::new(), vec![0]);
            for id in *ids {
                tfrecord::append_with(&mut bytes, |bytes| encoder.append(&example(*id), bytes).unwrap());
                offsets.push(bytes.len() as u64);
            }
            let path = folder.join(format!("examples-{number:05}-of-{:05}.tfrecord", files.len()));
            fs::write(&path, bytes).unwrap();
            write_index(&path, &offsets);
        }
    }

    #[test]
    fn examples_are_numbered_through_all_files() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[&[10, 11, 12], &[], &[13], &[14, 15]], 2);
        let dataset = Dataset::open(folder.path()).unwrap();
        assert_eq!((dataset.len(), dataset.shape()), (6, Shape { max_seq_length: 8, max_predictions_per_seq: 2 }));
        let mut read = Example::default();
        for number in [5, 0, 3, 2, 1, 4] {
            dataset.read(number, &mut read).unwrap();
            assert_eq!(read, example(10 + number as u32));
        }
        assert!(dataset.read(6, &mut read).is_err());
        assert_eq!(dataset.locate(4).unwrap(), ("examples-00003-of-00004.tfrecord".to_owned(), 0));
    }

    #[test]
    fn the_fingerprint_tells_preparations_apart() {
        let print = |files: &[&[u32]]| {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), files, 2);
            Dataset::open(folder.path()).unwrap().fingerprint().unwrap()
        };
        assert_eq!(print(&[&[1, 2], &[3]]), print(&[&[1, 2], &[3]]));
        assert_ne!(print(&[&[1, 2], &[3]]), print(&[&[1, 2], &[4]]));
        assert_ne!(print(&[&[1, 2], &[3]]), print(&[&[1], &[2, 3]]));
        assert_eq!(print(&[&[1]]).len(), 64);
    }

    #[test]
    fn folders_that_cannot_be_trained_on_say_why() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| format!("{:#}", Dataset::open(path).unwrap_err());
        assert!(error(&folder.path().join("absent")).contains("native prepare"));
        assert!(error(folder.path()).contains("no *.tfrecord file"));
        write(folder.path(), &[&[1], &[2]], 2);
        fs::remove_file(folder.path().join("examples-00001-of-00002.tfrecord")).unwrap();
        assert!(error(folder.path()).contains("belongs to a set of 2, but 1 files"));
        write(folder.path(), &[&[]], 2);
        fs::remove_file(folder.path().join("examples-00000-of-00002.tfrecord")).unwrap();
        assert!(error(folder.path()).contains("holds no example"));
    }

    #[test]
    fn a_flipped_bit_is_found_when_the_example_is_read() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[&[1, 2]], 2);
        let path = folder.path().join("examples-00000-of-00001.tfrecord");
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 10;
        bytes[last] ^= 4;
        fs::write(&path, bytes).unwrap();
        let dataset = Dataset::open(folder.path()).unwrap();
        let text = format!("{:#}", dataset.read(1, &mut Example::default()).unwrap_err());
        assert!(text.contains("00000-of-00001.tfrecord: record 1"), "{text}");
    }

    #[test]
    fn files_of_different_shapes_are_not_mixed() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[&[1], &[2]], 2);
        let other = tempfile::tempdir().unwrap();
        write(other.path(), &[&[1], &[2]], 3);
        for name in ["examples-00001-of-00002.tfrecord", "examples-00001-of-00002.tfrecord.index"] {
            fs::copy(other.path().join(name), folder.path().join(name)).unwrap();
        }
        assert!(format!("{:#}", Dataset::open(folder.path()).unwrap_err()).contains("keep preparations in folders of their own"));
    }
}
