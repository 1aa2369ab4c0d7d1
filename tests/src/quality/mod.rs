//! How good the product's own rules are, measured on public data with known answers, and what a model loses in int8; `cargo xtask quality …` prints the tables.

pub mod int8;
pub mod sections;
pub mod sentences;
