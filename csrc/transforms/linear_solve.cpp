// Linear systems that a user's code solves, as calls that are linear in the right-hand side.
#include <cmath>

#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/linalg.h"
#include "ops/linalg_rules.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "transforms/held_solver.h"
#include "transforms/krylov.h"
#include "transforms/linearity.h"
#include "transforms/transpose.h"
#include "transforms/vmap.h"

namespace tidu {

// --- Solvers

uint64_t hash_value(const HeldSolver& solver) {
  return solver.program.program ? hash_value(solver.program) : reinterpret_cast<uintptr_t>(solver.code.get());
}

HeldSolver hold_solver(const Solver& solver, const Joint& joint, const char* op, int reports) {
  if (!solver) return {};
  const Solver of_vectors = [solver, joint, op, reports](const Function& function, const Tensors& vectors) {
    const Function of_tensors = [function, joint](const Tensors& x) {
      joint.check(x, "the argument of the function that is solved");
      return joint.tensors(function({joint.vector(x)})[0]);
    };
    const Tensors found = solver(of_tensors, joint.tensors(vectors[0]));
    const size_t count = joint.count();
    if (found.size() != count + static_cast<size_t>(reports))
      fail<ValueError>("[", op, "] the solution has ", found.size(), " tensors but must have ", count);
    const Tensors x = part(found, 0, count);
    joint.check(x, "the solution");
    Tensors result{joint.vector(x)};
    append(result, from(found, count));
    return result;
  };
  return {std::make_shared<const Solver>(of_vectors), {}};
}

Tensors solve_with(const HeldSolver& solver, const ProgramField& function, const Tensors& inputs) {
  if (solver.program.program) return (*solver.program)(inputs);
  const Function with_captured = [function, captured = from(inputs, 1)](const Tensors& x) {
    Tensors all = x;
    append(all, captured);
    return (*function)(all);
  };
  return (*solver.code)(with_captured, {stop_gradient(inputs[0])});
}

Program recorded(const HeldSolver& solver, const ProgramField& function, const std::vector<Spec>& specs) {
  try {
    return record_unseen([&](const Tensors& inputs) { return solve_with(solver, function, inputs); }, specs);
  } catch (const TraceError& error) {
    fail<TraceError>(
        "[custom solver] a solver looks at values, which are not known under vmap and in programs (write its "
        "loop with while_loop, use cg, gmres, fixed_point or root, or vmap with control=\"loop\"): ",
        error.what());
  }
}

HeldSolver hold_recorded(const HeldSolver& solver, const ProgramField& function,
                         const std::vector<Spec>& specs) {
  if (!solver || solver.program.program) return solver;
  return {{}, hold(recorded(solver, function, specs))};
}

bool is_recording() {
  return std::ranges::any_of(visible_traces(),
                             [](const VisibleTrace& visible) { return !visible.trace->differentiates(); });
}

// --- Systems

namespace {

std::vector<Spec> inputs_of(const Program& program) {
  return specs_of(program, program.inputs, 0, program.inputs.size());
}

ProgramField transposed(const Program& matvec) {
  std::vector<bool> wanted(matvec.inputs.size());
  wanted[0] = true;
  return hold(record_unseen(
      [&](const Tensors& at) {
        Tensors inputs = at;
        inputs[0] = zeros_like(at[0]);
        return pull_program(matvec, inputs, wanted, {at[0]});
      },
      inputs_of(matvec)));
}

Tensors run_linear(const Call& call) {
  const auto& system = call.attrs.as<LinearSystem>();
  return solve_with(system.solve, system.matvec, list(call.inputs));
}

void infer_linear(const SpecCall& call, std::span<Spec> outputs) {
  const auto& system = call.attrs.as<LinearSystem>();
  outputs[0] = call.inputs[0];
  const Program* const solve = system.solve.program.program.get();
  for (size_t i = 1; i < outputs.size(); ++i)
    outputs[i] = solve ? solve->variables[solve->outputs[i]] : Spec{{}, DType::int64, outputs[0].device};
}

void check_linear(const SpecCall& call, size_t num_outputs) {
  const auto& system = call.attrs.as<LinearSystem>();
  const std::vector<Spec> inputs = specs_of(call);
  require(inputs[0].shape.size() > 0 && is_differentiable(inputs[0].dtype), call, "it is of no vectors");
  require(num_outputs >= 1 && static_cast<size_t>(system.outputs) == num_outputs, call,
          "it has another number of results");
  check_held(call, *system.matvec, inputs, {inputs[0]});
  require(static_cast<bool>(system.solve), call, "nothing says how it is solved");
  for (const HeldSolver* solver : {&system.solve, &system.transpose_solve}) {
    if (!solver->program.program) continue;
    std::vector<Spec> outputs = specs_of_outputs(*solver->program);
    require(outputs.size() == num_outputs, call, "a solver has another number of results");
    outputs[0] = inputs[0];
    check_held(call, *solver->program, inputs, outputs);
  }
}

// Where values are not known, code is recorded at once, so that what looks at them is found here.
void dispatch_linear(const Call& call) {
  const auto& system = call.attrs.as<LinearSystem>();
  if (system.solve.program.program || std::ranges::none_of(call.inputs, &Tensor::is_abstract))
    return dispatch<run_linear>(call);
  LinearSystem held = system;
  held.solve = hold_recorded(system.solve, system.matvec, inputs_of(*system.matvec));
  const Attrs attrs(held);
  dispatch<run_linear>({call.primitive, call.inputs, attrs, call.outputs});
}

// A x = b: A x' = b' - A' x.
Tensors push_linear(const Call& call, Tangents given) {
  const auto& system = call.attrs.as<LinearSystem>();
  const Tensors captured = from(list(call.inputs), 1);
  Tensors inputs{call.outputs[0]}, tangents{Tensor()};
  append(inputs, captured);
  append(tangents, from(list(given), 1));
  Tensor b = given[0];
  if (std::ranges::any_of(tangents, &Tensor::defined)) {
    const Tensor moved = push_program(*system.matvec, inputs, tangents).tangents[0];
    b = b.defined() ? b - moved : -moved;
  }
  Tensors result(call.outputs.size());
  result[0] = solve_exactly(system, b, captured);
  return result;
}

// A^T z = g: z is the cotangent of b, and that of what A closes over is that of -z^T A x.
Tensors pull_linear(const Call& call, Cotangents cotangents, const InputSet& asked) {
  const auto& system = call.attrs.as<LinearSystem>();
  check_not_overwritten(*system.matvec);
  Tensors result(call.inputs.size());
  if (!cotangents[0].defined()) return result;
  const Tensors captured = from(list(call.inputs), 1);
  const Tensor z = solve_exactly(transposed(system), cotangents[0], captured);
  result[0] = z;
  std::vector<bool> wanted{false};
  for (size_t i = 1; i < call.inputs.size(); ++i)
    wanted.push_back(is_differentiable(call.inputs[i].dtype()) && asked.has(i));
  if (count(wanted) == 0) return result;
  Tensors inputs{call.outputs[0]};
  append(inputs, captured);
  const Tensors pulled = spread(pull_program(*system.matvec, inputs, wanted, {-z}), wanted);
  std::copy(pulled.begin() + 1, pulled.end(), result.begin() + 1);
  return result;
}

Tensors batch_linear(const BatchedCall& batched) {
  const LinearSystem system = with_programs(batched.call.attrs.as<LinearSystem>());
  std::vector<bool> flags = batched.batched;
  flags[0] = true;
  Tensors inputs = list(batched.call.inputs);
  inputs[0] = batched.lanes(0);
  const auto lanes = [&](const ProgramField& program) {
    const std::vector<bool> all(program->outputs.size(), true);
    return hold(in_lanes(*program, flags, all, batched));
  };
  LinearSystem of_lanes = system;
  of_lanes.matvec = lanes(system.matvec);
  of_lanes.transpose = {};
  of_lanes.solve.program = lanes(system.solve.program);
  if (system.transpose_solve) of_lanes.transpose_solve.program = lanes(system.transpose_solve.program);
  return bind_all(primitives::linear_solve, inputs, of_lanes, static_cast<size_t>(system.outputs));
}

}  // namespace

// | `linear_solve` | $A x = b$ | $A \dot x = \dot b - \dot A x$ | $A^T \bar b = \bar x$, $\bar A = -\bar b
// x^T$ |
Primitive primitives::linear_solve("linear_solve",
                                   {.batching = batch_linear,
                                    .attrs = {LinearSystem{},
                                              [](const Attrs& attrs) {
                                                return Attrs(with_programs(attrs.as<LinearSystem>()));
                                              }},
                                    .inputs = {1, kAnyNumber},
                                    .check = check_linear,
                                    .infer = infer_linear,
                                    .derivative = Custom{.reads = [](Reads tracked) -> Reads {
                                                           const Reads captured = kAllInputs & ~kInput0;
                                                           return tracked == kInput0 ? captured
                                                                                     : captured | kOutput;
                                                         },
                                                         .jvp = push_linear,
                                                         .vjp = pull_linear,
                                                         .linear = kInput0},
                                    .evaluate = evaluate<run_linear>,
                                    .dispatch = dispatch_linear,
                                    .num_outputs = kAnyNumber});

LinearSystem transposed(const LinearSystem& system) {
  if (system.symmetric) return system;
  if (!system.transpose_solve) {
    fail<GradientError>(
        "[custom_linear_solve] reverse mode solves with the transposed function, but nothing says how (give "
        "transpose_solve or, where the function is symmetric, symmetric=True)");
  }
  LinearSystem result = system;
  result.matvec = system.transpose.program ? system.transpose : transposed(*system.matvec);
  result.transpose = system.matvec;
  std::swap(result.solve, result.transpose_solve);
  return result;
}

LinearSystem with_programs(const LinearSystem& system) {
  LinearSystem result = system;
  const std::vector<Spec> specs = inputs_of(*system.matvec);
  result.solve = hold_recorded(system.solve, system.matvec, specs);
  if (system.transpose_solve && !system.transpose_solve.program.program) {
    if (!result.transpose.program) result.transpose = transposed(*system.matvec);
    result.transpose_solve = hold_recorded(system.transpose_solve, result.transpose, specs);
  }
  return result;
}

Tensors solve_linear(const LinearSystem& system, const Tensor& b, const Tensors& captured) {
  Tensors inputs{b};
  append(inputs, captured);
  return bind_all(primitives::linear_solve, inputs, system, static_cast<size_t>(system.outputs));
}

namespace {

// The solution, or NaN where a report says that it is none.
Tensors without_reports(const Tensors& found) {
  Tensor x = found[0];
  for (size_t i = 1; i < found.size(); ++i) {
    Shape shape = found[i].shape();
    while (std::ssize(shape) < x.ndim()) shape.push_back(1);
    x = x * where(reshape(found[i], shape) == 0, full({}, 1, x.dtype(), x.device()),
                  full({}, std::numeric_limits<double>::quiet_NaN(), x.dtype(), x.device()));
  }
  return {x};
}

HeldSolver without_reports(const HeldSolver& solver) {
  if (solver.code) {
    const Solver checked = [code = solver.code](const Function& function, const Tensors& vectors) {
      return without_reports((*code)(function, vectors));
    };
    return {std::make_shared<const Solver>(checked), {}};
  }
  if (!solver) return {};
  const Program& program = *solver.program;
  return {{},
          hold(record_unseen([&](const Tensors& at) { return without_reports(program(at)); },
                             inputs_of(program)))};
}

}  // namespace

// What a report says is not linear in b, so the calls of rules have none.
Tensor solve_exactly(const LinearSystem& system, const Tensor& b, const Tensors& captured) {
  LinearSystem exact = system;
  if (system.outputs > 1) {
    exact.solve = without_reports(system.solve);
    exact.transpose_solve = without_reports(system.transpose_solve);
    exact.outputs = 1;
  }
  return solve_linear(exact, b, captured)[0];
}

namespace {

// Whether each call is seen to be linear: the function is so then, else it may be so.
bool is_seen_linear(const Program& function) {
  try {
    const std::vector<Linearity> images = linearity_of(function, {Linearity::linear});
    return std::ranges::none_of(images, [](Linearity image) { return image == Linearity::fixed; });
  } catch (const NotLinearError&) { return false; }
}

// Whether a function of vectors, of which not every call is seen to be linear, behaves as if it were: 0 goes
// to 0, and -2 b to -2 times the image of b, as far as rounding and an approximate product let it. Of numbers
// that are not finite nothing is said.
Tensor behaves_linear(const Function& matvec, const Tensor& b) {
  constexpr double kApproximate = 1e-3;
  const double epsilon = b.dtype() == DType::float64 ? 0x1p-52 : 0x1p-23;
  const auto at = [&](const Tensor& x) { return matvec({x})[0]; };
  const Tensor of_zero = at(zeros_like(b)), image = at(b), of_other = at(-2 * b);
  const auto size = [](const Tensor& x) { return max(abs(x)); };
  const Tensor fits = logical_and(size(of_zero) <= std::sqrt(epsilon) * size(image),
                                  size(of_other + 2 * image) <= kApproximate * size(image));
  return logical_or(fits, logical_not(isfinite(size(of_zero) + size(image) + size(of_other))));
}

// The right-hand side of a system whose function is linear: an error if it is not or, where values are not
// known, NaN.
Tensor checked_side(const char* op, const Program& matvec, const Tensor& b) {
  if (b.numel() == 0 || is_seen_linear(matvec)) return b;
  const GradMode off(false);
  const Tensor fits = behaves_linear([&](const Tensors& x) { return matvec(x); }, stop_gradient(b));
  if (is_recording())
    return where(fits, b, full({}, std::numeric_limits<double>::quiet_NaN(), b.dtype(), b.device()));
  if (item<bool>(fits)) return b;
  fail<ValueError>("[", op,
                   "] the function of the system is not linear, so its solution and derivatives are ",
                   "not those of a linear system: it must map 0 to 0, and -2 b to -2 times the image of b ",
                   "(subtract its value at 0 from it and from b, or use implicit.root)");
}

}  // namespace

Tensors linear_solve(const char* op, const Function& matvec, const Tensors& b, const Solver& solve,
                     const LinearSolveOptions& options, int reports) {
  const Joint joint(op, "b", b);
  const Tensor given = joint.vector(b);
  Program program = record_unseen(
      [&](const Tensors& at) {
        const Tensors image = matvec(joint.tensors(at[0]));
        joint.check(image, "what matvec returns");
        return Tensors{joint.vector(image)};
      },
      specs_of({given}));
  if (!program.writes.empty()) fail<ValueError>("[", op, "] matvec overwrites its argument");
  const Tensor vector = checked_side(op, program, given);
  LinearSystem system{
      {},
      {},
      hold_solver(solve, joint, op, reports),
      options.symmetric ? HeldSolver() : hold_solver(options.transpose_solve, joint, op, reports),
      options.symmetric,
      1 + reports};
  Tensors captured;
  if (is_recording()) {
    // What the solvers close over may have another value later, too.
    system.matvec = hold(program);
    const LinearSystem held = with_programs(system);
    Program forward = *held.solve.program,
            back = held.transpose_solve ? *held.transpose_solve.program : forward;
    capture({&program, &forward, &back}, captured);
    system.solve = {{}, hold(std::move(forward))};
    if (system.transpose_solve) system.transpose_solve = {{}, hold(std::move(back))};
  } else {
    capture({&program}, captured);
  }
  system.matvec = hold(std::move(program));
  const Tensors found = solve_linear(system, vector, captured);
  Tensors result = joint.tensors(found[0]);
  append(result, from(found, 1));
  return result;
}

Tensors custom_linear_solve(const Function& matvec, const Tensors& b, const Solver& solve,
                            const LinearSolveOptions& options) {
  return linear_solve("custom_linear_solve", matvec, b, solve, options, 0);
}

namespace {

// The matrix of a linear function of one vector.
Tensor matrix_of(const Function& function, const Tensor& like) {
  return matrix_transpose(images_of_basis(function, like)[0]);
}

// a^-1 b. Where a is singular, NaN, so that the lanes of a batch are independent; an error where it is known.
Tensor solve_dense(const char* op, const Tensor& a, const Tensor& b) {
  constexpr Caller kCaller{"solve"};
  const auto [lu, pivots] = linalg::factors_of(kCaller, a, false);
  const Tensor regular = linalg::regular_factors(lu);
  if (!is_recording() && item<bool>(logical_and(linalg::finite_matrices(lu), logical_not(regular)))) {
    fail<ValueError>("[", op, "] the derivative of the function by x, ", describe(a),
                     ", is singular at the solution, which is no differentiable function of what it closes ",
                     "over there (take another solution, or give a tangent_solve)");
  }
  const Tensor one = eye(a.size(0), a.size(0), 0, a.dtype(), a.device());
  const Tensor x = linalg::solve_known(kCaller, a, expand_dims(b, 1), {where(regular, lu, one), pivots});
  return where(squeeze(regular, {-1}), squeeze(x, {-1}),
               full({}, std::numeric_limits<double>::quiet_NaN(), x.dtype(), x.device()));
}

}  // namespace

Tensors solve_tangents(const char* op, const Function& matvec, const Tensors& b, bool symmetric) {
  const Joint joint(op, "b", b);
  const Tensor vector = joint.vector(b);
  if (vector.numel() == 0) return b;
  if (vector.numel() > kDenseSystem) {
    const double epsilon = vector.dtype() == DType::float64 ? 0x1p-52 : 0x1p-23;
    return linalg::solve_or_nan(matvec, b, symmetric, std::pow(epsilon, 0.75), std::sqrt(epsilon));
  }
  const Function of_vectors = [&](const Tensors& x) {
    return Tensors{joint.vector(matvec(joint.tensors(x[0])))};
  };
  return joint.tensors(solve_dense(op, matrix_of(of_vectors, vector), vector));
}

Tensors solve_any(const Function& matvec, const Tensors& b, bool symmetric) {
  return solve_tangents("solve_any", matvec, b, symmetric);
}

}  // namespace tidu
