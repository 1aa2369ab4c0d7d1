//! `native fill-mask`.

use anyhow::bail;
use clap::Args;

use super::Answer;
use crate::cli::Common;

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {}

/// Runs the command.
pub fn run(_arguments: &Arguments, _common: &Common) -> anyhow::Result<Answer> {
    bail!("not built yet")
}
