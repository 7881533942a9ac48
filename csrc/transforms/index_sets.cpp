// Unions of sets of numbers.
#include "transforms/index_sets.h"

#include <algorithm>

namespace tidu {

uint64_t IndexSets::hash(std::span<const Run> runs) {
  uint64_t result = runs.size();
  for (const Run& run : runs) {
    for (const int64_t bound : {run.begin, run.end}) {
      result = (result ^ static_cast<uint64_t>(bound)) * 0x9e3779b97f4a7c15u;
      result ^= result >> 32;
    }
  }
  return result;
}

IndexSets::Name IndexSets::name_merged() {
  // Runs that meet become one.
  size_t count = 0;
  for (const Run& run : merged_) {
    if (count > 0 && run.begin <= merged_[count - 1].end) {
      merged_[count - 1].end = std::max(merged_[count - 1].end, run.end);
    } else {
      merged_[count++] = run;
    }
  }
  merged_.resize(count);
  const uint64_t key = hash(merged_);
  const auto [first, last] = names_.equal_range(key);
  for (auto found = first; found != last; ++found) {
    if (std::ranges::equal(runs(found->second), merged_)) return found->second;
  }
  const auto name = static_cast<Name>(begins_.size() - 1);
  runs_.insert(runs_.end(), merged_.begin(), merged_.end());
  begins_.push_back(runs_.size());
  names_.emplace(key, name);
  return name;
}

IndexSets::Name IndexSets::of_run(int64_t begin, int64_t end) {
  if (begin == end) return kEmpty;
  merged_ = {{begin, end}};
  return name_merged();
}

IndexSets::Name IndexSets::unite(Name a, Name b) {
  if (a == b || b == kEmpty) return a;
  if (a == kEmpty) return b;
  merged_.clear();
  std::ranges::merge(runs(a), runs(b), std::back_inserter(merged_), {}, &Run::begin, &Run::begin);
  return name_merged();
}

IndexSets::Name IndexSets::unite(std::vector<Name> names) {
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  if (names.empty()) return kEmpty;
  if (names.size() == 1) return names[0];
  if (names.size() == 2) return unite(names[0], names[1]);
  merged_.clear();
  for (const Name name : names) merged_.insert(merged_.end(), runs(name).begin(), runs(name).end());
  std::ranges::sort(merged_, {}, &Run::begin);
  return name_merged();
}

}  // namespace tidu
