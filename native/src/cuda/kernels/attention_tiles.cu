// The attention of attention.cu on tensor cores, for bf16 and heads whose width is a multiple of 16, at most 128: same arguments and same sums
// kept, and one thing more: which weights dropout keeps, a bit each, so that the backward pass draws no random numbers. A warp has 16 queries
// (or keys) and goes through the others in tiles of TILE, which its block of WARPS warps shares.
//
// Fragments are those of mma.sync.m16n8k16: with group = lane / 4 and pair = lane % 4, a lane has of the first operand rows group and
// group + 8, of the second and the result's columns group and 2 pair, 2 pair + 1 (PTX ISA, "Matrix Fragments for mma.m16n8k16").

#define TILE (16 * WARPS)
// Wider heads would not fit into static shared memory; plans take these kernels for those that do.
#define STEPS (HEAD_SIZE < 16 || HEAD_SIZE > 128 ? 1 : HEAD_SIZE / 16)
// Values of a row in shared memory; 8 more than a head's, so that 8 rows lie in different banks.
#define STRIDE (16 * STEPS + 8)
// Columns of weights that a warp has in registers at a time, and a word of bits.
#define PART 32
#define WORDS (TILE / PART)
#define NEVER -3.0e38f
// Registers for so many blocks of a multiprocessor; wide heads need all that there are.
#define FOUR_BLOCKS __launch_bounds__(WARPS *LANES, STEPS > 4 ? 1 : 4)
#define THREE_BLOCKS __launch_bounds__(WARPS *LANES, STEPS > 4 ? 1 : 3)

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

// What lies so many values after the beginning of a tile: one register for the tile, the rest is in the instruction.
__device__ __forceinline__ u32 shared_address(const bf16 *tile, int offset) {
    u32 address;
    asm("{ .reg .u64 wide; cvta.to.shared.u64 wide, %1; cvt.u32.u64 %0, wide; }" : "=r"(address) : "l"(tile));
    return address + offset * u32(sizeof(bf16));
}

// Four 8x8 matrices: lanes 8 i to 8 i + 7 name the rows of number i. A lane gets of each, in row `group`, columns 2 pair and 2 pair + 1.
__device__ __forceinline__ void load_matrices(u32 (&out)[4], const bf16 *tile, int row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(shared_address(tile, row)) : "memory");
}

// The same of the transposed matrices.
__device__ __forceinline__ void load_transposed(u32 (&out)[4], const bf16 *tile, int row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(shared_address(tile, row)) : "memory");
}

// Begins to copy 16 bytes, or to write as many zeros, past the registers.
__device__ __forceinline__ void begin_copy(bf16 *tile, int to, const bf16 *from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(tile, to)), "l"(from), "r"(there ? 16 : 0)
                 : "memory");
}

// Waits for what this thread began to copy.
__device__ __forceinline__ void end_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#endif

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

// Begins to copy TILE rows of HEAD_SIZE values into shared memory; rows from `count` on will be 0.
__device__ __forceinline__ void load_tile(bf16 *tile, const bf16 *first, u64 stride, int count) {
    const int packs = STEPS * 2;
#pragma unroll
    for (int i = threadIdx.x; i < TILE * packs; i += WARPS * LANES) {
        int row = i / packs, column = i % packs * 8;
        bool there = row < count;
        begin_copy(tile, row * STRIDE + column, there ? first + row * stride + column : first, there);
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
    end_copies();
    __syncthreads();
}

// sums[n] = rows . rows 8 n to 8 n + 7 of a tile's part.
__device__ __forceinline__ void times_rows(float (&sums)[PART / 8][4], const Operand (&rows)[STEPS], const bf16 *tile, int part) {
    int own = (part * PART + lane() / 16 * 8 + lane() % 8) * STRIDE + lane() / 8 % 2 * 8;
#pragma unroll
    for (int n = 0; n < PART / 8; n += 2) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[n][i] = sums[n + 1][i] = 0.0f;
#pragma unroll
        for (int step = 0; step < STEPS; ++step) {
            u32 b[4];
            load_matrices(b, tile, own + n * 8 * STRIDE + step * 16);
            multiply_add(sums[n], rows[step], b[0], b[1]);
            multiply_add(sums[n + 1], rows[step], b[2], b[3]);
        }
    }
}

