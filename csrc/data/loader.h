// Batches of a data set, in order or shuffled, gathered ahead by a thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "tensor/tensor.h"

namespace tidu::data {

// Tensors whose first axis counts the samples: (n, ..), (n, ..) ..
class TensorDataset {
 public:
  // ShapeError where they are not of one length.
  explicit TensorDataset(Tensors tensors);

  int64_t size() const { return tensors_[0].size(0); }
  const Tensors& tensors() const { return tensors_; }
  // The samples at int64 `indices` (m): one tensor (m, ..) for each.
  Tensors gather(const Tensor& indices) const;

 private:
  Tensors tensors_;
};

// The samples at int64 `indices` (m), stacked. Called by the loader's thread.
using Gather = std::function<Tensors(const Tensor& indices)>;

struct LoaderOptions {
  int64_t batch_size = 1;
  bool shuffle = false;
  Tensor key = {};  // for shuffling: epoch e takes the order random_permutation(random_fold_in(key, e), size)
  bool drop_last = false;  // leave out a last batch that is not full
  int prefetch = 2;        // batches gathered ahead; 0: no thread, next() gathers
  std::function<Tensors(const Tensors&)> transform = {};  // applied to each batch where it is gathered
};

class DataLoader {
 public:
  DataLoader(const TensorDataset& dataset, LoaderOptions options);
  DataLoader(int64_t size, Gather gather, LoaderOptions options);
  ~DataLoader();
  DataLoader(DataLoader&&) noexcept;

  // The next batch, or nothing where the epoch ends; the call after that begins the next epoch. What the
  // gather function or the transform threw comes out here, and the position stays at the failed batch.
  std::optional<Tensors> next();
  // Waits until next() need not, at most so long; whether that is so.
  bool wait_for(std::chrono::milliseconds patience);
  // Stops making batches ahead until next() is called again, without waiting for the one that is being made:
  // gather and transform must own what they use. Whatever else ends the thread waits for it.
  void abandon();

  int64_t num_batches() const;  // an epoch

  // How far next() came: `batch` batches of epoch `epoch`. Together with the options it fixes all batches to
  // come.
  struct Position {
    int64_t epoch = 0, batch = 0;
    bool operator==(const Position&) const = default;
  };
  Position position() const;
  // ValueError where there is no such position.
  void seek(Position position);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidu::data
