// GELU and tanh, and sums over rows: gradients of biases.

#define GELU_ERF 0
#define GELU_TANH 1
#define TANH 2

struct ValueAndSlope {
    float value;
    float slope;
};

// The activation and its derivative, in the forms of core/src/bert/candle/math.rs.
__device__ __forceinline__ ValueAndSlope activation(float x, int form) {
    if (form == TANH) {
        float y = tanhf(x);
        return {y, 1.0f - y * y};
    }
    if (form == GELU_ERF) {
        // The normal distribution by Abramowitz and Stegun, 26.2.17, whose one exponential is the density too: off by 7.5e-8 at most.
        float density = exponential(-0.5f * x * x) * 0.3989422804014327f, t = reciprocal(1.0f + 0.2316419f * fabsf(x));
        float series = t * (0.319381530f + t * (-0.356563782f + t * (1.781477937f + t * (-1.821255978f + t * 1.330274429f))));
        float cumulative = x < 0.0f ? density * series : 1.0f - density * series;
        return {x * cumulative, cumulative + x * density};
    }
    // sqrt(2/pi); 0.5 (1 + tanh u) is the logistic function of 2u.
    const float root = 0.7978845608028654f;
    float inner = root * (x + 0.044715f * x * x * x), logistic = reciprocal(1.0f + exponential(-2.0f * inner));
    float slope = root * (1.0f + 3.0f * 0.044715f * x * x);
    return {x * logistic, logistic + 2.0f * x * logistic * (1.0f - logistic) * slope};
}

// Neighbours that a thread works on: 16 bytes of bf16.
#define SPAN 8
template <class T> struct alignas(sizeof(T) * SPAN) Span {
    T at[SPAN];
};

// `count` of SPAN neighbours, those beyond are 0; all of them at once if their address is a multiple of their size.
template <class T> __device__ __forceinline__ void load_span(const T *first, int count, bool wide, float (&values)[SPAN]) {
    if (wide && count >= SPAN) {
        Span<T> span = *reinterpret_cast<const Span<T> *>(first);
#pragma unroll
        for (int i = 0; i < SPAN; ++i) values[i] = to_float(span.at[i]);
    } else {
#pragma unroll
        for (int i = 0; i < SPAN; ++i) values[i] = i < count ? to_float(first[i]) : 0.0f;
    }
}

template <class T> __device__ __forceinline__ void store_span(T *first, int count, bool wide, const float (&values)[SPAN]) {
    if (wide && count >= SPAN) {
        Span<T> span;
#pragma unroll
        for (int i = 0; i < SPAN; i += 2) store_two(&span.at[i], values[i], values[i + 1]);
        *reinterpret_cast<Span<T> *>(first) = span;
    } else {
#pragma unroll
        for (int i = 0; i < SPAN; ++i) {
            if (i < count) store(&first[i], values[i]);
        }
    }
}

// out = activation(x), elementwise over `count` values.
extern "C" __global__ void activation_forward(const real *__restrict__ x, real *__restrict__ out, u64 count, int form) {
    u64 first = (u64(blockIdx.x) * blockDim.x + threadIdx.x) * SPAN;
    if (first >= count) return;
    int left = count - first < SPAN ? int(count - first) : SPAN;
    float values[SPAN];
    load_span(x + first, left, true, values);
#pragma unroll
    for (int i = 0; i < SPAN; ++i) values[i] = activation(values[i], form).value;
    store_span(out + first, left, true, values);
}

// Columns of a block that sums over rows: a lane has SPAN of them, a warp every SUM_THREADS / LANES-th row of the block's.
#define COLUMNS (SPAN * LANES)

// Adds the warps' sums in their order and writes a row of `partial`, `[gridDim.y, width]`.
__device__ __forceinline__ void write_column_sums(float *partial, const float (&sums)[SPAN], int width) {
    // Transposed and a word wider than lanes, for the banks' sake.
    __shared__ float all[SUM_THREADS / LANES][SPAN][LANES + 1];
#pragma unroll
    for (int i = 0; i < SPAN; ++i) all[warp()][i][lane()] = sums[i];
    __syncthreads();
    int column = blockIdx.x * COLUMNS + threadIdx.x;
    if (column >= width) return;
    float sum = 0.0f;
    for (int i = 0; i < SUM_THREADS / LANES; ++i) sum += all[i][threadIdx.x % SPAN][threadIdx.x / SPAN];
    partial[u64(blockIdx.y) * width + column] = sum;
}

// gradient *= activation'(x), in place, over `[rows, width]`; every block's sums over its rows go to `partial`, `[gridDim.y, width]`.
extern "C" __global__ void activation_backward(real *__restrict__ gradient, const real *__restrict__ x, float *partial, int rows, int width,
                                               int form) {
    int column = blockIdx.x * COLUMNS + lane() * SPAN, count = width - column;
    bool wide = width % SPAN == 0;
    float sums[SPAN] = {};
    for (int row = blockIdx.y * (SUM_THREADS / LANES) + warp(); row < rows && count > 0; row += gridDim.y * (SUM_THREADS / LANES)) {
        u64 at = u64(row) * width + column;
        float values[SPAN], before[SPAN];
        load_span(gradient + at, count, wide, values);
        load_span(x + at, count, wide, before);
#pragma unroll
        for (int i = 0; i < SPAN; ++i) {
            values[i] *= activation(before[i], form).slope;
            sums[i] += values[i];
        }
        store_span(gradient + at, count, wide, values);
    }
    write_column_sums(partial, sums, width);
}

// Sums over rows of `[rows, stride]`, its first `width` columns: `[gridDim.y, width]`.
extern "C" __global__ void column_sums(const real *__restrict__ values, float *partial, int rows, int width, int stride) {
    int column = blockIdx.x * COLUMNS + lane() * SPAN, count = width - column;
    bool wide = stride % SPAN == 0;
    float sums[SPAN] = {};
    for (int row = blockIdx.y * (SUM_THREADS / LANES) + warp(); row < rows && count > 0; row += gridDim.y * (SUM_THREADS / LANES)) {
        float own[SPAN];
        load_span(values + u64(row) * stride + column, count, wide, own);
#pragma unroll
        for (int i = 0; i < SPAN; ++i) sums[i] += own[i];
    }
    write_column_sums(partial, sums, width);
}

// out (+)= the sum of `count` rows of `partial`.
extern "C" __global__ void sum_partials(const float *partial, float *out, int count, int width, int accumulate) {
    sum_rows(partial, out, blockIdx.x * LANES, count, width, width, accumulate);
}
