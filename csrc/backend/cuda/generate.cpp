// From a Group the text of its kernels.
#include "backend/cuda/generate.h"

#include <algorithm>
#include <cstring>
#include <sstream>

#include "kernels/cuda/loop.h"
#include "kernels/cuda/matmul.h"
#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/update.h"

namespace tidu::cuda {
namespace {

constexpr int kMaxSteps = 256;
// What a thread may hold of its loads and stores, and what is unrolled for it.
constexpr int kMaxHeld = 320, kMaxUnrolled = 256;

std::string type_of(DType dtype) {
  constexpr const char* kNames[] = {"bool",     "int8_t",   "int16_t",  "int32_t",  "int64_t",
                                    "uint8_t",  "uint16_t", "uint32_t", "uint64_t", "float16",
                                    "bfloat16", "float",    "double"};
  return kNames[static_cast<int>(dtype)];
}
bool is_half(DType dtype) { return dtype == DType::float16 || dtype == DType::bfloat16; }

const ElementwiseRow* row_of(const Primitive& primitive) {
  for (const ElementwiseRow& row : elementwise_table()) {
    if (row.primitive == &primitive) return &row;
  }
  return nullptr;
}

bool is_update(const Group::Step& step) {
  return visit_update(*step.primitive, step.attrs, [](const auto&) {});
}

// The clock among its inputs, or -1.
int clock_of(const Group::Step& step) {
  int clock = -1;
  visit_update(*step.primitive, step.attrs, [&](const auto& attrs) {
    if (attrs.clocked) clock = step.inputs.back();
  });
  return clock;
}

// The types of kernels/update.h.
struct UpdateNames {
  const char *step, *rule;
};
UpdateNames names_of(const SgdAttrs& attrs) {
  return {"SgdStep", attrs.momentum == 0 ? "SgdRule" : "MomentumRule"};
}
UpdateNames names_of(const AdamAttrs&) { return {"AdamStep", "AdamRule"}; }
UpdateNames names_of(const RmspropAttrs&) { return {"RmspropStep", "RmspropRule"}; }

std::vector<double> parameters_of(const Group::Step& step) {
  if (step.attrs.empty() || step.primitive == &primitives::astype || is_update(step)) return {};
  const auto& attrs = step.attrs.as<ParameterAttrs>();
  return {attrs.values, attrs.values + attrs.declared.size()};
}

// The loop's dimensions, the innermost first, in one where all inputs allow it, as outputs always do.
struct Dimensions {
  std::vector<int64_t> extent;
  std::vector<std::vector<int64_t>> stride;  // of each input

  explicit Dimensions(const Group& group) : stride(group.inputs.size()) {
    const auto merges = [&](int axis) {
      for (size_t k = 0; k < stride.size(); ++k) {
        if (group.inputs[k].number) continue;
        if (group.inputs[k].strides[axis] != stride[k].back() * extent.back()) return false;
      }
      return true;
    };
    for (int axis = group.shape.size() - 1; axis >= 0; --axis) {
      const int64_t n = group.shape[axis];
      if (n == 1) continue;
      if (!extent.empty() && merges(axis)) {
        extent.back() *= n;
        continue;
      }
      extent.push_back(n);
      for (size_t k = 0; k < stride.size(); ++k)
        stride[k].push_back(group.inputs[k].number ? 0 : group.inputs[k].strides[axis]);
    }
    if (!extent.empty()) return;
    extent.push_back(1);
    for (auto& strides : stride) strides.push_back(1);
  }

