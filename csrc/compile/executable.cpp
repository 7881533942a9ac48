// Preparing a program's kernels, and running them.
#include "compile/executable.h"

#include <algorithm>
#include <new>

#include "backend/backend.h"
#include "compile/again.h"
#include "compile/pairs.h"
#include "compile/pieces.h"
#include "compile/replay.h"
#include "compile/simplify.h"
#include "compile/turn.h"
#include "compile/updates.h"
#include "core/bind.h"
#include "core/host_lock.h"
#include "core/trace.h"
#include "diagnostics/profile.h"
#include "tensor/overlap.h"

namespace tidu {
namespace {

const Attrs kNone;

// Whether it, or a program that it holds, shows tensors to code of the host, which may keep them.
bool calls_host(const Primitive& primitive, const Attrs& attrs) {
  if (primitive.attrs.why_unsaved) return true;
  for (const auto& [name, value] : attrs.fields()) {
    const auto* const held = std::get_if<std::shared_ptr<const Program>>(&value);
    if (held && *held && std::ranges::any_of((*held)->instructions, [](const auto& call) {
          return calls_host(*call.primitive, call.attrs);
        }))
      return true;
  }
  return false;
}

// Writes of what lies in the memory of some argument that is written to, from memory of their own.
Program with_copied_writes(Program program, const Tensors& values) {
  for (Program::Write& write : program.writes) {
    const auto is_of = [&](const Program::Write& other) {
      const int input = program.inputs[other.input];
      return write.variable != program.inputs[write.input] &&
             values[write.variable].impl().storage == values[input].impl().storage;
    };
    if (std::ranges::none_of(program.writes, is_of)) continue;
    program.variables.push_back(Spec(program.variables[write.variable]));
    const int copied = static_cast<int>(program.variables.size()) - 1;
    program.instructions.push_back({&primitives::copy, {}, {write.variable}, {copied}});
    write.variable = copied;
  }
  return program;
}

Tensor over(const Ref<Storage>& storage, const Tensor& like, int64_t bytes) {
  const Tensor base = Tensor::abstract(like.shape(), like.dtype(), like.device());
  base.impl().storage = storage;
  return base.view(like.shape(), like.strides(),
                   bytes / static_cast<int64_t>(size_of(like.dtype())) + like.impl().offset);
}

// What is left of a donated tensor has no value. The other has its memory.
Tensor take(const Tensor& donated) {
  TensorImpl& impl = donated.impl();
  const Tensor result = donated.view(donated.shape(), donated.strides(), impl.offset);
  impl.storage = Storage::donated(impl.device);
  impl.version = 0;
  return result;
}

// One thing to do, with all that it needs: a kernel's call, a group, a call and the products that it reads,
// a call whose programs are prepared, or one that goes through bind.
struct Step {
  const Primitive* primitive = nullptr;
  const Attrs* attrs = &kNone;
  Tensors inputs{}, outputs{};
  void* workspace = nullptr;
  Kernel kernel = nullptr;
  const GroupKernel* group = nullptr;
  std::vector<Factors> products{};
  PreparedCall::Run held{};
  std::string label{}, shape{};  // of several calls, for a profile
  Device device{};
  Backend* queued = nullptr;  // of a group on a device with queues
  std::vector<const void*> from{};
  std::vector<void*> to{};
  bool calls_host = false;
};

Kernel kernel_of(const Primitive& primitive, Device device) {
  return primitive.kernels[static_cast<int>(device.type)];
}

template <class Run> void noted(const Call& call, const Run& run) {
  if (Profile* const profile = Profile::active()) return profile->run(call, run);
  run();
}

void run_through_bind(Step& step) {
  Tensors operands = step.inputs, results(step.outputs.size());
  if (step.calls_host) {
    for (Tensor& operand : operands) operand = tidu::bind(primitives::copy, {operand});
  }
  tidu::bind(*step.primitive, operands, *step.attrs, results,
             results.empty() ? Device() : step.outputs[0].device());
  for (size_t i = 0; i < results.size(); ++i) copy_into(step.outputs[i], results[i]);
}

// All that a call on the cpu puts together, where some of it is there already; else nothing.
std::vector<Piece> pieces_in_place(Step& step) {
  if (step.outputs.size() != 1 || step.outputs[0].device().type != DeviceType::cpu) return {};
  std::vector<Piece> pieces = pieces_of({*step.primitive, step.inputs, *step.attrs, step.outputs});
  return std::ranges::any_of(pieces, lies_there) ? pieces : std::vector<Piece>();
}

// What stands in a frame for tensors that are others at each call.
class StandIns {
 public:
  StandIns(const Program& program, const std::vector<int>& variables) {
    for (int variable : variables) {
      const Spec& spec = program.variables[variable];
      const size_t bytes = static_cast<size_t>(num_elements(spec.shape)) * size_of(spec.dtype);
      storages_.push_back(make_ref<Storage>(spec.device, nullptr, bytes, nullptr, true));
    }
  }
  const Ref<Storage>& operator[](size_t i) const { return storages_[i]; }
  const std::vector<Ref<Storage>>& all() const { return storages_; }

