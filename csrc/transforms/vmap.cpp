// Programs for many lanes.
#include "transforms/vmap.h"

#include <algorithm>
#include <cmath>

#include "core/bind.h"
#include "core/host_lock.h"
#include "ops/assign.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "program/recorder.h"

namespace tidu {
namespace {

Shape with_lanes(int64_t size, const Shape& one) {
  Shape shape = one;
  shape.insert(0, size);
  return shape;
}

// Whether a view has the elements of its input in the same order.
bool keeps_order(const Program& program, const Program::Instruction& call) {
  const Primitive& primitive = *call.primitive;
  const Spec &x = program.variables[call.inputs[0]], &y = program.variables[call.outputs[0]];
  if (&primitive == &primitives::permute_dims) {
    int64_t last = -1;
    for (const int64_t axis : call.attrs.as<PermuteAttrs>().axes) {
      if (x.shape[static_cast<int>(axis)] == 1) continue;
      if (axis < last) return false;
      last = axis;
    }
    return true;
  }
  if (&primitive == &primitives::slice) {
    const SliceAttrs& part = call.attrs.as<SliceViewAttrs>().part;
    return part.sizes == x.shape && std::ranges::all_of(part.steps, [](int64_t step) { return step > 0; });
  }
  const bool same = &primitive == &primitives::reshape || &primitive == &primitives::alias ||
                    &primitive == &primitives::copy || &primitive == &primitives::broadcast_to;
  return same && num_elements(x.shape) == num_elements(y.shape);
}

// Whether a call multiplies each element of one of its two inputs by an element of the other.
bool is_scaling(const Primitive& primitive, const Shape& factor) {
  return &primitive == &primitives::multiply_no_nan || &primitive == &primitives::multiply ||
         (&primitive == &primitives::matmul && factor == Shape{1, 1});
}

// Whether all elements share one number, which leaves 0 times or by it 0.
bool is_finite_number(const Tensor& value) {
  return is_one_number(value) && !is_complex(value.dtype()) && visit_dtype(value.dtype(), [&]<class T>() {
           return std::isfinite(static_cast<double>(*static_cast<const T*>(value.raw_data())));
         });
}

// The number, in memory of the host, that all elements of a result are where those of the inputs are, or the
// call, says it.
Tensor number_made(const Program& program, const Program::Instruction& call, const Tensors& numbers) {
  const VisibleTraces none(nullptr);
  if (call.primitive == &primitives::full) {
    const auto& [shape, dtype, value] = call.attrs.as<FullAttrs>();
    return full({}, value, dtype).view(shape, Strides(shape.size(), 0), 0);
  }
  const bool is_one = call.primitive->pointwise && call.outputs.size() == 1 &&
                      num_elements(program.variables[call.outputs[0]].shape) == 1;
  const bool is_known = !call.inputs.empty() && std::ranges::all_of(call.inputs, [&](int variable) {
    return numbers[variable].defined();
  });
  return is_known && (is_one || call.primitive->view) ? program.run(call, numbers)[0] : Tensor();
}

}  // namespace

Tensor LaneRun::apart(const Lanes& lanes, const Spec& one) const {
  const Shape shape = with_lanes(size_, one.shape);
  if (lanes.kind == Lanes::apart) return lanes.value;
  if (lanes.kind == Lanes::shared) return broadcast_to(lanes.value, shape);
  const Tensor column = arange(num_elements(one.shape), DType::int64, one.device);
  const Tensor row = expand_dims(slice_axis(column, 0, first_, first_ + size_), 1);
  const Tensor diagonal = lanes.value.defined() ? lanes.value : ones({}, one.dtype, one.device);
  return reshape(where(row == column, diagonal, zeros({}, one.dtype, one.device)), shape);
}

Tensor LaneRun::distinct(const Lanes& lanes) const {
  return lanes.kind == Lanes::shared ? copy(apart(lanes, lanes.value.spec())) : lanes.value;
}

Tensor LaneRun::sum(const Lanes& lanes, const Spec& one) const {
  if (lanes.kind != Lanes::diagonal) return tidu::sum(apart(lanes, one), Axes{0});
  const int64_t count = num_elements(one.shape);
  const Tensor elements = lanes.value.defined() ? lanes.value : ones({count}, one.dtype, one.device);
  if (size_ == count) return reshape(elements, one.shape);
  const Tensor some = slice_axis(elements, 0, first_, first_ + size_);
  const Tensor before = zeros({first_}, one.dtype, one.device),
               after = zeros({count - first_ - size_}, one.dtype, one.device);
  return reshape(concat({before, some, after}, 0), one.shape);
}

Tensor LaneRun::diagonal(const Lanes& lanes, const Spec& one) const {
  const int64_t count = num_elements(one.shape);
  if (lanes.kind == Lanes::diagonal) {
    return lanes.value.defined() ? slice_axis(lanes.value, 0, first_, first_ + size_)
                                 : ones({size_}, one.dtype, one.device);
  }
  const Tensor all = reshape(apart(lanes, one), {size_ * count});
  return slice_axis(all, 0, first_, first_ + (size_ - 1) * (count + 1) + 1, count + 1);
}

// Of a factor that somebody differentiates only the value is 1.
bool LaneRun::is_one(const Values& values, int variable) {
  return is_all(values.number(variable), 1) &&
         (values.numbers[variable].defined() || !values.tensors[variable].impl().links);
}

// Computes what keeps the form of a diagonal matrix, or makes parts of other tensors of it.
bool LaneRun::run_diagonal(const Program& program, const Program::Instruction& call, Values& values) const {
  const Primitive& primitive = *call.primitive;
  const auto input = [&](size_t i) { return values.lanes(call.inputs[i]); };
  const auto spec = [&](size_t i) -> const Spec& { return program.variables[call.inputs[i]]; };
  const auto is_diagonal = [&](size_t i) { return input(i).kind == Lanes::diagonal; };
  const auto give = [&](Lanes::Kind kind, Tensor value) {
    values.set(call.outputs[0], {kind, std::move(value)});
    return true;
  };
  const auto elements = [&](size_t i) {
    return input(i).value.defined() ? input(i).value
                                    : ones({num_elements(spec(i).shape)}, spec(i).dtype, spec(i).device);
  };
  // Lines first_ .. of a matrix, scaled by the diagonal.
  const auto lines = [&](const Tensor& matrix, size_t diagonal) {
    const Tensor part = slice_axis(matrix, 0, first_, first_ + size_);
    if (!input(diagonal).value.defined()) return part;
    const Tensor scale = slice_axis(input(diagonal).value, 0, first_, first_ + size_);
    return multiply_no_nan(part, expand_dims(scale, 1));
  };
  const size_t count = call.inputs.size();
  if (count == 1) {
    if (keeps_order(program, call)) return give(Lanes::diagonal, input(0).value);
    const Spec& result = program.variables[call.outputs[0]];
    if (&primitive == &primitives::sum && num_elements(result.shape) == 1)
      return give(Lanes::apart, reshape(diagonal(input(0), spec(0)), with_lanes(size_, result.shape)));
    return &primitive == &primitives::negative && give(Lanes::diagonal, -elements(0));
  }
  if (count != 2) return false;
  const size_t moving = is_diagonal(0) ? 0 : 1;
  if (&primitive == &primitives::add && is_diagonal(0) && is_diagonal(1))
    return give(Lanes::diagonal, elements(0) + elements(1));
  if (is_diagonal(0) && is_diagonal(1)) {
    if (&primitive == &primitives::multiply) return give(Lanes::diagonal, elements(0) * elements(1));
    return &primitive == &primitives::multiply_no_nan &&
           give(Lanes::diagonal, multiply_no_nan(elements(0), elements(1)));
  }
  if (input(1 - moving).kind != Lanes::shared) return false;
  const Tensor other = input(1 - moving).value, &number_of_other = values.number(call.inputs[1 - moving]);
  if (is_finite_number(number_of_other) &&
      (&primitive == &primitives::multiply ||
       (&primitive == &primitives::divide && moving == 0 && !is_all(number_of_other, 0)))) {
    const Tensor number = reshape(slice_axis(flatten(other), 0, 0, 1), {});
    return give(Lanes::diagonal,
                &primitive == &primitives::divide ? elements(moving) / number : elements(moving) * number);
  }
  // Where 0 times an infinity is NaN, it is on all of the lane.
  if (is_scaling(primitive, other.shape()) && &primitive != &primitives::multiply) {
    if (is_one(values, call.inputs[1 - moving])) return give(Lanes::diagonal, input(moving).value);
    const Tensor factor = broadcast_to(flatten(other), {num_elements(spec(moving).shape)});
    const Tensor given = input(moving).value;
    return give(Lanes::diagonal, given.defined() ? multiply_no_nan(given, factor) : factor);
  }
  if (&primitive != &primitives::matmul || other.ndim() != 2) return false;
  if (moving == 0 && spec(0).shape[0] == 1) return give(Lanes::apart, expand_dims(lines(other, 0), 1));
  if (moving == 1 && spec(1).shape[1] == 1)
    return give(Lanes::apart, expand_dims(lines(matrix_transpose(other), 1), -1));
  return false;
}

void LaneRun::run_call(const Program& program, const Program::Instruction& call, Values& values) const {
  std::optional<GradMode> off;
  if (!call.differentiable) off.emplace(false);
  Tensors inputs, outputs(call.outputs.size());
  std::vector<bool> batched;
  for (int variable : call.inputs) {
    if (values.kinds[variable] == Lanes::diagonal)
      values.set(variable, {Lanes::apart, apart(values.lanes(variable), program.variables[variable])});
    inputs.push_back(values.tensors[variable]);
    batched.push_back(values.kinds[variable] == Lanes::apart);
  }
  if (inputs.size() == 2 && batched[0] != batched[1]) {
    const size_t moving = batched[0] ? 0 : 1;
    if (is_scaling(*call.primitive, inputs[1 - moving].shape()) && is_one(values, call.inputs[1 - moving]))
      return values.set(call.outputs[0], {Lanes::apart, inputs[moving]});
  }
  const Call one{*call.primitive, inputs, call.attrs, outputs};
  const Tensors results = call.primitive->batching.rule({one, batched, size_, control_});
  for (size_t i = 0; i < results.size(); ++i) {
    // What the lanes must have in common, a rule may give once.
    const bool is_one = results[i].ndim() == program.variables[call.outputs[i]].shape.size();
    values.set(call.outputs[i], {is_one ? Lanes::shared : Lanes::apart, results[i]});
  }
}

std::vector<Lanes> LaneRun::operator()(const Program& program, const std::vector<Lanes>& arguments) const {
  const size_t count = program.variables.size();
  Values values{Tensors(count), std::vector<Lanes::Kind>(count), Tensors(count)};
  for (size_t i = 0; i < arguments.size(); ++i) values.set(program.inputs[i], arguments[i]);
  for (const Program::Constant& constant : program.constants)
    values.tensors[constant.variable] = constant.value;
  const std::vector<size_t> last = program.last_uses();
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    const Program::Instruction& call = program.instructions[i];
    std::optional<Lines> line;
    if (Lines::are_asked_for() && call.source.file) line.emplace([&] { return call.source; });
    const auto has = [&](Lanes::Kind kind) {
      return std::ranges::any_of(call.inputs, [&](int variable) { return values.kinds[variable] == kind; });
    };
    if (!has(Lanes::diagonal) && !has(Lanes::apart)) {
      const Tensors results = program.run(call, values.tensors);
      for (size_t k = 0; k < results.size(); ++k) values.tensors[call.outputs[k]] = results[k];
      if (results.size() == 1 && results[0].is_abstract())
        values.numbers[call.outputs[0]] = number_made(program, call, values.numbers);
    } else if (!has(Lanes::diagonal) || !run_diagonal(program, call, values)) {
      run_call(program, call, values);
    }
    for (int variable : call.inputs) {
      if (last[variable] == i) values.tensors[variable] = {};
    }
  }
  std::vector<Lanes> results;
  for (int variable : program.outputs) results.push_back(values.lanes(variable));
  for (const Program::Write& write : program.writes) results.push_back(values.lanes(write.variable));
  return results;
}

