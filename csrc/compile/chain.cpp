// Dynamic programming over parts of a chain and memory.
#include "compile/chain.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tidu {
namespace {

constexpr int64_t kSlots = 512;

class Table {
 public:
  Table(const Chain& chain, int64_t budget)
      : chain_(chain),
        count_(static_cast<int>(chain.stages.size())),
        slot_(std::max<int64_t>((budget + kSlots - 1) / kSlots, 1)),
        slots_(static_cast<int>(budget / slot_)),
        best_(chain.stages.size() * chain.stages.size() * (static_cast<size_t>(slots_) + 1)) {
    for (int length = 1; length <= count_; ++length) {
      for (int first = 0; first + length <= count_; ++first) fill(first, first + length - 1);
    }
  }

  std::optional<std::vector<Step>> take() const {
    if (count_ > 0 && at(0, count_ - 1, slots_).cost == kImpossible) return std::nullopt;
    return steps(0, count_ - 1, slots_);
  }

 private:
  static constexpr double kImpossible = std::numeric_limits<double>::infinity();
  // What the stages up to the last cost again at best, if the first keeps its residuals (split 0) or all
  // before number `split` are run again.
  struct Best {
    double cost = kImpossible;
    int split = 0;
  };

  const Best& at(int first, int last, int memory) const {
    return best_[(static_cast<size_t>(first) * count_ + last) * (static_cast<size_t>(slots_) + 1) + memory];
  }
  Best& at(int first, int last, int memory) {
    return const_cast<Best&>(std::as_const(*this).at(first, last, memory));
  }
  int in_slots(int64_t bytes) const {
    return static_cast<int>(std::min<int64_t>((bytes + slot_ - 1) / slot_, slots_ + 1));
  }

  void fill(int first, int last) {
    // The cotangents of what it makes and of what it is handed are there together with what it keeps; those
    // of what is handed over the last stage have their place.
    const Stage& stage = chain_.stages[first];
    const int kept = in_slots(stage.residuals),
              pulled = in_slots(stage.residuals + stage.pulling + pulled_around(chain_, first, last));
    for (int memory = pulled; memory <= slots_; ++memory)
      at(first, last, memory) = {first == last ? 0 : at(first + 1, last, memory - kept).cost, 0};
    double cost = 0;
    int64_t working = 0;
    for (int split = first + 1; split <= last; ++split) {
      const Stage& before = chain_.stages[split - 1];
      cost += before.cost;
      working = std::max(working, before.working + kept_between(chain_, first, split - 1));
      // While the stages before the split are run again, the cotangents of what they handed over stay.
      const int kept = in_slots(kept_between(chain_, first, split)),
                pulled = in_slots(pulled_between(chain_, split, last));
      for (int memory = std::max({in_slots(working), kept, pulled}); memory <= slots_; ++memory) {
        const double all =
            cost + at(split, last, memory - kept).cost + at(first, split - 1, memory - pulled).cost;
        if (all < at(first, last, memory).cost) at(first, last, memory) = {all, split};
      }
    }
  }

  std::vector<Step> steps(int first, int last, int memory) const {
    std::vector<Step> result;
    while (first <= last) {
      const int split = at(first, last, memory).split;
      if (split == 0) {
        result.push_back({first, first + 1, {}});
        memory -= in_slots(chain_.stages[first++].residuals);
      } else {
        result.push_back(
            {first, split, steps(first, split - 1, memory - in_slots(pulled_between(chain_, split, last)))});
        memory -= in_slots(kept_between(chain_, first, split));
        first = split;
      }
    }
    return result;
  }

  const Chain& chain_;
  const int count_;
  const int64_t slot_;
  const int slots_;
  std::vector<Best> best_;
};

}  // namespace

namespace {

template <class Counts> int64_t bytes_of(const Chain& chain, const Counts& counts) {
  int64_t bytes = 0;
  for (const Handed& value : chain.values) {
    if (counts(value)) bytes += value.bytes;
  }
  return bytes;
}

}  // namespace

int64_t kept_between(const Chain& chain, int first, int split) {
  return bytes_of(chain, [&](const Handed& value) {
    return value.made >= first && value.made < split && value.used >= split;
  });
}
int64_t pulled_between(const Chain& chain, int split, int last) {
  return bytes_of(chain, [&](const Handed& value) {
    return value.made < split && value.used >= split && value.used <= last;
  });
}
int64_t pulled_around(const Chain& chain, int at, int last) {
  return bytes_of(chain, [&](const Handed& value) {
    return value.made <= at && value.used >= at && value.made < value.used && value.used <= last;
  });
}

std::optional<std::vector<Step>> best_steps(const Chain& chain, int64_t budget) {
  const int count = static_cast<int>(chain.stages.size());
  int64_t kept = 0, most = 0;
  for (int i = 0; i < count; ++i) {
    kept += chain.stages[i].residuals;
    most = std::max(most, kept + chain.stages[i].pulling + pulled_around(chain, i, count - 1));
  }
  if (most <= budget) {
    std::vector<Step> steps;
    for (int i = 0; i < count; ++i) steps.push_back({i, i + 1, {}});
    return steps;
  }
  if (budget <= 0) return std::nullopt;
  return Table(chain, budget).take();
}

}  // namespace tidu
