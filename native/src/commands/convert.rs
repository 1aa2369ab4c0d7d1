//! `native convert`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use clinicalbert_core::bert::{Activation, Encoding, Part};
use clinicalbert_core::onnx::Output;
use clinicalbert_core::weights::{Dtype, Format};
use serde_json::json;

use super::Answer;
use crate::cli::Common;
use crate::convert::{Conversion, Difference, Pooling, verify};
use crate::model_folder::ModelFolder;

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Model to convert: a folder, any file of it, or the prefix of a TensorFlow checkpoint
    #[arg(long, alias = "tf-checkpoint-path", value_name = "MODEL")]
    from: PathBuf,
    /// Layout to write
    #[arg(long, value_enum)]
    to: Target,
    /// Folder to write; must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Take Adam's moments and the number of updates along, from a training checkpoint
    #[arg(long)]
    with_optimizer: bool,
    /// Make the folder one that sentence-transformers loads (with --to hf)
    #[arg(long)]
    sentence_transformers: bool,
    /// How sentence-transformers is to make one vector of many [default: mean]
    #[arg(long, value_enum, requires = "sentence_transformers")]
    pooling: Option<Pooling>,
    /// What an ONNX file computes [default: fill-mask if the model has the head, else feature-extraction]
    #[arg(long, value_enum)]
    task: Option<Task>,
    /// How matrices are stored (with --to web); everything else stays f32 [default: f32]
    #[arg(long, value_enum)]
    dtype: Option<WebDtype>,
    /// Run the model as read and as written, print how far their outputs are apart; exit 1 if that is more than 1e-5, or after
    /// rounding to f16 or int8 if a cosine is below 0.999
    #[arg(long)]
    verify: bool,
    /// Configuration, if it does not lie beside the weights
    #[arg(long, alias = "bert-config-file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Vocabulary, if it does not lie beside the weights
    #[arg(long, alias = "vocab-file", value_name = "FILE")]
    vocab: Option<PathBuf>,
    /// gelu (exact) or gelu_new (tanh), if the model was trained with another than its configuration says
    #[arg(long, value_name = "NAME")]
    hidden_act: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Hugging Face folder: config.json, model.safetensors, vocab.txt, tokenizer files
    Hf,
    /// TensorFlow checkpoint for Google's code: .index, .data, bert_config.json, vocab.txt, checkpoint
    Tf,
    /// onnx/model.onnx for onnxruntime and transformers.js, with configuration and tokenizer
    Onnx,
    /// For the browser: manifest.json, shards of at most 16 MiB, vocab.txt; every command here takes it too
    Web,
}

/// How matrices are stored in weights for the web.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum WebDtype {
    /// Four bytes a value
    #[default]
    F32,
    /// Two bytes a value: half precision
    F16,
    /// A signed byte a value and a scale a row, which is an output channel: a quarter of the download
    Int8,
}

impl WebDtype {
    /// How the core calls it.
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::F32 => Encoding::F32,
            Self::F16 => Encoding::F16,
            Self::Int8 => Encoding::Int8,
        }
    }
}

/// What an ONNX file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Task {
    /// Scores over the vocabulary: output `logits`
    FillMask,
    /// Vectors: outputs `last_hidden_state` and `sentence_embedding`, its mean over tokens
    FeatureExtraction,
}

