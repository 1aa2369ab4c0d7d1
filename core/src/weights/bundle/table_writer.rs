//! Writes the table of a `.index` file, byte for byte as TensorFlow does.

use super::table::{FOOTER, MAGIC};
use crate::{checksum::masked_crc32c, protobuf::varint};

/// The original starts a new block when one has reached this many bytes (`tensorflow/core/lib/io/table_options.h`).
pub(super) const BLOCK_SIZE: usize = 262_144;

/// The table of entries that are sorted by key.
pub(super) fn write(entries: &[(Vec<u8>, Vec<u8>)], block_size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut index = Block::new(1);
    let mut block = Block::new(16);
    let mut entries = entries.iter().peekable();
    while let Some((key, value)) = entries.next() {
        block.add(key, value);
        let separator = match entries.peek() {
            Some(_) if block.size() < block_size => continue,
            Some((next, _)) => shortest_separator(key, next),
            None => short_successor(key),
        };
        let handle = append(&mut bytes, std::mem::replace(&mut block, Block::new(16)));
        index.add(&separator, &handle);
    }
    let mut footer = append(&mut bytes, Block::new(1));
    footer.extend(append(&mut bytes, index));
    footer.resize(FOOTER - MAGIC.len(), 0);
    bytes.extend(footer);
    bytes.extend(MAGIC);
    bytes
}

/// Appends a block with its type (0, not compressed) and checksum; returns its handle.
fn append(bytes: &mut Vec<u8>, block: Block) -> Vec<u8> {
    let mut contents = block.finish();
    let mut handle = Vec::new();
    varint(&mut handle, bytes.len() as u64);
    varint(&mut handle, contents.len() as u64);
    contents.push(0);
    bytes.extend_from_slice(&contents);
    bytes.extend(masked_crc32c(&contents).to_le_bytes());
    handle
}

/// Entries whose keys share prefixes; every `interval`th key is whole.
struct Block {
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    interval: usize,
    count: usize,
    last: Vec<u8>,
}

impl Block {
    fn new(interval: usize) -> Self {
        Self { bytes: vec![], restarts: vec![0], interval, count: 0, last: vec![] }
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        let mut shared = common_prefix(&self.last, key);
        if self.count > 0 && self.count.is_multiple_of(self.interval) {
            self.restarts.push(self.bytes.len() as u32);
            shared = 0;
        }
        for number in [shared, key.len() - shared, value.len()] {
            varint(&mut self.bytes, number as u64);
        }
        self.bytes.extend(key.iter().skip(shared));
        self.bytes.extend_from_slice(value);
        self.last = key.to_vec();
        self.count += 1;
    }

    fn size(&self) -> usize {
        self.bytes.len() + 4 * self.restarts.len() + 4
    }

    fn finish(mut self) -> Vec<u8> {
        for restart in &self.restarts {
            self.bytes.extend(restart.to_le_bytes());
        }
        self.bytes.extend((self.restarts.len() as u32).to_le_bytes());
        self.bytes
    }
}

fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// A short key that is at least `key` and below `next` (LevelDB's `FindShortestSeparator`).
fn shortest_separator(key: &[u8], next: &[u8]) -> Vec<u8> {
    let shared = common_prefix(key, next);
    match (key.get(shared), next.get(shared)) {
        (Some(byte), Some(limit)) if *byte < u8::MAX && byte + 1 < *limit => raised(key, shared),
        _ => key.to_vec(),
    }
}

/// A short key that is at least `key` (LevelDB's `FindShortSuccessor`).
fn short_successor(key: &[u8]) -> Vec<u8> {
    key.iter().position(|byte| *byte < u8::MAX).map_or_else(|| key.to_vec(), |position| raised(key, position))
}

/// `key` up to `position`, whose byte is one more.
fn raised(key: &[u8], position: usize) -> Vec<u8> {
    let mut raised: Vec<u8> = key.iter().take(position + 1).copied().collect();
    if let Some(last) = raised.last_mut() {
        *last += 1;
    }
    raised
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::table, *};

    type Entries = Vec<(Vec<u8>, Vec<u8>)>;

    fn read(bytes: &[u8]) -> crate::Result<Entries> {
        let mut entries = Vec::new();
        table::read(bytes, |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        Ok(entries)
    }

    fn sample(count: usize) -> Entries {
        (0..count).map(|number| (format!("bert/layer_{number:03}/kernel").into_bytes(), vec![number as u8; number % 7])).collect()
    }

    /// Replaces the only data block, in a file of one block, by its compression.
    fn compressed(entries: &Entries) -> Vec<u8> {
        let mut block = Block::new(16);
        entries.iter().for_each(|(key, value)| block.add(key, value));
        let mut bytes = snap::raw::Encoder::new().compress_vec(&block.finish()).unwrap();
        let mut handle = vec![0];
        varint(&mut handle, bytes.len() as u64);
        bytes.push(1);
        bytes.extend(masked_crc32c(&bytes).to_le_bytes());
        let mut index = Block::new(1);
        index.add(b"c", &handle);
        let mut footer = append(&mut bytes, Block::new(1));
        footer.extend(append(&mut bytes, index));
        footer.resize(FOOTER - 8, 0);
        bytes.extend(footer);
        bytes.extend(MAGIC);
        bytes
    }

    #[test]
    fn tables_of_one_and_of_many_blocks_are_read_back() {
        for block_size in [1, 100, BLOCK_SIZE] {
            for count in [0, 1, 16, 17, 100] {
                assert_eq!(read(&write(&sample(count), block_size)).unwrap(), sample(count), "{count} in blocks of {block_size}");
            }
        }
    }

    #[test]
    fn compressed_blocks_are_read() {
        assert_eq!(read(&compressed(&sample(40))).unwrap(), sample(40));
    }

    #[test]
    fn separators_are_short_and_in_between() {
        assert_eq!(shortest_separator(b"abcdef", b"abzz"), b"abd");
        assert_eq!(shortest_separator(b"abc", b"abd"), b"abc");
        assert_eq!(shortest_separator(b"ab", b"abc"), b"ab");
        assert_eq!(short_successor(b"global_step"), b"h");
        assert_eq!(short_successor(b"\xff\xffa"), b"\xff\xffb");
        assert_eq!(short_successor(b"\xff"), b"\xff");
    }

    #[test]
    fn cut_and_flipped_tables_are_errors_or_unchanged() {
        for bytes in [write(&sample(20), 100), compressed(&sample(20))] {
            for length in 0..bytes.len() {
                assert!(read(&bytes[..length]).is_err(), "cut to {length}");
            }
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                if let Ok(entries) = read(&damaged) {
                    assert_eq!(entries, sample(20), "bit {bit}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_before_a_footer_are_a_result(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            bytes.extend(MAGIC);
            let _ = read(&bytes);
        }

        #[test]
        fn any_block_with_a_right_checksum_is_a_result(contents in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut index = Block::new(1);
            let mut bytes = Vec::new();
            let handle = append(&mut bytes, Block { bytes: contents, restarts: vec![], interval: 1, count: 0, last: vec![] });
            index.add(b"z", &handle);
            let mut footer = append(&mut bytes, Block::new(1));
            footer.extend(append(&mut bytes, index));
            footer.resize(FOOTER - 8, 0);
            bytes.extend(footer);
            bytes.extend(MAGIC);
            let _ = read(&bytes);
        }
    }
}
