// Sets of directions through the calls of a recorded derivative.
#include "transforms/sparsity.h"

#include <algorithm>
#include <numeric>

#include "core/bind.h"
#include "ops/complex.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/linalg.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/scan.h"
#include "ops/shape.h"
#include "program/recorder.h"
#include "transforms/closure.h"
#include "transforms/control.h"
#include "transforms/index_sets.h"
#include "transforms/jacobian.h"
#include "transforms/transpose.h"

namespace tidu {
namespace {

using Name = IndexSets::Name;
// Of each element of a variable, in row-major order, the directions that it depends on; none of any: empty.
using Names = std::vector<Name>;

// The elements of a shape, numbered from `first` on.
Tensor numbered(const Shape& shape, int64_t first = 0) {
  return reshape(arange(first, first + num_elements(shape), 1, DType::int64), shape);
}
std::vector<int64_t> numbers_of(const Tensor& tensor) { return to_vector<int64_t>(tensor); }

// The numbers of the elements of a shape, lines along `axes` one after the other.
std::vector<int64_t> lines_of(const Shape& shape, const Axes& axes) {
  Axes order;
  for (int i = 0; i < shape.size(); ++i) {
    if (!axes.contains(i)) order.push_back(i);
  }
  for (const int64_t axis : axes) order.push_back(axis);
  return numbers_of(permute_dims(numbered(shape), order));
}

template <class Table> bool has_row(const Table& table, const Primitive& primitive) {
  return std::ranges::any_of(table, [&](const auto& row) { return row.primitive == &primitive; });
}

// The inputs in which a primitive is linear together.
Reads linear_inputs(const Primitive& primitive) {
  const auto* form = std::get_if<LinearMap>(&primitive.derivative);
  return form ? form->linear : 0;
}

// Whether elements of the results are elements of the inputs, and nothing is computed.
bool moves_elements(const Primitive& primitive) {
  return linear_inputs(primitive) != 0 && (primitive.view || primitive.flops == &no_flops);
}

// Whether the results are other ones for another key.
bool is_random(const Primitive& primitive) {
  namespace p = primitives;
  const Primitive* const drawn[] = {&p::random_bits, &p::random_uniform, &p::random_normal,
                                    &p::random_permutation};
  return std::ranges::find(drawn, &primitive) != std::end(drawn);
}

// One run through a program.
class Flow {
 public:
  // `known`: the values of inputs, where they have one.
  Flow(IndexSets& sets, const Program& program, std::vector<Names> inputs, const Tensors& known);
  std::vector<Names> outputs() const;

 private:
  using Call = Program::Instruction;

  void advance(const Call& call);
  Names pointwise(const Call& call);
  Names parted(const Call& call);
  Names moved(const Call& call);
  Names indexed(const Call& call);
  Names reduced(const Call& call);
  Names accumulated(const Call& call);
  Names multiplied(const Call& call);
  Names solved(const Call& call);
  std::vector<Names> branches(const Call& call);
  std::vector<Names> repeated(const Call& call);
  std::vector<Names> inside(const Call& call);
  int lane_axes(const Call& call) const;
  std::vector<Names> mixed(const Call& call);

  bool moves(int variable) const { return !names_[variable].empty(); }
  const Spec& spec(int variable) const { return program_.variables[variable]; }
  size_t size(int variable) const { return static_cast<size_t>(num_elements(spec(variable).shape)); }
  Name all_of(std::span<const Name> names) { return sets_.unite(Names(names.begin(), names.end())); }
  // Adds what an element depends on.
  void add(Name& to, Name more) { to = sets_.unite(to, more); }
  std::vector<Names> inputs_of(const Call& call, size_t first) const;
  Tensors values_of(const Call& call, size_t first) const;
  // Where a known value is 0; empty where it is not known.
  std::vector<bool> zeros_of(int variable) const;

