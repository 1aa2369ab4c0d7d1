//! Where a run stands. Together with settings, data, weights and moments it decides everything that is still to come.
//!
//! Numbers with a fraction are single precision: JSON gives them back bit for bit, which doubles are not promised.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::watchdog::Trends;

/// `state.json` of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Updates done, those that were left out included.
    pub step: u64,
    /// What the run has seen of each of its sources.
    pub data: Vec<Consumed>,
    /// Updates that were undone and left out, in order.
    pub left_out: Vec<LeftOut>,
    /// What the watchdog takes for usual.
    pub trends: Trends,
    /// The best evaluation so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// Program and version that wrote it.
    pub program: String,
    /// SHA-256 of every other file of the checkpoint, hexadecimal.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// Examples of one source that updates were made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumed {
    /// The source's name, without the folders above it.
    pub name: String,
    /// The source's [`crate::dataset::Dataset::fingerprint`].
    pub fingerprint: String,
    /// Examples seen in each epoch.
    pub epochs: Vec<u64>,
}

/// An update that was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its number from 1: the updates that are done after it.
    pub step: u64,
    /// What was wrong with it.
    pub reason: String,
}

/// The evaluation with the lowest held-out MLM loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Updates done; the checkpoint's name.
    pub step: u64,
    /// Held-out MLM loss.
    pub mlm_loss: f32,
}

impl State {
    /// Before the first update.
    pub fn new(data: Vec<Consumed>) -> Self {
        Self { data, program: concat!("clinicalbert ", env!("CARGO_PKG_VERSION")).into(), ..Self::default() }
    }

    /// Whether the next update is to be left out, and why.
    pub fn next_left_out(&self) -> Option<&LeftOut> {
        self.left_out.iter().find(|left_out| left_out.step == self.step + 1)
    }

    /// Examples that updates were made from.
    pub fn examples(&self) -> u64 {
        self.data.iter().flat_map(|source| &source.epochs).sum()
    }
}

impl Consumed {
    /// Nothing yet of the source at `path`.
    pub fn new(path: &Path, fingerprint: String) -> Self {
        Self { name: file_name(path), fingerprint, epochs: Vec::new() }
    }

    /// Counts an example of an epoch.
    pub fn add(&mut self, epoch: u64) {
        let epoch = epoch as usize;
        if self.epochs.len() <= epoch {
            self.epochs.resize(epoch + 1, 0);
        }
        if let Some(count) = self.epochs.get_mut(epoch) {
            *count += 1;
        }
    }
}

/// The last part of a path: checkpoints and cards are published, and the rest of a path tells about the machine.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_bit_for_bit() {
        let mut state = State::new(vec![Consumed::new(Path::new("/home/me/notes"), "ab".into())]);
        state.data[0].add(1);
        state.best = Some(Best { step: 3, mlm_loss: 0.1 + 0.2 });
        for number in 1..1000_u16 {
            state.trends.add(f64::from(number).ln().sin().abs() + 0.1, 1.0 / f64::from(number));
        }
        state.left_out.push(LeftOut { step: 1, reason: "loss NaN".into() });
        assert!(state.next_left_out().is_some());
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
        assert_eq!((state.data[0].name.as_str(), state.data[0].epochs.as_slice()), ("notes", &[0, 1][..]));
    }
}
