// Weights of four bytes a value. A row's quads are its values four by four.

@group(0) @binding(0) var<storage, read> weights: array<vec4<f32>>;

// Place of a row's first quad.
fn row_start(row: u32, quads: u32) -> u32 {
    return row * quads;
}

fn quad(at: u32) -> vec4<f32> {
    return weights[at];
}

// What a row's quads are to be multiplied by.
fn row_scale(row: u32, quads: u32) -> f32 {
    return 1.0;
}
