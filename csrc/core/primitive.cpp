// The list of primitives, and what follows from the form of a derivative.
#include "core/primitive.h"

#include <algorithm>
#include <bit>

namespace tidu {
namespace {

std::vector<Primitive*>& registry() {
  static std::vector<Primitive*> primitives;
  return primitives;
}

template <class... F> struct Overload : F... { using F::operator()...; };
template <class... F> Overload(F...) -> Overload<F...>;

}  // namespace

Primitive::Primitive(const char* name, Definition definition)
    : Definition(std::move(definition)), name(name) {
  registry().push_back(this);
}

const std::vector<Primitive*>& all_primitives() { return registry(); }

void require(bool holds, const SpecCall& call, const char* what) {
  if (holds) return;
  std::string inputs;
  for (size_t i = 0; i < call.inputs.size(); ++i) inputs += str(i ? ", " : "", call.inputs[i]);
  fail<ValueError>("[", call.primitive.name, "] ", what, ": ", inputs);
}

void check_complex(const SpecCall& call) {
  const Primitive& primitive = call.primitive;
  const bool refuses = primitive.on_complex == OnComplex::refused && !primitive.view && !primitive.evaluate &&
                       !primitive.dispatch;
  for (size_t i = 0; refuses && i < call.inputs.size(); ++i) {
    if (is_complex(call.inputs[i].dtype))
      fail<DTypeError>("[", primitive.name, "] is not defined for complex numbers: ", call.inputs[i],
                       " (take real, imag or abs)");
  }
}

bool shows_parts(const Call& call) {
  const auto is_complex_tensor = [](const Tensor& x) { return x.defined() && is_complex(x.dtype()); };
  return call.primitive.on_complex == OnComplex::parts &&
         (std::ranges::any_of(call.inputs, is_complex_tensor) ||
          std::ranges::any_of(call.outputs, is_complex_tensor));
}

Tensors shown_to_kernels(const Primitive& primitive, std::span<const Tensor> tensors) {
  Tensors shown(tensors.begin(), tensors.end());
  for (Tensor& x : shown) {
    if (is_complex(x.dtype())) {
      x = x.parts();
    } else if (primitive.pointwise) {
      Shape shape = x.shape();
      Strides strides = x.strides();
      shape.push_back(2);
      strides.push_back(0);
      x = x.view(shape, strides, x.impl().offset);
    }
  }
  return shown;
}

Reads reads_of(const Primitive& primitive, Reads tracked) {
  return std::visit(Overload{
                        [](const auto&) -> Reads { return 0; },
                        [&](const Elementwise& form) {
                          Reads reads = 0;
                          for (size_t i = 0; i < form.partials.size(); ++i) {
                            if (tracked & input_bit(i)) reads |= form.partials[i].reads;
                          }
                          return reads;
                        },
                        [](const LinearMap& form) { return form.reads; },
                        [&](const Multilinear& form) {
                          const Reads factors = tracked & form.factors;
                          if (factors == 0) return Reads{0};
                          // With one factor tracked the others are read, with more all are.
                          return form.reads |
                                 (std::has_single_bit(factors) ? form.factors & ~factors : form.factors);
                        },
                        [&](const Custom& form) { return form.reads(tracked); },
                    },
                    primitive.derivative);
}

bool is_linear(const Primitive& primitive, Reads moving, Reads zero) {
  // In a sum every term must move or be zero, else it is affine.
  const auto is_sum_of = [&](Reads terms) {
    return (moving & ~terms) == 0 && (terms & ~(moving | zero)) == 0;
  };
  return std::visit(Overload{
                        [](const auto&) { return false; },
                        [&](const Elementwise& form) {
                          Reads terms = 0;
                          for (size_t i = 0; i < form.partials.size(); ++i) {
                            const Partial& partial = form.partials[i];
                            const bool is_term = partial.kind != Partial::none && !partial.jumps &&
                                                 (partial.reads & (moving | kFineOutput | kOutput)) == 0;
                            if (is_term) terms |= input_bit(i);
                          }
                          return is_sum_of(terms);
                        },
                        [&](const LinearMap& form) { return is_sum_of(form.linear); },
                        [&](const Multilinear& form) {
                          const bool is_product =
                              std::popcount(moving & form.factors) == 1 || (zero & form.factors);
                          return is_product && (moving & ~(form.factors | form.addends)) == 0 &&
                                 (form.addends & ~(moving | zero)) == 0;
                        },
                        [&](const Custom& form) { return is_sum_of(form.linear); },
                    },
                    primitive.derivative);
}

}  // namespace tidu
