// What reverse mode keeps of a chain of stages, and what it computes again.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace tidu {

struct Stage {
  double cost = 0;        // of running it
  int64_t residuals = 0;  // bytes that it makes and its reverse mode or a later stage makes use of
  int64_t working = 0;    // bytes that it makes and running it needs at once
  int64_t pulling = 0;    // bytes that its reverse mode needs besides residuals and cotangents
};
// Bytes that one stage makes, and others up to number `used` make use of.
struct Handed {
  int made, used;
  int64_t bytes;
};
struct Chain {
  std::vector<Stage> stages;
  std::vector<Handed> values;
};

// Stages from `begin` to `end`, which are run in order: one that keeps its residuals or, if there are steps,
// stages of which only what they are handed is kept, and which are run a second time as these say.
struct Step {
  int begin, end;
  std::vector<Step> again;

  bool operator==(const Step&) const = default;
};

// The steps whose reverse mode needs at most `budget` bytes at once, cotangents among them, with the least
// cost of what is run again; nullopt where none fits. What is handed over several stages is kept once. Sizes
// are rounded up to 1/512 of the budget. By dynamic programming over parts of the chain and memory: optimal
// among schedules that keep what they keep until it is used (after Beaumont, Eyraud-Dubois, Herrmann, Joly,
// Shilova: Optimal checkpointing for heterogeneous chains, 2019).
std::optional<std::vector<Step>> best_steps(const Chain& chain, int64_t budget);

// Bytes that stages from `first` on made and those from `split` on make use of.
int64_t kept_between(const Chain& chain, int first, int split);
// Bytes of cotangents of what is handed over the beginning of `split`, and over the end of `last` no more.
int64_t pulled_between(const Chain& chain, int split, int last);
// The same, of what is handed over the beginning or the end of stage `at`.
int64_t pulled_around(const Chain& chain, int at, int last);

}  // namespace tidu
