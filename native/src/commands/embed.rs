//! `native embed`.

use std::fs;
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use clinicalbert_core::bert::{Backend, Config, Cpu, Encoding, Load, Model};
use clinicalbert_core::tasks::embedding::{Embedder, Embedding};
use clinicalbert_core::tasks::pooling::Pooling;
use clinicalbert_core::tokenizer::WordPiece;
use pollster::block_on;
use serde_json::json;

use super::Answer;
use crate::cli::{Common, NotesInput};
#[cfg(feature = "wgpu")]
use crate::inference::device::open_wgpu;
use crate::inference::device::{Choice, DeviceFlags, open_cuda};
use crate::inference::texts::{Text, TextsInput, from_notes};
use crate::inference::{npy::Npy, states};
use crate::model_folder::ModelFolder;
use crate::whole_file::write_file;

/// Texts that are held at once.
const CHUNK: usize = 1024;

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Model: a folder, any file of it, or the prefix of a TensorFlow checkpoint
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    texts: TextsInput,
    #[command(flatten, next_help_heading = "Notes")]
    notes: NotesInput,
    /// How token vectors become one
    #[arg(long, value_enum, default_value_t = PoolingName::Mean)]
    pooling: PoolingName,
    /// Layer to take: 0 is the embeddings' output, -1 the last
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    layer: i64,
    /// Scale vectors to length 1
    #[arg(long)]
    normalize: bool,
    /// jsonl: {id, embedding, tokens, windows} a line; npy: a matrix for NumPy, with the ids in FILE.ids
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// File to write; standard output if not given
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Tokens of a window; longer texts are cut into several [default: what the model allows]
    #[arg(long, value_name = "N")]
    max_seq_length: Option<usize>,
    /// Tokens that windows share [default: a quarter of the window]
    #[arg(long, value_name = "N")]
    overlap: Option<usize>,
    /// Windows of a forward pass
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch_size: usize,
    #[command(flatten)]
    device: DeviceFlags,
    /// Write ids, all hidden states and all scores of the texts to this safetensors file instead
    #[arg(long, value_name = "FILE", hide = true)]
    states: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PoolingName {
    /// Mean over tokens, [CLS] and [SEP] included, as sentence-transformers does
    Mean,
    /// The vector of [CLS]: poor for similarity unless the model was tuned for it
    Cls,
    /// Largest value of each dimension
    Max,
    /// Mean over tokens and the last four layers
    LastFour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Npy,
}

/// Runs the command.
///
/// # Errors
/// No text, a model that cannot be read, settings beyond the model, a disk that refuses.
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
    ensure!(
        arguments.texts.is_empty() || arguments.notes.notes.is_empty(),
        "texts and --notes exclude each other: run the command once for each"
    );
    ensure!(arguments.format == Format::Jsonl || arguments.out.is_some(), "--format npy needs --out FILE");
    if let Some(out) = arguments.out.as_ref().filter(|out| out.exists()) {
        bail!("{} exists already: choose another --out, or remove it", out.display());
    }
    let mut skipped = 0;
    let texts: Box<dyn Iterator<Item = Result<Text>>> = match arguments.notes.notes.is_empty() {
        true => arguments.texts.read()?,
        false => Box::new(from_notes(&arguments.notes, &mut skipped)?),
    };
    let (vectors, description) = vectors(arguments, encoding, open)?;
    if let Some(out) = &arguments.states {
        let texts = texts.collect::<Result<Vec<_>>>()?;
        states::write(out, &vectors.model, &vectors.tokenizer, texts.iter().map(|text| text.text.as_str()))?;
        return Ok(Answer::Yes);
    }
    let long = match (arguments.format, &arguments.out) {
        (Format::Npy, Some(out)) => write_npy(&vectors, texts, out)?,
        (_, Some(out)) => {
            let mut long = 0;
            write_file(out, |file| {
                long = write_jsonl(&vectors, texts, file)?;
                Ok(())
            })?;
            long
        }
        (_, None) => {
            let mut out = BufWriter::new(stdout().lock());
            let long = write_jsonl(&vectors, texts, &mut out)?;
            out.flush()?;
            long
        }
    };
    if !common.quiet {
        eprintln!("{description}");
        if long > 0 {
            eprintln!(
                "{long} texts were longer than {} tokens: cut into windows that overlap by {}, averaged by tokens",
                vectors.embedder.window, vectors.embedder.overlap
            );
        }
        if skipped > 0 {
            eprintln!("{skipped} notes were left out: empty, marked as errors, or unreadable");
        }
    }
    Ok(Answer::Yes)
}

