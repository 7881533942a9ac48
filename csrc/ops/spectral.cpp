// Orthogonal factors and their rules.
#include "ops/spectral.h"

#include <array>
#include <cmath>

#include "core/bind.h"
#include "core/trace.h"
#include "ops/complex.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/linalg_rules.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu::linalg {
namespace {

double epsilon_of(const Tensor& x) { return part_of(x.dtype()) == DType::float64 ? 0x1p-52 : 0x1p-23; }

Tensor mh(const Tensor& x) { return adjoint(x); }
Tensor product(const Tensor& a, const Tensor& b, const Tensor& c) { return matmul(matmul(a, b), c); }

// Values as the diagonal of a matrix, and as a factor of rows.
Tensor scaled_columns(const Tensor& x, const Tensor& values) { return x * expand_dims(values, -2); }

// A call of a primitive that gives what is known.
void know(const Call& call, size_t first) {
  for (size_t i = 0; i < call.outputs.size(); ++i) call.outputs[i] = alias(call.inputs[first + i]);
}

// --- Values that are equal but for rounding

// The largest of no elements is 0.
Tensor largest(const Tensor& x, const Axes& axes) {
  return x.numel() == 0 ? sum(x, axes, true) : max(x, axes, true);
}

double rounding_of(const Tensor& values) {
  return 2 * epsilon_of(values) * static_cast<double>(values.size(-1));
}

// x_j - x_i.
Tensor differences(const Tensor& x) { return expand_dims(x, -2) - expand_dims(x, -1); }

// values_j - values_i, and where that says nothing.
struct Gaps {
  Tensor gap, equal;
  Gaps(const Counted& counted, const Tensor& given) {
    const Tensor apart = arange(given.size(-1), given.dtype(), given.device());
    const Tensor values = where(squeeze(counted.mask(), {-1}), given, apart);
    gap = differences(values);
    const Tensor size = largest(abs(values), Axes{-1});
    equal = abs(gap) <= rounding_of(values) * expand_dims(size, -1);
  }
  Tensor quotient(const Tensor& x) const { return where(equal, 0, x / where(equal, 1, gap)); }
};

constexpr Caller kEigh{"eigh"}, kSvd{"svd"};

// x, of which the parts between equal values must be nothing beside the largest of `others`: so must those on
// the diagonal, which are what the phases of complex vectors do.
Tensor determined(Caller caller, const Tensor& x, const Tensor& parts, const Tensor& others,
                  const Tensor& equal) {
  const double least = std::sqrt(epsilon_of(x)) / 8;
  const Tensor size = largest(abs(stop_gradient(others)), Axes{-2, -1});
  const Tensor wrong = logical_and(equal, abs(stop_gradient(parts)) > least * size);
  return bind(primitives::determined, {wrong, x}, CallerAttrs{caller});
}

// Whether what stands at equal values differs.
Tensor tells_apart(const Tensor& g, const Tensor& equal) {
  const double least = std::sqrt(epsilon_of(g)) / 8;
  const Tensor size = largest(abs(stop_gradient(g)), Axes{-1});
  return logical_and(equal, abs(differences(stop_gradient(g))) > least * expand_dims(size, -1));
}

// Cotangents of values, which must be the same for equal ones.
Tensor determined_values(Caller caller, const Tensor& g, const Tensor& equal) {
  return bind(primitives::determined, {tells_apart(g, equal), g}, CallerAttrs{caller});
}

// --- Motions that split equal values

// Whether a vector of values is not all zero, for matrices.
Tensor nonzero_vectors(const Tensor& x) { return expand_dims(any(x != 0, Axes{-1}, true), -1); }

// The elements off the diagonal that `equal` names.
Tensor between(const Tensor& equal) {
  return logical_and(equal,
                     logical_not(eye(equal.size(-1), equal.size(-1), 0, DType::bool_, equal.device())));
}

// x, whose elements between equal values must be nothing beside the largest of `others`; and so must their
// derivatives.
Tensor vanishing(Caller caller, const Tensor& x, const Tensor& others, const Tensor& equal) {
  return bind(primitives::vanishing, {between(equal), x, others}, CallerAttrs{caller});
}

// How far apart the motions of two values may be, which are the same but for rounding, by a matrix that moves
// by t.
Tensor rounding_of_motion(const Tensor& t) {
  const auto extent = static_cast<double>(std::max(t.size(-1), t.size(-2)));
  return 2 * epsilon_of(t) * extent * extent * largest(abs(stop_gradient(t)), Axes{-2, -1});
}

// Of equal values those that move alike, by `motion` where their matrix moves by t.
Tensor alike(const Tensor& equal, const Tensor& motion, const Tensor& t) {
  return logical_and(equal, abs(differences(stop_gradient(motion))) <= rounding_of_motion(t));
}

// `inside`, how far vectors are moved towards each other, which must be those that t leaves: between equal
// values it must be nothing beside `others`, and its diagonal in the values' order.
Tensor splitting(Caller caller, const Tensor& inside, const Tensor& others, const Tensor& equal,
                 const Tensor& t) {
  const Tensor motion = stop_gradient(real(diagonal(inside))), later = triu(equal, 1);
  const Tensor ahead = caller == kEigh ? -differences(motion) : differences(motion);
  const Tensor wrong = logical_and(later, ahead > rounding_of_motion(t));
  return bind(primitives::determined, {wrong, vanishing(caller, inside, others, equal)}, CallerAttrs{caller});
}

// Cotangents of values are numbers; the vectors that they belong to travel beside them, as the cotangent of a
// frame: columns of both sides, and which equal values are not told apart, 1. Its own value says nothing.
Tensor no_frame(const Tensor& left, const Tensor& right) {
  Shape shape = left.shape();
  shape[left.ndim() - 2] += right.size(-2) + left.size(-1);
  return broadcast_to(zeros({}, left.dtype(), left.device()), shape);
}

// That of vectors which split some of the equal values, but for those that stay together; else 0.
Tensor frame_of(const Tensor& left, const Tensor& right, const Tensor& equal, const Tensor& together) {
  const Tensor splits = any(logical_and(equal, logical_not(together)), Axes{-2, -1}, true);
  return where(splits, concat({left, right, astype(together, left.dtype())}, -2), 0);
}

// The vectors of cotangents of values, and which of these they must not tell apart. Where several gradients
// were differentiated each has a frame of its own, and of their sum nothing is known.
struct Framed {
  Tensor left, right, equal, frame;
  Framed(const Tensor& cotangent, const Tensor& left, const Tensor& right, const Tensor& equal,
         const Tensor& frame)
      : left(left), right(right), equal(equal), frame(frame) {
    if (!cotangent.defined() || left.size(-1) == 0) return;
    const int64_t to_right = left.size(-2), to_mask = to_right + right.size(-2);
    const Tensor mask = slice_axis(cotangent, -2, to_mask, std::nullopt);
    const Tensor one = slice_axis(slice_axis(mask, -1, 0, 1), -2, 0, 1) == 1;
    this->left = where(one, slice_axis(cotangent, -2, 0, to_right), left);
    this->right = where(one, slice_axis(cotangent, -2, to_right, to_mask), right);
    this->equal = where(one, mask != 0, equal);
    this->frame = where(one, cotangent, frame);
  }
};

// The vectors, constants, of a matrix that moves by t: of equal values those that split.
using Sides = std::array<Tensor, 2>;
Sides split(Caller caller, const Tensor& values, const Tensor& left, const Tensor& right, const Tensor& t) {
  Sides vectors;
  const Tensor inputs[] = {values, left, right, stop_gradient(t)};
  const SplitAttrs attrs{caller == kSvd};
  Attrs::OnStack<SplitAttrs> on_stack(attrs);
  tidu::bind(primitives::split_vectors, inputs, on_stack.attrs(), vectors);
  return vectors;
}

Tensor motion_between(const Tensor& left, const Tensor& t, const Tensor& right) {
  return real(sum(conj(left) * matmul(t, right), Axes{-2}));
}

// Re diag(L^H t R), the motion of values that are simple once their matrix has moved by t; and the frame of L
// and R, which is that of cotangents of the values whose own frame is `frame`.
struct Motion {
  Tensor values, frame;
};
Motion motion_of(Caller caller, const Tensor& left, const Tensor& t, const Tensor& right, const Tensor& equal,
                 const Tensor& frame) {
  const Tensor inputs[] = {left, t, right, equal, frame};
  Tensor outputs[2];
  const CallerAttrs attrs{caller};
  Attrs::OnStack<CallerAttrs> on_stack(attrs);
  bind(primitives::motion, inputs, on_stack.attrs(), outputs);
  return {outputs[0], outputs[1]};
}

void run_motion(const Call& call) {
  const Tensor &left = call.inputs[0], &t = call.inputs[1], &right = call.inputs[2], &equal = call.inputs[3];
  call.outputs[0] = motion_between(left, t, right);
  call.outputs[1] = frame_of(left, right, equal, alike(equal, call.outputs[0], t));
}

const Custom motion_rule{
    .reads = [](Reads) -> Reads { return kAllInputs | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor &left = call.inputs[0], &t = call.inputs[1], &right = call.inputs[2];
      Tensor inside;
      const auto add = [&](const Tensor& left, const Tensor& t, const Tensor& right) {
        const Tensor part = product(mh(left), t, right);
        inside = inside.defined() ? inside + part : part;
      };
      if (tangents[0].defined()) add(tangents[0], t, right);
      if (tangents[1].defined()) add(left, tangents[1], right);
      if (tangents[2].defined()) add(left, t, tangents[2]);
      // Values that did not split may do so now, and their vectors are not known to be those.
      const CallerAttrs& attrs = call.attrs.as<CallerAttrs>();
      const Tensor together = alike(call.inputs[3], call.outputs[0], t);
      return {real(diagonal(vanishing(attrs.caller, symmetric(inside), inside, together))), Tensor()};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
      const Tensor &left = call.inputs[0], &t = call.inputs[1], &right = call.inputs[2];
      Tensors result(5);
      if (!cotangents[0].defined()) return result;
      // Where the vectors move, none may be told from others of its value; else those that move alike.
      const bool fixed = !(wanted & (kInput0 | kInput2));
      const Tensor& equal = call.inputs[3];
      const Framed at(fixed ? cotangents[1] : Tensor(), left, right,
                      fixed ? alike(equal, call.outputs[0], t) : equal, call.outputs[1]);
      const Tensor g = determined_values(call.attrs.as<CallerAttrs>().caller, cotangents[0], at.equal);
      if (wanted & kInput0) result[0] = scaled_columns(matmul(t, right), g);
      if (wanted & kInput1) result[1] = matmul(scaled_columns(at.left, g), mh(at.right));
      if (wanted & kInput2) result[2] = scaled_columns(matmul(mh(t), left), g);
      if (wanted & input_bit(4)) result[4] = where(nonzero_vectors(cotangents[0]), call.outputs[1], 0);
      return result;
    },
};

void run_vanishing(const Call& call) {
  const Tensor& x = call.inputs[1];
  const double least = std::sqrt(epsilon_of(x)) / 8;
  const Tensor wrong =
      logical_and(call.inputs[0], abs(x) > least * largest(abs(call.inputs[2]), Axes{-2, -1}));
  call.outputs[0] = bind(primitives::determined, {wrong, x}, call.attrs);
}

// The gradient of values, which must be the same for equal ones where the matrix moves by t: that they have
// split does not say yet how their vectors turn.
Tensor unless_moved(Caller caller, const Tensor& g, const Tensor& equal, const Tensor& t) {
  const Tensor wrong = logical_and(tells_apart(g, equal), nonzero_matrices(stop_gradient(t)));
  return bind(primitives::determined, {wrong, g}, CallerAttrs{caller});
}

// --- Eigenvalues

// Those that are `known` as functions of the matrix.
Tensor vectors_of(const Call& call, const Tensor& known) {
  return bind(primitives::eigenvectors, {call.inputs[0], call.inputs[1], known});
}

Tensor values_of(const Tensor& x, const Tensor& values, const Tensor& vectors) {
  const Tensor inputs[] = {x, values, vectors};
  Tensor outputs[2];
  bind(primitives::eigenvalues, inputs, {}, outputs);
  return outputs[0];
}
Tensor values_of(const Call& call) { return values_of(call.inputs[0], call.inputs[1], call.inputs[2]); }

void run_eigenvalues(const Call& call) {
  call.outputs[0] = alias(call.inputs[1]);
  call.outputs[1] = no_frame(call.inputs[2], call.inputs[2]);
}

Tensor split(const Call& call, const Tensor& t) {
  return split(kEigh, call.inputs[1], call.inputs[2], call.inputs[2], t)[0];
}

const Custom eigenvalues_rule{
    .reads = [](Reads) -> Reads { return kInput0 | kInput1 | kInput2 | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor t = symmetric(tangents[0]);
      const Counted counted = Counted(nonzero_matrices(t), call.inputs[2]).of(call.inputs[0]);
      const Tensor v = counted.or_identity(vectors_of(call, split(call, t)));
      const Motion moved = motion_of(kEigh, v, t, v, Gaps(counted, call.inputs[1]).equal, call.outputs[1]);
      return {squeeze(counted.result(expand_dims(moved.values, -2)), {-2}), moved.frame};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      if (!cotangents[0].defined()) return Tensors(3);
      const Tensor& v = call.inputs[2];
      const Counted counted = Counted(nonzero_vectors(cotangents[0]), v).of(call.inputs[0]);
      const Framed at(cotangents[1], v, v, Gaps(counted, call.inputs[1]).equal, call.outputs[1]);
      const Tensor g = determined_values(kEigh, cotangents[0], at.equal);
      return {bind(primitives::spectrum, {call.inputs[0], call.inputs[1], at.left, g, at.frame}), Tensor(),
              Tensor()};
    },
};

// The frame of what moves along the tangent of a frame, if there is one.
Tensor frame_along(const Tensor& frame, const Tensor& tangent) { return tangent.defined() ? tangent : frame; }

// V diag(g) V^H.
void run_spectrum(const Call& call) {
  const Tensor& g = call.inputs[3];
  const Counted counted = Counted(nonzero_vectors(g), call.inputs[2]).of(call.inputs[0]);
  const Tensor v = counted.or_identity(call.inputs[2]);
  call.outputs[0] = counted.result(matmul(scaled_columns(v, g), mh(v)));
}

// With M = V^H A' V: V (M_ij (g_j - g_i) / (w_j - w_i)) V^H, where values are equal 0; its own transpose.
Tensor spectrum_by_matrix(const Call& call, const Tensor& t, const Tensor& known) {
  const Tensor& given = call.inputs[3];
  const Counted counted =
      Counted(logical_and(nonzero_matrices(t), nonzero_vectors(given)), known).of(call.inputs[0]);
  const Tensor v = counted.or_identity(vectors_of(call, known));
  const Gaps gaps(counted, values_of(call));
  const Tensor g = unless_moved(kEigh, given, gaps.equal, t);
  const Tensor slopes = gaps.quotient(differences(g));
  return counted.result(product(v, product(mh(v), symmetric(t), v) * slopes, mh(v)));
}

const Custom spectrum_rule{
    .reads = [](Reads) -> Reads { return kAllInputs; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor &t = tangents[0], &g = tangents[3];
      const Tensor known = t.defined() ? split(call, symmetric(t)) : call.inputs[2];
      Tensor moved;
      if (t.defined()) moved = spectrum_by_matrix(call, t, known);
      if (g.defined()) {
        const Counted counted = Counted(nonzero_vectors(g), known).of(call.inputs[0]);
        Tensor equal = Gaps(counted, call.inputs[1]).equal;
        if (t.defined()) {
          const Tensor v = counted.or_identity(known), moving = stop_gradient(symmetric(t));
          equal = alike(equal, motion_between(v, moving, v), moving);
        }
        const Tensor sure = determined_values(kEigh, g, equal);
        const Tensor by_values = bind(primitives::spectrum, {call.inputs[0], call.inputs[1], known, sure,
                                                             frame_along(call.inputs[4], tangents[4])});
        moved = moved.defined() ? moved + by_values : by_values;
      }
      return {moved};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
      const Tensor& g = cotangents[0];
      Tensor by_matrix;
      Motion moved;
      if (wanted & kInput0) by_matrix = spectrum_by_matrix(call, g, call.inputs[2]);
      if (wanted & input_bit(3)) {
        // In the vectors in which g is diagonal between equal values, where the frame can say so.
        const bool framed = wanted & input_bit(4);
        const Counted counted = Counted(nonzero_matrices(g), call.inputs[2]).of(call.inputs[0]);
        const Tensor v =
            counted.or_identity(vectors_of(call, framed ? split(call, symmetric(g)) : call.inputs[2]));
        if (framed) {
          moved = motion_of(kEigh, v, g, v, Gaps(counted, call.inputs[1]).equal, no_frame(v, v));
        } else {
          moved.values = motion_between(v, g, v);
        }
        moved.values = squeeze(counted.result(expand_dims(moved.values, -2)), {-2});
      }
      return {by_matrix, Tensor(), Tensor(), moved.values, moved.frame};
    },
};

const Custom eigenvectors_rule{
    .reads = [](Reads) -> Reads { return kInput0 | kInput1 | kInput2 | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor t = symmetric(tangents[0]);
      const Counted counted = Counted(nonzero_matrices(t), call.inputs[2]).of(call.inputs[0]);
      const Tensor v = counted.or_identity(call.outputs[0]);
      const Gaps gaps(counted, values_of(call));
      const Tensor inside = product(mh(v), t, v);
      return {counted.result(matmul(v, gaps.quotient(splitting(kEigh, inside, inside, gaps.equal, t))))};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      const Tensor& g = cotangents[0];
      const Counted counted = Counted(nonzero_matrices(g), call.inputs[2]).of(call.inputs[0]);
      const Tensor v = counted.or_identity(call.outputs[0]);
      const Gaps gaps(counted, values_of(call));
      const Tensor inside = matmul(mh(v), g), size = abs(inside) + abs(mh(inside));
      const Tensor moved = gaps.quotient(determined(kEigh, inside, inside - mh(inside), size, gaps.equal));
      return {counted.result(symmetric(product(v, moved, mh(v)))), Tensor(), Tensor()};
    },
};

// --- Singular values

// U and V as columns, constants.
Sides known_vectors(const Call& call) { return {call.inputs[1], mh(call.inputs[3])}; }

// U and Vh as functions of the matrix.
Sides singular_vectors_of(const Call& call, const Sides& known) {
  Sides vectors;
  const Tensor inputs[] = {call.inputs[0], known[0], call.inputs[2], mh(known[1])};
  bind(primitives::singular_vectors, inputs, {}, vectors);
  return vectors;
}

Tensor singular_values_of(std::span<const Tensor> known) {
  Tensor outputs[2];
  bind(primitives::singular_values, known, {}, outputs);
  return outputs[0];
}

void run_singular_values(const Call& call) {
  call.outputs[0] = alias(call.inputs[2]);
  call.outputs[1] = no_frame(call.inputs[1], mh(call.inputs[3]));
}

Sides split_singular(const Call& call, const Tensor& t) {
  const Sides known = known_vectors(call);
  return split(kSvd, call.inputs[2], known[0], known[1], t);
}

// x - a b x, and x - x a b.
Tensor rest(const Tensor& a, const Tensor& b, const Tensor& x) { return x - matmul(a, matmul(b, x)); }
Tensor rest_right(const Tensor& x, const Tensor& a, const Tensor& b) { return x - matmul(matmul(x, a), b); }

// Where a singular value is nothing, and so for its derivative, which counts as 0.
Tensor nothing(const Tensor& s, const Tensor& matrix) {
  const auto extent = std::max(matrix.size(-1), matrix.size(-2));
  return s <= epsilon_of(s) * static_cast<double>(extent) * largest(s, Axes{-1});
}
Tensor of_positive(const Call& call, const Tensor& g) {
  return where(nothing(call.inputs[2], call.inputs[0]), 0, g);
}

Tensor equal_positive(const Call& call, const Counted& counted) {
  const Tensor none = nothing(call.inputs[2], call.inputs[0]);
  return logical_and(Gaps(counted, call.inputs[2]).equal, logical_not(expand_dims(none, -2)));
}

const Custom singular_values_rule{
    .reads = [](Reads) -> Reads { return kAllInputs | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor& t = tangents[0];
      const Sides vectors = singular_vectors_of(call, split_singular(call, t));
      const Counted counted = Counted(nonzero_matrices(t), call.inputs[1]).of(call.inputs[0]);
      const Tensor u = counted.or_identity(vectors[0]), v = mh(counted.or_identity(vectors[1]));
      const Motion moved = motion_of(kSvd, u, t, v, equal_positive(call, counted), call.outputs[1]);
      return {of_positive(call, squeeze(counted.result(expand_dims(moved.values, -2)), {-2})), moved.frame};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      if (!cotangents[0].defined()) return Tensors(4);
      const Counted counted = Counted(nonzero_vectors(cotangents[0]), call.inputs[1]).of(call.inputs[0]);
      const Framed at(cotangents[1], call.inputs[1], mh(call.inputs[3]), Gaps(counted, call.inputs[2]).equal,
                      call.outputs[1]);
      const Tensor g = determined_values(kSvd, of_positive(call, cotangents[0]), at.equal);
      return {bind(primitives::singular_spectrum,
                   {call.inputs[0], at.left, call.inputs[2], mh(at.right), g, at.frame}),
              Tensor(), Tensor(), Tensor()};
    },
};

// Vectors and values of the matrices that count, as functions of these.
struct SingularParts {
  Tensor u, vh, s, none;
  Gaps gaps;
  SingularParts(const Call& call, const Sides& vectors, const Counted& counted)
      : u(counted.or_identity(vectors[0])),
        vh(counted.or_identity(vectors[1])),
        s(where(squeeze(counted.mask(), {-1}), singular_values_of(call.inputs.first(4)), 1)),
        none(nothing(s, call.inputs[0])),
        gaps(counted, s) {}
  Tensor none_of_columns() const { return expand_dims(none, -2); }
  // x / (s_i + s_j); 0 where both are nothing.
  Tensor over_sums(const Tensor& x) const {
    const Tensor both = logical_and(none_of_columns(), expand_dims(none, -1));
    return where(both, 0, x / where(both, 1, expand_dims(s, -2) + expand_dims(s, -1)));
  }
  // x / (s_j^2 - s_i^2); 0 between equal values.
  Tensor turn(const Tensor& x) const { return over_sums(gaps.quotient(x)); }
  // x over the values of columns; where they are nothing, so must x be.
  Tensor over_values(const Tensor& x) const {
    const double least = std::sqrt(epsilon_of(x)) / 8;
    const Tensor size = largest(abs(stop_gradient(x)), Axes{-2, -1});
    const Tensor wrong = logical_and(none_of_columns(), abs(stop_gradient(x)) > least * size);
    return where(none_of_columns(), 0,
                 bind(primitives::determined, {wrong, x}, CallerAttrs{kSvd}) /
                     where(none_of_columns(), 1, expand_dims(s, -2)));
  }
  bool is_wide() const { return u.size(-2) < vh.size(-1); }
  bool is_tall() const { return u.size(-2) > vh.size(-1); }
};

// U diag(g) V^H.
void run_singular_spectrum(const Call& call) {
  const Tensor& g = call.inputs[4];
  const Counted counted = Counted(nonzero_vectors(g), call.inputs[1]).of(call.inputs[0]);
  const Tensor u = counted.or_identity(call.inputs[1]), vh = counted.or_identity(call.inputs[3]);
  call.outputs[0] = counted.result(matmul(scaled_columns(u, g), vh));
}

// With P = U^H A' V = X + Y, X Hermitian and Y not: U (X_ij (g_j - g_i) / (s_j - s_i) + Y_ij (g_i + g_j) /
// (s_i + s_j)) V^H, where equal values have no part in X, and with D = diag(g / s): (I - U U^H) A' V D V^H +
// U D U^H A' (I - V V^H). It is its own transpose.
Tensor singular_spectrum_by_matrix(const Call& call, const Tensor& t, const Sides& known) {
  const Tensor& given = call.inputs[4];
  const Counted counted =
      Counted(logical_and(nonzero_matrices(t), nonzero_vectors(given)), known[0]).of(call.inputs[0]);
  const SingularParts x(call, singular_vectors_of(call, known), counted);
  const Tensor g = unless_moved(kSvd, given, x.gaps.equal, t);
  const Tensor v = mh(x.vh), uh = mh(x.u), tv = matmul(t, v), inside = matmul(uh, tv);
  const Tensor sums = expand_dims(g, -2) + expand_dims(g, -1);
  const Tensor moved =
      symmetric(inside) * x.gaps.quotient(differences(g)) + 0.5 * (inside - mh(inside)) * x.over_sums(sums);
  const Tensor quotients = where(x.none, 0, g / where(x.none, 1, x.s));
  Tensor result = product(x.u, moved, x.vh);
  if (x.is_tall()) result = result + matmul(scaled_columns(rest(x.u, uh, tv), quotients), x.vh);
  if (x.is_wide())
    result = result + matmul(scaled_columns(x.u, quotients), rest_right(matmul(uh, t), v, x.vh));
  return counted.result(result);
}

const Custom singular_spectrum_rule{
    .reads = [](Reads) -> Reads { return kAllInputs; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor &t = tangents[0], &g = tangents[4];
      const Sides known = t.defined() ? split_singular(call, t) : known_vectors(call);
      Tensor moved;
      if (t.defined()) moved = singular_spectrum_by_matrix(call, t, known);
      if (g.defined()) {
        const Counted counted = Counted(nonzero_vectors(g), known[0]).of(call.inputs[0]);
        Tensor equal = Gaps(counted, call.inputs[2]).equal;
        if (t.defined()) {
          const Tensor u = counted.or_identity(known[0]), v = mh(counted.or_identity(mh(known[1])));
          const Tensor moving = stop_gradient(t);
          equal = alike(equal, motion_between(u, moving, v), moving);
        }
        const Tensor sure = determined_values(kSvd, g, equal);
        const Tensor by_values =
            bind(primitives::singular_spectrum, {call.inputs[0], known[0], call.inputs[2], mh(known[1]), sure,
                                                 frame_along(call.inputs[5], tangents[5])});
        moved = moved.defined() ? moved + by_values : by_values;
      }
      return {moved};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
      const Tensor& g = cotangents[0];
      Tensor by_matrix;
      Motion moved;
      if (wanted & kInput0) by_matrix = singular_spectrum_by_matrix(call, g, known_vectors(call));
      if (wanted & input_bit(4)) {
        const bool framed = wanted & input_bit(5);
        const Sides vectors =
            singular_vectors_of(call, framed ? split_singular(call, g) : known_vectors(call));
        const Counted counted = Counted(nonzero_matrices(g), call.inputs[1]).of(call.inputs[0]);
        const Tensor u = counted.or_identity(vectors[0]), v = mh(counted.or_identity(vectors[1]));
        if (framed) {
          moved = motion_of(kSvd, u, g, v, equal_positive(call, counted), no_frame(u, v));
        } else {
          moved.values = motion_between(u, g, v);
        }
        moved.values = squeeze(counted.result(expand_dims(moved.values, -2)), {-2});
      }
      return {by_matrix, Tensor(), Tensor(), Tensor(), moved.values, moved.frame};
    },
};

// With P = U^H A' V: U' = U (F * (P S + S P^H)) + (I - U U^H) A' V / S, V' = V (F * (S P + P^H S)) + .. / S,
// F_ij = 1 / (s_j^2 - s_i^2). What the diagonal of P has of an imaginary part turns the phases of both sides
// against each other.
const Custom singular_vectors_rule{
    .reads = [](Reads) -> Reads { return kAllInputs | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor& t = tangents[0];
      const Counted counted = Counted(nonzero_matrices(t), call.inputs[1]).of(call.inputs[0]);
      const SingularParts x(call, {call.outputs[0], call.outputs[1]}, counted);
      const Tensor v = mh(x.vh), none = x.none_of_columns(), all = product(mh(x.u), t, v);
      // Between equal values the sides turn together, but where these are nothing.
      const Tensor free = logical_and(x.gaps.equal, none),
                   bound = logical_and(x.gaps.equal, logical_not(none));
      const Tensor together = splitting(kSvd, symmetric(all), all, bound, t);
      const Tensor between_equal =
          where(free, vanishing(kSvd, all, all, free), together + 0.5 * (all - mh(all)));
      const Tensor inside = where(x.gaps.equal, between_equal, all);
      const Tensor right = scaled_columns(inside, x.s), left = expand_dims(x.s, -1) * inside;
      // Between equal values the sides turn against each other alone; nothing says how they turn together.
      const Tensor against = where(logical_or(none, logical_not(x.gaps.equal)), 0,
                                   (inside - mh(inside)) / where(none, 1, 4 * expand_dims(x.s, -2)));
      Tensor u = matmul(x.u, x.turn(right + mh(right)) + against),
             v_moved = matmul(v, x.turn(left + mh(left)) - against);
      if (x.is_tall()) {
        const Tensor moved = matmul(t, v);
        u = u + x.over_values(rest(x.u, mh(x.u), moved));
      }
      if (x.is_wide()) {
        const Tensor moved = matmul(mh(t), x.u);
        v_moved = v_moved + x.over_values(rest(v, x.vh, moved));
      }
      return {counted.result(u), counted.result(mh(v_moved))};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      const Tensor gu = cotangents[0].defined() ? cotangents[0] : zeros_like(call.inputs[1]);
      const Tensor gvh = cotangents[1].defined() ? cotangents[1] : zeros_like(call.inputs[3]);
      const Counted counted =
          Counted(logical_or(nonzero_matrices(gu), nonzero_matrices(gvh)), call.inputs[1]).of(call.inputs[0]);
      const SingularParts x(call, {call.outputs[0], call.outputs[1]}, counted);
      const Tensor v = mh(x.vh), gv = mh(gvh);
      const Tensor by_u = matmul(mh(x.u), gu), by_v = matmul(x.vh, gv);
      const Tensor turn_u = by_u - mh(by_u), turn_v = by_v - mh(by_v);
      // What turns both sides alike is free between equal values. Of cotangents across U or V, as those of
      // the columns that complete them, nothing but rounding is left here.
      const Tensor size = abs(by_u) + abs(mh(by_u)) + abs(by_v) + abs(mh(by_v)) +
                          largest(abs(gu), Axes{-2, -1}) + largest(abs(gv), Axes{-2, -1});
      const Tensor none = x.none_of_columns();
      const Tensor free = where(none, abs(turn_u) + abs(turn_v), turn_u + turn_v);
      const Tensor sure = determined(kSvd, turn_u, free, size, x.gaps.equal);
      const Tensor against = where(logical_or(none, logical_not(x.gaps.equal)), 0,
                                   sure / where(none, 1, 2 * expand_dims(x.s, -2)));
      const Tensor moved =
          scaled_columns(x.turn(sure), x.s) + expand_dims(x.s, -1) * x.turn(turn_v) + against;
      Tensor result = product(x.u, moved, x.vh);
      if (x.is_tall()) result = result + matmul(x.over_values(rest(x.u, mh(x.u), gu)), x.vh);
      if (x.is_wide()) result = result + matmul(x.u, mh(x.over_values(rest(v, x.vh, gv))));
      return {counted.result(result), Tensor(), Tensor(), Tensor()};
    },
};

// Columns N that complete orthonormal ones, U, as a function of these: N' = -U U'^H N. How they turn among
// each other is free, and forward mode does not know whether anybody looks at them: their tangent is NaN.
const Custom null_vectors_rule{
    .reads = [](Reads) -> Reads { return kInput0 | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      return {where(nonzero_matrices(tangents[0]), NAN, zeros_like(call.outputs[0]))};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      const Tensor &u = call.inputs[0], &g = cotangents[0];
      const Tensor n = where(nonzero_matrices(g), call.outputs[0], stop_gradient(call.outputs[0]));
      const Tensor inside = matmul(mh(n), g), turn = inside - mh(inside);
      const Caller caller = call.attrs.as<CallerAttrs>().caller;
      const Tensor all = ones(turn.shape(), DType::bool_, turn.device());
      const Tensor sure = determined(caller, g, turn, g, all);
      return {-matmul(n, matmul(mh(sure), u)), Tensor()};
    },
};

// --- QR

const Custom qr_rule{
    .reads = [](Reads) -> Reads { return kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor& t = tangents[0];
      const Counted counted(nonzero_matrices(t), call.outputs[0], regular_factors(call.outputs[1]));
      const Tensor q = counted.or_identity(call.outputs[0]), r = counted.or_identity(call.outputs[1]);
      const Tensor c =
          matrix_transpose(bind(primitives::solve_triangular, {matrix_transpose(r), matrix_transpose(t)},
                                TriangularAttrs{false, false, {"qr"}}));
      // The diagonal of r stays real.
      const Tensor w = matmul(mh(q), c), left = half_lower(w), turn = left - mh(left);
      return {counted.result(matmul(q, turn) + c - matmul(q, w)), counted.result(matmul(w - turn, r))};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      const Tensor gq = cotangents[0].defined() ? cotangents[0] : zeros_like(call.outputs[0]);
      const Tensor gr = cotangents[1].defined() ? triu(cotangents[1]) : zeros_like(call.outputs[1]);
      const Counted counted(logical_or(nonzero_matrices(gq), nonzero_matrices(gr)), call.outputs[0],
                            regular_factors(call.outputs[1]));
      const Tensor q = counted.or_identity(call.outputs[0]), r = counted.or_identity(call.outputs[1]);
      const Tensor m = matmul(r, mh(gr)) - matmul(mh(gq), q), left = half_lower(m);
      const Tensor g = gq + matmul(q, left + mh(left));
      return {counted.result(
          mh(bind(primitives::solve_triangular, {r, mh(g)}, TriangularAttrs{true, false, {"qr"}})))};
    },
};

// --- The pseudo-inverse

// Which singular values count, beside the largest and rtol.
Tensor that_count(const Tensor& s, const Tensor& rtol) {
  return s > expand_dims(rtol, -1) * largest(s, Axes{-1});
}

void infer_transposed(const SpecCall& call, std::span<Spec> outputs) {
  outputs[0] = call.inputs[0];
  const int last = outputs[0].shape.size() - 1;
  std::swap(outputs[0].shape[last], outputs[0].shape[last - 1]);
}

void run_pinv(const Call& call) {
  const auto [u, s, vh] = constant_svd(call.inputs[0], false);
  const Tensor counts = that_count(s, call.inputs[1]);
  const Tensor inverse = where(isnan(s), s, where(counts, 1 / where(counts, s, 1), 0));
  call.outputs[0] = matmul(scaled_columns(mh(vh), inverse), mh(u));
}

const Custom pinv_rule{
    .reads = [](Reads) -> Reads { return kInput0 | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor& t = tangents[0];
      const Counted counted(nonzero_matrices(t), call.inputs[0]);
      const Tensor a = counted.or_zero(call.inputs[0]), p = counted.or_zero(call.outputs[0]);
      const Tensor ph = mh(p), th = mh(t);
      return {counted.result(-product(p, t, p) + matmul(p, matmul(ph, rest_right(th, a, p))) +
                             matmul(matmul(rest(p, a, th), ph), p))};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      const Tensor& g = cotangents[0];
      const Counted counted(nonzero_matrices(g), call.inputs[0]);
      const Tensor a = counted.or_zero(call.inputs[0]), p = counted.or_zero(call.outputs[0]);
      const Tensor ph = mh(p), gh = mh(g);
      return {counted.result(-product(ph, g, ph) + matmul(matmul(rest(a, p, gh), p), ph) +
                             matmul(ph, matmul(p, rest_right(gh, p, a)))),
              Tensor()};
    },
};

// --- The exponential

// By Pade's approximant of order 13 to the exponential of x / 2^s, squared s times (Higham, "The scaling and
// squaring method for the matrix exponential revisited", 2005). How often depends on values, which are not
// read: the squarings that do not count are done and left out.
Tensor exponential(const Tensor& x) {
  constexpr double kReach = 4.25;
  constexpr int kSquarings = 24;
  constexpr double kPade[] = {64764752532480000.,
                              32382376266240000.,
                              7771770303897600.,
                              1187353796428800.,
                              129060195264000.,
                              10559470521600.,
                              670442572800.,
                              33522128640.,
                              1323241920.,
                              40840800.,
                              960960.,
                              16380.,
                              182.,
                              1.};
  const Tensor norm = max(sum(abs(x), Axes{-2}, true), Axes{-1}, true);
  const Tensor halvings = minimum(maximum(ceil(log2(norm / kReach)), 0), kSquarings);
  const Tensor a = where(norm > 0, x / exp2(halvings), x), one = identity_like(x);
  const Tensor a2 = matmul(a, a), a4 = matmul(a2, a2), a6 = matmul(a4, a2);
  const auto c = [&](int i) { return kPade[i] / kPade[0]; };
  const Tensor odd = matmul(
      a, matmul(a6, c(13) * a6 + c(11) * a4 + c(9) * a2) + c(7) * a6 + c(5) * a4 + c(3) * a2 + c(1) * one);
  const Tensor even =
      matmul(a6, c(12) * a6 + c(10) * a4 + c(8) * a2) + c(6) * a6 + c(4) * a4 + c(2) * a2 + c(0) * one;
  Tensor result = solve_for({"matrix_exp"}, even - odd, even + odd);
  for (int i = 0; i < kSquarings; ++i) result = where(halvings > i, matmul(result, result), result);
  return result;
}

void run_exponential(const Call& call) { call.outputs[0] = exponential(call.inputs[0]); }

Tensor exponential_slope(const Tensor& a, const Tensor& t) {
  const int64_t n = a.size(-1);
  const Counted counted(nonzero_matrices(t), a);
  const Tensor safe = counted.or_zero(a);
  const Tensor block = concat({concat({safe, t}, -1), concat({zeros_like(safe), safe}, -1)}, -2);
  const Tensor both = bind(primitives::matrix_exp, {block});
  return counted.result(slice_axis(slice_axis(both, -2, 0, n), -1, n, std::nullopt));
}

const Custom exponential_rule{
    .reads = [](Reads) -> Reads { return kInput0; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      return {exponential_slope(call.inputs[0], tangents[0])};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      return {exponential_slope(mh(call.inputs[0]), cotangents[0])};
    },
};

void infer_same(const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[0]; }

// Operations of Householder's and the QR iteration's methods, as in Golub and Van Loan, "Matrix
// Computations", 4th edition, sections 5.2, 8.3 and 8.6, two of them a multiply-add.
Flops qr_flops(const SpecCall& call, std::span<const Spec> outputs) {
  const Extents x(call.inputs[0]);
  const int64_t m = x.m, k = std::min(x.m, x.n), n = x.n;
  const int64_t to_r = m < n ? k * k * (3 * n - k) / 3 : k * k * (3 * m - k) / 3;
  const bool complete = outputs[0].shape.back() > k;
  return x.each(to_r + (complete ? 2 * (m * m * k - m * k * k + k * k * k / 3) : k * k * (3 * m - k) / 3), 0);
}
Flops eigh_flops(const SpecCall& call, std::span<const Spec>) {
  const Extents x(call.inputs[0]);
  return x.each(9 * x.n * x.n * x.n / 2, 0);
}
Flops svd_flops(const SpecCall& call, std::span<const Spec>) {
  const Extents x(call.inputs[0]);
  const int64_t k = std::min(x.m, x.n), longer = std::max(x.m, x.n);
  const bool complete = call.attrs.as<CompleteAttrs>().complete;
  return x.each(complete ? 2 * longer * longer * k + 11 * k * k * k : 3 * longer * k * k + 10 * k * k * k, 0);
}

void check_determined(const SpecCall& call, size_t) {
  require(call.inputs[0].dtype == DType::bool_ && call.inputs[0].shape.size() >= 2, call,
          "the mask must be matrices of bool");
}

// A matrix, its values, which are in the middle, and its vectors.
void check_known(const SpecCall& call, size_t) {
  check_matrix(call, 1);
  const size_t count = call.inputs.size(), values = count / 2;
  for (size_t i = 1; i < count; ++i) {
    const int rank = call.inputs[0].shape.size() - (i == values ? 1 : 0);
    require(call.inputs[i].shape.size() == rank, call, "the vectors must be matrices, the values their rows");
  }
}

// Values (.., n), two matrices of n columns, and t of as many rows and columns as these have rows.
void check_split(const SpecCall& call, size_t) {
  const Spec &values = call.inputs[0], &left = call.inputs[1], &right = call.inputs[2], &t = call.inputs[3];
  const int axes = t.shape.size();
  require(is_computable(t.dtype) && axes >= 2 && values.shape.size() + 1 == axes &&
              left.shape.size() == axes && right.shape.size() == axes,
          call, "it takes values, two matrices of vectors and a matrix");
  const Shape batch(t.shape.begin(), t.shape.end() - 2);
  const auto is = [&](const Spec& x, std::initializer_list<int64_t> extents, DType dtype) {
    Shape shape = batch;
    for (const int64_t extent : extents) shape.push_back(extent);
    return x.dtype == dtype && x.shape == shape;
  };
  const int64_t n = values.shape.back();
  require(is(values, {n}, part_of(t.dtype)) && is(left, {t.shape[axes - 2], n}, t.dtype) &&
              is(right, {t.shape[axes - 1], n}, t.dtype),
          call, "the vectors must be columns, one a value, as long as the matrix has rows and columns");
}

void check_motion(const SpecCall& call, size_t) {
  const Spec &left = call.inputs[0], &t = call.inputs[1], &right = call.inputs[2], &equal = call.inputs[3];
  for (const Spec* x : {&left, &t, &right, &equal}) require(x->shape.size() >= 2, call, "it takes matrices");
  require(left.shape.back() == right.shape.back() && equal.dtype == DType::bool_, call,
          "the vectors must be columns, as many on both sides, and the mask of bool");
}

void check_vanishing(const SpecCall& call, size_t) {
  require(call.inputs[0].dtype == DType::bool_ && call.inputs[0].shape.size() >= 2 &&
              call.inputs[0].shape == call.inputs[1].shape,
          call, "the mask must be matrices of bool, as many as it is of");
}

// A frame of vectors as columns, of which those on the right have as many elements as an axis says.
Spec frame(const Spec& left, const Spec& right, int axis) {
  Spec result = left;
  const int last = left.shape.size() - 1;
  result.shape[last - 1] += right.shape[right.shape.size() + axis] + left.shape[last];
  return result;
}

const char* const kConstant = "its factors are constants; eigh and svd say how they depend on the matrix";

}  // namespace

