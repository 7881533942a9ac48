// The operations of device cuda that treat elements one by one, against the cpu's: every row and dtype, every
// layout, sizes round the borders of vectors, tiles and blocks.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "backend/backend.h"
#include "core/bind.h"
#include "cuda/driver.h"
#include "ops/assign.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/update.h"

namespace tidu {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};
constexpr DType kAllTypes[] = {DType::bool_,    DType::int8,    DType::int16,  DType::int32,  DType::int64,
                               DType::uint8,    DType::uint16,  DType::uint32, DType::uint64, DType::float16,
                               DType::bfloat16, DType::float32, DType::float64};

// Numbers of a dtype from a key: floats of [-4, 4], integers of all sizes.
Tensor random_tensor(const Shape& shape, DType dtype, uint64_t seed = 1) {
  const Tensor key = random_key(seed);
  if (dtype == DType::bool_) return random_bernoulli(key, 0.5, shape);
  if (is_floating(dtype)) return random_uniform(key, shape, -4, 4, dtype);
  const Tensor bits =
      astype(bind(primitives::random_bits, {key}, RandomAttrs{shape, DType::uint64}), DType::int64);
  // Half of them small, so that they meet as shifts, exponents and equal numbers.
  const Tensor small = remainder(bits, 19) - (kind_of(dtype) == Kind::signed_integer ? 9 : 0);
  return where(random_bernoulli(random_key(seed + 100), 0.5, shape), astype(small, dtype),
               remainder(astype(bitwise_and(bits, INT64_MAX), dtype), 101));
}

std::vector<char> bytes_of(const Tensor& x) {
  std::vector<char> bytes(x.nbytes());
  copy_to_host(x, bytes.data());
  return bytes;
}

// A NaN is the same as any other: processors differ in the bits that they make.
::testing::AssertionResult same_bits(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype())
    return ::testing::AssertionFailure() << describe(a) << " and " << describe(b);
  const std::vector<char> x = bytes_of(a), y = bytes_of(b);
  const size_t size = size_of(a.dtype());
  for (size_t i = 0; i < x.size(); i += size) {
    if (std::memcmp(&x[i], &y[i], size) != 0) {
      const auto number = [&](const Tensor& t) { return to_vector<double>(to(t, Device{}))[i / size]; };
      if (std::isnan(number(a)) && std::isnan(number(b))) continue;
      return ::testing::AssertionFailure()
             << describe(a) << ": element " << i / size << " is " << number(a) << " and " << number(b);
    }
  }
  return ::testing::AssertionSuccess();
}

// Floats within a few units of the last place, NaN where the other is; of `terms`, where larger ones cancel.
::testing::AssertionResult close(const Tensor& a, const Tensor& b, std::span<const double> terms = {}) {
  if (!is_floating(a.dtype())) return same_bits(a, b);
  const double unit = a.dtype() == DType::float64   ? 0x1p-52
                      : a.dtype() == DType::float32 ? 0x1p-23
                      : a.dtype() == DType::float16 ? 0x1p-10
                                                    : 0x1p-7;
  const auto x = to_vector<double>(to(a, Device{})), y = to_vector<double>(to(b, Device{}));
  for (size_t i = 0; i < x.size(); ++i) {
    const bool same = x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]));
    const double largest = std::max({1.0, std::fabs(y[i]), terms.empty() ? 0 : std::fabs(terms[i])});
    if (!same && !(std::fabs(x[i] - y[i]) <= 4 * unit * largest))
      return ::testing::AssertionFailure()
             << describe(a) << ": element " << i << " is " << x[i] << " and " << y[i];
  }
  return ::testing::AssertionSuccess();
}

// The same view of a base tensor on both devices.
using Layout = std::function<Tensor(DType, Device, uint64_t seed)>;
Layout layout(const Shape& base, const std::function<Tensor(const Tensor&)>& view) {
  return [=](DType dtype, Device device, uint64_t seed) {
    return view(to(random_tensor(base, dtype, seed), device));
  };
}