  // While one lives the memory of tensors stands in the places.
  class Filled {
   public:
    Filled(const StandIns& places, std::span<const Tensor> tensors) : places_(places), tensors_(tensors) {
      for (size_t i = 0; i < tensors.size(); ++i) {
        places[i]->point_at(tensors[i].raw_data());
        places[i]->set_queue(tensors[i].impl().storage->queue());
      }
    }
    ~Filled() {
      for (size_t i = 0; i < tensors_.size(); ++i) tensors_[i].impl().storage->set_queue(places_[i]->queue());
    }
    Filled(const Filled&) = delete;

   private:
    const StandIns& places_;
    std::span<const Tensor> tensors_;
  };

 private:
  std::vector<Ref<Storage>> storages_;
};

}  // namespace

// All that one call in flight needs.
struct Executable::Frame {
  // A pointer of a group into memory that is another one at each call.
  struct Moving {
    const void** place;
    const Storage* storage;
    int64_t offset;
  };

  Frame(const Program& program, bool joins)
      : arguments(program, program.inputs), results(program, program.outputs), joins(joins) {}

  Tensors arenas{};
  StandIns arguments, results;
  const bool joins;
  std::vector<Step> steps{};
  std::vector<Moving> moving{};
  std::vector<const void*> apart{};  // where arguments were when they were seen to lie apart
  std::optional<Replay> replay{};    // what graphs of devices have of the steps

  void run(bool is_long, bool in_graphs) {
    for (const Moving& pointer : moving)
      *pointer.place = static_cast<const char*>(pointer.storage->data()) + pointer.offset;
    Replay* const graphs = in_graphs ? replaying() : nullptr;
    std::optional<Unlocked> unlocked(is_long);
    for (size_t i = 0; i < steps.size(); ++i) {
      Step& step = steps[i];
      if (const size_t next = graphs ? graphs->launch(i) : i; next > i) {
        i = next - 1;
      } else if (is_issued(step)) {
        issue(step);
      } else {
        unlocked.reset();
        if (step.held) {
          step.held(step.inputs, step.outputs);
        } else {
          run_through_bind(step);
        }
        unlocked.emplace(is_long);
      }
    }
  }

 private:
  // Whether all that a step does is known beforehand.
  static bool is_issued(const Step& step) { return step.kernel || step.group || !step.products.empty(); }

  static void issue(Step& step) {
    const auto run_noted = [&](const auto& run_step) {
      if (Profile* const profile = Profile::active())
        return profile->note({.name = step.label, .operands = step.shape, .device = step.device}, run_step);
      run_step();
    };
    if (!step.products.empty()) {
      const Call call{*step.primitive, step.inputs, *step.attrs, step.outputs, step.workspace};
      run_noted([&] { backend(step.device).run(call, step.products); });
    } else if (step.kernel) {
      Call call{*step.primitive, step.inputs, *step.attrs, step.outputs, step.workspace};
      const Device device = (step.outputs.empty() ? step.inputs : step.outputs)[0].device();
      const WorkspaceBytes needed = step.primitive->workspaces[static_cast<int>(device.type)];
      const Tensor borrowed =
          borrow(device.type != DeviceType::cpu && needed ? needed(call) : 0, device, call.workspace);
      noted(call, [&] { step.kernel(call); });
    } else {
      void* workspace = step.workspace;
      const Tensor borrowed = borrow(step.queued ? step.group->workspace_bytes() : 0, step.device, workspace);
      if (step.queued) {
        step.queued->use(step.inputs);
        step.queued->use(step.outputs);
      }
      run_noted([&] { step.group->run(step.from.data(), step.to.data(), workspace); });
    }
  }

