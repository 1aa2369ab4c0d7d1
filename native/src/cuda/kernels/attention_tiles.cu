// The attention of attention.cu on tensor cores, for bf16 and heads whose width is a multiple of 16, at most 128: same arguments, same sums kept. A
// warp has 16 queries (or keys) and goes through the others in tiles of TILE, which its block of WARPS warps shares.
//
// Fragments are those of mma.sync.m16n8k16: with group = lane / 4 and pair = lane % 4, a lane has of the first operand rows group and
// group + 8, of the second and the result's columns group and 2 pair, 2 pair + 1 (PTX ISA, "Matrix Fragments for mma.m16n8k16").

#define TILE (16 * WARPS)
// Wider heads would not fit into static shared memory; plans take these kernels for those that do.
#define STEPS (HEAD_SIZE < 16 || HEAD_SIZE > 128 ? 1 : HEAD_SIZE / 16)
// Values of a row in shared memory; 8 more than a head's, so that rows begin in different banks.
#define STRIDE (16 * STEPS + 8)
#define NEVER -3.0e38f

struct Operand {
    u32 at[4];
};

__device__ __forceinline__ int group() { return lane() / 4; }
__device__ __forceinline__ int pair() { return lane() % 4; }

#ifdef __CUDACC__
__device__ __forceinline__ void multiply_add(float (&sums)[4], const Operand &a, u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b0), "r"(b1));
}
#endif

__device__ __forceinline__ u32 two(bf16 low, bf16 high) { return u32(low.bits) | u32(high.bits) << 16; }

__device__ __forceinline__ u32 rounded(float low, float high) {
    bf16 first, second;
    store(&first, low);
    store(&second, high);
    return two(first, second);
}

// The first operand from 16 rows of 16 * STEPS values in memory, `stride` apart; rows from `count` on are 0.
__device__ __forceinline__ void load_rows(Operand (&rows)[STEPS], const bf16 *first, u64 stride, int count) {
#pragma unroll
    for (int step = 0; step < STEPS; ++step) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            int row = group() + i % 2 * 8, column = step * 16 + pair() * 2 + i / 2 * 8;
            rows[step].at[i] = row < count ? *reinterpret_cast<const u32 *>(first + row * stride + column) : 0;
        }
    }
}

// TILE rows of HEAD_SIZE values into shared memory; rows from `count` on are 0.
__device__ __forceinline__ void load_tile(bf16 *tile, const bf16 *first, u64 stride, int count) {
    const int packs = STEPS * 2;
    for (int i = threadIdx.x; i < TILE * packs; i += WARPS * LANES) {
        int row = i / packs, column = i % packs * 8;
        Span<bf16> span = {};
        if (row < count) span = *reinterpret_cast<const Span<bf16> *>(first + row * stride + column);
        *reinterpret_cast<Span<bf16> *>(tile + row * STRIDE + column) = span;
    }
}

// The keys, values and padding of a tile that begins with key number `first`, when all warps are done with the tile before.
__device__ __forceinline__ void load_keys(bf16 *keys, bf16 *values, float *padding, const bf16 *qkv, const u8 *mask, int length, int first) {
    __syncthreads();
    load_tile(keys, part_of(qkv, 1, length, first), 3 * HIDDEN, length - first);
    load_tile(values, part_of(qkv, 2, length, first), 3 * HIDDEN, length - first);
    if (threadIdx.x < TILE) {
        int key = first + threadIdx.x;
        padding[threadIdx.x] = key < length ? padding_of(mask, length, key) : NEVER;
    }
    __syncthreads();
}

// sums[n] = rows . tile rows 8 n to 8 n + 7.
__device__ __forceinline__ void times_rows(float (&sums)[TILE / 8][4], const Operand (&rows)[STEPS], const bf16 *tile) {
#pragma unroll
    for (int n = 0; n < TILE / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[n][i] = 0.0f;
#pragma unroll
        for (int step = 0; step < STEPS; ++step) {
            const bf16 *at = tile + (n * 8 + group()) * STRIDE + step * 16 + pair() * 2;
            multiply_add(sums[n], rows[step], *reinterpret_cast<const u32 *>(at), *reinterpret_cast<const u32 *>(at + 8));
        }
    }
}

// out += weights [16, TILE] . tile [TILE, HEAD_SIZE].
__device__ __forceinline__ void add_product(float (&out)[STEPS * 2][4], const float (&weights)[TILE / 8][4], const bf16 *tile) {
#pragma unroll
    for (int step = 0; step < TILE / 16; ++step) {
        const float *left = weights[2 * step], *right = weights[2 * step + 1];
        Operand a = {{rounded(left[0], left[1]), rounded(left[2], left[3]), rounded(right[0], right[1]), rounded(right[2], right[3])}};
#pragma unroll
        for (int n = 0; n < STEPS * 2; ++n) {
            const bf16 *at = tile + (step * 16 + pair() * 2) * STRIDE + n * 8 + group();
            multiply_add(out[n], a, two(at[0], at[STRIDE]), two(at[8 * STRIDE], at[9 * STRIDE]));
        }
    }
}