// One shape, (6, 10, 16), laid out in many ways.
const Shape kShape{6, 10, 16};
std::vector<Layout> layouts() {
  const auto broadcast = [](const Tensor& x) { return broadcast_to(x, kShape); };
  return {
      layout({6, 10, 16}, [](const Tensor& x) { return x; }),
      layout({16, 10, 6},
             [](const Tensor& x) {
               return permute_dims(x, {2, 1, 0});
             }),
      layout({10, 6, 16},
             [](const Tensor& x) {
               return permute_dims(x, {1, 0, 2});
             }),
      layout({10, 1}, broadcast),
      layout({16}, broadcast),
      layout({6, 1, 16}, broadcast),
      layout({}, broadcast),
      layout({6, 10, 16},
             [](const Tensor& x) {
               return flip(x, {0, 2});
             }),
      layout({13, 10, 36},
             [](const Tensor& x) {
               return slice(x, {1, 0, 31}, kShape, {2, 1, -2});
             }),
      layout({961}, [](const Tensor& x) { return reshape(slice_axis(x, 0, 1, {}), kShape); }),  // unaligned
  };
}

Tensor compute_row(const ElementwiseRow& row, std::span<const Tensor> x) {
  Tensor y;
  bind(*row.primitive, x, row.attrs, {&y, 1});
  return y;
}

bool computes_in(Types types, DType dtype) {
  switch (types) {
    case Types::floating: return is_floating(dtype);
    case Types::numeric: return dtype != DType::bool_;
    case Types::integral: return !is_floating(dtype);
    case Types::boolean: return dtype == DType::bool_;
    case Types::complex: return is_complex(dtype);
    default: return true;
  }
}

// Inputs of a row: its k-th in layout (k + shift), the condition of a choice bool.
Tensors inputs_of(const ElementwiseRow& row, DType dtype, Device device, const std::vector<Layout>& from,
                  size_t shift) {
  Tensors x;
  for (int k = 0; k < row.arity; ++k) {
    const bool condition = row.types == Types::choice && k == 0;
    const Layout& made = from[(shift + 3 * static_cast<size_t>(k)) % from.size()];
    x.push_back(made(condition ? DType::bool_ : dtype, device, static_cast<uint64_t>(k) + 1));
  }
  return x;
}

// digamma is its value at 10 or more, some log(10), less what it grows by up to there, and of x < 0 less
// pi / tan(pi x): they nearly cancel.
std::vector<double> cancelling_terms(const ElementwiseRow& row, const Tensors& x) {
  if (row.primitive->name != std::string_view("digamma")) return {};
  std::vector<double> terms = to_vector<double>(x[0]);
  for (double& term : terms) term = std::log(10) + (term < 0 ? std::fabs(M_PI / std::tan(M_PI * term)) : 0);
  return terms;
}

TEST(CudaPointwise, EveryRowInEveryDType) {
  const std::vector<Layout> plain = {layout({1003}, [](const Tensor& x) { return x; })};
  for (const ElementwiseRow& row : elementwise_table()) {
    for (const DType dtype : kAllTypes) {
      if (!computes_in(row.types, dtype)) continue;
      const Tensors x = inputs_of(row, dtype, {}, plain, 0);
      const Tensor want = compute_row(row, x);
      const Tensor got = compute_row(row, inputs_of(row, dtype, kCuda, plain, 0));
      EXPECT_EQ(got.device(), kCuda);
      EXPECT_TRUE(close(got, want, cancelling_terms(row, x))) << row.primitive->name;
    }
  }
}

TEST(CudaPointwise, ElementwiseOverLayouts) {
  const std::vector<Layout> all = layouts();
  const std::set<std::string> names{"negative", "isnan", "add", "less", "where", "leaky_relu"};
  for (const ElementwiseRow& row : elementwise_table()) {
    if (!names.contains(row.primitive->name)) continue;
    for (const DType dtype : kAllTypes) {
      if (!computes_in(row.types, dtype)) continue;
      for (size_t shift = 0; shift < all.size(); ++shift) {
        EXPECT_TRUE(same_bits(compute_row(row, inputs_of(row, dtype, kCuda, all, shift)),
                              compute_row(row, inputs_of(row, dtype, {}, all, shift))))
            << row.primitive->name << " from layout " << shift;
      }
    }
  }
}

