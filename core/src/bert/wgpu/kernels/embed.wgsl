// LayerNorm(word + position + type). Word rows were picked before (rows.wgsl), because the word table may lie in several buffers.

struct Shape {
    rows: u32,
    quads: u32,
    epsilon: f32,
    // Tokens of a sequence.
    length: u32,
}

@group(0) @binding(0) var<storage, read> words: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> positions: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> types: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> token_types: array<u32>;
@group(0) @binding(4) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> result: array<vec4<f32>>;
@group(0) @binding(7) var<uniform> shape: Shape;

fn term(row: u32, k: u32) -> vec4<f32> {
    let quads = shape.quads;
    return words[row * quads + k] + positions[row % shape.length * quads + k] + types[token_types[row] * quads + k];
}
