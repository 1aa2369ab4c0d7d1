//! The npm package: wasm build, glue, TypeScript, tests under Node.

use std::path::Path;

use anyhow::{Context, bail};

use crate::process::{cargo, first_line, program, run, run_tests};
use crate::report::Report;
use crate::{tools, workspace};

/// The wasm files, of which a page fetches the one that its engine understands, and the instructions that each may use.
const VARIANTS: [(&str, &str); 2] = [("plain", "+simd128"), ("relaxed", "+simd128,+relaxed-simd")];

/// Builds `web/dist`.
pub fn build(report: &mut Report) -> anyhow::Result<()> {
    let target = workspace::target()?;
    let dist = workspace::root().join("web/dist");
    report.step("npm package has the workspace's version", same_version)?;
    report.step("wasm-bindgen", || {
        run(&mut cargo("build -p xtask --features bindgen --bin bindgen --profile tools"))?;
        if dist.exists() {
            std::fs::remove_dir_all(&dist).with_context(|| format!("{}", dist.display()))?;
        }
        std::fs::create_dir_all(&dist).with_context(|| format!("{}", dist.display()))
    })?;
    for (name, features) in VARIANTS {
        report.step(&format!("wasm, {name}"), || {
            let build = "build -p clinicalbert-web --target wasm32-unknown-unknown --profile wasm-release";
            run(cargo(build).env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", wasm_flags(features)))?;
            let wasm = target.join("wasm32-unknown-unknown/wasm-release/clinicalbert_web.wasm");
            run(program(target.join("tools/bindgen")).arg(&wasm).arg(&dist).arg(name))?;
            print_sizes(&[&dist.join(format!("{name}.wasm")), &dist.join(format!("{name}.js"))])
        })?;
    }
    report.step("TypeScript", || {
        tools::npm_install("web")?;
        run(program("npm").args(["run", "--silent", "build"]).current_dir(workspace::root().join("web")))
    })
}

/// Tests the package under Node.
pub fn test(report: &mut Report, models: &Path) -> anyhow::Result<()> {
    report.tests("package under Node", |counts| {
        let tests =
            ["host", "load", "session", "split", "tensor", "tokenizer", "weights"].map(|name| format!("web/test/{name}.test.js"));
        let mut node = program("node");
        node.env("ENGINE_MODELS", models).args(["--test", "--test-reporter=spec"]).args(tests);
        run_tests(&mut node, counts)
    })
}

/// Packs the package and tests it in projects of users: types, Node, Vite, webpack, esbuild.
pub fn test_packed(report: &mut Report, browser: &Path, models: &Path) -> anyhow::Result<()> {
    report.tests("packed package", |counts| {
        tools::npm_install("tests/browser")?;
        tools::npm_install("tests/package")?;
        let mut node = program("node");
        node.env("CHROMIUM", browser).env("ENGINE_MODELS", models);
        run_tests(node.args(["--test", "--test-reporter=spec", "tests/package/package.test.js"]), counts)
    })
}

/// Warnings are errors, and no path of the building machine stays in what is published.
fn wasm_flags(features: &str) -> String {
    let home = std::env::var("CARGO_HOME").ok().or_else(|| std::env::var("HOME").ok().map(|home| format!("{home}/.cargo")));
    let home = home.map(|home| format!(" --remap-path-prefix={home}=cargo")).unwrap_or_default();
    format!("-Dwarnings -Ctarget-feature={features} --remap-path-prefix={}=.{home}", workspace::root().display())
}

fn same_version() -> anyhow::Result<()> {
    let file = workspace::root().join("web/package.json");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let expected = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    if !text.contains(&expected) {
        bail!("web/package.json must say {expected}, as the workspace's Cargo.toml does");
    }
    Ok(())
}

/// Prints sizes as they lie on disk and as a server would send them.
pub fn print_sizes(files: &[&Path]) -> anyhow::Result<()> {
    const GZIP: &str = "const z = require('node:zlib'), f = require('node:fs').readFileSync(process.argv[1]);\
        console.log(`${f.length} bytes, ${z.gzipSync(f, {level: 9}).length} gzipped`)";
    for file in files {
        let sizes = first_line("node", &["-e", GZIP, &file.to_string_lossy()])
            .with_context(|| format!("cannot read {}", file.display()))?;
        println!("{}: {sizes}", file.file_name().unwrap_or_default().to_string_lossy());
    }
    Ok(())
}
