"""What parameters and results are, for the docs of all functions (_documents.py).

NAMES has what a parameter of that name is wherever nothing else is said; OF has, function by function, those
that mean something else there, and `returns`. A docstring in Python says what is particular to it in sections
of its own. Methods of tensors have what the functions of their names have.
"""

from __future__ import annotations


def _in(module: str, names: str) -> str:
    return " ".join(f"{module}.{name}" for name in names.split())


_AXES = "The axes that are reduced, of which negative ones count from the last; by default all."
_FIRST_AXIS = "The axis; negative ones count from the last."
_AS_X = "Of the shape and dtype of x."
_FLOATING = "Of the shape and dtype of x; float32 where x is of integers or bool."
_PROMOTED = "Of the shape to which the arguments broadcast, in the dtype to which they are promoted."
_TRUTH = "bool, of the shape of x."
_VIEW = "A view of x, with its dtype."
_REDUCED = "Of the shape of x without the axes, which have extent 1 with `keepdims`"
_DEVICE = (
    "Where the result lies; by default the device that `set_default_device` or a `with device(..)` says."
)
_TRACKED = "Whether `backward` is to leave a gradient in the result, which must be floating-point or complex."
_UPDATED = "A new tensor of the shape and dtype of x."
_LOSS = "The mean or the sum of the losses, 0-d; with reduction='none' all of them."
_LINALG = "float32, float64 or complex; integers are first converted to float32."
_SQUARE = "Square matrices (.., n, n). " + _LINALG
_MATRICES = "Matrices (.., m, n). " + _LINALG
_CHANNELS = "(N, C, ..) or one image (C, ..), floating-point, with as many further axes as the name says."

# What a row of csrc/ops/elementwise.def computes in, by its `types`.
KINDS = {
    "floating": "float16, bfloat16, float32 and float64; integers and bool are first cast to float32.",
    "numeric": "Every real dtype but bool.",
    "any": "Every real dtype.",
    "integral": "bool and the integer dtypes.",
    "boolean": "bool; others are first cast: x != 0.",
    "complex": "complex64 and complex128; a real x is returned as it is.",
    "choice": "bool of the first, any one dtype of the others.",
}
KINDS |= {
    f"{kind}_{way}": f"{KINDS[kind].rstrip('.')}; complex64 and complex128."
    for kind in ("floating", "numeric", "any")
    for way in ("complex", "parts")
}

NAMES: dict[str, str] = {
    "N": "The number of columns; by default that of the elements.",
    "align_corners": "Whether -1 and 1 are the middles of the first and the last element, not their "
    "outer edges.",
    "array": "A NumPy array, whose memory the tensor shares.",
    "axis": _FIRST_AXIS,
    "axis1": "The first of the two axes; negative ones count from the last.",
    "axis2": "The second of the two axes; negative ones count from the last.",
    "bias": "Added to the result: one number for each output; None adds nothing.",
    "ceil_mode": "Whether a last window that is only in part inside of x counts, too.",
    "correction": "What is subtracted from the number n of elements: 1 for the unbiased estimate.",
    "count": "How many there are.",
    "device": _DEVICE,
    "dilation": "The distance between elements of the kernel: a number for all axes, or one for each.",
    "dtype": "The dtype of the result.",
    "eps": "A small number that keeps the divisor away from 0.",
    "equal_nan": "Whether NaN counts as equal to NaN.",
    "groups": "Into how many groups the channels are parted, each of which gives its part of the outputs.",
    "indices": "Integers of any shape, of which negative ones count from the end.",
    "k": "The diagonal: 0 the main one, positive ones right of it, negative ones left.",
    "keepdims": "Whether the reduced axes stay, with extent 1.",
    "kernel_size": "The extent of a window: a number for all axes, or one for each.",
    "key": "A key (`td.random.key`), uint32 of shape (2,). The result lies on its device.",
    "label_smoothing": "e in [0, 1]: targets become (1 - e) target + e / C.",
    "margin": "How far apart what is compared should be.",
    "mask": "bool, of a shape that broadcasts to that of x.",
    "momentum": "The share of the new values in running ones.",
    "offset": "The diagonal: 0 the main one, positive ones right of it, negative ones left.",
    "output_padding": "How much is added to the extents of the result at their ends, less than "
    "stride or dilation.",
    "p": "The order of the norm, at least 0.",
    "padding": "How many zeros are put at both ends of an axis: a number for all axes, or one for each.",
    "path": "The path of the file.",
    "reduction": "'mean', 'sum' or 'none'.",
    "requires_grad": _TRACKED,
    "return_indices": "Whether to return the places of the elements, too.",
    "shape": "The shape of the result: a tuple, or one integer.",
    "start": "The first value.",
    "step": "The distance of two values.",
    "stop": "The end, which is not reached.",
    "stride": "The distance between windows: a number for all axes, or one for each.",
    "target": "What is right, of the shape of the prediction.",
    "tensors": "Tensors or what becomes one, of one shape but for the axis; their dtypes are promoted.",
    "training": "Whether this is training; otherwise the result is x.",
    "updates": "Numbers that broadcast to the shape of take(x, indices, axis), in a dtype that casts "
    "to that of x.",
    "upper": "Whether the triangle is the upper one.",
    "weight": "The weights, floating-point.",
    "x": "Of any shape and dtype.",
    "x1": "Any shape that broadcasts with that of x2.",
    "x2": "Any shape that broadcasts with that of x1.",
}