  int rank() const { return static_cast<int>(extent.size()); }
  bool is_dense(size_t k) const {
    int64_t want = 1;
    for (int d = 0; d < rank(); ++d) {
      if (stride[k][d] != want) return false;
      want *= extent[d];
    }
    return true;
  }
  // Whether element numbers and offsets fit 31 bits.
  bool are_narrow() const {
    int64_t count = 1;
    for (const int64_t n : extent) count *= n;
    bool narrow = count <= kMaxLaunch;
    for (const auto& strides : stride) {
      int64_t reach = 0;
      for (int d = 0; d < rank(); ++d) reach += std::abs(strides[d]) * extent[d];
      narrow &= reach <= INT32_MAX;
    }
    return narrow;
  }
};

// The bytes of a struct of C++.
class Bytes {
 public:
  template <class T> size_t put(T value) {
    const size_t offset = align(alignof(T));
    put_bytes(&value, sizeof value);
    return offset;
  }
  // Of an element.
  void put_number(const void* value, size_t size) {
    align(size);
    put_bytes(value, size);
  }
  size_t align(size_t to) {
    bytes_.resize((bytes_.size() + to - 1) / to * to);
    return bytes_.size();
  }
  std::vector<std::byte> take() {
    align(8);
    return std::move(bytes_);
  }

 private:
  void put_bytes(const void* value, size_t size) {
    const auto* first = static_cast<const std::byte*>(value);
    bytes_.insert(bytes_.end(), first, first + size);
  }

  std::vector<std::byte> bytes_;
};

class Generator {
 public:
  explicit Generator(const Group& group)
      : group_(group),
        is_clock_(group.inputs.size()),
        product_(group.product.has_value()),
        dimensions_(group),
        used_(group.inputs.size() + group.steps.size()) {
    const int inputs = static_cast<int>(group.inputs.size());
    for (const Group::Step& step : group.steps) {
      if (const int clock = clock_of(step); clock >= 0) is_clock_[static_cast<size_t>(clock)] = true;
    }
    if (product_) used_[group.product->input] = true;
    for (const Group::Output& output : group.outputs) used_[output.value] = true;
    for (int s = static_cast<int>(group.steps.size()) - 1; s >= 0; --s) {
      if (!used_[inputs + s]) continue;
      if (group.steps[s].output > 0) used_[inputs + s - 1] = true;  // the first has their parameters
      for (const int value : group.steps[s].inputs) used_[value] = true;
    }
    narrow_ = dimensions_.are_narrow();
    choose_widths();
  }

  Generated generate() {
    Generated made;
    made.product = product_;
    made.count = num_elements(group_.shape);
    made.name = name();
    made.vector = vector_;
    made.apart = apart_;
    put_arguments(made);
    std::ostringstream group, out;
    group << "struct Group {\n"
          << "  struct Arguments {\n"
          << fields_.str() << "  };\n"
          << "  using Place = cuda::Place<" << width() << ", " << dimensions_.rank() << ">;\n";
    write_load(group);
    write_compute(group);
    write_store(group);
    group << "};\n";
    made.definition = group.str();
    if (product_) return made;
    out << "// Made by tidu (csrc/backend/cuda/generate.cpp).\n#include \"kernels/cuda/group.cuh\"\n\n"
        << "namespace tidu::cuda {\n\n"
        << made.definition << "\n";
    if (vector_ > 1) write_kernel(out, made.name, "vectors", vector_);
    write_kernel(out, made.name, "elements", apart_);
    out << "}  // namespace tidu::cuda\n";
    made.text = out.str();
    return made;
  }

 private:
  size_t inputs() const { return group_.inputs.size(); }
  bool is_product(size_t k) const { return product_ && group_.product->input == static_cast<int>(k); }
  // A clock is read whole, by each step that it is an input of.
  bool is_held(size_t k) const { return used_[k] && !group_.inputs[k].number && !is_clock_[k]; }
  bool is_loaded(size_t k) const { return is_held(k) && !is_product(k); }
  DType dtype_of(int value) const {
    const auto at = static_cast<size_t>(value);
    return at < inputs() ? group_.inputs[at].dtype : group_.steps[at - inputs()].dtype;
  }
  std::string width() const { return narrow_ ? "Narrow" : "Wide"; }

  // The names of the first steps.
  std::string name() const {
    std::string text;
    int count = 0;
    for (size_t s = 0; s < group_.steps.size() && count < 4; ++s) {
      if (!used_[inputs() + s] || group_.steps[s].output > 0) continue;
      if (count++ > 0) text += "_";
      text += group_.steps[s].primitive->name;
    }
    return (product_ ? "matmul_" : "") + (count == 0 ? "copy" : text);
  }

