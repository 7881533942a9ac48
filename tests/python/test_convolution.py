"""Convolutions, poolings, changes of size and norms of channels, against their definitions. (Values,
derivatives and layouts of the primitives: samplers/windows.py.)"""

import itertools

import numpy as np
import pytest
import tidu as td
from samplers.windows import convolution, transposed
from scipy import signal
from tidu import nn
from tidu.nn import functional as F


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def t(x, dtype=None):
    return td.tensor(x) if dtype is None else td.tensor(x).astype(dtype)


def close(got, want, tolerance=1e-12):
    np.testing.assert_allclose(got.detach().cpu().numpy(), want, rtol=tolerance, atol=tolerance)


# --- Convolutions


def test_one_channel_is_what_scipy_computes(rng):
    for rank, shape, kernel in ((1, (9,), (4,)), (2, (6, 7), (3, 2)), (3, (4, 5, 3), (2, 3, 2))):
        x, w = rng.standard_normal(shape), rng.standard_normal(kernel)
        conv = getattr(F, f"conv{rank}d")
        close(conv(t(x[None]), t(w[None, None]))[0], signal.correlate(x, w, "valid"))
        full = getattr(F, f"conv_transpose{rank}d")(t(x[None]), t(w[None, None]))[0]
        close(full, signal.convolve(x, w, "full"))


@pytest.mark.parametrize("padding", [0, 2, (1, 0), "same", "valid"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, (1, 2)), ((2, 3), 1)])
def test_conv2d_with_all_options(rng, padding, stride, dilation):
    if padding == "same" and stride != 1:
        with pytest.raises(ValueError, match=r"\[conv2d\] padding 'same' takes stride 1, not \(2, 3\)"):
            F.conv2d(td.ones((1, 2, 8, 8)), td.ones((2, 2, 2, 2)), stride=stride, padding=padding)
        return
    x, w, b = (rng.standard_normal(s) for s in ((2, 4, 7, 6), (6, 2, 3, 2), (6,)))
    down, across = (dilation, dilation) if dilation == 1 else dilation
    kernel = np.zeros((6, 2, 2 * down + 1, across + 1))
    kernel[:, :, ::down, ::across] = w  # a dilated kernel has zeros between its elements
    if padding == "same":
        widths = [(r // 2, r - r // 2) for r in (2 * down, across)]
    else:
        widths = [(p, p) for p in {0: (0, 0), 2: (2, 2), "valid": (0, 0)}.get(padding, padding)]
    padded = np.pad(x, [(0, 0), (0, 0), *widths])
    want = convolution(padded, kernel, b, groups=2)
    if stride != 1:
        want = want[:, :, ::2, ::3]
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": 2}
    y = F.conv2d(t(x), t(w), t(b), **how)
    close(y, want)
    close(F.conv2d(t(x[0]), t(w), t(b), **how), want[0])


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16])
def test_halves_are_summed_in_float32(rng, dtype):
    x, w = t(rng.standard_normal((1, 64, 6, 6)), dtype), t(rng.standard_normal((3, 64, 3, 3)), dtype)
    exact = convolution(*(a.astype(td.float64).cpu().numpy() for a in (x, w)))
    epsilon = {td.float16: 2**-11, td.bfloat16: 2**-8}[dtype]
    got = F.conv2d(x, w).astype(td.float64).cpu().numpy()
    # One rounding of a sum in float32.
    assert (np.abs(got - exact) <= epsilon * np.abs(exact) + 1e-3 * epsilon).all()


def test_large_sums_are_cut(rng):
    """Blocks, pieces of a sum, several images in a block."""
    for x, w, how in (
        ((3, 40, 5, 5), (70, 40, 3, 3), {"padding": 1}),
        ((1, 3, 40, 41), (5, 3, 3, 3), {"stride": 2}),
        ((70, 2, 4, 4), (3, 2, 4, 4), {}),
        ((2, 600, 1, 1), (65, 600, 1, 1), {}),
        ((1, 500, 5, 5), (8, 500, 3, 3), {"padding": 1}),  # in two parts
        ((1, 1000, 5, 5), (16, 500, 3, 3), {"padding": 1, "groups": 2}),
        ((2, 700, 5, 5), (5, 700, 3, 3), {"padding": 1}),  # in three
    ):
        a, b = rng.standard_normal(x), rng.standard_normal(w)
        close(F.conv2d(t(a), t(b), **how), convolution(a, b, **how), 1e-11)


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
@pytest.mark.parametrize(
    ("shape", "kernel", "how"),
    [
        ((2, 3, 9, 8), (16, 3, 3, 3), {}),
        ((3, 4, 13, 17), (19, 4, 3, 2), {"padding": 2}),
        ((2, 34, 8, 10), (40, 17, 3, 3), {"stride": 2, "padding": 1, "groups": 2}),
        ((2, 17, 9, 7), (33, 17, 2, 3), {"dilation": 2, "padding": 1}),
        ((1, 18, 30), (20, 18, 5), {"stride": 3, "padding": 2}),
        ((2, 2, 4, 5, 6), (24, 2, 2, 3, 2), {"padding": 1}),
        ((2, 300, 3, 3), (16, 300, 3, 3), {"padding": 1}),
        ((40, 16, 5, 5), (16, 16, 1, 1), {}),
        # In several blocks both of outputs and of places
        ((3, 17, 6, 7), (130, 17, 3, 3), {"padding": 1}),
        ((1, 34, 9, 10), (140, 17, 3, 3), {"padding": 1, "groups": 2}),
        ((9, 2, 8, 8), (1040, 2, 1, 1), {}),
        ((2, 16, 1, 1), (16, 16, 3, 3), {"padding": 3}),  # outputs that meet with nothing
    ],
)
def test_many_outputs(rng, shape, kernel, how, dtype):
    """Vectors of outputs, or of what their gradients are."""
    conv = getattr(F, f"conv{len(shape) - 2}d")
    x, w, b = (rng.standard_normal(s) for s in (shape, kernel, kernel[:1]))
    want = convolution(x, w, b, **how)
    g = rng.standard_normal(want.shape)
    y, pull = td.vjp(lambda x, w, b: conv(x, w, b, **how), *(t(a, dtype) for a in (x, w, b)))
    of_x, of_w, of_b = pull(t(g, dtype))
    tolerance = {td.float32: 1e-4, td.float64: 1e-11}[dtype]
    close(y, want, tolerance)
    stride, padding, dilation, groups = (
        how.get(k, d) for k, d in (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1))
    )
    (rest,) = {
        (n + 2 * padding - dilation * (k - 1) - 1) % stride
        for n, k in zip(shape[2:], kernel[2:], strict=True)
    }
    close(of_x, transposed(g, w, output_padding=rest, **how), tolerance)
    of_kernels = [
        convolution(
            some_x.swapaxes(0, 1), some_g.swapaxes(0, 1), stride=dilation, padding=padding, dilation=stride
        ).swapaxes(0, 1)
        for some_x, some_g in zip(np.split(x, groups, 1), np.split(g, groups, 1), strict=True)
    ]
    within = (slice(None), slice(None), *(slice(k) for k in kernel[2:]))
    close(of_w, np.concatenate(of_kernels)[within], tolerance)
    close(of_b, g.sum((0, *range(2, g.ndim))), tolerance)


