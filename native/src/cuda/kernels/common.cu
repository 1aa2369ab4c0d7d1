// What all kernels share. The files are compiled as one program in the order of kernels.rs, with these macros:
//   HIDDEN     width of the hidden states
//   HEAD_SIZE  width of an attention head
//   REAL       float or bf16: what activations and their gradients are stored in
// There is no #include, because NVRTC finds no headers where only its library is installed.
//
// Arithmetic is f32, and the order of sums depends on shapes alone: equal inputs give equal bits on every GPU. A row is a token; a warp
// works on one, a block on WARPS of them, unless a kernel says otherwise.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define LANES 32
#define WARPS 4
#define ALL 0xffffffffu

struct bf16 {
    u16 bits;
};

typedef REAL real;

__device__ __forceinline__ float to_float(float value) { return value; }
__device__ __forceinline__ float to_float(bf16 value) { return __uint_as_float(u32(value.bits) << 16); }

__device__ __forceinline__ void store(float *place, float value) { *place = value; }
// The processor's own exponential and reciprocal, right to 2 units in the last place or so; what is too small for a normal number is 0.
__device__ __forceinline__ float exponential(float x) {
#ifdef __CUDACC__
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x * 1.44269504088896341f));
    return result;
#else
    return expf(x);
#endif
}
__device__ __forceinline__ float reciprocal(float x) {
#ifdef __CUDACC__
    float result;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
    return result;
#else
    return 1.0f / x;
#endif
}

// Two neighbours as bf16 values, rounded to nearest even; the first in the lower half.
__device__ __forceinline__ u32 rounded(float low, float high) {
#ifdef __CUDACC__
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
#else
    auto one = [](float value) {
        u32 bits = __float_as_uint(value);
        bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
        return is_nan ? 0x7fffu : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    };
    return one(low) | one(high) << 16;
#endif
}
__device__ __forceinline__ void store(bf16 *place, float value) { place->bits = u16(rounded(value, 0.0f)); }

// The same of two neighbours; the first has an even number.
__device__ __forceinline__ void store_two(float *place, float first, float second) {
    place[0] = first;
    place[1] = second;
}
__device__ __forceinline__ void store_two(bf16 *place, float first, float second) {
    *reinterpret_cast<u32 *>(place) = rounded(first, second);
}

__device__ __forceinline__ int lane() { return threadIdx.x % LANES; }
__device__ __forceinline__ int warp() { return threadIdx.x / LANES; }

__device__ __forceinline__ float warp_sum(float value) {
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(ALL, value, distance);
    return value;
}

__device__ __forceinline__ float warp_max(float value) {
    for (int distance = 16; distance > 0; distance /= 2) value = fmaxf(value, __shfl_xor_sync(ALL, value, distance));
    return value;
}

