// Tensors that a derivative was kept with, and that it needs as they were.
#pragma once

#include <utility>

#include "program/program.h"

namespace tidu {

class Unchanged {
 public:
  // The constants of a program and others, where defined, which may share memory with tensors of the user's.
  explicit Unchanged(const Program& program, const Tensors& others = {}) {
    for (const Program::Constant& constant : program.constants) keep(constant.value);
    for (const Tensor& other : others) {
      if (other.defined()) keep(other);
    }
  }

  // Throws a GradientError where one was overwritten since.
  void check(const char* op) const {
    for (const auto& [tensor, version] : kept_) {
      if (tensor.impl().storage->version() == version) continue;
      fail<GradientError>(
          "[", op, "] ", describe(tensor),
          " was overwritten in place after the call, but its derivative needs the value (write "
          "to a copy instead)");
    }
  }

 private:
  void keep(const Tensor& tensor) {
    if (tensor.impl().storage) kept_.emplace_back(tensor, tensor.impl().storage->version());
  }

  std::vector<std::pair<Tensor, uint64_t>> kept_;
};

}  // namespace tidu
