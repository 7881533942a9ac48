// Discrete Fourier transforms by cuFFT: a plan for each length, number of rows and type. A plan brings no
// memory of its own for numbers on their way, so calls on several streams share it one after another.
#include "ops/fourier.h"

#include <cufft.h>

#include <map>
#include <mutex>
#include <tuple>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"

namespace tidu::cuda {
namespace {

void check(cufftResult result, const char* function, const Call& call) {
  if (result == CUFFT_SUCCESS) return;
  fail<DeviceError>("[", call.primitive.name, "] ", function, " of cuFFT failed: cufftResult ",
                    static_cast<int>(result), " for ", describe(call.inputs[0]));
}

struct Plan {
  cufftHandle handle = 0;
  size_t bytes = 0;  // of workspace
};

// Of device, type, length and number of rows.
using Question = std::tuple<int, cufftType, int64_t, int64_t>;

// Plans, which are not to be used by two threads at once. They live as long as the process: graphs run
// kernels that read tables of theirs, and at exit the driver may be gone before them.
struct Plans {
  std::mutex mutex;
  std::map<Question, Plan> made;
};

Plans& all_plans() {
  static auto& plans = *new Plans;
  return plans;
}

const Plan& plan_for(Plans& plans, const Question& question, const Call& call) {
  if (const auto found = plans.made.find(question); found != plans.made.end()) return found->second;
  const auto [device, type, n, rows] = question;
  long long length = n;
  Plan plan;
  check(cufftCreate(&plan.handle), "cufftCreate", call);
  check(cufftSetAutoAllocation(plan.handle, 0), "cufftSetAutoAllocation", call);
  const long long half = length / 2 + 1;
  const bool from_half = type == CUFFT_C2R || type == CUFFT_Z2D,
             to_half = type == CUFFT_R2C || type == CUFFT_D2Z;
  const cufftResult result =
      cufftMakePlanMany64(plan.handle, 1, &length, nullptr, 1, from_half ? half : length, nullptr, 1,
                          to_half ? half : length, type, rows, &plan.bytes);
  if (result != CUFFT_SUCCESS) cufftDestroy(plan.handle);
  check(result, "cufftMakePlanMany64", call);
  return plans.made[question] = plan;
}

// The plan for rows of n numbers, nobody else's meanwhile, and its memory.
class Rows {
 public:
  Rows(const Call& call, Context& context, cufftType type, int64_t n, int64_t rows)
      : call_(call),
        lock_(all_plans().mutex),
        plan_(plan_for(all_plans(), {context.device(), type, n, rows}, call)),
        area_(context.workspace<char>(plan_.bytes)) {}

  // exec(plan), which is `function` of the library.
  template <class Exec> void transform(Context& context, const char* function, const Exec& exec) const {
    check(cufftSetStream(plan_.handle, context.stream()), "cufftSetStream", call_);
    check(cufftSetWorkArea(plan_.handle, area_), "cufftSetWorkArea", call_);
    check(exec(plan_.handle), function, call_);
  }