TEST(CudaPointwise, ElementwiseRoundTheBordersOfVectorsAndBlocks) {
  for (const DType dtype : {DType::int8, DType::float16, DType::float32, DType::float64}) {
    for (const int64_t n :
         {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049, 5000}) {
      for (const int64_t offset : {0, 1, 4}) {
        const Tensor a = random_tensor({n + offset}, dtype, 3), b = random_tensor({n}, dtype, 4);
        const auto compute = [&](Device device) {
          return add(slice_axis(to(a, device), 0, offset, {}), to(b, device));
        };
        EXPECT_TRUE(same_bits(compute(kCuda), compute({}))) << n << " elements from " << offset;
      }
    }
  }
}

TEST(CudaPointwise, LargeTransposedOperands) {
  for (const DType dtype : {DType::int8, DType::float32, DType::float64}) {
    const Tensor a = random_tensor({200, 150}, dtype, 3), b = random_tensor({150, 200}, dtype, 4);
    const auto compute = [&](Device device) { return less(matrix_transpose(to(a, device)), to(b, device)); };
    EXPECT_TRUE(same_bits(compute(kCuda), compute({})));
  }
}

// A number goes to the kernel by value: alone, in a vector, with an odd rest, and beside a transposed
// operand.
TEST(CudaPointwise, NumbersAreOperands) {
  for (const DType dtype : kAllTypes) {
    for (const Shape& shape : {Shape{}, Shape{7}, Shape{1024}, Shape{1003}, Shape{70, 41}}) {
      const Tensor x = random_tensor(shape, dtype), mask = random_tensor(shape, DType::bool_, 2);
      const auto results = [&](Device device) -> Tensors {
        const Tensor here = to(x, device), c = to(mask, device);
        const Tensor across = shape.size() == 2 ? matrix_transpose(copy(matrix_transpose(here))) : here;
        return {here + 3, 3 - astype(here, DType::float32), less(2, here), where(c, across, 5),
                where(c, 1, 5)};
      };
      const Tensors want = results({}), have = results(kCuda);
      for (size_t i = 0; i < want.size(); ++i)
        EXPECT_TRUE(same_bits(have[i], want[i])) << dtype << shape << " result " << i;
    }
  }
}

// Nor does it take memory, unless an operation of another kind reads it.
TEST(CudaPointwise, NumbersHaveNoMemory) {
  const Tensor x = to(random_tensor({5}, DType::float32), kCuda);
  const auto allocations = [] { return backend(kCuda).allocator(0).stats().allocations; };
  const int64_t before = allocations();
  const Tensor y = x * 2;
  EXPECT_EQ(allocations() - before, 1);
  const int32_t seven = 7;
  const Tensor number = Tensor::number(&seven, DType::int32, kCuda);
  EXPECT_EQ(to_vector<int32_t>(number), std::vector<int32_t>{7});
  EXPECT_EQ(to_vector<int64_t>(sum(broadcast_to(number, {3, 4}))), std::vector<int64_t>{84});
  EXPECT_EQ(to_vector<int32_t>(concat({number.view({1}, {0}, 0), number.view({2}, {0}, 0)}, 0)),
            (std::vector<int32_t>{7, 7, 7}));
  EXPECT_EQ(to_vector<int32_t>(to(number, kCuda)), std::vector<int32_t>{7});
}

// Values at which conversions differ from plain ones.
Tensor edges(DType dtype) {
  if (dtype == DType::bool_) return tensor<bool>({true, false});
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> values{0,
                             -0.0,
                             0.5,
                             -0.5,
                             1,
                             -1,
                             1.5,
                             127,
                             128,
                             -128,
                             -129,
                             255,
                             256,
                             2049,
                             32767,
                             32768,
                             65504,
                             65519.99,
                             65520,
                             65535,
                             65536,
                             16777217,
                             2147483647,
                             2147483648,
                             4294967295,
                             4294967296,
                             9007199254740992.0,
                             9223372036854775807.0,
                             18446744073709551615.0,
                             1e-8,
                             5.9e-8,
                             1e30,
                             1e300,
                             infinity,
                             -infinity,
                             NAN};
  if (!is_floating(dtype)) {
    Tensor x =
        astype(tensor<double>(std::span<const double>(values), {static_cast<int64_t>(values.size())}), dtype);
    return concat({x, x - 1, x + 1}, 0);
  }
  return astype(tensor<double>(std::span<const double>(values), {static_cast<int64_t>(values.size())}),
                dtype);
}

