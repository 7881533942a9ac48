// The line of the user's code that makes a call.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>

namespace tidu {

// What readers are told of a call; no part of what it computes, and so of no equality.
struct SourceLine {
  std::shared_ptr<const std::string> file;  // without its folder; null where the line is not known
  int line = 0;

  bool operator==(const SourceLine&) const { return true; }
};
// Writes "net.py:7", or nothing.
std::ostream& operator<<(std::ostream& out, const SourceLine& source);

// While one lives on this thread, recorders and profilers ask it for the line of each call.
class Lines {
 public:
  using Here = std::function<SourceLine()>;
  explicit Lines(Here here);
  ~Lines();
  Lines(const Lines&) = delete;
  static bool are_asked_for();
  // The line, if they were asked for.
  static SourceLine here();
  // " at net.py:7", or nothing.
  static std::string text();

 private:
  const Here here_;
  const Here* const outer_;
};

}  // namespace tidu
