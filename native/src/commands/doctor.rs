//! `native doctor`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::Answer;
use crate::cli::Common;
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
    if !common.json {
        println!("program    clinicalbert {}", env!("CARGO_PKG_VERSION"));
        println!("system     {}", machine.system);
        println!("processor  {}, {} cores, {threads} threads are used", machine.processor, machine.cores);
        println!("memory     {}, {} available", bytes(machine.memory), bytes(machine.memory_available));
        println!("disk       {} free at {}", bytes(room), arguments.out.display());
        println!("devices    CPU");
    }
    let checks = if arguments.train { rehearsed(arguments, common)? } else { Vec::new() };
    let ok = checks.iter().all(|check| check.ok);
    if common.json {
        let mut answer =
            json!({ "version": env!("CARGO_PKG_VERSION"), "machine": machine, "threads": threads, "disk_available": room });
        if let Some(answer) = answer.as_object_mut().filter(|_| arguments.train) {
            answer.insert("checks".into(), serde_json::to_value(&checks)?);
            answer.insert("ok".into(), Value::Bool(ok));
        }
        println!("{answer}");
    }
    Ok(if ok { Answer::Yes } else { Answer::No })
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
