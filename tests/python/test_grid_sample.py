"""Images at places between their elements, beside loops over these."""

import itertools

import numpy as np
import pytest
import tidu as td
from tidu.nn import functional as F

rng = np.random.default_rng(6)


def t(x, dtype=td.float64):
    return td.tensor(x, dtype=dtype)


def inside(c, n, padding, align):
    """Along an axis of n elements: the place for c, which may be beyond."""
    if padding == "reflection":
        low, high = (0, n - 1) if align else (-0.5, n - 0.5)
        if low == high:
            return 0.0
        while not low <= c <= high:
            c = 2 * low - c if c < low else 2 * high - c
    return c if padding == "zeros" else min(max(c, 0), n - 1)


def cubic(d):
    d = abs(d)
    if d <= 1:
        return 1.25 * d**3 - 2.25 * d**2 + 1
    return -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)


def taps(g, n, mode, padding, align):
    """(element, weight) along an axis."""
    c = (g + 1) / 2 * (n - 1) if align else ((g + 1) * n - 1) / 2
    if mode == "nearest":
        return [(round(inside(c, n, padding, align)), 1.0)]
    if mode == "bilinear":
        c = inside(c, n, padding, align)
        first = int(np.floor(c))
        return [(first, first + 1 - c), (first + 1, c - first)]
    first = int(np.floor(c))
    return [(round(inside(first + k, n, padding, align)), cubic(c - first - k)) for k in (-1, 0, 1, 2)]


def by_loops(x, grid, mode, padding, align):
    sizes = x.shape[2:]
    y = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for place in np.ndindex(*grid.shape[1:-1]):
        for image in range(len(x)):
            along = [
                taps(g, n, mode, padding, align)
                for g, n in zip(grid[(image, *place)][::-1], sizes, strict=True)
            ]
            for corner in itertools.product(*along):
                index = tuple(i for i, _ in corner)
                if all(0 <= i < n for i, n in zip(index, sizes, strict=True)):
                    y[(image, slice(None), *place)] += (
                        np.prod([w for _, w in corner]) * x[(image, slice(None), *index)]
                    )
    return y


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_samples_are_weighted_elements(mode, padding, align):
    x, grid = rng.normal(size=(2, 3, 4, 5)), rng.uniform(-2.6, 2.6, (2, 3, 2, 2))
    how = {"mode": mode, "padding_mode": padding, "align_corners": align}
    got = F.grid_sample(t(x), t(grid), **how)
    np.testing.assert_allclose(got.cpu().numpy(), by_loops(x, grid, mode, padding, align), atol=1e-12)
    if mode != "nearest":
        td.check_grads(lambda x, grid: F.grid_sample(x, grid, **how), (t(x[:1, :1]), t(grid[:1])))
    if mode != "bicubic":
        x, grid = rng.normal(size=(1, 2, 3, 4, 2)), rng.uniform(-2, 2, (1, 2, 2, 3, 3))
        got = F.grid_sample(t(x), t(grid), **how)
        np.testing.assert_allclose(got.cpu().numpy(), by_loops(x, grid, mode, padding, align), atol=1e-12)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(
    "sizes", [(5, 1), (1, 5), (1, 1), (4, 3, 1), (4, 1, 3), (1, 4, 3), (1, 4, 1), (5, 1, 1)]
)
def test_axes_of_one_element(sizes, padding, align):
    """Such an axis has one element at each place, and leaves those of the others their weights."""
    x, grid = rng.normal(size=(2, 2, *sizes)), rng.uniform(-1.4, 1.4, (2, 3, *sizes[1:], len(sizes)))
    for mode in ("bilinear", "nearest", "bicubic")[: 3 if len(sizes) == 2 else 2]:
        got = F.grid_sample(t(x), t(grid), mode, padding, align)
        np.testing.assert_allclose(got.cpu().numpy(), by_loops(x, grid, mode, padding, align), atol=1e-12)
    middles = np.array(sizes[::-1])  # places that are 0.3 beyond the middle of an element
    places = rng.integers(-2, middles + 1, grid.shape) + 0.3
    grid = 2 * places / np.maximum(middles - 1, 1) - 1 if align else (2 * places + 1) / middles - 1
    td.check_grads(lambda x, grid: F.grid_sample(x, grid, "bilinear", padding, align), (t(x), t(grid)))