@pytest.mark.cpu_only("the threads of the cpu")
@pytest.mark.parametrize(("channels", "outputs"), [(5, 8), (20, 24)])
def test_the_number_of_threads_does_not_change_the_bits(rng, channels, outputs):
    x, w = (
        t(rng.standard_normal((6, channels, 24, 24)), td.float32),
        t(rng.standard_normal((outputs, channels, 3, 3)), td.float32),
    )

    def results():
        y, pull = td.vjp(lambda x, w: F.conv2d(x, w, stride=2, padding=1), x, w)
        return [a.numpy().tobytes() for a in (y, *pull(y), F.max_pool2d(x, 2))]

    before = td.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            td.set_num_threads(threads)
            found.append(results())
    finally:
        td.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("outputs", [4, 20])
@pytest.mark.parametrize("layout", ["permuted", "backwards", "repeated", "sliced"])
def test_any_layout(rng, layout, outputs):
    change = {
        "permuted": lambda a: td.permute_dims(td.copy(td.permute_dims(a, (3, 1, 0, 2))), (2, 1, 3, 0)),
        "backwards": lambda a: td.copy(a[:, ::-1, ::-1, ::-1])[:, ::-1, ::-1, ::-1],
        "repeated": lambda a: td.broadcast_to(a[:, :, :1], a.shape),
        "sliced": lambda a: td.pad(a, [(1, 1)] * 4)[1:-1, 1:-1, 1:-1, 1:-1],
    }[layout]
    x, w = change(t(rng.standard_normal((2, 3, 5, 6)))), change(t(rng.standard_normal((outputs, 3, 3, 2))))
    for stride in (1, 2):
        want = convolution(x.cpu().numpy(), w.cpu().numpy(), stride=stride, padding=1)
        close(F.conv2d(x, w, stride=stride, padding=1), want)
    want = transposed(x.cpu().numpy(), np.swapaxes(w.cpu().numpy(), 0, 1), stride=2)
    close(F.conv_transpose2d(x, td.swapaxes(w, 0, 1), stride=2), want)
    y = F.max_pool2d(x, 2)
    close(y, x.cpu().numpy()[:, :, :4].reshape(2, 3, 2, 2, 3, 2).max((3, 5)))


@pytest.mark.parametrize(
    ("name", "shapes", "how"),
    [
        ("conv1d", [(2, 4, 7), (2, 2, 3), (2,)], {"stride": 2, "padding": 2, "groups": 2}),
        (
            "conv2d",
            [(1, 2, 5, 4), (3, 2, 2, 3), (3,)],
            {"stride": (3, 2), "padding": (1, 2), "dilation": (2, 1)},
        ),
        ("conv3d", [(1, 1, 3, 4, 3), (2, 1, 2, 2, 2)], {"padding": 1, "stride": (1, 2, 1)}),
        ("conv_transpose1d", [(1, 2, 4), (2, 3, 3), (3,)], {"stride": 3, "output_padding": 2}),
        (
            "conv_transpose2d",
            [(1, 4, 3, 3), (4, 1, 2, 3)],
            {"stride": (2, 1), "groups": 2, "dilation": (1, 2)},
        ),
        ("conv_transpose3d", [(1, 1, 2, 2, 2), (1, 2, 2, 1, 2)], {"stride": 2, "padding": (1, 0, 1)}),
    ],
)
def test_derivatives_of_convolutions(rng, name, shapes, how):
    inputs = [t(rng.standard_normal(shape)) for shape in shapes]
    td.check_grads(lambda *a: td.sin(getattr(F, name)(*a, **how)), inputs, order=2)


def test_third_derivatives_of_a_convolution(rng):
    """Of x, w -> <c, x * w> only the mixed second derivatives are not 0; a cube has a third one."""
    x, w, u, v = (t(rng.standard_normal(s)) for s in ((1, 2, 4, 4), (2, 2, 2, 2), (1, 2, 4, 4), (2, 2, 2, 2)))
    how = {"stride": 2, "padding": 1}
    along = lambda s: td.sum(F.conv2d(x + s * u, w + s * v, **how) ** 2)
    third = td.grad(td.grad(td.grad(along)))(td.tensor(0.0, dtype=td.float64))
    a, b, c = F.conv2d(x, w, **how), F.conv2d(u, w, **how) + F.conv2d(x, v, **how), F.conv2d(u, v, **how)
    close(third, 12 * td.sum(b * c).cpu().numpy(), 1e-10)
    assert a.shape == c.shape


