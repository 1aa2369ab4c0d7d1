// Global norm, clipping and BERT's Adam over flat arenas, in chunks of CHUNK values that belong to one tensor.

#define CHUNK 1024
// Flags of a chunk.
#define TRAINED 1
#define DECAYED 2

// Neighbours that a thread works on: a block of SUM_THREADS has a chunk.
#define QUAD 4
template <class T> struct alignas(sizeof(T) * QUAD) Quad {
    T at[QUAD];
};

// partial[block] = the sum of squares of the block's values; with `flags`, of those chunks alone that have TRAINED.
template <class T> __device__ __forceinline__ void add_squares(const T *__restrict__ values, const u8 *__restrict__ flags, u64 count,
                                                               double *partial) {
    double sum = 0.0;
#pragma unroll 4
    for (u64 chunk = blockIdx.x; chunk * CHUNK < count; chunk += gridDim.x) {
        if (flags && !(flags[chunk] & TRAINED)) continue;
        u64 at = chunk * CHUNK + threadIdx.x * QUAD;
        Quad<T> quad = {};
        if (at + QUAD <= count) quad = *reinterpret_cast<const Quad<T> *>(values + at);
        else {
#pragma unroll
            for (int i = 0; i < QUAD; ++i) {
                if (at + i < count) quad.at[i] = values[at + i];
            }
        }
#pragma unroll
        for (int i = 0; i < QUAD; ++i) {
            double value = to_float(quad.at[i]);
            sum += value * value;
        }
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
    for (int at = threadIdx.x; at < count; at += SUM_THREADS) sum += partial[at];
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[0] += sum;
}

// out += values; what several micro-batches have of one gradient.
extern "C" __global__ void add_values(const float *__restrict__ values, float *__restrict__ out, u64 count) {
    u64 at = u64(blockIdx.x) * SUM_THREADS + threadIdx.x;
    if (at < count) out[at] += values[at];
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

// core/src/bert/adam.rs, operation by operation: equal gradients give the bits of the CPU. A block has a chunk, a thread QUAD of its values,
// read 16 bytes at a time; `copy` gets the new weights in bf16 and may be null.
extern "C" __global__ void adam(float *__restrict__ weights, float *__restrict__ first, float *__restrict__ second,
                                const float *__restrict__ gradient, bf16 *__restrict__ copy, const u8 *flags, const Step *step,
                                const Norm *norm, Adam adam) {
    u8 flag = flags[blockIdx.x];
    if (!(flag & TRAINED) || !norm->finite) return;
    float decay = flag & DECAYED ? adam.decay : 0.0f, scale = norm->scale, rate = step->rate;
    u64 at = u64(blockIdx.x) * CHUNK + threadIdx.x * QUAD;
    typedef Quad<float> Own;
    Own gradients = *reinterpret_cast<const Own *>(gradient + at), weight = *reinterpret_cast<const Own *>(weights + at);
    Own firsts = *reinterpret_cast<const Own *>(first + at), seconds = *reinterpret_cast<const Own *>(second + at);
    Quad<bf16> copied;
#pragma unroll
    for (int i = 0; i < QUAD; ++i) {
        float g = __fmul_rn(gradients.at[i], scale);
        float m = __fadd_rn(__fmul_rn(adam.keep_1, firsts.at[i]), __fmul_rn(adam.add_1, g));
        float v = __fadd_rn(__fmul_rn(adam.keep_2, seconds.at[i]), __fmul_rn(adam.add_2, __fmul_rn(g, g)));
        float direction = __fadd_rn(__fdiv_rn(m, __fadd_rn(__fsqrt_rn(v), adam.epsilon)), __fmul_rn(decay, weight.at[i]));
        weight.at[i] = __fsub_rn(weight.at[i], __fmul_rn(rate, direction));
        firsts.at[i] = m;
        seconds.at[i] = v;
    }
    *reinterpret_cast<Own *>(first + at) = firsts;
    *reinterpret_cast<Own *>(second + at) = seconds;
    *reinterpret_cast<Own *>(weights + at) = weight;
    if (!copy) return;
    store_two(&copied.at[0], weight.at[0], weight.at[1]);
    store_two(&copied.at[2], weight.at[2], weight.at[3]);
    *reinterpret_cast<Quad<bf16> *>(copy + at) = copied;
}
