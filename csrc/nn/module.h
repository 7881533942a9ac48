// Module: parts of a model that hold parameters.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace tidu::nn {

class Module;

// What a module shows its members to.
class MemberVisitor {
 public:
  virtual ~MemberVisitor() = default;
  virtual void parameter(const std::string& name, Tensor& tensor) = 0;  // learned; undefined: absent
  virtual void buffer(const std::string& name,
                      Tensor& tensor) = 0;  // kept with the parameters, but not learned
  virtual void module(const std::string& name, Module& module) = 0;
};

// A module names its members once, and all else follows from that:
//
//   struct Network : nn::Module {
//     nn::Linear first, second;
//     Tensor forward(const Tensor& x) override { return second(sigmoid(first(x))); }
//     void members(nn::MemberVisitor& visit) override { visit.module("first", first), visit.module("second",
//     second); }
//   };
//
// Copies share their tensors.
class Module {
 public:
  virtual ~Module() = default;
  virtual Tensor forward(const Tensor& x) = 0;
  virtual void members(MemberVisitor&) {}

  Tensor operator()(const Tensor& x) { return forward(x); }
  // The output where `parameters` stand in the place of parameters(): what grad, vjp and jvp differentiate.
  Tensor forward_with(const Tensors& parameters, const Tensor& x);

  // In the order of members(); "first.weight" names the weight of the module "first".
  std::vector<std::pair<std::string, Tensor>> named_parameters();
  Tensors parameters();
  void zero_grad();

  // Parameters and buffers by name. load_state writes into them; where a name is missing or unknown, or a
  // shape or dtype differs, it throws ValueError and changes nothing.
  std::map<std::string, Tensor> state();
  void load_state(const std::map<std::string, Tensor>& state);

  // Some layers (Dropout) do otherwise in training, which is the mode at first.
  void train(bool training = true);
  void eval() { train(false); }
  bool training() const { return training_; }

 private:
  bool training_ = true;
};

}  // namespace tidu::nn
