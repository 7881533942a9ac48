"""What other libraries call things that have another name here: for errors that say so."""

from __future__ import annotations

from typing import Any, NoReturn

# Names of PyTorch, NumPy and JAX. A Tensor has a method only where the right name is one.
FUNCTIONS = {
    "absolute": "abs",
    "add_": "x += y",
    "addmm": "matmul, in beta * x + alpha * (a @ b)",
    "addmv": "matmul, in beta * x + alpha * (a @ v)",
    "addr": "outer, in beta * x + alpha * td.outer(a, b)",
    "amax": "max",
    "amin": "min",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "as_tensor": "asarray",
    "autograd": "grad, vjp, jacobian and custom_vjp, in tidu itself",
    "baddbmm": "matmul, in beta * x + alpha * (a @ b)",
    "bernoulli": "random.bernoulli(key, p)",
    "bitwise_not": "bitwise_invert",
    "bmm": "matmul",
    "byte": "uint8, as in x.astype(td.uint8)",
    "cat": "concat",
    "clamp": "clip",
    "clamp_": "x[...] = td.clip(x, min, max)",
    "clamp_max": "minimum",
    "clamp_min": "maximum",
    "clone": "copy",
    "concatenate": "concat",
    "copy_": "x[...] = value",
    "data": "detach()",
    "degrees": "rad2deg",
    "dim": "ndim",
    "dist": "linalg.vector_norm(x - y)",
    "div": "divide",
    "div_": "x /= y",
    "dot": "vecdot",
    "double": "float64, as in x.astype(td.float64)",
    "element_size": "itemsize",
    "eq": "equal",
    "expand": "broadcast_to",
    "expand_as": "broadcast_to(x, y.shape)",
    "expit": "sigmoid",
    "fill_": "x[...] = value",
    "float": "float32, as in x.astype(td.float32)",
    "FloatTensor": "tensor(data, dtype=td.float32)",
    "func": "grad, vjp, jacrev and hessian, in tidu itself",
    "gammaln": "lgamma",
    "ge": "greater_equal",
    "ger": "outer",
    "gt": "greater",
    "half": "float16, as in x.astype(td.float16)",
    "histc": "histogram",
    "igamma": "special.gammainc",
    "igammac": "special.gammaincc",
    "index_select": "take",
    "inference_mode": "no_grad",
    "int": "int32, as in x.astype(td.int32)",
    "inverse": "linalg.inv",
    "is_tensor": "isinstance(x, td.Tensor)",
    "jit": "compile",
    "lax": "scan, cond, while_loop and fori_loop, in tidu itself",
    "le": "less_equal",
    "long": "int64, as in x.astype(td.int64)",
    "LongTensor": "tensor(data, dtype=td.int64)",
    "lt": "less",
    "manual_seed": "random.key(seed), which random functions take first",
    "masked_fill_": "x[mask] = value",
    "mm": "matmul",
    "movedim": "moveaxis",
    "msort": "sort(x, axis=0)",
    "mul": "multiply",
    "mul_": "x *= y",
    "multinomial": "random.choice(key, n, shape, replace, p)",
    "mv": "matmul",
    "narrow": "x[start : start + length]",
    "ndimension": "ndim",
    "ne": "not_equal",
    "neg": "negative",
    "nelement": "size",
    "new_full": "full(shape, value, dtype=x.dtype)",
    "new_ones": "ones(shape, dtype=x.dtype)",
    "new_zeros": "zeros(shape, dtype=x.dtype)",
    "norm": "linalg.vector_norm",
    "normal_": "x[...] = td.random.normal(key, x.shape)",
    "numel": "size",
    "permute": "permute_dims",
    "pinverse": "linalg.pinv",
    "power": "pow",
    "promote_types": "result_type",
    "radians": "deg2rad",
    "rand": "random.uniform(key, shape)",
    "randint": "random.randint(key, shape, low, high)",
    "randn": "random.normal(key, shape)",
    "randperm": "random.permutation(key, n)",
    "ravel": "flatten",
    "row_stack": "vstack",
    "scatter_": "x[...] = td.scatter(x, axis, indices, updates)",
    "scatter_add_": "scatter_add",
    "select": "x[index]",
    "set_grad_enabled": "no_grad or enable_grad",
    "short": "int16, as in x.astype(td.int16)",
    "stride": "strides",
    "sub": "subtract",
    "sub_": "x -= y",
    "swapdims": "swapaxes",
    "t": "matrix_transpose",
    "take_along_dim": "take_along_axis",
    "transpose": "permute_dims (of two axes: swapaxes)",
    "trapz": "trapezoid",
    "tree_util": "tree",
    "true_divide": "divide",
    "type": "astype",
    "type_as": "astype(y.dtype)",
    "unbind": "unstack",
    "uniform_": "x[...] = td.random.uniform(key, x.shape, low, high)",
    "unsqueeze": "expand_dims",
    "utils": "data, as in td.data.DataLoader",
    "view": "reshape",
    "view_as": "reshape(x, y.shape)",
    "zero_": "x[...] = 0",
}

