//! Vectors of texts of any length: long ones are cut into overlapping windows whose vectors are averaged.

use super::pooling::{Pooling, pool};
use crate::{
    Error, Result,
    bert::{Backend, Batch, Config, Model},
    tokenizer::{SpecialTokens, WordPiece},
};

/// How texts become vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedder {
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

impl Embedder {
    /// Mean of the last layer, in windows as long as the model allows that overlap by a quarter.
    pub const fn of(config: &Config) -> Self {
        let window = config.max_position_embeddings;
        let layer = config.num_hidden_layers;
        Self { pooling: Pooling::Mean, layer, window, overlap: window / 4, batch_size: 32, normalize: false }
    }

    /// Checks that the settings fit the model.
    ///
    /// # Errors
    /// [`Error::Settings`] for a window, an overlap or a layer that the model does not have.
    pub fn check(&self, config: &Config) -> Result<()> {
        let Config { max_position_embeddings, num_hidden_layers, .. } = *config;
        let Self { window, overlap, layer, .. } = *self;
        let wrong = if window > max_position_embeddings {
            format!("a window of {window} tokens is more than the model allows: at most {max_position_embeddings}")
        } else if window < 3 {
            format!("a window of {window} tokens is too short: [CLS], a token and [SEP] are 3")
        } else if overlap >= window - 2 {
            format!("an overlap of {overlap} tokens must be below the window's {}", window - 2)
        } else if layer > num_hidden_layers {
            format!("layer {layer} is not there: the model has {num_hidden_layers} layers")
        } else if self.batch_size == 0 {
            "a batch must have at least 1 window".into()
        } else {
            return Ok(());
        };
        Err(Error::Settings(wrong))
    }

    /// Vectors of texts, in their order. Windows of like length are run together, so little is padding.
    ///
    /// # Errors
    /// As [`Self::check`]; the tokenizer or the machine fails.
    pub async fn embed<'a, B: Backend>(
        &self,
        model: &Model<B>,
        tokenizer: &WordPiece,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Embedding>> {
        self.check(model.config())?;
        let mut embeddings = Vec::new();
        let mut windows = Vec::new();
        for (text, content) in texts.into_iter().enumerate() {
            let mut ids = Vec::new();
            tokenizer.append_ids(content, &mut ids)?;
            let before = windows.len();
            windows.extend(self.windows(tokenizer.special(), &ids).map(|ids| Window { text, ids }));
            embeddings.push(Embedding { vector: Vec::new(), tokens: ids.len(), windows: windows.len() - before });
        }
        self.run_all(model, windows, &mut embeddings).await?;
        Ok(embeddings)
    }

    /// Vectors of rows of ids that are a model's input as they stand, special tokens included.
    ///
    /// # Errors
    /// [`Error::Batch`] for a row that is empty, longer than the model allows, or has ids that it does not know; [`Error::Settings`] as
    /// [`Self::check`]; those of the machine.
    pub async fn embed_ids<B: Backend>(&self, model: &Model<B>, rows: Vec<Vec<u32>>) -> Result<Vec<Embedding>> {
        self.check(model.config())?;
        if let Some(empty) = rows.iter().position(Vec::is_empty) {
            return Err(Error::Batch(format!("row {empty} has no ids")));
        }
        let embedding = |ids: &Vec<u32>| Embedding { vector: Vec::new(), tokens: ids.len(), windows: 1 };
        let mut embeddings: Vec<_> = rows.iter().map(embedding).collect();
        let windows = rows.into_iter().enumerate().map(|(text, ids)| Window { text, ids }).collect();
        self.run_all(model, windows, &mut embeddings).await?;
        Ok(embeddings)
    }

    async fn run_all<B: Backend>(&self, model: &Model<B>, mut windows: Vec<Window>, embeddings: &mut [Embedding]) -> Result<()> {
        windows.sort_by_key(|window| window.ids.len());
        for batch in windows.chunks(self.batch_size) {
            for (window, vector) in batch.iter().zip(self.run(model, batch).await?) {
                if let Some(embedding) = embeddings.get_mut(window.text) {
                    self.add(embedding, &vector, window.ids.len());
                }
            }
        }
        if self.normalize {
            embeddings.iter_mut().for_each(|embedding| normalize(&mut embedding.vector));
        }
        Ok(())
    }

