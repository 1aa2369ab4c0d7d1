// cuBLASLt of the emulated GPU: matrices in column-major order, sums in f32. It offers two algorithms, which compute the same, and refuses what its
// manual does: attributes of other sizes, an epilogue without its bias, addresses that are not aligned.

#include "driver.h"

#include <cmath>
#include <cstring>
#include <set>
#include <tuple>

using namespace std;

enum { SUCCESS = 0, INVALID = 7, FAILED = 13, UNSUPPORTED = 15 };
enum { F32 = 0, BF16 = 14 };

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t stride;
};
struct Description {
    int transposed[2] = {0, 0};
    unsigned epilogue = 1;
    const void *bias = nullptr;
};
struct Algorithm {
    uint64_t data[8];
};
struct Candidate {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

static float get(const void *values, int type, size_t at) {
    if (type == F32) return static_cast<const float *>(values)[at];
    uint32_t bits = uint32_t(static_cast<const uint16_t *>(values)[at]) << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
static void put(void *values, int type, size_t at, float value) {
    if (type == F32) {
        static_cast<float *>(values)[at] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, 4);
    static_cast<uint16_t *>(values)[at] = isnan(value) ? 0x7fff : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

static bool fit(const Description *description, const Layout *a, const Layout *b, const Layout *out) {
    uint64_t m = description->transposed[0] ? a->columns : a->rows, k = description->transposed[0] ? a->rows : a->columns;
    uint64_t n = description->transposed[1] ? b->rows : b->columns, other = description->transposed[1] ? b->columns : b->rows;
    bool wide = uint64_t(a->stride) >= a->rows && uint64_t(b->stride) >= b->rows && uint64_t(out->stride) >= out->rows;
    bool types = a->type == b->type && (out->type == F32 || out->type == a->type);
    return wide && types && k == other && m == out->rows && n == out->columns && (!(description->epilogue & 4) || description->bias);
}

static bool aligned(const void *address, uint64_t bytes) { return address && reinterpret_cast<uint64_t>(address) % bytes == 0; }

extern "C" {

size_t cublasLtGetVersion() { return 130000; }
int cublasLtCreate(void **handle) { return *handle = handle, SUCCESS; }
int cublasLtDestroy(void *) { return SUCCESS; }
int cublasLtMatmulPreferenceCreate(void **preference) { return *preference = preference, SUCCESS; }
int cublasLtMatmulPreferenceSetAttribute(void *, int attribute, const void *, size_t bytes) { return attribute == 1 && bytes == 8 ? SUCCESS : INVALID; }
int cublasLtMatmulPreferenceDestroy(void *) { return SUCCESS; }
int cublasLtMatrixLayoutCreate(Layout **layout, int type, uint64_t rows, uint64_t columns, int64_t stride) {
    return rows && columns ? (*layout = new Layout{type, rows, columns, stride}, SUCCESS) : INVALID;
}
int cublasLtMatrixLayoutDestroy(Layout *layout) { return delete layout, SUCCESS; }
int cublasLtMatmulDescCreate(Description **description, int compute, int scale) {
    // CUBLAS_COMPUTE_32F.
    return compute == 68 && scale == F32 ? (*description = new Description, SUCCESS) : INVALID;
}
int cublasLtMatmulDescDestroy(Description *description) { return delete description, SUCCESS; }
int cublasLtMatmulDescSetAttribute(Description *description, int attribute, const void *value, size_t bytes) {
    if (bytes != (attribute == 8 ? 8 : 4)) return INVALID;
    if (attribute == 3 || attribute == 4) memcpy(&description->transposed[attribute - 3], value, bytes);
    else if (attribute == 7) memcpy(&description->epilogue, value, bytes);
    else if (attribute == 8) memcpy(&description->bias, value, bytes);
    else return INVALID;
    return SUCCESS;
}
int cublasLtMatmulAlgoGetHeuristic(void *, Description *description, Layout *a, Layout *b, Layout *, Layout *out, void *, int most, Candidate *found, int *count) {
    if (!fit(description, a, b, out)) return UNSUPPORTED;
    *count = most < 2 ? most : 2;
    for (int i = 0; i < *count; ++i) found[i] = {{{uint64_t(i) + 1}}, 0, SUCCESS, 1.0f, {}};
    return SUCCESS;
}
int cublasLtMatmulAlgoCheck(void *, Description *description, Layout *a, Layout *b, Layout *, Layout *out, const Algorithm *algorithm, Candidate *found) {
    if (!fit(description, a, b, out) || algorithm->data[0] < 1 || algorithm->data[0] > 2) return UNSUPPORTED;
    return *found = {*algorithm, 0, SUCCESS, 1.0f, {}}, SUCCESS;
}
int cublasLtMatmul(void *, Description *description, const float *, const void *a, Layout *a_layout, const void *b, Layout *b_layout, const float *beta,
                   const void *c, Layout *c_layout, void *out, Layout *out_layout, const Algorithm *algorithm, void *workspace, size_t bytes, Stream *stream) {
    if (!fit(description, a_layout, b_layout, out_layout) || algorithm->data[0] < 1 || algorithm->data[0] > 2) return INVALID;
    // What heuristics assume where nothing else is said.
    for (const void *address : {a, b, static_cast<const void *>(out)}) if (!aligned(address, 256)) return INVALID;
    if (description->epilogue & 4 && !aligned(description->bias, 16)) return INVALID;
    if (c != out || c_layout != out_layout || (bytes && !aligned(workspace, 256))) return INVALID;
    // Code comes to the GPU at the first launch.
    static set<tuple<uint64_t, uint64_t, uint64_t, int, int>> loaded;
    auto code = make_tuple(algorithm->data[0], out_layout->rows, out_layout->columns, a_layout->type, out_layout->type);
    if (is_capturing(stream) && !loaded.count(code)) return FAILED;
    loaded.insert(code);
    auto work = [d = *description, A = *a_layout, B = *b_layout, O = *out_layout, add = *beta, a, b, out] {
        uint64_t inner = d.transposed[0] ? A.rows : A.columns;
        vector<float> left(inner);
        for (uint64_t row = 0; row < O.rows; ++row) {
            for (uint64_t k = 0; k < inner; ++k) left[k] = get(a, A.type, d.transposed[0] ? row * A.stride + k : k * A.stride + row);
            for (uint64_t column = 0; column < O.columns; ++column) {
                uint64_t at = column * O.stride + row;
                float sum = d.epilogue & 4 ? get(d.bias, A.type, row) : 0.0f;
                if (add) sum += add * get(out, O.type, at);
                for (uint64_t k = 0; k < inner; ++k) sum += left[k] * get(b, B.type, d.transposed[1] ? k * B.stride + column : column * B.stride + k);
                put(out, O.type, at, sum);
            }
        }
    };
    return submit(stream, work), SUCCESS;
}
}
