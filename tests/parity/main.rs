//! Behaviour compared with stored outputs of the original programs.
//!
//! The stored outputs lie in `../shared` beside the checkout. Where they are absent a test says
//! `skipped: needs ../shared/…` and passes.

mod bert;
mod convert;
mod examples;
mod sections;
mod sentences;
mod tokenizer;
mod weights;
