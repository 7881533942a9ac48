// Convolutions, poolings, changes of size and norms of channels, in tidu._core._training.
#include "binding.h"

namespace tidu::python {
namespace {

using OptionalTensor = std::optional<Tensor>;
using Padding = std::variant<std::string, Dims>;

std::optional<Dims> padding_of(const std::string& op, const Padding& given) {
  if (const Dims* dims = std::get_if<Dims>(&given)) return *dims;
  const std::string& name = std::get<std::string>(given);
  if (name == "valid") return Dims{0};
  if (name == "same") return std::nullopt;
  fail<ValueError>("[", op, "] padding is 'same', 'valid' or numbers, not '", name, "'");
}

// The tensor that a Python object holds, to be written; undefined for None.
Tensor& running_of(const char* op, py::handle object, Tensor& none) {
  if (object.is_none()) return none;
  if (!is_tensor(object.ptr()))
    throw py::type_error(str("[", op, "] running values are tensors or None, not ", name_of_type(object)));
  return tensor_of(object.ptr());
}

nn::Sizes sizes_of(const std::string& op, const py::object& given) {
  nn::Sizes sizes;
  const auto add = [&](py::handle size) {
    if (size.is_none()) return sizes.push_back(std::nullopt);
    sizes.push_back(read<int64_t>(size, op.c_str(), "output_size of ints or None"));
  };
  if (py::isinstance<py::sequence>(given) && !is_tensor(given.ptr())) {
    for (py::handle size : given) add(size);
  } else {
    add(given);
  }
  return sizes;
}

py::object pooled(const nn::Pooled& result, bool with_indices) {
  if (with_indices) return py::make_tuple(result.values, result.indices);
  return py::cast(result.values);
}

void bind_convolutions(py::module_& m, int rank) {
  const auto x = py::arg("x"), weight = py::arg("weight");
  const auto bias = py::arg("bias") = py::none();
  const auto stride = py::arg_v("stride", Dims{1}, "1"), padding = py::arg_v("padding", Dims{0}, "0"),
             dilation = py::arg_v("dilation", Dims{1}, "1");
  const auto groups = py::arg("groups") = 1;
  const std::string conv = str("conv", rank, "d"), transposed = str("conv_transpose", rank, "d");
  m.def(
      conv.c_str(),
      [rank, conv](const Tensor& x, const Tensor& weight, const OptionalTensor& bias, const Dims& stride,
                   const Padding& padding, const Dims& dilation, int64_t groups) {
        return nn::convolution(rank, x, weight, bias.value_or(Tensor()),
                               {stride, padding_of(conv, padding), dilation, groups});
      },
      x, weight, bias, stride, padding, dilation, groups,
      "The sum over channels c and places j of weight[k, c, j] x[n, c, i stride + j dilation - padding], + "
      "bias[k], "
      "of x\n(N, C, ..) or (C, ..) and a weight (outputs, C / groups, ..). padding 'same' keeps the extents "
      "of x, "
      "'valid' is 0.\nShapeError where the kernel is larger than x with its padding, ValueError where groups "
      "do not "
      "divide channels.");
  m.def(
      transposed.c_str(),
      [rank](const Tensor& x, const Tensor& weight, const OptionalTensor& bias, const Dims& stride,
             const Dims& padding, const Dims& output_padding, int64_t groups, const Dims& dilation) {
        return nn::transposed_convolution(rank, x, weight, bias.value_or(Tensor()),
                                          {stride, padding, output_padding, dilation, groups});
      },
      x, weight, bias, stride, padding, py::arg_v("output_padding", Dims{0}, "0"), groups, dilation,
      "The transpose of a convolution by its x: (N, C, ..) and a weight (C, outputs / groups, ..) give (N, "
      "outputs, "
      "..), of\nextents (s - 1) stride - 2 padding + (kernel - 1) dilation + 1 + output_padding.");
}

void bind_poolings(py::module_& m, int rank) {
  const auto x = py::arg("x"), kernel = py::arg("kernel_size");
  const auto stride = py::arg("stride") = py::none(), padding = py::arg_v("padding", Dims{0}, "0");
  const auto ceil_mode = py::arg("ceil_mode") = false;
  m.def(
      str("max_pool", rank, "d").c_str(),
      [rank](const Tensor& x, const Dims& kernel, const std::optional<Dims>& stride, const Dims& padding,
             const Dims& dilation, bool ceil_mode, bool return_indices) {
        return pooled(nn::max_pool(rank, x, {kernel, stride.value_or(Dims()), padding, dilation, ceil_mode},
                                   return_indices),
                      return_indices);
      },
      x, kernel, stride, padding, py::arg_v("dilation", Dims{1}, "1"), ceil_mode,
      py::arg("return_indices") = false,
      "The largest element of each window, stride apart (kernel_size if None); NaN where there is one. With "
      "return_indices\nalso the int64 place of the first such element in the plane, row by row, which has "
      "the "
      "derivative.");
  const auto average = [rank](const Tensor& x, const Dims& kernel, const std::optional<Dims>& stride,
                              const Dims& padding, bool ceil_mode, bool count_include_pad,
                              std::optional<int64_t> divisor) {
    const nn::PoolingOptions options{
        .kernel = kernel, .stride = stride.value_or(Dims()), .padding = padding, .ceil_mode = ceil_mode};
    return nn::avg_pool(rank, x, options, count_include_pad, divisor);
  };
  const char* const doc =
      "The mean of each window, over what it has in x and, with count_include_pad, in the padding; or the "
      "sum "
      "divided by\ndivisor_override.";
  m.def(str("avg_pool", rank, "d").c_str(), average, x, kernel, stride, padding, ceil_mode,
        py::arg("count_include_pad") = true, py::arg("divisor_override") = py::none(), doc);
  m.def(
      str("lp_pool", rank, "d").c_str(),
      [rank](const Tensor& x, double p, const Dims& kernel, const std::optional<Dims>& stride,
             bool ceil_mode) {
        return nn::lp_pool(rank, x, p,
                           {.kernel = kernel, .stride = stride.value_or(Dims()), .ceil_mode = ceil_mode});
      },
      x, py::arg("norm_type"), kernel, stride, ceil_mode,
      "(the sum over each window of x^p)^(1 / p), p = norm_type.");
  const auto size = py::arg("output_size");
  const std::string largest = str("adaptive_max_pool", rank, "d"), mean = str("adaptive_avg_pool", rank, "d");
  m.def(
      largest.c_str(),
      [rank, largest](const Tensor& x, const py::object& size, bool return_indices) {
        return pooled(nn::adaptive_max_pool(rank, x, sizes_of(largest, size)), return_indices);
      },
      x, size, py::arg("return_indices") = false,
      "The largest element of each of output_size parts of each axis (None: as many as elements), and with "
      "return_indices\nits int64 place, as max_pool gives them. Part i of n is [floor(i s / n), ceil((i + 1) "
      "s / "
      "n)).");
  m.def(
      mean.c_str(),
      [rank, mean](const Tensor& x, const py::object& size) {
        return nn::adaptive_avg_pool(rank, x, sizes_of(mean, size));
      },
      x, size,
      "The mean of each of output_size parts of each axis (None: as many as elements). Part i of n "
      "is\n[floor(i s / "
      "n), ceil((i + 1) s / n)).");
}

void bind_interpolation(py::module_& m) {
  m.def(
      "interpolate",
      [](const Tensor& x, const std::optional<Dims>& size, const py::object& scale_factor,
         const std::string& mode, std::optional<bool> align_corners,
         std::optional<bool> recompute_scale_factor, bool antialias) {
        if (antialias) fail<ValueError>("[interpolate] there is no antialias");
        constexpr std::pair<const char*, int> kWeighted[] = {
            {"linear", 3}, {"bilinear", 4}, {"bicubic", 4}, {"trilinear", 5}};
        auto how = nn::Interpolation::nearest;
        if (mode == "nearest-exact") {
          how = nn::Interpolation::nearest_exact;
        } else if (mode != "nearest") {
          const auto* const found =
              std::ranges::find_if(kWeighted, [&](const auto& pair) { return mode == pair.first; });
          if (found == std::end(kWeighted))
            fail<ValueError>(
                "[interpolate] mode is 'nearest', 'nearest-exact', 'linear', 'bilinear', 'bicubic' or "
                "'trilinear', not '",
                mode, "'");
          if (x.ndim() != found->second)
            fail<ShapeError>("[interpolate] mode '", mode, "' takes x of ", found->second, " axes, not ",
                             describe(x));
          how = mode == "bicubic" ? nn::Interpolation::cubic : nn::Interpolation::linear;
        }
        std::vector<double> scale;
        if (!scale_factor.is_none()) {
          constexpr const char* kWords = "scale_factor of numbers";
          scale = py::isinstance<py::sequence>(scale_factor)
                      ? read<std::vector<double>>(scale_factor, "interpolate", kWords)
                      : std::vector<double>{read<double>(scale_factor, "interpolate", kWords)};
        }
        if (size && size->empty())
          fail<ValueError>("[interpolate] size is a number or one for each axis, not ()");
        return nn::interpolate(x, size.value_or(Dims()), scale, how, align_corners.value_or(false),
                               recompute_scale_factor.value_or(false));
      },
      py::arg("x"), py::arg("size") = py::none(), py::arg("scale_factor") = py::none(),
      py::arg("mode") = "nearest", py::arg("align_corners") = py::none(),
      py::arg("recompute_scale_factor") = py::none(), py::arg("antialias") = false,
      "x (N, C, ..) in another size, given or scale_factor times as large: 'nearest', 'nearest-exact', "
      "'linear' (3 "
      "axes),\n'bilinear' or 'bicubic' (4), 'trilinear' (5). Elements are cells; align_corners puts the "
      "middles of "
      "the first and last\nat the edges. There is no antialias.");
  example("_training.interpolate", "td.nn.functional.interpolate(td.tensor([[[1.0, 2.0]]]), scale_factor=2)",
          "tensor([[[1., 1., 2., 2.]]], dtype=float32)");
}

void bind_norms(py::module_& m) {
  const auto x = py::arg("x");
  const auto weight = py::arg("weight") = py::none(), bias = py::arg("bias") = py::none();
  const auto momentum = py::arg("momentum") = 0.1, eps = py::arg("eps") = 1e-5;
  m.def(
      "batch_norm",
      [](const Tensor& x, const py::object& running_mean, const py::object& running_var,
         const OptionalTensor& weight, const OptionalTensor& bias, bool training, double momentum,
         double eps) {
        Tensor none, nothing;
        return nn::batch_norm(x, running_of("batch_norm", running_mean, none),
                              running_of("batch_norm", running_var, nothing), weight.value_or(Tensor()),
                              bias.value_or(Tensor()), {training, momentum, eps});
      },
      x, py::arg("running_mean"), py::arg("running_var"), weight, bias, py::arg("training") = false, momentum,
      eps,
      "(x - mean) / sqrt(var + eps) * weight + bias of each channel of x (N, C, ..). In training mean and "
      "var are "
      "those of x\n(the biased one), and running_mean and running_var, unless None, become (1 - momentum) "
      "times "
      "themselves plus momentum\ntimes those of x (the unbiased one); otherwise they are what is used.");
  example("_training.batch_norm",
          "td.nn.functional.batch_norm(td.tensor([[1.0], [3.0]]), td.zeros(1), td.ones(1), training=True)",
          "tensor([[-0.999995],\n"
          "        [ 0.999995]], dtype=float32)");
  m.def(
      "instance_norm",
      [](const Tensor& x, const py::object& running_mean, const py::object& running_var,
         const OptionalTensor& weight, const OptionalTensor& bias, bool use_input_stats, double momentum,
         double eps) {
        Tensor none, nothing;
        return nn::instance_norm(x, running_of("instance_norm", running_mean, none),
                                 running_of("instance_norm", running_var, nothing), weight.value_or(Tensor()),
                                 bias.value_or(Tensor()), {use_input_stats, momentum, eps});
      },
      x, py::arg("running_mean") = py::none(), py::arg("running_var") = py::none(), weight, bias,
      py::arg("use_input_stats") = true, momentum, eps,
      "batch_norm of each channel of each image on its own.");
  example("_training.instance_norm", "td.nn.functional.instance_norm(td.tensor([[[1.0, 3.0]]]))",
          "tensor([[[-0.999995,  0.999995]]], dtype=float32)");
  m.def(
      "group_norm",
      [](const Tensor& x, int64_t num_groups, const OptionalTensor& weight, const OptionalTensor& bias,
         double eps) {
        return nn::group_norm(x, num_groups, weight.value_or(Tensor()), bias.value_or(Tensor()), eps);
      },
      x, py::arg("num_groups"), weight, bias, eps,
      "(x - mean) / sqrt(var + eps) of each group of neighbouring channels of each image (N, C, ..), * "
      "weight (C) + "
      "bias (C).");
  example("_training.group_norm", "td.nn.functional.group_norm(td.tensor([[1.0, 3.0, 5.0, 9.0]]), 2)",
          "tensor([[-0.999995 ,  0.999995 , -0.9999988,  0.9999988]], dtype=float32)");
}

}  // namespace

void bind_windows(py::module_& m) {
  for (int rank = 1; rank <= 3; ++rank) {
    bind_convolutions(m, rank);
    bind_poolings(m, rank);
  }
  bind_interpolation(m);
  bind_norms(m);
  example("_training.adaptive_avg_pool1d",
          "td.nn.functional.adaptive_avg_pool1d(td.tensor([[1.0, 3.0, 5.0, 7.0]]), 2)",
          "tensor([[2., 6.]], dtype=float32)");
  example("_training.adaptive_avg_pool2d",
          "td.nn.functional.adaptive_avg_pool2d(td.ones((1, 3, 6, 6)), 2).shape", "(1, 3, 2, 2)");
  example("_training.adaptive_avg_pool3d",
          "td.nn.functional.adaptive_avg_pool3d(td.ones((1, 3, 4, 4, 4)), 2).shape", "(1, 3, 2, 2, 2)");
  example("_training.adaptive_max_pool1d",
          "td.nn.functional.adaptive_max_pool1d(td.tensor([[1.0, 3.0, 5.0, 7.0]]), 2)",
          "tensor([[3., 7.]], dtype=float32)");
  example("_training.adaptive_max_pool2d",
          "td.nn.functional.adaptive_max_pool2d(td.ones((1, 3, 6, 6)), 2).shape", "(1, 3, 2, 2)");
  example("_training.adaptive_max_pool3d",
          "td.nn.functional.adaptive_max_pool3d(td.ones((1, 3, 4, 4, 4)), 2).shape", "(1, 3, 2, 2, 2)");
  example("_training.avg_pool1d", "td.nn.functional.avg_pool1d(td.tensor([[1.0, 3.0, 5.0, 7.0]]), 2)",
          "tensor([[2., 6.]], dtype=float32)");
  example("_training.avg_pool2d", "td.nn.functional.avg_pool2d(td.ones((1, 3, 6, 6)), 2).shape",
          "(1, 3, 3, 3)");
  example("_training.avg_pool3d", "td.nn.functional.avg_pool3d(td.ones((1, 3, 4, 4, 4)), 2).shape",
          "(1, 3, 2, 2, 2)");
  example("_training.conv1d",
          "td.nn.functional.conv1d(td.tensor([[1.0, 2.0, 3.0]]), td.tensor([[[1.0, -1.0]]]))",
          "tensor([[-1., -1.]], dtype=float32)");
  example("_training.conv2d",
          "td.nn.functional.conv2d(td.ones((1, 3, 8, 8)), td.ones((4, 3, 3, 3)), padding=1).shape",
          "(1, 4, 8, 8)");
  example("_training.conv3d",
          "td.nn.functional.conv3d(td.ones((1, 1, 4, 4, 4)), td.ones((2, 1, 3, 3, 3))).shape",
          "(1, 2, 2, 2, 2)");
  example("_training.conv_transpose1d",
          "td.nn.functional.conv_transpose1d(td.tensor([[1.0, 2.0]]), td.tensor([[[1.0, 1.0]]]))",
          "tensor([[1., 3., 2.]], dtype=float32)");
  example("_training.conv_transpose2d",
          "td.nn.functional.conv_transpose2d(td.ones((1, 4, 4, 4)), td.ones((4, 3, 2, 2)), stride=2).shape",
          "(1, 3, 8, 8)");
  example(
      "_training.conv_transpose3d",
      "td.nn.functional.conv_transpose3d(td.ones((1, 2, 2, 2, 2)), td.ones((2, 1, 2, 2, 2)), stride=2).shape",
      "(1, 1, 4, 4, 4)");
  example("_training.lp_pool1d", "td.nn.functional.lp_pool1d(td.tensor([[3.0, 4.0]]), 2, 2)",
          "tensor([[5.]], dtype=float32)");
  example("_training.lp_pool2d", "td.nn.functional.lp_pool2d(td.ones((1, 1, 4, 4)), 2, 2)",
          "tensor([[[[2., 2.],\n"
          "          [2., 2.]]]], dtype=float32)");
  example("_training.lp_pool3d", "td.nn.functional.lp_pool3d(td.ones((1, 1, 2, 2, 2)), 1, 2)",
          "tensor([[[[[8.]]]]], dtype=float32)");
  example("_training.max_pool1d", "td.nn.functional.max_pool1d(td.tensor([[1.0, 3.0, 5.0, 7.0]]), 2)",
          "tensor([[3., 7.]], dtype=float32)");
  example("_training.max_pool2d", "td.nn.functional.max_pool2d(td.ones((1, 3, 6, 6)), 2).shape",
          "(1, 3, 3, 3)");
  example("_training.max_pool3d", "td.nn.functional.max_pool3d(td.ones((1, 3, 4, 4, 4)), 2).shape",
          "(1, 3, 2, 2, 2)");
}

}  // namespace tidu::python
