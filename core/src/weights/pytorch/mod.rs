//! `pytorch_model.bin`: a pickled state dict with its storages, as a zip archive (torch ≥ 1.6) or one after the other (before).
//!
//! Tensors are views of storages: several may share one (the tied decoder), and a kernel converted from TensorFlow is a transposed
//! view with strides (1, rows). A reader that ignores strides gets wrong weights without noticing.

mod description;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use description::{Reference, Storages, describe};
use view::View;

use super::{
    HostTensor, Listing, WeightsFile, check_not_something_else,
    cursor::Cursor,
    elements,
    pickle::{Pickle, Value},
    tensor_error, zip,
};
use crate::{Error, Result};

/// The globals that a state dict needs; anything else is refused.
const ALLOWED: &[(&str, &str)] = &[
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "BFloat16Storage"),
    ("torch", "BoolStorage"),
    ("torch", "ByteStorage"),
    ("torch", "CharStorage"),
    ("torch", "DoubleStorage"),
    ("torch", "FloatStorage"),
    ("torch", "HalfStorage"),
    ("torch", "IntStorage"),
    ("torch", "LongStorage"),
    ("torch", "ShortStorage"),
    ("torch", "Size"),
];

/// First pickle of the older format (`torch/serialization.py`, `MAGIC_NUMBER` 0x1950a86a20f9469cfc6c), little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Second pickle of the older format.
const PROTOCOL: i64 = 1001;

/// An opened `pytorch_model.bin`.
#[derive(Debug)]
pub struct PyTorch<'a> {
    tensors: BTreeMap<String, View<'a>>,
}

