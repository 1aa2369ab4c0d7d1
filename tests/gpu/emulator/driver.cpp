// A GPU for the tests, as three of NVIDIA's libraries in one file: the driver, NVRTC and cuBLASLt, as far as native/src/cuda calls them. The program
// that is tested cannot tell the difference: what is emulated are its own kernels, compiled by g++ (threads.cpp), not its behaviour.
//
// Everything comes as late as the rules allow, so that a wait that is missing shows: a stream does nothing before somebody waits for it, and
// the nodes of a graph run in an order that changes from launch to launch and respects nothing but their dependencies. What a real one may
// refuse is refused: nothing of 0 bytes, and while something is captured no memory, no waiting and no kernel that was never launched before.

#include "driver.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <set>
#include <string>
#include <unistd.h>

using namespace std;

enum { SUCCESS = 0, INVALID = 1, CAPTURE_UNSUPPORTED = 900, CAPTURE_UNJOINED = 904 };

struct Node {
    function<void()> work;
    set<size_t> after;
};
struct Graph {
    vector<Node> nodes;
};
struct Event {
    // Where the last record lies: a stream and the length of its queue then.
    Stream *stream = nullptr;
    size_t until = 0;
    // Of a capture, the nodes that are done at the record.
    set<size_t> nodes;
    Graph *graph = nullptr;
    // A made-up clock, which counts operations.
    double time = 0;
};
struct Stream {
    deque<function<void()>> queue;
    size_t done = 0;
    Graph *capturing = nullptr;
    bool is_origin = false;
    set<size_t> last;
    void until(size_t place) {
        while (done < place && !queue.empty()) {
            auto work = queue.front();
            queue.pop_front();
            ++done;
            work();
        }
    }
    size_t end() const { return done + queue.size(); }
};

static double clock_of_all = 0;
static set<Stream *> streams;
static set<Event *> events;

void submit(Stream *stream, function<void()> work) {
    auto counted = [work] {
        clock_of_all += 1;
        work();
    };
    if (!stream->capturing) return stream->queue.push_back(counted);
    stream->capturing->nodes.push_back({counted, stream->last});
    stream->last = {stream->capturing->nodes.size() - 1};
}

bool is_capturing(const Stream *stream) { return stream->capturing; }

static bool captures() {
    for (Stream *stream : streams) if (stream->capturing) return true;
    return false;
}

static void run(Graph *graph, unsigned seed) {
    vector<bool> done(graph->nodes.size());
    for (size_t count = 0; count < done.size(); ++count) {
        vector<size_t> ready;
        for (size_t i = 0; i < done.size(); ++i) {
            bool can = !done[i];
            for (size_t before : graph->nodes[i].after) can = can && done[before];
            if (can) ready.push_back(i);
        }
        seed = seed * 1664525u + 1013904223u;
        // Every other graph runs one branch as far as it goes.
        size_t chosen = ready[seed % 2 ? (seed >> 16) % ready.size() : ready.size() - 1];
        graph->nodes[chosen].work();
        done[chosen] = true;
    }
}

extern "C" {

int cuInit(unsigned) { return SUCCESS; }
int cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
int cuDeviceGetCount(int *count) { return *count = 1, SUCCESS; }
int cuDeviceGet(int *device, int number) { return *device = number, number == 0 ? SUCCESS : INVALID; }
int cuDeviceGetName(char *name, int length, int) { return snprintf(name, length, "emulated GPU"), SUCCESS; }
int cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = size_t(8) << 30, SUCCESS; }
int cuDeviceGetAttribute(int *value, int attribute, int) {
    // 75 and 76: compute capability.
    return *value = attribute == 75 ? 9 : attribute == 76 ? 0 : 1, SUCCESS;
}
int cuDevicePrimaryCtxRetain(void **context, int) { return *context = &clock_of_all, SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxSetCurrent(void *) { return SUCCESS; }
int cuCtxGetCurrent(void **context) { return *context = &clock_of_all, SUCCESS; }
int cuCtxGetStreamPriorityRange(int *least, int *greatest) { return *least = 0, *greatest = -5, SUCCESS; }
int cuCtxSynchronize() {
    if (captures()) return CAPTURE_UNSUPPORTED;
    for (Stream *stream : streams) stream->until(stream->end());
    return SUCCESS;
}

static size_t allocated;
static map<void *, size_t> sizes;
int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
    if (!bytes) return INVALID;
    if (captures()) return CAPTURE_UNSUPPORTED;
    void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    // Memory that is read before it is written shows: 0xff is no number in every type.
    memset(memory, 0xff, bytes);
    sizes[memory] = bytes;
    allocated += bytes;
    *address = reinterpret_cast<uint64_t>(memory);
    return SUCCESS;
}
int cuMemFree_v2(uint64_t address) {
    if (cuCtxSynchronize()) return CAPTURE_UNSUPPORTED;
    void *memory = reinterpret_cast<void *>(address);
    allocated -= sizes[memory];
    sizes.erase(memory);
    return free(memory), SUCCESS;
}
int cuMemGetInfo_v2(size_t *unused, size_t *total) {
    cuDeviceTotalMem_v2(total, 0);
    return *unused = *total - allocated, SUCCESS;
}
int cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
    if (captures()) return CAPTURE_UNSUPPORTED;
    return bytes ? (*memory = malloc(bytes), SUCCESS) : INVALID;
}
int cuMemFreeHost(void *memory) { return cuCtxSynchronize() ? CAPTURE_UNSUPPORTED : (free(memory), SUCCESS); }
static int copy(uint64_t to, uint64_t from, size_t bytes, Stream *stream) {
    if (!bytes) return INVALID;
    submit(stream, [=] { memcpy(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes); });
    return SUCCESS;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, Stream *stream) {
    return copy(to, reinterpret_cast<uint64_t>(from), bytes, stream);
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, Stream *stream) { return copy(to, from, bytes, stream); }
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
    if (captures()) return CAPTURE_UNSUPPORTED;
    return bytes ? (memcpy(to, reinterpret_cast<void *>(from), bytes), SUCCESS) : INVALID;
}
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, Stream *stream) {
    if (!bytes) return INVALID;
    return submit(stream, [=] { memset(reinterpret_cast<void *>(to), value, bytes); }), SUCCESS;
}

