// The transforms over flat lists of tensors; pytrees are dealt with in Python (tidu/_transforms.py).
#include "callables.h"
#include "compile/simplify.h"
#include "ops/operations.h"
#include "program/recorder.h"
#include "transforms/cost.h"
#include "transforms/graph.h"
#include "user_line.h"

namespace tidu::python {
namespace {

// `matrix` over lists: the blocks of a matrix of derivatives as a list of lists.
template <class F>
auto as_matrix(Blocks (*matrix)(const F&, const Tensors&, Chunk), F (*adopt)(const py::function&)) {
  return [=](const py::function& function, const py::object& primals, Chunk chunk) {
    const F adopted = adopt(function);
    const Tensors inputs = to_tensors(primals);
    const Blocks blocks = [&] {
      const WithoutLock unlocked;
      return matrix(adopted, inputs, chunk);
    }();
    py::list result;
    for (const Tensors& row : blocks) result.append(to_list(row));
    return result;
  };
}

using SpecTuples = std::vector<std::tuple<Shape, DType, Device>>;
std::vector<Spec> specs_of(const SpecTuples& tuples) {
  std::vector<Spec> specs;
  for (const auto& [shape, dtype, device] : tuples) specs.push_back({shape, dtype, device});
  return specs;
}

// The values of all variables of a program for values of its inputs and then its constants. What it writes to
// its arguments is not done.
Tensors values_of(const Program& program, const Tensors& given) {
  Tensors values(program.variables.size());
  const size_t num_inputs = program.inputs.size();
  for (size_t i = 0; i < given.size(); ++i) {
    values[i < num_inputs ? program.inputs[i] : program.constants.at(i - num_inputs).variable] = given[i];
  }
  for (const Program::Instruction& instruction : program.instructions) {
    const Tensors results = program.run(instruction, values);
    for (size_t i = 0; i < results.size(); ++i) values[instruction.outputs[i]] = results[i];
  }
  return values;
}

py::dict to_dict(const Cost& cost) {
  using namespace py::literals;
  const auto& [multiply_adds, arithmetic, transcendental] = cost.flops;
  return py::dict("calls"_a = cost.calls,
                  "flops"_a = py::dict("multiply_adds"_a = multiply_adds, "arithmetic"_a = arithmetic,
                                       "transcendental"_a = transcendental, "total"_a = cost.flops.total()),
                  "bytes"_a = cost.bytes, "bytes_in_groups"_a = cost.bytes_in_groups,
                  "argument_bytes"_a = cost.argument_bytes, "peak_bytes"_a = cost.peak_bytes,
                  "arena_bytes"_a = cost.arena_bytes);
}

// A scope of no_grad or enable_grad. Scopes must be left in the reverse order of their beginning; one left
// otherwise (by a suspended generator, say) is an error and stays until those begun since are left, which
// refer to it. None is begun by its construction: where memory for what pybind11 notes about the object runs
// out, it is not destroyed.
class GradScope {
 public:
  GradScope() = default;
  void begin(bool enabled) {
    drop_left();
    modes().push_back(std::make_shared<Mode>(enabled));
    mode_ = modes().back();
  }
  ~GradScope() { leave(); }
  GradScope(const GradScope&) = delete;

  // Whether it was the innermost.
  bool leave() noexcept {
    bool innermost = true;
    if (const auto mode = mode_.lock()) {
      innermost = mode->mode.is_innermost();
      mode->left = true;
    }
    drop_left();
    return innermost;
  }

 private:
  struct Mode {
    explicit Mode(bool enabled) : mode(enabled) {}
    GradMode mode;
    bool left = false;
  };

  static std::vector<std::shared_ptr<Mode>>& modes() {
    static thread_local std::vector<std::shared_ptr<Mode>> begun_here;
    return begun_here;
  }
  static void drop_left() noexcept {
    while (!modes().empty() && modes().back()->left && modes().back()->mode.is_innermost())
      modes().pop_back();
  }