// out += weights [16, PART] . part [PART, HEAD_SIZE] of a tile.
__device__ __forceinline__ void add_product(float (&out)[STEPS * 2][4], const float (&weights)[PART / 8][4], const bf16 *tile, int part) {
    int own = (part * PART + lane() / 8 % 2 * 8 + lane() % 8) * STRIDE + lane() / 16 * 8;
#pragma unroll
    for (int step = 0; step < PART / 16; ++step) {
        const float *left = weights[2 * step], *right = weights[2 * step + 1];
        Operand a = {{rounded(left[0], left[1]), rounded(left[2], left[3]), rounded(right[0], right[1]), rounded(right[2], right[3])}};
#pragma unroll
        for (int n = 0; n < STEPS * 2; n += 2) {
            u32 b[4];
            load_transposed(b, tile, own + step * 16 * STRIDE + n * 8);
            multiply_add(out[n], a, b[0], b[1]);
            multiply_add(out[n + 1], a, b[2], b[3]);
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

// The word of bits of row number `row` (`head_row`) for the PART keys from `first` on.
__device__ __forceinline__ u64 word_of(u64 row, int length, int first) {
    return row * ((length + TILE - 1) / TILE * WORDS) + first / PART;
}

// Which elements are kept of the four whose random words are drawn together with that of `element`, a bit each.
__device__ __forceinline__ u32 drawn_bits(const Dropout &dropout, u64 element) {
    Four four = dropout_words(dropout, element);
    u32 bits = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) bits |= u32(four.words[i] >= dropout.threshold) << i;
    return bits;
}

// Which of four neighbours from `element` on are kept.
__device__ __forceinline__ u32 four_kept(const Dropout &dropout, u64 element) {
    u32 bits = drawn_bits(dropout, element), skipped = element % 4;
    if (skipped) bits |= drawn_bits(dropout, element + 3) << 4;
    return bits >> skipped & 15;
}

// Bits of both rows of a lane for the 32 keys from `first` on. Two lanes with neighbouring columns draw for a row each, four neighbours at a
// time, and all four of a row then put theirs together. Kept for the backward pass.
__device__ __forceinline__ void draw_bits(u32 (&bits)[2], const Dropout &dropout, u32 *kept, int length, int first_query, int first) {
    bits[0] = bits[1] = 0xffffffffu;
    if (dropout.threshold == 0) return;
    int own = pair() % 2, query = first_query + group() + own * 8;
    u64 row = head_row(length, query);
    u32 ours = 0;
    for (int n = 0; n < 4; ++n) {
        int column = n * 8 + pair() / 2 * 4;
        ours |= four_kept(dropout, row * length + first + column) << column;
    }
    ours |= __shfl_xor_sync(ALL, ours, 2);
    u32 theirs = __shfl_xor_sync(ALL, ours, 1);
    bits[0] = own ? theirs : ours;
    bits[1] = own ? ours : theirs;
    if (pair() / 2 == 0 && query < length) kept[word_of(row, length, first)] = ours;
}

extern "C" __global__ void FOUR_BLOCKS attention_tiles_forward(const bf16 *qkv, const u8 *mask, bf16 *out, float *divisors, int length,
                                                               Dropout dropout, u32 *kept) {
    alignas(16) __shared__ bf16 keys[TILE * STRIDE], values[TILE * STRIDE];
    __shared__ float padding[TILE];
    int first_query = blockIdx.x * TILE + warp() * 16;
    float scale = 1.0f / sqrtf(float(HEAD_SIZE)), top[2] = {NEVER, NEVER}, sum[2] = {}, result[STEPS * 2][4] = {};
    Operand query[STEPS];
    load_rows(query, part_of(qkv, 0, length, first_query), 3 * HIDDEN, length - first_query);
    for (int first = 0; first < length; first += TILE) {
        load_keys(keys, values, padding, qkv, mask, length, first);
#pragma unroll 1
        for (int part = 0; part < WORDS; ++part) {
            u32 bits[2];
            draw_bits(bits, dropout, kept, length, first_query, first + part * PART);
            float weights[PART / 8][4];
            times_rows(weights, query, keys, part);
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                float largest = top[half];
#pragma unroll
                for (int n = 0; n < PART / 8; ++n) {
#pragma unroll
                    for (int i = 0; i < 2; ++i) {
                        float &weight = weights[n][2 * half + i];
                        weight = weight * scale + padding[part * PART + n * 8 + pair() * 2 + i];
                        largest = fmaxf(largest, weight);
                    }
                }
                largest = quad_max(largest);
                float factor = exponential(top[half] - largest);
                top[half] = largest;
                sum[half] *= factor;
#pragma unroll
                for (int n = 0; n < STEPS * 2; ++n) {
                    result[n][2 * half] *= factor;
                    result[n][2 * half + 1] *= factor;
                }
                u32 own = bits[half] >> pair() * 2;
#pragma unroll
                for (int n = 0; n < PART / 8; ++n) {
#pragma unroll
                    for (int i = 0; i < 2; ++i) {
                        float weight = exponential(weights[n][2 * half + i] - largest);
                        sum[half] += weight;
                        weights[n][2 * half + i] = own >> (n * 8 + i) & 1 ? weight : 0.0f;
                    }
                }
            }
            add_product(result, weights, values, part);
        }
    }
    float factors[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float whole = quad_sum(sum[half]);
        int query_row = first_query + group() + half * 8;
        if (pair() == 0 && query_row < length) divisors[head_row(length, query_row)] = top[half] + logf(whole);
        factors[half] = dropout.scale / whole;
    }
    store_rows(out + place_in_hidden(length, first_query), HIDDEN, result, factors, length - first_query);
}

extern "C" __global__ void FOUR_BLOCKS attention_tiles_backward_queries(const bf16 *qkv, const u8 *mask, const bf16 *out,
                                                                        const bf16 *gradient, const float *divisors, float *alongs,
                                                                        bf16 *qkv_gradient, int length, Dropout dropout, const u32 *kept) {
    alignas(16) __shared__ bf16 keys[TILE * STRIDE], values[TILE * STRIDE];
    __shared__ float padding[TILE];
    int first_query = blockIdx.x * TILE + warp() * 16, count = length - first_query;
    u64 place = place_in_hidden(length, first_query);
    float scale = 1.0f / sqrtf(float(HEAD_SIZE)), result[STEPS * 2][4] = {}, along[2] = {}, divisor[2] = {};
    Operand query[STEPS], outer[STEPS];
    // The gradient times the result first: the result is not needed after that.
    load_rows(query, out + place, HIDDEN, count);
    load_rows(outer, gradient + place, HIDDEN, count);
#pragma unroll
    for (int step = 0; step < STEPS; ++step) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            u32 ours = outer[step].at[i], theirs = query[step].at[i];
            along[i % 2] += __uint_as_float(ours << 16) * __uint_as_float(theirs << 16);
            along[i % 2] += __uint_as_float(ours & 0xffff0000u) * __uint_as_float(theirs & 0xffff0000u);
        }
    }
    load_rows(query, part_of(qkv, 0, length, first_query), 3 * HIDDEN, count);
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
#pragma unroll 1
        for (int part = 0; part < WORDS; ++part) {
            u32 bits[2] = {0xffffffffu, 0xffffffffu};
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                int row = first_query + group() + half * 8;
                if (dropout.threshold != 0 && row < length) bits[half] = kept[word_of(head_row(length, row), length, first + part * PART)];
            }
            float weights[PART / 8][4], inner[PART / 8][4];
            times_rows(weights, query, keys, part);
            times_rows(inner, outer, values, part);
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                u32 own = bits[half] >> pair() * 2;
#pragma unroll
                for (int n = 0; n < PART / 8; ++n) {
#pragma unroll
                    for (int i = 0; i < 2; ++i) {
                        float score = weights[n][2 * half + i] * scale + padding[part * PART + n * 8 + pair() * 2 + i];
                        float &value = inner[n][2 * half + i];
                        value = own >> (n * 8 + i) & 1 ? value * dropout.scale : 0.0f;
                        value = exponential(score - divisor[half]) * (value - along[half]) * scale;
                    }
                }
            }
            add_product(result, inner, keys, part);
        }
    }
    const float whole[2] = {1.0f, 1.0f};
    store_rows(qkv_gradient + (part_of(qkv, 0, length, first_query) - qkv), 3 * HIDDEN, result, whole, count);
}

