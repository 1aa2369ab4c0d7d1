//! The files that let `SentenceTransformer("folder")` use a Hugging Face folder: which modules there are, and how vectors are pooled.

use std::fs;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use clinicalbert_core::bert::Config;
use serde_json::{Value, json};

use super::write_bytes;

/// How token vectors become a text's vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pooling {
    /// Mean over tokens, [CLS] and [SEP] included
    Mean,
    /// The vector of [CLS]
    Cls,
}

/// Writes them beside the model's own files.
///
/// # Errors
/// The disk refused.
pub fn write(folder: &Path, config: &Config, pooling: Pooling) -> Result<()> {
    let module =
        |index: usize, path: &str, kind: &str| json!({ "idx": index, "name": index.to_string(), "path": path, "type": kind });
    let modules = json!([
        module(0, "", "sentence_transformers.models.Transformer"),
        module(1, "1_Pooling", "sentence_transformers.models.Pooling"),
    ]);
    // The form of 2019 to 2025, one flag a mode, which every version reads.
    let modes = json!({
        "word_embedding_dimension": config.hidden_size,
        "pooling_mode_cls_token": pooling == Pooling::Cls,
        "pooling_mode_mean_tokens": pooling == Pooling::Mean,
        "pooling_mode_max_tokens": false,
        "pooling_mode_mean_sqrt_len_tokens": false,
    });
    // The tokenizer decides on case: this flag would lower-case the text before it.
    let transformer = json!({ "max_seq_length": config.max_position_embeddings, "do_lower_case": false });
    let general = json!({ "prompts": {}, "default_prompt_name": null, "similarity_fn_name": "cosine" });
    fs::create_dir_all(folder.join("1_Pooling"))?;
    let write = |name: &str, value: &Value| write_bytes(&folder.join(name), format!("{value:#}\n").as_bytes());
    write("modules.json", &modules)?;
    write("1_Pooling/config.json", &modes)?;
    write("sentence_bert_config.json", &transformer)?;
    write("config_sentence_transformers.json", &general)
}
