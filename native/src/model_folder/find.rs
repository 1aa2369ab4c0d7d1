//! From whatever path a user gives to the weights that are meant: a folder, any file of one, or TensorFlow's prefix, which is no file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clinicalbert_core::weights::{CheckpointState, Format, web::MANIFEST};

use super::{CONFIG_FILES, folder_of};
use crate::{mapped_file, small_file};

/// Weights that were found but not yet opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How they are stored.
    pub format: Format,
    /// The weights, or the index of the files that hold them.
    pub file: PathBuf,
}

/// Names under which Hugging Face keeps weights, the preferred first, as its own loader has it; then ours for the web.
const STANDARD: [(&str, Format); 4] = [
    ("model.safetensors", Format::Safetensors),
    ("model.safetensors.index.json", Format::SafetensorsIndex),
    ("pytorch_model.bin", Format::PyTorch),
    (MANIFEST, Format::Web),
];

/// Files of a model folder that stand for the folder.
const COMPANIONS: [&str; 4] = ["vocab.txt", "tokenizer.json", "tokenizer_config.json", "README.md"];

/// TensorFlow's text file that names the latest of several checkpoints.
const STATE: &str = "checkpoint";

/// What a path has to be, for messages.
const EXPECTED: &str = "model.safetensors, pytorch_model.bin or a TensorFlow checkpoint (PREFIX.index and PREFIX.data-…)";

impl Found {
    /// The weights at `path`.
    ///
    /// # Errors
    /// There are none, several of which none is preferred, or a part of a TensorFlow checkpoint without its index.
    pub fn at(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Self::in_folder(path);
        }
        if path.is_file() {
            return Self::of_file(path);
        }
        let index = with_ending(path, ".index");
        ensure!(
            index.is_file(),
            "no model at {}: expected a folder with {EXPECTED}, or such a file{}",
            path.display(),
            nearby(path)
        );
        Ok(Self { format: Format::TensorFlow, file: index })
    }

    /// The folder that the weights are in.
    pub fn folder(&self) -> PathBuf {
        folder_of(&self.file)
    }

    fn in_folder(folder: &Path) -> Result<Self> {
        if let Some((file, format)) =
            STANDARD.map(|(name, format)| (folder.join(name), format)).into_iter().find(|(file, _)| file.is_file())
        {
            return Ok(Self { format, file });
        }
        if let Some(index) = latest(&folder.join(STATE))? {
            return Ok(Self { format: Format::TensorFlow, file: index });
        }
        let candidates = weights_in(folder)?;
        match candidates.as_slice() {
            [file] => Self::of_file(file),
            [] => bail!("{} has no weights: expected {EXPECTED} in it{}", folder.display(), other_contents(folder)),
            several => bail!(
                "{} has several models and none is called model.safetensors: name one of {}",
                folder.display(),
                names(several)
            ),
        }
    }

    fn of_file(file: &Path) -> Result<Self> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name == STATE {
            let index = latest(file)?;
            let missing = || {
                format!("the checkpoint that {} names is not there: copy its .index and .data files beside it", file.display())
            };
            return Ok(Self { format: Format::TensorFlow, file: index.with_context(missing)? });
        }
        if CONFIG_FILES.contains(&name.as_ref()) || COMPANIONS.contains(&name.as_ref()) {
            return Self::in_folder(&folder_of(file));
        }
        if let Some(prefix) = prefix_of(&name) {
            let index = file.with_file_name(format!("{prefix}.index"));
            ensure!(
                index.is_file(),
                "{} is a part of a TensorFlow checkpoint whose {prefix}.index is not beside it: copy it there{}",
                file.display(),
                nearby(file)
            );
            return Ok(Self { format: Format::TensorFlow, file: index });
        }
        if let Some((_, format)) = STANDARD.into_iter().find(|(standard, _)| name == *standard) {
            return Ok(Self { format, file: file.to_owned() });
        }
        if is_web_shard(&name) && file.with_file_name(MANIFEST).is_file() {
            return Ok(Self { format: Format::Web, file: file.with_file_name(MANIFEST) });
        }
        let format = match file.extension().and_then(|extension| extension.to_str()) {
            Some("safetensors") => Format::Safetensors,
            Some("index") => Format::TensorFlow,
            Some("json") if name.ends_with(".index.json") => Format::SafetensorsIndex,
            Some("json") => bail!("{} is no weights file: expected {EXPECTED}", file.display()),
            Some("bin" | "pt" | "pth") => Format::PyTorch,
            _ => Format::of(&mapped_file::map(file)?),
        };
        Ok(Self { format, file: file.to_owned() })
    }
}

/// The path with something after its last letter: prefixes have dots of their own.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Whether this is the name of a shard of weights for the web.
fn is_web_shard(name: &str) -> bool {
    name.strip_prefix("weights-").and_then(|rest| rest.strip_suffix(".bin")).is_some_and(|rest| rest.contains("-of-"))
}

/// The prefix in the name of a data or graph file of a TensorFlow checkpoint.
fn prefix_of(name: &str) -> Option<&str> {
    if let Some(prefix) = name.strip_suffix(".meta") {
        return Some(prefix);
    }
    let (prefix, shard) = name.rsplit_once(".data-")?;
    let (number, count) = shard.split_once("-of-")?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(number) && digits(count)).then_some(prefix)
}

