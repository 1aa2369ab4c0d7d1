//! `native bench`.

use std::time::Instant;

use anyhow::Result;
use clap::{Args, Subcommand};
use clinicalbert_core::bert::Config;
use serde_json::json;

use super::Answer;
use crate::bench::{Case, Length, Measured, Wanted, measure};
use crate::cli::Common;
use crate::cuda::gpus;
use crate::machine::{Machine, bytes};
use crate::train::{
    device::{Choice, choice},
    flags::ShapeFlags,
    settings::Precision,
    start::shape,
};

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Time, memory and share of the machine's ceiling of a pretraining update
    Train(TrainArguments),
}

#[derive(Debug, Args)]
struct TrainArguments {
    /// Batch sizes and lengths, with commas between
    #[arg(long, value_name = "BATCHxLENGTH", value_delimiter = ',', default_value = "32x128")]
    cases: Vec<Case>,
    /// Updates that are timed, of every case
    #[arg(long, value_name = "N", default_value_t = 100)]
    steps: usize,
    /// Updates before them
    #[arg(long, value_name = "N", default_value_t = 20)]
    warmup: usize,
    /// Machine to measure: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,
    /// What a GPU computes in
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    precision: Precision,
    #[command(flatten, next_help_heading = "Shape of the model")]
    shape: ShapeFlags,
}

/// Runs the command.
///
/// # Errors
/// A shape that is none, a machine that is not there or fails.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    let What::Train(arguments) = &arguments.what;
    let mut since = common.began;
    let config = shape(Config::default().vocab_size, &arguments.shape.table()?)?;
    let TrainArguments { cases, steps, warmup, device, .. } = arguments;
    let (name, precision) = match choice(device)? {
        Choice::Cuda(number) => {
            let name = gpus()?.into_iter().nth(number).map(|gpu| gpu.name);
            (name.unwrap_or_default(), arguments.precision)
        }
        // Training does not choose a GPU by itself either.
        Choice::Auto | Choice::Cpu => (Machine::here().processor, Precision::F32),
    };
    let wanted = Wanted { device, precision, config: &config };
    let length = Length { warmup: *warmup, steps: *steps };
    let mut ceiling = None;
    let mut measured = Vec::new();
    for case in cases {
        let case = measure(&wanted, *case, length, &mut ceiling, since)?;
        if !common.json {
            if measured.is_empty() {
                println!("{name}, {precision:?}: a large product reaches {:.4} TFLOP/s", ceiling.unwrap_or_default());
            }
            print_case(&case);
        }
        measured.push(case);
        since = Instant::now();
    }
    if common.json {
        let version = env!("CARGO_PKG_VERSION");
        println!(
            "{}",
            json!({ "version": version, "device": name, "precision": precision, "ceiling_tflops": ceiling, "cases": measured })
        );
    }
    Ok(Answer::Yes)
}

fn print_case(measured: &Measured) {
    let Measured { case, step_ms_median: median, step_ms_p95: p95, examples_per_second, tokens_per_second, .. } = measured;
    println!(
        "{case}: {median:.3} ms an update (95 %: {p95:.3}), {examples_per_second:.1} examples/s, {tokens_per_second:.0} tokens/s"
    );
    println!(
        "  {:.4} TFLOP/s, {:.1} % of the large product; {} of memory; first update done after {:.2} s; loss {:.3}",
        measured.tflops,
        100.0 * measured.ceiling_share,
        bytes(measured.peak_memory_bytes),
        measured.first_step_seconds,
        measured.loss
    );
    if let Some(parts) = measured.parts {
        println!(
            "  forward {:.3} ms, backward {:.3}, optimizer {:.3}, between updates {:.3}",
            parts.forward_ms, parts.backward_ms, parts.optimizer_ms, parts.gaps_ms
        );
    }
}
