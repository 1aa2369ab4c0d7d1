//! Small models for the browser tests, with the answers that the reference backend gives: `engine_models FOLDER`.
//!
//! Every model is a folder of weights for the web in several encodings and an `expected.json`. The weights are new ones (so nobody's), with
//! biases and norms moved away from 0 and 1, so that a forgotten one shows.

use std::fs;
use std::path::Path;

use clinicalbert_core::bert::{Candle, Config, Encoding, Model, initialize};
use clinicalbert_core::tasks::embedding::Embedder;
use clinicalbert_core::tasks::masked_text::Masked;
use clinicalbert_core::tasks::pooling::Pooling;
use clinicalbert_core::tokenizer::{Case, SPECIAL_TOKENS, WordPiece};
use clinicalbert_core::weights::Tensors;
use clinicalbert_core::weights::web::{Description, MANIFEST, NamedFile, SHARD_BYTES, Source, TokenizerFacts, write};
use pollster::block_on;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Entries of every vocabulary.
const ENTRIES: usize = 600;

const POOLINGS: [(&str, Pooling); 4] =
    [("mean", Pooling::Mean), ("cls", Pooling::Cls), ("max", Pooling::Max), ("last-four", Pooling::LastFour)];

fn main() -> Outcome<()> {
    let folder = std::env::args().nth(1).ok_or("expected the folder to write")?;
    let folder = Path::new(&folder);
    // As wide as bert-mini and BERT-base; of the latter two layers, which have every shape that twelve have.
    model(&folder.join("mini"), (4, 256, 4, 1024), &[1, 7, 64, 128, 511, 512], SHARD_BYTES)?;
    model(&folder.join("base"), (2, 768, 12, 3072), &[1, 33, 128, 512], SHARD_BYTES)?;
    // For everything but numbers: many small shards.
    model(&folder.join("tiny"), (2, 32, 2, 64), &[1, 9], 20_000)
}

fn model(
    folder: &Path,
    (layers, hidden, heads, wide): (usize, usize, usize, usize),
    lengths: &[usize],
    shard_bytes: usize,
) -> Outcome<()> {
    let config = Config {
        vocab_size: ENTRIES,
        hidden_size: hidden,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        intermediate_size: wide,
        initializer_range: 0.05,
        ..Config::default()
    };
    let tensors = weights(&config);
    let vocabulary = vocabulary();
    let tokenizer = WordPiece::from_vocab(&vocabulary, Case::Cased)?;
    for (name, encoding) in [("f32", Encoding::F32), ("f16", Encoding::F16), ("int8", Encoding::Int8)] {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("vocab.txt"), &vocabulary)?;
        let tokenizer_facts = TokenizerFacts {
            vocabulary: NamedFile::of("vocab.txt", vocabulary.as_bytes()),
            is_cased: true,
            max_length: config.max_position_embeddings,
        };
        let description = Description { config: config.clone(), tokenizer: tokenizer_facts, source: Source::default() };
        let manifest = write(&description, &tensors, encoding, shard_bytes, |name, bytes| {
            fs::write(folder.join(name), bytes).map_err(Box::<dyn std::error::Error>::from)
        })?;
        fs::write(folder.join(MANIFEST), manifest.to_json()?)?;
        let model = Model::encoded(Candle::default(), &config, &tensors, encoding)?;
        fs::write(folder.join("expected.json"), expected(&model, &tokenizer, lengths)?.to_string())?;
    }
    Ok(())
}

fn weights(config: &Config) -> Tensors {
    let mut tensors = initialize(config, 1);
    for tensor in tensors.values_mut().filter(|tensor| tensor.shape.len() == 1) {
        (0_u16..).zip(&mut tensor.data).for_each(|(place, value)| *value += f32::from(place % 97) / 485.0 - 0.1);
    }
    tensors
}

/// Words of two letters after the special tokens: `aa`, `ab`, …
fn vocabulary() -> String {
    let letter = |number: usize| char::from(b'a' + (number % 26) as u8);
    let word = |number: usize| [letter(number / 26), letter(number)].iter().collect::<String>();
    SPECIAL_TOKENS.iter().map(ToString::to_string).chain((0..ENTRIES - 5).map(word)).map(|entry| entry + "\n").collect()
}

fn longest_of(lengths: &[usize]) -> usize {
    lengths.iter().copied().max().unwrap_or(1)
}

/// A row of ids of its own for every number.
fn ids(length: usize, number: usize) -> Vec<u32> {
    (0..length).map(|at| 5 + ((at * 31 + number * 17) % (ENTRIES - 5)) as u32).collect()
}

/// Inputs and what the model makes of them: `batches` of rows of ids with their vectors by pooling, `texts` with their vectors, `masks`
/// with all probabilities.
fn expected(model: &Model<Candle>, tokenizer: &WordPiece, lengths: &[usize]) -> Outcome<Value> {
    let longest = longest_of(lengths);
    // Every length alone; all together, padded; sixteen of one length and sixteen of many.
    let mut batches: Vec<Vec<usize>> = lengths.iter().map(|length| vec![*length]).collect();
    batches.push(lengths.to_vec());
    batches.push(vec![12; 16]);
    batches.push((0..16).map(|row| 1 + row * (longest.min(48) - 1) / 15).collect());
    let mut answers = Vec::new();
    for batch in batches {
        let rows: Vec<_> = batch.iter().enumerate().map(|(number, length)| ids(*length, number)).collect();
        let mut vectors = serde_json::Map::new();
        // The other poolings are of the same states: small batches are enough for them.
        let is_small = rows.len() * longest_of(&batch) <= 200;
        let poolings = POOLINGS.into_iter().take(if is_small { POOLINGS.len() } else { 1 });
        for (name, pooling) in poolings {
            let embedder = Embedder { pooling, ..Embedder::of(model.config()) };
            let embeddings = block_on(embedder.embed_ids(model, rows.clone()))?;
            vectors.insert(name.into(), embeddings.iter().map(|embedding| json!(embedding.vector)).collect());
        }
        answers.push(json!({ "rows": rows, "vectors": vectors }));
    }
    let texts = ["aa ab ac", "zz", &"ba ".repeat(700), ""];
    let embeddings = block_on(Embedder::of(model.config()).embed(model, tokenizer, texts))?;
    let vectors: Vec<_> = embeddings.iter().map(|embedding| json!(embedding.vector)).collect();
    let mut masks = Vec::new();
    for text in ["aa [MASK] ac", "[MASK] [MASK] ba."] {
        let masked = Masked::new(text, tokenizer, model.config())?;
        let scores = |filled: &Vec<clinicalbert_core::tasks::masked_text::Filled>| {
            let mut scores = vec![0.0; ENTRIES];
            filled.iter().for_each(|one| scores[one.token as usize] = one.score);
            scores
        };
        let alone: Vec<_> = block_on(masked.fill(model, ENTRIES))?.iter().map(scores).collect();
        masks.push(json!({ "text": text, "scores": alone, "jointly": block_on(masked.fill_jointly(model, 2))? }));
    }
    Ok(json!({ "batches": answers, "texts": texts, "vectors": vectors, "masks": masks }))
}
