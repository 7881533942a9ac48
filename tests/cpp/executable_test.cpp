// Executables against the programs that they are made of, bit for bit.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "compile/pairs.h"
#include "compile/turn.h"
#include "core/bind.h"
#include "ops/update.h"
#include "program/capture.h"
#include "tidu.h"

namespace tidu {
namespace {

// Functions drawn at random: a pool of values to which call after call adds one.
class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  int64_t below(int64_t count) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(count)); }
  template <class T> const T& of(const std::vector<T>& all) {
    return all[static_cast<size_t>(below(static_cast<int64_t>(all.size())))];
  }

  std::vector<Spec> specs() {
    const std::vector<Shape> shapes{{}, {1}, {5}, {3, 4}, {4, 3}, {3, 1}, {2, 3, 4}, {0, 3}, {40, 33}};
    const std::vector<DType> dtypes{DType::float32, DType::float32, DType::float32,
                                    DType::float64, DType::float16, DType::bfloat16,
                                    DType::int32,   DType::int64,   DType::bool_};
    std::vector<Spec> result;
    for (int64_t i = 2 + below(3); i > 0; --i) result.push_back({of(shapes), of(dtypes), {}});
    return result;
  }

  Tensors arguments(const std::vector<Spec>& specs, bool strided) {
    Tensors result;
    for (const Spec& spec : specs) {
      Tensor x = random_normal(random_key(random_()), spec.shape, 0, 2, DType::float64);
      x = astype(is_floating(spec.dtype) ? x : round(x), spec.dtype);
      if (strided && spec.shape.size() > 1 && below(2)) x = swapaxes(copy(swapaxes(x, 0, -1)), 0, -1);
      if (strided && below(3) == 0) x = flip(copy(flip(x, {})), {});
      result.push_back(x);
    }
    return result;
  }

  Tensors run(const Tensors& inputs, int64_t calls, bool writes) {
    pool_ = inputs;
    for (int64_t i = 0; i < calls; ++i) {
      const Tensor made = call(inputs, writes);
      if (made.defined() && made.numel() < 1 << 14) pool_.push_back(made);
    }
    Tensors outputs;
    for (int64_t i = 1 + below(4); i > 0; --i)
      outputs.push_back(below(3) ? pool_[pool_.size() - 1 - below(std::min<int64_t>(3, pool_.size()))]
                                 : of(pool_));
    return outputs;
  }

 private:
  Tensor real(const Tensor& x) { return is_floating(x.dtype()) ? x : astype(x, DType::float32); }
  Tensor number(const Tensor& x) { return x.dtype() == DType::bool_ ? astype(x, DType::int32) : x; }

  Tensor call(const Tensors& inputs, bool writes) {
    const Tensor x = of(pool_), y = of(pool_);
    const int64_t axis = x.ndim() ? below(x.ndim()) : 0;
    const bool has_rows = x.ndim() > 0 && x.size(axis) > 0;
    switch (below(34)) {
      case 0: return sin(real(x));
      case 1: return tanh(real(x)) * 0.5;
      case 2: return exp(-abs(real(x)));
      case 3: return -number(x);
      case 4: return -(-number(x)) - 0;
      case 5: return 1 - number(x) * 1;
      case 6: return real(x) / 1.0 + (-0.0);
      case 7: return square(number(x));
      case 8:
      case 9:
      case 10: return together(x, y, [](const Tensor& a, const Tensor& b) { return a + b; });
      case 11:
      case 12: return together(x, y, [](const Tensor& a, const Tensor& b) { return a * b; });
      case 13: return together(x, y, [](const Tensor& a, const Tensor& b) { return where(a > b, a, b); });
      case 14: return astype(x, of(std::vector{DType::float32, DType::float64, DType::float16}));
      case 15: return x.ndim() ? sum(number(x), axis, below(2)) : sum(number(x));
      case 16: return has_rows ? max(x, axis) : mean(real(x));
      case 17: return has_rows ? astype(argmax(x, axis), DType::float32) : Tensor();
      case 18: return x.ndim() == 2 ? matmul(real(x), matrix_transpose(real(x))) : Tensor();
      case 19: return x.ndim() == 2 ? matmul(matrix_transpose(real(x)), real(x)) : Tensor();
      case 20: return x.ndim() > 1 ? swapaxes(x, 0, -1) : alias(x);
      case 21: return flatten(x);
      case 22: return has_rows ? slice_axis(x, axis, below(x.size(axis)), x.size(axis)) : stop_gradient(x);
      case 23: return has_rows ? select(x, axis, below(x.size(axis))) : expand_dims(x, 0);
      case 24: return x.ndim() < 4 ? concat({expand_dims(x, 0), expand_dims(x, 0)}, 0) : Tensor();
      case 25: return has_rows ? take(x, tensor({int64_t{0}, x.size(axis) - 1, int64_t{0}}), axis) : Tensor();
      case 26: return has_rows ? cumulative_sum(number(x), axis) : Tensor();
      case 27: return has_rows ? below(2) ? softmax(real(x), axis) : log_softmax(real(x), axis) : copy(x);
      case 28: {
        if (!has_rows || x.size(0) == 0) return Tensor();
        const Tensor first = select(x, 0, 0);
        return slice_update(x, expand_dims(first, 0), Dims(x.ndim(), 0), Dims(x.ndim(), 1));
      }
      case 29: return x.ndim() ? full(x.shape(), 3, x.dtype()) * number(x) : arange(4, DType::float32);
      case 30: {
        if (!has_rows) return Tensor();
        const Scan done = scan(
            [](const Tensors& in) {
              return Tensors{in[0] * 0.5f + sum(in[1]), in[0] + 1};
            },
            {zeros({})}, {astype(moveaxis(x, axis, 0), DType::float32)});
        return done.results[0];
      }
      case 31:
        return cond(
            sum(real(x)) > 0, [](const Tensors& in) { return Tensors{in[0] + in[0]}; },
            [](const Tensors& in) { return Tensors{sin(real_of(in[0]))}; }, {real(x)})[0];
      case 32: {
        Tensor target = of(inputs);
        if (!writes || !(target.shape() == x.shape()) || is_floating(x.dtype()) > is_floating(target.dtype()))
          return together(x, y, [](const Tensor& a, const Tensor& b) { return a - b; });
        if (below(2) && target.ndim() > 0 && target.size(0) > 0) {
          Tensor row = select(target, 0, 0);
          assign(row, select(x, 0, 0));
        } else {
          assign(target, x);
        }
        return target;
      }
      default: {
        const Tensor target = of(inputs);
        if (!writes || !is_floating(target.dtype())) return Tensor();
        const Tensor gradient = target * 0.25;
        apply_update(primitives::sgd_update, {target}, {gradient}, SgdAttrs{1, 0.1, 0, 0.01, false, false});
        return gradient;
      }
    }
  }

  static Tensor real_of(const Tensor& x) { return x; }

  template <class F> Tensor together(const Tensor& x, const Tensor& y, const F& function) {
    const Tensor a = number(x), b = number(y);
    for (int i = 1; i <= std::min(a.ndim(), b.ndim()); ++i) {
      if (a.size(-i) != b.size(-i) && a.size(-i) != 1 && b.size(-i) != 1) return function(a, a);
    }
    return function(a, b);
  }

  std::mt19937_64 random_;
  Tensors pool_;
};

// The same elements that lie alike.
Tensor twin_of(const Tensor& x) {
  Axes order = all_axes(x.ndim());
  std::ranges::sort(order, std::greater(), [&](int64_t axis) { return x.strides()[static_cast<int>(axis)]; });
  Axes back(x.ndim(), 0);
  for (int i = 0; i < x.ndim(); ++i) back[static_cast<int>(order[i])] = i;
  return x.is_contiguous() ? copy(x) : permute_dims(copy(permute_dims(x, order)), back);
}
Tensors twins_of(const Tensors& tensors) {
  Tensors result;
  for (const Tensor& tensor : tensors) result.push_back(twin_of(tensor));
  return result;
}

std::vector<Strides> layouts_of(const Tensors& arguments) {
  std::vector<Strides> result;
  for (const Tensor& argument : arguments) result.push_back(argument.strides());
  return result;
}

