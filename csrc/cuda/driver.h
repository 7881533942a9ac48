// Device cuda: which implementation of it is used, and what is known of the GPUs.
//
// The implementation is a plug-in beside this library that is opened when device cuda is first used:
// libtidu_cuda.so for GPUs, or an emulation of one that runs anywhere (slowly, to test for correctness).
// Memory may be used on any stream of its device: where the last use was on another stream, the new use waits
// for it.
#pragma once

#include <string>

#include "backend/backend.h"

namespace tidu::cuda {

struct Properties {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int64_t memory_bytes = 0;
  int multiprocessors = 0;
  int driver_version = 0, runtime_version = 0;  // 1000 * major + 10 * minor
};

// What a plug-in implements beside what every backend does. Queue 1 of each device is its main stream.
class Driver : public Backend {
 public:
  virtual Properties properties(int device) const = 0;
  // Whether this is no GPU, but something that behaves like one.
  virtual bool is_emulated() const = 0;
  // Synchronising after each operation makes errors name the operation that caused them.
  virtual void set_blocking(bool blocking) = 0;
  virtual bool is_blocking() const = 0;

  // Waits for all work of a device, also that of other libraries. Errors stay for the next call.
  virtual void finish(int device) noexcept = 0;

  virtual Queue new_queue(int device, int priority) = 0;
  virtual void release_queue(int device, Queue queue) noexcept = 0;
  // The one on which this thread's work for the device is issued.
  virtual Queue current_queue(int device) = 0;
  virtual void set_current_queue(int device, Queue queue) = 0;
  virtual void synchronize_queue(int device, Queue queue) = 0;
  virtual bool is_idle(int device, Queue queue) = 0;
  virtual void* native_queue(int device, Queue queue) = 0;  // cudaStream_t

  virtual void* new_event(int device, bool timing) = 0;
  virtual void release_event(void* event) noexcept = 0;
  virtual void record_event(void* event, int device, Queue queue) = 0;
  virtual void wait_event(void* event, int device, Queue queue) = 0;
  virtual void synchronize_event(void* event, int device) = 0;
  virtual bool is_reached(void* event) = 0;
  virtual double milliseconds_between(void* from, void* to) = 0;
};

// The plug-in, opened at the first call. A DeviceError says why there is none, or no such device, and what to
// do; the next call tries again.
Driver& driver(int device = 0);

// The function `tidu_cuda_driver` of a plug-in fills the kernel slots, or throws the reason why it cannot as
// a DeviceError.
using OpenDriver = Driver*();

// Chooses the emulation, which must be before device cuda is first used; else a DeviceError. Checked: also
// looks for races, accesses out of bounds and reads of uninitialised memory in every kernel. The environment
// variable TIDU_CUDA=emulated or checked chooses it too.
void emulate(bool checked = false);
// Whether device cuda is, or would be, an emulation.
bool is_emulated();

bool is_available();
// The reason why device cuda is not available; empty where it is.
std::string why_not();
int device_count();  // 0 where it is not available
Properties properties(int device = 0);
void synchronize(int device = 0);

}  // namespace tidu::cuda
