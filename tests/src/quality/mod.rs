//! How good the product's own rules are, measured on public data with known answers; `cargo xtask quality …` prints the tables.

pub mod sections;
pub mod sentences;
