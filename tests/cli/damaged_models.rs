//! Models that are damaged, hostile or something else altogether: an error that names the file and the cause, never a crash.

use std::fs;
use std::path::Path;

use clinicalbert_tests::reference;

use super::train::{prepared, train};
use super::{error, run};

/// A trained model in `hf`, the same with its optimizer's state as a TensorFlow checkpoint in `tf`.
fn models() -> tempfile::TempDir {
    let folder = prepared();
    train(folder.path(), "run", &["--steps", "10"]);
    let checkpoint = "run/checkpoints/step-000000010";
    run(folder.path(), &["convert", "--from", checkpoint, "--to", "tf", "--out", "tf", "--with-optimizer", "--quiet"]);
    fs::rename(folder.path().join("run/model"), folder.path().join("hf")).unwrap();
    folder
}

/// Puts `bytes` in place of a file and checks that using, inspecting and converting the model tells `causes` and the file.
#[track_caller]
fn refused(folder: &Path, file: &str, bytes: &[u8], causes: &[&str]) {
    let path = folder.join(file);
    let before = fs::read(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let model = file.split('/').next().unwrap();
    for arguments in [
        &["embed", "--model", model, "--text", "a"][..],
        &["inspect", model],
        &["convert", "--from", model, "--to", "hf", "--out", "x"],
        &["train", "--data", "data", "--init", model, "--out", "x"],
    ] {
        let told = error(folder, arguments);
        let name = path.file_name().unwrap().to_str().unwrap().split(".data-").next().unwrap().to_owned();
        assert!(told.contains(&name), "{arguments:?}: {told} does not name {name}");
        assert!(causes.iter().all(|cause| told.contains(cause)), "{arguments:?}: {told} does not tell {causes:?}");
        assert!(told.len() < 1000, "{told}");
    }
    assert!(!folder.join("x").exists());
    fs::write(&path, before).unwrap();
}

fn with_header(header: &str, values: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; values]].concat()
}

