// LayerNorm of `term(row, k)`, a workgroup a row: mean first, then the mean square of what is left, which loses no digits.

var<workgroup> partial: array<f32, NORM_LANES>;

// Sum over the workgroup. Everybody adds up all partial sums: one barrier instead of one a halving.
fn total(lane: u32, value: f32) -> f32 {
    partial[lane] = value;
    workgroupBarrier();
    var sum = 0.0;
    for (var other = 0u; other < NORM_LANES; other++) {
        sum += partial[other];
    }
    workgroupBarrier();
    return sum;
}

@compute @workgroup_size(NORM_LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= shape.rows {
        return;
    }
    let quads = shape.quads;
    let share = 0.25 / f32(quads);
    var sum = 0.0;
    for (var k = lane; k < quads; k += NORM_LANES) {
        sum += dot(term(row, k), vec4<f32>(1.0));
    }
    let mean = total(lane, sum) * share;
    var squares = 0.0;
    for (var k = lane; k < quads; k += NORM_LANES) {
        let centred = term(row, k) - mean;
        squares += dot(centred, centred);
    }
    let inverse = 1.0 / sqrt(total(lane, squares) * share + shape.epsilon);
    for (var k = lane; k < quads; k += NORM_LANES) {
        result[row * quads + k] = (term(row, k) - mean) * inverse * weight[k] + bias[k];
    }
}