Svd constant_svd(const Tensor& x, bool complete) {
  const Tensor inputs[] = {stop_gradient(x)};
  Tensor parts[3];
  const CompleteAttrs attrs{complete};
  Attrs::OnStack<CompleteAttrs> on_stack(attrs);
  bind(primitives::svd, inputs, on_stack.attrs(), parts);
  return {parts[0], parts[1], parts[2]};
}

}  // namespace tidu::linalg

namespace tidu::primitives {

using linalg::know;

// | `qr` | $A = Q R$ | $\dot Q = Q K + (I - Q Q^H) C$, $\dot R = (Q^H C - K) R$ with $C = \dot A R^{-1}$, $K
// = \Phi(Q^H C) - \Phi(Q^H C)^H$, $\Phi$: the lower triangle, half of the diagonal | $\bar A = (\bar Q + Q S)
// R^{-H}$ with $M = R \bar R^H - \bar Q^H Q$ and $S = \Phi(M) + \Phi(M)^H$ |
Primitive qr("qr", {.batching = batch_by_fields,
                    .attrs = CompleteAttrs{},
                    .check = linalg::check_matrix,
                    .infer =
                        [](const SpecCall& call, std::span<Spec> outputs) {
                          const int last = call.inputs[0].shape.size() - 1;
                          const int64_t m = call.inputs[0].shape[last - 1], n = call.inputs[0].shape[last];
                          const int64_t k = call.attrs.as<CompleteAttrs>().complete ? m : std::min(m, n);
                          outputs[0] = outputs[1] = call.inputs[0];
                          outputs[0].shape[last] = k;
                          outputs[1].shape[last - 1] = k;
                        },
                    .derivative = linalg::qr_rule,
                    .num_outputs = 2,
                    .on_complex = OnComplex::native,
                    .flops = linalg::qr_flops});
// | `eigh` | factors alone, constants: `eigenvalues` and `eigenvectors` say how they depend on the matrix | |
// |
Primitive eigh("eigh", {.batching = batch_by_fields,
                        .attrs = kNoAttrs,
                        .check = linalg::check_square,
                        .infer =
                            [](const SpecCall& call, std::span<Spec> outputs) {
                              outputs[0] = outputs[1] = call.inputs[0];
                              outputs[0].shape.erase(outputs[0].shape.size() - 1);
                              outputs[0].dtype = part_of(outputs[0].dtype);
                            },
                        .derivative = Opaque{linalg::kConstant},
                        .num_outputs = 2,
                        .on_complex = OnComplex::native,
                        .flops = linalg::eigh_flops});
// | `svd` | factors alone, constants: `singular_values` and `singular_vectors` say how they depend on the
// matrix | | |
Primitive svd("svd", {.batching = batch_by_fields,
                      .attrs = CompleteAttrs{},
                      .check = linalg::check_matrix,
                      .infer =
                          [](const SpecCall& call, std::span<Spec> outputs) {
                            const Spec& x = call.inputs[0];
                            const int last = x.shape.size() - 1;
                            const int64_t m = x.shape[last - 1], n = x.shape[last], k = std::min(m, n);
                            const bool complete = call.attrs.as<CompleteAttrs>().complete;
                            outputs[0] = outputs[1] = outputs[2] = x;
                            outputs[0].shape[last] = complete ? m : k;
                            outputs[1].shape.erase(last);
                            outputs[1].shape[last - 1] = k;
                            outputs[1].dtype = part_of(x.dtype);
                            outputs[2].shape[last - 1] = complete ? n : k;
                          },
                      .derivative = Opaque{linalg::kConstant},
                      .num_outputs = 3,
                      .on_complex = OnComplex::native,
                      .flops = linalg::svd_flops});
// | `eigenvalues` | $A = V \mathrm{diag}(\lambda) V^H$ | $\dot \lambda_i = v_i^H \dot A v_i$, between equal
// values with the vectors for which $V^H \dot A V$ is diagonal, in ascending order | $\bar A = V
// \mathrm{diag}(\bar \lambda) V^H$ |
Primitive eigenvalues("eigenvalues", {.batching = batch_by_fields,
                                      .attrs = kNoAttrs,
                                      .inputs = 3,
                                      .check = linalg::check_known,
                                      .infer =
                                          [](const SpecCall& call, std::span<Spec> outputs) {
                                            outputs[0] = call.inputs[1];
                                            outputs[1] = linalg::frame(call.inputs[2], call.inputs[2], -2);
                                          },
                                      .derivative = linalg::eigenvalues_rule,
                                      .evaluate = linalg::run_eigenvalues,
                                      .num_outputs = 2});
// | `eigenvectors` | $V$ | $\dot V = V (F \odot V^H \mathrm{sym}(\dot A) V)$ with $F_{ij} = 1 / (\lambda_j -
// \lambda_i)$, 0 where they are equal | $\bar A = \mathrm{sym}(V (F \odot V^H \bar V) V^H)$ |
Primitive eigenvectors("eigenvectors", {.batching = batch_by_fields,
                                        .attrs = kNoAttrs,
                                        .inputs = 3,
                                        .check = linalg::check_matrix,
                                        .infer = [](const SpecCall& call,
                                                    std::span<Spec> outputs) { outputs[0] = call.inputs[2]; },
                                        .derivative = linalg::eigenvectors_rule,
                                        .evaluate = [](const Call& call) { know(call, 2); }});
// | `singular_values` | $A = U \Sigma V^H$, $\Sigma = \mathrm{diag}(\sigma)$ | $\dot \sigma_i = \mathrm{Re}
// \thinspace u_i^H \dot A v_i$, between equal values with the vectors for which the Hermitian part of $U^H
// \dot A V$ is diagonal, in descending order | $\bar A = U \mathrm{diag}(\bar \sigma) V^H$ |
Primitive singular_values("singular_values", {.batching = batch_by_fields,
                                              .attrs = kNoAttrs,
                                              .inputs = 4,
                                              .check = linalg::check_known,
                                              .infer =
                                                  [](const SpecCall& call, std::span<Spec> outputs) {
                                                    outputs[0] = call.inputs[2];
                                                    outputs[1] =
                                                        linalg::frame(call.inputs[1], call.inputs[3], -1);
                                                  },
                                              .derivative = linalg::singular_values_rule,
                                              .evaluate = linalg::run_singular_values,
                                              .num_outputs = 2});
// | `singular_vectors` | $U$, $V$ of distinct singular values | $\dot U = U (F \odot (P \Sigma + \Sigma P^H))
// + (I - U U^H) \dot A V \Sigma^{-1}$, $\dot V = V (F \odot (\Sigma P + P^H \Sigma)) + (I - V V^H) \dot A^H U
// \Sigma^{-1}$ with $P = U^H \dot A V$, $F_{ij} = 1 / (\sigma_j^2 - \sigma_i^2)$; the phases of $u_i$ and
// $v_i$ turn by $i \thinspace \mathrm{Im} P_{ii} / (2 \sigma_i)$, against each other | $\bar A = U ((F \odot
// K_U) \Sigma + \Sigma (F \odot K_V)) V^H + (I - U U^H) \bar U \Sigma^{-1} V^H + U \Sigma^{-1} \bar V^H (I -
// V V^H)$ with $K_X = X^H \bar X - \bar X^H X$ |
Primitive singular_vectors("singular_vectors", {.batching = batch_by_fields,
                                                .attrs = kNoAttrs,
                                                .inputs = 4,
                                                .check = linalg::check_matrix,
                                                .infer =
                                                    [](const SpecCall& call, std::span<Spec> outputs) {
                                                      outputs[0] = call.inputs[1],
                                                      outputs[1] = call.inputs[3];
                                                    },
                                                .derivative = linalg::singular_vectors_rule,
                                                .evaluate =
                                                    [](const Call& call) {
                                                      call.outputs[0] = tidu::alias(call.inputs[1]);
                                                      call.outputs[1] = tidu::alias(call.inputs[3]);
                                                    },
                                                .num_outputs = 2});
// | `null_vectors` | $N$, what completes the orthonormal columns $U$ | not determined: NaN | $\bar U = -N
// \bar N^H U$ |
Primitive null_vectors("null_vectors", {.batching = batch_by_fields,
                                        .attrs = CallerAttrs{},
                                        .inputs = 2,
                                        .check = linalg::check_matrix,
                                        .infer = [](const SpecCall& call,
                                                    std::span<Spec> outputs) { outputs[0] = call.inputs[1]; },
                                        .derivative = linalg::null_vectors_rule,
                                        .evaluate = [](const Call& call) { know(call, 1); }});
// | `spectrum` | $Y = V \mathrm{diag}(g) V^H$ with the vectors $V$ of $A$ | $\dot Y = V (D \odot V^H
// \mathrm{sym}(\dot A) V + \mathrm{diag}(\dot g)) V^H$ with $D_{ij} = (g_j - g_i) / (\lambda_j - \lambda_i)$,
// 0 where these are equal: there the vectors are those for which $V^H \dot A V$ is diagonal | $\bar A = V (D
// \odot V^H \mathrm{sym}(\bar Y) V) V^H$, $\bar g_i = \mathrm{Re} \thinspace v_i^H \bar Y v_i$ |
Primitive spectrum("spectrum", {.batching = batch_by_fields,
                                .attrs = kNoAttrs,
                                .inputs = 5,
                                .check = linalg::check_matrix,
                                .infer = [](const SpecCall& call,
                                            std::span<Spec> outputs) { outputs[0] = call.inputs[0]; },
                                .derivative = linalg::spectrum_rule,
                                .evaluate = linalg::run_spectrum});
// | `singular_spectrum` | $Y = U \mathrm{diag}(g) V^H$ with the vectors $U$, $V$ of $A$ | $\dot Y = T(\dot A)
// + U \mathrm{diag}(\dot g) V^H$, $T(X) = U (D \odot (P + P^H) / 2 + E \odot (P - P^H) / 2) V^H + (I - U U^H)
// X V C V^H + U C U^H X (I - V V^H)$ with $P = U^H X V$, $D_{ij} = (g_j - g_i) / (\sigma_j - \sigma_i)$, 0
// where these are equal, $E_{ij} = (g_i + g_j) / (\sigma_i + \sigma_j)$, $C = \mathrm{diag}(g / \sigma)$ |
// $\bar A = T(\bar Y)$, $\bar g_i = \mathrm{Re} \thinspace u_i^H \bar Y v_i$ |
Primitive singular_spectrum("singular_spectrum",
                            {.batching = batch_by_fields,
                             .attrs = kNoAttrs,
                             .inputs = 6,
                             .check = linalg::check_matrix,
                             .infer = [](const SpecCall& call,
                                         std::span<Spec> outputs) { outputs[0] = call.inputs[0]; },
                             .derivative = linalg::singular_spectrum_rule,
                             .evaluate = linalg::run_singular_spectrum});
// | `split_vectors` | the vectors that a matrix has once it moved along $T$, constants | | |
Primitive split_vectors("split_vectors",
                        {.batching = batch_by_fields,
                         .attrs = SplitAttrs{},
                         .inputs = 4,
                         .check = linalg::check_split,
                         .infer =
                             [](const SpecCall& call, std::span<Spec> outputs) {
                               outputs[0] = call.inputs[1];
                               outputs[1] = call.inputs[2];
                             },
                         .derivative = Opaque{"vectors of equal values that split are constants"},
                         .num_outputs = 2,
                         .on_complex = OnComplex::native,
                         .flops = flops_per_input<1>});
// | `motion` | $y_i = \mathrm{Re} \thinspace l_i^H T r_i$, of values that have split | $\dot y_i =
// \mathrm{Re}(\dot l_i^H T r_i + l_i^H \dot T r_i + l_i^H T \dot r_i)$ | $\bar L = T R \thinspace
// \mathrm{diag}(\bar y)$, $\bar T = L \thinspace \mathrm{diag}(\bar y) R^H$, $\bar R = T^H L \thinspace
// \mathrm{diag}(\bar y)$ |
Primitive motion("motion", {.batching = batch_by_fields,
                            .attrs = CallerAttrs{},
                            .inputs = 5,
                            .check = linalg::check_motion,
                            .infer =
                                [](const SpecCall& call, std::span<Spec> outputs) {
                                  outputs[0] = call.inputs[0];
                                  outputs[0].shape.erase(outputs[0].shape.size() - 2);
                                  outputs[0].dtype = part_of(outputs[0].dtype);
                                  outputs[1] = linalg::frame(call.inputs[0], call.inputs[2], -2);
                                },
                            .derivative = linalg::motion_rule,
                            .evaluate = linalg::run_motion,
                            .num_outputs = 2});
// | `vanishing` | $y = x$, or an error where an element that must be 0 is not | $\dot y = \dot x$, of which
// these elements must be 0, too | $\bar x = \bar y$ |
Primitive vanishing(
    "vanishing",
    {.batching = batch_by_fields,
     .attrs = CallerAttrs{},
     .inputs = 3,
     .check = linalg::check_vanishing,
     .infer = [](const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[1]; },
     .derivative = LinearMap{.linear = kInput1 | kInput2,
                             .transpose = [](const Call&, Cotangents cotangents,
                                             int i) { return i == 1 ? cotangents[0] : Tensor(); }},
     .evaluate = linalg::run_vanishing});
// | `determined` | $y = x$, or an error where the derivative is not determined | $\dot y = \dot x$ | $\bar x
// = \bar y$ |
Primitive determined("determined",
                     {.batching = batch_by_fields,
                      .attrs = CallerAttrs{},
                      .inputs = 2,
                      .check = linalg::check_determined,
                      .infer = [](const SpecCall& call,
                                  std::span<Spec> outputs) { outputs[0] = call.inputs[1]; },
                      .derivative = LinearMap{.linear = kInput1,
                                              .transpose = [](const Call&, Cotangents cotangents,
                                                              int) { return cotangents[0]; }},
                      .on_complex = OnComplex::native,
                      .flops = flops_per_input<1>});
// | `pinv` | $P = A^+$ | $\dot P = -P \dot A P + P P^H \dot A^H (I - A P) + (I - P A) \dot A^H P^H P$ | $\bar
// A = -P^H \bar P P^H + (I - A P) \bar P^H P P^H + P^H P \bar P^H (I - P A)$ |
Primitive pinv("pinv", {.batching = batch_by_fields,
                        .attrs = kNoAttrs,
                        .inputs = 2,
                        .check = linalg::check_matrix,
                        .infer = linalg::infer_transposed,
                        .derivative = linalg::pinv_rule,
                        .evaluate = linalg::run_pinv});
// | `matrix_exp` | $Y = e^A$ | $\dot Y = \int_0^1 e^{s A} \dot A e^{(1 - s) A} ds$ | $\bar A = \int_0^1 e^{s
// A^H} \bar Y e^{(1 - s) A^H} ds$ |
Primitive matrix_exp("matrix_exp", {.batching = batch_by_fields,
                                    .attrs = kNoAttrs,
                                    .check = linalg::check_square,
                                    .infer = linalg::infer_same,
                                    .derivative = linalg::exponential_rule,
                                    .evaluate = linalg::run_exponential});

}  // namespace tidu::primitives

