"""Reading and writing at places that index tensors name: against NumPy, with repeated and wrong indices."""

import itertools
import re

import numpy as np
import pytest
import tidu as td
from samplers import STORAGES, to_array, with_storage
from tidu import _core

DTYPES = [td.bool, td.int8, td.int32, td.int64, td.uint16, td.float16, td.float32, td.float64]
COMBINE = {
    "scatter_add": np.add,
    "scatter_multiply": np.multiply,
    "scatter_min": np.minimum,
    "scatter_max": np.maximum,
}


def values(rng, shape, dtype):
    """Values whose sums, products and halves are exact in every dtype."""
    if dtype == td.bool:
        return rng.random(shape) < 0.5
    low = 0 if dtype == td.uint16 else -2
    return np.asarray(rng.integers(low, 3, shape), str(dtype))


def stored(rng, array, dtype=None):
    """The array as a tensor of some layout that has its values."""
    storages = [storage for storage in STORAGES if storage != "broadcast"]
    dtype = dtype or getattr(td, str(array.dtype))
    return with_storage(array, dtype, storages[rng.integers(len(storages))])[0]


def wait():
    """Until what device cuda finds is raised."""
    if td.get_default_device().type == "cuda":
        td.cuda.synchronize()


def random_key(rng, shape):
    points = tuple(rng.integers(1, 4, rng.integers(0, 3)))
    if rng.random() < 0.1:
        points += (0,)
    key = []
    for extent in shape:
        kind = rng.integers(5)
        if kind == 0:
            key.append(slice(None))
        elif kind == 1:
            key.append(int(rng.integers(-extent, extent)))
        elif kind == 2:
            key.append(slice(None, None, int(rng.choice([-2, -1, 2]))))
        else:
            broadcast = points[rng.integers(len(points) + 1) :] if rng.random() < 0.3 else points
            key.append(rng.integers(-extent, extent, broadcast))
        if rng.random() < 0.1:
            key.append(None)
    return tuple(key)


@pytest.mark.parametrize("name", COMBINE)
@pytest.mark.parametrize("expanded", [*itertools.product([False, True], repeat=3)])
def test_updates_expanded_along_any_axes(name, expanded):
    """Points of several axes, whose updates lie at steps of which some are 0."""
    rng = np.random.default_rng([11, *expanded])
    x, places = values(rng, 60, td.float32), rng.permutation(60).reshape(4, 5, 3)
    updates = values(
        rng, tuple(1 if e else n for e, n in zip(expanded, places.shape, strict=True)), td.float32
    )
    want = x.copy()
    COMBINE[name].at(want, places, updates)
    got = getattr(td, name)(td.tensor(x), td.tensor(places), td.tensor(updates), axis=0)
    np.testing.assert_array_equal(to_array(got), want)


@pytest.mark.parametrize("seed", range(40))
def test_any_key_reads_and_writes_as_in_numpy(seed):
    rng = np.random.default_rng([seed, 7])
    shape = tuple(rng.integers(1, 6, rng.integers(1, 5)))
    dtype = DTYPES[rng.integers(len(DTYPES))]
    x = values(rng, shape, dtype)
    key = random_key(rng, shape)
    tensors = tuple(stored(rng, k) if isinstance(k, np.ndarray) else k for k in key)
    picked = x[key]
    np.testing.assert_array_equal(to_array(stored(rng, x)[tensors]), picked, strict=True)
    some = tuple(1 if rng.random() < 0.5 else extent for extent in picked.shape)
    for value in (values(rng, picked.shape, dtype), values(rng, some, dtype), values(rng, (), dtype)):
        want, got = x.copy(), stored(rng, x)
        want[key] = value
        got[tensors] = stored(rng, value, dtype)
        np.testing.assert_array_equal(to_array(got), want)