  IndexSets& sets_;
  const Program& program_;
  std::vector<Names> names_;
  Tensors values_;  // of what depends on no argument; undefined where not known
};

Flow::Flow(IndexSets& sets, const Program& program, std::vector<Names> inputs, const Tensors& known)
    : sets_(sets), program_(program), names_(program.variables.size()), values_(program.variables.size()) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    names_[program.inputs[i]] = std::move(inputs[i]);
    if (i < known.size()) values_[program.inputs[i]] = known[i];
  }
  for (const Program::Constant& constant : program.constants) {
    // Of what a transform differentiates a zero may have a derivative.
    if (!constant.value.is_abstract() && !is_tracked(constant.value))
      values_[constant.variable] = constant.value;
  }
  const std::vector<size_t> last = program.last_uses();
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    const Call& call = program.instructions[i];
    if (call.outputs.empty()) continue;
    if (std::ranges::any_of(call.inputs, [&](int variable) { return moves(variable); })) {
      advance(call);
      // A linear function does not depend on what is constant between jumps.
      for (const int variable : call.outputs) {
        if (!is_differentiable(spec(variable).dtype)) names_[variable] = {};
      }
    } else if (!is_random(*call.primitive) && !call.has_effect() &&
               std::ranges::all_of(call.inputs, [&](int variable) { return values_[variable].defined(); })) {
      const VisibleTraces none(nullptr);
      const Tensors results = program.run(call, values_);
      for (size_t k = 0; k < results.size(); ++k) values_[call.outputs[k]] = results[k];
    }
    for (const int variable : call.inputs) {
      if (last[variable] == i) names_[variable] = {}, values_[variable] = {};
    }
  }
}

std::vector<Names> Flow::outputs() const {
  std::vector<Names> result;
  for (const int variable : program_.outputs) result.push_back(names_[variable]);
  return result;
}

std::vector<bool> Flow::zeros_of(int variable) const {
  std::vector<bool> result;
  if (!values_[variable].defined()) return result;
  const VisibleTraces none(nullptr);
  for (const double is_zero : to_vector<double>(equal(values_[variable], 0))) result.push_back(is_zero != 0);
  return result;
}

std::vector<Names> Flow::inputs_of(const Call& call, size_t first) const {
  std::vector<Names> result;
  for (size_t i = first; i < call.inputs.size(); ++i) result.push_back(names_[call.inputs[i]]);
  return result;
}

Tensors Flow::values_of(const Call& call, size_t first) const {
  Tensors result;
  for (size_t i = first; i < call.inputs.size(); ++i) result.push_back(values_[call.inputs[i]]);
  return result;
}

void Flow::advance(const Call& call) {
  const Primitive& primitive = *call.primitive;
  const auto give = [&](Names names) {
    // What depends on nothing after all.
    if (std::ranges::all_of(names, [](Name name) { return name == IndexSets::kEmpty; })) names.clear();
    names_[call.outputs[0]] = std::move(names);
  };
  const auto give_all = [&](std::vector<Names> all) {
    for (size_t i = 0; i < all.size(); ++i) names_[call.outputs[i]] = std::move(all[i]);
  };
  const auto is_any_of = [&](const auto&... of) { return ((&primitive == &of) || ...); };
  namespace p = primitives;
  if (primitive.pointwise) return give(pointwise(call));
  if (has_row(reduce_table(), primitive)) return give(reduced(call));
  if (has_row(scan_table(), primitive)) return give(accumulated(call));
  if (is_any_of(p::matmul)) return give(multiplied(call));
  if (is_any_of(p::gather, p::scatter_set, p::scatter_add, p::scatter_multiply, p::scatter_min,
                p::scatter_max) &&
      !moves(call.inputs.back()))
    return give(indexed(call));
  if (is_any_of(p::solve, p::solve_triangular) && !moves(call.inputs[0])) return give(solved(call));
  if (is_any_of(p::cond)) return give_all(branches(call));
  if (is_any_of(p::while_loop)) return give_all(repeated(call));
  if (is_any_of(p::view_as_real, p::view_as_complex)) return give(parted(call));
  if (moves_elements(primitive)) {
    Names names = moved(call);
    if (!names.empty()) return give(std::move(names));
  } else if (primitive.evaluate && lane_axes(call) == 0) {
    try {
      return give_all(inside(call));
    } catch (const TraceError&) {
      // It looks at values.
    }
  }
  give_all(mixed(call));
}

