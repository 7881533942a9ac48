// SHA-256 against its published vectors; safetensors files written, read back, damaged and interrupted.
#include "io/safetensors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>

#include "io/sha256.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/shape.h"

namespace tidu::io {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  Files() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder = fs::temp_directory_path() / str("tidu-io-", ::getpid(), "-", test->name());
    fs::create_directories(folder);
  }
  ~Files() override { fs::remove_all(folder); }

  size_t file_count() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }

  fs::path folder;
};
using Safetensors = Files;

// The messages of FIPS 180-4's examples and of NIST's long-message file.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesOfAnyLengthGiveTheSameDigest) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (size_t first = 0; first <= 130; ++first) {
    Sha256 digest;
    digest.update(std::string_view(text).substr(0, first)).update(std::string_view(text).substr(first));
    EXPECT_EQ(digest.hex(), sha256(text)) << first;
  }
}

TEST_F(Files, MissingFileIsItsOwnError) {
  EXPECT_THROW(read_file(folder / "none"), MissingFileError);
  EXPECT_THROW(read_file(folder), FileError);
  EXPECT_THROW(write_file(folder / "none" / "file", "text"), MissingFileError);
}

TEST_F(Files, WritingReplacesAndLeavesNothingElse) {
  const fs::path path = folder / "file";
  write_file(path, "old");
  write_file(path, "new text");
  EXPECT_EQ(read_file(path), "new text");
  EXPECT_EQ(file_count(), 1);
}

// Killed by the file-size limit in the middle of writing, as by a full disk.
TEST_F(Files, InterruptedWriteLeavesTheOldFile) {
  const fs::path path = folder / "file";
  write_file(path, "old");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit limit{1 << 16, 1 << 16};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_DFL);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    write_file(path, std::string(1 << 20, 'x'));
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(read_file(path), "old");
}

TEST_F(Files, FailedWriteLeavesTheOldFileAndCleansUp) {
  const fs::path path = folder / "file";
  write_file(path, "old");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit limit{1 << 16, 1 << 16};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);
    try {
      write_file(path, std::string(1 << 20, 'x'));
    } catch (const FileError& error) { ::_exit(std::strstr(error.what(), "cannot write") ? 7 : 8); }
    ::_exit(9);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(file_count(), 1);
}

// --- safetensors

