//! `report.html` of a run: curves, settings, what was seen, where it ran. Numbers only.

mod chart;

use anyhow::Result;
use serde_json::Value;
use toml::Table;

use super::card::Facts;
use super::metrics;
use super::settings::flat;
use super::state::file_name;
use crate::html::{self, table};
use crate::machine::Machine;
use chart::{Curve, chart};

/// Charts: heading, and the figure that it shows of training and of held-out rows.
const CHARTS: [(&str, &str); 9] = [
    ("Loss (MLM + NSP)", "loss"),
    ("MLM loss", "mlm_loss"),
    ("MLM accuracy", "mlm_accuracy"),
    ("NSP loss", "nsp_loss"),
    ("NSP accuracy", "nsp_accuracy"),
    ("Held-out perplexity", "perplexity"),
    ("Learning rate", "learning_rate"),
    ("Gradient norm before clipping", "grad_norm"),
    ("Examples a second", "examples_per_second"),
];

/// The page.
///
/// # Errors
/// The metrics cannot be read.
pub fn page(facts: &Facts<'_>) -> Result<String> {
    let Facts { settings, inputs, state, folder, .. } = facts;
    let rows = metrics::read(folder)?;
    let mut body = String::new();
    let mut run = vec![
        ("updates".to_owned(), format!("{} of {}", state.step, settings.num_train_steps)),
        ("examples seen".to_owned(), state.examples().to_string()),
    ];
    run.extend(
        state.best.map(|best| ("lowest held-out MLM loss".to_owned(), format!("{:.4} at step {}", best.mlm_loss, best.step))),
    );
    table(&mut body, "Run", &run);
    for (heading, figure) in CHARTS {
        let of = |split: Option<&str>| -> Vec<(f64, f64)> {
            let chosen = rows.iter().filter(|row| row.get("split").and_then(Value::as_str) == split);
            chosen.filter_map(|row| Some((row.get("step")?.as_f64()?, row.get(figure)?.as_f64()?))).collect()
        };
        chart(
            &mut body,
            heading,
            [Curve { name: "training", points: of(None) }, Curve { name: "held out", points: of(Some("eval")) }],
        );
    }
    let left_out = rows.iter().filter(|row| row.get("split").is_some_and(|split| split == "left out"));
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let left_out: Vec<_> = left_out
        .map(|row| {
            let place = |file: &Value| Some(format!("records {} of {}", file.get("records")?, text(file, "file")));
            let places: Vec<_> = row.get("examples").and_then(Value::as_array).into_iter().flatten().filter_map(place).collect();
            let step = row.get("step").and_then(Value::as_u64).unwrap_or(0);
            (format!("update {step}"), format!("{}; {}", text(row, "reason"), places.join("; ")))
        })
        .collect();
    table(&mut body, "Updates that were undone and left out", &left_out);
    let sources = inputs.sources().zip(&state.data).map(|(source, seen)| {
        let (examples, shape) = (seen.epochs.iter().sum::<u64>(), source.shape());
        let tokens = shape.max_seq_length;
        let share = examples as f64 / source.len() as f64;
        let told = format!(
            "{examples} of {} examples of {tokens} tokens seen, {share:.2} epochs; fingerprint {}",
            source.len(),
            seen.fingerprint
        );
        (seen.name.clone(), told)
    });
    table(&mut body, "Data", &sources.collect::<Vec<_>>());
    let machine = Machine::here();
    let environment = [
        ("program", state.program.clone()),
        ("system", machine.system),
        ("processor", format!("{} ({} cores)", machine.processor, machine.cores)),
        ("trained on", facts.device.clone()),
    ];
    table(&mut body, "Environment", &environment.map(|(name, value)| (name.to_owned(), value)));
    let settings = flat(&Table::try_from(settings)?).into_iter().map(|(name, value)| (name, without_folders(&value)));
    table(&mut body, "Settings", &settings.collect::<Vec<_>>());
    Ok(html::page("Training", "Numbers only: no text of any note is in this file.", &body))
}

/// A setting's value; of a path only the last part, because reports are passed on.
fn without_folders(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) if text.contains(['/', '\\']) => file_name(text.as_ref()),
        toml::Value::Array(values) => values.iter().map(without_folders).collect::<Vec<_>>().join(", "),
        toml::Value::Table(table) => {
            let parts = table.iter().map(|(key, value)| format!("{key} {}", without_folders(value)));
            parts.collect::<Vec<_>>().join(" ")
        }
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_paths_are_not_shown() {
        let table: Table = toml::from_str("a = \"/home/me/notes\"\nb = [\"/x/y=2\", \"z\"]\n[[c]]\ndata = \"/q/r\"").unwrap();
        let shown: Vec<_> = flat(&table).iter().map(|(_, value)| without_folders(value)).collect();
        assert_eq!(shown, ["notes", "y=2, z", "data r"]);
    }
}