// An element depends on what those in its place depend on.
Names Flow::pointwise(const Call& call) {
  Names result(size(call.outputs[0]));
  const Primitive& primitive = *call.primitive;
  const bool is_choice = &primitive == &primitives::where;
  const bool is_product = std::holds_alternative<Multilinear>(primitive.derivative);
  const std::vector<bool> not_taken = is_choice ? zeros_of(call.inputs[0]) : std::vector<bool>();
  for (size_t k = 0; k < call.inputs.size(); ++k) {
    if (!moves(call.inputs[k])) continue;
    std::vector<bool> is_zero;
    if (is_product) is_zero = zeros_of(call.inputs[1 - k]);
    if (is_choice && k > 0) is_zero = not_taken;
    if (is_choice && k == 2) is_zero.flip();
    const Names& names = names_[call.inputs[k]];
    for (size_t i = 0; i < result.size(); ++i) {
      if (is_zero.empty() || !is_zero[i]) add(result[i], names[i]);
    }
  }
  return result;
}

// A complex number depends on what its parts do, and they on what it does.
Names Flow::parted(const Call& call) {
  const Names& names = names_[call.inputs[0]];
  if (call.primitive == &primitives::view_as_real) {
    Names result;
    for (const Name name : names) result.insert(result.end(), 2, name);
    return result;
  }
  Names result(size(call.outputs[0]));
  for (size_t i = 0; i < result.size(); ++i) result[i] = sets_.unite(names[2 * i], names[2 * i + 1]);
  return result;
}

// The call itself, of the numbers of elements. Empty where it takes more than these, and that is not known.
Names Flow::moved(const Call& call) {
  const Reads data = linear_inputs(*call.primitive);
  const VisibleTraces none(nullptr);
  Tensors inputs, outputs(1);
  Names names{IndexSets::kEmpty};
  for (size_t k = 0; k < call.inputs.size(); ++k) {
    const int variable = call.inputs[k];
    const Shape& shape = spec(variable).shape;
    if (!(data & input_bit(k))) {
      if (!values_[variable].defined()) return {};
      inputs.push_back(to(values_[variable], Device{}));
    } else if (moves(variable)) {
      inputs.push_back(numbered(shape, std::ssize(names)));
      names.insert(names.end(), names_[variable].begin(), names_[variable].end());
    } else {
      inputs.push_back(zeros(shape, DType::int64));
    }
  }
  tidu::bind(*call.primitive, inputs, call.attrs, outputs);
  Names result;
  for (const int64_t number : numbers_of(outputs[0])) result.push_back(names[static_cast<size_t>(number)]);
  return result;
}

// Calls with index tensors. Where these are not known, each may be any: elements along the axes that they
// name are one.
Names Flow::indexed(const Call& call) {
  const bool gathers = call.primitive == &primitives::gather;
  const size_t first = gathers ? 1 : 2;
  const VisibleTraces none(nullptr);
  const auto& attrs = call.attrs.as<IndexAttrs>();
  Shape shape = spec(call.inputs[0]).shape;
  Tensors indices = values_of(call, first);
  const bool is_known = std::ranges::all_of(indices, &Tensor::defined);
  for (size_t k = 0; k < indices.size(); ++k)
    indices[k] =
        is_known ? to(indices[k], Device{}) : zeros(spec(call.inputs[first + k]).shape, DType::int64);
  // The place of each element of x, and that of each picked one.
  Tensor place = numbered(shape);
  if (!is_known) {
    for (const int64_t axis : attrs.axes) shape[static_cast<int>(axis)] = 1;
    place = broadcast_to(numbered(shape), spec(call.inputs[0]).shape);
  }
  const std::vector<int64_t> of_x = numbers_of(place),
                             of_picked = numbers_of(tidu::gather(place, indices, attrs));
  const bool x_moves = moves(call.inputs[0]);
  const auto at_places = [&](const std::vector<int64_t>& places, const Names& names) {
    std::vector<Names> found(of_x.empty() ? 0 : static_cast<size_t>(*std::ranges::max_element(of_x)) + 1);
    for (size_t i = 0; i < places.size(); ++i) found[static_cast<size_t>(places[i])].push_back(names[i]);
    Names result;
    for (Names& some : found) result.push_back(sets_.unite(std::move(some)));
    return result;
  };
  Names result(size(call.outputs[0]));
  const auto spread = [&](const Names& by_place, const std::vector<int64_t>& places) {
    for (size_t i = 0; i < places.size(); ++i) add(result[i], by_place[static_cast<size_t>(places[i])]);
  };
  if (gathers) {
    spread(at_places(of_x, names_[call.inputs[0]]), of_picked);
    return result;
  }
  if (is_known && call.primitive == &primitives::scatter_set) return moved(call);
  if (x_moves) result = names_[call.inputs[0]];
  if (moves(call.inputs[1])) spread(at_places(of_picked, names_[call.inputs[1]]), of_x);
  return result;
}

