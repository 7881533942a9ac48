"""Random numbers: reproducible from their key, independent of each other, distributed as they say."""

import numpy as np
import pytest
import tidu as td
from scipy import stats

N = 200_000


def key(seed=0):
    return td.random.key(seed)


def test_keys():
    assert key().shape == (2,)
    assert key().dtype == td.uint32
    assert key(3).tolist() == key(3).tolist()
    parts = td.random.split(key(1), 100)
    assert parts.shape == (100, 2)
    seen = {tuple(part) for part in parts.tolist()} | {tuple(key(i).tolist()) for i in range(100)}
    seen |= {tuple(td.random.fold_in(key(1), i).tolist()) for i in range(100)}
    assert len(seen) == 300


def test_a_number_depends_on_key_and_position_alone():
    long = td.random.bits(key(5), (1000,)).cpu().numpy()
    for n in (1, 3, 4, 5, 999):
        np.testing.assert_array_equal(td.random.bits(key(5), (n,)).cpu().numpy(), long[:n])
    np.testing.assert_array_equal(td.random.bits(key(5), (10, 100)).cpu().numpy(), long.reshape(10, 100))
    assert (td.random.bits(key(6), (1000,)).cpu().numpy() != long).mean() > 0.99
    assert td.random.bits(key(5), (0, 3)).shape == (0, 3)
    assert td.random.uniform(key(5)).shape == ()


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16, td.float32, td.float64], ids=str)
def test_uniform(dtype):
    x = td.random.uniform(key(1), (N,), low=-2, high=3, dtype=dtype)
    assert x.dtype == dtype
    values = x.astype(td.float64).cpu().numpy()
    assert values.min() >= -2
    assert values.max() < 3
    if dtype in (td.float32, td.float64):
        assert stats.kstest(values, stats.uniform(-2, 5).cdf).pvalue > 1e-3
    assert values.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("high", [2.0, 3.0, 0.5, -2.0, -3.0])
@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16], ids=str)
def test_what_would_round_to_the_bound_is_the_number_below_it(dtype, high):
    values = td.random.uniform(key(4), (N,), low=high - 1, high=high, dtype=dtype).astype(td.float64)
    bits = {td.float16: 11, td.bfloat16: 8}[dtype]
    spacing = 2.0 ** (np.floor(np.log2(abs(high))) + 1 - bits)
    below = high - (spacing / 2 if high in (2.0, 0.5) else spacing)
    assert values.max().item() == below


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
def test_normal(dtype):
    x = td.random.normal(key(2), (N,), mean=1, std=2, dtype=dtype)
    assert x.dtype == dtype
    values = x.cpu().numpy().astype(float)
    assert np.isfinite(values).all()
    assert stats.kstest(values, stats.norm(1, 2).cdf).pvalue > 1e-3
    # Neighbours come from one block of bits.
    assert abs(np.corrcoef(values[::2], values[1::2])[0, 1]) < 0.01
    assert np.abs((values - 1) / 2).max() > 4


def test_bits():
    bits = td.random.bits(key(3), (N,)).cpu().numpy()
    assert bits.dtype == np.uint32
    ones = np.unpackbits(bits.view(np.uint8).reshape(-1, 4), axis=1).mean(axis=0)
    np.testing.assert_allclose(ones, 0.5, atol=5 * 0.5 / np.sqrt(N))


def test_bernoulli():
    for p in (0, 0.3, 1):
        x = td.random.bernoulli(key(4), p, (N,))
        assert x.dtype == td.bool
        assert x.cpu().numpy().mean() == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / N))


def test_randint():
    x = td.random.randint(key(5), (N,), low=-3, high=4)
    assert x.dtype == td.int64
    counts = np.bincount(x.cpu().numpy() + 3)
    assert len(counts) == 7
    assert stats.chisquare(counts).pvalue > 1e-3
    assert td.random.randint(key(5), (10,), low=5, high=6).tolist() == [5] * 10
    with pytest.raises(ValueError):
        td.random.randint(key(5), (3,), low=2, high=2)


@pytest.mark.parametrize("dtype", [td.int8, td.uint8, td.int32, td.uint32, td.int64, td.uint64], ids=str)
def test_randint_is_the_remainder_of_64_bits(dtype):
    for low, high in ((0, 7), (-3, 100), (5, 6), (0, 2**31 - 1), (-(2**62), 2**62 - 5)):
        if low < td.iinfo(dtype).min or high - 1 > td.iinfo(dtype).max:
            continue  # refused
        got = td.random.randint(key(5), (1000,), low=low, high=high, dtype=dtype)
        words = td.random.bits(key(5), (1000, 2)).tolist()
        assert got.tolist() == [low + (b + (a << 32)) % (high - low) for b, a in words]


def test_permutation():
    x = td.random.permutation(key(6), 1000).cpu().numpy()
    np.testing.assert_array_equal(np.sort(x), np.arange(1000))
    assert (x != np.arange(1000)).mean() > 0.9
    first = [int(td.random.permutation(td.random.fold_in(key(7), i), 4)[0]) for i in range(1000)]
    assert stats.chisquare(np.bincount(first, minlength=4)).pvalue > 1e-3
    rows = td.random.permutation(key(8), td.tensor(np.arange(12).reshape(6, 2))).cpu().numpy()
    assert sorted(map(tuple, rows)) == sorted(map(tuple, np.arange(12).reshape(6, 2)))
    assert td.random.permutation(key(6), 0).shape == (0,)


def test_samples_are_differentiable_in_their_parameters():
    scale = td.tensor(2.0)
    g = td.grad(lambda s: td.sum(td.random.normal(key(9), (5,)) * s))(scale)
    assert g.tolist() == pytest.approx(float(td.sum(td.random.normal(key(9), (5,)))))


@pytest.mark.parametrize("number, words", [(-1, "the integer -1"), (2**64, "an integer of 65 bits")])
def test_seeds_that_do_not_fit_are_named(number, words):
    with pytest.raises(ValueError, match=rf"\[key\] takes integers from 0 to 2\^64 - 1, not {words}"):
        td.random.key(number)
    with pytest.raises(ValueError, match=rf"\[fold_in\].*not {words}"):
        td.random.fold_in(td.random.key(0), number)
    assert td.random.key(2**64 - 1).tolist() != td.random.key(0).tolist()


@pytest.mark.parametrize(("dtype", "atol"), [(td.float32, 2e-5), (td.float64, 1e-12)], ids=str)
def test_normal_numbers_are_uniform_ones_turned(dtype, atol):
    """By the definition (Box and Muller): radius and angle of each pair, in every quadrant."""
    key = td.random.key(3)
    u = td.random.uniform(key, (4000,), dtype=dtype).astype(td.float64).cpu().numpy()
    z = td.random.normal(key, (4000,), dtype=dtype).astype(td.float64).cpu().numpy()
    quarters = 4 * u[1::2]
    quarters -= quarters % 1 >= 0.5
    want = np.sqrt(-2 * np.log(u[::2])) * np.exp(0.5j * np.pi * quarters)
    np.testing.assert_allclose(z[::2] + 1j * z[1::2], want, rtol=0, atol=atol)


def test_one_number_of_one_key_of_a_batch():
    keys = td.random.key(5)[None]
    got = td.vmap(lambda key: td.random.normal(key, ()))(keys)
    assert got.tolist() == [td.random.normal(keys[0], ()).item()]
