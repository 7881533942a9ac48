// Programs: what verification refuses, text, names and lines, files.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/digits.h"
#include "core/bind.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "ops/complex.h"
#include "ops/random.h"
#include "program/recorder.h"
#include "tidu.h"

namespace tidu {
namespace {

Tensor numbers(const Shape& shape) { return random_normal(random_key(7), shape, 0, 1, DType::float64); }

Program layer() {
  const Tensor w = numbers({3, 2});
  return record([&](const Tensors& in) { return Tensors{sum(tanh(matmul(in[0], w) + in[1]), 0)}; },
                std::vector<Spec>{{{4, 3}, DType::float64, {}}, {{2}, DType::float64, {}}});
}

// What is wrong with a program after `damage`.
template <class Damage> std::string fault_of(Program program, const Damage& damage) {
  damage(program);
  try {
    program.verify();
  } catch (const ValueError& error) { return error.what(); }
  return "";
}

void expect_in(const std::string& part, const std::string& text) {
  EXPECT_NE(text.find(part), text.npos) << "'" << part << "' is not in '" << text << "'";
}

TEST(Verify, NamesTheInstructionAndTheReason) {
  const Program good = layer();
  EXPECT_EQ(fault_of(good, [](Program&) {}), "");
  // broadcast_to or matmul first: whatever comes, the last instruction is the sum.
  const size_t last = good.instructions.size() - 1;
  const std::string where = str("instruction ", last, " (sum): ");
  const auto check = [&](const std::string& what, auto damage) { expect_in(what, fault_of(good, damage)); };
  check(where + "there is no variable 99", [&](Program& p) { p.instructions[last].inputs[0] = 99; });
  check(where + "there is no variable -1", [&](Program& p) { p.instructions[last].outputs[0] = -1; });
  check("has no value yet", [&](Program& p) { std::swap(p.instructions[0], p.instructions[last]); });
  check("has a value already", [&](Program& p) { p.instructions.push_back(p.instructions[last]); });
  check(where + "it has 2 inputs", [&](Program& p) { p.instructions[last].inputs.push_back(0); });
  check(where + "it has 0 results, not 1", [&](Program& p) { p.instructions[last].outputs.clear(); });
  check(where + "it has 2 results, not 1", [&](Program& p) { p.instructions[last].outputs.push_back(0); });
  check(where + "it has attributes of another primitive",
        [&](Program& p) { p.instructions[last].attrs = AxisAttrs{{0}}; });
  check(where + "it has attributes of another primitive",
        [&](Program& p) { p.instructions[last].attrs = {}; });
  check(where + "'axes' does not fit its input: axes=(7,), correction=0",
        [&](Program& p) { p.instructions[last].attrs = ReduceAttrs{Axes{7}}; });
  check(where + "result 0 is float64(2,) cpu but follows to be float64(4,) cpu",
        [&](Program& p) { p.instructions[last].attrs = ReduceAttrs{Axes{1}}; });
  check("constant", [](Program& p) { p.constants[0].value = numbers({2, 3}); });
  check("constant", [](Program& p) { p.constants[0].value = {}; });
  check("there is no variable 55", [](Program& p) { p.outputs = {55}; });
  check("there is no argument 2", [](Program& p) { p.writes = {{2, 0}}; });
  check("argument 0 is float64(4, 3) cpu but float64(2,) cpu is written to it", [](Program& p) {
    p.writes = {{0, p.outputs[0]}};
  });
  check("2 arguments have 1 names", [](Program& p) { p.names.inputs = {"x", "x"}; });
  check("a variable has shape (-1,)", [](Program& p) { p.variables[0].shape = {-1}; });
}

TEST(Verify, LooksIntoHeldPrograms) {
  const Function step = [](const Tensors& in) { return Tensors{in[0] + in[1], in[0] * 2}; };
  const Program good = record([&](const Tensors& in) { return scan(step, {in[0]}, {in[1]}).results; },
                              std::vector<Spec>{{{2}, DType::float64, {}}, {{5, 2}, DType::float64, {}}});
  good.verify();
  for (size_t i = 0; i < good.instructions.size(); ++i) {
    for (const auto& [name, value] : good.instructions[i].attrs.fields()) {
      const auto* const held = std::get_if<std::shared_ptr<const Program>>(&value);
      if (!held) continue;
      Program body = **held;
      body.instructions[0].inputs = {17, 17};
      std::vector<AttrValue> values;
      for (const auto& [key, old] : good.instructions[i].attrs.fields())
        values.push_back(key == name ? AttrValue(std::make_shared<const Program>(body)) : old);
      Program bad = good;
      bad.instructions[i].attrs = good.instructions[i].attrs.with_values(values);
      EXPECT_FALSE(bad == good);
      EXPECT_EQ(
          fault_of(bad, [](Program&) {}),
          str("[verify] instruction ", i, " (scan): 'body': instruction 0 (add): there is no variable 17"));
      return;
    }
  }
  FAIL() << "no program is held";
}

TEST(Verify, EveryPrimitiveHasAttributesThatAreData) {
  std::set<std::string> names;
  for (const Primitive* primitive : all_primitives()) {
    EXPECT_TRUE(names.insert(primitive->name).second) << primitive->name;
    if (primitive->attrs.why_unsaved) continue;
    const Attrs& example = primitive->attrs.example;
    std::vector<AttrValue> values;
    for (const auto& [name, value] : example.fields()) {
      EXPECT_FALSE(std::holds_alternative<std::monostate>(value)) << primitive->name << " " << name;
      values.push_back(value);
    }
    EXPECT_EQ(example.with_values(values), example) << primitive->name;
  }
}

TEST(Attributes, AreWhatTheirValuesSay) {
  const Attrs attrs = SliceViewAttrs{{Dims{1, 0}, Dims{2, 1}, Dims{-1, 3}}, Dims{1}, {}};
  EXPECT_EQ(attrs.to_string(), "starts=(1, 0), sizes=(2, 1), steps=(-1, 3), dropped=(1,), added=()");
  EXPECT_EQ(attrs.misfit({4, 4}), nullptr);
  EXPECT_STREQ(attrs.misfit({4}), "starts");
  for (const Scalar& value : {Scalar(true), Scalar(-3), Scalar(UINT64_MAX), Scalar(0.1), Scalar(-0.0),
                              Scalar(3.0), Scalar(INFINITY), Scalar(-NAN), Scalar(NAN)}) {
    const FullAttrs full{Shape{2}, DType::float64, {value.kind, value.integer}};
    std::vector<AttrValue> values;
    for (const auto& [name, field] : Attrs(full).fields()) values.push_back(field);
    EXPECT_EQ(Attrs(FullAttrs{}).with_values(values), Attrs(full)) << text_of(values[2]);
  }
  EXPECT_THROW((void)Attrs(DTypeAttrs{}).with_values({std::string("float8")}), ValueError);
  EXPECT_THROW((void)Attrs(AxisAttrs{}).with_values({int64_t{1} << 40}), ValueError);
}

TEST(Numbers, AreReadAsTheyWereWritten) {
  for (const double number : {0.0, -0.0, 0.1, 1e-5, 5e-324, 1.7976931348623157e308, -1.0 / 3,
                              double(INFINITY), -double(INFINITY), double(NAN), -double(NAN)}) {
    const auto again = number_from(exact(number));
    ASSERT_TRUE(again) << exact(number);
    EXPECT_EQ(std::memcmp(&*again, &number, sizeof number), 0) << exact(number);
    io::JsonWriter writer;
    writer.number(number);
    const double read = io::JsonReader(writer.text(), "test").read_number();
    EXPECT_EQ(std::memcmp(&read, &number, sizeof number), 0) << writer.text();
  }
  for (const char* text : {"", "1x", "0x10", "nan(0x)", "nan(0x3ff0000000000000)", "1e999"})
    EXPECT_FALSE(number_from(text)) << text;
  EXPECT_EQ(shortest(0.1f), "0.1");
}

TEST(Text, ShowsSpecsConstantsAttributesAndHeldPrograms) {
  const Tensor w = tensor({1.0f, 2.5f}), big = numbers({9});
  const Program program = record(
      [&](const Tensors& in) {
        const Tensors both = checkpoint([&](const Tensors& x) { return Tensors{x[0] * w}; }, {in[0]});
        return Tensors{sum(both[0]), big * 3, astype(in[0], DType::int32)};
      },
      std::vector<Spec>{{{2}, DType::float32, {}}});
  const std::string text = program.to_string();
  for (const char* part : {"program(a:float32(2,))\n", " = [1, 2.5]\n", ":float64(9,) = constant\n", " = 3\n",
                           " = checkpoint a\n    program = program(a:float32(2,))\n",
                           "sum[axes=(0,), correction=0] ", "astype[dtype=int32] a\n"})
    expect_in(part, text);
  EXPECT_EQ(text.find('#'), text.npos);
}

TEST(Lines, AreAskedForOnlyWhileRecordingForSomebody) {
  const auto file = std::make_shared<const std::string>("net.py");
  int asked = 0;
  const Function f = [](const Tensors& in) { return Tensors{sin(cos(in[0]))}; };
  const std::vector<Spec> like{{{2}, DType::float32, {}}};
  const Program plain = record(f, like);
  const Program with = [&] {
    const Lines lines([&] { return SourceLine{file, ++asked}; });
    return record(f, like);
  }();
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(plain, with);
  EXPECT_EQ(hash_value(ProgramField{std::make_shared<const Program>(plain)}),
            hash_value(ProgramField{std::make_shared<const Program>(with)}));
  expect_in("= cos a  # net.py:1\n", with.to_string());
  EXPECT_EQ(describe(with.instructions[1], 1), "instruction 1 (sin, net.py:2)");
  // What runs a program in another recording shows the lines of its own.
  const Program again = [&] {
    const Lines lines([&] { return SourceLine{file, 99}; });
    return record([&](const Tensors& in) { return with(in); }, like);
  }();
  expect_in("= cos a  # net.py:1\n", again.to_string());
}

class Files : public testing::Test {
 protected:
  Files() { std::filesystem::create_directories(folder); }
  ~Files() override { std::filesystem::remove_all(folder); }
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / str("tidu-program-", ::getpid());
  const std::string path = (folder / "model.tidu").string();
};

TEST_F(Files, KeepThePrograms) {
  Program program = layer();
  program.names = {{"x", "b"}, {"y"}, "as the host likes"};
  program.save(path);
  const Program loaded = Program::load(path);
  EXPECT_EQ(loaded, program);
  EXPECT_EQ(loaded.names.inputs, program.names.inputs);
  EXPECT_EQ(loaded.names.trees, program.names.trees);
  const Tensors arguments{numbers({4, 3}), numbers({2})};
  EXPECT_EQ(to_vector<double>(loaded(arguments)[0]), to_vector<double>(program(arguments)[0]));
  const auto named = loaded.by_name({{"b", arguments[1]}, {"x", arguments[0]}});
  EXPECT_EQ(to_vector<double>(named.at("y")), to_vector<double>(program(arguments)[0]));
  EXPECT_THROW((void)loaded.by_name({{"x", arguments[0]}}), ValueError);
  EXPECT_THROW((void)loaded.by_name({{"b", arguments[1]}, {"x", arguments[0]}, {"c", arguments[0]}}),
               ValueError);
  // Again from what was loaded: the same bytes.
  const std::string bytes = io::read_file(path);
  loaded.save(path);
  EXPECT_EQ(io::read_file(path), bytes);
}

TEST_F(Files, AreReadByDerivatives) {
  const Program program = layer();
  program.save(path);
  const Program loaded = Program::load(path);
  const Tensors at{numbers({4, 3}), numbers({2})};
  const auto gradient = [&](const Program& p) {
    return to_vector<double>(grad([&](const Tensor& x) {
      return sum(square(p(Tensors{x, at[1]})[0]));
    })(at[0]));
  };
  EXPECT_EQ(gradient(loaded), gradient(program));
}

TEST_F(Files, MissingOrOther) {
  EXPECT_THROW(Program::load(path), MissingFileError);
  io::save(path, {{"w", numbers({2})}});
  EXPECT_THROW(Program::load(path), FileError);
  Program broken = layer();
  broken.outputs = {77};
  EXPECT_THROW(broken.save((folder / "broken.tidu").string()), ValueError);
  EXPECT_FALSE(std::filesystem::exists(folder / "broken.tidu"));
}

// Calls a function of the host, which no file holds.
Primitive host_call("host_call", {.batching = batch_by_fields,
                                  .attrs = Attributes::Unsaved{"it calls a function of the host"},
                                  .infer = [](const SpecCall& call,
                                              std::span<Spec> outputs) { outputs[0] = call.inputs[0]; },
                                  .derivative = Zero{},
                                  .flops = no_flops});

struct HostAttrs {
  std::function<void()> function;
  void fields(auto&& field) const { field("function", Function{}); }
  struct Function {
    bool operator==(const Function&) const { return true; }
    friend uint64_t hash_value(const Function&) { return 0; }
  };
};

TEST_F(Files, RefuseWhatTheyCannotHold) {
  const Program program =
      record([](const Tensors& in) { return Tensors{bind(host_call, {sin(in[0])}, HostAttrs{[] {}})}; },
             std::vector<Spec>{{{2}, DType::float32, {}}});
  program.verify();
  EXPECT_EQ(program.instructions[1].attrs.to_string(), "function=host function");
  try {
    program.save(path);
    FAIL() << "it was saved";
  } catch (const ValueError& error) {
    EXPECT_STREQ(error.what(),
                 "[save] instruction 1 (host_call) cannot be saved: it calls a function of the host");
  }
}

// --- What is inferred is what is computed

// Verifies a program, and runs it call by call.
void expect_inferred(const std::string& name, const Program& program, const Tensors& arguments) {
  EXPECT_NO_THROW(program.verify()) << name;
  Tensors values(program.variables.size());
  for (size_t i = 0; i < arguments.size(); ++i) values[program.inputs[i]] = arguments[i];
  for (const Program::Constant& constant : program.constants) values[constant.variable] = constant.value;
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    const Program::Instruction& call = program.instructions[i];
    const Tensors results = program.run(call, values);
    ASSERT_EQ(results.size(), call.outputs.size());
    for (size_t k = 0; k < results.size(); ++k) {
      EXPECT_EQ(results[k].spec(), program.variables[call.outputs[k]]) << name << ": " << describe(call, i);
      values[call.outputs[k]] = results[k];
    }
  }
}

// Of a function of one matrix: itself, and its derivatives by jvp and by vjp and of these by both.
std::vector<Function> with_derivatives(const Function& f) {
  const auto pushed = [](const Function& g) -> Function {
    return [g](const Tensors& x) { return jvp(g, {x[0]}, {x[0] * 0.5}).tangents; };
  };
  const auto pulled = [](const Function& g) -> Function {
    return [g](const Tensors& x) {
      const Vjp at = vjp(g, {x[0]});
      Tensors cotangents;
      for (const Tensor& y : at.outputs) cotangents.push_back(astype(cos(real(y)), y.dtype()));
      return at.pullback(cotangents);
    };
  };
  return {
      f, pushed(f), pulled(f), pushed(pushed(f)), pulled(pushed(f)), pushed(pulled(f)), pulled(pulled(f))};
}

TEST(Inferred, WhatDerivativesOfFactorsCompute) {
  const auto hermitian = [](const Tensor& x) { return x + matrix_transpose(conj(x)); };
  const std::vector<std::tuple<const char*, Shape, Function>> functions{
      {"eigvalsh", {2, 3, 3}, [&](const Tensors& x) { return Tensors{linalg::eigvalsh(hermitian(x[0]))}; }},
      {"eigh",
       {2, 3, 3},
       [&](const Tensors& x) {
         const auto [w, v] = linalg::eigh(hermitian(x[0]));
         return Tensors{w, abs(v)};
       }},
      {"svdvals tall", {2, 4, 3}, [](const Tensors& x) { return Tensors{linalg::svdvals(x[0])}; }},
      {"svdvals wide", {3, 4}, [](const Tensors& x) { return Tensors{linalg::svdvals(x[0])}; }},
      {"svd",
       {2, 4, 3},
       [](const Tensors& x) {
         const auto [u, s, vh] = linalg::svd(x[0], false);
         return Tensors{abs(u), s, abs(vh)};
       }},
      {"all of svd",
       {3, 4},
       [](const Tensors& x) {
         const auto [u, s, vh] = linalg::svd(x[0]);
         return Tensors{abs(u), s, matmul(matrix_transpose(conj(vh)), vh)};
       }},
      {"qr",
       {2, 4, 3},
       [](const Tensors& x) {
         const auto [q, r] = linalg::qr(x[0]);
         return Tensors{q, r};
       }},
      {"all of qr",
       {4, 3},
       [](const Tensors& x) {
         const auto [q, r] = linalg::qr(x[0], true);
         return Tensors{matmul(q, matrix_transpose(conj(q))), r};
       }},
      {"pinv", {2, 4, 3}, [](const Tensors& x) { return Tensors{linalg::pinv(x[0])}; }},
      {"matrix_exp", {2, 3, 3}, [](const Tensors& x) { return Tensors{linalg::matrix_exp(x[0])}; }},
  };
  for (const auto& [name, shape, function] : functions) {
    for (const bool is_complex : {false, true}) {
      Shape parts = shape;
      parts.push_back(2);
      const Tensor x = is_complex ? view_as_complex(numbers(parts)) : numbers(shape);
      for (const Function& derivative : with_derivatives(function)) {
        const std::vector<Spec> specs{x.spec()};
        expect_inferred(str(name, is_complex ? ", complex" : ""), record(derivative, specs), {x});
      }
    }
  }
}

}  // namespace
}  // namespace tidu