@pytest.mark.parametrize("seed", range(24))
def test_writes_at_any_key_are_differentiated(seed):
    """Of updates of one element the last takes the cotangent; a third of the keys name no element."""
    rng = np.random.default_rng([seed, 8])
    shape = tuple(rng.integers(1, 6, rng.integers(1, 5)))
    key = random_key(rng, shape)
    if seed % 3 == 0:
        key = (None, *(slice(1, 0) if isinstance(k, slice) else k for k in key))
    x, cotangent = rng.standard_normal((2, *shape))
    update = rng.standard_normal(x[key].shape)
    last = np.full(x.size, -1)
    last[np.arange(x.size).reshape(shape)[key].ravel()] = np.arange(update.size)
    of_update = np.zeros(update.size)
    of_update[last[last >= 0]] = cotangent.ravel()[last >= 0]
    of_x = np.where(last.reshape(shape) < 0, cotangent, 0)
    tensors = tuple(stored(rng, k) if isinstance(k, np.ndarray) else k for k in key)

    def written(x, update):
        x = x * 1
        x[tensors] = update
        return x

    _, pullback = td.vjp(written, stored(rng, x), stored(rng, update))
    for got, want in zip(
        pullback(td.tensor(cotangent)), (of_x, of_update.reshape(update.shape)), strict=True
    ):
        np.testing.assert_array_equal(to_array(got), want)


@pytest.mark.parametrize("seed", range(40))
def test_slices_and_elements_along_an_axis(seed):
    rng = np.random.default_rng([seed, 8])
    shape = tuple(rng.integers(1, 6, rng.integers(1, 5)))
    dtype = DTYPES[rng.integers(len(DTYPES))]
    x, axis = values(rng, shape, dtype), int(rng.integers(len(shape)))
    extent = shape[axis]
    indices = rng.integers(-extent, extent, tuple(rng.integers(0, 5, rng.integers(0, 3))))
    picked = np.take(x, indices, axis)
    np.testing.assert_array_equal(
        to_array(td.take(stored(rng, x), stored(rng, indices), axis=axis)), picked, strict=True
    )
    updates = values(rng, picked.shape, dtype)
    key = (slice(None),) * axis + (indices,)
    for name, combine in COMBINE.items() if dtype != td.bool else ():
        want = x.copy()
        combine.at(want, key, updates)
        got = getattr(td, name)(stored(rng, x), stored(rng, indices), stored(rng, updates), axis=axis)
        np.testing.assert_array_equal(to_array(got), want, err_msg=name)
    want = x.copy()
    want[key] = updates
    got = td.scatter_set(stored(rng, x), stored(rng, indices), stored(rng, updates), axis=axis)
    np.testing.assert_array_equal(to_array(got), want)

    indices = rng.integers(-extent, extent, [*shape[:axis], rng.integers(6), *shape[axis + 1 :]])
    got = td.take_along_axis(stored(rng, x), stored(rng, indices), axis=axis)
    np.testing.assert_array_equal(to_array(got), np.take_along_axis(x, indices, axis))
    want, updates = x.copy(), values(rng, indices.shape, dtype)
    np.put_along_axis(want, indices, updates, axis)
    got = td.put_along_axis(stored(rng, x), stored(rng, indices), stored(rng, updates), axis=axis)
    np.testing.assert_array_equal(to_array(got), want)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (40_000,), (7, 5, 3), (300, 211)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.6, 1.0])
def test_masks(rng, shape, share):
    x, mask = rng.standard_normal(shape), np.asarray(rng.random(shape) < share)
    tensor, place = stored(rng, x), stored(rng, mask)
    for got, want in zip(td.nonzero(place), np.nonzero(mask), strict=True) if shape else ():
        np.testing.assert_array_equal(got.cpu().numpy(), want, strict=True)
    np.testing.assert_array_equal(tensor[place].cpu().numpy(), x[mask], strict=True)
    for value in (rng.standard_normal(()), rng.standard_normal(int(mask.sum()))):
        want, got = x.copy(), stored(rng, x)
        want[mask] = value
        got[place] = td.tensor(value)
        np.testing.assert_array_equal(got.cpu().numpy(), want)


