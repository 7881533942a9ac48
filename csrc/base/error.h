// The errors that tidu throws. Each derives from the std exception of its kind; Python maps each to a
// built-in.
#pragma once

#include <new>
#include <sstream>
#include <stdexcept>
#include <string>

namespace tidu {

struct ShapeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};  // ValueError
struct ValueError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};  // ValueError
struct DTypeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};  // TypeError
struct IndexError : std::out_of_range {
  using std::out_of_range::out_of_range;
};  // IndexError
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};  // RuntimeError
struct GradientError : std::runtime_error {
  using std::runtime_error::runtime_error;
};  // RuntimeError
struct TraceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};  // RuntimeError
struct FileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};  // OSError
struct MissingFileError : FileError {
  using FileError::FileError;
};  // FileNotFoundError

struct OutOfMemoryError : std::bad_alloc {  // MemoryError
  explicit OutOfMemoryError(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

// The arguments written one after another with operator<<.
template <class... Args> std::string str(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

template <class Error, class... Args> [[noreturn]] void fail(const Args&... args) {
  throw Error(str(args...));
}

}  // namespace tidu
