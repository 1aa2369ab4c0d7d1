//! `native train` stopped in every way there is: what it leaves in the end is what an undisturbed run leaves, bit for bit.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::run;
use super::train::{TINY, prepared, rows, train};

/// What a run leaves that must not depend on how often it was stopped: `metrics.jsonl` without its one figure that is a measurement of
/// time, the weights, and the optimizer's state.
pub fn result(run: &Path) -> (Vec<Value>, Vec<u8>, Vec<u8>) {
    let mut rows = rows(run);
    rows.iter_mut().for_each(|row| drop(row.as_object_mut().unwrap().remove("examples_per_second")));
    let newest = fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let optimizer = fs::read(newest.join("optimizer.safetensors")).unwrap();
    (rows, fs::read(run.join("model/model.safetensors")).unwrap(), optimizer)
}

pub fn start(folder: &Path, arguments: &[&str], stderr: Stdio) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("native"));
    command.current_dir(folder).args(arguments).stdout(Stdio::null()).stderr(stderr).spawn().unwrap()
}

pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(300), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// SplitMix64: moments that are the same in every run of the test.
struct Moments(u64);

impl Moments {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (value ^ (value >> 31)) % limit
    }
}

#[cfg(unix)]
#[test]
fn three_hundred_updates_with_twenty_kills_end_with_the_bits_of_an_undisturbed_run() {
    const SEED: u64 = 4;
    let folder = prepared();
    let settings = ["--steps", "300", "--eval-every", "25", "--eval-examples", "40"];
    train(folder.path(), "undisturbed", &settings);
    let begin = [&["train", "--data", "data", "--out", "run"], &TINY[..], &settings].concat();
    let rows_written = || fs::read_to_string(folder.path().join("run/metrics.jsonl")).map_or(0, |text| text.lines().count());
    let mut moments = Moments(SEED);
    let mut kills = [0; 3];
    loop {
        let begun = folder.path().join("run/run.toml").exists();
        let arguments = if begun { vec!["train", "--resume", "--out", "run"] } else { begin.clone() };
        let mut child = start(folder.path(), &arguments, Stdio::null());
        let number = kills.iter().sum::<usize>();
        if number >= 24 {
            assert!(child.wait().unwrap().success());
            break;
        }
        // A third of them while the program starts, the others some updates later.
        let delay = Duration::from_millis(moments.below(if number.is_multiple_of(3) { 120 } else { 8 }));
        if !number.is_multiple_of(3) {
            // A row cut off by the resumed run shows as a shorter file first.
            let (before, more) = (rows_written(), moments.below(14) as usize);
            let mut least = before;
            wait_until("progress", || {
                least = least.min(rows_written());
                rows_written() > least + more || child.try_wait().unwrap().is_some()
            });
        }
        std::thread::sleep(delay);
        assert!(child.try_wait().unwrap().is_none(), "the run was over after {kills:?} kills");
        let kind = number / 3 % 3;
        signal(&child, ["-KILL", "-TERM", "-INT"][kind]);
        kills[kind] += 1;
        child.wait().unwrap();
    }
    assert!(kills.iter().all(|count| *count >= 4) && kills.iter().sum::<usize>() >= 20, "seed {SEED}: {kills:?}");
    let names = |folder: &Path| {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let left = [names(&folder.path().join("run")), names(&folder.path().join("run/checkpoints"))].concat();
    assert!(left.iter().all(|name| !name.ends_with(".tmp")), "killed halfway through a file: {left:?}");
    let (ours, theirs) = (result(&folder.path().join("run")), result(&folder.path().join("undisturbed")));
    assert_eq!(theirs.0.len(), 300 + 13, "a row an update and an evaluation every 25");
    assert_eq!(ours.0, theirs.0, "metrics differ (seed {SEED}, {kills:?})");
    assert!(ours.1 == theirs.1, "weights differ (seed {SEED}, {kills:?})");
    assert!(ours.2 == theirs.2, "moments differ (seed {SEED}, {kills:?})");
}

#[cfg(unix)]
#[test]
fn a_signal_saves_and_stops() {
    let folder = prepared();
    train(folder.path(), "undisturbed", &["--steps", "60"]);
    let mut arguments = [&["train", "--data", "data", "--out", "run", "--steps", "60"], &TINY[..]].concat();
    for (name, checkpoint) in [("-TERM", "step-000000010"), ("-INT", "step-000000030")] {
        let mut child = start(folder.path(), &arguments, Stdio::null());
        wait_until(checkpoint, || folder.path().join("run/checkpoints").join(checkpoint).exists());
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(1), "a run that is not done is a negative answer");
        arguments = vec!["train", "--resume", "--out", "run"];
    }
    run(folder.path(), &arguments);
    assert!(result(&folder.path().join("run")) == result(&folder.path().join("undisturbed")), "the results differ");
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let folder = prepared();
    train(folder.path(), "run", &["--steps", "30"]);
    let whole = result(&folder.path().join("run"));
    let newest = folder.path().join("run/checkpoints/step-000000030/optimizer.safetensors");
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() - 1]).unwrap();
    fs::remove_dir_all(folder.path().join("run/model")).unwrap();
    let output = run(folder.path(), &["train", "--resume", "--out", "run"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("step-000000030 is damaged") && told.contains("after step 20"), "{told}");
    assert!(result(&folder.path().join("run")) == whole, "the results differ");
}

/// A file system of four megabytes, unmounted when dropped.
#[cfg(target_os = "linux")]
struct SmallDisk<'a>(&'a Path);

#[cfg(target_os = "linux")]
impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(path).status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("skipped: needs the right to mount a small file system");
            return None;
        }
        Some(Self(path))
    }

    /// Leaves room for this many bytes.
    fn fill(&self, left: usize) {
        fs::write(self.0.join("filler"), vec![1; (4 << 20) - left]).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_pauses_the_run_until_there_is_room_or_it_is_stopped() {
    let folder = prepared();
    let mount = folder.path().join("disk");
    let Some(disk) = SmallDisk::mount(&mount) else { return };
    train(folder.path(), "undisturbed", &["--steps", "40"]);
    let told = || fs::read_to_string(folder.path().join("told")).unwrap_or_default();
    let stderr = || Stdio::from(fs::File::create(folder.path().join("told")).unwrap());

    // Room for one checkpoint (0.2 MB), not for two.
    disk.fill(300 << 10);
    let begin = [&["train", "--data", "data", "--out", "disk/run", "--steps", "40"], &TINY[..]].concat();
    let mut child = start(folder.path(), &begin, stderr());
    wait_until("the pause", || told().contains("the disk is full"));
    assert!(told().contains("trying again in 1 s"), "{}", told());
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(told().contains("stopped after step 0 of 40"), "{}", told());

    let mut child = start(folder.path(), &["train", "--resume", "--out", "disk/run"], stderr());
    wait_until("the pause", || told().contains("the disk is full"));
    disk.empty();
    assert!(child.wait().unwrap().success(), "{}", told());
    assert!(result(&mount.join("run")) == result(&folder.path().join("undisturbed")), "the results differ");
}