// Writes 16 rows of results, of which `count` are there.
__device__ __forceinline__ void store_rows(bf16 *first, u64 stride, const float (&out)[STEPS * 2][4], const float (&factors)[2], int count) {
#pragma unroll
    for (int n = 0; n < STEPS * 2; ++n) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            int row = group() + half * 8;
            if (row >= count) continue;
            u32 *place = reinterpret_cast<u32 *>(first + row * stride + n * 8 + pair() * 2);
            *place = rounded(out[n][2 * half] * factors[half], out[n][2 * half + 1] * factors[half]);
        }
    }
}

__device__ __forceinline__ float quad_sum(float value) {
    value += __shfl_xor_sync(ALL, value, 1);
    return value + __shfl_xor_sync(ALL, value, 2);
}

__device__ __forceinline__ float quad_max(float value) {
    value = fmaxf(value, __shfl_xor_sync(ALL, value, 1));
    return fmaxf(value, __shfl_xor_sync(ALL, value, 2));
}

// Multipliers of two neighbours.
__device__ __forceinline__ void two_multipliers(float (&out)[2], const Dropout &dropout, u64 element) {
    out[0] = out[1] = 1.0f;
    if (dropout.threshold == 0) return;
    Four words = dropout_words(dropout, element);
    out[0] = multiplier(dropout, words.words[element % 4]);
    if (element % 4 == 3) words = dropout_words(dropout, element + 1);
    out[1] = multiplier(dropout, words.words[(element + 1) % 4]);
}

extern "C" __global__ void attention_tiles_forward(const bf16 *qkv, const u8 *mask, bf16 *out, float *divisors, int length,
                                                   Dropout dropout) {
    alignas(16) __shared__ bf16 keys[TILE * STRIDE], values[TILE * STRIDE];
    __shared__ float padding[TILE];
    int first_query = blockIdx.x * TILE + warp() * 16;
    float scale = 1.0f / sqrtf(float(HEAD_SIZE)), top[2] = {NEVER, NEVER}, sum[2] = {}, result[STEPS * 2][4] = {};
    Operand query[STEPS];
    load_rows(query, part_of(qkv, 0, length, first_query), 3 * HIDDEN, length - first_query);
    for (int first = 0; first < length; first += TILE) {
        load_keys(keys, values, padding, qkv, mask, length, first);
        float weights[TILE / 8][4];
        times_rows(weights, query, keys);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float largest = top[half];
#pragma unroll
            for (int n = 0; n < TILE / 8; ++n) {
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    float &weight = weights[n][2 * half + i];
                    weight = weight * scale + padding[n * 8 + pair() * 2 + i];
                    largest = fmaxf(largest, weight);
                }
            }
            largest = quad_max(largest);
            float factor = expf(top[half] - largest);
            top[half] = largest;
            sum[half] *= factor;
#pragma unroll
            for (int n = 0; n < STEPS * 2; ++n) {
                result[n][2 * half] *= factor;
                result[n][2 * half + 1] *= factor;
            }
            u64 row = head_row(length, first_query + group() + half * 8) * length + first;
#pragma unroll
            for (int n = 0; n < TILE / 8; ++n) {
                float factors[2];
                two_multipliers(factors, dropout, row + n * 8 + pair() * 2);
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    float weight = expf(weights[n][2 * half + i] - largest);
                    sum[half] += weight;
                    weights[n][2 * half + i] = weight * factors[i];
                }
            }
        }
        add_product(result, weights, values);
    }
    float inverses[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float whole = quad_sum(sum[half]);
        int query_row = first_query + group() + half * 8;
        if (pair() == 0 && query_row < length) divisors[head_row(length, query_row)] = top[half] + logf(whole);
        inverses[half] = 1.0f / whole;
    }
    store_rows(out + place_in_hidden(length, first_query), HIDDEN, result, inverses, length - first_query);
}

