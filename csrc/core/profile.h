// What ran, when and for how long.
#pragma once

#include <atomic>
#include <mutex>

#include "core/primitive.h"
#include "core/source_line.h"

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
  uint64_t thread = 0;
};

// While one lives, all threads' kernels are noted. Work on a device that is not done when a call returns is
// waited for, so that each kernel's time is its own.
class Profile {
 public:
  Profile();
  ~Profile();
  Profile(const Profile&) = delete;

  // The one that lives, or null.
  static Profile* active() { return active_.load(std::memory_order_acquire); }

  // Runs and notes a call.
  template <class Run> void note(const Call& call, const Run& run) {
    ProfiledCall noted = described(call);
    begin(noted);
    run();
    end(std::move(noted));
  }
  template <class Run> void note(std::string name, std::string operands, Device device, const Run& run) {
    ProfiledCall noted{.name = std::move(name), .operands = std::move(operands), .device = device};
    begin(noted);
    run();
    end(std::move(noted));
  }

  std::vector<ProfiledCall> calls() const;

 private:
  static ProfiledCall described(const Call& call);
  void begin(ProfiledCall& call) const;
  void end(ProfiledCall call);

  static std::atomic<Profile*> active_;
  const int64_t start_;
  mutable std::mutex mutex_;
  std::vector<ProfiledCall> calls_;
};

}  // namespace tidu
