// LayerNorm(x + residual), or of x alone.

struct Shape {
    rows: u32,
    quads: u32,
    epsilon: f32,
    has_residual: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> result: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> shape: Shape;

fn term(row: u32, k: u32) -> vec4<f32> {
    let at = row * shape.quads + k;
    return select(x[at], x[at] + residual[at], shape.has_residual == 1u);
}
