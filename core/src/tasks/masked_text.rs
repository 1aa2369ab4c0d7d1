//! What a model expects in place of `[MASK]`, in the shape of Hugging Face's fill-mask results.

use serde::Serialize;

use super::fill_mask::{Candidate, Filling, MaskedText};
use crate::{
    Error, Result,
    bert::{Backend, Config, Model},
    text::Span,
    tokenizer::WordPiece,
};

/// A token for a mask, with the keys of Hugging Face's `fill-mask`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Filled {
    /// Probability.
    pub score: f64,
    /// Token id.
    pub token: u32,
    /// The entry of the vocabulary.
    pub token_str: String,
    /// The text with this mask filled; other masks stay.
    pub sequence: String,
}

/// Tokens for all masks together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FilledJointly {
    /// Product of the probabilities, each given the masks before it.
    pub score: f64,
    /// Token ids, one a mask.
    pub tokens: Vec<u32>,
    /// The entries of the vocabulary.
    pub token_strs: Vec<String>,
    /// The text with all masks filled.
    pub sequence: String,
}

/// A text with masks, ready for the model.
pub struct Masked<'a> {
    text: &'a str,
    tokenizer: &'a WordPiece,
    ids: Vec<u32>,
    types: Vec<u8>,
    masks: Vec<Span>,
}

impl<'a> Masked<'a> {
    /// Tokenizes a text.
    ///
    /// # Errors
    /// [`Error::Text`] if it has no `[MASK]` or is longer than the model allows.
    pub fn new(text: &'a str, tokenizer: &'a WordPiece, config: &Config) -> Result<Self> {
        let special = tokenizer.special();
        let pieces = tokenizer.pieces_with_special(text)?;
        let masks: Vec<Span> = pieces.iter().filter(|piece| piece.id == special.mask).map(|piece| piece.span).collect();
        if masks.is_empty() {
            return Err(Error::Text("no [MASK] in the text: write [MASK] where the model is to fill in a word".into()));
        }
        let inside = pieces.iter().map(|piece| piece.id);
        let ids: Vec<u32> = std::iter::once(special.classify).chain(inside).chain([special.separator]).collect();
        let most = config.max_position_embeddings;
        if ids.len() > most {
            let found = ids.len();
            return Err(Error::Text(format!(
                "the text has {found} tokens, the model allows {most}: keep what is near the [MASK]"
            )));
        }
        Ok(Self { text, tokenizer, types: vec![0; ids.len()], ids, masks })
    }

    /// The likeliest tokens of every mask, the other masks left unfilled.
    ///
    /// # Errors
    /// [`Error::Tensor`] without an MLM head, and those of the machine.
    pub async fn fill<B: Backend>(&self, model: &Model<B>, top_k: usize) -> Result<Vec<Vec<Filled>>> {
        let found = self.ids().fill_independently(model, top_k).await?;
        let mask = |(candidates, span): (Vec<_>, &Span)| {
            let fill = |candidate: Candidate| {
                let token_str = self.token(candidate.id);
                let sequence = self.with(&[(*span, &token_str)]);
                Filled { score: candidate.score, token: candidate.id, token_str, sequence }
            };
            candidates.into_iter().map(fill).collect()
        };
        Ok(found.into_iter().zip(&self.masks).map(mask).collect())
    }

    /// The likeliest fillings of all masks together.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub async fn fill_jointly<B: Backend>(&self, model: &Model<B>, top_k: usize) -> Result<Vec<FilledJointly>> {
        let fill = |filling: Filling| {
            let token_strs: Vec<String> = filling.ids.iter().map(|id| self.token(*id)).collect();
            let parts: Vec<(Span, &str)> = self.masks.iter().copied().zip(token_strs.iter().map(String::as_str)).collect();
            let sequence = self.with(&parts);
            FilledJointly { score: filling.score, tokens: filling.ids, sequence, token_strs }
        };
        Ok(self.ids().fill_jointly(model, top_k).await?.into_iter().map(fill).collect())
    }

    fn ids(&self) -> MaskedText<'_> {
        MaskedText { ids: &self.ids, types: &self.types, mask: self.tokenizer.special().mask }
    }

    fn token(&self, id: u32) -> String {
        self.tokenizer.token(id).unwrap_or("[UNK]").to_owned()
    }

    /// The text with these masks replaced. A piece that goes on a word (`##ing`) is put right after it.
    fn with(&self, parts: &[(Span, &str)]) -> String {
        let mut result = String::with_capacity(self.text.len());
        let mut done = 0;
        for (span, token) in parts {
            result.push_str(self.text.get(done..span.start).unwrap_or_default());
            match token.strip_prefix("##") {
                Some(rest) => {
                    result.truncate(result.trim_end().len());
                    result.push_str(rest);
                }
                None => result.push_str(token),
            }
            done = span.end;
        }
        result.push_str(self.text.get(done..).unwrap_or_default());
        result
    }
}

#[cfg(test)]
#[cfg(feature = "candle")]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::{
        bert::{Candle, initialize},
        tokenizer::Case,
    };

    fn model() -> (Model<Candle>, WordPiece) {
        let config = Config {
            vocab_size: 8,
            hidden_size: 4,
            num_hidden_layers: 1,
            num_attention_heads: 1,
            intermediate_size: 4,
            max_position_embeddings: 8,
            initializer_range: 0.5,
            ..Config::default()
        };
        let tokenizer = WordPiece::from_vocab("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nfever\n##ish\ncough\n", Case::Cased).unwrap();
        (Model::new(Candle::default(), &config, &initialize(&config, 1)).unwrap(), tokenizer)
    }

    #[test]
    fn every_mask_gets_its_tokens_and_the_text_keeps_its_spacing() {
        let (model, tokenizer) = model();
        let masked = Masked::new("fever  [MASK], [MASK]", &tokenizer, model.config()).unwrap();
        let filled = block_on(masked.fill(&model, 8)).unwrap();
        assert_eq!((filled.len(), filled[0].len()), (2, 8));
        let of = |mask: usize, token: u32| filled[mask].iter().find(|filled| filled.token == token).unwrap().sequence.clone();
        assert_eq!(of(0, 7), "fever  cough, [MASK]");
        assert_eq!(of(0, 6), "feverish, [MASK]");
        assert_eq!(of(1, 7), "fever  [MASK], cough");
        assert!((filled[1].iter().map(|filled| filled.score).sum::<f64>() - 1.0).abs() < 1e-6);
        let joint = block_on(masked.fill_jointly(&model, 3)).unwrap();
        assert!(joint.len() == 3 && joint[0].tokens.len() == 2 && !joint[0].sequence.contains("[MASK]"));
    }

    #[test]
    fn texts_that_cannot_be_filled_say_why() {
        let (model, tokenizer) = model();
        let error = |text: &str| Masked::new(text, &tokenizer, model.config()).err().unwrap().to_string();
        assert!(error("fever").contains("no [MASK]"));
        assert!(error("[MASK] cough cough cough cough cough cough").contains("has 9 tokens, the model allows 8"));
    }
}
