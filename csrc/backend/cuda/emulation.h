// All that the backend knows of the SIMT runtime, which stands in for a GPU in an emulated plug-in.
#pragma once

#include <string>

namespace tidu::simt {

// What it found wrong in the last kernel that failed. The plug-in for GPUs has no such function, so that its
// address is null there.
[[gnu::weak, gnu::visibility("default")]] std::string last_report();
[[gnu::weak, gnu::visibility("default")]] void clear_report();

}  // namespace tidu::simt

namespace tidu::cuda {

inline bool has_emulation() { return &simt::last_report != nullptr; }

}  // namespace tidu::cuda
