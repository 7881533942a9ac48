// What went wrong: the text of it, and the end of the kernel in which it did.
#pragma once

#include <driver_types.h>
#include <vector_types.h>

#include <source_location>
#include <string>

namespace tidu::simt {

struct Launch;

// Keeps a text for last_report().
void report(const std::string& text);

// Keeps an error of the running kernel and a text, to which its name, block and thread are added; the caller
// then leaves the kernel (leave_fibre). Two steps, as its frames are left without unwinding, and texts being
// put together with them.
void note(cudaError_t error, const std::string& what, const std::source_location* where = nullptr);
// Both, for a text that nobody has to free.
[[noreturn]] void abandon(cudaError_t error, const std::string& what);
[[noreturn]] void fail(const char* what);

// "FILE:LINE", "(4,1,1)", "softmax<float>" of what __PRETTY_FUNCTION__ says, and all of them:
// "softmax<float> grid (4,1,1) block (256,1,1), 0 bytes shared, at FILE:LINE"
std::string text_of(const std::source_location& where);
std::string text_of(dim3 index);
std::string readable_name(const char* kernel);
std::string text_of(const Launch& launch);

}  // namespace tidu::simt
