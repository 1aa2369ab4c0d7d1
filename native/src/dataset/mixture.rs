//! Several preparations as one endless stream in which each has its share, computed for any place at once.
//!
//! Places are cut into rounds. Within a round every source owns as many slots as its weight says; the slots are shuffled by
//! (seed, round). Where a slot lies among its source's own says which of the source's examples comes, so each source goes through its own
//! shuffled epochs without leaving anything out.

use anyhow::{Result, ensure};

use super::{Dataset, Order};

/// Slots of a round: weights are met to one in ten thousand.
const ROUND: u64 = 10_000;

/// Sources and their shares.
#[derive(Debug)]
pub struct Mixture {
    sources: Vec<Dataset>,
    /// First slot of each source, and after the last the length of a round.
    borders: Vec<u64>,
}

/// What stands at a place of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the source.
    pub source: usize,
    /// How often the source was gone through before.
    pub epoch: u64,
    /// Number of the example in the source.
    pub example: u64,
}

impl Mixture {
    /// Of sources with these weights; if none is given, their numbers of examples.
    ///
    /// # Errors
    /// No source, weights for some of them only, or a weight that is next to nothing.
    pub fn new(sources: Vec<Dataset>, weights: &[Option<f64>]) -> Result<Self> {
        ensure!(!sources.is_empty(), "nothing to train on: give --data (prepared examples) or --notes");
        let given: Vec<f64> = weights.iter().copied().flatten().collect();
        ensure!(
            given.is_empty() || given.len() == sources.len(),
            "expected a weight for every --data or for none, found {} for {}: --data A=2 --data B=1",
            given.len(),
            sources.len()
        );
        let sizes = || sources.iter().map(|source| source.len() as f64).collect();
        let slots = match sources.len() {
            1 => vec![1],
            _ => apportion(&if given.is_empty() { sizes() } else { given }),
        };
        if let Some((source, _)) = sources.iter().zip(&slots).find(|(_, slots)| **slots == 0) {
            anyhow::bail!(
                "the weight of {} is less than one in {ROUND} of all: leave it out, or give it more",
                source.path().display()
            );
        }
        let borders = std::iter::once(0).chain(slots.iter().scan(0, |sum, slots| {
            *sum += slots;
            Some(*sum)
        }));
        Ok(Self { borders: borders.collect(), sources })
    }

    /// The sources.
    pub fn sources(&self) -> &[Dataset] {
        &self.sources
    }

    /// What stands at `place` of the stream of `seed`.
    pub fn at(&self, seed: u64, place: u64) -> Place {
        let round_length = self.borders.last().copied().unwrap_or(1).max(1);
        let (round, slot) = (place / round_length, place % round_length);
        let slot = Order::new(seed, round, round_length).at(slot);
        let source = self.borders.partition_point(|border| *border <= slot).saturating_sub(1);
        let border = |at: usize| self.borders.get(at).copied().unwrap_or(0);
        let index = round * (border(source + 1) - border(source)) + (slot - border(source));
        let examples = self.sources.get(source).map_or(1, Dataset::len);
        let epoch = index / examples;
        Place { source, epoch, example: Order::new(seed, epoch, examples).at(index % examples) }
    }
}

/// Slots for weights: whole parts, then the largest remainders.
fn apportion(weights: &[f64]) -> Vec<u64> {
    let sum: f64 = weights.iter().sum();
    let shares: Vec<f64> = weights.iter().map(|weight| weight / sum * ROUND as f64).collect();
    let mut slots: Vec<u64> = shares.iter().map(|share| share.floor() as u64).collect();
    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    let remainder = |at: &usize| shares.get(*at).map_or(0.0, |share| share.fract());
    by_remainder.sort_by(|a, b| remainder(b).total_cmp(&remainder(a)));
    let left = ROUND.saturating_sub(slots.iter().sum());
    for at in by_remainder.into_iter().cycle().take(left as usize) {
        if let Some(slots) = slots.get_mut(at) {
            *slots += 1;
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::super::tests::write;
    use super::*;

    /// Sources of so many examples.
    fn mixture(sizes: &[u32], weights: &[Option<f64>]) -> Result<Mixture> {
        let folders: Vec<_> = sizes.iter().map(|_| tempfile::tempdir().unwrap()).collect();
        for (folder, size) in folders.iter().zip(sizes) {
            write(folder.path(), &[&(0..*size).collect::<Vec<_>>()], 2);
        }
        Mixture::new(folders.iter().map(|folder| Dataset::open(folder.path()).unwrap()).collect(), weights)
    }

    #[test]
    fn a_single_source_is_its_own_shuffled_epochs() {
        let mixture = mixture(&[7], &[None]).unwrap();
        for place in 0..21 {
            let expected = Place { source: 0, epoch: place / 7, example: Order::new(3, place / 7, 7).at(place % 7) };
            assert_eq!(mixture.at(3, place), expected);
        }
    }

    #[test]
    fn sources_come_as_often_as_they_weigh_and_each_goes_through_all_its_examples() {
        let mixture = mixture(&[5, 40], &[Some(2.0), Some(1.0)]).unwrap();
        let mut counts = [vec![0_u32; 5], vec![0_u32; 40]];
        for place in 0..30_000 {
            let at = mixture.at(1, place);
            counts[at.source][at.example as usize] += 1;
        }
        // Three rounds of 6,667 and 3,333 slots: epochs are complete but for the last.
        assert_eq!(counts.each_ref().map(|counts| counts.iter().sum::<u32>()), [20_001, 9_999]);
        assert!(counts[0].iter().all(|count| (4000..=4001).contains(count)), "{counts:?}");
        assert!(counts[1].iter().all(|count| (249..=250).contains(count)), "{counts:?}");
        // Shuffled within the round, not one source after the other.
        let first: usize = (0..100).filter(|place| mixture.at(1, *place).source == 0).count();
        assert!((50..84).contains(&first), "{first}");
    }

    #[test]
    fn without_weights_every_example_is_as_likely() {
        let mixture = mixture(&[30, 10], &[None, None]).unwrap();
        assert_eq!(mixture.borders, [0, 7500, 10_000]);
    }

    #[test]
    fn weights_that_cannot_be_meant_are_refused() {
        let error = |weights: &[Option<f64>]| mixture(&[1, 1], weights).unwrap_err().to_string();
        assert!(error(&[Some(1.0), None]).contains("found 1 for 2"));
        assert!(error(&[Some(1e9), Some(1.0)]).contains("less than one in 10000"));
        assert!(Mixture::new(Vec::new(), &[]).unwrap_err().to_string().contains("--data"));
    }
}
