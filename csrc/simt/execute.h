// Runs a kernel: all blocks of a launch, one after another, on the calling thread.
#pragma once

#include <driver_types.h>

#include <atomic>
#include <string>

#include "simt/hooks.h"

namespace tidu::simt {

// cudaSuccess, or the error with which the kernel ended; its text is in last_report().
cudaError_t execute(const Launch& launch);

// Keeps an error of the running kernel and a text, to which its name, block and thread are added; the caller
// then leaves. Two steps, as the frames of the kernel are left without unwinding, and texts being put
// together with them.
void note(cudaError_t error, const std::string& what, const std::source_location* where);
[[noreturn]] void leave();
// Both, for a text that nobody has to free.
[[noreturn]] void abandon(cudaError_t error, const std::string& what, const std::source_location* where);

// Keeps a text for last_report(): what was wrong with a runtime call.
void report(const std::string& text);

// "softmax<float> grid (4,1,1) block (256,1,1), 0 bytes shared, at FILE:LINE"
std::string describe(const Launch& launch);

// "softmax<float>" of what __PRETTY_FUNCTION__ says.
std::string readable_name(const char* kernel);

// What the running kernel got done, in threads that ended, and at which count the watchdog wants it to end.
extern std::atomic<uint64_t> progress, stop_at;
inline constexpr const char* kNoProgress =
    "the kernel makes no progress: no thread has ended for TIDU_SIMT_TIMEOUT seconds";

// Whether p lies in the guard page below a CUDA thread's stack.
bool in_stack_guard(const void* p);

}  // namespace tidu::simt
