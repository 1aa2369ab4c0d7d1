// What both parts of the emulated GPU share.
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

struct Stream;
// Does something in a stream's order, or makes it a node of the graph that is being captured.
void submit(Stream *stream, std::function<void()> work);
// Whether that order is being captured.
bool is_capturing(const Stream *stream);
