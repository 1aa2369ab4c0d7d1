//! `native demo`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use clinicalbert_core::weights::web::MANIFEST;
use serde_json::json;
use tempfile::TempDir;

use super::{Answer, convert::WebDtype};
use crate::cli::Common;
use crate::convert::Conversion;
use crate::demo::{Site, listen, serve};
use crate::model_folder::{ModelFolder, folder_of};

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Model to use on the page: a folder that `convert --to web` wrote, or any other, which is converted for the time being
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// What a model that is converted is to be stored in
    #[arg(long, value_enum, default_value_t, requires = "model")]
    dtype: WebDtype,
    /// Port on 127.0.0.1; 0 takes any that is free
    #[arg(long, value_name = "PORT", default_value_t = 8123)]
    port: u16,
    /// Do not open the browser
    #[arg(long)]
    no_open: bool,
    /// Serve this built page instead of the one in the program
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
}

/// Runs the command until Ctrl-C.
///
/// # Errors
/// There is no page, the model cannot be read, or the port is taken.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    let mut site = match &arguments.page {
        Some(page) => Site::from_folder(page)?,
        None => built_in()?,
    };
    // Gone again when this function ends.
    let mut converted = None;
    if let Some(model) = &arguments.model {
        let folder = folder_of(model);
        let folder = match folder.join(MANIFEST).is_file() {
            true => folder,
            false => converted.insert(convert(model, arguments.dtype, common)?).path().join("model"),
        };
        site.add_model(&name_of(model), &folder)?;
    }
    let (server, port) = listen(arguments.port)?;
    let address = format!("http://127.0.0.1:{port}/");
    let mut out = std::io::stdout().lock();
    match common.json {
        true => writeln!(out, "{}", json!({ "address": address }))?,
        false => writeln!(out, "{address}")?,
    }
    out.flush()?;
    if !common.quiet {
        eprintln!("only this machine reaches the page, and no note leaves it; Ctrl-C ends");
    }
    if !arguments.no_open && open::that_detached(&address).is_err() && !common.quiet {
        eprintln!("no browser could be started: open the address yourself");
    }
    serve(&server, port, &site)?;
    Ok(Answer::Yes)
}

#[cfg(feature = "page")]
#[allow(clippy::unnecessary_wraps, reason = "without the feature there is none")]
fn built_in() -> Result<Site> {
    Ok(Site::built_in())
}

#[cfg(not(feature = "page"))]
fn built_in() -> Result<Site> {
    anyhow::bail!(
        "this build has no page in it: give --page www/dist, which cargo xtask web writes, or build with --features page"
    )
}

/// Into a folder for temporary files.
fn convert(model: &Path, dtype: WebDtype, common: &Common) -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("clinicalbert-demo-").tempdir().context("no folder for temporary files")?;
    let model = ModelFolder::read(model)?;
    Conversion::new(&model, false, dtype.encoding())?.write_web(&folder.path().join("model"))?;
    if !common.quiet {
        eprintln!("{}", model.describe());
    }
    Ok(folder)
}

fn name_of(model: &Path) -> String {
    let whole = std::fs::canonicalize(model).unwrap_or_else(|_| model.to_owned());
    whole.file_name().map_or_else(|| "your model".to_owned(), |name| name.to_string_lossy().into_owned())
}
