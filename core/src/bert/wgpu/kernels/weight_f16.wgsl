// Weights of two bytes a value. The device need not compute in half precision: `unpack2x16float` is core WGSL.

@group(0) @binding(0) var<storage, read> weights: array<vec2<u32>>;

fn row_start(row: u32, quads: u32) -> u32 {
    return row * quads;
}

fn quad(at: u32) -> vec4<f32> {
    let halves = weights[at];
    return vec4<f32>(unpack2x16float(halves.x), unpack2x16float(halves.y));
}

fn row_scale(row: u32, quads: u32) -> f32 {
    return 1.0;
}