@pytest.mark.parametrize("axes", [(0, None, None), (None, 0, None), (0, 0, None), (0, 0, 0), (1, None, 0)])
def test_lanes(rng, axes):
    shapes = ((2, 4, 5, 4), (6, 2, 3, 2), (6,))
    inputs = [
        rng.standard_normal((*s[:a], 3, *s[a:]) if a is not None else s)
        for s, a in zip(shapes, axes, strict=True)
    ]
    f = lambda x, w, b: F.conv2d(x, w, b, padding=1, stride=2, groups=2)
    got = td.vmap(f, in_axes=axes)(*map(t, inputs))
    for lane in range(3):
        one = [a if axis is None else np.take(a, lane, axis) for a, axis in zip(inputs, axes, strict=True)]
        close(got[lane], convolution(*one, padding=1, stride=2, groups=2))


def test_empty_batches_and_small_kernels(rng):
    w, b = t(rng.standard_normal((3, 2, 2, 2))), t(rng.standard_normal(3))
    assert F.conv2d(td.zeros((0, 2, 4, 4), dtype=td.float64), w, b).shape == (0, 3, 3, 3)
    grads = td.grad(
        lambda w, b: F.conv2d(td.zeros((0, 2, 4, 4), dtype=td.float64), w, b).sum(), argnums=(0, 1)
    )(w, b)
    assert all((g.cpu().numpy() == 0).all() for g in grads)
    x = rng.standard_normal((2, 2, 3, 4))
    close(F.conv2d(t(x), t(x[:, :, :1, :1])), np.einsum("nchw,kc->nkhw", x, x[:, :, 0, 0]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x, w: F.conv2d(x, w, dilation=4),
            td.ShapeError,
            r"\[conv2d\] the kernel of .* reaches over 9 .* more than the 6 ",
        ),
        (
            lambda x, w: F.conv2d(x, w, groups=3),
            ValueError,
            r"\[conv2d\] 3 groups do not divide the 4 channels",
        ),
        (
            lambda x, w: F.conv2d(x, w, groups=2),
            td.ShapeError,
            r"does not fit .* in 2 groups: \(outputs, C / groups",
        ),
        (lambda x, w: F.conv2d(x[0, 0], w), td.ShapeError, r"\[conv2d\] takes x of 4 axes"),
        (lambda x, w: F.conv2d(x, w[0]), td.ShapeError, r"the weight .* must have 4 axes"),
        (lambda x, w: F.conv2d(x, w, w), td.ShapeError, r"the bias .* must have shape \(6,?\)"),
        (lambda x, w: F.conv2d(x, w[:, :, :0]), td.ShapeError, "has no elements"),
        (lambda x, w: F.conv2d(x, w, stride=0), ValueError, r"\[conv2d\] stride must be at least 1"),
        (lambda x, w: F.conv2d(x, w, padding=-1), ValueError, r"\[conv2d\] padding must be at least 0"),
        (lambda x, w: F.conv2d(x, w, stride=(1, 2, 3)), ValueError, r"stride is a number or 2 of them"),
        (lambda x, w: F.conv2d(x, w, padding="full"), ValueError, r"'same', 'valid' or numbers, not 'full'"),
        (
            lambda x, w: F.conv2d(x.astype(td.int64), w.astype(td.int64)),
            td.DTypeError,
            r"\[conv2d\] takes floating-point",
        ),
        (
            lambda x, w: F.conv_transpose2d(x, w),
            td.ShapeError,
            r"\[conv_transpose2d\] the weight .* does not fit",
        ),
        (
            lambda x, w: F.conv_transpose2d(x, w[:4], stride=2, output_padding=2),
            ValueError,
            "output_padding .* must be less",
        ),
        (lambda x, w: F.conv_transpose2d(x, w[:4], padding=9), td.ShapeError, "leaves nothing"),
        (lambda x, w: nn.Conv2d(4, 6, 3, groups=4), ValueError, r"\[Conv2d\] 4 groups do not divide"),
        (
            lambda x, w: nn.Conv2d(4, 6, 3, padding_mode="odd"),
            ValueError,
            r"\[Conv2d\] padding_mode is one of",
        ),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(td.ones((2, 4, 6, 6)), td.ones((6, 4, 3, 3)))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_padding_modes_of_layers(rng, mode):
    layer = nn.Conv2d(2, 3, (3, 2), padding=(1, 2), padding_mode=mode, key=td.random.key(0), dtype=td.float64)
    x = rng.standard_normal((2, 2, 5, 4))
    how = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(mode, mode)
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (2, 2)], how)
    w, b = (p.detach().cpu().numpy() for p in (layer.weight, layer.bias))
    close(layer(t(x)), convolution(padded, w, b))
    same = nn.Conv2d(2, 3, (3, 2), padding="same", padding_mode=mode, key=td.random.key(0), dtype=td.float64)
    assert same(t(x)).shape == (2, 3, 5, 4)


def test_layers_of_convolutions(rng):
    layer = nn.Conv1d(4, 6, 3, stride=2, groups=2, bias=False)
    assert layer.weight.shape == (6, 2, 3) and layer.bias is None
    assert abs(layer.weight.detach().cpu().numpy()).max() <= 1 / np.sqrt(6)
    assert repr(layer) == (
        "Conv1d(4, 6, kernel_size=(3,), stride=(2,), padding=(0,), dilation=(1,), groups=2, "
        "padding_mode=zeros, bias=False)"
    )
    up = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2)
    assert up.weight.shape == (4, 3, 3, 3) and up(td.ones((1, 4, 5, 5))).shape == (1, 6, 9, 9)
    assert up(td.ones((1, 4, 5, 5)), output_size=(10, 9)).shape == (1, 6, 10, 9)
    with pytest.raises(ValueError, match=r"output_size is from \(9, 9\) to \(10, 10\), not \(12, 9\)"):
        up(td.ones((1, 4, 5, 5)), output_size=(12, 9))
    assert nn.Conv3d(1, 2, 2)(td.ones((1, 3, 3, 3))).shape == (2, 2, 2, 2)