TEST(CudaPointwise, ConversionsBetweenAllDTypes) {
  for (const DType from : kAllTypes) {
    for (const Tensor& x : {edges(from), random_tensor({301}, from), Tensor(random_tensor({0}, from))}) {
      for (const DType target : kAllTypes) {
        const Tensor moved = to(x, kCuda);
        EXPECT_TRUE(same_bits(astype(moved, target), astype(x, target))) << from << " to " << target;
        if (x.numel() == 0) continue;
        EXPECT_TRUE(same_bits(astype(flip(moved, {0}), target), astype(flip(x, {0}), target)))
            << from << " to " << target;
      }
    }
  }
}

TEST(CudaPointwise, CopiesOfEveryLayout) {
  for (const DType dtype : {DType::uint8, DType::float16, DType::float32, DType::int64}) {
    for (const Layout& make : layouts())
      EXPECT_TRUE(same_bits(copy(make(dtype, kCuda, 1)), copy(make(dtype, {}, 1))));
    for (const int64_t rows : {1, 4, 31, 32, 33, 40, 70}) {
      for (const int64_t columns : {1, 16, 32, 45, 64, 65}) {
        for (const Shape& shape : {Shape{3, rows, columns, 2}, Shape{2, rows, 3, columns}}) {
          const Tensor x = random_tensor(shape, dtype), there = to(x, kCuda);
          for (const Axes& axes : {Axes{0, 2, 1, 3}, Axes{2, 1, 0, 3}, Axes{3, 2, 1, 0}, Axes{1, 3, 2, 0},
                                   Axes{3, 0, 2, 1}, Axes{0, 3, 2, 1}}) {
            const Tensor want = copy(permute_dims(x, axes)), got = permute_dims(there, axes);
            EXPECT_TRUE(same_bits(copy(got), want)) << shape << " in the order " << axes;
            EXPECT_TRUE(same_bits(copy(flip(got, {0, 3})), copy(flip(want, {0, 3}))));
          }
        }
      }
    }
  }
}

TEST(CudaPointwise, AssignsToViewsAlone) {
  for (const DType dtype : {DType::bool_, DType::bfloat16, DType::float32, DType::float64}) {
    const Tensor x = random_tensor({40, 50}, dtype, 1), value = random_tensor({20, 16}, dtype, 2);
    const auto compute = [&](Device device) {
      Tensor target = copy(to(x, device));
      assign_slice(target, to(value, device), {1, 45}, {20, 16}, {2, -3});
      Tensor columns = matrix_transpose(target);
      assign_slice(columns, broadcast_to(slice_axis(to(value, device), 0, 3, 4), {50, 16}), {0, 2}, {50, 16},
                   {1, 2});
      return target;
    };
    EXPECT_TRUE(same_bits(compute(kCuda), compute({})));
  }
}

TEST(CudaPointwise, ConcatenatesAndUpdatesSlices) {
  for (const DType dtype : {DType::int8, DType::float16, DType::float32, DType::float64}) {
    const Tensor a = random_tensor({3, 5, 7}, dtype, 1), b = random_tensor({7, 2, 3}, dtype, 2),
                 c = random_tensor({3, 0, 7}, dtype, 3);
    const auto join = [&](Device device) {
      return concat({to(a, device), permute_dims(to(b, device), {2, 1, 0}), to(c, device)}, 1);
    };
    EXPECT_TRUE(same_bits(join(kCuda), join({})));
    const auto update = [&](Device device) {
      return slice_update(to(a, device), flip(slice_axis(to(a, device), 0, 0, 2), {1}), {2, 0, 0},
                          {-2, 1, 1});
    };
    EXPECT_TRUE(same_bits(update(kCuda), update({})));
    const auto padded = [&](Device device) { return pad(to(a, device), {1, 0, 2}, {0, 3, 1}); };
    EXPECT_TRUE(same_bits(padded(kCuda), padded({})));
  }
}

