//! BERT in ONNX's operations, in the order of the graph. Names are those of the parameters' modules.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

use super::{
    Output,
    message::{Attribute, Axis, DT_FLOAT, node},
};
use crate::{
    bert::{Activation, Config},
    protobuf::Message,
};

/// A value that is the same for every input.
pub(super) struct Constant {
    pub name: String,
    pub source: Source,
}

/// Where a constant's values come from.
pub(super) enum Source {
    Parameter {
        name: String,
        transposed: bool,
    },
    /// One axis.
    Integers(Vec<i64>),
    /// No axis.
    Integer(i64),
    /// No axis.
    Float(f32),
}

/// Operations in the order in which they run, and the constants that they use.
pub(super) struct Graph<'a> {
    config: &'a Config,
    pub nodes: Vec<Message>,
    pub constants: Vec<Constant>,
}

/// Names and shapes of the results.
pub(super) fn outputs(config: &Config, output: Output) -> Vec<(&'static str, Vec<Axis>)> {
    let rows = || vec!["batch".into(), "sequence".into()];
    let wide = |mut axes: Vec<Axis>, width: usize| {
        axes.push(Axis::Fixed(width));
        axes
    };
    match output {
        Output::Scores => vec![("logits", wide(rows(), config.vocab_size))],
        Output::Vectors => vec![
            ("last_hidden_state", wide(rows(), config.hidden_size)),
            ("sentence_embedding", wide(vec!["batch".into()], config.hidden_size)),
        ],
    }
}

impl<'a> Graph<'a> {
    pub fn build(config: &'a Config, output: Output) -> Self {
        let mut graph = Self { config, nodes: Vec::new(), constants: Vec::new() };
        let last = if output == Output::Vectors { "last_hidden_state" } else { "hidden" };
        let mask = graph.mask();
        let mut hidden = graph.embeddings();
        for layer in 0..config.num_hidden_layers {
            let name = if layer + 1 == config.num_hidden_layers { last.to_owned() } else { format!("layer.{layer}") };
            hidden = graph.layer(layer, &hidden, &mask, name);
        }
        match output {
            Output::Scores => graph.scores(&hidden),
            Output::Vectors => graph.mean(&hidden),
        }
        graph
    }

    /// 0 at tokens, -10000 at padding, as in the original: `[batch, 1, 1, sequence]`.
    fn mask(&mut self) -> String {
        let axes = self.integers("mask.axes", &[1, 2]);
        let wide = self.node("Unsqueeze", &["attention_mask", &axes], "mask.wide");
        let float = self.float_of(&wide, "mask.float");
        let (one, far) = (self.float("one", 1.0), self.float("mask.far", -10_000.0));
        let padding = self.node("Sub", &[&one, &float], "mask.padding");
        self.node("Mul", &[&padding, &far], "mask")
    }

    /// Word, position and type rows, summed and normalized: `[batch, sequence, hidden]`.
    fn embeddings(&mut self) -> String {
        let tables =
            ["word", "position", "token_type"].map(|table| self.parameter(&format!("bert.embeddings.{table}_embeddings.weight")));
        let [word, position, token_type] = tables;
        let (zero, one) = (self.integer("range.start", 0), self.integer("range.step", 1));
        let shape = self.node("Shape", &["input_ids"], "shape");
        let length = self.node("Gather", &[&shape, &one], "length");
        let positions = self.node("Range", &[&zero, &length, &one], "positions");
        let word = self.node("Gather", &[&word, "input_ids"], "embeddings.word");
        let position = self.node("Gather", &[&position, &positions], "embeddings.position");
        let token_type = self.node("Gather", &[&token_type, "token_type_ids"], "embeddings.token_type");
        let sum = self.node("Add", &[&word, &position], "embeddings.word_and_position");
        let sum = self.node("Add", &[&sum, &token_type], "embeddings.sum");
        self.norm(&sum, "bert.embeddings.LayerNorm", "embeddings".into())
    }

