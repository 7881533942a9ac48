// cuBLASLt on the host: products with a bias, as far as the backend has them computed, by the emulated
// cuBLAS.
#include <cublasLt.h>

#include <climits>
#include <optional>
#include <span>
#include <string_view>

#include "simt/libraries/cublas.h"

namespace tidu::simt {
namespace {

// What cuBLASLt's descriptors hold, each in the caller's memory. The first member tells one that was
// initialised from any other memory.
struct Layout {
  uint64_t kind = 0x4c61796f7574;
  uint64_t rows, columns;
  int64_t leading, by_matrix = 0;
  int32_t count = 1;
  cudaDataType type;
};
struct Operation {
  uint64_t kind = 0x4f7065726174;
  const void* bias = nullptr;
  cublasComputeType_t compute;
  cudaDataType scale;
  int32_t transa = CUBLAS_OP_N, transb = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
};
struct Preference {
  uint64_t kind = 0x507265666572;
  uint64_t workspace = 0;
  uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t alignments[4] = {256, 256, 256, 256};  // of A, B, C and D
};
struct Algorithm {
  uint64_t kind = 0x416c676f7269;
  uint64_t product;  // fingerprint of the one that it was chosen for
  uint64_t workspace;
  uint32_t alignments[4];  // of A, B, D and the bias
};

template <class State, class Opaque> cublasStatus_t store(const State& state, Opaque* to) {
  static_assert(sizeof(State) <= sizeof(Opaque));
  if (!to) return refuse("a descriptor is missing");
  std::memcpy(to->data, &state, sizeof state);
  return CUBLAS_STATUS_SUCCESS;
}

// Whether there is an initialised one of this kind.
template <class State, class Opaque> bool load(const Opaque* from, State& state) {
  const uint64_t kind = state.kind;
  if (from) std::memcpy(&state, from->data, sizeof state);
  return from && state.kind == kind;
}

// Puts a value of the caller in the member of the descriptor that choose(State&) says.
template <class State, class Opaque, class Choose>
cublasStatus_t set_attribute(Opaque* descriptor, const void* value, size_t bytes, Choose choose) {
  State state{};
  if (!load(descriptor, state)) return refuse("an attribute of a descriptor that was not initialised");
  const std::span<std::byte> to = choose(state);
  if (to.empty()) return refuse("an attribute that is not emulated", CUBLAS_STATUS_NOT_SUPPORTED);
  if (!value || bytes != to.size()) return refuse("an attribute's value is missing or of another size");
  std::memcpy(to.data(), value, bytes);
  return store(state, descriptor);
}

template <class T> std::span<std::byte> member(T& x) { return std::as_writable_bytes(std::span(&x, 1)); }

// The product of these descriptors, with a bias and without pointers to matrices; nothing where they do not
// describe one.
std::optional<Product> product_of(const cublasLtMatmulDescOpaque_t* operation,
                                  const cublasLtMatrixLayoutOpaque_t* a,
                                  const cublasLtMatrixLayoutOpaque_t* b,
                                  const cublasLtMatrixLayoutOpaque_t* c,
                                  const cublasLtMatrixLayoutOpaque_t* d) {
  Operation op{};
  Layout x{}, y{}, z{}, result{};
  if (!load(operation, op) || !load(a, x) || !load(b, y) || !load(c, z) || !load(d, result)) return {};
  const uint64_t m = result.rows, n = result.columns, k = op.transa == CUBLAS_OP_N ? x.columns : x.rows;
  const auto fits = [&](const Layout& layout, int32_t transposed, uint64_t rows, uint64_t columns) {
    if (transposed != CUBLAS_OP_N) std::swap(rows, columns);
    return layout.type == x.type && layout.count == x.count && layout.rows == rows &&
           layout.columns == columns &&
           std::max({rows, columns, static_cast<uint64_t>(layout.leading)}) <= INT_MAX;
  };
  if (!fits(x, op.transa, m, k) || !fits(y, op.transb, k, n) || !fits(z, CUBLAS_OP_N, m, n) ||
      std::memcmp(&z, &result, sizeof z) != 0 || x.count < 1 || op.epilogue != CUBLASLT_EPILOGUE_BIAS ||
      !op.bias || !has_combination(x.type, op.compute) ||
      op.scale != (x.type == CUDA_R_64F ? CUDA_R_64F : CUDA_R_32F))
    return {};
  const auto of = [&](const Layout& layout, int32_t transposed) {
    return Matrix{nullptr,
                  transposed != CUBLAS_OP_N,
                  static_cast<int>(layout.rows),
                  static_cast<int>(layout.columns),
                  static_cast<int>(layout.leading),
                  layout.by_matrix};
  };
  return Product{x.type,
                 op.compute == CUBLAS_COMPUTE_32F_FAST_TF32,
                 static_cast<int>(m),
                 static_cast<int>(n),
                 static_cast<int>(k),
                 x.count,
                 1,
                 1,
                 of(x, op.transa),
                 of(y, op.transb),
                 of(result, CUBLAS_OP_N),
                 op.bias};
}

// A number that products which differ in more than pointers do not share.
uint64_t fingerprint(const Product& p) {
  const int64_t facts[] = {p.type,         p.tf32,         p.m,           p.n,          p.k,
                           p.count,        p.a.leading,    p.a.by_matrix, p.b.leading,  p.b.by_matrix,
                           p.a.transposed, p.b.transposed, p.c.leading,   p.c.by_matrix};
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(facts), sizeof facts});
}

