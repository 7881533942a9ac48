"""Elements in other places: against NumPy, in both modes of differentiation."""

import itertools

import numpy as np
import pytest
import tidu as td
from samplers import to_array

rng = np.random.default_rng(5)
DTYPES = [td.bool, td.int32, td.uint8, td.float16, td.float64]


def arrays(*shapes):
    return [rng.integers(0, 100, shape) for shape in shapes]


def check(ours, numpys, *shapes):
    """The same as NumPy in every dtype, and linear: tangents move as values, cotangents back."""
    given = arrays(*shapes)
    for dtype in DTYPES:
        inputs = [td.tensor(x, dtype=dtype) for x in given]
        want = numpys(*(to_array(x) for x in inputs))
        got = ours(*inputs)
        assert got.dtype == dtype
        assert got.shape == want.shape
        np.testing.assert_array_equal(to_array(got), want)
    primals = tuple(td.tensor(x, dtype=td.float64) for x in given)
    tangents = tuple(td.tensor(rng.normal(size=shape)) for shape in shapes)
    value, tangent = td.jvp(ours, primals, tangents)
    np.testing.assert_array_equal(to_array(tangent), numpys(*(to_array(t) for t in tangents)))
    cotangent = td.tensor(rng.normal(size=value.shape))
    pulled = td.vjp(ours, *primals)[1](cotangent)
    left = sum(float(td.sum(a * b)) for a, b in zip(pulled, tangents, strict=True))
    assert left == pytest.approx(float(td.sum(cotangent * tangent)), rel=1e-12, abs=1e-12)


SHAPES = [(4,), (3, 4), (2, 3, 4), (0, 3), (1, 1)]


@pytest.mark.parametrize("shape", [(), *SHAPES])
def test_roll(shape):
    for shift in (0, 1, -2, 5, 1000003):
        check(lambda x: td.roll(x, shift), lambda x: np.roll(x, shift), shape)  # noqa: B023
    for axis in range(-len(shape), len(shape)):
        check(lambda x: td.roll(x, 2, axis), lambda x: np.roll(x, 2, axis), shape)  # noqa: B023
    if len(shape) > 1:
        check(lambda x: x.roll((1, -1), (0, 1)), lambda x: np.roll(x, (1, -1), (0, 1)), shape)
        check(lambda x: td.roll(x, 1, (0, -1)), lambda x: np.roll(x, 1, (0, -1)), shape)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (0, 3)])
def test_rot90(shape):
    for k, axes in itertools.product(range(-2, 6), ((0, 1), (1, 0), (-1, 0))):
        check(lambda x: td.rot90(x, k, axes), lambda x: np.rot90(x, k, axes), shape)  # noqa: B023


@pytest.mark.parametrize("shape", [(), *SHAPES])
def test_tile(shape):
    for counts in (2, (1,), (2, 3), (2, 1, 2), (0, 2), ()):
        check(lambda x: td.tile(x, counts), lambda x: np.tile(x, counts), shape)  # noqa: B023


@pytest.mark.parametrize("shape", [(), *SHAPES])
def test_repeat(shape):
    for count in (0, 1, 3):
        check(lambda x: td.repeat(x, count), lambda x: np.repeat(x, count), shape)  # noqa: B023
    for axis in range(-len(shape), len(shape)):
        counts = rng.integers(0, 4, shape[axis])
        for given, numpys in ((2, 2), (td.tensor(counts), counts), (td.tensor(2), 2)):
            check(
                lambda x: td.repeat(x, given, axis),  # noqa: B023
                lambda x: np.repeat(x, numpys, axis),  # noqa: B023
                shape,
            )
    assert td.repeat_interleave(td.tensor([1, 2]), 2).tolist() == [1, 1, 2, 2]


