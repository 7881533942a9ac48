// The fused update steps of the optimisers.
#include "ops/update.h"

#include "core/bind.h"
#include "core/escape.h"
#include "ops/convert.h"
#include "ops/shape.h"

namespace tidu {
namespace {

template <class T> void check(const SpecCall& call, std::span<Spec>) {
  const size_t count = static_cast<size_t>(call.attrs.as<T>().count), size = call.inputs.size();
  for (size_t i = 0; i < size; ++i) {
    const Spec &parameter = call.inputs[i % count], &input = call.inputs[i];
    if (!is_floating(parameter.dtype))
      fail<DTypeError>("[", call.primitive.name, "] a parameter must be floating-point, not ", parameter);
    const bool is_state = i >= count && i + count < size;
    const DType dtype = is_state ? state_dtype(parameter.dtype) : parameter.dtype;
    if (input.shape != parameter.shape || input.dtype != dtype)
      fail<ShapeError>("[", call.primitive.name, "] ", input, " does not fit its parameter ", parameter);
  }
}

// Groups of as many inputs as parameters: all but the last, the gradients, are results.
template <class T, int least> void check_groups(const SpecCall& call, size_t num_outputs) {
  const int64_t count = call.attrs.as<T>().count, size = static_cast<int64_t>(call.inputs.size());
  int64_t groups = least;
  if constexpr (requires(const T& attrs) { attrs.momentum; }) groups += call.attrs.as<T>().momentum != 0;
  require(count > 0 && size % count == 0 && size / count == groups &&
              static_cast<int64_t>(num_outputs) == size - count,
          call, "there must be as many of each as parameters");
}

template <class T, int64_t multiply_adds, int64_t arithmetic>
Flops each_parameter(const SpecCall& call, std::span<const Spec>) {
  int64_t n = 0;
  for (int i = 0; i < call.attrs.as<T>().count; ++i) n += num_elements(call.inputs[i].shape);
  return {multiply_adds * n, arithmetic * n};
}

template <class T, int groups, int64_t multiply_adds, int64_t arithmetic> Definition update() {
  return {.batching = batch_by_fields,
          .attrs = T{},
          .inputs = {1, kAnyNumber},
          .check = check_groups<T, groups>,
          .infer = check<T>,
          .derivative = Opaque{"it overwrites its parameters"},
          .num_outputs = kAnyNumber,
          .overwrites = true,
          .flops = each_parameter<T, multiply_adds, arithmetic>};
}

}  // namespace

namespace primitives {
Primitive sgd_update("sgd_update", update<SgdAttrs, 2, 3, 0>());
Primitive adam_update("adam_update", update<AdamAttrs, 4, 4, 5>());
Primitive rmsprop_update("rmsprop_update", update<RmspropAttrs, 3, 4, 3>());
}  // namespace primitives

DType state_dtype(DType parameter) { return is_narrow(parameter) ? DType::float32 : parameter; }

void check_gradients(const Tensors& gradients) {
  for (const Tensor& gradient : gradients) {
    if (!gradient.defined() || differentiated(gradient) != Differentiated::by_transform) continue;
    fail<GradientError>("[update] the gradient ", describe(gradient), " is being differentiated, but ",
                        "parameters that are overwritten have no derivative by it (compute p - lr * g, or ",
                        "pass stop_gradient(g) where none is meant)");
  }
}

void apply_update(const Primitive& primitive, const Tensors& state, const Tensors& gradients,
                  const Attrs& attrs) {
  if (gradients.empty()) return;
  Tensors inputs = state;
  for (const Tensor& gradient : gradients) inputs.push_back(contiguous(gradient));
  Tensors outputs(state.size());
  tidu::bind(primitive, inputs, attrs, outputs);
}

}  // namespace tidu
