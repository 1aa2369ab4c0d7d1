//! Against what transformers' pipelines said of the same model and texts (`tests/interop/classification_golden.py`).

use pollster::block_on;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::*;
use crate::{
    bert::{Candle, ProblemType, parameters_and_classifier},
    tokenizer::Case,
    weights::{HostTensor, Tensors},
};

#[derive(Deserialize)]
struct Golden {
    vocabulary: Vec<String>,
    labels: Vec<String>,
    texts: Vec<String>,
    shape: Config,
    tokens: BTreeMap<String, Vec<Vec<Found>>>,
    pairs: Vec<Pair>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(alias = "entity_group")]
    entity: String,
    score: f64,
    start: usize,
    end: usize,
}

#[derive(Deserialize)]
struct Pair {
    problem: ProblemType,
    first: String,
    second: Option<String>,
    scores: Vec<f64>,
}

fn golden() -> (Golden, WordPiece) {
    let golden: Golden = serde_json::from_str(include_str!("transformers.json")).unwrap();
    let tokenizer = WordPiece::from_vocab(&(golden.vocabulary.join("\n") + "\n"), Case::Cased).unwrap();
    (golden, tokenizer)
}

/// The model of the script, by its formula.
fn model(golden: &Golden, classifies: Classifies, problem_type: Option<ProblemType>) -> Model<Candle> {
    let config =
        Config { classifies: Some(classifies), labels: golden.labels.clone().into(), problem_type, ..golden.shape.clone() };
    let filled = |parameter: crate::bert::Parameter| {
        let sum: u32 = parameter.name.bytes().map(u32::from).sum();
        let (start, size) = (0.37 * f64::from(sum), if parameter.name.ends_with("bias") { 0.1 } else { 0.9 });
        let around = if parameter.name.contains("LayerNorm.weight") { 1.0 } else { 0.0 };
        let value = |index: usize| (around + size * (start + 1.3 * index as f64 + 0.1 * (index * index) as f64).sin()) as f32;
        let data = (0..parameter.elements()).map(value).collect();
        (parameter.name, HostTensor { shape: parameter.shape, data })
    };
    let tensors: Tensors = parameters_and_classifier(&config).into_iter().map(filled).collect();
    Model::new(Candle::default(), &config, &tensors).unwrap()
}

/// Character offsets, as Python counts them.
fn characters(text: &str, span: crate::text::Span) -> (usize, usize) {
    let count = |end: usize| text.get(..end).unwrap().chars().count();
    (count(span.start), count(span.end))
}

#[test]
fn tokens_have_the_classes_that_transformers_gives_them() {
    let (golden, tokenizer) = golden();
    let model = model(&golden, Classifies::Tokens, None);
    for (text, expected) in golden.texts.iter().zip(&golden.tokens["none"]) {
        let found = block_on(classify_tokens(&model, &tokenizer, text)).unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(golden.labels[found.class], expected.entity);
            assert_eq!(characters(text, found.span), (expected.start, expected.end));
            assert!((found.score - expected.score).abs() < 1e-5, "{} {}", found.score, expected.score);
        }
    }
}

#[test]
fn tokens_are_grouped_as_transformers_groups_them() {
    let (golden, tokenizer) = golden();
    let model = model(&golden, Classifies::Tokens, None);
    for (strategy, by) in [("simple", Grouping::Tokens), ("first", Grouping::Words)] {
        for (text, expected) in golden.texts.iter().zip(&golden.tokens[strategy]) {
            let tokens = block_on(classify_tokens(&model, &tokenizer, text)).unwrap();
            let found = entities(&tokens, &model.config().labels, &tokenizer, by);
            assert_eq!(found.len(), expected.len(), "{strategy} {found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!((&found.tag, characters(text, found.span)), (&expected.entity, (expected.start, expected.end)));
                assert!((found.score - expected.score).abs() < 1e-5, "{} {}", found.score, expected.score);
            }
        }
    }
}

#[test]
fn texts_and_pairs_have_the_scores_that_transformers_gives_them() {
    let (golden, tokenizer) = golden();
    for pair in &golden.pairs {
        let model = model(&golden, Classifies::Texts, Some(pair.problem));
        let found = block_on(classify_text(&model, &tokenizer, &pair.first, pair.second.as_deref())).unwrap();
        for (found, expected) in found.scores.iter().zip(&pair.scores) {
            assert!((found - expected).abs() < 1e-5, "{:?} {found} {expected}", pair.problem);
        }
        assert_eq!(found.scores.len(), golden.labels.len());
        let both = format!("{} {}", pair.first, pair.second.as_deref().unwrap_or_default());
        let pieces = tokenizer.pieces(&both).unwrap().len() + if pair.second.is_some() { 3 } else { 2 };
        assert_eq!(found.is_cut, pieces > model.config().max_position_embeddings);
    }
}

#[test]
fn every_token_of_a_long_text_has_a_class() {
    let (golden, tokenizer) = golden();
    let model = model(&golden, Classifies::Tokens, None);
    let text = golden.texts.join(" ").repeat(9);
    let found = block_on(classify_tokens(&model, &tokenizer, &text)).unwrap();
    let pieces = tokenizer.pieces(&text).unwrap();
    assert!(pieces.len() > 4 * model.config().max_position_embeddings);
    assert_eq!(
        found.iter().map(|token| token.span).collect::<Vec<_>>(),
        pieces.iter().map(|piece| piece.span).collect::<Vec<_>>()
    );
    // At the start the model sees as much as when it gets only the first window's tokens.
    let first = text.get(..pieces[13].span.end).unwrap();
    let alone = block_on(classify_tokens(&model, &tokenizer, first)).unwrap();
    assert!((alone[3].score - found[3].score).abs() < 1e-6 && alone[3].class == found[3].class);
}

#[test]
fn a_model_that_is_made_for_something_else_is_refused() {
    let (golden, tokenizer) = golden();
    let of_texts = model(&golden, Classifies::Texts, None);
    let error = block_on(classify_tokens(&of_texts, &tokenizer, "no")).unwrap_err().to_string();
    assert!(error.contains("BertForTokenClassification") && error.contains("found BertForSequenceClassification"), "{error}");
    let of_tokens = model(&golden, Classifies::Tokens, None);
    assert!(block_on(classify_text(&of_tokens, &tokenizer, "no", None)).is_err());
}
