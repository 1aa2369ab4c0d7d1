//! Turns the wasm build of `web` into the files of the npm package: the glue in JavaScript, its types, the wasm itself.
//!
//! Used as a library, because its version must equal that of the `wasm-bindgen` crate exactly: the workspace pins both with `=`,
//! which a separately installed command line could not promise. A program of its own, because it takes longer to build
//! than all the rest of `cargo xtask`.

use anyhow::{Context, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [wasm, out] = arguments.as_slice() else {
        bail!("expected two arguments: bindgen WASM_FILE OUT_FOLDER");
    };
    Bindgen::new()
        .input_path(wasm)
        .out_name("clinicalbert")
        .web(true)?
        .typescript(true)
        .omit_default_module_path(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out)
        .with_context(|| format!("wasm-bindgen could not process {wasm}"))
}
