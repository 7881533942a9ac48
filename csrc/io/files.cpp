// Whole files, written atomically.
#include "io/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <random>

#include "base/error.h"

namespace tidu::io {
namespace {

[[noreturn]] void fail_with_errno(const Path& path, const char* what) {
  const int error = errno;
  const std::string message = str(path.string(), ": cannot ", what, ": ", std::strerror(error));
  if (error == ENOENT) throw MissingFileError(message);
  throw FileError(message);
}

class Descriptor {
 public:
  // `path` is what errors name.
  Descriptor(const Path& path, int fd, const char* what) : path_(path), fd_(fd) {
    if (fd_ < 0) fail_with_errno(path, what);
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;

  int fd() const { return fd_; }
  struct stat status() const {
    struct stat status;
    if (::fstat(fd_, &status) != 0) fail_with_errno(path_, "read");
    return status;
  }
  size_t read(char* to, size_t bytes) {
    for (;;) {
      const ssize_t got = ::read(fd_, to, bytes);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) fail_with_errno(path_, "read");
    }
  }
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written >= 0) {
        bytes.remove_prefix(static_cast<size_t>(written));
      } else if (errno != EINTR) {
        fail_with_errno(path_, "write");
      }
    }
  }
  void sync() {
    if (::fsync(fd_) != 0) fail_with_errno(path_, "force to disk");
  }

 private:
  const Path& path_;
  int fd_;
};

// The system would read a name up to that.
void check_no_zero(const Path& path) {
  if (path.native().find('\0') != Path::string_type::npos)
    fail<FileError>("a path holds a zero byte: ", path.string());
}

void check_is_file(const Path& path, const struct stat& status) {
  if (S_ISDIR(status.st_mode)) fail<FileError>(path.string(), ": is a folder, not a file");
  if (!S_ISREG(status.st_mode)) fail<FileError>(path.string(), ": is not a regular file");
}

// Where a path leads to through symbolic links, of which the last may lead to nothing.
Path resolve(const Path& path) {
  constexpr int kMostLinks = 40;  // as many as Linux follows
  Path at = path;
  std::error_code error;
  for (int i = 0; i < kMostLinks; ++i) {
    const Path next = std::filesystem::read_symlink(at, error);
    if (error) return at;
    at = at.parent_path() / next;
  }
  errno = ELOOP;
  fail_with_errno(path, "write");
}

// A new file in a folder until it takes the name of another. Its lock tells it from what killed programs left
// behind.
class Temporary {
 public:
  static constexpr std::string_view kBegin = ".tidu-", kEnd = ".tmp";

  Temporary(const Path& folder, const Path& path) {
    std::random_device random;
    for (;;) {
      name_ = folder / str(kBegin, std::hex, random(), random(), kEnd);
      const int fd = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd < 0 && errno == EEXIST) continue;
      file_.emplace(path, fd, "write");
      ::flock(fd, LOCK_EX);
      if (file_->status().st_nlink > 0) return;  // else somebody took it for left behind
      file_.reset();
    }
  }
  ~Temporary() {
    if (file_) ::unlink(name_.c_str());
  }
  Temporary(const Temporary&) = delete;

  Descriptor& file() { return *file_; }
  void rename_to(const Path& target, const Path& path) {
    if (::rename(name_.c_str(), target.c_str()) != 0) fail_with_errno(path, "write");
    file_.reset();
  }

  static void remove_left_behind(const Path& folder) {
    // Not by directory_iterator, which ends the program where memory runs out.
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()), ::closedir);
    while (const dirent* const entry = entries ? ::readdir(entries.get()) : nullptr) {
      const std::string_view name = entry->d_name;
      if (!name.starts_with(kBegin) || !name.ends_with(kEnd)) continue;
      const Path path = folder / name;
      const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
      if (fd < 0) continue;
      if (::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
      ::close(fd);
    }
  }

 private:
  Path name_;
  std::optional<Descriptor> file_;
};

}  // namespace

std::string read_file(const Path& path) {
  check_no_zero(path);
  // Without waiting for somebody who writes into a pipe, which is refused.
  Descriptor file(path, ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK), "read");
  check_is_file(path, file.status());
  std::string bytes(static_cast<size_t>(file.status().st_size), '\0');
  size_t have = 0;
  while (have < bytes.size()) {
    const size_t got = file.read(bytes.data() + have, bytes.size() - have);
    if (got == 0) break;
    have += got;
  }
  bytes.resize(have);
  return bytes;
}

void write_file(const Path& path, std::span<const std::string_view> parts) {
  check_no_zero(path);
  const Path target = resolve(path);
  const Path folder = target.has_parent_path() ? target.parent_path() : Path(".");
  struct stat before;
  const bool exists = ::stat(target.c_str(), &before) == 0;
  if (exists) check_is_file(path, before);
  Temporary::remove_left_behind(folder);
  Temporary temporary(folder, path);
  for (const std::string_view part : parts) temporary.file().write(part);
  if (exists && ::fchmod(temporary.file().fd(), before.st_mode & 07777) != 0) fail_with_errno(path, "write");
  temporary.file().sync();
  temporary.rename_to(target, path);
  Descriptor(folder, ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open").sync();
}

void write_file(const Path& path, std::string_view text) { write_file(path, {&text, 1}); }

}  // namespace tidu::io