  // Points a workspace at memory of a device with queues, in the order of the call's; how products are
  // computed may have been set anew since it was planned.
  static Tensor borrow(size_t bytes, Device device, void*& workspace) {
    if (bytes == 0) return Tensor();
    const Tensor borrowed = Tensor::empty({static_cast<int64_t>(bytes)}, DType::uint8, device);
    workspace = borrowed.raw_data();
    return borrowed;
  }

  // From the second call on, where devices have graphs: at the first one whatever is made once is made, such
  // as handles of libraries. Joining, which compiles, comes with the third, which few programs see that are
  // not called often. A profile is of the calls one by one.
  Replay* replaying() {
    const int call = ++calls_;
    if (call == 1 || Profile::active() || !has_graphs()) return nullptr;
    if (replay && replay->is_stale()) replay.reset();
    if (!replay) {
      std::vector<Ref<Storage>> moving = arguments.all();
      moving.insert(moving.end(), results.all().begin(), results.all().end());
      std::vector<Replay::Step> all;
      for (Step& step : steps) all.push_back(as_piece(step));
      replay.emplace(std::move(all), std::move(moving));
      return &*replay;
    }
    try {
      replay->renew();
      if (call == 3 && joins) replay->join();
    } catch (const std::exception&) {
      replay.reset();  // the calls say themselves what is wrong
      return nullptr;
    }
    return &*replay;
  }

  bool has_graphs() const {
    return std::ranges::any_of(steps, [](const Step& step) {
      const Device device = step.outputs.empty() ? Device() : step.outputs[0].device();
      return device.type != DeviceType::cpu && backend(device).has_graphs();
    });
  }

  static Replay::Step as_piece(Step& step) {
    if (step.calls_host) return {"it calls code of the host"};
    if (!is_issued(step)) return {"it is made of calls that it chooses as it runs"};
    Replay::Step piece{"", step.outputs.empty() ? Device() : step.outputs[0].device(), step.outputs,
                       step.outputs.size(), [&step] { issue(step); }};
    piece.operands.insert(piece.operands.end(), step.inputs.begin(), step.inputs.end());
    for (const Tensor& operand : piece.operands) {
      if (operand.device().type == DeviceType::cpu) return {"it reads or writes memory of the host"};
      if (!(operand.device() == piece.device)) return {"it copies between devices"};
    }
    return piece;
  }

  int calls_ = 0;
};

// A frame for the time of a call.
class Executable::Loan {
 public:
  explicit Loan(const Executable& executable) : executable_(executable) {
    {
      const std::lock_guard lock(executable.mutex_);
      if (!executable.idle_.empty()) {
        frame_ = std::move(executable.idle_.back());
        executable.idle_.pop_back();
      }
    }
    if (frame_) return;
    Tensors arenas;
    for (const MemoryPlan::Arena& arena : executable.plan_.arenas)
      arenas.push_back(Tensor::empty({arena.bytes}, DType::uint8, arena.device));
    frame_ = executable.make_frame(std::move(arenas));
  }
  ~Loan() {
    const std::lock_guard lock(executable_.mutex_);
    try {
      executable_.idle_.push_back(std::move(frame_));
    } catch (const std::bad_alloc&) {  // then the next call makes another one
    }
  }
  Loan(const Loan&) = delete;
  Frame* operator->() const { return frame_.get(); }

