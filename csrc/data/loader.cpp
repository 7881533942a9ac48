// Batches of a data set, gathered ahead by a thread.
#include "data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "core/trace.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/indexing.h"
#include "ops/random.h"
#include "ops/shape.h"

namespace tidu::data {

TensorDataset::TensorDataset(Tensors tensors) : tensors_(std::move(tensors)) {
  if (tensors_.empty()) fail<ValueError>("[TensorDataset] needs at least one tensor");
  for (const Tensor& tensor : tensors_) {
    if (tensor.ndim() == 0 || tensor.size(0) != tensors_[0].size(0)) {
      fail<ShapeError>("[TensorDataset] ", describe(tensor),
                       " has not as many samples along its first axis as ", describe(tensors_[0]));
    }
  }
}

Tensors TensorDataset::gather(const Tensor& indices) const {
  Tensors samples;
  for (const Tensor& tensor : tensors_) samples.push_back(take(tensor, to(indices, tensor.device()), 0));
  return samples;
}

struct DataLoader::Impl {
  // A gathered batch, or what was thrown instead.
  struct Item {
    Tensors batch;
    std::exception_ptr error;
  };

  Impl(int64_t size, Gather gather, LoaderOptions options)
      : size(size), gather(std::move(gather)), options(std::move(options)) {
    const int64_t batch = this->options.batch_size;
    if (size < 0) fail<ValueError>("[DataLoader] the number of samples is ", size);
    if (batch < 1) fail<ValueError>("[DataLoader] batch_size must be at least 1, not ", batch);
    if (this->options.prefetch < 0) fail<ValueError>("[DataLoader] prefetch must not be negative");
    if (this->options.shuffle && !this->options.key.defined())
      fail<ValueError>("[DataLoader] shuffle needs a key (random_key(seed))");
    num_batches = this->options.drop_last ? size / batch : (size + batch - 1) / batch;
  }
  ~Impl() { stop(); }

  // Where the batch after `at` stands; the end of an epoch is no batch.
  Position after(Position at) const {
    return at.batch + 1 < num_batches ? Position{at.epoch, at.batch + 1} : Position{at.epoch + 1, 0};
  }

  Tensors make(Position at) {
    const GradMode off(false);
    if (!order.defined() || order_epoch != at.epoch) {
      order = options.shuffle
                  ? random_permutation(random_fold_in(options.key, static_cast<uint64_t>(at.epoch)), size)
                  : arange(size);
      order_epoch = at.epoch;
    }
    const int64_t begin = at.batch * options.batch_size;
    const Tensors batch = gather(slice_axis(order, 0, begin, begin + options.batch_size));
    return options.transform ? options.transform(batch) : batch;
  }

  void start() {
    stopping = false;
    thread = std::thread([this, at = position]() mutable {
      for (;; at = after(at)) {
        Item item;
        try {
          item.batch = make(at);
        } catch (...) { item.error = std::current_exception(); }
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return stopping || ready.size() < static_cast<size_t>(options.prefetch); });
        if (stopping) return;
        ready.push_back(std::move(item));
        changed.notify_all();
        if (ready.back().error) return;
      }
    });
  }

  void stop() {
    if (!thread.joinable()) return;
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
    thread.join();
    ready.clear();
  }

  Tensors take_ready() {
    if (!thread.joinable()) start();
    Item item;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return !ready.empty(); });
      item = std::move(ready.front());
      ready.pop_front();
    }
    changed.notify_all();
    if (item.error) {
      stop();  // it ended itself; the next call starts it again, at the failed batch
      std::rethrow_exception(item.error);
    }
    return std::move(item.batch);
  }

  const int64_t size;
  const Gather gather;
  const LoaderOptions options;
  int64_t num_batches = 0;
  Position position;  // of the consumer, whose batch == num_batches at the end of an epoch

  // Of the thread while it runs, else of the consumer.
  Tensor order;
  int64_t order_epoch = 0;

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Item> ready;
  bool stopping = false;
  std::thread thread;
};

DataLoader::DataLoader(const TensorDataset& dataset, LoaderOptions options)
    : DataLoader(
          dataset.size(), [dataset](const Tensor& indices) { return dataset.gather(indices); },
          std::move(options)) {}

DataLoader::DataLoader(int64_t size, Gather gather, LoaderOptions options)
    : impl_(std::make_unique<Impl>(size, std::move(gather), std::move(options))) {}

DataLoader::~DataLoader() = default;
DataLoader::DataLoader(DataLoader&&) noexcept = default;

std::optional<Tensors> DataLoader::next() {
  Position& at = impl_->position;
  if (at.batch >= impl_->num_batches) {
    at = {at.epoch + 1, 0};
    return {};
  }
  Tensors batch = impl_->options.prefetch > 0 ? impl_->take_ready() : impl_->make(at);
  ++at.batch;
  return batch;
}

int64_t DataLoader::num_batches() const { return impl_->num_batches; }

DataLoader::Position DataLoader::position() const { return impl_->position; }

void DataLoader::seek(Position position) {
  if (position.epoch < 0 || position.batch < 0 || position.batch > impl_->num_batches) {
    fail<ValueError>("[DataLoader] there is no batch ", position.batch, " of epoch ", position.epoch,
                     " among ", impl_->num_batches, " batches");
  }
  impl_->stop();
  impl_->position = position;
}

}  // namespace tidu::data
