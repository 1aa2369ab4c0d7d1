//! Running other programs. Their output is shown as it comes; nobody is asked anything.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, bail};

use crate::counts::Counts;
use crate::workspace;

/// A program to be run in the root of the workspace.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command
}

/// The cargo that runs this program; `arguments` as they are typed, parted by blanks.
pub fn cargo(arguments: &str) -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments.split_whitespace());
    command
}

/// Runs a program to its end.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a test runner to its end, showing its output and counting what its summaries say.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub fn run_tests(command: &mut Command, counts: &mut Counts) -> anyhow::Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let counter = Mutex::new(&mut *counts);
    std::thread::scope(|scope| {
        scope.spawn(|| pass_on(output, std::io::stdout(), &counter));
        scope.spawn(|| pass_on(errors, std::io::stderr(), &counter));
    });
    let status = child.wait().with_context(|| format!("`{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// The first line that a program prints, if it runs and succeeds.
pub fn first_line(name: impl AsRef<OsStr>, arguments: &[&str]) -> Option<String> {
    let output = program(name).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

fn pass_on(from: Option<impl Read>, mut to: impl Write, counter: &Mutex<&mut Counts>) {
    let Some(from) = from else { return };
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        // A closed terminal is no reason to stop counting.
        let _ = writeln!(to, "{line}");
        if let Ok(mut counts) = counter.lock() {
            counts.read(&line);
        }
    }
}

fn shown(command: &Command) -> String {
    let name = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(name).chain(command.get_args()).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
