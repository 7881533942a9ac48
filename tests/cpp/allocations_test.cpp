// What a call takes from the heap: its results, their links, and what a tape keeps. Nothing else; and less
// where the thread has kept what it freed (base/pooled.h).
// Not under sanitizers, which bring an operator new of their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

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

constexpr int kView = 1;            // a tensor
constexpr int kResult = kView + 1;  // a tensor and its storage; elements are the device's memory
constexpr int kLink = 1;            // what a tape knows of a result
constexpr int kNode = 2;            // what a tape keeps of a call: the node, and its edges
constexpr int kTracked = kLink + kNode;

// Those of one call, when everything that is made once has been made.
template <class F> int64_t allocations_of(F&& call) {
  for (int i = 0; i < 3; ++i) call();
  const int64_t before = allocations.load();
  const Tensor result = call();
  return allocations.load() - before;
}

class Allocations : public ::testing::Test {
 protected:
  const Tensor x = ones({4, 8}), y = ones({4, 8});
};

TEST_F(Allocations, AreCounted) {
  const auto large = [] {
    const std::vector<int> memory(1000);
    return full({}, memory.data() != nullptr, DType::bool_);
  };
  EXPECT_GE(allocations_of(large), 1);
  EXPECT_LE(allocations_of([&] { return x.view(x.shape(), x.strides(), 0); }), kView);
  EXPECT_LE(allocations_of([&] { return Tensor::empty({4, 8}, DType::float32); }), kResult);
}

TEST_F(Allocations, OfElementwiseCalls) {
  EXPECT_LE(allocations_of([&] { return x + y; }), kResult);
  EXPECT_LE(allocations_of([&] { return sin(x); }), kResult);
  EXPECT_LE(allocations_of([&] { return where(true, x, y); }), kResult + kResult) << "and of the number";
  EXPECT_LE(allocations_of([&] { return x + 1; }), kResult + kResult) << "and of the number";
}

TEST_F(Allocations, OfOtherKernels) {
  EXPECT_LE(allocations_of([&] { return sum(x, Axes{0}); }), kResult);
  EXPECT_LE(allocations_of([&] { return astype(x, DType::float64); }), kResult);
  EXPECT_LE(allocations_of([&] { return zeros({4, 8}); }), kResult);
}

TEST_F(Allocations, OfViews) {
  EXPECT_LE(allocations_of([&] { return reshape(x, {32}); }), kView);
  EXPECT_LE(allocations_of([&] { return select(x, 0, 1); }), kView);
  EXPECT_LE(allocations_of([&] { return slice_axis(x, 1, 2, 6, 2); }), kView);
  EXPECT_LE(allocations_of([&] { return matrix_transpose(x); }), kView);
  EXPECT_LE(allocations_of([&] { return broadcast_to(x, {3, 4, 8}); }), kView);
  EXPECT_LE(allocations_of([&] { return expand_dims(x, 1); }), kView);
  EXPECT_LE(allocations_of([&] { return stop_gradient(x); }), kView);
}

TEST_F(Allocations, OfTrackedCalls) {
  Tensor w = ones({4, 8});
  w.set_requires_grad();
  EXPECT_LE(allocations_of([&] { return w + y; }), kResult + kTracked);
  EXPECT_LE(allocations_of([&] { return w * w; }), kResult + kTracked) << "the inputs are shared";
  EXPECT_LE(allocations_of([&] { return sin(w); }), kResult + kTracked);
  const int kept_output = 2;  // the list of outputs, and the output without its link
  EXPECT_LE(allocations_of([&] { return exp(w); }), kResult + kTracked + kept_output);
  const int kept_layout = 2;  // the attributes, and the layout of the input
  EXPECT_LE(allocations_of([&] { return reshape(w, {32}); }), kView + kTracked + kept_layout);
  EXPECT_LE(allocations_of([&] { return select(w, 0, 1); }), kView + kTracked + kept_layout);
}

TEST_F(Allocations, OfCallsInsideTransforms) {
  int64_t tracked = 0, constant = 0, second = 0;
  const auto f = [&](const Tensor& a) {
    tracked = allocations_of([&] { return sin(a); });
    constant = allocations_of([&] { return sin(y); });
    return sum(a);
  };
  grad(f)(x);
  EXPECT_LE(tracked, kResult + kTracked);
  EXPECT_LE(constant, kResult);

  const auto g = [&](const Tensor& a) {
    second = allocations_of([&] { return a + a; });
    return sum(a * a);
  };
  grad([&](const Tensor& a) { return sum(grad(g)(a)); })(x);
  EXPECT_LE(second, kResult + 2 * kTracked) << "two tapes";
}

}  // namespace
}  // namespace tidu

#endif
