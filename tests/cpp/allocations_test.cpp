// What a call takes from the heap: its results, their links, and what a tape keeps. Nothing else; and less
// where the thread has kept what it freed (base/pooled.h).
// Not under sanitizers, which bring an operator new of their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "ops/attention.h"
#include "tidu.h"

namespace {

std::atomic<int64_t> allocations{0};

void* allocate(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// GCC takes free for a mismatch, not knowing that new is aligned_alloc here.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

// The library's calls come here, too: its reference is resolved in the program first.
void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new[](std::size_t bytes) { return allocate(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace tidu {
namespace {

constexpr int kView = 1;             // a tensor
constexpr int kResult = kView + 1;   // a tensor and its storage; the elements are the device's memory
constexpr int kLink = 1;             // what a tape knows of a result
constexpr int kTracked = kLink + 1;  // the link, and the node, in which the edges of few inputs lie
constexpr int kEdges = 2;            // of more inputs, and what is kept of those

// Those of one call whose results are kept, and so find no memory of others that went (base/pooled.h).
template <class F> int64_t allocations_of(F&& call) {
  constexpr int kMany = 10000;  // more than is kept of those that went
  std::vector<Tensor> results(kMany + 1);
  for (int i = 0; i < kMany; ++i) results[i] = call();
  const int64_t before = allocations.load();
  results[kMany] = call();
  return allocations.load() - before;
}

// Those of one call after others whose results went.
template <class F> int64_t repeated_allocations_of(F&& call) {
  for (int i = 0; i < 10; ++i) call();
  const int64_t before = allocations.load();
  call();
  return allocations.load() - before;
}

class Allocations : public ::testing::Test {
 protected:
  const Tensor x = ones({4, 8}), y = ones({4, 8});
  Tensor w = ones({4, 8}).set_requires_grad();
};

TEST_F(Allocations, AreCounted) {
  EXPECT_EQ(allocations_of([&] { return x.view(x.shape(), x.strides(), 0); }), kView);
  EXPECT_EQ(allocations_of([&] { return Tensor::empty({4, 8}, DType::float32); }), kResult);
}

TEST_F(Allocations, OfKernels) {
  EXPECT_EQ(allocations_of([&] { return x + y; }), kResult);
  EXPECT_EQ(allocations_of([&] { return sin(x); }), kResult);
  EXPECT_EQ(allocations_of([&] { return sum(x, Axes{0}); }), kResult);
  EXPECT_EQ(allocations_of([&] { return astype(x, DType::float64); }), kResult);
  EXPECT_EQ(allocations_of([&] { return zeros({4, 8}); }), kResult);
}

TEST_F(Allocations, OfViews) {
  EXPECT_EQ(allocations_of([&] { return reshape(x, {32}); }), kView);
  EXPECT_EQ(allocations_of([&] { return select(x, 0, 1); }), kView);
  EXPECT_EQ(allocations_of([&] { return slice_axis(x, 1, 2, 6, 2); }), kView);
  EXPECT_EQ(allocations_of([&] { return matrix_transpose(x); }), kView);
  EXPECT_EQ(allocations_of([&] { return broadcast_to(x, {3, 4, 8}); }), kView);
  EXPECT_EQ(allocations_of([&] { return expand_dims(x, 1); }), kView);
  EXPECT_EQ(allocations_of([&] { return stop_gradient(x); }), kView);
}

TEST_F(Allocations, OfTrackedCalls) {
  EXPECT_EQ(allocations_of([&] { return w + y; }), kResult + kTracked);
  const int kept_leaf = 2;  // the leaf and its link, without the grad that these own
  EXPECT_EQ(allocations_of([&] { return w * w; }), kResult + kTracked + 2 * kept_leaf);
  const Tensor condition = x > 0;
  EXPECT_EQ(allocations_of([&] { return where(condition, w, y); }), kResult + kTracked + kEdges);
  EXPECT_EQ(allocations_of([&] { return sin(w); }), kResult + kTracked + kept_leaf);
  const Tensor v = w + y;
  EXPECT_EQ(allocations_of([&] { return v * v; }), kResult + kTracked) << "the inputs are shared";
  const int kept_output = 2;  // the list of outputs, and the output without its link
  EXPECT_EQ(allocations_of([&] { return exp(w); }), kResult + kTracked + kept_output);
  const int kept_call = 2;  // the attributes, and the layout of the input
  EXPECT_EQ(allocations_of([&] { return reshape(w, {32}); }), kView + kTracked + kept_call);
  EXPECT_EQ(allocations_of([&] { return select(w, 0, 1); }), kView + kTracked + kept_call);
}

TEST_F(Allocations, OfCallsInsideTransforms) {
  int64_t tracked = 0, constant = 0, twice = 0;
  grad([&](const Tensor& a) {
    tracked = allocations_of([&] { return sin(a); });
    constant = allocations_of([&] { return sin(y); });
    return sum(a);
  })(x);
  EXPECT_EQ(tracked, kResult + kTracked);
  EXPECT_EQ(constant, kResult);

  grad([&](const Tensor& a) {
    const auto inner = [&](const Tensor& b) {
      twice = allocations_of([&] { return b + b; });
      return sum(b * b);
    };
    return sum(grad(inner)(a));
  })(x);
  EXPECT_EQ(twice, kResult + 2 * kTracked) << "two tapes";
}

TEST_F(Allocations, OfCallsWhoseResultsGo) {
  EXPECT_EQ(repeated_allocations_of([&] { return x + y; }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return x + 1; }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return where(true, x, y); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return select(x, 0, 1); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return w + y; }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return matmul(x, matrix_transpose(y)); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return softmax(x); }), 0);
  const Tensor row = ones({8}), at = tensor<int64_t>({0, 2}), rows = ones({2, 8});
  EXPECT_EQ(repeated_allocations_of([&] { return layer_norm(x, {8}, row, row, 1e-5); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return scatter_add(x, at, rows, 0); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return take(x, at, 0); }), 0);
  Tensor place = ones({4, 8});
  EXPECT_EQ(repeated_allocations_of([&] { assign(place, y); }), 0);
  const Tensor along = tensor<int64_t>({7, 0, 3, 3}, {4, 1}), column = ones({4, 1});
  EXPECT_EQ(repeated_allocations_of([&] { return take_along_axis(x, along, 1); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return put_along_axis(x, along, column, 1); }), 0);
  const Tensor one = ones({});
  EXPECT_EQ(repeated_allocations_of([&] { return item<bool>(one) ? item<double>(one) : 0; }), 0);
}

TEST_F(Allocations, OfContractionsWhoseResultsGo) {
  const std::string chain = "ij,jk->ik", diagonal = "...ii,i", long_one = "...ij, ...jk -> ...ki";
  const Tensors two{x, matrix_transpose(y)}, square{ones({3, 4, 4}), ones({4})};
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::einsum(chain, two); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::einsum(long_one, two); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::einsum(diagonal, square); }), 0);
}