def test_many_points(rng):
    """More than threads and blocks treat at once, each place named often."""
    x, updates = rng.standard_normal((50, 70)), rng.standard_normal((70_000, 3))
    i, j = rng.integers(-50, 50, 70_000), rng.integers(-70, 70, 70_000)
    tensors = td.tensor(i), td.tensor(j)
    np.testing.assert_array_equal(td.tensor(x)[tensors].cpu().numpy(), x[i, j])
    want, got = x.copy(), td.tensor(x)
    want[i, j] = updates[:, 0]
    got[tensors] = td.tensor(updates[:, 0])
    np.testing.assert_array_equal(got.cpu().numpy(), want)
    want = np.zeros((50, 3))
    np.add.at(want, i, updates)
    got = td.scatter_add(td.zeros((50, 3), dtype=td.float64), tensors[0], td.tensor(updates), axis=0)
    np.testing.assert_allclose(got.cpu().numpy(), want, rtol=1e-12, atol=1e-11)


def test_halves_are_combined_in_float_and_rounded_once():
    x = td.tensor([2048.0], dtype=td.float16)
    ones = td.ones(8, dtype=td.float16)
    assert td.scatter_add(x, td.zeros(8, dtype=td.int64), ones, axis=0).tolist() == [2056]


@pytest.mark.parametrize("name", ["scatter_set", "scatter_add", "scatter_max", "put_along_axis", "index"])
def test_a_wrong_index_is_named_and_nothing_is_written(name):
    x = td.zeros((3, 5))
    wrong = td.tensor([[0, 1], [2, 7], [-6, 0]])
    with pytest.raises(
        IndexError, match=r"index (7|-6) at position (3|4) is out of range for extent 5 of axis 1"
    ):
        if name == "index":
            x[0, wrong] = 1.0
        elif name == "put_along_axis":
            td.put_along_axis(x, wrong, td.ones(()), axis=1)
        else:
            getattr(td, name)(x, wrong, td.ones(()), axis=1)
        wait()
    assert x.tolist() == [[0.0] * 5] * 3
    with pytest.raises(
        IndexError, match=r"float32\(3, 5\).*index 3 at position 1 .* axis 0|axis 0.*float32\(3, 5\)"
    ):
        x[td.tensor([0, 3]), td.tensor([0, 0])]
        wait()
    with pytest.raises(IndexError, match="out of range"):
        td.take(td.ones((0, 2)), td.tensor([0]), axis=0)
        wait()
    with pytest.raises(TypeError, match="integers"):
        td.scatter_set(x, td.tensor([0.5]), x, axis=0)
    with pytest.raises(TypeError, match="bool"):
        td.scatter_add(x > 0, td.tensor([0]), x[:1] > 0, axis=0)


@pytest.mark.parametrize("index", [2**63, 2**64 - 1])
def test_unsigned_indices_do_not_count_from_the_end(index):
    x, at = td.arange(3), td.tensor(np.array([index], np.uint64))
    for call in (lambda: x[at], lambda: td.take(x, at), lambda: td.scatter_add(x, at, x[:1])):
        with pytest.raises(IndexError, match="9223372036854775807"):
            call()
            wait()
    assert x[td.tensor(np.array([2, 0], np.uint64))].tolist() == [2, 0]


def test_what_is_written_may_be_read_by_its_own_assignment():
    x = td.tensor([3, 0, 1, 2])
    x[x] = x + 10
    assert x.tolist() == [10, 11, 12, 13]
    y = td.arange(6)
    y[td.tensor([5, 4, 3])] = y[:3]
    assert y.tolist() == [0, 1, 2, 2, 1, 0]
    z = td.arange(6)
    z[td.tensor([1, 2, 3])] = z[:3]
    assert z.tolist() == [0, 0, 1, 2, 4, 5]


def test_an_assignment_costs_what_it_touches():
    x = td.zeros(1_000_000)
    v, i = td.tensor([1.0, 2.0]), td.tensor([5, 999_999])
    _core.reset_peak_memory(td.get_default_device())
    live = _core.memory_stats(td.get_default_device())["live_bytes"]
    x[i] = v
    after = _core.memory_stats(td.get_default_device())
    assert after["peak_bytes"] - live < 100_000 and x[5] == 1 and x[-1] == 2


