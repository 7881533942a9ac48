// What a device is given, taken up as a graph that is launched as a whole.
#include "backend/cuda/graph.h"

#include <algorithm>
#include <mutex>
#include <shared_mutex>

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
  }
  ~Capture() {
    if (cudaGraph_t left = nullptr; !ended_ && end(&left) == cudaSuccess) cudaGraphDestroy(left);
    if (!ended_) cudaGetLastError();
  }
  Capture(const Capture&) = delete;

  cudaError_t end(cudaGraph_t* graph) {
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
  bool ended_ = false;
};

}  // namespace

Graph::~Graph() {
  const std::lock_guard lock(gpu_.mutex());
  drop_executable();
  for (Piece& piece : pieces_) drop(piece);
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
  for (Block& block : blocks_) block.is_taken = false;
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
  }
  check(cudaGraphGetNodes(piece.graph, nullptr, &piece.nodes), kWhat);
  std::vector<cudaGraphNode_t> nodes(piece.nodes);
  if (piece.nodes > 0) check(cudaGraphGetNodes(piece.graph, nodes.data(), &piece.nodes), kWhat);
  for (const cudaGraphNode_t node : nodes) {
    cudaGraphNodeType type;
    check(cudaGraphNodeGetType(node, &type), kWhat);
    piece.launches += type == cudaGraphNodeTypeKernel;
  }
  return piece;
}

void Graph::add(const std::function<void()>& issue) {
  pieces_.push_back(capture(issue));
  drop_executable();
}

void Graph::replace(size_t i, const std::function<void()>& issue) {
  Piece made = capture(issue);
  Piece& piece = pieces_[i];
  made.node = piece.node;
  std::swap(piece, made);
  drop(made);
  if (!executable_ || piece.nodes == 0) return;
  if (cudaGraphExecChildGraphNodeSetParams(executable_, piece.node, piece.graph) == cudaSuccess) return;
  cudaGetLastError();  // it has other kernels for memory that lies so
  drop_executable();
}

void Graph::instantiate() {
  check(cudaGraphCreate(&graph_, 0), kWhat);
  const cudaGraphNode_t* last = nullptr;
  for (Piece& piece : pieces_) {
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
  for (const Block& block : blocks_) gpu_.use(*block.memory.impl().storage, queue);
  gpu_.note("compiled function", used.empty() ? Spec() : used[0].spec(), queue);
  check(cudaGraphLaunch(executable_, gpu_.stream(queue)), kWhat);
}

// The smallest that is free; a new one comes from the thread's own queue, so that no graph allocates memory.
void* Graph::allocate(size_t bytes) {
  Block* best = nullptr;
  for (Block& block : blocks_) {
    const size_t size = block.memory.nbytes();
    if (!block.is_taken && size >= bytes && (!best || size < best->memory.nbytes())) best = &block;
  }
  if (!best) {
    gpu_.set_current_queue(queue_);
    best = &blocks_.emplace_back(Tensor::empty({static_cast<int64_t>(bytes)}, DType::uint8, gpu_.name()));
    gpu_.set_current_queue(kCaptureQueue);
  }
  best->is_taken = true;
  return best->memory.raw_data();
}

void Graph::deallocate(void* data) {
  const auto found =
      std::ranges::find(blocks_, data, [](const Block& block) { return block.memory.raw_data(); });
  if (found != blocks_.end()) found->is_taken = false;
}

}  // namespace tidu::cuda