/// Index of the checkpoint that a `checkpoint` file names, if both are there.
fn latest(state: &Path) -> Result<Option<PathBuf>> {
    if !state.is_file() {
        return Ok(None);
    }
    let text = small_file::read(state)?;
    let latest = CheckpointState::from_text(&String::from_utf8_lossy(&text)).with_context(|| state.display().to_string())?.latest;
    let folder = folder_of(state);
    // An absolute name is that of the machine it was trained on.
    let moved = Path::new(&latest).file_name().map(|name| folder.join(name));
    let candidates = [Some(folder.join(&latest)), moved].into_iter().flatten();
    Ok(candidates.map(|prefix| with_ending(&prefix, ".index")).find(|index| index.is_file()))
}

/// Files of a folder that look like a model's weights, sorted.
fn weights_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let file = entry?.path();
        let ending = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // What Hugging Face's trainer leaves beside a model.
        let beside = ["optimizer", "scheduler", "training_args", "rng_state"].iter().any(|start| name.starts_with(start));
        if ["safetensors", "bin", "pt", "pth", "index"].contains(&ending) && !beside && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn names(files: &[PathBuf]) -> String {
    files.iter().filter_map(|file| file.file_name()).map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", ")
}

/// What to try in place of a name that is not there.
fn nearby(path: &Path) -> String {
    match weights_in(&folder_of(path)).unwrap_or_default().as_slice() {
        [] => String::new(),
        files => format!(" (in its folder: {})", names(files)),
    }
}

/// What a folder without weights has instead, and what to do about it.
fn other_contents(folder: &Path) -> String {
    let has = |name: &str| folder.join(name).exists();
    if has("run.toml") {
        format!("; it is the folder of a run: name {} or one of its checkpoints", folder.join("model").display())
    } else if has("tf_model.h5") || has("flax_model.msgpack") {
        "; Keras and Flax weights are not read: take one of these files of the same model".into()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
        folder
    }

    fn error(path: &Path) -> String {
        Found::at(path).unwrap_err().to_string()
    }

    #[test]
    fn a_checkpoint_is_found_by_its_prefix_and_by_every_file_of_it() {
        let files = ["m.ckpt-8.index", "m.ckpt-8.data-00000-of-00001", "m.ckpt-8.meta", "bert_config.json", "vocab.txt"];
        let folder = folder(&files.map(|name| (name, "")));
        let expected = Found { format: Format::TensorFlow, file: folder.path().join("m.ckpt-8.index") };
        for name in ["", "m.ckpt-8"].into_iter().chain(files) {
            assert_eq!(Found::at(&folder.path().join(name)).unwrap(), expected, "{name:?}");
        }
    }

    #[test]
    fn of_several_checkpoints_the_latest_is_taken_or_all_are_named() {
        let folder = folder(&[("a.ckpt.index", ""), ("b.ckpt-7.index", "")]);
        assert!(error(folder.path()).contains("name one of a.ckpt.index, b.ckpt-7.index"));
        let state = folder.path().join("checkpoint");
        for latest in ["b.ckpt-7", "/home/elsewhere/b.ckpt-7"] {
            fs::write(&state, format!("model_checkpoint_path: \"{latest}\"\n")).unwrap();
            for path in [folder.path(), &state] {
                assert_eq!(Found::at(path).unwrap().file, folder.path().join("b.ckpt-7.index"));
            }
        }
        fs::write(&state, "model_checkpoint_path: \"gone\"\n").unwrap();
        assert!(error(&state).contains("is not there"));
        fs::write(folder.path().join("model.safetensors"), "").unwrap();
        assert_eq!(Found::at(folder.path()).unwrap().format, Format::Safetensors);
    }

    #[test]
    fn weights_for_the_web_are_found_by_their_folder_their_manifest_and_every_shard() {
        let folder = folder(
            &["manifest.json", "weights-00001-of-00002.bin", "weights-00002-of-00002.bin", "vocab.txt"].map(|name| (name, "")),
        );
        for name in ["", "manifest.json", "weights-00002-of-00002.bin", "vocab.txt"] {
            let found = Found::at(&folder.path().join(name)).unwrap();
            assert_eq!(found, Found { format: Format::Web, file: folder.path().join("manifest.json") }, "{name}");
        }
    }

    #[test]
    fn names_that_tell_nothing_are_told_by_their_bytes() {
        let folder = folder(&[("weights", "PK\u{3}\u{4}"), ("weights.ckpt", "{\"weight_map\":{}}")]);
        assert_eq!(Found::at(&folder.path().join("weights")).unwrap().format, Format::PyTorch);
        assert_eq!(Found::at(&folder.path().join("weights.ckpt")).unwrap().format, Format::SafetensorsIndex);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let folder = folder(&[("model.ckpt-1000000.index", ""), ("lost.data-00000-of-00001", "")]);
        let told = error(&folder.path().join("biobert_model.ckpt"));
        assert!(told.contains("no model at") && told.contains("(in its folder: model.ckpt-1000000.index)"), "{told}");
        assert!(error(&folder.path().join("lost.data-00000-of-00001")).contains("whose lost.index is not beside it"));
        let run = self::folder(&[("run.toml", "")]);
        assert!(error(run.path()).contains("folder of a run"));
        assert!(error(self::folder(&[("tf_model.h5", "")]).path()).contains("Keras"));
        assert!(error(self::folder(&[("optimizer.pt", "")]).path()).contains("has no weights: expected model.safetensors"));
    }
}