extern "C" __global__ void attention_tiles_backward_queries(const bf16 *qkv, const u8 *mask, const bf16 *out, const bf16 *gradient,
                                                            const float *divisors, float *alongs, bf16 *qkv_gradient, int length,
                                                            Dropout dropout) {
    alignas(16) __shared__ bf16 keys[TILE * STRIDE], values[TILE * STRIDE];
    __shared__ float padding[TILE];
    int first_query = blockIdx.x * TILE + warp() * 16, count = length - first_query;
    u64 place = place_in_hidden(length, first_query);
    float scale = 1.0f / sqrtf(float(HEAD_SIZE)), result[STEPS * 2][4] = {}, along[2] = {}, divisor[2] = {};
    Operand query[STEPS], outer[STEPS], context[STEPS];
    load_rows(query, part_of(qkv, 0, length, first_query), 3 * HIDDEN, count);
    load_rows(outer, gradient + place, HIDDEN, count);
    load_rows(context, out + place, HIDDEN, count);
#pragma unroll
    for (int step = 0; step < STEPS; ++step) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            u32 ours = outer[step].at[i], theirs = context[step].at[i];
            along[i % 2] += __uint_as_float(ours << 16) * __uint_as_float(theirs << 16);
            along[i % 2] += __uint_as_float(ours & 0xffff0000u) * __uint_as_float(theirs & 0xffff0000u);
        }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        along[half] = quad_sum(along[half]);
        int row = first_query + group() + half * 8;
        if (row >= length) continue;
        divisor[half] = divisors[head_row(length, row)];
        if (pair() == 0) alongs[head_row(length, row)] = along[half];
    }
    for (int first = 0; first < length; first += TILE) {
        load_keys(keys, values, padding, qkv, mask, length, first);
        float weights[TILE / 8][4], inner[TILE / 8][4];
        times_rows(weights, query, keys);
        times_rows(inner, outer, values);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            u64 row = head_row(length, first_query + group() + half * 8) * length + first;
#pragma unroll
            for (int n = 0; n < TILE / 8; ++n) {
                float factors[2];
                two_multipliers(factors, dropout, row + n * 8 + pair() * 2);
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    float weight = expf(weights[n][2 * half + i] * scale + padding[n * 8 + pair() * 2 + i] - divisor[half]);
                    float &value = inner[n][2 * half + i];
                    value = weight * (value * factors[i] - along[half]) * scale;
                }
            }
        }
        add_product(result, inner, keys);
    }
    const float whole[2] = {1.0f, 1.0f};
    store_rows(qkv_gradient + (part_of(qkv, 0, length, first_query) - qkv), 3 * HIDDEN, result, whole, count);
}

extern "C" __global__ void attention_tiles_backward_keys(const bf16 *qkv, const u8 *mask, const bf16 *gradient, const float *divisors,
                                                         const float *alongs, bf16 *qkv_gradient, int length, Dropout dropout) {
    alignas(16) __shared__ bf16 queries[TILE * STRIDE], outer[TILE * STRIDE];
    __shared__ float divisor[TILE], along[TILE];
    int first_key = blockIdx.x * TILE + warp() * 16, count = length - first_key;
    float scale = 1.0f / sqrtf(float(HEAD_SIZE)), padding[2] = {}, key_result[STEPS * 2][4] = {}, value_result[STEPS * 2][4] = {};
    Operand key[STEPS], value[STEPS];
    load_rows(key, part_of(qkv, 1, length, first_key), 3 * HIDDEN, count);
    load_rows(value, part_of(qkv, 2, length, first_key), 3 * HIDDEN, count);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        int row = first_key + group() + half * 8;
        if (row < length) padding[half] = padding_of(mask, length, row);
    }
    for (int first = 0; first < length; first += TILE) {
        __syncthreads();
        load_tile(queries, part_of(qkv, 0, length, first), 3 * HIDDEN, length - first);
        load_tile(outer, gradient + place_in_hidden(length, first), HIDDEN, length - first);
        if (threadIdx.x < TILE) {
            // What lies beyond the last query gets a weight of 0.
            bool there = first + threadIdx.x < length;
            u64 row = head_row(length, first + threadIdx.x);
            divisor[threadIdx.x] = there ? divisors[row] : -NEVER;
            along[threadIdx.x] = there ? alongs[row] : 0.0f;
        }
        __syncthreads();
        float weights[TILE / 8][4], inner[TILE / 8][4];
        times_rows(weights, key, queries);
        times_rows(inner, value, outer);
#pragma unroll
        for (int n = 0; n < TILE / 8; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                int query = n * 8 + pair() * 2 + i % 2;
                u64 row = head_row(length, first + query);
                float factor = multiplier_of(dropout, row * length + first_key + group() + i / 2 * 8);
                float weight = expf(weights[n][i] * scale + padding[i / 2] - divisor[query]);
                inner[n][i] = weight * (inner[n][i] * factor - along[query]) * scale;
                weights[n][i] = weight * factor;
            }
        }
        add_product(value_result, weights, outer);
        add_product(key_result, inner, queries);
    }
    const float whole[2] = {1.0f, 1.0f};
    bf16 *result = qkv_gradient + (part_of(qkv, 1, length, first_key) - qkv);
    store_rows(result, 3 * HIDDEN, key_result, whole, count);
    store_rows(result + HIDDEN, 3 * HIDDEN, value_result, whole, count);
}