#[test]
fn damaged_safetensors() {
    let folder = models();
    let folder = folder.path();
    let file = "hf/model.safetensors";
    let whole = fs::read(folder.join(file)).unwrap();
    let refused = |bytes: &[u8], causes: &[&str]| refused(folder, file, bytes, causes);
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    refused(&whole[..whole.len() - 1], &["tensor ", "cut short"]);
    refused(&whole[..header / 2], &["header"]);
    refused(&whole[..5], &["expected at least 8 bytes"]);
    let mut flipped = whole.clone();
    flipped[8 + header / 2] ^= 0x80;
    refused(&flipped, &["safetensors: header"]);
    let mut absurd = whole.clone();
    absurd[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    refused(&absurd, &["18446744073709551615 bytes"]);
    let mut not_a_number = whole.clone();
    let end = not_a_number.len();
    not_a_number[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(&not_a_number, &["tensor cls.seq_relationship.weight: expected finite values, value 31 is NaN"]);
    let entry =
        |shape: &str, start: u64, end: u64| format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#);
    let overlapping = format!(r#"{{"x":{},"y":{}}}"#, entry("[2]", 0, 8), entry("[2]", 4, 12));
    refused(&with_header(&overlapping, 12), &["tensor y: overlaps"]);
    let enormous = format!(r#"{{"x":{}}}"#, entry("[4294967296,4294967296]", 0, 8));
    refused(&with_header(&enormous, 8), &["tensor x: shape [4294967296, 4294967296]"]);
    let claimed = format!(r#"{{"x":{}}}"#, entry("[274877906944]", 0, 1 << 40));
    refused(&with_header(&claimed, 8), &["tensor x: its bytes 0..1099511627776 lie beyond the 8"]);
}

#[test]
fn damaged_weights_for_the_web() {
    let folder = models();
    let folder = folder.path();
    run(folder, &["convert", "--from", "hf", "--to", "web", "--out", "web", "--quiet"]);
    let shard = "weights-00001-of-00001.bin";
    let read = |file: &str| fs::read(folder.join("web").join(file)).unwrap();
    let (whole, manifest) = (read(shard), String::from_utf8(read("manifest.json")).unwrap());
    // The shard is named beside the manifest, which is the file of the model.
    let refused_shard = |bytes: &[u8], cause: &str| {
        fs::write(folder.join("web").join(shard), bytes).unwrap();
        for command in [&["embed", "--model", "web", "--text", "a"][..], &["inspect", "web"]] {
            let told = error(folder, command);
            assert!(told.contains("manifest.json") && told.contains(shard) && told.contains(cause), "{told}");
        }
        fs::write(folder.join("web").join(shard), &whole).unwrap();
    };
    refused_shard(&whole[..whole.len() - 1], "bytes, manifest.json says");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    refused_shard(&flipped, "has the SHA-256");
    let refused = |text: String, causes: &[&str]| refused(folder, "web/manifest.json", text.as_bytes(), causes);
    refused(manifest.replace("\"version\": 1", "\"version\": 2"), &["version 2", "expected 1"]);
    refused(
        manifest.replace("\"vocab_size\"", "\"vocabulary\""),
        &["tensor bert.embeddings.word_embeddings.weight", "expected shape"],
    );
    refused(manifest.replace(shard, "../elsewhere.bin"), &["plain file names"]);
    refused(manifest.replace("clinicalbert-web", "other"), &["expected the format"]);
    refused("<!doctype html>".into(), &["manifest.json"]);
    fs::remove_file(folder.join("web").join(shard)).unwrap();
    assert!(error(folder, &["embed", "--model", "web", "--text", "a"]).contains(&format!("{shard} is missing")));
}

#[test]
fn configurations_of_another_model() {
    let folder = models();
    let file = "hf/config.json";
    let config = fs::read_to_string(folder.path().join(file)).unwrap();
    for (from, to, cause) in [
        ("\"hidden_size\": 16", "\"hidden_size\": 32", "expected shape"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "encoder is incomplete: bert.encoder.layer.2"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 16777216", "16777216 layers"),
    ] {
        fs::write(folder.path().join(file), config.replace(from, to)).unwrap();
        let told = error(folder.path(), &["embed", "--model", "hf", "--text", "a"]);
        assert!(told.contains(cause) && told.contains("model.safetensors"), "{told}");
    }
    fs::write(folder.path().join(file), config.replace("\"hidden_size\": 16", "\"hidden_size\": 99999999999")).unwrap();
    let told = error(folder.path(), &["embed", "--model", "hf", "--text", "a"]);
    assert!(told.contains("config.json") && told.contains("hidden_size must be between 1"), "{told}");
}

#[test]
fn damaged_tensorflow_checkpoints() {
    let folder = models();
    let folder = folder.path();
    let (index, data) = ("tf/model.ckpt-10.index", "tf/model.ckpt-10.data-00000-of-00001");
    let whole = fs::read(folder.join(index)).unwrap();
    refused(folder, index, &whole[..whole.len() / 2], &["cut short"]);
    for at in [0, whole.len() / 2] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        refused(folder, index, &flipped, &["wrong checksum of the block"]);
    }
    let values = fs::read(folder.join(data)).unwrap();
    refused(folder, data, &values[..values.len() - 1], &["are beyond that file's"]);
    refused(folder, data, b"version https://git-lfs.github.com/spec/v1\n", &["git lfs pull"]);
    // The first values are those of the first name, and no moments.
    let mut flipped = values.clone();
    flipped[3] ^= 1;
    refused(folder, data, &flipped, &["tensor bert/embeddings/LayerNorm/beta: wrong checksum"]);
}

#[test]
fn damaged_moments_are_found_when_they_are_taken_along() {
    let folder = models();
    let file = folder.path().join("tf/model.ckpt-10.data-00000-of-00001");
    let mut values = fs::read(&file).unwrap();
    // Behind the 16 values of the first name lie its first moments.
    values[64] ^= 1;
    fs::write(&file, &values).unwrap();
    run(folder.path(), &["convert", "--from", "tf", "--to", "hf", "--out", "without", "--quiet"]);
    let told = error(folder.path(), &["convert", "--from", "tf", "--to", "hf", "--out", "with", "--with-optimizer"]);
    assert!(told.contains("tensor bert/embeddings/LayerNorm/beta/adam_m: wrong checksum"), "{told}");
}

#[test]
fn pickles_that_ask_for_programs_are_refused_and_nothing_runs() {
    let folder = models();
    let folder = folder.path();
    let canary = folder.join("canary");
    let command = format!("touch {}", canary.display());
    let mut system = b"\x80\x02cos\nsystem\nX".to_vec();
    system.extend((command.len() as u32).to_le_bytes());
    system.extend([command.as_bytes(), b"\x85R."].concat());
    let causes = ["asks Python for \"os.system\"", "nothing was run"];
    fs::rename(folder.join("hf/model.safetensors"), folder.join("hf/pytorch_model.bin")).unwrap();
    refused(folder, "hf/pytorch_model.bin", &archive("m/data.pkl", &system), &causes);
    // Magic number, protocol and system of the older format, then the program.
    let magic =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.";
    refused(folder, "hf/pytorch_model.bin", &[&magic[..], &system].concat(), &causes);
    assert!(!canary.exists());
}

/// A zip archive of one stored entry.
fn archive(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let length = (bytes.len() as u32).to_le_bytes();
    // Checksum, both lengths, length of the name, none of extra fields.
    let described = [&crc.sum().to_le_bytes()[..], &length, &length, &(name.len() as u16).to_le_bytes(), &[0; 2]].concat();
    let entry = [&b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0"[..], &described, name.as_bytes(), bytes].concat();
    let central =
        [&b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0"[..], &described, &[0; 12], &0_u16.to_le_bytes(), name.as_bytes()].concat();
    let end = [&(central.len() as u32).to_le_bytes()[..], &(entry.len() as u32).to_le_bytes()].concat();
    [&entry[..], &central, b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &end, &[0; 2]].concat()
}

#[test]
fn files_that_are_something_else() {
    let folder = models();
    for (bytes, cause) in [
        (&b""[..], "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"<!doctype html><html><body>Not found</body></html>", "web page"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip archive"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ] {
        refused(folder.path(), "hf/model.safetensors", bytes, &[cause]);
    }
    // A table as it was before 2017: one block with an empty key and a message under field 1.
    fs::write(folder.path().join("old.ckpt"), b"junk before the footer\x57\xfb\x80\x8b\x24\x75\x47\xdb").unwrap();
    let told = error(folder.path(), &["inspect", "old.ckpt"]);
    assert!(told.contains("old.ckpt") && told.contains("TensorFlow index"), "{told}");
}

#[test]
fn damaged_vocabularies() {
    let folder = models();
    let told = |file: &str, bytes: &[u8]| {
        let path = folder.path().join("hf").join(file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        let told = error(folder.path(), &["embed", "--model", "hf", "--text", "a"]);
        fs::write(&path, before).unwrap();
        assert!(told.contains(file), "{told}");
        told
    };
    assert!(told("vocab.txt", b"[PAD]\n\xff\xfe\n").contains("not UTF-8"));
    assert!(told("vocab.txt", b"").contains("empty"));
    assert!(told("vocab.txt", b"a\nb\n").contains("[UNK]"));
    assert!(told("tokenizer_config.json", b"{\"do_lower_case\": ").contains("EOF"));
    assert!(told("tokenizer_config.json", b"{\"do_lower_case\": true}").contains("set \"do_lower_case\": false"));
    fs::remove_file(folder.path().join("hf/vocab.txt")).unwrap();
    assert!(told("tokenizer.json", b"{\"model\": {\"type\": \"BPE\"}}").contains("tokenizer.json"));
}

#[test]
fn pytorch_files_cut_or_flipped_anywhere_are_refused_or_whole() {
    let Some(source) = reference("data/tf-checkpoint/hf") else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::copy(source.join("config.json"), folder.path().join("config.json")).unwrap();
    for name in ["pytorch_model.bin", "pytorch_model_legacy.bin"] {
        let whole = fs::read(source.join(name)).unwrap();
        let file = folder.path().join("pytorch_model.bin");
        for part in 1..8 {
            fs::write(&file, &whole[..whole.len() * part / 8]).unwrap();
            let told = error(folder.path(), &["inspect", "pytorch_model.bin"]);
            assert!(told.contains("pytorch_model.bin: weights: PyTorch") || told.contains("pickle"), "{told}");
        }
        let mut damaged = whole.clone();
        for at in (0..whole.len()).step_by(whole.len() / 8) {
            damaged[at] ^= 0x10;
            fs::write(&file, &damaged).unwrap();
            let output = super::native().current_dir(folder.path()).args(["inspect", "pytorch_model.bin"]).output().unwrap();
            let told = String::from_utf8(output.stderr).unwrap();
            // The older format has no checksums: a flipped value is another value.
            assert!(matches!(output.status.code(), Some(0 | 2)) && told.lines().count() <= 1, "{at}: {told}");
            damaged[at] ^= 0x10;
        }
    }
}
