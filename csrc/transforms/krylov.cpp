// Conjugate gradients and GMRES.
#include "transforms/krylov.h"

#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/linalg.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "transforms/control.h"
#include "transforms/held_solver.h"

namespace tidu::linalg {
namespace {

// A x = b over vectors, scaled so that squares of elements of b are no trouble.
struct System {
  Function a, preconditioner;
  Tensor b, limit;  // of the norm of the residual
  int64_t maxiter;

  Tensor times(const Tensor& x) const { return a({x})[0]; }
  Tensor preconditioned(const Tensor& x) const { return preconditioner ? preconditioner({x})[0] : x; }
};

// How far it came, by the true residual.
struct State {
  Tensor x, residual, norm, before, steps;  // before: the norm one stretch earlier
  explicit State(const Tensors& at) : x(at[0]), residual(at[1]), norm(at[2]), before(at[3]), steps(at[4]) {}
};

Tensor norm_of(const Tensor& x) { return sqrt(sum_of_squares(x)); }
Tensor counter(const Tensor& like) { return zeros({}, DType::int64, like.device()); }
Tensor yes(const Tensor& like) { return ones({}, DType::bool_, like.device()); }

// Stretches of steps, each from the true residual that the last one left, for as long as it falls.
// `stretch(x, residual, norm, steps)` gives x and the number of steps.
using Stretch = std::function<Tensors(const State& state)>;
State iterate(const System& system, const Tensor& x0, const Stretch& stretch) {
  const Tensor residual = system.b - system.times(x0);
  return State(while_loop(
      [&](const Tensors& at) {
        const State now(at);
        const Tensor goes_on = logical_and(now.norm > system.limit, now.norm < now.before);
        return Tensors{logical_and(goes_on, now.steps < system.maxiter)};
      },
      [&](const Tensors& at) {
        const State now(at);
        const Tensors after = stretch(now);
        const Tensor left = system.b - system.times(after[0]), norm = norm_of(left);
        // On the way the residual of conjugate gradients may grow, though the error falls.
        const Tensor taken = logical_and(isfinite(norm), logical_or(norm < now.norm, isinf(now.before)));
        return Tensors{where(taken, after[0], now.x), where(taken, left, now.residual),
                       where(taken, norm, now.norm), now.norm, after[1]};
      },
      {x0, residual, norm_of(residual),
       full({}, std::numeric_limits<double>::infinity(), x0.dtype(), x0.device()), counter(x0)}));
}

Tensors cg_stretch(const System& system, const State& state) {
  const Tensor z = system.preconditioned(state.residual);
  // x, r, p, <r, z>, the number of steps, whether they can go on
  const Tensors last = while_loop(
      [&](const Tensors& at) {
        const Tensor goes_on = logical_and(norm_of(at[1]) > system.limit, at[5]);
        return Tensors{logical_and(goes_on, at[4] < system.maxiter)};
      },
      [&](const Tensors& at) {
        const Tensor &p = at[2], &rz = at[3];
        const Tensor ap = system.times(p), curvature = sum(p * ap);
        const Tensor fits = logical_and(logical_and(curvature != 0, rz != 0), isfinite(rz / curvature));
        const Tensor alpha = where(fits, rz / curvature, 0);
        const Tensor r = at[1] - alpha * ap, z = system.preconditioned(r), next = sum(r * z);
        return Tensors{at[0] + alpha * p, r, z + where(fits, next / rz, 0) * p, next, at[4] + 1, fits};
      },
      {state.x, state.residual, z, sum(state.residual * z), state.steps, yes(z)});
  return {last[0], last[4]};
}

// A cycle: an orthonormal basis V of the Krylov space and Q H V-coordinates made triangular by rotations.
Tensors gmres_cycle(const System& system, const State& state, int64_t restart) {
  const Tensor& x = state.x;
  const int64_t n = x.numel(), m = std::min(restart, n);
  const DType dtype = x.dtype();
  const Device device = x.device();
  const Tensor places = arange(m + 1, DType::int64, device);
  const auto unit = [&](const Tensor& i) { return astype(places == i, dtype); };
  const auto put = [&](const Tensor& rows, const Tensor& at, const Tensor& row) {
    return where(expand_dims(places == at, 1), expand_dims(row, 0), rows);
  };
  const Tensor beta = state.norm;
  const Tensor first = put(zeros({m + 1, n}, dtype, device), counter(x), state.residual / beta);
  // V, Q, R with column k in row k, the number of steps, the norm of the residual, whether they can go on
  const Tensors last = while_loop(
      [&](const Tensors& at) {
        const Tensor goes_on = logical_and(at[4] > system.limit, at[5]);
        return Tensors{logical_and(goes_on, at[3] < m)};
      },
      [&](const Tensors& at) {
        const Tensor &basis = at[0], &q = at[1], &k = at[3];
        const Tensor here = unit(k), next = unit(k + 1);
        Tensor w = system.times(system.preconditioned(matmul(here, basis)));
        const Tensor whole = norm_of(w);
        const Tensor h = matmul(basis, w);
        w = w - matmul(h, basis);
        const Tensor more = matmul(basis, w);
        w = w - matmul(more, basis);
        const Tensor rest = norm_of(w);
        const double epsilon = dtype == DType::float64 ? 0x1p-52 : 0x1p-23;
        const Tensor fits = rest > 10 * epsilon * whole;  // else the space is invariant
        const Tensor column = matmul(q, h + more + where(fits, rest, 0) * next);
        const Tensor above = sum(column * here), below = sum(column * next), length = hypot(above, below);
        const Tensor c = where(length == 0, 1, above / length), s = where(length == 0, 0, below / length);
        const Tensor upper = matmul(here, q), lower = matmul(next, q);
        const Tensor rotated = put(put(q, k, c * upper + s * lower), k + 1, c * lower - s * upper);
        const Tensor entries = where(places < k, column, 0) + length * here;
        return Tensors{put(basis, k + 1, where(fits, w / rest, 0)),
                       rotated,
                       put(at[2], k, entries),
                       k + 1,
                       abs(beta * sum(matmul(next, rotated) * unit(counter(x)))),
                       fits};
      },
      {first, eye(m + 1, m + 1, 0, dtype, device), zeros({m + 1, m + 1}, dtype, device), counter(x), beta,
       yes(x)});
  const Tensor triangle = matrix_transpose(slice_axis(slice_axis(last[2], 0, 0, m), 1, 0, m));
  const Tensor g = beta * select(slice_axis(last[1], 0, 0, m), 1, 0);
  // Steps that were not made, and those that A maps to nothing, count for nothing.
  const Tensor is_void = sum(triangle * eye(m, m, 0, dtype, device), Axes{1}) == 0;
  const Tensor y = solve_triangular(triangle + eye(m, m, 0, dtype, device) * astype(is_void, dtype),
                                    where(is_void, 0, g), true);
  const Tensor step = system.preconditioned(matmul(y, slice_axis(last[0], 0, 0, m)));
  return {x + step, state.steps + 1};
}

struct Method {
  const char* op;
  bool is_cg;
};

// x, the norm of its residual and the limit in units of what it was scaled by, and the number of steps.
struct Outcome {
  Tensor x, norm, limit, norm_of_b, steps;
  Tensor info() const { return where(logical_and(norm <= limit, isfinite(norm)), 0, maximum(steps, 1)); }
};

Outcome solve_vectors(const Method& method, const Function& a, const Tensor& given, const Tensor& x0,
                      const Function& preconditioner, double tol, const KrylovOptions& options) {
  const int64_t n = given.numel();
  if (n == 0) {
    const Tensor none = zeros({}, given.dtype(), given.device());
    return {given, none, none, none, counter(given)};
  }
  const Tensor largest = max(abs(given));
  const Tensor scale = where(logical_and(largest > 0, isfinite(largest)), largest, 1);
  const Tensor b = given / scale, norm = norm_of(b);
  const System system{a, preconditioner, b, maximum(tol * norm, options.atol / scale),
                      options.maxiter.value_or(10 * n)};
  const Tensor start = x0.defined() ? where(norm == 0, 0, x0 / scale) : zeros_like(b);
  const State last = iterate(system, start, [&](const State& state) {
    return method.is_cg ? cg_stretch(system, state) : gmres_cycle(system, state, options.restart);
  });
  // Of a b, an x0 or a matrix that is not finite there is no solution.
  const Tensor nan = full({}, std::numeric_limits<double>::quiet_NaN(), b.dtype(), b.device());
  return {where(isfinite(last.norm), last.x * scale, nan), last.norm, system.limit, norm, last.steps};
}

void check(const Method& method, const KrylovOptions& options) {
  const auto refuse = [&](const char* name, double value, const char* must) {
    fail<ValueError>("[", method.op, "] ", name, " is ", value, " but must ", must);
  };
  if (options.tol && !(*options.tol >= 0)) refuse("tol", *options.tol, "not be negative");
  if (!(options.atol >= 0)) refuse("atol", options.atol, "not be negative");
  if (options.maxiter && *options.maxiter < 0)
    refuse("maxiter", static_cast<double>(*options.maxiter), "not be negative");
  if (options.restart < 1) refuse("restart", static_cast<double>(options.restart), "be positive");
}

Function on_vectors(const Function& function, const Joint& joint, const char* what) {
  if (!function) return {};
  return [function, joint, what](const Tensors& x) {
    const Tensors image = function(joint.tensors(x[0]));
    joint.check(image, what);
    return Tensors{joint.vector(image)};
  };
}

KrylovSolution solve_by(const Method& method, const Function& a, const Tensors& b, const Tensors& x0,
                        const KrylovOptions& options) {
  check(method, options);
  const Joint joint(method.op, "b", b);
  Tensor start;
  if (!x0.empty()) {
    joint.check(x0, "x0");
    start = stop_gradient(joint.vector(x0));
  }
  const Function preconditioner = on_vectors(options.preconditioner, joint, "what M returns");
  const double tol = options.tol.value_or(std::max(1e-5, 8 * joint.epsilon()));
  const Solver solve = [=](const Function& of_tensors, const Tensors& right) {
    const Function of_vectors = on_vectors(of_tensors, joint, "what A returns");
    const Outcome done =
        solve_vectors(method, of_vectors, joint.vector(right), start, preconditioner, tol, options);
    Tensors result = joint.tensors(done.x);
    result.push_back(done.info());
    return result;
  };
  Tensors found = linear_solve(method.op, a, b, solve, {solve, method.is_cg}, 1);
  const Tensor info = found.back();
  found.pop_back();
  return {found, info};
}

}  // namespace

KrylovSolution cg(const Function& a, const Tensors& b, const Tensors& x0, const KrylovOptions& options) {
  return solve_by({"cg", true}, a, b, x0, options);
}

KrylovSolution gmres(const Function& a, const Tensors& b, const Tensors& x0, const KrylovOptions& options) {
  return solve_by({"gmres", false}, a, b, x0, options);
}

Tensors solve_or_nan(const Function& a, const Tensors& b, bool symmetric, double tol, double worst) {
  const KrylovOptions options{.restart = 50};
  const Method method{symmetric ? "cg" : "gmres", symmetric};
  const Joint joint(method.op, "b", b);
  const Outcome done =
      solve_vectors(method, on_vectors(a, joint, "what A returns"), joint.vector(b), {}, {}, tol, options);
  const Tensor nan = full({}, std::numeric_limits<double>::quiet_NaN(), done.x.dtype(), done.x.device());
  return joint.tensors(where(done.norm <= worst * done.norm_of_b, done.x, nan));
}

}  // namespace tidu::linalg
