// Steps that lower a sum of squares, and the loop around them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "optim/residuals.h"

namespace tidu::optim {

// A point with the residuals and their Jacobian there, in float64.
struct Fit {
  Tensor x;
  Tensor residuals;
  double norm = 0;  // of the residuals
  Tensor jacobian;  // undefined where it is not needed
};

// Residuals near a point as a linear function of the step, r + J p, by J D^-1 = U S V^T: with D the units
// in which steps are measured, q = V^T D p has the components r + J p = r + U S q.
class LinearModel {
 public:
  LinearModel(const Fit& at, const std::vector<double>& units);

  const std::vector<double>& singular_values() const { return s_; }
  // Of the residuals: U^T r.
  const std::vector<double>& components() const { return beta_; }
  std::vector<double> project(const Tensor& residuals) const;
  // With the residuals' own curvature, the sum (n, n) of their Hessians, each times its residual, in parts of
  // the norm of all: a model of the sum of squares that is exact to the second order, of the same form.
  // Nothing where it has no minimum, or differs too little.
  std::optional<LinearModel> curved(const Tensor& hessians) const;
  // The step that has components q.
  Tensor step(const std::vector<double>& q) const;
  // The part of the sum of squares that the model loses by q.
  double promise(const std::vector<double>& q) const;
  // The q of least |r + J p| and among these of least length, from the values that are not rounding; damped,
  // that of least |r + J p|^2 + damping |q|^2.
  std::vector<double> solution(const std::vector<double>& components, double damping = 0) const;

 private:
  double norm_;  // of the residuals
  Tensor u_, v_;
  std::vector<double> s_, beta_, units_;
};

// How steps are chosen, and what is learnt of them.
class Steps {
 public:
  virtual ~Steps() = default;

  // At a new point: its columns' norms, and its elements.
  virtual void begin(const std::vector<double>& columns, const std::vector<double>& x) = 0;
  // In which steps are measured at the point.
  virtual const std::vector<double>& units() const = 0;
  struct Proposal {
    std::vector<double> q;
    double damping = 0;
  };
  virtual Proposal propose(const LinearModel& model) = 0;
  // What of its promise the last step kept, -inf where the residuals are not finite, and how long it was.
  virtual void judge(double kept, double length) = 0;
  // Whether what it proposes now is a part of a step, which says nothing of how near the end is.
  virtual bool is_cut() const { return false; }

  virtual std::map<std::string, Tensor> state() const { return {}; }
  // Throws before it changes anything; n is the number of elements.
  virtual void restore(const std::map<std::string, Tensor>&, int64_t) {}
};
std::unique_ptr<Steps> make_steps(LeastSquaresMethod method, double radius);

// Why a search ended.
enum class End : uint8_t {
  running,
  not_finite,  // at the start
  zero,        // the residuals are
  orthogonal,  // gtol
  promise,     // ftol
  small_step,  // xtol
  rounding,    // hides what a step would change
  no_step,     // lowers the sum of squares, for another reason
  max_iter,
  callback,
};

struct Search {
  const Residuals& residuals;
  Fit at;
  int64_t iterations = 0;
  End end = End::running;
  std::string reason;
};

struct Limits {
  double ftol = 0;
  std::optional<double> xtol = {}, gtol = {};
  std::optional<double> zero = {};  // the norm of residuals that count as zero
  int64_t max_iter = 1000;
  bool acceleration = true;
  std::function<void(int64_t residuals, int64_t elements)> check_counts = {};  // throws where they do not fit
};
// Until a limit is reached. `accepted` sees the first point and each that lowers the sum of squares; true
// ends it.
Search search(Residuals& residuals, Steps& steps, const Limits& limits,
              const std::function<bool(const Search&)>& accepted);

}  // namespace tidu::optim
