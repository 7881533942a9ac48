// What is never freed: device and pinned memory, streams and events. To know it at exit, work that is left is
// run, so that the state of the runtime lives for as long as the process.
#include <cstdio>
#include <cstdlib>

#include "simt/control.h"
#include "simt/host/entry.h"
#include "simt/host/stream.h"

namespace tidu::simt {

std::string leaks() {
  std::string text;
  for (const Allocation* a : live_allocations()) text += name_of(*a) + "\n";
  const std::string handles = live_handles();
  return handles.empty() ? text : text + handles + "\n";
}

namespace {

constexpr int kLeakStatus = 23;  // LeakSanitizer's

// A library may keep pinned memory, streams and events for as long as the process lives.
bool device_memory_leaks() {
  const std::lock_guard lock(runtime_lock());
  for (int device = 0; device < device_count(); ++device) {
    finish_device(device);  // a deferred stream may have yet to free some
    if (memory_use(device).live != 0) return true;
  }
  return false;
}

[[maybe_unused]] const bool leaks_at_exit = [] {
  if (std::getenv("TIDU_SIMT_LEAKS") == nullptr) return false;
  return std::atexit([] {
           if (!device_memory_leaks()) return;
           std::fprintf(stderr, "tidu simt: never freed:\n%s", leaks().c_str());
           std::fflush(nullptr);
           std::_Exit(kLeakStatus);  // a handler of exit() must not call it again
         }) == 0;
}();

}  // namespace
}  // namespace tidu::simt