# What is a function, and no method of Tensor.
NO_METHODS = (
    "bincount",
    "corrcoef",
    "cov",
    "cross",
    "diag",
    "diagonal",
    "diff",
    "flipud",
    "fliplr",
    "histogram",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "inner",
    "isclose",
    "isin",
    "kron",
    "kthvalue",
    "masked_scatter",
    "mode",
    "nan_to_num",
    "quantile",
    "repeat",
    "repeat_interleave",
    "rot90",
    "searchsorted",
    "tensor_split",
    "tile",
    "topk",
    "trace",
    "tril",
    "triu",
    "trapezoid",
    "unflatten",
    "unique",
    "unique_consecutive",
)

# The same for names in other modules.
IN_MODULES = {
    "tidu.linalg": {
        "norm": "vector_norm or matrix_norm",
        "inv_ex": "inv",
        "lstsq_ex": "lstsq",
        "solve_ex": "solve",
        "triangular_solve": "solve_triangular",
    },
    "tidu.random": {
        "PRNGKey": "key",
        "manual_seed": "key(seed), which random functions take first",
        "rand": "uniform(key, shape)",
        "randn": "normal(key, shape)",
        "randperm": "permutation(key, n)",
        "random": "uniform(key, shape)",
        "seed": "key(seed), which random functions take first",
        "shuffle": "permutation(key, x)",
        "standard_normal": "normal(key, shape)",
    },
    "tidu.nn": {"utils": "td.optim, as in td.optim.clip_grad_norm_"},
    "tidu.nn.functional": {"pad": "td.pad(x, pad_width, mode)"},
    "tidu.nn.init": {
        **{
            f"{name}_": f"{name}(key, shape), in x[...] = ..."
            for name in (
                "kaiming_normal",
                "kaiming_uniform",
                "normal",
                "uniform",
                "xavier_normal",
                "xavier_uniform",
            )
        },
        **{f"{name}_": f"{name}(shape), in x[...] = ..." for name in ("ones", "zeros")},
        "constant_": "x[...] = value",
        "trunc_normal_": "td.random.truncated_normal(key, shape), in x[...] = ...",
    },
    "tidu.optim": {
        "CosineAnnealingLR": "CosineLR",
        "CosineAnnealingWarmRestarts": "CosineWarmRestartsLR",
        "clip_grad_norm": "clip_grad_norm_",
        "clip_grad_value": "clip_grad_value_",
        "LambdaLR": "Schedule(optimizer, factor)",
        "lr_scheduler": "td.optim itself, as in td.optim.StepLR",
    },
}

