// What stands in for GPUs in an emulated plug-in: all that the backend knows of it.
#pragma once

#include <string>

namespace tidu::simt {

// What the emulation found wrong in the last kernel that failed. Defined by csrc/simt; the plug-in for GPUs
// has none, so the address is null there.
[[gnu::weak, gnu::visibility("default")]] std::string last_report();
[[gnu::weak, gnu::visibility("default")]] void clear_report();

}  // namespace tidu::simt

namespace tidu::cuda {

inline bool has_emulation() { return &simt::last_report != nullptr; }

}  // namespace tidu::cuda
