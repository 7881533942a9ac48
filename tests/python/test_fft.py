"""Discrete Fourier transforms against NumPy's, which computes in float64."""

import numpy as np
import pytest
import tidu as td

# Small primes, products of them, with large prime factors (chirps), and long ones of both.
LENGTHS = [1, 2, 3, 5, 7, 16, 31, 45, 64, 67, 96, 134, 1000, 1009, 1024, 2 * 3 * 5 * 7 * 11, 10007, 3 << 15]
NORMS = ["backward", "ortho", "forward"]
TOLERANCE = {td.float32: 2e-6, td.float64: 4e-15, td.complex64: 2e-6, td.complex128: 4e-15}


def draw(*shape, real=False, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape)
    return values if real else values + 1j * rng.normal(size=shape)


def close(got, want, dtype):
    assert got.dtype is dtype and got.shape == want.shape
    got = got.detach().cpu().numpy()
    assert np.abs(got - want).max() <= TOLERANCE[dtype] * np.abs(want).max() * np.log2(want.size + 2)


def compare(name, values, dtype=None, **how):
    x = td.tensor(values)
    want = getattr(np.fft, name)(values, **how)
    close(getattr(td.fft, name)(x, **how), want, td.complex128 if want.dtype.kind == "c" else td.float64)


@pytest.mark.parametrize("n", LENGTHS)
def test_lengths(n):
    for dtype, real in ((td.complex128, td.float64), (td.complex64, td.float32)):
        z, x = draw(2, n), draw(2, n, real=True)
        close(td.fft.fft(td.tensor(z).astype(dtype)), np.fft.fft(z), dtype)
        close(td.fft.ifft(td.tensor(z).astype(dtype)), np.fft.ifft(z), dtype)
        close(td.fft.rfft(td.tensor(x).astype(real)), np.fft.rfft(x), dtype)
        close(td.fft.irfft(td.tensor(z).astype(dtype), n=n), np.fft.irfft(z, n=n), real)


@pytest.mark.parametrize("n", [8, 30, 37, 4096])
def test_many_rows(n):
    """Rows side by side, of which some are left over, rows that lie apart, and backwards."""
    z = draw(n, 35)
    for dtype in (td.complex64, td.complex128):
        x = td.tensor(z).astype(dtype)
        close(td.fft.fft(x, axis=0), np.fft.fft(z, axis=0), dtype)
        close(td.fft.ifft(td.conj(x).mT), np.fft.ifft(z.conj().T), dtype)
        close(td.fft.fft(td.flip(x, 0), axis=0), np.fft.fft(z[::-1], axis=0), dtype)