def assigned(x, i, j, v):
    x = td.copy(x)
    x[1:, i, j] = v
    return x


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        (lambda x, i, j, v: td.take(x, i, axis=1), ["gather"]),
        (lambda x, i, j, v: x[i, :, j], ["gather"]),
        (lambda x, i, j, v: x[i, 1:, None, j], ["gather"]),
        (lambda x, i, j, v: td.take_along_axis(x, i[None, :, None], axis=1), ["gather"]),
        (lambda x, i, j, v: td.put_along_axis(x, i[None, :, None], v[0], axis=1), ["scatter_set"]),
        (lambda x, i, j, v: td.scatter_add(x, i, v[0], axis=2), ["scatter_add"]),
        (lambda x, i, j, v: td.scatter_max(x, i, v[0], axis=0), ["scatter_max"]),
        (assigned, ["copy", "scatter_set", "slice_update"]),
    ],
)
def test_each_way_to_index_is_one_call_that_replays(rng, function, calls):
    views = {"reshape", "broadcast_to", "permute_dims", "slice", "alias"}
    x, v = td.tensor(rng.standard_normal((3, 3, 3))), td.tensor(rng.standard_normal(3))
    arguments = x, td.tensor([0, 2, -1]), td.tensor([1, 1, 0]), v
    program = td.program(function, *arguments)
    assert [name for name in re.findall(r" = (\w+)", str(program)) if name not in views] == calls
    arguments = (
        td.permute_dims(x * 2, (2, 1, 0)),
        td.tensor([9, 1, 9, 0, 9, 2])[1::2],
        td.tensor([2, 1, 0])[::-1],
        v,
    )
    assert program(*arguments).tolist() == function(*arguments).tolist()


# --- Derivatives where places are named more than once


def test_the_last_update_stays_and_takes_the_cotangent():
    i = td.tensor([0, 2, 0, 2, 1])

    def loss(x, updates):
        return (td.scatter_set(x, i, updates, axis=0) * td.tensor([1.0, 10.0, 100.0, 1000.0])).sum()

    by_x, by_updates = td.grad(loss, argnums=(0, 1))(td.zeros(4), td.ones(5))
    assert by_x.tolist() == [0, 0, 0, 1000] and by_updates.tolist() == [0, 0, 1, 100, 10]
    x = td.zeros(4)
    x[i] = td.arange(5.0)
    assert x.tolist() == [2, 4, 3, 0]


@pytest.mark.parametrize(("name", "sign"), [("scatter_max", 1.0), ("scatter_min", -1.0)])
def test_ties_share_the_cotangent(name, sign):
    scatter = getattr(td, name)
    x, updates = sign * td.tensor([1.0, 2.0, 3.0, 0.0]), sign * td.tensor([1.0, 1.0, 0.0, 5.0, 3.0, 3.0])
    i = td.tensor([0, 0, 0, 1, 2, 2])
    by_x, by_updates = td.grad(lambda x, u: scatter(x, i, u, axis=0).sum(), argnums=(0, 1))(x, updates)
    third = float(td.tensor(1 / 3))
    assert by_x.tolist() == [third, 0, third, 1]
    assert by_updates.tolist() == [third, third, 0, 1, third, third]
    nan = float("nan")
    by_x = td.grad(lambda x: scatter(x, i, updates, axis=0)[3])(td.tensor([nan, nan, 0.0, nan]))
    assert by_x.tolist() == [0, 0, 0, 1]


def test_products_with_zeros_have_their_derivatives():
    i = td.tensor([0, 0, 0, 1, 1, 2])
    x = td.tensor([2.0, 3.0, 5.0, 7.0], dtype=td.float64)
    updates = td.tensor([0.0, 4.0, -1.0, 0.0, 0.0, 6.0], dtype=td.float64)

    def product(x, updates):
        return td.scatter_multiply(x, i, updates, axis=0)

    def plain(x, u):
        return td.stack([x[0] * u[0] * u[1] * u[2], x[1] * u[3] * u[4], x[2] * u[5], x[3]], axis=0)

    for transform in (td.jacrev, td.jacfwd):
        for argnum in (0, 1):
            got, want = (transform(f, argnums=argnum)(x, updates) for f in (product, plain))
            assert got.tolist() == want.tolist()
    got, want = (
        td.hessian(lambda u, f=f: (f(x, u) * td.tensor([1.0, 2.0, 3.0, 4.0])).sum())(updates)
        for f in (product, plain)
    )
    assert got.tolist() == want.tolist()


