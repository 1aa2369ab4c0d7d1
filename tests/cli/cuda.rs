//! The commands on an NVIDIA GPU: an emulated one (`tests/gpu/emulator`), which shows everything but speed.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use clinicalbert_tests::emulated_gpu;
use serde_json::Value;

use super::train::{prepared, rows};
use super::train_interrupted::{result, wait_until};
use super::train_watchdog::poisoned;
use super::{error, native};

/// A model that is small for a GPU, and large enough for the kernels that real models use.
const SHAPE: [&str; 8] =
    ["--hidden-size", "32", "--num-hidden-layers", "1", "--num-attention-heads", "2", "--max-position-embeddings", "32"];
const BATCHES: [&str; 4] = ["--train-batch-size", "2", "--gradient-accumulation-steps", "2"];

/// A folder with the emulated GPU, where one can be built.
fn gpu() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    emulated_gpu::build(folder.path()).then_some(folder)
}

/// The binary with a GPU.
fn on(gpu: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("native"));
    command.env("LD_LIBRARY_PATH", gpu).env("XDG_CACHE_HOME", gpu).env_remove("CLINICALBERT_CUDA");
    command
}

/// Runs the binary with a GPU and expects success; what it says on standard output and standard error.
fn run(gpu: &Path, folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = on(gpu).current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, told) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && !told.contains("warning"), "{arguments:?}: {told}");
    (out, told)
}

fn close(ours: &Value, theirs: &Value, tolerance: f64) -> bool {
    (ours.as_f64().unwrap() - theirs.as_f64().unwrap()).abs() < tolerance
}

#[test]
fn embed_and_fill_mask_give_what_they_give_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let folder = prepared();
    let train = [&["train", "--data", "data", "--out", "run", "--steps", "3", "--quiet"], &SHAPE[..], &BATCHES].concat();
    super::run(folder.path(), &train);
    let long = "chest pain ".repeat(20);
    fs::write(folder.path().join("texts.txt"), format!("a b\n{long}\nc [MASK] d\n")).unwrap();
    let embed = ["embed", "--model", "run/model", "texts.txt"];
    let rows = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let cpu = rows(&String::from_utf8(super::run(folder.path(), &embed).stdout).unwrap());
    let fill = ["fill-mask", "--model", "run/model", "--json", "--text", "c [MASK] d", "--top-k", "1"];
    let filled = |text: &str| serde_json::from_str::<Value>(text).unwrap()[0].clone();
    let cpu_filled = filled(&String::from_utf8(super::run(folder.path(), &fill).stdout).unwrap());
    // What is not said is `bf16`; `auto` finds the GPU and says nothing.
    for (flags, tolerance) in [(&["--device", "cuda", "--dtype", "f32"][..], 1e-4), (&["--device", "auto"], 0.03)] {
        let (out, told) = run(gpu.path(), folder.path(), &[&embed[..], flags].concat());
        assert!(!told.contains("GPU"), "{told}");
        let found = rows(&out);
        assert_eq!((found.len(), cpu.len()), (3, 3));
        let mut apart = 0.0_f64;
        for (found, cpu) in found.iter().zip(&cpu) {
            let values = found["embedding"].as_array().unwrap().iter().zip(cpu["embedding"].as_array().unwrap());
            for (found, cpu) in values {
                assert!(close(found, cpu, tolerance), "{flags:?}: {found} {cpu}");
                apart = apart.max((found.as_f64().unwrap() - cpu.as_f64().unwrap()).abs());
            }
            assert_eq!((&found["tokens"], &found["windows"]), (&cpu["tokens"], &cpu["windows"]));
        }
        // The CPU would give the same bits.
        assert!(apart > 0.0, "{flags:?}");
        let found = filled(&run(gpu.path(), folder.path(), &[&fill[..], flags].concat()).0);
        assert!(close(&found["score"], &cpu_filled["score"], tolerance), "{found} {cpu_filled}");
    }
    let eval = ["eval", "--model", "run/model", "--data", "data/holdout", "--max-eval-steps", "1", "--json", "--device"];
    let (out, _) = run(gpu.path(), folder.path(), &[&eval[..], &["cuda", "--precision", "f32"]].concat());
    let (found, cpu): (Value, Value) = (
        serde_json::from_str(&out).unwrap(),
        serde_json::from_slice(&super::run(folder.path(), &[&eval[..], &["cpu"]].concat()).stdout).unwrap(),
    );
    assert!(close(&found["masked_lm_loss"], &cpu["masked_lm_loss"], 1e-4), "{found} {cpu}");
    for (flags, expected) in [
        (["--device", "cuda", "--dtype", "int8"], "--dtype int8 is not for --device cuda"),
        (["--device", "cpu", "--dtype", "bf16"], "--dtype bf16 is for --device cuda alone"),
    ] {
        let told = error(folder.path(), &[&embed[..], &flags].concat());
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn without_a_gpu_auto_says_why_and_cuda_what_is_missing() {
    let folder = prepared();
    let train = [&["train", "--data", "data", "--out", "run", "--steps", "1", "--quiet"], &SHAPE[..], &BATCHES].concat();
    super::run(folder.path(), &train);
    let doctor = serde_json::from_slice::<Value>(&native().args(["doctor", "--json"]).output().unwrap().stdout).unwrap();
    let Some(missing) = doctor["cuda_missing"][0].as_str().filter(|missing| missing.contains("driver")) else {
        eprintln!("skipped: there is a driver");
        return;
    };
    let embed = ["embed", "--model", "run/model", "--text", "a b"];
    let told = error(folder.path(), &[&embed[..], &["--device", "cuda"]].concat());
    assert!(told.contains(&format!("--device cuda: {missing}")), "{told}");
    let auto = super::run(folder.path(), &[&embed[..], &["--device", "auto"]].concat());
    let told = String::from_utf8(auto.stderr).unwrap();
    assert_eq!(told.lines().filter(|line| *line == format!("no GPU is used: {missing}")).count(), 1, "{told}");
    assert_eq!(auto.stdout, super::run(folder.path(), &embed).stdout);
}

/// With evaluations, checkpoints and rows at their own times.
const SETTINGS: [&str; 12] = [
    "--learning-rate",
    "0.01",
    "--steps",
    "16",
    "--log-every",
    "4",
    "--eval-every",
    "8",
    "--save-checkpoints-steps",
    "5",
    "--eval-examples",
    "4",
];

#[test]
fn a_run_on_a_gpu_that_was_stopped_ends_with_the_bits_of_one_that_was_not() {
    let Some(gpu) = gpu() else { return };
    let folder = prepared();
    let begin = |out| [&["train", "--data", "data", "--device", "cuda", "--out", out], &SHAPE[..], &BATCHES, &SETTINGS].concat();
    let (_, told) = run(gpu.path(), folder.path(), &begin("whole"));
    assert!(told.contains("on the emulated GPU"), "{told}");
    let whole = folder.path().join("whole");
    assert_eq!(rows(&whole).iter().filter(|row| row["split"] != "eval").count(), 4);
    // Killed between a checkpoint and the next, interrupted, and taken to its end; the first has captured updates, the next begins eagerly.
    let metrics = folder.path().join("run/metrics.jsonl");
    let mut arguments = begin("run");
    for (signal, lines) in [("-KILL", 3), ("-INT", 5)] {
        let mut child = on(gpu.path())
            .current_dir(folder.path())
            .args(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("progress", || fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() >= lines));
        let number = child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &number]).status().unwrap().success());
        child.wait().unwrap();
        assert!(!folder.path().join("run/model").exists(), "the run was over before it was stopped");
        arguments = vec!["train", "--resume", "--out", "run"];
    }
    run(gpu.path(), folder.path(), &arguments);
    assert!(result(&folder.path().join("run")) == result(&whole), "the results differ");

    // The checkpoints are the CPU's too.
    let resumed = folder.path().join("resumed");
    fs::create_dir_all(resumed.join("checkpoints")).unwrap();
    fs::copy(whole.join("run.toml"), resumed.join("run.toml")).unwrap();
    copy(&whole.join("checkpoints/step-000000010"), &resumed.join("checkpoints/step-000000010"));
    super::run(folder.path(), &["train", "--resume", "--out", "resumed", "--device", "cpu", "--quiet"]);
    let last = |run: &Path| rows(run).into_iter().rev().find(|row| row["split"] == "eval").unwrap();
    let (ours, theirs) = (last(&resumed), last(&whole));
    assert!(close(&ours["mlm_loss"], &theirs["mlm_loss"], 0.05), "{ours} {theirs}");
}