    fn layer(&mut self, number: usize, hidden: &str, mask: &str, name: String) -> String {
        let module = |part: &str| format!("bert.encoder.layer.{number}.{part}");
        let at = |part: &str| format!("layer.{number}.{part}");
        let context = self.attention(number, hidden, mask);
        let attended = self.linear(&context, &module("attention.output.dense"));
        let sum = self.node("Add", &[&attended, hidden], &at("attended.sum"));
        let attended = self.norm(&sum, &module("attention.output.LayerNorm"), at("attended"));
        let wide = self.linear(&attended, &module("intermediate.dense"));
        let wide = self.gelu(&wide, &at("gelu"));
        let narrow = self.linear(&wide, &module("output.dense"));
        let sum = self.node("Add", &[&narrow, &attended], &at("sum"));
        self.norm(&sum, &module("output.LayerNorm"), name)
    }

    /// softmax(Q·Kᵀ/√d + mask)·V by heads: `[batch, sequence, hidden]`.
    fn attention(&mut self, number: usize, hidden: &str, mask: &str) -> String {
        let at = |part: &str| format!("layer.{number}.attention.{part}");
        let (heads, size) = (self.config.num_attention_heads, self.config.head_size());
        // 0 keeps the length of an axis.
        let split = self.integers("heads.split", &[0, 0, heads as i64, size as i64]);
        let joined = self.integers("heads.joined", &[0, 0, self.config.hidden_size as i64]);
        let mut by_heads = |which: &str, order: &[i64]| {
            let projected = self.linear(hidden, &format!("bert.encoder.layer.{number}.attention.self.{which}"));
            let parted = self.node("Reshape", &[&projected, &split], &at(&format!("{which}.parted")));
            self.transpose(&parted, order, &at(which))
        };
        let query = by_heads("query", &[0, 2, 1, 3]); // [batch, heads, sequence, size]
        let key = by_heads("key", &[0, 2, 3, 1]); // [batch, heads, size, sequence]
        let value = by_heads("value", &[0, 2, 1, 3]);
        let root = self.float("heads.root", (size as f32).sqrt());
        let products = self.node("MatMul", &[&query, &key], &at("products"));
        let scaled = self.node("Div", &[&products, &root], &at("scaled"));
        let masked = self.node("Add", &[&scaled, mask], &at("masked"));
        let weights = self.node_with("Softmax", &[&masked], at("weights"), &[Attribute::Integer("axis", -1)]);
        let context = self.node("MatMul", &[&weights, &value], &at("context.by_heads"));
        let turned = self.transpose(&context, &[0, 2, 1, 3], &at("context.parted"));
        self.node("Reshape", &[&turned, &joined], &at("context"))
    }

    /// Scores over the vocabulary with the table of the word embeddings.
    fn scores(&mut self, hidden: &str) {
        let transformed = self.linear(hidden, "cls.predictions.transform.dense");
        let transformed = self.gelu(&transformed, "transform.gelu");
        let normed = self.norm(&transformed, "cls.predictions.transform.LayerNorm", "transform".into());
        let word = self.parameter("bert.embeddings.word_embeddings.weight");
        // Turned when the model is opened, so that the file has the table once.
        let table = self.transpose(&word, &[1, 0], "scores.table");
        let scores = self.node("MatMul", &[&normed, &table], "scores");
        let bias = self.parameter("cls.predictions.bias");
        self.node("Add", &[&scores, &bias], "logits");
    }

    /// Mean over tokens, as sentence-transformers takes it.
    fn mean(&mut self, hidden: &str) {
        let (last, first) = (self.integers("mean.last", &[-1]), self.integers("mean.first", &[1]));
        let wide = self.node("Unsqueeze", &["attention_mask", &last], "mean.wide");
        let mask = self.float_of(&wide, "mean.mask"); // [batch, sequence, 1]
        let kept = self.node("Mul", &[hidden, &mask], "mean.kept");
        let keep = [Attribute::Integer("keepdims", 0)];
        let sum = self.node_with("ReduceSum", &[&kept, &first], "mean.sum".into(), &keep);
        let count = self.node_with("ReduceSum", &[&mask, &first], "mean.count".into(), &keep);
        // What sentence-transformers puts in place of no token at all.
        let least = self.float("mean.least", 1e-9);
        let count = self.node("Max", &[&count, &least], "mean.divisor");
        self.node("Div", &[&sum, &count], "sentence_embedding");
    }

