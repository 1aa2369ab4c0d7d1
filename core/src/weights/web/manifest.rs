//! `manifest.json`: what the weights are, in which order and encoding they come, and the checksum of every file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{MANIFEST, SHARD_BYTES, sha256};
use crate::{
    Error, FileFault, Result,
    bert::{Config, Encoding, Heads, Parameter, Weights, fused_shape},
    weights::{elements, tensor_error},
};

/// Name of the format, which no other program's `manifest.json` has.
const FORMAT: &str = "clinicalbert-web";

/// Version of the format. What an older program would misread gets the next number.
const VERSION: u32 = 1;

/// Longest manifest that is parsed, in bytes; that of BERT-large has 60 kB.
const MAX_MANIFEST: usize = 2 << 20;

/// What a page has to know before the first byte of weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    format: String,
    version: u32,
    /// Shape of the model.
    pub config: Config,
    /// Which heads it has.
    pub heads: Heads,
    /// What matrices are stored in.
    pub encoding: Encoding,
    /// Vocabulary and how text becomes its entries.
    pub tokenizer: TokenizerFacts,
    /// The tensors of the stream, in the order in which the graph asks for them.
    pub tensors: Vec<StoredTensor>,
    /// The files that hold the stream, in its order.
    pub shards: Vec<NamedFile>,
    /// Bytes of all shards.
    pub bytes: u64,
    /// Where the weights came from.
    pub source: Source,
}

/// What makes a tokenizer of `vocab.txt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerFacts {
    /// `vocab.txt`.
    pub vocabulary: NamedFile,
    /// Whether letters keep their case.
    pub is_cased: bool,
    /// Most tokens of a text, `[CLS]` and `[SEP]` included.
    pub max_length: usize,
}

/// A tensor of the graph: a parameter, or query, key and value one below the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTensor {
    /// Hugging Face's names of its parameters.
    pub names: Vec<String>,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// How its rows are stored.
    pub encoding: Encoding,
}

/// A file that belongs to the weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFile {
    /// Its name, beside the manifest.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// Where weights came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// What the model was called.
    pub name: String,
    /// The files that its weights were in.
    pub files: Vec<NamedFile>,
    /// Name and version of the program that converted them.
    pub tool: String,
}

impl Manifest {
    pub(super) fn new(
        config: Config,
        heads: Heads,
        encoding: Encoding,
        tensors: Vec<StoredTensor>,
        shards: Vec<NamedFile>,
        tokenizer: TokenizerFacts,
        source: Source,
    ) -> Self {
        let bytes = shards.iter().map(|shard| shard.bytes).sum();
        Self { format: FORMAT.into(), version: VERSION, config, heads, encoding, tokenizer, tensors, shards, bytes, source }
    }