namespace tidu::linalg {
namespace {

bool has_no_elements(const Tensor& x) { return x.size(-1) == 0 || x.size(-2) == 0; }

// As one number of each matrix.
Tensor tolerance(const char* op, const Tensor& x, std::optional<double> rtol) {
  if (rtol && !(*rtol >= 0)) fail<ValueError>("[", op, "] rtol is a number from 0 on, not ", *rtol);
  const double least = rtol.value_or(epsilon_of(x) * static_cast<double>(std::max(x.size(-1), x.size(-2))));
  return broadcast_to(full({}, least, part_of(x.dtype()), x.device()), batch_of(x));
}
Tensor tolerance(const char* op, const Tensor& x, const Tensor& rtol) {
  const Shape batch = batch_of(x);
  if (rtol.ndim() != 0 && rtol.shape() != batch) {
    fail<ShapeError>("[", op, "] rtol is a number, or one of each matrix of ", describe(x), ", not ",
                     describe(rtol));
  }
  return broadcast_to(astype(stop_gradient(rtol), part_of(x.dtype())), batch);
}

Tensor pinv_by(const Tensor& x, const auto& rtol) {
  if (has_no_elements(x)) return mh(x);
  return bind(primitives::pinv, {x, tolerance("pinv", x, rtol)});
}

Tensor rank_by(const Tensor& x, const auto& rtol) {
  const Tensor least = tolerance("matrix_rank", x, rtol);
  if (has_no_elements(x)) return zeros(batch_of(x), DType::int64, x.device());
  return count_nonzero(that_count(constant_svd(x, false).s, least), Axes{-1});
}

Tensor matrices(const char* op, const Tensor& given) {
  const Tensor x = computable(op, given);
  require_matrices(op, x);
  return x;
}

Tensor singular_values_of(const Tensor& x) {
  const auto [u, s, vh] = constant_svd(x, false);
  return singular_values_of({{x, u, s, vh}});
}

}  // namespace

Qr qr(const Tensor& given, bool complete) {
  const Tensor x = matrices("qr", given);
  const int64_t m = x.size(-2), n = x.size(-1);
  const auto factors = [](const Tensor& part, bool whole) {
    const Tensor inputs[] = {part};
    Tensor outputs[2];
    const CompleteAttrs attrs{whole};
    Attrs::OnStack<CompleteAttrs> on_stack(attrs);
    bind(primitives::qr, inputs, on_stack.attrs(), outputs);
    return Qr{outputs[0], outputs[1]};
  };
  if (m > n && complete && !has_no_elements(x)) {
    const auto [q, r] = factors(x, false);
    const Tensor rest = slice_axis(factors(stop_gradient(x), true).q, -1, n, std::nullopt);
    const Tensor none = zeros_like(slice_axis(x, -2, n, std::nullopt));
    return {concat({q, bind(primitives::null_vectors, {q, rest}, CallerAttrs{{"qr"}})}, -1),
            concat({r, none}, -2)};
  }
  if (m >= n) return factors(x, complete && m > n);
  const auto [q, r] = factors(slice_axis(x, -1, 0, m), false);
  return {q, concat({r, matmul(mh(q), slice_axis(x, -1, m, std::nullopt))}, -1)};
}

Eigh eigh(const Tensor& given) {
  const Tensor x = computable("eigh", given);
  require_square("eigh", x);
  const Tensor inputs[] = {stop_gradient(x)};
  Tensor known[2];
  bind(primitives::eigh, inputs, {}, known);
  return {values_of(x, known[0], known[1]), bind(primitives::eigenvectors, {x, known[0], known[1]})};
}

Tensor eigvalsh(const Tensor& given) {
  const Tensor x = computable("eigvalsh", given);
  require_square("eigvalsh", x);
  const Tensor inputs[] = {stop_gradient(x)};
  Tensor known[2];
  bind(primitives::eigh, inputs, {}, known);
  return values_of(x, known[0], known[1]);
}

Svd svd(const Tensor& given, bool full_matrices) {
  const Tensor x = matrices("svd", given);
  const int64_t m = x.size(-2), n = x.size(-1), k = std::min(m, n);
  const bool complete = full_matrices && m != n;
  if (complete && has_no_elements(x)) {
    const auto identity = [&](int64_t n) {
      return with_batch(eye(n, n, 0, x.dtype(), x.device()), batch_of(x));
    };
    return {identity(m), constant_svd(x, false).s, identity(n)};
  }
  const auto [all_u, s, all_vh] = constant_svd(x, complete);
  const Tensor inputs[] = {x, slice_axis(all_u, -1, 0, k), s, slice_axis(all_vh, -2, 0, k)};
  const Tensor values = singular_values_of(inputs);
  Tensor vectors[2];
  bind(primitives::singular_vectors, inputs, {}, vectors);
  const auto& [u, vh] = vectors;
  if (m > n && complete) {
    const Tensor rest = slice_axis(all_u, -1, k, std::nullopt);
    return {concat({u, bind(primitives::null_vectors, {u, rest}, CallerAttrs{linalg::kSvd})}, -1), values,
            vh};
  }
  if (m < n && complete) {
    const Tensor rest = slice_axis(all_vh, -2, k, std::nullopt);
    return {
        u, values,
        concat({vh, mh(bind(primitives::null_vectors, {mh(vh), mh(rest)}, CallerAttrs{linalg::kSvd}))}, -2)};
  }
  return {u, values, vh};
}

Tensor svdvals(const Tensor& x) { return singular_values_of(matrices("svdvals", x)); }

Tensor pinv(const Tensor& x, std::optional<double> rtol) { return pinv_by(matrices("pinv", x), rtol); }
Tensor pinv(const Tensor& x, const Tensor& rtol) { return pinv_by(matrices("pinv", x), rtol); }

Tensor matrix_rank(const Tensor& x, std::optional<double> rtol) {
  return rank_by(matrices("matrix_rank", x), rtol);
}
Tensor matrix_rank(const Tensor& x, const Tensor& rtol) { return rank_by(matrices("matrix_rank", x), rtol); }

Lstsq lstsq(const Tensor& given_a, const Tensor& given_b, std::optional<double> rtol) {
  const DType dtype = promote(computable("lstsq", given_a).dtype(), computable("lstsq", given_b).dtype());
  const Tensor a = astype(matrices("lstsq", given_a), dtype);
  const bool vector = given_b.ndim() == 1;
  if (given_b.ndim() == 0 || given_b.size(vector ? 0 : -2) != a.size(-2)) {
    fail<ShapeError>("[lstsq] the right-hand side ", describe(given_b), " does not fit ", describe(given_a),
                     " (it is (.., m, k), or a vector (m))");
  }
  const Tensor b = vector ? expand_dims(astype(given_b, dtype), 1) : astype(given_b, dtype);
  const Tensor x = matmul(pinv(a, rtol), b);
  const Tensor rest = matmul(a, x) - b, residuals = real(sum(conj(rest) * rest, Axes{-2}));
  const Tensor s = svdvals(a);
  return {vector ? squeeze(x, {-1}) : x, vector ? squeeze(residuals, {-1}) : residuals, matrix_rank(a, rtol),
          s};
}

namespace {

// The largest or the least of singular values (.., 1). Those that are equal but for rounding share the
// gradient, as ties do; NaN has it whole.
Tensor extreme(const Tensor& s, SpectralNorm norm) {
  const Tensor known = stop_gradient(s), largest = max(known, Axes{-1}, true);
  const Tensor value = norm == SpectralNorm::largest ? largest : min(known, Axes{-1}, true);
  const Tensor tied = logical_not(abs(known - value) > rounding_of(known) * largest);
  return sum(where(tied, s, 0), Axes{-1}, true) / count_nonzero(tied, Axes{-1}, true);
}

Tensor cond_by_inverse(const Tensor& x, const auto& norm_of) {
  require_square("cond", x);
  const Tensor pivots = diagonal(factors_of({"cond"}, stop_gradient(x), false).lu);
  const Tensor singular = any(pivots == 0, Axes{-1}, true);
  const Tensor inverse = inv_for({"cond"}, where(expand_dims(singular, -1), identity_like(x), x));
  return where(squeeze(singular, {-1}), INFINITY, norm_of(x) * norm_of(inverse));
}

}  // namespace

Tensor spectral_norm(const Tensor& given, SpectralNorm norm, bool keepdims) {
  const Tensor x = matrices("matrix_norm", given);
  if (has_no_elements(x)) {
    if (norm == SpectralNorm::least)
      fail<ShapeError>("[matrix_norm] no singular value is the least: ", describe(x));
    return real(sum(x, Axes{-2, -1}, keepdims));
  }
  const Tensor s = singular_values_of(x);
  const Tensor result = norm == SpectralNorm::nuclear ? sum(s, Axes{-1}, true) : extreme(s, norm);
  return keepdims ? expand_dims(result, -1) : squeeze(result, {-1});
}

Tensor cond(const Tensor& given, SpectralNorm norm) {
  const Tensor x = matrices("cond", given);
  if (norm == SpectralNorm::nuclear)
    return cond_by_inverse(x, [&](const Tensor& a) { return spectral_norm(a, norm); });
  if (has_no_elements(x)) fail<ShapeError>("[cond] no singular value is the least: ", describe(x));
  const Tensor s = singular_values_of(x);
  const Tensor most = extreme(s, SpectralNorm::largest), least = extreme(s, SpectralNorm::least);
  const Tensor number = norm == SpectralNorm::largest ? most / least : least / most;
  return squeeze(where(most == 0, INFINITY, number), {-1});
}

Tensor cond(const Tensor& x, MatrixNorm norm) {
  return cond_by_inverse(matrices("cond", x), [&](const Tensor& a) { return matrix_norm(a, norm); });
}

Tensor matrix_exp(const Tensor& given) {
  const Tensor x = computable("matrix_exp", given);
  require_square("matrix_exp", x);
  return x.size(-1) == 0 ? x : bind(primitives::matrix_exp, {x});
}

Tensor tensorsolve(const Tensor& given, const Tensor& b, const std::optional<Axes>& axes) {
  Tensor a = given;
  if (axes) {
    Axes order;
    const Axes last = [&] {
      Axes result;
      for (const int64_t axis : *axes) result.push_back(normalize_axis(axis, a.ndim(), "tensorsolve"));
      return result;
    }();
    for (int i = 0; i < a.ndim(); ++i) {
      if (!last.contains(i)) order.push_back(i);
    }
    for (const int64_t axis : last) order.push_back(axis);
    a = permute_dims(a, order);
  }
  const int rows = std::min(b.ndim(), a.ndim());
  const Shape shape(a.shape().begin() + rows, a.shape().end());
  const int64_t n = num_elements(shape);
  if (b.numel() != n || a.numel() != n * n) {
    fail<ShapeError>("[tensorsolve] ", describe(given), " is no square system for ", describe(b));
  }
  return reshape(solve_for({"tensorsolve"}, reshape(a, {n, n}), reshape(b, {n})), shape);
}

Tensor tensorinv(const Tensor& a, int64_t ind) {
  if (ind < 1 || ind > a.ndim())
    fail<ValueError>("[tensorinv] ind is a number of axes of ", describe(a), ", not ", ind);
  const auto cut = a.shape().begin() + ind;
  const Shape rows(a.shape().begin(), cut), columns(cut, a.shape().end());
  const int64_t n = num_elements(rows);
  if (n != num_elements(columns)) {
    fail<ShapeError>("[tensorinv] ", describe(a), " is no square matrix of its first ", ind,
                     " axes and the rest");
  }
  Shape shape = columns;
  for (const int64_t extent : rows) shape.push_back(extent);
  return reshape(inv_for({"tensorinv"}, reshape(a, {n, n})), shape);
}

}  // namespace tidu::linalg