 private:
  const Executable& executable_;
  std::unique_ptr<Frame> frame_;
};

Executable::Executable(const Program& program, Layouts layouts, const Passes& passes,
                       std::vector<Donation> donations)
    : original_(program), program_(program), donations_(std::move(donations)), joins_(passes.join) {
  const VisibleTraces none(nullptr);
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    const Spec& spec = program.variables[program.inputs[i]];
    const Tensor like = outline_of_input(program, i, layouts);
    is_row_major_.push_back(like.is_contiguous());
    layouts_.push_back(like.is_contiguous() ? contiguous_strides(spec.shape) : like.strides());
    is_written_.push_back(std::ranges::any_of(
        program.writes, [&](const Program::Write& write) { return write.input == static_cast<int>(i); }));
    for (int axis = 0; is_written_.back() && axis < spec.shape.size(); ++axis) {
      if (spec.shape[axis] > 1 && layouts_.back()[axis] == 0)
        fail<ValueError>("[executable] argument ", i, ", ", spec,
                         ", is written to, but its elements share memory (copy it first)");
    }
  }
  for (const auto& [argument, result] : donations_) {
    if (is_written_[static_cast<size_t>(argument)])
      fail<ValueError>("[executable] argument ", argument, ", ", program.variables[program.inputs[argument]],
                       ", is donated, and written to as well (return the new value instead)");
  }
  if (passes.simplify) program_ = tidu::simplify(program_, Loops::kept, layouts_, passes.fold);
  if (passes.turn) program_ = with_results_turned(std::move(program_), layouts_);
  if (passes.hoist) program_ = hoisted(std::move(program_));
  if (passes.pairs) program_ = with_pairs(std::move(program_));
  program_ = with_copied_writes(program_, outline(program_, layouts_));
  values_ = outline(program_, layouts_);
  if (passes.fuse && passes.products) {
    program_ = with_updates_apart(program_, values_);
    values_ = outline(program_, layouts_);
  }
  build(passes);
  constexpr int kMostRounds = 8;
  for (int round = 0; passes.again && passes.fuse && round < kMostRounds; ++round) {
    std::optional<MadeAgain> less = with_values_made_again(program_, again_, values_, units_, plan_);
    if (!less) break;
    const int64_t bytes = arena_bytes();
    std::tuple before(std::move(program_), std::move(again_), std::move(values_), std::move(units_),
                      std::move(plan_));
    program_ = std::move(less->program);
    again_ = std::move(less->again);
    values_ = outline(program_, layouts_);
    build(passes);
    if (arena_bytes() >= bytes) {
      std::tie(program_, again_, values_, units_, plan_) = std::move(before);
      break;
    }
    if (kept_bytes_ == 0) kept_bytes_ = bytes;
  }
  int64_t elements = 0;
  for (const Unit& unit : units_) {
    for (int variable : unit.outputs) elements += values_[variable].numel();
  }
  is_long_ = elements >= Unlocked::kMany;
}

Executable::~Executable() = default;

// Units and where their values lie, of the program as it is.
void Executable::build(const Passes& passes) {
  units_ = units_of(program_, values_, {passes.fuse, passes.products, again_});
  for (Unit& unit : units_) {
    const Program::Instruction& call = program_.instructions[unit.calls[0]];
    const PrepareCall prepare = unit.group ? nullptr : preparation_of(*call.primitive);
    if (!prepare) continue;
    Tensors inputs, outputs;
    for (int variable : unit.inputs) inputs.push_back(values_[variable]);
    for (int variable : unit.outputs) outputs.push_back(values_[variable]);
    unit.held = prepare({*call.primitive, inputs, call.attrs, outputs}, passes);
  }
  plan_ = plan_memory(program_, values_, units_, passes.in_place, passes.pieces, donations_);
}

int64_t Executable::arena_bytes() const {
  int64_t bytes = 0;
  for (const MemoryPlan::Arena& arena : plan_.arenas) bytes += arena.bytes;
  return bytes;
}

bool Executable::takes(int result, int argument) const {
  return std::ranges::any_of(plan_.taken, [&](const MemoryPlan::Taking& taking) {
    return taking.result == result && taking.argument == argument;
  });
}

int64_t Executable::peak_bytes() const {
  int64_t bytes = arena_bytes();
  for (size_t i = 0; i < program_.outputs.size(); ++i) {
    if (std::ranges::count(plan_.taken, static_cast<int>(i), &MemoryPlan::Taking::result) > 0) continue;
    const Spec& spec = program_.variables[program_.outputs[i]];
    bytes += num_elements(spec.shape) * static_cast<int64_t>(size_of(spec.dtype));
  }
  return bytes;
}