def test_parts():
    x = td.arange(12).reshape(3, 4)
    assert [part.tolist() for part in td.unstack(x)] == x.tolist()
    assert [part.tolist() for part in x.unstack(axis=1)] == x.mT.tolist()
    assert isinstance(td.unstack(x), tuple)
    assert td.unstack(td.zeros((0, 2))) == ()
    for n, sizes in ((1, [12]), (5, [3, 3, 3, 3]), (7, [2] * 6), (100, [1] * 12)):
        assert [part.shape[0] for part in td.chunk(td.arange(12), n)] == sizes
    assert [part.shape for part in td.chunk(td.zeros((0, 2)), 3)] == [(0, 2)]
    assert [part.shape for part in x.chunk(2, axis=1)] == [(3, 2), (3, 2)]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 3), (0,)])
def test_at_least(shape):
    for name in ("atleast_1d", "atleast_2d", "atleast_3d"):
        check(getattr(td, name), getattr(np, name), shape)
    both = td.atleast_2d(td.tensor(1.0), td.ones(3))
    assert [x.shape for x in both] == [(1, 1), (1, 3)]


@pytest.mark.parametrize("mode", ["constant", "reflect", "symmetric", "edge", "wrap"])
def test_pad(mode):
    for shape, widths in (
        ((5,), 2),
        ((5,), (1, 4)),
        ((3, 4), ((1, 2), (0, 3))),
        ((2, 3, 4), (2, 9)),
        ((1, 3), 3),
    ):
        check(lambda x: td.pad(x, widths, mode), lambda x: np.pad(x, widths, mode), shape)  # noqa: B023
    check(lambda x: td.pad(x, 0, mode), lambda x: np.pad(x, 0, mode), (2, 3))
    widths = ((0, 0), (2, 5), (3, 0))  # of many elements those beside x alone are looked for
    check(lambda x: td.pad(x, widths, mode), lambda x: np.pad(x, widths, mode), (3, 50, 40))


def test_pad_with_a_number():
    for value in (1, 3):
        x = td.tensor([[1, 2], [3, 4]], dtype=td.float16)
        want = np.pad(to_array(x), ((1, 0), (0, 2)), constant_values=value)
        assert (to_array(td.pad(x, ((1, 0), (0, 2)), constant_values=value)) == want).all()
    padded = td.pad(td.tensor([td.inf, 1.0]), 1, constant_values=-td.inf)
    assert padded.tolist() == [-td.inf, td.inf, 1.0, -td.inf]
    assert td.pad(td.ones(1), 1, "replicate").tolist() == [1, 1, 1]
    assert td.pad(td.arange(2), 1, "circular").tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("k", [-5, -1, 0, 2, 4])
def test_diagonals(k):
    check(lambda x: td.diag(x, k), lambda x: np.diag(x, k), (4,))
    check(lambda x: td.diag(x, k), lambda x: np.diag(x, k), (3, 4))
    check(lambda x: td.diag(x, k), lambda x: np.diag(x, k), (0,))
    check(
        lambda x: td.diag_embed(x, k),
        lambda x: np.stack([np.diag(row, k) for row in x.reshape(-1, 3)]).reshape(
            2, 2, 3 + abs(k), 3 + abs(k)
        ),
        (2, 2, 3),
    )


def test_block_diag():
    def numpys(a, b, c):
        result = np.zeros((2 + 1 + 3, 3 + 4 + 1), a.dtype)
        result[:2, :3], result[2:3, 3:7], result[3:, 7:] = a, b, c
        return result

    check(td.block_diag, numpys, (2, 3), (4,), (3, 1))
    check(td.block_diag, lambda a, b: np.diag([a.item(), b.item()]).astype(a.dtype), (), (1, 1))


@pytest.mark.parametrize("indexing", ["xy", "ij"])
def test_meshgrid(indexing):
    for shapes in (((3,),), ((3,), (2,)), ((3,), (2,), (4,)), ((), (2,)), ((0,), (2,))):
        for i in range(len(shapes)):
            check(
                lambda *x: td.meshgrid(*x, indexing=indexing)[i],  # noqa: B023
                lambda *x: np.meshgrid(*x, indexing=indexing)[i],  # noqa: B023
                *shapes,
            )