    /// From the bytes of `manifest.json`; everything in it fits together.
    ///
    /// # Errors
    /// [`Error::ManifestVersion`] for another version of the format, [`Error::Config`] for an impossible model, [`Error::Tensor`] for a
    /// tensor that is not the one that the graph asks for at its place, [`Error::Weights`] if it is no such manifest or its numbers disagree.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: Option<String>,
            version: Option<u64>,
        }
        let error = |error: serde_json::Error| wrong(format!("not readable ({error})"));
        if json.len() > MAX_MANIFEST {
            return Err(wrong(format!("at most {MAX_MANIFEST} bytes are accepted, found {}", json.len())));
        }
        // Before the rest, which may look otherwise in another version.
        let head: Head = serde_json::from_slice(json).map_err(error)?;
        if head.format.as_deref() != Some(FORMAT) {
            return Err(wrong(format!("expected the format {FORMAT}; take the one that `native convert --to web` wrote")));
        }
        if head.version != Some(VERSION.into()) {
            return Err(Error::ManifestVersion { found: head.version.unwrap_or(0), expected: VERSION });
        }
        let manifest: Self = serde_json::from_slice(json).map_err(error)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Its text.
    ///
    /// # Errors
    /// [`Error::Weights`] if a number cannot be written.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| wrong(error.to_string()))?;
        Ok(text + "\n")
    }

    /// The parameters of every tensor of the stream.
    pub(super) fn groups(&self) -> Result<Vec<Vec<Parameter>>> {
        groups(&self.config, self.heads)
    }

    fn validate(&self) -> Result<()> {
        self.config.validate()?;
        // Keeps a damaged configuration from asking for millions of parameters.
        if self.config.num_hidden_layers > self.tensors.len() {
            let (layers, tensors) = (self.config.num_hidden_layers, self.tensors.len());
            return Err(wrong(format!("{layers} layers cannot be made of {tensors} tensors")));
        }
        let groups = self.groups()?;
        if groups.len() != self.tensors.len() {
            let (wanted, found) = (groups.len(), self.tensors.len());
            return Err(wrong(format!("expected {wanted} tensors for these layers and heads, found {found}")));
        }
        let mut stream = 0_u64;
        for (group, tensor) in groups.iter().zip(&self.tensors) {
            tensor.check(group)?;
            stream = stream.saturating_add(tensor.bytes());
        }
        let mut names = BTreeSet::new();
        let mut shards = 0_u64;
        for file in self.shards.iter().chain([&self.tokenizer.vocabulary]) {
            if !file.is_plain() || !names.insert(&file.name) {
                return Err(wrong(format!("expected plain file names, each once, and SHA-256 sums, found {:?}", file.name)));
            }
        }
        for shard in &self.shards {
            if shard.bytes == 0 || shard.bytes > SHARD_BYTES as u64 {
                let (name, found) = (&shard.name, shard.bytes);
                return Err(wrong(format!("a shard has 1 to {SHARD_BYTES} bytes; {name} has {found}")));
            }
            shards = shards.saturating_add(shard.bytes);
        }
        if stream != shards || stream != self.bytes {
            let sums = format!("the tensors have {stream} bytes, the shards {shards}, and it says {}", self.bytes);
            return Err(wrong(sums));
        }
        Ok(())
    }
}

/// The parameters of every tensor that the graph asks for, in its order.
pub(super) fn groups(config: &Config, heads: Heads) -> Result<Vec<Vec<Parameter>>> {
    let mut groups = Vec::new();
    Weights::build(config, heads, |group| {
        groups.push(group.to_vec());
        Ok(())
    })?;
    Ok(groups)
}

impl StoredTensor {
    pub(super) fn new(group: &[Parameter], matrices: Encoding) -> Self {
        let names = group.iter().map(|parameter| parameter.name.clone()).collect();
        Self { names, shape: fused_shape(group), encoding: matrices.of(group) }
    }

    /// Bytes that are laid down together: a row of a matrix, a value of a vector.
    pub(super) fn unit(&self) -> usize {
        self.encoding.row_bytes(if self.shape.len() > 1 { self.width() } else { 1 })
    }

    /// Number of such units.
    pub(super) fn units(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Values of a row.
    pub(super) fn width(&self) -> usize {
        self.shape.get(1).copied().unwrap_or(1)
    }

    /// Bytes in the stream; as many as can be if it is more.
    pub(super) fn bytes(&self) -> u64 {
        (self.units() as u64).saturating_mul(self.unit() as u64)
    }

    fn check(&self, group: &[Parameter]) -> Result<()> {
        let wanted = Self::new(group, self.encoding);
        let name = self.names.join("+");
        if self.names != wanted.names {
            return Err(tensor_error(&name, format!("expected {} at its place in the stream", wanted.names.join("+"))));
        }
        if self.shape != wanted.shape || elements(&self.shape).is_none() {
            let found = crate::weights::show(&self.shape);
            return Err(tensor_error(&name, format!("expected shape {:?} by the configuration, found {found}", wanted.shape)));
        }
        if self.encoding != wanted.encoding {
            return Err(tensor_error(&name, "is no matrix: its encoding must be f32"));
        }
        Ok(())
    }
}

impl NamedFile {
    /// Describes a file by its bytes.
    pub fn of(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.into(), bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }

    /// Checks that bytes are this file's.
    ///
    /// # Errors
    /// [`Error::File`] for another size or another SHA-256.
    pub fn check(&self, bytes: &[u8]) -> Result<()> {
        self.check_size(bytes.len() as u64)?;
        self.check_hash(sha256(bytes))
    }

