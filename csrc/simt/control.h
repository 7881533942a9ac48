// What tests and reports may ask of the runtime and set in it, beyond what CUDA offers.
//
// Environment, read at first use:
//   TIDU_SIMT_SCHEDULE=ascending|descending|random:SEED   order of threads and blocks
//   TIDU_CUDA_DEVICES=N                                   number of devices (1)
//   TIDU_SIMT_MEMORY=BYTES                                memory of a device (16 GiB)
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>

namespace tidu::simt {

// In which order threads and blocks run, as far as barriers leave it open. Correct kernels cannot tell.
struct Schedule {
  enum Order : uint8_t { ascending, descending, random } order = ascending;
  uint64_t seed = 0;
};
void set_schedule(Schedule schedule);
Schedule schedule();

// Text of the last error found in a kernel or a runtime call: what, where, which kernel, block and thread.
// Empty when there was none since clear_report.
std::string last_report();
void clear_report();

// Takes back a sticky error: unlike a GPU's, the emulated device can go on.
void clear_error();

// Stacks made so far, which is the largest number of threads that ever waited at once.
size_t stacks_made();

}  // namespace tidu::simt
