//! Vectors of texts of any length: long ones are cut into overlapping windows whose vectors are averaged.

use anyhow::{Result, ensure};
use clinicalbert_core::{
    bert::{Backend, Batch, Config, Model},
    tasks::pooling::{Pooling, pool},
    tokenizer::WordPiece,
};
use pollster::block_on;

/// How texts become vectors.
pub struct Embedder<B: Backend> {
    /// The model.
    pub model: Model<B>,
    /// Its tokenizer.
    pub tokenizer: WordPiece,
    /// How token vectors become one.
    pub pooling: Pooling,
    /// Number of the hidden state that is pooled; 0 is the embeddings' output.
    pub layer: usize,
    /// Tokens of a window, `[CLS]` and `[SEP]` included.
    pub window: usize,
    /// Tokens that a window shares with the one before.
    pub overlap: usize,
    /// Windows of a forward pass.
    pub batch_size: usize,
    /// Whether vectors are scaled to length 1.
    pub normalize: bool,
}

/// A text's vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// `hidden_size` values.
    pub vector: Vec<f32>,
    /// Tokens of the text, without `[CLS]` and `[SEP]`.
    pub tokens: usize,
    /// Windows it was cut into.
    pub windows: usize,
}

/// One forward pass' row.
struct Window {
    text: usize,
    ids: Vec<u32>,
}

impl<B: Backend> Embedder<B> {
    /// Checks that the settings fit the model.
    ///
    /// # Errors
    /// A window, an overlap or a layer that the model does not have.
    pub fn check(&self) -> Result<()> {
        let Config { max_position_embeddings, num_hidden_layers, .. } = *self.model.config();
        ensure!(
            self.window <= max_position_embeddings,
            "--max-seq-length {} is more than the model allows: at most {max_position_embeddings}",
            self.window
        );
        ensure!(self.window > 2, "--max-seq-length must be at least 3: [CLS], a token and [SEP]");
        ensure!(
            self.overlap < self.window - 2,
            "--overlap {} must be below the window's {} tokens",
            self.overlap,
            self.window - 2
        );
        ensure!(self.layer <= num_hidden_layers, "--layer {} is not there: the model has {num_hidden_layers} layers", self.layer);
        ensure!(self.batch_size > 0, "--batch-size must be at least 1");
        Ok(())
    }

    /// Vectors of texts, in their order. Windows of like length are run together, so little is padding.
    ///
    /// # Errors
    /// The tokenizer or the tensor library fails.
    pub fn embed<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Embedding>> {
        let mut embeddings = Vec::new();
        let mut windows = Vec::new();
        for (text, content) in texts.into_iter().enumerate() {
            let mut ids = Vec::new();
            self.tokenizer.append_ids(content, &mut ids)?;
            let before = windows.len();
            windows.extend(self.windows(&ids).map(|ids| Window { text, ids }));
            embeddings.push(Embedding { vector: Vec::new(), tokens: ids.len(), windows: windows.len() - before });
        }
        windows.sort_by_key(|window| window.ids.len());
        for batch in windows.chunks(self.batch_size) {
            for (window, vector) in batch.iter().zip(self.run(batch)?) {
                if let Some(embedding) = embeddings.get_mut(window.text) {
                    self.add(embedding, &vector, window.ids.len());
                }
            }
        }
        if self.normalize {
            embeddings.iter_mut().for_each(|embedding| normalize(&mut embedding.vector));
        }
        Ok(embeddings)
    }

    fn windows<'a>(&self, ids: &'a [u32]) -> impl Iterator<Item = Vec<u32>> + use<'a, B> {
        let special = self.tokenizer.special();
        let (capacity, step) = (self.window - 2, self.window - 2 - self.overlap);
        // A further window starts only where the one before did not reach the end.
        let further = ids.len().saturating_sub(capacity).div_ceil(step);
        (0..=further).map(move |number| {
            let inside = ids.iter().copied().skip(number * step).take(capacity);
            std::iter::once(special.classify).chain(inside).chain([special.separator]).collect()
        })
    }

    fn run(&self, windows: &[Window]) -> Result<Vec<Vec<f32>>> {
        let types: Vec<u8> = vec![0; self.window];
        let rows = windows.iter().map(|window| (window.ids.as_slice(), types.get(..window.ids.len()).unwrap_or_default()));
        let batch = Batch::from_rows(rows)?;
        let last = self.layer == self.model.config().num_hidden_layers;
        let states = match self.pooling {
            Pooling::Mean | Pooling::Cls | Pooling::Max if last => vec![block_on(self.model.last_hidden_state(&batch))?],
            _ => {
                let mut states = block_on(self.model.hidden_states(&batch))?;
                states.truncate(self.layer + 1);
                states
            }
        };
        Ok(pool(self.pooling, &states, &batch)?)
    }

    /// Adds a window's vector to its text's: by its share of all tokens, or the larger value for largest-value pooling.
    fn add(&self, embedding: &mut Embedding, vector: &[f32], length: usize) {
        if embedding.windows == 1 {
            embedding.vector = vector.to_vec();
            return;
        }
        let largest = self.pooling == Pooling::Max;
        if embedding.vector.is_empty() {
            embedding.vector = vec![if largest { f32::NEG_INFINITY } else { 0.0 }; vector.len()];
        }
        // Every window but the last is full: tokens of all windows, shared ones counted as often as they occur.
        let shared = (embedding.windows - 1) * self.overlap;
        let share = (length - 2) as f32 / (embedding.tokens + shared) as f32;
        for (sum, value) in embedding.vector.iter_mut().zip(vector) {
            *sum = if largest { sum.max(*value) } else { share.mul_add(*value, *sum) };
        }
    }
}

fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

#[cfg(test)]
mod tests {
    use clinicalbert_core::{
        bert::{Candle, initialize},
        tokenizer::Case,
    };

    use super::*;

    /// Positions from 0 are equal, so that a window's vector does not depend on where it lies.
    fn embedder(pooling: Pooling, window: usize, overlap: usize) -> Embedder<Candle> {
        let config = Config {
            vocab_size: 9,
            hidden_size: 8,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 8,
            max_position_embeddings: 32,
            initializer_range: 0.5,
            ..Config::default()
        };
        let model = Model::new(Candle::default(), &config, &initialize(&config, 3)).unwrap();
        let tokenizer = WordPiece::from_vocab("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\n", Case::Cased).unwrap();
        Embedder { model, tokenizer, pooling, layer: 2, window, overlap, batch_size: 2, normalize: false }
    }

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn texts_keep_their_order_and_their_vectors_in_any_batch() {
        let embedder = embedder(Pooling::Mean, 32, 4);
        let texts = ["a b c d a b", "a", "b c", "a b c d a b c"];
        let together = embedder.embed(texts).unwrap();
        for (text, vector) in texts.iter().zip(&together) {
            let alone = embedder.embed([*text]).unwrap();
            assert!(close(&alone[0].vector, &vector.vector), "{text}");
        }
        assert_eq!(together.iter().map(|embedding| embedding.tokens).collect::<Vec<_>>(), [6, 1, 2, 7]);
    }

    #[test]
    fn windows_overlap_and_cover_the_text() {
        let embedder = embedder(Pooling::Mean, 6, 1);
        let windows = |tokens: u32| -> Vec<Vec<u32>> {
            let ids: Vec<u32> = (100..100 + tokens).collect();
            embedder.windows(&ids).map(|window| window[1..window.len() - 1].to_vec()).collect()
        };
        assert_eq!(windows(4), [vec![100, 101, 102, 103]]);
        assert_eq!(windows(5), [vec![100, 101, 102, 103], vec![103, 104]]);
        assert_eq!(windows(7), [vec![100, 101, 102, 103], vec![103, 104, 105, 106]]);
        assert_eq!(windows(8).len(), 3);
        assert_eq!(windows(0), [Vec::<u32>::new()]);
    }

    #[test]
    fn a_long_text_is_the_mean_of_its_windows_by_tokens() {
        let embedder = embedder(Pooling::Mean, 6, 0);
        let parts = embedder.embed(["a b c d", "b c"]).unwrap();
        let whole = embedder.embed(["a b c d b c"]).unwrap();
        let mean: Vec<f32> = parts[0].vector.iter().zip(&parts[1].vector).map(|(a, b)| (4.0 * a + 2.0 * b) / 6.0).collect();
        assert_eq!((whole[0].windows, whole[0].tokens), (2, 6));
        assert!(close(&whole[0].vector, &mean));
        let largest = Embedder { pooling: Pooling::Max, ..embedder };
        let parts = largest.embed(["a b c d", "b c"]).unwrap();
        let whole = largest.embed(["a b c d b c"]).unwrap();
        let most: Vec<f32> = parts[0].vector.iter().zip(&parts[1].vector).map(|(a, b)| a.max(*b)).collect();
        assert!(close(&whole[0].vector, &most));
    }

    #[test]
    fn settings_beyond_the_model_are_named() {
        let error = |embedder: Embedder<Candle>| embedder.check().unwrap_err().to_string();
        assert!(error(embedder(Pooling::Mean, 33, 0)).contains("at most 32"));
        assert!(error(embedder(Pooling::Mean, 6, 4)).contains("--overlap 4"));
        assert!(error(Embedder { layer: 3, ..embedder(Pooling::Mean, 6, 0) }).contains("has 2 layers"));
    }

    #[test]
    fn normalized_vectors_have_length_one() {
        let embedder = Embedder { normalize: true, ..embedder(Pooling::Cls, 32, 0) };
        let length: f32 = embedder.embed(["a b"]).unwrap()[0].vector.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }
}
