// Recording a function as a program.
#pragma once

#include <unordered_map>

#include "core/trace.h"
#include "program/program.h"

namespace tidu {

// Writes each call into a program, those that create tensors among them, and makes a constant of each tensor
// from outside that the program uses. Variables of a program have one value each, while tensors share memory
// and are overwritten: so a tensor's link names a *place*, which knows whose view it is. A write to a place
// gives new values to the places that it lies in; a place whose memory was written to since is viewed again
// when it is next used.
class Recorder : public Trace {
 public:
  // Whether calls on what does not depend on the arguments are recorded, or only their results, as constants.
  enum class Fold : bool { nothing, constants };
  explicit Recorder(Fold fold = Fold::nothing) : fold_(fold) {}

  void record(const Call& call, bool differentiable) override;
  void record_custom(CustomCall& call, bool differentiable) override;
  bool differentiates() const override { return false; }
  bool defers(std::span<const Tensor> inputs) const override { return !folds(inputs); }

  // A row-major argument of the program, whose value is not known.
  Tensor add_input(const Spec& spec);
  // With Fold::constants `known` becomes the values of the variables that do not depend on the arguments, as
  // far as calls that were recorded gave them and nobody wrote to them; the others are undefined.
  Program finish(std::span<const Tensor> outputs, Tensors* known = nullptr);

 protected:
  explicit Recorder(Outermost outermost) : Trace(outermost), fold_(Fold::nothing) {}

  // The place of a tensor from outside that the program is not known to use yet: a constant.
  virtual int place_outside(const Tensor& tensor);
  // Whether one may be overwritten: throws where not.
  virtual void overwrite_outside(int place, const Call& call);
  // Of a further input, which may be an argument or from outside.
  int add_place(const Tensor& input, bool outside);
  // Of a tensor that the program begins with, and may overwrite as its own.
  int add_made(const Tensor& made, const Tensor& value);

 private:
  struct Place {
    int value;             // the variable of its value ..
    int base = -1;         // .. at the version of its root, whose memory it shows; -1: of its own
    uint64_t version = 0;  // of a root: how often its memory was written to
    int instruction = -1;  // that made the view
    bool outside = false;  // of a root: no argument, was there before the program
    bool moves = false;    // of a root: its value is not the same for all arguments
  };

  bool knows(std::span<const Tensor> tensors) const;
  bool folds(std::span<const Tensor> inputs) const;
  bool folds(const Call& call) const;
  bool moves(std::span<const Tensor> tensors) const;
  void keep_constants(std::span<const Tensor> overwritten);
  int new_variable(const Tensor& tensor);
  int new_place(const Tensor& tensor);
  int place_of(const Tensor& tensor);
  int root_of(int place) const;
  int value_of(int place);
  Tensor tensor_of(int variable);
  void write(int place, int variable, const Call& call, bool differentiable, bool moving);
  void append(const Primitive& primitive, const Attrs& attrs, std::vector<int> inputs,
              std::vector<int> outputs, bool differentiable);

  const Fold fold_;
  Program program_;
  std::vector<Place> places_;
  std::vector<int> inputs_;                             // places
  std::unordered_map<const TensorImpl*, int> outside_;  // kept alive by program_.constants
  std::unordered_map<int, Tensor> known_;               // by variable
};

// remove_unused, and the new numbers of variables, -1 for those that went.
std::vector<int> remove_and_renumber(Program& program);

// The TraceError of a recorder whose program is not to write to what it closes over.
[[noreturn]] void fail_on_outside(const char* op, const Tensor& target);

// The program of `function` for arguments of these specs, whose values are not known: reading one inside is
// a TraceError.
Program record(const Function& function, Specs like, Recorder::Fold fold = Recorder::Fold::nothing,
               Tensors* known = nullptr);

}  // namespace tidu
