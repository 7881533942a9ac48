// Texts of errors, with the kernel, block and thread that they are about.
#include "simt/machine/report.h"

#include <cstdio>
#include <cstdlib>

#include "simt/control.h"
#include "simt/machine/fibre.h"
#include "simt/machine/hooks.h"

namespace tidu::simt {

namespace {

std::string& kept = *new std::string;

}  // namespace

void report(const std::string& text) { kept = text; }
std::string last_report() { return kept; }
void clear_report() { kept.clear(); }

void note(cudaError_t error, const std::string& what, const std::source_location* where) {
  if (running.launch == nullptr) {
    std::fprintf(stderr, "tidu simt: %s\n", what.c_str());
    std::abort();
  }
  const Launch& launch = *running.launch;
  std::string text = what;
  if (where) text += "\n  at " + text_of(*where);
  text += "\n  in " + readable_name(launch.kernel) + ", block " + text_of(blockIdx) + " of " +
          text_of(launch.grid) + ", thread " + text_of(threadIdx) + " of " + text_of(launch.block) +
          "\n  launched at " + text_of(launch.where);
  report(text);
  running.error = error;
}

void abandon(cudaError_t error, const std::string& what) {
  note(error, what);
  leave_fibre();
}

[[gnu::visibility("default")]] void fail(const char* what) {
  note(cudaErrorLaunchFailure, what);
  leave_fibre();
}

std::string text_of(const std::source_location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

std::string text_of(dim3 index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," + std::to_string(index.z) + ")";
}

std::string readable_name(const char* kernel) {
  const std::string text = kernel;
  const size_t begin = text.find("kernel = ");
  if (begin == std::string::npos) return text;
  std::string name = text.substr(begin + 9);
  if (!name.empty() && name.back() == ']') name.pop_back();
  if (name.starts_with("& ")) name = name.substr(2);
  return name;
}

std::string text_of(const Launch& launch) {
  return readable_name(launch.kernel) + " grid " + text_of(launch.grid) + " block " + text_of(launch.block) +
         ", " + std::to_string(launch.shared_bytes) + " bytes shared, at " + text_of(launch.where);
}

}  // namespace tidu::simt
