// Runs a kernel: all blocks of a launch, one after another, on the calling thread.
#pragma once

#include <driver_types.h>

#include <string>

#include "simt/hooks.h"

namespace tidu::simt {

// cudaSuccess, or the error with which the kernel ended; its text is in last_report().
cudaError_t execute(const Launch& launch);

// Ends the running kernel with this error and a text to which kernel, block and thread are added.
[[noreturn]] void abandon(cudaError_t error, const std::string& what, const std::source_location* where);

// Keeps a text for last_report(): what was wrong with a runtime call.
void report(const std::string& text);

// "softmax<float>" of what __PRETTY_FUNCTION__ says.
std::string readable_name(const char* kernel);

// Whether p lies in the guard page below a CUDA thread's stack.
bool in_stack_guard(const void* p);

}  // namespace tidu::simt
