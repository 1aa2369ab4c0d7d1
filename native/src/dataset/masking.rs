//! Whether a folder's examples get their masks when they are read, and how.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clinicalbert_core::examples::{Masking, Settings, dynamic::DynamicMasking};
use serde::Deserialize;

use crate::vocabulary;

/// What is needed of `summary.json`.
#[derive(Deserialize)]
struct Recorded {
    settings: Settings,
}

/// How to draw masks for the examples of a folder that was prepared with dynamic masking; `None` for any other folder or file.
///
/// # Errors
/// The folder says that masks are to be drawn, but has no vocabulary to draw from.
pub fn of_folder(folder: &Path) -> Result<Option<DynamicMasking>> {
    // Other programs' folders have no summary, or one that is none of ours.
    let summary = fs::read(folder.join("summary.json")).ok();
    let settings = summary.and_then(|bytes| serde_json::from_slice::<Recorded>(&bytes).ok()).map(|recorded| recorded.settings);
    let Some(settings) = settings.filter(|settings| settings.masking == Masking::Dynamic) else { return Ok(None) };
    let tokenizer = vocabulary::load(folder, None)
        .with_context(|| format!("{} was prepared with --masking dynamic, which needs its vocab.txt", folder.display()))?;
    Ok(Some(DynamicMasking::new(settings, tokenizer.vocabulary())))
}