    fn windows<'a>(&self, special: SpecialTokens, ids: &'a [u32]) -> impl Iterator<Item = Vec<u32>> + use<'a> {
        let (capacity, step) = (self.window - 2, self.window - 2 - self.overlap);
        // A further window starts only where the one before did not reach the end.
        let further = ids.len().saturating_sub(capacity).div_ceil(step);
        (0..=further).map(move |number| {
            let inside = ids.iter().copied().skip(number * step).take(capacity);
            std::iter::once(special.classify).chain(inside).chain([special.separator]).collect()
        })
    }

    async fn run<B: Backend>(&self, model: &Model<B>, windows: &[Window]) -> Result<Vec<Vec<f32>>> {
        let longest = windows.iter().map(|window| window.ids.len()).max().unwrap_or(0);
        let types: Vec<u8> = vec![0; longest];
        let rows = windows.iter().map(|window| (window.ids.as_slice(), types.get(..window.ids.len()).unwrap_or_default()));
        let batch = Batch::from_rows(rows)?;
        let last = self.layer == model.config().num_hidden_layers;
        let states = match self.pooling {
            Pooling::Mean | Pooling::Cls | Pooling::Max if last => vec![model.last_hidden_state(&batch).await?],
            _ => {
                let mut states = model.hidden_states(&batch).await?;
                states.truncate(self.layer + 1);
                states
            }
        };
        pool(self.pooling, &states, &batch)
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
#[cfg(feature = "candle")]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::{
        bert::{Candle, initialize},
        tokenizer::Case,
    };

    /// Positions from 0 are equal, so that a window's vector does not depend on where it lies.
    fn config() -> Config {
        Config {
            vocab_size: 9,
            hidden_size: 8,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 8,
            max_position_embeddings: 32,
            initializer_range: 0.5,
            ..Config::default()
        }
    }

    fn model() -> Model<Candle> {
        Model::new(Candle::default(), &config(), &initialize(&config(), 3)).unwrap()
    }

    fn tokenizer() -> WordPiece {
        WordPiece::from_vocab("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\n", Case::Cased).unwrap()
    }

    fn embedder(pooling: Pooling, window: usize, overlap: usize) -> Embedder {
        Embedder { pooling, window, overlap, batch_size: 2, ..Embedder::of(&config()) }
    }

    fn embed(embedder: Embedder, texts: &[&str]) -> Vec<Embedding> {
        block_on(embedder.embed(&model(), &tokenizer(), texts.iter().copied())).unwrap()
    }

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn texts_keep_their_order_and_their_vectors_in_any_batch() {
        let embedder = embedder(Pooling::Mean, 32, 4);
        let texts = ["a b c d a b", "a", "b c", "a b c d a b c"];
        let together = embed(embedder, &texts);
        for (text, vector) in texts.iter().zip(&together) {
            assert!(close(&embed(embedder, &[text])[0].vector, &vector.vector), "{text}");
        }
        assert_eq!(together.iter().map(|embedding| embedding.tokens).collect::<Vec<_>>(), [6, 1, 2, 7]);
    }

    #[test]
    fn rows_of_ids_have_the_vectors_of_their_texts() {
        let embedder = embedder(Pooling::Mean, 32, 4);
        let texts = embed(embedder, &["a b c", "d"]);
        let rows = block_on(embedder.embed_ids(&model(), vec![vec![2, 5, 6, 7, 3], vec![2, 8, 3]])).unwrap();
        assert!(texts.iter().zip(&rows).all(|(text, row)| close(&text.vector, &row.vector)));
        let told = |rows| block_on(embedder.embed_ids(&model(), rows)).unwrap_err().to_string();
        assert!(told(vec![vec![5], vec![]]).contains("row 1 has no ids"));
        assert!(told(vec![vec![5, 9]]).contains("token id 9 must be below 9"));
        assert!(told(vec![vec![5; 33]]).contains("33 tokens are longer"));
    }

    #[test]
    fn windows_overlap_and_cover_the_text() {
        let embedder = embedder(Pooling::Mean, 6, 1);
        let windows = |tokens: u32| -> Vec<Vec<u32>> {
            let ids: Vec<u32> = (100..100 + tokens).collect();
            embedder.windows(tokenizer().special(), &ids).map(|window| window[1..window.len() - 1].to_vec()).collect()
        };
        assert_eq!(windows(4), [vec![100, 101, 102, 103]]);
        assert_eq!(windows(5), [vec![100, 101, 102, 103], vec![103, 104]]);
        assert_eq!(windows(7), [vec![100, 101, 102, 103], vec![103, 104, 105, 106]]);
        assert_eq!(windows(8).len(), 3);
        assert_eq!(windows(0), [Vec::<u32>::new()]);
    }

    #[test]
    fn a_long_text_is_the_mean_of_its_windows_by_tokens() {
        let mean = embedder(Pooling::Mean, 6, 0);
        let parts = embed(mean, &["a b c d", "b c"]);
        let whole = embed(mean, &["a b c d b c"]);
        let expected: Vec<f32> = parts[0].vector.iter().zip(&parts[1].vector).map(|(a, b)| (4.0 * a + 2.0 * b) / 6.0).collect();
        assert_eq!((whole[0].windows, whole[0].tokens), (2, 6));
        assert!(close(&whole[0].vector, &expected));
        let largest = Embedder { pooling: Pooling::Max, ..mean };
        let parts = embed(largest, &["a b c d", "b c"]);
        let whole = embed(largest, &["a b c d b c"]);
        let most: Vec<f32> = parts[0].vector.iter().zip(&parts[1].vector).map(|(a, b)| a.max(*b)).collect();
        assert!(close(&whole[0].vector, &most));
    }

    #[test]
    fn settings_beyond_the_model_are_named() {
        let error = |embedder: Embedder| embedder.check(&config()).unwrap_err().to_string();
        assert!(error(embedder(Pooling::Mean, 33, 0)).contains("at most 32"));
        assert!(error(embedder(Pooling::Mean, 2, 0)).contains("too short"));
        assert!(error(embedder(Pooling::Mean, 6, 4)).contains("overlap of 4"));
        assert!(error(Embedder { layer: 3, ..embedder(Pooling::Mean, 6, 0) }).contains("has 2 layers"));
        assert!(error(Embedder { batch_size: 0, ..embedder(Pooling::Mean, 6, 0) }).contains("at least 1"));
    }

    #[test]
    fn normalized_vectors_have_length_one() {
        let embedder = Embedder { normalize: true, ..embedder(Pooling::Cls, 32, 0) };
        let length: f32 = embed(embedder, &["a b"])[0].vector.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }
}
