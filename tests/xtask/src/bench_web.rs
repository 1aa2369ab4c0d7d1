//! `cargo xtask bench-web`: our engine and transformers.js taking turns in the same browser, on the same weights and texts.
//!
//! The yardstick (its page, its runner, its rules) is `peers/browser`; it is copied, because it keeps models and packages beside itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::process::{cargo, program, run};
use crate::report::Report;
use crate::{package, tools, visits, workspace};

/// How the yardstick calls our page.
pub const OURS: &str = "ours";
/// How it calls its own.
const THEIRS: &str = "transformers.js";

/// What is measured and where things are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of yardsticks.
    peers: PathBuf,
    /// A Python that has what `embed_cpu.py` names.
    python: String,
    /// Where the list is written.
    json: Option<PathBuf>,
    /// Names of models, parted by commas: `bert-mini`, `bert-base`.
    models: String,
    /// Device, precision and threads of every case, as the yardstick spells them.
    cases: String,
    /// Times that everything is measured.
    rounds: String,
}

impl Settings {
    /// From the arguments: the folder of yardsticks, then flags.
    ///
    /// # Errors
    /// A flag that does not exist or has no value.
    pub fn from_arguments(arguments: &[&str]) -> anyhow::Result<Self> {
        let Some((peers, flags)) = arguments.split_first().filter(|(peers, _)| !peers.starts_with('-')) else {
            bail!("expected the folder of yardsticks, such as ../shared/peers");
        };
        let mut settings = Self {
            peers: fs::canonicalize(peers).with_context(|| format!("{peers} is not there"))?,
            python: "python3".into(),
            json: None,
            models: "bert-mini,bert-base".into(),
            cases: "wasm:fp32:1,wasm:q8:1,webgpu:fp32:1".into(),
            rounds: "1".into(),
        };
        for pair in flags.chunks(2) {
            match *pair {
                ["--python", python] => settings.python = python.into(),
                ["--json", file] => settings.json = Some(file.into()),
                ["--models", models] => settings.models = models.into(),
                ["--cases", cases] => settings.cases = cases.into(),
                ["--rounds", rounds] => settings.rounds = rounds.into(),
                _ => bail!("expected --python, --json, --models, --cases or --rounds with a value, found {}", pair.join(" ")),
            }
        }
        Ok(settings)
    }
}

/// Builds, measures, prints a table and writes the list.
///
/// # Errors
/// A tool or the yardstick is missing, or a program fails.
pub fn measure(report: &mut Report, settings: &Settings) -> anyhow::Result<()> {
    let browser = tools::for_web(report)?;
    package::build(report)?;
    let folder = workspace::target()?.join("bench-web");
    let (yardstick, page) = (folder.join("browser"), folder.join("page"));
    report.step("yardstick", || {
        copy(&settings.peers.join("browser"), &yardstick)?;
        // Its packages would fetch libraries for Node, which a page has no use for.
        let install = ["install", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"];
        run(program("npm").args(install).current_dir(&yardstick))
    })?;
    report.step("our page", || {
        copy(&workspace::root().join("tests/browser/bench"), &page)?;
        copy(&workspace::root().join("web/dist"), &page.join("package"))
    })?;
    report.step("models", || {
        run(&mut cargo("build --workspace --bins"))?;
        settings.models.split(',').try_for_each(|model| prepare_model(settings, &yardstick, model))
    })?;
    let rows = report.step("measurements", || {
        let mut node = program("node");
        node.arg(yardstick.join("run.mjs")).arg("--page").arg(format!("{OURS}={}", page.display()));
        node.args(["--models", &settings.models, "--cases", &settings.cases, "--rounds", &settings.rounds]);
        read_rows(node.arg("--chromium").arg(&browser))
    })?;
    let visited = report.step("visits", || {
        let mut node = program("node");
        node.arg(page.join("visits.js")).args([&yardstick, &page, &browser]);
        read_rows(node.args([&settings.models, &settings.cases, &settings.rounds]))
    })?;
    let list = pair(&rows);
    print_table(&list);
    visits::print_table(&visited);
    settings.json.as_ref().map_or(Ok(()), |file| {
        fs::write(file, format!("{:#}\n", Value::Array(list))).with_context(|| format!("cannot write {}", file.display()))
    })
}

/// Copies what changes: a folder that holds more keeps it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("{} is not there", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name == "node_modules" || name == "models" {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to.join(name))?,
            false => fs::copy(entry.path(), to.join(name)).map(drop)?,
        }
    }
    Ok(())
}

/// The yardstick's random model, once, and the same weights for our page.
fn prepare_model(settings: &Settings, yardstick: &Path, model: &str) -> anyhow::Result<()> {
    let folder = yardstick.join("models").join(model);
    let size = model.strip_prefix("bert-").context("models are called bert-mini and bert-base")?;
    if !folder.join("expected.safetensors").is_file() {
        let mut export = program(&settings.python);
        export.arg(settings.peers.join("embed_cpu.py")).args(["--model", size, "--no-bench", "--export"]).arg(&folder);
        run(&mut export)?;
    }
    for dtype in ["f32", "f16", "int8"] {
        let out = folder.join(format!("web-{dtype}"));
        if out.exists() {
            fs::remove_dir_all(&out)?;
        }
        let mut convert = program(workspace::target()?.join("debug/native"));
        convert.args(["convert", "--quiet", "--to", "web", "--dtype", dtype, "--from"]).arg(&folder).arg("--out").arg(&out);
        run(&mut convert)?;
    }
    Ok(())
}

