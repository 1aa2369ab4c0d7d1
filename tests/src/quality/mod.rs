//! How good the product's own rules are, measured on public data with known answers.

pub mod sections;
