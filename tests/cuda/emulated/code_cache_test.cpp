// Compiled code on disk: whatever happens to the files, an entry is found whole or not at all.
#include "backend/cuda/code_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace tidu::cuda {
namespace {

namespace fs = std::filesystem;

class CudaCodeCache : public testing::Test {
 protected:
  void SetUp() override { setenv("TIDU_CACHE_DIR", folder_.c_str(), 1); }
  void TearDown() override { fs::remove_all(folder_); }

  // The only entry.
  fs::path file() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_ / "kernels")) files.push_back(entry.path());
    EXPECT_EQ(files.size(), 1u);
    return files.at(0);
  }
  std::string read() const {
    std::ifstream in(file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& bytes) const { std::ofstream(file(), std::ios::binary) << bytes; }

  const fs::path folder_ = fs::temp_directory_path() / ("tidu_code_cache_test_" + std::to_string(getpid()));
  const std::string code_ = std::string("code\n\0of any bytes\xff", 19);
};

TEST_F(CudaCodeCache, FindsWhatItKept) {
  EXPECT_EQ(find_code("key"), std::nullopt);
  keep_code("key", code_);
  EXPECT_EQ(find_code("key"), code_);
  EXPECT_EQ(find_code("key "), std::nullopt);
  EXPECT_EQ(find_code("ke"), std::nullopt);
  keep_code("key", "other");
  EXPECT_EQ(find_code("key"), "other");
}

TEST_F(CudaCodeCache, ADamagedEntryIsNone) {
  keep_code("key\nof lines", code_);
  const std::string whole = read();
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] ^= 1;
    write(damaged);
    EXPECT_EQ(find_code("key\nof lines"), std::nullopt) << "byte " << i;
    write(whole.substr(0, i));
    EXPECT_EQ(find_code("key\nof lines"), std::nullopt) << i << " bytes";
  }
  write(whole + "more");
  EXPECT_EQ(find_code("key\nof lines"), std::nullopt);
  keep_code("key\nof lines", code_);
  EXPECT_EQ(find_code("key\nof lines"), code_);
}

TEST_F(CudaCodeCache, AFolderThatCannotBeWrittenIsNoError) {
  setenv("TIDU_CACHE_DIR", "/proc/no/such/folder", 1);
  keep_code("key", code_);
  EXPECT_EQ(find_code("key"), std::nullopt);
}

TEST_F(CudaCodeCache, IsWhereTheUserKeepsCaches) {
  unsetenv("TIDU_CACHE_DIR");
  setenv("XDG_CACHE_HOME", folder_.c_str(), 1);
  keep_code("key", code_);
  EXPECT_TRUE(fs::exists(folder_ / "tidu/kernels"));
  EXPECT_EQ(find_code("key"), code_);
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", (folder_ / "home").c_str(), 1);
  keep_code("key", code_);
  EXPECT_TRUE(fs::exists(folder_ / "home/.cache/tidu/kernels"));
}

}  // namespace
}  // namespace tidu::cuda
