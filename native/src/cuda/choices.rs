//! Which of cuBLASLt's algorithms was fastest for every product, kept for the next start.
//!
//! Another algorithm sums in another order, so that a run that is resumed has the bits of one that was not only if it finds the same
//! choices: they are what makes the file more than a saving of time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cache;

/// Choices for one GPU, driver and library.
#[derive(Debug, Serialize, Deserialize)]
pub struct Choices {
    machine: String,
    products: BTreeMap<String, Choice>,
    #[serde(skip)]
    changed: bool,
}

/// The choice for a product.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Choice {
    /// `cublasLtMatmulAlgo_t`, which the library allows to be stored.
    pub algorithm: [u64; 8],
    /// How long the product took.
    pub microseconds: f32,
    /// How many algorithms were timed.
    pub candidates: usize,
}

impl Choices {
    /// Those that were kept for this machine: everything that another choice may be best for, in words.
    pub fn of(machine: String) -> Self {
        let kept = cache::read(&file(&machine)).and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        kept.filter(|kept| kept.machine == machine).unwrap_or(Self { machine, products: BTreeMap::new(), changed: false })
    }

    /// The choice for a product.
    pub fn get(&self, product: &str) -> Option<Choice> {
        self.products.get(product).copied()
    }

    /// Notes a choice.
    pub fn insert(&mut self, product: String, choice: Choice) {
        self.products.insert(product, choice);
        self.changed = true;
    }

    /// Keeps what has been chosen since the last time; whether that worked.
    pub fn keep(&mut self) -> bool {
        if !std::mem::take(&mut self.changed) {
            return true;
        }
        serde_json::to_vec_pretty(self).is_ok_and(|bytes| cache::write(&file(&self.machine), &bytes))
    }
}

fn file(machine: &str) -> String {
    let digest = Sha256::digest(machine);
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("products-{name}.json")
}
