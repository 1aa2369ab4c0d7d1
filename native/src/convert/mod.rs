//! From any checkpoint to the layouts that other programs read, each folder written whole or not at all.

mod card;
mod sentence_transformers;
mod verify;
mod web;

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clinicalbert_core::bert::{Activation, Config, Encoding, Heads, Part};
use clinicalbert_core::onnx::{self, Output};
use clinicalbert_core::weights::{CheckpointState, Slots, Tensors, write_bundle};

use crate::model_folder::{self, ModelFolder};
use crate::whole_file;

pub use sentence_transformers::Pooling;
pub use verify::{Difference, verify};

/// A model on its way into another layout.
pub struct Conversion<'a> {
    /// The model as read.
    pub model: &'a ModelFolder,
    /// The optimizer's state, if it is to come along.
    pub slots: Option<Slots>,
    /// What matrices are to be stored in.
    pub encoding: Encoding,
}

/// LayerNorm's epsilon in Google's code, where it is no setting.
const GOOGLE_EPSILON: f64 = 1e-12;

impl<'a> Conversion<'a> {
    /// Takes the optimizer's state along if asked for.
    ///
    /// # Errors
    /// It is asked for and not there, or damaged.
    pub fn new(model: &'a ModelFolder, with_optimizer: bool, encoding: Encoding) -> Result<Self> {
        let slots = match with_optimizer {
            false => None,
            true => {
                let slots = model.found.slots(&model.config, &model.loaded.tensors)?;
                let missing = || format!("{} has no optimizer state: leave out --with-optimizer", model.found.file.display());
                Some(slots.with_context(missing)?)
            }
        };
        Ok(Self { model, slots, encoding })
    }

    /// Writes a Hugging Face folder, on request one that sentence-transformers loads.
    ///
    /// # Errors
    /// The folder is there already, or the disk refused.
    pub fn write_hugging_face(&self, out: &Path, pooling: Option<Pooling>) -> Result<()> {
        let ModelFolder { config, loaded, tokenizer, .. } = self.model;
        self.write(out, |folder| {
            model_folder::write_files(folder, config, &loaded.tensors, tokenizer)?;
            self.slots.as_ref().map_or(Ok(()), |slots| model_folder::write_slots(folder, slots))?;
            pooling.map_or(Ok(()), |pooling| sentence_transformers::write(folder, config, pooling))
        })
    }

    /// Writes a TensorFlow checkpoint as Google's code lays it out: with the optimizer's state one that its training resumes,
    /// without one that it starts from (`--init_checkpoint`).
    ///
    /// # Errors
    /// The folder is there already, or the disk refused.
    pub fn write_tensorflow(&self, out: &Path) -> Result<()> {
        let ModelFolder { config, loaded, tokenizer, .. } = self.model;
        ensure!(
            config.layer_norm_eps == GOOGLE_EPSILON,
            "this model has layer_norm_eps {}, which Google's code does not know: its is {GOOGLE_EPSILON:e}",
            config.layer_norm_eps
        );
        let prefix = match &self.slots {
            Some(slots) => format!("model.ckpt-{}", slots.step),
            None => "bert_model.ckpt".into(),
        };
        self.write(out, |folder| {
            let mut index = Vec::new();
            whole_file::write_file(&folder.join(format!("{prefix}.data-00000-of-00001")), |file| {
                index = write_bundle(config, &loaded.tensors, self.slots.as_ref(), file)?;
                Ok(())
            })?;
            write_bytes(&folder.join(format!("{prefix}.index")), &index)?;
            write_bytes(&folder.join("checkpoint"), CheckpointState { latest: prefix.clone() }.to_text().as_bytes())?;
            // Google's code knows one name for both forms of GELU and computes the one of its own date.
            let config = Config { hidden_act: Activation::Gelu, ..config.clone() };
            write_bytes(&folder.join("bert_config.json"), (serde_json::to_string_pretty(&config)? + "\n").as_bytes())?;
            write_bytes(&folder.join("vocab.txt"), tokenizer.vocab_txt().as_bytes())
        })
    }

    /// Writes `onnx/model.onnx` where transformers.js looks for it, with configuration and tokenizer.
    ///
    /// # Errors
    /// The folder is there already, scores are asked for of a model without an MLM head, it is above 2 GiB, or the disk refused.
    pub fn write_onnx(&self, out: &Path, output: Output) -> Result<()> {
        let ModelFolder { config, loaded, tokenizer, .. } = self.model;
        ensure!(self.slots.is_none(), "ONNX files have no place for the optimizer's state: leave out --with-optimizer");
        if output == Output::Scores {
            self.model.require(Part::MlmHead, "fill-mask")?;
        }
        let heads = Heads { pooler: false, mlm: output == Output::Scores, nsp: false };
        self.write(out, |folder| {
            model_folder::write_companions(folder, config, heads, tokenizer)?;
            fs::create_dir_all(folder.join("onnx"))?;
            whole_file::write_file(&folder.join("onnx/model.onnx"), |file| {
                Ok(onnx::write(config, &loaded.tensors, output, file)?)
            })
        })
    }

    /// Writes manifest, shards and vocabulary for a page.
    ///
    /// # Errors
    /// The folder is there already, weights are too large for half precision, or the disk refused.
    pub fn write_web(&self, out: &Path) -> Result<()> {
        ensure!(self.slots.is_none(), "weights for the web have no place for the optimizer's state: leave out --with-optimizer");
        self.write(out, |folder| web::write(self.model, folder, self.encoding))
    }

    /// Fills a new folder and puts the card into it.
    fn write(&self, out: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        ensure!(!out.exists(), "{} is there already: remove it, or choose another name", out.display());
        whole_file::write_folder(out, |folder| {
            fill(folder)?;
            write_bytes(&folder.join("README.md"), card::card(self)?.as_bytes())
        })
    }
}

/// What is in words: `all heads`, `no heads`, or which are missing.
fn heads_in_words(config: &Config, tensors: &Tensors) -> String {
    let heads = Heads::of(config, tensors);
    let missing: Vec<&str> = [("pooler", heads.pooler), ("MLM head", heads.mlm), ("NSP head", heads.nsp)]
        .into_iter()
        .filter_map(|(name, there)| (!there).then_some(name))
        .collect();
    match missing.as_slice() {
        [] => "encoder, pooler, MLM head and NSP head".into(),
        missing => format!("encoder; not in it: {}", missing.join(", ")),
    }
}

fn write_bytes(file: &Path, bytes: &[u8]) -> Result<()> {
    whole_file::write_file(file, |file| Ok(file.write_all(bytes)?))
}
