// The last calls issued to a device: what to name when one of them turns out to have failed.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "ops/checked.h"

namespace tidu::cuda {

class CallLog {
 public:
  // Notes a call issued on a queue and returns its number; the first is 1.
  uint64_t add(const Call& call, Queue queue);
  // Of something else, whose name lives as long as the log.
  uint64_t add(const char* name, const Spec& output, Queue queue);
  // Calls that are taken up for a graph are kept until they are forgotten: they may run at any time. They
  // have numbers of their own, of which this is the next.
  uint64_t next_captured() const { return kCaptured | (captured_count_ + 1); }
  void forget_captured(uint64_t begin, uint64_t end);
  // The number of the last call, those of graphs apart.
  uint64_t last() const { return last_; }

  // "[gather] float32(5, 3) int64(2)", or less where the call was too long ago.
  std::string describe(uint64_t number) const;
  // What it demands of values, or nothing.
  std::optional<CheckedAttrs> demand(uint64_t number) const;
  // The shape of that call's first input; of a vector of matrices where the call was too long ago.
  Shape shape(uint64_t number) const;
  // The calls after number `finished(queue)`, newest first; at most eight.
  template <class Finished> std::string describe_after(const Finished& finished) const {
    std::string text;
    int count = 0;
    for (uint64_t number = last_; number > 0 && last_ - number < kKept && count < 8; --number) {
      const Entry& entry = entries_[number % kKept];
      if (number <= finished(entry.queue)) continue;
      text += (count++ == 0 ? "" : ", ") + describe(number);
    }
    return text;
  }

 private:
  static constexpr uint64_t kKept = 256;
  static constexpr int kInputs = 4;
  struct Entry {
    const char* name = nullptr;
    std::optional<CheckedAttrs> demand;
    Queue queue = 0;
    size_t inputs = 0;
    std::array<Spec, kInputs> specs;
    Spec output;
  };

  static constexpr uint64_t kCaptured = uint64_t{1} << 63;
  uint64_t captured_count_ = 0;
  std::map<uint64_t, Entry> captured_;
  uint64_t last_ = 0;
  std::array<Entry, kKept> entries_;

  // A new one, and its number; the one of a number, or null.
  Entry& next(Queue queue, uint64_t& number);
  const Entry* find(uint64_t number) const;
};

}  // namespace tidu::cuda