void expect_same(const Tensors& got, const Tensors& want, const std::string& where) {
  ASSERT_EQ(got.size(), want.size()) << where;
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].spec(), want[i].spec()) << where;
    ASSERT_EQ(host_bytes(got[i]), host_bytes(want[i])) << where << ", number " << i;
  }
}

void expect_apart(const Tensors& results, const Tensors& arguments, const Program& program) {
  std::vector<const Storage*> seen;
  for (const Tensor& argument : arguments) seen.push_back(argument.impl().storage.get());
  for (const auto& constant : program.constants) seen.push_back(constant.value.impl().storage.get());
  for (const Tensor& result : results) {
    EXPECT_TRUE(result.is_contiguous());
    EXPECT_EQ(std::ranges::find(seen, result.impl().storage.get()), seen.end());
    seen.push_back(result.impl().storage.get());
  }
}

const std::vector<Passes> kPasses{{},
                                  {.simplify = false},
                                  {.fuse = false},
                                  {.products = false},
                                  {.in_place = false},
                                  {.hoist = false},
                                  {.pairs = false},
                                  {.turn = false},
                                  {.again = false},
                                  {.pieces = false},
                                  {.in_place = false, .pieces = false},
                                  {.simplify = false, .fuse = false, .products = false, .in_place = false}};