namespace {

// How many lanes the arguments have.
int64_t count_lanes(const Tensors& arguments, const MappedAxes& in_axes, std::optional<int64_t> size) {
  if (in_axes.size() != arguments.size())
    fail<ValueError>("[vmap] in_axes names ", in_axes.size(), " axes for ", arguments.size(), " arguments");
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!in_axes[i]) continue;
    const Tensor& x = arguments[i];
    if (x.ndim() == 0)
      fail<ValueError>("[vmap] argument ", i, " is ", describe(x),
                       ", which has no axis of lanes (give None, ", "if it is the same for all)");
    const int64_t extent = x.size(normalize_axis(*in_axes[i], x.ndim(), "vmap"));
    if (size && *size != extent) {
      std::string text;
      for (size_t k = 0; k < arguments.size(); ++k)
        text += str(k ? ", " : "", describe(arguments[k]), in_axes[k] ? str(" along ", *in_axes[k]) : "");
      fail<ValueError>("[vmap] arguments differ in their number of lanes, ", *size, " and ", extent, ": ",
                       text);
    }
    size = extent;
  }
  if (!size) fail<ValueError>("[vmap] no argument has an axis of lanes (give one in in_axes, or axis_size)");
  return *size;
}

std::vector<Lanes> run_one_by_one(const Function& function, const std::vector<Lanes>& arguments,
                                  int64_t size) {
  std::vector<Tensors> results;
  for (int64_t lane = 0; lane < size; ++lane) {
    Tensors one;
    for (const Lanes& argument : arguments)
      one.push_back(argument.kind == Lanes::apart ? select(argument.value, 0, lane) : argument.value);
    const Tensors values = function(one);
    results.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) results[i].push_back(values[i]);
  }
  std::vector<Lanes> lanes;
  for (const Tensors& values : results) lanes.push_back({Lanes::apart, stack(values, 0)});
  return lanes;
}

}  // namespace

