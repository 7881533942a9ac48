// What least squares are of: residuals and their derivatives by one vector, the elements of tensors joined.
#pragma once

#include "optim/domain.h"
#include "optim/least_squares.h"

namespace tidu::optim {

class Residuals : public Domain {
 public:
  virtual ~Residuals() = default;

  // The elements of all results as one vector, always as long.
  Tensor evaluate(const Tensor& x);
  // (m, n), of the residuals at the point evaluated last.
  Tensor jacobian(const Tensor& x);
  // The second derivative of t -> residuals(x + t step) at 0, halved: undefined where it is not to be had.
  Tensor curvature(const Tensor& x, const Tensor& step);
  // The sum of the Hessians of the residuals (n, n), each times one of the weights: undefined where it is not
  // to be had.
  Tensor weighted_hessian(const Tensor& x, const Tensor& weights);

  int64_t f_evaluations() const { return f_evaluations_; }
  int64_t jacobian_evaluations() const { return jacobian_evaluations_; }
  int64_t curvature_evaluations() const { return curvature_evaluations_; }

 protected:
  Residuals(Tensors leaves, std::string op) : Domain(std::move(leaves)), op_(std::move(op)) {}
  // Results as one vector on the point's device, by operations that derivatives see.
  Tensor joined(const Tensors& results);
  const std::string& op() const { return op_; }  // in errors

 private:
  // What was found of each residual: an error where these are not as many as ever.
  const Tensor& counted(const Tensor& found);

  virtual Tensor residuals_at(const Tensor& x) = 0;
  virtual Tensor jacobian_at(const Tensor& x) = 0;
  virtual Tensor curvature_at(const Tensor&, const Tensor&) { return {}; }
  virtual Tensor weighted_hessian_at(const Tensor&, const Tensor&) { return {}; }

  std::string op_;
  int64_t count_ = -1;
  int64_t f_evaluations_ = 0, jacobian_evaluations_ = 0, curvature_evaluations_ = 0;
};

// Of a function of tensors.
class FunctionResiduals : public Residuals {
 public:
  FunctionResiduals(const Function& function, const Tensors& primals, const char* op);

 private:
  Tensor residuals_at(const Tensor& x) override;
  Tensor jacobian_at(const Tensor& x) override;
  Tensor curvature_at(const Tensor& x, const Tensor& step) override;
  Tensor weighted_hessian_at(const Tensor& x, const Tensor& weights) override;

  Function flat_;           // of one vector
  bool is_hidden_ = false;  // from the tape of backward(), which alone differentiates what it closes over
  bool is_smooth_ = true;   // as far as is known: that second derivatives are to be had
};

// That a closure returns for the present values of parameters.
class ClosureResiduals : public Residuals {
 public:
  ClosureResiduals(Tensors parameters, const ResidualsClosure& closure, std::string op);

  void put(const Tensors& values);

 private:
  Tensor residuals_at(const Tensor& x) override;
  Tensor jacobian_at(const Tensor& x) override;

  const ResidualsClosure& closure_;
  Tensor graph_at_;  // the vector at which the residuals' graph is alive, undefined where none is
  Tensor graph_;     // these residuals
};

}  // namespace tidu::optim
