// The line of the user's code that makes a call.
#include "base/source_line.h"

#include <utility>

#include "base/error.h"

namespace tidu {
namespace {

thread_local const Lines::Here* lines = nullptr;

}  // namespace

std::ostream& operator<<(std::ostream& out, const SourceLine& source) {
  return source.file ? out << *source.file << ':' << source.line : out;
}

Lines::Lines(Here here) : here_(std::move(here)), outer_(std::exchange(lines, &here_)) {}
Lines::~Lines() { lines = outer_; }
bool Lines::are_asked_for() { return lines != nullptr; }

SourceLine Lines::here() { return lines ? (*lines)() : SourceLine(); }
std::string Lines::text() {
  const SourceLine source = here();
  return source.file ? str(" at ", source) : "";
}

}  // namespace tidu
