// A recorded program as reverse mode meets it: one call, whose values and whose pullback are prepared
// programs.
#pragma once

#include "compile/executable.h"
#include "core/trace.h"

namespace tidu {

// The program together with its derivative, cut where the cotangents come in: what comes before is computed
// with the values, and of that is kept what comes after reads.
class Taped {
 public:
  // Differentiated by the inputs of `tracked`. The program must not write to its inputs.
  Taped(const Program& program, Layouts layouts, std::vector<bool> tracked);

  // The results, of which `tape` knows how they are differentiated.
  Tensors operator()(const Tensors& inputs, Trace& tape) const;

 private:
  class Call;
  struct Parts;

  std::shared_ptr<const Parts> parts_;
};

}  // namespace tidu
