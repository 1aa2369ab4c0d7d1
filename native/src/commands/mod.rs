//! One file a command: its flags and what it does with them.

pub mod bench;
pub mod convert;
pub mod demo;
pub mod doctor;
pub mod embed;
pub mod eval;
pub mod fill_mask;
pub mod inspect;
pub mod prepare;
pub mod sample;
pub mod split;
pub mod train;
pub mod vocab;

use crate::cli::{Cli, Command};
use crate::cuda;

/// How a command ended, other than by failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Yes,
    /// Done, and the answer is no: exit status 1.
    No,
}

/// Runs the chosen command.
///
/// # Errors
/// Whatever the command could not do, as one line.
pub fn run(cli: Cli) -> anyhow::Result<Answer> {
    let common = &cli.common;
    if let Some(threads) = common.threads {
        // The tensor library and every other user of rayon share this pool.
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    if let Some(folder) = &common.cuda_path {
        anyhow::ensure!(folder.is_dir(), "--cuda-path {}: expected a folder", folder.display());
        cuda::look_in(folder.clone());
    }
    match cli.command {
        Command::Sample(arguments) => sample::run(&arguments, common),
        Command::Vocab(arguments) => vocab::run(&arguments, common),
        Command::Split(arguments) => split::run(&arguments, common),
        Command::Prepare(arguments) => prepare::run(&arguments, common),
        Command::Train(arguments) => train::run(&arguments, common),
        Command::Eval(arguments) => eval::run(&arguments, common),
        Command::Embed(arguments) => embed::run(&arguments, common),
        Command::FillMask(arguments) => fill_mask::run(&arguments, common),
        Command::Convert(arguments) => convert::run(&arguments, common),
        Command::Inspect(arguments) => inspect::run(&arguments, common),
        Command::Demo(arguments) => demo::run(&arguments, common),
        Command::Doctor(arguments) => doctor::run(&arguments, common),
        Command::Bench(arguments) => bench::run(&arguments, common),
    }
}