# Names of arguments: those that a function may have for it here.
KEYWORDS = {
    "a": ("x", "x1"),
    "affine": ("weight",),
    "axes": ("axis",),
    "axis": ("axes",),
    "b": ("x2",),
    "betas": ("alpha",),
    "beta": ("momentum",),
    "collate": ("collate_fn",),
    "concentration0": ("b",),
    "concentration1": ("a",),
    "ddof": ("correction",),
    "decay": ("weight_decay", "gamma"),
    "delimiter": ("sep",),
    "diagonal": ("offset", "k"),
    "dim": ("axis", "axes"),
    "dims": ("axis", "axes"),
    "dim0": ("axis1",),
    "dim1": ("axis2",),
    "elementwise_affine": ("weight",),
    "embedding_dim": ("size",),
    "end": ("stop",),
    "end_value": ("stop",),
    "epsilon": ("eps",),
    "f": ("function",),
    "fn": ("function",),
    "fun": ("function",),
    "func": ("function",),
    "generator": ("key",),
    "in_features": ("inputs",),
    "index": ("indices",),
    "input": (
        "x",
        "logits",
        "prediction",
        "probabilities",
        "log_probabilities",
        "scores",
        "indices",
        "tensors",
    ),
    "keepdim": ("keepdims",),
    "label": ("targets", "target"),
    "labels": ("targets", "target"),
    "interpolation": ("method",),
    "lam": ("rate",),
    "learning_rate": ("lr",),
    "loc": ("mean",),
    "lower": ("upper",),
    "M": ("n_cols",),
    "m": ("n_cols",),
    "max": ("high",),
    "max_iter": ("steps",),
    "maxval": ("high",),
    "min": ("low",),
    "minval": ("low",),
    "N": ("n_rows",),
    "mu": ("loc",),
    "n": ("n_rows", "x", "num"),
    "normalized_shape": ("shape",),
    "num_embeddings": ("count",),
    "num_samples": ("num",),
    "obj": ("data",),
    "object": ("data", "obj"),
    "other": ("x2",),
    "out_features": ("outputs",),
    "parameters": ("params",),
    "pred": ("prediction", "logits"),
    "prefetch_factor": ("prefetch",),
    "prob": ("p",),
    "rate": ("p", "lr"),
    "repeats": ("shape",),
    "rng": ("key",),
    "rtol": ("rcond",),
    "scale": ("std",),
    "seed": ("key",),
    "sep": ("delimiter",),
    "sample_shape": ("shape",),
    "sigma": ("std", "scale"),
    "size_average": ("reduction",),
    "size": ("shape",),
    "source": ("updates",),
    "src": ("updates",),
    "start_dim": ("start_axis",),
    "step_size": ("lr",),
    "steps": ("num",),
    "target": ("targets",),
    "targets": ("target",),
    "tensor": ("x",),
    "unbiased": ("correction",),
    "value": ("fill_value",),
    "total_count": ("n",),
    "y": ("x2",),
}


class OtherName:
    """Stands for what has another name here, and says which.

    On Tensor getting it raises, so that hasattr tells the truth. A module has it as an object whose use
    raises (a call, or an attribute of it): with a __getattr__ in its place the interpreter would have no
    short way to what the module does have, which is a tenth of the time of a small call.
    """

    def __init__(self, owner: str, name: str, remedy: str) -> None:
        self.owner, self.name, self.remedy = owner, name, remedy

    def error(self) -> AttributeError:
        text = f"{self.owner} has no attribute {self.name!r} ({self.remedy})"
        return AttributeError(text, name=self.name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise self.error()

    def __call__(self, *arguments: object, **keywords: object) -> NoReturn:
        raise self.error()

    def __getattr__(self, name: str) -> NoReturn:
        raise self.error()


def add_other_names(namespace: dict[str, Any]) -> None:
    """Into a module's namespace, where it has nothing of that name; neither dir nor `import *` gives them."""
    module = namespace["__name__"]
    namespace.setdefault("__all__", sorted(name for name in namespace if not name.startswith("_")))
    shown = sorted(namespace)
    namespace["__dir__"] = lambda: shown
    for name, right in (FUNCTIONS if module == "tidu" else IN_MODULES[module]).items():
        if name not in namespace:
            remedy = f"it is called {right}"
            # Of a type of its own, as errors name the types of what they are given: zeros(2, dtype=td.float).
            kind = type(f"{module}.{name} ({remedy})", (OtherName,), {})
            namespace[name] = kind(f"module {module!r}", name, remedy)


def add_other_methods(cls: type) -> None:
    """To Tensor, where it has nothing of that name."""
    remedies = {name: f"it is called {right}" for name, right in FUNCTIONS.items()}
    remedies.update((name, f"it is a function: td.{name}(x, ..)") for name in NO_METHODS)
    for name, remedy in remedies.items():
        if not hasattr(cls, name):
            setattr(cls, name, OtherName("'tidu.Tensor' object", name, remedy))
