// What a device is given, taken up as a graph that is launched as a whole.
#pragma once

#include <cuda_runtime.h>

#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/gpu.h"
#include "backend/cuda/join.h"
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
  int launches(size_t piece) const override;
  void join(const std::function<bool(size_t, size_t)>& are_apart) override;
  void launch(std::span<const Tensor> used) override;

  // Memory for a piece while it is taken up, until it is given back.
  void* allocate(size_t bytes);
  void deallocate(void* data);
  unsigned* arrivals();  // as of a Gpu's streams

 private:
  struct Piece {
    cudaGraph_t graph = nullptr;
    cudaGraphNode_t node = nullptr;
    int launches = 0;
    uint64_t calls = 0, calls_end = 0;  // in the log
    size_t nodes = 0;
    bool has_memory = false;  // that other pieces have, too
    std::vector<Part> parts;  // what its kernels do, where that can follow on other work in one kernel
  };
  // Pieces from number `first` to before `end`, whose work is one kernel: in its blocks side by side, or in
  // one block.
  struct Run {
    size_t first, end;
    bool side_by_side;
    Piece piece{};
  };
  struct ReservedMemory {
    Tensor memory;
    bool is_taken = false;
  };

  using Settings = std::pair<bool, MatmulLibrary>;
  static Settings settings() { return {allow_tf32(), matmul_library()}; }
  Piece capture(const std::function<void()>& issue);
  std::vector<Part> parts_of(const Run& run) const;
  Piece capture_joined(const Run& run);
  Run* run_with(size_t piece);
  void put(Piece& into, Piece made);
  void instantiate();
  void drop_executable() noexcept;
  void drop(Piece& piece) noexcept;

  Gpu& gpu_;
  const Settings settings_;
  Queue queue_ = 0;  // the thread's own, while it captures
  std::vector<Piece> pieces_;
  std::vector<Run> runs_;  // in order
  std::vector<ReservedMemory> blocks_;
  Tensor arrivals_;
  bool is_given_memory_ = false;  // what is captured
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace tidu::cuda