REDUCE = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def smaller(rng, shape, axis):
    """Indices of a rank-3 tensor that are at most as large as it on other axes."""
    extents = [int(rng.integers(1, n + 1)) for n in shape]
    extents[axis] = int(rng.integers(0, 6))
    return rng.integers(-shape[axis], shape[axis], extents)


def places_of(indices, axis):
    places = list(np.indices(indices.shape))
    places[axis] = indices
    return tuple(places)


@pytest.mark.parametrize("seed", range(12))
def test_gather_and_scatter_as_in_pytorch(seed):
    rng = np.random.default_rng([seed, 9])
    shape, axis = (4, 3, 5), int(rng.integers(-3, 3))
    dtype = [td.int32, td.float32, td.float64, td.uint16][seed % 4]
    x, indices = values(rng, shape, dtype), smaller(rng, shape, axis)
    places = places_of(indices, axis)
    tensor, index = stored(rng, x), stored(rng, indices)
    np.testing.assert_array_equal(to_array(td.gather(tensor, axis, index)), x[places], strict=True)
    updates = values(rng, [n + 1 for n in indices.shape], dtype)
    first = updates[tuple(slice(n) for n in indices.shape)]
    want = x.copy()
    want[places] = first
    np.testing.assert_array_equal(to_array(td.scatter(tensor, axis, index, stored(rng, updates))), want)
    touched = np.zeros(shape, int)
    np.add.at(touched, places, 1)
    for name, ufunc in REDUCE.items():
        for include_self in (True, False):
            want = x.copy()
            if not include_self:
                if name in ("amax", "amin"):
                    extreme = -9 if name == "amax" else 9
                    base = x.astype(np.int64)
                    base[touched > 0] = extreme
                    ufunc.at(base, places, first.astype(np.int64))
                    want = base.astype(x.dtype)
                else:
                    want[touched > 0] = name == "prod"
                    ufunc.at(want, places, first)
            else:
                ufunc.at(want, places, first)
            got = tensor.scatter_reduce(axis, index, stored(rng, updates), name, include_self)
            np.testing.assert_array_equal(to_array(got), want, err_msg=f"{name} {include_self}")
    for include_self in (True, False):
        sums = np.where((touched > 0) & (not include_self), 0, x.astype(np.float64))
        np.add.at(sums, places, first.astype(np.float64))
        mean = sums / np.maximum(touched + include_self, 1)
        want = mean if dtype in (td.float32, td.float64) else np.floor(mean)
        got = td.scatter_reduce(tensor, axis, index, stored(rng, updates), "mean", include_self)
        np.testing.assert_allclose(to_array(got), want, rtol=1e-6)


def test_gather_and_scatter_refuse():
    x, indices = td.ones((3, 4)), td.zeros((3, 5), dtype=td.int64)
    with pytest.raises(ValueError, match=r"gather.*no larger"):
        td.gather(x, 0, indices)
    with pytest.raises(ValueError, match="rank"):
        td.gather(x, 0, td.tensor([0]))
    with pytest.raises(ValueError, match="element for each index"):
        td.scatter(x, 1, indices, td.ones((2, 5)))
    with pytest.raises(ValueError, match="reduce is 'median'"):
        td.scatter_reduce(x, 1, indices, td.ones((3, 5)), "median")


def test_adding_and_filling(rng):
    x, updates = rng.standard_normal((4, 3)), rng.standard_normal((5, 3))
    i = np.array([0, 3, 3, -2, 0])
    want = x.copy()
    np.add.at(want, i, 2 * updates)
    got = td.index_add(td.tensor(x), 0, td.tensor(i), td.tensor(updates), alpha=2)
    np.testing.assert_allclose(to_array(got), want, rtol=1e-14)
    mask = rng.random((4, 1)) < 0.5
    np.testing.assert_array_equal(
        to_array(td.tensor(x).masked_fill(td.tensor(mask), -1)), np.where(mask, -1, x)
    )
    np.testing.assert_array_equal(
        to_array(td.masked_select(td.tensor(x), td.tensor(mask))), x[np.broadcast_to(mask, x.shape)]
    )
    assert td.masked_fill(td.ones(2, dtype=td.int32), td.tensor([True, False]), 2.7).tolist() == [2, 1]
    for call in (td.masked_fill, td.masked_select):
        with pytest.raises(TypeError, match="mask is bool"):
            call(td.ones(2), td.ones(2), *([0] if call is td.masked_fill else []))


