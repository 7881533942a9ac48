// Module: what follows from its list of members.
#include "nn/module.h"

#include "core/trace.h"
#include "ops/assign_all.h"
#include "ops/convert.h"
#include "ops/shape.h"

namespace tidu::nn {
namespace {

// Calls a function with the full name of each member, of all modules below one.
class Walk : public MemberVisitor {
 public:
  using OnTensor = std::function<void(const std::string& name, Tensor& tensor, bool is_parameter)>;
  using OnModule = std::function<void(Module& module)>;

  explicit Walk(OnTensor on_tensor, OnModule on_module = {})
      : on_tensor_(std::move(on_tensor)), on_module_(std::move(on_module)) {}

  void parameter(const std::string& name, Tensor& tensor) override {
    if (tensor.defined()) on_tensor_(prefix_ + name, tensor, true);
  }
  void buffer(const std::string& name, Tensor& tensor) override {
    if (tensor.defined()) on_tensor_(prefix_ + name, tensor, false);
  }
  void module(const std::string& name, Module& module) override {
    if (on_module_) on_module_(module);
    const size_t length = prefix_.size();
    prefix_ += name + ".";
    module.members(*this);
    prefix_.resize(length);
  }

 private:
  OnTensor on_tensor_;
  OnModule on_module_;
  std::string prefix_;
};

void for_each_tensor(Module& module, Walk::OnTensor on_tensor) {
  Walk walk(std::move(on_tensor));
  module.members(walk);
}

void for_each_parameter(Module& module,
                        const std::function<void(const std::string& name, Tensor& tensor)>& visit) {
  for_each_tensor(module, [&](const std::string& name, Tensor& tensor, bool is_parameter) {
    if (is_parameter) visit(name, tensor);
  });
}

}  // namespace

Tensor Module::forward_with(const Tensors& parameters, const Tensor& x) {
  Tensors own = this->parameters();
  if (own.size() != parameters.size()) {
    fail<ValueError>("[forward_with] ", parameters.size(), " tensors for ", own.size(), " parameters");
  }
  const auto put = [&](const Tensors& tensors) {
    size_t i = 0;
    for_each_parameter(*this, [&](const std::string&, Tensor& tensor) { tensor = tensors[i++]; });
  };
  struct PutBack {
    const std::function<void()> action;
    ~PutBack() { action(); }
  } put_back{[&] { put(own); }};
  put(parameters);
  return forward(x);
}

std::vector<std::pair<std::string, Tensor>> Module::named_parameters() {
  std::vector<std::pair<std::string, Tensor>> named;
  for_each_parameter(*this,
                     [&](const std::string& name, Tensor& tensor) { named.emplace_back(name, tensor); });
  return named;
}

Tensors Module::parameters() {
  Tensors all;
  for_each_parameter(*this, [&](const std::string&, Tensor& tensor) { all.push_back(tensor); });
  return all;
}

void Module::zero_grad() {
  for (const Tensor& parameter : parameters()) parameter.set_grad({});
}

std::map<std::string, Tensor> Module::state() {
  std::map<std::string, Tensor> state;
  for_each_tensor(*this, [&](const std::string& name, Tensor& tensor, bool) {
    if (!state.emplace(name, tensor).second)
      fail<ValueError>("[state] two tensors have the name '", name, "'");
  });
  return state;
}

void Module::load_state(const std::map<std::string, Tensor>& state) {
  const auto own = this->state();
  for (const auto& [name, tensor] : own) {
    const auto found = state.find(name);
    if (found == state.end()) fail<ValueError>("[load_state] '", name, "' is missing");
    const Tensor& value = found->second;
    if (value.shape() != tensor.shape() || value.dtype() != tensor.dtype()) {
      fail<ValueError>("[load_state] '", name, "' is ", describe(value), ", but the module's is ",
                       describe(tensor));
    }
  }
  for (const auto& [name, tensor] : state) {
    if (!own.contains(name)) fail<ValueError>("[load_state] the module has no '", name, "'");
  }
  const GradMode off(false);
  Tensors places, values;
  for_each_tensor(*this, [&](const std::string& name, Tensor& tensor, bool) {
    places.push_back(tensor);
    values.push_back(to(state.at(name), tensor.device()));
  });
  assign_all(std::move(places), std::move(values));
}

void Module::train(bool training) {
  training_ = training;
  Walk walk([](const std::string&, Tensor&, bool) {}, [&](Module& module) { module.training_ = training; });
  members(walk);
}

}  // namespace tidu::nn
