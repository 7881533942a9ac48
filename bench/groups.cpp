// Groups of pointwise calls beside the same calls one by one and beside loops fused by hand from the same
// formulas. `of_fused` is the ratio of the least times, measured in turns.
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/groups.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include "kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

void tanh_chain(const float* const* x, float* const* y, int64_t n) {
  const hn::ScalableTag<float> d;
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    const auto a = hn::LoadU(d, x[0] + i), b = hn::LoadU(d, x[1] + i), c = hn::LoadU(d, x[2] + i);
    const auto t = math::tanh(d, hn::Add(hn::Mul(a, b), c));
    hn::StoreU(hn::Sub(hn::Mul(t, a), b), d, y[0] + i);
  }
}

void cheap(const float* const* x, float* const* y, int64_t n) {
  const hn::ScalableTag<float> d;
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    const auto a = hn::LoadU(d, x[0] + i), b = hn::LoadU(d, x[1] + i), c = hn::LoadU(d, x[2] + i);
    auto t = hn::Mul(hn::Sub(hn::Mul(hn::Add(a, b), c), a), hn::Set(d, 0.5f));
    t = hn::Add(t, b);
    t = hn::Sub(hn::Mul(t, t), c);
    hn::StoreU(hn::Add(hn::Mul(t, a), hn::Set(d, 1.0f)), d, y[0] + i);
  }
}

// x: p, g, m, v; y: p, m, v.
void adam(const float* const* x, float* const* y, int64_t n) {
  const hn::ScalableTag<float> d;
  const auto times = [&](float a, auto b) { return hn::Mul(hn::Set(d, a), b); };
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    const auto p = hn::LoadU(d, x[0] + i), g = hn::Add(hn::LoadU(d, x[1] + i), times(0.01f, p));
    const auto m = hn::Add(times(0.9f, hn::LoadU(d, x[2] + i)), times(0.1f, g));
    const auto v = hn::Add(times(0.999f, hn::LoadU(d, x[3] + i)), times(0.001f, hn::Mul(g, g)));
    const auto root = hn::Add(hn::Sqrt(times(1.5f, v)), hn::Set(d, 1e-8f));
    hn::StoreU(hn::Sub(p, hn::Div(times(1e-3f, times(1.1f, m)), root)), d, y[0] + i);
    hn::StoreU(m, d, y[1] + i);
    hn::StoreU(v, d, y[2] + i);
  }
}

void sines(const float* const* x, float* const* y, int64_t n) {
  const hn::CappedTag<float, 8> d;
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    auto t = hn::LoadU(d, x[0] + i);
    for (int k = 0; k < 1000; ++k) t = math::sin(d, t);
    hn::StoreU(t, d, y[0] + i);
  }
}

}  // namespace
}  // namespace tidu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <benchmark/benchmark.h>

#include <chrono>
#include <functional>

#include "backend/backend.h"
#include "backend/cpu/threads.h"
#include "tidu.h"

namespace tidu {
namespace {

HWY_EXPORT(tanh_chain);
HWY_EXPORT(cheap);
HWY_EXPORT(adam);
HWY_EXPORT(sines);

using Fused = void (*)(const float* const* x, float* const* y, int64_t n);

// Notes the calls that it is given as steps of a group.
class Recorded {
 public:
  Recorded(int64_t n, int inputs) {
    group_.shape = {n};
    group_.inputs.assign(static_cast<size_t>(inputs), {DType::float32, {1}});
  }
  int number(float value) {
    Group::Input input{DType::float32, {}, std::array<char, 8>{}};
    std::memcpy(input.number->data(), &value, sizeof value);
    group_.inputs.push_back(input);
    return static_cast<int>(group_.inputs.size()) - 1;
  }
  int operator()(const Primitive& primitive, std::vector<int> inputs) {
    group_.steps.push_back({&primitive, {}, DType::float32, std::move(inputs)});
    return static_cast<int>(group_.inputs.size() + group_.steps.size()) - 1;
  }
  void output(int value) { group_.outputs.push_back({value, nullptr, {}, DType::float32}); }
  const Group& group() const { return group_; }

