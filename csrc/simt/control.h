// What tests and reports may ask of the runtime and set in it, beyond what CUDA offers.
//
// Environment, read at first use:
//   TIDU_SIMT_SCHEDULE=ascending|descending|random:SEED   order of threads and blocks
//   TIDU_SIMT_DEFERRED=1                                  work runs when somebody waits for it
//   TIDU_SIMT_GUARD=1                                     host accesses to device memory end the process
//   TIDU_SIMT_LEAKS=1                                     device memory never freed ends exit() with 23
//   TIDU_SIMT_TIMEOUT=SECONDS                             for a kernel that makes no progress (60; 0: never)
//   TIDU_SIMT_FAIL_ALLOCATION=N                           the N-th allocation fails
//   TIDU_CUDA_DEVICES=N                                   number of devices (1)
//   TIDU_SIMT_MEMORY=BYTES                                memory of a device (16 GiB)
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tidu::simt {

// In which order threads and blocks run, as far as barriers leave it open. Correct kernels cannot tell.
struct Schedule {
  enum Order : uint8_t { ascending, descending, random } order = ascending;
  uint64_t seed = 0;
};
void set_schedule(Schedule schedule);

// Text of the last error found in a kernel or a runtime call: what, where, which kernel, block and thread.
// Empty when there was none since clear_report.
std::string last_report();
void clear_report();

// Takes back a sticky error: unlike a GPU's, the emulated device can go on.
void clear_error();

// Deferred streams run their work only when the host waits for it (a stream, an event, the device, a copy to
// or from pageable memory), so that a missing synchronisation is found every time.
void set_deferred(bool on);

// The n-th allocation from now on fails, as if memory were exhausted; 0: none does.
void fail_allocation(size_t n);

// Allocations, streams and events that are not freed, a line each; empty if there are none.
std::string leaks();

// The launches that ran since the log was switched on: kernel, grid, block, shared memory and place.
void set_launch_log(bool on);
std::vector<std::string> launch_log();

// After how many seconds without progress a kernel is ended; 0: never.
void set_timeout(unsigned seconds);

// Stacks made so far, which is the largest number of threads that ever waited at once.
size_t stacks_made();

}  // namespace tidu::simt
