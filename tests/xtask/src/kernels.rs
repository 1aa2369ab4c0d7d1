//! The CPU backend's tests as WebAssembly under Node, once for each of the two sets of instructions that it is built with.

use std::path::Path;

use crate::process::{cargo, first_line, run};
use crate::report::Report;
use crate::workspace;

/// First Node in which relaxed SIMD is not an experiment. In version 20 it is, and its dot product gives wrong sums.
const RELAXED_NODE: u32 = 22;

/// Builds and runs them.
pub fn test(report: &mut Report) -> anyhow::Result<()> {
    report.step("CPU backend as WebAssembly, SIMD", || with("+simd128"))?;
    report.step("CPU backend as WebAssembly, relaxed SIMD", || {
        let version = first_line("node", &["--version"]).unwrap_or_default();
        let major = version.trim_start_matches('v').split('.').next().and_then(|number| number.parse::<u32>().ok());
        if major.is_none_or(|major| major < RELAXED_NODE) {
            println!("skipped: needs Node.js {RELAXED_NODE} or later, found {version}");
            return Ok(());
        }
        with("+simd128,+relaxed-simd")
    })
}

fn with(features: &str) -> anyhow::Result<()> {
    let runner = workspace::root().join(Path::new("tests/wasm/run.mjs"));
    run(cargo("test --quiet -p clinicalbert-core --features cpu --test cpu_operations --target wasm32-unknown-unknown")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", format!("node {}", runner.display()))
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", format!("-Dwarnings -C target-feature={features}")))
}
