// Methods of minimisation, an iteration at a time, and the loop around them.
#pragma once

#include "optim/objective.h"

namespace tidu::optim {

class Descent {
 public:
  virtual ~Descent() = default;

  // The next sample, or a sentence that says why there is none; neither where no step lowers f.
  struct Next {
    std::optional<Sample> sample;
    std::string reason;
  };
  virtual Next advance(Objective& objective, const Sample& at) = 0;
  virtual void set_options(const MinimizeOptions&) {}

  // What it has learnt, in tensors; restore throws before it changes anything. `like` is a vector as the
  // objective's.
  virtual std::map<std::string, Tensor> state() const = 0;
  virtual void restore(const std::map<std::string, Tensor>& state, const Tensor& like) = 0;
};

// In its first state; a ValueError that names `op` where an option is out of range.
std::unique_ptr<Descent> make_descent(const MinimizeOptions& options, const std::string& op);
void check_options(const MinimizeOptions& options, const std::string& op);

// Advances until the gradient's norm is at most gtol, or as the report says; max_iter is that of options
// without one.
Report descend(Descent& descent, Objective& objective, const MinimizeOptions& options, int64_t max_iter);

// A step p that lowers <g, p> + <p, B p> / 2 within norm(p) <= radius, and B p: conjugate gradients,
// truncated at the radius or where the curvature is not positive (algorithm 7.2, Steihaug 1983).
struct TruncatedStep {
  Tensor p, bp;
};
TruncatedStep steihaug(const std::function<Tensor(const Tensor&)>& product, const Tensor& gradient,
                       double radius, double tolerance);

}  // namespace tidu::optim