std::vector<Lanes> run_batched(const Function& function, const Tensors& arguments, const MappedAxes& in_axes,
                               std::optional<int64_t> given, LaneControl control) {
  const int64_t size = count_lanes(arguments, in_axes, given);
  std::vector<Lanes> lanes;
  std::vector<Spec> specs;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const bool apart = in_axes[i].has_value();
    lanes.push_back({apart ? Lanes::apart : Lanes::shared,
                     apart ? moveaxis(arguments[i], *in_axes[i], 0) : arguments[i]});
    specs.push_back(lanes[i].value.spec());
    if (apart) specs[i].shape.erase(0);
  }
  Program program;
  try {
    // Other traces are to see what is computed for all lanes, and not this.
    const VisibleTraces none(nullptr);
    program = record(function, specs);
  } catch (const TraceError&) {
    if (control == LaneControl::select || size == 0) throw;
    return run_one_by_one(function, lanes, size);
  }
  for (const Program::Write& write : program.writes) {
    if (!in_axes[write.input])
      fail<ValueError>("[vmap] argument ", write.input,
                       " is overwritten but is the same for all lanes (give it an ", "axis, or copy it)");
  }
  const LaneRun run(size, 0, control);
  std::vector<Lanes> results = run(program, lanes);
  for (size_t i = 0; i < program.writes.size(); ++i) {
    const Lanes& written = results[program.outputs.size() + i];
    Tensor& argument = lanes[program.writes[i].input].value;
    assign(argument, run.apart(written, program.variables[program.writes[i].variable]));
  }
  results.resize(program.outputs.size());
  return results;
}