def test_coordinates(rng):
    x = rng.integers(0, 2, (3, 4))
    np.testing.assert_array_equal(to_array(td.argwhere(td.tensor(x))), np.argwhere(x))
    np.testing.assert_array_equal(to_array(td.flatnonzero(td.tensor(x))), np.flatnonzero(x))
    for call in (td.nonzero, td.argwhere):
        with pytest.raises(ValueError, match="no coordinates"):
            call(td.tensor(1.0))


@pytest.mark.parametrize("dtype", [td.float64, td.float16, td.int32], ids=str)
def test_segments(rng, dtype):
    x, ids = values(rng, (6, 2), dtype if dtype != td.float16 else td.float32), np.array([0, 2, 2, 0, 4, 2])
    tensor, segments = td.tensor(x, dtype=dtype), td.tensor(ids)
    kept = [x[ids == i] for i in range(5)]
    none = {"sum": 0, "prod": 1}
    for name in ("sum", "prod"):
        want = [getattr(part, name)(0) if len(part) else np.full(2, none[name]) for part in kept]
        got = getattr(td, f"segment_{name}")(tensor, segments)
        assert got.dtype == dtype
        np.testing.assert_array_equal(to_array(got), np.stack(want))
    least, largest = (-np.inf, np.inf) if dtype != td.int32 else (-(2**31), 2**31 - 1)
    for name, nothing in (("max", least), ("min", largest)):
        want = [getattr(part, name)(0) if len(part) else np.full(2, nothing) for part in kept]
        got = getattr(td, f"segment_{name}")(tensor, segments, num_segments=5)
        np.testing.assert_array_equal(to_array(got), np.stack(want))
    means = to_array(td.segment_mean(tensor, segments)).astype(np.float64)
    want = np.stack([part.mean(0) if len(part) else np.full(2, np.nan) for part in kept])
    np.testing.assert_allclose(means, want, rtol=1e-3 if dtype == td.float16 else 1e-6)
    assert td.segment_sum(tensor, segments, 7).shape == (7, 2)
    with pytest.raises(ValueError, match="each slice"):
        td.segment_sum(tensor, segments[:3])


FROM_ZERO = {  # by what is a place there, with places 0 to 3
    "segment_sum": lambda ids: td.segment_sum(td.ones((2, 3)), ids, 4),
    "segment_prod": lambda ids: td.segment_prod(td.ones((2, 3)), ids, 4),
    "segment_mean": lambda ids: td.segment_mean(td.ones((2, 3), dtype=td.int32), ids, 4),
    "segment_max": lambda ids: td.segment_max(td.ones(2), ids, num_segments=4),
    "segment_min": lambda ids: td.segment_min(td.ones(2), ids, num_segments=4),
    "one_hot": lambda ids: td.one_hot(ids, 4),
    "bincount": lambda ids: td.bincount(ids, length=4),
    "unravel_index": lambda ids: td.unravel_index(ids, (2, 2))[0],
}


@pytest.mark.parametrize("name", FROM_ZERO)
def test_places_from_zero_are_not_counted_from_the_end(name):
    """Nor past the end: in every mode, on device cuda where it is next waited for."""
    call = FROM_ZERO[name]
    modes = {
        "eager": call,
        "compile": td.compile(call),
        "program": td.program(call, td.tensor([0, 1])),
        "vmap": lambda ids: td.vmap(call)(td.stack([td.tensor([0, 3]), ids])),
        "scan": lambda ids: td.scan(lambda c, _: (c, call(ids)), td.tensor(0.0), length=2)[1],
        "closed over": lambda ids: td.compile(lambda: call(ids))(),
    }
    for mode, run in modes.items():
        for wrong in (-1, 4, -(2**63), 2**63 - 1):
            with pytest.raises(IndexError, match="out of range"):
                run(td.tensor([0, wrong])).cpu()
        assert run(td.tensor([0, 3])).tolist() is not None, mode
    small, wide = (to_array(call(td.tensor([3, 3], dtype=dtype))) for dtype in (td.uint8, td.int64))
    np.testing.assert_array_equal(small, wide)
    with pytest.raises(TypeError, match=rf"\[{name}\]"):
        call(td.tensor([0.0, 1.0]))