impl<'a> PyTorch<'a> {
    /// Reads the state dict and checks every tensor against its storage; storages of a zip archive also against their checksums.
    ///
    /// # Errors
    /// [`Error::Weights`] if this is neither format, damaged, or its pickle asks Python for anything but tensors; [`Error::Tensor`] for a
    /// tensor that does not fit its storage.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        check_not_something_else(bytes)?;
        if bytes.starts_with(b"PK") { Self::open_zip(bytes) } else { Self::open_legacy(bytes) }
    }

    fn open_zip(bytes: &'a [u8]) -> Result<Self> {
        let entries = zip::entries(bytes)?;
        let found = entries.iter().find_map(|(name, entry)| Some((name.strip_suffix("data.pkl")?, entry)));
        let (folder, program) =
            found.ok_or_else(|| error("expected an entry data.pkl; this zip file was not written by torch.save"))?;
        program.verify("data.pkl")?;
        if entries.get(format!("{folder}byteorder").as_str()).is_some_and(|entry| entry.bytes != b"little") {
            return Err(error("its values are big-endian; save it again on another machine"));
        }
        let (pickle, _) = Pickle::read(program.bytes, ALLOWED)?;
        let mut storages = Storages::default();
        let mut stored = 0;
        for reference in references(&pickle)? {
            let name = format!("{folder}data/{}", reference.key);
            let entry = entries.get(name.as_str()).ok_or_else(|| error(format!("storage {name} is missing")))?;
            if reference.bytes() != Some(entry.bytes.len()) {
                let (expected, found) = (reference.length, entry.bytes.len());
                return Err(error(format!(
                    "storage {name}: expected {expected} values of {}, found {found} bytes",
                    reference.dtype
                )));
            }
            if storages.insert(reference.key, entry.bytes).is_none() {
                stored += entry.bytes.len();
                // Also keeps entries that lie over one another from being summed up for hours.
                if stored > bytes.len() {
                    return Err(error("its storages overlap"));
                }
                entry.verify(&name)?;
            }
        }
        Self::from_state_dict(&pickle, &storages, bytes.len())
    }

    fn open_legacy(bytes: &'a [u8]) -> Result<Self> {
        let not_torch = || {
            error(
                "expected a zip archive or the magic number of torch.save; this is another format (safetensors? a TensorFlow checkpoint?)",
            )
        };
        let (magic, rest) = Pickle::read(bytes, &[]).map_err(|_| not_torch())?;
        if *magic.root() != Value::Long(&MAGIC) {
            return Err(not_torch());
        }
        let (protocol, rest) = Pickle::read(rest, &[])?;
        if *protocol.root() != Value::Int(PROTOCOL) {
            return Err(error(format!("expected protocol {PROTOCOL}, found {:?}", protocol.root())));
        }
        let (system, rest) = Pickle::read(rest, &[])?;
        if system.pairs(system.root()).unwrap_or_default().contains(&(&Value::Text("little_endian"), &Value::Bool(false))) {
            return Err(error("its values are big-endian; save it again on another machine"));
        }
        let (pickle, rest) = Pickle::read(rest, ALLOWED)?;
        let (keys, rest) = Pickle::read(rest, &[])?;
        let references: BTreeMap<&str, Reference> =
            references(&pickle)?.into_iter().map(|reference| (reference.key, reference)).collect();
        let mut storages = Storages::default();
        let mut cursor = Cursor(rest);
        for key in keys.sequence(keys.root()).ok_or_else(|| error("expected a list of storages"))? {
            let &Value::Text(key) = key else { return Err(error("a storage's key is not text")) };
            let reference = references.get(key).ok_or_else(|| error(format!("storage {key} belongs to no tensor")))?;
            let length = cursor.u64();
            if length.is_none() || length != u64::try_from(reference.length).ok() {
                return Err(error(format!("storage {key}: expected {} values, found {length:?}", reference.length)));
            }
            let left = cursor.0.len();
            let values = reference.bytes().and_then(|length| cursor.take(length));
            let cut = || error(format!("storage {key} of {} values is cut short: {left} bytes are left", reference.length));
            storages.insert(key, values.ok_or_else(cut)?);
        }
        if !cursor.0.is_empty() {
            return Err(error(format!("{} bytes follow the last storage; the file is damaged", cursor.0.len())));
        }
        Self::from_state_dict(&pickle, &storages, bytes.len())
    }

    fn from_state_dict(pickle: &Pickle<'a>, storages: &Storages<'a>, file_length: usize) -> Result<Self> {
        let pairs = pickle.pairs(pickle.root()).ok_or_else(|| error("expected a state dict (names and tensors)"))?;
        let mut tensors = BTreeMap::new();
        let mut total = 0_usize;
        let mut others = BTreeSet::new();
        for (name, value) in pairs {
            let &Value::Text(name) = name else { continue };
            let Some(description) = describe(pickle, value) else {
                others.insert(name);
                continue;
            };
            let view = description.view(name, storages)?;
            total = total.saturating_add(elements(&view.shape).unwrap_or(usize::MAX));
            tensors.insert(name.to_owned(), view);
        }
        if tensors.is_empty() {
            let others: Vec<_> = others.into_iter().take(5).collect();
            return Err(error(format!("expected named tensors, found only {others:?}; save model.state_dict() alone")));
        }
        // Shared storages are few (a tied decoder); tensors that all lie over one another would fill the memory.
        if total > file_length.saturating_mul(2) {
            return Err(error(format!("its tensors have {total} values in a file of {file_length} bytes; they overlap")));
        }
        Ok(Self { tensors })
    }
}

impl WeightsFile for PyTorch<'_> {
    fn list(&self) -> Vec<Listing> {
        let listing =
            |(name, view): (&String, &View)| Listing { name: name.clone(), dtype: view.dtype, shape: view.shape.clone() };
        self.tensors.iter().map(listing).collect()
    }

    fn read(&self, name: &str) -> Result<HostTensor> {
        let view = self.tensors.get(name).ok_or_else(|| tensor_error(name, "not in the file"))?;
        view.read().ok_or_else(|| tensor_error(name, format!("expected floating-point values, found {}", view.dtype)))
    }
}

/// The storages of all tensors of a state dict.
fn references<'a>(pickle: &Pickle<'a>) -> Result<Vec<Reference<'a>>> {
    let pairs = pickle.pairs(pickle.root()).ok_or_else(|| error("expected a state dict (names and tensors)"))?;
    Ok(pairs.into_iter().filter_map(|(_, value)| Some(describe(pickle, value)?.storage)).collect())
}

