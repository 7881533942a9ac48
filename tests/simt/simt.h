// What the tests of the SIMT runtime share: device memory, and looking into reports.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/cuda/portable.h"
#include "simt/control.h"

// Device memory of a test: freed with it.
template <class T> class Buffer {
 public:
  explicit Buffer(size_t n) : n_(n) { EXPECT_EQ(cudaMalloc(&p_, n * sizeof(T)), cudaSuccess); }
  explicit Buffer(const std::vector<T>& v) : Buffer(v.size()) {
    EXPECT_EQ(cudaMemcpy(p_, v.data(), n_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() { cudaFree(p_); }
  T* get() const { return static_cast<T*>(p_); }
  std::vector<T> values() const {
    std::vector<T> v(n_);
    EXPECT_EQ(cudaMemcpy(v.data(), p_, n_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return v;
  }

 private:
  size_t n_;
  void* p_ = nullptr;
};

// The error of the kernel or call before, whose report must say all of these; the device then works again.
inline void expect_failure(cudaError_t expected, const std::vector<std::string>& texts) {
  const cudaError_t error = cudaGetLastError();
  EXPECT_EQ(error, expected) << cudaGetErrorName(error) << ": " << tidu::simt::last_report();
  const std::string report = tidu::simt::last_report();
  for (const std::string& text : texts)
    EXPECT_NE(report.find(text), std::string::npos) << text << " in:\n" << report;
  tidu::simt::clear_error();
  tidu::simt::clear_report();
}
