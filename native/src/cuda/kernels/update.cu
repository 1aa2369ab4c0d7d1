// Global norm, clipping and BERT's Adam over flat arenas, in chunks of CHUNK values that belong to one tensor.

#define CHUNK 1024
#define UPDATE_THREADS 256
// Flags of a chunk.
#define TRAINED 1
#define DECAYED 2

// A block's sum of squares, in double precision and always in the same order; thread 0 has it.
__device__ __forceinline__ double block_sum(double value) {
    __shared__ double sums[UPDATE_THREADS];
    sums[threadIdx.x] = value;
    __syncthreads();
    for (int half = UPDATE_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    return sums[0];
}

// partial[block] = the sum of squares of the block's values; with `flags`, of those chunks alone that have TRAINED.
template <class T> __device__ __forceinline__ void add_squares(const T *values, const u8 *flags, u64 count, double *partial) {
    double sum = 0.0;
    for (u64 at = u64(blockIdx.x) * UPDATE_THREADS + threadIdx.x; at < count; at += u64(gridDim.x) * UPDATE_THREADS) {
        if (flags && !(flags[at / CHUNK] & TRAINED)) continue;
        double value = to_float(values[at]);
        sum += value * value;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

extern "C" __global__ void gradient_squares(const float *gradient, const u8 *flags, u64 count, double *partial) {
    add_squares(gradient, flags, count, partial);
}

// The same of a `[rows, HIDDEN]` tensor, without flags.
extern "C" __global__ void row_squares(const real *values, u64 count, double *partial) {
    add_squares(values, static_cast<const u8 *>(nullptr), count, partial);
}

// out[0] += the sum of `count` partial sums; one block.
extern "C" __global__ void square_total(const double *partial, int count, double *out) {
    double sum = 0.0;
    for (int at = threadIdx.x; at < count; at += UPDATE_THREADS) sum += partial[at];
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[0] += sum;
}

// As NORM in record.rs.
struct Norm {
    double norm;
    float scale;
    // 0 if the norm is no number, and the update is left out.
    u32 finite;
};

// limit * min(1 / norm, 1 / limit), as core/src/bert/clip.rs; one thread. Keeps the update's four figures and its norm where the host
// reads them when it likes.
extern "C" __global__ void clip(const double *squares, double limit, Norm *out, const double *figures, const Step *step, double *reports) {
    double norm = sqrt(*squares), inverse = 1.0 / norm;
    // fmin would take the limit of a norm that is no number; such an update is left out anyway.
    out->scale = float(limit * fmin(inverse, 1.0 / limit));
    out->norm = norm;
    out->finite = norm <= 1.7976931348623157e308;
    double *report = reports + u64(step->report) * 5;
    for (int i = 0; i < 4; ++i) report[i] = figures[i];
    report[4] = norm;
}

// As `Argument::Adam` in arguments.rs.
struct Adam {
    float keep_1, add_1, keep_2, add_2, epsilon, decay;
};

// core/src/bert/adam.rs, operation by operation: equal gradients give the bits of the CPU. A block has a chunk; `copy` gets the new
// weights in bf16 and may be null.
extern "C" __global__ void adam(float *weights, float *first, float *second, const float *gradient, bf16 *copy, const u8 *flags,
                                const Step *step, const Norm *norm, Adam adam) {
    u8 flag = flags[blockIdx.x];
    if (!(flag & TRAINED) || !norm->finite) return;
    float decay = flag & DECAYED ? adam.decay : 0.0f, scale = norm->scale, rate = step->rate;
    for (int i = threadIdx.x; i < CHUNK; i += UPDATE_THREADS) {
        u64 at = u64(blockIdx.x) * CHUNK + i;
        float g = __fmul_rn(gradient[at], scale);
        float m = __fadd_rn(__fmul_rn(adam.keep_1, first[at]), __fmul_rn(adam.add_1, g));
        float v = __fadd_rn(__fmul_rn(adam.keep_2, second[at]), __fmul_rn(adam.add_2, __fmul_rn(g, g)));
        float direction = __fadd_rn(__fdiv_rn(m, __fadd_rn(__fsqrt_rn(v), adam.epsilon)), __fmul_rn(decay, weights[at]));
        float weight = __fsub_rn(weights[at], __fmul_rn(rate, direction));
        first[at] = m;
        second[at] = v;
        weights[at] = weight;
        if (copy) store(&copy[at], weight);
    }
}
