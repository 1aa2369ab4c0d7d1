//! How good the text stages are on public gold data, as tables that `cargo xtask quality …` prints.

pub mod sentences;
