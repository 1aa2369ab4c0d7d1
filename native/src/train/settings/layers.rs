//! Settings merged layer by layer: defaults, `--preset`, `--config run.toml`, environment, flags.
//!
//! All layers are TOML tables with the same keys, so that merging is one rule for all settings and `run.toml` of a finished run can
//! be given to another as `--config`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{Preset, Settings};

/// Environment variables with this prefix are settings: `CLINICALBERT_TRAIN_LEARNING_RATE=1e-4`.
const ENVIRONMENT: &str = "CLINICALBERT_TRAIN_";

/// Keys that a resumed run may change: they decide where things lie and what is reported, not what is computed.
const FREE: [&str; 12] = [
    "vocab",
    "data",
    "eval_data",
    "eval_every",
    "eval_examples",
    "save_checkpoints_steps",
    "keep_checkpoints",
    "log_every",
    "max_rollbacks",
    "device",
    "precision",
    "init",
];

/// Where the merged value of a key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Default,
    Preset,
    Demo,
    ThisRun,
    ConfigFile,
    Environment,
    Flag,
    Phases,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Preset => "preset",
            Self::Demo => "demonstration",
            Self::ThisRun => "run.toml of the run",
            Self::ConfigFile => "--config",
            Self::Environment => "environment",
            Self::Flag => "flag",
            Self::Phases => "sum of the phases",
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

    /// Adds what follows from the other layers: a preset's settings under everything that was given, and the sum of the phases' updates.
    ///
    /// # Errors
    /// There is no such preset; a number of updates was given that is not the sum.
    pub fn complete(&mut self) -> Result<()> {
        let last = |key: &str| self.0.iter().rev().find_map(|(_, table)| table.get(key)).cloned();
        let (preset, phases) = (last("preset"), last("phases"));
        if let Some(name) = preset {
            let preset = Preset::deserialize(name).context("preset")?;
            self.0.insert(1, (Source::Preset, toml::from_str(preset.settings())?));
        }
        if let Some(phases) = phases.as_ref().and_then(Value::as_array) {
            let steps = |phase: &Value| phase.get("num_train_steps").and_then(Value::as_integer);
            self.add_up(phases.iter().filter_map(steps).fold(0, i64::saturating_add))?;
        }
        Ok(())
    }

    /// A number of updates that somebody gave must be that of the phases; the default and a preset's give way.
    fn add_up(&mut self, sum: i64) -> Result<()> {
        for (source, table) in &self.0 {
            let steps = table.get("num_train_steps").and_then(Value::as_integer).unwrap_or(sum);
            ensure!(
                steps == sum || matches!(source, Source::Default | Source::Preset),
                "num_train_steps = {steps} ({}) is not the sum of the phases, {sum}: leave it out",
                source.name()
            );
        }
        self.0.push((Source::Phases, Table::from_iter([("num_train_steps".to_owned(), sum.into())])));
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
        for (source, table) in
            self.0.iter().filter(|(source, _)| !matches!(source, Source::Default | Source::Preset | Source::ThisRun))
        {
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
pub fn flat(table: &Table) -> Vec<(String, Value)> {
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
    use clinicalbert_core::bert::Schedule;

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

    #[test]
    fn a_preset_lies_under_everything_that_is_given() {
        let merged = |preset: &str| {
            let mut layers = layers(&[("preset", preset.into()), ("seed", 7.into())]);
            layers.complete().unwrap();
            (layers.merge().unwrap(), layers.explain())
        };
        let (settings, text) = merged("bio-discharge");
        assert_eq!(settings.schedule(), Schedule { learning_rate: 5e-5, steps: 100_000, warmup_steps: 10_000 });
        assert_eq!((settings.max_seq_length, settings.max_predictions_per_seq, settings.seed), (Some(128), Some(20), 7));
        let line = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        assert!(line("num_train_steps").ends_with("# preset") && line("seed").ends_with("# flag"), "{text}");
        assert_eq!(merged("clinical").0.num_train_steps, 150_000);
        let mut unknown = layers(&[("preset", "legal".into())]);
        assert!(format!("{:#}", unknown.complete().unwrap_err()).contains("bio-clinical"));
    }

    #[test]
    fn phases_decide_the_number_of_updates() {
        let phases = |more: &str| {
            let text = format!(
                "{more}\n[[phases]]\ndata = \"a\"\nnum_train_steps = 90\n[[phases]]\ndata = [\"b=2\", \"c=1\"]\nnum_train_steps = 10"
            );
            let mut layers = Layers::new().unwrap();
            layers.0.push((Source::ConfigFile, toml::from_str(&text).unwrap()));
            layers.complete()?;
            layers.merge()
        };
        let settings = phases("").unwrap();
        assert_eq!((settings.num_train_steps, settings.phases.len(), settings.phases[1].data.len()), (100, 2, 2));
        let error = |more| format!("{:#}", phases(more).unwrap_err());
        assert!(error("num_train_steps = 99").contains("not the sum of the phases, 100"));
        assert!(error("data = \"d\"").contains("exclude each other"));
    }
}
