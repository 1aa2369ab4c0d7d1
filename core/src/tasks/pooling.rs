//! One vector for a text from the vectors of its tokens.

use serde::{Deserialize, Serialize};

use crate::{Error, Result, bert::Batch, weights::HostTensor};

/// How token vectors become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Mean of the last layer over all tokens that are not padding, `[CLS]` and `[SEP]` included (as sentence-transformers does).
    #[default]
    Mean,
    /// The last layer at `[CLS]`. Poor for similarity unless a model was tuned for it.
    Cls,
    /// Largest value of each dimension over those tokens, last layer.
    Max,
    /// Mean over those tokens and over the last four layers (of a smaller model: over all its states, the embeddings included).
    LastFour,
}

/// One vector for each row of the batch, from all its hidden states, `[batch, length, hidden]` each.
///
/// # Errors
/// [`Error::Batch`] if states and batch do not belong together or a row has no token.
pub fn pool(pooling: Pooling, states: &[HostTensor], batch: &Batch) -> Result<Vec<Vec<f32>>> {
    let last = states.last().ok_or_else(|| Error::Batch("expected hidden states, found none".into()))?;
    let width = match last.shape.as_slice() {
        [rows, length, width] if *rows == batch.rows && *length == batch.length && *width > 0 => *width,
        found => {
            return Err(Error::Batch(format!(
                "expected states of {} rows of {} tokens, found {found:?}",
                batch.rows, batch.length
            )));
        }
    };
    let used = match pooling {
        Pooling::LastFour => states.get(states.len().saturating_sub(4)..).unwrap_or_default(),
        _ => std::slice::from_ref(last),
    };
    let masks = batch.attention_mask.chunks_exact(batch.length.max(1)).enumerate();
    masks
        .map(|(row, mask)| {
            let tokens = used.iter().flat_map(|state| {
                let rows = state.data.chunks_exact(width).skip(row * batch.length);
                rows.zip(mask).filter(|(_, mask)| **mask == 1).map(|(values, _)| values)
            });
            combine(pooling, tokens).ok_or_else(|| Error::Batch(format!("row {row} has no token")))
        })
        .collect()
}

fn combine<'a>(pooling: Pooling, mut tokens: impl Iterator<Item = &'a [f32]>) -> Option<Vec<f32>> {
    let mut result = tokens.next()?.to_vec();
    let mut count = 1.0_f32;
    match pooling {
        Pooling::Cls => return Some(result),
        Pooling::Max => {
            for token in tokens {
                result.iter_mut().zip(token).for_each(|(largest, value)| *largest = largest.max(*value));
            }
            return Some(result);
        }
        Pooling::Mean | Pooling::LastFour => {
            for token in tokens {
                result.iter_mut().zip(token).for_each(|(sum, value)| *sum += value);
                count += 1.0;
            }
        }
    }
    result.iter_mut().for_each(|sum| *sum /= count);
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of three tokens, two dimensions; the second row has one token of padding.
    fn states() -> (Vec<HostTensor>, Batch) {
        let state = |shift: f32| HostTensor {
            shape: vec![2, 3, 2],
            data: [1.0, -1.0, 2.0, -2.0, 6.0, -6.0, 4.0, 0.0, 8.0, 2.0, 99.0, 99.0].map(|value| value + shift).to_vec(),
        };
        let batch = Batch::from_rows([(&[2_u32, 5, 3][..], &[0_u8; 3][..]), (&[2, 3], &[0; 2])]).unwrap();
        ([50.0, 3.0, 2.0, 1.0, 0.0].map(state).to_vec(), batch)
    }

    #[test]
    fn padding_counts_in_no_pooling() {
        let (states, batch) = states();
        let pooled = |pooling| pool(pooling, &states, &batch).unwrap();
        assert_eq!(pooled(Pooling::Mean), [[3.0, -3.0], [6.0, 1.0]]);
        assert_eq!(pooled(Pooling::Cls), [[1.0, -1.0], [4.0, 0.0]]);
        assert_eq!(pooled(Pooling::Max), [[6.0, -1.0], [8.0, 2.0]]);
        assert_eq!(pooled(Pooling::LastFour), [[4.5, -1.5], [7.5, 2.5]]);
    }

    #[test]
    fn states_of_another_batch_are_refused() {
        let (states, batch) = states();
        let other = Batch { length: 2, ..batch };
        assert!(pool(Pooling::Mean, &states, &other).unwrap_err().to_string().contains("[2, 3, 2]"));
    }
}