def test_segments_below_zero_are_no_count(device):
    for wrong in ([-1, -1], [-5, -1], [2, -1]):
        with pytest.raises(IndexError, match=r"out of range"):
            td.segment_sum(td.ones(2), td.tensor(wrong))
            if device.type == "cuda":
                td.cuda.synchronize()
    assert td.one_hot(td.zeros(0, dtype=td.int64), 0).shape == (0, 0)
    assert [x.tolist() for x in td.unravel_index([5, 2], (2, 3))] == [[1, 0], [2, 2]]
    assert td.unravel_index(td.tensor(3), 4)[0].item() == 3 and td.unravel_index(0, ()) == ()


def test_sequences_are_index_arrays(rng):
    """Whatever is a sequence, as in NumPy; a tuple is one where it stands inside of the key."""
    from array import array
    from collections import deque

    x = rng.standard_normal((4, 3))
    for key in (
        range(2),
        range(3, -1, -2),
        range(0),
        deque([2, 0]),
        array("l", [1, 1]),
        (range(2), [1, 2]),
        ((0, 3), 1),
        (slice(None), (0, 2)),
        ([], 1),
        ((), 1),
    ):
        np.testing.assert_array_equal(to_array(td.tensor(x)[key]), x[key])
        written, want = td.tensor(x), x.copy()
        written[key], want[key] = 7.0, 7.0
        np.testing.assert_array_equal(to_array(written), want)
    for key in ("ab", b"ab", {0: 1}, {1}):
        with pytest.raises(IndexError, match=r"\[index\] a tensor is indexed by"):
            td.tensor(x)[key]


def test_derivatives_of_forms(rng):
    x, updates = td.tensor(rng.standard_normal((4, 3))), td.tensor(rng.standard_normal((3, 3)))
    indices = td.tensor([[0, 3], [3, 1], [0, 1]])
    td.check_grads(lambda x: td.sin(td.gather(x, 0, indices)), (x,), order=2)
    for how in ("sum", "prod", "mean", "amax", "amin"):
        for include_self in (True, False):

            def f(x, u, how=how, include_self=include_self):
                return td.sin(td.scatter_reduce(x, 0, indices, u, how, include_self))

            td.check_grads(f, (x, updates), order=2)
    ids = td.tensor([0, 2, 2, 0])
    for function in (td.segment_sum, td.segment_prod, td.segment_max, td.segment_min):
        td.check_grads(lambda x: td.cos(function(x, ids, 3)[::2]), (x,), order=2)  # noqa: B023
    lanes = td.vmap(lambda x, u: td.scatter_reduce(x, 0, indices[:, 0], u, "amax"), (1, 1), 1)
    want = td.stack(
        [td.scatter_reduce(x[:, i], 0, indices[:, 0], updates[:, i], "amax") for i in range(3)], 1
    )
    assert lanes(x, updates).tolist() == want.tolist()


def test_numbers_of_a_list_are_as_exact_as_the_tensor():
    x = td.zeros((2, 2), dtype=td.float64)
    x[0] = [0.1, 0.7]
    x[1:] = ((0.3, 1 / 3),)
    assert x.tolist() == [[0.1, 0.7], [0.3, 1 / 3]]
    counts = td.zeros(2, dtype=td.int64)
    counts[...] = [1, 2**53 + 1]
    assert counts.tolist() == [1, 2**53 + 1]


@pytest.mark.parametrize(
    ("shape", "mask"), [((3,), (0,)), ((2, 3), (0,)), ((2, 3), (2, 0)), ((2, 1), (0, 0))]
)
def test_masks_without_elements_take_nothing(shape, mask):
    """Of axes of any extent, as the array API standard has it."""
    x, nothing = td.ones(shape), td.zeros(mask, dtype=td.bool)
    assert x[nothing].shape == (0, *shape[len(mask) :])
    x[nothing] = 5.0
    assert td.all(x == 1)
    with pytest.raises(IndexError, match="does not fit"):
        x[td.zeros((7,), dtype=td.bool)]