// A block's sum of a value of every thread, always in the same order; blockDim.x is SUM_THREADS. All threads have it.
#define SUM_THREADS 256
__device__ __forceinline__ double block_sum(double value) {
    __shared__ double sums[SUM_THREADS];
    sums[threadIdx.x] = value;
    __syncthreads();
    for (int half = SUM_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    double sum = sums[0];
    // The next sum has the same memory.
    __syncthreads();
    return sum;
}

// out (+)= the sum of `count` rows of `partial`, which are `stride` apart, for LANES columns from `first` on; always in the same order.
// Every warp of a block of SUM_THREADS has a share of the rows.
__device__ __forceinline__ void sum_rows(const float *__restrict__ partial, float *__restrict__ out, int first, int count, int width,
                                         int stride, int accumulate) {
    __shared__ float sums[SUM_THREADS / LANES][LANES];
    int column = first + lane();
    float sum = 0.0f;
    if (column < width) {
#pragma unroll 8
        for (int row = warp(); row < count; row += SUM_THREADS / LANES) sum += partial[u64(row) * stride + column];
    }
    sums[warp()][lane()] = sum;
    __syncthreads();
    if (warp() > 0 || column >= width) return;
    sum = accumulate ? out[column] : 0.0f;
    for (int i = 0; i < SUM_THREADS / LANES; ++i) sum += sums[i][lane()];
    out[column] = sum;
}

// What changes from one replay of the graph to the next; lives in device memory. As `Step` in batch_memory.rs.
struct Step {
    u32 seed[2];
    u32 step;
    u32 micro_batch;
    float rate;
    // Number of the place for the update's figures in the ring.
    u32 report;
};

// Dropout at one place of the graph, as core/src/bert/dropout.rs has it; a threshold of 0 keeps everything.
struct Dropout {
    const Step *step;
    u32 site;
    u32 threshold;
    float scale;
};

struct Four {
    u32 words[4];
};

// Philox 4x32-10, as core/src/bert/philox.rs.
__device__ __forceinline__ Four philox(u32 c0, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        u32 high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        u32 high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return Four{{c0, c1, c2, c3}};
}

__device__ __forceinline__ Four dropout_words(const Dropout &dropout, u64 element) {
    const Step *step = dropout.step;
    return philox(u32(element / 4), dropout.site, step->step, step->micro_batch, step->seed[0], step->seed[1]);
}

__device__ __forceinline__ float multiplier(const Dropout &dropout, u32 word) {
    return word >= dropout.threshold ? dropout.scale : 0.0f;
}

// What element number `element` of a site is multiplied by.
__device__ __forceinline__ float multiplier_of(const Dropout &dropout, u64 element) {
    if (dropout.threshold == 0) return 1.0f;
    return multiplier(dropout, dropout_words(dropout, element).words[element % 4]);
}

// A row of HIDDEN values in the registers of a warp: PACKS packs of PACK neighbours in every lane, so that loads are up to 16 bytes wide.
#if HIDDEN % 256 == 0
#define PACK 8
#elif HIDDEN % 128 == 0
#define PACK 4
#else
#define PACK 1
#endif
#define PACKS ((HIDDEN + LANES * PACK - 1) / (LANES * PACK))
#define OWN (PACKS * PACK)

template <class T> struct alignas(sizeof(T) * PACK) Pack {
    T at[PACK];
};

__device__ __forceinline__ int column_of(int pack) { return (pack * LANES + lane()) * PACK; }

template <class T> __device__ __forceinline__ void load_row(const T *row, float (&values)[OWN]) {
#pragma unroll
    for (int pack = 0; pack < PACKS; ++pack) {
        bool inside = column_of(pack) < HIDDEN;
        Pack<T> loaded;
        if (inside) loaded = *reinterpret_cast<const Pack<T> *>(row + column_of(pack));
#pragma unroll
        for (int i = 0; i < PACK; ++i) values[pack * PACK + i] = inside ? to_float(loaded.at[i]) : 0.0f;
    }
}

template <class T> __device__ __forceinline__ void store_row(T *row, const float (&values)[OWN]) {
#pragma unroll
    for (int pack = 0; pack < PACKS; ++pack) {
        if (column_of(pack) >= HIDDEN) continue;
        Pack<T> stored;
#pragma unroll
        for (int i = 0; i < PACK; i += 2) {
            if (PACK == 1) store(&stored.at[i], values[pack]);
            else store_two(&stored.at[i], values[pack * PACK + i], values[pack * PACK + i + 1]);
        }
        *reinterpret_cast<Pack<T> *>(row + column_of(pack)) = stored;
    }
}

__device__ __forceinline__ void add_row(float (&values)[OWN], const float (&others)[OWN]) {
#pragma unroll
    for (int i = 0; i < OWN; ++i) values[i] += others[i];
}

// Multiplies row number `row` of a `[rows, HIDDEN]` tensor by its dropout mask.
__device__ __forceinline__ void drop_row(float (&values)[OWN], u64 row, const Dropout &dropout) {
    if (dropout.threshold == 0) return;
#pragma unroll
    for (int pack = 0; pack < PACKS; ++pack) {
        u64 first = row * HIDDEN + column_of(pack);
        if (PACK == 1) {
            values[pack] *= multiplier_of(dropout, first);
            continue;
        }
#pragma unroll
        for (int i = 0; i < PACK; i += 4) {
            Four four = dropout_words(dropout, first + i);
#pragma unroll
            for (int j = 0; j < 4 && i + j < PACK; ++j) values[pack * PACK + i + j] *= multiplier(dropout, four.words[j]);
        }
    }
}
