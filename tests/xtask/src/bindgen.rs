//! Turns a wasm build of `web` into files of the npm package: the glue in JavaScript, its types, the wasm itself.
//!
//! Used as a library, because its version must equal that of the `wasm-bindgen` crate exactly: the workspace pins both with `=`,
//! which a separately installed command line could not promise. A program of its own, because it takes longer to build
//! than all the rest of `cargo xtask`.
//!
//! The glue for modules keeps its one instance in variables of the module, which live as long as the page. The package wants instances
//! that go away (`web/js/wasm.ts`), so it takes the glue for scripts, which is one function call, and makes it a function.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

/// What the glue for scripts calls everything.
const GLOBAL: &str = "bindings";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [wasm, out, name] = arguments.as_slice() else {
        bail!("expected three arguments: bindgen WASM_FILE OUT_FOLDER NAME");
    };
    let mut output = Bindgen::new()
        .input_path(wasm)
        .out_name(name)
        .no_modules(true)?
        .no_modules_global(GLOBAL)?
        .typescript(true)
        .omit_default_module_path(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate_output()
        .with_context(|| format!("wasm-bindgen could not process {wasm}"))?;
    let snippets: Vec<_> = output.snippets().iter().filter(|(_, texts)| !texts.is_empty()).collect();
    ensure!(snippets.is_empty(), "the package has no place for snippets of JavaScript, found {snippets:?}");
    ensure!(output.local_modules().is_empty(), "the package has no place for modules, found {:?}", output.local_modules());
    let out = Path::new(out);
    let write = |ending: &str, bytes: &[u8]| {
        let file = out.join(format!("{name}.{ending}"));
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))
    };
    write("js", format!("export function instance() {{\n{}\nreturn {GLOBAL};\n}}\n", output.js()).as_bytes())?;
    write("d.ts", types(output.ts().context("wasm-bindgen wrote no types")?).as_bytes())?;
    write("wasm", &output.wasm_mut().emit_wasm())
}

/// The types of the function, and of the classes under their own names.
fn types(script: &str) -> String {
    // `using` is newer than the compiler settings of most who compile against these types.
    let script: String =
        script.lines().filter(|line| !line.contains("[Symbol.dispose]")).map(|line| format!("{line}\n")).collect();
    let class = |line: &str| line.trim().strip_prefix("export class ")?.split([' ', '{']).next().map(str::to_owned);
    let classes: String =
        script.lines().filter_map(class).map(|name| format!("export type {name} = {GLOBAL}.{name};\n")).collect();
    format!(
        "{script}\nexport type Bindings = typeof {GLOBAL};\n/** A new instance, to be initialized by calling it. */\nexport function instance(): Bindings;\n{classes}"
    )
}
