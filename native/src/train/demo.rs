//! `native train` with nothing to train on: the whole way on invented notes, in a few minutes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clinicalbert_core::bert::{Candle, EvaluationMetrics, Model};
use clinicalbert_core::tasks::masked_text::Masked;
use pollster::block_on;
use serde_json::json;

use super::preparation::prepare_notes;
use super::settings::Settings;
use super::{Outcome, begin, run_folder};
use crate::cli::{Common, NotesInput};
use crate::commands::Answer;
use crate::model_folder::ModelFolder;
use crate::synthetic;

/// A model and a run that two cores finish in under three minutes; everything else is as the model card has it. No dropout: so small a
/// model is far from learning anything by heart. Without bias correction Adam's first updates are several times the rate, so a rate much
/// above this one ends in a model that knows how frequent tokens are and nothing else.
pub const SETTINGS: &str = "
num_train_steps = 1000
num_warmup_steps = 100
train_batch_size = 32
learning_rate = 1e-3
max_seq_length = 64
max_predictions_per_seq = 10
save_checkpoints_steps = 250

[model]
hidden_size = 128
num_hidden_layers = 2
num_attention_heads = 2
intermediate_size = 512
max_position_embeddings = 128
hidden_dropout_prob = 0.0
attention_probs_dropout_prob = 0.0
";

const FOLDER: &str = "clinicalbert-demo";
const NOTES: usize = 2000;
const ENTRIES: usize = 3000;

/// Sentences as the invented notes have them.
const SENTENCES: [&str; 3] = [
    "The patient was diuresed with IV [MASK] with good urine output.",
    "Sinus rhythm at 72 beats per [MASK].",
    "Discharge [MASK]:",
];

/// Runs the demonstration in `out`, or in a new folder here.
///
/// # Errors
/// The folder is taken, or the disk refuses.
pub fn run(out: Option<&Path>, settings: Settings, common: &Common) -> Result<Answer> {
    let out = out.map_or_else(free_folder, Path::to_owned);
    run_folder::check_free(&out)?;
    if !common.quiet {
        eprintln!("no --data and no --notes: a demonstration on {NOTES} invented notes, in {}", out.display());
    }
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let notes = out.join("notes.csv.gz");
    if !notes.exists() {
        synthetic::write_notes(&notes, NOTES, settings.seed)?;
    }
    let input = NotesInput { notes: vec![notes], ..NotesInput::default() };
    let data = prepare_notes(&input, &settings, ENTRIES, &out, common)?;
    match begin(&out, Settings { data: vec![data.into()], ..settings }, common.quiet)? {
        Outcome::Stopped { step } => {
            eprintln!("stopped after step {step}; go on with: native train --resume --out {}", out.display());
            Ok(Answer::No)
        }
        Outcome::Done { model, evaluations } => {
            if common.json {
                let (before, after) = evaluations.unzip();
                println!("{}", json!({ "model": model, "before": before, "after": after }));
            } else {
                print!("{}", report(&model, evaluations)?);
            }
            Ok(Answer::Yes)
        }
    }
}

/// `clinicalbert-demo`, or the first `clinicalbert-demo-N` that is not there.
fn free_folder() -> PathBuf {
    let names = std::iter::once(FOLDER.to_owned()).chain((2..).map(|number| format!("{FOLDER}-{number}")));
    names.map(PathBuf::from).find(|name| !name.exists()).unwrap_or_else(|| FOLDER.into())
}

fn report(model: &Path, evaluations: Option<(EvaluationMetrics, EvaluationMetrics)>) -> Result<String> {
    let mut text = String::new();
    if let Some((before, after)) = evaluations {
        let _ = writeln!(text, "\nheld-out examples        before     after");
        for (name, before, after) in [
            ("MLM loss", before.masked_lm_loss, after.masked_lm_loss),
            ("MLM accuracy", before.masked_lm_accuracy, after.masked_lm_accuracy),
            ("MLM perplexity", before.perplexity, after.perplexity),
            ("NSP loss", before.next_sentence_loss, after.next_sentence_loss),
            ("NSP accuracy", before.next_sentence_accuracy, after.next_sentence_accuracy),
        ] {
            let _ = writeln!(text, "{name:<20} {before:>10.3} {after:>9.3}");
        }
        let _ = writeln!(text, "MLM loss fell by {:.0} %", 100.0 * (1.0 - after.masked_lm_loss / before.masked_lm_loss));
    }
    let folder = ModelFolder::read(model)?;
    let loaded = Model::new(Candle::default(), &folder.config, &folder.loaded.tensors)?;
    for sentence in SENTENCES {
        let _ = writeln!(text, "\n{sentence}");
        let masked = Masked::new(sentence, &folder.tokenizer, loaded.config())?;
        for filled in block_on(masked.fill(&loaded, 3))?.iter().flatten() {
            let _ = writeln!(text, "{:8.3}  {}", filled.score, filled.token_str);
        }
    }
    let shown = model.display();
    let _ = write!(
        text,
        "
model: {shown}

It loads in transformers: BertForPreTraining.from_pretrained(\"{shown}\")
More masks:   native fill-mask --model {shown} --text \"The patient was [MASK] home.\"
Vectors:      native embed --model {shown} --text \"Chest pain on exertion.\"
Your notes:   native train --notes NOTEEVENTS.csv.gz --init MODEL_FOLDER --out run
              (without --init a new model; native train --help shows everything)
"
    );
    Ok(text)
}
