// softmax(Q K^T / sqrt(d) + padding) V by heads, with dropout on the weights, without keeping the weights: the backward pass makes them
// again from Q, K and the logarithms of the softmax's divisors. A warp has one query (or one key), at most LENGTH_MAX of the others.
//
// `qkv` is [rows, 3 HIDDEN]: query, key, value side by side. Blocks are (rows of a sequence / WARPS, heads, sequences).

#define LENGTH_MAX 512
#define HEADS (HIDDEN / HEAD_SIZE)
// Added to the scores of padding; the original's -10000.
#define PADDING -10000.0f

__device__ __forceinline__ u64 head_row(int length, int position) {
    return (u64(blockIdx.z) * HEADS + blockIdx.y) * length + position;
}

// First of the HEAD_SIZE values of a position: 0 query, 1 key, 2 value.
template <class T> __device__ __forceinline__ const T *part_of(const T *qkv, int which, int length, int position) {
    return qkv + ((u64(blockIdx.z) * length + position) * 3 + which) * HIDDEN + blockIdx.y * HEAD_SIZE;
}

__device__ __forceinline__ u64 place_in_hidden(int length, int position) {
    return (u64(blockIdx.z) * length + position) * HIDDEN + blockIdx.y * HEAD_SIZE;
}

template <class T> __device__ __forceinline__ float dot(const float *ours, const T *theirs) {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < HEAD_SIZE; ++i) sum += ours[i] * to_float(theirs[i]);
    return sum;
}

template <class T> __device__ __forceinline__ void keep(float *place, const T *values) {
    for (int i = lane(); i < HEAD_SIZE; i += LANES) place[i] = to_float(values[i]);
}

__device__ __forceinline__ float padding_of(const u8 *mask, int length, int position) {
    return mask[u64(blockIdx.z) * length + position] ? 0.0f : PADDING;
}

// `divisors` gets the logarithm of every softmax's divisor, [sequences, heads, length].
extern "C" __global__ void attention_forward(const real *qkv, const u8 *mask, real *out, float *divisors, int length, Dropout dropout) {
    __shared__ float all_weights[WARPS][LENGTH_MAX], all_queries[WARPS][HEAD_SIZE];
    int query = blockIdx.x * WARPS + warp();
    if (query >= length) return;
    float *weights = all_weights[warp()], *own = all_queries[warp()];
    keep(own, part_of(qkv, 0, length, query));
    __syncwarp();
    float scale = 1.0f / sqrtf(float(HEAD_SIZE)), top = -3.4e38f, sum = 0.0f;
    for (int key = lane(); key < length; key += LANES) {
        weights[key] = dot(own, part_of(qkv, 1, length, key)) * scale + padding_of(mask, length, key);
        top = fmaxf(top, weights[key]);
    }
    top = warp_max(top);
    for (int key = lane(); key < length; key += LANES) {
        weights[key] = expf(weights[key] - top);
        sum += weights[key];
    }
    sum = warp_sum(sum);
    u64 row = head_row(length, query);
    if (lane() == 0) divisors[row] = top + logf(sum);
    for (int key = lane(); key < length; key += LANES) weights[key] *= multiplier_of(dropout, row * length + key) / sum;
    __syncwarp();
    for (int i = lane(); i < HEAD_SIZE; i += LANES) {
        float value = 0.0f;
        for (int key = 0; key < length; ++key) value += weights[key] * to_float(part_of(qkv, 2, length, key)[i]);
        store(&out[place_in_hidden(length, query) + i], value);
    }
}

// The queries' third of `qkv_gradient`; `alongs` gets every query's sum of gradient times result, which the keys need.
extern "C" __global__ void attention_backward_queries(const real *qkv, const u8 *mask, const real *out, const real *gradient, const float *divisors,
                                           float *alongs, real *qkv_gradient, int length, Dropout dropout) {
    __shared__ float all_inner[WARPS][LENGTH_MAX], all_queries[WARPS][HEAD_SIZE], all_outer[WARPS][HEAD_SIZE];
    int query = blockIdx.x * WARPS + warp();
    if (query >= length) return;
    float *inner = all_inner[warp()], *own = all_queries[warp()], *outer = all_outer[warp()];
    u64 place = place_in_hidden(length, query), row = head_row(length, query);
    keep(own, part_of(qkv, 0, length, query));
    keep(outer, gradient + place);
    __syncwarp();
    float scale = 1.0f / sqrtf(float(HEAD_SIZE)), along = 0.0f;
    for (int i = lane(); i < HEAD_SIZE; i += LANES) along += outer[i] * to_float(out[place + i]);
    along = warp_sum(along);
    if (lane() == 0) alongs[row] = along;
    for (int key = lane(); key < length; key += LANES) {
        float score = dot(own, part_of(qkv, 1, length, key)) * scale + padding_of(mask, length, key);
        float weight = expf(score - divisors[row]);
        float outer_weight = dot(outer, part_of(qkv, 2, length, key)) * multiplier_of(dropout, row * length + key);
        inner[key] = weight * (outer_weight - along) * scale;
    }
    __syncwarp();
    real *result = qkv_gradient + (part_of(qkv, 0, length, query) - qkv);
    for (int i = lane(); i < HEAD_SIZE; i += LANES) {
        float value = 0.0f;
        for (int key = 0; key < length; ++key) value += inner[key] * to_float(part_of(qkv, 1, length, key)[i]);
        store(&result[i], value);
    }
}

// The keys' and values' thirds of `qkv_gradient`.
extern "C" __global__ void attention_backward_keys(const real *qkv, const u8 *mask, const real *gradient, const float *divisors, const float *alongs,
                                        real *qkv_gradient, int length, Dropout dropout) {
    __shared__ float all_inner[WARPS][LENGTH_MAX], all_weights[WARPS][LENGTH_MAX];
    __shared__ float all_keys[WARPS][HEAD_SIZE], all_values[WARPS][HEAD_SIZE];
    int key = blockIdx.x * WARPS + warp();
    if (key >= length) return;
    float *inner = all_inner[warp()], *weights = all_weights[warp()], *own = all_keys[warp()], *value = all_values[warp()];
    keep(own, part_of(qkv, 1, length, key));
    keep(value, part_of(qkv, 2, length, key));
    __syncwarp();
    float scale = 1.0f / sqrtf(float(HEAD_SIZE)), padding = padding_of(mask, length, key);
    for (int query = lane(); query < length; query += LANES) {
        u64 row = head_row(length, query);
        float weight = expf(dot(own, part_of(qkv, 0, length, query)) * scale + padding - divisors[row]);
        float factor = multiplier_of(dropout, row * length + key);
        float outer_weight = dot(value, gradient + place_in_hidden(length, query)) * factor;
        weights[query] = weight * factor;
        inner[query] = weight * (outer_weight - alongs[row]) * scale;
    }
    __syncwarp();
    u64 offset = part_of(qkv, 1, length, key) - qkv;
    for (int i = lane(); i < HEAD_SIZE; i += LANES) {
        float key_sum = 0.0f, value_sum = 0.0f;
        for (int query = 0; query < length; ++query) {
            key_sum += inner[query] * to_float(part_of(qkv, 0, length, query)[i]);
            value_sum += weights[query] * to_float(gradient[place_in_hidden(length, query) + i]);
        }
        store(&qkv_gradient[offset + i], key_sum);
        store(&qkv_gradient[offset + HIDDEN + i], value_sum);
    }
}
