// Rows picked for the heads, and their gradients put back; the next sentence head, whose two classes are too few for cuBLASLt.

// out[i] = x[indices[i]], HIDDEN wide.
extern "C" __global__ void rows_gather(const real *x, const u32 *indices, real *out, int count) {
    int row = blockIdx.x * WARPS + warp();
    if (row >= count) return;
    float values[OWN];
    load_row(x + u64(indices[row]) * HIDDEN, values);
    store_row(out + u64(row) * HIDDEN, values);
}

// out[indices[i]] (+)= gradient[i]; rows that no index names get 0 or stay. `indices` are sorted by sequence, `per_sequence` each. Every
// row of `out` has its own warp, so that indices that point at one row need no atomic addition.
extern "C" __global__ void rows_scatter(const real *gradient, const u32 *indices, real *out, int length, int per_sequence, int rows,
                                        int accumulate) {
    u64 row = u64(blockIdx.x) * WARPS + warp();
    if (row >= u64(rows)) return;
    u64 sequence = row / length;
    float values[OWN] = {}, others[OWN];
    bool touched = !accumulate;
    if (accumulate) load_row(out + row * HIDDEN, values);
    for (u64 index = sequence * per_sequence; index < (sequence + 1) * per_sequence; ++index) {
        if (indices[index] != row) continue;
        load_row(gradient + index * HIDDEN, others);
        add_row(values, others);
        touched = true;
    }
    if (touched) store_row(out + row * HIDDEN, values);
}

// logits[row, class] = x[row] . weight[class]; a warp each, blocks are (rows / WARPS, classes).
extern "C" __global__ void classify_forward(const real *x, const float *weight, float *logits, int rows, int classes) {
    int row = blockIdx.x * WARPS + warp(), kind = blockIdx.y;
    if (row >= rows) return;
    float values[OWN], factors[OWN], sum = 0.0f;
    load_row(x + u64(row) * HIDDEN, values);
    load_row(weight + u64(kind) * HIDDEN, factors);
#pragma unroll
    for (int i = 0; i < OWN; ++i) sum += values[i] * factors[i];
    sum = warp_sum(sum);
    if (lane() == 0) logits[u64(row) * classes + kind] = sum;
}

// x_gradient[row] = sum over classes of gradient[row, class] weight[class].
extern "C" __global__ void classify_backward_rows(const real *gradient, const float *weight, real *x_gradient, int rows, int classes) {
    int row = blockIdx.x * WARPS + warp();
    if (row >= rows) return;
    float values[OWN] = {}, factors[OWN];
    for (int kind = 0; kind < classes; ++kind) {
        float factor = to_float(gradient[u64(row) * classes + kind]);
        load_row(weight + u64(kind) * HIDDEN, factors);
#pragma unroll
        for (int i = 0; i < OWN; ++i) values[i] += factor * factors[i];
    }
    store_row(x_gradient + u64(row) * HIDDEN, values);
}

// weight_gradient[class] (+)= sum over rows of gradient[row, class] x[row]; a warp a class.
extern "C" __global__ void classify_backward_weight(const real *gradient, const real *x, float *weight_gradient, int rows, int classes, int accumulate) {
    int kind = blockIdx.x * WARPS + warp();
    if (kind >= classes) return;
    float values[OWN] = {}, others[OWN];
    if (accumulate) load_row(weight_gradient + u64(kind) * HIDDEN, values);
    for (int row = 0; row < rows; ++row) {
        float factor = to_float(gradient[u64(row) * classes + kind]);
        load_row(x + u64(row) * HIDDEN, others);
#pragma unroll
        for (int i = 0; i < OWN; ++i) values[i] += factor * others[i];
    }
    store_row(weight_gradient + u64(kind) * HIDDEN, values);
}
