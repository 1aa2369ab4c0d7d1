//! What a training run is told, merged from four layers: defaults, `--config run.toml`, environment, flags.
//!
//! All layers are TOML tables with the same keys, so that merging is one rule for all settings and `run.toml` of a finished run can
//! be given to another as `--config`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clinicalbert_core::bert::Schedule;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Environment variables with this prefix are settings: `CLINICALBERT_TRAIN_LEARNING_RATE=1e-4`.
const ENVIRONMENT: &str = "CLINICALBERT_TRAIN_";

/// Keys that a resumed run may change: they decide where things lie and what is reported, not what is computed.
const FREE: [&str; 10] = [
    "vocab",
    "data",
    "eval_data",
    "eval_every",
    "eval_examples",
    "save_checkpoints_steps",
    "keep_checkpoints",
    "log_every",
    "device",
    "init",
];

/// Settings of a run, as merged; the defaults are those of the Bio_ClinicalBERT model card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Prepared folder or TFRecord file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Prepared folder or TFRecord file that is only evaluated on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_data: Option<PathBuf>,
    /// Model to start from; a new one if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Vocabulary of a new model; the data's own if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab: Option<PathBuf>,
    /// Updates in all.
    pub num_train_steps: u64,
    /// Updates of the warm-up; a fifteenth of all, at most 10,000, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_warmup_steps: Option<u64>,
    /// Examples of one forward pass; an update uses this many times `gradient_accumulation_steps`.
    pub train_batch_size: usize,
    /// Forward passes of one update.
    pub gradient_accumulation_steps: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Tokens of an example; the data's own if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seq_length: Option<usize>,
    /// Masked slots of an example; the data's own if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_predictions_per_seq: Option<usize>,
    /// Decides new weights, the order of the data and dropout.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Updates between checkpoints.
    pub save_checkpoints_steps: u64,
    /// Newest checkpoints that are kept; 0 keeps all.
    pub keep_checkpoints: usize,
    /// Updates between rows of `metrics.jsonl`.
    pub log_every: u64,
    /// Updates between evaluations; `save_checkpoints_steps` if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_every: Option<u64>,
    /// Most examples of one evaluation.
    pub eval_examples: u64,
    /// Shape of the model, with the keys of `config.json`; what is not given comes from `init`, else it is BERT-base.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub model: Table,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: None,
            eval_data: None,
            init: None,
            vocab: None,
            num_train_steps: 150_000,
            num_warmup_steps: None,
            train_batch_size: 32,
            gradient_accumulation_steps: 1,
            learning_rate: 5e-5,
            max_seq_length: None,
            max_predictions_per_seq: None,
            seed: 12_345,
            device: "auto".into(),
            save_checkpoints_steps: 1000,
            keep_checkpoints: 5,
            log_every: 10,
            eval_every: None,
            // What the original evaluates: 100 batches of 8.
            eval_examples: 800,
            model: Table::new(),
        }
    }
}

impl Settings {
    /// The learning rate over time.
    pub fn schedule(&self) -> Schedule {
        let warmup_steps = self.num_warmup_steps.unwrap_or_else(|| (self.num_train_steps / 15).min(10_000));
        Schedule { learning_rate: self.learning_rate as f32, steps: self.num_train_steps, warmup_steps }
    }

    /// Updates between evaluations.
    pub fn eval_every(&self) -> u64 {
        self.eval_every.unwrap_or(self.save_checkpoints_steps)
    }

    /// Examples of one update.
    pub const fn examples_per_step(&self) -> usize {
        self.train_batch_size * self.gradient_accumulation_steps
    }

    /// Makes paths independent of the folder that the program was started in, so that a run can be resumed from another.
    ///
    /// # Errors
    /// The current folder is gone.
    pub fn make_paths_absolute(&mut self) -> Result<()> {
        for path in [&mut self.data, &mut self.eval_data, &mut self.init, &mut self.vocab].into_iter().flatten() {
            *path = std::path::absolute(&path).with_context(|| format!("cannot find the folder of {}", path.display()))?;
        }
        Ok(())
    }

