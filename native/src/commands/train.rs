//! `native train`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use clinicalbert_core::bert::Config;
use serde_json::json;

use super::Answer;
use crate::cli::Common;
use crate::train::{
    self, Outcome, demo,
    flags::Flags,
    preparation::prepare_notes,
    run_folder::{RunFolder, settings_file},
    settings::{Layers, Settings},
};

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder of the run: settings, metrics, checkpoints and, at the end, the model
    #[arg(long, alias = "output-dir", value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in --out from its newest whole checkpoint
    #[arg(long)]
    resume: bool,
    /// Print the settings as merged, with the source of each, and stop
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Runs the command.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    if !arguments.resume && arguments.flags.name_no_input() {
        return demo(arguments, common);
    }
    let mut layers = Layers::new()?;
    if arguments.resume {
        let out = arguments.out.as_ref().context("--resume needs --out, the folder of the run")?;
        // The error about a folder without a run is better than that about a missing file.
        let _ = RunFolder::open(out)?;
        layers.run(&settings_file(out))?;
    }
    arguments.flags.overlay(&mut layers)?;
    let settings = layers.merge()?;
    if arguments.print_config {
        print!("{}", layers.explain());
        return Ok(Answer::Yes);
    }
    let steps = settings.num_train_steps;
    let out = arguments.out.as_ref().context("--out is missing: the folder that the run is to be written to")?;
    let outcome = match arguments.resume {
        true => train::resume(&RunFolder::open(out)?, &settings, common.quiet)?,
        false => train::begin(out, with_data(arguments, settings, out, common)?, common.quiet)?,
    };
    match outcome {
        Outcome::Done { model, evaluations } => {
            if common.json {
                let evaluation = evaluations.map(|(_, last)| last);
                println!("{}", json!({ "steps": steps, "model": model, "evaluation": evaluation }));
            } else {
                println!("model: {}", model.display());
            }
            Ok(Answer::Yes)
        }
        Outcome::Stopped { step } => {
            eprintln!("stopped after step {step} of {steps}; go on with: native train --resume --out {}", out.display());
            Ok(Answer::No)
        }
    }
}

/// Prepares the notes if there are no examples yet.
fn with_data(arguments: &Arguments, mut settings: Settings, out: &Path, common: &Common) -> Result<Settings> {
    let notes = &arguments.flags.notes;
    if settings.data.is_empty() && !notes.notes.is_empty() {
        let size = settings.model.get("vocab_size").and_then(toml::Value::as_integer).and_then(|size| size.try_into().ok());
        let size = size.unwrap_or_else(|| Config::default().vocab_size);
        settings.data = vec![prepare_notes(notes, &settings, size, out, common)?.into()];
    }
    Ok(settings)
}

fn demo(arguments: &Arguments, common: &Common) -> Result<Answer> {
    let mut layers = Layers::new()?;
    layers.demo(demo::SETTINGS)?;
    arguments.flags.overlay(&mut layers)?;
    let settings = layers.merge()?;
    if arguments.print_config {
        print!("{}", layers.explain());
        return Ok(Answer::Yes);
    }
    demo::run(arguments.out.as_deref(), settings, common)
}
