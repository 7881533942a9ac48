// Which calls make NaN or infinities of numbers, and which pass them on.
#pragma once

#include <optional>
#include <unordered_map>

#include "base/source_line.h"
#include "core/watch.h"

namespace tidu {

struct NonFiniteError : std::runtime_error {
  using std::runtime_error::runtime_error;
};  // FloatingPointError

// A call or a rule of derivatives that gave a NaN or an infinity.
struct NonFiniteCall {
  std::string operation{};          // "log", or "the derivative of log"
  SourceLine source{};              // of the call, also where its derivative is meant
  std::string gave{};               // "NaN", "inf" or "NaN and inf"
  bool made = false;                // what none of its inputs had
  std::string inputs{}, outputs{};  // values, of large tensors some
};

// A call makes NaN where no input has one, and infinities where all inputs are finite. Rules of derivatives
// are looked at as a whole: what they compute on the way, such as a factor of an element that 0 multiplies,
// is their own affair.
class NonFinite : public Watch {
 public:
  NonFinite(bool infinities, bool stops) : infinities_(infinities), stops_(stops) {}

  // A NonFiniteError where the call makes one, unless it is not to stop.
  void run(const Call& call, const std::function<void()>& kernel) override;
  // The same of a rule, which computes tangents or cotangents from `given`.
  Tensors derivative(const Call& call, std::span<const Tensor> given,
                     const std::function<Tensors()>& rule) override;
  // The line of a call is that of its derivative, too.
  void recorded(uint64_t node) override { lines_[node] = Lines::here(); }
  void pull(uint64_t node, const std::function<void()>& pull) override;

  // In order, the first thousand.
  const std::vector<NonFiniteCall>& found() const { return found_; }

 private:
  struct Kinds {
    bool nan = false, inf = false;
    bool any() const { return nan || inf; }
  };
  Kinds kinds_of(std::span<const Tensor> tensors) const;
  void look(const std::string& operation, std::span<const Tensor> inputs, std::optional<Kinds> before,
            std::span<const Tensor> outputs);

  const bool infinities_, stops_;
  std::unordered_map<uint64_t, SourceLine> lines_;
  std::vector<NonFiniteCall> found_;
};

}  // namespace tidu
