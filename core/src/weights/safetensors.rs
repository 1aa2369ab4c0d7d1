//! safetensors: the format of every model that this project writes, read whole or in shards.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use safetensors::tensor::TensorInfo;
use serde::{Deserialize, Serialize};

use super::{Dtype, HostTensor, Listing, Tensors, WeightsFile, check_not_something_else, elements, show, tensor_error};
use crate::{Error, Result};

/// Longest header or shard index that is parsed, in bytes; BERT-large with its optimizer state needs a quarter of a megabyte.
const MAX_HEADER: u64 = 2 << 20;

/// An opened `model.safetensors`, or all shards of one.
#[derive(Debug, Default)]
pub struct Safetensors<'a> {
    tensors: BTreeMap<String, Stored<'a>>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Stored<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: &'a [u8],
}

impl<'a> Safetensors<'a> {
    /// Checks the header against the bytes that follow it.
    ///
    /// # Errors
    /// [`Error::Weights`] if this is no safetensors file, is cut short or has bytes too many; [`Error::Tensor`] naming a tensor whose
    /// offsets overlap or do not fit its shape.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        let mut file = Self::default();
        file.add(bytes)?;
        Ok(file)
    }

    /// The files named by a [`ShardIndex`], in the order of [`ShardIndex::shards`].
    ///
    /// # Errors
    /// Those of [`Safetensors::open`]; [`Error::Tensor`] for a tensor that the index promises and its shard does not have.
    pub fn open_shards(index: &ShardIndex, shards: &[&'a [u8]]) -> Result<Self> {
        let names: Vec<_> = index.shards().into_iter().collect();
        if names.len() != shards.len() {
            return Err(Error::Weights(format!("the index names {} shards, {} were opened", names.len(), shards.len())));
        }
        let mut file = Self::default();
        for (shard, bytes) in names.into_iter().zip(shards) {
            file.add(bytes).map_err(|error| Error::Weights(format!("shard {shard}: {error}")))?;
            let promised = index.files.iter().filter(|(_, found_in)| *found_in == shard);
            for (name, _) in promised {
                if !file.tensors.contains_key(name) {
                    return Err(tensor_error(name, format!("expected in shard {shard} by the index, not found there")));
                }
            }
        }
        Ok(file)
    }

    fn add(&mut self, bytes: &'a [u8]) -> Result<()> {
        check_not_something_else(bytes)?;
        let (header, data) = split(bytes)?;
        // Not `SafeTensors::deserialize`: its errors leave out which tensor is at fault, and its sum of lengths can overflow.
        let header: Header<String> =
            serde_json::from_slice(header).map_err(|error| Error::Weights(format!("safetensors: header: {error}")))?;
        let mut infos: Vec<_> = header.tensors.into_iter().collect();
        infos.sort_by_key(|(_, info)| info.data_offsets);
        let mut filled = 0;
        for (name, TensorInfo { dtype, shape, data_offsets: (start, end) }) in infos {
            if start != filled {
                let relation = if start < filled { "overlaps the tensor before it" } else { "leaves a gap before it" };
                return Err(tensor_error(&name, format!("{relation}: expected data_offsets from {filled}, found {start}")));
            }
            let bits = elements(&shape).and_then(|values| values.checked_mul(dtype.bitsize()));
            if bits.is_none_or(|bits| !bits.is_multiple_of(8) || end.checked_sub(start) != Some(bits / 8)) {
                return Err(tensor_error(
                    &name,
                    format!("shape {} of {dtype:?} does not fill its bytes {start}..{end}", show(&shape)),
                ));
            }
            let Some(bytes) = data.get(start..end) else {
                let reason = format!("its bytes {start}..{end} lie beyond the {} in the file, which was cut short", data.len());
                return Err(tensor_error(&name, reason));
            };
            filled = end;
            if self.tensors.insert(name.clone(), Stored { dtype: our_dtype(dtype), shape, bytes }).is_some() {
                return Err(tensor_error(&name, "found in two shards"));
            }
        }
        if filled != data.len() {
            let reason = format!("the tensors fill {filled} bytes, {} follow the header; the file is damaged", data.len());
            return Err(Error::Weights(format!("safetensors: {reason}")));
        }
        self.metadata.extend(header.metadata);
        Ok(())
    }

    /// The header's free text pairs, such as `format: pt`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

impl WeightsFile for Safetensors<'_> {
    fn list(&self) -> Vec<Listing> {
        let listing =
            |(name, stored): (&String, &Stored)| Listing { name: name.clone(), dtype: stored.dtype, shape: stored.shape.clone() };
        self.tensors.iter().map(listing).collect()
    }

    fn read(&self, name: &str) -> Result<HostTensor> {
        let stored = self.tensors.get(name).ok_or_else(|| tensor_error(name, "not in the file"))?;
        let not_float = || tensor_error(name, format!("expected floating-point values, found {}", stored.dtype));
        Ok(HostTensor { shape: stored.shape.clone(), data: stored.dtype.decode(stored.bytes).ok_or_else(not_float)? })
    }
}