/// What the yardstick prints, one object a line.
fn read_rows(node: &mut std::process::Command) -> anyhow::Result<Vec<Value>> {
    let mut child = node.stdout(Stdio::piped()).spawn().context("cannot start node")?;
    let output = child.stdout.take().context("node has no output")?;
    let mut rows = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        rows.push(serde_json::from_str(&line).context("the yardstick printed something else than JSON lines")?);
    }
    ensure!(child.wait()?.success(), "the yardstick failed");
    Ok(rows)
}

/// One object for every case that both pages have done; of several rounds the medians.
fn pair(rows: &[Value]) -> Vec<Value> {
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut cases: BTreeMap<(String, String, String), [Vec<&Value>; 2]> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.get("failed").is_none()) {
        let [ours, theirs] = cases.entry((text(row, "model"), text(row, "device"), text(row, "dtype"))).or_default();
        match text(row, "page").as_str() {
            OURS => ours.push(row),
            THEIRS => theirs.push(row),
            _ => (),
        }
    }
    let both = cases.into_iter().filter(|(_, [ours, theirs])| !ours.is_empty() && !theirs.is_empty());
    both.map(|((model, device, precision), [ours, theirs])| {
        // From nothing to a vector: code, weights, set-up, first call.
        let first = |row: &Value| number(row, "load_ms") + number(row, "first_ms");
        json!({
            "model": model, "device": device, "precision": precision,
            "ours_ms": median(&ours, |row| number(row, "median_ms")),
            "theirs_ms": median(&theirs, |row| number(row, "median_ms")),
            "ours_first_ms": median(&ours, first),
            "theirs_first_ms": median(&theirs, first),
            "ours_code_bytes_gzip": median(&ours, |row| number(row, "code_gzip_bytes")),
            "theirs_code_bytes_gzip": median(&theirs, |row| number(row, "code_gzip_bytes")),
            "max_abs": median(&ours, |row| number(row, "head_error")),
        })
    })
    .collect()
}

/// A number of a row; not a number if it has none.
pub fn number(row: &Value, key: &str) -> f64 {
    row.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn median(rows: &[&Value], value: impl Fn(&Value) -> f64) -> f64 {
    let mut values: Vec<f64> = rows.iter().map(|row| value(row)).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print_table(list: &[Value]) {
    println!(
        "\n| model | device | precision | ours ms | theirs ms | times | ours to first vector s | theirs | code gzipped kB | theirs | max-abs |"
    );
    println!("|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    for row in list {
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        let [ours, theirs] = ["ours_ms", "theirs_ms"].map(|key| number(row, key));
        println!(
            "| {} | {} | {} | {ours:.1} | {theirs:.1} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {:.1e} |",
            text("model"),
            text("device"),
            text("precision"),
            theirs / ours,
            number(row, "ours_first_ms") / 1e3,
            number(row, "theirs_first_ms") / 1e3,
            number(row, "ours_code_bytes_gzip") / 1e3,
            number(row, "theirs_code_bytes_gzip") / 1e3,
            number(row, "max_abs"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_paired_case_by_case_and_a_failed_one_is_left_out() {
        let row = |page: &str, device: &str, median: f64| {
            json!({
                "page": page, "model": "bert-mini", "device": device, "dtype": "fp32", "median_ms": median, "load_ms": 100.0,
                "first_ms": 20.0, "code_gzip_bytes": 7, "head_error": 1e-7,
            })
        };
        let mut rows = vec![row(OURS, "wasm", 3.0), row(THEIRS, "wasm", 9.0), row(OURS, "wasm", 1.0), row(OURS, "wasm", 2.0)];
        rows.extend([row(OURS, "webgpu", 1.0), json!({ "page": THEIRS, "device": "webgpu", "failed": "the tab crashed" })]);
        let list = pair(&rows);
        assert_eq!(list.len(), 1);
        assert_eq!((number(&list[0], "ours_ms"), number(&list[0], "theirs_ms")), (2.0, 9.0));
        assert_eq!(number(&list[0], "ours_first_ms"), 120.0);
    }

    #[test]
    fn arguments_are_the_yardsticks_and_flags_with_values() {
        let here = env!("CARGO_MANIFEST_DIR");
        let settings = Settings::from_arguments(&[here, "--models", "bert-mini", "--json", "a.json"]).unwrap();
        assert_eq!((settings.models.as_str(), settings.json), ("bert-mini", Some("a.json".into())));
        for wrong in [&[][..], &["--json", "a"], &[here, "--json"], &[here, "--fast", "yes"]] {
            assert!(Settings::from_arguments(wrong).is_err(), "{wrong:?}");
        }
    }
}
