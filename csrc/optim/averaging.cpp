// Averages of the parameters that training goes through.
#include "optim/averaging.h"

#include "core/trace.h"
#include "ops/assign.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/update.h"

namespace tidu::optim {

AveragedModel::AveragedModel(nn::Module& model, std::optional<double> decay) : model_(model), decay_(decay) {
  if (decay && !(*decay >= 0 && *decay <= 1))
    fail<ValueError>("[AveragedModel] decay is ", *decay, ", but must be in [0, 1], or nothing");
  const GradMode off(false);
  for (const auto& [name, parameter] : model.named_parameters())
    kept_.emplace_back("module." + name, copy(astype(parameter, state_dtype(parameter.dtype()))));
  const Device device = kept_.empty() ? Device{} : kept_[0].second.device();
  updates_ = zeros({}, DType::int64, device);
}

void AveragedModel::update() {
  const Tensors now = model_.parameters();
  if (now.size() != kept_.size())
    fail<ValueError>("[AveragedModel] the model has ", now.size(), " parameters, and had ", kept_.size());
  for (size_t i = 0; i < now.size(); ++i) {
    if (now[i].shape() != kept_[i].second.shape())
      fail<ShapeError>("[AveragedModel] '", kept_[i].first, "' is ", describe(now[i]), " now, its average ",
                       describe(kept_[i].second));
  }
  const GradMode off(false);
  const Tensor count = astype(updates_, DType::float64);
  Tensor weight = 1 / (count + 1);
  if (decay_) weight = where(count == 0, weight, 1 - *decay_);
  for (size_t i = 0; i < now.size(); ++i) {
    Tensor& average = kept_[i].second;
    const Tensor p = astype(to(now[i], average.device()), average.dtype());
    assign(average, average + astype(to(weight, average.device()), average.dtype()) * (p - average));
  }
  assign(updates_, updates_ + 1);
}

Tensors AveragedModel::averages() const {
  Tensors result;
  const Tensors own = model_.parameters();
  for (size_t i = 0; i < kept_.size(); ++i) result.push_back(astype(kept_[i].second, own[i].dtype()));
  return result;
}

void AveragedModel::members(nn::MemberVisitor& visit) {
  for (auto& [name, average] : kept_) visit.buffer(name, average);
  visit.buffer("updates", updates_);
}

}  // namespace tidu::optim