extern "C" __global__ void THREE_BLOCKS attention_tiles_backward_keys(const bf16 *qkv, const u8 *mask, const bf16 *gradient,
                                                                      const float *divisors, const float *alongs, bf16 *qkv_gradient,
                                                                      int length, Dropout dropout, const u32 *kept) {
    alignas(16) __shared__ bf16 queries[TILE * STRIDE], outer[TILE * STRIDE];
    __shared__ float divisor[TILE], along[TILE];
    // Of every query, the words for the block's keys.
    __shared__ u32 bits[WORDS][TILE];
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
        for (int i = threadIdx.x; i < TILE * WORDS; i += WARPS * LANES) {
            // What lies beyond the last query gets a weight of 0.
            int query = i / WORDS, word = i % WORDS;
            bool there = first + query < length;
            u64 row = head_row(length, first + query);
            if (word == 0) {
                divisor[query] = there ? divisors[row] : -NEVER;
                along[query] = there ? alongs[row] : 0.0f;
            }
            bool draws = dropout.threshold != 0 && there;
            bits[word][query] = draws ? kept[word_of(row, length, blockIdx.x * TILE) + word] : 0xffffffffu;
        }
        end_copies();
        __syncthreads();
#pragma unroll 1
        for (int part = 0; part < WORDS; ++part) {
            float weights[PART / 8][4], inner[PART / 8][4];
            times_rows(weights, key, queries, part);
            times_rows(inner, value, outer, part);
#pragma unroll
            for (int n = 0; n < PART / 8; ++n) {
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    int query = part * PART + n * 8 + pair() * 2 + i % 2;
                    u32 own = bits[warp() / 2][query] >> (warp() % 2 * 16 + group() + i / 2 * 8);
                    float factor = own & 1 ? dropout.scale : 0.0f;
                    float weight = exponential(weights[n][i] * scale + padding[i / 2] - divisor[query]);
                    inner[n][i] = weight * (inner[n][i] * factor - along[query]) * scale;
                    weights[n][i] = weight * factor;
                }
            }
            add_product(value_result, weights, outer, part);
            add_product(key_result, inner, queries, part);
        }
    }
    const float whole[2] = {1.0f, 1.0f};
    bf16 *result = qkv_gradient + (part_of(qkv, 1, length, first_key) - qkv);
    store_rows(result, 3 * HIDDEN, key_result, whole, count);
    store_rows(result + HIDDEN, 3 * HIDDEN, value_result, whole, count);
}