Names Flow::reduced(const Call& call) {
  const VisibleTraces none(nullptr);
  const Names& names = names_[call.inputs[0]];
  const std::vector<int64_t> lines = lines_of(spec(call.inputs[0]).shape, call.attrs.as<ReduceAttrs>().axes);
  Names result(size(call.outputs[0])), line;
  const size_t length = result.empty() ? 0 : lines.size() / result.size();
  for (size_t i = 0; i < result.size(); ++i) {
    line.clear();
    for (size_t k = 0; k < length; ++k) line.push_back(names[static_cast<size_t>(lines[i * length + k])]);
    result[i] = all_of(line);
  }
  return result;
}

Names Flow::accumulated(const Call& call) {
  const VisibleTraces none(nullptr);
  const Shape& shape = spec(call.inputs[0]).shape;
  const int axis = call.attrs.as<AxisAttrs>().axis;
  Names result = names_[call.inputs[0]];
  const std::vector<int64_t> lines = lines_of(shape, {axis});
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i % static_cast<size_t>(shape[axis]) > 0)
      add(result[static_cast<size_t>(lines[i])], result[static_cast<size_t>(lines[i - 1])]);
  }
  return result;
}

// Rows of the first factor by columns of the second.
Names Flow::multiplied(const Call& call) {
  const int a = call.inputs[0], b = call.inputs[1];
  Names result(size(call.outputs[0]));
  if (result.empty()) return result;
  const auto rows = static_cast<size_t>(spec(a).shape[spec(a).shape.size() - 2]),
             inner = static_cast<size_t>(spec(a).shape.back()),
             columns = static_cast<size_t>(spec(b).shape.back());
  // Of the elements of a line of one factor, at `begin` and so far apart, those that an element of the other
  // one does not make zero.
  const auto line = [&](const Names& names, size_t begin, size_t step, const std::vector<bool>& is_zero,
                        size_t other, size_t other_step) {
    Names found;
    for (size_t k = 0; k < inner; ++k) {
      if (is_zero.empty() || !is_zero[other + k * other_step]) found.push_back(names[begin + k * step]);
    }
    return all_of(found);
  };
  const std::vector<bool> zeros_of_a = moves(b) ? zeros_of(a) : std::vector<bool>(),
                          zeros_of_b = moves(a) ? zeros_of(b) : std::vector<bool>();
  for (size_t batch = 0; batch < result.size() / (rows * columns); ++batch) {
    const size_t of_a = batch * rows * inner, of_b = batch * inner * columns;
    Names by_row(moves(a) ? rows : 0), by_column(moves(b) ? columns : 0);
    for (size_t i = 0; zeros_of_b.empty() && i < by_row.size(); ++i)
      by_row[i] = line(names_[a], of_a + i * inner, 1, {}, 0, 0);
    for (size_t j = 0; zeros_of_a.empty() && j < by_column.size(); ++j)
      by_column[j] = line(names_[b], of_b + j, columns, {}, 0, 0);
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < columns; ++j) {
        Name& name = result[(batch * rows + i) * columns + j];
        if (moves(a))
          add(name, zeros_of_b.empty() ? by_row[i]
                                       : line(names_[a], of_a + i * inner, 1, zeros_of_b, of_b + j, columns));
        if (moves(b))
          add(name, zeros_of_a.empty() ? by_column[j]
                                       : line(names_[b], of_b + j, columns, zeros_of_a, of_a + i * inner, 1));
      }
    }
  }
  if (call.inputs.size() > 2 && moves(call.inputs[2])) {
    for (size_t i = 0; i < result.size(); ++i) add(result[i], names_[call.inputs[2]][i % columns]);
  }
  return result;
}

