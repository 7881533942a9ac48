// What ran, when and for how long.
#pragma once

#include <mutex>

#include "base/source_line.h"
#include "core/watch.h"

namespace tidu {

struct ProfiledCall {
  std::string name{};      // of the primitive, or what stands for several
  std::string operands{};  // "float32(64, 784), .."
  SourceLine source{};
  Device device{};
  int64_t begin = 0, duration = 0;  // nanoseconds, from the start of the profile
  int64_t bytes = 0;                // read and written, each element once
  int64_t operations = 0;           // on numbers; a multiply-add is two
  int64_t live_bytes = 0;           // in use on the device when it was over
  int64_t allocations = 0;          // of memory of the device that no plan knows of
  uint64_t thread = 0;
};

// While one lives, all threads' kernels are noted. Work on a device that is not done when a call returns is
// waited for, so that each kernel's time is its own.
class Profile : public Watch {
 public:
  Profile();
  ~Profile() override;
  // The one that lives, or null.
  static Profile* active() { return static_cast<Profile*>(of_all.load(std::memory_order_acquire)); }

  void run(const Call& call, const std::function<void()>& kernel) override;
  // Runs and notes what stands for several calls, or for one.
  void note(ProfiledCall call, const std::function<void()>& run);

  std::vector<ProfiledCall> calls() const;

 private:
  const int64_t start_;
  mutable std::mutex mutex_;
  std::vector<ProfiledCall> calls_;
};

}  // namespace tidu
