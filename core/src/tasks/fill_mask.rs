//! Filling masks: each for itself, or several together.
//!
//! Scored each for itself, two neighbouring masks can get two halves of different words. Together, masks are filled from left to
//! right, each given those before it, and the likeliest whole fillings are kept (beam search).

use crate::{
    Error, Result,
    bert::{Backend, Batch, Model},
};

/// A token for a mask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Token id.
    pub id: u32,
    /// Probability.
    pub score: f64,
}

/// Tokens for all masks of a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filling {
    /// Token ids, one for each mask from the left.
    pub ids: Vec<u32>,
    /// Product of the probabilities, each given the masks before it.
    pub score: f64,
}

/// The `top_k` likeliest tokens of a row of scores over the vocabulary, best first; of equals the lower id first.
pub fn top_candidates(logits: &[f32], top_k: usize) -> Vec<Candidate> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let normalizer: f64 = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum();
    let mut order: Vec<_> = (0_u32..).zip(logits).collect();
    let better = |a: &(u32, &f32), b: &(u32, &f32)| b.1.total_cmp(a.1).then(a.0.cmp(&b.0));
    if top_k < order.len() {
        order.select_nth_unstable_by(top_k, better);
        order.truncate(top_k);
    }
    order.sort_unstable_by(better);
    let candidate = |(id, logit): (u32, &f32)| Candidate { id, score: f64::from(logit - largest).exp() / normalizer };
    order.into_iter().map(candidate).collect()
}

/// The `top_k` likeliest fillings of `masks` masks together.
///
/// `next` gets the beginnings of fillings, all of one length n, and returns for each the scores over the vocabulary of mask number n
/// (from 0), with the masks before it filled. It is asked once for each mask.
///
/// # Errors
/// Those of `next`, and [`Error::Batch`] if it returns another number of rows than it was asked for.
pub async fn fill_jointly(
    masks: usize,
    top_k: usize,
    mut next: impl AsyncFnMut(&[Vec<u32>]) -> Result<Vec<Vec<f32>>>,
) -> Result<Vec<Filling>> {
    let mut beam = vec![Filling { ids: Vec::new(), score: 1.0 }];
    for _ in 0..masks {
        let beginnings: Vec<_> = beam.iter().map(|filling| filling.ids.clone()).collect();
        let rows = next(&beginnings).await?;
        if rows.len() != beam.len() {
            return Err(Error::Batch(format!("expected scores for {} fillings, found {}", beam.len(), rows.len())));
        }
        let longer = beam.iter().zip(&rows).flat_map(|(filling, row)| {
            top_candidates(row, top_k).into_iter().map(|candidate| Filling {
                ids: filling.ids.iter().copied().chain([candidate.id]).collect(),
                score: filling.score * candidate.score,
            })
        });
        let mut longer: Vec<_> = longer.collect();
        longer.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.ids.cmp(&b.ids)));
        longer.truncate(top_k);
        beam = longer;
    }
    Ok(beam)
}

/// A text of which some tokens are to be found.
#[derive(Debug, Clone, Copy)]
pub struct MaskedText<'a> {
    /// Token ids, `[CLS]` to `[SEP]`.
    pub ids: &'a [u32],
    /// Segment of every token.
    pub types: &'a [u8],
    /// The id of `[MASK]`.
    pub mask: u32,
}

