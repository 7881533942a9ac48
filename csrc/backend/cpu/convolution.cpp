// Convolutions as products of matrices: the kernels are one, the elements of x that outputs meet with are the
// other. Where there are enough outputs for vectors of them, these elements are read where they lie; else
// they are put into columns, in pieces that stay in the cache. Blocks are what the shape says.
#include "ops/convolution.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <tuple>

#include "backend/backend.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/threads.h"
#include "kernels/cpu/copy.h"

namespace tidu::cpu {
namespace {

// What one side of the product runs over, outputs (images and places) or kernels' elements (channels and
// places): where their elements lie in x. The place in x is the sum of what both sides say.
struct Side {
  int64_t stride;               // in x, of an image or channel
  int64_t extent[kMaxSpatial];  // of the places
  int64_t step[kMaxSpatial];    // of neighbours, in places of x

  int64_t places() const { return extent[0] * extent[1] * extent[2]; }
};

struct Problem {
  int64_t images, groups, outputs, channels;
  ConvolutionAxis axis[kMaxSpatial];
  int64_t x_group;  // strides in x
  int64_t x_place[kMaxSpatial];
  int64_t plane, y_first, y_place[kMaxSpatial];  // elements of y in an output; where its places lie there
  Side columns, rows;                            // the product's, of which rows are summed over

