"""Optimisers whose step is a formula of tensors, which compiled code makes one loop of."""

from __future__ import annotations

import tidu as td
from tidu._core import Tensor

from .._core import _training as training
from .optimizers import FRACTION, NOT_NEGATIVE, Group, Optimizer, Params


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer 2011), with g = gradient + weight_decay p and s
    `initial_accumulator_value` before the first step, whose t is 1:

    s = s + g^2;  p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> td.optim.Adagrad([x], lr=0.5).step()
    >>> x.detach()
    tensor([2.5], dtype=float32)
    """

    _kept = ("sum",)
    _formula = staticmethod(training.adagrad_formula)
    _ranges = Optimizer._ranges | {"lr_decay": NOT_NEGATIVE, "initial_accumulator_value": NOT_NEGATIVE}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    def _new_buffer(self, name: str, group: Group, parameter: Tensor) -> Tensor:
        found: Tensor = super()._new_buffer(name, group, parameter) + group["initial_accumulator_value"]
        return found


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012), with g = gradient + weight_decay p:

    v = rho v + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(v + eps) g;  u = rho u + (1 - rho) d^2
    p = p - lr d

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> td.optim.Adadelta([x]).step()
    >>> x.item() < 3
    True
    """

    _kept = ("square_avg", "acc_delta")
    _formula = staticmethod(training.adadelta_formula)
    _ranges = Optimizer._ranges | {"rho": (lambda value: 0 <= value <= 1, "be in [0, 1]")}

    def __init__(
        self, params: Params, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)


class Adamax(Optimizer):
    """Adam by the infinity norm (Kingma and Ba 2015), with g = gradient + weight_decay p:

    m = beta1 m + (1 - beta1) g;  u = max(beta2 u, |g| + eps)
    p = p - lr m / (1 - beta1^t) / u

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> td.optim.Adamax([x], lr=0.5).step()
    >>> x.detach()
    tensor([2.5], dtype=float32)
    """

    _kept = ("exp_avg", "exp_inf")
    _formula = staticmethod(training.adamax_formula)

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


class NAdam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2016), with m and v as in Adam, mu_t = beta1 (1 - 0.96^(t
    momentum_decay) / 2) and M the product of mu_1 .. mu_t:

    p = p - lr ((1 - mu_t) / (1 - M) g + mu_(t+1) / (1 - M mu_(t+1)) m) / (sqrt(v / (1 - beta2^t)) + eps)

    The weight decay is part of g, or with `decoupled_weight_decay` p = p - lr weight_decay p comes first.

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> td.optim.NAdam([x]).step()
    >>> x.item() < 3
    True
    """

    _kept = ("exp_avg", "exp_avg_sq", "mu_product")
    _formula = staticmethod(training.nadam_formula)
    _ranges = Optimizer._ranges | {"momentum_decay": NOT_NEGATIVE}

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def _new_buffer(self, name: str, group: Group, parameter: Tensor) -> Tensor:
        if name == "mu_product":
            return td.ones((), dtype=td.float64, device=parameter.device)
        return super()._new_buffer(name, group, parameter)


class RAdam(Optimizer):
    """Rectified Adam (Liu et al. 2020), with m and v as in Adam, rho' = 2 / (1 - beta2) - 1 and
    rho = rho' - 2 t beta2^t / (1 - beta2^t):

    p = p - lr m / (1 - beta1^t) d, d = r sqrt(1 - beta2^t) / (sqrt(v) + eps) where rho > 5, else 1
    r = sqrt((rho - 4) (rho - 2) rho' / ((rho' - 4) (rho' - 2) rho))

    The weight decay is part of g, or with `decoupled_weight_decay` p = p - lr weight_decay p comes first.

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> td.optim.RAdam([x]).step()
    >>> x.item() < 3
    True
    """

    _kept = ("exp_avg", "exp_avg_sq")
    _formula = staticmethod(training.radam_formula)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )


class Lion(Optimizer):
    """Lion (Chen et al. 2023), whose steps have one size in every element:

    p = p - lr weight_decay p - lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g

    Take a third to a tenth of AdamW's lr, and so many times its weight_decay.

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> td.optim.Lion([x], lr=0.5).step()
    >>> x.detach()
    tensor([2.5], dtype=float32)
    """

    _kept = ("exp_avg",)
    _formula = staticmethod(training.lion_formula)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)


class Muon(Optimizer):
    """Muon (Jordan et al. 2024) for the matrices of hidden layers: momentum b, whose singular values are made
    nearly 1 by `ns_steps` of Newton and Schulz's iteration.

    b = momentum b + (1 - momentum) g;  u = (1 - momentum) g + momentum b, or without `nesterov` u = b
    p = p - lr weight_decay p - lr s orthogonalize(u)

    s is max(1, rows / columns)^(1/2) or, with adjust_lr_fn="match_rms_adamw", 0.2 max(rows, columns)^(1/2),
    whose steps have about the size of AdamW's. All parameters must be matrices: biases, embeddings and the
    last layer are for another optimiser, such as AdamW.

    The iteration computes in float32, or float64 for such parameters.

    Examples
    --------
    >>> x = td.eye(2, requires_grad=True)
    >>> (x * x).sum().backward()
    >>> td.optim.Muon([x], lr=0.1).step()
    >>> x.shape
    (2, 2)
    """

    _kept = ("momentum_buffer",)
    _formula = staticmethod(training.muon_formula)
    _ranges = Optimizer._ranges | {
        "momentum": FRACTION,
        "ns_steps": (lambda value: value in range(100), "be an integer from 0 to 99"),
        "ns_coefficients": (lambda value: len(value) == 3, "be three numbers"),
        "adjust_lr_fn": (
            lambda value: value in (None, "original", "match_rms_adamw"),
            "be 'original' or 'match_rms_adamw'",
        ),
    }

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_coefficients=ns_coefficients,
            eps=eps,
            ns_steps=ns_steps,
            adjust_lr_fn=adjust_lr_fn,
        )

    def _check(self, group: Group) -> None:
        super()._check(group)
        for i, parameter in enumerate(group["params"]):
            if parameter.ndim != 2:
                raise ValueError(
                    f"[Muon] parameter {i} is of shape {tuple(parameter.shape)}, but must be a matrix "
                    "(give the others to AdamW)"
                )


def orthogonalize(
    matrix: Tensor,
    steps: int = 5,
    coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
    eps: float = 1e-7,
) -> Tensor:
    """U V^T of a matrix U S V^T (m, n), roughly, like `matrix`: singular values of at least some thousandths
    of the Frobenius norm come to lie in [0.7, 1.2].

    By so many steps of x = a x + b (x x^T) x + c (x x^T)^2 x, coefficients a, b and c, after division by
    the norm, held at eps or above; 16 bits are computed in float32. ShapeError for what is no matrix.

    Examples
    --------
    >>> td.optim.orthogonalize(td.eye(2)).shape
    (2, 2)
    """
    found: Tensor = training.orthogonalize(matrix, steps, *coefficients, eps)
    return found
