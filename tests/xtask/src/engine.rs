//! Engine and package in a real browser: every device beside the reference, everything that can go wrong, memory, downloads, workers.

use std::path::{Path, PathBuf};

use crate::process::{cargo, program, run, run_tests};
use crate::report::Report;
use crate::{tools, workspace};

/// Files of tests, a browser each.
const TESTS: [&str; 5] = ["engine_answers", "engine_faults", "engine_memory", "package_session", "package_download"];

/// Writes the models of the tests, with the reference's answers, and returns their folder.
pub fn models(report: &mut Report) -> anyhow::Result<PathBuf> {
    report.step("models for the engine", || {
        let folder = workspace::target()?.join("engine-models");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        run(&mut cargo("build --workspace --all-targets"))?;
        run(program(workspace::target()?.join("debug/examples/engine_models")).arg(&folder))?;
        Ok(folder)
    })
}

/// Drives the engine in a headless browser.
pub fn test(report: &mut Report, browser: &Path, models: &Path) -> anyhow::Result<()> {
    tools::npm_install("tests/browser")?;
    for name in TESTS {
        report.tests(&format!("engine in a browser: {name}"), |counts| {
            let mut node = program("node");
            node.env("CHROMIUM", browser).env("ENGINE_MODELS", models).env("NATIVE", workspace::target()?.join("debug/native"));
            node.args(["--test", "--test-reporter=spec", &format!("tests/browser/{name}.test.js")]);
            run_tests(&mut node, counts)
        })?;
    }
    Ok(())
}
