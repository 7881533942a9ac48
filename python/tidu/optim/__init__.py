"""Optimisers, minimisation, least squares, roots, learning rate schedules, gradient clipping."""

from .._arguments import explain as _explain
from .._core._training import clip_grad_norm_, clip_grad_value_
from .fitters import GaussNewton, LevenbergMarquardt
from .least_squares import LeastSquaresReport, RootReport, least_squares, root
from .minimize import Report, minimize
from .minimizers import LBFGS, GradientDescent, GradientFlow, NewtonCG
from .optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from .schedules import CosineLR, Schedule, SequentialLR, StepLR, WarmupLR
from .standard_errors import standard_errors

__all__ = [
    "LBFGS",
    "SGD",
    "Adam",
    "AdamW",
    "CosineLR",
    "GaussNewton",
    "GradientDescent",
    "GradientFlow",
    "LeastSquaresReport",
    "LevenbergMarquardt",
    "NewtonCG",
    "Optimizer",
    "RMSprop",
    "Report",
    "RootReport",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "WarmupLR",
    "clip_grad_norm_",
    "clip_grad_value_",
    "least_squares",
    "minimize",
    "root",
    "standard_errors",
]

_explain(globals(), __all__)