/// Runs the command.
///
/// # Errors
/// A model that cannot be read, an output folder that is there, a disk that refuses.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    let Arguments { from, to, out, .. } = arguments;
    ensure!(!out.exists(), "{} is there already: remove it, or choose another --out", out.display());
    ensure!(*to == Target::Hf || !arguments.sentence_transformers, "--sentence-transformers goes with --to hf only");
    ensure!(*to == Target::Onnx || arguments.task.is_none(), "--task goes with --to onnx only");
    ensure!(*to == Target::Web || arguments.dtype.is_none(), "--dtype goes with --to web only");
    ensure!(
        *to != Target::Onnx || !arguments.verify,
        "--verify cannot run ONNX files: compare them with tests/interop/onnx_check.py, which runs onnxruntime"
    );
    let mut model = ModelFolder::read_with(from, arguments.config_file.as_deref(), arguments.vocab.as_deref())?;
    if let Some(name) = &arguments.hidden_act {
        let parsed = serde_json::from_value(json!(name));
        model.config.hidden_act = parsed.with_context(|| format!("--hidden-act {name}: expected gelu or gelu_new"))?;
    }
    let encoding = arguments.dtype.unwrap_or_default().encoding();
    let conversion = Conversion::new(&model, arguments.with_optimizer, encoding)?;
    let say = |text: &str| {
        if !common.quiet {
            eprintln!("{text}");
        }
    };
    say(&model.describe());
    for remark in remarks(&model, *to, arguments.hidden_act.is_some())? {
        say(&remark);
    }
    match to {
        Target::Hf => conversion
            .write_hugging_face(out, arguments.sentence_transformers.then(|| arguments.pooling.unwrap_or(Pooling::Mean)))?,
        Target::Tf => conversion.write_tensorflow(out)?,
        Target::Onnx => conversion.write_onnx(out, output(arguments.task, &model))?,
        Target::Web => conversion.write_web(out)?,
    }
    let differences = match arguments.verify {
        true => verify(&model, out)?,
        false => Vec::new(),
    };
    let close = differences.iter().all(|difference| difference.passes(encoding));
    match common.json {
        true => println!("{}", json!({ "out": out, "differences": differences, "equal": arguments.verify.then_some(close) })),
        false => print(&differences),
    }
    say(&format!("wrote {}", out.display()));
    Ok(if close { Answer::Yes } else { Answer::No })
}

fn output(task: Option<Task>, model: &ModelFolder) -> Output {
    match task {
        Some(Task::FillMask) => Output::Scores,
        Some(Task::FeatureExtraction) => Output::Vectors,
        None if model.loaded.has(Part::MlmHead) => Output::Scores,
        None => Output::Vectors,
    }
}

/// What a user should know of this conversion.
fn remarks(model: &ModelFolder, to: Target, activation_given: bool) -> Result<Vec<String>> {
    let mut remarks = Vec::new();
    let missing = model.loaded.plan.missing.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    if !missing.is_empty() {
        remarks.push(format!("not in the weights, so not in the output: {}", missing.join(", ")));
    }
    let optimizer = model.loaded.plan.skipped.iter().filter(|(_, reason)| reason == "optimizer state").count();
    if optimizer > 0 {
        remarks.push(format!("{optimizer} tensors are the optimizer's state: taken along by --with-optimizer only"));
    }
    let rounded =
        model.found.list()?.into_iter().find(|listing| matches!(listing.dtype, Dtype::ScaledI8 | Dtype::F16 | Dtype::Bf16));
    if let Some(rounded) = rounded {
        remarks.push(format!("values were rounded to {} before; nothing brings back what that lost", rounded.dtype));
    }
    let exact = model.config.hidden_act == Activation::Gelu;
    if model.found.format == Format::TensorFlow && exact && !activation_given {
        remarks.push(
            "activation: exact GELU, as BioBERT and the published ClinicalBERT; if Google's code after 2019-02-07 trained the model, give \
             --hidden-act gelu_new"
                .into(),
        );
    }
    if to == Target::Tf && !exact {
        remarks.push(
            "activation: bert_config.json says gelu, which Google's code takes for the tanh form; to read it here again give --hidden-act \
             gelu_new"
                .into(),
        );
    }
    if to == Target::Tf && exact {
        remarks.push("activation: exact GELU, while Google's code since 2019-02-07 computes the tanh form; outputs there differ by up to 1e-3".into());
    }
    Ok(remarks)
}

fn print(differences: &[Difference]) {
    for Difference { output, max_abs, largest, cosine } in differences {
        println!("{output:<18}max-abs {max_abs:.1e}  cosine {cosine:.6}  (largest value {largest:.3})");
    }
}
