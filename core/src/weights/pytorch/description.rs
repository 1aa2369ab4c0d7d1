//! What a pickled state dict says of its tensors: the calls that would rebuild them, and the storages that these name.

use std::collections::BTreeMap;

use super::view::View;
use crate::{
    Result,
    weights::{
        Dtype, elements,
        pickle::{Pickle, Value},
        show, tensor_error,
    },
};

/// The storages' bytes by key.
pub(super) type Storages<'a> = BTreeMap<&'a str, &'a [u8]>;

/// What a pickle says of a storage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference<'a> {
    pub dtype: Dtype,
    pub key: &'a str,
    /// In values.
    pub length: usize,
    /// First value of a view of the storage (torch < 0.4).
    offset: usize,
}

impl<'a> Reference<'a> {
    pub fn bytes(&self) -> Option<usize> {
        self.length.checked_mul(self.dtype.size()?)
    }

    /// From `('storage', type, key, location, length[, view])`, where view is `None` or `(key, offset, length)`.
    fn read(pickle: &Pickle<'a>, value: &Value<'a>) -> Option<Self> {
        let Value::Persistent(description) = value else { return None };
        let parts = pickle.sequence(pickle.get(*description))?;
        let (&[Value::Text("storage"), Value::Global("torch", storage), Value::Text(key), _, Value::Int(length)], view) =
            parts.split_first_chunk()?
        else {
            return None;
        };
        let offset = match view {
            [] | [Value::None] => 0,
            [view] => match pickle.sequence(view)?.as_slice() {
                [_, Value::Int(offset), _] => usize::try_from(*offset).ok()?,
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { dtype: storage_dtype(storage)?, key, length: usize::try_from(*length).ok()?, offset })
    }
}

fn storage_dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "BFloat16Storage" => Dtype::Bf16,
        "BoolStorage" => Dtype::Bool,
        "ByteStorage" => Dtype::U8,
        "CharStorage" => Dtype::I8,
        "DoubleStorage" => Dtype::F64,
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "IntStorage" => Dtype::I32,
        "LongStorage" => Dtype::I64,
        "ShortStorage" => Dtype::I16,
        _ => return None,
    })
}

/// A tensor as the pickle describes it.
pub(super) struct Description<'a> {
    pub storage: Reference<'a>,
    offset: i64,
    shape: Vec<i64>,
    strides: Vec<i64>,
}

/// The call that rebuilds a tensor, if `value` is one.
pub(super) fn describe<'a>(pickle: &Pickle<'a>, value: &Value<'a>) -> Option<Description<'a>> {
    let (function, arguments) = call(pickle, value)?;
    match (function, arguments.as_slice()) {
        // A parameter is a tensor with a flag.
        ("_rebuild_parameter", [tensor, ..]) => match call(pickle, tensor)? {
            ("_rebuild_parameter", _) => None,
            _ => describe(pickle, tensor),
        },
        ("_rebuild_tensor" | "_rebuild_tensor_v2", [storage, Value::Int(offset), shape, strides, ..]) => Some(Description {
            storage: Reference::read(pickle, storage)?,
            offset: *offset,
            shape: integers(pickle, shape)?,
            strides: integers(pickle, strides)?,
        }),
        _ => None,
    }
}

fn call<'p, 'a>(pickle: &'p Pickle<'a>, value: &Value<'a>) -> Option<(&'a str, Vec<&'p Value<'a>>)> {
    let Value::Call { function, arguments, .. } = value else { return None };
    let Value::Global(_, function) = pickle.get(*function) else { return None };
    Some((function, pickle.sequence(pickle.get(*arguments))?))
}

/// A tuple of integers, or `torch.Size` of one.
fn integers<'a>(pickle: &Pickle<'a>, value: &Value<'a>) -> Option<Vec<i64>> {
    let sequence = match call(pickle, value) {
        Some(("Size", arguments)) => pickle.sequence(arguments.first()?)?,
        _ => pickle.sequence(value)?,
    };
    sequence.into_iter().map(|value| if let Value::Int(value) = value { Some(*value) } else { None }).collect()
}

impl<'a> Description<'a> {
    pub fn view(self, name: &str, storages: &Storages<'a>) -> Result<View<'a>> {
        let Self { storage, offset, shape, strides } = self;
        let fits = |bytes: &'a [u8]| -> Option<View<'a>> {
            let positive = |values: &[i64]| values.iter().map(|value| usize::try_from(*value).ok()).collect::<Option<Vec<_>>>();
            let (shape, strides) = (positive(&shape)?, positive(&strides)?);
            let first = storage.offset.checked_add(usize::try_from(offset).ok()?)?;
            let length = elements(&shape)?;
            // Views that repeat values could be of any length; weights have none.
            if shape.len() != strides.len() || length > storage.length {
                return None;
            }
            let mut last = first;
            for (length, stride) in shape.iter().zip(&strides).filter(|_| length > 0) {
                last = (length - 1).checked_mul(*stride)?.checked_add(last)?;
            }
            let inside = length == 0 && first <= storage.length || last < storage.length;
            let bytes = bytes.get(first.checked_mul(storage.dtype.size()?)?..)?;
            inside.then_some(View { dtype: storage.dtype, shape, strides, bytes })
        };
        let bytes =
            storages.get(storage.key).ok_or_else(|| tensor_error(name, format!("its storage {} is missing", storage.key)))?;
        fits(bytes).ok_or_else(|| {
            let reason = format!(
                "shape {} with strides {} from value {offset} does not fit its storage {} of {} values",
                show(&shape),
                show(&strides),
                storage.key,
                storage.length
            );
            tensor_error(name, reason)
        })
    }
}
