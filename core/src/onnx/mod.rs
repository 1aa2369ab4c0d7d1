//! BERT as an ONNX file, for onnxruntime and transformers.js: the graph of [`crate::bert::Graph`] in ONNX's own operations.
//!
//! Written only; running it is onnxruntime's business. Values go from the tensors straight to the output, so the file never is in
//! memory.

mod graph;
mod message;

use std::io;

use crate::{
    bert::{Config, parameters},
    protobuf::Message,
    weights::{HostTensor, Tensors},
};

use graph::{Constant, Graph, Source};
use message::{DT_FLOAT, DT_INT64, tensor_header, value_info};

/// What the file computes from `input_ids`, `attention_mask` and `token_type_ids`, int64 `[batch, sequence]` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// `logits` `[batch, sequence, vocab]`: scores over the vocabulary at every position.
    Scores,
    /// `last_hidden_state` `[batch, sequence, hidden]` and `sentence_embedding` `[batch, hidden]`, its mean over tokens.
    Vectors,
}

/// Version of the operator set: the first with `LayerNormalization`.
const OPSET: u64 = 17;

/// Version of the file format that goes with it.
const IR_VERSION: u64 = 8;

/// Protobuf's limit for a message, which onnxruntime keeps to.
const MAX_BYTES: usize = i32::MAX as usize;

/// Fields of `ModelProto` and `GraphProto` (`onnx/onnx.proto`).
mod field {
    pub const IR_VERSION: u64 = 1;
    pub const PRODUCER_NAME: u64 = 2;
    pub const PRODUCER_VERSION: u64 = 3;
    pub const GRAPH: u64 = 7;
    pub const OPSET_IMPORT: u64 = 8;
    pub const NODE: u64 = 1;
    pub const NAME: u64 = 2;
    pub const INITIALIZER: u64 = 5;
    pub const INPUT: u64 = 11;
    pub const OUTPUT: u64 = 12;
}

/// Writes the model. Equal models are equal bytes.
///
/// # Errors
/// Those of `out`; [`io::ErrorKind::InvalidInput`] for a parameter that is missing or does not fit `config`, and for a model above 2 GiB.
pub fn write(config: &Config, tensors: &Tensors, output: Output, out: &mut impl io::Write) -> io::Result<()> {
    let graph = Graph::build(config, output);
    let mut head = Message::default();
    for node in &graph.nodes {
        head = head.bytes(field::NODE, node);
    }
    head = head.bytes(field::NAME, "bert");
    let mut tail = Message::default();
    for name in ["input_ids", "attention_mask", "token_type_ids"] {
        tail = tail.bytes(field::INPUT, value_info(name, DT_INT64, &["batch".into(), "sequence".into()]));
    }
    for (name, shape) in graph::outputs(config, output) {
        tail = tail.bytes(field::OUTPUT, value_info(name, DT_FLOAT, &shape));
    }
    let values = graph.constants.iter().map(|constant| Values::new(constant, config, tensors)).collect::<io::Result<Vec<_>>>()?;
    let length =
        values.iter().try_fold(head.as_ref().len() + tail.as_ref().len(), |sum, values| sum.checked_add(values.length()));
    let length = length
        .filter(|length| *length <= MAX_BYTES)
        .ok_or_else(|| invalid("the model is larger than ONNX files can be, 2 GiB"))?;
    let mut model = Message::default()
        .integer(field::IR_VERSION, IR_VERSION)
        .bytes(field::PRODUCER_NAME, "clinicalbert")
        .bytes(field::PRODUCER_VERSION, env!("CARGO_PKG_VERSION"))
        .bytes(field::OPSET_IMPORT, Message::default().bytes(1, "").integer(2, OPSET));
    model.begin_bytes(field::GRAPH, length);
    out.write_all(model.as_ref())?;
    out.write_all(head.as_ref())?;
    for values in values {
        out.write_all(values.header.as_ref())?;
        values.write(out)?;
    }
    out.write_all(tail.as_ref())
}

/// A constant of the graph with its values, as a field of the graph.
struct Values<'a> {
    /// Everything of the field that stands before the values.
    header: Message,
    bytes: usize,
    source: Raw<'a>,
}

