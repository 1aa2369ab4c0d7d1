//! `cargo xtask bench prepare`: note preparation beside the Python pipeline of ../shared/peers, on the same files, in one run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::process::{cargo, program, run};
use crate::workspace;

/// Millions of words of the files that are prepared; the first is given to the Python pipeline too.
const MILLION_WORDS: [u32; 3] = [2, 20, 50];
/// MIMIC-III's notes, in words.
const MIMIC_WORDS: f64 = 880e6;

/// One run of ours.
struct Run {
    threads: usize,
    words: f64,
    seconds: f64,
    /// Peak of memory that is not a mapped file, in bytes.
    memory: u64,
    /// Name, wall seconds.
    stages: Vec<(String, f64)>,
}

impl Run {
    fn rate(&self) -> f64 {
        self.words / self.seconds
    }
}

/// Measures and prints a table. `python` must have what `peers/prepare.py` names.
///
/// # Errors
/// ../shared is not there, or one of the programs fails.
pub fn prepare(python: &str) -> anyhow::Result<()> {
    let shared = workspace::root().join("../shared");
    ensure!(
        shared.join("peers/prepare.py").is_file(),
        "needs ../shared/peers and ../shared/data, the yardsticks beside the checkout"
    );
    run(&mut cargo("build --release"))?;
    let folder = workspace::target()?.join("bench");
    std::fs::create_dir_all(&folder)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut counts = vec![1, cores];
    counts.dedup();

    let mut runs = Vec::new();
    for size in MILLION_WORDS {
        let notes = notes(&shared, &folder, python, size)?;
        for &threads in &counts {
            runs.push((size, ours(&shared, &folder, &notes, threads)?));
        }
    }
    let first = folder.join(format!("notes-{}m.csv.gz", MILLION_WORDS[0]));
    let theirs = theirs(&shared, python, &first, &counts)?;

    println!(
        "\n| million words | threads | words/s | seconds | tokens | instances | examples | memory |\n|---|---|---|---|---|---|---|---|"
    );
    for (size, run) in &runs {
        let stage = |name: &str| run.stages.iter().find(|(found, _)| found == name).map_or(0.0, |(_, seconds)| *seconds);
        println!(
            "| {size} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} MiB |",
            run.threads,
            run.rate(),
            run.seconds,
            stage("tokens"),
            stage("instances"),
            stage("examples"),
            run.memory as f64 / f64::from(1 << 20)
        );
    }
    println!("\n| Python pipeline, {} million words | threads | words/s |\n|---|---|---|", MILLION_WORDS[0]);
    for (path, threads, rate) in &theirs {
        println!("| {path} | {threads} | {rate:.0} |");
    }
    println!();
    for &threads in &counts {
        let peer =
            theirs.iter().find(|(path, count, _)| path == "full" && *count == threads).map_or(f64::NAN, |(_, _, rate)| *rate);
        for (size, run) in runs.iter().filter(|(_, run)| run.threads == threads) {
            println!(
                "{threads} threads, {size} million words: {:.1} times the Python pipeline's words per second",
                run.rate() / peer
            );
        }
        let at_20 = runs.iter().find(|(size, run)| *size == 20 && run.threads == threads);
        if let Some((_, run)) = at_20 {
            println!(
                "{threads} threads: 880 million words (MIMIC-III) at the rate of the 20 million: {:.1} min",
                MIMIC_WORDS / run.rate() / 60.0
            );
        }
    }
    Ok(())
}

/// Notes of so many million words, made once.
fn notes(shared: &Path, folder: &Path, python: &str, million_words: u32) -> anyhow::Result<PathBuf> {
    let file = folder.join(format!("notes-{million_words}m.csv.gz"));
    if !file.exists() {
        let transcriptions = format!("{}:transcription", shared.join("data/mtsamples/mtsamples-dev.csv.gz").display());
        run(program(python)
            .arg(shared.join("peers/make_big_notes.py"))
            .arg(shared.join("data/synthetic-noteevents/NOTEEVENTS-dev.csv.gz"))
            .arg(&file)
            .args(["--million-words", &million_words.to_string(), "--also", &transcriptions]))?;
    }
    Ok(file)
}

fn ours(shared: &Path, folder: &Path, notes: &Path, threads: usize) -> anyhow::Result<Run> {
    let out = folder.join("prepared");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    let mut command = program(workspace::target()?.join("release/native"));
    command.args(["prepare", "--quiet", "--json", "--threads", &threads.to_string(), "--notes"]).arg(notes);
    command.arg("--vocab").arg(shared.join("data/vocab/bert-base-cased-vocab.txt")).arg("--out").arg(&out);
    let start = Instant::now();
    let (output, memory) = watched(command)?;
    let seconds = start.elapsed().as_secs_f64();
    std::fs::remove_dir_all(&out)?;
    let summary: Value = serde_json::from_slice(&output).context("native prepare --json printed something else")?;
    let stages = summary.get("stages").and_then(Value::as_array).cloned().unwrap_or_default();
    let stage = |stage: &Value| Some((stage.get("name")?.as_str()?.to_owned(), stage.get("seconds")?.as_f64()?));
    Ok(Run {
        threads,
        words: summary.get("words").and_then(Value::as_f64).context("no count of words")?,
        seconds,
        memory,
        stages: stages.iter().filter_map(stage).collect(),
    })
}

/// Runs a program; its output, and the peak of its memory without mapped files (0 where the system does not tell).
fn watched(mut command: Command) -> anyhow::Result<(Vec<u8>, u64)> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut peak = 0;
        while let Some(bytes) = std::fs::read_to_string(&status).ok().and_then(|text| anonymous_bytes(&text)) {
            peak = peak.max(bytes);
            std::thread::sleep(Duration::from_millis(10));
        }
        peak
    });
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{command:?} failed ({})", output.status);
    }
    Ok((output.stdout, watcher.join().unwrap_or(0)))
}

fn anonymous_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// Path (`full` or `tokenize`), workers and words per second of the Python pipeline.
fn theirs(shared: &Path, python: &str, notes: &Path, counts: &[usize]) -> anyhow::Result<Vec<(String, usize, f64)>> {
    let workers = counts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut command = program(python);
    command.arg(shared.join("peers/prepare.py")).arg(notes).args(["--workers", &workers]);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {python}"))?;
    ensure!(
        output.status.success(),
        "peers/prepare.py failed; give a Python that has tokenizers, spacy, protobuf and google-crc32c"
    );
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let measured = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        let workers = value.get("workers")?.as_u64()? as usize;
        Some((value.get("path")?.as_str()?.to_owned(), workers, value.get("words_per_s")?.as_f64()?))
    };
    Ok(lines.lines().filter_map(measured).collect())
}