# --- Poolings


def windows_of(extent, kernel, stride, padding, dilation, ceil_mode):
    """The elements of each window along an axis."""
    last = extent + padding - dilation * (kernel - 1) - 1
    begin = -padding
    windows = []
    while begin <= last or (ceil_mode and begin - stride < last and begin < extent):
        windows.append(list(range(begin, begin + dilation * (kernel - 1) + 1, dilation)))
        begin += stride
    return windows


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 0, 2), (2, 3, 1, 1), (3, 3, 1, 2)],
)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pools_by_their_windows(rng, kernel, stride, padding, dilation, ceil_mode):
    x = rng.integers(-4, 5, (2, 2, 7, 8)).astype(float)  # with ties, of which the first counts
    rows, columns = (windows_of(n, kernel, stride, padding, dilation, ceil_mode) for n in x.shape[2:])
    inside = lambda window, n: [i for i in window if 0 <= i < n]
    y, places = F.max_pool2d(t(x), kernel, stride, padding, dilation, ceil_mode, return_indices=True)
    assert y.shape == (2, 2, len(rows), len(columns)) and places.dtype == td.int64
    y, places = y.cpu().numpy(), places.cpu().numpy()
    pairs = list(itertools.product(enumerate(rows), enumerate(columns)))
    for (i, row), (j, column) in pairs:
        cells = list(itertools.product(inside(row, 7), inside(column, 8)))
        values = np.stack([x[:, :, a, b] for a, b in cells], -1)
        np.testing.assert_array_equal(y[:, :, i, j], values.max(-1))
        at = np.array([a * 8 + b for a, b in cells])[values.argmax(-1)]
        np.testing.assert_array_equal(places[:, :, i, j], at)
    if dilation > 1:
        return
    for include, divisor in ((True, None), (False, None), (True, 5)):
        got = F.avg_pool2d(t(x), kernel, stride, padding, ceil_mode, include, divisor).cpu().numpy()
        for (i, row), (j, column) in pairs:
            total = sum(x[:, :, a, b] for a, b in itertools.product(inside(row, 7), inside(column, 8)))
            if include:  # the padding counts, what reaches over it does not
                count = sum(a < 7 + padding for a in row) * sum(b < 8 + padding for b in column)
            else:
                count = len(inside(row, 7)) * len(inside(column, 8))
            np.testing.assert_allclose(got[:, :, i, j], total / (divisor or count), rtol=1e-13, atol=1e-13)


def test_windows_wider_than_what_there_is():
    """With ceil_mode there is one, of what there is, where its stride reaches as far as it lacks."""
    x = td.tensor([[[1.0, 3.0, 2.0]]])
    for kernel, stride, padding, fits in (
        (4, 4, 0, True),
        (5, 3, 0, True),
        (5, 2, 0, False),
        (6, 2, 1, True),
        (4, 1, 0, False),
    ):
        pools = {
            "max_pool1d": lambda: F.max_pool1d(x, kernel, stride, padding, ceil_mode=True),  # noqa: B023
            "avg_pool1d": lambda: F.avg_pool1d(x, kernel, stride, padding, ceil_mode=True),  # noqa: B023
        }
        if padding == 0:
            pools["lp_pool1d"] = lambda: F.lp_pool1d(x, 1.0, kernel, stride, ceil_mode=True)  # noqa: B023
        for name, pool in pools.items():
            if not fits:
                with pytest.raises(td.ShapeError, match=rf"\[{name}\] the window reaches over"):
                    pool()
                continue
            divisor = min(kernel - padding, 3 + padding) + padding
            want = {"max_pool1d": 3.0, "avg_pool1d": 6 / divisor, "lp_pool1d": 6.0}[name]
            np.testing.assert_allclose(pool().cpu().numpy(), [[[want]]], rtol=1e-6)
        with pytest.raises(td.ShapeError, match="the window reaches over"):
            F.max_pool1d(x, kernel + 2, stride, padding, ceil_mode=False)
    td.check_grads(
        lambda x: F.max_pool2d(x, (2, 4), ceil_mode=True), (t([[[0.5, 1.0, 2.0], [3.0, 0.0, 1.0]]]),)
    )


