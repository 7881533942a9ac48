// Functions of the host inside recorded code: what they compute, or do.
#pragma once

#include <string>

#include "core/primitive.h"
#include "core/trace.h"

namespace tidu {

// What a callback does under vmap.
enum class LanesOf : uint8_t {
  one,  // the function is called for one lane after the other
  all   // once, for arguments that all have the lanes along their first axes, and gives results that do
};

// `function(arguments)`, whose results have these specs, called whenever the values are known: at once, or
// each time that a recorded program runs. It must depend on its arguments alone. Without derivatives: a rule
// is given by custom_vjp or custom_jvp around it.
Tensors pure_callback(const Function& function, const std::vector<Spec>& results, const Tensors& arguments,
                      LanesOf lanes = LanesOf::one);

// The same for a function that is called for what it does, and in the order of the calls; a recorded program
// keeps it though nothing uses results. Under vmap once a lane, under derivatives with the primal values.
void debug_callback(std::function<void(const Tensors&)> function, const Tensors& arguments);
// Prints a line, with each {} replaced by the next of the arguments.
void debug_print(const std::string& format, const Tensors& arguments);

namespace primitives {
extern Primitive pure_callback, debug_callback;  // attributes: the function, and the lanes around a call
}

}  // namespace tidu
