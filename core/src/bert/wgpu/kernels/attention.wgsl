// softmax(Q·Kᵀ/√d + padding)·V by heads, one invocation a query: four keys at a time, the softmax kept up to date as they come (Milakov
// and Gimelshein, "Online normalizer calculation for softmax", 2018), so scores are never stored. Neighbours in a workgroup are queries of
// one head, so they load the same keys and values.

struct Shape {
    length: u32,
    heads: u32,
}

// Query, key and value side by side, [batch · length, 3, heads, HEAD_QUADS].
@group(0) @binding(0) var<storage, read> qkv: array<vec4<f32>>;
// 1 for a token, 0 for padding, [batch · length].
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> shape: Shape;

// Score of what is not there at all; its weight is 0 beside any score.
const NOTHING: f32 = -1e30;

@compute @workgroup_size(ATTENTION_LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let query = group.x * ATTENTION_LANES + lane;
    let length = shape.length;
    if query >= length {
        return;
    }
    let head = group.y * HEAD_QUADS;
    let hidden = shape.heads * HEAD_QUADS;
    let first = group.z * length;
    let scale = inverseSqrt(4.0 * f32(HEAD_QUADS));
    var q: array<vec4<f32>, HEAD_QUADS>;
    var sum: array<vec4<f32>, HEAD_QUADS>;
    for (var d = 0u; d < HEAD_QUADS; d++) {
        q[d] = qkv[(first + query) * 3u * hidden + head + d] * scale;
        sum[d] = vec4<f32>();
    }
    var top = NOTHING;
    var weights = 0.0;
    for (var key = 0u; key < length; key += 4u) {
        let keys = vec4<u32>(key, key + 1u, key + 2u, key + 3u);
        let there = keys < vec4<u32>(length);
        let rows = first + min(keys, vec4<u32>(length - 1u));
        let k = rows * 3u * hidden + hidden + head;
        var score = vec4<f32>();
        for (var d = 0u; d < HEAD_QUADS; d++) {
            score += q[d] * mat4x4<f32>(qkv[k.x + d], qkv[k.y + d], qkv[k.z + d], qkv[k.w + d]);
        }
        let tokens = vec4<u32>(mask[rows.x], mask[rows.y], mask[rows.z], mask[rows.w]);
        score = select(vec4<f32>(NOTHING), score + select(vec4<f32>(PADDING), vec4<f32>(), tokens == vec4<u32>(1u)), there);
        let highest = max(top, max(max(score.x, score.y), max(score.z, score.w)));
        let shrink = exp(top - highest);
        let weight = exp(score - highest);
        weights = weights * shrink + dot(weight, vec4<f32>(1.0));
        top = highest;
        let v = k + hidden;
        for (var d = 0u; d < HEAD_QUADS; d++) {
            sum[d] = sum[d] * shrink + mat4x4<f32>(qkv[v.x + d], qkv[v.y + d], qkv[v.z + d], qkv[v.w + d]) * weight;
        }
    }
    for (var d = 0u; d < HEAD_QUADS; d++) {
        result[(first + query) * hidden + head + d] = sum[d] / weights;
    }
}
