// Sets of numbers, kept once each: equal sets have equal names.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace tidu {

// A set is a list of runs, so that a band, a block and everything take as little memory as one number.
class IndexSets {
 public:
  using Name = int32_t;
  static constexpr Name kEmpty = 0;

  struct Run {
    int64_t begin, end;
    bool operator==(const Run&) const = default;
  };

  IndexSets() : begins_{0, 0} { names_.emplace(hash({}), kEmpty); }

  Name of_run(int64_t begin, int64_t end);
  Name unite(Name a, Name b);
  Name unite(std::vector<Name> names);
  std::span<const Run> runs(Name name) const {
    return std::span(runs_).subspan(begins_[name], begins_[name + 1] - begins_[name]);
  }

 private:
  // The name of the union of what lies in `merged_`, in the order of where it begins.
  Name name_merged();
  static uint64_t hash(std::span<const Run> runs);

  std::vector<Run> runs_;       // of all sets, one after the other
  std::vector<size_t> begins_;  // where those of each set begin
  std::unordered_multimap<uint64_t, Name> names_;
  std::vector<Run> merged_;
};

}  // namespace tidu
