"""Matrix products on device cuda: the choice of an implementation, TF32, equal results of all of them."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tidu as td

pytestmark = pytest.mark.usefixtures("cuda_beside_cpu")


@pytest.fixture(params=["auto", "cublas", "tidu"])
def library(request):
    before = td.cuda.get_matmul()
    td.cuda.set_matmul(request.param)
    yield request.param
    td.cuda.set_matmul(before)


def test_choosing_an_implementation(library):
    assert td.cuda.get_matmul() == library
    with pytest.raises(
        ValueError, match='no implementation is called "mkl": there are auto, cublas and tidu'
    ):
        td.cuda.set_matmul("mkl")
    assert td.cuda.get_matmul() == library


@pytest.mark.parametrize("name", ["auto", "cublas", "tidu", "mkl"])
def test_the_environment_chooses_at_first(name):
    code = "import tidu as td; print(td.cuda.get_matmul())"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TIDU_CUDA_MATMUL": name},
        capture_output=True,
        text=True,
        check=False,
    )
    if name == "mkl":
        assert "ValueError" in result.stderr and "TIDU_CUDA_MATMUL" in result.stderr
    else:
        assert result.stdout.strip() == name


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16, td.float32, td.float64])
@pytest.mark.parametrize(
    "a, b",
    [
        ((7, 9), (9, 5)),
        ((9,), (9, 5)),
        ((7, 9), (9,)),
        ((9,), (9,)),
        ((4, 7, 9), (9, 5)),
        ((3, 1, 7, 9), (4, 9, 5)),
        ((150, 200), (200, 140)),
        ((0, 9), (9, 5)),
        ((7, 0), (0, 5)),
    ],
)
def test_products_are_numpys(library, dtype, a, b):
    random = np.random.default_rng(0)
    x = td.astype(td.tensor(random.uniform(-1, 1, a), dtype=td.float64), dtype)
    y = td.astype(td.tensor(random.uniform(-1, 1, b), dtype=td.float64), dtype)
    exact = [np.asarray(td.astype(t, td.float64)) for t in (x, y)]
    expected, magnitude = exact[0] @ exact[1], np.abs(exact[0]) @ np.abs(exact[1])
    product = td.matmul(x.to("cuda"), y.to("cuda"))
    assert product.dtype == dtype and product.device == "cuda:0" and product.shape == expected.shape
    result = np.asarray(td.astype(product.to("cpu"), td.float64))
    bits = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}[str(dtype).split(".")[-1]]
    bound = 2.0**-bits * np.abs(expected) + 2.0 ** -max(bits, 23) * (a[-1] + 2) * magnitude
    assert np.all(np.abs(result - expected) <= bound)


def test_derivatives_go_through(library):
    random = np.random.default_rng(1)
    x, w = (td.tensor(random.uniform(-1, 1, shape), dtype=td.float64) for shape in ((6, 4), (3, 4)))

    def loss(x, w):
        return ((x @ w.mT) ** 2).sum()

    here = td.grad(loss, argnums=(0, 1))(x, w)
    there = td.grad(loss, argnums=(0, 1))(x.to("cuda"), w.to("cuda"))
    for expected, found in zip(here, there, strict=True):
        np.testing.assert_allclose(np.asarray(found.to("cpu")), np.asarray(expected), rtol=1e-13, atol=1e-13)


def test_tf32_only_where_allowed():
    before = td.cuda.get_matmul()
    td.cuda.set_matmul("cublas")
    x, one = td.full((8, 8), 1 + 2**-12, device="cuda"), td.eye(8, device="cuda")
    try:
        assert not td.cuda.is_tf32_allowed() and (x @ one)[0, 0].item() == 1 + 2**-12
        td.cuda.allow_tf32()
        assert td.cuda.is_tf32_allowed() and abs((x @ one)[0, 0].item() - 1) <= 2**-10
    finally:
        td.cuda.allow_tf32(False)
        td.cuda.set_matmul(before)
    assert (x @ one)[0, 0].item() == 1 + 2**-12


def test_errors_name_both_operands():
    x = td.ones((2, 3), device="cuda")
    with pytest.raises(
        ValueError, match=r"\[matmul\] inner dimensions differ: .*cuda:0 @ .*cuda:0 \(3 != 2\)"
    ):
        x @ x
    with pytest.raises(RuntimeError, match="cpu"):
        x @ td.ones((3, 2))