def test_the_identity_gives_the_image():
    x = rng.normal(size=(2, 3, 4, 5))
    theta = t(np.tile(np.eye(2, 3), (2, 1, 1)))
    for align in (False, True):
        grid = F.affine_grid(theta, x.shape, align)
        for mode in ("bilinear", "nearest", "bicubic"):
            got = F.grid_sample(t(x), grid, mode, align_corners=align)
            np.testing.assert_allclose(got.cpu().numpy(), x, atol=1e-12)
    volume = rng.normal(size=(1, 2, 3, 4, 2))
    grid = F.affine_grid(t(np.eye(3, 4)[None]), volume.shape)
    np.testing.assert_allclose(F.grid_sample(t(volume), grid).cpu().numpy(), volume, atol=1e-12)
    turned = F.affine_grid(t([[[0.0, 1, 0.5], [1, 0, 0]]]), (1, 1, 1, 2))
    np.testing.assert_allclose(turned.cpu().numpy(), [[[[0.5, -0.5], [0.5, 0.5]]]])


@pytest.mark.parametrize("padding", ["border", "reflection"])
def test_slopes_at_the_last_element(padding):
    """They are those inside of the image (or mirrored), and not towards an element that is not there."""
    image = t(np.array([3.0, 5.0, 9.0])[None, None, None])
    along = lambda place: F.grid_sample(
        image, td.stack([place, td.zeros_like(place)])[None, None, None], "bilinear", padding, True
    ).sum()
    for place, slope in ((-0.75, 2.0), (0.5, 4.0), (1.0, 4.0)):  # an element takes one unit
        assert abs(float(td.grad(along)(t(place)))) == pytest.approx(slope, abs=1e-12)
    assert float(along(t(1.0))) == 9.0
    one = lambda place: F.grid_sample(
        t([[[[7.0]]]]), td.stack([place, place])[None, None, None], "bilinear", padding, True
    ).sum()
    assert float(td.grad(one)(t(0.0))) == 0


def test_corners():
    x = t(rng.normal(size=(1, 1, 2, 2)), td.float16)
    assert F.grid_sample(x, td.zeros((1, 3, 1, 2), dtype=td.float16)).dtype == td.float16
    nowhere = F.grid_sample(t([[[[1.0, 2.0]]]]), t([[[[np.nan, 0.0]]]]), "nearest")
    assert nowhere.shape == (1, 1, 1, 1)  # and no index out of range
    assert F.grid_sample(t(np.ones((1, 1, 2, 2))), td.zeros((1, 0, 3, 2))).shape == (1, 1, 0, 3)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_what_lies_outside_is_zero_whatever_images_hold(mode):
    x = np.full((2, 3, 4, 5), np.nan)
    x[:, :, 1:, 1:] = rng.normal(size=(2, 3, 3, 4))
    grid = np.array([[-3.0, 0.0], [0.0, 9.0], [1e30, -1e30], [np.inf, 0.0]])
    for image in (t(x), td.moveaxis(t(np.moveaxis(x, 1, -1)), -1, 1)):
        y = F.grid_sample(image, t(np.tile(grid, (2, 1, 1, 1))), mode)
        np.testing.assert_array_equal(y[..., :3].cpu().numpy(), np.zeros((2, 3, 1, 3)))
        assert (
            mode == "nearest" or np.isnan(y[..., 3].cpu().numpy()).all()
        )  # an infinite place has no weights
        one = F.grid_sample(image[1:, 2:], t(np.array([[[[0.9, 0.9]]]])), mode)
        np.testing.assert_array_equal(
            one.cpu().numpy(), F.grid_sample(t(x[1:, 2:]), t(np.array([[[[0.9, 0.9]]]])), mode).cpu().numpy()
        )


def test_what_is_refused():
    x, grid = td.ones((1, 1, 2, 2)), td.zeros((1, 1, 1, 2))
    for error, message, call in [
        (td.ShapeError, "takes x", lambda: F.grid_sample(x[0], grid)),
        (td.ShapeError, "takes x", lambda: F.grid_sample(x, td.zeros((1, 1, 1, 3)))),
        (td.DTypeError, "floating-point", lambda: F.grid_sample(x.astype(td.int64), grid)),
        (ValueError, "mode is", lambda: F.grid_sample(x, grid, "linear")),
        (ValueError, "padding_mode is", lambda: F.grid_sample(x, grid, padding_mode="wrap")),
        (ValueError, "4 axes", lambda: F.grid_sample(x[..., None], td.zeros((1, 1, 1, 1, 3)), "bicubic")),
        (td.ShapeError, "takes theta", lambda: F.affine_grid(td.ones((1, 2, 2)), (1, 1, 2, 2))),
    ]:
        with pytest.raises(error, match=message):
            call()
