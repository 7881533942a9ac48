// Compiles CUDA C++ while a program runs.
#pragma once

#include <string>
#include <vector>

#include "kernels/nvrtc.h"

namespace tidu::cuda {

// Found at the first call: of the CUDA toolkit, of the Python package nvidia-cuda-nvrtc, or what the SIMT
// runtime has in its place. Null where there is none.
const Nvrtc* find_nvrtc();

// What it can compile for that a GPU of compute capability major.minor runs ("sm_90"), or nothing: a GPU runs
// code for those of its major number that came before it.
std::string architecture_for(const Nvrtc& nvrtc, int major, int minor);

// How kernels are compiled for a GPU of this architecture ("sm_90"), so that they compute what those of the
// build do.
std::vector<std::string> compiler_options(const std::string& architecture);

// What compiled code depends on, but for the text itself and the options: the version and our own headers.
std::string compiler_identity(const Nvrtc& nvrtc);

struct Compiled {
  std::string code;  // empty where the text does not compile
  std::string log;
};
Compiled compile(const Nvrtc& nvrtc, const std::string& text, const std::vector<std::string>& options);

}  // namespace tidu::cuda
