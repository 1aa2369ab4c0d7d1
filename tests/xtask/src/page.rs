//! The demo page: build, and tests in a real browser.

use std::path::Path;
use std::process::Command;

use crate::process::{cargo, program, run, run_tests};
use crate::report::Report;
use crate::{tools, workspace};

/// Files of tests: `tests/browser/page_….test.js`.
const TESTS: [&str; 12] =
    ["list", "sections", "drop", "model", "findings", "notes", "privacy", "failures", "offline", "paint", "access", "demo"];

/// Builds `www/dist`.
pub fn build(report: &mut Report) -> anyhow::Result<()> {
    report.step("page", || {
        tools::npm_install("www")?;
        run(program("npm").args(["run", "--silent", "build"]).current_dir(workspace::root().join("www")))
    })
}

/// Drives the page in a headless browser, with the models in `models`.
pub fn test(report: &mut Report, browser: &Path, models: &Path) -> anyhow::Result<()> {
    report.step("program with the page in it", || {
        run(&mut cargo("clippy --workspace --features xtask/bindgen,xtask/quality,clinicalbert-native/page -- -D warnings"))
    })?;
    report.tests("page in a browser", |counts| {
        tools::npm_install("tests/browser")?;
        let tests = TESTS.map(|name| format!("tests/browser/page_{name}.test.js"));
        let mut node = with_browser(program("node"), browser)?;
        // One browser at a time: tests have limits of time, and two would share the cores.
        node.env("ENGINE_MODELS", models).args(["--test", "--test-concurrency=1", "--test-reporter=spec"]).args(tests);
        run_tests(&mut node, counts)
    })
}

/// Takes the README's pictures of the page: light and dark, on a desktop and on a phone.
pub fn screenshots(report: &mut Report, browser: &Path) -> anyhow::Result<()> {
    report.step("screenshots", || {
        tools::npm_install("tests/browser")?;
        run(with_browser(program("node"), browser)?.arg("tests/browser/screenshots.js"))
    })
}

fn with_browser(mut node: Command, browser: &Path) -> anyhow::Result<Command> {
    node.env("CHROMIUM", browser).env("NATIVE", workspace::target()?.join("debug/native"));
    Ok(node)
}
