//! Reading files that are small when they are what they should be.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Largest such file: the tokenizer of the largest published BERT, with half a million entries, has 10 MB.
const MAX_BYTES: u64 = 32 << 20;

/// Reads a configuration or a vocabulary.
///
/// # Errors
/// It cannot be read, or is larger than any is.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        bytes.len() as u64 <= MAX_BYTES,
        "{} is larger than {MAX_BYTES} bytes, as no configuration or vocabulary is: check the name",
        path.display()
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_up_to_the_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vocab.txt");
        File::create(&path).unwrap().set_len(MAX_BYTES).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MAX_BYTES);
        File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("vocab.txt is larger than"));
        assert!(read(&folder.path().join("absent")).unwrap_err().to_string().contains("cannot read"));
    }
}