/// A model ready to make vectors.
struct Vectors<B: Backend> {
    model: Model<B>,
    tokenizer: WordPiece,
    embedder: Embedder,
}

/// What makes vectors, and the model in a line.
fn vectors<B: Load>(
    arguments: &Arguments,
    encoding: Encoding,
    open: impl FnOnce(&Config) -> Result<B>,
) -> Result<(Vectors<B>, String)> {
    let folder = ModelFolder::read(&arguments.model)?;
    let description = folder.describe();
    let layers = folder.config.num_hidden_layers;
    let layer = match arguments.layer {
        negative if negative < 0 => (layers + 1).checked_sub(usize::try_from(negative.unsigned_abs())?),
        layer => usize::try_from(layer).ok(),
    };
    let window = arguments.max_seq_length.unwrap_or(folder.config.max_position_embeddings);
    let embedder = Embedder {
        pooling: match arguments.pooling {
            PoolingName::Mean => Pooling::Mean,
            PoolingName::Cls => Pooling::Cls,
            PoolingName::Max => Pooling::Max,
            PoolingName::LastFour => Pooling::LastFour,
        },
        layer: layer.with_context(|| format!("--layer {} is not there: the model has {layers} layers", arguments.layer))?,
        window,
        overlap: arguments.overlap.unwrap_or(window / 4),
        batch_size: arguments.batch_size,
        normalize: arguments.normalize,
    };
    embedder.check(&folder.config)?;
    let model = Model::encoded(open(&folder.config)?, &folder.config, &folder.loaded.tensors, encoding)?;
    Ok((Vectors { model, tokenizer: folder.tokenizer, embedder }, description))
}

/// Hands every text's vector to `take`, in order; tells how many texts were cut into windows.
fn each(
    vectors: &Vectors<impl Backend>,
    texts: impl Iterator<Item = Result<Text>>,
    mut take: impl FnMut(Text, Embedding) -> Result<()>,
) -> Result<u64> {
    let mut long = 0;
    let mut texts = texts.peekable();
    while texts.peek().is_some() {
        let chunk = texts.by_ref().take(CHUNK).collect::<Result<Vec<_>>>()?;
        let contents = chunk.iter().map(|text| text.text.as_str());
        let embeddings = block_on(vectors.embedder.embed(&vectors.model, &vectors.tokenizer, contents))?;
        for (text, embedding) in chunk.into_iter().zip(embeddings) {
            long += u64::from(embedding.windows > 1);
            take(text, embedding)?;
        }
    }
    Ok(long)
}

fn write_jsonl(vectors: &Vectors<impl Backend>, texts: impl Iterator<Item = Result<Text>>, out: &mut impl Write) -> Result<u64> {
    each(vectors, texts, |text, Embedding { vector, tokens, windows }| {
        // Serialized apart: through a JSON value, single precision would be printed with the digits of double.
        let vector = serde_json::to_string(&vector)?;
        writeln!(out, "{{\"id\":{},\"embedding\":{vector},\"tokens\":{tokens},\"windows\":{windows}}}", json!(text.id))?;
        Ok(())
    })
}

fn write_npy(vectors: &Vectors<impl Backend>, texts: impl Iterator<Item = Result<Text>>, out: &Path) -> Result<u64> {
    let mut ids = String::new();
    let mut long = 0;
    write_file(out, |file| {
        let mut npy = Npy::begin(file, vectors.model.config().hidden_size)?;
        long = each(vectors, texts, |text, embedding| {
            ids.push_str(&text.id);
            ids.push('\n');
            Ok(npy.row(&embedding.vector)?)
        })?;
        Ok(npy.finish()?)
    })?;
    let mut name = out.to_path_buf().into_os_string();
    name.push(".ids");
    fs::write(&name, ids).with_context(|| format!("cannot write {}", name.display()))?;
    Ok(long)
}