  void choose_widths() {
    int widest = 2, held = 0, steps = 0;
    const auto see = [&](DType dtype) {
      widest = std::max(widest, static_cast<int>(size_of(dtype)));
      ++held;
    };
    for (size_t k = 0; k < inputs(); ++k) {
      if (is_loaded(k)) see(group_.inputs[k].dtype);
    }
    for (const Group::Output& output : group_.outputs) see(output.dtype);
    for (size_t s = 0; s < group_.steps.size(); ++s) steps += used_[inputs() + s];
    int n = 16 / widest;
    while (n > 1 && (held * n * widest > kMaxHeld || steps * n > kMaxUnrolled)) n /= 2;
    apart_ = std::min(n, 4);
    while (n > 1 && !takes_together(n)) n /= 2;
    vector_ = n;
  }

  // Whether n neighbours, at a multiple of n, are in one row of the innermost dimension, and at a multiple of
  // n in every input that has them side by side.
  bool takes_together(int n) const {
    const auto& [extent, stride] = dimensions_;
    if (dimensions_.rank() == 1) return true;
    bool possible = extent[0] % n == 0;
    for (size_t k = 0; k < inputs(); ++k) {
      if (!is_loaded(k) || stride[k][0] != 1) continue;
      for (int d = 1; d < dimensions_.rank(); ++d) possible &= stride[k][d] % n == 0;
    }
    return possible;
  }

  // Kernel arguments: their declarations, and their bytes.
  void put_arguments(Generated& made) {
    Bytes bytes;
    if (product_) {
      fields_ << "    Product<" << type_of(group_.inputs[group_.product->input].dtype) << "> product;\n";
      for (size_t i = 0; i < kProductBytes; i += sizeof(void*)) bytes.put<void*>(nullptr);
    }
    put_span(bytes, made.count);
    for (size_t k = 0; k < inputs(); ++k) {
      if (used_[k] && !is_product(k)) put_input(made, bytes, k);
    }
    for (size_t s = 0; s < group_.steps.size(); ++s) {
      if (used_[inputs() + s]) put_parameters(bytes, s);
    }
    for (size_t i = 0; i < group_.outputs.size(); ++i) {
      const DType dtype = group_.outputs[i].dtype;
      fields_ << "    " << type_of(dtype) << "* y" << i << ";\n";
      made.outputs.push_back({bytes.put<void*>(nullptr), static_cast<int>(i)});
      made.together.push_back({made.outputs.back(), size_of(dtype) * static_cast<size_t>(vector_)});
    }
    made.argument = bytes.take();
  }

  void put_span(Bytes& bytes, int64_t count) {
    fields_ << "    Span<" << width() << ", " << dimensions_.rank() << "> span;\n";
    const auto put = [&]<class Index>(Index) {
      bytes.put(static_cast<Index>(count));
      bytes.put(static_cast<Index>(count / vector_));
    };
    narrow_ ? put(uint32_t{}) : put(uint64_t{});
    for (const int64_t n : dimensions_.extent) {
      narrow_ ? bytes.put(Divisor(static_cast<uint32_t>(std::max<int64_t>(n, 1))))
              : bytes.put(static_cast<uint64_t>(n));
    }
  }

  void put_input(Generated& made, Bytes& bytes, size_t k) {
    const Group::Input& input = group_.inputs[k];
    const std::string type = type_of(input.dtype);
    if (input.number) {
      fields_ << "    " << type << " x" << k << ";\n";
      bytes.put_number(input.number->data(), size_of(input.dtype));
      return;
    }
    const std::vector<int64_t>& stride = dimensions_.stride[k];
    const bool dense = dimensions_.is_dense(k);
    made.inputs.push_back({bytes.put<void*>(nullptr), static_cast<int>(k)});
    if (stride[0] == 1)
      made.together.push_back({made.inputs.back(), size_of(input.dtype) * static_cast<size_t>(vector_)});
    if (dense) {
      fields_ << "    Dense<" << type << "> x" << k << ";\n";
      return;
    }
    const char* kind = stride[0] == 1 ? "Rows" : stride[0] == 0 ? "Repeated" : "Scattered";
    fields_ << "    " << kind << "<" << type << ", " << width() << ", " << dimensions_.rank() << "> x" << k
            << ";\n";
    for (const int64_t step : stride) narrow_ ? bytes.put(static_cast<int32_t>(step)) : bytes.put(step);
    bytes.align(8);
  }

