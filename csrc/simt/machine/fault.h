// Signals that a kernel's wrong memory access or division raises become the error of its launch.
#pragma once

#include <atomic>
#include <cstdint>

namespace tidu::simt {

// Tells the watchdog that a kernel begins or ends on this thread.
void watch(bool kernel_runs);
// What the running kernel got done, in threads that ended, and at which count the watchdog wants it to end.
extern std::atomic<uint64_t> progress, stop_at;
inline constexpr const char* kNoProgress =
    "the kernel makes no progress: no thread has ended for TIDU_SIMT_TIMEOUT seconds";

// Makes this thread ready to catch them. Cheap after the first time.
void catch_faults();

}  // namespace tidu::simt
