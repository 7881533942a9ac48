// Readers on files made here, whole and damaged; the loader against the definition of its order.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <set>
#include <thread>

#include "data/csv.h"
#include "data/fashion_mnist.h"
#include "data/idx.h"
#include "data/loader.h"
#include "io/sha256.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/random.h"
#include "ops/shape.h"

namespace tidu::data {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  Files() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder = fs::temp_directory_path() / str("tidu-data-", ::getpid(), "-", test->name());
    fs::create_directories(folder);
  }
  ~Files() override { fs::remove_all(folder); }

  fs::path write(std::string_view bytes, const char* name = "file") const {
    io::write_file(folder / name, bytes);
    return folder / name;
  }

  fs::path folder;
};
using Idx = Files;
using Csv = Files;
using Fashion = Files;

std::string gzip(std::string_view bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

// The message of the FileError that reading throws, which must name the file.
template <class Read> std::string refusal(const fs::path& path, const Read& read) {
  try {
    read(path);
  } catch (const FileError& error) {
    EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return "";
}
std::string idx_refusal(const fs::path& path) {
  return refusal(path, [](const fs::path& p) { read_idx(p); });
}

// --- IDX

const std::string kSmallIdx("\0\0\x08\x02\0\0\0\x02\0\0\0\x03\1\2\3\4\5\xff", 18);

TEST_F(Idx, ReadsPlainAndGzipped) {
  for (const std::string& bytes : {kSmallIdx, gzip(kSmallIdx)}) {
    const Tensor x = read_idx(write(bytes));
    EXPECT_EQ(x.shape(), (Shape{2, 3}));
    EXPECT_EQ(x.dtype(), DType::uint8);
    EXPECT_EQ(to_vector<int64_t>(x), (std::vector<int64_t>{1, 2, 3, 4, 5, 255}));
  }
}

TEST_F(Idx, EveryElementTypeIsBigEndian) {
  const auto one = [&](char code, std::string_view element) {
    return read_idx(
        write(std::string("\0\0", 2) + code + std::string("\1\0\0\0\1", 5) + std::string(element)));
  };
  EXPECT_EQ(item<int64_t>(one('\x09', "\xfe")), -2);
  EXPECT_EQ(item<int64_t>(one('\x0b', std::string_view("\xff\x00", 2))), -256);
  EXPECT_EQ(item<int64_t>(one('\x0c', std::string_view("\0\1\0\2", 4))), 65538);
  EXPECT_EQ(item<float>(one('\x0d', std::string_view("\x3f\xc0\0\0", 4))), 1.5f);
  EXPECT_EQ(item<double>(one('\x0e', std::string_view("\xbf\xf8\0\0\0\0\0\0", 8))), -1.5);
}

TEST_F(Idx, DamagedFilesAreRefused) {
  for (size_t length = 0; length < kSmallIdx.size(); ++length)
    idx_refusal(write(kSmallIdx.substr(0, length)));
  EXPECT_NE(idx_refusal(write(kSmallIdx + "x")).find("more bytes"), std::string::npos);
  EXPECT_NE(idx_refusal(write("\x01" + kSmallIdx.substr(1))).find("not an IDX file"), std::string::npos);
  std::string other_type = kSmallIdx;
  other_type[2] = 7;
  EXPECT_NE(idx_refusal(write(other_type)).find("element type 7"), std::string::npos);
  std::string many_axes = kSmallIdx;
  many_axes[3] = 100;
  EXPECT_NE(idx_refusal(write(many_axes)).find("dimensions"), std::string::npos);
}

TEST_F(Idx, DamagedGzipIsRefused) {
  const std::string packed = gzip(kSmallIdx);
  for (size_t length = 2; length < packed.size(); ++length) idx_refusal(write(packed.substr(0, length)));
  idx_refusal(write(packed + "x"));
  std::string changed = packed;
  changed[packed.size() - 6] ^= 1;  // in the CRC
  EXPECT_NE(idx_refusal(write(changed)).find("damaged"), std::string::npos);
  idx_refusal(write(gzip(kSmallIdx + "x")));
}

// 2^96 elements: refused before memory is taken.
TEST_F(Idx, HugeClaimsAreRefused) {
  std::string huge = kSmallIdx;
  huge[3] = 3;
  for (int i = 4; i < 16; ++i) huge[i] = '\xff';
  EXPECT_NE(idx_refusal(write(huge)).find("too short"), std::string::npos);
  EXPECT_NE(idx_refusal(write(gzip(huge))).find("too short"), std::string::npos);
}

TEST_F(Idx, ChecksumIsOfTheUnpackedFile) {
  const fs::path path = write(gzip(kSmallIdx));
  read_idx(path, io::sha256(kSmallIdx));
  const auto wrong = [](const fs::path& p) { read_idx(p, io::sha256("other")); };
  EXPECT_NE(refusal(path, wrong).find("checksum"), std::string::npos);
}

// --- Fashion-MNIST

TEST_F(Fashion, BothHalvesAreWhole) {
  for (const bool train : {true, false}) {
    const FashionMnist half = fashion_mnist(train);
    const int64_t count = train ? 60000 : 10000;
    EXPECT_EQ(half.images.shape(), (Shape{count, 28, 28}));
    EXPECT_EQ(half.images.dtype(), DType::uint8);
    EXPECT_EQ(half.labels.dtype(), DType::int64);
    std::vector<int64_t> seen(10);
    for (const int64_t label : to_vector<int64_t>(half.labels)) ++seen.at(static_cast<size_t>(label));
    EXPECT_EQ(seen, std::vector<int64_t>(10, count / 10));
  }
}

TEST_F(Fashion, MissingFilesSayHowToGetThem) {
  try {
    fashion_mnist(true, folder);
    FAIL();
  } catch (const MissingFileError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find((folder / "train-images-idx3-ubyte.gz").string()), std::string::npos) << message;
    EXPECT_NE(message.find("apt-get install dataset-fashion-mnist"), std::string::npos) << message;
  }
}

TEST_F(Fashion, AnotherFileUnderItsNameIsRefused) {
  const fs::path path = write(gzip(kSmallIdx), "t10k-images-idx3-ubyte.gz");
  const auto read = [&](const fs::path&) { fashion_mnist(false, folder); };
  EXPECT_NE(refusal(path, read).find("checksum"), std::string::npos);
}

// --- CSV

TEST_F(Csv, NumbersHeaderAndQuotes) {
  const CsvTable table =
      read_csv(write("\xef\xbb\xbf"
                     "a,\"b \"\"x\"\", y\",c\r\n1, 2.5 ,-3e2\r\n\r\n\"4\",+5,.5\n"));
  EXPECT_EQ(table.columns, (std::vector<std::string>{"a", "b \"x\", y", "c"}));
  EXPECT_EQ(table.values.shape(), (Shape{2, 3}));
  EXPECT_EQ(table.values.dtype(), DType::float32);
  EXPECT_EQ(to_vector<double>(table.values), (std::vector<double>{1, 2.5, -300, 4, 5, 0.5}));
  EXPECT_FALSE(table.labels.defined());
}

TEST_F(Csv, LabelsAreIntegersNumbersOrText) {
  const auto labels = [&](const char* text) {
    return read_csv(write(text), {.label_column = std::string("y"), .dtype = DType::float64});
  };
  const CsvTable integers = labels("x,y\n1,7\n2,-1");
  EXPECT_EQ(integers.labels.dtype(), DType::int64);
  EXPECT_EQ(to_vector<int64_t>(integers.labels), (std::vector<int64_t>{7, -1}));
  EXPECT_EQ(integers.columns, std::vector<std::string>{"x"});
  EXPECT_EQ(integers.values.shape(), (Shape{2, 1}));
  const CsvTable reals = labels("y,x\n0.5,1\n2,2");
  EXPECT_EQ(reals.labels.dtype(), DType::float64);
  EXPECT_EQ(to_vector<double>(reals.labels), (std::vector<double>{0.5, 2}));
  const CsvTable text = labels("x,y\n1,dog\n2,cat\n3,\"dog\"");
  EXPECT_EQ(text.classes, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(to_vector<int64_t>(text.labels), (std::vector<int64_t>{1, 0, 1}));
}

TEST_F(Csv, PositionsDelimitersAndGzip) {
  const CsvTable table = read_csv(write(gzip("1;2;a\n3;4;b\n")),
                                  {.delimiter = ';', .header = false, .label_column = int64_t{-1}});
  EXPECT_EQ(to_vector<double>(table.values), (std::vector<double>{1, 2, 3, 4}));
  EXPECT_EQ(table.classes, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(table.columns.empty());
}

TEST_F(Csv, FaultsNameLineAndColumn) {
  const auto says = [&](const char* text, const char* what) {
    const std::string message = refusal(write(text), [](const fs::path& p) { read_csv(p); });
    EXPECT_NE(message.find(what), std::string::npos) << message;
  };
  says("a,b\n1,2\n3,x\n", "line 3: column 'b': 'x' is not a number");
  says("a,b\n1,2\n3,\n", "line 3: column 'b': '' is not a number");
  says("a,b\n\"1\n\",2\n", "is not a number");
  says("a,b\n1,2\n3\n", "line 3: has 1 fields, not 2");
  says("a,b\n1,2,3\n", "line 2: has 3 fields, not 2");
  says("a,b\n1,\"2\n", "line 2: a quoted field does not end");
  says("a,b\n\"1\"2,3\n", "line 2: text after a closing quote");
  says("\"a\nb\",c\n1,2\n3,4x\n", "line 4: column 'c'");
  const auto no_column = [](const fs::path& p) { read_csv(p, {.label_column = std::string("z")}); };
  EXPECT_NE(refusal(write("a,b\n1,2\n"), no_column).find("no column 'z'"), std::string::npos);
  EXPECT_THROW(read_csv(folder / "none"), MissingFileError);
}

TEST_F(Csv, NoRows) {
  EXPECT_EQ(read_csv(write("a,b\n")).values.shape(), (Shape{0, 2}));
  EXPECT_EQ(read_csv(write("")).values.shape(), (Shape{0, 0}));
}

// --- Loader

TensorDataset counting(int64_t count) {
  return TensorDataset({arange(count), reshape(arange(2 * count, DType::float32), {count, 2})});
}

std::vector<std::vector<int64_t>> epoch_of(DataLoader& loader) {
  std::vector<std::vector<int64_t>> batches;
  while (const auto batch = loader.next()) {
    const auto indices = to_vector<int64_t>(batch->at(0));
    const auto rows = to_vector<int64_t>(batch->at(1));
    for (size_t i = 0; i < indices.size(); ++i) {
      EXPECT_EQ(rows[2 * i], 2 * indices[i]);
      EXPECT_EQ(rows[2 * i + 1], 2 * indices[i] + 1);
    }
    batches.push_back(indices);
  }
  return batches;
}

TEST(DataLoader, InOrder) {
  for (const int prefetch : {0, 1, 3}) {
    DataLoader loader(counting(7), {.batch_size = 3, .prefetch = prefetch});
    EXPECT_EQ(loader.num_batches(), 3);
    const std::vector<std::vector<int64_t>> expected{{0, 1, 2}, {3, 4, 5}, {6}};
    EXPECT_EQ(epoch_of(loader), expected);
    EXPECT_EQ(epoch_of(loader), expected);
    EXPECT_EQ(loader.position(), (DataLoader::Position{2, 0}));
    DataLoader whole(counting(7), {.batch_size = 3, .drop_last = true, .prefetch = prefetch});
    EXPECT_EQ(epoch_of(whole), (std::vector<std::vector<int64_t>>{{0, 1, 2}, {3, 4, 5}}));
  }
}

TEST(DataLoader, ShufflesByKeyAndEpoch) {
  const Tensor key = random_key(5);
  for (const int prefetch : {0, 2}) {
    DataLoader loader(counting(10), {.batch_size = 4, .shuffle = true, .key = key, .prefetch = prefetch});
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      const auto order = to_vector<int64_t>(random_permutation(random_fold_in(key, epoch), 10));
      const auto at = order.begin();
      EXPECT_EQ(epoch_of(loader),
                (std::vector<std::vector<int64_t>>{{at, at + 4}, {at + 4, at + 8}, {at + 8, at + 10}}));
    }
  }
}

TEST(DataLoader, GoesOnFromAnyPosition) {
  const auto make = [] {
    return DataLoader(counting(11), {.batch_size = 2, .shuffle = true, .key = random_key(1)});
  };
  DataLoader whole = make();
  for (int taken = 0; taken < 16; ++taken) {
    DataLoader first = make(), second = make();
    for (int i = 0; i < taken; ++i) first.next();
    second.seek(first.position());
    for (int i = 0; i < 8; ++i) {
      const auto a = first.next(), b = second.next();
      ASSERT_EQ(a.has_value(), b.has_value());
      if (!a) continue;
      EXPECT_EQ(to_vector<int64_t>(a->at(0)), to_vector<int64_t>(b->at(0)));
    }
  }
  EXPECT_THROW(whole.seek({0, 7}), ValueError);
  EXPECT_THROW(whole.seek({-1, 0}), ValueError);
}

TEST(DataLoader, NothingToLoad) {
  DataLoader loader(counting(0), {.batch_size = 3});
  EXPECT_FALSE(loader.next());
  EXPECT_FALSE(loader.next());
  DataLoader too_few(counting(2), {.batch_size = 3, .drop_last = true});
  EXPECT_FALSE(too_few.next());
}

TEST(DataLoader, TransformsBatches) {
  DataLoader loader(counting(4), {.batch_size = 4, .transform = [](const Tensors& batch) -> Tensors {
                                    return {batch[1] / 2};
                                  }});
  EXPECT_EQ(to_vector<float>(loader.next()->at(0)), (std::vector<float>{0, .5, 1, 1.5, 2, 2.5, 3, 3.5}));
}

TEST(DataLoader, ErrorsReachTheConsumer) {
  for (const int prefetch : {0, 1, 4}) {
    std::atomic<int> failures{2};
    const auto gather = [&](const Tensor& indices) -> Tensors {
      if (to_vector<int64_t>(indices)[0] == 4 && failures-- > 0) throw std::runtime_error("no sample 4");
      return {indices};
    };
    DataLoader loader(8, gather, {.batch_size = 2, .prefetch = prefetch});
    ASSERT_TRUE(loader.next());
    ASSERT_TRUE(loader.next());
    for (int i = 0; i < 2; ++i) {
      EXPECT_THROW(loader.next(), std::runtime_error);
      EXPECT_EQ(loader.position(), (DataLoader::Position{0, 2}));
    }
    EXPECT_EQ(to_vector<int64_t>(loader.next()->at(0)), (std::vector<int64_t>{4, 5}));
    EXPECT_EQ(to_vector<int64_t>(loader.next()->at(0)), (std::vector<int64_t>{6, 7}));
    EXPECT_FALSE(loader.next());
  }
}

TEST(DataLoader, GathersAheadButNoFurther) {
  std::atomic<int> gathered{0};
  DataLoader loader(100,
                    [&](const Tensor& indices) -> Tensors {
                      ++gathered;
                      return {indices};
                    },
                    {.prefetch = 3});
  loader.next();
  for (int i = 0; i < 1000 && gathered < 4; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_GE(gathered, 4);
  EXPECT_LE(gathered, 5);  // one more waits for room
}

TEST(DataLoader, EndsWhileItsThreadWorks) {
  for (int i = 0; i < 50; ++i) {
    DataLoader loader(counting(64), {.batch_size = 1, .prefetch = 1 + i % 4});
    for (int k = 0; k < i % 7; ++k) loader.next();
    if (i % 3 == 0) loader.seek({1, 2});
  }
}

// A gather function that waits for its turn and owns all that it uses.
struct Gate {
  std::atomic<bool> open{false};
};
Gather slow_gather(const std::shared_ptr<Gate>& gate) {
  return [gate](const Tensor& indices) -> Tensors {
    while (!gate->open) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return {indices};
  };
}

TEST(DataLoader, WaitsNoLongerThanItIsTold) {
  const auto gate = std::make_shared<Gate>();
  DataLoader loader(4, slow_gather(gate), {.batch_size = 2});
  EXPECT_FALSE(loader.wait_for(std::chrono::milliseconds(5)));
  gate->open = true;
  EXPECT_TRUE(loader.wait_for(std::chrono::minutes(1)));
  EXPECT_EQ(to_vector<int64_t>(loader.next()->at(0)), (std::vector<int64_t>{0, 1}));
  EXPECT_TRUE(DataLoader(4, slow_gather(gate), {.prefetch = 0}).wait_for({}));
}

TEST(DataLoader, AbandonsABatchThatIsBeingMade) {
  const auto gate = std::make_shared<Gate>();
  {
    DataLoader loader(4, slow_gather(gate), {.batch_size = 2});
    EXPECT_FALSE(loader.wait_for({}));
    loader.abandon();
  }
  gate->open = true;  // so that the thread, which alone holds on to the gate, ends
  for (int i = 0; i < 10000 && gate.use_count() > 1; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(gate.use_count(), 1);
}

TEST(DataLoader, RunsOutOfMemoryLikeAnyCall) {
  for (const int prefetch : {0, 2}) {
    bool full = true;
    const auto gather = [&](const Tensor& indices) -> Tensors {
      if (full) throw std::bad_alloc();
      return {indices};
    };
    DataLoader loader(4, gather, {.batch_size = 4, .prefetch = prefetch});
    EXPECT_THROW(loader.next(), std::bad_alloc);
    full = false;
    EXPECT_EQ(to_vector<int64_t>(loader.next()->at(0)), (std::vector<int64_t>{0, 1, 2, 3}));
  }
}

#if !defined(__SANITIZE_THREAD__)  // which lets no child start threads
TEST(DataLoader, AForkedChildDoesWithoutTheThread) {
  DataLoader loader(counting(100), {.batch_size = 2});
  loader.next();
  for (int i = 0; i < 10; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      bool right = epoch_of(loader).size() == 49 && loader.next();
      DataLoader(std::move(loader)).abandon();
      ::_exit(right ? 7 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 7);
  }
  EXPECT_EQ(epoch_of(loader).size(), 49u);
}
#endif

TEST(DataLoader, BadOptionsAreRefused) {
  EXPECT_THROW(DataLoader(counting(4), {.batch_size = 0}), ValueError);
  EXPECT_THROW(DataLoader(counting(4), {.shuffle = true}), ValueError);
  EXPECT_THROW(DataLoader(counting(4), {.prefetch = -1}), ValueError);
  EXPECT_THROW(TensorDataset({}), ValueError);
  try {
    TensorDataset({arange(3), arange(4)});
    ADD_FAILURE() << "no error";
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), str("[TensorDataset] ", describe(arange(4)), " has not as many samples along ",
                                   "its first axis as ", describe(arange(3)))
                                   .c_str());
  }
  EXPECT_EQ(DataLoader(counting(4), {}).num_batches(), 4);  // of one sample each
  EXPECT_THROW(TensorDataset({zeros({})}), ShapeError);
}

}  // namespace
}  // namespace tidu::data
