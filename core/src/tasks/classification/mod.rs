//! What a fine-tuned model says of a text, or of every token of it: the pipelines `text-classification` and `token-classification` of
//! transformers.

mod entities;
#[cfg(test)]
#[cfg(feature = "candle")]
mod tests;
mod tokens;

pub use entities::{Entity, Grouping, entities};
pub use tokens::{TokenClass, classify_tokens};

use crate::{
    Error, Result,
    bert::{Backend, Batch, Classifies, Config, Model, ProblemType},
    tokenizer::WordPiece,
};

/// What a model says of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextClasses {
    /// The probability of every class, in the order of the configuration's labels; of a regression the numbers themselves.
    pub scores: Vec<f64>,
    /// Whether the text was longer than the model allows, so that its end is left out.
    pub is_cut: bool,
}

/// Classes of a text, or of a pair of texts such as premise and hypothesis.
///
/// # Errors
/// [`Error::Tensor`] if the model has no such head, or one for something else; the tokenizer or the machine fails.
pub async fn classify_text<B: Backend>(
    model: &Model<B>,
    tokenizer: &WordPiece,
    text: &str,
    second: Option<&str>,
) -> Result<TextClasses> {
    require(model.config(), Classifies::Texts)?;
    let input = tokenizer.encode(text, second, Some(model.config().max_position_embeddings))?;
    let batch = Batch::from_rows([(input.input_ids.as_slice(), input.token_type_ids.as_slice())])?;
    let logits = model.text_class_logits(&batch).await?;
    Ok(TextClasses { scores: scores(&logits.data, model.config()), is_cut: input.is_truncated })
}

/// As transformers' `TextClassificationPipeline.postprocess`: softmax, but sigmoid if classes exclude each other not or there is but one.
fn scores(logits: &[f32], config: &Config) -> Vec<f64> {
    match (config.problem_type, logits.len()) {
        (Some(ProblemType::Regression), _) => logits.iter().copied().map(f64::from).collect(),
        (Some(ProblemType::MultiLabelClassification), _) | (_, 1) => {
            logits.iter().map(|logit| 1.0 / (1.0 + f64::from(-logit).exp())).collect()
        }
        _ => softmax(logits),
    }
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|logit| f64::from(logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// That the model was made for this: a classifier of texts gives nonsense on tokens, and nothing about its weights tells.
fn require(config: &Config, wanted: Classifies) -> Result<()> {
    let found = match config.classifies {
        Some(found) if found == wanted => return Ok(()),
        Some(found) => found.architecture(),
        None => "no classifier",
    };
    let reason = format!("has not learnt this: expected a model of the architecture {}, found {found}", wanted.architecture());
    Err(Error::Tensor { name: "classifier.weight".into(), reason })
}
