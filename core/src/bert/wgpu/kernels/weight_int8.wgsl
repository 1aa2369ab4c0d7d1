// Weights of a signed byte a value, every row preceded by its scale (f32): exactly the bytes of `Encoding::Int8`.

@group(0) @binding(0) var<storage, read> weights: array<u32>;

fn row_start(row: u32, quads: u32) -> u32 {
    return row * (quads + 1u) + 1u;
}

// Shifted up and back down, a byte keeps its sign. (`unpack4xI8` does the same, where a browser has it.)
fn quad(at: u32) -> vec4<f32> {
    let bytes = weights[at];
    let raised = bitcast<vec4<i32>>(vec4<u32>(bytes << 24u, bytes << 16u, bytes << 8u, bytes));
    return vec4<f32>(raised >> vec4<u32>(24u));
}

fn row_scale(row: u32, quads: u32) -> f32 {
    return bitcast<f32>(weights[row * (quads + 1u)]);
}
