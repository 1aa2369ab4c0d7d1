//! Checkpoints: `checkpoints/step-NNNNNNNNN/`, each written whole or not at all and checked before it is used.
//!
//! A checkpoint is a model folder (so every command takes it as a model) with two files more: `optimizer.safetensors` and
//! `state.json`, which has the checksum of every other file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clinicalbert_core::{bert::Config, tokenizer::WordPiece, weights::Tensors};

use super::state::State;
use crate::checksum::sha256;
use crate::model_folder::{self, OPTIMIZER};
use crate::whole_file;

const STATE: &str = "state.json";

/// What a checkpoint holds of the model.
pub struct Contents {
    /// Shape of the model.
    pub config: Config,
    /// Weights.
    pub weights: Tensors,
    /// Adam's first and second moments.
    pub moments: (Tensors, Tensors),
}

/// Writes the checkpoint of `state.step` into `checkpoints`.
///
/// # Errors
/// The disk refused; nothing of it is left then.
pub fn write(checkpoints: &Path, state: &State, contents: &Contents, tokenizer: &WordPiece) -> Result<PathBuf> {
    fs::create_dir_all(checkpoints).with_context(|| format!("cannot create {}", checkpoints.display()))?;
    let target = checkpoints.join(name(state.step));
    let mut state = State { files: BTreeMap::new(), ..state.clone() };
    if target.exists() {
        // Only a damaged one is ever written again: a good one would have been resumed from.
        fs::remove_dir_all(&target).with_context(|| format!("cannot replace {}", target.display()))?;
    }
    whole_file::write_folder(&target, |folder| {
        model_folder::write_files(folder, &contents.config, &contents.weights, tokenizer)?;
        model_folder::write_moments(folder, &contents.moments.0, &contents.moments.1)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            state.files.insert(entry.file_name().to_string_lossy().into_owned(), sha256(&entry.path())?);
        }
        let text = serde_json::to_string_pretty(&state)? + "\n";
        whole_file::write_file(&folder.join(STATE), |file| Ok(file.write_all(text.as_bytes())?))
    })?;
    Ok(target)
}

/// Removes the oldest checkpoints until `keep` are left, beside that of step `best`; 0 keeps all. The newest always stays.
///
/// # Errors
/// The folder cannot be read, or a checkpoint not removed.
pub fn remove_old(checkpoints: &Path, keep: usize, best: Option<u64>) -> Result<()> {
    let all = list(checkpoints)?;
    let surplus = if keep == 0 { 0 } else { all.len().saturating_sub(keep) };
    for (_, old) in all.iter().take(surplus).filter(|(step, _)| Some(*step) != best) {
        fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
    }
    Ok(())
}

/// The newest checkpoint that is whole, after `warn` was told of every newer one that is not; `None` if there is no checkpoint.
///
/// # Errors
/// There are checkpoints, but none is whole.
pub fn newest(checkpoints: &Path, mut warn: impl FnMut(String)) -> Result<Option<(State, Contents)>> {
    let all = list(checkpoints)?;
    let mut last = None;
    for (_, folder) in all.iter().rev() {
        match read(folder) {
            Ok(found) => return Ok(Some(found)),
            Err(error) => {
                warn(format!("{} is damaged ({error:#}); trying the one before it", folder.display()));
                last = Some(error);
            }
        }
    }
    match last {
        Some(error) => Err(error.context(format!(
            "no checkpoint in {} is whole: remove the folder to begin again from step 0",
            checkpoints.display()
        ))),
        None => Ok(None),
    }
}

/// Steps and folders of all checkpoints, oldest first.
///
/// # Errors
/// The folder is there but cannot be read.
pub fn list(checkpoints: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(checkpoints) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read {}", checkpoints.display()))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let step = path.file_name().and_then(|name| name.to_str()?.strip_prefix("step-")?.parse().ok());
        all.extend(step.map(|step| (step, path)));
    }
    all.sort();
    Ok(all)
}

