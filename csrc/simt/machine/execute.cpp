// The scheduler: a fibre for each CUDA thread that has to wait, barriers, warp exchanges and shared memory.
//
// A thread that ends goes on with the next one on the same stack, so a kernel without barriers never
// switches; the last to arrive at a barrier or exchange completes it and goes on.
#include "simt/machine/execute.h"

#include <sys/mman.h>
#include <vector_types.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "simt/control.h"
#include "simt/machine/device.h"
#include "simt/machine/fault.h"
#include "simt/machine/fibre.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace tidu::simt {

// What kernels see as constants. Only these names may be used here: the compiler takes the others to be
// fixed.
uint3 thread_index __asm__("threadIdx");
uint3 block_index __asm__("blockIdx");
dim3 block_shape __asm__("blockDim");
dim3 grid_shape __asm__("gridDim");
int warp_size __asm__("warpSize") = 32;

// The same for kernels that are loaded while the process runs (loaded.h).
#define TIDU_LOADED(type, name, of) \
  extern "C" [[gnu::alias(of), gnu::visibility("default")]] type tidu_simt_##name
TIDU_LOADED(uint3, thread_index, "threadIdx");
TIDU_LOADED(uint3, block_index, "blockIdx");
TIDU_LOADED(dim3, block_shape, "blockDim");
TIDU_LOADED(dim3, grid_shape, "gridDim");

Running running;
TIDU_LOADED(Running, running, "_ZN4tidu4simt7runningE");
#undef TIDU_LOADED

Observer* observer = nullptr;

namespace {

constexpr unsigned kLanes = 32;
constexpr unsigned kMaxThreads = 1024;
constexpr size_t kStaticShared = 48 * 1024;
constexpr size_t kSharedLimit = 227 * 1024;
// Variables in shared memory begin on a row of the 32 banks, with at least one row between them.
constexpr size_t kBankRow = 128;

struct alignas(64) Thread {  // one line of the cache
  void* state = nullptr;     // of its suspended fibre
  Stack* stack = nullptr;
  uint64_t result = 0;  // of its last exchange
  Where where = {};     // of what it waits at
  uint3 index = {};
  unsigned mask = 0;
  enum : uint8_t { running, at_barrier, in_exchange } waits = running;
};

// Lanes of a warp that wait for each other.
struct LaneGroup {
  unsigned mask = 0, arrived = 0;
  Collective what = {};
};

struct Warp {
  unsigned living = 0;  // lanes that exist and have not ended
  unsigned ended = 0;
  unsigned groups = 0;
  LaneGroup group[kLanes];
  uint64_t value[kLanes];
  uint8_t source[kLanes];
};

struct Barrier {
  unsigned arrived = 0, first = 0;
  Vote vote = {};
  Where where = {};
  unsigned yes = 0;
  int result = 0;
};

// All of the running block.
struct Block {
  unsigned threads = 0, living = 0, next = 0;
  dim3 shape = {0, 0, 0};
  Thread thread[kMaxThreads];
  Warp warp[kLanes];
  Barrier barrier;
  uint16_t order[kMaxThreads];
  uint16_t ready[kMaxThreads];
  unsigned ready_first = 0, ready_end = 0;  // modulo kMaxThreads
  Stack* stack = nullptr;                   // on which the next fibre starts
};

Block block;
Schedule chosen;
uint64_t random_state = 0;

char* shared_arena = nullptr;
size_t shared_used = 0, static_shared = 0;
std::vector<SharedRange>& shared_ranges = *new std::vector<SharedRange>;

// xorshift64*: the order must depend on the seed alone.
unsigned random_below(unsigned n) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return static_cast<unsigned>((random_state * 0x2545F4914F6CDD1DULL >> 32) * n >> 32);
}