def test_adaptive_pools_by_their_parts(rng):
    x = rng.standard_normal((2, 3, 7, 5))
    parts = lambda n, count: [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
    for size, (h, w) in ((3, (3, 3)), ((7, 2), (7, 2)), ((None, 9), (7, 9)), (1, (1, 1))):
        largest, places = F.adaptive_max_pool2d(t(x), size, return_indices=True)
        cells = [[x[:, :, a:b, c:d] for c, d in parts(5, w)] for a, b in parts(7, h)]
        close(
            F.adaptive_avg_pool2d(t(x), size),
            np.moveaxis([[c.mean((2, 3)) for c in row] for row in cells], (0, 1), (2, 3)),
        )
        want = np.moveaxis([[c.max((2, 3)) for c in row] for row in cells], (0, 1), (2, 3))
        close(largest, want)
        picked = np.take_along_axis(x.reshape(2, 3, -1), places.cpu().numpy().reshape(2, 3, -1), -1)
        np.testing.assert_array_equal(picked.reshape(want.shape), want)
    close(nn.AdaptiveAvgPool1d(2)(t(x[0])), np.stack([x[0][..., :3].mean(-1), x[0][..., 2:].mean(-1)], -1))
    assert nn.AdaptiveMaxPool3d((2, None, 1))(t(x)).shape == (2, 2, 7, 1)


@pytest.mark.parametrize("dtype", [td.float16, td.float32, td.float64, td.int32], ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_largest_elements_alone_are_those_of_the_places(rng, rank, dtype):
    """Without indices values are found in another way, with the same bits."""
    size = {1: (701,), 2: (41, 19), 3: (13, 9, 7)}[rank]
    x = td.tensor(rng.integers(-3, 3, size=(2, 3, *size)), dtype=dtype)
    if dtype != td.int32:
        x = td.where(x == 2, td.nan, td.where(x == -2, -td.inf, td.where(x == 0, -0.0, x)))
    pool = getattr(F, f"max_pool{rank}d")
    for kernel, stride, padding, dilation in [
        (2, 2, 0, 1),
        (3, 2, 1, 1),
        (3, 1, 1, 2),
        (1, 2, 0, 1),
        (2, 5, 1, 3),
    ]:
        for ceil_mode in (False, True):
            want, _ = pool(x, kernel, stride, padding, dilation, ceil_mode, return_indices=True)
            got = pool(x, kernel, stride, padding, dilation, ceil_mode)
            np.testing.assert_array_equal(got.cpu().numpy(), want.cpu().numpy())
            assert (td.signbit(got) == td.signbit(want)).all()
            assert got.is_contiguous()


def test_ties_and_nan_of_max_pool():
    """The first of equal elements has the derivative; NaN is larger than all."""
    x = td.tensor([[1.0, 1.0, 0.0, float("nan"), 5.0, 2.0]])
    y, places = F.max_pool1d(x, 2, return_indices=True)
    np.testing.assert_array_equal(y.cpu().numpy(), [[1, np.nan, 5]])
    assert places.cpu().numpy().tolist() == [[0, 3, 4]]
    slope = td.vjp(lambda x: F.max_pool1d(x, 2), x)[1](td.ones((1, 3)))[0]
    assert slope.cpu().numpy().tolist() == [[1, 0, 0, 1, 1, 0]]


def test_pools_of_integers_and_halves(rng):
    x = rng.integers(-9, 9, (1, 6))
    assert F.max_pool1d(t(x), 2).cpu().numpy().tolist() == x.reshape(1, 3, 2).max(-1).tolist()
    half = t(rng.standard_normal((1, 2, 8)), td.float16)
    exact = half.astype(td.float64).cpu().numpy().reshape(1, 2, 2, 4).mean(-1)
    got = F.avg_pool1d(half, 4).astype(td.float64).cpu().numpy()
    assert (np.abs(got - exact) <= 2**-11 * np.abs(exact) + 1e-7).all()
    x = np.abs(rng.standard_normal((2, 6))) + 0.1
    close(F.lp_pool1d(t(x), 3, 2), (x.reshape(2, 3, 2) ** 3).sum(-1) ** (1 / 3))
    for call, error, message in (
        (lambda: F.avg_pool1d(t(np.ones((1, 4), int)), 2), td.DTypeError, r"\[avg_pool1d\] takes floating"),
        (lambda: F.max_pool1d(td.ones((1, 4)), 2, padding=2), ValueError, "more than half of the window"),
        (lambda: F.max_pool1d(td.ones((1, 4)), 6), td.ShapeError, "reaches over 6 elements, more than the 4"),
        (lambda: F.max_pool1d(td.ones((1, 1)), 2, padding=1, dilation=2), td.ShapeError, "has no element"),
        (lambda: F.max_pool2d(td.ones((4, 4)), 2), td.ShapeError, r"\[max_pool2d\] takes x of 4 axes"),
        (lambda: F.avg_pool1d(td.ones((1, 4)), 2, divisor_override=0), ValueError, "must not be 0"),
        (
            lambda: F.adaptive_avg_pool2d(td.ones((1, 4, 4)), (1, 2, 3)),
            ValueError,
            "output_size is a number or 2",
        ),
        (lambda: F.adaptive_max_pool1d(td.ones((1, 0)), 2), td.ShapeError, "no parts of an empty axis"),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16, td.float32, td.float64])
@pytest.mark.parametrize("p", [2.0, 3.0, 0.5, 40.0, np.inf])
def test_lp_pools_of_powers_out_of_range(p, dtype):
    """Each window beside SciPy's long double, whatever is in the others."""
    least, most = float(td.finfo(dtype).smallest_normal) * 64, float(td.finfo(dtype).max) / 64
    x = td.tensor([[[3.0, 4.0, 1.0, 0.0, 2.0, 2.0, 0.0, 0.0, 5.0]]], dtype=td.float64)
    sizes = td.tensor([least, least, least, 0.0, most / 16, most / 16, 0.0, 0.0, 1.0], dtype=td.float64)
    x = (x * sizes).astype(dtype)
    values = np.array(x.astype(td.float64).tolist(), np.longdouble)[0, 0]
    for kernel, stride, ceil_mode in (
        (2, 2, False),
        (3, 3, False),
        (9, 9, False),
        (2, 3, False),
        (2, 2, True),
    ):
        starts = range(0, 9 if ceil_mode else 10 - kernel, stride)
        windows = [values[i : i + kernel] for i in starts]
        scales = [w.max() or 1 for w in windows]
        if p == np.inf:
            want = [w.max() for w in windows]
        else:
            want = [
                ((w / m) ** p).sum() ** (1 / np.longdouble(p)) * m
                for w, m in zip(windows, scales, strict=True)
            ]
        got = F.lp_pool1d(x, p, kernel, stride, ceil_mode=ceil_mode)
        assert got.dtype == dtype
        np.testing.assert_allclose(
            np.array(got.astype(td.float64).tolist())[0, 0],
            np.array(want, float),
            rtol=4 * td.finfo(dtype).eps,
        )
    ones = F.lp_pool2d(x[..., :2].reshape(1, 1, 1, 2), p, (1, 2)).astype(td.float64).item()
    slope = td.grad(lambda x: F.lp_pool2d(x, p, (1, 2)).sum())(x[..., :2].reshape(1, 1, 1, 2))
    expected = (values[:2] == values[1]) if p == np.inf else (values[:2] / ones) ** (p - 1)
    np.testing.assert_allclose(
        np.array(slope.astype(td.float64).tolist()).ravel(),
        expected.astype(float),
        rtol=(8 + 4 * min(p, 40)) * td.finfo(dtype).eps,
    )


def test_lp_pools_of_zeros_are_constants():
    x = td.zeros((1, 1, 4), dtype=td.float64)
    for p in (2.0, 3.0, 0.5):
        f = lambda x, p=p: F.lp_pool1d(x, p, 2).sum()
        assert td.grad(f)(x).tolist() == [[[0.0] * 4]]
        assert not td.hessian(f)(x).any()
    assert td.grad(lambda x: F.lp_pool1d(x, 1.0, 2).sum())(x).tolist() == [[[1.0] * 4]]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.adaptive_max_pool2d(x, (3, 2)),
        lambda x: F.avg_pool2d(x, (3, 2), 2, 1, True, False),
        lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
        lambda x: F.lp_pool2d(td.exp(x), 3, 2),
        lambda x: F.interpolate(x, 7, mode="bicubic"),
        lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear", align_corners=True),
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: F.batch_norm(x, None, None, training=True),
        lambda x: F.group_norm(x, 2),
        lambda x: F.instance_norm(x),
        lambda x: F.local_response_norm(x, 3),
    ],
)
def test_derivatives_of_pools_and_norms(rng, f):
    x = t(rng.permutation(80).reshape(2, 2, 5, 4) / 20.0 - 2)  # no two closer than differences reach
    td.check_grads(lambda x: td.sin(f(x)), (x,), order=2)
    lanes = td.stack([x, 2 * x])
    np.testing.assert_allclose(
        td.vmap(f)(lanes)[1].cpu().numpy(), f(2 * x).cpu().numpy(), rtol=1e-12, atol=1e-12
    )


