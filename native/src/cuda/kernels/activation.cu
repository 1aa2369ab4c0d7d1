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
        float cumulative = 0.5f * erfcf(-x * 0.70710678118654752f);
        // 1/sqrt(2 pi)
        return {x * cumulative, cumulative + x * expf(-0.5f * x * x) * 0.3989422804014327f};
    }
    // sqrt(2/pi); 0.5 (1 + tanh u) is the logistic function of 2u.
    const float root = 0.7978845608028654f;
    float inner = root * (x + 0.044715f * x * x * x);
    float logistic = 1.0f / (1.0f + expf(-2.0f * inner)), complement = 1.0f / (1.0f + expf(2.0f * inner));
    float slope = root * (1.0f + 3.0f * 0.044715f * x * x);
    return {x * logistic, logistic + 2.0f * x * logistic * complement * slope};
}

// Neighbours that a thread works on: 16 bytes of bf16. `count` and `width` must be multiples of it only if they are wide.
#define SPAN 8
template <class T> struct alignas(sizeof(T) * SPAN) Span {
    T at[SPAN];
};

// out = activation(x), elementwise over `count` values.
extern "C" __global__ void activation_forward(const real *x, real *out, u64 count, int form) {
    u64 first = (u64(blockIdx.x) * blockDim.x + threadIdx.x) * SPAN;
    if (first + SPAN <= count) {
        Span<real> values = *reinterpret_cast<const Span<real> *>(x + first);
#pragma unroll
        for (int i = 0; i < SPAN; ++i) store(&values.at[i], activation(to_float(values.at[i]), form).value);
        *reinterpret_cast<Span<real> *>(out + first) = values;
    } else {
        for (u64 i = first; i < count; ++i) store(&out[i], activation(to_float(x[i]), form).value);
    }
}

// gradient *= activation'(x), in place, over `[rows, width]`; every block's sums over its rows go to `partial`, `[gridDim.y, width]`.
// A thread has one column and the block every gridDim.y-th group of blockDim.y rows.
extern "C" __global__ void activation_backward(real *gradient, const real *x, float *partial, int rows, int width, int form) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    float sum = 0.0f;
    for (u64 row = blockIdx.y; row < u64(rows); row += gridDim.y) {
        u64 at = row * width + column;
        float value = to_float(gradient[at]) * activation(to_float(x[at]), form).slope;
        sum += value;
        store(&gradient[at], value);
    }
    partial[u64(blockIdx.y) * width + column] = sum;
}

// Sums over every gridDim.y-th row of `[rows, stride]`, its first `width` columns: `[gridDim.y, width]`.
extern "C" __global__ void column_sums(const real *values, float *partial, int rows, int width, int stride) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    float sum = 0.0f;
    for (u64 row = blockIdx.y; row < u64(rows); row += gridDim.y) sum += to_float(values[row * stride + column]);
    partial[u64(blockIdx.y) * width + column] = sum;
}

// out (+)= the sum of `count` rows of `partial`, which are `stride` apart; always in the same order.
extern "C" __global__ void sum_partials(const float *partial, float *out, int count, int width, int stride, int accumulate) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    float sum = accumulate ? out[column] : 0.0f;
    for (int row = 0; row < count; ++row) sum += partial[u64(row) * stride + column];
    out[column] = sum;
}
