// Minimisation, its reports, standard errors, stationary points and checks of derivatives: against closed
// forms.
#include <cmath>
#include <sstream>

#include "finite_difference.h"
#include "optim/descent.h"

namespace tidu::optim {
namespace {

using testing::expect_close;
using testing::random_point;

constexpr Method kMethods[] = {Method::lbfgs, Method::newton_cg, Method::gradient_descent,
                               Method::gradient_flow};

Tensor rosenbrock(const Tensors& p) {
  const Tensor &x = p[0][0], &y = p[0][1];
  return 100 * square(y - square(x)) + square(1 - x);
}

// Q diag(eigenvalues) Q^T for a drawn orthogonal Q.
Tensor symmetric(const Tensor& eigenvalues) {
  const int64_t n = eigenvalues.numel();
  const Tensor q = linalg::qr(random_point(3, {n, n})).q;
  return matmul(q * eigenvalues, matrix_transpose(q));
}

// --- minimize

TEST(Minimize, WhatATransformDifferentiatesIsRefused) {
  const Tensor start = zeros({1}, DType::float64), a = ones({1}, DType::float64);
  const std::pair<const char*, Function> searches[] = {
      {"minimize",
       [&](const Tensors& at) {
         return minimize([&](const Tensors& x) { return sum(square(x[0] - at[0])); }, {start}).x;
       }},
      {"least_squares",
       [&](const Tensors& at) {
         return least_squares([&](const Tensors& x) { return Tensors{x[0] - at[0]}; }, {start}).x;
       }},
      {"root",
       [&](const Tensors& at) {
         return root([&](const Tensors& x) { return Tensors{x[0] - at[0]}; }, {start}).x;
       }},
      {"standard_errors", [&](const Tensors& at) {
         return standard_errors([&](const Tensors& x) { return sum(at[0] * square(x[0])); }, {start});
       }}};
  for (const auto& [name, search] : searches) {
    EXPECT_THROW(jvp(search, {a}, {a}), GradientError) << name;
    EXPECT_THROW(vjp(search, {a}), GradientError) << name;
    EXPECT_THROW(record(search, std::vector{a.spec()}), TraceError) << name;
    EXPECT_NEAR(item<double>(search({a})[0]), std::string(name) == "standard_errors" ? std::sqrt(0.5) : 1,
                1e-7);
  }
  Tensor parameter = zeros({1}, DType::float64);
  parameter.set_requires_grad(true);
  const Function updated = [&](const Tensors& gradients) {
    SGD({parameter}, {.lr = 0.1}).step(gradients);
    return gradients;
  };
  EXPECT_THROW(vjp(updated, {a}), GradientError);
  EXPECT_EQ(item<double>(parameter), 0);
}

TEST(Minimize, QuadraticsOverSeveralTensors) {
  const Tensor a = symmetric(linspace(1, 10, 6, DType::float64)), b = random_point(4, {6});
  const Tensor expected = linalg::solve(a, b);
  const auto f = [&](const Tensors& p) {
    const Tensor x = concat({flatten(p[0]), p[1]}, 0);
    return sum(x * matmul(a, x)) / 2 - sum(b * x);
  };
  for (const Method method : kMethods) {
    const Report report = minimize(f, {zeros({2, 2}, DType::float64), zeros({2}, DType::float64)},
                                   {.method = method, .gtol = 1e-7});
    EXPECT_TRUE(report.converged) << report;
    EXPECT_EQ(report.x[0].shape(), (Shape{2, 2}));
    expect_close(concat({flatten(report.x[0]), report.x[1]}, 0), expected, 2e-7);
    EXPECT_NEAR(report.value, -item<double>(sum(b * expected)) / 2, 1e-12);
    EXPECT_EQ(report.f_evaluations, report.gradient_evaluations);
    EXPECT_EQ(report.hvp_evaluations > 0, method == Method::newton_cg);
  }
}

TEST(Minimize, RosenbrocksValley) {
  for (const Method method : {Method::lbfgs, Method::newton_cg}) {
    const Report report = minimize(rosenbrock, {tensor<double>({-1.2, 1})}, {.method = method});
    EXPECT_TRUE(report.converged) << report;
    expect_close(report.x[0], ones({2}, DType::float64), 1e-7);
    EXPECT_LT(report.iterations, 60);
  }
  const Report single = minimize(rosenbrock, {tensor<float>({-1.2f, 1})});
  EXPECT_EQ(single.x[0].dtype(), DType::float32);
  expect_close(single.x[0], ones({2}), 2e-3);
}

TEST(Minimize, FollowsTheFlow) {
  const auto bowl = [](const Tensors& p) { return sum(tensor<double>({1, 5}) * square(p[0])) / 2; };
  const Report report = minimize(bowl, {ones({2}, DType::float64)},
                                 {.method = Method::gradient_flow, .time = 0.7, .rtol = 1e-6, .atol = 1e-8});
  EXPECT_EQ(report.reason, "the path has come to time 0.7");
  EXPECT_FALSE(report.converged);
  expect_close(report.x[0], tensor<double>({std::exp(-0.7), std::exp(-3.5)}), 1e-5);
}

TEST(Minimize, SaysWhyItEnded) {
  const auto reason = [](const ScalarFunction& f, const Tensor& x, MinimizeOptions options = {}) {
    return minimize(f, {x}, options).reason;
  };
  const Tensor one = ones({2}, DType::float64);
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != text.npos; };
  EXPECT_TRUE(has(reason(rosenbrock, one * 3, {.max_iter = 2}), "max_iter = 2 iterations"));
  EXPECT_TRUE(has(reason([](const Tensors& p) { return -sum(p[0] * p[0] * p[0]); }, one), "no minimum"));
  EXPECT_EQ(reason([](const Tensors& p) { return sum(log(p[0])); }, -one), "f is nan at the start");
  EXPECT_EQ(reason([](const Tensors& p) { return sum(sqrt(p[0] - 1)); }, one),
            "the gradient is not finite at the start");
  const auto wall = [](const Tensors& p) {
    return where(all(p[0] == 1), sum(square(p[0])), INFINITY + 0 * sum(p[0]));
  };
  EXPECT_TRUE(has(reason(wall, one), "no step lowers f"));

