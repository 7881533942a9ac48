// Whole files, written atomically.
#include "io/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

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
  Descriptor(const Path& path, int flags, const char* what)
      : path_(path), fd_(::open(path.c_str(), flags, 0666)) {
    if (fd_ < 0) fail_with_errno(path, what);
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;

  size_t size() const {
    struct stat status;
    if (::fstat(fd_, &status) != 0) fail_with_errno(path_, "read");
    if (S_ISDIR(status.st_mode)) fail<FileError>(path_.string(), ": is a folder, not a file");
    return static_cast<size_t>(status.st_size);
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

Path temporary_name(const Path& path) {
  static std::atomic<uint64_t> count{0};
  return path.parent_path() / str(".", path.filename().string(), ".", ::getpid(), "-", ++count, ".tmp");
}

}  // namespace

std::string read_file(const Path& path) {
  Descriptor file(path, O_RDONLY | O_CLOEXEC, "read");
  std::string bytes(file.size(), '\0');
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
  const Path temporary = temporary_name(path);
  const Path folder = path.has_parent_path() ? path.parent_path() : Path(".");
  try {
    Descriptor file(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, "write");
    for (const std::string_view part : parts) file.write(part);
    file.sync();
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail_with_errno(path, "write");
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  Descriptor(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, "open").sync();
}

void write_file(const Path& path, std::string_view text) { write_file(path, {&text, 1}); }

}  // namespace tidu::io
