//! The one error type of the crate: what was expected, what was found and where, never any note text.

/// What can go wrong in the core. Variants are things a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A vocabulary, tokenizer file or token id that cannot be used.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A note that the original program itself fails on (only with the splitters `faithful` and `fixed`, which copy its bugs).
    #[error("the original splitter loses this note: {0}")]
    LostByOriginalRules(&'static str),
    /// Sentence boundaries of another program that do not fit the note they are for.
    #[error("sentence boundaries: {0}")]
    Boundaries(String),
    /// Settings or input of example making that cannot work.
    #[error("examples: {0}")]
    Examples(String),
    /// Bytes that are not the record format they should be.
    #[error("record {index} at byte {offset}: {reason}")]
    Record {
        /// Number of the record in its file, from 0.
        index: u64,
        /// Byte offset of the record's start.
        offset: u64,
        /// What was expected and what was found.
        reason: String,
    },
    /// A model configuration that cannot be read or is inconsistent.
    #[error("model configuration: {0}")]
    Config(String),
    /// A tensor that is missing, has another shape than expected, or holds values that are not finite.
    #[error("tensor {name}: {reason}")]
    Tensor {
        /// The tensor's name as its file or the parameter table spells it.
        name: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// A weights file that is damaged or of a kind that is not supported.
    #[error("weights: {0}")]
    Weights(String),
    /// Weights for the web in another version of their format than this program reads.
    #[error(
        "manifest.json has version {found} of the format, expected {expected}: convert the model with `native convert --to web` of this \
         program's version"
    )]
    ManifestVersion {
        /// What the manifest says.
        found: u64,
        /// What is read.
        expected: u32,
    },
    /// A file that a manifest names and that is not as it says.
    #[error("{name} {fault}")]
    File {
        /// The file's name.
        name: String,
        /// What is wrong with it.
        fault: FileFault,
    },
    /// A text that a task cannot do anything with: nothing to fill in, or too long.
    #[error("{0}")]
    Text(String),
    /// A setting that the model cannot work with.
    #[error("{0}")]
    Settings(String),
    /// A batch that the model cannot take (too long, ids out of range, rows of different lengths).
    #[error("batch: {0}")]
    Batch(String),
    /// The tensor library underneath failed.
    #[error("tensor operation: {0}")]
    Backend(String),
    /// There is no GPU that can be used.
    #[error("no usable GPU: {0}")]
    NoGpu(String),
    /// A machine allows less than a model or a batch needs.
    #[error("{what} needs {needed}, but this GPU's {limit} is {allowed}: {fix}")]
    Limit {
        /// What is too large.
        what: String,
        /// WebGPU's name of the limit, or what the kernels can do.
        limit: &'static str,
        /// What would be needed, in the limit's unit.
        needed: u64,
        /// What there is.
        allowed: u64,
        /// What to do about it.
        fix: &'static str,
    },
    /// The GPU has no memory left.
    #[error("out of GPU memory: {0}; use a smaller batch, a shorter text, or weights of fewer bits")]
    OutOfMemory(String),
    /// The GPU is gone (its driver was reset or updated, the computer slept): everything on it is lost, load the model again.
    #[error("the GPU was lost: {0}; load the model again")]
    DeviceLost(String),
}

/// What is wrong with a file that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// It is not there, or a later one came in its place.
    #[error("is missing: it belongs beside manifest.json, and before the next shard")]
    Missing,
    /// It is shorter or longer.
    #[error("has {found} bytes, manifest.json says {expected}: fetch or copy it again")]
    Size {
        /// What the manifest says.
        expected: u64,
        /// What came; if that is more than expected, perhaps not all of it.
        found: u64,
    },
    /// Its bytes are others.
    #[error(
        "has the SHA-256 {found}, manifest.json says {expected}: it is damaged or of another conversion; fetch or copy it again"
    )]
    Hash {
        /// What the manifest says.
        expected: String,
        /// What came.
        found: String,
    },
}

/// A result with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(feature = "candle")]
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Backend(error.to_string())
    }
}
