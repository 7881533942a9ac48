"""Optimisers: those whose step is one fused call for all parameters of a group, and what all share."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import tidu as td
from tidu._arguments import in_words
from tidu._core import Tensor

from .. import _core
from .._core import _training as training

Group: TypeAlias = dict[str, Any]
Params: TypeAlias = Iterable[Tensor] | Iterable[Mapping[str, Any]]
Range: TypeAlias = tuple[Callable[[Any], bool], str]  # whether a value is in it, and what an option must be

NOT_NEGATIVE: Range = (lambda value: value >= 0, "not be negative")
FRACTION: Range = (lambda value: 0 <= value < 1, "be in [0, 1)")


def _state_dtype(parameter: Tensor) -> td.dtype:
    """In what is kept beside a parameter: small steps would vanish in 16 bits."""
    return td.float32 if parameter.dtype in (td.float16, td.bfloat16) else parameter.dtype


def _type_of(value: object) -> str:
    return type(value).__name__


class Optimizer:
    """What the optimisers share. `params` is a sequence of tensors that require grad, or of groups:
    dictionaries with "params" and options of their own. `param_groups` holds the groups; their options may be
    changed between steps. Parameters that do not require grad stay as they are until they do.

    A subclass has `_kept`, the names of the tensors that it keeps for each parameter (or `_buffers(group)`,
    which gives them), `_ranges` of its options, and `_formula(group, lr, t, p, g, *buffers)`, which gives the
    parameter and the buffers after step number t, a function of tensors, lr and t of float64. It may have a
    fused update in place of its calls, `_apply`.

    Examples
    --------
    >>> issubclass(td.optim.SGD, td.optim.Optimizer)
    True
    """

    _formula: ClassVar[Callable[..., Sequence[Tensor]]]  # what subclasses define
    _kept: ClassVar[tuple[str, ...]] = ()
    _ranges: ClassVar[dict[str, Range]] = dict.fromkeys(("lr", "eps", "weight_decay"), NOT_NEGATIVE)

    def __init__(self, params: Params, **options: Any) -> None:
        if isinstance(params, td.Tensor) or not hasattr(params, "__iter__"):
            raise TypeError(
                f"[{self._name()}] params must be a sequence of tensors, not {type(params).__name__} "
                "(model.parameters(), or a list of one)"
            )
        given: list[Any] = list(params)
        if not given:
            raise ValueError(f"[{self._name()}] there are no parameters")
        self.defaults = options
        self.param_groups: list[Group] = []
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)
        if not any(parameter.requires_grad for group in self.param_groups for parameter in group["params"]):
            raise ValueError(f"[{self._name()}] no parameter is a leaf tensor that requires grad")

    def add_param_group(self, group: Group) -> None:
        """Updates the parameters of one group more from here on: a dictionary with "params", a sequence of
        tensors, and options of their own; others are those that the optimiser was made with. A ValueError,
        before anything is changed, for an unknown option or a parameter that is no leaf or is there already.
        """
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(f'[{self._name()}] a group is a dictionary with "params", not {_type_of(group)}')
        params: Any = group["params"]
        group = {
            **self.defaults,
            **group,
            "params": [params] if isinstance(params, td.Tensor) else list(params),
        }
        unknown = group.keys() - self.defaults.keys() - {"params"}
        if unknown:
            raise ValueError(f"[{self._name()}] unknown option {', '.join(sorted(unknown))}")
        seen = {id(parameter) for own in self.param_groups for parameter in own["params"]}
        for i, parameter in enumerate(group["params"]):
            if isinstance(parameter, tuple):
                raise TypeError(f"[{self._name()}] parameter {i} is a tuple (give model.parameters())")
            is_tensor = isinstance(parameter, td.Tensor)
            if not (is_tensor and parameter.is_leaf and parameter.dtype.is_floating_point):
                raise ValueError(f"[{self._name()}] parameter {i} is not a leaf tensor that requires grad")
            if id(parameter) in seen:
                raise ValueError(f"[{self._name()}] parameter {i} is given twice")
            seen.add(id(parameter))
        self._check(group)
        group["steps"] = [0] * len(group["params"])
        for name in self._buffers(group):
            group[name] = [self._new_buffer(name, group, parameter) for parameter in group["params"]]
        self.param_groups.append(group)

    def _buffers(self, group: Group) -> tuple[str, ...]:
        return self._kept

    def _new_buffer(self, name: str, group: Group, parameter: Tensor) -> Tensor:
        return td.zeros(parameter.shape, dtype=_state_dtype(parameter), device=parameter.device)

    def _advanced(
        self,
        group: Group,
        lr: Tensor,
        t: Tensor,
        parameter: Tensor,
        gradient: Tensor,
        buffers: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        """The formula, of 16-bit parameters in float32."""
        dtype = _state_dtype(parameter)
        p, *buffers = self._formula(group, lr, t, parameter.astype(dtype), gradient.astype(dtype), *buffers)
        return p.astype(parameter.dtype), *buffers

    def _apply(
        self,
        group: Group,
        step: int,
        tensors: list[Tensor],
        gradients: Sequence[Tensor],
        clock: Tensor | None,
    ) -> None:
        """Updates some parameters that stand at one step or, where there is a clock, each at the step that it
        names; `tensors` are the parameters and then each buffer's tensors."""
        count = len(gradients)
        training.check_gradients(gradients)
        if clock is None:
            clock = td.tensor([[group["lr"], step]] * count, dtype=td.float64, device="cpu")
        with td.no_grad():
            for i, gradient in enumerate(gradients):
                parameter, *buffers = old = tensors[i::count]
                row = clock[i].to(parameter.device)
                new = self._advanced(group, row[0], row[1], parameter, gradient, buffers)
                for place, value in zip(old, new, strict=True):
                    place[...] = value

    def __repr__(self) -> str:
        lines = []
        for group in self.param_groups:
            options = [
                f"{name}={value!r}"
                for name, value in group.items()
                if name not in ("params", "steps", *self._buffers(group))
            ]
            count = len(group["params"])
            lines.append(", ".join([f"{count} parameter{'s' * (count != 1)}", *options]))
        text = lines[0] if len(lines) == 1 else "".join(f"\n  {line}" for line in lines) + "\n"
        return f"{self._name()}({text})"

    def _name(self) -> str:
        return type(self).__name__

    def _check(self, group: Group) -> None:
        for name, (fits, words) in self._ranges.items():
            if name not in group:
                continue
            try:
                is_fit = fits(group[name]) and (not isinstance(group[name], int) or float(group[name]) >= 0)
            except TypeError:
                raise TypeError(f"[{self._name()}] {name} must be a number, not {group[name]!r}") from None
            except OverflowError:
                words = f"{in_words(group[name])}, which does not fit float64"
                raise ValueError(f"[{self._name()}] {name} is {words}") from None
            if not is_fit:
                raise ValueError(f"[{self._name()}] {name} is {group[name]}, but must {words}")
        betas = group.get("betas", (0, 0))
        if not isinstance(betas, tuple | list) or len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"[{self._name()}] betas are {betas}, but must be two numbers in [0, 1)")

    def zero_grad(self) -> None:
        """Drops the gradients of all parameters."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.requires_grad:
                    parameter.grad = None

    def step(self) -> None:
        """Updates each parameter from its `.grad`; those without one stay as they are."""
        for group in self.param_groups:
            self._update(group, [parameter.grad for parameter in group["params"]])

    def update(self, gradients: Sequence[Tensor | None] | Mapping[str, Tensor | None]) -> None:
        """Updates the parameters from given gradients: a sequence in the order of the parameters, or a
        dictionary as `grad` by `module.params()` gives it. None leaves a parameter as it is."""
        given: Any = gradients.values() if isinstance(gradients, Mapping) else gradients
        gradients = list(given)
        count = sum(len(group["params"]) for group in self.param_groups)
        if len(gradients) != count:
            raise ValueError(f"[{self._name()}] {len(gradients)} gradients for {count} parameters")
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            if gradient is not None:
                self._check_gradient(i, parameter, gradient)
        for group in self.param_groups:
            self._update(group, gradients[: len(group["params"])])
            del gradients[: len(group["params"])]

    def _check_gradient(self, number: int, parameter: Tensor, gradient: Any) -> None:
        if not isinstance(gradient, td.Tensor):
            raise TypeError(f"[{self._name()}] gradient {number} is no tensor but {_type_of(gradient)}")
        of_parameter, own = [(x.shape, x.dtype, x.device) for x in (parameter, gradient)]
        if own != of_parameter:
            given, place = [f"{x.dtype}{x.shape} {x.device}" for x in (gradient, parameter)]
            raise td.ShapeError(
                f"[{self._name()}] gradient {number} is {given} and does not fit its parameter, {place}"
            )

    def _update(self, group: Group, gradients: Sequence[Tensor | None]) -> Any:
        if _core.is_compiling():
            return self._record_update(group, gradients)
        buckets: dict[int, list[int]] = {}  # by the number of steps so far, which the formulas depend on
        for i, gradient in enumerate(gradients):
            if gradient is not None and group["params"][i].requires_grad:
                buckets.setdefault(group["steps"][i], []).append(i)
        names = ("params", *self._buffers(group))
        for step, members in buckets.items():
            tensors = [group[name][i] for name in names for i in members]
            chosen = [gradient for i in members if (gradient := gradients[i]) is not None]
            self._apply(group, step + 1, tensors, chosen, None)
            for i in members:
                group["steps"][i] = step + 1

    def _record_update(self, group: Group, gradients: Sequence[Tensor | None]) -> None:
        """The update as a part of a compiled function: lr and step counts are read anew at each call."""
        asked = [parameter.requires_grad for parameter in group["params"]]
        members = [i for i, gradient in enumerate(gradients) if gradient is not None and asked[i]]
        if not members:
            return
        constant = {"params", "steps", "lr", "initial_lr", *self._buffers(group)}
        options = {name: value for name, value in group.items() if name not in constant}
        ahead = self.__dict__.setdefault("_ahead", {}).setdefault(id(group), [0] * len(asked))
        for i in members:
            ahead[i] += 1
        numbers = [ahead[i] for i in members]
        clock = training.new_clock(len(members))
        betas = group.get("betas", (0.0, 0.0))
        group_count = len(self.param_groups)
        reference = weakref.ref(self)  # so that a recording does not keep what it is forgotten with

        def why_stale() -> str | None:
            optimizer = reference()
            if optimizer and not any(own is group for own in optimizer.param_groups):
                return "the optimiser was given another state"
            if optimizer and len(optimizer.param_groups) != group_count:
                return "the optimiser was given another group of parameters"
            for name, value in options.items():
                if group[name] != value:
                    return f"the optimiser's {name} was changed"
            if [parameter.requires_grad for parameter in group["params"]] != asked:
                return "requires_grad of a parameter was changed"
            return None

        def before() -> None:
            steps = group["steps"]
            steps = [steps[i] + number for i, number in zip(members, numbers, strict=True)]
            training.set_clock(clock, group["lr"], steps, *betas)

        def after() -> None:
            for i in members:
                group["steps"][i] += 1

        def undo() -> None:
            if optimizer := reference():
                optimizer.__dict__.pop("_ahead", None)

        _core.on_compiled_call(why_stale, before, after, undo)
        tensors = [group[name][i] for name in ("params", *self._buffers(group)) for i in members]
        chosen = [gradient for i in members if (gradient := gradients[i]) is not None]
        self._apply(group, 1, tensors, chosen, clock)

    def state_dict(self) -> dict[str, Any]:
        """All options, step counts and buffers, for `td.save`. The buffers share the optimiser's memory."""
        return {
            "optimizer": self._name(),
            "groups": [
                {
                    name: list(value) if isinstance(value, tuple) else value
                    for name, value in group.items()
                    if name != "params"
                }
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave. It must be of the same class, with groups of the same sizes,
        which is checked before anything is changed."""
        self.param_groups = self._loaded_groups(state)

    def _loaded_groups(self, state: Mapping[str, Any]) -> list[Group]:
        if not isinstance(state, Mapping):
            raise TypeError(f"[{self._name()}] the state is a dictionary, not {_type_of(state)}")
        if state.get("optimizer") != self._name():
            raise ValueError(f"[{self._name()}] the state is of {state.get('optimizer')}")
        saved_groups = state.get("groups", ())
        if [len(g.get("steps", ())) for g in saved_groups] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(f"[{self._name()}] the state's groups have other numbers of parameters")
        groups = []
        for own, saved in zip(self.param_groups, saved_groups, strict=True):
            group = {**own, **saved, "steps": list(saved["steps"])}
            known = {*self.defaults, "steps", "initial_lr", *self._buffers(group)}
            if unknown := saved.keys() - known:
                raise ValueError(f"[{self._name()}] the state has unknown {', '.join(sorted(unknown))}")
            self._check(group)
            if not all(isinstance(step, int) and step >= 0 for step in group["steps"]):
                raise ValueError(f"[{self._name()}] the state's steps are {group['steps']}")
            for name in self._buffers(group):
                if name not in saved:
                    raise ValueError(f"[{self._name()}] the state lacks {name}")
                if len(saved[name]) != len(own["params"]):
                    raise ValueError(f"[{self._name()}] the state has {len(saved[name])} {name}")
                for i, (parameter, tensor) in enumerate(zip(own["params"], saved[name], strict=True)):
                    place = self._new_buffer(name, group, parameter)
                    if not isinstance(tensor, td.Tensor):
                        raise TypeError(
                            f"[{self._name()}] {name} {i} of the state is no tensor but {_type_of(tensor)}"
                        )
                    if tensor.shape != place.shape or tensor.dtype != place.dtype:
                        raise td.ShapeError(
                            f"[{self._name()}] {name} {i} of the state is {tensor.dtype}{tensor.shape}, its "
                            f"parameter {parameter.dtype}{parameter.shape}"
                        )
                group[name] = [
                    td.asarray(tensor, copy=True, device=parameter.device)
                    for parameter, tensor in zip(own["params"], saved[name], strict=True)
                ]
            groups.append(group)
        return groups


class SGD(Optimizer):
    """Stochastic gradient descent, with g = gradient + weight_decay p and, where momentum is not 0,
    b = momentum b + g (b = g at the first step) and then g = b, or with `nesterov` g = g + momentum b:

        p = p - lr g

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> optimizer = td.optim.SGD([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.detach()
    tensor([1.5], dtype=float32)
    """

    _ranges = Optimizer._ranges | {"momentum": NOT_NEGATIVE}

    _formula = staticmethod(training.sgd_formula)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)

    def _check(self, group: Group) -> None:
        super()._check(group)
        if group["nesterov"] and group["momentum"] == 0:
            raise ValueError("[SGD] nesterov needs a momentum")

    def _buffers(self, group: Group) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def _apply(
        self,
        group: Group,
        step: int,
        tensors: list[Tensor],
        gradients: Sequence[Tensor],
        clock: Tensor | None,
    ) -> None:
        training.sgd_update(
            tensors,
            gradients,
            group["lr"],
            group["momentum"],
            group["weight_decay"],
            group["nesterov"],
            step == 1,
            clock,
        )


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), with g = gradient + weight_decay p and t the number of the step, from 1:

    m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
    p = p - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> td.optim.Adam([x], lr=0.5).step()
    >>> x.detach()
    tensor([2.5], dtype=float32)
    """

    _kept = ("exp_avg", "exp_avg_sq")
    _decoupled = False

    _formula = staticmethod(training.adam_formula)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _apply(
        self,
        group: Group,
        step: int,
        tensors: list[Tensor],
        gradients: Sequence[Tensor],
        clock: Tensor | None,
    ) -> None:
        beta1, beta2 = group["betas"]
        training.adam_update(
            tensors,
            gradients,
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            self._decoupled,
            step,
            clock,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p = p - lr weight_decay p comes before
    the step, and the gradient is left as it is.

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> td.optim.AdamW([x], lr=0.5, weight_decay=0.0).step()
    >>> x.detach()
    tensor([2.5], dtype=float32)
    """

    _decoupled = True
    _formula = staticmethod(training.adamw_formula)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)


class RMSprop(Optimizer):
    """RMSprop (Hinton 2012), with g = gradient + weight_decay p:

    v = alpha v + (1 - alpha) g^2;  d = g / (sqrt(v) + eps)
    p = p - lr d, or where momentum is not 0: b = momentum b + d;  p = p - lr b

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> td.optim.RMSprop([x]).step()
    >>> x.item() < 3
    True
    """

    _ranges = Optimizer._ranges | {"alpha": FRACTION, "momentum": NOT_NEGATIVE}

    _formula = staticmethod(training.rmsprop_formula)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)

    def _buffers(self, group: Group) -> tuple[str, ...]:
        return ("square_avg", "momentum_buffer") if group["momentum"] else ("square_avg",)

    def _apply(
        self,
        group: Group,
        step: int,
        tensors: list[Tensor],
        gradients: Sequence[Tensor],
        clock: Tensor | None,
    ) -> None:
        training.rmsprop_update(
            tensors,
            gradients,
            group["lr"],
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            group["momentum"],
            clock,
        )
