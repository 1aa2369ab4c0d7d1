//! The vector of every token of a text.

use crate::{
    Error, Result,
    bert::{Backend, Batch, Model},
    tokenizer::WordPiece,
};

/// Vectors of `[CLS]`, the text's tokens and `[SEP]`.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenVectors {
    /// `[tokens, hidden_size]`
    pub values: Vec<f32>,
    /// Whether the text was longer than the model allows, so that its end is left out.
    pub is_cut: bool,
}

/// Hidden state number `layer` (0 is the embeddings' output) at every token; of longer texts at those that the model allows.
///
/// # Errors
/// [`Error::Settings`] for a layer that the model does not have; the tokenizer or the machine fails.
pub async fn token_vectors<B: Backend>(
    model: &Model<B>,
    tokenizer: &WordPiece,
    text: &str,
    layer: usize,
) -> Result<TokenVectors> {
    let (layers, most) = (model.config().num_hidden_layers, model.config().max_position_embeddings.saturating_sub(2));
    let mut inside = Vec::new();
    tokenizer.append_ids(text, &mut inside)?;
    let is_cut = inside.len() > most;
    inside.truncate(most);
    let special = tokenizer.special();
    let ids: Vec<u32> = std::iter::once(special.classify).chain(inside).chain([special.separator]).collect();
    let batch = Batch::from_rows([(ids.as_slice(), vec![0; ids.len()].as_slice())])?;
    let state = match layer == layers {
        true => Some(model.last_hidden_state(&batch).await?),
        false => model.hidden_states(&batch).await?.into_iter().nth(layer),
    };
    let state = state.ok_or_else(|| Error::Settings(format!("layer {layer} is not there: the model has {layers} layers")))?;
    Ok(TokenVectors { values: state.data, is_cut })
}

#[cfg(test)]
#[cfg(feature = "candle")]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::{
        bert::{Candle, Config, initialize},
        tasks::{embedding::Embedder, pooling::Pooling},
        tokenizer::Case,
    };

    #[test]
    fn their_mean_is_the_text_s_vector_and_long_texts_are_cut() {
        let config = Config {
            vocab_size: 7,
            hidden_size: 4,
            num_hidden_layers: 2,
            num_attention_heads: 1,
            intermediate_size: 4,
            max_position_embeddings: 6,
            initializer_range: 0.5,
            ..Config::default()
        };
        let model = Model::new(Candle::default(), &config, &initialize(&config, 1)).unwrap();
        let tokenizer = WordPiece::from_vocab("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n", Case::Cased).unwrap();
        for layer in 0..=2 {
            let vectors = block_on(token_vectors(&model, &tokenizer, "a b a", layer)).unwrap();
            assert_eq!((vectors.values.len(), vectors.is_cut), (5 * 4, false));
            let embedder = Embedder { pooling: Pooling::Mean, layer, ..Embedder::of(&config) };
            let pooled = block_on(embedder.embed(&model, &tokenizer, ["a b a"])).unwrap().remove(0).vector;
            for (dimension, expected) in pooled.iter().enumerate() {
                let mean = vectors.values.iter().skip(dimension).step_by(4).sum::<f32>() / 5.0;
                assert!((mean - expected).abs() < 1e-6);
            }
        }
        let cut = block_on(token_vectors(&model, &tokenizer, "a b a b a", 2)).unwrap();
        assert_eq!((cut.values.len(), cut.is_cut), (6 * 4, true));
        assert!(block_on(token_vectors(&model, &tokenizer, "a", 3)).unwrap_err().to_string().contains("has 2 layers"));
    }
}
