// Softmax cross-entropy over rows of logits, forward and backward in one, and the sum of its figures.

struct Best {
    float value;
    int column;
};

// Of two, the larger; of equals, the first.
__device__ __forceinline__ Best better(Best ours, Best theirs) {
    bool take = theirs.value > ours.value || (theirs.value == ours.value && theirs.column < ours.column);
    return take ? theirs : ours;
}

#define LOSS_THREADS 256
#define LOSS_WARPS (LOSS_THREADS / LANES)

// A block of LOSS_THREADS has one row. `logits` are `[rows, stride]` without their bias, of which the first `classes` count. `gradient`,
// `[rows, stride]`, gets weight * (softmax - one at the label) and 0 in the columns beyond. `figures`, `[rows, 2]`, gets the row's
// weighted loss and its weight if the best class (the first of equals) is the label.
extern "C" __global__ void loss(const float *logits, const float *bias, const u32 *labels, const float *weights, real *gradient, float *figures,
                     int classes, int stride) {
    __shared__ Best bests[LOSS_WARPS];
    __shared__ float sums[LOSS_WARPS];
    u64 row = blockIdx.x, first = row * stride;
    Best best = {-3.4e38f, 0x7fffffff};
    for (int column = threadIdx.x; column < classes; column += LOSS_THREADS) {
        best = better(best, Best{logits[first + column] + bias[column], column});
    }
    for (int distance = 16; distance > 0; distance /= 2) {
        float value = __shfl_xor_sync(ALL, best.value, distance);
        int column = __shfl_xor_sync(ALL, best.column, distance);
        best = better(best, Best{value, column});
    }
    if (lane() == 0) bests[warp()] = best;
    __syncthreads();
    best = bests[0];
    for (int i = 1; i < LOSS_WARPS; ++i) best = better(best, bests[i]);
    float sum = 0.0f;
    for (int column = threadIdx.x; column < classes; column += LOSS_THREADS) {
        sum += expf(logits[first + column] + bias[column] - best.value);
    }
    sum = warp_sum(sum);
    if (lane() == 0) sums[warp()] = sum;
    __syncthreads();
    sum = 0.0f;
    for (int i = 0; i < LOSS_WARPS; ++i) sum += sums[i];
    int label = int(labels[row]);
    float weight = weights[row], divisor = best.value + logf(sum);
    for (int column = threadIdx.x; column < stride; column += LOSS_THREADS) {
        float value = 0.0f;
        if (column < classes) value = weight * expf(logits[first + column] + bias[column] - divisor) - (column == label ? weight : 0.0f);
        store(&gradient[first + column], value);
    }
    if (threadIdx.x == 0) {
        figures[2 * row] = weight * (divisor - logits[first + label] - bias[label]);
        figures[2 * row + 1] = best.column == label ? weight : 0.0f;
    }
}

// sums[0..2] += the sums of `figures` over rows; one block of SUM_THREADS.
extern "C" __global__ void loss_sum(const float *figures, double *sums, int rows) {
    double loss = 0.0, hits = 0.0;
    for (int row = threadIdx.x; row < rows; row += SUM_THREADS) {
        loss += double(figures[2 * row]);
        hits += double(figures[2 * row + 1]);
    }
    loss = block_sum(loss);
    hits = block_sum(hits);
    if (threadIdx.x > 0) return;
    sums[0] += loss;
    sums[1] += hits;
}