void Executable::check(std::span<const Tensor> arguments) const {
  if (arguments.size() != program_.inputs.size())
    fail<ValueError>("[executable] takes ", program_.inputs.size(), " arguments, not ", arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Tensor& argument = arguments[i];
    const Spec& spec = program_.variables[program_.inputs[i]];
    if (!(argument.spec() == spec))
      fail<ShapeError>("[executable] argument ", i, " is ", describe(argument), " but it was made for ",
                       spec);
    if (argument.is_abstract())
      fail<TraceError>("[executable] argument ", i, ", ", describe(argument), ", has no value yet");
    if (argument.is_contiguous() ? !is_row_major_[i] : argument.strides() != layouts_[i])
      fail<ValueError>("[executable] argument ", i, ", ", describe(argument), ", has strides ",
                       argument.strides(), " but it was made for ", layouts_[i]);
    if (is_written_[i] && !argument.impl().storage->writable())
      fail<ValueError>("[executable] argument ", i, ", ", describe(argument),
                       ", is written to, but is read-only memory (copy it first)");
  }
}

void Executable::check_donated(std::span<const Tensor> arguments) const {
  for (const Donation& donation : donations_) {
    const auto i = static_cast<size_t>(donation.argument);
    const Tensor& argument = arguments[i];
    const Storage& storage = *argument.impl().storage;
    const auto refuse = [&](const auto&... why) {
      fail<ValueError>("[executable] argument ", i, ", ", describe(argument), ", is donated, but ", why...);
    };
    const auto shares = [&](const Tensor& other) { return other.impl().storage.get() == &storage; };
    for (size_t k = 0; k < arguments.size(); ++k) {
      if (k != i && shares(arguments[k]))
        refuse("its memory is also that of argument ", k, " (copy one of them first)");
    }
    if (std::ranges::any_of(original_.constants,
                            [&](const auto& constant) { return shares(constant.value); }))
      refuse("the function closes over it (pass it as the argument alone)");
    if (argument.impl().links)
      refuse("is being differentiated (donate x.detach().copy(), or do not donate it)");
    if (!storage.writable() || !storage.is_own() || storage.bytes() != argument.nbytes())
      refuse(
          "its memory is not its own: read-only, another library's, repeated or a part of more (copy it "
          "first)");
    if (storage.use_count() > 1)
      refuse("other tensors are views of its memory (let go of them, or donate a copy)");
  }
}

void check_apart(std::span<const Tensor> arguments, const Program& program, const std::vector<bool>& known) {
  std::vector<bool> is_written(arguments.size());
  for (const Program::Write& write : program.writes) is_written[static_cast<size_t>(write.input)] = true;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!known.empty() && known[i]) continue;
    for (size_t k = 0; k < arguments.size(); ++k) {
      if (i == k || !(is_written[i] || is_written[k]) || !share_elements(arguments[i], arguments[k]))
        continue;
      const auto [written, other] = is_written[i] ? std::pair(i, k) : std::pair(k, i);
      fail<ValueError>("[executable] argument ", written, ", ", describe(arguments[written]),
                       ", is written to, but shares memory with argument ", other, ", ",
                       describe(arguments[other]), " (copy one of them first)");
    }
  }
}

