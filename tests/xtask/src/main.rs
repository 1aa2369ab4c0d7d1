//! `cargo xtask …`: the project's own automation.
//!
//! `cargo xtask test` is all that continuous integration runs, the cheapest check first; it stops at the first step that fails.
//! Exit status: 0 all passed, 1 a step failed, 2 a tool is missing or the arguments make no sense.

mod bench;
mod bench_web;
mod counts;
mod engine;
mod kernels;
mod package;
mod page;
mod process;
mod report;
mod rust;
mod tools;
mod visits;
mod workspace;

use std::ffi::OsStr;
use std::process::ExitCode;

use report::Report;

const USAGE: &str = "\
cargo xtask test [native|docs|web]         check everything, or one part of it, as continuous integration does
cargo xtask web                            build the npm package (web/dist) and the page (www/dist)
cargo xtask screenshots                    build the page and take the README's pictures of it (www/screenshots)
cargo xtask quality [sections|sentences]   how good the rules are, on the public data in ../shared
cargo xtask quality int8 MODEL             what a model loses with --dtype int8
cargo xtask bench prepare [PYTHON]         speed and memory of preparing notes, beside the Python pipeline in ../shared
cargo xtask bench-web PEERS [--python PYTHON] [--json FILE] [--models bert-mini,bert-base] [--cases wasm:fp32:1,…] [--rounds 1]
                                           the engine in the browser beside transformers.js, and visits of both pages; PEERS is ../shared/peers";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut report = Report::start();
    let outcome = match arguments.as_slice() {
        ["test"] => rust::code(&mut report).and_then(|()| rust::docs(&mut report)).and_then(|()| web(&mut report)),
        ["test", "native"] => rust::code(&mut report),
        ["test", "docs"] => rust::docs(&mut report),
        ["test", "web"] => web(&mut report),
        ["web"] => tools::for_web(&mut report).and_then(|_| build_web(&mut report)),
        ["screenshots"] => screenshots(&mut report),
        ["quality"] => return quality(&[]),
        ["quality", what @ ("sections" | "sentences")] => return quality(&[what.as_ref()]),
        ["quality", "int8", model] => return int8_quality(model),
        ["bench", "prepare", python @ ..] if python.len() < 2 => bench::prepare(python.first().unwrap_or(&"python3")),
        ["bench-web", arguments @ ..] => {
            bench_web::Settings::from_arguments(arguments).and_then(|settings| bench_web::measure(&mut report, &settings))
        }
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("error: unknown arguments: {}\n\n{USAGE}", arguments.join(" "));
            return ExitCode::from(2);
        }
    };
    report.finish(outcome)
}

/// Only the tables go to standard output.
fn quality(arguments: &[&OsStr]) -> ExitCode {
    match process::cargo("run --quiet -p xtask --features quality --bin quality --").args(arguments).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    }
}

/// Builds the binary that is measured first.
fn int8_quality(model: &str) -> ExitCode {
    let built = process::run(&mut process::cargo("build --quiet --release"));
    match built.and_then(|()| workspace::target()) {
        Ok(target) => quality(&["int8".as_ref(), target.join("release/native").as_ref(), model.as_ref()]),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn build_web(report: &mut Report) -> anyhow::Result<()> {
    package::build(report)?;
    page::build(report)
}

fn web(report: &mut Report) -> anyhow::Result<()> {
    let browser = tools::for_web(report)?;
    kernels::test(report)?;
    let models = engine::models(report)?;
    package::build(report)?;
    package::test(report, &models)?;
    engine::test(report, &browser, &models)?;
    page::build(report)?;
    package::test_packed(report, &browser, &models)?;
    page::test(report, &browser, &models)
}

fn screenshots(report: &mut Report) -> anyhow::Result<()> {
    let browser = tools::for_web(report)?;
    build_web(report)?;
    page::screenshots(report, &browser)
}
