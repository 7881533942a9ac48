"""Derivatives of functions of pytrees: grad, vjp, jvp, hvp, jacobian, hessian."""

import functools

from tidu import _core
from tidu._core import DTypeError, ShapeError, Tensor
from tidu._pytree import flatten, tree_map, unflatten

# --- Arguments and results


def name_of(function):
    return getattr(function, "__name__", None) or type(function).__name__


def _as_tensor(leaf, op, where):
    if isinstance(leaf, Tensor):
        return leaf
    try:
        return _core.asarray(leaf)
    except TypeError as error:
        raise TypeError(f"[{op}] {where} must be tensors or numbers, not {type(leaf).__name__}") from error


def inputs_of(tree, op, where):
    """The leaves of a tree as floating-point tensors, and its structure."""
    leaves, structure = flatten(tree)
    tensors = []
    for i, leaf in enumerate(leaves):
        tensor = _as_tensor(leaf, op, where)
        if not tensor.dtype.is_floating_point:
            place = where if len(leaves) == 1 else f"leaf {i} of {where}"
            raise DTypeError(
                f"[{op}] {place} is {tensor.dtype}{tensor.shape}: only floating-point tensors can be "
                "differentiated (convert it with astype, or leave it out of the differentiated arguments)"
            )
        tensors.append(tensor)
    return tensors, structure


def outputs_from(tree, op):
    leaves, structure = flatten(tree)
    return [_as_tensor(leaf, op, "the function's results") for leaf in leaves], structure


def match_tree(tree, structure, tensors, op, what):
    """The leaves of a tree that must have the structure and shapes of `tensors`; None leaves a part out."""
    leaves = align_tree(tree, structure, op, what)
    result = []
    for i, (leaf, like) in enumerate(zip(leaves, tensors, strict=True)):
        if leaf is None:
            result.append(None)
            continue
        tensor = (
            leaf if isinstance(leaf, Tensor) else _core.asarray(leaf, dtype=like.dtype, device=like.device)
        )
        if tensor.shape != like.shape or tensor.dtype != like.dtype:
            place = what if len(leaves) == 1 else f"{what} {i}"
            raise ShapeError(
                f"[{op}] {place} is {tensor.dtype}{tensor.shape} but must be {like.dtype}{like.shape}"
            )
        result.append(tensor)
    return result


def align_tree(tree, structure, op, what):
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
        result += align_tree(part, child, op, what)
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
        raise TypeError(f"[{op}] {name_of(function)} returned None instead of a tensor")
    if value.size != 1:
        raise ShapeError(
            f"[{op}] {name_of(function)} must return one element, not shape {value.shape} (use jacobian)"
        )
    if not value.dtype.is_floating_point:
        raise DTypeError(f"[{op}] {name_of(function)} must return a floating-point tensor, not {value.dtype}")
    return value


# --- grad


def value_and_grad(function, argnums=0, has_aux=False):
    """A function that returns (value, gradient) of a scalar function.

    argnums: the positional argument to differentiate by, any pytree, or a sequence of them (then the
    gradient is a tuple). With has_aux the function returns (value, aux), and the result is
    ((value, aux), gradient). Other arguments, keyword arguments among them, are passed through.
    """

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        chosen, put = _split_arguments(argnums, args, "grad")
        inputs, structure = inputs_of(chosen, "grad", "the differentiated argument")
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
    """A function that returns the gradient of a scalar function, like the argument `argnums`.

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
    """function(*primals), and the pullback, from a cotangent like the result to a tuple of cotangents.

    With has_aux the function returns (value, aux) and the result is (value, pullback, aux).
    """
    inputs, structure = inputs_of(primals, "vjp", "the primals")
    output_structure = aux = None

    def flat(tensors):
        nonlocal output_structure, aux
        result = function(*unflatten(structure, tensors))
        if has_aux:
            result, aux = _split_aux(result, "vjp")
        outputs, output_structure = outputs_from(result, "vjp")
        return outputs

    outputs, pull = _core.vjp(flat, inputs)

    def pullback(cotangent):
        cotangents = match_tree(cotangent, output_structure, outputs, "vjp", "cotangent")
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
    inputs, structure = inputs_of(primals, "jvp", "the primals")
    directions = match_tree(tangents, structure, inputs, "jvp", "tangent")
    output_structure = aux = None

    def flat(tensors):
        nonlocal output_structure, aux
        result = function(*unflatten(structure, tensors))
        if has_aux:
            result, aux = _split_aux(result, "jvp")
        outputs, output_structure = outputs_from(result, "jvp")
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
    inputs, structure = inputs_of(chosen, "jacobian", "the differentiated argument")
    state = {}

    def flat(tensors):
        result = function(*put(unflatten(structure, tensors)), **kwargs)
        if has_aux:
            result, state["aux"] = _split_aux(result, "jacobian")
        outputs, state["structure"] = outputs_from(result, "jacobian")
        for output in outputs:
            if not output.dtype.is_floating_point:
                raise DTypeError(
                    f"[jacobian] {name_of(function)} must return floating-point tensors, not {output.dtype}"
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

    For each leaf of the result and each leaf of the argument a tensor of shape result.shape +
    argument.shape, in the structure of the result with that of the argument in its leaves.
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
    """A function that returns the Jacobian, by the mode that takes fewer passes; as jacrev."""

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
