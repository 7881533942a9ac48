// The cumulative scans of scan.def along an axis, which may be left out of a vector's.
#pragma once

#include <optional>

#include "core/primitive.h"

namespace tidu {

#define SCAN(name, ...) Tensor name(const Tensor& x, std::optional<int64_t> axis = {});
#define TOTAL_SCAN(name, ...) \
  Tensor name(const Tensor& x, std::optional<int64_t> axis = {}, bool include_initial = false);
#include "ops/scan.def"

namespace primitives {
// AxisAttrs
#define SCAN(name, ...) extern Primitive name;
#include "ops/scan.def"
}  // namespace primitives

// One row of the table, for bindings and tests.
struct ScanRow {
  Primitive* primitive;
  bool total;
  const char* doc;
};
const std::vector<ScanRow>& scan_table();

}  // namespace tidu