@pytest.mark.parametrize("n", [1, 2, 8, 30, 37, 134, 4096])
def test_many_rows_of_real_numbers(n):
    """Whose memory lies apart, backwards, and where no complex number would begin; and back, from halves
    whose imaginary parts at both ends no real numbers have."""
    values = draw(35, n + 1, real=True)
    for dtype, of in ((td.complex64, td.float32), (td.complex128, td.float64)):
        x = td.tensor(values).astype(of)
        close(td.fft.rfft(x[:, 1:]), np.fft.rfft(values[:, 1:]), dtype)
        close(td.fft.rfft(x.mT[1:], axis=0), np.fft.rfft(values.T[1:], axis=0), dtype)
        close(td.fft.rfft(td.flip(x, 1)[0, :n]), np.fft.rfft(values[0, ::-1][:n]), dtype)
        close(
            td.fft.rfft(x.reshape(-1)[1 : 1 + 2 * n].reshape((2, n))),
            np.fft.rfft(values.reshape(-1)[1 : 1 + 2 * n].reshape(2, n)),
            dtype,
        )
        half = draw(35, n // 2 + 1)
        z = td.tensor(half).astype(dtype)
        close(td.fft.irfft(z, n=n), np.fft.irfft(half, n=n), of)
        close(td.fft.irfft(td.conj(z).mT, n=n, axis=0), np.fft.irfft(half.conj().T, n=n, axis=0), of)
        np.testing.assert_array_equal(z.cpu().numpy(), half.astype(z.cpu().numpy().dtype))  # as it was
    assert td.fft.rfft(td.zeros((0, n))).shape == (0, n // 2 + 1)


def test_no_rows_and_no_numbers():
    assert td.fft.fft(td.zeros((0, 4), dtype=td.complex64)).shape == (0, 4)
    assert td.fft.fft(td.zeros((2, 0), dtype=td.complex64), n=3).tolist() == [[0] * 3] * 2


def test_infinities_stay_in_their_row():
    z = draw(20, 6)
    z[3, 2] = np.inf
    got = td.fft.fft(td.tensor(z)).cpu().numpy()
    assert np.isfinite(np.delete(got, 3, 0)).all() and not np.isfinite(got[3]).any()


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("norm", NORMS)
def test_axes_lengths_and_norms(name, norm):
    values = draw(4, 6, 5, real=name in ("rfft", "ihfft"))
    for axis in (0, 1, -1):
        for n in (None, 3, 7, 8):
            compare(name, values, n=n, axis=axis, norm=norm)


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"])
@pytest.mark.parametrize("norm", NORMS)
def test_several_axes(name, norm):
    values = draw(4, 6, 5, real=name.startswith("r"))
    compare(name, values, norm=norm)
    compare(name, values, s=(3, 8), axes=(0, 2), norm=norm)
    compare(name, values, axes=(2, 1), norm=norm)


def test_frequencies_and_shifts():
    for n in (1, 4, 7):
        close(td.fft.fftfreq(n, d=0.5, dtype=td.float64), np.fft.fftfreq(n, 0.5), td.float64)
        close(td.fft.rfftfreq(n, d=2.0, dtype=td.float64), np.fft.rfftfreq(n, 2.0), td.float64)
    assert td.fft.fftfreq(4).dtype is td.float32
    values = np.arange(12.0).reshape(3, 4)
    for axes in (None, 0, (1,)):
        for name in ("fftshift", "ifftshift"):
            got = getattr(td.fft, name)(td.tensor(values), axes=axes)
            np.testing.assert_array_equal(got.cpu().numpy(), getattr(np.fft, name)(values, axes=axes))


def test_real_input_and_dtypes():
    close(td.fft.fft(td.tensor([1.0, 2.0, 4.0])), np.fft.fft([1.0, 2.0, 4.0]), td.complex64)
    close(td.fft.rfft(td.tensor([1, 2, 4])), np.fft.rfft([1, 2, 4]), td.complex64)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda z: td.fft.fft(z, n=0), ValueError, r"\[fft\].*at least 1"),
        (lambda z: td.fft.fft(z, axis=2), IndexError, r"\[fft\] axis 2"),
        (lambda z: td.fft.fft(z, norm="both"), ValueError, r"\[fft\] norm is"),
        (lambda z: td.fft.rfft(z), TypeError, r"\[rfft\] takes real numbers"),
        (lambda z: td.fft.fftn(z, axes=(0, 0)), ValueError, r"\[fftn\] an axis is named twice"),
        (lambda z: td.fft.fftn(z, s=(2,), axes=(0, 1)), ValueError, r"\[fftn\] s names 1"),
        (lambda z: td.fft.fft(z[0, 0]), ValueError, r"\[fft\] a 0-d tensor"),
        (lambda z: td.fft.hfft(z, norm="x"), ValueError, r"\[hfft\] norm is"),
        (lambda z: td.fft.irfft(z[:, :1]), ValueError, r"\[irfft\] the result would have 0"),
    ],
)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(td.tensor(draw(2, 3)))


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fftn", "irfftn"])
def test_derivatives(name):
    values = draw(3, 5, real=name in ("rfft", "ihfft"))
    td.check_grads(getattr(td.fft, name), (td.tensor(values),), order=2)


@pytest.mark.parametrize("n", [1, 2, 6])
def test_derivatives_of_real_transforms(n):
    td.check_grads(td.fft.rfft, (td.tensor(draw(3, n, real=True)),), order=2)
    td.check_grads(lambda z: td.fft.irfft(z, n=n), (td.tensor(draw(3, n // 2 + 1)),), order=2)


def test_saved_programs_transform_real_numbers(tmp_path):
    x = td.tensor(draw(3, 6, real=True)).astype(td.float32)
    program = td.program(lambda x: td.fft.irfft(2 * td.fft.rfft(x)), x)
    program.save(tmp_path / "p")
    close(td.load_program(tmp_path / "p")(x), 2 * draw(3, 6, real=True), td.float32)


def test_adjoint():
    """vjp is the adjoint: <w, F z> = <F* w, z> with Re(conj(a) b)."""
    z, w = td.tensor(draw(96)), td.tensor(draw(96, seed=1))
    pulled = td.tree_leaves(td.vjp(td.fft.fft, z)[1](w))[0]
    close(pulled, 96 * np.fft.ifft(draw(96, seed=1)), td.complex128)


def test_programs_and_lanes():
    z = td.tensor(draw(3, 4, 6))
    want = np.fft.fft(draw(3, 4, 6), axis=1)
    close(td.vmap(lambda lane: td.fft.fft(lane, axis=0))(z), want, td.complex128)
    close(td.compile(lambda z: td.fft.fft(z, axis=1))(z), want, td.complex128)

    def power(x):
        spectrum = td.fft.rfft(x)
        return td.real(spectrum * td.conj(spectrum)).sum()

    x = td.tensor(draw(8, real=True))
    for gradient in (td.grad(power), td.compile(td.grad(power))):
        X = np.fft.rfft(draw(8, real=True))
        want = 2 * np.real(np.fft.fft(np.concatenate([X, np.zeros(3)]).conj()))
        close(gradient(x), want, td.float64)
