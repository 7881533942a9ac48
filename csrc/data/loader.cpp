// Batches of a data set, gathered ahead by a thread.
#include "data/loader.h"

#include <unistd.h>

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

namespace {

using Position = DataLoader::Position;

// What batches are made of. A thread may go on using it when the loader is gone.
struct Source {
  int64_t size;
  Gather gather;
  LoaderOptions options;
  int64_t num_batches;
};

// The batches of one epoch.
class Epoch {
 public:
  Epoch(std::shared_ptr<const Source> source, int64_t number)
      : number(number),
        source_(std::move(source)),
        order_(source_->options.shuffle
                   ? random_permutation(random_fold_in(source_->options.key, static_cast<uint64_t>(number)),
                                        source_->size)
                   : Tensor()) {}

  Tensors batch(int64_t i) const {
    const LoaderOptions& options = source_->options;
    const int64_t begin = i * options.batch_size;
    const int64_t end = std::min(begin + options.batch_size, source_->size);
    const Tensors batch =
        source_->gather(order_.defined() ? slice_axis(order_, 0, begin, end)
                                         : arange(Scalar(begin), Scalar(end), Scalar(1), kDefaultInt));
    return options.transform ? options.transform(batch) : batch;
  }

  const int64_t number;

 private:
  std::shared_ptr<const Source> source_;
  Tensor order_;  // undefined: that of the numbers
};

// The rest of an epoch, made by a thread.
class Ahead {
 public:
  Ahead(const std::shared_ptr<const Source>& source, Position from)
      : state_(std::make_shared<State>()),
        thread_([source, from, state = state_] { run(source, from, *state); }) {}
  ~Ahead() {
    if (is_inherited()) {
      // There is no such thread here, and its lock may be taken for ever: nothing of it may be touched.
      static auto& forgotten = *new std::deque<std::pair<std::shared_ptr<State>, std::thread>>;
      forgotten.emplace_back(std::move(state_), std::move(thread_));
      return;
    }
    stop();
    if (thread_.joinable()) thread_.join();
  }
  Ahead(const Ahead&) = delete;

  // Whether the thread is that of the process which this one was forked from.
  bool is_inherited() const { return process_ != ::getpid(); }

  bool wait_for(std::chrono::milliseconds patience) const {
    std::unique_lock lock(state_->mutex);
    return state_->changed.wait_for(lock, patience, [&] { return state_->has_news(); });
  }

  // The next batch; throws what making it threw.
  Tensors take() {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->has_news(); });
    if (state_->ready.empty()) std::rethrow_exception(state_->error);
    Tensors batch = std::move(state_->ready.front());
    state_->ready.pop_front();
    state_->changed.notify_all();
    return batch;
  }

  // Lets the thread end when it has made the batch that it is at.
  void abandon() {
    if (is_inherited()) return;
    stop();
    thread_.detach();
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Tensors> ready;
    std::exception_ptr error;  // comes after what is ready
    bool stopping = false;

    bool has_news() const { return !ready.empty() || error; }
  };

  static void run(const std::shared_ptr<const Source>& source, Position at, State& state) {
    try {
      const GradMode off(false);
      for (const Epoch epoch(source, at.epoch); at.batch < source->num_batches; ++at.batch) {
        Tensors batch = epoch.batch(at.batch);
        std::unique_lock lock(state.mutex);
        state.changed.wait(lock, [&] {
          return state.stopping || state.ready.size() < static_cast<size_t>(source->options.prefetch);
        });
        if (state.stopping) return;
        state.ready.push_back(std::move(batch));
        state.changed.notify_all();
      }
    } catch (...) {
      const std::lock_guard lock(state.mutex);
      state.error = std::current_exception();
      state.changed.notify_all();
    }
  }

  void stop() {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_all();
  }

  const pid_t process_ = ::getpid();
  std::shared_ptr<State> state_;
  std::thread thread_;
};

std::shared_ptr<const Source> make_source(int64_t size, Gather gather, LoaderOptions options) {
  const int64_t batch = options.batch_size;
  if (size < 0) fail<ValueError>("[DataLoader] the number of samples is ", size);
  if (batch < 1) fail<ValueError>("[DataLoader] batch_size must be at least 1, not ", batch);
  if (options.prefetch < 0) fail<ValueError>("[DataLoader] prefetch must not be negative");
  if (options.shuffle && !options.key.defined())
    fail<ValueError>("[DataLoader] shuffle needs a key (random_key(seed))");
  const int64_t num_batches = size / batch + (!options.drop_last && size % batch != 0);
  return std::make_shared<Source>(size, std::move(gather), std::move(options), num_batches);
}

}  // namespace

struct DataLoader::Impl {
  std::shared_ptr<const Source> source;
  Position position = {};             // batch == num_batches at the end of an epoch
  std::unique_ptr<Ahead> ahead = {};  // while the thread makes what follows `position`
  std::optional<Epoch> epoch = {};    // without a thread

  Ahead& thread() {
    if (ahead && ahead->is_inherited()) ahead.reset();
    if (!ahead) ahead = std::make_unique<Ahead>(source, position);
    return *ahead;
  }

  Tensors take() {
    if (source->options.prefetch > 0) {
      Ahead& running = thread();
      try {
        return running.take();
      } catch (...) {
        ahead.reset();  // it ended; the next call begins again, at the failed batch
        throw;
      }
    }
    const GradMode off(false);
    if (!epoch || epoch->number != position.epoch) epoch.emplace(source, position.epoch);
    return epoch->batch(position.batch);
  }
};

DataLoader::DataLoader(const TensorDataset& dataset, LoaderOptions options)
    : DataLoader(
          dataset.size(), [dataset](const Tensor& indices) { return dataset.gather(indices); },
          std::move(options)) {}

DataLoader::DataLoader(int64_t size, Gather gather, LoaderOptions options)
    : impl_(std::make_unique<Impl>(make_source(size, std::move(gather), std::move(options)))) {}

DataLoader::~DataLoader() = default;
DataLoader::DataLoader(DataLoader&&) noexcept = default;

std::optional<Tensors> DataLoader::next() {
  Position& at = impl_->position;
  if (at.batch >= num_batches()) {
    at = {at.epoch + 1, 0};
    impl_->ahead.reset();
    return {};
  }
  Tensors batch = impl_->take();
  ++at.batch;
  return batch;
}

bool DataLoader::wait_for(std::chrono::milliseconds patience) {
  if (impl_->source->options.prefetch == 0 || impl_->position.batch >= num_batches()) return true;
  return impl_->thread().wait_for(patience);
}

void DataLoader::abandon() {
  if (impl_->ahead) impl_->ahead->abandon();
  impl_->ahead.reset();
}

int64_t DataLoader::num_batches() const { return impl_->source->num_batches; }

DataLoader::Position DataLoader::position() const { return impl_->position; }

void DataLoader::seek(Position position) {
  if (position.epoch < 0 || position.batch < 0 || position.batch > num_batches()) {
    fail<ValueError>("[DataLoader] there is no batch ", position.batch, " of epoch ", position.epoch,
                     " among ", num_batches(), " batches");
  }
  impl_->ahead.reset();
  impl_->position = position;
}

}  // namespace tidu::data
