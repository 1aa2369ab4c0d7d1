// LayerNorm with what comes before it: dropout and residual, or the sum of embeddings.

// Registers for as many blocks of a multiprocessor as let an H200 have all 4,096 rows of a batch at once, if rows are no wider than BERT-base's.
#define EIGHT_BLOCKS __launch_bounds__(WARPS *LANES, OWN > 24 ? 1 : 8)

// Turns the row into (row - mean) / deviation and returns the inverse of the deviation. Lanes beyond HIDDEN hold zeros.
__device__ __forceinline__ float normalize(float (&values)[OWN], float epsilon) {
    float sum = 0.0f, squares = 0.0f;
#pragma unroll
    for (int i = 0; i < OWN; ++i) sum += values[i];
    float mean = warp_sum(sum) / HIDDEN;
#pragma unroll
    for (int i = 0; i < OWN; ++i) {
        values[i] = column_of(i / PACK) < HIDDEN ? values[i] - mean : 0.0f;
        squares += values[i] * values[i];
    }
    float inverse = 1.0f / sqrtf(warp_sum(squares) / HIDDEN + epsilon);
#pragma unroll
    for (int i = 0; i < OWN; ++i) values[i] *= inverse;
    return inverse;
}

__device__ __forceinline__ void scale_and_shift(float (&values)[OWN], const float *scale, const float *shift) {
    float factors[OWN], terms[OWN];
    load_row(scale, factors);
    load_row(shift, terms);
#pragma unroll
    for (int i = 0; i < OWN; ++i) values[i] = values[i] * factors[i] + terms[i];
}

// out = LayerNorm(residual + dropout(x)); `residual` may be null. x becomes its normalized values and `inverses` 1 / deviation of every
// row, which the backward pass needs.
extern "C" __global__ void EIGHT_BLOCKS norm_forward(real *x, const real *residual, const float *scale, const float *shift, real *out, float *inverses, int rows,
                             float epsilon, Dropout dropout) {
    u64 row = u64(blockIdx.x) * WARPS + warp();
    if (row >= u64(rows)) return;
    float values[OWN];
    load_row(x + row * HIDDEN, values);
    drop_row(values, row, dropout);
    if (residual) {
        float others[OWN];
        load_row(residual + row * HIDDEN, others);
        add_row(values, others);
    }
    float inverse = normalize(values, epsilon);
    if (lane() == 0) inverses[row] = inverse;
    store_row(x + row * HIDDEN, values);
    scale_and_shift(values, scale, shift);
    store_row(out + row * HIDDEN, values);
}

// out = dropout(LayerNorm(word + position + type)); leaves what norm_forward leaves.
extern "C" __global__ void EIGHT_BLOCKS embed_forward(const u32 *ids, const u8 *types, const float *word, const float *position, const float *type,
                              const float *scale, const float *shift, real *normalized, real *out, float *inverses, int rows, int length,
                              float epsilon, Dropout dropout) {
    u64 row = u64(blockIdx.x) * WARPS + warp();
    if (row >= u64(rows)) return;
    float values[OWN], others[OWN];
    load_row(word + u64(ids[row]) * HIDDEN, values);
    load_row(position + row % length * HIDDEN, others);
    add_row(values, others);
    load_row(type + u64(types[row]) * HIDDEN, others);
    add_row(values, others);
    float inverse = normalize(values, epsilon);
    if (lane() == 0) inverses[row] = inverse;
    store_row(normalized + row * HIDDEN, values);
    scale_and_shift(values, scale, shift);
    drop_row(values, row, dropout);
    store_row(out + row * HIDDEN, values);
}

// Sums the warps' rows of a block in the order of the warps and writes them to `place`.
__device__ __forceinline__ void write_block_sum(float *place, const float (&values)[OWN]) {
    __shared__ float sums[HIDDEN];
    for (int turn = 0; turn < WARPS; ++turn) {
        if (warp() == turn) {
#pragma unroll
            for (int i = 0; i < OWN; ++i) {
                int column = column_of(i / PACK) + i % PACK;
                if (column < HIDDEN) sums[column] = turn == 0 ? values[i] : sums[column] + values[i];
            }
        }
        __syncthreads();
    }
    for (int column = threadIdx.x; column < HIDDEN; column += blockDim.x) place[column] = sums[column];
    __syncthreads();
}

// From the gradient of LayerNorm's result, in place, the gradient of its argument, which is the residual's too. `dropped`, if not null,
// is x's: the same through the dropout mask. `partial` gets every block's sums for scale, shift and the bias before x: [blocks, 3, HIDDEN].
// With `dropout_is_last` the mask lies after the norm, as in the embeddings.
extern "C" __global__ void norm_backward(real *gradient, real *dropped, const real *normalized, const float *inverses, const float *scale, float *partial,
                              int rows, int dropout_is_last, Dropout dropout) {
    float scale_sum[OWN] = {}, shift_sum[OWN] = {}, bias_sum[OWN] = {}, factors[OWN];
    load_row(scale, factors);
    for (u64 row = u64(blockIdx.x) * WARPS + warp(); row < u64(rows); row += u64(gridDim.x) * WARPS) {
        float outer[OWN], values[OWN];
        load_row(gradient + row * HIDDEN, outer);
        load_row(normalized + row * HIDDEN, values);
        if (dropout_is_last) drop_row(outer, row, dropout);
        float sum = 0.0f, along = 0.0f;
#pragma unroll
        for (int i = 0; i < OWN; ++i) {
            scale_sum[i] += outer[i] * values[i];
            shift_sum[i] += outer[i];
            outer[i] *= factors[i];
            sum += outer[i];
            along += outer[i] * values[i];
        }
        float mean = warp_sum(sum) / HIDDEN, inverse = inverses[row];
        along = warp_sum(along) / HIDDEN;
#pragma unroll
        for (int i = 0; i < OWN; ++i) {
            bool inside = column_of(i / PACK) < HIDDEN;
            outer[i] = inside ? (outer[i] - mean - values[i] * along) * inverse : 0.0f;
        }
        store_row(gradient + row * HIDDEN, outer);
        if (!dropout_is_last) drop_row(outer, row, dropout);
        add_row(bias_sum, outer);
        if (dropped) store_row(dropped + row * HIDDEN, outer);
    }
    float *sums = partial + u64(blockIdx.x) * 3 * HIDDEN;
    write_block_sum(sums, scale_sum);
    write_block_sum(sums + HIDDEN, shift_sum);
    write_block_sum(sums + 2 * HIDDEN, bias_sum);
}

// The sums that norm_backward's blocks have left, each (+)= to its place; those that nobody wants are null. Blocks are (columns / LANES, 3).
extern "C" __global__ void norm_sums(const float *partial, float *scale, float *shift, float *bias, int count, int accumulate) {
    float *out = blockIdx.y == 0 ? scale : blockIdx.y == 1 ? shift : bias;
    if (out) sum_rows(partial + blockIdx.y * HIDDEN, out, blockIdx.x * LANES, count, HIDDEN, 3 * HIDDEN, accumulate);
}
