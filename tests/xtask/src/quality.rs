//! Prints how good the product's own rules are, measured on public data with known answers.
//!
//! A program of its own, because it is built on the core, which `cargo xtask` is not.

use clinicalbert_tests::quality::{sections, sentences};

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted != "sentences" {
        println!("{}", sections::report());
    }
    if wanted != "sections" {
        println!("{}", sentences::report());
    }
}
