// Instantiates every row of the table of elementwise operations for every dtype it computes in.
#include "backend/cpu/elementwise.h"

#include <array>
#include <span>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/elementwise.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include "kernels/complex.h"
#include "kernels/cpu/elementwise-inl.h"

#ifndef TIDU_BACKEND_CPU_ELEMENTWISE_ROWS
#define TIDU_BACKEND_CPU_ELEMENTWISE_ROWS
namespace tidu::cpu {
namespace {

using TilesOfDTypes = std::array<TileFunction, kDTypeCount>;
struct TileRow {
  std::string_view name;
  TilesOfDTypes tiles;
};

// A row's scalar function as a type. It is compiled for the baseline but inlined into each instruction set's
// loops.
#define UNARY(name, ...)                                                             \
  struct name##_function {                                                           \
    using Tag = Row<#name>;                                                          \
    template <class T> HWY_INLINE static auto apply(T x) { return scalar::name(x); } \
  };
#define BINARY(name, ...)                                                                    \
  struct name##_function {                                                                   \
    using Tag = Row<#name>;                                                                  \
    template <class T> HWY_INLINE static auto apply(T a, T b) { return scalar::name(a, b); } \
  };
#define TERNARY(name, ...)                                                      \
  struct name##_function {                                                      \
    using Tag = Row<#name>;                                                     \
    template <class T> HWY_INLINE static auto apply(bool condition, T a, T b) { \
      return scalar::name(condition, a, b);                                     \
    }                                                                           \
  };
#define PARAMETER(name, value) , p.name
#define UNARY_WITH(name, parameters, ...)                                                 \
  struct name##_function {                                                                \
    using Tag = Row<#name>;                                                               \
    template <class T> using Parameters = name##_parameters<T>;                           \
    template <class T> HWY_INLINE static auto apply(T x, const name##_parameters<T>& p) { \
      return scalar::name(x parameters);                                                  \
    }                                                                                     \
  };
#include "ops/elementwise.def"

}  // namespace
}  // namespace tidu::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

template <class Types, template <class> class Maker> constexpr TilesOfDTypes tiles_of() {
  TilesOfDTypes tiles{};
  const auto add = [&]<class... T>(std::type_identity<T>...) {
    ((tiles[static_cast<size_t>(dtype_of<T>)] = Maker<T>::template get<Types>()), ...);
  };
  add(std::type_identity<bool>{}, std::type_identity<int8_t>{}, std::type_identity<int16_t>{},
      std::type_identity<int32_t>{}, std::type_identity<int64_t>{}, std::type_identity<uint8_t>{},
      std::type_identity<uint16_t>{}, std::type_identity<uint32_t>{}, std::type_identity<uint64_t>{},
      std::type_identity<float>{}, std::type_identity<double>{}, std::type_identity<complex<float>>{},
      std::type_identity<complex<double>>{});
  return tiles;
}

#define TIDU_TILE_ROW(name, kind, types)                              \
  template <class T> struct name##_maker {                            \
    template <class Types> static constexpr TileFunction get() {      \
      if constexpr (Types::template holds<T>) {                       \
        return &tidu::HWY_NAMESPACE::kind##_tile<name##_function, T>; \
      } else {                                                        \
        return nullptr;                                               \
      }                                                               \
    }                                                                 \
  };
#define UNARY(name, types, ...) TIDU_TILE_ROW(name, unary, types)
#define BINARY(name, types, ...) TIDU_TILE_ROW(name, binary, types)
#define TERNARY(name, types, ...) TIDU_TILE_ROW(name, choice, types)
#define UNARY_WITH(name, parameters, types, ...) TIDU_TILE_ROW(name, unary_with, types)
#include "ops/elementwise.def"
#undef TIDU_TILE_ROW

constexpr TileRow kRows[] = {
#define TIDU_TILE_ROW(name, types, ...) {#name, tiles_of<types##_types, name##_maker>()},
#define UNARY(...) TIDU_TILE_ROW(__VA_ARGS__)
#define BINARY(...) TIDU_TILE_ROW(__VA_ARGS__)
#define TERNARY(...) TIDU_TILE_ROW(__VA_ARGS__)
#include "ops/elementwise.def"
#undef TIDU_TILE_ROW
};

std::span<const TileRow> rows() { return kRows; }

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "ops/elementwise.h"
#include "ops/handful.h"

namespace tidu::cpu {
namespace {

HWY_EXPORT(rows);

// Of the best instruction set, set at registration.
const TileRow* chosen_rows = nullptr;

// Of the rows in the order of the table.
constexpr size_t kArities[] = {
#define UNARY(...) 1,
#define BINARY(...) 2,
#define TERNARY(...) 3,
#include "ops/elementwise.def"
};

template <size_t row> void compute(const Call& call) {
  constexpr size_t arity = kArities[row];
  const std::span<const Tensor, arity> inputs(call.inputs);
  const Tensor& output = call.outputs[0];
  const DType dtype = inputs.back().dtype();
  const bool half = is_narrow(dtype);
  const TileFunction tile = chosen_rows[row].tiles[static_cast<size_t>(half ? DType::float32 : dtype)];
  if (!tile) fail<DTypeError>("[", call.primitive.name, "] is not computed in ", dtype);
  const bool dense = !half && std::ranges::all_of(inputs, [](const Tensor& x) { return x.is_contiguous(); });
  const double* parameters = parameters_of(call).data();
  if (!dense) return launch_tiles(tile, inputs, output, true, parameters);
  parallel_elements(output.numel(), [&](int64_t begin, int64_t end) {
    const auto place = [&](const Tensor& x) {  // small calls begin at 0, and ask for no size
      char* const data = static_cast<char*>(x.raw_data());
      return begin == 0 ? data : data + begin * static_cast<int64_t>(size_of(x.dtype()));
    };
    const void* pointers[arity + 1];
    for (size_t k = 0; k < arity; ++k) pointers[k] = place(inputs[k]);
    pointers[arity] = parameters;
    tile(pointers, place(output), end - begin);
  });
}

template <size_t... row> void register_rows(Primitive* const* primitives, std::index_sequence<row...>) {
  (set_kernel(*primitives[row], DeviceType::cpu, compute<row>), ...);
}

}  // namespace

TileFunction tile_function(std::string_view name, DType dtype) {
  for (const TileRow& row : HWY_DYNAMIC_DISPATCH(rows)()) {
    if (row.name == name) return row.tiles[static_cast<size_t>(dtype)];
  }
  return nullptr;
}

void register_elementwise_kernels() {
  Primitive* const table[] = {
#define UNARY(name, ...) &primitives::name,
#define BINARY(name, ...) &primitives::name,
#define TERNARY(name, ...) &primitives::name,
#include "ops/elementwise.def"
  };
  chosen_rows = HWY_DYNAMIC_DISPATCH(rows)().data();
  register_rows(table, std::make_index_sequence<std::size(table)>());
  handful::over_elements = [](int64_t total, void (*body)(const void*, int64_t, int64_t),
                              const void* context) {
    parallel_elements(total, [&](int64_t begin, int64_t end) { body(context, begin, end); });
  };
  const TileRow* row = chosen_rows;
#define UNARY(name, ...) handful::tiles<primitives::name> = row++->tiles.data();
#define BINARY UNARY
#define TERNARY UNARY
#include "ops/elementwise.def"
}

}  // namespace tidu::cpu
#endif
