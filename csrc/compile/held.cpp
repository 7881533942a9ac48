// What says how calls that hold programs are prepared.
#include "compile/held.h"

#include <unordered_map>

#include "backend/backend.h"

namespace tidu {
namespace {

std::unordered_map<const Primitive*, PrepareCall>& preparations() {
  static std::unordered_map<const Primitive*, PrepareCall> all;
  return all;
}

std::vector<Hoist>& hoists() {
  static std::vector<Hoist> all;
  return all;
}

}  // namespace

PreparesCall::PreparesCall(const Primitive& primitive, PrepareCall prepare) {
  preparations().emplace(&primitive, prepare);
}

PrepareCall preparation_of(const Primitive& primitive) {
  const auto found = preparations().find(&primitive);
  return found == preparations().end() ? nullptr : found->second;
}

Hoists::Hoists(Hoist hoist) { hoists().push_back(hoist); }

Program hoisted(Program program) {
  for (const Hoist hoist : hoists()) program = hoist(std::move(program));
  return program;
}

void ready(std::span<const Tensor> tensors) {
  if (!tensors.empty() && tensors[0].device().type != DeviceType::cpu)
    backend(tensors[0].device()).use(tensors);
}

Tensor part_of(const Tensor& block, const Spec& spec, int64_t begin) {
  const Tensor base = Tensor::abstract(spec.shape, spec.dtype, spec.device);
  base.impl().storage = block.impl().storage;
  const int64_t bytes = block.impl().offset + begin;
  return base.view(spec.shape, base.strides(), bytes / static_cast<int64_t>(size_of(spec.dtype)));
}

void copy_into(const Tensor& target, const Tensor& value) {
  static const Attrs none;
  Tensor output = target;
  primitives::copy.kernels[static_cast<int>(target.device().type)](
      {primitives::copy, {&value, 1}, none, {&output, 1}});
}

}  // namespace tidu