    fn validate(&self) -> Result<()> {
        for (key, value) in [
            ("num_train_steps", self.num_train_steps),
            ("train_batch_size", self.train_batch_size as u64),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps as u64),
            ("save_checkpoints_steps", self.save_checkpoints_steps),
            ("log_every", self.log_every),
            ("eval_every", self.eval_every()),
            ("eval_examples", self.eval_examples),
        ] {
            ensure!(value > 0, "{key} must be at least 1, found 0");
        }
        let rate = self.learning_rate;
        ensure!(rate.is_finite() && rate > 0.0, "learning_rate must be above 0, found {rate}");
        let warmup = self.schedule().warmup_steps;
        ensure!(
            warmup < self.num_train_steps,
            "num_warmup_steps {warmup} must be below num_train_steps {}: without --num-warmup-steps a fifteenth is used",
            self.num_train_steps
        );
        Ok(())
    }
}

/// Where the merged value of a key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Default,
    Demo,
    ThisRun,
    ConfigFile,
    Environment,
    Flag,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Demo => "demonstration",
            Self::ThisRun => "run.toml of the run",
            Self::ConfigFile => "--config",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

/// Settings while they are being merged: layer upon layer, later ones win.
#[derive(Debug)]
pub struct Layers(Vec<(Source, Table)>);

impl Layers {
    /// Begins with the defaults.
    ///
    /// # Errors
    /// Never in practice: the defaults are a table.
    pub fn new() -> Result<Self> {
        Ok(Self(vec![(Source::Default, Table::try_from(Settings::default())?)]))
    }

    /// Adds the settings of the demonstration.
    ///
    /// # Errors
    /// The text is no TOML.
    pub fn demo(&mut self, text: &str) -> Result<()> {
        self.0.push((Source::Demo, toml::from_str(text)?));
        Ok(())
    }

    /// Adds the settings of the run that is resumed.
    ///
    /// # Errors
    /// The file is missing or no TOML.
    pub fn run(&mut self, path: &Path) -> Result<()> {
        self.file(path, Source::ThisRun)
    }

    /// Adds the file given as `--config`.
    ///
    /// # Errors
    /// The file is missing or no TOML.
    pub fn config(&mut self, path: &Path) -> Result<()> {
        self.file(path, Source::ConfigFile)
    }

    fn file(&mut self, path: &Path, source: Source) -> Result<()> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let table: Table = toml::from_str(&text).with_context(|| format!("{} is no TOML of settings", path.display()))?;
        self.0.push((source, table));
        Ok(())
    }

    /// Adds environment variables `CLINICALBERT_TRAIN_*`.
    pub fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        let table = variables.filter_map(|(name, value)| {
            let key = name.strip_prefix(ENVIRONMENT)?.to_lowercase();
            let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut table| table.remove("value"));
            Some((key, parsed.unwrap_or(Value::String(value))))
        });
        self.0.push((Source::Environment, table.collect()));
    }

    /// Adds the flags that were given.
    ///
    /// # Errors
    /// A path that is no UTF-8.
    pub fn flags(&mut self, flags: &impl Serialize) -> Result<()> {
        self.0.push((Source::Flag, Table::try_from(flags).context("a flag's value is no UTF-8")?));
        Ok(())
    }

    /// The merged settings.
    ///
    /// # Errors
    /// An unknown key, a value that is no such thing, or values that do not fit together; after [`Layers::run`] also a value that
    /// differs from the run's and would make it another one.
    pub fn merge(&self) -> Result<Settings> {
        self.check_run_unchanged()?;
        let mut merged = Table::new();
        for (source, table) in &self.0 {
            overlay(&mut merged, table);
            // Each layer is checked by itself, so that the error can say which one it was.
            merged.clone().try_into::<Settings>().with_context(|| format!("settings from {}", source.name()))?;
        }
        let settings: Settings = merged.try_into()?;
        settings.validate()?;
        Ok(settings)
    }

    fn check_run_unchanged(&self) -> Result<()> {
        let Some(run) = self.0.iter().find_map(|(source, table)| (*source == Source::ThisRun).then_some(table)) else {
            return Ok(());
        };
        for (source, table) in self.0.iter().filter(|(source, _)| !matches!(source, Source::Default | Source::ThisRun)) {
            for (key, value) in flat(table) {
                let before = flat(run).into_iter().find_map(|(name, value)| (name == key).then_some(value));
                ensure!(
                    FREE.contains(&key.as_str()) || before.as_ref() == Some(&value),
                    "{key} = {value} ({}) differs from the run's {}; a resumed run keeps it. Leave it out, or start another run \
                     with --init and another --out",
                    source.name(),
                    before.map_or_else(|| "default".to_owned(), |before| before.to_string()),
                );
            }
        }
        Ok(())
    }

    /// The merge as TOML, each line with its source.
    pub fn explain(&self) -> String {
        let mut merged = Table::new();
        self.0.iter().for_each(|(_, table)| overlay(&mut merged, table));
        let source = |key: &str| {
            let layers = self.0.iter().rev();
            layers
                .into_iter()
                .find(|(_, table)| flat(table).iter().any(|(name, _)| name == key))
                .map_or("default", |(source, _)| source.name())
        };
        let lines = flat(&merged).into_iter().map(|(key, value)| (format!("{key} = {value}"), source(&key)));
        lines.map(|(line, source)| format!("{line:<48} # {source}\n")).collect()
    }
}

