//! The text file `checkpoint` in a TensorFlow folder: which checkpoint is the latest.

use crate::{Error, Result};

/// What the file `checkpoint` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointState {
    /// Prefix of the latest checkpoint, relative to the folder or absolute.
    pub latest: String,
}

impl CheckpointState {
    /// From the file's text.
    ///
    /// # Errors
    /// [`Error::Weights`] if there is no line `model_checkpoint_path: "…"`.
    pub fn from_text(text: &str) -> Result<Self> {
        let path = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("model_checkpoint_path:")?.trim().strip_prefix('"')?.strip_suffix('"'));
        match path {
            Some(path) if !path.is_empty() => Ok(Self { latest: path.replace("\\\\", "\\") }),
            _ => Err(Error::Weights("TensorFlow's `checkpoint` file: expected a line model_checkpoint_path: \"PREFIX\"".into())),
        }
    }

    /// The file's text, naming one checkpoint.
    pub fn to_text(&self) -> String {
        let path = self.latest.replace('\\', "\\\\");
        format!("model_checkpoint_path: \"{path}\"\nall_model_checkpoint_paths: \"{path}\"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_checkpoint_is_found() {
        let state = CheckpointState { latest: "model.ckpt-6".into() };
        let text = "model_checkpoint_path: \"model.ckpt-6\"\nall_model_checkpoint_paths: \"model.ckpt-6\"\n";
        assert_eq!(state.to_text(), text);
        assert_eq!(CheckpointState::from_text(text).unwrap(), state);
        assert!(CheckpointState::from_text("").is_err());
        assert!(CheckpointState::from_text("model_checkpoint_path: \"").is_err());
    }
}
