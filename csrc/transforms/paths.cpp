// Paths of derivatives: a trace that follows each argument through the calls.
#include "transforms/paths.h"

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "ops/shape.h"

namespace tidu {
namespace {

// How a tensor depends on one argument: not at all, by derivatives, or only through what cuts the path.
struct Way {
  bool open = false;
  std::shared_ptr<const std::string> cut;

  bool leads() const { return open || cut; }
};
struct Ways : RefCounted {
  explicit Ways(size_t count) : of_argument(count) {}
  bool open() const { return std::ranges::any_of(of_argument, &Way::open); }
  std::vector<Way> of_argument;
};

bool has_partial(const Call& call, size_t i) {
  const Derivative& derivative = call.primitive.derivative;
  if (std::holds_alternative<Zero>(derivative) || !is_differentiable(call.inputs[i].dtype())) return false;
  if (const auto* form = std::get_if<Elementwise>(&derivative))
    return form->partials[i].kind != Partial::none;
  if (const auto* form = std::get_if<LinearMap>(&derivative)) return (form->linear & input_bit(i)) != 0;
  if (const auto* form = std::get_if<Multilinear>(&derivative))
    return ((form->factors | form->addends) & input_bit(i)) != 0;
  return true;
}

class PathTrace : public Trace {
 public:
  PathTrace(size_t arguments, const std::function<std::string()>& where)
      : arguments_(arguments), where_(where) {}

  void begin(const Tensor& argument, size_t i) {
    Ref<Ways> ways = make_ref<Ways>(arguments_);
    ways->of_argument[i].open = true;
    set(argument, std::move(ways));
  }

  void record(const Call& call, bool) override {
    for (const Tensor& output : call.outputs) {
      follow(
          call.inputs, output, [&](size_t k) { return has_partial(call, k); },
          [&] { return text_of(call, output); });
    }
  }

  // Rules of the user's own say what their derivatives are.
  void record_custom(CustomCall& call, bool) override {
    const VisibleTraces scope(outer());
    for (const Tensor& output : call.outputs()) {
      follow(
          call.inputs(), output, [](size_t) { return true; },
          [] { return std::string("a custom function"); });
    }
  }

  const Ways* ways_of(const Tensor& tensor) const {
    if (const Link* link = tensor.impl().link(id())) return static_cast<const Ways*>(link->value.get());
    const auto found = closed_.find(&tensor.impl());
    return found == closed_.end() ? nullptr : found->second.second.get();
  }

 private:
  template <class Passes, class Text>
  void follow(std::span<const Tensor> inputs, const Tensor& output, const Passes& passes, const Text& text) {
    const bool has_derivative = is_differentiable(output.dtype());
    Ref<Ways> result;
    std::shared_ptr<const std::string> cut_here;
    for (size_t k = 0; k < inputs.size(); ++k) {
      const Ways* ways = ways_of(inputs[k]);
      if (!ways) continue;
      if (!result) result = make_ref<Ways>(arguments_);
      for (size_t i = 0; i < arguments_; ++i) {
        const Way& before = ways->of_argument[i];
        Way& after = result->of_argument[i];
        if (before.open && has_derivative && passes(k)) {
          after.open = true;
        } else if (before.leads() && !after.cut) {
          if (before.open && !cut_here) cut_here = std::make_shared<const std::string>(text());
          after.cut = before.open ? cut_here : before.cut;
        }
      }
    }
    if (result) set(output, std::move(result));
  }

  // What no derivative depends on has no link, so that code may look at its value.
  void set(const Tensor& tensor, Ref<Ways> ways) {
    if (ways->open()) {
      set_link(tensor, id(), Ref<RefCounted>(ways.get()), 0);
    } else {
      closed_.insert_or_assign(&tensor.impl(), std::pair(tensor, std::move(ways)));
    }
  }

  std::string text_of(const Call& call, const Tensor& output) const {
    std::string text = str("'", call.primitive.name, "'");
    if (!is_differentiable(output.dtype())) text += str(" to ", output.dtype());
    return where_ ? str(text, " at ", where_()) : text;
  }

  const size_t arguments_;
  const std::function<std::string()>& where_;
  std::unordered_map<const TensorImpl*, std::pair<Tensor, Ref<Ways>>> closed_;
};

}  // namespace

Function require_paths(Function function, std::string op, std::function<std::string()> where) {
  return [function = std::move(function), op = std::move(op),
          where = std::move(where)](const Tensors& inputs) {
    PathTrace trace(inputs.size(), where);
    Tensors arguments, outputs;
    for (const Tensor& input : inputs) {
      arguments.push_back(alias(input));
      trace.begin(arguments.back(), arguments.size() - 1);
    }
    {
      const LiveTrace live(trace);
      outputs = function(arguments);
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      bool open = false;
      std::shared_ptr<const std::string> cut;
      for (const Tensor& output : outputs) {
        const Ways* ways = output.defined() ? trace.ways_of(output) : nullptr;
        if (!ways) continue;
        open |= ways->of_argument[i].open;
        if (!cut) cut = ways->of_argument[i].cut;
      }
      if (open) continue;
      if (cut) {
        fail<GradientError>("[", op, "] the derivative by argument ", i, ", ", describe(inputs[i]),
                            ", is zero because ", *cut, " cuts the path: it has no derivative but zero ",
                            "(compute the result without it, or leave strict out where zero is meant)");
      }
      fail<GradientError>("[", op, "] the derivative by argument ", i, ", ", describe(inputs[i]),
                          ", is zero because the result does not depend on it, but perhaps inside no_grad ",
                          "(leave strict out where that is meant)");
    }
    return outputs;
  };
}

}  // namespace tidu
