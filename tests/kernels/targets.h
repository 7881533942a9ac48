// Runs a check on every instruction set that this machine has and the kernels were compiled for.
#pragma once

#include "kernels/cpu/targets.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

namespace tidu {

template <class Check> void on_each_target(const Check& check) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    check();
  }
  hwy::SetSupportedTargetsForTest(0);
}

}  // namespace tidu