# --- Changes of size


def resized(x, count, step, mode, align):
    """Along the last axis, from weights of all elements."""
    n = x.shape[-1]
    y = np.zeros((*x.shape[:-1], count))
    for i in range(count):
        if mode in ("nearest", "nearest-exact"):
            y[..., i] = x[..., min(int((i + 0.5 * (mode == "nearest-exact")) * step), n - 1)]
            continue
        place = i * step if align else (i + 0.5) * step - 0.5
        if mode == "linear":
            place = max(place, 0)
        for k in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            d, a = abs(place - k), -0.75
            if mode == "linear":
                weight = max(1 - d, 0)
            elif d <= 1:
                weight = (a + 2) * d**3 - (a + 3) * d**2 + 1
            else:
                weight = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0
            y[..., i] += weight * x[..., min(max(k, 0), n - 1)]
    return y


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic"])
def test_interpolation_by_weights(rng, mode):
    rank = {"linear": 1, "trilinear": 3}.get(mode, 2)
    kind = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    x = rng.standard_normal((2, 2, 5, 4, 6)[: rank + 2])
    for align in (False, True) if kind in ("linear", "cubic") else (None,):
        for how in ({"size": (7, 3, 6)[:rank]}, {"scale_factor": 1.7}, {"scale_factor": 0.6}, {"size": 1}):
            want = x
            for axis in range(2, rank + 2):
                n = x.shape[axis]
                scale = how.get("scale_factor")
                size = how.get("size", 0)
                count = int(n * scale) if scale else (size if isinstance(size, int) else size[axis - 2])
                step = 1 / scale if scale else n / count
                if align:
                    step = (n - 1) / (count - 1) if count > 1 else 0
                want = np.moveaxis(resized(np.moveaxis(want, axis, -1), count, step, kind, align), -1, axis)
            close(F.interpolate(t(x), mode=mode, align_corners=align, **how), want)


