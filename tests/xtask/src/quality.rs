//! Prints how good the product's own rules are, measured on public data with known answers, and what a model loses in int8.
//!
//! A program of its own, because it is built on the core, which `cargo xtask` is not.

use std::path::Path;
use std::process::ExitCode;

use clinicalbert_tests::quality::{int8, sections, sentences};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["int8", native, model] => match int8::agreement(Path::new(native), Path::new(model)) {
            Ok(agreement) => println!("{agreement}"),
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        },
        wanted => {
            if wanted != ["sentences"] {
                println!("{}", sections::report());
            }
            if wanted != ["sections"] {
                println!("{}", sentences::report());
            }
        }
    }
    ExitCode::SUCCESS
}
