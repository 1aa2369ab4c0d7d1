//! Tokens that belong together, by their classes' names: `B-problem`, `I-problem`, `O`.

use super::TokenClass;
use crate::{bert::Labels, text::Span, tokenizer::WordPiece};

/// What makes tokens one entity: transformers' `aggregation_strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// `simple`: neighbours with the same tag, each token for itself.
    Tokens,
    /// `first`: the same of words, which have the class of their first token.
    Words,
}

/// Neighbouring tokens with the same tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// The class's name without `B-` or `I-`.
    pub tag: String,
    /// Bytes of the text.
    pub span: Span,
    /// Mean of the probabilities of its tokens (words).
    pub score: f64,
}

/// The entities among tokens, in order, those of the class `O` too. A token joins the one before if it has the same tag and does not
/// begin another (`B-`): transformers' `group_entities`.
pub fn entities(tokens: &[TokenClass], labels: &Labels, tokenizer: &WordPiece, by: Grouping) -> Vec<Entity> {
    let units = match by {
        Grouping::Tokens => tokens.to_vec(),
        Grouping::Words => words(tokens, tokenizer),
    };
    let mut found: Vec<(Entity, usize)> = Vec::new();
    for unit in units {
        let name = labels.names().get(unit.class).map_or("", String::as_str);
        let (begins, tag) = tag(name);
        match found.last_mut() {
            Some((entity, count)) if entity.tag == tag && !begins => {
                entity.span.end = unit.span.end;
                entity.score += unit.score;
                *count += 1;
            }
            _ => found.push((Entity { tag: tag.to_owned(), span: unit.span, score: unit.score }, 1)),
        }
    }
    found.into_iter().map(|(entity, count)| Entity { score: entity.score / count as f64, ..entity }).collect()
}

/// Whether a class begins an entity, and of which kind it is. Names without `B-` and `I-` are kinds, and continue.
fn tag(name: &str) -> (bool, &str) {
    match (name.strip_prefix("B-"), name.strip_prefix("I-")) {
        (Some(tag), _) => (true, tag),
        (None, Some(tag)) => (false, tag),
        (None, None) => (false, name),
    }
}

/// First tokens of words, with the bytes of all.
fn words(tokens: &[TokenClass], tokenizer: &WordPiece) -> Vec<TokenClass> {
    let mut words: Vec<TokenClass> = Vec::new();
    for token in tokens {
        let continues = tokenizer.token(token.id).is_some_and(|text| text.starts_with("##"));
        match words.last_mut() {
            Some(word) if continues => word.span.end = token.span.end,
            _ => words.push(*token),
        }
    }
    words
}