void expect_as_program(const Program& program, const Tensors& arguments, const std::string& where,
                       const std::vector<Passes>& all = kPasses) {
  const Tensors at = twins_of(arguments);
  const Tensors want = program(at);
  for (const Passes& passes : all) {
    const Executable executable(program, layouts_of(arguments), passes);
    for (int round = 0; round < 2; ++round) {
      const Tensors mine = twins_of(arguments);
      const Tensors got = executable(mine);
      const std::string what = str(where, " simplify=", passes.simplify, " fuse=", passes.fuse,
                                   " products=", passes.products, " in_place=", passes.in_place,
                                   " pairs=", passes.pairs, " turn=", passes.turn, " again=", passes.again,
                                   " pieces=", passes.pieces, " round ", round, "\n", program.to_string());
      expect_same(got, want, what);
      expect_same(mine, at, what + "\narguments");
      expect_apart(got, mine, program);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(Executable, GivesTheBitsOfRandomPrograms) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Draw draw(seed);
    const std::vector<Spec> specs = draw.specs();
    const int64_t calls = 1 + draw.below(25);
    const bool writes = draw.below(2);
    const Program program =
        record([&](const Tensors& inputs) { return draw.run(inputs, calls, writes); }, specs);
    expect_as_program(program, draw.arguments(specs, seed % 3 == 0), str("seed ", seed));
    if (HasFatalFailure()) return;
  }
}

TEST(Executable, GivesTheBitsOfGradientsOfRandomPrograms) {
  int compared = 0;
  for (uint64_t seed = 1000; seed < 1300; ++seed) {
    Draw draw(seed);
    const std::vector<Spec> specs{{{3, 4}, DType::float32, {}}, {{4, 3}, DType::float64, {}}};
    const int64_t calls = 1 + draw.below(12);
    const Program program = record(
        [&](const Tensors& inputs) {
          return value_and_grad(
                     [&](const Tensors& p) {
                       Tensor loss = zeros({}, DType::float64);
                       for (const Tensor& made : draw.run(p, calls, false)) {
                         if (is_floating(made.dtype())) loss = loss + sum(made);
                       }
                       return loss;
                     },
                     inputs)
              .gradients;
        },
        specs);
    compared += program.instructions.size() > 10;
    expect_as_program(program, draw.arguments(specs, seed % 3 == 0), str("seed ", seed));
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(compared, 100);
}

// One step of a network of two layers, which writes to its parameters.
struct Network {
  static constexpr int64_t kPixels = 784, kHidden = 256, kClasses = 10;
  Tensors arguments;
  Program step;

  explicit Network(int64_t batch)
      : arguments{random_normal(random_key(1), {kHidden, kPixels}, 0, 0.03),
                  zeros({kHidden}),
                  random_normal(random_key(2), {kClasses, kHidden}, 0, 0.06),
                  zeros({kClasses}),
                  random_uniform(random_key(3), {batch, kPixels}),
                  random_integers(random_key(4), {batch}, 0, kClasses)},
        step(record(
            [](const Tensors& in) {
              const Tensors parameters(in.begin(), in.begin() + 4);
              const auto found = value_and_grad(
                  [&](const Tensors& p) {
                    const Tensor hidden = sigmoid(linear(in[4], p[0], p[1]));
                    return mean(softmax_cross_entropy(linear(hidden, p[2], p[3]), in[5]));
                  },
                  parameters);
              apply_update(primitives::sgd_update, parameters, found.gradients,
                           SgdAttrs{4, 0.1, 0, 0, false, false});
              return Tensors{found.value};
            },
            arguments)) {}
};

// Each optimiser's step from the outer product of one row to products of many blocks, one of which reads what
// another one overwrites.
TEST(Executable, UpdatesByPartsOfGradientsThatAreProducts) {
  const std::pair<const Primitive*, Attrs> updates[] = {
      {&primitives::sgd_update, SgdAttrs{3, 0.1, 0, 0.01, false, false}},
      {&primitives::sgd_update, SgdAttrs{3, 0.1, 0.9, 0, true, false}},
      {&primitives::adam_update, AdamAttrs{3, 0.1, 0.9, 0.99, 1e-8, 0.01, false, 3}},
      {&primitives::rmsprop_update, RmspropAttrs{3, 0.1, 0.9, 1e-8, 0, 0.5}}};
  const size_t groups[] = {1, 2, 3, 3};
  for (const int64_t batch : {1, 5, 200}) {
    for (const DType dtype : {DType::float32, DType::float64}) {
      for (size_t k = 0; k < std::size(updates); ++k) {
        const auto normal = [&](uint64_t seed, const Shape& shape) {
          return random_normal(random_key(seed), shape, 0, 1, dtype);
        };
        Tensors arguments;
        for (uint64_t i = 0; i < groups[k]; ++i) {
          const Shape shapes[] = {{300, 220}, {7}, {220, 220}};
          for (uint64_t j = 0; j < 3; ++j) arguments.push_back(square(normal(3 * i + j, shapes[j])));
        }
        arguments.push_back(normal(11, {batch, 300}));
        arguments.push_back(normal(12, {batch, 220}));
        const Program program = record(
            [&](const Tensors& in) {
              const Tensor &x = in[in.size() - 2], &y = in.back();
              const Tensors state(in.begin(), in.end() - 2),
                  gradients{matmul(matrix_transpose(x), y), sum(x) * in[1], matmul(in[2], in[2])};
              apply_update(*updates[k].first, state, gradients, updates[k].second);
              return Tensors{sum(y)};
            },
            arguments);
        expect_as_program(program, arguments, str("update ", k, ", ", batch, " rows, ", dtype));
        const std::string text = Executable(program).explain();
        for (const char* part : {"input ", " is computed part by part: instruction "})
          EXPECT_NE(text.find(part), text.npos) << part << " is not in\n" << text;
        if (HasFailure()) return;
      }
    }
  }
}

TEST(Executable, WritesToParametersWhereTheyLie) {
  const Network network(16);
  expect_as_program(network.step, network.arguments, "network");
  const Executable executable(network.step);
  // Hidden values and what the loss needs; neither copies of parameters, nor their new values, nor gradients.
  EXPECT_LT(executable.arena_bytes(), 64 << 10);
  Allocator& allocator = backend(Device{}).allocator(0);
  Tensors arguments = twins_of(network.arguments);
  const void* const where = arguments[0].raw_data();
  const uint64_t version = arguments[0].impl().storage->version();
  const float first = item<float>(executable(arguments)[0]);
  const int64_t live = allocator.stats().live_bytes;
  Tensor loss = executable(arguments)[0];
  EXPECT_EQ(allocator.stats().live_bytes - live, 4);
  EXPECT_EQ(arguments[0].raw_data(), where);
  EXPECT_EQ(arguments[0].impl().storage->version(), version + 2);
  EXPECT_EQ(arguments[0].impl().version, version + 2);
  for (int step = 0; step < 20; ++step) loss = executable(arguments)[0];
  EXPECT_LT(item<float>(loss), 0.8f * first);
}

TEST(Executable, AllocatesItsResultsAlone) {
  const Tensors arguments{random_normal(random_key(1), {30, 20}), random_normal(random_key(2), {20, 30})};
  const Executable executable(record(
      [](const Tensors& in) {
        const Tensor y = sin(matmul(in[0], in[1])) + 1;
        return Tensors{sum(y * y, 0), matrix_transpose(y), in[0], y, y};
      },
      arguments));
  (void)executable(arguments);
  Allocator& allocator = backend(Device{}).allocator(0);
  const MemoryStats before = allocator.stats();
  allocator.reset_peak();
  const Tensors results = executable(arguments);
  EXPECT_EQ(allocator.stats().allocations - before.allocations, 5);
  EXPECT_EQ(allocator.stats().peak_bytes - before.live_bytes, 4 * (30 + 3 * 900 + 600));
}

TEST(Executable, TakesLessMemoryThanARun) {
  for (const int64_t batch : {1, 16, 128}) {
    const Program step = simplify(Network(batch).step);
    const int64_t apart = peak_bytes(lifetimes_of(step));
    EXPECT_LT(Executable(step).arena_bytes(), apart) << batch;
  }
}

// Carries that are exchanged, handed on, viewed and counted; slices; what it closes over.
Tensors step_of(const Tensors& at, const Tensor& w) {
  const Tensor a = tanh(matmul(at[0], w) + at[3]);
  return {a, at[0], at[2] + 1, a, sum(matrix_transpose(at[1]) * at[4], 0), at[0]};
}

TEST(Executable, StepsOfAScanAreItsLoop) {
  for (const bool strided : {false, true}) {
    for (const int64_t length : {0, 1, 2, 5, 16, 17}) {
      Tensors arguments{random_normal(random_key(1), {4, 4}),
                        random_normal(random_key(2), {4, 4}),
                        arange(3),
                        random_normal(random_key(3), {4, length, 4}),
                        random_normal(random_key(4), {4, length}),
                        random_normal(random_key(5), {4, 4})};
      if (strided)
        arguments[0] = matrix_transpose(arguments[0]), arguments[5] = matrix_transpose(arguments[5]);
      arguments[3] = moveaxis(arguments[3], 1, 0);
      arguments[4] = flip(matrix_transpose(arguments[4]), {0});
      if (!strided) arguments[3] = copy(arguments[3]), arguments[4] = copy(arguments[4]);
      for (const bool reverse : {false, true}) {
        const Function f = [reverse](const Tensors& in) {
          const Function step = [&](const Tensors& at) { return step_of(at, in[5]); };
          Scan done = scan(step, {in[0], in[1], in[2]}, {in[3], in[4]}, {.reverse = reverse});
          done.carry.insert(done.carry.end(), done.results.begin(), done.results.end());
          return done.carry;
        };
        Tensors carry(arguments.begin(), arguments.begin() + 3);
        std::vector<Tensors> kept(3, Tensors(static_cast<size_t>(length)));
        for (int64_t i = 0; i < length; ++i) {
          const int64_t at = reverse ? length - 1 - i : i;
          const Tensors all =
              step_of({carry[0], carry[1], carry[2], arguments[3][at], arguments[4][at]}, arguments[5]);
          carry.assign(all.begin(), all.begin() + 3);
          for (size_t k = 0; k < 3; ++k) kept[k][static_cast<size_t>(at)] = all[3 + k];
        }
        Tensors want = carry;
        for (const Tensors& steps : kept)
          want.push_back(length > 0 ? stack(steps, 0)
                                    : zeros(want.size() == 4 ? Shape{0, 4} : Shape{0, 4, 4}));
        const std::string where = str("length ", length, " strided ", strided, " reverse ", reverse);
        const Program program = record(f, arguments);
        expect_same(f(arguments), want, where);
        for (const Passes& passes : kPasses)
          expect_same(Executable(program, layouts_of(arguments), passes)(arguments), want, where);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Executable, DerivativesOfLoopsAndLoopsOfLoopsHaveTheBitsOfRuns) {
  const ScalarFunction f = [](const Tensors& in) {
    const Function outer = [&](const Tensors& at) {
      const Function inner = [&](const Tensors& now) {
        const Tensor next = cond(
            sum(now[0]) > 0, [](const Tensors& x) { return Tensors{sin(x[0]) * x[1]}; },
            [](const Tensors& x) { return Tensors{x[0] + x[1]}; }, {now[0], in[1]})[0];
        return Tensors{next, next};
      };
      const Scan done = scan(inner, {at[0]}, {}, {.length = 3});
      return Tensors{tanh(matmul(done.carry[0], in[1]) + at[1]), sum(done.results[0], 0)};
    };
    return sum(square(scan(outer, {in[0]}, {in[2]}).results[0]));
  };
  const Tensors arguments{random_normal(random_key(1), {4, 4}), random_normal(random_key(2), {4, 4}),
                          matrix_transpose(random_normal(random_key(3), {5, 4, 4}))};
  for (const auto& program :
       {record([&](const Tensors& in) { return value_and_grad(f, in).gradients; }, arguments),
        record([&](const Tensors& in) { return hvp(f, in, in); }, arguments)})
    expect_as_program(program, arguments, "loops");
}

int count_of(const std::string& part, const std::string& text) {
  int count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Of a recurrent step that no step changes all of, its derivative too.
TEST(Executable, StepsComputeNothingTwice) {
  const Tensors arguments{random_normal(random_key(1), {3, 2}), random_normal(random_key(2), {2, 2}),
                          random_normal(random_key(3), {7, 3, 2})};
  const ScalarFunction loss = [](const Tensors& in) {
    const Function step = [&](const Tensors& at) {
      return Tensors{tanh(matmul(at[0], exp(in[1])) + at[1] * 2)};
    };
    return sum(scan(step, {in[0]}, {in[2]}).carry[0]);
  };
  const Program program =
      record([&](const Tensors& in) { return value_and_grad(loss, in).gradients; }, arguments);
  expect_as_program(program, arguments, "recurrent step");
  const Program plain = simplify(program, Loops::kept);
  const std::string before = plain.to_string(), after = hoisted(plain).to_string();
  // In the body of both scans; of tanh the derivative reads the result alone.
  EXPECT_EQ(count_of("= tanh", before), 2) << before;
  EXPECT_EQ(count_of("= exp", before), 2) << before;
  EXPECT_EQ(count_of("= tanh", after), 1) << after;
  EXPECT_EQ(count_of("= exp", after), 1) << after;
  EXPECT_LT(after.find("= exp"), after.find("= scan")) << after;
  // Its product by the weights is computed forward, and pulled back to both factors.
  EXPECT_EQ(count_of("= matmul", before), 4) << before;
  EXPECT_EQ(count_of("= matmul", after), 3) << after;
  EXPECT_NE(after.find("slices=1, length=7, reverse=false, saves=true"), after.npos) << after;
  EXPECT_NE(after.find("slices=2, length=7, reverse=true, saves=false"), after.npos) << after;
}

TEST(Executable, StepsKeepWhatCostsLittleOrIsNotToBeKept) {
  const auto programs = [](const Function& step, const Shape& shape) {
    const std::vector<Spec> specs{{shape, DType::float32, {}}};
    const Program program =
        simplify(record(
                     [&](const Tensors& in) {
                       return value_and_grad(
                                  [&](const Tensors& p) {
                                    return sum(scan(step, {p[0]}, {}, {.length = 5}).carry[0]);
                                  },
                                  in)
                           .gradients;
                     },
                     specs),
                 Loops::kept);
    return std::pair(program, hoisted(program));
  };
  const auto is_same = [](const std::pair<Program, Program>& both) {
    return both.first.to_string() == both.second.to_string();
  };
  // 2 x + 1 is computed again of the carry that is saved.
  EXPECT_TRUE(is_same(programs([](const Tensors& at) { return Tensors{square(at[0] * 2 + 1)}; }, {4})));
  EXPECT_FALSE(is_same(programs([](const Tensors& at) { return Tensors{square(sin(at[0]))}; }, {4})));
  // 5 times 16 MiB.
  EXPECT_TRUE(is_same(programs([](const Tensors& at) { return Tensors{square(sin(at[0]))}; }, {4 << 20})));
  const Function again = [](const Tensors& at) {
    return checkpoint([](const Tensors& x) { return Tensors{square(sin(x[0]))}; }, at);
  };
  const std::string text = programs(again, {4}).second.to_string();
  EXPECT_EQ(count_of("saves=true", text), 1) << text;
  EXPECT_EQ(text.find("slices=2"), text.npos) << text;
}

// Sums over steps of what is made of products are added to where they lie.
TEST(Executable, SumsOverStepsGrowInOnePlace) {
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const int64_t rows : {1, 3}) {
      const Tensors arguments{random_normal(random_key(1), {rows, 40}, 0, 1, dtype),
                              random_normal(random_key(2), {40, 40}, 0, 0.1, dtype)};
      const ScalarFunction loss = [](const Tensors& in) {
        const Function step = [&](const Tensors& at) { return Tensors{tanh(matmul(at[0], in[1]))}; };
        return sum(scan(step, {in[0]}, {}, {.length = 6}).carry[0]);
      };
      const Program program =
          record([&](const Tensors& in) { return value_and_grad(loss, in).gradients; }, arguments);
      expect_as_program(program, arguments, str("sums of products, ", rows, " rows, ", dtype));
      const std::string text = Executable(program).explain_run();
      EXPECT_NE(text.find("input 1 of instruction"), text.npos) << text;
      EXPECT_NE(text.find("(add) is computed part by part"), text.npos) << text;
      EXPECT_NE(text.find("result 1 takes the memory of argument 1"), text.npos) << text;
    }
  }
}

TEST(Executable, RoundsOfALoopAreItsLoop) {
  const auto round = [](const Tensors& at, const Tensor& w) {
    return Tensors{at[1], sin(matmul(at[0], w)), at[2] + 1};
  };
  for (const bool strided : {false, true}) {
    for (const int64_t rounds : {0, 1, 2, 5}) {
      Tensors arguments{random_normal(random_key(1), {3, 3}), random_normal(random_key(2), {3, 3}),
                        zeros({}, DType::int64), random_normal(random_key(3), {3, 3})};
      if (strided)
        arguments[0] = matrix_transpose(arguments[0]), arguments[3] = matrix_transpose(arguments[3]);
      const Program program = record(
          [&](const Tensors& in) {
            return while_loop([&](const Tensors& at) { return Tensors{at[2] < rounds}; },
                              [&](const Tensors& at) { return round(at, in[3]); }, {in[0], in[1], in[2]});
          },
          arguments);
      Tensors want(arguments.begin(), arguments.begin() + 3);
      for (int64_t i = 0; i < rounds; ++i) want = round(want, arguments[3]);
      for (const Passes& passes : kPasses)
        expect_same(Executable(program, layouts_of(arguments), passes)(arguments), want,
                    str(rounds, strided));
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Executable, StepsAllocateNothing) {
  const Tensors arguments{zeros({8, 16}), random_normal(random_key(1), {50, 8, 16}),
                          random_normal(random_key(2), {16, 16})};
  const auto loss = [](const Tensors& in) {
    const Function step = [&](const Tensors& at) {
      const Tensor next = tanh(matmul(at[0], in[2]) + at[1]);
      return Tensors{next, next};
    };
    return sum(square(scan(step, {in[0]}, {in[1]}).results[0]));
  };
  const Executable executable(
      record([&](const Tensors& in) { return value_and_grad(loss, in).gradients; }, arguments));
  Allocator& allocator = backend(Device{}).allocator(0);
  const MemoryStats before = allocator.stats();
  allocator.reset_peak();
  Tensors results = executable(arguments);
  const int64_t bytes = 4 * (8 * 16 + 50 * 8 * 16 + 16 * 16);
  EXPECT_EQ(allocator.stats().peak_bytes - before.live_bytes, executable.peak_bytes());
  EXPECT_EQ(executable.peak_bytes(), executable.arena_bytes() + bytes);
  const int64_t allocations = allocator.stats().allocations;
  results = executable(arguments);
  EXPECT_EQ(allocator.stats().allocations - allocations, 3);
}

TEST(Executable, AnErrorInAStepLeavesItReady) {
  const Tensors arguments{zeros({2}), arange(20)};
  const Tensor table = arange(10, DType::float32);
  const Executable executable(record(
      [&](const Tensors& in) {
        const Function step = [&](const Tensors& at) { return Tensors{at[0] + take(table, at[1], 0)}; };
        return scan(step, {in[0]}, {in[1]}).carry;
      },
      arguments));
  EXPECT_THROW((void)executable(arguments), IndexError);
  const Tensor sums = executable({{arguments[0], zeros({20}, DType::int64) + 3}})[0];
  EXPECT_EQ(item<float>(sum(sums)), 2 * 20 * 3);
}

TEST(Executable, ComputesOnceWhatConstantsDecide) {
  const Tensor x = random_normal(random_key(1), {3, 4});
  const auto of = [&](const Function& f, bool fold) {
    const Executable executable(record(f, Tensors{x}), {}, {.fold = fold});
    expect_same(executable({{x}}), f({x}), "fold");
    const std::string text = executable.explain_run();
    return text.substr(0, text.find("calls on their own"));
  };
  // Of numbers, of what is made of nothing, and not of what is closed over, which may be written to.
  const Function masked = [](const Tensors& in) {
    const Tensor columns = arange(4), rows = reshape(arange(3), {3, 1});
    return Tensors{where(columns <= rows, in[0], sqrt(Tensor(full({}, 2.0, DType::float32))))};
  };
  EXPECT_EQ(of(masked, true).find("arange"), std::string::npos);
  EXPECT_EQ(of(masked, true).find("sqrt"), std::string::npos);
  EXPECT_EQ(of(masked, true).find("less_equal"), std::string::npos);
  EXPECT_NE(of(masked, true).find("where"), std::string::npos);
  EXPECT_NE(of(masked, false).find("arange"), std::string::npos);
  Tensor closed_over = random_normal(random_key(2), {4});
  const Function reads = [&](const Tensors& in) { return Tensors{in[0] * sin(closed_over)}; };
  EXPECT_NE(of(reads, true).find("sin"), std::string::npos);
  // Much memory is not taken, and a broadcast stays one.
  const Function large = [](const Tensors& in) {
    return Tensors{in[0] + sum(sin(arange(1 << 19, DType::float32)) + arange(1 << 19, DType::float32))};
  };
  EXPECT_NE(of(large, true).find("arange"), std::string::npos);
  const Function wide = [](const Tensors& in) {
    return Tensors{sum(matmul(in[0], broadcast_to(exp(full({}, 0.5, DType::float32)), {4, 1 << 16})))};
  };
  EXPECT_EQ(of(wide, true).find("exp"), std::string::npos);
  EXPECT_NE(of(wide, true).find("broadcast_to"), std::string::npos);
  // A megabyte each, sixteen in all.
  const auto sines_left = [](int64_t bytes, int times) {
    const Function sines = [&](const Tensors& in) {
      Tensor result = in[0];
      for (int i = 0; i < times; ++i) result = result + sum(sin(full({bytes / 4}, 0.5 + i, DType::float32)));
      return Tensors{result};
    };
    const Program program = simplify(record(sines, Tensors{ones({})}), Loops::kept, Layouts{}, true);
    return std::ranges::count(program.instructions, &primitives::sin, &Program::Instruction::primitive);
  };
  EXPECT_EQ(sines_left(1 << 20, 1), 0);
  EXPECT_EQ(sines_left((1 << 20) + 4, 1), 1);
  EXPECT_EQ(sines_left(1 << 20, 15), 0);
  EXPECT_EQ(sines_left(1 << 20, 17), 2);
  // Nor can anybody write to numbers of the host.
  const Captured captured = capture(
      [](const Tensors& in) {
        return Tensors{in[0] * sin(tensor({1.0f, 2.0f, 3.0f, 4.0f}))};
      },
      Tensors{x});
  EXPECT_TRUE(captured.closed_over.empty());
  const Executable executable(captured.program);
  expect_same(executable({{x}}), {x * sin(tensor({1.0f, 2.0f, 3.0f, 4.0f}))}, "numbers of the host");
  EXPECT_EQ(executable.explain_run().find("sin"), std::string::npos);
  // What raises does so when it is called.
  const Executable raises(capture(
                              [](const Tensors& in) {
                                const Tensor at = tensor({int64_t{7}});
                                return Tensors{in[0] * take(arange(3, DType::float32), at, 0)};
                              },
                              Tensors{x})
                              .program);
  EXPECT_THROW((void)raises({{x}}), IndexError);
}

TEST(Executable, RunsElementwiseCallsAndTheReductionsOfThemAsOne) {
  const auto units = [](const Function& function, const Tensors& like) {
    const Program program = simplify(record(function, like));
    std::vector<size_t> sizes;
    for (const Unit& unit : units_of(program, outline(program), {})) sizes.push_back(unit.calls.size());
    return sizes;
  };
  const Tensor x = ones({6, 8}), row = ones({8});
  EXPECT_EQ(units([](const Tensors& in) { return Tensors{tanh(in[0] * in[1] + 2) * in[0] - 1}; }, {x, row}),
            (std::vector<size_t>{5}));
  // A sum that is read again ends a group; one that is given back is a result of it.
  EXPECT_EQ(units([](const Tensors& in) { return Tensors{exp(in[0]) / sum(exp(in[0]))}; }, {x}),
            (std::vector<size_t>{2, 1}));
  // a -> matmul -> b: neither waits for itself, and what is beside the product is one.
  EXPECT_EQ(units(
                [](const Tensors& in) {
                  const Tensor a = sin(in[0]) + 1;
                  return Tensors{matmul(a, matrix_transpose(a)) * 2, cos(a) * a};
                },
                {x}),
            (std::vector<size_t>{4, 1, 1}));
  // No more than 24 operands.
  Tensors many(40, x);
  for (Tensor& each : many) each = ones({6, 8});
  const auto sizes = units(
      [](const Tensors& in) {
        Tensor total = in[0];
        for (const Tensor& each : in) total = total + each;
        return Tensors{total};
      },
      many);
  EXPECT_GT(sizes.size(), 1u);
  EXPECT_LT(sizes.size(), 4u);
  // Values that wait for others of the same group are none.
  EXPECT_EQ(units(
                [](const Tensors& in) {
                  Tensors waves{in[0]};
                  for (int i = 0; i < 40; ++i) waves.push_back(sin(waves.back()));
                  Tensor slope = waves.back();
                  for (int i = 40; i-- > 0;) slope = slope * cos(waves[i]);
                  return Tensors{slope};
                },
                {x}),
            (std::vector<size_t>{120}));
  // A number is there from the beginning.
  EXPECT_EQ(units(
                [](const Tensors& in) {
                  return Tensors{exp(in[0]) * (full({6, 8}, 3.0, DType::float32) - in[0])};
                },
                {x}),
            (std::vector<size_t>{3}));
}

// Of 64 x 64 floats each: a and what the derivative of a ramp reads of it, past the products between.
TEST(Executable, MakesCheapValuesAgainWhereThatLowersThePeak) {
  constexpr int64_t kBytes = 4 * 64 * 64;
  const Tensors arguments{random_normal(random_key(1), {64, 64}), random_normal(random_key(2), {64, 64}),
                          random_normal(random_key(3), {64, 256}), random_normal(random_key(4), {256, 64})};
  struct Case {
    const char* what;
    Function function;
    int64_t kept, again;
  };
  const auto between = [](const Tensor& x, const Tensors& in) {
    return matmul(matmul(matmul(x, in[2]), in[3]), in[1]);
  };
  const std::vector<Case> cases{
      // Where a * c and b * c are computed, as one loop.
      {"in a loop",
       [&](const Tensors& in) {
         const Tensor a = matmul(in[0], in[1]), b = maximum(a, 0.0), c = between(b, in);
         return Tensors{sum(a * c + b * c, 0)};
       },
       7 * kBytes, 6 * kBytes},
      {"two calls",
       [&](const Tensors& in) {
         const Tensor a = matmul(in[0], in[1]), b = maximum(a, 0.0) + in[0], c = between(b, in);
         return Tensors{sum(a * c + b * c, 0)};
       },
       7 * kBytes, 6 * kBytes},
      {"a view of it, for a product",
       [&](const Tensors& in) {
         const Tensor a = matmul(in[0], in[1]), b = maximum(a, 0.0), c = between(b, in);
         return Tensors{sum(a * c + matmul(matrix_transpose(b), c), 0)};
       },
       7 * kBytes, 6 * kBytes},
      {"no cheap one",
       [&](const Tensors& in) {
         const Tensor a = matmul(in[0], in[1]), b = tanh(a), c = between(b, in);
         return Tensors{sum(a * c + b * c, 0)};
       },
       7 * kBytes, 7 * kBytes},
      {"of what is there no more",
       [&](const Tensors& in) {
         const Tensor b = maximum(matmul(in[0], in[1]), 0.0), c = between(b, in);
         return Tensors{sum(b * c, 0)};
       },
       6 * kBytes, 6 * kBytes}};
  for (const auto& [what, function, kept, again] : cases) {
    const Program program = record(function, arguments);
    const Executable plain(program, {}, {.again = false}), other(program);
    EXPECT_EQ(plain.arena_bytes(), kept) << what << "\n" << plain.explain();
    EXPECT_EQ(other.arena_bytes(), again) << what << "\n" << other.explain();
    const std::string text = str("made again, where the arena would have ", kept, " bytes: instruction ");
    EXPECT_EQ(other.explain().find(text) != std::string::npos, again < kept) << other.explain();
    expect_as_program(program, arguments, what);
  }
}

// Of vectors and less, with results over an argument and apart from it.
TEST(Executable, ComputesTheLastElementsAsTheOthers) {
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (int64_t n = 1; n < 140; n += n < 20 ? 1 : 11) {
      const Tensors arguments{random_normal(random_key(1), {n}, 0, 1, dtype),
                              random_normal(random_key(2), {n}, 0, 1, dtype)};
      const Program program = record(
          [](const Tensors& in) {
            const Tensor a = in[0] * in[1] + in[0];
            return Tensors{a * a - in[1], a > in[1], where(a > in[1], tanh(a), in[1])};
          },
          arguments);
      expect_as_program(program, arguments, str(n, " elements"));
      const Executable executable(program, {}, {}, {{0}});
      EXPECT_TRUE(executable.takes(0, 0));
      expect_same(executable(twins_of(arguments)), program(arguments), str(n, " elements over an argument"));
      if (HasFailure()) return;
    }
  }
}

// Programs that cut values and put the parts together.
class Puzzle {
 public:
  Puzzle(uint64_t seed, bool rows) : draw_(seed), rows_(rows) {}

  Tensors run(const Tensors& inputs, int64_t calls) {
    pool_ = inputs;
    for (int64_t i = 0; i < calls; ++i) {
      const Tensor made = call(draw_.of(pool_), draw_.of(pool_));
      if (made.size(0) < 60) pool_.push_back(made);
    }
    return {pool_.end() - std::min<int64_t>(3, std::ssize(pool_)), pool_.end()};
  }

 private:
  Tensor part_of(const Tensor& x) {
    const int64_t begin = draw_.below(x.size(0)), end = begin + 1 + draw_.below(x.size(0) - begin);
    return slice_axis(x, 0, begin, end);
  }
  Tensor loop(const Tensor& x, const Tensor& y) { return x.shape() == y.shape() ? x * y - x : x * 2 + x; }
  Dims widths(const Tensor& x) {
    Dims result(x.ndim(), 0);
    result[0] = draw_.below(3);
    if (rows_) result[1] = draw_.below(2) * draw_.below(2);
    return result;
  }

  Tensor call(const Tensor& x, const Tensor& y) {
    switch (draw_.below(10)) {
      case 0: return loop(x, y);
      case 1: return part_of(x);
      case 2: return loop(part_of(x), y);
      case 3: return x.size(-1) == y.size(-1) || !rows_ ? concat({part_of(x), loop(y, x)}, 0) : x;
      case 4: return concat({loop(x, x), part_of(x), part_of(loop(x, y))}, 0);
      case 5: return roll(loop(x, y), {draw_.below(5)}, Axes{0});
      case 6: return pad(draw_.below(2) ? part_of(loop(x, y)) : loop(x, y), widths(x), widths(x));
      case 7: return flip(x, {0});
      case 8: return tile(part_of(x), rows_ ? Dims{2, 1} : Dims{2});
      default: {  // a part of what nobody else may read
        const Tensor whole = loop(x, y);
        const int64_t begin = draw_.below(whole.size(0)), count = 1 + draw_.below(whole.size(0) - begin);
        const Tensor part = slice_axis(whole, 0, begin, begin + count);
        Dims starts(whole.ndim(), 0);
        starts[0] = begin;
        return slice_update(whole, draw_.below(3) ? part * 3 + part : slice_axis(x, 0, 0, count) * 2, starts,
                            Dims(whole.ndim(), 1));
      }
    }
  }

  Draw draw_;
  const bool rows_;
  Tensors pool_;
};

TEST(Executable, PutsPartsTogetherWhereTheyAreMade) {
  int in_place = 0;
  for (uint64_t seed = 0; seed < 160; ++seed) {
    Draw draw(seed);
    const bool rows = draw.below(2), derives = draw.below(2);
    const DType dtype = draw.of(std::vector{DType::float32, DType::float64, DType::bfloat16, DType::int32});
    const Shape shape = rows ? Shape{1 + draw.below(20), 3} : Shape{1 + draw.below(40)};
    const std::vector<Spec> specs(2, {shape, dtype, {}});
    const auto function = [&](const Tensors& in) { return Puzzle(seed, rows).run(in, 2 + seed % 14); };
    const Program program = record(
        [&](const Tensors& in) {
          if (!derives || dtype == DType::int32) return function(in);
          return value_and_grad(
                     [&](const Tensors& p) {
                       Tensor loss = zeros({}, dtype);
                       for (const Tensor& made : function(p)) loss = loss + sum(tanh(made));
                       return loss;
                     },
                     in)
              .gradients;
        },
        specs);
    expect_as_program(program, draw.arguments(specs, seed % 3 == 0), str("seed ", seed));
    in_place += Executable(program).explain().find("made where it goes") != std::string::npos;
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(in_place, 50);
}

TEST(Executable, SaysWhatIsMadeWhereItGoes) {
  const Program program = record(
      [](const Tensors& in) {
        const Tensor a = tanh(in[0]), shifted = concat({in[1], slice_axis(a, 0, 0, 9)}, 0);
        return Tensors{shifted * in[0] + pad(slice_axis(shifted * 2, 0, 1, 10), {0}, {1})};
      },
      std::vector<Spec>{{{10}, DType::float32, {}}, {{1}, DType::float32, {}}});
  const std::string with = Executable(program).explain(),
                    without = Executable(program, {}, {.pieces = false}).explain(),
                    text = "made where it goes: the result of instruction ";
  EXPECT_NE(with.find(text), with.npos) << with;
  EXPECT_EQ(without.find(text), without.npos) << without;
}

// The exponentials of a row are computed once for both; what waits for the first one comes later.
TEST(Executable, PairsWhatReadsTheSameRows) {
  const Tensor x = random_normal(random_key(1), {5, 7}), labels = tensor<int64_t>({0, 6, 3, 2, 3});
  const auto calls = [&](const Function& function, const Tensors& like) {
    std::string names;
    for (const Program::Instruction& call : with_pairs(simplify(record(function, like))).instructions)
      names += str(names.empty() ? "" : " ", call.primitive->name);
    return names;
  };
  const auto loss_and_gradient = [](Tensor (*of)(const Tensor& losses)) -> Function {
    return [of](const Tensors& in) {
      const auto found =
          value_and_grad([&](const Tensors& p) { return of(softmax_cross_entropy(p[0], in[1])); }, {in[0]});
      return Tensors{found.value, found.gradients[0]};
    };
  };
  const Function step = loss_and_gradient([](const Tensor& losses) { return mean(losses); });
  EXPECT_EQ(calls(step, {x, labels}),
            "full divide reshape broadcast_to softmax_cross_entropy_with_grad mean");
  // The cotangents wait for which rows count, which is known without the losses.
  const Function counted = [](const Tensors& in) {
    const auto found = value_and_grad(
        [&](const Tensors& p) {
          const CountedLosses rows = counted_cross_entropy(p[0], in[1], 3);
          return sum(rows.losses) / sum(rows.counts);
        },
        {in[0]});
    return Tensors{found.value, found.gradients[0]};
  };
  EXPECT_EQ(
      calls(counted, {x, labels}),
      "not_equal astype sum reciprocal reshape broadcast_to softmax_cross_entropy_with_grad sum divide");
  expect_as_program(record(counted, Tensors{x, labels}), {x, labels}, "rows that count");
  // The cotangents depend on the losses.
  const Function squares = loss_and_gradient([](const Tensor& losses) { return sum(square(losses)); });
  EXPECT_EQ(calls(squares, {x, labels}).find("_with_"), std::string::npos) << calls(squares, {x, labels});
  const auto in_order = [&](bool softmax_first, int64_t axis) -> Function {
    return [=](const Tensors& in) {
      const Tensor first = softmax_first ? softmax(in[0], axis) : log_softmax(in[0], 1), read = sin(first),
                   second = softmax_first ? log_softmax(in[0], 1) : softmax(in[0], axis);
      return Tensors{read, cos(second)};
    };
  };
  EXPECT_EQ(calls(in_order(false, 1), {x}), "log_softmax_with_softmax sin cos");
  EXPECT_EQ(calls(in_order(true, 1), {x}), "log_softmax_with_softmax sin cos");
  EXPECT_EQ(calls(in_order(true, 0), {x}), "softmax sin log_softmax cos");
  const Function limits = [](const Tensors& in) { return Tensors{softmax_limit(in[0]), log_softmax(in[0])}; };
  EXPECT_EQ(calls(limits, {x}), "softmax log_softmax");
  // What is done besides stays in its place.
  const Function prints = [](const Tensors& in) {
    const Tensor p = softmax(in[0]);
    debug_callback([](const Tensors&) {}, {p});
    return Tensors{p, log_softmax(in[0])};
  };
  EXPECT_EQ(calls(prints, {x}), "softmax debug_callback log_softmax");
  EXPECT_EQ(calls(
                [](const Tensors& in) {
                  return Tensors{softmax(in[0]), log_softmax(in[1])};
                },
                {x, x + 1}),
            "softmax log_softmax");
  const std::string text = Executable(record(step, Tensors{x, labels})).explain_run();
  EXPECT_NE(text.find("softmax_cross_entropy_with_grad"), std::string::npos) << text;
  const std::string plain = Executable(record(step, Tensors{x, labels}), {}, {.pairs = false}).explain_run();
  EXPECT_EQ(plain.find("softmax_cross_entropy_with_grad"), std::string::npos) << plain;

  // Rows with infinities and NaN, that do not count, and whose factor is 0; of one column, and long ones.
  for (const DType dtype : {DType::float32, DType::float64, DType::float16, DType::bfloat16}) {
    for (const int64_t n : {int64_t{1}, int64_t{7}, int64_t{40}, int64_t{1003}}) {
      Tensor rows = astype(random_normal(random_key(3), {9, n}, 0, 3), dtype);
      Tensor first = select(rows, 1, 0);
      assign(first, astype(tensor<float>({INFINITY, NAN, -INFINITY, 1, 2, INFINITY, 3, NAN, 0}), dtype));
      Tensor last = select(rows, 0, 2);
      assign(last, full({n}, -INFINITY, dtype));
      const Tensor classes = random_integers(random_key(4), {9}, 0, n) *
                             astype(tensor<int64_t>({1, 1, 1, 1, 0, 0, 1, 1, 1}), DType::int64),
                   factors = astype(tensor<float>({1, 2, 3, 0, -1, 0.5f, 0, 0, 2}),
                                    dtype == DType::float64 ? dtype : DType::float32);
      const Function both = [](const Tensors& in) {
        const CountedLosses counted = counted_cross_entropy(in[0], in[1], 0);
        return Tensors{
            counted.losses,
            counted.counts,
            bind(primitives::softmax_cross_entropy_grad, {in[0], in[1], in[2]}, CrossEntropyAttrs{true, 0}),
            softmax(in[0], 0),
            log_softmax(in[0], 0),
            log_softmax(in[0], 1),
            softmax(in[0], 1)};
      };
      const Tensors arguments{rows, classes, factors};
      EXPECT_EQ(calls(both, arguments),
                "softmax_cross_entropy_with_grad log_softmax_with_softmax log_softmax_with_softmax");
      expect_as_program(record(both, arguments), arguments, str(dtype, " of ", n));
      const Tensors turned{swapaxes(copy(swapaxes(rows, 0, 1)), 0, 1), classes, factors};
      expect_as_program(record(both, turned), turned, str(dtype, " columns of ", n));
    }
  }
  const Tensors none{zeros({0, 3}), zeros({0}, DType::int64)};
  expect_as_program(record(step, none), none, "no rows");
  const Executable refuses(record(step, Tensors{x, labels}));
  EXPECT_THROW((void)refuses({{x, labels + 1}}), IndexError);
}

// Results are made in the order of axes in which they are given back, and not copied to it.
TEST(Executable, TurnsWhatIsGivenBackPermuted) {
  const Tensor x = random_normal(random_key(1), {3, 4, 5}), a = random_normal(random_key(2), {40, 40}),
               b = random_normal(random_key(3), {40, 40});
  const auto expect = [&](const Function& function, const Tensors& arguments, const std::string& names,
                          bool is_copied) {
    const Program program = record(function, arguments);
    std::string found;
    for (const auto& call : with_results_turned(simplify(program), {}).instructions)
      found += str(found.empty() ? "" : " ", call.primitive->name);
    EXPECT_EQ(found, names) << program.to_string();
    const Executable executable(program);
    EXPECT_EQ(executable.explain().find("result 0 is a copy") != std::string::npos, is_copied)
        << executable.explain();
    expect_as_program(program, arguments, names);
  };
  const auto turn = [](const Tensor& y) { return permute_dims(y, {2, 0, 1}); };
  expect([&](const Tensors& in) { return Tensors{matrix_transpose(matrix_transpose(in[0]) + in[0])}; }, {a},
         "permute_dims add", false);
  expect(
      [&](const Tensors& in) {
        const Tensor y = sin(permute_dims(in[0], {1, 2, 0})) * 2;
        return Tensors{reshape(turn(y), {3, 2, 2, 5})};
      },
      {x}, "sin permute_dims multiply reshape", false);
  // It would lie across in the place of its result.
  expect([&](const Tensors& in) { return Tensors{turn(sin(in[0]))}; }, {x}, "sin permute_dims", true);
  // Two matrices that lie across in the place of one, and what is read in its own order, too.
  expect([&](const Tensors& in) { return Tensors{matrix_transpose(in[0] + in[1])}; }, {a, b},
         "add permute_dims", true);
  expect(
      [&](const Tensors& in) {
        const Tensor y = sin(in[0]);
        return Tensors{matrix_transpose(y), y};
      },
      {a}, "sin permute_dims", true);
  expect([&](const Tensors& in) { return Tensors{matrix_transpose(matmul(in[0], in[1]))}; }, {a, b},
         "matmul permute_dims", true);
}

TEST(Executable, ExplainsWhatItDoes) {
  const Program program = record(
      [](const Tensors& in) {
        Tensor x = in[0];
        assign(x, tanh(x * 2 + in[1]));
        return Tensors{sum(matmul(x, x)), in[1]};
      },
      std::vector<Spec>{{{4, 4}, DType::float32, {}}, {{4}, DType::float32, {}}});
  const std::string text = Executable(program).explain();
  for (const char* part :
       {"2 calls on their own, 1 groups of 3 calls", "tanh; reads 2 tensors and 1 numbers, gives 1",
        "arena on cpu: 64 bytes, of which 64 are in use at once, at instruction ", "result 1 is a copy",
        "argument 0 is written to where its new value is made"})
    EXPECT_NE(text.find(part), text.npos) << part << " is not in\n" << text;
}

TEST(Executable, IsCalledByThreadsAtOnce) {
  const Network network(16);
  const Executable executable(network.step);
  const Tensors once = twins_of(network.arguments);
  const Tensors want = network.step(once);
  std::vector<std::thread> threads;
  std::atomic<int> same = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) {
        const Tensors mine = twins_of(network.arguments);
        const Tensors got = executable(mine);
        same += host_bytes(got[0]) == host_bytes(want[0]) && host_bytes(mine[0]) == host_bytes(once[0]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(same, 40);
}

TEST(Executable, ReadsWhatIsClosedOverWhereItIs) {
  Tensor factor = zeros({}) + 2, rows = ones({3});
  const Program program =
      record([&](const Tensors& in) { return Tensors{in[0] * factor * 1 + rows}; }, Tensors{ones({3})});
  const Executable executable(program);
  const Tensor x = ones({3});
  EXPECT_EQ(to_vector<float>(executable({&x, 1})[0]), (std::vector<float>{3, 3, 3}));
  assign(factor, zeros({}) + 5);
  assign(rows, zeros({3}) + 7);
  EXPECT_EQ(to_vector<float>(executable({&x, 1})[0]), (std::vector<float>{12, 12, 12}));
}

template <class Error, class F> void expect_error(const std::string& part, const F& function) {
  try {
    function();
    FAIL() << "no error: " << part;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Executable, RefusesArgumentsThatItWasNotMadeFor) {
  const Program program = record(
      [](const Tensors& in) {
        Tensor x = in[0];
        assign(x, in[0] + in[1]);
        return Tensors{sum(in[1])};
      },
      std::vector<Spec>{{{2, 3}, DType::float32, {}}, {{2, 3}, DType::float32, {}}});
  const Executable executable(program);
  const auto call = [&](const Tensor& a, const Tensor& b) { return executable(Tensors{a, b}); };
  const Tensor a = ones({2, 3}), b = ones({2, 3});
  expect_error<ValueError>("takes 2 arguments, not 1", [&] { executable(Tensors{a}); });
  expect_error<ShapeError>("argument 1 is float32(3, 2) cpu but it was made for float32(2, 3) cpu", [&] {
    call(a, ones({3, 2}));
  });
  expect_error<ValueError>("argument 1, float32(2, 3) cpu, has strides (1, 2) but it was made for (3, 1)",
                           [&] {
                             call(a, matrix_transpose(ones({3, 2})));
                           });
  expect_error<ValueError>("argument 0, float32(2, 3) cpu, is written to, but shares memory with argument 1",
                           [&] { call(a, a); });
  const Tensor both = ones({3, 3});
  expect_error<ValueError>("shares memory with argument 1",
                           [&] { call(slice_axis(both, 0, 1, 3), slice_axis(both, 0, 0, 2)); });
  EXPECT_EQ(to_vector<float>(both), std::vector<float>(9, 1));
  const Tensor four = ones({4, 3});
  (void)call(slice_axis(four, 0, 2, 4), slice_axis(four, 0, 0, 2));
  EXPECT_EQ(to_vector<float>(four), (std::vector<float>{1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2}));
  std::vector<float> memory(6, 1);
  const Tensor fixed = Tensor::from_memory(memory.data(), {2, 3}, {3, 1}, DType::float32, nullptr, {}, false);
  expect_error<ValueError>("read-only memory", [&] { call(fixed, b); });
  EXPECT_EQ(memory, std::vector<float>(6, 1));
  expect_error<TraceError>("has no value yet", [&] { call(Tensor::unknown({2, 3}, DType::float32), b); });
  const std::vector<Strides> repeated{{0, 1}, {3, 1}};
  expect_error<ValueError>("its elements share memory", [&] { Executable(program, repeated); });
}

// Results of the donated arguments' specs are made where these lie.
TEST(Executable, ResultsTakeTheMemoryOfDonatedArguments) {
  const Program program = record(
      [](const Tensors& in) {
        const Tensor moment = in[1] * 0.9f + in[2];
        return Tensors{in[0] - moment * in[3], moment, sum(in[2]), in[4]};
      },
      std::vector<Spec>{{{30, 20}, DType::float32, {}},
                        {{30, 20}, DType::float32, {}},
                        {{30, 20}, DType::float32, {}},
                        {{}, DType::float32, {}},
                        {{7}, DType::float32, {}}});
  const auto arguments = [] {
    return Tensors{random_normal(random_key(1), {30, 20}), random_normal(random_key(2), {30, 20}),
                   random_normal(random_key(3), {30, 20}), zeros({}) + 0.1f, ones({7})};
  };
  const Tensors want = program(arguments());
  const std::vector<Donation> donations{{0}, {1}, {4}};
  for (const Passes& passes : kPasses) {
    const Executable executable(program, {}, passes, donations);
    expect_same(executable(arguments()), want, "donated");
  }
  const Executable executable(program, {}, {}, donations), keeps(program);
  EXPECT_EQ(keeps.peak_bytes() - executable.peak_bytes(), 4 * (600 + 600 + 7));
  executable(arguments());
  const Tensors given = arguments();
  const void* const places[] = {given[0].raw_data(), given[1].raw_data(), given[4].raw_data()};
  Allocator& allocator = backend(Device{}).allocator(0);
  const int64_t allocations = allocator.stats().allocations;
  const Tensors results = executable(given);
  EXPECT_EQ(allocator.stats().allocations - allocations, 1);  // of the sum
  EXPECT_EQ(results[0].raw_data(), places[0]);
  EXPECT_EQ(results[1].raw_data(), places[1]);
  EXPECT_EQ(results[3].raw_data(), places[2]);
  expect_same(results, want, "donated");
  expect_error<ValueError>("was donated to a compiled function", [&] { given[0] + 1; });
  expect_error<ValueError>("was donated to a compiled function", [&] { to_vector<float>(given[0]); });
  expect_error<ValueError>("was donated to a compiled function", [&] {
    Tensor target = given[1];
    assign(target, ones({30, 20}));
  });
  expect_same({results[0] + 1}, {want[0] + 1}, "results are tensors like others");
}

// Also those that are not computed element by element from them, once nobody reads them any more.
TEST(Executable, AnyResultOfTheSizeTakesADonatedArgument) {
  const std::vector<Spec> specs{
      {{20, 30}, DType::float32, {}}, {{30, 20}, DType::float32, {}}, {{30, 20}, DType::int32, {}}};
  const auto arguments = [] {
    return Tensors{random_normal(random_key(1), {20, 30}), random_normal(random_key(2), {30, 20}),
                   random_integers(random_key(3), {30, 20}, 0, 9, DType::int32)};
  };
  struct Case {
    const char* name;
    std::function<Tensor(const Tensors&)> function;
    int donated;
    bool takes;
  };
  const Case cases[] = {
      {"unread", [](const Tensors& in) { return matmul(in[1], matmul(in[0], in[1])); }, 2, true},
      {"read by the call", [](const Tensors& in) { return cumulative_sum(swapaxes(in[0], 0, 1), 0); }, 0,
       false},
      {"read before",
       [](const Tensors& in) {
         const Tensor total = sum(in[0]);
         return cumulative_sum(in[1] * 2, 0) + total;
       },
       0, true},
      {"read later",
       [](const Tensors& in) {
         const Tensor sums = cumulative_sum(in[1] * 2, 0);
         return sums + sum(in[0]);
       },
       0, false},
      {"another size", [](const Tensors& in) { return matmul(in[0], in[1]); }, 2, false},
  };
  for (const auto& [name, function, donated, takes] : cases) {
    const Program program = record([&](const Tensors& in) { return Tensors{function(in)}; }, specs);
    const Executable executable(program, {}, {}, std::vector<Donation>{{donated}});
    const Tensors given = arguments(), want = program(arguments());
    const void* const place = given[static_cast<size_t>(donated)].raw_data();
    const Tensors results = executable(given);
    EXPECT_EQ(results[0].raw_data() == place, takes) << name;
    expect_same(results, want, name);
  }
}

TEST(Executable, RefusesDonationsThatWouldTakeWhatSomebodyHas) {
  const Program program =
      record([](const Tensors& in) { return Tensors{in[0] + in[1]}; },
             std::vector<Spec>{{{2, 3}, DType::float32, {}}, {{2, 3}, DType::float32, {}}});
  const std::vector<Donation> donations{{0}};
  const Executable executable(program, {}, {}, donations);
  const Tensor b = ones({2, 3});
  const auto refuses = [&](const std::string& part, const Tensor& a, const Tensor& other) {
    expect_error<ValueError>(part, [&] { executable(Tensors{a, other}); });
    EXPECT_FALSE(a.is_abstract());
  };
  Tensor a = ones({2, 3});
  refuses("also that of argument 1", a, a);
  {
    const Tensor view = flatten(a);
    refuses("other tensors are views of its memory", a, b);
  }
  refuses("its memory is not its own", slice_axis(ones({4, 3}), 0, 1, 3), b);
  std::vector<float> memory(6, 1);
  refuses("its memory is not its own",
          Tensor::from_memory(memory.data(), {2, 3}, {3, 1}, DType::float32, nullptr), b);
  a.set_requires_grad();
  refuses("is being differentiated", a, b);
  expect_same(executable(Tensors{ones({2, 3}), b}), {ones({2, 3}) + 1}, "donated");
  const Program writes = record(
      [](const Tensors& in) {
        Tensor x = in[0];
        assign(x, x * 2);
        return Tensors{sum(x)};
      },
      std::vector<Spec>{{{3}, DType::float32, {}}});
  expect_error<ValueError>("is donated, and written to as well",
                           [&] { Executable(writes, {}, {}, donations); });
}

TEST(Executable, ChangesNothingWhereACallFails) {
  const Program program = record(
      [](const Tensors& in) {
        Tensor x = in[0];
        assign(x, x * 2);
        return Tensors{take(in[0], in[1], 0)};
      },
      std::vector<Spec>{{{3}, DType::float32, {}}, {{2}, DType::int64, {}}});
  const Executable executable(program);
  const Tensor x = ones({3}), outside = tensor({int64_t{0}, int64_t{3}}),
               inside = tensor({int64_t{2}, int64_t{0}});
  EXPECT_THROW(executable(Tensors{x, outside}), IndexError);
  EXPECT_EQ(to_vector<float>(x), std::vector<float>(3, 1));
  EXPECT_EQ(to_vector<float>(executable(Tensors{x, inside})[0]), (std::vector<float>{2, 2}));
  EXPECT_EQ(to_vector<float>(x), std::vector<float>(3, 2));
}

TEST(Executable, ShowsTheHostTensorsThatStay) {
  Tensors kept;
  const Program program = record(
      [&](const Tensors& in) {
        debug_callback([&](const Tensors& seen) { kept.push_back(seen[0]); }, {in[0] * 2});
        return Tensors{in[0] * 2 + 1};
      },
      Tensors{ones({2})});
  const Executable executable(program);
  for (const float value : {1.0f, 2.0f, 3.0f}) {
    const Tensor x = zeros({2}) + value;
    (void)executable({&x, 1});
  }
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(to_vector<float>(kept[0]), (std::vector<float>{2, 2}));
  EXPECT_EQ(to_vector<float>(kept[2]), (std::vector<float>{6, 6}));
}

TEST(Executable, ComputesAgainWhatACheckpointLetsGo) {
  const Program program = record(
      [](const Tensors& in) {
        const auto found = value_and_grad(
            [](const Tensors& p) {
              return sum(checkpoint([](const Tensors& x) { return Tensors{sin(sin(x[0]))}; }, p)[0]);
            },
            in);
        return Tensors{found.value, found.gradients[0]};
      },
      Tensors{ones({5})});
  const auto sines = [](const Program& p) {
    return std::ranges::count(p.instructions, &primitives::sin, &Program::Instruction::primitive);
  };
  EXPECT_EQ(sines(simplify(program, Loops::kept)), 3);
  EXPECT_EQ(sines(simplify(program)), 2);
}

}  // namespace
}  // namespace tidu