Tensors Executable::operator()(std::span<const Tensor> arguments) const {
  answer_signals();  // a loop may call it without end
  check(arguments);
  Tensors taken;
  if (!donations_.empty()) {
    check_donated(arguments);
    taken.assign(arguments.begin(), arguments.end());
    for (const Donation& donation : donations_) taken[donation.argument] = take(arguments[donation.argument]);
    arguments = taken;
  }
  const VisibleTraces none(nullptr);
  const Loan frame(*this);
  if (!program_.writes.empty()) {
    std::vector<const void*>& apart = frame->apart;
    apart.resize(arguments.size());
    const auto is_known = [&](const Tensor& argument) {
      return argument.raw_data() == apart[static_cast<size_t>(&argument - arguments.data())];
    };
    if (!std::ranges::all_of(arguments, is_known)) {
      std::vector<bool> known;
      std::ranges::transform(arguments, std::back_inserter(known), is_known);
      check_apart(arguments, program_, known);
      std::ranges::transform(arguments, apart.begin(), &Tensor::raw_data);
    }
  }
  Tensors results;
  results.reserve(program_.outputs.size());
  for (size_t i = 0; i < program_.outputs.size(); ++i) {
    const Spec& spec = program_.variables[program_.outputs[i]];
    const auto place = std::ranges::find(plan_.taken, static_cast<int>(i), &MemoryPlan::Taking::result);
    results.push_back(
        place == plan_.taken.end()
            ? Tensor::empty(spec.shape, spec.dtype, spec.device)
            : arguments[place->argument].view(spec.shape, contiguous_strides(spec.shape), 0, spec.dtype));
  }
  {
    const StandIns::Filled filled(frame->arguments, arguments), with_results(frame->results, results);
    frame->run(is_long_, true);
  }
  for (const Program::Write& write : program_.writes) {
    TensorImpl& argument = arguments[write.input].impl();
    argument.storage->bump_version();
    argument.version = argument.storage->version();
  }
  return results;
}

std::string Executable::explain() const {
  return str("recorded, ", original_.instructions.size(), " calls:\n", original_.to_string(), "\n",
             explain_run());
}

std::string Executable::explain_run() const {
  const std::lock_guard lock(mutex_);
  std::string text = str("run, ", program_.instructions.size(), " calls:\n", program_.to_string());
  const auto name_of = [&](const Unit& unit) {
    return describe(program_.instructions[unit.calls[0]], static_cast<size_t>(unit.calls[0]));
  };
  std::string groups, products, held;
  int in_groups = 0, kernels = 0;
  for (const Unit& unit : units_) {
    ++kernels;
    if (unit.held) held += str("\n", name_of(unit), ", ", unit.held->text);
    for (const auto& [input, product] : unit.products)
      products += str("  input ", input, " of ", name_of(unit), " is computed part by part: ",
                      describe(program_.instructions[product], static_cast<size_t>(product)), '\n');
    if (!unit.group) continue;
    const auto numbers = std::ranges::count(unit.inputs, -1) - (unit.group->product ? 1 : 0);
    groups += str("  ", unit.group->shape, " from ", name_of(unit), ":");
    for (int call : unit.calls) groups += str(' ', program_.instructions[call].primitive->name);
    const auto tensors = std::ranges::count_if(unit.inputs, [](int variable) { return variable >= 0; });
    groups +=
        str("; reads ", tensors, " tensors and ", numbers, " numbers, gives ", unit.outputs.size(), '\n');
    in_groups += static_cast<int>(unit.calls.size());
    --kernels;
  }
  const size_t count = units_.size() - static_cast<size_t>(kernels);
  text += str("\n", kernels, " calls on their own, ", count, " groups of ", in_groups, " calls\n", groups,
              products);
  for (size_t i = 0; i < plan_.arenas.size(); ++i) {
    const auto& [device, bytes, peak, at] = plan_.arenas[i];
    text += str("arena on ", device, ": ", bytes, " bytes, of which ", peak, " are in use at once, at ",
                name_of(units_[static_cast<size_t>(at)]), '\n');
  }
  if (kept_bytes_ > 0) text += str("made again, where the arena would have ", kept_bytes_, " bytes:");
  for (size_t i = 0; i < program_.instructions.size() && kept_bytes_ > 0; ++i) {
    const std::vector<int>& made = program_.instructions[i].outputs;
    if (!made.empty() && again_[made[0]]) text += str(' ', describe(program_.instructions[i], i));
  }
  if (kept_bytes_ > 0) text += '\n';
  for (const Unit& unit : units_) {
    for (int variable : unit.outputs) {
      if (plan_.is_part(variable)) text += str("made where it goes: the result of ", name_of(unit), '\n');
    }
  }
  text += explain_graphs();
  for (const auto& [variable, to] : plan_.results) text += str("result ", to, " is a copy\n");
  for (const auto& [result, argument] : plan_.taken)
    text += str("result ", result, " takes the memory of argument ", argument, "\n");
  for (const Program::Write& write : program_.writes) {
    const auto is_copied = [&](const MemoryPlan::Copy& copy) { return copy.to == write.input; };
    text += str("argument ", write.input, " is ",
                std::ranges::any_of(plan_.writes, is_copied) ? "written to by a copy at the end\n"
                                                             : "written to where its new value is made\n");
  }
  return text + held;
}