fn error(reason: impl std::fmt::Display) -> Error {
    Error::Weights(format!("PyTorch file: {reason}"))
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
    }

    fn tuple(values: &[i32]) -> Vec<u8> {
        let parts = values.iter().flat_map(|value| [&b"J"[..], &value.to_le_bytes()].concat());
        [b"(".to_vec(), parts.collect(), b"t".to_vec()].concat()
    }

    /// The pickled view of a storage; `legacy` adds the storage's own view, which is `None`.
    fn view(storage: (&str, &str, i32), offset: i32, shape: &[i32], strides: &[i32], legacy: bool) -> Vec<u8> {
        let (dtype, key, length) = storage;
        let number = |value: i32| [&b"J"[..], &value.to_le_bytes()].concat();
        [
            b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
            text("storage"),
            format!("ctorch\n{dtype}\n").into_bytes(),
            text(key),
            text("cpu"),
            number(length),
            if legacy { b"NtQ".to_vec() } else { b"tQ".to_vec() },
            number(offset),
            tuple(shape),
            tuple(strides),
            b"\x89NtR".to_vec(),
        ]
        .concat()
    }

    fn state_dict(tensors: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let items: Vec<u8> = tensors.iter().flat_map(|(name, tensor)| [text(name), tensor.clone()].concat()).collect();
        [b"\x80\x02}(".to_vec(), items, b"u.".to_vec()].concat()
    }

    fn zipped(program: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
        let names: Vec<_> = storages.iter().map(|(key, bytes)| (format!("m/data/{key}"), *bytes)).collect();
        let mut files: Vec<(&str, &[u8])> = vec![("m/data.pkl", program), ("m/byteorder", b"little")];
        files.extend(names.iter().map(|(name, bytes)| (name.as_str(), *bytes)));
        zip::tests::archive(&files)
    }

    fn legacy(program: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
        let keys: Vec<u8> = storages.iter().flat_map(|(key, _)| text(key)).collect();
        let mut bytes =
            [&b"\x80\x02\x8a\x0a"[..], &MAGIC, b".\x80\x02M\xe9\x03.\x80\x02}(", &text("little_endian"), b"\x88u."].concat();
        bytes.extend([program, b"\x80\x02](", &keys, b"e."].concat());
        for (_, values) in storages {
            bytes.extend((values.len() as u64 / 4).to_le_bytes());
            bytes.extend(*values);
        }
        bytes
    }

    fn floats(values: impl IntoIterator<Item = i32>) -> Vec<u8> {
        values.into_iter().flat_map(|value| (value as f32).to_le_bytes()).collect()
    }

    fn error(bytes: &[u8]) -> String {
        PyTorch::open(bytes).unwrap_err().to_string()
    }

    #[test]
    fn views_of_a_shared_storage_are_read_by_their_strides() {
        let values = floats(0..6);
        for is_legacy in [false, true] {
            let view = |offset, shape: &[i32], strides: &[i32]| view(("FloatStorage", "s", 6), offset, shape, strides, is_legacy);
            let program = state_dict(&[
                ("rows", view(0, &[2, 3], &[3, 1])),
                ("columns", view(0, &[3, 2], &[1, 3])),
                ("tail", view(4, &[2], &[1])),
                ("every_other", view(1, &[3], &[2])),
                ("mixed", view(0, &[1, 3, 2], &[6, 1, 3])),
                ("scalar", view(5, &[], &[])),
            ]);
            let bytes = if is_legacy { legacy(&program, &[("s", &values)]) } else { zipped(&program, &[("s", &values)]) };
            let file = PyTorch::open(&bytes).unwrap();
            let read = |name| file.read(name).unwrap();
            assert_eq!(read("rows"), HostTensor { shape: vec![2, 3], data: vec![0., 1., 2., 3., 4., 5.] });
            assert_eq!(read("columns"), HostTensor { shape: vec![3, 2], data: vec![0., 3., 1., 4., 2., 5.] });
            assert_eq!(read("tail").data, [4., 5.]);
            assert_eq!(read("every_other").data, [1., 3., 5.]);
            assert_eq!(read("mixed").data, [0., 3., 1., 4., 2., 5.]);
            assert_eq!(read("scalar"), HostTensor { shape: vec![], data: vec![5.] });
            for length in 0..bytes.len() {
                assert!(PyTorch::open(&bytes[..length]).is_err(), "cut to {length}");
            }
        }
    }

    #[test]
    fn every_floating_type_is_read_and_integers_are_listed() {
        let stored: [(&str, Vec<u8>); 4] = [
            ("HalfStorage", f16::from_f32(1.5).to_le_bytes().to_vec()),
            ("BFloat16Storage", bf16::from_f32(1.5).to_le_bytes().to_vec()),
            ("DoubleStorage", 1.5_f64.to_le_bytes().to_vec()),
            ("LongStorage", 7_i64.to_le_bytes().to_vec()),
        ];
        let tensors: Vec<_> = stored.iter().map(|(name, _)| (*name, view((name, name, 1), 0, &[1], &[1], false))).collect();
        let storages: Vec<_> = stored.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        let bytes = zipped(&state_dict(&tensors), &storages);
        let file = PyTorch::open(&bytes).unwrap();
        for name in ["HalfStorage", "BFloat16Storage", "DoubleStorage"] {
            assert_eq!(file.read(name).unwrap().data, [1.5], "{name}");
        }
        assert_eq!(file.list().len(), 4);
        assert!(file.read("LongStorage").unwrap_err().to_string().contains("found i64"));
    }

    #[test]
    fn parameters_are_tensors() {
        let inner = view(("FloatStorage", "s", 1), 0, &[1], &[1], false);
        let parameter = [b"ctorch._utils\n_rebuild_parameter\n(".to_vec(), inner, b"\x88NtR".to_vec()].concat();
        let bytes = zipped(&state_dict(&[("p", parameter)]), &[("s", &floats([3]))]);
        assert_eq!(PyTorch::open(&bytes).unwrap().read("p").unwrap().data, [3.]);
    }

    #[test]
    fn tensors_outside_their_storage_are_named() {
        for (offset, shape, strides) in [
            (0, &[7][..], &[1][..]),
            (6, &[1], &[1]),
            (0, &[3, 2], &[1, 4]),
            (-1, &[1], &[1]),
            (0, &[2], &[-1]),
            (0, &[i32::MAX, i32::MAX], &[0, 0]),
            (0, &[2], &[i32::MAX]),
            (0, &[2, 3], &[1]),
        ] {
            let program = state_dict(&[("t", view(("FloatStorage", "s", 6), offset, shape, strides, false))]);
            let message = error(&zipped(&program, &[("s", &floats(0..6))]));
            assert!(message.starts_with("tensor t: shape") && message.contains("storage s of 6 values"), "{message}");
        }
        let program = state_dict(&[("t", view(("FloatStorage", "s", i32::MAX), 0, &[1], &[1], false))]);
        assert!(error(&zipped(&program, &[("s", &floats(0..6))])).contains("expected 2147483647 values of f32, found 24 bytes"));
        assert!(error(&zipped(&program, &[])).contains("storage m/data/s is missing"));
    }

    #[test]
    fn tensors_that_lie_over_one_another_are_refused() {
        let tensor = view(("FloatStorage", "s", 1000), 0, &[1000], &[1], false);
        let names: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        let tensors: Vec<_> = names.iter().map(|name| (name.as_str(), tensor.clone())).collect();
        assert!(error(&zipped(&state_dict(&tensors), &[("s", &floats(0..1000))])).contains("they overlap"));
    }

    #[test]
    fn flipped_bits_in_an_archive_are_found_or_harmless() {
        let values = floats(0..6);
        let bytes = zipped(&state_dict(&[("t", view(("FloatStorage", "s", 6), 0, &[2, 3], &[3, 1], false))]), &[("s", &values)]);
        let expected = PyTorch::open(&bytes).unwrap().read("t").unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(tensor) = PyTorch::open(&damaged).and_then(|file| file.read("t")) {
                assert_eq!(tensor, expected, "bit {bit}");
            }
        }
    }

    #[test]
    fn files_without_a_state_dict_are_explained() {
        let program = [b"}(".to_vec(), text("epoch"), b"K\x03u.".to_vec()].concat();
        assert!(error(&zipped(&program, &[])).contains("found only [\"epoch\"]; save model.state_dict() alone"));
        assert!(error(b"\x80\x02K\x01.").contains("magic number"));
        assert!(error(&zip::tests::archive(&[("x", b"y")])).contains("not written by torch.save"));
        let whole_model = b"c__main__\nModel\n)\x81}b.";
        assert!(error(&zipped(whole_model, &[])).contains("__main__.Model"));
    }

    proptest! {
        #[test]
        fn any_flipped_bytes_are_a_result(at in 0_usize..2000, with in any::<u8>()) {
            let values = floats(0..6);
            let program = state_dict(&[("t", view(("FloatStorage", "s", 6), 0, &[2, 3], &[3, 1], true))]);
            let mut bytes = legacy(&program, &[("s", &values)]);
            let length = bytes.len();
            bytes[at % length] = with;
            let _ = PyTorch::open(&bytes).and_then(|file| file.read("t"));
        }
    }
}
