// Control flow that programs hold: loops and branches whose bodies are recorded once.
#pragma once

#include <optional>

#include "core/trace.h"
#include "program/program.h"

namespace tidu {

// `step` maps the carry and a slice of each of `slices` to the next carry, of the same shapes and dtypes, and
// results of one step.
struct Scan {
  Tensors carry;    // after the last step
  Tensors results;  // of all steps, along axis 0
};
struct ScanOptions {
  std::optional<int64_t> length{};  // of the slices, or instead of them
  bool reverse = false;             // from the last slice to the first
  // Reverse mode keeps the carry of each step or, where this is given, of every so many, and runs the steps
  // between a second time.
  std::optional<int64_t> checkpoint_every{};
};
// The slices lie along axis 0. All modes of differentiation.
Scan scan(const Function& step, const Tensors& carry, const Tensors& slices, const ScanOptions& options = {});

// `on_true(operands)` or `on_false(operands)`, as the bool `predicate`, of shape (), says. Both must give
// the same shapes and dtypes. All modes; in lanes of vmap that differ in it, both are computed.
Tensors cond(const Tensor& predicate, const Function& on_true, const Function& on_false,
             const Tensors& operands);

// `body` applied to the carry for as long as the bool of shape () that `condition` makes of it is true.
// Forward mode and Taylor mode; reverse mode too where there are at most `max_steps`, after which it ends in
// any case.
Tensors while_loop(const Function& condition, const Function& body, const Tensors& carry,
                   std::optional<int64_t> max_steps = {});

// `function(arguments)`, of which reverse mode keeps the arguments alone and runs it a second time. With a
// budget, what it keeps is chosen: at no time more than so many bytes beside arguments, results and
// cotangents, and such that least is computed again (compile/chain.h), where the function is taken for a
// chain of at most 48 stages, parts of a long scan among them. A ValueError says how many bytes are needed
// where that is more.
Tensors checkpoint(const Function& function, const Tensors& arguments, std::optional<int64_t> budget = {});

// --- Primitives

struct CondAttrs {
  ProgramField on_true, on_false;
  void fields(auto&& field) const { field("on_true", on_true), field("on_false", on_false); }
};
struct WhileAttrs {
  ProgramField condition, body;  // of (carry.., captured..)
  void fields(auto&& field) const { field("condition", condition), field("body", body); }
  size_t carries() const { return body->outputs.size(); }
};

namespace primitives {
// (carry.., slices.., what the program closes over..), (predicate, operands.., ..), (carry.., ..),
// (arguments.., ..); the attributes hold the programs.
extern Primitive scan, cond, while_loop, checkpoint;
}  // namespace primitives

}  // namespace tidu