// Each column of a solution depends on that of the right-hand side.
Names Flow::solved(const Call& call) {
  const int b = call.inputs[1];
  const Shape& shape = spec(b).shape;
  Names result(size(call.outputs[0]));
  if (result.empty() || !moves(b)) return result;
  const auto rows = static_cast<size_t>(shape[shape.size() - 2]), columns = static_cast<size_t>(shape.back());
  for (size_t first = 0; first < result.size(); first += rows * columns) {
    for (size_t j = 0; j < columns; ++j) {
      Names column;
      for (size_t i = 0; i < rows; ++i) column.push_back(names_[b][first + i * columns + j]);
      const Name name = all_of(column);
      for (size_t i = 0; i < rows; ++i) result[first + i * columns + j] = name;
    }
  }
  return result;
}

// Either may be taken.
std::vector<Names> Flow::branches(const Call& call) {
  const auto& [on_true, on_false] = call.attrs.as<CondAttrs>();
  const Tensors given = values_of(call, 1);
  std::vector<Names> result = Flow(sets_, *on_true, inputs_of(call, 1), given).outputs();
  const std::vector<Names> others = Flow(sets_, *on_false, inputs_of(call, 1), given).outputs();
  for (size_t i = 0; i < result.size(); ++i) {
    if (result[i].empty()) result[i] = others[i];
    for (size_t k = 0; k < others[i].size(); ++k) add(result[i][k], others[i][k]);
  }
  return result;
}

// After any number of steps.
std::vector<Names> Flow::repeated(const Call& call) {
  const auto& attrs = call.attrs.as<WhileAttrs>();
  std::vector<Names> carry = inputs_of(call, 0);
  for (;;) {
    bool changed = false;
    const std::vector<Names> after = Flow(sets_, *attrs.body, carry, {}).outputs();
    for (size_t i = 0; i < after.size(); ++i) {
      if (after[i].empty()) continue;
      carry[i].resize(after[i].size());
      for (size_t k = 0; k < after[i].size(); ++k) {
        const Name before = carry[i][k];
        add(carry[i][k], after[i][k]);
        changed |= carry[i][k] != before;
      }
    }
    if (changed) continue;
    carry.resize(after.size());
    return carry;
  }
}

// What the call consists of.
std::vector<Names> Flow::inside(const Call& call) {
  std::vector<Spec> specs;
  for (const int variable : call.inputs) specs.push_back(spec(variable));
  const Program program = record_unseen(
      [&](const Tensors& inputs) {
        Tensors outputs(call.outputs.size());
        call.primitive->evaluate({*call.primitive, inputs, call.attrs, outputs});
        return outputs;
      },
      specs);
  return Flow(sets_, program, inputs_of(call, 0), values_of(call, 0)).outputs();
}

// How many axes in front are lanes, each of which is computed on its own.
int Flow::lane_axes(const Call& call) const {
  if (call.primitive == &primitives::layer_norm_grad || call.primitive == &primitives::rms_norm_grad) {
    const bool weights_move = call.inputs.size() > 2 && moves(call.inputs[2]);
    return weights_move
               ? 0
               : spec(call.inputs[0]).shape.size() - static_cast<int>(call.attrs.as<NormAttrs>().axes);
  }
  // Of a batch of matrices, where no attribute names an axis.
  if (call.primitive->batching.rule != &batch_by_fields || call.attrs.with_axis(1) != call.attrs) return 0;
  const Shape& matrices = spec(*std::ranges::max_element(call.inputs, {}, [&](int variable) {
                            return spec(variable).shape.size();
                          })).shape;
  int axes = std::max(matrices.size() - 2, 0);
  for (const std::vector<int>* variables : {&call.inputs, &call.outputs}) {
    for (const int variable : *variables) {
      const Shape& other = spec(variable).shape;
      int same = 0;
      while (same < std::min(axes, other.size()) && other[same] == matrices[same]) ++same;
      axes = same;
    }
  }
  return axes;
}

