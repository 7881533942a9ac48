// What a device is given, taken up as a graph that is launched as a whole.
#include "backend/cuda/graph.h"

#include <algorithm>
#include <mutex>
#include <shared_mutex>

#include "backend/cuda/module.h"
#include "kernels/cuda/matmul.h"

namespace tidu::cuda {
namespace {

constexpr const char* kWhat = "[compile] a graph of the device";

// Until it ends the thread's work for the device becomes a graph.
class Capture {
 public:
  Capture(Gpu& gpu, Graph& graph)
      : gpu_(gpu),
        lock_(gpu.mutex()),
        alone_(gpu.capture_mutex()),
        guard_(gpu.index()),
        queue_(gpu.current_queue()) {
    check(cudaStreamBeginCapture(gpu.stream(kCaptureQueue), cudaStreamCaptureModeThreadLocal), kWhat);
    gpu.set_captured(&graph);
    gpu.set_current_queue(kCaptureQueue);
    noted_parts() = &parts_;
  }
  ~Capture() {
    if (cudaGraph_t left = nullptr; !ended_ && end(&left) == cudaSuccess) cudaGraphDestroy(left);
    if (!ended_) cudaGetLastError();
  }
  Capture(const Capture&) = delete;

  // What kernels noted of their work.
  std::vector<Part>& parts() { return parts_; }

  cudaError_t end(cudaGraph_t* graph) {
    noted_parts() = nullptr;
    gpu_.set_current_queue(queue_);
    gpu_.set_captured(nullptr);
    const cudaError_t error = cudaStreamEndCapture(gpu_.stream(kCaptureQueue), graph);
    ended_ = true;
    if (error != cudaSuccess) cudaGetLastError();
    return error;
  }

 private:
  Gpu& gpu_;
  std::lock_guard<std::recursive_mutex> lock_;
  std::unique_lock<std::shared_mutex> alone_;
  DeviceGuard guard_;
  Queue queue_;
  std::vector<Part> parts_;
  bool ended_ = false;
};

}  // namespace

Graph::~Graph() {
  const std::lock_guard lock(gpu_.mutex());
  drop_executable();
  for (Piece& piece : pieces_) drop(piece);
  for (Run& run : runs_) drop(run.piece);
}

void Graph::drop(Piece& piece) noexcept {
  if (cudaGraphDestroy(piece.graph) != cudaSuccess) cudaGetLastError();
  gpu_.forget_captured(piece.calls, piece.calls_end);
}

// Launches that are not done yet go on.
void Graph::drop_executable() noexcept {
  if (executable_ && cudaGraphExecDestroy(executable_) != cudaSuccess) cudaGetLastError();
  if (graph_ && cudaGraphDestroy(graph_) != cudaSuccess) cudaGetLastError();
  executable_ = nullptr;
  graph_ = nullptr;
}

Graph::Piece Graph::capture(const std::function<void()>& issue) {
  for (ReservedMemory& block : blocks_) block.is_taken = false;
  is_given_memory_ = false;
  Piece piece;
  queue_ = gpu_.current_queue();
  {
    Capture capture(gpu_, *this);
    piece.calls = gpu_.next_captured();
    try {
      issue();
      check(capture.end(&piece.graph), kWhat);
    } catch (...) {
      gpu_.forget_captured(piece.calls, gpu_.next_captured());
      throw;
    }
    piece.calls_end = gpu_.next_captured();
    piece.parts = std::move(capture.parts());
    piece.has_memory = is_given_memory_;
  }
  check(cudaGraphGetNodes(piece.graph, nullptr, &piece.nodes), kWhat);
  std::vector<cudaGraphNode_t> nodes(piece.nodes);
  if (piece.nodes > 0) check(cudaGraphGetNodes(piece.graph, nodes.data(), &piece.nodes), kWhat);
  for (const cudaGraphNode_t node : nodes) {
    cudaGraphNodeType type;
    check(cudaGraphNodeGetType(node, &type), kWhat);
    piece.launches += type == cudaGraphNodeTypeKernel;
  }
  if (piece.parts.size() != piece.nodes || !std::ranges::all_of(piece.parts, Joined::takes))
    piece.parts.clear();
  return piece;
}

void Graph::add(const std::function<void()>& issue) {
  pieces_.push_back(capture(issue));
  drop_executable();
}

// In the place of what it was, and in what is launched.
void Graph::put(Piece& piece, Piece made) {
  made.node = piece.node;
  std::swap(piece, made);
  drop(made);
  if (!executable_ || piece.nodes == 0) return;
  if (cudaGraphExecChildGraphNodeSetParams(executable_, piece.node, piece.graph) == cudaSuccess) return;
  cudaGetLastError();  // it has other kernels for memory that lies so
  drop_executable();
}

void Graph::replace(size_t i, const std::function<void()>& issue) {
  Run* const run = run_with(i);
  if (!run) return put(pieces_[i], capture(issue));
  Piece made = capture(issue);
  std::swap(pieces_[i], made);
  drop(made);
  if (!pieces_[i].parts.empty()) return put(run->piece, capture_joined(*run));
  drop(run->piece);
  runs_.erase(runs_.begin() + (run - runs_.data()));
  drop_executable();
}

Graph::Run* Graph::run_with(size_t piece) {
  const auto found =
      std::ranges::find_if(runs_, [&](const Run& run) { return run.first <= piece && piece < run.end; });
  return found == runs_.end() ? nullptr : &*found;
}

std::vector<Part> Graph::parts_of(const Run& run) const {
  std::vector<Part> parts;
  for (size_t i = run.first; i < run.end; ++i)
    parts.insert(parts.end(), pieces_[i].parts.begin(), pieces_[i].parts.end());
  return parts;
}

Graph::Piece Graph::capture_joined(const Run& run) {
  const Joined joined(parts_of(run), run.side_by_side, gpu_.index());
  return capture([&] { joined.launch(gpu_); });
}

void Graph::join(const std::function<bool(size_t, size_t)>& are_apart) {
  if (!Module::can_be_made(gpu_.index())) return;
  // The longest from a piece on.
  const auto run_from = [&](size_t first, bool side_by_side) {
    Run run{first, first, side_by_side};
    const auto goes_on = [&] {
      if (run.end == pieces_.size() || pieces_[run.end].parts.empty()) return false;
      for (size_t i = first; side_by_side && i < run.end; ++i) {
        const bool share_memory = pieces_[i].has_memory && pieces_[run.end].has_memory;
        if (share_memory || !are_apart(i, run.end)) return false;
      }
      return Joined::takes_all(parts_of({first, run.end + 1, side_by_side}), side_by_side);
    };
    while (goes_on()) ++run.end;
    return run;
  };
  for (size_t first = 0; first < pieces_.size();) {
    Run run = run_from(first, false);
    if (run.end < first + 2) run = run_from(first, true);
    first = std::max(first + 1, run.end);
    if (parts_of(run).size() < 2) continue;
    run.piece = capture_joined(run);
    runs_.push_back(std::move(run));
    drop_executable();
  }
}

int Graph::launches(size_t piece) const {
  const Run* const run = const_cast<Graph*>(this)->run_with(piece);
  return run ? (run->first == piece ? 1 : 0) : pieces_[piece].launches;
}

void Graph::instantiate() {
  check(cudaGraphCreate(&graph_, 0), kWhat);
  const cudaGraphNode_t* last = nullptr;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    Run* const run = run_with(i);
    Piece& piece = run ? run->piece : pieces_[i];
    if (run) i = run->end - 1;
    if (piece.nodes == 0) continue;
    check(cudaGraphAddChildGraphNode(&piece.node, graph_, last, last ? 1 : 0, piece.graph), kWhat);
    last = &piece.node;
  }
  check(cudaGraphInstantiate(&executable_, graph_, 0), kWhat);
}