  // As values of the type that the step computes in.
  void put_parameters(Bytes& bytes, size_t s) {
    const Group::Step& step = group_.steps[s];
    visit_update(*step.primitive, step.attrs, [&](const auto& attrs) {
      if (step.output > 0) return;
      fields_ << "    " << names_of(attrs).step << " p" << inputs() + s << ";\n";
      bytes.put(step_of(attrs));
    });
    int i = 0;
    for (const double value : parameters_of(step)) {
      const bool wide = dtype_of(step.inputs[0]) == DType::float64;
      fields_ << "    " << (wide ? "double" : "float") << " p" << inputs() + s << "_" << i++ << ";\n";
      wide ? bytes.put(value) : bytes.put(static_cast<float>(value));
    }
  }

  void write_load(std::ostream& out) const {
    out << "  template <int n> struct Inputs {\n";
    for (size_t k = 0; k < inputs(); ++k) {
      if (is_held(k)) out << "    Vec<" << type_of(group_.inputs[k].dtype) << ", n> x" << k << ";\n";
    }
    out << "  };\n  template <int n> static __device__ __forceinline__ Inputs<n> load(const Arguments& a, "
           "const Place& place) {\n    return {";
    bool first = true;
    for (size_t k = 0; k < inputs(); ++k) {
      if (!is_held(k)) continue;
      out << (first ? "" : ", ");
      is_product(k) ? out << "{}" : out << "a.x" << k << ".template load<n>(place)";
      first = false;
    }
    out << "};\n  }\n";
    if (!product_) return;
    const int k = group_.product->input;
    out << "  template <int n, class S> static __device__ __forceinline__ void put(Inputs<n>& x, const S "
           "(&sums)[n]) {\n#pragma unroll\n    for (int j = 0; j < n; ++j) x.x"
        << k << "[j] = static_cast<" << type_of(group_.inputs[k].dtype) << ">(sums[j]);\n  }\n";
  }

  void write_compute(std::ostream& out) const {
    out << "  template <int n> struct Outputs {\n";
    for (size_t i = 0; i < group_.outputs.size(); ++i)
      out << "    Vec<" << type_of(group_.outputs[i].dtype) << ", n> y" << i << ";\n";
    out << "  };\n  template <int n> static __device__ __forceinline__ void compute(const Arguments& a, "
           "const Inputs<n>& x, Outputs<n>& y, int j) {\n";
    for (size_t k = 0; k < inputs(); ++k) {
      if (!used_[k] || is_clock_[k]) continue;
      out << "    const " << type_of(group_.inputs[k].dtype) << " v" << k << " = " << (is_held(k) ? "x" : "a")
          << ".x" << k << (is_held(k) ? "[j]" : "") << ";\n";
    }
    for (size_t s = 0; s < group_.steps.size(); ++s) {
      if (used_[inputs() + s])
        out << "    const " << type_of(group_.steps[s].dtype) << " v" << inputs() + s << " = "
            << expression(s) << ";\n";
    }
    for (size_t i = 0; i < group_.outputs.size(); ++i)
      out << "    y.y" << i << "[j] = v" << group_.outputs[i].value << ";\n";
    out << "  }\n";
  }

