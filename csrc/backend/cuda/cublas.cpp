// cuBLAS: a handle per device; each call brings its stream and its workspace. With workspaces of their own
// and no atomics, the library promises equal bits for equal calls on one kind of GPU.
#include "backend/cuda/cublas.h"
#include "cuda/matmul.h"

#include <cublas_v2.h>

#include <algorithm>
#include <climits>
#include <map>
#include <mutex>

namespace tidu::cuda {
namespace {

void check(cublasStatus_t status, const char* function, const Call& call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail<DeviceError>("[", call.primitive.name, "] ", function,
                    " of cuBLAS failed: ", cublasGetStatusName(status), " (", cublasGetStatusString(status),
                    ") for ", describe(call.inputs[0]), " @ ", describe(call.inputs[1]));
}

// Handles are not to be used by two threads at once, and are never destroyed: at exit the driver may be gone
// before them.
struct Handle {
  std::mutex mutex;
  cublasHandle_t handle = nullptr;
  int64_t workspace = 0;  // bytes that NVIDIA recommends
};

Handle& handle_of(int device, const Call& call) {
  static std::mutex mutex;
  static auto& handles = *new std::map<int, Handle>;
  const std::lock_guard lock(mutex);
  Handle& entry = handles[device];
  if (!entry.handle) {
    check(cublasCreate(&entry.handle), "cublasCreate", call);
    const auto flags = CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    check(cublasSetMathMode(entry.handle, static_cast<cublasMath_t>(flags)), "cublasSetMathMode", call);
    int major = 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    entry.workspace = int64_t{major >= 9 ? 32 : 4} << 20;
  }
  return entry;
}

cudaDataType type_of(DType dtype) {
  switch (dtype) {
    case DType::float16: return CUDA_R_16F;
    case DType::bfloat16: return CUDA_R_16BF;
    case DType::float32: return CUDA_R_32F;
    default: return CUDA_R_64F;
  }
}

}  // namespace

bool fits_cublas(const Gemm& gemm) {
  for (const int64_t extent : {gemm.m, gemm.n, gemm.k, gemm.a.leading, gemm.b.leading, gemm.batches}) {
    if (extent > INT_MAX) return false;
  }
  return true;
}

void multiply_by_cublas(const Gemm& gemm, const Call& call, Context& context) {
  Handle& entry = handle_of(context.device(), call);
  // Of use to split sums: no more than sixteen of each.
  const int64_t sums = gemm.batches * gemm.m * gemm.n * 4;
  const auto bytes = static_cast<size_t>(std::min(entry.workspace, (int64_t{64} << 10) + 16 * sums));
  void* const workspace = context.workspace<char>(bytes);
  const bool is_double = gemm.dtype == DType::float64;
  const float one = 1, kept = gemm.adds ? 1 : 0;
  const double one_double = 1, kept_double = kept;
  const auto operation = [](bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const cublasComputeType_t compute = is_double ? CUBLAS_COMPUTE_64F
                                      : gemm.dtype == DType::float32 && tidu::cuda::allow_tf32()
                                          ? CUBLAS_COMPUTE_32F_FAST_TF32
                                          : CUBLAS_COMPUTE_32F;
  const auto type = type_of(gemm.dtype);
  const std::lock_guard lock(entry.mutex);
  check(cublasSetStream(entry.handle, context.stream()), "cublasSetStream", call);
  // After the stream, for setting that takes the workspace away.
  check(cublasSetWorkspace(entry.handle, workspace, bytes), "cublasSetWorkspace", call);
  // The library's matrices are column-major: it sees ours transposed and multiplies c^T = b^T a^T.
  check(
      cublasGemmStridedBatchedEx(entry.handle, operation(gemm.b.transposed), operation(gemm.a.transposed),
                                 static_cast<int>(gemm.n), static_cast<int>(gemm.m), static_cast<int>(gemm.k),
                                 is_double ? static_cast<const void*>(&one_double) : &one, gemm.b.data, type,
                                 static_cast<int>(gemm.b.leading), gemm.b.by_batch, gemm.a.data, type,
                                 static_cast<int>(gemm.a.leading), gemm.a.by_batch,
                                 is_double ? static_cast<const void*>(&kept_double) : &kept, gemm.c, type,
                                 static_cast<int>(gemm.n), gemm.m * gemm.n, static_cast<int>(gemm.batches),
                                 compute, CUBLAS_GEMM_DEFAULT),
      "cublasGemmStridedBatchedEx", call);
}

}  // namespace tidu::cuda