bool is_aligned(const void* data, uint32_t alignment) {
  return reinterpret_cast<uintptr_t>(data) % alignment == 0;
}

}  // namespace
}  // namespace tidu::simt

using namespace tidu::simt;

extern "C" {

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t layout, size_t size,
                                                 cudaDataType type, uint64_t rows, uint64_t cols,
                                                 int64_t ld) {
  if (size != sizeof *layout) return refuse("cublasLtMatrixLayoutInit: a descriptor of another size");
  return store(Layout{.rows = rows, .columns = cols, .leading = ld, .type = type}, layout);
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                size_t bytes) {
  return set_attribute<Layout>(layout, value, bytes, [&](Layout& x) -> std::span<std::byte> {
    switch (attribute) {
      case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return member(x.count);
      case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return member(x.by_matrix);
      default: return {};
    }
  });
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t operation, size_t size,
                                               cublasComputeType_t compute, cudaDataType_t scale) {
  if (size != sizeof *operation) return refuse("cublasLtMatmulDescInit: a descriptor of another size");
  return store(Operation{.compute = compute, .scale = scale}, operation);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  return set_attribute<Operation>(operation, value, bytes, [&](Operation& x) -> std::span<std::byte> {
    switch (attribute) {
      case CUBLASLT_MATMUL_DESC_TRANSA: return member(x.transa);
      case CUBLASLT_MATMUL_DESC_TRANSB: return member(x.transb);
      case CUBLASLT_MATMUL_DESC_EPILOGUE: return member(x.epilogue);
      case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return member(x.bias);
      default: return {};
    }
  });
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t preference, size_t size) {
  if (size != sizeof *preference) return refuse("cublasLtMatmulPreferenceInit: a descriptor of another size");
  return store(Preference{}, preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  return set_attribute<Preference>(preference, value, bytes, [&](Preference& x) -> std::span<std::byte> {
    switch (attribute) {
      case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return member(x.workspace);
      case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return member(x.schemes);
      case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return member(x.alignments[0]);
      case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return member(x.alignments[1]);
      case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return member(x.alignments[2]);
      case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return member(x.alignments[3]);
      default: return {};
    }
  });
}

// As on GPUs there is not one for everything, and callers need another way: none for float64, nor for
// elements of 16 bits whose address 4 does not divide.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* count) {
  return with(reinterpret_cast<cublasHandle_t>(handle), [&](LibraryState&) {
    Preference preferred;
    const std::optional<Product> p = product_of(operation, a, b, c, d);
    // Not INVALID_VALUE, which may also mean that there is none.
    if (!p || !load(preference, preferred) || requested < 1 || !results || !count)
      return refuse("cublasLtMatmulAlgoGetHeuristic: descriptors of no product",
                    CUBLAS_STATUS_INTERNAL_ERROR);
    if ((preferred.schemes & ~CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) != 0)
      return refuse("cublasLtMatmulAlgoGetHeuristic: it may sum in 16 bits", CUBLAS_STATUS_INTERNAL_ERROR);
    const auto& [of_a, of_b, of_c, of_d] = preferred.alignments;
    const uint32_t least = std::min({of_a, of_b, of_c, of_d});
    *count = p->type != CUDA_R_64F && least >= 4 ? 1 : 0;
    if (*count == 0) return CUBLAS_STATUS_NOT_SUPPORTED;
    results[0] = {};
    results[0].workspaceSize = std::min<uint64_t>(preferred.workspace, 4096);
    const Algorithm found{
        .product = fingerprint(*p),
        .workspace = results[0].workspaceSize,
        .alignments = {of_a, of_b, std::min(of_c, of_d), is_aligned(p->bias, 16) ? 16u : 4u}};
    return store(found, &results[0].algo);
  });
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void* alpha,
                              const void* A, cublasLtMatrixLayout_t a, const void* B,
                              cublasLtMatrixLayout_t b, const void* beta, const void* C,
                              cublasLtMatrixLayout_t c, void* D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  return with(reinterpret_cast<cublasHandle_t>(handle), [&](LibraryState& state) {
    Algorithm algorithm{};
    std::optional<Product> p = product_of(operation, a, b, c, d);
    if (!p || !load(algo, algorithm)) return refuse("cublasLtMatmul: descriptors of no product");
    if (!alpha || !beta || *static_cast<const float*>(alpha) != 1 || *static_cast<const float*>(beta) != 0)
      return refuse("cublasLtMatmul: emulated for alpha 1 and beta 0 alone", CUBLAS_STATUS_NOT_SUPPORTED);
    if (algorithm.product != fingerprint(*p))
      return refuse("cublasLtMatmul: the algorithm was chosen for another product");
    const auto& [of_a, of_b, of_d, of_bias] = algorithm.alignments;
    if (!is_aligned(A, of_a) || !is_aligned(B, of_b) || !is_aligned(C, of_d) || !is_aligned(D, of_d) ||
        !is_aligned(p->bias, of_bias))
      return refuse("cublasLtMatmul: the algorithm needs a stricter alignment");
    if (workspace_bytes < algorithm.workspace || (workspace_bytes > 0 && !workspace) ||
        !is_aligned(workspace, 16))
      return refuse("cublasLtMatmul: too little workspace, or not aligned to 16 bytes");
    p->a.data = A;
    p->b.data = B;
    p->c.data = D;
    return submit_product({state.device, stream, workspace, workspace_bytes}, *p);
  });
}

}  // extern "C"
