//! Rows for new entries of a vocabulary.

use super::{Config, initialize};
use crate::{Error, Result, weights::Tensors};

/// A row for a new entry and where its values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRow {
    /// Id of the entry.
    pub id: u32,
    /// Ids of the pieces that its word was cut into before.
    pub pieces: Vec<u32>,
}

const WORDS: &str = "bert.embeddings.word_embeddings.weight";
/// Tables by entry of the vocabulary; a model without the MLM head has only the first. The decoder is tied to it.
const TABLES: [&str; 2] = [WORDS, "cls.predictions.bias"];

/// Gives every new row the mean of its pieces' rows, in the word embeddings and in the MLM head's bias, so that the model begins with
/// what it knew of the word. Other rows up to `rows` are drawn as new weights, their biases are 0.
///
/// # Errors
/// [`Error::Tensor`] if a table is missing or has no row for a piece.
pub fn extend(config: &mut Config, tensors: &mut Tensors, new_rows: &[NewRow], rows: usize, seed: u64) -> Result<()> {
    let old_rows = config.vocab_size;
    config.vocab_size = old_rows.max(rows);
    let new = initialize(config, seed);
    if !tensors.contains_key(WORDS) {
        return Err(Error::Tensor { name: WORDS.into(), reason: "is missing: only a model with it can be extended".into() });
    }
    for name in TABLES {
        let (Some(table), Some(drawn)) = (tensors.get_mut(name), new.get(name)) else { continue };
        let width = table.data.len() / old_rows.max(1);
        let old = table.data.clone();
        table.data.extend(drawn.data.iter().skip(old_rows * width));
        table.shape.clone_from(&drawn.shape);
        for NewRow { id, pieces } in new_rows {
            let mean = mean_row(&old, width, pieces).ok_or_else(|| Error::Tensor {
                name: name.into(),
                reason: format!("has no row for one of the pieces {pieces:?} of entry {id}: it has {old_rows}"),
            })?;
            let place = table.data.iter_mut().skip(*id as usize * width).take(width);
            place.zip(mean).for_each(|(to, from)| *to = from);
        }
    }
    Ok(())
}

fn mean_row(table: &[f32], width: usize, pieces: &[u32]) -> Option<Vec<f32>> {
    let mut sum = vec![0.0_f32; width];
    for piece in pieces {
        let start = *piece as usize * width;
        for (sum, value) in sum.iter_mut().zip(table.get(start..start + width)?) {
            *sum += value;
        }
    }
    let count = pieces.len().max(1) as f32;
    Some(sum.into_iter().map(|sum| sum / count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_entries_begin_as_the_mean_of_their_pieces() {
        let config = Config { vocab_size: 6, hidden_size: 4, num_attention_heads: 1, num_hidden_layers: 1, ..Config::default() };
        let before = initialize(&config, 1);
        let (mut extended, mut tensors) = (config.clone(), before.clone());
        let bias = tensors.get_mut("cls.predictions.bias").unwrap();
        bias.data = vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let entries = [NewRow { id: 2, pieces: vec![4, 5] }, NewRow { id: 6, pieces: vec![3] }];
        extend(&mut extended, &mut tensors, &entries, 8, 1).unwrap();
        assert_eq!(extended.vocab_size, 8);
        assert_eq!(tensors["cls.predictions.bias"].data, [0.0, 1.0, 4.5, 3.0, 4.0, 5.0, 3.0, 0.0]);
        let (old, words) = (&before[WORDS].data, &tensors[WORDS]);
        assert_eq!(words.shape, [8, 4]);
        assert_eq!(words.data[..8], old[..8]);
        assert_eq!(words.data[8], (old[16] + old[20]) / 2.0);
        assert_eq!(words.data[24..28], old[12..16]);
        assert_eq!(words.data[28..], initialize(&extended, 1)[WORDS].data[28..], "padding is drawn");
        let beyond = [NewRow { id: 6, pieces: vec![9] }];
        assert!(extend(&mut config.clone(), &mut before.clone(), &beyond, 8, 1).unwrap_err().to_string().contains("no row"));
    }
}