void Graph::launch(std::span<const Tensor> used) {
  const std::lock_guard lock(gpu_.mutex());
  const DeviceGuard guard(gpu_.index());
  if (!executable_) instantiate();
  const Queue queue = gpu_.current_queue();
  for (const Tensor& tensor : used) gpu_.use(*tensor.impl().storage, queue);
  for (const ReservedMemory& block : blocks_) gpu_.use(*block.memory.impl().storage, queue);
  if (arrivals_.defined()) gpu_.use(*arrivals_.impl().storage, queue);
  gpu_.note("compiled function", used.empty() ? Spec() : used[0].spec(), queue);
  check(cudaGraphLaunch(executable_, gpu_.stream(queue)), kWhat);
}

// The smallest that is free; a new one comes from the thread's own queue, so that no graph allocates memory.
void* Graph::allocate(size_t bytes) {
  ReservedMemory* best = nullptr;
  for (ReservedMemory& block : blocks_) {
    const size_t size = block.memory.nbytes();
    if (!block.is_taken && size >= bytes && (!best || size < best->memory.nbytes())) best = &block;
  }
  if (!best) {
    gpu_.set_current_queue(queue_);
    best = &blocks_.emplace_back(Tensor::empty({static_cast<int64_t>(bytes)}, DType::uint8, gpu_.name()));
    gpu_.set_current_queue(kCaptureQueue);
  }
  best->is_taken = true;
  is_given_memory_ = true;
  return best->memory.raw_data();
}

unsigned* Graph::arrivals() {
  if (!arrivals_.defined()) {
    gpu_.set_current_queue(queue_);
    arrivals_ = Tensor::empty({kMaxArrivals}, DType::uint32, gpu_.name());
    check(cudaMemsetAsync(arrivals_.raw_data(), 0, arrivals_.nbytes(), gpu_.stream(queue_)), kWhat);
    gpu_.set_current_queue(kCaptureQueue);
  }
  is_given_memory_ = true;
  return arrivals_.data<uint32_t>();
}

void Graph::deallocate(void* data) {
  const auto found =
      std::ranges::find(blocks_, data, [](const ReservedMemory& block) { return block.memory.raw_data(); });
  if (found != blocks_.end()) found->is_taken = false;
}

}  // namespace tidu::cuda