/// Copies a folder of files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn an_update_that_goes_wrong_on_a_gpu_is_undone_though_it_is_seen_late() {
    let Some(gpu) = gpu() else { return };
    let folder = poisoned();
    let settings =
        ["--vocab", "vocab.txt", "--learning-rate", "1e30", "--steps", "30", "--num-warmup-steps", "2", "--max-rollbacks", "1"];
    let begin = ["train", "--data", "data", "--device", "cuda", "--log-every", "10", "--out", "run"];
    let output =
        on(gpu.path()).current_dir(folder.path()).args([&begin[..], &SHAPE, &BATCHES, &settings].concat()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    // The updates after it were under way when it was seen.
    assert!(
        told.contains("going back to step 0 and leaving out") && told.contains("(--max-rollbacks 1): the run has diverged"),
        "{told}"
    );
}

#[test]
fn an_update_is_measured_in_parts() {
    let Some(gpu) = gpu() else { return };
    let bench = ["bench", "train", "--device", "cuda", "--cases", "2x8", "--steps", "3", "--warmup", "1", "--json"];
    let (out, _) = run(gpu.path(), gpu.path(), &[&bench[..], &SHAPE].concat());
    let measured: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(measured["device"], "emulated GPU");
    let case = &measured["cases"][0];
    assert_eq!((&case["case"], &case["steps"]), (&"l1-h32-b2-s8".into(), &3.into()));
    // The emulated clock counts operations, so that every part takes time.
    let number = |key: &str| case[key].as_f64().unwrap();
    for key in [
        "step_ms_median",
        "step_ms_p95",
        "forward_ms",
        "backward_ms",
        "optimizer_ms",
        "tflops",
        "ceiling_share",
        "first_step_seconds",
    ] {
        assert!(number(key) > 0.0, "{key}: {case}");
    }
    assert!(number("peak_memory_bytes") > 1e6 && number("loss") > 0.0, "{case}");
}