// Everything depends on everything in its lane.
std::vector<Names> Flow::mixed(const Call& call) {
  const Shape& shape = spec(call.outputs[0]).shape;
  const int axes = lane_axes(call);
  int64_t lanes = 1;
  for (int i = 0; i < axes; ++i) lanes *= std::max<int64_t>(shape[i], 1);
  std::vector<Names> result;
  for (const int variable : call.outputs) result.emplace_back(size(variable));
  for (size_t lane = 0; lane < static_cast<size_t>(lanes); ++lane) {
    Names read;
    for (const int variable : call.inputs) {
      const Names& names = names_[variable];
      const size_t count = names.size() / static_cast<size_t>(lanes);
      read.insert(read.end(), names.begin() + static_cast<int64_t>(lane * count),
                  names.begin() + static_cast<int64_t>((lane + 1) * count));
    }
    const Name name = all_of(read);
    for (Names& names : result) {
      const size_t count = names.size() / static_cast<size_t>(lanes);
      std::fill_n(names.begin() + static_cast<int64_t>(lane * count), count, name);
    }
  }
  return result;
}

// Of each element of the outputs of a program, the elements of its inputs from number `first` on.
Sparsity sparsity_by(const Program& program, size_t first) {
  IndexSets sets;
  Sparsity result;
  std::vector<Names> inputs(first);
  for (size_t i = first; i < program.inputs.size(); ++i) {
    const int64_t count = num_elements(program.variables[program.inputs[i]].shape);
    Names& names = inputs.emplace_back();
    for (int64_t k = 0; k < count; ++k) {
      names.push_back(sets.of_run(result.num_columns, result.num_columns + 1));
      ++result.num_columns;
    }
  }
  const std::vector<Names> outputs = Flow(sets, program, std::move(inputs), {}).outputs();
  std::vector<Name> rows;
  for (size_t o = 0; o < outputs.size(); ++o) {
    const int64_t count = num_elements(program.variables[program.outputs[o]].shape);
    rows.insert(rows.end(), outputs[o].begin(), outputs[o].end());
    result.num_rows += count;
    rows.resize(static_cast<size_t>(result.num_rows), IndexSets::kEmpty);
  }
  size_t count = 0;
  for (const Name name : rows) {
    for (const auto [begin, end] : sets.runs(name)) count += static_cast<size_t>(end - begin);
    result.indptr.push_back(static_cast<int64_t>(count));
  }
  try {
    result.indices.reserve(count);
  } catch (const std::bad_alloc&) {
    throw OutOfMemoryError(str("[sparsity] there is no memory for a pattern of ", count,
                               " elements: the matrix is not sparse (use products: jvp, vjp, hvp)"));
  }
  for (const Name name : rows) {
    for (const auto [begin, end] : sets.runs(name)) {
      for (int64_t column = begin; column < end; ++column) result.indices.push_back(column);
    }
  }
  return result;
}

// The derivative of a function of primals and others, at arguments that have no values.
Sparsity sparsity_at(const Function& function, const std::vector<Spec>& primals,
                     const std::vector<Spec>& others, const char* op) {
  std::vector<Spec> arguments = primals;
  append(arguments, others);
  const auto of_primals = [&](const Tensors& inputs) -> Function {
    return [&](const Tensors& moving) {
      Tensors all = moving;
      append(all, part(inputs, primals.size(), arguments.size()));
      return function(all);
    };
  };
  const Function push = [&](const Tensors& inputs) {
    Jvp along = jvp(of_primals(inputs), part(inputs, 0, primals.size()), from(inputs, arguments.size()));
    check_differentiable(along.outputs, "output");
    return std::move(along.tangents);
  };
  const Function pull = [&](const Tensors& inputs) {
    return vjp(of_primals(inputs), part(inputs, 0, primals.size())).pullback(from(inputs, arguments.size()));
  };
  const auto derived = [&](const Function& derivative, const std::vector<Spec>& directions) {
    std::vector<Spec> specs = arguments;
    append(specs, directions);
    return sparsity_by(record_unseen(derivative, specs), arguments.size());
  };
  try {
    try {
      return derived(push, primals);
    } catch (const NotLinearError&) {
      // A rule of the user's own cannot be transposed: the rows instead of the columns.
      const Program values = record_unseen(function, arguments);
      return transposed(derived(pull, specs_of(values, values.outputs, 0, values.outputs.size())));
    }
  } catch (const TraceError& error) {
    fail<TraceError>("[", op,
                     "] the function looks at a value, so it cannot be recorded (use where or cond, ",
                     "or give the pattern yourself): ", error.what());
  }
}

}  // namespace