def test_cartesian_prod():
    def numpys(*x):
        return np.array(list(itertools.product(*x)), x[0].dtype).reshape(-1, len(x))

    check(td.cartesian_prod, numpys, (2,), (3,))
    check(td.cartesian_prod, numpys, (2,), (1,), (3,))
    check(td.cartesian_prod, numpys, (2,), (0,))


def test_vander():
    x = td.tensor([0.0, 1.5, -2.0], dtype=td.float64)
    for n, increasing in itertools.product((None, 0, 1, 4), (False, True)):
        want = np.vander(to_array(x), n, increasing)
        np.testing.assert_array_equal(to_array(td.vander(x, n, increasing)), want)
    slopes = td.jacobian(lambda x: td.vander(x, 4, True))(x)
    for i, value in enumerate(x.tolist()):
        assert slopes[i, :, i].tolist() == [0, 1, 2 * value, 3 * value**2]
    assert td.vander(td.ones((2, 3))).shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: td.roll(x, (1, 2)), ValueError, "say which axes"),
        (lambda x: td.roll(x, (1, 2), 0), ValueError, "differ in number"),
        (lambda x: td.roll(x, 1, 2), IndexError, "roll"),
        (lambda x: td.rot90(x, 1, (0, 0)), ValueError, "one"),
        (lambda x: td.tile(x, -1), ValueError, "negative"),
        (lambda x: td.repeat(x, -1), ValueError, "negative"),
        (lambda x: td.repeat(x, td.tensor([1, -1]), 0), ValueError, "element 1"),
        (lambda x: td.repeat(x, td.tensor([1, 1, 1]), 0), td.ShapeError, "2 elements"),
        (lambda x: td.repeat(x, td.ones(2), 0), td.DTypeError, "integers"),
        (lambda x: td.chunk(x, 0), ValueError, "positive"),
        (lambda x: td.pad(x, 1, "linear"), ValueError, "symmetric"),
        (lambda x: td.pad(x[:0], 1, "edge"), td.ShapeError, "no elements"),
        (lambda x: td.pad(x, ((1, 1), (0, 0), (2, 2))), td.ShapeError, "each axis"),
        (lambda x: td.diag(td.ones((2, 2, 2))), td.ShapeError, "diag"),
        (lambda x: td.meshgrid(x), td.ShapeError, "vectors"),
        (lambda x: td.meshgrid(x[0], indexing="yx"), ValueError, "'xy' or 'ij'"),
        (lambda x: td.block_diag(), ValueError, "at least one"),
        (lambda x: td.vander(td.tensor(1.0)), td.ShapeError, "vander"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call(td.ones((2, 3)))


def test_under_vmap_and_in_programs():
    x = td.tensor(rng.normal(size=(3, 4)))
    for f in (
        lambda x: td.roll(x, 1),
        lambda x: td.tile(x, (2, 2)),
        lambda x: td.repeat(x, 2),
        lambda x: td.pad(x, 2, "reflect"),
        td.diag,
        lambda x: td.meshgrid(x, x)[1],
    ):
        rows = np.stack([to_array(f(row)) for row in x])
        np.testing.assert_array_equal(to_array(td.vmap(f)(x)), rows)
        np.testing.assert_array_equal(to_array(td.program(f, x[0])(x[1])), rows[1])
    with pytest.raises(td.TraceError):
        td.program(lambda x, n: td.repeat(x, n, 0), x, td.tensor([1, 2, 3]))


def test_triangles():
    for n, k, m in itertools.product((0, 1, 4), (-5, -1, 0, 2, 6), (None, 0, 3)):
        for ours, numpys in ((td.tril_indices, np.tril_indices), (td.triu_indices, np.triu_indices)):
            for got, want in zip(ours(n, k, m), numpys(n, k, m), strict=True):
                assert got.dtype == td.int64
                np.testing.assert_array_equal(to_array(got), want)
    with pytest.raises(ValueError, match="-1 rows"):
        td.tril_indices(-1)