// Of the call that was made last, if there were two.
std::string Executable::explain_graphs() const {
  if (idle_.empty() || !idle_.back()->replay) return "";
  const Frame& frame = *idle_.back();
  std::string text = str(frame.replay->launches(), " launches as graphs take them up:\n");
  for (size_t i = 0; i < frame.steps.size(); ++i) {
    const Step& step = frame.steps[i];
    text += str("  ", step.group ? step.label : step.primitive->name, ": ", frame.replay->describe(i), '\n');
  }
  return text;
}

Executable::Body::Body(const Executable& executable, const Tensor& memory)
    : executable_(executable), frame_([&] {
        Tensors arenas;
        for (const MemoryPlan::Arena& arena : executable.plan_.arenas)
          arenas.push_back(arena.device == memory.device()
                               ? memory
                               : Tensor::empty({arena.bytes}, DType::uint8, arena.device));
        return executable.make_frame(std::move(arenas));
      }()) {}

Executable::Body::~Body() = default;

void Executable::Body::operator()(std::span<void* const> arguments, std::span<void* const> results) {
  for (size_t i = 0; i < arguments.size(); ++i) frame_->arguments[i]->point_at(arguments[i]);
  for (size_t i = 0; i < results.size(); ++i) frame_->results[i]->point_at(results[i]);
  frame_->run(executable_.is_long_, false);
}