fn overlay(under: &mut Table, over: &Table) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => overlay(under, over),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The table's values, those of inner tables as `outer.key`.
fn flat(table: &Table) -> Vec<(String, Value)> {
    let mut values = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => values.extend(flat(inner).into_iter().map(|(name, value)| (format!("{key}.{name}"), value))),
            value => values.push((key.clone(), value.clone())),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(flags: &[(&str, Value)]) -> Layers {
        let mut layers = Layers::new().unwrap();
        layers.0.push((Source::Flag, flags.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()));
        layers
    }

    #[test]
    fn nothing_given_is_the_model_card() {
        let settings = layers(&[]).merge().unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.schedule(), Schedule { learning_rate: 5e-5, steps: 150_000, warmup_steps: 10_000 });
    }

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let mut layers = Layers::new().unwrap();
        layers.0.push((
            Source::ConfigFile,
            toml::from_str("seed = 1\nlog_every = 1\ntrain_batch_size = 1\n[model]\nhidden_size = 8").unwrap(),
        ));
        layers.environment(
            [("CLINICALBERT_TRAIN_SEED".into(), "2".into()), ("CLINICALBERT_TRAIN_DEVICE".into(), "cpu".into())].into_iter(),
        );
        layers.0.push((Source::Flag, toml::from_str("train_batch_size = 3\n[model]\nnum_hidden_layers = 1").unwrap()));
        let settings = layers.merge().unwrap();
        assert_eq!((settings.seed, settings.log_every, settings.train_batch_size, settings.device.as_str()), (2, 1, 3, "cpu"));
        assert_eq!(settings.model.len(), 2);
        let text = layers.explain();
        for (key, source) in
            [("seed", "environment"), ("log_every", "--config"), ("train_batch_size", "flag"), ("learning_rate", "default")]
        {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            assert!(line.ends_with(&format!("# {source}")), "{line}");
        }
    }

    #[test]
    fn short_runs_warm_up_for_a_fifteenth() {
        let settings = layers(&[("num_train_steps", 300.into())]).merge().unwrap();
        assert_eq!(settings.schedule().warmup_steps, 20);
        let error = layers(&[("num_train_steps", 300.into()), ("num_warmup_steps", 300.into())]).merge().unwrap_err();
        assert!(error.to_string().contains("must be below num_train_steps 300"));
    }

    #[test]
    fn unknown_keys_are_named_with_their_source() {
        let error = layers(&[("learning_rat", 1.into())]).merge().unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("settings from flag") && text.contains("learning_rat"), "{text}");
    }

    #[test]
    fn a_resumed_run_keeps_what_decides_its_result() {
        let resumed = |flag: &str| {
            let mut layers = Layers::new().unwrap();
            layers.0.push((Source::ThisRun, toml::from_str("learning_rate = 0.5\nseed = 1").unwrap()));
            layers.0.push((Source::Flag, toml::from_str(flag).unwrap()));
            layers.merge()
        };
        assert_eq!(resumed("log_every = 3").unwrap().log_every, 3);
        assert_eq!(resumed("seed = 1").unwrap().learning_rate, 0.5);
        let text = resumed("learning_rate = 0.25").unwrap_err().to_string();
        assert!(text.contains("learning_rate = 0.25 (flag) differs from the run's 0.5"), "{text}");
    }
}