impl MaskedText<'_> {
    fn masks(&self) -> Result<Vec<u32>> {
        let masks: Vec<_> = (0..).zip(self.ids).filter(|(_, id)| **id == self.mask).map(|(position, _)| position).collect();
        match masks.is_empty() {
            true => Err(Error::Batch("expected at least one [MASK] in the text, found none".into())),
            false => Ok(masks),
        }
    }

    /// The `top_k` likeliest tokens of every mask, the other masks left unfilled.
    ///
    /// # Errors
    /// [`Error::Batch`] if there is no mask or the text does not fit the model, [`Error::Tensor`] without an MLM head.
    pub async fn fill_independently<B: Backend>(&self, model: &Model<B>, top_k: usize) -> Result<Vec<Vec<Candidate>>> {
        let batch = Batch::from_rows([(self.ids, self.types)])?;
        let logits = model.mlm_logits(&batch, &self.masks()?).await?;
        Ok(logits.data.chunks_exact(model.config().vocab_size).map(|row| top_candidates(row, top_k)).collect())
    }

    /// The `top_k` likeliest fillings of all masks together.
    ///
    /// # Errors
    /// As [`Self::fill_independently`].
    pub async fn fill_jointly<B: Backend>(&self, model: &Model<B>, top_k: usize) -> Result<Vec<Filling>> {
        let masks = self.masks()?;
        fill_jointly(masks.len(), top_k, async |beginnings| {
            let texts: Vec<_> = beginnings.iter().map(|ids| self.filled(ids)).collect();
            let batch = Batch::from_rows(texts.iter().map(|ids| (ids.as_slice(), self.types)))?;
            let filled = beginnings.first().map_or(0, Vec::len);
            let position = masks.get(filled).copied().unwrap_or_default();
            let positions: Vec<_> = (0..texts.len() as u32).map(|row| row * self.ids.len() as u32 + position).collect();
            let logits = model.mlm_logits(&batch, &positions).await?;
            Ok(logits.data.chunks_exact(model.config().vocab_size).map(<[f32]>::to_vec).collect())
        })
        .await
    }

    /// The text with its first masks filled.
    fn filled(&self, ids: &[u32]) -> Vec<u32> {
        let mut left = ids.iter();
        let fill = |id: &u32| if *id == self.mask { left.next().copied().unwrap_or(*id) } else { *id };
        self.ids.iter().map(fill).collect()
    }
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;

    #[test]
    fn candidates_come_best_first_with_their_softmax() {
        let found = top_candidates(&[0.0, 2.0_f32.ln(), 0.0], 2);
        assert_eq!(found.iter().map(|candidate| candidate.id).collect::<Vec<_>>(), [1, 0]);
        assert!((found[0].score - 0.5).abs() < 1e-6 && (found[1].score - 0.25).abs() < 1e-6);
        assert_eq!(top_candidates(&[1.0], 5).len(), 1);
    }

    /// Token 0 is a little likelier at first, but only after token 1 is anything sure.
    #[test]
    fn together_a_worse_beginning_can_win() {
        let rows = async |beginnings: &[Vec<u32>]| {
            let row = |ids: &Vec<u32>| match ids[..] {
                [] => vec![0.6_f32.ln(), 0.4_f32.ln()],
                [0] => vec![0.5_f32.ln(), 0.5_f32.ln()],
                _ => vec![0.01_f32.ln(), 0.99_f32.ln()],
            };
            Ok(beginnings.iter().map(row).collect())
        };
        let found = block_on(fill_jointly(2, 2, rows)).unwrap();
        assert_eq!(found[0].ids, [1, 1]);
        assert!((found[0].score - 0.396).abs() < 1e-6);
        assert_eq!(found[1].ids, [0, 0]);
    }

    #[cfg(feature = "candle")]
    #[test]
    fn a_single_mask_is_the_same_both_ways_and_no_mask_is_an_error() {
        use crate::bert::{Candle, Config, initialize};
        let config = Config {
            vocab_size: 11,
            hidden_size: 8,
            num_attention_heads: 2,
            num_hidden_layers: 1,
            intermediate_size: 16,
            max_position_embeddings: 8,
            initializer_range: 0.5,
            ..Config::default()
        };
        let model = Model::new(Candle::default(), &config, &initialize(&config, 1)).unwrap();
        let text = MaskedText { ids: &[2, 5, 4, 7, 3], types: &[0; 5], mask: 4 };
        let alone = block_on(text.fill_independently(&model, 3)).unwrap();
        let together = block_on(text.fill_jointly(&model, 3)).unwrap();
        for (alone, together) in alone[0].iter().zip(&together) {
            assert_eq!(vec![alone.id], together.ids);
            assert!((alone.score - together.score).abs() < 1e-6);
        }
        let two = block_on(MaskedText { ids: &[2, 4, 4, 7, 3], ..text }.fill_jointly(&model, 2)).unwrap();
        assert_eq!(two[0].ids.len(), 2);
        let none = MaskedText { ids: &[2, 5, 3], types: &[0; 3], mask: 4 };
        assert!(block_on(none.fill_jointly(&model, 3)).unwrap_err().to_string().contains("[MASK]"));
    }
}
