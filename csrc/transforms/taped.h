// A recorded program as reverse mode meets it: calls whose values and whose pullbacks are prepared programs.
#pragma once

#include "compile/executable.h"
#include "core/trace.h"

namespace tidu {

// The program together with its derivatives, cut where the cotangents come in: what comes before is computed
// with the values, and of that is kept what comes after reads. Which results cotangents come to is seen when
// they come; a set that was not met before goes call by call, and is prepared for later calls.
class Taped {
 public:
  // Differentiated by the inputs of `tracked`. The program must not write to its inputs.
  Taped(const Program& program, Layouts layouts, std::vector<bool> tracked);

  // The results, of which `tape` knows how they are differentiated. Those that share no call that is
  // differentiated have graphs apart, as those of the program's own calls are.
  Tensors operator()(const Tensors& inputs, Trace& tape) const;

 private:
  class Call;
  class Inputs;
  struct Parts;
  class Plan;

  std::shared_ptr<Plan> plan_;
};

}  // namespace tidu
