//! The protobuf messages of an ONNX file (`onnx/onnx.proto`); numbers are those of their fields.

use crate::protobuf::Message;

// `TensorProto.DataType`
pub(super) const DT_FLOAT: u64 = 1;
pub(super) const DT_INT64: u64 = 7;

/// An attribute of an operation.
pub(super) enum Attribute<'a> {
    Float(&'a str, f32),
    Integer(&'a str, i64),
    Integers(&'a str, &'a [i64]),
}

/// `NodeProto`: one operation, named after its first output.
pub(super) fn node(operation: &str, inputs: &[&str], output: &str, attributes: &[Attribute<'_>]) -> Message {
    let mut node = Message::default();
    for input in inputs {
        node = node.bytes(1, input);
    }
    node = node.bytes(2, output).bytes(3, output).bytes(4, operation);
    for attribute in attributes {
        node = node.bytes(5, attribute.encode());
    }
    node
}

impl Attribute<'_> {
    /// `AttributeProto`; the last field is its `AttributeType`.
    fn encode(&self) -> Message {
        let message = Message::default();
        match self {
            Self::Float(name, value) => message.bytes(1, name).four(2, value.to_le_bytes()).integer(20, 1),
            Self::Integer(name, value) => message.bytes(1, name).integer(3, *value as u64).integer(20, 2),
            Self::Integers(name, values) => {
                values.iter().fold(message.bytes(1, name), |message, value| message.integer(8, *value as u64)).integer(20, 7)
            }
        }
    }
}

/// Length of an axis: a number, or a name where it may vary.
pub(super) enum Axis {
    Fixed(usize),
    Named(&'static str),
}

impl From<&'static str> for Axis {
    fn from(name: &'static str) -> Self {
        Self::Named(name)
    }
}

/// `ValueInfoProto`: an input or output.
pub(super) fn value_info(name: &str, dtype: u64, axes: &[Axis]) -> Message {
    let mut shape = Message::default();
    for axis in axes {
        let axis = match axis {
            Axis::Fixed(length) => Message::default().integer(1, *length as u64),
            Axis::Named(name) => Message::default().bytes(2, name),
        };
        shape = shape.bytes(1, axis);
    }
    let tensor = Message::default().integer(1, dtype).bytes(2, shape);
    Message::default().bytes(1, name).bytes(2, Message::default().bytes(1, tensor))
}

/// `TensorProto` up to its values, of which there are `bytes`.
pub(super) fn tensor_header(name: &str, dtype: u64, shape: &[usize], bytes: usize) -> Message {
    let dimensions = shape.iter().fold(Message::default(), |message, length| message.integer(1, *length as u64));
    let mut header = dimensions.integer(2, dtype).bytes(8, name);
    header.begin_bytes(9, bytes);
    header
}