template <class T> Tensor sample(const Shape& shape) {
  std::vector<T> values(static_cast<size_t>(num_elements(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(static_cast<float>(i % 100) - 3.0f);
  return tensor(std::span<const T>(values), shape);
}

std::string bytes_of(const Tensor& tensor) {
  std::string bytes(tensor.nbytes(), '\0');
  copy_to_host(tensor, bytes.data());
  return bytes;
}

TEST_F(Safetensors, EveryDtypeComesBackBitForBit) {
  const bool flags[3] = {true, false, true};
  NamedTensors tensors{
      {"bool", copy_from_host(flags, {3}, DType::bool_)},
      {"i8", sample<int8_t>({5})},
      {"i16", sample<int16_t>({3})},
      {"i32", sample<int32_t>({2, 2})},
      {"i64", sample<int64_t>({1, 3})},
      {"u8", sample<uint8_t>({7})},
      {"u16", sample<uint16_t>({3})},
      {"u32", sample<uint32_t>({3})},
      {"u64", sample<uint64_t>({3})},
      {"f16", sample<float16>({5})},
      {"bf16", sample<bfloat16>({5})},
      {"f32", sample<float>({2, 3})},
      {"f64", sample<double>({4})},
      {"scalar", sample<float>({})},
      {"empty", sample<double>({0, 3})},
  };
  const Metadata metadata{{"format", "pt"},
                          {"quote \" \\ \n \x01", "gr\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"}};
  save(folder / "file", tensors, metadata);
  const Saved saved = load(folder / "file");
  EXPECT_EQ(saved.metadata, metadata);
  ASSERT_EQ(saved.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const Tensor& loaded = saved.tensors.at(name);
    EXPECT_EQ(loaded.dtype(), tensor.dtype()) << name;
    EXPECT_EQ(loaded.shape(), tensor.shape()) << name;
    EXPECT_EQ(bytes_of(loaded), bytes_of(tensor)) << name;
  }
}

TEST_F(Safetensors, NoTensorsAtAll) {
  save(folder / "file", {});
  EXPECT_EQ(read_file(folder / "file"), std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
  EXPECT_TRUE(load(folder / "file").tensors.empty());
}

// Written by the package safetensors 0.8 of PyPI.
TEST_F(Safetensors, ReadsWhatTheReferenceWrites) {
  const std::string_view file(
      "P\1\0\0\0\0\0\0"
      R"({"__metadata__":{"made":"elsewhere"},"index":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
      R"("none":{"dtype":"F64","shape":[0,3],"data_offsets":[8,8]},)"
      R"("weight":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},)"
      R"("half":{"dtype":"F16","shape":[1],"data_offsets":[24,26]},)"
      R"("flag":{"dtype":"BOOL","shape":[2],"data_offsets":[26,28]}}      )"
      "\7\0\0\0\0\0\0\0\0\0\x80?\0\0\0@\0\0@@\0\0\x90\xc0\0"
      "8\1\0",
      372);
  write_file(folder / "file", file);
  const Saved saved = load(folder / "file");
  EXPECT_EQ(saved.metadata, (Metadata{{"made", "elsewhere"}}));
  EXPECT_EQ(saved.tensors.size(), 5u);
  EXPECT_EQ(saved.tensors.at("weight").shape(), (Shape{2, 2}));
  EXPECT_EQ(to_vector<float>(saved.tensors.at("weight")), (std::vector<float>{1, 2, 3, -4.5f}));
  EXPECT_EQ(item<int64_t>(saved.tensors.at("index")), 7);
  EXPECT_EQ(item<float>(saved.tensors.at("half")), 0.5f);
  EXPECT_EQ(to_vector<bool>(saved.tensors.at("flag")), (std::vector<bool>{true, false}));
  EXPECT_EQ(saved.tensors.at("none").shape(), (Shape{0, 3}));
}

TEST_F(Safetensors, LayoutIsWrittenOut) {
  const Tensor x = sample<float>({3, 4});
  save(folder / "file", {{"x", matrix_transpose(x)}});
  const Tensor loaded = load(folder / "file").tensors.at("x");
  EXPECT_EQ(loaded.shape(), (Shape{4, 3}));
  EXPECT_EQ(to_vector<float>(loaded), to_vector<float>(matrix_transpose(x)));
}

TEST_F(Safetensors, BadNamesAreRefusedBeforeWriting) {
  EXPECT_THROW(save(folder / "file", {{"__metadata__", sample<float>({1})}}), ValueError);
  EXPECT_THROW(save(folder / "file", {{"\xff", sample<float>({1})}}), ValueError);
  EXPECT_THROW(save(folder / "file", {{"\xed\xa0\x80", sample<float>({1})}}), ValueError);
  EXPECT_THROW(save(folder / "file", {{"x", Tensor()}}), ValueError);
  EXPECT_THROW(save(folder / "file", {}, {{"key", "\xc0\x80"}}), ValueError);
  EXPECT_EQ(file_count(), 0);
}

// A file of a header and so many zero bytes.
std::string file_of(std::string_view header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes.append(header).append(data_bytes, '\0');
}

// The message of the error that loading these bytes throws, which must name the file.
std::string refusal(const fs::path& folder, std::string_view bytes) {
  const fs::path path = folder / "damaged.safetensors";
  std::ofstream(path, std::ios::binary) << bytes;
  try {
    load(path);
  } catch (const FileError& error) {
    EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << bytes.substr(8);
  return "";
}

TEST_F(Safetensors, DamagedFilesAreRefused) {
  struct Case {
    const char* header;
    size_t data_bytes;
    const char* says;
  };
  const Case cases[] = {
      {"", 0, "'{' expected"},
      {" {}", 0, "'{' expected"},
      {"[]", 0, "'{' expected"},
      {"{", 0, "expected"},
      {"{}x", 0, "more follows"},
      {"{\"x\"", 0, "':' expected"},
      {"{\"x", 0, "does not end"},
      {"{\"x\\", 0, "does not end"},
      {"{\"\\u12", 0, "does not end"},
      {"{\"\\uzzzz\":{}}", 0, "escape"},
      {"{\"\\ud800\":{}}", 0, "surrogate"},
      {"{\"\\ud800\\u0041\":{}}", 0, "surrogate"},
      {"{\"\\q\":{}}", 0, "escape"},
      {"{\"\xff\":{}}", 0, "not UTF-8"},
      {"{\"\xf4\x90\x80\x80\":{}}", 0, "not UTF-8"},
      {"{\"a\nb\":{}}", 0, "control character"},
      {"{\"x\":1}", 0, "'{' expected"},
      {"{\"x\":{}}", 0, "needs dtype"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "needs dtype"},
      {"{\"x\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "'F33' is not supported"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}", 4,
       "unknown key 'more'"},
      {"{\"x\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
       "given twice"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
       "\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
       8, "given twice"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
       "\"y\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
       6, "overlap"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
       "\"y\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[6,10]}}",
       10, "hole"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "hole"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "but the file holds 8"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "but the file holds 4"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "needs 8 bytes"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "bad data_offsets"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 8, "bad data_offsets"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "integer"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, "integer"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]}}", 4, "integer"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1e0],\"data_offsets\":[0,4]}}", 4, "integer"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}}", 4, "integer"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1,],\"data_offsets\":[0,4]}}", 4, "integer"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}", 4, "integer"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[18446744073709551615],\"data_offsets\":[0,4]}}", 4, "overflows"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
       "overflows"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]}}", 4, "overflows"},
      {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
       "dimensions"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1000000000000],\"data_offsets\":[0,4000000000000]}}", 4,
       "but the file holds 4"},
      {"{\"__metadata__\":{\"key\":1}}", 0, "'\"' expected"},
      {"{\"__metadata__\":{\"key\":\"a\",\"key\":\"b\"}}", 0, "given twice"},
  };
  for (const Case& damaged : cases) {
    const std::string message = refusal(folder, file_of(damaged.header, damaged.data_bytes));
    EXPECT_NE(message.find(damaged.says), std::string::npos) << damaged.header << "\n  " << message;
  }
}