_GROUPS: dict[str, dict[str, str]] = {
    # Elementwise
    "leaky_relu": {
        "negative_slope": "The slope below 0.",
    },
    "elu": {
        "alpha": "What is approached, negated, far below 0.",
    },
    "hardtanh": {
        "min_val": "The least result.",
        "max_val": "The largest result.",
    },
    "erfcx sinc": {
        "order": "Which derivative of the function: 0 the function itself, an integer.",
    },
    "bessel_i bessel_ie": {
        "order": "The order of the Bessel function, an integer from 0 on.",
    },
    "bessel_ie": {
        "derivative": "Which derivative of the scaled function: 0 the function itself, an integer.",
    },
    "polygamma Tensor.polygamma": {
        "n": "The order of the derivative of digamma, an integer from 0 on.",
        "x": "Of any shape, floating-point; integers and bool are first converted to float32.",
        "returns": _FLOATING,
    },
    "logit": {
        "x": "Probabilities of any shape, floating-point; integers and bool are first converted to float32.",
        "eps": "x is first held in [eps, 1 - eps]; None leaves it as it is.",
        "returns": _FLOATING,
    },
    "fmax fmin fmod heaviside": {
        "a": "Of any shape and real dtype but bool.",
        "b": "As a; the shapes broadcast, the dtypes are promoted.",
        "returns": _PROMOTED,
    },
    "fmax fmin": {"a": "Of any shape and real dtype."},
    "lcm": {
        "a": "Integers of any shape.",
        "b": "Integers; the shapes broadcast, the dtypes are promoted.",
        "returns": _PROMOTED,
    },
    "logaddexp2 nextafter": {
        "a": "Of any shape, floating-point; integers and bool are first converted to float32.",
        "b": "As a; the shapes broadcast, the dtypes are promoted.",
        "returns": "Of the shape to which a and b broadcast, in the floating-point dtype to which "
        "they are promoted.",
    },
    "ldexp": {
        "a": "Of any shape, floating-point; integers are first converted to float32.",
        "b": "Integers, whose shape broadcasts with that of a.",
        "returns": "Of the shape to which a and b broadcast, in the dtype of a.",
    },
    "float_power": {
        "a": "Of any shape and dtype.",
        "b": "As a; the shapes broadcast.",
        "returns": "float64, or complex128 where one is complex, of the shape to which a and b broadcast.",
    },
    "deg2rad rad2deg i0 i1 i0e i1e": {
        "x": "Of any shape, floating-point; integers and bool are first converted to float32.",
        "returns": _FLOATING,
    },
    "frac": {"x": "Of any shape and real dtype but bool.", "returns": _AS_X},
    "abs": {
        "x": "Of any shape and dtype.",
        "returns": "Of the shape of x, in the dtype of its parts; x's own where it is real.",
    },
    "sign": {"x": "Of any shape and any dtype but bool.", "returns": _AS_X},
    "positive": {
        "x": "Of any shape and any dtype but bool.",
        "returns": _AS_X,
    },
    "real imag": {
        "returns": "Of the shape of x, in the dtype of its parts; x's own where it is real.",
    },
    "angle": {"returns": "Of the shape of x, in the dtype of its parts; float32 of integers and bool."},
    "complex": {
        "real": "float32 or float64, of any shape.",
        "imag": "As `real`; the shapes broadcast.",
        "returns": "complex64 of float32 parts, complex128 of float64 ones, of the shape to which "
        "they broadcast.",
    },
    "view_as_real": {
        "x": "complex64 or complex128, of any shape (..).",
        "returns": "A view (.., 2) of float32 or float64.",
    },
    "view_as_complex": {
        "x": "float32 or float64 (.., 2).",
        "returns": "(..) of complex64 or complex128.",
    },
    "result_type": {
        "*args": "Tensors, numbers and dtypes. A Python number counts by its kind alone.",
        "returns": "The dtype to which an operation on all of them converts.",
    },
    # Reductions and scans
    "sum prod nansum nanprod": {
        "axis": _AXES,
        "dtype": "To which x is first converted; by default its own, int64 of bool and integers, "
        "uint64 of unsigned ones.",
        "returns": _REDUCED + ", of `dtype`.",
    },
    "mean var std sum_of_squares logsumexp nanmean nanvar nanstd": {
        "x": "Of any shape, floating-point; integers and bool are first converted to float32.",
        "axis": _AXES,
        "returns": _REDUCED + ", in the dtype of x, float32 of integers and bool.",
    },
    "mean var std var_mean std_mean sum_of_squares nanmean nanvar nanstd": {
        "x": "Of any shape, floating-point or complex; integers and bool are first converted to float32.",
    },
    "var std sum_of_squares nanvar nanstd": {
        "returns": _REDUCED + ", in the real dtype of x, float32 of integers and bool."
    },
    "max min nanmax nanmin": {
        "x": "Of any shape and real dtype; what is reduced must not be empty.",
        "axis": _AXES,
        "returns": _REDUCED + ", in the dtype of x.",
    },
    "median nanmedian": {
        "x": "Of any shape and real dtype.",
        "axis": _AXES,
        "returns": _REDUCED + ", in the dtype of x, float32 of integers.",
    },
    "any all": {
        "axis": _AXES,
        "returns": _REDUCED + ", bool.",
    },
    "count_nonzero": {
        "axis": _AXES,
        "returns": _REDUCED + ", int64.",
    },
    "argmax argmin": {
        "x": "Of any shape and real dtype.",
        "axis": "The axis along which the element is sought; by default x counts as a vector, row by row.",
        "returns": _REDUCED.replace("axes", "axis") + ", int64.",
    },
    "cumulative_sum cumulative_prod": {
        "axis": "Along which to go on; it may be left out of a vector.",
        "dtype": "To which x is first converted; by default its own, int64 of bool and integers, "
        "uint64 of unsigned ones.",
        "include_initial": "Whether the value of no elements, 0 or 1, comes first: the axis has one "
        "element more.",
        "returns": "Of the shape of x, of `dtype`.",
    },
    "cumsum cumprod": {
        "axis": "Along which to go on; by default x counts as a vector, row by row.",
        "dtype": "To which x is first converted; by default its own, int64 of bool and integers, "
        "uint64 of unsigned ones.",
        "returns": "Of the shape of x, or a vector, of `dtype`.",
    },
    "logcumsumexp": {
        "x": "Of any shape, floating-point; integers and bool are first converted to float32.",
        "axis": "Along which to go on; it may be left out of a vector.",
        "returns": _FLOATING,
    },
    "Tensor.cummax Tensor.cummin": {"returns": _AS_X},
    "cumargmax cumargmin": {
        "x": "Of any shape and real dtype.",
        "axis": "Along which to go on; it may be left out of a vector.",
        "returns": "int64, of the shape of x.",
    },
    "nn.softmin": {
        "x": "Of any shape, floating-point; integers are first converted to float32.",
        "axis": "Along which the exponentials are added up.",
        "returns": _FLOATING,
    },
    "softmax log_softmax": {
        "x": "Of any shape, floating-point; integers and bool are first converted to float32.",
        "axis": "Along which the exponentials are added up.",
        "returns": _FLOATING,
    },
    "softmax_cross_entropy": {
        "logits": "(.., classes), floating-point.",
        "labels": "Class indices (..), integers in [0, classes).",
        "returns": "The losses (..), in the dtype of the logits.",
    },
    # Products
    "matmul": {
        "x": "A vector (n), or matrices (.., m, n), of any dtype.",
        "other": "A vector (n), or matrices (.., n, k). Leading axes broadcast, dtypes are promoted.",
        "returns": "(.., m, k); without m where x is a vector, without k where `other` is one.",
    },
    "outer": {
        "x": "A vector (m).",
        "other": "A vector (n).",
        "returns": "(m, n), in the dtype to which both are promoted.",
    },
    "vecdot": {
        "x": "Of any shape; where it is complex its conjugate counts.",
        "other": "Of a shape that broadcasts with that of x, with the same extent along the axis.",
        "axis": "Along which products are added up, counted from the last: -1 and so on, or from the front.",
        "returns": "Of the shape to which both broadcast, without the axis, in the dtype to which "
        "they are promoted.",
    },
    "tensordot": {
        "x1": "Of any shape.",
        "x2": "Of any shape.",
        "axes": "A number of axes, or a pair of axes or tuples of axes, of x1 and of x2, with equal extents.",
        "returns": "Of the axes of x1 and then of x2 that are left, in the dtype to which both are promoted.",
    },
    "einsum": {
        "subscripts": "A letter for each axis of each operand, operands parted by commas; '->' and "
        "the result's.",
        "*args": "The operands, with as many axes as they have letters; dtypes are promoted.",
        "returns": "With an axis for each letter behind '->'.",
    },
    "kron": {
        "x1": "Of any shape; missing leading axes are 1.",
        "x2": "Of any shape; missing leading axes are 1.",
        "returns": "Whose extents are the products of those of x1 and x2, in the dtype to which both "
        "are promoted.",
    },
    "inner": {
        "x1": "(.., n).",
        "x2": "(.., n).",
        "returns": "Of the leading axes of x1 and then of x2, in the dtype to which both are promoted.",
    },
    "trace": {
        "x": "Matrices (.., m, n).",
        "dtype": "To which x is first converted; by default its own, int64 of bool and integers.",
        "returns": "(..), without the two axes, of `dtype`.",
    },
    "diagonal": {
        "x": "Matrices (.., m, n) of any dtype.",
        "returns": "A view (.., length of the diagonal): without the two axes, the diagonal along the last.",
    },
    "tril triu": {
        "x": "Matrices (.., m, n) of any dtype.",
        "returns": _AS_X,
    },
    "cross": {
        "axis": "The axis, of extent 3, along which the vectors lie.",
        "returns": _PROMOTED,
    },
    # Shape
    "reshape Tensor.reshape": {
        "shape": "The extents, whose product is x.size; one may be -1, and is what is left.",
        "copy": "None: a view where the layout allows. True: new memory. False: a view, else a ValueError.",
        "returns": "Of the dtype of x.",
    },
    "permute_dims Tensor.permute_dims": {
        "axes": "All axes of x, each once, in the order of the result.",
        "returns": _VIEW,
    },
    "flatten": {
        "start_axis": "The first axis that is merged.",
        "end_axis": "The last axis that is merged, -1 the last of x.",
        "returns": "Of the dtype of x, with one axis in place of those from start_axis to end_axis.",
    },
    "swapaxes": {
        "returns": _VIEW,
    },
    "moveaxis": {
        "source": "An axis or several, each named once.",
        "destination": "Where each of them comes to be; the others keep their order.",
        "returns": _VIEW,
    },
    "matrix_transpose": {
        "x": "Matrices (.., m, n) of any dtype.",
        "returns": "A view (.., n, m).",
    },
    "broadcast_to": {
        "shape": "To which the shape of x broadcasts.",
        "returns": "A view whose repeated elements share memory; it must not be written to.",
    },
    "broadcast_arrays": {
        "*args": "Tensors whose shapes broadcast; dtypes stay.",
        "returns": "A view of each, of the common shape.",
    },
    "expand_dims": {
        "axis": "Where the new axis is in the result, from -x.ndim - 1 to x.ndim.",
        "returns": _VIEW,
    },
    "squeeze": {
        "axis": "One axis or several of extent 1; by default all that are.",
        "returns": _VIEW,
    },
    "flip": {
        "axis": "One axis or several; by default all.",
        "returns": _VIEW,
    },
    "concat": {
        "axis": "Along which they are put together; None flattens all of them first.",
        "returns": "Whose extent along the axis is the sum of theirs, in the dtype to which all are "
        "promoted.",
    },
    "stack": {
        "tensors": "Tensors of one shape; their dtypes are promoted.",
        "axis": "Where the new axis is in the result.",
        "returns": "With one axis more, as long as there are tensors.",
    },
    "split": {
        "sizes": "Into how many equal parts, or the extents of the parts, whose sum is that of the axis.",
        "returns": "Views of the parts.",
    },
    "unstack": {
        "returns": "Views without the axis, as many as its extent.",
    },
    "chunk": {
        "chunks": "How many parts there are at most.",
        "returns": "Views of the parts.",
    },
    "roll": {
        "shift": "By how many places, or one number for each axis.",
        "axis": "One axis or several; by default x counts as a vector, row by row.",
        "returns": _AS_X,
    },
    "rot90": {
        "k": "How many quarter turns, of which negative ones go the other way.",
        "axes": "The two axes of the plane.",
        "returns": _VIEW,
    },
    "tile": {
        "repetitions": "How many times along each axis, the last ones of x.",
        "returns": "Whose extents are the products of those of x and the repetitions, in the dtype of x.",
    },
    "repeat repeat_interleave": {
        "repeats": "How many times each: an int, or integers, one for each slice along the axis.",
        "axis": "Along which slices are repeated; by default x counts as a vector, row by row.",
        "returns": "Of the dtype of x; its extent along the axis is the sum of the repeats.",
    },
    "atleast_1d atleast_2d atleast_3d": {
        "*args": "Tensors of any shapes and dtypes.",
        "returns": "Tensor or tuple of Tensor :: One tensor, or a tuple where there are several.",
    },
    "pad": {
        "pad_width": "n, (before, after), or such a pair for each axis; at least 0.",
        "mode": "'constant', 'reflect', 'symmetric', 'edge' ('replicate') or 'wrap' ('circular').",
        "constant_values": "The number that mode 'constant' puts around x.",
        "returns": "Of the dtype of x.",
    },
    "diag": {
        "x": "A vector or a matrix, of any dtype.",
        "returns": "A matrix or a vector, of the dtype of x.",
    },
    "diag_embed": {
        "x": "Vectors (.., n).",
        "returns": "(.., n + |offset|, n + |offset|), of the dtype of x.",
    },
    "block_diag": {
        "*args": "Matrices, or vectors as rows; their dtypes are promoted.",
        "returns": "A matrix.",
    },
    "tril_indices triu_indices": {
        "n": "The number of rows.",
        "m": "The number of columns; by default n.",
        "returns": "(rows, columns): two int64 vectors.",
    },
    "meshgrid": {
        "*args": "Vectors.",
        "indexing": "'xy' (the first two axes swapped) or 'ij'.",
        "returns": "Views of one shape, one for each vector.",
    },
    "cartesian_prod": {
        "*args": "Vectors; their dtypes are promoted.",
        "returns": "(the product of their lengths, their number).",
    },
    "vander": {
        "x": "Vectors (.., n) of any dtype.",
        "increasing": "Whether the powers go up from 0.",
        "returns": "(.., n, N), of the dtype of x.",
    },
    # Composites
    "lerp Tensor.lerp": {
        "start": "Where weight is 0: floating-point or complex, of any shape.",
        "end": "Where weight is 1: of a shape that broadcasts with that of `start`.",
        "weight": "A number, or a tensor whose shape broadcasts.",
        "returns": _PROMOTED,
    },
    "addcmul addcdiv": {
        "tensor1": "The first factor, or what is divided.",
        "tensor2": "The second factor, or the divisor.",
        "value": "A number by which the product or the quotient is multiplied.",
        "returns": _PROMOTED,
    },
    "cov": {
        "x": "(variables, observations), or a vector of observations of one variable.",
        "fweights": "Integers (observations): how often each counts.",
        "aweights": "Numbers (observations), at least 0: how much each counts.",
        "returns": "(variables, variables), or 0-d of a vector, floating-point.",
    },
    "corrcoef": {
        "x": "(variables, observations), or a vector of observations of one variable.",
        "returns": "(variables, variables), or 0-d of a vector, floating-point.",
    },
    "cdist": {
        "x1": "(.., m, d), floating-point or complex; integers are first converted to float32.",
        "x2": "(.., n, d); leading axes broadcast.",
        "returns": "(.., m, n), floating-point.",
    },
    "clip": {
        "x": "Of any shape; real numbers where there is a bound.",
        "min": "A number or tensor that broadcasts with x; None is no bound.",
        "max": "A number or tensor that broadcasts with x; None is no bound.",
        "returns": "Of the shape to which all broadcast, in the dtype to which all are promoted.",
    },
    "nan_to_num": {
        "nan": "What is put for NaN.",
        "posinf": "What is put for +inf; by default the largest number of the dtype.",
        "neginf": "What is put for -inf; by default the least number of the dtype.",
        "returns": _AS_X,
    },
    "isclose allclose": {
        "rtol": "How much they may differ, as a share of |x2|.",
        "atol": "How much they may differ in any case.",
    },
    "isclose": {
        "returns": "bool, of the shape to which both broadcast.",
    },
    "allclose": {
        "returns": "A Python bool.",
    },
    "array_equal": {
        "x1": "Of any shape.",
        "x2": "Of any shape.",
        "returns": "A Python bool.",
    },
    "isposinf isneginf": {
        "x": "Of any shape and real dtype.",
        "returns": _TRUTH,
    },
    "diff": {
        "n": "How many times differences are taken, at least 0.",
        "prepend": "What is put before x along the axis first.",
        "append": "What is put behind x along the axis first.",
        "returns": "Of the dtype of x; the axis is n shorter.",
    },
    "trapezoid": {
        "y": "Of any shape: the values of a function.",
        "x": "Where they are: a vector along the axis, or of the shape of y.",
        "dx": "The distance of two neighbours where x is not given.",
        "returns": "Of the shape of y without the axis.",
    },
    # Conversion
    "astype": {
        "copy": "Whether the result has memory of its own in any case.",
        "device": "Where the result lies; by default where x does.",
        "returns": "Of the shape of x.",
    },
    "to": {
        "target": "A device, a dtype, or a tensor whose device and dtype are meant.",
        "dtype": "The dtype of the result; by default that of x.",
        "device": "Where the result lies; by default where x does.",
        "copy": "Whether the result has memory of its own in any case.",
        "non_blocking": "Of no effect.",
        "returns": "Of the shape of x; x itself where nothing changes.",
    },
    "contiguous": {
        "returns": "Of the shape and dtype of x, in row-major order.",
    },
    "copy": {
        "returns": _AS_X,
    },
    _in("Tensor", "stop_gradient detach"): {
        "returns": "A view of x that no derivative sees.",
    },
    # Indices
    "take": {
        "axis": "The axis, in whose place the axes of `indices` come.",
        "returns": "Of the dtype of x.",
    },
    "take_along_axis put_along_axis": {
        "indices": "Integers with as many axes as x, which broadcast with it but along the axis.",
    },
    "take_along_axis": {
        "returns": "Of the shape of `indices`, broadcast, and the dtype of x.",
    },
    "put_along_axis": {
        "values": "Numbers whose shape broadcasts to that of `indices`.",
        "returns": _UPDATED,
    },
    "scatter_add scatter_set scatter_multiply scatter_min scatter_max": {
        "returns": _UPDATED,
    },
    "nonzero": {
        "x": "Of at least one axis, of any dtype.",
        "returns": "An int64 vector for each axis; how long they are is read back from the device.",
    },
    "argwhere": {
        "x": "Of at least one axis, of any dtype.",
        "returns": "int64 (elements that are not 0, x.ndim).",
    },
    "flatnonzero": {
        "returns": "An int64 vector.",
    },
    "gather scatter scatter_reduce": {
        "indices": "Integers with as many axes as x; negative ones count from the end.",
        "updates": "With as many axes as `indices`, at least as large.",
    },
    "gather": {
        "returns": "Of the shape of `indices` and the dtype of x.",
    },
    "scatter": {
        "returns": _UPDATED,
    },
    "scatter_reduce": {
        "reduce": "'sum', 'prod', 'mean', 'amax' or 'amin'.",
        "include_self": "Whether what was in x counts, too.",
        "returns": _UPDATED,
    },
    "index_add": {
        "indices": "A vector of integers.",
        "alpha": "A number by which the updates are multiplied.",
        "returns": _UPDATED,
    },
    "masked_select": {
        "returns": "A vector of the dtype of x; how long it is is read back from the device.",
    },
    "masked_fill": {
        "value": "A number, or a tensor without axes.",
        "returns": _UPDATED,
    },
    "segment_sum segment_prod segment_mean segment_max segment_min": {
        "x": "(n, ..).",
        "segment_ids": "Integers (n), in [0, num_segments), in any order; others are an IndexError.",
        "num_segments": "The first extent of the result; by default the largest integer, which is "
        "read back, and 1.",
        "returns": "(num_segments, ..), of the dtype of x.",
    },
    # Order
    "sort argsort": {
        "x": "Of any shape and real dtype.",
        "descending": "Whether the largest come first.",
        "stable": "Of no effect: equal elements keep their order in any case.",
    },
    "sort": {
        "returns": _AS_X,
    },
    "argsort": {
        "returns": "int64, of the shape of x.",
    },
    "lexsort": {
        "keys": "Vectors of one length, the last one first in rank.",
        "returns": "An int64 vector.",
    },
    "partition argpartition": {
        "x": "Of any shape and real dtype.",
        "kth": "A place or several along the axis; negative ones count from the end.",
    },
    "partition": {
        "returns": _AS_X,
    },
    "argpartition": {
        "returns": "int64, of the shape of x.",
    },
    "searchsorted": {
        "x1": "(.., n), ascending along the last axis.",
        "x2": "Values of any shape where x1 is a vector, else with x1's leading axes.",
        "side": "'left': before equal elements; 'right': behind them.",
        "sorter": "Integers of the shape of x1: what argsort gives of an x1 that is not sorted.",
        "returns": "int64, of the shape of x2, in [0, n].",
    },
    "bucketize": {
        "boundaries": "A vector, ascending.",
        "right": "Which of the two sides of a bucket is closed: the left one with `right`.",
        "returns": "int64, of the shape of x.",
    },
    "digitize": {
        "bins": "A vector, ascending.",
        "right": "Which of the two sides of a bin is closed: the right one with `right`.",
        "returns": "int64, of the shape of x.",
    },
    "bincount": {
        "x": "A vector of integers from 0 on.",
        "weights": "Numbers of the shape of x; by default each counts as 1.",
        "minlength": "The least length of the result.",
        "length": "The length of the result; by default what x needs, which is read back.",
        "returns": "int64, or of the dtype of the weights.",
    },
    # Creation
    "tensor": {
        "data": "Numbers, nested sequences of them, a NumPy array or a tensor.",
        "dtype": "The dtype of the result; by default that of the data (float32, int64 or bool of "
        "Python's numbers).",
        "returns": "In new memory.",
    },
    "asarray": {
        "obj": "A tensor, numbers, nested sequences of them, or what has a buffer or speaks DLPack.",
        "dtype": "The dtype of the result; by default that of the object.",
        "copy": "None: in the same memory where possible. True: in new memory. False: in the same, "
        "else a ValueError.",
        "returns": "Differentiated where `obj` is.",
    },
    "full": {
        "fill_value": "A number.",
        "dtype": "The dtype of the result; by default float32, int64, bool or complex64, as the number is.",
        "returns": "In new memory.",
    },
    "zeros ones empty eye": {
        "dtype": "The dtype of the result; by default float32.",
        "returns": "In new memory.",
    },
    "eye": {
        "n_rows": "The number of rows.",
        "n_cols": "The number of columns; by default n_rows.",
    },
    "zeros_like ones_like full_like empty_like": {
        "fill_value": "A number.",
        "dtype": "The dtype of the result; by default that of x.",
        "device": "Where the result lies; by default where x does.",
        "returns": "Of the shape of x, in new memory.",
    },
    "arange": {
        "start": "The first value; the end, where `stop` is not given.",
        "dtype": "The dtype of the result; by default int64 where all numbers are integers, else float32.",
        "returns": "A vector of ceil((stop - start) / step) elements.",
    },
    "linspace": {
        "stop": "The last value.",
        "num": "How many values there are.",
        "endpoint": "Whether `stop` is one of them.",
        "dtype": "The dtype of the result; by default float32.",
        "returns": "A vector of `num` elements.",
    },
    "one_hot": {
        "indices": "Integers of any shape, in [0, num_classes); others are an IndexError.",
        "num_classes": "The extent of the new last axis.",
        "dtype": "The dtype of the result; by default float32.",
        "returns": "indices.shape + (num_classes,).",
    },
    "from_numpy": {
        "returns": "A tensor on device cpu in the memory of the array, of its dtype.",
    },
    "from_dlpack": {
        "x": "An object with __dlpack__: a tensor of another library.",
        "copy": "None: in the same memory where possible. True: in new memory. False: in the same, "
        "else an error.",
        "returns": "Of the object's shape and dtype.",
    },
    # Devices and threads
    "set_default_device": {
        "device": "A device, or its name: 'cpu', 'cuda', 'cuda:1'.",
    },
    "get_default_device": {
        "returns": "Where tensors are made whose device is not said.",
    },
    _in("cpu", "memory_stats reset_peak_memory empty_cache set_memory_limit"): {
        "device": "A device, or its name: 'cpu', 'cuda', 'cuda:1'.",
    },
    "cpu.memory_stats": {
        "returns": "Numbers of bytes and of calls, by name.",
    },
    "cpu.set_memory_limit": {
        "bytes": "How many bytes may be in use at once; 0 takes the limit away.",
    },
    "cpu.set_num_threads": {
        "count": "How many threads kernels of device cpu may use, at least 1.",
    },
    "cpu.get_num_threads": {
        "returns": "How many threads kernels of device cpu may use.",
    },
    "is_grad_enabled": {
        "returns": "False inside of `no_grad`.",
    },
    # Tensors
    "Tensor.backward": {
        "gradient": "The cotangent of this tensor, of its shape; it may be left out of one with one "
        "element, for 1.",
        "retain_graph": "Whether the graph is kept, to go backward again.",
        "create_graph": "Whether gradients have graphs of their own, for derivatives of them.",
    },
    "Tensor.register_hook": {
        "hook": "Is called with the cotangent of this tensor, and may return another of its shape.",
        "returns": "Its `remove` takes the hook away.",
    },
    "Tensor.requires_grad_": {
        "returns": "Tensor :: This tensor.",
    },
    "Tensor.item": {
        "returns": "bool, int, float or complex :: The one element, as a Python number.",
    },
    "Tensor.tolist": {
        "returns": "list or number :: Nested lists of Python numbers, or a number of a 0-d tensor.",
    },
    "Tensor.numpy": {
        "returns": "An array in the memory of this tensor, which lies on device cpu.",
    },
    "Tensor.is_contiguous": {
        "returns": "A Python bool.",
    },
    _in("Tensor", "to_device cuda"): {
        "device": "A device, or its name: 'cpu', 'cuda', 'cuda:1'.",
    },
    "Tensor.to_device": {
        "stream": "None: the current one.",
        "returns": _AS_X,
    },
    "Tensor.cuda": {
        "non_blocking": "Of no effect.",
        "returns": _AS_X,
    },
    "Tensor.cpu": {
        "returns": _AS_X,
    },
    # Linear algebra: integers become float32
    "linalg.multi_dot": {
        "arrays": "Matrices of fitting extents; the first and the last may be vectors.",
        "returns": "A matrix, a vector or a number, in the dtype to which all are promoted.",
    },
    "linalg.matrix_power": {
        "x": _SQUARE,
        "n": "The power, an integer.",
        "returns": _AS_X,
    },
    "linalg.vector_norm": {
        "x": "Of any shape, floating-point or complex; integers are first converted to float32.",
        "axis": _AXES,
        "ord": "The order p: any number, inf, -inf or 0.",
        "returns": _REDUCED + ", of the real dtype of x.",
    },
    "linalg.matrix_norm": {
        "x": "Matrices (.., m, n), floating-point or complex (for 'nuc', 2 and -2 not of 16 bits); integers "
        "are first converted to float32.",
        "keepdims": "Whether the last two axes stay, with extent 1.",
        "ord": "'fro', 'nuc', 1, -1, 2, -2, inf or -inf.",
        "returns": "(..), of the real dtype of x.",
    },
    "linalg.cond": {
        "x": _MATRICES + " They are square but for p None, 2 and -2.",
        "p": "None or 2: by singular values; else an order of matrix_norm.",
        "returns": "(..), of the real dtype of x.",
    },
    "linalg.cholesky": {
        "x": "Symmetric (Hermitian) positive definite matrices (.., n, n). " + _LINALG,
        "upper": "Whether to read the upper triangle of x and return U, not L.",
        "returns": "Triangular (.., n, n), with a positive diagonal.",
    },
    "linalg.lu_factor": {
        "x": _MATRICES,
        "returns": "LuFactor :: `lu` (.., m, n) and `pivots` (.., min(m, n)), int64.",
    },
    "linalg.lu_solve": {
        "lu": "(.., n, n), of lu_factor.",
        "pivots": "int64 (.., n), of lu_factor.",
        "b": "(.., n, k), or a vector (n).",
        "transposed": "Whether to solve with the transpose of a.",
        "returns": "Of the shape of b, broadcast with the leading axes.",
    },
    _in("linalg", "solve solve_triangular"): {
        "x1": _SQUARE,
        "x2": "(.., n, k), or a vector (n).",
        "upper": "Whether x1 is an upper triangle.",
        "unit_diagonal": "Whether the diagonal of x1 counts as 1.",
        "returns": "(.., n, k), or (.., n) for a vector.",
    },
    "linalg.cholesky_solve": {
        "b": "(.., n, k), or a vector (n).",
        "factor": "Triangular (.., n, n), of cholesky.",
        "upper": "Whether the factor is an upper triangle.",
        "returns": "(.., n, k), or (.., n) for a vector.",
    },
    _in("linalg", "inv adjugate matrix_exp"): {
        "x": _SQUARE,
        "returns": "(.., n, n).",
    },
    _in("linalg", "det logdet"): {
        "x": _SQUARE,
        "returns": "(..), of the dtype of x.",
    },
    "linalg.slogdet": {
        "x": _SQUARE,
        "returns": "Slogdet :: `sign` (..), of the dtype of x, and `logabsdet` (..), real.",
    },
    "linalg.qr": {
        "x": _MATRICES,
        "mode": "'reduced': Q (.., m, k) and R (.., k, n), k = min(m, n); 'complete': (.., m, m) and "
        "(.., m, n).",
        "returns": "Qr :: `Q` and `R`.",
    },
    "linalg.eigh": {
        "x": "Symmetric (Hermitian) matrices (.., n, n). " + _LINALG,
        "returns": "Eigh :: `eigenvalues` (.., n), real, ascending, and `eigenvectors`, (.., n, n), columns.",
    },
    "linalg.eigvalsh": {
        "x": "Symmetric (Hermitian) matrices (.., n, n). " + _LINALG,
        "returns": "(.., n), real and ascending.",
    },
    "linalg.svd": {
        "x": _MATRICES,
        "full_matrices": "Whether U is (.., m, m) and Vh (.., n, n); else (.., m, k) and (.., k, n), "
        "k = min(m, n).",
        "returns": "Svd :: `U`, `S` (.., k), real and descending, and `Vh`.",
    },
    "linalg.svdvals": {
        "x": _MATRICES,
        "returns": "(.., min(m, n)), real and descending.",
    },
    _in("linalg", "pinv matrix_rank"): {
        "x": _MATRICES,
        "rtol": "Singular values up to rtol times the largest count as 0; by default max(m, n) eps.",
    },
    "linalg.pinv": {
        "returns": "(.., n, m).",
    },
    "linalg.matrix_rank": {
        "returns": "int64 (..).",
    },
    "linalg.lstsq": {
        "a": _MATRICES,
        "b": "(.., m, k), or a vector (m).",
        "rcond": "Singular values up to rcond times the largest count as 0; by default max(m, n) eps.",
        "returns": "Lstsq :: `x` (.., n, k), `residuals` (.., k), `rank` (..), int64, and `singular_values` "
        "(.., min(m, n)).",
    },
    "linalg.tensorsolve": {
        "a": "Of the axes of b and then those of x, with as many elements in both.",
        "b": "Of any shape.",
        "axes": "Axes of a that first go to its end; by default none.",
        "returns": "Of the last axes of a.",
    },
    "linalg.tensorinv": {
        "a": "With as many elements in the first `ind` axes as in the others.",
        "ind": "How many axes come first, at least 1.",
        "returns": "Of the last axes of a and then the first.",
    },
    # Random numbers
    "random.key": {
        "seed": "An integer from 0 to 2^64 - 1.",
        "returns": "uint32, of shape (2,).",
    },
    "random.split": {
        "num": "How many keys to make.",
        "returns": "uint32 (num, 2).",
    },
    "random.fold_in": {
        "data": "An integer from 0 to 2^64 - 1.",
        "returns": "uint32, of shape (2,).",
    },
    "random.bits": {
        "returns": "uint32, each of all its values equally likely.",
    },
    "random.uniform": {
        "low": "The least value, a number.",
        "high": "The end, which is not reached, a number.",
        "dtype": "A floating-point dtype, that of the result.",
        "returns": "Constants, of `shape` and `dtype`.",
    },
    "random.normal": {
        "mean": "The mean, a number.",
        "std": "The standard deviation, a number.",
        "dtype": "A floating-point dtype, that of the result.",
        "returns": "Constants, of `shape` and `dtype`.",
    },
    "random.randint": {
        "low": "The least value, an integer.",
        "high": "The end, which is not reached, an integer.",
        "dtype": "An integer dtype, that of the result.",
        "returns": "Of `shape` and `dtype`.",
    },
    "random.permutation": {
        "x": "An integer, or a tensor.",
        "axis": "The axis of the tensor along which slices are put in another order.",
        "returns": "int64 (x,) of an integer, else of the shape and dtype of x.",
    },
    # Losses
    "nn.cross_entropy": {
        "logits": "(N, C), (C) or (N, C, d1, ..), floating-point.",
        "targets": "Class indices, integers of the shape without C, or probabilities of the shape of "
        "the logits.",
        "ignore_index": "The class index that does not count.",
        "weight": "(C): what each class counts.",
    },
    "nn.nll_loss": {
        "log_probabilities": "(N, C), (C) or (N, C, d1, ..), floating-point.",
        "targets": "Class indices, integers of the shape without C.",
        "ignore_index": "The class index that does not count.",
        "weight": "(C): what each class counts.",
    },
    _in("nn", "binary_cross_entropy binary_cross_entropy_with_logits"): {
        "probabilities": "Numbers in [0, 1], of any shape, floating-point.",
        "logits": "Of any shape, floating-point.",
        "targets": "Probabilities of that shape.",
        "weight": "Numbers that broadcast to that shape, by which losses are multiplied.",
        "pos_weight": "Numbers that broadcast to that shape, by which the part of t is multiplied.",
    },
    _in("nn", "mse_loss l1_loss huber_loss smooth_l1_loss gaussian_nll_loss"): {
        "prediction": "Of any shape, floating-point.",
        "delta": "Where the loss goes from a square to a line, above 0.",
        "beta": "Where the loss goes from a square to a line, at least 0.",
    },
    "nn.kl_div": {
        "x": "Log-probabilities of any shape, floating-point.",
        "target": "Probabilities of that shape, or with log_target their logarithms.",
        "reduction": "'mean', 'sum', 'batchmean' or 'none'.",
        "log_target": "Whether the target holds logarithms.",
    },
    _in("nn", "gaussian_nll_loss poisson_nll_loss"): {
        "var": "Variances, of the shape of the prediction, or of one that broadcasts to it.",
        "full": "Whether the part is added that does not depend on the prediction.",
        "eps": "What keeps the variance, or the logarithm, away from 0.",
    },
    "nn.poisson_nll_loss": {
        "x": "The expectation or, with log_input, its logarithm: of any shape, floating-point.",
        "target": "Counts, of the shape of x.",
        "log_input": "Whether x is a logarithm.",
    },
    "nn.multi_margin_loss": {
        "scores": "(N, C) or (C), floating-point.",
        "targets": "Class indices (N) or 0-d, integers.",
        "p": "The power, 1 or 2.",
        "weight": "(C): what each class counts.",
    },
    "nn.multilabel_margin_loss": {
        "x": "Scores (N, C) or (C), floating-point.",
        "target": "Class indices of that shape, integers; the first negative one ends a row.",
    },
    "nn.multilabel_soft_margin_loss": {
        "logits": "(N, C) or (C), floating-point.",
        "targets": "0 or 1, of that shape.",
        "weight": "(C): what each class counts.",
    },
    _in("nn", "soft_margin_loss hinge_embedding_loss"): {
        "x": "Of any shape, floating-point.",
        "target": "1 or -1, of the shape of x.",
    },
    "nn.margin_ranking_loss": {
        "x1": "Of any shape, floating-point.",
        "x2": "Of that shape.",
        "target": "1 where x1 should be larger, -1 where x2 should.",
    },
    "nn.cosine_embedding_loss": {
        "x1": "(N, n) or (n), floating-point.",
        "x2": "Of that shape.",
        "target": "1 or -1, (N) or 0-d.",
    },
    "nn.triplet_margin_loss": {
        "anchor": "(N, n) or (n), floating-point.",
        "positive": "What should be near, of that shape.",
        "negative": "What should be far, of that shape.",
        "eps": "A small number that is added to differences.",
        "swap": "Whether the distance of the negative from the positive counts where it is less.",
    },
    "nn.ctc_loss": {
        "log_probs": "(T, N, C) or (T, C): logarithms of the probabilities of classes at each step.",
        "targets": "Class indices (N, S), or all targets in one vector; integers.",
        "input_lengths": "How many steps of each row of log_probs count, (N).",
        "target_lengths": "How long each target is, (N).",
        "blank": "The class that stands for nothing.",
        "zero_infinity": "Whether the loss of a target that no path spells is 0, not infinite.",
    },
    _in(
        "nn",
        "cross_entropy nll_loss binary_cross_entropy binary_cross_entropy_with_logits mse_loss l1_loss "
        "huber_loss smooth_l1_loss kl_div gaussian_nll_loss poisson_nll_loss multi_margin_loss "
        "multilabel_margin_loss multilabel_soft_margin_loss soft_margin_loss hinge_embedding_loss "
        "margin_ranking_loss cosine_embedding_loss triplet_margin_loss ctc_loss",
    ): {
        "returns": _LOSS,
    },
    # The functions behind layers
    "nn.pairwise_distance": {
        "x1": "(.., n), floating-point.",
        "x2": "(.., n); leading axes broadcast.",
        "eps": "A small number that is added to the differences.",
        "keepdims": "Whether the last axis stays, with extent 1.",
        "returns": "(..).",
    },
    "nn.cosine_similarity": {
        "x1": "Of any shape, floating-point.",
        "x2": "Of a shape that broadcasts with that of x1.",
        "axis": "The axis along which the vectors lie.",
        "eps": "The least norm that is divided by.",
        "returns": "Of the shape to which both broadcast, without the axis.",
    },
    "nn.normalize": {
        "x": "Of any shape, floating-point.",
        "axis": "The axis along which the vectors lie.",
        "eps": "The least norm that is divided by.",
        "returns": _AS_X,
    },
    "nn.gelu": {
        "approximate": "'none', or 'tanh': a formula with tanh that comes close.",
    },
    "nn.softplus": {
        "beta": "The function is log(1 + exp(beta x)) / beta.",
        "threshold": "Where beta x is above it the result is x; None: nowhere.",
    },
    "nn.celu": {
        "alpha": "What is approached, negated, far below 0.",
    },
    _in("nn", "softshrink hardshrink"): {
        "lambd": "Up to which |x| the result is 0, at least 0.",
    },
    "nn.threshold": {
        "threshold": "What x must exceed.",
        "value": "The result elsewhere.",
    },
    "nn.prelu": {
        "weight": "The slope below 0: one, or a vector (C) for x (N, C, ..).",
    },
    "nn.glu": {
        "x": "Of any shape, floating-point; integers and bool are first converted to float32.",
        "axis": "The axis that is halved, of an even extent.",
        "returns": "Of the dtype of x, with half the extent along the axis.",
    },
    _in(
        "nn",
        "gelu softplus selu celu logsigmoid relu6 hardsigmoid hardswish softsign tanhshrink softshrink "
        "hardshrink threshold prelu",
    ): {
        "x": "Of any shape, floating-point; integers and bool are first converted to float32.",
        "returns": _FLOATING,
    },
    _in("nn", "softsign tanhshrink"): {
        "x": "Of any shape, floating-point or complex; integers and bool are first converted to float32.",
    },
    "nn.linear": {
        "x": "(.., inputs), floating-point.",
        "weight": "(outputs, inputs).",
        "bias": "(outputs).",
        "returns": "(.., outputs).",
    },
    "nn.bilinear": {
        "x1": "(.., inputs1), floating-point.",
        "x2": "(.., inputs2).",
        "weight": "(outputs, inputs1, inputs2).",
        "bias": "(outputs).",
        "returns": "(.., outputs).",
    },
    "nn.embedding": {
        "indices": "Integers of any shape.",
        "weight": "(count, size).",
        "returns": "indices.shape + (size,), of the dtype of the weight.",
    },
    _in("nn", "dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout"): {
        "x": "Of any shape, floating-point.",
        "p": "The probability, in [0, 1].",
        "returns": _AS_X,
    },
    _in("nn", "dropout1d dropout2d dropout3d feature_alpha_dropout"): {
        "x": _CHANNELS,
    },
    _in("nn", "layer_norm rms_norm"): {
        "x": "Of any shape (..) + shape, floating-point.",
        "shape": "The last extents of x: a tuple, or one integer.",
        "weight": "Numbers of `shape` by which the result is multiplied.",
        "bias": "Numbers of `shape` that are added to it.",
        "eps": "What is added to the variance, or the mean square.",
        "returns": _AS_X,
    },
    _in("nn", "batch_norm instance_norm group_norm"): {
        "x": "(N, C, ..), floating-point.",
        "running_mean": "Means (C), which are written in training.",
        "running_var": "Variances (C), which are written in training.",
        "weight": "(C): what each channel is multiplied by.",
        "bias": "(C): what is added to each channel.",
        "training": "Whether the statistics are those of x, not the running ones.",
        "use_input_stats": "Whether the statistics are those of x, not the running ones.",
        "num_groups": "Into how many groups the C channels are parted.",
        "eps": "What is added to the variance.",
        "returns": _AS_X,
    },
    _in("nn", "conv1d conv2d conv3d"): {
        "weight": "(outputs, C / groups, ..): a kernel for each output.",
        "bias": "(outputs).",
        "padding": "How many zeros are put at both ends of an axis, a number for all or one for "
        "each; 'same', 'valid'.",
        "returns": "(N, outputs, ..) or (outputs, ..), of extents (s + 2 padding - (kernel - 1) "
        "dilation - 1) // stride + 1.",
    },
    _in("nn", "conv_transpose1d conv_transpose2d conv_transpose3d"): {
        "weight": "(C, outputs / groups, ..).",
        "bias": "(outputs).",
        "padding": "How much is taken away at both ends of an axis: a number for all axes, or one for each.",
        "returns": "(N, outputs, ..) or (outputs, ..).",
    },
    _in(
        "nn",
        "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d max_pool1d max_pool2d "
        "max_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool1d lp_pool2d lp_pool3d adaptive_max_pool1d "
        "adaptive_max_pool2d adaptive_max_pool3d adaptive_avg_pool1d adaptive_avg_pool2d "
        "adaptive_avg_pool3d",
    ): {
        "x": _CHANNELS,
        "norm_type": "The order p of the norm, positive; inf for the largest magnitude.",
        "count_include_pad": "Whether the zeros of the padding count.",
        "divisor_override": "What sums are divided by; None: by how many elements there are.",
        "output_size": "The extents of the result: a number for all axes, or one for each; None "
        "keeps that of x.",
    },
    _in(
        "nn",
        "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool1d lp_pool2d lp_pool3d",
    ): {
        "stride": "The distance between windows: a number for all axes, or one for each; by default "
        "kernel_size.",
        "returns": "(N, C, ..) or (C, ..), of extents (s + 2 padding - (kernel - 1) dilation - 1) // "
        "stride + 1.",
    },
    _in("nn", "max_pool1d max_pool2d max_pool3d"): {
        "padding": "How many elements that are no maximum are put at both ends of an axis.",
    },
    _in(
        "nn",
        "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d adaptive_avg_pool1d "
        "adaptive_avg_pool2d adaptive_avg_pool3d",
    ): {
        "returns": "(N, C, ..) or (C, ..), with the extents of output_size.",
    },
    _in("nn", "unfold fold"): {
        "output_size": "(height, width) of the result.",
        "returns": "Of the dtype of x.",
    },
    "nn.unfold": {
        "x": "(.., channels, height, width).",
    },
    "nn.fold": {
        "x": "(.., channels * kernel, windows).",
    },
    "nn.grid_sample": {
        "x": "(N, C, H, W) or (N, C, D, H, W), floating-point.",
        "grid": "(N, h, w, 2) or (N, d, h, w, 3): places in [-1, 1].",
        "mode": "'bilinear', 'nearest' or 'bicubic'.",
        "padding_mode": "'zeros', 'border' or 'reflection'.",
        "returns": "(N, C, h, w) or (N, C, d, h, w), of the dtype of x.",
    },
    "nn.affine_grid": {
        "theta": "(N, 2, 3) or (N, 3, 4), floating-point.",
        "size": "(N, C, H, W) or (N, C, D, H, W).",
        "returns": "(N, H, W, 2) or (N, D, H, W, 3).",
    },
    "nn.interpolate": {
        "x": "(N, C, ..), floating-point.",
        "size": "The new extents: a number for all axes, or one for each; or `scale_factor` says them.",
        "scale_factor": "How many times as large: a number for all axes, or one for each.",
        "mode": "'nearest', 'nearest-exact', 'linear', 'bilinear', 'bicubic' or 'trilinear'.",
        "align_corners": "Whether the middles of the first and last elements stay where they are.",
        "recompute_scale_factor": "Whether the scale is that of the extents, which are whole numbers.",
        "antialias": "Must be False.",
        "returns": "(N, C, ..), of the dtype of x.",
    },
    _in("nn.init", "xavier_uniform xavier_normal kaiming_uniform kaiming_normal"): {
        "shape": "(outputs, inputs, ..), the shape of a weight.",
        "gain": "A factor, which depends on what follows the layer.",
        "mode": "'fan_in' keeps the variance forward, 'fan_out' backward.",
        "dtype": "A floating-point dtype, that of the result.",
        "returns": "Constants, of `shape` and `dtype`.",
    },
    _in("optim", "clip_grad_norm_ clip_grad_value_"): {
        "params": "Tensors, whose `grad` is changed; or one.",
        "max_norm": "The largest norm, above 0.",
        "max_value": "The largest absolute value, at least 0.",
    },
    "optim.clip_grad_norm_": {
        "returns": "The norm before, 0-d.",
    },
    "data.read_idx": {
        "returns": "Of the shape and dtype that the file says.",
    },
    "data.read_csv": {
        "delimiter": "What parts the fields, one character.",
        "header": "Whether the first line has the names of the columns.",
        "label_column": "The column, by name or position, that becomes `labels`.",
        "dtype": "The dtype of the values.",
        "returns": "`values` (rows, columns), `columns`, `labels` and `classes`.",
    },
    # Order and sets
    "topk kthvalue mode": {
        "x": "Of any shape and real dtype.",
    },
    "topk": {
        "k": "How many, at most the extent of the axis.",
        "largest": "Whether the largest are meant, else the smallest.",
        "sorted": "Of no effect: they are sorted in any case.",
        "returns": "`values` and `indices`, int64: of the shape of x, with extent k along the axis.",
    },
    "kthvalue": {
        "k": "Which one in ascending order, from 1 on.",
        "returns": "`values` and `indices`, int64, without the axis, which has extent 1 with `keepdims`.",
    },
    "mode": {
        "returns": "`values` and `indices`, int64, without the axis, which has extent 1 with `keepdims`.",
    },
    "where": {
        "c": "bool, or what is not 0.",
        "a": "What is taken where c holds; of any dtype.",
        "b": "What is taken elsewhere. The shapes of all three broadcast, the dtypes of a and b are "
        "promoted.",
        "returns": "Of the common shape and dtype; of c alone an int64 vector for each axis.",
    },
    "cummax cummin": {
        "x": "Of any shape and real dtype.",
        "axis": "Along which to go on; it may be left out of a vector.",
        "return_indices": "Whether to return the places of the elements, too.",
        "returns": "Of the shape and dtype of x; with return_indices `values` and `indices`, int64.",
    },
    "aminmax": {
        "x": "Of any shape and real dtype; what is reduced must not be empty.",
        "axis": _AXES,
        "returns": "`min` and `max`, each " + _REDUCED[0].lower() + _REDUCED[1:] + ".",
    },
    "isin": {
        "x": "Of any shape and real dtype.",
        "values": "Of any shape.",
        "invert": "Whether to say which are not among them.",
        "returns": _TRUTH,
    },
    "unique_consecutive unique unique_all unique_counts unique_inverse unique_values": {
        "return_index": "Whether to return the place of the first of each, too.",
        "return_inverse": "Whether to return which one each element is, too.",
        "return_counts": "Whether to return how many there are of each, too.",
        "axis": "The axis along which slices are compared; by default elements are.",
        "sorted": "Of no effect: they are sorted in any case.",
        "equal_nan": "Whether all NaN are one.",
    },
    "unique_consecutive": {
        "returns": "The values; with one of the two options a named tuple.",
    },
    "unique": {
        "returns": "The values, or a tuple of these and of what is asked for.",
    },
    "unique_all": {
        "returns": "`values`, `indices`, `inverse_indices` in the shape of x, and `counts`.",
    },
    "unique_counts": {
        "returns": "Vectors `values` and `counts`, int64.",
    },
    "unique_inverse": {
        "returns": "`values`, a vector, and `inverse_indices`, int64 in the shape of x.",
    },
    "unique_values": {
        "returns": "A vector of the dtype of x.",
    },
    "quantile nanquantile": {
        "x": "Of any shape and real dtype.",
        "q": "Numbers in [0, 1], of any shape.",
        "axis": _AXES,
        "method": "'linear', 'lower', 'higher', 'nearest', 'midpoint' or another name of NumPy's.",
        "returns": "Of the shape of q and then that of x without the axes, or with extent 1 with `keepdims`.",
    },
    "histogram histogram_bin_edges": {
        "bins": "How many there are, or (of histogram) their edges, ascending.",
        "range": "(low, high); by default the smallest and the largest element, which are read back.",
        "density": "Whether the integral is to be 1.",
        "weights": "What each element counts, of the shape of x; by default 1.",
    },
    "histogram": {
        "returns": "`hist` (bins,), int64 without weights, and `bin_edges` (bins + 1,), float64 of "
        "integers of 32 bits and more.",
    },
    "histogram_bin_edges": {
        "returns": "A vector (bins + 1,), float64 of integers of 32 bits and more.",
    },
    # Parts of tensors
    "index_put select_scatter slice_scatter index_copy index_fill masked_scatter diagonal_scatter": {
        "updates": "Numbers that broadcast to the part; they are converted to the dtype of x.",
        "values": "Numbers that broadcast to x[indices]; they are converted to the dtype of x.",
        "value": "A number.",
        "index": "Which slice; negative ones count from the end.",
        "returns": _UPDATED,
    },
    "index_put": {
        "indices": "A key or a tuple, as x[..] takes it.",
        "accumulate": "Whether values are added to what was there.",
    },
    "index_copy index_fill": {
        "indices": "A vector of integers.",
    },
    "masked_scatter": {
        "updates": "At least as many elements as are chosen, of any shape.",
    },
    "slice_scatter": {
        "start": "Where the slice begins, as slices say it.",
        "stop": "Where it ends, as slices say it.",
        "step": "The distance of its elements.",
    },
    "hstack vstack dstack column_stack": {
        "tensors": "Tensors of one shape but for the axis; their dtypes are promoted.",
        "returns": "In the dtype to which all are promoted.",
    },
    "hsplit vsplit dsplit": {
        "indices_or_sections": "How many equal parts, or where parts after the first begin.",
        "returns": "Views of the parts.",
    },
    "fliplr flipud": {
        "returns": _VIEW,
    },
    "unflatten": {
        "sizes": "The new extents, of which one may be -1.",
        "returns": "Of the dtype of x; a view where the layout allows.",
    },
    "broadcast_shapes": {
        "*shapes": "Tuples of extents, or numbers.",
        "returns": "The common shape.",
    },
    "unravel_index": {
        "indices": "Integers of any shape, in [0, the product of the extents); others are an IndexError.",
        "shape": "The shape of the tensor that they are places of.",
        "returns": "int64, each of the shape of `indices`.",
    },
    # Grids
    "geomspace": {
        "start": "The first value.",
        "stop": "The last value, of the same sign.",
        "num": "How many there are.",
        "endpoint": "Whether `stop` is one of them.",
        "**options": "`dtype` and `device`, as linspace takes them.",
        "returns": "A vector of `num` elements.",
    },
    "cumulative_trapezoid": {
        "y": "Of any shape: the values of a function.",
        "x": "Where they are: a vector along the axis, or of the shape of y.",
        "dx": "The distance of two neighbours where x is not given.",
        "returns": "Of the shape of y with one element less along the axis.",
    },
    "var_mean std_mean": {
        "x": "Of any shape, floating-point or complex; integers and bool are first converted to float32.",
        "axis": _AXES,
        "returns": "The two, each of the shape of x without the axes, or with extent 1 with `keepdims`.",
    },
    # Fourier transforms
    _in("fft", "fft fft2 fftn ifft ifft2 ifftn rfft rfft2 rfftn irfft irfft2 irfftn hfft ihfft"): {
        "x": "Of any shape, real or complex; complex64 is computed of float32 and what is less exact.",
        "n": "To how many elements the axis is cut, or padded with zeros; by default as many as there are.",
        "s": "The same for each of the axes.",
        "axis": "Along which to transform.",
        "axes": "Along which to transform; by default the last len(s), or all.",
        "norm": "'backward': the inverse is divided by n; 'forward': the others; 'ortho': both by sqrt(n).",
        "returns": "complex64 or complex128.",
    },
    _in("fft", "rfft rfft2 rfftn ihfft"): {
        "x": "Of any shape, real.",
        "returns": "complex64 or complex128, with n // 2 + 1 elements along the (last) axis.",
    },
    _in("fft", "irfft irfft2 irfftn hfft"): {
        "n": "How many elements the result has along the axis; by default 2 (m - 1) of m.",
        "s": "How many elements the result has along each of the axes; by default 2 (m - 1) of m "
        "along the last.",
        "returns": "float32 or float64.",
    },
    _in("fft", "fftfreq rfftfreq"): {
        "n": "How many samples there are.",
        "d": "The distance of two samples.",
        "dtype": "float32 by default, or another floating-point dtype.",
    },
    "fft.fftfreq": {
        "returns": "A vector (n).",
    },
    "fft.rfftfreq": {
        "returns": "A vector (n // 2 + 1).",
    },
    _in("fft", "fftshift ifftshift"): {
        "axes": "One axis or several; by default all.",
        "returns": _AS_X,
    },
    # Samplers
    _in(
        "random",
        "bernoulli beta binomial categorical cauchy chisquare choice dirichlet exponential gamma "
        "geometric gumbel laplace loggamma logistic multivariate_normal pareto poisson rademacher t "
        "truncated_normal weibull",
    ): {
        "shape": "The shape of the result, to which parameters broadcast; by default theirs.",
        "dtype": "A floating-point dtype; by default that of the parameters, or float32.",
        "returns": "Of `shape` and `dtype`, on the device of the key.",
        "p": "The probability, in [0, 1].",
        "a": "The shape parameter, above 0.",
        "b": "The shape parameter, above 0.",
        "alpha": "Concentrations (.., n), above 0.",
        "df": "The degrees of freedom, above 0.",
        "concentration": "The shape parameter, above 0.",
        "scale": "The scale, above 0.",
        "lam": "The expectation, at least 0.",
        "low": "The least value.",
        "high": "The largest value, above `low`.",
        "mean": "The means (.., n).",
        "cov": "Covariance matrices (.., n, n), of which the lower triangle is read.",
    },
    _in("random", "exponential gumbel laplace logistic cauchy"): {
        "shape": "The shape of the result.",
        "dtype": "A floating-point dtype, that of the result.",
    },
    "random.bernoulli": {
        "returns": "bool, of `shape`.",
    },
    _in("random", "geometric poisson binomial rademacher"): {
        "dtype": "The dtype of the result, which may be an integer or a floating-point one.",
        "n": "How many trials there are, an integer from 0 on.",
    },
    "random.categorical": {
        "logits": "Logarithms of probabilities, up to a constant: of any shape, floating-point.",
        "axis": "The axis of the categories.",
        "shape": "The shape of the result; by default that of the logits without the axis, and else "
        "ends with it.",
        "returns": "int64, of `shape`.",
    },
    # Layers
    "nn.*": {
        "activation": "'relu', 'gelu', or a function of a tensor.",
        "add_bias_kv": "Whether a learned key and value are added to the sequence.",
        "add_zero_attn": "Whether a key and a value of zeros are added to the sequence.",
        "affine": "Whether there are a weight and a bias for each channel.",
        "alpha": "What is approached, negated, far below 0.",
        "approximate": "'none', or 'tanh': a formula with tanh that comes close.",
        "axis": "The axis along which it goes.",
        "batch_first": "Whether sequences are (N, L, ..), not (L, N, ..).",
        "beta": "The scale of the bend, above 0.",
        "bias": "Whether there is a bias.",
        "bidirectional": "Whether there is a second pass, from the last step to the first.",
        "blank": "The class that stands for nothing.",
        "count": "How many rows, or weights, there are.",
        "count_include_pad": "Whether the zeros of the padding count.",
        "d_model": "The extent of the last axis.",
        "delta": "Where the loss goes from a square to a line, above 0.",
        "device": "Where the parameters lie; by default where the key does, or the default device.",
        "dim_feedforward": "The width of the two linear layers.",
        "divisor_override": "What sums are divided by; None: by how many elements there are.",
        "dropout": "The probability with which elements are dropped in training.",
        "dtype": "The dtype of the parameters.",
        "embed_dim": "The extent of the last axis.",
        "eps": "What is added to the variance, or keeps the divisor away from 0.",
        "full": "Whether the part is added that does not depend on the prediction.",
        "given": "Names with their values.",
        "hidden_size": "The size of the state.",
        "ignore_index": "The class index that does not count.",
        "in_channels": "How many channels x has.",
        "input_size": "The last extent of the input.",
        "inputs": "The last extent of x.",
        "inputs1": "The last extent of x1.",
        "inputs2": "The last extent of x2.",
        "kdim": "The last extent of keys; by default embed_dim.",
        "key": "A key (`td.random.key`) for the first values; by default the next one of "
        "`manual_seed`'s stream.",
        "lambd": "Up to which |x| the result is 0, at least 0.",
        "layer_norm_eps": "What is added to the variance by LayerNorm.",
        "log_input": "Whether x is a logarithm.",
        "log_target": "Whether the target holds logarithms.",
        "max_val": "The largest result.",
        "min_val": "The least result.",
        "module": "The module to add.",
        "modules": "The modules to add.",
        "momentum": "The share of the new values in running ones; None: their mean over all batches.",
        "negative_slope": "The slope below 0.",
        "nhead": "The number of heads, which divides d_model.",
        "nonlinearity": "'tanh' or 'relu'.",
        "norm": "A layer that comes last; None: none.",
        "norm_first": "Whether LayerNorm comes before each part, not behind it.",
        "norm_type": "The order p of the norm, positive; inf for the largest magnitude.",
        "num_channels": "How many channels x has.",
        "num_features": "How many channels x has.",
        "num_groups": "Into how many groups the channels are parted.",
        "num_heads": "The number of heads, which divides embed_dim.",
        "num_layers": "How many layers there are, one behind the other.",
        "out_channels": "How many channels the result has.",
        "output_size": "The extents of the result: a number for all axes, or one for each; None "
        "keeps that of x.",
        "outputs": "The last extent of the result.",
        "p": "The probability, in [0, 1].",
        "padding_mode": "What is put there: 'zeros', 'reflect', 'replicate' or 'circular'.",
        "parameter": "The parameter to add.",
        "pos_weight": "Numbers that broadcast to the shape of the logits, by which the part of t is "
        "multiplied.",
        "proj_size": "The size to which the output is projected; 0: it is not.",
        "shape": "The last extents of x: a sequence, or one integer.",
        "size": "How large the result, a row or a window is.",
        "swap": "Whether the distance of the negative from the positive counts where it is less.",
        "threshold": "Where the result goes over to x.",
        "track_running_stats": "Whether means and variances are kept for evaluation.",
        "value": "A number.",
        "vdim": "The last extent of values; by default embed_dim.",
        "zero_infinity": "Whether the loss of a target that no path spells is 0, not infinite.",
    },
    _in("nn", "Conv1d Conv2d Conv3d"): {
        "padding": "How many elements are put at both ends of an axis, a number for all or one for "
        "each; 'same', 'valid'.",
    },
    _in(
        "nn",
        "ConstantPad1d ConstantPad2d ConstantPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d "
        "ReplicationPad1d ReplicationPad2d ReplicationPad3d CircularPad1d CircularPad2d CircularPad3d "
        "ZeroPad1d ZeroPad2d ZeroPad3d",
    ): {
        "padding": "How much at each end: a number for all, or (left, right, top, bottom ..), the "
        "last axis first.",
        "value": "The number that is put around x.",
    },
    "nn.Flatten": {
        "start_axis": "The first axis that is merged.",
        "end_axis": "The last axis that is merged.",
    },
    "nn.Unflatten": {
        "sizes": "The new extents, of which one may be -1.",
    },
    "nn.Identity": {
        "*args": "Anything; it does not count.",
        "**kwargs": "Anything; it does not count.",
    },
    "nn.PReLU": {
        "count": "One slope, or as many as channels.",
        "init": "The slope at first.",
    },
    "nn.Embedding": {
        "count": "How many rows there are.",
        "size": "The length of a row.",
    },
    _in("nn", "PixelShuffle PixelUnshuffle pixel_shuffle pixel_unshuffle"): {
        "upscale_factor": "r, by which height and width grow.",
        "downscale_factor": "r, by which height and width shrink.",
    },
    _in("nn", "pixel_shuffle pixel_unshuffle channel_shuffle"): {
        "x": "(.., C, h, w), or of channel_shuffle (N, C, ..); of any dtype.",
        "returns": "Of the dtype of x.",
    },
    _in("nn", "LocalResponseNorm local_response_norm"): {
        "x": "(N, C, ..), floating-point.",
        "size": "Over how many neighbouring channels squares are averaged.",
        "alpha": "The factor of the mean square.",
        "beta": "The power of the divisor.",
        "k": "What is added to the mean square.",
        "returns": _AS_X,
    },
    "nn.gumbel_softmax": {
        "logits": "(.., C), floating-point: logarithms of probabilities, up to a constant.",
        "tau": "The temperature, above 0.",
        "hard": "Whether the result is one-hot, with the derivative of the soft one.",
        "axis": "The axis of the categories.",
        "returns": "Of the shape and dtype of the logits.",
    },
    "nn.scaled_dot_product_attention": {
        "query": "(.., L, E), floating-point.",
        "key": "(.., S, E).",
        "value": "(.., S, F).",
        "attn_mask": "(.., L, S): bool, where False is left out, or numbers that are added to the logits.",
        "dropout_p": "The probability with which weights are dropped.",
        "is_causal": "Whether query i sees keys up to i alone.",
        "scale": "The factor of the logits; by default 1 / sqrt(E).",
        "enable_gqa": "Whether groups of query heads share the heads of key and value.",
        "dropout_key": "A key (`td.random.key`) for the dropout.",
        "returns": "(.., L, F).",
    },
    "nn.Upsample": {
        "size": "The new extents: a number for all axes, or one for each; or `scale_factor` says them.",
        "scale_factor": "How many times as large: a number for all axes, or one for each.",
        "mode": "'nearest', 'nearest-exact', 'linear', 'bilinear', 'bicubic' or 'trilinear'.",
        "align_corners": "Whether the middles of the first and last elements stay where they are.",
        "recompute_scale_factor": "Whether the scale is that of the extents, which are whole numbers.",
    },
    "nn.Sequential": {
        "*modules": "The modules, each of which takes what the one before gives.",
    },
    _in("nn", "ModuleList ModuleDict"): {
        "modules": "The modules that it begins with.",
    },
    _in("nn", "ParameterList ParameterDict"): {
        "parameters": "The parameters that it begins with.",
    },
    "nn.TransformerEncoder": {
        "encoder_layer": "A layer, of which each gets a copy.",
    },
    "nn.TransformerDecoder": {
        "decoder_layer": "A layer, of which each gets a copy.",
    },
    "nn.Parameter": {
        "tensor": "The first value, floating-point.",
        "returns": "A leaf that requires grad.",
    },
    "nn.functional_call": {
        "module": "A module, which stays as it is.",
        "params": "Values of parameters and buffers, by their dotted names.",
        "*args": "What `forward` is given.",
        "**kwargs": "What `forward` is given.",
        "returns": "What `forward` returns.",
    },
    "nn.manual_seed": {
        "seed": "An integer from 0 to 2^64 - 1.",
    },
    "nn.next_key": {
        "returns": "A key, uint32 (2,).",
    },
    "nn.Module.register_buffer": {
        "name": "The attribute.",
        "tensor": "Its value, which is no parameter.",
    },
    "nn.Module.forward": {
        "*args": "What the module is called with.",
        "**kwargs": "What the module is called with, by name.",
        "returns": "What the call returns.",
    },
    _in("nn.Module", "register_forward_pre_hook register_forward_hook"): {
        "hook": "The function that is called.",
        "returns": "Its `remove` takes the hook away.",
    },
    "nn.Module.apply": {
        "function": "Is called with each module, the innermost first.",
        "returns": "This module.",
    },
    _in("nn.Module", "load_state_dict state_dict"): {
        "state": "Tensors by their dotted names, as `state_dict` gives them.",
        "strict": "Whether missing and unexpected names are an error.",
    },
    "nn.Module.load_state_dict": {
        "returns": "The names that are missing and unexpected.",
    },
    "nn.Module.train": {
        "mode": "Whether this is training.",
        "returns": "This module.",
    },
    "nn.Module.requires_grad_": {
        "value": "Whether the parameters require grad.",
        "returns": "This module.",
    },
    "nn.Module.to": {
        "target": "A device, a dtype, or a tensor whose device and dtype are meant.",
        "dtype": "A floating-point dtype.",
        "device": "Where parameters and buffers go.",
        "returns": "This module.",
    },
    "nn.Module.cuda": {
        "device": "Which device; by default the current one.",
        "returns": "This module.",
    },
    # Distributions
    "distributions.*": {
        "a": "The first shape parameter, above 0.",
        "alpha": "The exponent, above 0.",
        "b": "The second shape parameter, above 0.",
        "base": "The distribution that it is made of.",
        "components": "A distribution whose batch ends with the axis of the components.",
        "concentration": "The shape parameter, above 0.",
        "count": "How many axes of the batch become axes of one event.",
        "covariance_matrix": "(.., n, n), of which the lower triangle is read; or `scale_tril` is given.",
        "df": "The degrees of freedom, above 0.",
        "df1": "The degrees of freedom of the numerator, above 0.",
        "df2": "The degrees of freedom of the denominator, above 0.",
        "high": "The end of the interval, above `low`.",
        "key": "A key (`td.random.key`).",
        "loc": "The place: a number or a tensor.",
        "logits": "Logits, in place of `probs`.",
        "low": "The beginning of the interval.",
        "mixture": "A Categorical over the components.",
        "n": "How many trials there are.",
        "p": "A distribution.",
        "probs": "Probabilities; or `logits` are given.",
        "q": "A distribution.",
        "rate": "The rate, above 0.",
        "scale": "The scale, above 0.",
        "scale_tril": "Lower triangular factors (.., n, n) of the covariances.",
        "shape": "The shape of the sample, in front of batch_shape + event_shape.",
        "temperature": "The temperature, above 0.",
        "x": "Values, which broadcast with batch_shape + event_shape.",
    },
    "distributions.Dirichlet": {
        "concentration": "(.., n), above 0.",
    },
    _in("distributions", "MultivariateNormal LowRankMultivariateNormal"): {
        "loc": "The means (.., n).",
    },
    "distributions.LowRankMultivariateNormal": {
        "cov_factor": "W of the covariances W W^T + diag(d): (.., n, rank).",
        "cov_diag": "d, above 0: (.., n).",
    },
    "distributions.LKJCholesky": {
        "dim": "Rows of a correlation matrix, at least 2.",
    },
    "distributions.ComposeTransform": {
        "parts": "Transforms, the first of which is done first.",
    },
    "distributions.CumulativeDistributionTransform": {
        "distribution": "One with `cdf` and `icdf`.",
    },
    "distributions.PowerTransform": {
        "exponent": "Not 0; a number or a tensor.",
    },
    "distributions.Transform.inv": {
        "y": "What the transform gives, (..) or with the axes of one y.",
        "returns": "The x of it, in its dtype.",
    },
    "distributions.Transform.log_abs_det_jacobian": {
        "x": "What the transform takes.",
        "y": "What it gives for x.",
        "returns": "Of the shape of x without the axes of one x.",
    },
    _in("distributions", "Categorical OneHotCategorical Multinomial"): {
        "probs": "Weights (.., n), at least 0; or `logits` are given.",
    },
    "distributions.TransformedDistribution": {
        "transform": "A Transform; or a smooth function of each element, rising or falling.",
        "inverse": "Of that function; a Transform has its own.",
    },
    _in("distributions.Distribution", "log_prob prob cdf"): {
        "returns": "Of the shape of both without the axes of events, in the dtype of the parameters.",
    },
    "distributions.Distribution.icdf": {
        "p": "Probabilities, which broadcast with batch_shape.",
        "returns": "Of the shape to which both broadcast.",
    },
    _in("distributions.Distribution", "sample rsample"): {
        "returns": "Of `shape` + batch_shape + event_shape, on the device of the key.",
    },
    "distributions.kl_divergence": {
        "returns": "Of the batch_shape to which both broadcast.",
    },
    "distributions.register_kl": {
        "p": "A class of distributions.",
        "q": "A class of distributions.",
        "returns": "What decorates the function.",
    },
    # Optimisers
    "optim.*": {
        "adjust_lr_fn": "None or 'original', or 'match_rms_adamw'.",
        "alpha": "The decay of the mean of squares, in [0, 1).",
        "anneal": "'cos' or 'linear'.",
        "atol": "The error allowed in a step, in any case.",
        "backoff_factor": "The factor after gradients that overflow.",
        "betas": "The decays of the mean and of the mean of squares, each in [0, 1).",
        "coefficients": "a, b and c of the iteration.",
        "cooldown": "How many steps do not count after a change.",
        "decay": "The factor of a change, below 1.",
        "decoupled_weight_decay": "Whether the weight decay is no part of the gradient.",
        "device": "Where the factor lies; by default the default device.",
        "div_factor": "The highest learning rate divided by the first.",
        "enabled": "With False it does nothing.",
        "end": "The factor at the end.",
        "eps": "A small number that keeps the divisor away from 0.",
        "factor": "A function of the number of steps; or a subclass defines it.",
        "final_div_factor": "The first learning rate divided by the last.",
        "ftol": "It ends where a step promises to lower the sum of squares by at most this share of it.",
        "gamma": "The factor.",
        "growth_factor": "The factor after `growth_interval` steps without an overflow.",
        "growth_interval": "After how many steps the factor grows.",
        "gtol": "It ends where the gradient is at most that large.",
        "history_size": "How many changes are kept.",
        "init_scale": "The factor at first.",
        "initial_accumulator_value": "What the sum of squares begins with.",
        "lr": "The learning rate, at least 0.",
        "lr_decay": "How fast the learning rate falls.",
        "max_iter": "How many iterations a step has at most.",
        "milestones": "Numbers of steps, in rising order.",
        "minimum": "The least factor or learning rate.",
        "mode": "'min' or 'max': whether less or more is better.",
        "momentum": "The decay of the running mean of gradients, 0 for none.",
        "momentum_decay": "How fast the momentum comes to beta1.",
        "multiplier": "By which periods grow.",
        "nesterov": "Whether the momentum looks one step ahead.",
        "ns_coefficients": "a, b and c of the iteration.",
        "ns_steps": "How many steps the iteration has.",
        "optimizer": "Whose learning rates are set.",
        "params": "Tensors that require grad, or groups: dictionaries with 'params' and options of "
        "their own.",
        "patience": "How many steps may be no better.",
        "pct_start": "The share of the steps in which the rate rises.",
        "period": "How many steps the first period has.",
        "power": "The power.",
        "radius": "Of the trust region at first.",
        "rho": "The decay of the means of squares, in [0, 1].",
        "rtol": "The error allowed in a step, as a share of |x|.",
        "schedules": "The schedules, one behind the other.",
        "start": "The factor at first.",
        "state": "What `state_dict` gave.",
        "step_size": "How many steps a stair has.",
        "steps": "How many steps there were, or are made.",
        "threshold": "By how much a metric must be better.",
        "threshold_mode": "'rel' or 'abs'.",
        "time": "Where the path ends.",
        "total_steps": "How many steps there are in all.",
        "warmup_steps": "How many steps the rise takes.",
        "weight_decay": "The factor of the parameter that is added to its gradient, at least 0.",
        "xtol": "It ends after a step of at most this share of the length of x.",
    },
    _in("optim", "AdamW Lion Muon"): {
        "weight_decay": "By which share of lr a parameter shrinks in a step.",
    },
    "optim.LevenbergMarquardt": {
        "radius": "Of the trust region at first, in lengths of the scaled point.",
    },
    "optim.AveragedModel": {
        "model": "The module whose parameters are averaged; this one is a copy.",
        "decay": "Of the exponential moving average; None: the mean of all.",
    },
    "optim.AveragedModel.update": {
        "model": "The module that is trained.",
    },
    "optim.orthogonalize": {
        "matrix": "(m, n), floating-point.",
        "returns": "(m, n), of the dtype of the matrix.",
    },
    "optim.functional": {
        "optimizer": "A class: SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta, Adamax, NAdam, RAdam, "
        "Lion or Muon.",
        "**options": "Those of the class; lr may be a tensor or a function of the number of steps.",
        "returns": "`init(params)` gives the state, `update(gradients, state, params)` the next "
        "parameters and state.",
    },
    _in("optim", "minimize least_squares root"): {
        "function": "Of x: a scalar, or of root tensors with as many elements as x.",
        "residuals": "Of x: tensors of any shapes.",
        "x": "Where the search begins: a pytree; a tuple is the tuple of arguments.",
        "gtol": "It ends where the gradient is at most that large; by default by the dtype's epsilon.",
        "tol": "It ends where the norm of the values is at most that; by default where rounding hides them.",
        "max_iter": "How many iterations there are at most; by default 1000.",
        "callback": "Is called after each iteration with the point and the report, and may end the search.",
        "**options": "Those of the method.",
    },
    "optim.minimize": {
        "method": "'lbfgs', 'newton-cg', 'gradient-descent' or 'gradient-flow'.",
        "max_iter": "How many iterations there are at most.",
        "returns": "`x`, like the one at the start, and how it was found.",
    },
    "optim.least_squares": {
        "method": "'lm' or 'gauss-newton'.",
        "returns": "`x`, like the one at the start, its residuals, their Jacobian, and how it was found.",
    },
    "optim.root": {
        "returns": "`x`, like the one at the start, the values there, and how it was found.",
    },
    "optim.standard_errors": {
        "function": "Of x: a negative log-likelihood or, with `residuals`, residuals.",
        "x": "The estimate, any pytree; a tuple is the tuple of arguments.",
        "residuals": "Whether the function gives residuals.",
        "returns": "Like x.",
    },
    "optim.Optimizer.add_param_group": {
        "group": "A dictionary with 'params' and options of their own.",
    },
    "optim.Optimizer.update": {
        "gradients": "A sequence, or a dictionary by name; None leaves a parameter as it is.",
    },
    "optim.GradScaler.scale": {
        "loss": "A tensor, or a tree of tensors.",
        "returns": "Like the loss.",
    },
    _in("optim.GradScaler", "unscale_ step"): {
        "optimizer": "Whose gradients are meant.",
    },
    "optim.GradScaler.step": {
        "returns": "What optimizer.step returns, None where it was left out.",
    },
    "optim.Schedule.factor": {
        "returns": "The factor of the initial learning rate.",
    },
    "optim.ReduceLROnPlateau.step": {
        "metric": "A number, or a tensor of one element.",
    },
    # Data
    "data.TensorDataset": {
        "*tensors": "Tensors of one first extent.",
    },
    "data.Subset": {
        "dataset": "What has the items.",
        "indices": "Which of them, in this order.",
    },
    "data.Map": {
        "dataset": "What has the items.",
        "function": "Is called with an item.",
    },
    _in("data", "ConcatDataset ChainDataset"): {
        "datasets": "The data sets, one behind the other.",
    },
    "data.StackDataset": {
        "*datasets": "Data sets of one length, for tuples.",
        "**named": "Data sets of one length, for dictionaries.",
    },
    "data.random_split": {
        "dataset": "What has the items.",
        "lengths": "Numbers of items, or fractions that add up to 1.",
        "key": "A key (`td.random.key`); by default that of seed 0.",
        "returns": "One for each length.",
    },
    "data.FashionMNIST": {
        "root": "The folder of the files.",
        "train": "Whether the 60,000 to learn from are meant, not the 10,000 to test with.",
    },
    "data.*": {
        "epoch": "The number of the epoch, from 0.",
        "state": "What `state_dict` gave.",
    },
    "data.Sampler.order": {
        "returns": "int64, the indices of the epoch.",
    },
    # Trees, files, what is looked at
    "tree_map tree_leaves tree.map tree.leaves tree.*": {
        "tree": "A tree.",
        "*rest": "Trees of the same structure.",
        "function": "Is called with the leaves in one place of all trees.",
        "is_leaf": "is_leaf(subtree) says whether a subtree counts as a leaf.",
        "structure": "What `structure` or `flatten` gave.",
        "leaves": "As many leaves as the structure has.",
    },
    "tree_map tree.map": {
        "returns": "A tree of the structure of `tree`.",
    },
    "tree_leaves tree.leaves": {
        "returns": "The leaves, in order.",
    },
    "tree.flatten": {
        "returns": "The leaves and the structure.",
    },
    "tree.structure": {
        "returns": "What is compared with == and printed.",
    },
    "tree.unflatten": {
        "returns": "The tree.",
    },
    "tree.reduce": {
        "function": "Of what there is so far and the next leaf.",
        "initial": "What it begins with; by default the first leaf.",
        "returns": "What the function returned last.",
    },
    "tree.register": {
        "cls": "A class.",
        "flatten": "Gives (parts, data) of an object; by default its method `tree_flatten`.",
        "unflatten": "Gives the object of data and parts; by default the classmethod `tree_unflatten`.",
        "returns": "The class.",
    },
    "io.save save": {
        "obj": "Tensors, numbers, strings, booleans and None in dictionaries, lists and tuples.",
        "metadata": "Strings by name, which the file has beside the tensors.",
    },
    "io.load load": {
        "device": "Where the tensors are to lie; by default on the default device.",
        "returns": "What was saved; tuples come back as lists.",
    },
    "io.load_metadata": {
        "returns": "Strings by name.",
    },
    "viz.*": {
        "axes": "Matplotlib's axes to draw in; by default those of a new figure.",
        "columns": "How many pictures are in a row.",
        "function": "A scalar function of two numbers, or a tensor of two.",
        "levels": "How many lines, or at which values.",
        "names": "The names of the classes.",
        "path": "The path of the file.",
        "points": "At how many points along each axis the function is computed.",
        "returns": "Matplotlib's figure.",
        "title": "What stands above the picture.",
        "xlim": "The ends of the first axis.",
        "ylim": "The ends of the second axis.",
    },
    _in("viz", "surface quadratic_model"): {
        "at": "A point whose tangent plane is drawn, too.",
        "x": "The point: one number, or two.",
        "reach": "How far the picture goes on each side of it.",
    },
    "viz.descent_path": {
        "path": "Points (n, 2), or one from which gradient descent begins.",
        "lr": "The learning rate of the descent.",
        "steps": "How many steps it has.",
    },
    "viz.graph": {
        "function": "A function of the arguments, or a tensor that has a graph.",
        "*args": "The arguments: numbers and tensors.",
        "direction": "A direction, like the arguments, along which tangents are shown, too.",
        "returns": "What is shown, saved and printed.",
    },
    "viz.curves": {
        "steps": "(epoch, loss, accuracy) of the training batches.",
        "epochs": "(test loss, test accuracy) after each epoch.",
    },
    "viz.confusion_matrix": {
        "counts": "(classes, classes): how many samples of class i were taken for class j.",
    },
    _in("viz", "weights predictions"): {
        "images": "(n, height, width).",
        "truths": "The classes (n) that are right.",
        "guesses": "The classes (n) that were found.",
        "probabilities": "How sure that was, (n).",
    },
    "viz.Graph.save": {
        "path": "The path of the file, which ends in .svg or .dot.",
    },
    # Derivatives and programs
    ("pure_callback debug.callback debug.print program eval_shape cost sparsity hessian_sparsity sparse.*"): {
        "function": "A function of trees of tensors.",
        "*args": "Its arguments: trees.",
        "**kwargs": "Its arguments by name: trees.",
    },
    "pure_callback": {
        "function": "Any Python function of the arguments, with no effect but its result.",
        "results": "A tree like the result: of each tensor a shape and a dtype.",
        "vmap_method": "'sequential', or 'broadcast_all': one call with an axis of examples in front.",
        "returns": "A tree of tensors like `results`.",
    },
    "debug.print": {
        "text": "What is printed, with {} as in str.format.",
    },
    "program": {
        "returns": "Program or callable :: What runs what was recorded; without arguments, what records.",
    },
    "eval_shape": {
        "returns": "A tree of td.ShapeDtypeStruct.",
    },
    "load_program Program.load": {
        "device": "Where it runs; by default where it was recorded.",
        "returns": "What is called as the recorded function was.",
    },
    "Program": {
        "recorded": "What `td.program` recorded; users call that.",
        "structure": "Of the tuple of all arguments.",
        "leaves": "Of the arguments, None where a tensor goes.",
        "output_structure": "Of the result.",
        "parameters": "The names of the arguments.",
        "keywords": "How many of them, the last, are given by name.",
    },
    "compile": {
        "function": "The function, or a module; without one the result decorates a function.",
        "check": "How many calls of each recording are compared with the function.",
        "donate": "Positions or names of arguments whose memory results may be made in.",
        "returns": "CompiledFunction :: Is called like the function; its `explain(*args)` says what runs.",
    },
    "cost": {
        "argnums": "By which positional arguments to differentiate.",
        "matrix": "Whether the Hessian or Jacobian is counted; by default up to 1024 elements.",
        "returns": "report['gradient']['flops']['total'] and so on; printed, a table.",
    },
    "Cost": {
        "counts": "The counts of each function, by name.",
    },
    "Cost.ratio": {
        "name": "Whose figure.",
        "figure": "'flops', 'bytes', 'peak_bytes', 'calls' or another of the counts.",
        "to": "Divided by whose.",
        "returns": "inf where the other's is 0.",
    },
    "Cost.json": {
        "returns": "A JSON object.",
    },
    "check_grads": {
        "function": "A function of trees of tensors.",
        "args": "A tuple of trees, float64 where that is possible.",
        "order": "Up to which order derivatives are checked.",
        "modes": "'fwd', 'rev' or both.",
        "atol": "The error allowed in any case.",
        "rtol": "The error allowed, as a share of the derivative.",
        "eps": "The step of the differences.",
        "seed": "Of the random directions.",
    },
    "custom_jvp custom_vjp": {
        "function": "The function, of positional trees of tensors.",
    },
    "custom_jvp.defjvp": {
        "rule": "Takes (primals, tangents) to (result, its tangent).",
        "returns": "The rule.",
    },
    "custom_vjp.defvjp": {
        "forward": "Takes the arguments to (result, residuals).",
        "backward": "Takes (residuals, cotangent) to a tuple of cotangents, one an argument.",
    },
    "custom_linear_solve custom_root implicit.*": {
        "f": "A function of x, and of the parameters where there are any.",
        "matvec": "A linear function of x.",
        "b": "The right-hand side, a tree like x.",
        "solve": "solve(matvec, b) gives an x, by whatever means.",
        "transpose_solve": "The same for the transposed function; without it there is no reverse mode.",
        "symmetric": "Whether the function is its own transpose.",
        "initial_guess": "Where the search begins, a tree.",
        "x0": "Where the search begins: a tree like x.",
        "*params": "What the solution is a function of: trees.",
        "tol": "It ends where no element changes by more than tol max(1, max |x|).",
        "gtol": "It ends where the norm of the gradient is at most that.",
        "max_iter": "How many iterations there are at most.",
        "method": "One of td.optim.minimize's.",
        "**options": "Those of the method.",
        "tangent_solve": "tangent_solve(g, y) solves the linear g(x) = y; by default by the matrix of g.",
        "returns": "The solution, a tree like the first guess.",
    },
    "laplacian biharmonic": {
        "function": "Of one tensor among its arguments.",
        "argnums": "By which positional argument to differentiate.",
        "samples": "Over how many random directions to average; by default it is exact.",
        "key": "A key (`td.random.key`) for the directions.",
        "chunk_size": "How many directions at once; by default as many as fit into 512 MB.",
        "returns": "A function of the same arguments, whose result is like the function's.",
    },
    "odeint": {
        "f": "f(y, t, *params), the derivative of y by t, like y.",
        "y0": "y at ts[0]: a tree of floating-point tensors.",
        "ts": "Times, a vector in rising or falling order.",
        "*params": "Trees, by which there are derivatives.",
        "rtol": "The error allowed in a step, as a share of |y|.",
        "atol": "The error allowed in a step, in any case.",
        "method": "'dopri5'.",
        "mode": "'checkpoint' or 'adjoint': what reverse mode does.",
        "max_steps": "How many steps are tried at most.",
        "returns": "A tree like y0, with the times along a new axis 0.",
    },
    "is_differentiable_at classify_stationary_point taylor Taylor jet": {
        "function": "A function of trees of tensors.",
        "x": "The argument, any pytree; a tuple is the tuple of arguments.",
        "directions": "Along how many random directions to look.",
        "seed": "Of the random directions.",
        "rtol": "Up to which share of the largest an eigenvalue counts as 0.",
        "order": "The order of the polynomial, from 0 on.",
        "primals": "The tuple of arguments x(0).",
        "series": "For each of them the list of its derivatives by t, of which None is zero.",
        "has_aux": "Whether the function returns (value, aux).",
    },
    "is_differentiable_at": {
        "returns": "True in an `if` where there is no objection; `objections` has them.",
    },
    "classify_stationary_point": {
        "returns": "Its `kind`, eigenvalues and directions.",
    },
    "taylor": {
        "returns": "A function of the step p, with `value` and `coefficients`.",
    },
    "jet": {
        "returns": "tuple :: (value, the list of its derivatives by t), and aux where there is one.",
    },
    "autocast": {
        "dtype": "In which products are computed: bfloat16 or float16.",
        "device": "'cpu' or 'cuda', where only tensors there are concerned.",
        "enabled": "With False dtypes are as they are without it.",
    },
    "detect_nan": {
        "infinities": "Whether infinities count, too.",
        "stop": "Whether the first one raises.",
    },
    "no_grad enable_grad": {
        "function": "What is decorated; without it this is a scope.",
    },
    "profile.table": {
        "by": "'name', 'operands' or 'source': what is summed.",
        "limit": "How many lines are shown.",
        "returns": "The table.",
    },
    "set_printoptions": {
        "precision": "Digits behind the point.",
        "threshold": "Of more elements only the edges are printed.",
        "edgeitems": "How many elements are printed at each edge.",
        "linewidth": "Characters of a line.",
        "suppress": "Whether no number is written with an exponent.",
    },
    "finfo iinfo": {
        "type": "A dtype, or a tensor whose dtype is meant.",
    },
    "finfo": {
        "returns": "bits, eps, max, min, smallest_normal, dtype.",
    },
    "iinfo": {
        "returns": "bits, max, min, dtype.",
    },
    "isdtype": {
        "dtype": "A dtype.",
        "kind": "A dtype, a name such as 'integral', or a tuple of these.",
        "returns": "Whether it is of that kind.",
    },
    "can_cast": {
        "from_": "A dtype, or a tensor whose dtype is meant.",
        "to": "A dtype.",
        "returns": "Whether promotion of both gives `to`.",
    },
    "ShapeDtypeStruct": {
        "shape": "A tuple, or one integer.",
        "dtype": "A dtype.",
        "device": "Where the tensor lies; None: on the default device.",
    },
    _in("special", "gammainc gammaincc"): {
        "a": "The shape, above 0: a number or a tensor.",
        "x": "From 0 on; the shapes broadcast.",
        "returns": "In [0, 1], in the floating-point dtype to which both are promoted.",
    },
    _in("special", "betainc betaincc betaincinv"): {
        "a": "The first shape, above 0: a number or a tensor.",
        "b": "The second shape, above 0.",
        "x": "In [0, 1]; all shapes broadcast.",
        "p": "In [0, 1]; all shapes broadcast.",
        "returns": "In [0, 1], in the floating-point dtype to which all are promoted.",
    },
    # Sparse matrices
    "sparsity hessian_sparsity sparse.*": {
        "argnums": "By which positional arguments to differentiate.",
        "mode": "'auto', 'fwd' or 'rev', of a Hessian 'symmetric', 'star' or 'acyclic'.",
        "pattern": "Where elements may be other than 0: a Sparsity, or what makes one; by default it "
        "is found.",
        "has_aux": "Whether the function returns (value, aux).",
        "strict": "Whether an argument of which the result does not depend is an error.",
        "chunk_size": "How many products at once; by default all.",
        "data": "The elements (nnz), row by row.",
        "indices": "Their columns (nnz), int64.",
        "indptr": "Where each row begins (rows + 1), int64.",
        "shape": "(rows, columns).",
        "matrix": "A scipy.sparse matrix of any format.",
        "dtype": "The dtype of the elements; by default that of the matrix.",
        "device": "Where the elements lie; by default on the default device.",
        "parts": "[data].",
        "places": "What `tree_flatten` gave beside it.",
    },
    "sparsity hessian_sparsity sparse.sparsity sparse.hessian_sparsity": {
        "returns": "The pattern, and which columns or rows are computed together.",
    },
    _in("sparse", "jacobian hessian"): {
        "returns": "A function of the same arguments, which gives a CSR.",
    },
    "sparse.CSR.from_scipy": {
        "returns": "A copy.",
    },
    "sparse.CSR.to_scipy sparse.Sparsity.to_scipy": {
        "returns": "csr_array :: Of scipy.sparse.",
    },
    "sparse.CSR.to_dense sparse.Sparsity.to_dense": {
        "returns": "(rows, columns).",
    },
    # What is left
    "stop_gradient": {
        "tree": "A tensor, or a tree of tensors.",
        "returns": "Like the tree; views that no derivative sees.",
    },
    "random.choice": {
        "x": "An integer n for range(n), or a tensor.",
        "shape": "How many are drawn, and in which shape.",
        "replace": "Whether a slice may come more than once.",
        "p": "Weights (n), at least 0; by default all are equal.",
        "returns": "int64 of `shape`, or of the dtype of x with `shape` in place of the axis.",
    },
    "nn.Threshold": {
        "threshold": "What x must exceed.",
        "value": "The result elsewhere.",
    },
    "nn.MultiMarginLoss": {
        "p": "The power, 1 or 2.",
    },
    _in("nn", "TripletMarginLoss PairwiseDistance"): {
        "p": "The order of the norm.",
        "eps": "A small number that is added to differences.",
    },
    "nn.CosineSimilarity": {
        "axis": "The axis along which the vectors lie.",
        "eps": "The least norm that is divided by.",
    },
    "nn.SmoothL1Loss": {
        "beta": "Where the loss goes from a square to a line, at least 0.",
    },
    "nn.Module.extra_repr": {
        "returns": "The options, as text.",
    },
    _in("nn.Module", "children modules named_children named_modules"): {
        "returns": "The modules, in the order in which they were set; of named ones (name, module).",
    },
    _in("nn.Module", "parameters buffers named_parameters named_buffers params"): {
        "returns": "The tensors, each once; names are dotted.",
    },
    "nn.Module.state_dict": {
        "returns": "Tensors by their dotted names.",
    },
    _in("nn.Module", "eval cpu float double"): {
        "returns": "This module.",
    },
    (
        "nn.ModuleList.append nn.ModuleList.extend nn.Sequential.append nn.Sequential.extend "
        "nn.ParameterList.append"
    ): {
        "returns": "This list.",
    },
    (
        "nn.ModuleDict.items nn.ModuleDict.keys nn.ModuleDict.values nn.ParameterDict.items "
        "nn.ParameterDict.keys nn.ParameterDict.values"
    ): {
        "returns": "In the order in which they were set.",
    },
    "nn.ConvTranspose1d.forward nn.ConvTranspose2d.forward nn.ConvTranspose3d.forward": {
        "x": "(N, in_channels, ..) or (in_channels, ..).",
        "output_size": "The extents of the result, of those that a convolution takes to those of x.",
        "returns": "(N, out_channels, ..) or (out_channels, ..).",
    },
    "distributions.Distribution.entropy": {
        "returns": "Of shape batch_shape.",
    },
    "optim.GradScaler.get_scale": {
        "returns": "A Python number.",
    },
    (
        "optim.GradScaler.state_dict optim.Optimizer.state_dict optim.ReduceLROnPlateau.state_dict "
        "optim.Schedule.state_dict data.DataLoader.state_dict"
    ): {
        "returns": "What `load_state_dict` takes, and td.save writes.",
    },
    "optim.Optimizer": {
        "**options": "Those of the subclass: its learning rate and so on.",
    },
    _in("optim", "Report LeastSquaresReport RootReport"): {
        "x": "The point, like the one at the start.",
        "value": "The function there, or half the sum of squares.",
        "values": "The elements of the function there, (n).",
        "norm": "The norm of the values.",
        "gradient_norm": "The norm of the gradient, over all leaves.",
        "iterations": "How many there were.",
        "f_evaluations": "How often the function was computed.",
        "gradient_evaluations": "How often its gradient or Jacobian was computed.",
        "hvp_evaluations": "How often second derivatives along a direction were computed.",
        "jacobian_evaluations": "How often the Jacobian was computed.",
        "curvature_evaluations": "How often second derivatives along a step were computed.",
        "converged": "Whether it is a solution.",
        "reason": "A sentence that says why it ended.",
        "residuals": "The residuals at x, a vector (m).",
        "jacobian": "The Jacobian at x, (m, n).",
    },
    "data.images.*": {
        "key": "A key (`td.random.key`).",
        "p": "The probability, in [0, 1].",
        "x": "Images (.., height, width) or (.., channels, height, width).",
    },
    _in("data.images", "hflip vflip random_vflip"): {
        "returns": _AS_X,
    },
    "viz.Graph": {
        "nodes": "The nodes, in the order in which they were computed.",
    },
    _in("cuda", "* Stream Event"): {
        "allow": "Whether they may.",
        "blocking": "Whether each is waited for.",
        "bytes": "How many bytes may be in use at once; 0 takes the limit away.",
        "checked": "Whether every access of every kernel is checked.",
        "device": "A device, its name or its number; by default the current one.",
        "enable_timing": "Whether times between events can be asked for.",
        "library": "'auto', 'cublas' or 'tidu'.",
        "on": "Whether they do.",
        "priority": "A lower number goes first.",
        "stream": "A stream; by default the current one.",
    },
    (
        "cuda.Event.record cuda.Event.wait cuda.Stream.wait_stream cuda.Stream.wait_event "
        "cuda.Event.elapsed_time"
    ): {
        "stream": "A stream; by default the current one.",
        "event": "An event that was recorded.",
        "later": "An event that was recorded later.",
    },
    "cuda.stream": {
        "stream": "The stream, or None for no change.",
    },
    "cuda.Event.query cuda.Stream.query": {
        "returns": "A Python bool.",
    },
    "cuda.Event.elapsed_time": {
        "returns": "Milliseconds.",
    },
    _in("cuda", "current_device device_count"): {
        "returns": "A number.",
    },
    _in("cuda", "current_stream default_stream"): {
        "returns": "A stream of that device.",
    },
    _in("cuda", "device stream traffic"): {
        "returns": "For a `with` statement.",
    },
    "cuda.get_device_capability": {
        "returns": "(major, minor).",
    },
    _in("cuda", "get_device_name get_matmul"): {
        "returns": "A name.",
    },
    "cuda.get_device_properties": {
        "returns": "With an attribute for each property.",
    },
    _in("cuda", "is_available is_blocking is_emulated is_tf32_allowed uses_graphs"): {
        "returns": "A Python bool.",
    },
    _in("cuda", "max_memory_allocated memory_allocated memory_reserved"): {
        "returns": "A number of bytes.",
    },
    "cuda.memory_stats": {
        "returns": "Numbers of bytes and of calls, by name.",
    },
    "cuda.why_not": {
        "returns": "The reason; None where it is available.",
    },
    "sparse.CSR.tree_flatten": {
        "returns": "([data], places).",
    },
    "sparse.CSR.tree_unflatten": {
        "returns": "The matrix.",
    },
    (
        "optim.GaussNewton.step optim.GaussNewton.state_dict optim.GradientDescent.step "
        "optim.GradientDescent.state_dict optim.GradientFlow.step optim.GradientFlow.state_dict "
        "optim.LBFGS.step optim.LBFGS.state_dict optim.LevenbergMarquardt.step "
        "optim.LevenbergMarquardt.state_dict optim.NewtonCG.step optim.NewtonCG.state_dict"
    ): {
        "closure": "Gives the loss, or the residuals, for the present values of the parameters.",
        "returns": "Of step: the loss, or half the sum of squares, at the start.",
    },
    (
        "optim.GaussNewton.state_dict optim.GradientDescent.state_dict optim.GradientFlow.state_dict "
        "optim.LBFGS.state_dict optim.LevenbergMarquardt.state_dict optim.NewtonCG.state_dict"
    ): {
        "returns": "What `load_state_dict` takes, and td.save writes.",
    },
    _in("nn", "CrossEntropyLoss NLLLoss MultiMarginLoss MultiLabelSoftMarginLoss"): {
        "weight": "(C): what each class counts; by default 1.",
    },
    _in("nn", "BCELoss BCEWithLogitsLoss"): {
        "weight": "Numbers that broadcast to the shape of the targets, by which losses are multiplied.",
    },
    _in("nn", "ConvTranspose1d ConvTranspose2d ConvTranspose3d"): {
        "padding": "How much is taken away at both ends of an axis: a number for all axes, or one for each.",
    },
    _in("nn", "MaxPool1d MaxPool2d MaxPool3d"): {
        "padding": "How many elements that are no maximum are put at both ends of an axis.",
    },
    _in(
        "nn",
        "MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d LPPool1d LPPool2d LPPool3d",
    ): {
        "stride": "The distance between windows: a number for all axes, or one for each; by default "
        "kernel_size.",
    },
    _in("nn", "ChannelShuffle channel_shuffle"): {
        "groups": "Into how many groups the channels are parted, which then take turns.",
    },
    "optim.ReduceLROnPlateau": {"eps": "Changes of a learning rate by less than this are left out."},
    "dtype": {
        "dtype": "A dtype, its name, or what stands for one: NumPy's dtypes, bool, int, float, complex."
    },
    "bucketize digitize histogram histogram_bin_edges": {"x": "Of any shape and real dtype."},
    _in("nn", "max_pool1d max_pool2d max_pool3d"): {
        "returns": "Tensor or tuple of Tensor :: (N, C, ..) or (C, ..), of extents "
        "(s + 2 padding - (kernel - 1) dilation - 1) // stride + 1; with return_indices int64 places, too.",
    },
    _in("nn", "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"): {
        "returns": "Tensor or tuple of Tensor :: (N, C, ..) or (C, ..), of the extents of output_size; "
        "with return_indices int64 places, too.",
    },
}

