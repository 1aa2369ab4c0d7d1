// Runs the kernels on the CPU, for the tests; driver.cpp includes it before their sources. The threads of a block are coroutines that meet at barriers and shuffles. What
// is not emulated are races: a thread runs until it waits.

#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstring>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

struct Index {
    unsigned x, y, z;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

enum Waiting { FOR_NOTHING, FOR_WARP, FOR_BLOCK, FINISHED };

struct Copy {
    void *to;
    char bytes[16];
};

struct Thread {
    // Where it goes on; jumps, because swapcontext asks the kernel each time. It begins once, and takes the next block when one is finished.
    jmp_buf place;
    bool has_begun = false;
    std::vector<char> stack;
    Waiting waiting;
    uint64_t exchanged;
    unsigned fragments[6];
    // Copies to shared memory that have begun: they are done as late as may be.
    std::vector<Copy> copies;
};

static std::vector<Thread> threads(1024);
static jmp_buf scheduler;
static unsigned current;
static void (*kernel_call)(void **);
static void **kernel_arguments;

static void wait(Waiting waiting) {
    threads[current].waiting = waiting;
    if (!_setjmp(threads[current].place)) _longjmp(scheduler, 1);
}

static void __syncthreads() { wait(FOR_BLOCK); }
static void __syncwarp() { wait(FOR_WARP); }

template <class V> static V exchange(V value, unsigned partner) {
    memcpy(&threads[current].exchanged, &value, sizeof value);
    wait(FOR_WARP);
    memcpy(&value, &threads[partner].exchanged, sizeof value);
    wait(FOR_WARP);
    return value;
}
template <class V> static V __shfl_xor_sync(unsigned, V value, int distance) { return exchange(value, current ^ distance); }

static float __uint_as_float(unsigned bits);

// mma.sync.m16n8k16 from everybody's fragments; layouts as in attention_tiles.cu.
template <class A> static void multiply_add(float (&sums)[4], const A &a, unsigned b0, unsigned b1) {
    for (int i = 0; i < 4; ++i) threads[current].fragments[i] = a.at[i];
    threads[current].fragments[4] = b0;
    threads[current].fragments[5] = b1;
    wait(FOR_WARP);
    unsigned lane = current % 32, first = current - lane;
    auto number = [](unsigned word, unsigned half) { return __uint_as_float(half ? word & 0xffff0000u : word << 16); };
    for (unsigned i = 0; i < 4; ++i) {
        unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (unsigned k = 0; k < 16; ++k) {
            unsigned left = threads[first + row % 8 * 4 + k % 8 / 2].fragments[row / 8 + k / 8 * 2];
            unsigned right = threads[first + column * 4 + k % 8 / 2].fragments[4 + k / 8];
            sums[i] += number(left, k % 2) * number(right, k % 2);
        }
    }
    wait(FOR_WARP);
}

// ldmatrix .x4, and .x4.trans: row of a matrix and its column change places.
template <class T> static void exchange_matrices(unsigned (&out)[4], const T *row, bool transposed) {
    if (reinterpret_cast<uint64_t>(row) % 16) __builtin_trap();
    threads[current].exchanged = reinterpret_cast<uint64_t>(row);
    wait(FOR_WARP);
    unsigned lane = current % 32, first = current - lane;
    for (unsigned matrix = 0; matrix < 4; ++matrix) {
        auto at = [&](unsigned row, unsigned column) {
            return unsigned(reinterpret_cast<const T *>(threads[first + matrix * 8 + row].exchanged)[column].bits);
        };
        unsigned group = lane / 4, pair = lane % 4 * 2;
        out[matrix] = transposed ? at(pair, group) | at(pair + 1, group) << 16 : at(group, pair) | at(group, pair + 1) << 16;
    }
    wait(FOR_WARP);
}
template <class T> static void load_matrices(unsigned (&out)[4], const T *tile, int row) { exchange_matrices(out, tile + row, false); }
template <class T> static void load_transposed(unsigned (&out)[4], const T *tile, int row) { exchange_matrices(out, tile + row, true); }

// cp.async of 16 bytes.
template <class T> static void begin_copy(T *tile, int offset, const T *from, bool there) {
    T *to = tile + offset;
    if (reinterpret_cast<uint64_t>(to) % 16 || reinterpret_cast<uint64_t>(from) % 16) __builtin_trap();
    Copy copy = {to, {}};
    if (there) memcpy(copy.bytes, from, 16);
    threads[current].copies.push_back(copy);
}
static void end_copies() {
    for (const Copy &copy : threads[current].copies) memcpy(copy.to, copy.bytes, 16);
    threads[current].copies.clear();
}

static float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
static unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, 4);
    return bits;
}
static unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
static float __fmul_rn(float a, float b) { return a * b; }
static float __fadd_rn(float a, float b) { return a + b; }
static float __fsub_rn(float a, float b) { return a - b; }
static float __fdiv_rn(float a, float b) { return a / b; }
static float __fsqrt_rn(float a) { return sqrtf(a); }