TEST(CudaPointwise, FillsAndCounts) {
  const auto expect_same = [](const auto& make) {
    Tensor expected;
    try {
      expected = make(Device{});
    } catch (const ValueError&) {  // numbers that do not fit the dtype
      EXPECT_THROW(make(kCuda), ValueError);
      return;
    }
    EXPECT_TRUE(same_bits(make(kCuda), expected));
  };
  for (const DType dtype : kAllTypes) {
    for (const int64_t n : {0, 1, 5, 16, 1023, 4097}) {
      for (const Scalar& value : {Scalar(1), Scalar(0), Scalar(100.75), Scalar(-3.5), Scalar(NAN)}) {
        expect_same([&](Device device) { return full({n}, value, dtype, device); });
      }
      expect_same([&](Device device) { return arange(n, dtype, device); });
      expect_same([&](Device device) { return arange(7, 7 + 3 * n, 3, dtype, device); });
      const double stop = 0.3 - 0.7 * static_cast<double>(n);
      expect_same([&](Device device) { return arange(0.3, stop, -0.7, dtype, device); });
    }
  }
}

TEST(CudaPointwise, TakesAndScatters) {
  for (const DType dtype : kAllTypes) {
    for (const int axis : {0, 1, 2}) {
      for (const Shape& shape : {Shape{5, 7, 16}, Shape{4, 3, 5}, Shape{1, 33, 1}, Shape{300, 1, 2}}) {
        const int64_t extent = shape[axis];
        for (const int64_t count : {0, 1, 6, 300}) {
          const Tensor indices = random_integers(random_key(9), {count, 2}, -extent, extent);
          const Tensor x = random_tensor(shape, dtype);
          const auto taken = [&](Device device) { return take(to(x, device), to(indices, device), axis); };
          EXPECT_TRUE(same_bits(taken(kCuda), taken({})));
          const Tensor updates = random_tensor(taken({}).shape(), dtype, 5);
          for (const auto scatter : {scatter_add, scatter_multiply, scatter_min, scatter_max}) {
            if (dtype == DType::bool_) continue;
            const auto scattered = [&](Device device) {
              return scatter(to(x, device), to(indices, device), to(updates, device), axis);
            };
            EXPECT_TRUE(same_bits(scattered(kCuda), scattered({}))) << describe(updates) << " along " << axis;
          }
          const auto put = [&](Device device) {
            return scatter_set(to(x, device), to(indices, device), to(updates, device), axis);
          };
          EXPECT_TRUE(same_bits(put(kCuda), put({}))) << describe(updates) << " along " << axis;
        }
      }
    }
  }
  const Tensor x = random_tensor({6, 5, 8}, DType::float32),
               indices = random_integers(random_key(2), {4, 3}, 0, 5);
  const auto views = [&](Device device) {
    const Tensor strided = flip(permute_dims(to(x, device), {2, 1, 0}), {0});
    return take(strided, matrix_transpose(to(indices, device)), 1);
  };
  EXPECT_TRUE(same_bits(views(kCuda), views({})));
}

TEST(CudaPointwise, WrongIndicesAreErrors) {
  const Tensor x = to(arange(10, DType::float32), kCuda), index = to(tensor<int64_t>({3, 10, -11}), kCuda);
  const Tensor none = zeros({0}, DType::float32, kCuda), zero = zeros({1}, DType::int64, kCuda);
  for (const auto& call :
       {std::function([&] { return take(x, index, 0); }), std::function([&] { return take(none, zero, 0); }),
        std::function([&] { return scatter_add(x, index, slice_axis(x, 0, 0, 3), 0); })}) {
    EXPECT_THROW(to_vector<float>(call()), IndexError);
    EXPECT_EQ(to_vector<float>(x)[9], 9);  // the device goes on
  }
  EXPECT_THROW((take(zeros({3, 0}, DType::float32, kCuda), index, 0), cuda::synchronize()), IndexError);
  Tensor y = zeros({10}, DType::float32, kCuda);
  assign_points(y, ones({3}, DType::float32, kCuda), {index}, {{0}, {}, 0});
  EXPECT_THROW(cuda::synchronize(), IndexError);
  EXPECT_EQ(to_vector<float>(y), std::vector<float>(10, 0));  // nothing was written
}

