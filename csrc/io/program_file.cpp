// Programs in files: safetensors of the constants, beside which metadata hold the rest as JSON
// (docs/program-format.md).
#include <algorithm>
#include <charconv>
#include <functional>
#include <unordered_map>

#include "core/trace.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "io/sha256.h"
#include "ops/complex.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "program/program.h"

namespace tidu {
namespace {

using io::JsonReader, io::JsonWriter, io::NamedTensors;

constexpr int kVersion = 1;
constexpr int kMaxDepth = 64;
constexpr const char *kVersionKey = "tidu.version", *kProgramKey = "tidu.program", *kTreesKey = "tidu.trees",
                     *kDigestKey = "tidu.digest";

// How a constant lies in memory, which views and kernels may look at: broadcast axes have extent 1 in the
// file, and axis i of what is in the file is axis [i] of the constant, from the largest stride on.
Axes axes_by_stride(const Tensor& value) {
  Axes axes = all_axes(value.ndim());
  std::ranges::stable_sort(axes, std::ranges::greater(), [&](int64_t axis) {
    const int i = static_cast<int>(axis);
    return value.size(i) == 1 ? 0 : std::abs(value.strides()[i]);
  });
  return value.is_contiguous() ? all_axes(value.ndim()) : axes;
}

std::string digest_of(const io::Saved& saved) {
  io::Sha256 sha;
  for (const char* key : {kVersionKey, kProgramKey, kTreesKey})
    sha.update(saved.metadata.at(key)).update(" ");
  for (const auto& [name, tensor] : saved.tensors)
    sha.update({static_cast<const char*>(tensor.raw_data()), tensor.nbytes()});
  return sha.hex();
}

// --- Writing

class Writer {
 public:
  io::Saved write(const Program& program) {
    const VisibleTraces none(nullptr);
    write_program(program);
    io::Saved saved{std::move(tensors_), {}};
    saved.metadata = {{kVersionKey, std::to_string(kVersion)},
                      {kProgramKey, json_.text()},
                      {kTreesKey, program.names.trees}};
    saved.metadata[kDigestKey] = digest_of(saved);
    return saved;
  }

 private:
  void write_program(const Program& program) {
    json_.begin_object().key("variables").begin_array();
    for (const Spec& spec : program.variables) {
      json_.begin_object().key("dtype").string(name_of(spec.dtype)).key("shape").integers(spec.shape);
      if (!(spec.device == Device())) json_.key("device").string(str(spec.device));
      json_.end_object();
    }
    json_.end_array();
    write_variables("inputs", program.inputs);
    json_.key("constants").begin_array();
    for (const Program::Constant& constant : program.constants) write_constant(constant);
    json_.end_array().key("instructions").begin_array();
    for (size_t i = 0; i < program.instructions.size(); ++i) write_instruction(program.instructions[i], i);
    json_.end_array();
    write_variables("outputs", program.outputs);
    json_.key("writes").begin_array();
    for (const auto& [input, variable] : program.writes)
      json_.begin_object().key("input").integer(input).key("variable").integer(variable).end_object();
    json_.end_array();
    write_names("input_names", program.names.inputs);
    write_names("output_names", program.names.outputs);
    json_.end_object();
  }

  void write_variables(const char* key, const std::vector<int>& variables) {
    json_.key(key).begin_array();
    for (int variable : variables) json_.integer(variable);
    json_.end_array();
  }

  void write_names(const char* key, const std::vector<std::string>& names) {
    if (names.empty()) return;
    json_.key(key).begin_array();
    for (const std::string& name : names) json_.string(name);
    json_.end_array();
  }

  void write_constant(const Program::Constant& constant) {
    const Tensor& value = constant.value;
    if (value.is_abstract()) {
      fail<ValueError>("[save] a constant has no value, ", describe(value),
                       ": the program was recorded inside of another (save it outside)");
    }
    const Axes axes = axes_by_stride(value);
    json_.begin_object()
        .key("variable")
        .integer(constant.variable)
        .key("tensor")
        .string(name_of_tensor(value));
    if (!(axes == all_axes(value.ndim()))) json_.key("axes").integers(axes);
    if (value.impl().storage->is_number() && value.numel() > 0) json_.key("number").boolean(true);
    json_.end_object();
  }

