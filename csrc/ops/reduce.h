// The reductions of reduce.def over axes. No axes given means all; `keepdims` leaves reduced axes with
// extent 1.
#pragma once

#include <optional>

#include "core/primitive.h"

namespace tidu {

// Which axes: one, as in sum(x, 0), some, as in sum(x, {0, 1}), or, left out, all of them.
struct Over : std::optional<Axes> {
  using std::optional<Axes>::optional;
  Over(int64_t axis) : Over({axis}) {}
  Over(std::initializer_list<int64_t> axes) : std::optional<Axes>(axes) {}
};

#define REDUCTION(name, ...) Tensor name(const Tensor& x, const Over& axes = {}, bool keepdims = false);
#define MOMENT(name, ...) \
  Tensor name(const Tensor& x, const Over& axes = {}, double correction = 0, bool keepdims = false);
#define INDEX(name, ...) \
  Tensor name(const Tensor& x, std::optional<int64_t> axis = {}, bool keepdims = false);
#include "ops/reduce.def"

// The sum over what broadcasting `shape` to x's shape repeated.
Tensor sum_to(const Tensor& x, const Shape& shape);

struct ReduceAttrs {
  attr::Axes axes;        // sorted; the output lacks them
  double correction = 0;  // of var and std
  void fields(auto&& field) const {
    field("axes", axes);
    field("correction", correction);
  }
};
namespace primitives {
// ReduceAttrs, of argmax and argmin with one axis
#define REDUCTION(name, ...) extern Primitive name;
#include "ops/reduce.def"
}  // namespace primitives

// One row of the table, for bindings and tests.
struct ReduceRow {
  Primitive* primitive;
  bool of_nothing;  // whether it has a value of no elements
  enum Kind : uint8_t { plain, total, moment, index } kind;
  const char* doc;
};
const std::vector<ReduceRow>& reduce_table();

}  // namespace tidu