int cuStreamCreateWithPriority(Stream **stream, unsigned, int) { return streams.insert(*stream = new Stream), SUCCESS; }
int cuStreamCreate(Stream **stream, unsigned flags) { return cuStreamCreateWithPriority(stream, flags, 0); }
int cuStreamDestroy_v2(Stream *stream) {
    stream->until(stream->end());
    return streams.erase(stream), SUCCESS;
}
int cuStreamSynchronize(Stream *stream) {
    if (stream->capturing) return CAPTURE_UNSUPPORTED;
    return stream->until(stream->end()), SUCCESS;
}

int cuEventCreate(Event **event, unsigned) { return events.insert(*event = new Event), SUCCESS; }
int cuEventDestroy_v2(Event *event) {
    // Waits that are queued look at it, so it stays in memory.
    return events.erase(event), SUCCESS;
}
int cuEventRecordWithFlags(Event *event, Stream *stream, unsigned flags) {
    if (stream->capturing && flags == 1) return submit(stream, [=] { event->time = clock_of_all; }), SUCCESS;
    if (flags == 1) return INVALID;
    event->graph = stream->capturing;
    event->nodes = stream->last;
    if (stream->capturing) return SUCCESS;
    submit(stream, [=] { event->time = clock_of_all; });
    event->stream = stream;
    event->until = stream->end();
    return SUCCESS;
}
int cuEventRecord(Event *event, Stream *stream) { return cuEventRecordWithFlags(event, stream, 0); }
int cuStreamWaitEvent(Stream *stream, Event *event, unsigned) {
    if (event->graph) {
        if (stream->capturing && stream->capturing != event->graph) return INVALID;
        stream->capturing = event->graph;
        stream->last.insert(event->nodes.begin(), event->nodes.end());
    } else if (stream->capturing) {
        return CAPTURE_UNSUPPORTED;
    } else if (Stream *other = event->stream) {
        size_t until = event->until;
        submit(stream, [=] { other->until(until); });
    }
    return SUCCESS;
}
int cuEventSynchronize(Event *event) {
    if (captures()) return CAPTURE_UNSUPPORTED;
    if (event->stream) event->stream->until(event->until);
    return SUCCESS;
}
int cuEventElapsedTime_v2(float *milliseconds, Event *from, Event *to) { return *milliseconds = 0.001 * (to->time - from->time), SUCCESS; }

int cuStreamIsCapturing(Stream *stream, int *status) { return *status = stream->capturing ? 1 : 0, SUCCESS; }
int cuStreamBeginCapture_v2(Stream *stream, int) {
    stream->capturing = new Graph;
    stream->is_origin = true;
    stream->last.clear();
    return SUCCESS;
}
int cuStreamEndCapture(Stream *stream, Graph **graph) {
    *graph = stream->capturing;
    if (!*graph || !stream->is_origin) return CAPTURE_UNSUPPORTED;
    // Everything must lead to the end of the stream that the capture began with.
    set<size_t> joined, next = stream->last;
    while (!next.empty()) {
        size_t node = *next.begin();
        next.erase(next.begin());
        if (!joined.insert(node).second) continue;
        next.insert((*graph)->nodes[node].after.begin(), (*graph)->nodes[node].after.end());
    }
    for (Stream *other : streams) {
        if (other->capturing != *graph) continue;
        other->capturing = nullptr;
        other->is_origin = false;
        other->last.clear();
    }
    return joined.size() == (*graph)->nodes.size() ? SUCCESS : (*graph = nullptr, CAPTURE_UNJOINED);
}
int cuGraphInstantiateWithFlags(Graph **executable, Graph *graph, unsigned long long) { return *executable = graph, SUCCESS; }
int cuGraphDestroy(Graph *) { return SUCCESS; }
int cuGraphExecDestroy(Graph *graph) { return cuCtxSynchronize(), delete graph, SUCCESS; }
int cuGraphUpload(Graph *, Stream *) { return SUCCESS; }
int cuGraphLaunch(Graph *graph, Stream *stream) {
    static unsigned launches = 0;
    unsigned seed = ++launches;
    return submit(stream, [=] { run(graph, seed); }), SUCCESS;
}