# What raises what, beside arguments of other types.
_ERRORS: dict[str, dict[str, str]] = {
    "reshape Tensor.reshape": {
        "ShapeError": "For another number of elements.",
    },
    "permute_dims Tensor.permute_dims": {
        "ValueError": "Where axes are missing or named twice.",
    },
    "broadcast_to": {
        "ShapeError": "Where x does not broadcast to the shape.",
    },
    "squeeze": {
        "ShapeError": "For an axis of another extent than 1.",
    },
    "concat stack": {
        "ShapeError": "For shapes that do not fit.",
    },
    "split": {
        "ShapeError": "Where the axis does not divide into these parts.",
    },
    "take take_along_axis gather index_add": {
        "IndexError": "For an index out of range; on device cuda when it is next waited for.",
    },
    "scatter_add scatter_set scatter_multiply scatter_min scatter_max": {
        "IndexError": "For an index out of range; on device cuda when it is next waited for.",
    },
    "sum prod mean var std sum_of_squares any all count_nonzero median": {
        "IndexError": "For an axis that x has not.",
    },
    "max min argmax argmin aminmax": {
        "ValueError": "Of no elements.",
    },
    "matmul einsum": {
        "ShapeError": "For extents that do not fit.",
    },
    "trace": {
        "ShapeError": "For less than two axes.",
    },
    "cross": {
        "ShapeError": "For another extent than 3.",
    },
    "moveaxis": {
        "ValueError": "For different numbers of axes, or one that is named twice.",
    },
    "topk kthvalue": {
        "ValueError": "For a k that there is not.",
    },
    "bincount": {
        "ValueError": "For a negative integer.",
    },
    "quantile nanquantile": {
        "ValueError": "For a number q outside of [0, 1].",
    },
    "cumulative_sum cumulative_prod cummax cummin logcumsumexp": {
        "ValueError": "Without an axis, of more than a vector.",
    },
    "arange": {
        "ValueError": "For a step of 0.",
    },
    "tensor": {
        "ShapeError": "For sequences of different lengths.",
    },
    _in("linalg", "inv solve"): {
        "ValueError": "For a singular matrix, which it names with its pivot.",
        "ShapeError": "For matrices that are not square.",
    },
    "linalg.cholesky": {
        "ValueError": "For a matrix that is not positive definite: it names the leading minor.",
    },
    _in("linalg", "eigh eigvalsh det slogdet"): {
        "ShapeError": "For matrices that are not square.",
    },
    _in("linalg", "svd svdvals qr"): {
        "ShapeError": "For less than two axes.",
    },
    "linalg.lstsq": {
        "ShapeError": "Where b does not fit a.",
    },
    _in("nn", "cross_entropy nll_loss"): {
        "ShapeError": "For targets of another shape.",
        "IndexError": "For a class index out of range.",
    },
    _in("nn", "mse_loss l1_loss huber_loss smooth_l1_loss"): {
        "ShapeError": "For a target of another shape.",
        "ValueError": "For another reduction.",
    },
    "nn.gaussian_nll_loss": {
        "ValueError": "For a negative variance.",
    },
    _in("nn", "conv1d conv2d conv3d"): {
        "ShapeError": "For a kernel that is larger than x with its padding.",
        "ValueError": "For groups that do not divide the channels.",
    },
    _in("nn", "max_pool1d max_pool2d max_pool3d"): {
        "ShapeError": "For a window that is larger than x with its padding.",
    },
    "nn.linear": {
        "ShapeError": "Where the last extent of x is not `inputs`.",
    },
    "nn.embedding": {
        "IndexError": "For an index out of range; on device cuda when it is next waited for.",
    },
    "nn.dropout": {
        "ValueError": "For a p outside of [0, 1].",
    },
    _in("nn", "layer_norm rms_norm"): {
        "ShapeError": "Where x does not end with `shape`.",
    },
    "nn.glu": {
        "ShapeError": "For an odd extent.",
    },
    "nn.group_norm": {
        "ValueError": "For groups that do not divide the channels.",
    },
    "random.key": {
        "ValueError": "For another number.",
    },
    "random.randint": {
        "ValueError": "For an empty range.",
    },
    "Tensor.backward": {
        "ShapeError": "Without a gradient, of more than one element.",
    },
    "Tensor.item": {
        "ShapeError": "Of another number of elements than one.",
    },
    "Tensor.numpy": {
        "GradientError": "Of a tensor that is being differentiated.",
    },
    "astype": {
        "DTypeError": "Of complex numbers to a real dtype but bool.",
    },
    "masked_select": {
        "DTypeError": "For a mask that is not bool.",
    },
    "index_put": {
        "ShapeError": "For values that do not broadcast.",
    },
}

OF: dict[str, dict[str, str]] = {}
for _names, _meanings in _GROUPS.items():
    for _name in _names.split():
        OF.setdefault(_name, {}).update(_meanings)
ERRORS = {_name: _errors for _names, _errors in _ERRORS.items() for _name in _names.split()}
