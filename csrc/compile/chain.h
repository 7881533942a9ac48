// What reverse mode keeps of a chain of stages, and what it computes again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tidu {

// Each stage makes use of the output of the one before it.
struct Stage {
  double cost = 0;        // of running it
  int64_t output = 0;     // bytes of what later stages make use of
  int64_t residuals = 0;  // bytes that its reverse mode keeps, the output among them
  int64_t working = 0;    // bytes that running it needs at once, if nothing but the output is kept
};

// Stages from `begin` to `end`, which are run in order: one that keeps its residuals or, if there are steps,
// stages of which only the input is kept, and which are run a second time as these say.
struct Step {
  int begin, end;
  std::vector<Step> again;

  bool operator==(const Step&) const = default;
};

// The steps whose reverse mode needs at most `budget` bytes at once, cotangents among them, beside the input
// of the first stage and its cotangent, with the least cost of what is run again; nullopt where none fits.
// Sizes are rounded up to 1/512 of the budget. By dynamic programming over parts of the chain and memory:
// optimal among schedules that keep what they keep until it is used (after Beaumont, Eyraud-Dubois, Herrmann,
// Joly, Shilova: Optimal checkpointing for heterogeneous chains, 2019).
std::optional<std::vector<Step>> best_steps(std::span<const Stage> stages, int64_t budget);

}  // namespace tidu
