//! `native doctor`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::Answer;
use crate::cli::Common;
use crate::cuda::{Gpu, Libraries, Place, gpus, libraries};
use crate::machine::{Machine, bytes, room_at};
use crate::train::flags::Flags;
use crate::train::rehearsal::{Check, rehearse};
use crate::train::settings::Layers;

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Try the run that the same flags would begin with `native train`: about a minute, nothing stays on disk
    #[arg(long)]
    train: bool,
    /// Where the run would be written
    #[arg(long, alias = "output-dir", value_name = "DIR", default_value = ".")]
    out: PathBuf,
    #[command(flatten)]
    flags: Flags,
}

/// Runs the command: what this machine is, and with `--train` a line for everything that was tried.
///
/// # Errors
/// Settings that cannot be, or a failing machine.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    let machine = Machine::here();
    let room = room_at(&arguments.out)?;
    let threads = rayon::current_num_threads();
    let (gpus, libraries) = (gpus(), libraries());
    if !common.json {
        println!("program    clinicalbert {}", env!("CARGO_PKG_VERSION"));
        println!("system     {}", machine.system);
        println!("processor  {}, {} cores, {threads} threads are used", machine.processor, machine.cores);
        println!("memory     {}, {} available", bytes(machine.memory), bytes(machine.memory_available));
        println!("disk       {} free at {}", bytes(room), arguments.out.display());
        print_devices(&gpus, libraries);
    }
    let checks = if arguments.train { rehearsed(arguments, common)? } else { Vec::new() };
    let ok = checks.iter().all(|check| check.ok);
    if common.json {
        let mut answer = json!({ "version": env!("CARGO_PKG_VERSION"), "machine": machine, "threads": threads, "disk_available": room,
                "gpus": gpus.unwrap_or_default(), "cuda": libraries, "cuda_missing": libraries.missing() });
        if let Some(answer) = answer.as_object_mut().filter(|_| arguments.train) {
            answer.insert("checks".into(), serde_json::to_value(&checks)?);
            answer.insert("ok".into(), Value::Bool(ok));
        }
        println!("{answer}");
    }
    Ok(if ok { Answer::Yes } else { Answer::No })
}

fn print_devices(gpus: &Result<Vec<Gpu>>, libraries: &Libraries) {
    println!("devices    CPU");
    for Gpu { number, name, capability: (major, minor), memory, multiprocessors, .. } in gpus.iter().flatten() {
        let memory = bytes(*memory as u64);
        println!(
            "           cuda:{number}: {name}, {memory}, {multiprocessors} multiprocessors, compute capability {major}.{minor}"
        );
    }
    let version = gpus.as_ref().ok().and_then(|gpus| gpus.first()).map(|gpu| gpu.driver_cuda);
    let driver = match (gpus, version) {
        (Err(error), _) if libraries.driver.is_there() => format!("{error:#}"),
        (_, Some((major, minor))) => format!("knows CUDA {major}.{minor}"),
        _ => "not there".into(),
    };
    let place = |place: &Place| match place {
        Place::Loader => "there".into(),
        Place::File(file) => file.display().to_string(),
        Place::Missing => "not there".into(),
    };
    println!("CUDA       driver: {driver}; NVRTC: {}; cuBLASLt: {}", place(&libraries.nvrtc), place(&libraries.cublaslt));
    libraries.missing().iter().for_each(|missing| println!("           {missing}"));
}

fn rehearsed(arguments: &Arguments, common: &Common) -> Result<Vec<Check>> {
    let mut layers = Layers::new()?;
    arguments.flags.overlay(&mut layers)?;
    rehearse(&layers.merge()?, &arguments.out, |check| {
        if !common.json {
            println!("{:<5} {}: {}", if check.ok { "ok" } else { "FAIL" }, check.name, check.found);
            check.fix.iter().for_each(|fix| println!("      fix: {fix}"));
        }
    })
}
