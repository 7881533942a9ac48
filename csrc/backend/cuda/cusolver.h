// Factorisations by cuSOLVER, issued to the context's stream. Verdicts (`info`, one int a matrix, on the
// device) are 0 for what went well; the call is what a message names. To the library matrices are
// column-major: it sees the transposes of row-major ones.
#pragma once

#include <functional>

#include "backend/cuda/context.h"
#include "kernels/cuda/linalg.h"

namespace tidu::cuda {

// What a factorisation takes: elements for the library and, where vectors are made of reflections, these and
// a verdict.
struct SolverRoom {
  void* data = nullptr;
  int size = 0;
  void* reflections = nullptr;
  int* info = nullptr;
};
SolverRoom room_for_cholesky(const Call& call, Context& context, const Matrices& a);
SolverRoom room_for_lu(const Call& call, Context& context, const Matrices& a);
SolverRoom room_for_singular(const Call& call, Context& context, bool complete, const Matrices& a);
SolverRoom room_for_symmetric(const Call& call, Context& context, const Matrices& a);
SolverRoom room_for_orthogonal(const Call& call, Context& context, const Matrices& a, int64_t n);

// Row-major a becomes its lower factor L with a = L L^H; what is above the diagonal is neither read nor
// written.
void factorize_cholesky(const Call& call, Context& context, const Matrices& a, int* info,
                        const SolverRoom& room);

// Column-major a becomes L (below the diagonal, ones on it left out) and U of P a = L U; for i from 0 up, row
// i was exchanged with row pivots[i] - 1.
void factorize_lu(const Call& call, Context& context, const Matrices& a, int* pivots, int* info,
                  const SolverRoom& room);

// Of row-major a, which is overwritten, k = min(rows, columns) singular values, descending, and of each side
// k vectors or, `complete`, all of them: row-major vh (.., columns) and uh (.., rows).
void decompose_singular(const Call& call, Context& context, bool complete, const Matrices& a, void* s,
                        void* vh, void* uh, int* info, const SolverRoom& room);

// Of column-major symmetric (Hermitian) a, of which the lower triangle is read and which becomes the vectors
// as columns, eigenvalues in ascending order.
void decompose_symmetric(const Call& call, Context& context, const Matrices& a, void* w, int* info,
                         const SolverRoom& room);

// The first n rows of a, which are columns to the library, become all of its rows, which are orthonormal
// then. In between `take` finds the triangular factor in its place.
void orthogonalise(const Call& call, Context& context, const Matrices& a, int64_t n, const SolverRoom& room,
                   const std::function<cudaError_t()>& take);

}  // namespace tidu::cuda