  // Of its elements without repetition, row-major, on the host.
  std::string name_of_tensor(const Tensor& value) {
    const auto [found, is_new] = names_.try_emplace(&value.impl(), str("constant.", names_.size()));
    if (is_new) {
      Shape shape;
      Strides strides;
      for (int64_t axis : axes_by_stride(value)) {
        const int i = static_cast<int>(axis);
        const bool is_repeated = value.strides()[i] == 0 && value.numel() > 0;
        shape.push_back(is_repeated ? 1 : value.size(i));
        strides.push_back(is_repeated ? 1 : value.strides()[i]);
      }
      const Tensor part = value.view(shape, strides, value.impl().offset);
      const Tensor dense = value.impl().storage->is_number()
                               ? copy_from_host(part.raw_data(), shape, value.dtype())
                               : contiguous(to(part, Device()));
      // safetensors has no complex128.
      tensors_[found->second] = value.dtype() == DType::complex128 ? view_as_real(dense) : dense;
    }
    return found->second;
  }

  void write_instruction(const Program::Instruction& instruction, size_t number) {
    const Primitive& primitive = *instruction.primitive;
    if (primitive.attrs.why_unsaved) {
      fail<ValueError>("[save] ", describe(instruction, number),
                       " cannot be saved: ", primitive.attrs.why_unsaved);
    }
    json_.begin_object().key("primitive").string(primitive.name);
    const Attrs attrs =
        primitive.attrs.for_file ? primitive.attrs.for_file(instruction.attrs) : instruction.attrs;
    if (!attrs.empty()) {
      json_.key("attrs").begin_object();
      for (const auto& [name, value] : attrs.fields()) {
        if (std::holds_alternative<std::monostate>(value))
          fail<ValueError>("[save] ", describe(instruction, number), " cannot be saved: '", name,
                           "' is code of the host");
        json_.key(name);
        write_value(value);
      }
      json_.end_object();
    }
    write_variables("inputs", instruction.inputs);
    write_variables("outputs", instruction.outputs);
    if (!instruction.differentiable) json_.key("differentiable").boolean(false);
    if (instruction.source.file) json_.key("at").string(str(instruction.source));
    json_.end_object();
  }

  void write_held(const std::shared_ptr<const Program>& program) {
    if (program) {
      write_program(*program);
    } else {
      json_.null();
    }
  }

  void write_value(const AttrValue& value) {
    std::visit(
        [&]<class T>(const T& it) {
          if constexpr (std::is_same_v<T, bool>) json_.boolean(it);
          if constexpr (std::is_same_v<T, int64_t>) json_.integer(it);
          if constexpr (std::is_same_v<T, double>) json_.number(it);
          if constexpr (std::is_same_v<T, std::string>) json_.string(it);
          if constexpr (std::is_same_v<T, std::vector<int64_t>>) json_.integers(it);
          if constexpr (std::is_same_v<T, std::shared_ptr<const Program>>) write_held(it);
        },
        value);
  }

  JsonWriter json_;
  NamedTensors tensors_;
  std::unordered_map<const TensorImpl*, std::string> names_;
};

// --- Reading

class Reader {
 public:
  Reader(std::string_view text, std::string context, const NamedTensors& tensors,
         std::optional<Device> device)
      : json_(text, std::move(context)), tensors_(tensors), device_(device) {}

  Program read() {
    Program program = read_program();
    json_.expect_end();
    if (names_.size() != tensors_.size()) json_.refuse("a tensor of the file is no constant");
    return program;
  }

 private:
  // Reads an object whose keys are all among those that are needed, which must be there, and others.
  using Members = std::map<std::string, std::function<void()>>;
  void read_members(const Members& needed, const Members& others) {
    size_t found = 0;
    json_.read_object([&](const std::string& key) {
      if (const auto member = needed.find(key); member != needed.end()) {
        ++found;
        return member->second();
      }
      const auto member = others.find(key);
      if (member == others.end()) json_.refuse(str("unknown key '", key, "'"));
      member->second();
    });
    if (found == needed.size()) return;
    std::string names;
    for (const auto& [name, read] : needed) names += (names.empty() ? "" : ", ") + name;
    json_.refuse(str("one of ", names, " is missing"));
  }

  Program read_program() {
    if (++depth_ > kMaxDepth) json_.refuse("programs are held too deep");
    Program program;
    read_members({{"variables", [&] { json_.read_array([&] { program.variables.push_back(read_spec()); }); }},
                  {"inputs", [&] { program.inputs = read_variables(); }},
                  {"constants", [&] { json_.read_array([&] { read_constant(program); }); }},
                  {"instructions",
                   [&] { json_.read_array([&] { program.instructions.push_back(read_instruction()); }); }},
                  {"outputs", [&] { program.outputs = read_variables(); }},
                  {"writes", [&] { json_.read_array([&] { program.writes.push_back(read_write()); }); }}},
                 {{"input_names", [&] { program.names.inputs = read_names(); }},
                  {"output_names", [&] { program.names.outputs = read_names(); }}});
    --depth_;
    return program;
  }