Sparsity sparsity_of(int64_t num_rows, int64_t num_columns, std::span<const int64_t> rows,
                     std::span<const int64_t> columns) {
  if (num_rows < 0 || num_columns < 0 || rows.size() != columns.size())
    fail<ValueError>("[sparsity] ", rows.size(), " rows and ", columns.size(), " columns of a matrix of ",
                     num_rows, " x ", num_columns);
  Sparsity result{num_rows, num_columns, std::vector<int64_t>(static_cast<size_t>(num_rows) + 1)};
  for (size_t k = 0; k < rows.size(); ++k) {
    if (rows[k] < 0 || rows[k] >= num_rows || columns[k] < 0 || columns[k] >= num_columns)
      fail<ValueError>("[sparsity] (", rows[k], ", ", columns[k], ") is outside of a matrix of ", num_rows,
                       " x ", num_columns);
    ++result.indptr[static_cast<size_t>(rows[k]) + 1];
  }
  std::partial_sum(result.indptr.begin(), result.indptr.end(), result.indptr.begin());
  std::vector<int64_t> next = result.indptr, all(columns.size());
  for (size_t k = 0; k < rows.size(); ++k)
    all[static_cast<size_t>(next[static_cast<size_t>(rows[k])]++)] = columns[k];
  // Ascending, and each once.
  int64_t begin = 0;
  for (size_t i = 0; i < static_cast<size_t>(num_rows); ++i) {
    const auto first = all.begin() + begin, last = all.begin() + result.indptr[i + 1];
    begin = result.indptr[i + 1];
    std::sort(first, last);
    result.indices.insert(result.indices.end(), first, std::unique(first, last));
    result.indptr[i + 1] = result.count();
  }
  return result;
}

Sparsity transposed(const Sparsity& pattern) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < pattern.num_rows; ++i) rows.insert(rows.end(), pattern.row(i).size(), i);
  return sparsity_of(pattern.num_columns, pattern.num_rows, pattern.indices, rows);
}

Sparsity jacobian_sparsity(const Function& function, const std::vector<Spec>& primals,
                           const std::vector<Spec>& others) {
  return sparsity_at(function, primals, others, "sparsity");
}

Sparsity hessian_sparsity(const ScalarFunction& function, const std::vector<Spec>& primals,
                          const std::vector<Spec>& others) {
  const size_t count = primals.size();
  const Function gradient = [&](const Tensors& arguments) {
    const ScalarFunction of_primals = [&](const Tensors& moving) {
      Tensors all = moving;
      append(all, from(arguments, count));
      return function(all);
    };
    return value_and_grad(of_primals, part(arguments, 0, count)).gradients;
  };
  const Sparsity found = sparsity_at(gradient, primals, others, "hessian_sparsity");
  // Where one of two elements that are equal can be other than 0, so can the other.
  const Sparsity mirrored = transposed(found);
  if (found == mirrored) return found;
  std::vector<int64_t> rows, columns;
  for (const Sparsity* half : {&found, &mirrored}) {
    for (int64_t i = 0; i < half->num_rows; ++i) rows.insert(rows.end(), half->row(i).size(), i);
    columns.insert(columns.end(), half->indices.begin(), half->indices.end());
  }
  return sparsity_of(found.num_rows, found.num_columns, rows, columns);
}

}  // namespace tidu