static void thread_body() {
    for (;;) {
        kernel_call(kernel_arguments);
        wait(FINISHED);
    }
}

// Runs the current thread until it waits.
static __attribute__((noinline)) void go_on() {
    Thread &thread = threads[current];
    if (_setjmp(scheduler)) return;
    if (thread.has_begun) _longjmp(thread.place, 1);
    thread.has_begun = true;
    thread.stack.resize(1 << 16);
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = thread.stack.data();
    context.uc_stack.ss_size = thread.stack.size();
    makecontext(&context, thread_body, 0);
    setcontext(&context);
}

static void run_block(unsigned count) {
    for (unsigned i = 0; i < count; ++i) threads[i].waiting = FOR_NOTHING;
    for (unsigned finished = 0; finished < count;) {
        for (current = 0; current < count; ++current) {
            if (threads[current].waiting != FOR_NOTHING) continue;
            threadIdx = {current, 0, 0};
            go_on();
        }
        // Whoever waits goes on when everybody has come.
        auto release = [&](unsigned from, unsigned to, Waiting waiting) {
            for (unsigned i = from; i < to; ++i) {
                if (threads[i].waiting != waiting && threads[i].waiting != FINISHED) return;
            }
            for (unsigned i = from; i < to; ++i) {
                if (threads[i].waiting == waiting) threads[i].waiting = FOR_NOTHING;
            }
        };
        for (unsigned first = 0; first < count; first += 32) release(first, first + 32 < count ? first + 32 : count, FOR_WARP);
        release(0, count, FOR_BLOCK);
        finished = 0;
        for (unsigned i = 0; i < count; ++i) finished += threads[i].waiting == FINISHED;
    }
}

template <auto kernel> struct Call;
template <class... A, void (*kernel)(A...)> struct Call<kernel> {
    template <size_t... I> static void with(void **arguments, std::index_sequence<I...>) {
        kernel(*reinterpret_cast<A *>(arguments[I])...);
    }
    static void call(void **arguments) { with(arguments, std::index_sequence_for<A...>()); }
    static int parameters(unsigned *sizes) {
        unsigned all[] = {sizeof(A)...};
        memcpy(sizes, all, sizeof all);
        return sizeof...(A);
    }
};

struct Known {
    const char *name;
    void (*call)(void **);
    int (*parameters)(unsigned *);
};
static const Known *find(const char *name);

// Number of a kernel's parameters and their sizes; -1 if there is no such kernel.
extern "C" int parameters(const char *name, unsigned *sizes) {
    const Known *known = find(name);
    return known ? known->parameters(sizes) : -1;
}

// 0 if there is no such kernel.
extern "C" int launch(const char *name, const unsigned *grid, unsigned count, void **arguments) {
    const Known *known = find(name);
    if (!known || count > threads.size()) return 0;
    kernel_call = known->call;
    kernel_arguments = arguments;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {count, 1, 1};
    for (unsigned z = 0; z < grid[2]; ++z)
        for (unsigned y = 0; y < grid[1]; ++y)
            for (unsigned x = 0; x < grid[0]; ++x) {
                blockIdx = {x, y, z};
                run_block(count);
            }
    return 1;
}
