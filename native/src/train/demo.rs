//! The demonstration.

use std::path::Path;

use anyhow::Result;

use super::settings::Settings;
use crate::cli::Common;
use crate::commands::Answer;

/// Settings.
pub const SETTINGS: &str = "";

/// Runs.
pub fn run(_out: Option<&Path>, _settings: Settings, _common: &Common) -> Result<Answer> {
    anyhow::bail!("not built yet")
}
