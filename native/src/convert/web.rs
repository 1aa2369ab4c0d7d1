//! A folder that a page fetches: manifest, shards of weights, vocabulary.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clinicalbert_core::bert::Encoding;
use clinicalbert_core::tokenizer::Case;
use clinicalbert_core::weights::web::{self, Description, MANIFEST, NamedFile, SHARD_BYTES, Source, TokenizerFacts};

use super::write_bytes;
use crate::checksum::sha256;
use crate::model_folder::{self, ModelFolder};

/// Writes it; the manifest last, so that whoever finds one finds everything that it names.
///
/// # Errors
/// A file of the source cannot be read, weights are too large for half precision, or the disk refused.
pub fn write(model: &ModelFolder, folder: &Path, encoding: Encoding) -> Result<()> {
    let ModelFolder { config, loaded, tokenizer, .. } = model;
    model_folder::write_config_and_vocabulary(folder, config, model.heads(), tokenizer)?;
    let description = Description {
        config: config.clone(),
        tokenizer: TokenizerFacts {
            vocabulary: NamedFile::of("vocab.txt", tokenizer.vocab_txt().as_bytes()),
            is_cased: tokenizer.case() == Case::Cased,
            max_length: config.max_position_embeddings,
        },
        source: source(model)?,
    };
    let manifest =
        web::write(&description, &loaded.tensors, encoding, SHARD_BYTES, |name, bytes| write_bytes(&folder.join(name), bytes))?;
    write_bytes(&folder.join(MANIFEST), manifest.to_json()?.as_bytes())
}

fn source(model: &ModelFolder) -> Result<Source> {
    let named = |file: &std::path::PathBuf| -> Result<NamedFile> {
        let cannot = || format!("cannot read {}", file.display());
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::metadata(file).with_context(cannot)?.len();
        Ok(NamedFile { name, bytes, sha256: sha256(file).with_context(cannot)? })
    };
    // The folder's own name; where it lies is nobody else's business.
    let folder = fs::canonicalize(&model.path).unwrap_or_else(|_| model.path.clone());
    Ok(Source {
        name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        files: model.found.files()?.iter().map(named).collect::<Result<_>>()?,
        tool: format!("clinicalbert {}", env!("CARGO_PKG_VERSION")),
    })
}