  int read_int() {
    const int64_t number = json_.read_integer();
    if (!std::in_range<int>(number)) json_.refuse(str(number, " does not fit 32 bits"));
    return static_cast<int>(number);
  }

  std::vector<int> read_variables() {
    std::vector<int> variables;
    json_.read_array([&] { variables.push_back(read_int()); });
    return variables;
  }

  std::vector<std::string> read_names() {
    std::vector<std::string> names;
    json_.read_array([&] { names.push_back(json_.read_string()); });
    return names;
  }

  // What `make` makes of a text, which it may find wrong.
  template <class Make> auto parsed(const Make& make) {
    try {
      return make();
    } catch (const std::invalid_argument& error) { json_.refuse(error.what()); }
  }

  Spec read_spec() {
    Spec spec;
    read_members(
        {{"dtype", [&] { spec.dtype = parsed([&] { return dtype_from_name(json_.read_string()); }); }},
         {"shape", [&] { spec.shape = parsed([&] { return Shape(json_.read_signed_integers()); }); }}},
        {{"device", [&] { spec.device = parsed([&] { return device_from_name(json_.read_string()); }); }}});
    if (!attr::are_extents(spec.shape)) json_.refuse(str("there is no shape ", spec.shape));
    if (device_) spec.device = *device_;
    return spec;
  }

  void read_constant(Program& program) {
    int variable = 0;
    std::string name;
    std::optional<Axes> given;
    bool is_number = false;
    read_members(
        {{"variable", [&] { variable = read_int(); }}, {"tensor", [&] { name = json_.read_string(); }}},
        {{"axes", [&] { given = parsed([&] { return Axes(json_.read_signed_integers()); }); }},
         {"number", [&] { is_number = json_.read_bool(); }}});
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) json_.refuse(str("there is no tensor '", name, "'"));
    names_[name] = true;
    if (variable < 0 || static_cast<size_t>(variable) >= program.variables.size())
      json_.refuse(str("there is no variable ", variable));
    const Spec& spec = program.variables[variable];
    const Axes axes = given.value_or(all_axes(spec.shape.size()));
    const Tensor& stored = found->second;
    const bool in_parts = spec.dtype == DType::complex128 && stored.dtype() == DType::float64 &&
                          stored.ndim() > 0 && stored.size(stored.ndim() - 1) == 2;
    const Tensor dense = in_parts ? view_as_complex(stored) : stored;
    bool fits = dense.dtype() == spec.dtype && dense.ndim() == spec.shape.size() &&
                axes.size() == dense.ndim() && attr::are_axes(axes, dense.ndim());
    for (int i = 0; fits && i < dense.ndim(); ++i) {
      const int64_t extent = spec.shape[static_cast<int>(axes[i])];
      fits = dense.size(i) == extent || (dense.size(i) == 1 && extent > 1);
    }
    if (!fits || (is_number && dense.numel() != 1))
      json_.refuse(str("constant '", name, "' is ", describe(dense), ", which does not fit ", spec));
    Strides strides = spec.shape;
    for (int i = 0; i < dense.ndim(); ++i) {
      const int axis = static_cast<int>(axes[i]);
      strides[axis] = dense.size(i) == spec.shape[axis] ? dense.strides()[i] : 0;
    }
    const Tensor value = spec.device == Device() ? dense
                         : is_number
                             ? Tensor::number(dense.raw_data(), spec.dtype, spec.device)
                             : copy_from_host(dense.raw_data(), dense.shape(), spec.dtype, spec.device);
    program.constants.push_back({variable, value.view(spec.shape, strides, 0)});
  }

  Program::Instruction read_instruction() {
    Program::Instruction instruction{nullptr, {}, {}, {}};
    bool has_attrs = false;
    read_members({{"primitive", [&] { instruction.primitive = read_primitive(); }},
                  {"inputs", [&] { instruction.inputs = read_variables(); }},
                  {"outputs", [&] { instruction.outputs = read_variables(); }}},
                 {{"attrs",
                   [&] {
                     if (!instruction.primitive) json_.refuse("'primitive' must come before its 'attrs'");
                     instruction.attrs = read_attrs(*instruction.primitive);
                     has_attrs = true;
                   }},
                  {"differentiable", [&] { instruction.differentiable = json_.read_bool(); }},
                  {"at", [&] { instruction.source = read_source(); }}});
    if (!has_attrs && !instruction.primitive->attrs.example.empty())
      json_.refuse(str("a call of '", instruction.primitive->name, "' without attributes"));
    return instruction;
  }