Function vmap(Function function, MappedAxes in_axes, MappedAxes out_axes, LaneControl control) {
  return [=](const Tensors& arguments) {
    const auto axes_for = [](const MappedAxes& axes, size_t count) {
      return axes.empty() ? MappedAxes(count, 0) : axes;
    };
    const MappedAxes inputs = axes_for(in_axes, arguments.size());
    const std::vector<Lanes> results = run_batched(function, arguments, inputs, {}, control);
    const MappedAxes outputs = axes_for(out_axes, results.size());
    if (outputs.size() != results.size())
      fail<ValueError>("[vmap] out_axes names ", outputs.size(), " axes for ", results.size(), " results");
    const LaneRun run(count_lanes(arguments, inputs, {}));
    Tensors placed;
    for (size_t i = 0; i < results.size(); ++i) {
      if (!outputs[i] && results[i].kind == Lanes::apart)
        fail<ValueError>("[vmap] result ", i, " differs between lanes, so it needs an axis in out_axes");
      placed.push_back(outputs[i] ? moveaxis(run.distinct(results[i]), 0, *outputs[i]) : results[i].value);
    }
    return placed;
  };
}

// --- Linear functions of unit vectors

int64_t bytes_of_lane(const Program& program) {
  int64_t bytes = 1;
  for (const Program::Instruction& call : program.instructions) {
    for (int variable : call.outputs) {
      const Spec& spec = program.variables[variable];
      bytes += num_elements(spec.shape) * static_cast<int64_t>(size_of(spec.dtype));
    }
  }
  return bytes;
}