 private:
  Group group_;
};

struct Problem {
  int inputs, outputs;
  Fused fused;
  void (*record)(Recorded& call);
  Tensors (*eager)(const Tensors& x);
};

const Problem kTanhChain{
    3, 1,
    [](auto... x) {
      HWY_DYNAMIC_DISPATCH(tanh_chain)
      (x...);
    },
    [](Recorded& call) {
      const int sum = call(primitives::add, {call(primitives::multiply, {0, 1}), 2});
      call.output(
          call(primitives::subtract, {call(primitives::multiply, {call(primitives::tanh, {sum}), 0}), 1}));
    },
    [](const Tensors& x) -> Tensors { return {tanh(x[0] * x[1] + x[2]) * x[0] - x[1]}; }};

const Problem kCheap{3, 1,
                     [](auto... x) {
                       HWY_DYNAMIC_DISPATCH(cheap)
                       (x...);
                     },
                     [](Recorded& call) {
                       const int half = call.number(0.5f), one = call.number(1);
                       int t = call(primitives::multiply, {call(primitives::add, {0, 1}), 2});
                       t = call(primitives::multiply, {call(primitives::subtract, {t, 0}), half});
                       t = call(primitives::square, {call(primitives::add, {t, 1})});
                       t = call(primitives::multiply, {call(primitives::subtract, {t, 2}), 0});
                       call.output(call(primitives::add, {t, one}));
                     },
                     [](const Tensors& x) -> Tensors {
                       return {(square(((x[0] + x[1]) * x[2] - x[0]) * 0.5 + x[1]) - x[2]) * x[0] + 1};
                     }};

const Problem kAdam{
    4, 3,
    [](auto... x) {
      HWY_DYNAMIC_DISPATCH(adam)
      (x...);
    },
    [](Recorded& call) {
      const float values[] = {0.01f, 0.9f, 0.1f, 0.999f, 0.001f, 1.5f, 1e-8f, 1e-3f, 1.1f};
      int k[9];
      for (int i = 0; i < 9; ++i) k[i] = call.number(values[i]);
      const auto times = [&](int a, int b) { return call(primitives::multiply, {a, b}); };
      const auto plus = [&](int a, int b) { return call(primitives::add, {a, b}); };
      const int g = plus(1, times(k[0], 0));
      const int kept = times(k[1], 2), m = plus(kept, times(k[2], g));
      const int held = times(k[3], 3), v = plus(held, times(k[4], call(primitives::square, {g})));
      const int root = plus(call(primitives::sqrt, {times(k[5], v)}), k[6]);
      const int step = call(primitives::divide, {times(k[7], times(k[8], m)), root});
      call.output(call(primitives::subtract, {0, step}));
      call.output(m);
      call.output(v);
    },
    [](const Tensors& x) -> Tensors {
      const Tensor g = x[1] + 0.01 * x[0], m = 0.9 * x[2] + 0.1 * g, v = 0.999 * x[3] + 0.001 * square(g);
      return {x[0] - 1e-3 * (1.1 * m) / (sqrt(1.5 * v) + 1e-8), m, v};
    }};

const Problem kSines{1, 1,
                     [](auto... x) {
                       HWY_DYNAMIC_DISPATCH(sines)
                       (x...);
                     },
                     [](Recorded& call) {
                       int t = 0;
                       for (int i = 0; i < 1000; ++i) t = call(primitives::sin, {t});
                       call.output(t);
                     },
                     [](const Tensors& x) -> Tensors {
                       Tensor t = x[0];
                       for (int i = 0; i < 1000; ++i) t = sin(t);
                       return {t};
                     }};

template <class F> double seconds(const F& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  benchmark::ClobberMemory();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

enum class Form { eager, group };

void run(benchmark::State& state, const Problem& problem, Form form) {
  const int64_t n = state.range(0);
  cpu::set_num_threads(static_cast<int>(state.range(1)));
  Tensors x, y;
  for (int k = 0; k < problem.inputs; ++k)
    x.push_back(random_uniform(random_key(static_cast<uint64_t>(k)), {n}, 0.1, 1));
  for (int k = 0; k < problem.outputs; ++k) y.push_back(zeros({n}));
  std::vector<const float*> from;
  std::vector<float*> to;
  for (const Tensor& tensor : x) from.push_back(tensor.data<float>());
  for (const Tensor& tensor : y) to.push_back(tensor.data<float>());
  Recorded recorded(n, problem.inputs);
  problem.record(recorded);
  const std::unique_ptr<GroupKernel> kernel = backend(Device{}).prepare(recorded.group());
  std::vector<const void*> inputs(from.begin(), from.end());
  inputs.resize(recorded.group().inputs.size());
  const std::vector<void*> outputs(to.begin(), to.end());
  const std::function<void()> forms[] = {[&] { benchmark::DoNotOptimize(problem.eager(x)); },
                                         [&] { kernel->run(inputs.data(), outputs.data(), nullptr); }};
  // Threads that share the hand-fused loop alike.
  const auto fused = [&] {
    cpu::parallel_ranges(n, (n + state.range(1) - 1) / state.range(1), 4 * n,
                         [&](int64_t begin, int64_t end) {
                           const float* here[4];
                           float* there[3];
                           for (size_t k = 0; k < from.size(); ++k) here[k] = from[k] + begin;
                           for (size_t k = 0; k < to.size(); ++k) there[k] = to[k] + begin;
                           problem.fused(here, there, end - begin);
                         });
  };
  double least = 1e9, least_fused = 1e9;
  for (auto _ : state) {
    least_fused = std::min(least_fused, seconds(fused));
    const double time = seconds(forms[static_cast<int>(form)]);
    least = std::min(least, time);
    state.SetIterationTime(time);
  }
  state.counters["least_us"] = least * 1e6;
  state.counters["fused_us"] = least_fused * 1e6;
  state.counters["of_fused"] = least / least_fused;
  cpu::set_num_threads(cpu::num_threads());
}

#define GROUP(name, problem, n)                                                                            \
  BENCHMARK_CAPTURE(run, name##_eager, problem, Form::eager)->Args({n, 1})->Args({n, 2})->UseManualTime(); \
  BENCHMARK_CAPTURE(run, name##_group, problem, Form::group)->Args({n, 1})->Args({n, 2})->UseManualTime()
GROUP(tanh_chain, kTanhChain, 1 << 14);
GROUP(cheap, kCheap, 1 << 14);
GROUP(tanh_chain_large, kTanhChain, 1 << 24);
GROUP(cheap_large, kCheap, 1 << 24);
GROUP(adam, kAdam, 200'000);
GROUP(sines, kSines, 8);

}  // namespace
}  // namespace tidu
#endif