  int64_t places() const { return columns.places(); }
  int64_t column_count() const { return images * columns.places(); }
  int64_t depth() const { return channels * rows.places(); }
};

void set_sides(Problem& p) {
  for (int i = 0; i < kMaxSpatial; ++i) {
    p.columns.extent[i] = p.axis[i].count, p.columns.step[i] = p.axis[i].stride;
    p.rows.extent[i] = p.axis[i].kernel, p.rows.step[i] = p.axis[i].dilation;
  }
}

Problem problem_of(const Call& call) {
  const Tensor &x = call.inputs[0], &kernel = call.inputs[1];
  const int rank = x.ndim() - 3, first = kMaxSpatial - rank;
  Problem p;
  p.images = x.size(0), p.groups = x.size(1), p.outputs = kernel.size(1), p.channels = x.size(2);
  p.x_group = x.strides()[1];
  p.columns.stride = x.strides()[0], p.rows.stride = x.strides()[2];
  for (int i = 0; i < kMaxSpatial; ++i) {
    ConvolutionAxis& axis = p.axis[i];
    if (i >= first) axis = convolution_axis(call.inputs, call.attrs.as<ConvolutionAttrs>(), i - first);
    p.x_place[i] = i >= first ? x.strides()[3 + i - first] : 0;
  }
  set_sides(p);
  p.y_first = 0;
  p.y_place[2] = 1, p.y_place[1] = p.axis[2].count, p.y_place[0] = p.axis[1].count * p.y_place[1];
  p.plane = p.axis[0].count * p.y_place[0];
  return p;
}

// Places i, from 0 to count, whose element begin + i * step lies in x: those of [first, last).
struct Inside {
  int64_t first, last;
};
Inside inside(int64_t begin, int64_t step, int64_t count, int64_t extent) {
  const int64_t first = begin < 0 ? (step - 1 - begin) / step : 0;
  const int64_t last = begin < extent ? (extent - 1 - begin) / step + 1 : 0;
  return {std::min(first, count), std::max(std::min(first, count), std::min(last, count))};
}

// The elements that items [begin, end) of the inner side meet with at one place of the outer side, which has
// `shift` in x and the place `at`: to `to`, one after another.
template <class T>
void fill_line(const Problem& p, const Side& inner, const T* x, const int64_t (&at)[kMaxSpatial],
               int64_t begin, int64_t end, T* to) {
  const ConvolutionAxis& last = p.axis[2];
  const int64_t width = inner.extent[2], stride = p.x_place[2];
  int64_t column = begin % width, row = begin / width % inner.extent[1],
          plane = begin / (width * inner.extent[1]) % inner.extent[0], item = begin / inner.places();
  for (int64_t i = begin; i < end;) {
    const int64_t count = std::min(width - column, end - i);
    const int64_t y = p.axis[1].element(at[1] + row * inner.step[1]),
                  z = p.axis[0].element(at[0] + plane * inner.step[0]);
    if (y < 0 || z < 0) {
      std::fill_n(to, count, T(0));
    } else {
      const T* const from = x + item * inner.stride + z * p.x_place[0] + y * p.x_place[1];
      const int64_t place = at[2] + column * inner.step[2];
      if (last.spread == 1) {
        const int64_t step = inner.step[2];
        const auto [first, past] = inside(place, step, count, last.extent);
        std::fill_n(to, first, T(0));
        if (step == 1 && stride == 1) {
          std::copy_n(from + place + first, past - first, to + first);
        } else {
          for (int64_t k = first; k < past; ++k) to[k] = from[(place + k * step) * stride];
        }
        std::fill_n(to + past, count - past, T(0));
      } else {
        for (int64_t k = 0; k < count; ++k) {
          const int64_t element = last.element(place + k * inner.step[2]);
          to[k] = element < 0 ? T(0) : from[element * stride];
        }
      }
    }
    to += count, i += count, column = 0;
    if (++row == inner.extent[1]) {
      row = 0;
      if (++plane == inner.extent[0]) plane = 0, ++item;
    }
  }
}

// Lines of the outer side's items [outer_begin, outer_end), `leading` elements apart.
template <class T>
void fill(const Problem& p, const Side& outer, const Side& inner, const T* x, int64_t outer_begin,
          int64_t outer_end, int64_t inner_begin, int64_t inner_end, T* to, int64_t leading) {
  for (int64_t i = outer_begin; i < outer_end; ++i, to += leading) {
    int64_t at[kMaxSpatial], rest = i;
    for (int k = kMaxSpatial - 1; k >= 0; --k) {
      at[k] = rest % outer.extent[k] * outer.step[k] - p.axis[k].low;
      rest /= outer.extent[k];
    }
    fill_line(p, inner, x + rest * outer.stride, at, inner_begin, inner_end, to);
  }
}

// Where items [begin, end) of a side lie in x, behind its first one.
void locate(const Problem& p, const Side& side, int64_t begin, int64_t end, int64_t* offsets) {
  int64_t at[kMaxSpatial], step[kMaxSpatial], rest = begin, offset = 0;
  for (int k = kMaxSpatial - 1; k >= 0; --k) {
    step[k] = side.step[k] * p.x_place[k];
    at[k] = rest % side.extent[k];
    rest /= side.extent[k];
    offset += at[k] * step[k];
  }
  offset += rest * side.stride;
  for (int64_t i = begin; i < end; ++i) {
    *offsets++ = offset;
    int k = kMaxSpatial - 1;
    for (; k >= 0; --k) {
      offset += step[k];
      if (++at[k] < side.extent[k]) break;
      offset -= at[k] * step[k];
      at[k] = 0;
    }
    if (k < 0) offset += side.stride;
  }
}

// Zeros round x wherever outputs meet with what is not there: p is then about this tensor, in which every
// place is an element.
template <class T> const T* padded(Problem& p, const T* x, Workspace& workspace) {
  int64_t extent[kMaxSpatial], first[kMaxSpatial], kept[kMaxSpatial];
  bool inside = true;
  for (int k = 0; k < kMaxSpatial; ++k) {
    const ConvolutionAxis& axis = p.axis[k];
    extent[k] = (axis.count - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1;
    first[k] = std::max<int64_t>(0, -axis.low);
    kept[k] = std::max<int64_t>(0, std::min(axis.extent, extent[k] - axis.low) - first[k]);
    inside &= axis.low <= 0 && kept[k] == extent[k];
  }
  if (inside) return x;
  const int64_t line = extent[2], plane = extent[1] * line, volume = extent[0] * plane, images = p.images,
                channels = p.groups * p.channels;
  T* const result = workspace.take<T>(images * channels * volume);
  const CopyBlockFunction copy = copy_block_function(sizeof(T));
  const int64_t lines = workspace.counts() ? 0 : images * channels;
  parallel_for(lines, lines * volume, [&](int64_t i) {
    const int64_t image = i / channels, channel = i % channels;
    T* const to = result + i * volume;
    std::fill_n(to, volume, T(0));
    for (int64_t z = 0; z < kept[0]; ++z) {
      const T* const from = x + image * p.columns.stride + channel / p.channels * p.x_group +
                            channel % p.channels * p.rows.stride + (first[0] + z) * p.x_place[0] +
                            first[1] * p.x_place[1] + first[2] * p.x_place[2];
      copy(from, {p.x_place[1], p.x_place[2]},
           to + (first[0] + z + p.axis[0].low) * plane + (first[1] + p.axis[1].low) * line + first[2] +
               p.axis[2].low,
           {line, 1}, kept[1], kept[2]);
    }
  });
  for (int k = 0; k < kMaxSpatial; ++k) p.axis[k].extent = extent[k], p.axis[k].low = 0;
  p.x_place[0] = plane, p.x_place[1] = line, p.x_place[2] = 1;
  p.rows.stride = volume, p.x_group = p.channels * volume, p.columns.stride = channels * volume;
  return result;
}

int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

// How the product of a group is cut: blocks of the result, and parts of their sums where there are few of
// them and many to add up; each sum is made piece by piece.
struct Blocks {
  int64_t outputs, columns, parts, part, piece;
};
constexpr int64_t kColumns = 512;
Blocks choose_blocks(const Problem& p) {
  constexpr int64_t kOutputs = 1024, kPiece = 1 << 17, kDepth = 256;
  constexpr int64_t kFew = 64, kEnough = 8, kSmall = 1 << 19, kLongSum = 2048;
  Blocks blocks{std::min(p.outputs, kOutputs), std::min(p.column_count(), kColumns), 1, 0, 0};
  const auto count = [&] {
    return p.groups * pieces(p.outputs, blocks.outputs) * pieces(p.column_count(), blocks.columns);
  };
  const auto enough = [&] {
    return count() >= kEnough || blocks.outputs * blocks.columns * p.depth() <= kSmall;
  };
  const auto add_parts = [&] {
    if (!enough()) blocks.parts = std::clamp(p.depth() / kLongSum, int64_t{1}, kEnough / count());
  };
  add_parts();
  if (blocks.parts == 1) {
    while (!enough() && blocks.columns > kFew) blocks.columns = (blocks.columns + 1) / 2;
    while (!enough() && blocks.outputs > kFew) blocks.outputs = (blocks.outputs + 1) / 2;
  }
  blocks.piece = std::max(kDepth, kPiece / blocks.columns / 16 * 16);
  blocks.part = pieces(p.depth(), blocks.parts);
  return blocks;
}

// Writes sums of one output, of the columns from `column` on, where they belong.
template <class T>
void put_sums(const Problem& p, int64_t group, int64_t output, int64_t column, int64_t columns, const T* from,
              T* y) {
  const int64_t places = p.places(), width = p.axis[2].count;
  for (int64_t k = column; k < column + columns;) {
    const int64_t image = k / places, place = k - image * places, line = place / width,
                  at = place - line * width, some = std::min(width - at, column + columns - k);
    T* const to = y + ((image * p.groups + group) * p.outputs + output) * p.plane + p.y_first +
                  line / p.axis[1].count * p.y_place[0] + line % p.axis[1].count * p.y_place[1];
    for (int64_t n = 0; n < some; ++n) to[(at + n) * p.y_place[2]] = from[n];
    from += some, k += some;
  }
}

// The elements of x that outputs meet with, read where they lie, times vectors of outputs. The problem is
// then about x with zeros round it.
template <class T> class InPlace {
 public:
  static bool serves(const Problem& p) {
    constexpr int64_t kManyOutputs = 16;
    const auto spread = [](const ConvolutionAxis& axis) { return axis.spread != 1; };
    return p.outputs >= kManyOutputs && p.depth() > 0 && gemm_function(dtype_of<T>) &&
           std::ranges::none_of(p.axis, spread);
  }
  // `often`: blocks of several columns read one element of the kernel.
  InPlace(Problem& p, const T* x, const T* kernel, bool often, Workspace& workspace)
      : p_(p),
        x_(padded(p, x, workspace)),
        by_depth_(often ? turned(kernel, workspace) : nullptr),
        kernel_(kernel),
        steps_(workspace.take<int64_t>(p.depth())) {
    if (workspace.counts()) return;
    for (int k = 0; k < kMaxSpatial; ++k) x_ -= p.axis[k].low * p.x_place[k];
    locate(p, p.rows, 0, p.depth(), steps_);
  }

  // Adds a part of the sums to `columns` rows of outputs.
  void add(int64_t group, int64_t output, int64_t outputs, int64_t column, int64_t columns, int64_t begin,
           int64_t end, T* sums) const {
    int64_t rows[kColumns];
    locate(p_, p_.columns, column, column + columns, rows);
    const int64_t depth = p_.depth();
    const GemmFactor left{x_ + group * p_.x_group, 0, 0, rows, steps_ + begin};
    const GemmFactor right =
        by_depth_ ? GemmFactor{by_depth_ + (group * depth + begin) * p_.outputs + output, p_.outputs, 1}
                  : GemmFactor{kernel_ + (group * p_.outputs + output) * depth + begin, 1, depth};
    gemm_function(dtype_of<T>)({columns, outputs, end - begin, true}, left, right, sums, outputs,
                               own_memory<Use::factor>(kGemmWorkspace));
  }

 private:
  // The kernels as (groups, depth, outputs).
  T* turned(const T* kernel, Workspace& workspace) const {
    constexpr int64_t kRows = 256;
    const int64_t depth = p_.depth(), blocks = pieces(depth, kRows);
    T* const result = workspace.take<T>(p_.groups * depth * p_.outputs);
    const int64_t tasks = workspace.counts() ? 0 : p_.groups * blocks;
    parallel_for(tasks, p_.groups * depth * p_.outputs, [&](int64_t i) {
      const int64_t group = i / blocks, row = i % blocks * kRows;
      copy_block_function(sizeof(T))(kernel + group * p_.outputs * depth + row, {1, depth},
                                     result + (group * depth + row) * p_.outputs, {p_.outputs, 1},
                                     std::min(kRows, depth - row), p_.outputs);
    });
    return result;
  }

  const Problem& p_;
  const T *x_, *by_depth_, *kernel_;
  int64_t* steps_;
};

template <class T>
void convolve(Problem p, const T* x, const T* kernel, const T* bias, T* y, Workspace& workspace) {
  const Blocks blocks = choose_blocks(p);
  const int64_t depth = p.depth(), places = p.places(), total = p.column_count();
  const int64_t down = pieces(p.outputs, blocks.outputs), across = pieces(total, blocks.columns);
  const int64_t tasks = p.groups * down * across * blocks.parts;
  const int64_t sums_of_part = p.groups * p.outputs * total;
  T* const parts = blocks.parts > 1 ? workspace.take<T>(blocks.parts * sums_of_part) : nullptr;
  // Lines of a piece run along the side that has more neighbours.
  const bool along_columns = p.columns.extent[2] >= p.rows.extent[2];
  std::optional<InPlace<T>> in_place;
  if (InPlace<T>::serves(p)) in_place.emplace(p, x, kernel, across > 1, workspace);
  if (workspace.counts()) return;
  const SignalsHeldBack held;
  const int64_t work = std::max<int64_t>(1, blocks.outputs * blocks.part / 8) * blocks.columns;
  parallel_for(tasks, tasks * work, [&](int64_t task) {
    const int64_t part = task % blocks.parts, block = task / blocks.parts;
    const int64_t group = block / (down * across), output = block / across % down * blocks.outputs,
                  column = block % across * blocks.columns;
    const int64_t outputs = std::min(blocks.outputs, p.outputs - output),
                  columns = std::min(blocks.columns, total - column);
    // What lies in an image without gaps is written where it belongs.
    const int64_t image = column / places, first = column - image * places;
    const bool direct = !parts && places == p.plane && (in_place || first + columns <= places);
    const int64_t piece = in_place ? outputs * columns : blocks.piece * blocks.columns;
    char* const memory = own_memory<Use::convolution>((piece + (direct || parts ? 0 : outputs * columns)) *
                                                      static_cast<int64_t>(sizeof(T)));
    T* const elements = reinterpret_cast<T*>(memory);
    const auto at = [&](int64_t image, int64_t place) {
      return y + ((image * p.groups + group) * p.outputs + output) * places + place;
    };
    T* const sums = direct  ? at(image, first)
                    : parts ? parts + ((part * p.groups + group) * p.outputs + output) * total + column
                            : elements + piece;
    const int64_t leading = direct ? places : parts ? total : columns;
    const int64_t past = std::min(depth, (part + 1) * blocks.part),
                  begin = std::min(past, part * blocks.part);
    const T* const biases = bias && part == 0 ? bias + group * p.outputs + output : nullptr;
    if (in_place) {
      for (int64_t i = 0; i < columns; ++i) {
        T* const row = elements + i * outputs;
        biases ? std::copy_n(biases, outputs, row) : std::fill_n(row, outputs, T(0));
      }
      in_place->add(group, output, outputs, column, columns, begin, past, elements);
      const CopyBlockFunction copy = copy_block_function(sizeof(T));
      if (!direct) copy(elements, {1, outputs}, sums, {leading, 1}, outputs, columns);
      for (int64_t k = 0, some = 0; direct && k < columns; k += some) {
        const int64_t place = (column + k) % places;
        some = std::min(places - place, columns - k);
        copy(elements + k * outputs, {1, outputs}, at((column + k) / places, place), {places, 1}, outputs,
             some);
      }
    } else {
      for (int64_t i = 0; i < outputs; ++i)
        std::fill_n(sums + i * leading, columns, biases ? biases[i] : T(0));
      for (int64_t from = begin; from < past; from += blocks.piece) {
        const int64_t count = std::min(blocks.piece, past - from);
        const T* const x_group = x + group * p.x_group;
        if (along_columns) {
          fill(p, p.rows, p.columns, x_group, from, from + count, column, column + columns, elements,
               columns);
        } else {
          fill(p, p.columns, p.rows, x_group, column, column + columns, from, from + count, elements, count);
        }
        multiply({outputs, columns, count, true},
                 {kernel + (group * p.outputs + output) * depth + from, depth},
                 {elements, along_columns ? columns : count, !along_columns}, sums, leading);
      }
    }
    for (int64_t i = 0; !direct && !parts && i < outputs; ++i)
      put_sums(p, group, output + i, column, columns, sums + i * columns, y);
  });
  if (!parts) return;
  parallel_for(p.groups * p.outputs, blocks.parts * sums_of_part, [&](int64_t i) {
    T* const sums = parts + i * total;
    for (int64_t part = 1; part < blocks.parts; ++part) {
      const T* const more = sums + part * sums_of_part;
      for (int64_t k = 0; k < total; ++k) sums[k] += more[k];
    }
    put_sums(p, i / p.outputs, i % p.outputs, 0, total, sums, y);
  });
}

// Of elements that lie `spread` apart, outputs that lie so meet with the same elements of the kernel, and the
// others are nothing: this makes an axis that of outputs `phase`, `phase` + spread .., in a problem without
// spread. Returns the first of these elements of the kernel, and how far they lie apart.
std::pair<int64_t, int64_t> take_phase(ConvolutionAxis& axis, int64_t phase) {
  const int64_t spread = axis.spread, apart = spread / std::gcd(spread, axis.dilation);
  int64_t first = 0;
  while (first < apart && (phase + first * axis.dilation - axis.low) % spread != 0) ++first;
  const bool none = first == apart || first >= axis.kernel;
  axis = {.extent = axis.extent,
          .kernel = none ? 0 : (axis.kernel - 1 - first) / apart + 1,
          .count = (axis.count - phase + spread - 1) / spread,
          .stride = 1,
          .low = none ? 0 : -((phase + first * axis.dilation - axis.low) / spread),
          .dilation = apart * axis.dilation / spread,
          .spread = 1};
  return {first, apart};
}

template <class T>
void convolve_phases(const Problem& whole, const T* x, const T* kernel, const T* bias, T* y,
                     Workspace& workspace) {
  int64_t phases[kMaxSpatial];
  for (int i = 0; i < kMaxSpatial; ++i)
    phases[i] = whole.axis[i].stride == 1 ? std::min(whole.axis[i].spread, whole.axis[i].count) : 1;
  const int64_t total = phases[0] * phases[1] * phases[2];
  if (total == 1) return convolve(whole, x, kernel, bias, y, workspace);
  T* const some = workspace.take<T>(whole.groups * whole.outputs * whole.depth());
  const int64_t taken = workspace.taken();
  for (int64_t number = 0; number < total; ++number) {
    Problem p = whole;
    int64_t rest = number, first[kMaxSpatial] = {}, apart[kMaxSpatial] = {1, 1, 1};
    for (int i = kMaxSpatial - 1; i >= 0; --i) {
      const int64_t phase = rest % phases[i];
      rest /= phases[i];
      if (whole.axis[i].spread == 1 || whole.axis[i].stride != 1) continue;
      std::tie(first[i], apart[i]) = take_phase(p.axis[i], phase);
      p.y_first += phase * whole.y_place[i], p.y_place[i] *= whole.axis[i].spread;
    }
    set_sides(p);
    T* to = some;
    for (int64_t k = 0; !workspace.counts() && k < p.groups * p.outputs * p.channels; ++k) {
      const T* const from = kernel + k * whole.rows.places();
      for (int64_t a = 0; a < p.axis[0].kernel; ++a) {
        for (int64_t b = 0; b < p.axis[1].kernel; ++b) {
          const T* const line =
              from + ((first[0] + a * apart[0]) * whole.axis[1].kernel + first[1] + b * apart[1]) *
                         whole.axis[2].kernel;
          for (int64_t c = 0; c < p.axis[2].kernel; ++c) *to++ = line[first[2] + c * apart[2]];
        }
      }
    }
    convolve(p, x, some, bias, y, workspace);
    workspace.give_back(taken);
  }
}

void convolution(const Call& call, Workspace& workspace) {
  const Tensor& output = call.outputs[0];
  if (output.numel() == 0) return;
  const DType dtype = is_narrow(output.dtype()) ? DType::float32 : output.dtype();
  // x is read where it lies.
  Tensor inputs[3];
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const bool as_it_is = i == 0 && call.inputs[i].dtype() == dtype;
    inputs[i] = as_it_is ? call.inputs[i] : converted(call.inputs[i], dtype, workspace);
  }
  const Tensor y = room_for(output, dtype, workspace);
  const Problem problem =
      problem_of({call.primitive, {inputs, call.inputs.size()}, call.attrs, call.outputs});
  const auto run = [&]<class T>() {
    const auto data = [&](const Tensor& x) {
      return workspace.counts() || !x.defined() ? nullptr : x.data<T>();
    };
    convolve_phases<T>(problem, data(inputs[0]), data(inputs[1]), data(inputs[2]), data(y), workspace);
  };
  dtype == DType::float64 ? run.operator()<double>() : run.operator()<float>();
  if (!workspace.counts()) deliver(y, output);
}

}  // namespace

void register_convolution_kernels() { set_kernel_with_workspace<convolution>(primitives::convolution); }

}  // namespace tidu::cpu
