"""What is minimised: a function of one vector, the leaves of its argument joined."""

import math
from dataclasses import dataclass

import tidu as td
from tidu import _core

_EPSILONS = {td.float16: 2.0**-10, td.bfloat16: 2.0**-7, td.float32: 2.0**-23, td.float64: 2.0**-52}


def dot(a, b):
    """<a, b> in float64, a number."""
    return (a.astype(td.float64) * b.astype(td.float64)).sum().item()


def norm(a):
    """The Euclidean norm in float64, a number; elements whose squares overflow do no harm."""
    if a.size == 0:
        return 0.0
    largest = td.abs(a).max().item()
    if largest == 0 or not math.isfinite(largest):
        return largest
    scaled = a.astype(td.float64) / largest
    return largest * math.sqrt(dot(scaled, scaled))


@dataclass(frozen=True)
class Sample:
    """A point with the value and the gradient of the objective there."""

    x: object
    value: float
    gradient: object
    gradient_norm: float

    @property
    def is_finite(self):
        return math.isfinite(self.value) and math.isfinite(self.gradient_norm)


class Objective:
    """A subclass has `_evaluate(tensors)`, the value and the gradients at some leaves, and
    `_product(sample, tensors)`, the Hessian at the sample times leaves of a direction.

    `f_evaluations` and `hvp_evaluations` count these calls; `best` is the finite sample of the least value.
    """

    def __init__(self, leaves):
        self._leaves = leaves
        narrowest = max((leaf.dtype for leaf in leaves), key=_EPSILONS.get, default=td.float32)
        self.epsilon = _EPSILONS[narrowest]  # of the arithmetic: as coarse as the coarsest part
        self._dtype = td.result_type(td.float32, *(leaf.dtype for leaf in leaves))
        self.f_evaluations = self.hvp_evaluations = 0
        self.best = None

    def join(self, tensors):
        """Tensors like the leaves as one vector."""
        device = self._leaves[0].device if self._leaves else None
        parts = [t.detach().to(device).astype(self._dtype).reshape(t.size) for t in tensors]
        return td.concat(parts) if parts else td.zeros((0,), dtype=self._dtype)

    def split(self, vector):
        """A vector as tensors like the leaves."""
        parts, begin = [], 0
        for like in self._leaves:
            part = vector[begin : begin + like.size].reshape(like.shape)
            parts.append(part.astype(like.dtype).to(like.device))
            begin += like.size
        return parts

    def evaluate(self, x):
        """The sample at a vector."""
        self.f_evaluations += 1
        value, gradients = self._evaluate(self.split(x))
        self.epsilon = max(self.epsilon, _EPSILONS[value.dtype])
        gradient = self.join(gradients)
        sample = Sample(x, value.detach().item(), gradient, norm(gradient))
        if sample.is_finite and (self.best is None or self.change(self.best, sample) < 0):
            self.best = sample
        return sample

    def hvp(self, sample, v):
        """The Hessian at a sample times a vector."""
        self.hvp_evaluations += 1
        return self.join(self._product(sample, self.split(v)))

    def change(self, a, b, along=None):
        """f(b) - f(a) of two samples.

        Where rounding drowns the difference of the values, it comes from the slopes by the trapezoidal rule,
        as in Hager and Zhang, A new conjugate gradient method with guaranteed descent and an efficient line
        search (2005), section 4. `along` are the slopes at a and b along b - a, where they are known.
        """
        difference = b.value - a.value
        if abs(difference) > 10 * self.epsilon * max(abs(a.value), abs(b.value)):
            return difference
        if along is None:
            along = dot(a.gradient, b.x - a.x), dot(b.gradient, b.x - a.x)
        return sum(along) / 2


class TreeObjective(Objective):
    """A function of a pytree, as a Point."""

    def __init__(self, point):
        self.point = point
        for leaf in point.inputs:
            _core._check_escape(leaf, point.op, leaves=True)
        super().__init__([leaf.detach() for leaf in point.inputs])

    def start(self):
        return self.join(self._leaves)

    def tree(self, x):
        return self.point.tree(self.split(x))

    def _evaluate(self, tensors):
        with td.no_grad():
            return _core.value_and_grad(self.point.flat.scalar, tensors)

    def _product(self, sample, tensors):
        with td.no_grad():
            return _core.hvp(self.point.flat.scalar, self.split(sample.x), tensors)


class ParameterObjective(Objective):
    """What a closure gives for the present values of parameters; `twice`: with products of its Hessian."""

    def __init__(self, parameters, closure, op, twice):
        super().__init__(parameters)
        self._closure, self._op, self._twice = closure, op, twice
        self.first_loss = None
        self._graph = None  # the sample whose gradients' graph is alive, and these gradients

    def start(self):
        return self.join(self._leaves)

    def put(self, x):
        """Writes a vector into the parameters."""
        self._drop()
        with td.no_grad():
            for parameter, part in zip(self._leaves, self.split(x), strict=True):
                parameter[...] = part

    def _drop(self):
        self._graph = None
        for parameter in self._leaves:
            parameter.grad = None

    def _evaluate(self, tensors):
        self._drop()
        with td.no_grad():
            for parameter, part in zip(self._leaves, tensors, strict=True):
                parameter[...] = part
        with td.enable_grad():
            loss = self._closure()
            if not isinstance(loss, td.Tensor) or loss.size != 1 or not loss.dtype.is_floating_point:
                found = f"{loss.dtype}{loss.shape}" if isinstance(loss, td.Tensor) else type(loss).__name__
                raise TypeError(f"[{self._op}] the closure must return the loss, one element, not {found}")
            if self.first_loss is None:
                self.first_loss = loss.detach()
            if all(parameter.grad is None for parameter in self._leaves):
                if self._leaves:
                    loss.backward(create_graph=self._twice)
            elif self._twice:
                raise ValueError(
                    f"[{self._op}] the closure must leave backward() to the optimiser, which needs the graph "
                    "of the gradient (return the loss alone)"
                )
        return loss, [td.zeros_like(p.detach()) if p.grad is None else p.grad for p in self._leaves]

    def evaluate(self, x):
        sample = super().evaluate(x)
        if self._twice:
            self._graph = sample, [parameter.grad for parameter in self._leaves]
        return sample

    def _product(self, sample, tensors):
        if self._graph is None or self._graph[0] is not sample:  # the parameters have been elsewhere since
            self.evaluate(sample.x)
            self._graph = sample, self._graph[1]
        slope = None
        for gradient, part in zip(self._graph[1], tensors, strict=True):
            if gradient is not None and gradient.requires_grad:
                term = (gradient * part).sum()
                slope = term if slope is None else slope + term
        for parameter in self._leaves:
            parameter.grad = None
        if slope is not None:
            slope.backward(retain_graph=True)
        return [td.zeros_like(p.detach()) if p.grad is None else p.grad for p in self._leaves]