/// `model.safetensors.index.json`: which shard holds which tensor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ShardIndex {
    #[serde(rename = "weight_map")]
    files: BTreeMap<String, String>,
}

impl ShardIndex {
    /// From the bytes of `model.safetensors.index.json`.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is no such file, or names a shard outside its own folder.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        if json.len() as u64 > MAX_HEADER {
            return Err(Error::Weights(format!("shard index: at most {MAX_HEADER} bytes are accepted, found {}", json.len())));
        }
        let index: Self = serde_json::from_slice(json).map_err(|error| Error::Weights(format!("shard index: {error}")))?;
        let is_plain = |file: &&String| !file.contains(['/', '\\', ':']) && !file.starts_with('.') && !file.is_empty();
        if let Some(file) = index.files.values().find(|file| !is_plain(file)) {
            return Err(Error::Weights(format!("shard index: expected plain file names, found {file:?}")));
        }
        Ok(index)
    }

    /// File names of the shards, sorted, each once.
    pub fn shards(&self) -> BTreeSet<&str> {
        self.files.values().map(String::as_str).collect()
    }
}

/// Writes tensors as safetensors: the same tensors and metadata are the same bytes, and the bytes of Hugging Face's own writer.
///
/// `format: pt` is always there, as transformers asks for it; `metadata` is what the caller adds.
///
/// # Errors
/// Those of `out`; [`io::ErrorKind::InvalidInput`] if a tensor's values do not fill its shape.
pub fn write(tensors: &Tensors, metadata: &BTreeMap<String, String>, out: &mut impl io::Write) -> io::Result<()> {
    write_named(&tensors.iter().collect(), metadata, out)
}

/// As [`write`], under names that may be others than the tensors' own.
///
/// # Errors
/// As [`write`].
pub fn write_named(
    tensors: &BTreeMap<impl AsRef<str> + Ord, &HostTensor>,
    metadata: &BTreeMap<String, String>,
    out: &mut impl io::Write,
) -> io::Result<()> {
    // Not `safetensors::serialize`: it keeps metadata in a hash map, whose order changes from run to run, and wants all
    // values in one buffer.
    let mut header = Header { metadata: BTreeMap::from([("format", "pt")]), tensors: BTreeMap::new() };
    header.metadata.extend(metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let mut end = 0;
    for (name, tensor) in tensors {
        let name = name.as_ref();
        let start = end;
        end += size_of_val(tensor.data.as_slice());
        if elements(&tensor.shape) != Some(tensor.data.len()) {
            let reason = format!("tensor {name}: {} values do not fill the shape {:?}", tensor.data.len(), tensor.shape);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let info = TensorInfo { dtype: safetensors::Dtype::F32, shape: tensor.shape.clone(), data_offsets: (start, end) };
        header.tensors.insert(name, info);
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    tensors.values().try_for_each(|tensor| out.write_all(bytemuck::cast_slice(&tensor.data)))
}

/// The JSON header. Sorted maps, so that equal contents are written as equal bytes.
#[derive(Serialize, Deserialize)]
struct Header<Text: Ord> {
    #[serde(rename = "__metadata__", default = "BTreeMap::new")]
    metadata: BTreeMap<Text, Text>,
    #[serde(flatten)]
    tensors: BTreeMap<Text, TensorInfo>,
}

/// The JSON header's bytes and the values' bytes.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(Error::Weights(format!("safetensors: expected at least 8 bytes, found {}", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(Error::Weights(format!(
            "safetensors: the file says that its header has {length} bytes, at most {MAX_HEADER} are accepted; \
             it is damaged or of another format"
        )));
    }
    let parts = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    parts.ok_or_else(|| Error::Weights(format!("safetensors: header of {length} bytes is cut short, {} are there", rest.len())))
}