std::unique_ptr<Executable::Frame> Executable::make_frame(Tensors arenas) const {
  auto frame = std::make_unique<Frame>(program_, joins_);
  frame->arenas = std::move(arenas);
  const auto storage_of = [&](const Memory& memory) -> const Ref<Storage>& {
    const auto index = static_cast<size_t>(memory.index);
    switch (memory.kind) {
      case Memory::argument: return frame->arguments[index];
      case Memory::constant: return program_.constants[index].value.impl().storage;
      case Memory::result: return frame->results[index];
      default: return frame->arenas[index].impl().storage;
    }
  };
  const auto offset_of = [&](const Memory& memory) {
    return memory.offset +
           (memory.kind == Memory::arena ? frame->arenas[memory.index].impl().offset : int64_t{0});
  };
  const auto tensor_of = [&](int variable) {
    return over(storage_of(plan_[variable]), values_[variable], offset_of(plan_[variable]));
  };
  const auto tensors_of = [&](const std::vector<int>& variables) {
    Tensors result;
    for (int variable : variables) result.push_back(variable < 0 ? Tensor() : tensor_of(variable));
    return result;
  };
  const auto add_copy = [&](const Tensor& from, const Tensor& to) {
    frame->steps.push_back({.primitive = &primitives::copy,
                            .inputs = {from},
                            .outputs = {to},
                            .kernel = kernel_of(primitives::copy, from.device())});
  };

  for (size_t now = 0; now < units_.size(); ++now) {
    const Unit& unit = units_[now];
    const Memory& workspace = plan_.workspaces[now];
    void* const planned = workspace.device.type == DeviceType::cpu && workspace.bytes > 0
                              ? static_cast<char*>(storage_of(workspace)->data()) + offset_of(workspace)
                              : nullptr;
    if (unit.group) {
      Step step{.workspace = planned,
                .group = unit.kernel.get(),
                .shape = str(unit.group->shape),
                .device = values_[unit.outputs[0]].device()};
      for (int call : unit.calls) {
        const Program::Instruction& of_group = program_.instructions[call];
        if (!is_view(of_group, values_))
          step.label += str(step.label.empty() ? "" : "+", of_group.primitive->name);
      }
      step.from.resize(unit.inputs.size());
      step.to.resize(unit.outputs.size());
      const auto point = [&](const void*& pointer, int variable) {
        const Memory& memory = plan_[variable];
        const Storage* const storage = storage_of(memory).get();
        const auto size = static_cast<int64_t>(size_of(values_[variable].dtype()));
        const int64_t offset = offset_of(memory) + values_[variable].impl().offset * size;
        pointer = static_cast<const char*>(storage->data()) + offset;
        if (memory.kind == Memory::argument || memory.kind == Memory::result)
          frame->moving.push_back({&pointer, storage, offset});
      };
      for (size_t i = 0; i < unit.inputs.size(); ++i) {
        if (unit.inputs[i] >= 0) point(step.from[i], unit.inputs[i]);
      }
      for (size_t i = 0; i < unit.outputs.size(); ++i)
        point(*const_cast<const void**>(&step.to[i]), unit.outputs[i]);
      step.outputs = tensors_of(unit.outputs);
      if (const Device device = step.outputs[0].device(); device.type != DeviceType::cpu) {
        step.queued = &backend(device);
        for (int variable : unit.inputs) {
          if (variable >= 0) step.inputs.push_back(tensor_of(variable));
        }
      }
      frame->steps.push_back(std::move(step));
      continue;
    }
    const Program::Instruction& call = program_.instructions[unit.calls[0]];
    Step step{.primitive = call.primitive,
              .attrs = &call.attrs,
              .inputs = tensors_of(unit.inputs),
              .outputs = tensors_of(unit.outputs),
              .workspace = planned};
    step.products = take_factors(unit, step.inputs);
    for (size_t k = 0; k < step.products.size(); ++k) step.label += "matmul+";
    if (!step.products.empty()) {
      step.label += call.primitive->name;
      step.shape = str(step.outputs[0].shape());
      step.device = step.outputs[0].device();
    }
    if (call.primitive->view) {  // that copies: another shape of as many elements
      const Tensor &x = step.inputs[0], &y = step.outputs[0];
      const Tensor memory = is_complex(y.dtype()) && !is_complex(x.dtype()) ? y.parts() : y;
      add_copy(x, memory.view(x.shape(), contiguous_strides(x.shape()), memory.impl().offset));
      continue;
    }
    if (std::vector<Piece> pieces = pieces_in_place(step); !pieces.empty()) {
      for (const Piece& piece : pieces) {
        if (!lies_there(piece)) add_copy(piece.from, piece.to);
      }
      continue;
    }
    const auto is_in_place = [&](size_t i) {
      return plan_[unit.inputs[i]].is_same_place(plan_[unit.outputs[i]]);
    };
    const Primitive* const writer = overwriting(*call.primitive);
    if (writer && (call.primitive->overwrites || is_in_place(0))) {
      for (size_t i = 0; i < step.outputs.size(); ++i) {
        if (!is_in_place(i)) add_copy(step.inputs[i], step.outputs[i]);
        step.inputs[i] = step.outputs[i];
      }
      step.primitive = writer;
    }
    if (unit.held) {
      const Tensor none = Tensor::empty({0}, DType::uint8, workspace.device);
      const Tensor memory =
          workspace.bytes == 0 ? none : over(storage_of(workspace), none, offset_of(workspace));
      step.held = unit.held->in(memory);
      frame->steps.push_back(std::move(step));
      continue;
    }
    const Tensors& first = step.inputs.empty() ? step.outputs : step.inputs;
    if (!first.empty() && !call.primitive->dispatch)
      step.kernel = kernel_of(*step.primitive, first[0].device());
    if (step.kernel && shows_parts({*step.primitive, step.inputs, *step.attrs, step.outputs})) {
      step.inputs = shown_to_kernels(*step.primitive, step.inputs);
      step.outputs = shown_to_kernels(*step.primitive, step.outputs);
    }
    step.calls_host = !step.kernel && calls_host(*call.primitive, call.attrs);
    frame->steps.push_back(std::move(step));
  }
  for (const auto& [variable, to] : plan_.results) {
    const Spec& spec = program_.variables[variable];
    add_copy(tensor_of(variable),
             over(frame->results[to], Tensor::abstract(spec.shape, spec.dtype, spec.device), 0));
  }
  for (const auto& [variable, to] : plan_.writes) {
    const Tensor target = over(frame->arguments[to], values_[program_.inputs[to]], 0);
    frame->steps.push_back({.primitive = &primitives::assign,
                            .inputs = {target, tensor_of(variable)},
                            .outputs = {target},
                            .kernel = kernel_of(primitives::assign, target.device())});
  }
  return frame;
}

}  // namespace tidu
