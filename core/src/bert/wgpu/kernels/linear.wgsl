// f(x·Wᵀ + b). An invocation makes eight rows by four columns in registers: every quad of x that it loads is used four times, every
// quad of W eight times. Neighbours in a row make neighbouring columns, so their loads of x are the same.

struct Shape {
    rows: u32,
    // Quads of a row of x and of W.
    quads: u32,
    // Rows of this part of W, and the column of the result that they begin at.
    columns: u32,
    first_column: u32,
    // Columns of the result.
    width: u32,
    then: u32,
}

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
@group(0) @binding(4) var<uniform> shape: Shape;

fn store(row: u32, column: u32, scales: vec4<f32>, sums: vec4<f32>) {
    if row >= shape.rows {
        return;
    }
    let at = shape.first_column + column;
    let last = shape.first_column + shape.columns - 1u;
    let biases = vec4<f32>(bias[at], bias[min(at + 1u, last)], bias[min(at + 2u, last)], bias[min(at + 3u, last)]);
    let values = activate(sums * scales + biases, shape.then);
    let place = row * shape.width + at;
    result[place] = values.x;
    if at + 1u <= last { result[place + 1u] = values.y; }
    if at + 2u <= last { result[place + 2u] = values.z; }
    if at + 3u <= last { result[place + 3u] = values.w; }
}

@compute @workgroup_size(LINEAR_COLUMN_LANES, LINEAR_ROW_LANES)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = id.x * 4u;
    let row = id.y * 8u;
    let quads = shape.quads;
    if column >= shape.columns || row >= shape.rows {
        return;
    }
    // Beyond the last column or row the last one is computed again, and not stored.
    let columns = min(vec4<u32>(column, column + 1u, column + 2u, column + 3u), vec4<u32>(shape.columns - 1u));
    let w0 = row_start(columns.x, quads);
    let w1 = row_start(columns.y, quads);
    let w2 = row_start(columns.z, quads);
    let w3 = row_start(columns.w, quads);
    let last = shape.rows - 1u;
    let x0 = row * quads;
    let x1 = min(row + 1u, last) * quads;
    let x2 = min(row + 2u, last) * quads;
    let x3 = min(row + 3u, last) * quads;
    let x4 = min(row + 4u, last) * quads;
    let x5 = min(row + 5u, last) * quads;
    let x6 = min(row + 6u, last) * quads;
    let x7 = min(row + 7u, last) * quads;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var sum4 = vec4<f32>();
    var sum5 = vec4<f32>();
    var sum6 = vec4<f32>();
    var sum7 = vec4<f32>();
    for (var k = 0u; k < quads; k++) {
        let w = mat4x4<f32>(quad(w0 + k), quad(w1 + k), quad(w2 + k), quad(w3 + k));
        sum0 += x[x0 + k] * w;
        sum1 += x[x1 + k] * w;
        sum2 += x[x2 + k] * w;
        sum3 += x[x3 + k] * w;
        sum4 += x[x4 + k] * w;
        sum5 += x[x5 + k] * w;
        sum6 += x[x6 + k] * w;
        sum7 += x[x7 + k] * w;
    }
    let scales = vec4<f32>(
        row_scale(columns.x, quads),
        row_scale(columns.y, quads),
        row_scale(columns.z, quads),
        row_scale(columns.w, quads),
    );
    store(row, column, scales, sum0);
    store(row + 1u, column, scales, sum1);
    store(row + 2u, column, scales, sum2);
    store(row + 3u, column, scales, sum3);
    store(row + 4u, column, scales, sum4);
    store(row + 5u, column, scales, sum5);
    store(row + 6u, column, scales, sum6);
    store(row + 7u, column, scales, sum7);
}