  const Report still = minimize([](const Tensors& p) { return sum(square(p[0])); }, {zeros({1})});
  std::ostringstream text;
  text << still;
  EXPECT_EQ(text.str(),
            "converged: the gradient's norm, 0, is at most gtol = 0.000345; f = 0, iterations 0, evaluations "
            "of f 1, of its gradient 1, products of its Hessian 0");
}

TEST(Minimize, WrongOptionsAreNamed) {
  const Tensors x{ones({2})};
  for (const MinimizeOptions& options :
       {MinimizeOptions{.gtol = -1}, MinimizeOptions{.gtol = NAN}, MinimizeOptions{.max_iter = -1},
        MinimizeOptions{.history_size = 0}, MinimizeOptions{.radius = 0}, MinimizeOptions{.time = -1},
        MinimizeOptions{.rtol = NAN}, MinimizeOptions{.atol = 0}})
    EXPECT_THROW(minimize(rosenbrock, x, options), ValueError);
  EXPECT_THROW(minimize(rosenbrock, {arange(2)}), DTypeError);
  const auto inside = [](const Tensor& x) {
    return sum(minimize([](const Tensors& p) { return sum(square(p[0])); }, {x}).x[0]);
  };
  EXPECT_THROW(grad(inside)(ones({2})), GradientError);
}

TEST(Minimize, ConjugateGradientsEndInAsManyStepsAsThereAreEigenvalues) {
  for (const Tensor& eigenvalues :
       {linspace(1, 20, 12, DType::float64), tensor<double>({1, 3, 50, 1, 3, 50, 1, 3, 50})}) {
    const Tensor a = symmetric(eigenvalues), b = random_point(5, eigenvalues.shape());
    int count = 0;
    const auto product = [&](const Tensor& d) {
      ++count;
      return matmul(a, d);
    };
    const TruncatedStep step = steihaug(product, -b, 1e6, 1e-8);
    EXPECT_LE(count, eigenvalues.numel() == 12 ? 12 : 3);
    expect_close(step.p, linalg::solve(a, b), 1e-6);
    expect_close(step.bp, matmul(a, step.p), 1e-6);
  }
}

TEST(Minimize, TruncatedConjugateGradientsStayInTheRegion) {
  const Tensor a = symmetric(linspace(1, 20, 12, DType::float64));
  const auto inside =
      steihaug([&](const Tensor& d) { return matmul(a, d); }, random_point(6, {12}), 0.01, 1e-12);
  EXPECT_NEAR(norm(inside.p), 0.01, 1e-14);
  const Tensor curvatures = tensor<double>({1, -2});
  const auto edge =
      steihaug([&](const Tensor& d) { return curvatures * d; }, tensor<double>({1, 0.5}), 3, 1e-12);
  EXPECT_NEAR(norm(edge.p), 3, 1e-12);
  expect_close(edge.bp, curvatures * edge.p);
}

// --- Over parameters

struct Problem {
  Tensor x = random_point(1, {20, 3}), y = random_point(2, {20, 2});
  Tensor weight = random_point(7, {3, 2}), bias = zeros({2}, DType::float64),
         frozen = ones({2}, DType::float64);

