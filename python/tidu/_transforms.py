"""Derivatives of functions of pytrees: grad, vjp, jvp, jacobian, hessian ..., and functions with derivatives of their own."""

import functools

from tidu import _core
from tidu._core import DTypeError, GradientError, ShapeError, Tensor
from tidu._pytree import flatten, tree_map, unflatten

# --- Arguments and results


def _name(function):
    return getattr(function, "__name__", None) or type(function).__name__


def _as_tensor(leaf, op, where):
    if isinstance(leaf, Tensor):
        return leaf
    try:
        return _core.asarray(leaf)
    except TypeError as error:
        raise TypeError(f"[{op}] {where} must be tensors or numbers, not {type(leaf).__name__}") from error


def _inputs(tree, op, where):
    """The leaves of a tree as floating-point tensors, and its structure."""
    leaves, structure = flatten(tree)
    tensors = []
    for i, leaf in enumerate(leaves):
        tensor = _as_tensor(leaf, op, where)
        if not tensor.dtype.is_floating_point:
            place = where if len(leaves) == 1 else f"leaf {i} of {where}"
            raise DTypeError(
                f"[{op}] {place} is {tensor.dtype}{tensor.shape}: only floating-point tensors can be differentiated "
                "(convert it with astype, or leave it out of the differentiated arguments)"
            )
        tensors.append(tensor)
    return tensors, structure


def _outputs(tree, op):
    leaves, structure = flatten(tree)
    return [_as_tensor(leaf, op, "the function's results") for leaf in leaves], structure


def _matching(tree, structure, tensors, op, what):
    """The leaves of a tree that must have the structure and shapes of `tensors`; None leaves a part out."""
    leaves = _aligned(tree, structure, op, what)
    result = []
    for i, (leaf, like) in enumerate(zip(leaves, tensors, strict=True)):
        if leaf is None:
            result.append(None)
            continue
        tensor = leaf if isinstance(leaf, Tensor) else _core.asarray(leaf, dtype=like.dtype)
        if tensor.shape != like.shape or tensor.dtype != like.dtype:
            place = what if len(leaves) == 1 else f"{what} {i}"
            raise ShapeError(
                f"[{op}] {place} is {tensor.dtype}{tensor.shape} but must be {like.dtype}{like.shape}"
            )
        result.append(tensor)
    return result


def _aligned(tree, structure, op, what):
    if structure.kind == "leaf":
        leaves, _ = flatten(tree)
        if tree is not None and (len(leaves) != 1 or leaves[0] is not tree):
            raise ValueError(f"[{op}] the {what} must be one tensor, not {flatten(tree)[1]!r}")
        return [tree]
    if tree is None:
        return [None] * structure.count
    other = flatten(tree)[1]
    if (
        other.kind != structure.kind
        or len(other.children) != len(structure.children)
        or other.keys != structure.keys
    ):
        raise ValueError(f"[{op}] the {what} has structure {other!r} but must have {structure!r}")
    if structure.kind == "dict":
        parts = [tree[key] for key in structure.keys]
    elif structure.kind == "dataclass":
        parts = [getattr(tree, key) for key in structure.keys]
    else:
        parts = list(tree or ())
    result = []
    for part, child in zip(parts, structure.children, strict=True):
        result += _aligned(part, child, op, what)
    return result


