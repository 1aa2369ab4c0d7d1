//! Which format bytes are in, for files whose names do not tell.

use super::bundle;
use crate::{Error, Result};

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `model.safetensors`: [`super::Safetensors::open`].
    Safetensors,
    /// `model.safetensors.index.json` of a model in shards: [`super::ShardIndex`].
    SafetensorsIndex,
    /// `pytorch_model.bin`, zip or older: [`super::PyTorch`].
    PyTorch,
    /// `PREFIX.index` of a TensorFlow checkpoint: [`super::BundleIndex`]. Version 1 checkpoints look like one and are refused there.
    TensorFlow,
    /// `manifest.json` of weights for the web: [`super::web`].
    Web,
}

impl Format {
    /// The format by first and last bytes; whatever has no mark of another is safetensors, whose reader then says what is wrong.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.ends_with(&bundle::TABLE_MAGIC) {
            Self::TensorFlow
        } else if bytes.starts_with(b"PK") || bytes.first() == Some(&PICKLE_PROTOCOL) {
            Self::PyTorch
        } else if bytes.first() == Some(&b'{') && bytes.get(8) != Some(&b'{') {
            // The header of safetensors begins at byte 8; before it comes its length.
            Self::SafetensorsIndex
        } else {
            Self::Safetensors
        }
    }

    /// Its name for a reader.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::SafetensorsIndex => "safetensors in shards",
            Self::PyTorch => "PyTorch",
            Self::TensorFlow => "TensorFlow checkpoint",
            Self::Web => "weights for the web",
        }
    }
}

/// First byte of every pickle since protocol 2.
const PICKLE_PROTOCOL: u8 = 0x80;

/// Beginnings of files that are often found in place of weights, and what to do about each.
const SOMETHING_ELSE: [(&[u8], &str); 7] = [
    (
        b"version https://git-lfs",
        "the file is a Git LFS pointer, not the weights themselves; run `git lfs pull` in the folder it came from",
    ),
    (b"<!doctype", "the file is a web page, not weights; download it again from the page's \"raw\" or \"resolve\" address"),
    (b"<html", "the file is a web page, not weights; download it again from the page's \"raw\" or \"resolve\" address"),
    (b"<?xml", "the file is an XML message, not weights; download it again"),
    (
        b"\x89hdf\r\n",
        "the file is Keras HDF5 (tf_model.h5), which is not read; take model.safetensors, pytorch_model.bin or the TensorFlow \
         checkpoint of the same model",
    ),
    (b"\x1f\x8b\x08", "the file is a gzip archive; unpack it and name the folder"),
    (b"7z\xbc\xaf", "the file is a 7-Zip archive; unpack it and name the folder"),
];

/// Says what bytes are that are often found in place of a weights file.
pub(super) fn check_not_something_else(bytes: &[u8]) -> Result<()> {
    if bytes.is_empty() {
        return Err(Error::Weights("the file is empty".into()));
    }
    let begins = |beginning: &[u8]| bytes.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning));
    match SOMETHING_ELSE.iter().find(|(beginning, _)| begins(beginning)) {
        Some((_, found)) => Err(Error::Weights((*found).into())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_marks() {
        assert_eq!(Format::of(b"PK\x03\x04"), Format::PyTorch);
        assert_eq!(Format::of(b"\x80\x02\x8a\x0a"), Format::PyTorch);
        assert_eq!(Format::of(b"{\"weight_map\":{}}"), Format::SafetensorsIndex);
        assert_eq!(Format::of(b"\x7b\0\0\0\0\0\0\0{\"a\":"), Format::Safetensors);
        assert_eq!(Format::of(&[b"rest".as_slice(), &bundle::TABLE_MAGIC].concat()), Format::TensorFlow);
        assert_eq!(Format::of(b""), Format::Safetensors);
    }

    #[test]
    fn files_that_are_not_weights_are_named_for_what_they_are() {
        let told = |bytes: &[u8]| check_not_something_else(bytes).unwrap_err().to_string();
        assert!(told(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n").contains("git lfs pull"));
        assert!(told(b"<!DOCTYPE html><html>").contains("web page") && told(b"<!doctype html>").contains("web page"));
        assert!(told(b"\x89HDF\r\n\x1a\n").contains("tf_model.h5"));
        assert!(told(b"\x1f\x8b\x08\0").contains("unpack"));
        assert!(told(b"").contains("empty"));
        assert!(check_not_something_else(b"\x10\0\0\0").is_ok());
    }
}
