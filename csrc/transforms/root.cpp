// Roots, and what is one: fixed points and minima. Derivatives by the implicit function theorem.
#include <cmath>

#include "base/digits.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "optim/domain.h"
#include "transforms/control.h"
#include "transforms/directional.h"
#include "transforms/held_solver.h"

namespace tidu {
namespace {

// The programs are of (x, captured..), the solvers of tangents of (b, x, captured..).
struct RootAttrs {
  ProgramField given;     // what the solver is given
  ProgramField residual;  // what is 0 at the solution
  HeldSolver solve, tangent_solve, transpose_solve;
  bool symmetric;  // the derivative of the residual by x
  void fields(auto&& field) const {
    field("symmetric", symmetric), field("given", given), field("residual", residual), field("solve", solve);
    field("tangent_solve", tangent_solve), field("transpose_solve", transpose_solve);
  }
};

std::vector<Spec> inputs_of(const Program& program) {
  return specs_of(program, program.inputs, 0, program.inputs.size());
}

// J(v) = b, J the derivative of the residual by x, as a system with x among what is captured.
LinearSystem tangent_system(const RootAttrs& attrs) {
  std::vector<Spec> specs = inputs_of(*attrs.residual);
  specs.insert(specs.begin(), specs[0]);
  Program derivative = record_unseen(
      [&](const Tensors& at) {
        Tensors tangents(at.size() - 1);
        tangents[0] = at[0];
        return push_program(*attrs.residual, from(at, 1), tangents).tangents;
      },
      specs);
  return {hold(std::move(derivative)), {}, attrs.tangent_solve, attrs.transpose_solve, attrs.symmetric};
}

RootAttrs with_solver_program(const RootAttrs& attrs) {
  RootAttrs result = attrs;
  result.solve = hold_recorded(attrs.solve, attrs.given, inputs_of(*attrs.given));
  return result;
}

RootAttrs with_programs(const RootAttrs& attrs) {
  RootAttrs result = with_solver_program(attrs);
  const LinearSystem system = with_programs(tangent_system(attrs));
  result.tangent_solve = system.solve;
  result.transpose_solve = system.transpose_solve;
  return result;
}

Tensors run_root(const Call& call) {
  const auto& attrs = call.attrs.as<RootAttrs>();
  return solve_with(attrs.solve, attrs.given, list(call.inputs));
}

void infer_root(const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[0]; }

void dispatch_root(const Call& call) {
  const auto& attrs = call.attrs.as<RootAttrs>();
  if (attrs.solve.program.program || std::ranges::none_of(call.inputs, &Tensor::is_abstract))
    return dispatch<run_root>(call);
  const Attrs held(with_solver_program(attrs));
  dispatch<run_root>({call.primitive, call.inputs, held, call.outputs});
}

void check_root(const SpecCall& call, size_t) {
  const auto& attrs = call.attrs.as<RootAttrs>();
  const std::vector<Spec> inputs = specs_of(call);
  require(inputs[0].shape.size() > 0 && is_differentiable(inputs[0].dtype), call, "it is of no vectors");
  std::vector<Spec> with_b = inputs;
  with_b.insert(with_b.begin(), inputs[0]);
  check_held(call, *attrs.given, inputs, specs_of_outputs(*attrs.given));
  check_held(call, *attrs.residual, inputs, {inputs[0]});
  require(attrs.solve && attrs.tangent_solve, call, "nothing says how it is solved");
  if (attrs.solve.program.program) check_held(call, *attrs.solve.program, inputs, {inputs[0]});
  for (const HeldSolver* solver : {&attrs.tangent_solve, &attrs.transpose_solve}) {
    if (solver->program.program) check_held(call, *solver->program, with_b, {inputs[0]});
  }
}

// The solution and what the residual closes over.
Tensors at_solution(const Call& call) {
  Tensors inputs = list(call.inputs);
  inputs[0] = call.outputs[0];
  return inputs;
}

Tensors push_root(const Call& call, Tangents given) {
  const auto& attrs = call.attrs.as<RootAttrs>();
  Tensors tangents = list(given);
  tangents[0] = {};
  if (std::ranges::none_of(tangents, &Tensor::defined)) return {Tensor()};
  const Tensors inputs = at_solution(call);
  const Tensor moved = push_program(*attrs.residual, inputs, tangents).tangents[0];
  return {solve_exactly(tangent_system(attrs), -moved, inputs)};
}

Tensors pull_root(const Call& call, Cotangents cotangents, const InputSet& asked) {
  const auto& attrs = call.attrs.as<RootAttrs>();
  std::vector<bool> wanted{false};
  for (size_t i = 1; i < call.inputs.size(); ++i)
    wanted.push_back(is_differentiable(call.inputs[i].dtype()) && asked.has(i));
  if (count(wanted) == 0) return Tensors(wanted.size());
  const Tensors inputs = at_solution(call);
  const Tensor z = solve_exactly(transposed(tangent_system(attrs)), cotangents[0], inputs);
  return spread(pull_program(*attrs.residual, inputs, wanted, {-z}), wanted);
}

Tensors batch_root(const BatchedCall& batched) {
  RootAttrs attrs = with_programs(batched.call.attrs.as<RootAttrs>());
  std::vector<bool> flags = batched.batched;
  flags[0] = true;
  std::vector<bool> with_x = flags;
  with_x.insert(with_x.begin(), true);
  const auto lanes = [&](ProgramField& program, const std::vector<bool>& of_inputs) {
    if (program.program) program = hold(in_lanes(*program, of_inputs, {true}, batched));
  };
  lanes(attrs.given, flags);
  lanes(attrs.residual, flags);
  lanes(attrs.solve.program, flags);
  lanes(attrs.tangent_solve.program, with_x);
  lanes(attrs.transpose_solve.program, with_x);
  Tensors inputs = list(batched.call.inputs);
  inputs[0] = batched.lanes(0);
  return bind_all(primitives::root, inputs, attrs, 1);
}

}  // namespace

// | `root` | $f(x, p) = 0$ | $f_x \dot x = -f_p \dot p$ | $f_x^T z = \bar x$, $\bar p = -f_p^T z$ |
Primitive primitives::root(
    "root",
    {.batching = batch_root,
     .attrs = {RootAttrs{}, [](const Attrs& attrs) { return Attrs(with_programs(attrs.as<RootAttrs>())); }},
     .inputs = {1, kAnyNumber},
     .check = check_root,
     .infer = infer_root,
     .derivative = rule<push_root, pull_root, kAllInputs | kOutput>(),
     .evaluate = evaluate<run_root>,
     .dispatch = dispatch_root});

namespace {

// What a sort of root is, over vectors.
struct Problem {
  const char* op;
  Function given, residual;
  HeldSolver solve, tangent_solve;
  bool symmetric = false;
};

Tensors solve_problem(const Problem& problem, const Joint& joint, const Tensors& guess) {
  const Tensor start = stop_gradient(joint.vector(guess));
  const auto record_for = [&](const Function& function) {
    try {
      return record_unseen(function, specs_of({start}));
    } catch (const TraceError& error) {
      fail<TraceError>(
          "[", problem.op,
          "] the function looks at values, but is recorded to be differentiated (use where, cond "
          "or while_loop): ",
          error.what());
    }
  };
  Program given = record_for(problem.given), residual = record_for(problem.residual);
  if (!given.writes.empty()) fail<ValueError>("[", problem.op, "] the function overwrites its argument");
  RootAttrs attrs{{}, {}, problem.solve, problem.tangent_solve, {}, problem.symmetric};
  if (!problem.symmetric) attrs.transpose_solve = problem.tangent_solve;
  Tensors captured;
  if (is_recording()) {
    Program solve = recorded(attrs.solve, hold(given), specs_of({start}));
    capture({&given, &residual, &solve}, captured);
    attrs.solve = {{}, hold(std::move(solve))};
  } else {
    capture({&given, &residual}, captured);
  }
  attrs.given = hold(std::move(given));
  attrs.residual = hold(std::move(residual));
  Tensors inputs{start};
  append(inputs, captured);
  return joint.tensors(bind_all(primitives::root, inputs, attrs, 1)[0]);
}

// A function of tensors as one of vectors.
Function on_vectors(const Function& function, const Joint& joint) {
  return [function, joint](const Tensors& x) {
    const Tensors image = function(joint.tensors(x[0]));
    joint.check(image, "what the function returns");
    return Tensors{joint.vector(image)};
  };
}

HeldSolver tangent_solver(const Solver& given, const Joint& joint, const char* op, bool symmetric = false) {
  if (given) return hold_solver(given, joint, op);
  return {std::make_shared<const Solver>([symmetric, op](const Function& matvec, const Tensors& b) {
            return solve_tangents(op, matvec, b, symmetric);
          }),
          {}};
}

HeldSolver hold_code(Solver code) { return {std::make_shared<const Solver>(std::move(code)), {}}; }

Tensor largest(const Tensor& x) { return x.numel() ? max(abs(x)) : zeros({}, x.dtype(), x.device()); }

Tensor number(double value, const Tensor& like) { return full({}, value, like.dtype(), like.device()); }

// Whether a change of x is none.
Tensor is_small(const Tensor& change, const Tensor& x, double tol) {
  const Tensor size = largest(change);
  return logical_and(size <= tol * maximum(largest(x), 1), isfinite(size));
}

// NaN where not found; a ValueError where that is known.
Tensor or_nan(const Tensor& is_found, const Tensor& x) {
  return where(is_found, x, number(std::numeric_limits<double>::quiet_NaN(), x));
}
void check_found(const char* op, const Tensors& x, int64_t max_iter) {
  const auto has_nan = [](const Tensor& tensor) {
    return !tensor.is_abstract() && tensor.numel() && item<bool>(any(isnan(stop_gradient(tensor))));
  };
  if (is_recording() || std::ranges::none_of(x, has_nan)) return;
  fail<ValueError>("[", op, "] no solution was found in ", max_iter,
                   " iterations (begin nearer to it, or give another tol or max_iter)");
}

struct Limits {
  Limits(const char* op, const implicit::RootOptions& options, const Joint& joint, int64_t default_max_iter)
      : tol(options.tol.value_or(std::pow(joint.epsilon(), 0.75))),
        max_iter(options.max_iter.value_or(default_max_iter)) {
    if (!(tol >= 0)) fail<ValueError>("[", op, "] tol is ", tol, " but must not be negative");
    if (max_iter < 0) fail<ValueError>("[", op, "] max_iter is ", max_iter, " but must not be negative");
  }
  double tol;
  int64_t max_iter;
};

// That a point that a minimisation came to is a minimum, as far as a few steps of conjugate gradients from a
// direction drawn at random tell, with exact products of the Hessian: of few unknowns they tell all.
void check_minimum(const ScalarFunction& function, const optim::Report& report, double epsilon) {
  constexpr int64_t kProducts = 20;
  constexpr double kNear = 0.01;  // of the length of x, or of 1
  const Tensor& x = report.x[0];
  if (x.numel() == 0) return;
  const Tensor key = to(random_key(0), x.device());
  Tensor r = astype(random_normal(key, x.shape(), 0, 1, DType::float32), x.dtype()), d = r;
  double rr = optim::dot(r, r), largest = 0;
  for (int64_t i = 0; i < std::min(x.numel(), kProducts); ++i) {
    const Tensor product = hvp(function, {x}, {d})[0];
    const double length = optim::norm(d), curvature = optim::dot(d, product) / (length * length);
    if (!std::isfinite(curvature)) return;
    largest = std::max(largest, optim::norm(product) / length);
    if (curvature < -std::sqrt(epsilon) * largest) {
      fail<ValueError>(
          "[argmin] the point found is stationary, but no minimum: the second derivative along a ",
          "direction is ", digits(curvature, 3), " (begin elsewhere, not at a maximum or saddle; ",
          "implicit.root of the gradient takes any stationary point)");
    }
    if (curvature <= std::sqrt(epsilon) * largest) break;
    r = r - rr / (curvature * length * length) * product;
    const double before = std::exchange(rr, optim::dot(r, r));
    if (rr <= epsilon * before) break;
    d = r + (rr / before) * d;
  }
  if (report.gradient_norm > kNear * largest * std::max(1.0, optim::norm(x))) {
    fail<ValueError>("[argmin] the point found is not stationary: the gradient's norm is ",
                     digits(report.gradient_norm, 3), ", but second derivatives are at most about ",
                     digits(largest, 3), ", so a minimum is not near (give a smaller gtol)");
  }
}

}  // namespace

Tensors custom_root(const Function& function, const Tensors& guess, const Solver& solve,
                    const Solver& tangent_solve) {
  const Joint joint("custom_root", "the guess", guess);
  const Function of_vectors = on_vectors(function, joint);
  return solve_problem({"custom_root", of_vectors, of_vectors, hold_solver(solve, joint, "custom_root"),
                        tangent_solver(tangent_solve, joint, "custom_root")},
                       joint, guess);
}

namespace implicit {

Tensors fixed_point(const Function& function, const Tensors& x0, const RootOptions& options) {
  const char* const op = "fixed_point";
  const Joint joint(op, "x0", x0);
  const Limits limits(op, options, joint, 1000);
  const Function given = on_vectors(function, joint);
  const Solver iterate = [limits](const Function& f, const Tensors& start) {
    const Tensor& x = start[0];
    const Tensors last = while_loop(
        [&](const Tensors& at) { return Tensors{logical_and(logical_not(at[1]), at[2] < limits.max_iter)}; },
        [&](const Tensors& at) {
          const Tensor next = f({at[0]})[0];
          return Tensors{next, is_small(next - at[0], next, limits.tol), at[2] + 1};
        },
        {x, zeros({}, DType::bool_, x.device()), zeros({}, DType::int64, x.device())});
    return Tensors{or_nan(last[1], last[0])};
  };
  const Tensors x =
      solve_problem({op, given, [&](const Tensors& at) { return Tensors{given(at)[0] - at[0]}; },
                     hold_code(iterate), tangent_solver(options.tangent_solve, joint, op)},
                    joint, x0);
  check_found(op, x, limits.max_iter);
  return x;
}

Tensors root(const Function& function, const Tensors& x0, const RootOptions& options) {
  const char* const op = "root";
  const Joint joint(op, "x0", x0);
  const Limits limits(op, options, joint, 100);
  const Function given = on_vectors(function, joint);
  const HeldSolver tangent = tangent_solver(options.tangent_solve, joint, op);
  const Solver newton = [limits, tangent](const Function& f, const Tensors& start) {
    const Tensor& x = start[0];
    const Tensor at_start = f({x})[0];
    const auto norm = [](const Tensor& y) { return sum_of_squares(y); };
    // A step that is small beside x ends it or, where x itself goes to 0, one that f is small after, too.
    const auto ends = [&](const Tensor& step, const Tensor& from, const Tensor& image) {
      const Tensor relative = largest(step) <= limits.tol * largest(from);
      const Tensor vanished = largest(image) <= limits.tol * largest(at_start);
      return logical_and(is_small(step, from, limits.tol), logical_or(relative, vanished));
    };
    // x, f(x), the part of the step that is tried, whether it is found, the number of steps, whether there is
    // one.
    const Tensors last = while_loop(
        [&](const Tensors& at) {
          const Tensor goes_on = logical_and(logical_not(at[3]), at[4] < limits.max_iter);
          return Tensors{logical_and(goes_on, at[5])};
        },
        [&](const Tensors& at) {
          const Function derivative = [&](const Tensors& v) { return jvp(f, {at[0]}, v).tangents; };
          const Tensor newton = (*tangent.code)(derivative, {-at[1]})[0];
          const Tensor step = where(all(at[1] == 0), 0, newton);  // at a root though df/dx be singular
          const Tensor next = at[0] + at[2] * step, image = f({next})[0];
          const Tensor is_found = ends(step, at[0], image);
          const Tensor is_better = norm(image) < norm(at[1]);
          const Tensor is_taken = logical_or(is_better, logical_and(is_found, isfinite(norm(image))));
          return Tensors{where(is_taken, next, at[0]),
                         where(is_taken, image, at[1]),
                         where(is_taken, minimum(2 * at[2], 1), at[2] / 2),
                         is_found,
                         at[4] + 1,
                         all(isfinite(step))};
        },
        {x, at_start, number(1, x), zeros({}, DType::bool_, x.device()), zeros({}, DType::int64, x.device()),
         ones({}, DType::bool_, x.device())});
    if (!is_recording() && !item<bool>(last[5])) {
      fail<ValueError>(
          "[root] Newton's method came to where the derivative of the function by x is singular ",
          "or not finite, after ", item<int64_t>(last[4]) - 1,
          " steps (begin elsewhere, or give a tangent_solve; optim.root goes on there)");
    }
    return Tensors{or_nan(last[3], last[0])};
  };
  const Tensors x = solve_problem({op, given, given, hold_code(newton), tangent}, joint, x0);
  check_found(op, x, limits.max_iter);
  return x;
}

Tensors argmin(const ScalarFunction& function, const Tensors& x0, const optim::MinimizeOptions& options,
               const Solver& tangent_solve) {
  const char* const op = "argmin";
  const Joint joint(op, "x0", x0);
  const ScalarFunction objective = [&](const Tensors& x) { return function(joint.tensors(x[0])); };
  const Solver descend = [options, epsilon = joint.epsilon()](const Function& f, const Tensors& start) {
    const ScalarFunction scalar = [&](const Tensors& x) { return f(x)[0]; };
    const optim::Report report = optim::minimize(scalar, start, options);
    if (!report.converged)
      fail<ValueError>("[argmin] no minimum was found: ", report.reason,
                       " (begin nearer to it, or give another gtol, max_iter or method)");
    check_minimum(scalar, report, epsilon);
    return report.x;
  };
  return solve_problem({op, [&](const Tensors& x) { return Tensors{objective(x)}; },
                        [&](const Tensors& x) { return value_and_grad(objective, x).gradients; },
                        hold_code(descend), tangent_solver(tangent_solve, joint, op, true), true},
                       joint, x0);
}

}  // namespace implicit

}  // namespace tidu