def _split_arguments(argnums, args, op):
    """The differentiated arguments, and a function that puts others in their place."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    places = []
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise ValueError(
                f"[{op}] argnums names argument {number}, but the call has {len(args)} positional arguments"
            )
        places.append(number % len(args))
    if len(set(places)) != len(places):
        raise ValueError(f"[{op}] argnums {argnums} names an argument twice")
    chosen = args[places[0]] if isinstance(argnums, int) else tuple(args[place] for place in places)

    def put(values):
        all_args = list(args)
        for place, value in zip(places, (values,) if isinstance(argnums, int) else values, strict=True):
            all_args[place] = value
        return all_args

    return chosen, put


def _split_aux(result, op):
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"[{op}] with has_aux=True the function must return a pair (value, aux)")
    return result


def _scalar(value, function, op):
    value = _as_tensor(value, op, "the function's result") if value is not None else value
    if not isinstance(value, Tensor):
        raise TypeError(f"[{op}] {_name(function)} returned None instead of a tensor")
    if value.size != 1:
        raise ShapeError(
            f"[{op}] {_name(function)} must return one element, not shape {value.shape} (use vjp or jacobian)"
        )
    if not value.dtype.is_floating_point:
        raise DTypeError(f"[{op}] {_name(function)} must return a floating-point tensor, not {value.dtype}")
    return value


# --- grad


def value_and_grad(function, argnums=0, has_aux=False):
    """A function that returns (value, gradient) of a scalar function.

    argnums: the positional argument to differentiate by, any pytree, or a sequence of them (then the gradient is a
    tuple). With has_aux the function returns (value, aux), and so does the result: ((value, aux), gradient).
    Other arguments, keyword arguments among them, are passed through.
    """

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        chosen, put = _split_arguments(argnums, args, "grad")
        inputs, structure = _inputs(chosen, "grad", "the differentiated argument")
        aux = None

        def flat(tensors):
            nonlocal aux
            result = function(*put(unflatten(structure, tensors)), **kwargs)
            if has_aux:
                result, aux = _split_aux(result, "grad")
            return _scalar(result, function, "grad")

        value, gradients = _core.value_and_grad(flat, inputs)
        gradient = unflatten(structure, gradients)
        return ((value, aux) if has_aux else value), gradient

    return wrapped


def grad(function, argnums=0, has_aux=False):
    """A function that returns the gradient of a scalar function: of the shape and structure of argument `argnums`.

    See value_and_grad. With has_aux the result is (gradient, aux).
    """
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


# --- vjp, jvp


def vjp(function, *primals, has_aux=False):
    """function(*primals), and the pullback: it takes a cotangent like the result and returns a tuple of cotangents.

    With has_aux the function returns (value, aux) and the result is (value, pullback, aux).
    """
    inputs, structure = _inputs(primals, "vjp", "the primals")
    output_structure = aux = None

    def flat(tensors):
        nonlocal output_structure, aux
        result = function(*unflatten(structure, tensors))
        if has_aux:
            result, aux = _split_aux(result, "vjp")
        outputs, output_structure = _outputs(result, "vjp")
        return outputs

    outputs, pull = _core.vjp(flat, inputs)

    def pullback(cotangent):
        cotangents = _matching(cotangent, output_structure, outputs, "vjp", "cotangent")
        return unflatten(structure, pull(cotangents))

    value = unflatten(output_structure, outputs)
    return (value, pullback, aux) if has_aux else (value, pullback)


def jvp(function, primals, tangents, has_aux=False):
    """(function(*primals), its derivative in the direction `tangents`).

    primals and tangents are sequences of the same structure; None stands for a zero tangent. With has_aux the
    function returns (value, aux) and the result is (value, tangent, aux).
    """
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple | list):
            raise TypeError(f"[jvp] {name} must be a tuple or a list, not {type(value).__name__}")
    primals, tangents = tuple(primals), tuple(tangents)
    if len(primals) != len(tangents):
        raise ValueError(f"[jvp] takes one tangent a primal: {len(primals)}, not {len(tangents)}")
    inputs, structure = _inputs(primals, "jvp", "the primals")
    directions = _matching(tangents, structure, inputs, "jvp", "tangent")
    output_structure = aux = None

    def flat(tensors):
        nonlocal output_structure, aux
        result = function(*unflatten(structure, tensors))
        if has_aux:
            result, aux = _split_aux(result, "jvp")
        outputs, output_structure = _outputs(result, "jvp")
        return outputs

    outputs, output_tangents = _core.jvp(flat, inputs, directions)
    value, tangent = unflatten(output_structure, outputs), unflatten(output_structure, output_tangents)
    return (value, tangent, aux) if has_aux else (value, tangent)


def hvp(function, primals, tangents):
    """The Hessian of a scalar function times a vector, forward over reverse: like primals (a tuple)."""
    if not isinstance(primals, tuple | list):
        raise TypeError(f"[hvp] primals must be a tuple or a list, not {type(primals).__name__}")
    return jvp(grad(function, tuple(range(len(primals)))), primals, tangents)[1]


# --- Jacobians


def _basis(like):
    rows = _core.eye(like.size, dtype=like.dtype, device=like.device)
    return [rows[i].reshape(like.shape) for i in range(like.size)]


def _flat_function(function, argnums, args, kwargs, has_aux):
    chosen, put = _split_arguments(argnums, args, "jacobian")
    inputs, structure = _inputs(chosen, "jacobian", "the differentiated argument")
    state = {}

    def flat(tensors):
        result = function(*put(unflatten(structure, tensors)), **kwargs)
        if has_aux:
            result, state["aux"] = _split_aux(result, "jacobian")
        outputs, state["structure"] = _outputs(result, "jacobian")
        for output in outputs:
            if not output.dtype.is_floating_point:
                raise DTypeError(
                    f"[jacobian] {_name(function)} must return floating-point tensors, not {output.dtype}"
                )
        return outputs

    return flat, inputs, structure, state


def _assemble(blocks, outputs, inputs, structure, state, has_aux):
    """blocks[o][i] as the structure of the outputs, in each leaf that of the inputs."""
    trees = [
        unflatten(
            structure,
            [block.reshape(output.shape + x.shape) for block, x in zip(row, inputs, strict=True)],
        )
        for row, output in zip(blocks, outputs, strict=True)
    ]
    jacobian_ = unflatten(state["structure"], trees)
    return (jacobian_, state["aux"]) if has_aux else jacobian_


def _by_rows(outputs, inputs, pull):
    blocks = []
    for o, output in enumerate(outputs):
        rows = []
        for direction in _basis(output):
            rows.append(pull([direction if i == o else None for i in range(len(outputs))]))
        blocks.append(
            [
                _core.stack([row[i] for row in rows])
                if rows
                else _core.zeros((0, x.size), dtype=output.dtype, device=x.device)
                for i, x in enumerate(inputs)
            ]
        )
    return blocks


def _by_columns(flat, inputs):
    columns = []
    outputs = None
    for i, x in enumerate(inputs):
        columns.append([])
        for direction in _basis(x):
            tangents = [direction if k == i else None for k in range(len(inputs))]
            outputs, output_tangents = _core.jvp(flat, inputs, tangents)
            columns[i].append(output_tangents)
    if outputs is None:
        outputs = flat(inputs)
    return outputs, [
        [
            _core.stack([column[o] for column in columns[i]], axis=-1)
            if columns[i]
            else _core.zeros((output.size, 0), dtype=output.dtype, device=output.device)
            for i in range(len(inputs))
        ]
        for o, output in enumerate(outputs)
    ]


def jacrev(function, argnums=0, has_aux=False):
    """A function that returns the Jacobian by reverse mode: one backward pass for each element of the result.

    For each leaf of the result and each leaf of the argument a tensor of shape result.shape + argument.shape, in the
    structure of the result with that of the argument in its leaves.
    """

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        flat, inputs, structure, state = _flat_function(function, argnums, args, kwargs, has_aux)
        outputs, pull = _core.vjp(flat, inputs)
        return _assemble(_by_rows(outputs, inputs, pull), outputs, inputs, structure, state, has_aux)

    return wrapped


def jacfwd(function, argnums=0, has_aux=False):
    """A function that returns the Jacobian by forward mode: one evaluation for each element of the argument.

    The result is as for jacrev.
    """

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        flat, inputs, structure, state = _flat_function(function, argnums, args, kwargs, has_aux)
        outputs, blocks = _by_columns(flat, inputs)
        return _assemble(blocks, outputs, inputs, structure, state, has_aux)

    return wrapped


def jacobian(function, argnums=0, has_aux=False):
    """A function that returns the Jacobian, by the mode that takes fewer passes. The result is as for jacrev."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        flat, inputs, structure, state = _flat_function(function, argnums, args, kwargs, has_aux)
        outputs, pull = _core.vjp(flat, inputs)
        if sum(y.size for y in outputs) <= sum(x.size for x in inputs):
            blocks = _by_rows(outputs, inputs, pull)
        else:
            outputs, blocks = _by_columns(flat, inputs)
        return _assemble(blocks, outputs, inputs, structure, state, has_aux)

    return wrapped