TEST_F(Allocations, OfCompositesWhoseResultsGo) {
  const Tensor a = ones({2, 5, 5}) + 4 * eye(5, 5), b = ones({5, 3}), z = astype(x, DType::complex64);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::det(a); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::slogdet(a); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::adjugate(a); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::matrix_exp(a); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::cross(b, b, 1); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::qr(b, true); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::svd(b, true); }), 0);
  for (const double order : {0.0, 1.0, 2.0, 3.0, double{INFINITY}})
    EXPECT_EQ(repeated_allocations_of([&] { return linalg::vector_norm(x, std::nullopt, false, order); }), 0)
        << order;
  EXPECT_EQ(repeated_allocations_of([&] { return nanmean(x, Axes{0}); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return nanmean(ones({300000}), Axes{0}); }), 0) << "in parts";
  EXPECT_EQ(repeated_allocations_of([&] { return z * 2 * z; }), 0);
  const int shown = 2;  // the lists of parts that kernels are shown in place of complex inputs and outputs
  EXPECT_EQ(repeated_allocations_of([&] { return z + 1; }), shown);
  const Tensors chain{x, matrix_transpose(y), x, matrix_transpose(y)};
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::multi_dot(chain); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return stack({x, y}, 0) + concat({x, y, x, y}, 0)[0]; }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return quantile(x, tensor<double>({0.1, 0.9}), Axes{1}); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return sort(x, 1); }), 0);
  const int given = 1;  // the list of results
  EXPECT_EQ(repeated_allocations_of([&] { return nonzero(x); }), given);
}