  Problem() {
    weight.set_requires_grad();
    bias.set_requires_grad();
  }
  Tensor loss() const {
    return mean(square(tanh(matmul(x, weight) + bias) - y)) + 0.01 * sum(square(weight));
  }
};

std::unique_ptr<Minimizer> make(Method method, const Tensors& parameters, MinimizeOptions options) {
  switch (method) {
    case Method::lbfgs: return std::make_unique<LBFGS>(parameters, options);
    case Method::newton_cg: return std::make_unique<NewtonCG>(parameters, options);
    case Method::gradient_descent: return std::make_unique<GradientDescent>(parameters, options);
    case Method::gradient_flow: break;
  }
  return std::make_unique<GradientFlow>(parameters, options);
}

TEST(Minimizer, BringsParametersToAMinimum) {
  for (const Method method : kMethods) {
    Problem problem;
    const double before = item<double>(problem.loss());
    const auto minimizer =
        make(method, {problem.weight, problem.frozen, problem.bias}, {.gtol = 1e-5, .max_iter = 5000});
    EXPECT_EQ(item<double>(minimizer->step([&] { return problem.loss(); })), before);
    const Report& report = minimizer->report();
    EXPECT_TRUE(report.converged && report.value < before) << report;
    EXPECT_EQ(report.value, item<double>(problem.loss()));
    EXPECT_EQ(to_vector<double>(report.x[1]), to_vector<double>(stop_gradient(problem.bias)));
    EXPECT_EQ(to_vector<double>(problem.frozen), (std::vector<double>{1, 1}));
    EXPECT_TRUE(problem.weight.requires_grad() && problem.weight.is_leaf());
    EXPECT_FALSE(problem.weight.grad().defined());
  }
}

TEST(Minimizer, GoesOnFromItsStateWithTheSameBits) {
  for (const Method method : kMethods) {
    Problem whole, part;
    const auto first = make(method, {whole.weight, whole.bias}, {.max_iter = 3});
    const auto loss = [&] { return whole.loss(); };
    for (int i = 0; i < 2; ++i) first->step(loss);
    Tensor places[] = {part.weight, part.bias};
    {
      const GradMode off(false);
      assign(places[0], whole.weight);
      assign(places[1], whole.bias);
    }
    const auto second = make(method, {part.weight, part.bias}, {.max_iter = 3});
    second->load_state(first->state());
    first->step(loss);
    second->step([&] { return part.loss(); });
    EXPECT_EQ(to_vector<double>(stop_gradient(whole.weight)), to_vector<double>(stop_gradient(part.weight)));
  }
}

TEST(Minimizer, AnExceptionLeavesTheBestPoint) {
  for (const Method method : kMethods) {
    for (int at = 2; at < 9; ++at) {
      Tensor w = tensor<double>({-1.2, 1});
      w.set_requires_grad();
      double least = INFINITY;
      int calls = 0;
      const auto closure = [&] {
        if (++calls == at) fail<ValueError>("enough");
        const Tensor loss = rosenbrock({w});
        least = std::min(least, item<double>(loss));
        return loss;
      };
      EXPECT_THROW(make(method, {w}, {})->step(closure), ValueError);
      EXPECT_EQ(item<double>(rosenbrock({w})), least);
    }
  }
}

TEST(Minimizer, MistakesAreNamedAndChangeNothing) {
  Tensor w = ones({2});
  w.set_requires_grad();
  EXPECT_THROW(LBFGS({}), ValueError);
  EXPECT_THROW(LBFGS({arange(2)}), ValueError);
  EXPECT_THROW(LBFGS({w}, {.max_iter = -1}), ValueError);
  EXPECT_THROW(LBFGS({w}).step([&] { return w * 2; }), DTypeError);
  EXPECT_THROW(LBFGS({w}).step([] { return Tensor(); }), DTypeError);
  const auto closure = [&] {
    const Tensor loss = sum(square(w - 3));
    w.set_grad({});
    loss.backward();
    return loss;
  };
  EXPECT_THROW(NewtonCG({w}).step(closure), ValueError);
  EXPECT_EQ(to_vector<float>(stop_gradient(w)), (std::vector<float>{1, 1}));
  LBFGS mine({w});
  mine.step(closure);
  EXPECT_NEAR(item<double>(w[0]), 3, 1e-3);

  Tensor other = ones({3});
  other.set_requires_grad();
  LBFGS theirs({other});
  EXPECT_THROW(theirs.load_state(mine.state()), ShapeError);
  EXPECT_THROW(theirs.load_state({{"0.step", ones({3})}}), ValueError);
  EXPECT_TRUE(theirs.state().empty());
}

// --- Standard errors

// Of the mean and the logarithm of the deviation of normal data: s / sqrt(n) and 1 / sqrt(2 n).
TEST(StandardErrors, OfNormalData) {
  const Tensor data = 3 + 2 * random_point(8, {50});
  const auto f = [&](const Tensors& p) { return sum(square((data - p[0]) / exp(p[1])) / 2 + p[1]); };
  const Tensor deviation = std(data);
  const Tensors errors = standard_errors(f, {mean(data), log(deviation)});
  expect_close(errors[0], deviation / std::sqrt(50.0));
  expect_close(errors[1], full({}, 0.1, DType::float64));
}

TEST(StandardErrors, WhatIsNotDeterminedIsNamed) {
  const auto message = [](const ScalarFunction& f, const Tensors& x) -> std::string {
    try {
      standard_errors(f, x);
    } catch (const ValueError& error) { return error.what(); }
    return "";
  };
  const Tensors x{ones({3}, DType::float64)};
  EXPECT_NE(message([](const Tensors& p) { return square(p[0][0] + p[0][2] - 1) + square(p[0][1]); }, x)
                .find("singular"),
            std::string::npos);
  EXPECT_NE(
      message([](const Tensors& p) { return square(p[0][0]) + square(p[0][2]); }, x).find("by x[1] is not"),
      std::string::npos);
  EXPECT_NE(message([](const Tensors& p) { return sum(square(p[0])) - square(p[1][0][1]); },
                    {x[0], ones({2, 2}, DType::float64)})
                .find("x[0, 0] of leaf 1, x[0, 1] of leaf 1"),
            std::string::npos);
  EXPECT_THROW(standard_errors([](const Tensors& p) { return sum(p[0]); }, {zeros({0})}), ShapeError);
}

// --- What a function is like at a point

TEST(StationaryPoints, AreClassified) {
  using Kind = StationaryPoint::Kind;
  const Tensors origin{zeros({2}, DType::float64), zeros({}, DType::float64)};
  const auto kind = [&](double a, double b, double c) {
    return classify_stationary_point(
        [=](const Tensors& p) { return a * square(p[0][0]) + b * square(p[0][1]) + c * square(p[1]); },
        origin);
  };
  EXPECT_EQ(kind(1, 2, 3).kind, Kind::minimum);
  EXPECT_EQ(kind(-1, -2, -3).kind, Kind::maximum);
  EXPECT_EQ(kind(1, 0, 3).kind, Kind::undecided);
  const StationaryPoint saddle = kind(-1, 0, 3);
  EXPECT_EQ(saddle.kind, Kind::saddle);
  expect_close(saddle.eigenvalues, tensor<double>({-2, 0, 6}));
  ASSERT_EQ(saddle.down.size(), 1u);
  expect_close(abs(saddle.down[0][0]), tensor<double>({1, 0}));
  EXPECT_EQ(saddle.up.at(0)[1].shape(), Shape{});
  EXPECT_EQ(saddle.flat.size(), 1u);
  const auto slope = [](const Tensors& p) { return sum(p[0]) + square(p[1]); };
  const StationaryPoint none = classify_stationary_point(slope, origin);
  EXPECT_EQ(none.kind, Kind::not_stationary);
  EXPECT_DOUBLE_EQ(none.gradient_norm, std::sqrt(2.0));
  EXPECT_THROW(classify_stationary_point(slope, {zeros({0}), zeros({0})}), ShapeError);
  EXPECT_THROW(classify_stationary_point([](const Tensors& p) { return sum(sqrt(p[0])); }, {zeros({2})}),
               ValueError);
}

TEST(CheckGrads, AgreesAndFindsFaults) {
  const Tensor x = random_point(9, {2, 2});
  const auto right = [](const Tensors& p) { return Tensors{sin(matmul(p[0], p[0])), argmax(p[0])}; };
  EXPECT_EQ(check_grads(right, {x}), "");
  EXPECT_EQ(check_grads([](const Tensors& p) { return Tensors{tanh(p[0])}; }, {ones({3})}, {.order = 1}), "");
  // Off by a factor in element (1, 0) alone.
  const Tensor factor = reshape(tensor<double>({1, 1, 1.5, 1}), {2, 2});
  const auto wrong = [&](const Tensors& p) {
    return Tensors{stop_gradient(square(p[0]) * (1 - factor)) + square(p[0]) * factor};
  };
  for (const bool forward : {true, false}) {
    const std::string fault =
        check_grads(wrong, {x}, {.order = 1, .forward = forward, .reverse = !forward, .name = "wrong"});
    EXPECT_TRUE(fault.starts_with(forward ? "jvp of wrong, output 0: element (1, 0) is " : "vjp of wrong: "));
    EXPECT_NE(fault.find("element (1, 0) is "), fault.npos);
    EXPECT_NE(fault.find(" by differences, "), fault.npos);
  }
}

}  // namespace
}  // namespace tidu::optim