std::string hexadecimal(unsigned mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

const char* name_of(Collective what) {
  static constexpr const char* kNames[] = {
      "__syncthreads",     "__syncwarp",        "__shfl_sync",       "a vote",
      "__match_any_sync",  "__reduce_add_sync", "__reduce_add_sync", "__reduce_min_sync",
      "__reduce_min_sync", "__reduce_max_sync", "__reduce_max_sync", "__reduce_and_sync",
      "__reduce_or_sync",  "__reduce_xor_sync"};
  return kNames[static_cast<int>(what)];
}

unsigned current() { return running.thread; }

// A thread that spins through barriers or exchanges ends here when the watchdog says so.
void stop_if_wanted(const Where& where) {
  if (stop_at.load(std::memory_order_relaxed) != progress.load(std::memory_order_relaxed)) return;
  note(cudaErrorLaunchTimeout, kNoProgress, &where);
  leave_fibre();
}

void make_current(unsigned number) {
  const Thread& thread = block.thread[number];
  running.thread = number;
  running.stack_low = thread.stack->low;
  running.stack_high = thread.stack->high;
  thread_index = thread.index;
}

// --- Who runs next.

void make_ready(unsigned number) {
  block.thread[number].waits = Thread::running;
  block.ready[block.ready_end++ % kMaxThreads] = static_cast<uint16_t>(number);
}

bool any_ready() { return block.ready_first != block.ready_end; }

unsigned take_ready() {
  if (chosen.order == Schedule::random) {
    const unsigned i = block.ready_first + random_below(block.ready_end - block.ready_first);
    std::swap(block.ready[i % kMaxThreads], block.ready[block.ready_first % kMaxThreads]);
  }
  return block.ready[block.ready_first++ % kMaxThreads];
}

bool start_another() {
  if (block.next == block.threads) return false;
  return !any_ready() || (chosen.order == Schedule::random && random_below(2) == 0);
}

void note_deadlock() {
  std::string what = "no thread can go on:";
  unsigned listed = 0;
  std::vector<std::pair<std::string, unsigned>> waits;
  for (unsigned i = 0; i < block.threads; ++i) {
    const Thread& thread = block.thread[i];
    if (thread.waits == Thread::running) continue;
    std::string wait =
        thread.waits == Thread::at_barrier
            ? "__syncthreads at " + text_of(thread.where)
            : "an exchange of lanes " + hexadecimal(thread.mask) + " at " + text_of(thread.where);
    auto known = std::find_if(waits.begin(), waits.end(), [&](const auto& w) { return w.first == wait; });
    if (known == waits.end()) known = waits.insert(waits.end(), {wait, 0u});
    ++known->second;
  }
  for (const auto& [wait, count] : waits) {
    if (++listed > 4) break;
    what += "\n  " + std::to_string(count) + " wait in " + wait;
  }
  note(cudaErrorLaunchFailure, what, &block.thread[current()].where);
}

[[noreturn]] void deadlock() {
  note_deadlock();
  leave_fibre();
}

void run_threads();

// Lets others run until somebody has made the current thread ready.
void wait() {
  const unsigned self = current();
  if (start_another()) {
    block.stack = stacks.take();
    switch_fibre(&block.thread[self].state, block.stack->prepare(run_threads), block.stack);
  } else if (any_ready()) {
    const unsigned other = take_ready();
    if (other == self) return;
    make_current(other);
    switch_fibre(&block.thread[self].state, block.thread[other].state, block.thread[other].stack);
  } else {
    deadlock();
  }
}

// --- The barrier of the block.

void complete_barrier() {
  Barrier& barrier = block.barrier;
  switch (barrier.vote) {
    case Vote::none: break;
    case Vote::any: barrier.result = barrier.yes > 0; break;
    case Vote::all: barrier.result = barrier.yes == barrier.arrived; break;
    case Vote::count: barrier.result = static_cast<int>(barrier.yes); break;
  }
  barrier.arrived = 0;
  if (observer) observer->barrier();
  for (unsigned i = 0; i < block.threads; ++i) {
    if (block.thread[block.order[i]].waits == Thread::at_barrier) make_ready(block.order[i]);
  }
}

bool same_place(const Where& a, const Where& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

// --- Exchanges within a warp.

uint64_t reduced(Collective what, const Warp& warp, unsigned lanes) {
  uint32_t result = static_cast<uint32_t>(warp.value[std::countr_zero(lanes)]);
  for (unsigned rest = lanes & (lanes - 1); rest != 0; rest &= rest - 1) {
    const uint32_t v = static_cast<uint32_t>(warp.value[std::countr_zero(rest)]);
    const int32_t a = static_cast<int32_t>(result), b = static_cast<int32_t>(v);
    switch (what) {
      case Collective::reduce_add_signed:
      case Collective::reduce_add: result += v; break;
      case Collective::reduce_min_signed: result = static_cast<uint32_t>(std::min(a, b)); break;
      case Collective::reduce_min: result = std::min(result, v); break;
      case Collective::reduce_max_signed: result = static_cast<uint32_t>(std::max(a, b)); break;
      case Collective::reduce_max: result = std::max(result, v); break;
      case Collective::reduce_and: result &= v; break;
      case Collective::reduce_or: result |= v; break;
      default: result ^= v; break;
    }
  }
  return result;
}

void complete_exchange(unsigned number_of_warp, unsigned index) {
  Warp& warp = block.warp[number_of_warp];
  const LaneGroup group = warp.group[index];
  warp.group[index] = warp.group[--warp.groups];
  Thread* const threads = block.thread + number_of_warp * kLanes;
  const unsigned lanes = group.arrived;
  uint64_t all = 0;
  if (group.what == Collective::ballot) {
    for (unsigned rest = lanes; rest != 0; rest &= rest - 1) {
      const unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
      all |= uint64_t{warp.value[lane] != 0} << lane;
    }
  } else if (group.what >= Collective::reduce_add_signed) {
    all = reduced(group.what, warp, lanes);
  }
  for (unsigned rest = lanes; rest != 0; rest &= rest - 1) {
    const unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    uint64_t& result = threads[lane].result;
    if (group.what == Collective::shuffle) {
      const unsigned source = warp.source[lane];
      if ((lanes >> source & 1) == 0) {
        make_current(number_of_warp * kLanes + lane);
        note(cudaErrorLaunchFailure,
             "__shfl_sync reads lane " + std::to_string(source) +
                 (warp.ended >> source & 1 ? ", which has returned" : ", which does not exist in this block"),
             &threads[lane].where);
        leave_fibre();
      }
      result = warp.value[source];
    } else if (group.what == Collective::match) {
      result = 0;
      for (unsigned i = 0; i < kLanes; ++i) {
        result |= uint64_t{(lanes >> i & 1) != 0 && warp.value[i] == warp.value[lane]} << i;
      }
    } else {
      result = all;
    }
  }
  if (observer) observer->warp_collective(number_of_warp, lanes, group.what);
  for (unsigned i = 0; i < kLanes; ++i) {
    const unsigned lane = chosen.order == Schedule::descending ? kLanes - 1 - i : i;
    if ((lanes >> lane & 1) != 0 && threads[lane].waits == Thread::in_exchange) {
      make_ready(number_of_warp * kLanes + lane);
    }
  }
}

// --- Threads.

void advance() { progress.store(progress.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }

// The current thread has returned from the kernel.
void end_thread() {
  const unsigned number = current(), number_of_warp = number / kLanes, bit = 1u << number % kLanes;
  Warp& warp = block.warp[number_of_warp];
  warp.living &= ~bit;
  warp.ended |= bit;
  --block.living;
  advance();
  for (unsigned i = warp.groups; i-- > 0;) {
    const LaneGroup& group = warp.group[i];
    if ((group.mask & bit) != 0 && group.arrived == (group.mask & warp.living))
      complete_exchange(number_of_warp, i);
  }
  if (block.barrier.arrived != 0 && block.barrier.arrived == block.living) complete_barrier();
}

// What every fibre does: run threads until others have to go on, then leave the stack to them.
TIDU_SIMT_LEFT void run_threads() {
  fibre_entered();
  Stack* const stack = block.stack;
  while (start_another()) {
    const unsigned number = block.order[block.next++];
    block.thread[number].stack = stack;
    make_current(number);
    running.launch->call(running.launch->parameters);
    end_thread();
  }
  stacks.give(stack);
  if (any_ready()) {
    const unsigned other = take_ready();
    make_current(other);
    switch_fibre(nullptr, block.thread[other].state, block.thread[other].stack);
  }
  if (block.living != 0) deadlock();
  leave_fibre();
}

// --- Shared memory.

char* place_shared(const char* name, size_t bytes) {
  char* const base = shared_arena + shared_used;
  shared_used += (bytes + kBankRow - 1) / kBankRow * kBankRow + kBankRow;
  if (shared_used > kSharedArena) fail("shared memory exceeds 1 MiB");
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(base, bytes);
#endif
  std::memset(base, 0xff, bytes);
  shared_ranges.push_back({name, base, bytes});
  if (observer) observer->shared_declared(shared_ranges.back());
  return base;
}

void clear_shared() {
  if (shared_arena == nullptr) {
    shared_arena = static_cast<char*>(mmap(nullptr, kSharedArena, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    shared_used = kSharedArena;
  }
#ifdef __SANITIZE_ADDRESS__
  __asan_poison_memory_region(shared_arena, shared_used);
#endif
  shared_used = static_shared = 0;
  shared_ranges.clear();
}

// --- Blocks.

void shape_block(dim3 shape) {
  const bool same = shape.x == block.shape.x && shape.y == block.shape.y && shape.z == block.shape.z;
  if (!same) {
    block.shape = shape;
    block.threads = shape.x * shape.y * shape.z;
    for (unsigned i = 0; i < block.threads; ++i) {
      block.thread[i].index = {i % shape.x, i / shape.x % shape.y, i / shape.x / shape.y};
    }
  }
  std::iota(block.order, block.order + block.threads, uint16_t{0});
  if (chosen.order == Schedule::descending) std::reverse(block.order, block.order + block.threads);
}

void run_block() {
  ++running.block_number;
  clear_shared();
  if (running.launch->shared_bytes != 0) place_shared("dynamic", running.launch->shared_bytes);
  const unsigned warps = (block.threads + kLanes - 1) / kLanes;
  for (unsigned i = 0; i < warps; ++i) {
    const unsigned lanes = std::min(kLanes, block.threads - i * kLanes);
    block.warp[i].living = lanes == kLanes ? ~0u : (1u << lanes) - 1;
    block.warp[i].ended = block.warp[i].groups = 0;
  }
  if (chosen.order == Schedule::random) {
    for (unsigned i = block.threads; i > 1; --i) std::swap(block.order[i - 1], block.order[random_below(i)]);
  }
  block.living = block.threads;
  block.next = block.ready_first = block.ready_end = 0;
  block.barrier.arrived = 0;
  if (observer) observer->block_begin();
  block.stack = stacks.take();
  enter_fibre(block.stack, run_threads);
  if (observer) observer->block_end();
}

// A step that visits all of n positions: coprime to n.
uint64_t random_step(uint64_t n) {
  if (n < 3) return 1;
  uint64_t step = 1 + random_below(static_cast<unsigned>(std::min<uint64_t>(n - 1, 1u << 30)));
  while (std::gcd(step, n) != 1) ++step;
  return step;
}

void run_blocks(dim3 grid) {
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  const bool random = chosen.order == Schedule::random;
  const uint64_t step = random ? random_step(blocks) % blocks : 1;
  uint64_t at = random ? random_below(static_cast<unsigned>(std::min<uint64_t>(blocks, 1u << 30))) : 0;
  for (uint64_t i = 0; i < blocks && running.error == cudaSuccess; ++i) {
    const uint64_t b = chosen.order == Schedule::descending ? blocks - 1 - at : at;
    block_index = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                   static_cast<unsigned>(b / grid.x / grid.y)};
    run_block();
    at = at + step >= blocks ? at + step - blocks : at + step;
  }
}

Schedule schedule_of_environment() {
  const char* const text = std::getenv("TIDU_SIMT_SCHEDULE");
  if (text == nullptr || std::strcmp(text, "ascending") == 0) return {};
  if (std::strcmp(text, "descending") == 0) return {Schedule::descending};
  if (std::strncmp(text, "random:", 7) == 0) return {Schedule::random, std::strtoull(text + 7, nullptr, 10)};
  std::fprintf(stderr, "TIDU_SIMT_SCHEDULE=%s: must be ascending, descending or random:SEED\n", text);
  std::abort();
}

[[maybe_unused]] const bool read_environment = (set_schedule(schedule_of_environment()), true);

}  // namespace

cudaError_t execute(const Launch& launch) {
  catch_faults();
  scheduler_entered();
  running.launch = &launch;
  watch(true);
  ++running.launch_number;
  running.error = cudaSuccess;
  shape_block(launch.block);
  block_shape = launch.block;
  grid_shape = launch.grid;
  if (observer) observer->launch_begin(launch);
  run_blocks(launch.grid);
  if (observer) observer->launch_end(launch);
  watch(false);
  running.launch = nullptr;
  if (running.error != cudaSuccess) {
    stacks.reclaim();
    for (Thread& thread : block.thread) thread.waits = Thread::running;
  }
  return running.error;
}

size_t stacks_made() { return stacks.made(); }

void set_schedule(Schedule schedule) {
  chosen = schedule;
  random_state = schedule.seed * 0x9E3779B97F4A7C15ULL + 0x2545F4914F6CDD1DULL;
  if (random_state == 0) random_state = 1;
}

// --- What kernels call.

[[gnu::visibility("default")]] int barrier(Vote vote, bool predicate, Where where) {
  stop_if_wanted(where);
  Barrier& barrier = block.barrier;
  if (barrier.arrived == 0) {
    barrier.first = current();
    barrier.vote = vote;
    barrier.where = where;
    barrier.yes = 0;
  } else if (!same_place(barrier.where, where) || barrier.vote != vote) {
    note(cudaErrorLaunchFailure,
         "divergent barrier: thread " + text_of(block.thread[barrier.first].index) +
             " of the block waits at " + text_of(barrier.where) +
             ", this one has come to another __syncthreads",
         &where);
    leave_fibre();
  }
  barrier.yes += predicate;
  Thread& self = block.thread[current()];
  if (++barrier.arrived == block.living) {
    complete_barrier();
  } else {
    self.waits = Thread::at_barrier;
    self.where = where;
    wait();
  }
  return barrier.result;
}

[[gnu::visibility("default")]] uint64_t collect(Collective what, unsigned mask, uint64_t value,
                                                unsigned source, Where where) {
  stop_if_wanted(where);
  const unsigned number = current(), number_of_warp = number / kLanes, lane = number % kLanes;
  Warp& warp = block.warp[number_of_warp];
  Thread& self = block.thread[number];
  if ((mask >> lane & 1) == 0) {
    note(cudaErrorLaunchFailure,
         "lane " + std::to_string(lane) + " is not in the mask " + hexadecimal(mask) + " that it passes to " +
             name_of(what),
         &where);
    leave_fibre();
  }
  if (what == Collective::shuffle && (mask >> source & 1) == 0) {
    note(cudaErrorLaunchFailure,
         "__shfl_sync reads lane " + std::to_string(source) + ", which is not in the mask " +
             hexadecimal(mask),
         &where);
    leave_fibre();
  }
  unsigned index = 0;
  while (index < warp.groups && warp.group[index].mask != mask) {
    const LaneGroup& other = warp.group[index++];
    // Lanes may still have another meeting before this one, unless each waits for the other.
    if ((other.arrived & mask) != 0 && (other.mask >> lane & 1) != 0) {
      const unsigned waiting = static_cast<unsigned>(std::countr_zero(other.arrived & mask));
      note(cudaErrorLaunchFailure,
           "masks disagree: lane " + std::to_string(waiting) + " waits in " + name_of(other.what) +
               " with the mask " + hexadecimal(other.mask) + " at " +
               text_of(block.thread[number_of_warp * kLanes + waiting].where) + ", lane " +
               std::to_string(lane) + " comes with " + hexadecimal(mask),
           &where);
      leave_fibre();
    }
  }
  LaneGroup& group = warp.group[index];
  if (index == warp.groups) {
    ++warp.groups;
    group = {mask, 0, what};
  } else if (group.what != what) {
    const unsigned waiting = static_cast<unsigned>(std::countr_zero(group.arrived));
    note(cudaErrorLaunchFailure,
         "lanes of one mask diverge: lane " + std::to_string(waiting) + " waits in " + name_of(group.what) +
             " at " + text_of(block.thread[number_of_warp * kLanes + waiting].where) + ", lane " +
             std::to_string(lane) + " has come to " + name_of(what),
         &where);
    leave_fibre();
  }
  group.arrived |= 1u << lane;
  warp.value[lane] = value;
  warp.source[lane] = static_cast<uint8_t>(source);
  self.where = where;
  self.mask = mask;
  if (group.arrived == (mask & warp.living)) {
    complete_exchange(number_of_warp, index);
  } else {
    self.waits = Thread::in_exchange;
    wait();
  }
  return self.result;
}

[[gnu::visibility("default")]] void* declare_shared(const char* name, size_t bytes) {
  static_shared += bytes;
  if (static_shared > kStaticShared || static_shared + running.launch->shared_bytes > kSharedLimit) {
    note(cudaErrorInvalidValue,
         "too much shared memory with `" + std::string(name) + "`: " + std::to_string(static_shared) +
             " bytes of variables (at most 49152), and with the launch's " +
             std::to_string(running.launch->shared_bytes) + " at most " + std::to_string(kSharedLimit));
    leave_fibre();
  }
  return place_shared(name, bytes);
}

[[gnu::visibility("default")]] void* dynamic_shared_bytes() { return shared_arena; }

const SharedRange* shared_range(const void* p) {
  const SharedRange* found = nullptr;
  for (const SharedRange& range : shared_ranges) {
    if (range.base <= p) found = &range;
  }
  return found;
}

}  // namespace tidu::simt
