//! `native`: the command line of clinicalbert. Data goes to standard output, talk to standard error.
//!
//! Exit status: 0 done, 1 a negative answer (two preparations differ, a check failed), 2 the command could not be carried out,
//! with one line on standard error that says what was expected, what was found and how to fix it. A reader that closes our
//! output early (`native split … | head`) is no failure.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "doc comments of commands and flags are their help texts, where [MASK] is no link"
)]

mod bench;
mod checksum;
mod cli;
mod commands;
mod convert;
mod cuda;
mod dataset;
mod demo;
mod html;
mod inference;
mod machine;
mod mapped_file;
mod model_folder;
mod notes;
mod ordered;
mod prepare;
mod read_at;
mod small_file;
mod splitting;
mod synthetic;
mod train;
mod vocabulary;
mod whole_file;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse_from(cli::with_google_spellings(std::env::args_os()));
    match commands::run(cli) {
        Ok(commands::Answer::Yes) => ExitCode::SUCCESS,
        Ok(commands::Answer::No) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Some libraries' messages have several lines; a program that reads ours gets one.
            let message = format!("{error:#}");
            eprintln!("error: {}", message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "));
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
