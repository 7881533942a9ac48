// Reductions over axes and scans along one: the rows of their tables.
#include "ops/operations.h"
#include "ops/scan.h"

namespace tidu::python {
namespace {

// Small integers are added up in 64 bits, of which the dtype keeps the low ones.
template <Tensor (*F)(const Tensor&, const Over&, bool)>
Tensor reduced_in(const Tensor& x, const Over& axis, bool keepdims, Type dtype) {
  return dtype ? astype(F(astype(x, *dtype), axis, keepdims), *dtype) : F(x, axis, keepdims);
}
template <Tensor (*F)(const Tensor&, std::optional<int64_t>, bool)>
Tensor scanned_in(const Tensor& x, Axis axis, Type dtype, bool include_initial) {
  return dtype ? astype(F(astype(x, *dtype), axis, include_initial), *dtype) : F(x, axis, include_initial);
}

}  // namespace

void bind_reductions(const Definitions& define) {
#define REDUCTION(name, Struct, types, nothing, cost, derivative, doc) \
  define.both<tidu::name>(#name, "x, axis=None, keepdims=False", doc ".");
#define TOTAL(name, Struct, types, nothing, cost, derivative, doc) \
  define.both<reduced_in<tidu::name>>(#name, "x, axis=None, keepdims=False, dtype=None", doc ".");
#define MOMENT(name, Struct, types, nothing, cost, derivative, doc) \
  define.both<tidu::name>(#name, "x, axis=None, correction=0.0, keepdims=False", doc ".");
#include "ops/reduce.def"
}

void bind_scans(const Definitions& define) {
#define SCAN(name, Struct, types, cost, derivative, doc) \
  define.both<tidu::name>(#name, "x, axis=None", doc ".");
#define TOTAL_SCAN(name, Struct, types, cost, derivative, doc) \
  define.both<scanned_in<tidu::name>>(#name, "x, axis=None, dtype=None, include_initial=False", doc ".");
#include "ops/scan.def"
}

}  // namespace tidu::python
