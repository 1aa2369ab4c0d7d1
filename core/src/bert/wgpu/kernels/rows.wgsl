// Picks rows, from a table or from hidden states, and leaves alone those that are in another part of the table.

struct Shape {
    // Rows wanted, and quads of a row.
    wanted: u32,
    quads: u32,
    // Rows of this part of the table, and the number of the first.
    rows: u32,
    first_row: u32,
}

@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> shape: Shape;

@compute @workgroup_size(ROWS_LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * ROWS_LANES;
    let quads = shape.quads;
    if at >= shape.wanted * quads {
        return;
    }
    let index = indices[at / quads];
    if index < shape.first_row || index - shape.first_row >= shape.rows {
        return;
    }
    let row = index - shape.first_row;
    result[at] = quad(row_start(row, quads) + at % quads) * row_scale(row, quads);
}