def hessian(function, argnums=0, has_aux=False):
    """A function that returns the matrix of second derivatives of a scalar function, forward over reverse.

    Of shape argument.shape + argument.shape; for a pytree of arguments, the Jacobian of its gradient.
    """
    return jacfwd(grad(function, argnums, has_aux), argnums, has_aux)


def stop_gradient(tree):
    """The same values as constants, for a tensor or a pytree of them."""
    return tree_map(lambda leaf: _core.stop_gradient(leaf) if isinstance(leaf, Tensor) else leaf, tree)


# --- Functions with derivatives of their own


def _is_differentiable(leaf):
    return isinstance(leaf, Tensor) and leaf.dtype.is_floating_point


class _Custom:
    """What custom_jvp and custom_vjp share: calls over the floating-point tensors among the leaves of the arguments."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function = function

    def _call(self, args, kwargs, differentiate):
        leaves, structure = flatten(args)
        moving = [i for i, leaf in enumerate(leaves) if _is_differentiable(leaf)]

        def tree(tensors, others):
            filled = list(others)
            for i, tensor in zip(moving, tensors, strict=True):
                filled[i] = tensor
            return unflatten(structure, filled)

        output_structure = None

        def outputs_of(result):
            nonlocal output_structure
            outputs, output_structure = _outputs(result, type(self).__name__)
            return outputs

        def plain(tensors):
            return outputs_of(self.function(*tree(tensors, leaves), **kwargs))

        inputs = [leaves[i] for i in moving]
        result = differentiate(plain, inputs, tree, leaves, moving, structure, outputs_of)
        return unflatten(output_structure, result)


class custom_jvp(_Custom):
    """Decorates a function that has a derivative rule of its own, given by defjvp. Both modes use it.

    rule(primals, tangents) returns (result, tangent of the result), the latter linear in the tangents; both arguments
    are tuples like the function's arguments. Tangents of arguments that are not floating-point tensors are None.
    """

    def __init__(self, function):
        super().__init__(function)
        self.rule = None

    def defjvp(self, rule):
        """Sets the rule; returns it, so that it can be used as a decorator."""
        self.rule = rule
        return rule

    def __call__(self, *args, **kwargs):
        if self.rule is None:
            raise GradientError(f"[custom_jvp] {_name(self.function)} has no rule: call defjvp first")

        def differentiate(plain, inputs, tree, leaves, moving, structure, outputs_of):
            def rule(primals, tangents):
                result = self.rule(tree(primals, leaves), tree(tangents, [None] * len(leaves)), **kwargs)
                if not isinstance(result, tuple) or len(result) != 2:
                    raise TypeError(
                        f"[custom_jvp] the rule of {_name(self.function)} must return (result, tangent)"
                    )
                outputs = outputs_of(result[0])
                tangents_out = _matching(
                    result[1], flatten(result[0])[1], outputs, "custom_jvp", "tangent of the result"
                )
                return outputs, [
                    _core.zeros_like(y) if t is None else t
                    for t, y in zip(tangents_out, outputs, strict=True)
                ]

            return _core.custom_jvp(plain, rule, inputs)

        return self._call(args, kwargs, differentiate)


class custom_vjp(_Custom):
    """Decorates a function that has a pullback of its own, given by defvjp. Both modes use it.

    forward(*args) returns (result, residuals); backward(residuals, cotangent) returns a tuple of cotangents, one an
    argument (None: zero).
    """

    def __init__(self, function):
        super().__init__(function)
        self.forward = self.backward = None

    def defvjp(self, forward, backward):
        """Sets the two halves of the rule."""
        self.forward, self.backward = forward, backward

    def __call__(self, *args, **kwargs):
        if self.forward is None:
            raise GradientError(f"[custom_vjp] {_name(self.function)} has no rule: call defvjp first")

        def differentiate(plain, inputs, tree, leaves, moving, structure, outputs_of):
            def forward(primals):
                result = self.forward(*tree(primals, leaves), **kwargs)
                if not isinstance(result, tuple) or len(result) != 2:
                    raise TypeError(
                        f"[custom_vjp] the forward rule of {_name(self.function)} must return (result, residuals)"
                    )
                value, residuals = result
                outputs = outputs_of(value)
                output_structure = flatten(value)[1]

                def pullback(cotangents):
                    returned = self.backward(residuals, unflatten(output_structure, cotangents))
                    if not isinstance(returned, tuple | list) or len(returned) != len(args):
                        raise TypeError(
                            f"[custom_vjp] the backward rule of {_name(self.function)} must return a tuple of "
                            f"{len(args)} cotangents, one an argument"
                        )
                    flat = _aligned(tuple(returned), structure, "custom_vjp", "tuple of cotangents")
                    chosen = [flat[i] for i in moving]
                    for cotangent, x in zip(chosen, inputs, strict=True):
                        if cotangent is not None and cotangent.shape != x.shape:
                            raise ShapeError(
                                f"[custom_vjp] the backward rule of {_name(self.function)} returned a cotangent of "
                                f"shape {cotangent.shape} for an argument of shape {x.shape}"
                            )
                    return chosen

                return outputs, pullback

            return _core.custom_vjp(plain, forward, inputs)

        return self._call(args, kwargs, differentiate)


# --- Switching differentiation off


class _GradMode:
    _enabled = False

    def __init__(self, function=None):
        self._scopes = []
        self._function = function
        if function is not None:
            functools.update_wrapper(self, function)

    def __enter__(self):
        self._scopes.append(_core.GradScope(self._enabled))
        return self

    def __exit__(self, *exception):
        if not self._scopes.pop().leave():
            raise RuntimeError(
                f"[{type(self).__name__}] scopes must be left in the reverse order of their beginning "
                "(a generator that was suspended inside one?)"
            )
        return False

    def __call__(self, *args, **kwargs):
        if self._function is None:
            return type(self)(*args)
        with type(self)():
            return self._function(*args, **kwargs)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)


class no_grad(_GradMode):
    """A scope (with no_grad():) or decorator in which operations are not recorded for derivatives.

    It holds for the transforms that are live around it, not for those begun inside.
    """


class enable_grad(_GradMode):
    """A scope or decorator inside no_grad in which operations are recorded again."""

    _enabled = True


# --- Checking derivatives


def check_grads(function, args, order=2, modes=("fwd", "rev"), atol=None, rtol=None, eps=None, seed=0):
    """Checks the derivatives of a function against differences, in random directions; AssertionError where they differ.

    args: a tuple of pytrees. With order > 1 the derivatives' own derivatives are checked too, in every mix of the modes
    ("fwd": jvp, "rev": vjp). Use float64: differences in float32 are good for two or three digits.
    """
    if not isinstance(args, tuple | list):
        raise TypeError(f"[check_grads] args must be a tuple, not {type(args).__name__}")
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    for mode in modes:
        if mode not in ("fwd", "rev"):
            raise ValueError(f"[check_grads] modes are 'fwd' and 'rev', not {mode!r}")
    inputs, structure = _inputs(tuple(args), "check_grads", "args")

    def flat(tensors):
        return _outputs(function(*unflatten(structure, tensors)), "check_grads")[0]

    narrow = any(x.dtype != "float64" for x in inputs)
    tolerances = (
        atol if atol is not None else 2e-2 if narrow else 1e-6,
        rtol if rtol is not None else 2e-2 if narrow else 1e-6,
        eps if eps is not None else 1e-2 if narrow else 1e-4,
    )
    _check(flat, inputs, order, modes, tolerances, _Directions(seed), _name(function))


class _Directions:
    def __init__(self, seed):
        self.key = _core.random.key(seed)

    def like(self, tensors):
        result = []
        for x in tensors:
            self.key, key = _core.random.split(self.key)
            result.append(_core.random.normal(key, x.shape, dtype=_core.float64).astype(x.dtype))
        return result


def _dot(xs, ys):
    products = (
        (x.astype(_core.float64) * y.astype(_core.float64)).sum().item() for x, y in zip(xs, ys, strict=True)
    )
    return sum(products)


def _check(flat, inputs, order, modes, tolerances, directions, name):
    atol, rtol, eps = tolerances
    outputs = flat(inputs)
    differentiable = [i for i, y in enumerate(outputs) if y.dtype.is_floating_point]
    if len(differentiable) < len(outputs):
        whole = flat
        flat = lambda tensors: (lambda ys: [ys[i] for i in differentiable])(whole(tensors))
        outputs = flat(inputs)
    tangents, cotangents = directions.like(inputs), directions.like(outputs)

    def moved(step):
        return flat([x + step * t for x, t in zip(inputs, tangents, strict=True)])

    # The five-point formula, whose error is of fourth order in eps.
    near = [(a - b) / (2 * eps) for a, b in zip(moved(eps), moved(-eps), strict=True)]
    far = [(a - b) / (4 * eps) for a, b in zip(moved(2 * eps), moved(-2 * eps), strict=True)]
    expected = [(4 * n - f) / 3 for n, f in zip(near, far, strict=True)]

    if "fwd" in modes:
        values, derivative = _core.jvp(flat, inputs, tangents)
        for o, (got, want) in enumerate(zip(derivative, expected, strict=True)):
            _compare(got, want, atol, rtol, f"jvp of {name}, output {o}")
        for o, (got, want) in enumerate(zip(values, outputs, strict=True)):
            _compare(got, want, atol, rtol, f"value of {name} under jvp, output {o}")
    if "rev" in modes:
        values, pull = _core.vjp(flat, inputs)
        for o, (got, want) in enumerate(zip(values, outputs, strict=True)):
            _compare(got, want, atol, rtol, f"value of {name} under vjp, output {o}")
        got, want = _dot(pull(cotangents), tangents), _dot(cotangents, expected)
        scale = sum(_dot([y.abs()], [c.abs()]) for y, c in zip(expected, cotangents, strict=True))
        if not abs(got - want) <= atol + rtol * scale:
            raise AssertionError(
                f"[check_grads] vjp of {name}: <cotangent, J tangent> is {got:.9g} by reverse mode but {want:.9g} by "
                f"differences (tolerance {atol + rtol * scale:.2g})"
            )
    if order > 1:
        if "fwd" in modes:
            forward = lambda tensors: _core.jvp(flat, tensors, tangents)[1]
            _check(forward, inputs, order - 1, modes, tolerances, directions, f"jvp({name})")
        if "rev" in modes:
            reverse = lambda tensors: _core.vjp(flat, tensors)[1](cotangents)
            _check(reverse, inputs, order - 1, modes, tolerances, directions, f"vjp({name})")


def _compare(got, want, atol, rtol, what):
    got, want = got.astype(_core.float64), want.astype(_core.float64)
    if got.shape != want.shape:
        raise AssertionError(f"[check_grads] {what}: shape {got.shape} but must be {want.shape}")
    fault = ((got - want).abs() > atol + rtol * want.abs()).logical_or(got.isnan() != want.isnan())
    if fault.any().item():
        at = tuple(int(i[0].item()) for i in fault.nonzero())
        raise AssertionError(
            f"[check_grads] {what}: element {at} is {got[at].item():.9g} but {want[at].item():.9g} by differences "
            f"(atol {atol:g}, rtol {rtol:g}; {int(fault.sum().item())} of {got.size} elements differ)"
        )