 private:
  const Call& call_;
  const std::lock_guard<std::mutex> lock_;
  const Plan& plan_;
  void* area_;
};

template <class T> T* numbers_of(const Tensor& x) { return static_cast<T*>(x.raw_data()); }

cudaError_t fourier(const Call& call, Context& context) {
  Tensor x = call.inputs[0];
  const Tensor& y = call.outputs[0];
  if (x.numel() == 0) return cudaSuccess;
  TIDU_TRY(make_row_major(&x, context));
  const int direction = call.attrs.as<FourierAttrs>().inverse ? CUFFT_INVERSE : CUFFT_FORWARD;
  const bool is_double = x.dtype() == DType::complex128;
  const int64_t n = x.size(-1);
  const Rows rows(call, context, is_double ? CUFFT_Z2Z : CUFFT_C2C, n, x.numel() / n);
  if (context.only_counts()) return cudaSuccess;
  if (is_double) {
    using Z = cufftDoubleComplex;
    rows.transform(context, "cufftExecZ2Z", [&](cufftHandle plan) {
      return cufftExecZ2Z(plan, numbers_of<Z>(x), numbers_of<Z>(y), direction);
    });
  } else {
    using C = cufftComplex;
    rows.transform(context, "cufftExecC2C", [&](cufftHandle plan) {
      return cufftExecC2C(plan, numbers_of<C>(x), numbers_of<C>(y), direction);
    });
  }
  return cudaSuccess;
}

cudaError_t real_fourier(const Call& call, Context& context) {
  Tensor x = call.inputs[0];
  const Tensor& y = call.outputs[0];
  if (x.numel() == 0) return cudaSuccess;
  // cuFFT refuses what begins in the middle of a complex number, as a plan's tensors may.
  const auto begins_within = [](const Tensor& x) {
    return x.is_abstract() || reinterpret_cast<uintptr_t>(x.raw_data()) % (2 * size_of(x.dtype())) != 0;
  };
  if (!x.is_contiguous() || begins_within(x)) {
    const Tensor copied = context.tensor(x.shape(), x.dtype());
    if (!context.only_counts()) TIDU_TRY(copy_view(context.stream(), x.shape(), x, copied));
    x = copied;
  }
  const bool is_double = x.dtype() == DType::float64;
  const int64_t n = x.size(-1);
  const Rows rows(call, context, is_double ? CUFFT_D2Z : CUFFT_R2C, n, x.numel() / n);
  if (context.only_counts()) return cudaSuccess;
  if (is_double) {
    rows.transform(context, "cufftExecD2Z", [&](cufftHandle plan) {
      return cufftExecD2Z(plan, numbers_of<double>(x), numbers_of<cufftDoubleComplex>(y));
    });
  } else {
    rows.transform(context, "cufftExecR2C", [&](cufftHandle plan) {
      return cufftExecR2C(plan, numbers_of<float>(x), numbers_of<cufftComplex>(y));
    });
  }
  return cudaSuccess;
}

// cuFFT may write to its input here, and leaves open what becomes of imaginary parts that should not be: so
// it is given a copy without these.
cudaError_t fourier_to_real(const Call& call, Context& context) {
  const Tensor &given = call.inputs[0], &y = call.outputs[0];
  if (given.numel() == 0) return cudaSuccess;
  const bool is_double = y.dtype() == DType::float64;
  const int64_t n = call.attrs.as<RealFourierAttrs>().n, count = given.numel() / given.size(-1);
  const size_t size = size_of(y.dtype());
  const Tensor x = context.tensor(given.shape(), given.dtype());
  char* const zero = context.workspace<char>(size);
  const Rows rows(call, context, is_double ? CUFFT_Z2D : CUFFT_C2R, n, count);
  if (context.only_counts()) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  TIDU_TRY(copy_view(stream, given.shape(), given, x));
  TIDU_TRY(cudaMemsetAsync(zero, 0, size, stream));
  const auto clear = [&](int64_t k) {
    char* const imaginary = static_cast<char*>(x.raw_data()) + (2 * k + 1) * static_cast<int64_t>(size);
    return copy_view(stream, {count}, StridedMemory(zero, {0}, size),
                     StridedMemory(imaginary, {2 * x.size(-1)}, size));
  };
  TIDU_TRY(clear(0));
  if (n % 2 == 0) TIDU_TRY(clear(n / 2));
  if (is_double) {
    rows.transform(context, "cufftExecZ2D", [&](cufftHandle plan) {
      return cufftExecZ2D(plan, numbers_of<cufftDoubleComplex>(x), numbers_of<double>(y));
    });
  } else {
    rows.transform(context, "cufftExecC2R", [&](cufftHandle plan) {
      return cufftExecC2R(plan, numbers_of<cufftComplex>(x), numbers_of<float>(y));
    });
  }
  return cudaSuccess;
}

}  // namespace

void register_fourier_kernels() {
  set_counted_operation<fourier>(primitives::fourier);
  set_counted_operation<real_fourier>(primitives::real_fourier);
  set_counted_operation<fourier_to_real>(primitives::fourier_to_real);
}

}  // namespace tidu::cuda