// The code of a module is the path of the library that the kernels were compiled to.
struct Function {
    string name;
    vector<unsigned> sizes;
    int (*launch)(const char *, const unsigned *, unsigned, void **);
    bool is_loaded;
};
int cuModuleLoadData(void **module, const void *code) { return (*module = dlopen(static_cast<const char *>(code), RTLD_NOW)) ? SUCCESS : INVALID; }
int cuModuleGetFunction(Function **function, void *module, const char *name) {
    auto sizes_of = reinterpret_cast<int (*)(const char *, unsigned *)>(dlsym(module, "parameters"));
    unsigned sizes[64];
    int count = sizes_of(name, sizes);
    *function = new Function{name, {sizes, sizes + (count < 0 ? 0 : count)}, reinterpret_cast<decltype(Function::launch)>(dlsym(module, "launch"))};
    return count < 0 ? INVALID : SUCCESS;
}
int cuLaunchKernel(Function *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned, unsigned, unsigned, Stream *stream, void **given, void **) {
    if (!x || !y || !z || x > 0x7fffffff || y > 65535 || z > 65535 || !threads || threads > 1024) return INVALID;
    // Code comes to the GPU at the first launch.
    if (stream->capturing && !function->is_loaded) return CAPTURE_UNSUPPORTED;
    function->is_loaded = true;
    vector<vector<char>> arguments;
    for (unsigned i = 0; i < function->sizes.size(); ++i) {
        const char *bytes = static_cast<const char *>(given[i]);
        arguments.emplace_back(bytes, bytes + function->sizes[i]);
    }
    submit(stream, [=]() mutable {
        vector<void *> pointers;
        for (auto &argument : arguments) pointers.push_back(argument.data());
        unsigned grid[3] = {x, y, z};
        function->launch(function->name.c_str(), grid, threads, pointers.data());
    });
    return SUCCESS;
}

// NVRTC, by g++.
struct Program {
    string source, log, code;
};
int nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = 0, SUCCESS; }
int nvrtcCreateProgram(Program **program, const char *source, const char *, int, const char **, const char **) {
    return *program = new Program{source}, SUCCESS;
}
int nvrtcCompileProgram(Program *program, int count, const char **options) {
    static int number = 0;
    string path = string(FOLDER) + "/kernels-" + to_string(getpid()) + "-" + to_string(number++), command = "g++ -std=c++17 -O1 -w -U_FORTIFY_SOURCE -ffp-contract=off -fPIC -shared"
        // A wide load from an odd address ends the program, as does an index beyond an array.
        " -fsanitize=alignment,bounds -fsanitize-undefined-trap-on-error";
    for (int i = 0; i < count; ++i) {
        const string option = options[i], macro = "--define-macro=";
        if (option.compare(0, macro.size(), macro) == 0) command += " '-D" + option.substr(macro.size()) + "'";
    }
    string table, mark = "extern \"C\" __global__ void ";
    for (size_t at = program->source.find(mark); at != string::npos; at = program->source.find(mark, at)) {
        at += mark.size();
        string name = program->source.substr(at, program->source.find('(', at) - at);
        name = name.substr(name.rfind(' ') + 1);
        table += "    {\"" + name + "\", Call<" + name + ">::call, Call<" + name + ">::parameters},\n";
    }
    FILE *file = fopen((path + ".cpp").c_str(), "w");
    fprintf(file, "#include %s\n%s\nstatic const Known table[] = {\n%s};\n", "\"" THREADS "\"", program->source.c_str(), table.c_str());
    fprintf(file, "static const Known *find(const char *name) {\n    for (const Known &known : table) if (!strcmp(known.name, name)) return &known;\n    return nullptr;\n}\n");
    fclose(file);
    program->code = path + ".so";
    command += " " + path + ".cpp -o " + program->code + " 2> " + path + ".log";
    return system(command.c_str()) ? 6 : SUCCESS;
}
int nvrtcGetCUBINSize(Program *program, size_t *size) { return *size = program->code.size() + 1, SUCCESS; }
int nvrtcGetCUBIN(Program *program, char *code) { return memcpy(code, program->code.c_str(), program->code.size() + 1), SUCCESS; }
int nvrtcGetProgramLogSize(Program *program, size_t *size) { return *size = program->log.size() + 1, SUCCESS; }
int nvrtcGetProgramLog(Program *program, char *log) { return memcpy(log, program->log.c_str(), program->log.size() + 1), SUCCESS; }
int nvrtcDestroyProgram(Program **program) { return delete *program, SUCCESS; }
const char *nvrtcGetErrorString(int) { return "g++ refuses the kernels"; }
int cuGetErrorName(int, const char **name) { return *name = "an error of the emulated GPU", SUCCESS; }
int cuGetErrorString(int, const char **text) { return *text = "the call breaks a rule", SUCCESS; }
}
