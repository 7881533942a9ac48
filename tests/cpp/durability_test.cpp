// What reaches the disk when, and what is left where a call of the system fails: this program has calls of
// its own in place of the C library's, which note what they are asked for and fail on demand.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "io/files.h"

namespace tidu::io {
namespace {

namespace fs = std::filesystem;

enum class Call { write, sync, rename };
struct Event {
  Call call;
  fs::path path;  // of a rename, what the file is called then
  fs::path from;
};

std::vector<Event> events;
fs::path watched;         // events of files in this folder are noted
std::vector<int> errors;  // of the next calls to `failing`; 0 stands for none
Call failing = Call::write;
size_t longest_transfer = SSIZE_MAX;

fs::path path_of(int fd) {
  std::error_code error;
  return fs::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
}

bool is_watched(const fs::path& path) {
  return !watched.empty() && path.string().starts_with(watched.string());
}

// Whether this call must fail; errno says why.
bool notes_and_fails(Event event) {
  if (!is_watched(event.path)) return false;
  if (event.call == failing && !errors.empty()) {
    errno = errors.front();
    errors.erase(errors.begin());
    if (errno != 0) return true;
  }
  events.push_back(std::move(event));
  return false;
}

}  // namespace
}  // namespace tidu::io

extern "C" {
int fsync(int fd) {
  using namespace tidu::io;
  if (notes_and_fails({Call::sync, path_of(fd), {}})) return -1;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}
int rename(const char* from, const char* to) noexcept {
  using namespace tidu::io;
  if (notes_and_fails({Call::rename, to, from})) return -1;
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
ssize_t write(int fd, const void* bytes, size_t count) {
  using namespace tidu::io;
  if (notes_and_fails({Call::write, path_of(fd), {}})) return -1;
  return ::syscall(SYS_write, fd, bytes, std::min(count, longest_transfer));
}
ssize_t read(int fd, void* bytes, size_t count) {
  using namespace tidu::io;
  return ::syscall(SYS_read, fd, bytes, std::min(count, longest_transfer));
}
}

namespace tidu::io {
namespace {

class Durability : public testing::Test {
 protected:
  Durability() {
    watched = fs::canonical(fs::temp_directory_path()) / str("tidu-durability-", ::getpid());
    fs::create_directories(watched);
    file = watched / "state";
    events.clear();
    errors.clear();
    longest_transfer = SSIZE_MAX;
  }
  ~Durability() override {
    fs::remove_all(watched);
    watched.clear();
    longest_transfer = SSIZE_MAX;
  }

  std::string content() const {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  static size_t file_count() {
    return static_cast<size_t>(std::distance(fs::directory_iterator(watched), fs::directory_iterator()));
  }
  static ptrdiff_t first(Call call, const fs::path& path) {
    const auto found = std::ranges::find_if(
        events, [&](const Event& event) { return event.call == call && event.path == path; });
    return found == events.end() ? -1 : found - events.begin();
  }

  fs::path file;
};

TEST_F(Durability, AFileIsOnDiskBeforeItTakesTheOldOnesPlace) {
  write_file(file, "old");
  events.clear();
  const std::string_view parts[] = {"one", "", "two"};
  write_file(file, parts);
  EXPECT_EQ(content(), "onetwo");

  const ptrdiff_t renamed = first(Call::rename, file);
  ASSERT_GE(renamed, 0);
  const fs::path temporary = events[static_cast<size_t>(renamed)].from;
  EXPECT_EQ(temporary.parent_path(), watched) << "a rename between file systems is none";
  EXPECT_EQ(first(Call::write, file), -1) << "the file itself is never written to";
  const ptrdiff_t synced = first(Call::sync, temporary);
  ASSERT_GE(synced, 0);
  EXPECT_LT(synced, renamed);
  for (ptrdiff_t i = synced; i < std::ssize(events); ++i)
    EXPECT_NE(events[static_cast<size_t>(i)].call, Call::write) << "after all was forced to disk";
  EXPECT_GT(first(Call::sync, watched), renamed) << "the folder, so that the name outlives a crash";
}

TEST_F(Durability, AFailureOfAnyCallLeavesTheOldFileAndNothingElse) {
  write_file(file, "old");
  for (const Call call : {Call::write, Call::sync, Call::rename}) {
    for (const int error : {ENOSPC, EIO}) {
      failing = call;
      errors = {error};
      events.clear();
      try {
        write_file(file, "new");
        FAIL() << "no error";
      } catch (const FileError& failure) {
        const std::string text = failure.what();
        EXPECT_NE(text.find(std::strerror(error)), std::string::npos) << text;
        EXPECT_NE(text.find("state"), std::string::npos) << text;
      }
      EXPECT_TRUE(errors.empty());
      EXPECT_EQ(content(), "old");
      EXPECT_EQ(file_count(), 1);
      EXPECT_EQ(first(Call::rename, file), -1) << "so that a crash finds the old file as well";
    }
  }
  write_file(file, "new");
  EXPECT_EQ(content(), "new");
  EXPECT_EQ(file_count(), 1);
}

TEST_F(Durability, AFailureInTheMiddleOfTheFile) {
  write_file(file, "old");
  failing = Call::write;
  errors = {0, 0, ENOSPC};
  const std::string_view parts[] = {"one", "two", "three"};
  EXPECT_THROW(write_file(file, parts), FileError);
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(file_count(), 1);
}

TEST_F(Durability, AFailureBeforeThereIsAFileLeavesNone) {
  failing = Call::sync;
  errors = {EIO};
  EXPECT_THROW(write_file(file, "new"), FileError);
  EXPECT_EQ(file_count(), 0);
}

TEST_F(Durability, ShortAndInterruptedTransfersAreContinued) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += static_cast<char>(i % 251);
  longest_transfer = 777;
  failing = Call::write;
  errors = {EINTR, 0, 0, EINTR, EINTR};
  write_file(file, text);
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(read_file(file), text);
  longest_transfer = SSIZE_MAX;
  EXPECT_EQ(content(), text);
}

}  // namespace
}  // namespace tidu::io
