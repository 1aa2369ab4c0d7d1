//! `README.md` of a converted model: that of the model it came from, and what it was made of.

use std::fs;

use anyhow::{Context, Result};
use clinicalbert_core::bert::Encoding;

use super::{Conversion, heads_in_words};
use crate::checksum::sha256;
use crate::model_folder::{ModelFolder, case_name};

/// The source's own card with a section on the conversion, or a new card.
///
/// # Errors
/// A file of the source cannot be read.
pub fn card(conversion: &Conversion<'_>) -> Result<String> {
    let ModelFolder { path, config, found, loaded, tokenizer } = conversion.model;
    let begin = fs::read_to_string(path.join("README.md")).unwrap_or_else(|_| {
        let task = if loaded.tensors.contains_key("cls.predictions.bias") { "fill-mask" } else { "feature-extraction" };
        format!("---\nlibrary_name: transformers\npipeline_tag: {task}\ntags: [bert]\n---\n\n# BERT, converted by clinicalbert\n")
    });
    let mut files = String::new();
    for file in found.files()? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let checksum = sha256(&file).with_context(|| format!("cannot read {}", file.display()))?;
        files.push_str(&format!("| `{name}` | {} | `{checksum}` |\n", fs::metadata(&file)?.len()));
    }
    let optimizer = match &conversion.slots {
        Some(slots) => format!("\n- With the optimizer's state after {} updates", slots.step),
        None => String::new(),
    };
    let values = match conversion.encoding {
        Encoding::F32 => "values unchanged",
        Encoding::F16 => "matrices rounded to half precision",
        Encoding::Int8 => "matrices rounded to a signed byte a value and a scale a row",
    };
    Ok(format!(
        "{}\n\n## Conversion\n\n- By clinicalbert {} from the {} below; {values}\n- {}, {} activation, {} vocabulary of {} entries{optimizer}\n
| file | bytes | SHA-256 |\n|---|--:|---|\n{files}",
        begin.trim_end(),
        env!("CARGO_PKG_VERSION"),
        found.format.name(),
        heads_in_words(config, &loaded.tensors),
        serde_json::to_string(&config.hidden_act)?.replace('"', "`"),
        case_name(tokenizer.case()),
        tokenizer.vocab_size(),
    ))
}