  // 16-bit floats are computed in float, and each result is rounded; a choice computes nothing.
  std::string expression(size_t s) const {
    const Group::Step& step = group_.steps[s];
    if (step.primitive == &primitives::astype)
      return str("convert<", type_of(step.dtype), ">(v", step.inputs[0], ")");
    std::string update;
    visit_update(*step.primitive, step.attrs, [&](const auto& attrs) {
      const int clock = clock_of(step);
      update = str("updated<", step.output, ", ", names_of(attrs).rule, ">(a.p", inputs() + s - step.output,
                   clock < 0 ? ", nullptr" : str(", a.x", clock, ".data"));
      for (size_t i = 0; i < step.inputs.size() - (clock < 0 ? 0 : 1); ++i)
        update += str(", v", step.inputs[i]);
      update += ")";
    });
    if (!update.empty()) return update;
    const ElementwiseRow& row = *row_of(*step.primitive);
    std::string call = str("scalar::", step.primitive->name, "(");
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      const bool widened = is_half(dtype_of(step.inputs[i])) && row.types != Types::choice;
      call += str(i == 0 ? "" : ", ", widened ? "float(v" : "v", step.inputs[i], widened ? ")" : "");
    }
    for (size_t i = 0; i < parameters_of(step).size(); ++i) call += str(", a.p", inputs() + s, "_", i);
    call += ")";
    return is_half(step.dtype) && row.types != Types::choice ? type_of(step.dtype) + "(" + call + ")" : call;
  }

  void write_store(std::ostream& out) const {
    out << "  template <int n> static __device__ __forceinline__ void store(const Arguments& a, const Place& "
           "place, "
           "const Outputs<n>& y) {\n";
    for (size_t i = 0; i < group_.outputs.size(); ++i)
      out << "    store_vec<n>(a.y" << i << " + place.i, y.y" << i << ");\n";
    out << "  }\n";
  }

  static void write_kernel(std::ostream& out, const std::string& name, const char* form, int n) {
    out << "extern \"C\" __global__ void __launch_bounds__(" << kGroupThreads << ") " << name << "_" << form
        << "(const __grid_constant__ Group::Arguments a) {\n  " << function_of(form, n)
        << "(blockIdx.x, a);\n}\n\n";
  }

  const Group& group_;
  std::vector<bool> is_clock_;  // of each input
  const bool product_;
  const Dimensions dimensions_;
  std::vector<bool> used_;  // of each value, whether an output depends on it
  bool narrow_ = true;
  int vector_ = 1, apart_ = 1;
  std::ostringstream fields_;  // of Arguments
};

// Whether each step is one that there is a function for, of the types that the function takes.
bool can_generate(const Group& group) {
  if (group.outputs.empty() || group.steps.size() > kMaxSteps) return false;
  for (const Group::Output& output : group.outputs) {
    if (output.reduction) return false;
  }
  for (const Group::Step& step : group.steps) {
    if (step.primitive != &primitives::astype && !is_update(step) && !row_of(*step.primitive)) return false;
  }
  return true;
}

}  // namespace

std::optional<Generated> generate(const Group& group) {
  if (!can_generate(group)) return {};
  Generated made = Generator(group).generate();
  if (made.argument.size() > kMaxArgument) return {};
  return made;
}

std::string product_text(const Generated& made, const std::string& function, unsigned threads) {
  return str(
      "// Made by tidu (csrc/backend/cuda/generate.cpp).\n#include \"kernels/cuda/product.cuh\"\n\n"
      "namespace tidu::cuda {\n\n",
      made.definition, "\nextern \"C\" __global__ void __launch_bounds__(", threads, ") ", made.name,
      "(const __grid_constant__ Group::Arguments a) {\n  ", function,
      "(blockIdx.x, a.product, Through<Group>{a});\n}\n\n}  // namespace tidu::cuda\n");
}

std::string function_of(const char* form, int n) {
  return str("run_", form, "<Group, ", n, ", ", kGroupThreads, ">");
}

std::string describe(const Group& group) {
  std::string text = "[group]";
  int count = 0;
  for (const Group::Step& step : group.steps) {
    if (step.output == 0 && count++ < 8) text += str(count == 1 ? " " : ", ", step.primitive->name);
  }
  if (count > 8) text += str(" and ", count - 8, " more");
  return text + str(" of ", group.outputs.empty() ? DType::float32 : group.outputs[0].dtype, group.shape);
}

}  // namespace tidu::cuda