    /// `x·Wᵀ + b`.
    fn linear(&mut self, x: &str, module: &str) -> String {
        let kernel = self.constant(
            &format!("{module}.weight.transposed"),
            Source::Parameter { name: format!("{module}.weight"), transposed: true },
        );
        let bias = self.parameter(&format!("{module}.bias"));
        let product = self.node("MatMul", &[x, &kernel], &format!("{module}.product"));
        self.node("Add", &[&product, &bias], module)
    }

    fn norm(&mut self, x: &str, module: &str, name: String) -> String {
        let (weight, bias) = (self.parameter(&format!("{module}.weight")), self.parameter(&format!("{module}.bias")));
        let epsilon = self.config.layer_norm_eps as f32;
        let attributes = [Attribute::Integer("axis", -1), Attribute::Float("epsilon", epsilon)];
        self.node_with("LayerNormalization", &[x, &weight, &bias], name, &attributes)
    }

    /// `x/2·(1 + erf(x/√2))`, or `x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`; in the forms that onnxruntime knows how to fuse.
    fn gelu(&mut self, x: &str, name: &str) -> String {
        let at = |part: &str| format!("{name}.{part}");
        let curve = match self.config.hidden_act {
            Activation::Gelu => {
                let root = self.float("gelu.root", SQRT_2);
                let scaled = self.node("Div", &[x, &root], &at("scaled"));
                self.node("Erf", &[&scaled], &at("erf"))
            }
            Activation::GeluTanh => {
                let (three, share) = (self.float("gelu.three", 3.0), self.float("gelu.share", 0.044_715));
                // 2/√π · 1/√2 = √(2/π)
                let scale = self.float("gelu.scale", FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
                let cube = self.node("Pow", &[x, &three], &at("cube"));
                let cube = self.node("Mul", &[&cube, &share], &at("cube.scaled"));
                let sum = self.node("Add", &[x, &cube], &at("sum"));
                let scaled = self.node("Mul", &[&sum, &scale], &at("scaled"));
                self.node("Tanh", &[&scaled], &at("tanh"))
            }
        };
        let (one, half) = (self.float("one", 1.0), self.float("half", 0.5));
        let curve = self.node("Add", &[&curve, &one], &at("curve"));
        let product = self.node("Mul", &[x, &curve], &at("product"));
        self.node("Mul", &[&product, &half], name)
    }

    fn float_of(&mut self, integers: &str, name: &str) -> String {
        self.node_with("Cast", &[integers], name.into(), &[Attribute::Integer("to", DT_FLOAT as i64)])
    }

    fn transpose(&mut self, x: &str, order: &[i64], name: &str) -> String {
        self.node_with("Transpose", &[x], name.into(), &[Attribute::Integers("perm", order)])
    }

    fn node(&mut self, operation: &str, inputs: &[&str], output: &str) -> String {
        self.node_with(operation, inputs, output.into(), &[])
    }

    fn node_with(&mut self, operation: &str, inputs: &[&str], output: String, attributes: &[Attribute<'_>]) -> String {
        self.nodes.push(node(operation, inputs, &output, attributes));
        output
    }

    fn parameter(&mut self, name: &str) -> String {
        self.constant(name, Source::Parameter { name: name.into(), transposed: false })
    }

    fn integers(&mut self, name: &str, values: &[i64]) -> String {
        self.constant(name, Source::Integers(values.to_vec()))
    }

    fn integer(&mut self, name: &str, value: i64) -> String {
        self.constant(name, Source::Integer(value))
    }

    fn float(&mut self, name: &str, value: f32) -> String {
        self.constant(name, Source::Float(value))
    }

    /// A constant is in the file once, however often it is used.
    fn constant(&mut self, name: &str, source: Source) -> String {
        if self.constants.iter().all(|constant| constant.name != name) {
            self.constants.push(Constant { name: name.into(), source });
        }
        name.into()
    }
}