// Whatever the number of calls that it goes by.
TEST_F(Allocations, OfBackward) {
  const auto walk = [&](int length, const auto& f) {
    const auto walked = [&] {
      Tensor value = w;
      for (int i = 0; i < length; ++i) value = f(value);
      value = sum(value);
      const int64_t before = allocations.load();
      value.backward();
      return allocations.load() - before;
    };
    for (int i = 0; i < 5; ++i) walked();
    return walked();
  };
  const auto grows = [&](const auto& f) { return walk(7, f) - walk(3, f); };
  EXPECT_EQ(grows([](const Tensor& value) { return sin(value); }), 0);
  EXPECT_EQ(grows([](const Tensor& value) { return value * value; }), 0) << "values with two consumers";
  EXPECT_EQ(grows([&](const Tensor& value) { return value + w; }), 0) << "a leaf with many";
  EXPECT_EQ(grows([](const Tensor& value) { return reshape(value, {8, 4}); }), 0);
  const int waiting = 2;  // the list of slices of one value, as it grows
  EXPECT_EQ(grows([](const Tensor& value) { return value + value[0] * value[2]; }), 4 * waiting);
  const int given = 1;  // the list of cotangents that a rule by hand gives
  EXPECT_EQ(grows([](const Tensor& value) { return softmax(value); }), 4 * given);
}

TEST_F(Allocations, OfForwardMode) {
  const int given = 1;  // the list of tangents that a rule gives
  jvp(
      [&](const Tensors& in) {
        const Tensor& value = in[0];
        EXPECT_EQ(repeated_allocations_of([&] { return sin(value); }), given);
        EXPECT_EQ(repeated_allocations_of([&] { return value * value; }), given);
        EXPECT_EQ(repeated_allocations_of([&] { return matmul(value, matrix_transpose(y)); }), given);
        EXPECT_EQ(repeated_allocations_of([&] { return select(value, 0, 1); }), given);
        return in;
      },
      {x}, {y});
}

TEST_F(Allocations, OfProgramsWhateverTheirLength) {
  const Tensors arguments{x, y};
  const auto taken_by = [&](int length) {
    const Program program = record(
        [&](const Tensors& in) {
          Tensor value = in[0];
          for (int i = 0; i < length; ++i) value = sin(value) * in[1];
          return Tensors{value};
        },
        arguments);
    return repeated_allocations_of([&] { return program(arguments); });
  };
  const int lists = 3;  // of its values, of when they are used last, and of results
  EXPECT_EQ(taken_by(2), lists);
  EXPECT_EQ(taken_by(20), lists);
}

TEST_F(Allocations, OfLayersWhoseResultsGo) {
  const Tensors both{x, y};
  const Tensor mean = zeros({8}), variance = ones({8}), labels = tensor<int64_t>({0, 1, 2, 3});
  Tensor running_mean = mean, running_variance = variance;
  EXPECT_EQ(repeated_allocations_of([&] {
              return nn::batch_norm(x, running_mean, running_variance, variance, mean, {.training = true});
            }),
            0);
  EXPECT_EQ(repeated_allocations_of([&] { return softmax_cross_entropy(x, labels); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return concat(both, 0); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return stack(both, 0); }), 0);
  const Tensor weight = ones({3, 8}), bias = ones({3});
  EXPECT_EQ(repeated_allocations_of([&] { return linear(x, weight, bias); }), 0);
  const Tensor lines = ones({2, 4, 9}), kernel = ones({3, 4, 2});
  EXPECT_EQ(repeated_allocations_of([&] { return nn::convolution(1, lines, kernel, bias); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return scaled_dot_product_attention(lines, lines, lines); }), 0);
  const Tensor channels = ones({4});
  EXPECT_EQ(repeated_allocations_of([&] { return batch_norm(lines, channels, channels); }), 0);
  const Tensor square = ones({3, 64, 64});
  EXPECT_EQ(repeated_allocations_of([&] { return matmul(square, matrix_transpose(square)); }), 0)
      << "products by a transpose";
}

TEST_F(Allocations, OfFactorsThatGo) {
  const Tensor a = ones({2, 5, 5}) + 4 * eye(5, 5);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::cholesky(a); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::lu_factor(a); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::solve_triangular(a, a); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::qr(a); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return linalg::svd(a); }), 0);
  EXPECT_EQ(repeated_allocations_of([&] { return argsort(x); }), 0);
}

}  // namespace
}  // namespace tidu

#endif
