//! Where things lie.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The folder of the workspace's `Cargo.toml`.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Cargo's target folder: this program lies in `<target>/<profile>/`, wherever the user has put that.
pub fn target() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("this program's own path")?;
    let target = program.ancestors().nth(2).context("this program does not lie in a target folder")?;
    Ok(target.to_owned())
}
