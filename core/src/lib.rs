//! Clinical notes to BERT: everything that needs no file, no clock and no thread of its own.
//!
//! Bytes and text go in, values come out, the same on a workstation and in a browser tab. Data flows one way:
//!
//! ```text
//! note text ── text::split_note ──▶ sections, sentences (byte offsets into the note)
//!           ── tokenizer::WordPiece ──▶ token ids
//!           ── examples ──▶ masked MLM + NSP examples ──▶ TFRecord bytes
//!           ── bert ──▶ losses, gradients, hidden states ──▶ weights (safetensors, TensorFlow, PyTorch), onnx
//! ```
//!
//! From a note to sentences that lead back to it:
//!
//! ```
//! use clinicalbert_core::text::{SplitOptions, split_note};
//!
//! let text = "HISTORY OF PRESENT ILLNESS:\nShe was seen by Dr. [**Last Name 12**] on 5.5 mg\nof warfarin. No falls.\n";
//! let note = split_note(text, SplitOptions::default())?;
//! let sentences: Vec<&str> = note.sentences.iter().map(|sentence| sentence.text.as_ref()).collect();
//! assert_eq!(
//!     sentences,
//!     ["HISTORY OF PRESENT ILLNESS:", "She was seen by Dr. [**Last Name 12**] on 5.5 mg of warfarin.", "No falls."]
//! );
//! assert_eq!(note.sentences[2].span.of(text), "No falls.");
//! # Ok::<(), clinicalbert_core::Error>(())
//! ```
//!
//! The features keep text work light: `tokenizer` brings the `tokenizers` crate, `candle` the CPU backend with gradients,
//! `cpu` the one without, for inference.

pub mod bert;
mod checksum;
mod error;
pub mod examples;
pub mod onnx;
pub mod protobuf;
pub mod tasks;
pub mod text;
#[cfg(feature = "tokenizer")]
pub mod tokenizer;
pub mod weights;

pub use error::{Error, FileFault, Result};