  std::weak_ptr<Mode> mode_;
};

void backward(const Tensor& x, const std::optional<Tensor>& gradient, bool retain_graph, bool create_graph) {
  const WithoutLock unlocked;
  x.backward(gradient.value_or(Tensor()), retain_graph, create_graph);
}

}  // namespace

void bind_transforms(py::module_& m) {
  m.def("vjp", [](const py::function& function, const py::object& primals) {
    Vjp result = vjp(as_function(function), to_tensors(primals));
    return py::make_tuple(to_list(result.outputs), as_callable(std::move(result.pullback)));
  });
  m.def("jvp", [](const py::function& function, const py::object& primals, const py::object& tangents) {
    const Jvp result = jvp(as_function(function), to_tensors(primals), to_tensors(tangents));
    return py::make_tuple(to_list(result.outputs), to_list(result.tangents));
  });
  // [i][k - 1] is term k of input or output i.
  const auto along = [](Curve (*curve)(const Function&, const Tensors&, const std::vector<Tensors>&)) {
    return [=](const py::function& function, const py::object& primals, const py::object& terms) {
      std::vector<Tensors> of_primals;
      for (const py::handle series : terms)
        of_primals.push_back(to_tensors(py::reinterpret_borrow<py::object>(series)));
      const Curve result = curve(as_function(function), to_tensors(primals), of_primals);
      py::list of_outputs;
      for (const Tensors& series : result.terms) of_outputs.append(to_list(series));
      return py::make_tuple(to_list(result.outputs), of_outputs);
    };
  };
  m.def("jet", along(&jet));
  m.def("power_series", along(&power_series));
  m.def("value_and_grad", [](const py::function& function, const py::object& primals) {
    const ValueAndGrad result = value_and_grad(as_scalar_function(function), to_tensors(primals));
    return py::make_tuple(result.value, to_list(result.gradients));
  });
  m.def("jacrev", as_matrix<Function>(&jacrev, &as_function), py::arg("function"), py::arg("primals"),
        py::arg("chunk") = py::none());
  m.def("jacfwd", as_matrix<Function>(&jacfwd, &as_function), py::arg("function"), py::arg("primals"),
        py::arg("chunk") = py::none());
  m.def("jacobian", as_matrix<Function>(&jacobian, &as_function), py::arg("function"), py::arg("primals"),
        py::arg("chunk") = py::none());
  m.def("jacobian_mode", [](const py::object& outputs, const py::object& primals) {
    return jacobian_mode(to_tensors(outputs), to_tensors(primals)) == Mode::forward ? "fwd" : "rev";
  });
  m.def("hessian", as_matrix<ScalarFunction>(&hessian, &as_scalar_function), py::arg("function"),
        py::arg("primals"), py::arg("chunk") = py::none());
  m.def("hessian_diagonal", [](const py::function& function, const py::object& primals) {
    return to_list(hessian_diagonal(as_scalar_function(function), to_tensors(primals)));
  });
  m.def("hvp", [](const py::function& function, const py::object& primals, const py::object& direction) {
    return to_list(hvp(as_scalar_function(function), to_tensors(primals), to_tensors(direction)));
  });
  m.def("vhp", [](const py::function& function, const py::object& primals, const py::object& direction) {
    return to_list(vhp(as_scalar_function(function), to_tensors(primals), to_tensors(direction)));
  });
  m.def("steepest_direction", [](const py::function& function, const py::object& primals) {
    return to_list(steepest_direction(as_scalar_function(function), to_tensors(primals)));
  });
  m.def("is_differentiable_at",
        [](const py::function& function, const py::object& primals, int64_t directions, uint64_t seed) {
          const Differentiability report =
              is_differentiable_at(as_function(function), to_tensors(primals), directions, seed);
          constexpr const char* kVerdicts[] = {"no objection found", "partials only", "no"};
          return py::make_tuple(kVerdicts[static_cast<int>(report.verdict)], py::cast(report.objections));
        });
  m.def("classify_stationary_point",
        [](const py::function& function, const py::object& primals, std::optional<double> rtol) {
          const StationaryPoint point =
              classify_stationary_point(as_scalar_function(function), to_tensors(primals), rtol);
          constexpr const char* kKinds[] = {"minimum", "maximum", "saddle", "undecided", "not stationary"};
          const auto lists = [](const std::vector<Tensors>& directions) {
            py::list result;
            for (const Tensors& direction : directions) result.append(to_list(direction));
            return result;
          };
          return py::make_tuple(kKinds[static_cast<int>(point.kind)], point.gradient_norm, point.eigenvalues,
                                lists(point.up), lists(point.down), lists(point.flat));
        });
  m.def("check_grads", [](const py::function& function, const py::object& primals, int order, bool forward,
                          bool reverse, std::optional<double> atol, std::optional<double> rtol,
                          std::optional<double> eps, uint64_t seed, std::string name) {
    return check_grads(as_function(function), to_tensors(primals),
                       {order, forward, reverse, atol, rtol, eps, seed, std::move(name)});
  });
  m.def("taylor_polynomial", [](const py::function& function, const py::object& primals,
                                const py::object& step, int64_t order) {
    return to_list(taylor_polynomial(as_function(function), to_tensors(primals), to_tensors(step), order));
  });
  m.def("linearize", [](const py::function& function, const py::object& primals) {
    Linearized result = linearize(as_function(function), to_tensors(primals));
    return py::make_tuple(to_list(result.outputs), as_callable(std::move(result.derivative)));
  });
  m.def("run_batched", [](const py::function& function, const py::object& arguments,
                          const MappedAxes& in_axes, std::optional<int64_t> size, bool loops) {
    const std::vector<Lanes> results = run_batched(as_function(function), to_tensors(arguments), in_axes,
                                                   size, loops ? LaneControl::loop : LaneControl::select);
    py::list tensors, apart;
    for (const Lanes& lanes : results) {
      tensors.append(lanes.value);
      apart.append(lanes.kind == Lanes::apart);
    }
    return py::make_tuple(tensors, apart);
  });
  m.def("scan", [](const py::function& step, const py::object& carry, const py::object& slices,
                   std::optional<int64_t> length, bool reverse, std::optional<int64_t> checkpoint_every) {
    const Scan done =
        scan(as_function(step), to_tensors(carry), to_tensors(slices), {length, reverse, checkpoint_every});
    return py::make_tuple(to_list(done.carry), to_list(done.results));
  });
  m.def("cond", [](const Tensor& predicate, const py::function& on_true, const py::function& on_false,
                   const py::object& operands) {
    return to_list(cond(predicate, as_function(on_true), as_function(on_false), to_tensors(operands)));
  });
  m.def("while_loop", [](const py::function& condition, const py::function& body, const py::object& carry,
                         std::optional<int64_t> max_steps) {
    return to_list(while_loop(as_function(condition), as_function(body), to_tensors(carry), max_steps));
  });
  m.def("checkpoint",
        [](const py::function& function, const py::object& arguments, std::optional<int64_t> budget) {
          return to_list(checkpoint(as_function(function), to_tensors(arguments), budget));
        });
  m.def("pure_callback", [](const py::function& function, const SpecTuples& results,
                            const py::object& arguments, bool all_lanes) {
    return to_list(pure_callback(as_function(function), specs_of(results), to_tensors(arguments),
                                 all_lanes ? LanesOf::all : LanesOf::one));
  });
  m.def("debug_callback", [](const py::function& function, const py::object& arguments) {
    debug_callback(as_function(function), to_tensors(arguments));
  });
  const auto summed =
      [](Tensors (*transform)(const Function&, const Tensor&, const std::optional<Draws>&, Chunk)) {
        return [=](const py::function& function, const Tensor& x, std::optional<int64_t> samples,
                   const std::optional<Tensor>& key, Chunk chunk) {
          std::optional<Draws> draws;
          if (samples) draws = Draws{*samples, key.value()};
          return to_list(transform(as_function(function), x, draws, chunk));
        };
      };
  m.def("laplacian", summed(&laplacian));
  m.def("biharmonic", summed(&biharmonic));
  m.def("cost",
        [](const py::function& function, const py::object& primals, const py::object& others, bool matrix) {
          py::dict result;
          for (const auto& [name, cost, compiled_bytes] :
               cost(as_function(function), to_tensors(primals), to_tensors(others), matrix)) {
            py::dict counts = to_dict(cost);
            counts["compiled_bytes"] = compiled_bytes;
            result[py::str(name)] = counts;
          }
          return result;
        });
  m.def("require_paths", [](const py::function& function, std::string op, const py::function& where) {
    const auto line = [held = keep(where.ptr())] {
      const WithLock locked;
      return call(held).cast<std::string>();
    };
    return as_callable(require_paths(as_function(function), std::move(op), line));
  });
  // How often what the tensors share their memory with was written to.
  m.def("storage_versions", [](const py::object& tensors) {
    std::vector<uint64_t> versions;
    for (const Tensor& tensor : to_tensors(tensors)) {
      const Ref<Storage>& storage = tensor.impl().storage;
      versions.push_back(storage ? storage->version() : 0);
    }
    return versions;
  });
  m.def("custom_vjp",
        [](const py::function& function, const py::function& forward, const py::object& inputs) {
          const auto evaluate = [held = keep(forward.ptr())](const Tensors& primals) {
            const WithLock locked;  // a rule may run again where it is recorded later
            const py::tuple result = call(held, primals);
            return CustomForward{to_tensors(result[0]), as_function(result[1])};
          };
          return to_list(custom_vjp(as_function(function), evaluate, to_tensors(inputs)));
        });
  m.def("custom_jvp", [](const py::function& function, const py::function& rule, const py::object& inputs) {
    const auto evaluate = [held = keep(rule.ptr())](const Tensors& primals, const Tensors& tangents) {
      const WithLock locked;
      const py::tuple result = call(held, primals, tangents);
      return Jvp{to_tensors(result[0]), to_tensors(result[1])};
    };
    return to_list(custom_jvp(as_function(function), evaluate, to_tensors(inputs)));
  });
  py::class_<Program>(m, "RecordedProgram")
      .def("__call__",
           [](const Program& program, const py::object& arguments) {
             const Tensors inputs = to_tensors(arguments);
             return to_list(program(inputs));
           })
      .def("__str__", &Program::to_string)
      .def("__eq__", [](const Program& a, const Program& b) { return a == b; })
      .def("__hash__",
           [](const Program& program) {
             return hash_value(ProgramField{{std::shared_ptr<const Program>(), &program}});
           })
      .def("verify", &Program::verify)
      .def("save", &Program::save)
      .def_static("load", &Program::load)
      .def("set_names",
           [](Program& program, std::vector<std::string> inputs, std::vector<std::string> outputs) {
             program.names.inputs = std::move(inputs);
             program.names.outputs = std::move(outputs);
           })
      .def_property_readonly("input_names", [](const Program& program) { return program.names.inputs; })
      .def_property(
          "trees", [](const Program& program) { return program.names.trees; },
          [](Program& program, std::string trees) { program.names.trees = std::move(trees); })
      .def_property_readonly("writes",
                             [](const Program& program) {
                               py::list result;
                               for (const Program::Write& write : program.writes) result.append(write.input);
                               return result;
                             })
      .def_readonly("inputs", &Program::inputs)
      .def_readonly("outputs", &Program::outputs)
      .def_property_readonly("output_specs",
                             [](const Program& program) {
                               SpecTuples specs;
                               for (int variable : program.outputs) {
                                 const auto& [shape, dtype, device] = program.variables[variable];
                                 specs.emplace_back(shape, dtype, device);
                               }
                               return specs;
                             })
      .def_property_readonly("constants",
                             [](const Program& program) {
                               py::list result;
                               for (const Program::Constant& constant : program.constants)
                                 result.append(py::make_tuple(constant.variable, constant.value));
                               return result;
                             })
      .def_property_readonly("calls",
                             [](const Program& program) {
                               py::list result;
                               for (const Program::Instruction& call : program.instructions)
                                 result.append(py::make_tuple(call.primitive->name, call.attrs.to_string(),
                                                              call.inputs, call.outputs));
                               return result;
                             })
      .def("simplified", [](const Program& program) { return simplify(program); })
      .def("cost", [](const Program& program) { return to_dict(cost_of(program)); })
      .def("values", [](const Program& program, const py::object& given) {
        return to_list(values_of(program, to_tensors(given)));
      });
  m.def("graph_of", [](const Tensor& tensor) {
    TensorGraph graph = graph_of(tensor);
    return py::make_tuple(std::move(graph.program), to_list(graph.arguments));
  });
  m.def("record", [](const py::function& function, const SpecTuples& like) {
    UserLine line;
    const Lines lines([&] { return line(); });
    return record(as_function(function), specs_of(like));
  });
  bind_sparse(m);
  bind_compile(m);
  bind_implicit(m);
  m.def("is_grad_enabled", &is_grad_enabled, "Whether operations are recorded for derivatives here.");
  example("is_grad_enabled", "td.is_grad_enabled()", "True");
  m.def("is_tracked", &is_tracked, "Whether some transform that is live here differentiates by the tensor.");
  const Definitions define{m};
  define.method(
      "requires_grad_",
      [](py::object self, bool value) {
        tensor_of(self.ptr()).set_requires_grad(value);
        return self;
      },
      py::arg("requires_grad") = true, "Sets requires_grad and returns this tensor.");
  example("Tensor.requires_grad_", "td.zeros(2).requires_grad_()",
          "tensor([0., 0.], dtype=float32, requires_grad=True)");
  define.method(
      "backward", backward, py::arg("gradient") = py::none(), py::arg("retain_graph") = false,
      py::arg("create_graph") = false,
      "Adds the derivative of this tensor to `grad` of every leaf that requires one. `gradient`, of this "
      "tensor's\n"
      "shape, may be left out for one element. The graph is freed unless retain_graph; with create_graph "
      "the\n"
      "gradients can be differentiated again.");
  example("Tensor.backward",
          "x = td.tensor([1.0, 2.0], requires_grad=True)\n"
          "(x * x).sum().backward()\n"
          "x.grad",
          "tensor([2., 4.], dtype=float32)");
  py::class_<std::function<void()>>(m, "HookHandle", "What register_hook gives.")
      .def("remove", [](const std::function<void()>& end) { end(); });
  define.method(
      "register_hook",
      [](const py::object& self, const py::function& hook) {
        auto end = register_hook(tensor_of(self.ptr()), PythonHook{keep(hook.ptr())});
        if (!PyObject_GC_IsTracked(self.ptr())) PyObject_GC_Track(self.ptr());
        return end;
      },
      py::arg("hook"),
      "Calls hook(gradient) with each gradient of this tensor that backward() computes; what it returns, "
      "unless\n"
      "None, stands for the gradient from there on. The result's remove() ends that. A hook may close over\n"
      "this tensor: Python's collector of cycles frees both when nothing else has the tensor or a graph of "
      "it.\n"
      "That does not see a graph in `grad`: of a leaf with such a hook, and a grad made with create_graph,\n"
      "set grad to None when it is no longer used.");
  example("Tensor.register_hook",
          "x = td.tensor([1.0], requires_grad=True)\n"
          "handle = x.register_hook(lambda gradient: 10 * gradient)\n"
          "(3 * x).sum().backward()\n"
          "x.grad",
          "tensor([30.], dtype=float32)");
  define.method(
      "retain_grad", [](const py::object& self) { retain_grad(tensor_of(self.ptr())); },
      "Lets `grad` of the result of an operation collect its gradient, as that of a leaf does.");
  example("Tensor.retain_grad",
          "x = td.tensor([1.0], requires_grad=True)\n"
          "y = 2 * x\n"
          "y.retain_grad()\n"
          "(y * y).sum().backward()\n"
          "y.grad",
          "tensor([4.], dtype=float32)");
  m.def(
      "_check_escape",
      [](const Tensor& x, const char* op, bool leaves) {
        check_escape(x, op, leaves ? Differentiated::leaf : Differentiated::no);
      },
      py::arg("x"), py::arg("op"), py::arg("leaves") = false,
      "A GradientError where x as plain numbers would lose a derivative; with `leaves`, that of a leaf may.");
  py::class_<GradScope>(m, "GradScope")
      .def(py::init())
      .def("begin", &GradScope::begin)
      .def("leave", &GradScope::leave);
}

}  // namespace tidu::python
