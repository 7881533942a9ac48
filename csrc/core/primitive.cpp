// The list of primitives.
#include "core/primitive.h"

namespace tidu {
namespace {

std::vector<Primitive*>& registry() {
  static std::vector<Primitive*> primitives;
  return primitives;
}

}  // namespace

Primitive::Primitive(const char* name, Infer infer, Derivative derivative, int num_outputs)
    : name(name), infer(infer), derivative(std::move(derivative)), num_outputs(num_outputs) {
  registry().push_back(this);
}

Primitive::Primitive(const char* name, View view, Derivative derivative)
    : name(name), view(view), derivative(std::move(derivative)) {
  registry().push_back(this);
}

Primitive::Primitive(InPlace, const char* name, Infer check) : Primitive(name, check, Zero{}) {
  overwrites = true;
}

Primitive Primitive::in_place(const char* name, Infer check) { return Primitive(InPlace{}, name, check); }

const std::vector<Primitive*>& all_primitives() { return registry(); }

Reads reads_of(const Primitive& primitive, Reads tracked) {
  struct Visitor {
    Reads tracked;
    Reads operator()(const Zero&) const { return 0; }
    Reads operator()(const Elementwise& form) const {
      Reads reads = 0;
      for (size_t i = 0; i < form.partials.size(); ++i) {
        if (tracked & input_bit(i)) reads |= form.partials[i].reads;
      }
      return reads;
    }
    Reads operator()(const Linear& form) const { return form.reads; }
    Reads operator()(const Bilinear&) const {
      return (tracked & kInput0 ? kInput1 : 0) | (tracked & kInput1 ? kInput0 : 0);
    }
    Reads operator()(const Custom& form) const { return form.reads; }
  };
  return std::visit(Visitor{tracked}, primitive.derivative);
}

}  // namespace tidu