namespace {

// Unit vector i of the shape of `like`.
Tensor unit_vector(const Tensor& like, int64_t i) {
  const Tensor at = arange(like.numel(), DType::int64, like.device()) == i;
  return reshape(astype(at, like.dtype()), like.shape());
}

// Calls visit(run, images, their specs) for the arguments of one chunk after the other, which are
// lanes(first, size), or one(i) where the function looks at values.
template <class ManyOf, class OneOf, class Visit>
void visit_images(const Function& linear, const std::vector<Spec>& like, int64_t count,
                  std::optional<int64_t> chunk, const ManyOf& lanes, const OneOf& one, const Visit& visit) {
  if (chunk && *chunk < 1) fail<ValueError>("[jacobian] chunk_size is ", *chunk, " but must be positive");
  std::optional<Program> program;
  try {
    program = record(linear, like, Recorder::Fold::constants);
  } catch (const TraceError&) {
    // The function looks at values.
  }
  const auto fits = [&] { return std::max<int64_t>(kMemoryForLanes / bytes_of_lane(*program), 1); };
  const int64_t step = program ? std::min(chunk ? *chunk : fits(), count) : 1;
  for (int64_t first = 0; first < count; first += step) {
    answer_signals();
    const int64_t size = std::min(step, count - first);
    const LaneRun run(size, first);
    std::vector<Lanes> images;
    std::vector<Spec> specs;
    if (program) {
      images = run(*program, lanes(first, size));
      for (int variable : program->outputs) specs.push_back(program->variables[variable]);
    } else {
      for (const Tensor& image : linear(one(first))) {
        images.push_back({Lanes::shared, image});
        specs.push_back(image.spec());
      }
    }
    visit(run, images, specs);
  }
}

// The same for the unit vectors.
template <class Visit>
void visit_images_of_basis(const Function& linear, const Tensor& like, std::optional<int64_t> chunk,
                           const Visit& visit) {
  visit_images(
      linear, {like.spec()}, like.numel(), chunk,
      [](int64_t, int64_t) {
        return std::vector<Lanes>{{Lanes::diagonal, {}}};
      },
      [&](int64_t i) { return Tensors{unit_vector(like, i)}; }, visit);
}

Tensor joined(const Tensors& parts) { return parts.size() == 1 ? parts[0] : concat(parts, 0); }

// Visits chunks, and puts their images together.
template <class VisitAll> Tensors collected(const VisitAll& visit_all) {
  std::vector<Tensors> parts;
  visit_all([&](const LaneRun& run, const auto& images, const auto& specs) {
    parts.resize(images.size());
    for (size_t i = 0; i < images.size(); ++i) parts[i].push_back(run.apart(images[i], specs[i]));
  });
  Tensors result;
  for (const Tensors& part : parts) result.push_back(joined(part));
  return result;
}

}  // namespace

Tensors images_of(const Function& linear, const std::vector<Spec>& like, int64_t count,
                  const std::function<Tensors(int64_t first, int64_t size)>& vectors,
                  std::optional<int64_t> chunk) {
  const auto lanes = [&](int64_t first, int64_t size) {
    std::vector<Lanes> result;
    for (const Tensor& all : vectors(first, size)) result.push_back({Lanes::apart, all});
    return result;
  };
  const auto one = [&](int64_t i) {
    Tensors result;
    for (const Tensor& all : vectors(i, 1)) result.push_back(select(all, 0, 0));
    return result;
  };
  return collected([&](const auto& visit) { visit_images(linear, like, count, chunk, lanes, one, visit); });
}

Tensors images_of_basis(const Function& linear, const Tensor& like, std::optional<int64_t> chunk) {
  return collected([&](const auto& visit) { visit_images_of_basis(linear, like, chunk, visit); });
}

Tensor diagonal_of_images(const Function& linear, const Tensor& like) {
  Tensors parts;
  visit_images_of_basis(linear, like, {}, [&](const LaneRun& run, const auto& images, const auto& specs) {
    parts.push_back(run.diagonal(images.at(0), specs[0]));
  });
  return parts.empty() ? zeros_like(like) : reshape(joined(parts), like.shape());
}

}  // namespace tidu
