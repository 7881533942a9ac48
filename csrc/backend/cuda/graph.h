// What a device is given, taken up as a graph that is launched as a whole.
#pragma once

#include <cuda_runtime.h>

#include <utility>
#include <vector>

#include "backend/cuda/gpu.h"
#include "core/backend.h"
#include "cuda/matmul.h"

namespace tidu::cuda {

// A graph of graphs: each piece of work is one, so that it can be replaced while the others stay. They run
// one after another. Work is taken up from a stream that is nobody else's; memory that a piece allocates is
// the graph's, and pieces take it in turns.
class Graph final : public WorkGraph {
 public:
  explicit Graph(Gpu& gpu) : gpu_(gpu), settings_(settings()) {}
  ~Graph() override;

  void add(const std::function<void()>& issue) override;
  void replace(size_t piece, const std::function<void()>& issue) override;
  bool is_stale() const override { return settings_ != settings(); }
  int launches(size_t piece) const override { return pieces_[piece].launches; }
  void launch(std::span<const Tensor> used) override;

  // Memory for a piece while it is taken up, until it is given back.
  void* allocate(size_t bytes);
  void deallocate(void* data);

 private:
  struct Piece {
    cudaGraph_t graph = nullptr;
    cudaGraphNode_t node = nullptr;
    int launches = 0;
    uint64_t calls = 0, calls_end = 0;  // in the log
    size_t nodes = 0;
  };
  struct Block {
    Tensor memory;
    bool is_taken = false;
  };

  using Settings = std::pair<bool, MatmulLibrary>;
  static Settings settings() { return {allow_tf32(), matmul_library()}; }
  Piece capture(const std::function<void()>& issue);
  void instantiate();
  void drop_executable() noexcept;
  void drop(Piece& piece) noexcept;

  Gpu& gpu_;
  const Settings settings_;
  Queue queue_ = 0;  // the thread's own, while it captures
  std::vector<Piece> pieces_;
  std::vector<Block> blocks_;
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace tidu::cuda