fn our_dtype(dtype: safetensors::Dtype) -> Dtype {
    use safetensors::Dtype as Theirs;
    match dtype {
        Theirs::F16 => Dtype::F16,
        Theirs::BF16 => Dtype::Bf16,
        Theirs::F32 => Dtype::F32,
        Theirs::F64 => Dtype::F64,
        Theirs::BOOL => Dtype::Bool,
        Theirs::I8 => Dtype::I8,
        Theirs::U8 => Dtype::U8,
        Theirs::I16 => Dtype::I16,
        Theirs::I32 => Dtype::I32,
        Theirs::I64 => Dtype::I64,
        _ => Dtype::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn two() -> Tensors {
        let tensor = |shape: &[usize], start: f32| HostTensor {
            shape: shape.to_vec(),
            data: (0..shape.iter().product()).map(|value| start + value as f32).collect(),
        };
        Tensors::from([("a.weight".into(), tensor(&[2, 3], 0.5)), ("b.bias".into(), tensor(&[3], -1.0))])
    }

    fn written(tensors: &Tensors) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(tensors, &BTreeMap::new(), &mut bytes).unwrap();
        bytes
    }

    fn with_header(header: &str, values: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + values, 0);
        bytes
    }

    fn error(bytes: &[u8]) -> String {
        Safetensors::open(bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = written(&two());
        let file = Safetensors::open(&bytes).unwrap();
        assert_eq!(file.metadata(), &BTreeMap::from([("format".into(), "pt".into())]));
        for (name, tensor) in two() {
            assert_eq!(file.read(&name).unwrap(), tensor);
        }
        assert_eq!(file.list().len(), 2);
    }

    #[test]
    fn bytes_are_those_of_the_original_writer() {
        let tensors = two();
        let views = tensors.iter().map(|(name, tensor)| {
            let bytes = bytemuck::cast_slice(&tensor.data);
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, tensor.shape.clone(), bytes).unwrap();
            (name, view)
        });
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        assert_eq!(written(&tensors), safetensors::serialize(views, Some(metadata)).unwrap());
    }

    #[test]
    fn metadata_of_the_caller_is_sorted_in() {
        let metadata = [("step", "7"), ("data", "abc")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut bytes = Vec::new();
        write(&two(), &metadata.into(), &mut bytes).unwrap();
        assert!(bytes[8..].starts_with(br#"{"__metadata__":{"data":"abc","format":"pt","step":"7"},"a.weight""#));
    }

    #[test]
    fn values_that_do_not_fill_the_shape_are_not_written() {
        let tensors = Tensors::from([("x".into(), HostTensor { shape: vec![2], data: vec![1.0] })]);
        let error = write(&tensors, &BTreeMap::new(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("tensor x: 1 values"));
    }

    #[test]
    fn hostile_headers_are_errors_that_name_the_tensor() {
        let entry = |dtype: &str, shape: &str, start: u64, end: u64| {
            format!(r#""dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]"#)
        };
        let overlapping = format!(r#"{{"x":{{{}}},"y":{{{}}}}}"#, entry("F32", "[2]", 0, 8), entry("F32", "[2]", 4, 12));
        assert!(error(&with_header(&overlapping, 12)).contains("tensor y: overlaps"));
        let outside = format!(r#"{{"x":{{{}}}}}"#, entry("F32", "[2]", 0, 8));
        assert!(error(&with_header(&outside, 4)).contains("cut short"));
        assert!(error(&with_header(&outside, 12)).contains("fill 8 bytes, 12 follow"));
        let wrong_size = format!(r#"{{"good":{{{}}},"x":{{{}}}}}"#, entry("F32", "[1]", 0, 4), entry("F32", "[3]", 4, 12));
        assert!(error(&with_header(&wrong_size, 12)).contains("tensor x: shape [3] of F32 does not fill"));
        let absurd = format!(r#"{{"x":{{{}}}}}"#, entry("F32", "[4294967296,4294967296,4294967296]", 0, 8));
        assert!(error(&with_header(&absurd, 8)).contains("tensor x: shape [4294967296"));
        let backwards = format!(r#"{{"x":{{{}}}}}"#, entry("F32", "[2]", 8, 0));
        assert!(error(&with_header(&backwards, 8)).contains("tensor x"));
        let mut length = with_header("{}", 0);
        length[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(error(&length).contains("18446744073709551615 bytes"));
        let deep = "[".repeat(100_000);
        assert!(error(&with_header(&format!(r#"{{"x":{deep}"#), 0)).contains("safetensors"));
    }

    #[test]
    fn cut_files_are_errors_at_every_length() {
        let bytes = written(&two());
        for length in 0..bytes.len() {
            assert!(Safetensors::open(&bytes[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn integers_are_listed_and_not_read() {
        let bytes = with_header(r#"{"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#, 8);
        let file = Safetensors::open(&bytes).unwrap();
        assert_eq!(file.list(), [Listing { name: "ids".into(), dtype: Dtype::I64, shape: vec![1] }]);
        assert!(file.read("ids").unwrap_err().to_string().contains("found i64"));
    }

    #[test]
    fn shards_are_read_as_one_file() {
        let [first, second] =
            two().into_iter().map(|entry| written(&Tensors::from([entry]))).collect::<Vec<_>>().try_into().unwrap();
        let index = |map: &str| ShardIndex::from_json(format!(r#"{{"metadata":{{}},"weight_map":{map}}}"#).as_bytes());
        let good = index(r#"{"a.weight":"1.safetensors","b.bias":"2.safetensors"}"#).unwrap();
        assert_eq!(Vec::from_iter(good.shards()), ["1.safetensors", "2.safetensors"]);
        let file = Safetensors::open_shards(&good, &[&first, &second]).unwrap();
        assert_eq!(two().keys().map(|name| file.read(name).unwrap()).collect::<Vec<_>>(), Vec::from_iter(two().into_values()));
        let swapped = Safetensors::open_shards(&good, &[&second, &first]).unwrap_err().to_string();
        assert!(swapped.contains("a.weight") && swapped.contains("1.safetensors"), "{swapped}");
        assert!(Safetensors::open_shards(&good, &[&first, &first]).is_err());
        assert!(ShardIndex::from_json(&vec![b' '; 3 << 20]).unwrap_err().to_string().contains("found 3145728"));
        assert!(index(r#"{"a":"../../secret"}"#).unwrap_err().to_string().contains("../../secret"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_result(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Safetensors::open(&bytes);
        }

        #[test]
        fn any_header_is_a_result(header in r#"\{("[a-c]":\{"dtype":"(F32|I8|F4)","shape":\[[0-9]{1,20}\],"data_offsets":\[[0-9]{1,2},[0-9]{1,20}\]\},?){0,3}\}"#) {
            let _ = Safetensors::open(&with_header(&header, 16));
        }
    }
}
