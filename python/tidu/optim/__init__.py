"""Optimisers, learning rate schedules, averages of parameters, clipping; minimisation, fits and roots."""

from .._arguments import explain as _explain
from .._core._training import clip_grad_norm_, clip_grad_value_
from .._spellings import add_other_names as _add_other_names
from .averaging import AveragedModel
from .fitters import GaussNewton, LevenbergMarquardt
from .formulas import Adadelta, Adagrad, Adamax, Lion, Muon, NAdam, RAdam, orthogonalize
from .functional import functional
from .least_squares import LeastSquaresReport, RootReport, least_squares, root
from .minimize import Report, minimize
from .minimizers import LBFGS, GradientDescent, GradientFlow, NewtonCG
from .optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from .scaler import GradScaler
from .schedules import (
    CosineLR,
    CosineWarmRestartsLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    Schedule,
    SequentialLR,
    StepLR,
    WarmupLR,
)
from .standard_errors import standard_errors

__all__ = [
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "AveragedModel",
    "CosineLR",
    "CosineWarmRestartsLR",
    "ExponentialLR",
    "GaussNewton",
    "GradScaler",
    "GradientDescent",
    "GradientFlow",
    "LeastSquaresReport",
    "LevenbergMarquardt",
    "LinearLR",
    "Lion",
    "MultiStepLR",
    "Muon",
    "NAdam",
    "NewtonCG",
    "OneCycleLR",
    "Optimizer",
    "PolynomialLR",
    "RAdam",
    "RMSprop",
    "ReduceLROnPlateau",
    "Report",
    "RootReport",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "WarmupLR",
    "clip_grad_norm_",
    "clip_grad_value_",
    "functional",
    "least_squares",
    "minimize",
    "orthogonalize",
    "root",
    "standard_errors",
]

_explain(globals(), __all__)

_add_other_names(globals())