  const Primitive* read_primitive() {
    const std::string name = json_.read_string();
    const auto& all = all_primitives();
    const auto found =
        std::ranges::find(all, name, [](const Primitive* primitive) { return primitive->name; });
    if (found == all.end())
      json_.refuse(str("there is no primitive '", name, "' (was the file written by a newer tidu?)"));
    if ((*found)->attrs.why_unsaved) json_.refuse(str("'", name, "' cannot be in a file"));
    return *found;
  }

  Attrs read_attrs(const Primitive& primitive) {
    const std::vector<Attrs::Field> fields = primitive.attrs.example.fields();
    std::vector<AttrValue> values(fields.size());
    Members members;
    for (size_t i = 0; i < fields.size(); ++i)
      members[fields[i].first] = [&, i] { values[i] = read_value(fields[i].second); };
    read_members(members, {});
    const Attrs attrs = parsed([&] { return primitive.attrs.example.with_values(values); });
    return device_ && &primitive == &primitives::to ? Attrs(DeviceAttrs{*device_}) : attrs;
  }

  // A value of the same kind.
  AttrValue read_value(const AttrValue& like) {
    return std::visit(
        [&]<class T>(const T&) -> AttrValue {
          if constexpr (std::is_same_v<T, bool>) return json_.read_bool();
          if constexpr (std::is_same_v<T, int64_t>) return json_.read_integer();
          if constexpr (std::is_same_v<T, double>) return json_.read_number();
          if constexpr (std::is_same_v<T, std::string>) return json_.read_string();
          if constexpr (std::is_same_v<T, std::vector<int64_t>>) return json_.read_signed_integers();
          if constexpr (std::is_same_v<T, std::shared_ptr<const Program>>)
            return json_.accept_null() ? nullptr : std::make_shared<const Program>(read_program());
          return std::monostate();
        },
        like);
  }

  // "net.py:7"
  SourceLine read_source() {
    const std::string text = json_.read_string();
    const size_t colon = text.rfind(':');
    int line = 0;
    const char* const last = text.data() + text.size();
    if (colon == text.npos || std::from_chars(text.data() + colon + 1, last, line).ptr != last)
      json_.refuse(str("'", text, "' is no line of a file"));
    std::shared_ptr<const std::string>& file = files_[text.substr(0, colon)];
    if (!file) file = std::make_shared<const std::string>(text, 0, colon);
    return {file, line};
  }

  Program::Write read_write() {
    Program::Write write{};
    read_members(
        {{"input", [&] { write.input = read_int(); }}, {"variable", [&] { write.variable = read_int(); }}},
        {});
    return write;
  }

  JsonReader json_;
  const NamedTensors& tensors_;
  const std::optional<Device> device_;
  std::map<std::string, bool> names_;  // of the tensors that are constants
  std::map<std::string, std::shared_ptr<const std::string>> files_;
  int depth_ = 0;
};

void check_version(const std::string& path, const std::string& text) {
  int version = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, version);
  if (error != std::errc() || end != last || version < 1)
    fail<FileError>(path, ": not a program: its version is '", text, "'");
  if (version > kVersion) {
    fail<FileError>(path, ": a program of format ", version, ", but this tidu reads formats up to ", kVersion,
                    " (update tidu)");
  }
}

}  // namespace

void Program::save(const std::string& path) const {
  verify();
  const io::Saved saved = Writer().write(*this);
  io::save(path, saved.tensors, saved.metadata);
}

Program Program::load(const std::string& path, std::optional<Device> device) {
  const VisibleTraces none(nullptr);
  const io::Saved saved = io::load(path);
  const auto& metadata = saved.metadata;
  if (!metadata.contains(kVersionKey)) fail<FileError>(path, ": tensors, but no program (load reads them)");
  check_version(path, metadata.at(kVersionKey));
  for (const char* key : {kProgramKey, kTreesKey, kDigestKey}) {
    if (!metadata.contains(key)) fail<FileError>(path, ": not a program: the metadata lack '", key, "'");
  }
  if (metadata.at(kDigestKey) != digest_of(saved))
    fail<FileError>(path, ": the program was damaged, or changed after it was saved: its digest differs");
  Program program = Reader(metadata.at(kProgramKey), path + ": bad program", saved.tensors, device).read();
  program.names.trees = metadata.at(kTreesKey);
  try {
    program.verify();
  } catch (const ValueError& error) { fail<FileError>(path, ": bad program: ", error.what()); }
  return program;
}

}  // namespace tidu
