"""What the Python array API standard asks for, where its own suite found us wanting; and libraries that are
written to it."""

import inspect
import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import tidu as td

INF, NAN = math.inf, math.nan


def same_bits(got, want):
    return np.array_equal(got, want, equal_nan=True) and np.array_equal(np.signbit(got), np.signbit(want))


@pytest.mark.parametrize("dtype", [td.float16, td.float32, td.float64])
def test_floor_divide_of_infinities_is_the_floor_of_the_quotient(dtype):
    rows = [
        (INF, 2.0, INF),
        (INF, -2.0, -INF),
        (-INF, 2.0, -INF),
        (-INF, -2.0, INF),
        (1.0, INF, 0.0),
        (1.0, -INF, -0.0),
        (-1.0, INF, -0.0),
        (-1.0, -INF, 0.0),
        (0.0, INF, 0.0),
        (0.0, -INF, -0.0),
        (INF, 0.0, INF),
        (-1.0, 0.0, -INF),
    ]
    a, b, want = (np.array(column) for column in zip(*rows, strict=True))
    x, y = td.tensor(a, dtype=dtype), td.tensor(b, dtype=dtype)
    for quotients in (x // y, td.floor_divide(x, y)):
        got = quotients.astype(td.float64).cpu().numpy()
        assert same_bits(got, want), got
    x //= y
    assert same_bits(x.astype(td.float64).cpu().numpy(), want)
    for pair in ((INF, INF), (-INF, INF), (NAN, 1.0), (1.0, NAN), (0.0, 0.0)):
        assert math.isnan((td.tensor(pair[0], dtype=dtype) // pair[1]).item()), pair


def test_nextafter_of_zeros_has_the_sign_of_the_second():
    a, b = td.tensor([0.0, -0.0, 0.0]), td.tensor([-0.0, 0.0, 0.0])
    assert same_bits(td.nextafter(a, b).cpu().numpy(), np.array([-0.0, 0.0, 0.0]))


def test_eye_takes_diagonals_however_far_out():
    for k in (2**63 - 1, 2**63, -(2**63), -(2**70), 7, -7):
        assert not td.any(td.eye(3, 4, k=k))
    assert td.eye(3, 4, k=3).tolist()[0] == [0, 0, 0, 1]


def test_eye_is_one_on_its_diagonal():
    for rows, columns in itertools.product((0, 1, 2, 5, 9), repeat=2):
        for k in range(-11, 12):
            got = td.eye(rows, columns, k=k)
            np.testing.assert_array_equal(got.cpu().numpy(), np.eye(rows, columns, k, dtype=np.float32))
    assert td.eye(2, dtype=td.bool).tolist() == [[True, False], [False, True]]
    x = td.eye(3)
    x.requires_grad = True
    (x * 2).sum().backward()
    assert x.grad.tolist() == td.full((3, 3), 2).tolist()


@pytest.mark.parametrize("dtype", [td.float16, td.float32, td.float64, td.int32, td.complex64], ids=str)
def test_linspace_is_rounded_once(dtype):
    for start, stop, count in ((0, 1, 7), (-3, 5, 2000), (1e3, -1e3, 3), (2, 9, 1), (2, 9, 0), (0.1, 0.7, 2)):
        got = td.linspace(start, stop, count, dtype=dtype)
        step = (stop - start) / max(count - 1, 1)
        want = [float(np.longdouble(step) * i + start) for i in range(count)]  # a fused multiply-add
        if count > 1:
            want[-1] = stop
        assert got.tolist() == td.tensor(np.array(want, np.float64)).astype(dtype).tolist()


def test_astype_gives_new_memory_unless_copy_is_false():
    x = td.zeros(2)
    x.astype(td.float32)[0] = 1.0
    td.astype(x, td.float32)[0] = 1.0
    assert x.tolist() == [0, 0]
    x.astype(td.float32, copy=False)[0] = 1.0
    assert x.tolist() == [1, 0]


def test_copysign_has_derivative_zero_by_the_sign():
    a, b = td.tensor([1.0, 2.0, -3.0]), td.tensor([1.0, -2.0, 0.5])
    f = lambda a, b: td.copysign(a, b).sum()
    by_a, by_b = td.grad(f, argnums=(0, 1))(a, b)
    assert by_a.tolist() == [1, -1, -1] and by_b.tolist() == [0, 0, 0]
    assert td.jvp(lambda b: f(a, b), (b,), (td.ones(3),))[1].item() == 0


# --- Signatures

NAMESPACES = {
    "tidu": td,
    "linalg": td.linalg,
    "random": td.random,
    "special": td.special,
    "tree": td.tree,
    "cuda": td.cuda,
    "io": td.io,
    "nn.functional": td.nn.functional,
    "nn.init": td.nn.init,
    "nn": td.nn,
    "optim": td.optim,
    "data": td.data,
    "viz": td.viz,
    "Tensor": td.Tensor,
}


@pytest.mark.cpu_only("looks at signatures")
@pytest.mark.parametrize("name", NAMESPACES)
def test_inspect_reads_the_signature_of_every_public_function(name):
    unreadable = []
    for key in dir(NAMESPACES[name]):
        value = getattr(NAMESPACES[name], key, None)
        if key.startswith("_") or not callable(value):
            continue
        if isinstance(value, type) and (
            issubclass(value, Exception) or value in (td.dtype, td.device, td.Tensor)
        ):
            continue
        try:
            inspect.signature(value)
        except ValueError:
            unreadable.append(key)
    assert not unreadable


@pytest.mark.cpu_only("looks at signatures")
def test_signatures_are_those_of_the_functions():
    assert str(inspect.signature(td.clip)) == "(x, min=None, max=None)"
    assert str(inspect.signature(td.ones(2).clip)) == "(min=None, max=None)"
    assert str(inspect.signature(td.add)) == "(a, b, /)"
    assert str(inspect.signature(td.asarray)) == "(obj, *, dtype=None, device=None, copy=None)"
    assert list(inspect.signature(td.random.normal).parameters)[:2] == ["key", "shape"]
    assert td.clip.__doc__.startswith("min where x is below it")
    with pytest.raises(TypeError):
        inspect.signature(td.clip).bind(td.ones(2), low=0)


# --- Libraries: each in a process of its own, since they read SCIPY_ARRAY_API when they are imported


def scipy_calls():
    import scipy.cluster.vq as vq
    import scipy.integrate
    import scipy.special as sp
    import scipy.stats as st

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 3)), rng.normal(size=(20, 3)) + 0.3
    counts = np.array([16.0, 18, 16, 14, 12, 12])
    yield from (
        (sp.logsumexp, (a,), {"axis": 0}),
        (sp.softmax, (a,), {"axis": 0}),
        (sp.log_softmax, (a,), {"axis": 0}),
        (sp.ndtr, (a,), {}),
        (sp.gammaln, (abs(a),), {}),
        (sp.xlogy, (abs(a), abs(b)), {}),
        (vq.whiten, (a,), {}),
        (scipy.integrate.trapezoid, (a,), {"axis": 0}),
        (lambda x, y: st.pearsonr(x, y, axis=0).statistic, (a, b), {}),
        (lambda x: st.describe(x).variance, (a,), {}),
    )
    for name in [
        "zscore",
        "skew",
        "kurtosis",
        "moment",
        "variation",
        "sem",
        "iqr",
        "circmean",
        "differential_entropy",
    ]:
        yield getattr(st, name), (a,), {}
    for name in ["gmean", "hmean", "entropy"]:
        yield getattr(st, name), (abs(a),), {}
    for name, arguments in {
        "ttest_ind": (a, b),
        "ttest_rel": (a, b),
        "ttest_1samp": (a, 0.1),
        "f_oneway": (a, b),
        "skewtest": (a,),
        "normaltest": (a,),
        "chisquare": (counts,),
    }.items():
        yield (lambda *x, name=name: getattr(st, name)(*x).pvalue), arguments, {}


def sklearn_calls():
    from sklearn import metrics
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import Ridge
    from sklearn.mixture import GaussianMixture
    from sklearn.naive_bayes import GaussianNB
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, StandardScaler

    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    y = (x[:, 0] + 0.3 * rng.normal(size=60) > 0).astype(np.int64)
    r = x @ [1.0, 2.0, 3.0, 4.0] + 0.1
    for scaler in (StandardScaler, MinMaxScaler, MaxAbsScaler, Normalizer):
        yield (lambda x, scaler=scaler: scaler().fit(x).transform(x)), (x,), {}
    yield (lambda x: PCA(2, svd_solver="full").fit(x).explained_variance_), (x,), {}
    yield (lambda x, r: Ridge(solver="svd").fit(x, r).predict(x)), (x, r), {}
    yield (lambda x, y: LinearDiscriminantAnalysis().fit(x, y).predict_proba(x)), (x, y), {}
    yield (lambda x, y: GaussianNB().fit(x, y).predict(x)), (x, y), {}
    yield (
        lambda x: GaussianMixture(2, init_params="random", random_state=0).fit(x).means_,
        (x,),
        {},
    )
    yield metrics.pairwise.euclidean_distances, (x,), {}
    yield metrics.pairwise.rbf_kernel, (x,), {}
    yield metrics.confusion_matrix, (y, y[::-1].copy()), {}
    yield metrics.r2_score, (r, 1.1 * r), {}
    yield metrics.f1_score, (y, y[::-1].copy()), {}


def compare(calls):
    """Calls with tensors give what calls with NumPy's arrays give; how many there were."""
    count = 0
    for function, arguments, options in calls:
        ours = [td.asarray(x, copy=True) if isinstance(x, np.ndarray) else x for x in arguments]
        want, got = function(*arguments, **options), function(*ours, **options)
        assert isinstance(
            got, td.Tensor if isinstance(want, np.ndarray) and want.ndim else td.Tensor | float
        ), function
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-9, atol=1e-12, err_msg=str(function))
        count += 1
    return count


@pytest.mark.cpu_only("other libraries' code, on arrays of the host")
@pytest.mark.parametrize("library, least", [("scipy", 29), ("sklearn", 14)])
def test_libraries_compute_on_tensors(library, least):
    pytest.importorskip(library)
    run = subprocess.run(
        [sys.executable, __file__, library],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout) >= least


if __name__ == "__main__":
    if sys.argv[1] == "sklearn":
        import sklearn

        sklearn.set_config(array_api_dispatch=True)
        print(compare(sklearn_calls()))
    else:
        print(compare(scipy_calls()))
