//! Everything that cargo alone can check.
//!
//! The whole workspace is always built with the same features and the same profile, so that nothing is compiled twice.

use crate::process::{cargo, first_line, run, run_tests};
use crate::report::Report;
use crate::tools;

/// Format, lints, features, build and tests.
pub fn code(report: &mut Report) -> anyhow::Result<()> {
    tools::for_rust(report)?;
    tools::for_gpu(report)?;
    report.step("format", || run(&mut cargo("fmt --all --check")))?;
    report.step("lints", || {
        run(&mut cargo("clippy --workspace --all-targets --features xtask/bindgen,xtask/quality -- -D warnings"))
    })?;
    report.step("each feature of core alone", || {
        ["", "--features tokenizer", "--features candle", "--features cpu", "--features wgpu"]
            .into_iter()
            .try_for_each(|features| run(&mut cargo(&format!("clippy -p clinicalbert-core {features} -- -D warnings"))))
    })?;
    // With all targets, because only then are features chosen as they are for the tests; the command-line tests run `native`.
    report.step("build", || run(&mut cargo("build --workspace --all-targets")))?;
    report.tests("tests", |counts| {
        let nextest = first_line("cargo", &["nextest", "--version"]).is_some();
        let runner = if nextest {
            "nextest run --workspace --no-fail-fast --status-level fail"
        } else {
            "test --quiet --workspace --lib --bins --tests --no-fail-fast"
        };
        run_tests(&mut cargo(runner), counts)
    })?;
    // Apart, because a library that is there changes what other tests are told.
    report.tests("CUDA kernels by NVRTC", |counts| {
        let Some(folder) = tools::nvrtc()? else { return Ok(()) };
        let mut tests = cargo("test --quiet --workspace --bins cuda::kernels");
        run_tests(tests.env("CLINICALBERT_CUDA", folder).env("CLINICALBERT_TEST_NVRTC", "1"), counts)
    })
}

/// The API documentation and the examples in it.
pub fn docs(report: &mut Report) -> anyhow::Result<()> {
    tools::for_rust(report)?;
    report.step("documentation", || run(cargo("doc --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings")))?;
    report.tests("examples in the documentation", |counts| {
        run_tests(&mut cargo("test --quiet --workspace --doc --no-fail-fast"), counts)
    })
}