TEST_F(Safetensors, DamagedLengthsAreRefused) {
  refusal(folder, "");
  refusal(folder, std::string(7, '\0'));
  refusal(folder, std::string("\x10\0\0\0\0\0\0\0{}", 10));
  refusal(folder, std::string(8, '\xff') + "{}");
  refusal(folder, std::string("\0\xe1\xf5\x05\1\0\0\0{}", 10));
}

TEST_F(Safetensors, DeepNestingDoesNotRecurse) {
  refusal(folder, file_of(std::string(5'000'000, '['), 0));
  std::string nested;
  for (int i = 0; i < 500'000; ++i) nested += "{\"a\":";
  refusal(folder, file_of(nested, 0));
}

TEST_F(Safetensors, BooleansAreZeroOrOne) {
  std::string bytes = file_of("{\"x\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2);
  bytes.back() = 2;
  EXPECT_NE(refusal(folder, bytes).find("neither 0 nor 1"), std::string::npos);
}

TEST_F(Safetensors, EveryTruncationIsRefused) {
  save(folder / "whole", {{"x", sample<float>({3})}, {"y", sample<uint8_t>({2})}}, {{"a", "b"}});
  const std::string whole = read_file(folder / "whole");
  for (size_t length = 0; length < whole.size(); ++length) refusal(folder, whole.substr(0, length));
  refusal(folder, whole + "x");
}

// Any byte may change to anything: either the file is refused or what it then says is read.
TEST_F(Safetensors, NoFlippedByteCrashes) {
  save(folder / "whole", {{"x", sample<float>({3})}, {"y", sample<uint8_t>({2})}}, {{"a", "b"}});
  const std::string whole = read_file(folder / "whole");
  int refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char flip : {'\x01', '\x10', '\x80', '\xff'}) {
      std::string changed = whole;
      changed[at] ^= flip;
      std::ofstream(folder / "changed", std::ios::binary) << changed;
      try {
        EXPECT_LE(load(folder / "changed").tensors.size(), 3u);
      } catch (const FileError&) { ++refused; }
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(Sha256, OfTensorsIsThatOfTheirElements) {
  const Tensor a = sample<float>({2, 3}), b = sample<double>({1});
  EXPECT_EQ(sha256(Tensors{a, b}), sha256(bytes_of(a) + bytes_of(b)));
  EXPECT_EQ(sha256(Tensors{matrix_transpose(a)}), sha256(bytes_of(copy(matrix_transpose(a)))));
}

}  // namespace
}  // namespace tidu::io
