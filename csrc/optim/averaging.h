// Averages of the parameters that training goes through.
#pragma once

#include <optional>

#include "nn/module.h"

namespace tidu::optim {

// A module whose parameters are averages of those of a model over the steps of training, which often do
// better than the last ones: call update() after the optimiser's step, and evaluate this module. It computes
// by the model, in whose place the averages stand meanwhile, and which must outlive it; buffers are the
// model's. 16-bit parameters are averaged in float32, and rounded where they are used.
class AveragedModel : public nn::Module {
 public:
  // decay: of the exponential moving average, a = decay a + (1 - decay) p, in [0, 1]; nothing: the mean of
  // all (Izmailov et al. 2018). The first update takes the parameters as they are.
  explicit AveragedModel(nn::Module& model, std::optional<double> decay = 0.999);
  void update();
  Tensor forward(const Tensor& x) override { return model_.forward_with(averages(), x); }
  // Like the parameters of the model, in its order.
  Tensors averages() const;
  // The averages, as buffers "module.weight" and the like, in the dtype that they are kept in, and "updates".
  void members(nn::MemberVisitor& visit) override;

 private:
  nn::Module& model_;
  std::optional<double> decay_;
  std::vector<std::pair<std::string, Tensor>> kept_;
  Tensor updates_;
};

}  // namespace tidu::optim