def test_the_nearest_element_is_counted_in_integers():
    """For 2 elements that become 98, 49 * (2 / 98) is below 1."""
    for extent in (1, 2, 3, 7, 10):
        x = td.arange(extent).reshape(1, 1, -1)
        for size in (1, 2, 6, 49, 98, 103):
            k = np.arange(size)
            got = F.interpolate(x, size).cpu().numpy()[0, 0]
            np.testing.assert_array_equal(got, k * extent // size)
            got = F.interpolate(x, size, mode="nearest-exact").cpu().numpy()[0, 0]
            np.testing.assert_array_equal(got, (2 * k + 1) * extent // (2 * size))


def test_more_parts_than_elements():
    """Each is of one element or of two neighbours."""
    x = np.random.default_rng(1).normal(size=(2, 1, 5))
    for count in (6, 7, 10, 13):
        want = [x[..., 5 * k // count : -(-5 * (k + 1) // count)].mean(-1) for k in range(count)]
        got = F.adaptive_avg_pool1d(td.tensor(x), count)
        np.testing.assert_allclose(got.cpu().numpy(), np.stack(want, -1), rtol=1e-15)
    for pool in (F.adaptive_avg_pool1d, F.adaptive_max_pool1d):
        with pytest.raises(MemoryError):
            pool(td.ones((1, 1, 3)), 1 << 45)


def test_what_interpolate_refuses():
    x = td.ones((1, 2, 4, 4))
    for how, error, message in (
        ({}, ValueError, "either size or scale_factor"),
        ({"size": 3, "scale_factor": 2}, ValueError, "either size or scale_factor"),
        ({"size": 3, "mode": "linear"}, td.ShapeError, "mode 'linear' takes x of 3 axes"),
        ({"size": 3, "mode": "cubic"}, ValueError, "mode is 'nearest'"),
        ({"size": 3, "align_corners": True}, ValueError, "modes that weigh neighbours"),
        ({"scale_factor": 0.1}, td.ShapeError, "would become 0 elements"),
        ({"scale_factor": -1.0}, ValueError, "must be positive"),
        ({"size": 3, "antialias": True}, ValueError, "no antialias"),
    ):
        with pytest.raises(error, match=message):
            F.interpolate(x, **how)
    counts = t(np.arange(4).reshape(1, 1, 4))
    assert F.interpolate(counts, 8).cpu().numpy().tolist() == [[[0, 0, 1, 1, 2, 2, 3, 3]]]
    with pytest.raises(td.DTypeError, match="takes floating-point numbers"):
        F.interpolate(counts, 8, mode="linear")
    assert nn.Upsample(scale_factor=(2, 1.5))(x).shape == (1, 2, 8, 6)


# --- Norms of channels


def normalised(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def beside(v, rank=4):
    return v.reshape(-1, *[1] * (rank - 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_channels_side_by_side_are_those_by_themselves(rng, dtype, device):
    x, g = rng.standard_normal((2, 50, 37)).astype(dtype)
    x[:, 1], x[:, 2], x[3, 4], x[5, 6] = x[:, 1] * 1e30, 7, np.nan, np.inf
    x[:, 20] *= 1e-30
    g[:, 5], g[:, 4], g[:, 21], g[7, 8] = 0, 0, 0, 0
    w, b = rng.standard_normal((2, 37)).astype(dtype)

    def results(*arrays):
        x, g, w, b = (td.tensor(a, device=device) for a in arrays)
        value, pull = td.vjp(lambda x, w, b: F.batch_norm(x, None, None, w, b, True), x, w, b)
        return [a.cpu().numpy() for a in (value, *pull(g))]

    together = results(x, g, w, b)
    for c in range(37):
        alone = results(x[:, c : c + 1], g[:, c : c + 1], w[c : c + 1], b[c : c + 1])
        for all_of, one in zip(together, alone, strict=True):
            np.testing.assert_array_equal(all_of[..., c : c + 1], one)


def test_norms_by_their_definitions(rng):
    x, w, b = rng.standard_normal((3, 4, 5, 2)) * 3 + 7, rng.standard_normal(4), rng.standard_normal(4)
    close(F.batch_norm(t(x), None, None, t(w), t(b), True), normalised(x, (0, 2, 3)) * beside(w) + beside(b))
    mean, var = rng.standard_normal(4), rng.random(4) + 0.5
    fixed = (x - beside(mean)) / np.sqrt(beside(var) + 1e-3) * beside(w)
    close(F.batch_norm(t(x), t(mean), t(var), t(w), eps=1e-3), fixed)
    close(F.instance_norm(t(x), weight=t(w), bias=t(b)), normalised(x, (2, 3)) * beside(w) + beside(b))
    close(F.instance_norm(t(x), t(mean), t(var), t(w), use_input_stats=False, eps=1e-3), fixed)
    grouped = normalised(x.reshape(3, 2, 2, 5, 2), (2, 3, 4)).reshape(x.shape)
    close(F.group_norm(t(x), 2, t(w), t(b)), grouped * beside(w) + beside(b))
    squares = np.pad(x**2, [(0, 0), (1, 1), (0, 0), (0, 0)])
    means = (squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]) / 3
    close(F.local_response_norm(t(x), 3, alpha=0.5, beta=0.6, k=2.0), x / (2 + 0.5 * means) ** 0.6)
    for dtype in (td.float32, td.bfloat16):
        for size in (1e25, 1e-25):
            far = (t(x) * size).astype(dtype)
            exact = F.local_response_norm(far.astype(td.float64), 3).cpu().numpy()
            got = F.local_response_norm(far, 3).astype(td.float64).cpu().numpy()
            np.testing.assert_allclose(got, exact, rtol=td.finfo(dtype).eps)
    for call, error, message in (
        (lambda: F.batch_norm(t(x), None, None), ValueError, "takes running_mean and running_var"),
        (lambda: F.batch_norm(t(x), t(mean), None), ValueError, "both running_mean and running_var"),
        (
            lambda: F.batch_norm(t(x[:1, :, :1, :1]), None, None, training=True),
            td.ShapeError,
            "more than one value",
        ),
        (lambda: F.batch_norm(t(x), t(mean[:3]), t(var)), td.ShapeError, r"have shape \(4\)"),
        (lambda: F.group_norm(t(x), 3), ValueError, r"\[group_norm\] 3 groups do not divide the 4 channels"),
        (
            lambda: F.batch_norm(t(x.astype(int)), None, None, training=True),
            td.DTypeError,
            "must be floating-point",
        ),
        (
            lambda: nn.BatchNorm1d(4)(t(x)),
            td.ShapeError,
            r"\[BatchNorm1d\] takes x \(N, C, ..\) of 2 or 3 axes",
        ),
        (lambda: nn.GroupNorm(3, 4), ValueError, r"\[GroupNorm\] 3 groups do not divide"),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("compiled", [False, True])
def test_running_values(rng, momentum, compiled):
    layer = nn.BatchNorm2d(3, momentum=momentum, dtype=td.float64)
    call = td.compile(lambda x: layer(x)) if compiled else layer
    mean, var = np.zeros(3), np.ones(3)
    for step in range(1, 4):
        x = rng.standard_normal((2, 3, 4, 5)) * 2 + 1
        close(call(t(x)), normalised(x, (0, 2, 3)))
        rate = 1 / step if momentum is None else momentum
        mean = (1 - rate) * mean + rate * x.mean((0, 2, 3))
        var = (1 - rate) * var + rate * x.var((0, 2, 3), ddof=1)
        close(layer.running_mean, mean)
        close(layer.running_var, var)
        assert int(layer.num_batches_tracked) == step
    layer.eval()
    want = (x - beside(mean)) / np.sqrt(beside(var) + 1e-5)
    close(call(t(x)), want)
    assert int(layer.num_batches_tracked) == 3
    assert list(layer.state_dict()) == [
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    ]
    layer.reset_running_stats()
    close(layer.running_var, np.ones(3))


def test_norms_without_running_values_and_parameters(rng):
    x = rng.standard_normal((3, 2, 4))
    plain = nn.BatchNorm1d(2, affine=False, track_running_stats=False).eval()
    assert plain.state_dict() == {}
    close(plain(t(x)), normalised(x, (0, 2)))
    running = nn.InstanceNorm1d(2, track_running_stats=True, dtype=td.float64)
    close(running(t(x)), normalised(x, 2))
    close(running.running_mean, 0.1 * x.mean((0, 2)))
    close(running.running_var, 0.9 + 0.1 * x.var(2, ddof=1).mean(0))
    close(nn.InstanceNorm1d(2)(t(x[0])), normalised(x[0], 1))
    close(nn.GroupNorm(1, 2, affine=False)(t(x)), normalised(x, (1, 2)))
    half = t(x, td.float16)
    exact = normalised(half.astype(td.float64).cpu().numpy(), (0, 2))
    got = F.batch_norm(half, None, None, training=True)
    assert got.dtype == td.float16
    np.testing.assert_allclose(got.astype(td.float64).cpu().numpy(), exact, rtol=1e-3, atol=1e-5)


def test_a_step_of_training_is_the_same_compiled(rng):
    """Convolution, norm with its buffers, pool and gradient."""
    x, y = t(rng.standard_normal((4, 1, 8, 8)), td.float32), td.tensor([0, 1, 2, 1])

    def made():
        nn.manual_seed(3)
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, 3),
        )
        optimizer = td.optim.SGD(net.parameters(), lr=0.1)

        def step(x, y):
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        return net, step

    (eager, plain), (other, step) = made(), made()
    compiled = td.compile(step)
    for _ in range(3):
        assert plain(x, y).item() == compiled(x, y).item()
    for name, value in eager.state_dict().items():
        np.testing.assert_array_equal(value.cpu().numpy(), other.state_dict()[name].cpu().numpy())


# --- Channels dropped, pixels regrouped, padding


def test_dropout_of_channels():
    x = td.ones((40, 50, 3, 2))
    y = F.dropout2d(x, 0.3, td.random.key(1)).cpu().numpy()
    assert (y == y[:, :, :1, :1]).all() and set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((y[:, :, 0, 0] == 0).mean() - 0.3) < 0.05
    assert nn.Dropout1d(0.5).eval()(x[0]) is x[0] or (nn.Dropout1d(0.5).eval()(x[0]).cpu().numpy() == 1).all()
    layer = nn.Dropout3d(1.0)
    assert (layer(x).cpu().numpy() == 0).all()
    z = td.random.normal(td.random.key(2), (200, 400))
    for dropped in (F.alpha_dropout(z, 0.4, td.random.key(3), True), nn.AlphaDropout(0.4)(z)):
        values = dropped.cpu().numpy()
        assert abs(values.mean()) < 0.02 and abs(values.var() - 1) < 0.03
    features = nn.FeatureAlphaDropout(0.5)(x).cpu().numpy()
    assert (features == features[:, :, :1, :1]).all() and len(np.unique(features)) == 2
    with pytest.raises(td.ShapeError, match=r"\[dropout2d\] takes x of 3 or 4 axes"):
        F.dropout2d(x[0, 0], 0.5, td.random.key(0))
    with pytest.raises(ValueError, match=r"\[Dropout2d\] the probability p is 2"):
        nn.Dropout2d(2)


def test_pixels_and_shapes(rng):
    x = rng.standard_normal((2, 8, 3, 4))
    y = F.pixel_shuffle(t(x), 2)
    want = x.reshape(2, 2, 2, 2, 3, 4).transpose(0, 1, 4, 2, 5, 3).reshape(2, 2, 6, 8)
    np.testing.assert_array_equal(y.cpu().numpy(), want)
    np.testing.assert_array_equal(F.pixel_unshuffle(y, 2).cpu().numpy(), x)
    np.testing.assert_array_equal(nn.PixelUnshuffle(2)(nn.PixelShuffle(2)(t(x))).cpu().numpy(), x)
    assert nn.Flatten(1, 2)(t(x)).shape == (2, 24, 4) and nn.Flatten(0)(t(x)).shape == (192,)
    assert nn.Unflatten(1, (2, -1))(t(x)).shape == (2, 2, 4, 3, 4)
    with pytest.raises(td.ShapeError, match="pixel_shuffle"):
        F.pixel_shuffle(t(x), 3)
    with pytest.raises(ValueError, match=r"\[flatten\] start_axis 3 lies behind end_axis 2"):
        nn.Flatten(3, 2)(t(x))


def test_paddings(rng):
    x = rng.standard_normal((2, 3, 4, 5))
    around = [(0, 0), (0, 0), (2, 1), (1, 3)]
    for layer, mode in (
        (nn.ReflectionPad2d((1, 3, 2, 1)), "reflect"),
        (nn.ReplicationPad2d((1, 3, 2, 1)), "edge"),
        (nn.CircularPad2d((1, 3, 2, 1)), "wrap"),
        (nn.ZeroPad2d((1, 3, 2, 1)), "constant"),
    ):
        np.testing.assert_array_equal(layer(t(x)).cpu().numpy(), np.pad(x, around, mode))
    padded = nn.ConstantPad1d(2, 5.0)(t(x[0])).cpu().numpy()
    np.testing.assert_array_equal(padded, np.pad(x[0], [(0, 0), (0, 0), (2, 2)], constant_values=5))
    assert nn.ReflectionPad3d(1)(t(x)).shape == (2, 5, 6, 7)
    with pytest.raises(ValueError, match=r"\[ZeroPad2d\] padding is a number or 4 of them"):
        nn.ZeroPad2d((1, 2))
    with pytest.raises(td.ShapeError, match=r"\[ZeroPad1d\] takes x of 2 or 3 axes"):
        nn.ZeroPad1d(1)(t(x))
