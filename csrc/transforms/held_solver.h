// Solvers as attributes of calls: of linear systems and of roots, over vectors.
#pragma once

#include "transforms/closure.h"
#include "transforms/implicit.h"
#include "transforms/joined.h"

namespace tidu {

// Code that may look at values or, recorded, a program of the inputs of the call.
struct HeldSolver {
  std::shared_ptr<const Solver> code;
  ProgramField program;

  explicit operator bool() const { return code || program.program; }
  bool operator==(const HeldSolver& other) const { return code == other.code && program == other.program; }
};
uint64_t hash_value(const HeldSolver& solver);
// In a file it is its program.
inline AttrValue to_value(const HeldSolver& solver) {
  return solver.code ? AttrValue() : AttrValue(solver.program.program);
}
inline void from_value(HeldSolver& solver, const AttrValue& value) {
  solver.code = nullptr;
  from_value(solver.program, value);
}

// That of vectors from that of tensors, which gives so many reports beside the solution.
HeldSolver hold_solver(const Solver& solver, const Joint& joint, const char* op, int reports = 0);

// What a solver finds for the function that a program holds: both are of (a vector, captured..), the inputs.
Tensors solve_with(const HeldSolver& solver, const ProgramField& function, const Tensors& inputs);
// The solver as a program of inputs of these specs. A TraceError where it looks at values.
Program recorded(const HeldSolver& solver, const ProgramField& function, const std::vector<Spec>& specs);
HeldSolver hold_recorded(const HeldSolver& solver, const ProgramField& function,
                         const std::vector<Spec>& specs);

// Whether calls made here are recorded, so that values that are known now may be others later.
bool is_recording();

// solve_any for the derivatives of `op`. A singular matrix is a ValueError that names it where values are
// known, else NaN, as is what GMRES and conjugate gradients do not solve.
Tensors solve_tangents(const char* op, const Function& matvec, const Tensors& b, bool symmetric);

// A linear system as the attributes of primitives::linear_solve.
struct LinearSystem {
  ProgramField matvec;                // of (x, captured..)
  ProgramField transpose;             // of the same, where it was computed
  HeldSolver solve, transpose_solve;  // the latter may be empty
  bool symmetric;
  int outputs = 1;  // the solution, and reports: of int64 and shape () where the solver is code, 0: success

  void fields(auto&& field) const {
    field("symmetric", symmetric), field("outputs", outputs), field("matvec", matvec), field("solve", solve);
    field("transpose_solve", transpose_solve);
  }
};
// Of a call with inputs of these specs. A GradientError where nothing says how it is solved.
LinearSystem transposed(const LinearSystem& system);
LinearSystem with_programs(const LinearSystem& system);

// x and the reports.
Tensors solve_linear(const LinearSystem& system, const Tensor& b, const Tensors& captured);
// For derivatives: NaN where a report says that it is no solution.
Tensor solve_exactly(const LinearSystem& system, const Tensor& b, const Tensors& captured);

// custom_linear_solve, whose solvers may give `reports` tensors more.
Tensors linear_solve(const char* op, const Function& matvec, const Tensors& b, const Solver& solve,
                     const LinearSolveOptions& options, int reports);

}  // namespace tidu
