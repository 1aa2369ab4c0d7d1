//! `native fill-mask`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use clinicalbert_core::bert::{Config, Cpu, Encoding, Load, Model, Part};
use clinicalbert_core::tasks::masked_text::Masked;
use pollster::block_on;
use serde_json::Value;

use super::Answer;
use crate::cli::Common;
#[cfg(feature = "wgpu")]
use crate::inference::device::open_wgpu;
use crate::inference::device::{Choice, DeviceFlags, open_cuda};
use crate::inference::texts::TextsInput;
use crate::model_folder::ModelFolder;

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Model: a folder, any file of it, or the prefix of a TensorFlow checkpoint
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    texts: TextsInput,
    /// Tokens to show for a mask
    #[arg(long, value_name = "N", default_value_t = 5)]
    top_k: usize,
    /// Fill several masks together, from left to right, each given those before it
    #[arg(long)]
    jointly: bool,
    #[command(flatten)]
    device: DeviceFlags,
}

/// Runs the command.
///
/// # Errors
/// A model without an MLM head, or a text without `[MASK]` or too long.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    match arguments.device.choose(common.quiet)? {
        Choice::Cpu(encoding) => run_on(arguments, common, encoding, |_| Ok(Cpu::default())),
        Choice::Cuda(real) => run_on(arguments, common, Encoding::F32, |config| open_cuda(config, real)),
        #[cfg(feature = "wgpu")]
        Choice::Wgpu(encoding) => run_on(arguments, common, encoding, |_| open_wgpu(encoding)),
    }
}

fn run_on<B: Load>(
    arguments: &Arguments,
    common: &Common,
    encoding: Encoding,
    open: impl FnOnce(&Config) -> Result<B>,
) -> Result<Answer> {
    let texts = arguments.texts.read()?;
    ensure!(arguments.top_k > 0, "--top-k must be at least 1");
    let folder = ModelFolder::read(&arguments.model)?;
    folder.require(Part::MlmHead, "fill-mask")?;
    let model = Model::encoded(open(&folder.config)?, &folder.config, &folder.loaded.tensors, encoding)?;
    let mut answers = Vec::new();
    let mut out = std::io::stdout().lock();
    for text in texts {
        let text = text?;
        let place = || format!("text {}", text.id);
        let masked = Masked::new(&text.text, &folder.tokenizer, model.config()).with_context(place)?;
        if arguments.jointly {
            let fillings = block_on(masked.fill_jointly(&model, arguments.top_k)).with_context(place)?;
            if common.json {
                answers.push(serde_json::to_value(&fillings)?);
                continue;
            }
            for filling in fillings {
                writeln!(out, "{:8.4}  {:<24}  {}", filling.score, filling.token_strs.join(" "), filling.sequence)?;
            }
        } else {
            let masks = block_on(masked.fill(&model, arguments.top_k)).with_context(place)?;
            if common.json {
                answers.push(hugging_face_shape(serde_json::to_value(&masks)?));
                continue;
            }
            for filled in masks.iter().flatten() {
                writeln!(out, "{:8.4}  {:<16}  {}", filled.score, filled.token_str, filled.sequence)?;
            }
        }
        writeln!(out)?;
    }
    if common.json {
        // As Hugging Face's pipeline: the result itself for one text, an array of results for several.
        let answer = if answers.len() == 1 { answers.pop().unwrap_or_default() } else { Value::Array(answers) };
        writeln!(out, "{answer}")?;
    }
    if !common.quiet {
        eprintln!("{}", folder.describe());
    }
    Ok(Answer::Yes)
}

/// Of a text with one mask, Hugging Face's result is the list of its tokens; with several, a list of lists.
fn hugging_face_shape(masks: Value) -> Value {
    match masks {
        Value::Array(mut masks) if masks.len() == 1 => masks.pop().unwrap_or_default(),
        masks => masks,
    }
}