TEST(CudaPointwise, RandomNumbersAreTheCpus) {
  const Tensor key = random_key(0x123456789abcdef0), there = to(key, kCuda);
  for (const int64_t n : {0, 1, 2, 3, 4, 5, 1023, 1024, 1025, 5001}) {
    for (const auto& [primitive, dtype] : {std::pair{&primitives::random_bits, DType::uint32},
                                           {&primitives::random_bits, DType::uint64},
                                           {&primitives::random_uniform, DType::float32},
                                           {&primitives::random_uniform, DType::float64},
                                           {&primitives::random_normal, DType::float32},
                                           {&primitives::random_normal, DType::float64}}) {
      const RandomAttrs attrs{Shape{n}, dtype};
      EXPECT_TRUE(same_bits(bind(*primitive, {there}, attrs), bind(*primitive, {key}, attrs)))
          << primitive->name << " " << dtype << " " << n;
    }
    EXPECT_TRUE(same_bits(random_permutation(there, n), random_permutation(key, n)));
  }
  EXPECT_TRUE(same_bits(random_normal(flip(there, {0}), {9}), random_normal(flip(key, {0}), {9})));
}

// Parameters of all floating-point dtypes, some unaligned, two of several blocks; more than a launch's table
// holds.
Tensors parameters(uint64_t seed, Device device) {
  Tensors result;
  for (uint64_t i = 0; i < 90; ++i) {
    const DType dtype = i % 9 == 0   ? DType::float16
                        : i % 9 == 1 ? DType::bfloat16
                        : i % 9 == 2 ? DType::float64
                                     : DType::float32;
    const int64_t n = i == 40 || i == 41 ? 20000 : static_cast<int64_t>(i * i % 37);
    const Tensor x = to(abs(random_tensor({n + 1}, dtype, seed * 1000 + i)), device);
    result.push_back(slice_axis(x, 0, i % 2, n + static_cast<int64_t>(i % 2)));
  }
  return result;
}

void expect_same_updates(const Primitive& primitive, const Attrs& attrs, int groups) {
  Tensors states[2];
  for (const Device device : {Device{}, kCuda}) {
    Tensors& state = states[device == kCuda];
    for (int k = 0; k + 1 < groups; ++k) {
      for (const Tensor& x : parameters(static_cast<uint64_t>(k) + 1, device))
        state.push_back(k == 0 ? x : astype(x, state_dtype(x.dtype())));
    }
    apply_update(primitive, state, parameters(9, device), attrs);
  }
  for (size_t i = 0; i < states[0].size(); ++i)
    EXPECT_TRUE(same_bits(states[1][i], states[0][i])) << primitive.name << " " << i;
}

TEST(CudaPointwise, UpdatesAreTheCpus) {
  const int n = 90;
  expect_same_updates(primitives::sgd_update, SgdAttrs{n, 0.1, 0, 0.01, false, true}, 2);
  for (const bool nesterov : {false, true}) {
    for (const bool first : {false, true})
      expect_same_updates(primitives::sgd_update, SgdAttrs{n, 0.1, 0.9, 0.01, nesterov, first}, 3);
  }
  for (const bool decoupled : {false, true})
    expect_same_updates(primitives::adam_update, AdamAttrs{n, 0.01, 0.9, 0.99, 1e-8, 0.1, decoupled, 3}, 4);
  expect_same_updates(primitives::rmsprop_update, RmspropAttrs{n, 0.01, 0.9, 1e-8, 0.1, 0}, 3);
  expect_same_updates(primitives::rmsprop_update, RmspropAttrs{n, 0.01, 0.9, 1e-8, 0.1, 0.9}, 4);
}

}  // namespace
}  // namespace tidu
