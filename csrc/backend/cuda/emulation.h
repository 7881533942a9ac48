// All that the backend knows of the SIMT runtime, which stands in for a GPU in an emulated plug-in.
#pragma once

#include <string>

#include "kernels/nvrtc.h"

namespace tidu::simt {

// What it found wrong in the last kernel that failed. The plug-in for GPUs has no such functions, so that
// their addresses are null there.
[[gnu::weak, gnu::visibility("default")]] std::string last_report();
[[gnu::weak, gnu::visibility("default")]] void clear_report();

// What compiles kernels for it; null where there is no compiler on this machine.
[[gnu::weak, gnu::visibility("default")]] const Nvrtc* nvrtc();

}  // namespace tidu::simt

namespace tidu::cuda {

inline bool has_emulation() { return &simt::last_report != nullptr; }

}  // namespace tidu::cuda