enum Raw<'a> {
    Tensor { tensor: &'a HostTensor, transposed: bool },
    Integers(&'a [i64]),
    Float(f32),
}

impl<'a> Values<'a> {
    fn new(constant: &'a Constant, config: &Config, tensors: &'a Tensors) -> io::Result<Self> {
        let (shape, dtype, bytes, source) = match &constant.source {
            Source::Parameter { name, transposed } => {
                let tensor = tensors.get(name).ok_or_else(|| invalid(format!("tensor {name} is missing")))?;
                let expected =
                    parameters(config).into_iter().find(|parameter| parameter.name == *name).map(|parameter| parameter.shape);
                if expected.as_ref() != Some(&tensor.shape) || tensor.shape.iter().product::<usize>() != tensor.data.len() {
                    let found = (&tensor.shape, tensor.data.len());
                    return Err(invalid(format!(
                        "tensor {name}: expected shape {expected:?}, found {:?} of {} values",
                        found.0, found.1
                    )));
                }
                let mut shape = tensor.shape.clone();
                if *transposed {
                    shape.reverse();
                }
                (shape, DT_FLOAT, size_of_val(tensor.data.as_slice()), Raw::Tensor { tensor, transposed: *transposed })
            }
            Source::Integers(integers) => {
                (vec![integers.len()], DT_INT64, size_of_val(integers.as_slice()), Raw::Integers(integers))
            }
            Source::Integer(integer) => (vec![], DT_INT64, size_of_val(integer), Raw::Integers(std::slice::from_ref(integer))),
            Source::Float(float) => (vec![], DT_FLOAT, size_of_val(float), Raw::Float(*float)),
        };
        let tensor = tensor_header(&constant.name, dtype, &shape, bytes);
        let mut header = Message::default();
        header.begin_bytes(field::INITIALIZER, tensor.as_ref().len() + bytes);
        Ok(Self { header: header.followed_by(&tensor), bytes, source })
    }

    fn length(&self) -> usize {
        self.header.as_ref().len() + self.bytes
    }

    fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        match self.source {
            Raw::Tensor { tensor, transposed: false } => out.write_all(bytemuck::cast_slice(&tensor.data)),
            Raw::Tensor { tensor, transposed: true } => out.write_all(bytemuck::cast_slice(&tensor.transposed().data)),
            Raw::Integers(integers) => out.write_all(bytemuck::cast_slice(integers)),
            Raw::Float(float) => out.write_all(&float.to_le_bytes()),
        }
    }
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        bert::initialize,
        protobuf::{Fields, Value},
    };

    fn config() -> Config {
        Config {
            vocab_size: 7,
            hidden_size: 4,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 6,
            max_position_embeddings: 5,
            ..Config::default()
        }
    }

    fn written(output: Output) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&config(), &initialize(&config(), 1), output, &mut bytes).unwrap();
        bytes
    }

    /// All values of a length-delimited field.
    fn all(message: &[u8], number: u64) -> Vec<&[u8]> {
        Fields(message)
            .filter_map(|field| match field.unwrap() {
                (found, Value::Bytes(bytes)) if found == number => Some(bytes),
                _ => None,
            })
            .collect()
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn names(messages: &[&[u8]], number: u64) -> Vec<String> {
        messages.iter().flat_map(|message| all(message, number)).map(text).collect()
    }

    #[test]
    fn every_input_of_a_node_is_there_before_it_and_everything_is_used() {
        for (output, results) in
            [(Output::Scores, vec!["logits"]), (Output::Vectors, vec!["last_hidden_state", "sentence_embedding"])]
        {
            let bytes = written(output);
            let graph = all(&bytes, field::GRAPH)[0];
            assert_eq!(names(&all(graph, field::OUTPUT), 1), results);
            let inputs = names(&all(graph, field::INPUT), 1);
            assert_eq!(inputs, ["input_ids", "attention_mask", "token_type_ids"]);
            let constants = names(&all(graph, field::INITIALIZER), 8);
            let mut known: BTreeSet<String> = inputs.into_iter().chain(constants).collect();
            let mut used = BTreeSet::new();
            for node in all(graph, field::NODE) {
                for input in all(node, 1).into_iter().map(text) {
                    assert!(known.contains(&input), "{input} is used before it is there");
                    used.insert(input);
                }
                for output in all(node, 2).into_iter().map(text) {
                    assert!(known.insert(output.clone()), "{output} is written twice");
                }
            }
            let mut unused = known.difference(&used);
            assert!(unused.all(|name| results.contains(&name.as_str())), "only results are not read by another node");
        }
    }

    #[test]
    fn constants_have_as_many_values_as_their_shapes_and_kernels_are_turned() {
        let bytes = written(Output::Scores);
        let graph = all(&bytes, field::GRAPH)[0];
        let weights = initialize(&config(), 1);
        let mut floats = 0;
        for constant in all(graph, field::INITIALIZER) {
            let integer = |number: u64| {
                Fields(constant).filter_map(move |field| match field.unwrap() {
                    (found, Value::Integer(value)) if found == number => Some(value as usize),
                    _ => None,
                })
            };
            let shape: Vec<usize> = integer(1).collect();
            let size = if integer(2).next() == Some(1) { 4 } else { 8 };
            let raw = all(constant, 9)[0];
            let name = text(all(constant, 8)[0]);
            assert_eq!(raw.len(), size * shape.iter().product::<usize>(), "{name}");
            if let Some(parameter) = name.strip_suffix(".transposed") {
                let expected = weights[parameter].transposed();
                assert_eq!((&shape, raw), (&expected.shape, bytemuck::cast_slice(&expected.data)), "{name}");
                floats += 1;
            } else if let Some(expected) = weights.get(&name) {
                assert_eq!((&shape, raw), (&expected.shape, bytemuck::cast_slice(&expected.data)), "{name}");
                floats += 1;
            }
        }
        // All but the pooler's two and the next sentence head's two.
        assert_eq!(floats, weights.len() - 4);
    }

    #[test]
    fn a_model_without_the_head_has_no_scores() {
        let mut tensors = initialize(&config(), 1);
        tensors.retain(|name, _| !name.starts_with("cls."));
        let told = write(&config(), &tensors, Output::Scores, &mut Vec::new()).unwrap_err().to_string();
        assert!(told.contains("cls.predictions") && told.contains("is missing"), "{told}");
        write(&config(), &tensors, Output::Vectors, &mut Vec::new()).unwrap();
        let longer = Config { max_position_embeddings: 6, ..config() };
        let told = write(&longer, &tensors, Output::Vectors, &mut Vec::new()).unwrap_err().to_string();
        assert!(told.contains("position_embeddings.weight: expected shape Some([6, 4]), found [5, 4]"), "{told}");
    }
}