    pub(super) fn check_size(&self, found: u64) -> Result<()> {
        if found == self.bytes { Ok(()) } else { Err(self.fault(FileFault::Size { expected: self.bytes, found })) }
    }

    pub(super) fn check_hash(&self, found: String) -> Result<()> {
        if found == self.sha256 {
            return Ok(());
        }
        Err(self.fault(FileFault::Hash { expected: self.sha256.clone(), found }))
    }

    pub(super) fn fault(&self, fault: FileFault) -> Error {
        Error::File { name: self.name.clone(), fault }
    }

    /// Whether it lies beside the manifest and nowhere else.
    fn is_plain(&self) -> bool {
        let is_sum = self.sha256.len() == 64 && self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        let outside = self.name.contains(['/', '\\', ':', '?', '#', '%']) || self.name.starts_with('.');
        is_sum && !outside && !self.name.is_empty() && self.name.len() < 256 && self.name != MANIFEST
    }
}

fn wrong(reason: String) -> Error {
    Error::Weights(format!("{MANIFEST}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, written};
    use super::*;

    /// What `edit` makes of a good manifest is refused with this error.
    fn refused(edit: impl FnOnce(&mut serde_json::Value)) -> Error {
        let (manifest, _) = written(Encoding::Int8, 1 << 20);
        let mut json = serde_json::to_value(&manifest).unwrap();
        edit(&mut json);
        Manifest::from_json(json.to_string().as_bytes()).unwrap_err()
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let (manifest, _) = written(Encoding::F16, 100);
        assert_eq!(Manifest::from_json(manifest.to_json().unwrap().as_bytes()).unwrap(), manifest);
        assert_eq!(manifest.config, config());
        let fused = &manifest.tensors[5];
        assert_eq!((fused.names.len(), fused.shape.as_slice(), fused.encoding), (3, &[12, 4][..], Encoding::F16));
        assert_eq!(manifest.tensors[6].encoding, Encoding::F32);
    }

    #[test]
    fn another_version_is_told_apart_from_what_is_no_manifest() {
        assert!(matches!(refused(|json| json["version"] = 2.into()), Error::ManifestVersion { found: 2, expected: 1 }));
        let newer = br#"{"format": "clinicalbert-web", "version": 7, "tensors": "elsewhere"}"#;
        assert!(matches!(Manifest::from_json(newer), Err(Error::ManifestVersion { found: 7, .. })));
        for other in [&b"{}"[..], b"[]", b"{\"format\":\"pwa\",\"version\":1}", b"<html>", b""] {
            assert!(matches!(Manifest::from_json(other), Err(Error::Weights(_))));
        }
    }

    #[test]
    fn tensors_that_the_graph_does_not_ask_for_are_named() {
        let told = |error: Error| match error {
            Error::Tensor { name, reason } => format!("{name}: {reason}"),
            other => panic!("{other}"),
        };
        assert!(told(refused(|json| json["tensors"][0]["shape"][0] = 8.into())).contains("expected shape [9, 4]"));
        assert!(told(refused(|json| json["tensors"][3]["encoding"] = "int8".into())).contains("must be f32"));
        let swapped = told(refused(|json| json["tensors"].as_array_mut().unwrap().swap(0, 1)));
        assert!(swapped.starts_with("bert.embeddings.position_embeddings.weight: expected bert.embeddings.word"), "{swapped}");
    }

    #[test]
    fn numbers_that_disagree_are_refused() {
        for (path, value) in [
            ("/shards/0/bytes", 1),
            ("/shards/0/bytes", 0),
            ("/shards/0/bytes", 1 << 30),
            ("/bytes", 5),
            ("/config/num_hidden_layers", 1 << 20),
        ] {
            let error = refused(|json| *json.pointer_mut(path).unwrap() = value.into());
            assert!(matches!(error, Error::Weights(_)), "{path}: {error}");
        }
        for name in ["../vocab.txt", "a/b", "", "manifest.json", "a?b", "vocab.txt"] {
            let error = refused(|json| json["shards"][0]["name"] = name.into());
            assert!(error.to_string().contains("plain file names"), "{name}: {error}");
        }
        assert!(matches!(refused(|json| json["config"]["hidden_size"] = 5.into()), Error::Config(_)));
    }
}
