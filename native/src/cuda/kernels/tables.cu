// Gradients of the embedding tables from the gradient of the rows' sum, without atomic additions: token_rows.rs sorts the rows of a batch
// by token on the host and cuts every token's list into segments, so that [PAD]'s thousands do not keep one warp busy.

// partial[segment] = the sum of its rows; `order` are row numbers sorted by token, a segment ends where the next begins.
extern "C" __global__ void segment_sums(const real *gradient, const u32 *order, const u32 *segments, const u32 *segment_count, float *partial) {
    u32 segment = blockIdx.x * WARPS + warp();
    if (segment >= *segment_count) return;
    float values[OWN] = {}, others[OWN];
    for (u32 at = segments[segment]; at < segments[segment + 1]; ++at) {
        load_row(gradient + u64(order[at]) * HIDDEN, others);
        add_row(values, others);
    }
    store_row(partial + u64(segment) * HIDDEN, values);
}

// table[token] += the sum of its segments; token number i has segments tokens_first[i] to tokens_first[i + 1].
extern "C" __global__ void token_sums(const float *partial, const u32 *tokens, const u32 *token_segments, const u32 *token_count,
                                      float *table) {
    u32 index = blockIdx.x * WARPS + warp();
    if (index >= *token_count) return;
    float values[OWN], others[OWN];
    float *row = table + u64(tokens[index]) * HIDDEN;
    load_row(row, values);
    for (u32 segment = token_segments[index]; segment < token_segments[index + 1]; ++segment) {
        load_row(partial + u64(segment) * HIDDEN, others);
        add_row(values, others);
    }
    store_row(row, values);
}

// table[position] (+)= the sum over sequences, which is 0 beyond their length; a block a position.
extern "C" __global__ void position_sums(const real *gradient, float *table, int sequences, int length, int accumulate) {
    int position = blockIdx.x;
    float values[OWN] = {}, others[OWN];
    float *row = table + u64(position) * HIDDEN;
    if (accumulate && warp() == 0) load_row(row, values);
    for (int sequence = warp(); sequence < sequences && position < length; sequence += WARPS) {
        load_row(gradient + (u64(sequence) * length + position) * HIDDEN, others);
        add_row(values, others);
    }
    write_block_sum(row, values);
}

// partial[block, type] = the sum of that block's rows of the type; blocks are (any, types).
extern "C" __global__ void type_sums(const real *gradient, const u8 *types, float *partial, int rows) {
    float values[OWN] = {}, others[OWN];
    for (u64 row = u64(blockIdx.x) * WARPS + warp(); row < u64(rows); row += u64(gridDim.x) * WARPS) {
        if (types[row] != blockIdx.y) continue;
        load_row(gradient + row * HIDDEN, others);
        add_row(values, others);
    }
    write_block_sum(partial + (u64(blockIdx.x) * gridDim.y + blockIdx.y) * HIDDEN, values);
}
