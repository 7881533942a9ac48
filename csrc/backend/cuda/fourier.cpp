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

// Of device, complex128 or not, length and number of rows.
using Question = std::tuple<int, bool, int64_t, int64_t>;

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
  const auto [device, wide, n, rows] = question;
  long long length = n;
  Plan plan;
  check(cufftCreate(&plan.handle), "cufftCreate", call);
  check(cufftSetAutoAllocation(plan.handle, 0), "cufftSetAutoAllocation", call);
  const cufftResult result = cufftMakePlanMany64(plan.handle, 1, &length, nullptr, 1, length, nullptr, 1,
                                                 length, wide ? CUFFT_Z2Z : CUFFT_C2C, rows, &plan.bytes);
  if (result != CUFFT_SUCCESS) cufftDestroy(plan.handle);
  check(result, "cufftMakePlanMany64", call);
  return plans.made[question] = plan;
}

cudaError_t fourier(const Call& call, Context& context) {
  Tensor x = call.inputs[0];
  const Tensor& y = call.outputs[0];
  if (x.numel() == 0) return cudaSuccess;
  TIDU_TRY(make_row_major(&x, context.stream()));
  const bool wide = x.dtype() == DType::complex128;
  const int direction = call.attrs.as<FourierAttrs>().inverse ? CUFFT_INVERSE : CUFFT_FORWARD;
  const int64_t n = x.size(-1);
  Plans& plans = all_plans();
  const std::lock_guard lock(plans.mutex);
  const Plan& plan = plan_for(plans, {context.device(), wide, n, x.numel() / n}, call);
  check(cufftSetStream(plan.handle, context.stream()), "cufftSetStream", call);
  check(cufftSetWorkArea(plan.handle, context.workspace<char>(plan.bytes)), "cufftSetWorkArea", call);
  if (wide) {
    check(cufftExecZ2Z(plan.handle, static_cast<cufftDoubleComplex*>(x.raw_data()),
                       static_cast<cufftDoubleComplex*>(y.raw_data()), direction),
          "cufftExecZ2Z", call);
  } else {
    check(cufftExecC2C(plan.handle, static_cast<cufftComplex*>(x.raw_data()),
                       static_cast<cufftComplex*>(y.raw_data()), direction),
          "cufftExecC2C", call);
  }
  return cudaSuccess;
}

}  // namespace

void register_fourier_kernels() { set_operation<fourier>(primitives::fourier); }

}  // namespace tidu::cuda