/// Reads one checkpoint.
///
/// # Errors
/// A file is missing, or is not what was written.
pub fn read(folder: &Path) -> Result<(State, Contents)> {
    let bytes = fs::read(folder.join(STATE)).context("state.json cannot be read")?;
    let state: State = serde_json::from_slice(&bytes).context("state.json is damaged")?;
    for (name, expected) in &state.files {
        // A name is never a path: state.json comes from disk like any other input.
        ensure!(!name.contains(['/', '\\']), "state.json names a file {name:?} outside its folder");
        let found = sha256(&folder.join(name)).with_context(|| format!("{name} cannot be read"))?;
        ensure!(found == *expected, "{name} is not as it was written: its checksum is {found}, expected {expected}");
    }
    for needed in ["config.json", "model.safetensors", OPTIMIZER] {
        ensure!(state.files.contains_key(needed), "state.json has no checksum of {needed}");
    }
    let config = model_folder::read_config(folder)?;
    let weights = model_folder::read_weights(folder, &config)?.tensors;
    let moments = model_folder::read_moments(folder, &weights)?;
    Ok((state, Contents { config, weights, moments }))
}

/// Name of a checkpoint's folder.
pub fn name(step: u64) -> String {
    format!("step-{step:09}")
}

#[cfg(test)]
mod tests {
    use clinicalbert_core::{bert::initialize, tokenizer::Case};

    use super::*;

    fn contents(seed: u64) -> Contents {
        let config = Config {
            vocab_size: 6,
            hidden_size: 4,
            num_hidden_layers: 1,
            num_attention_heads: 1,
            intermediate_size: 4,
            max_position_embeddings: 8,
            ..Config::default()
        };
        let weights = initialize(&config, seed);
        let moments = (initialize(&config, seed + 1), initialize(&config, seed + 2));
        Contents { config, weights, moments }
    }

    fn tokenizer() -> WordPiece {
        WordPiece::from_vocab("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nFever\n", Case::Cased).unwrap()
    }

    fn written(steps: &[u64]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for step in steps {
            let state = State { step: *step, ..State::default() };
            write(folder.path(), &state, &contents(*step), &tokenizer()).unwrap();
        }
        folder
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = written(&[7]);
        let (state, read) = newest(folder.path(), |_| panic!("nothing is damaged")).unwrap().unwrap();
        assert_eq!((state.step, state.files.len()), (7, 7));
        assert_eq!((read.weights, read.moments), (contents(7).weights, contents(7).moments));
    }

    #[test]
    fn any_damage_of_the_newest_falls_back_to_the_one_before() {
        for file in ["model.safetensors", "optimizer.safetensors", "state.json", "config.json"] {
            let folder = written(&[100, 200]);
            let path = folder.path().join("step-000000200").join(file);
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let mut warnings = Vec::new();
            let (state, read) = newest(folder.path(), |warning| warnings.push(warning)).unwrap().unwrap();
            assert_eq!((state.step, read.weights), (100, contents(100).weights), "{file}");
            assert!(warnings.len() == 1 && warnings[0].contains("step-000000200 is damaged"), "{warnings:?}");
            fs::remove_file(&path).unwrap();
            assert_eq!(newest(folder.path(), |_| ()).unwrap().unwrap().0.step, 100);
        }
    }

    #[test]
    fn without_a_whole_checkpoint_there_is_an_error_and_without_any_there_is_none() {
        let folder = written(&[1]);
        fs::write(folder.path().join("step-000000001/state.json"), "{").unwrap();
        assert!(format!("{:#}", newest(folder.path(), |_| ()).err().unwrap()).contains("no checkpoint in"));
        assert!(newest(&folder.path().join("absent"), |_| ()).unwrap().is_none());
    }

    #[test]
    fn the_oldest_go_first_and_the_newest_and_the_best_stay() {
        let folder = written(&[1, 2, 30, 4]);
        let steps = || list(folder.path()).unwrap().into_iter().map(|(step, _)| step).collect::<Vec<_>>();
        remove_old(folder.path(), 0, None).unwrap();
        assert_eq!(steps(), [1, 2, 4, 30]);
        remove_old(folder.path(), 2, Some(1)).unwrap();
        assert_eq!(steps(), [1, 4, 30], "the best stays too");
        remove_old(folder.path(), 1, None).unwrap();
        assert_eq!(steps(), [30]);
    }
}
