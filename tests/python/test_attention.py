"""Attention beside its definition in NumPy's float64, and the Transformer's layers beside theirs."""

import numpy as np
import pytest
import tidu as td
from tidu import nn
from tidu.nn import functional as F

rng = np.random.default_rng(11)


def normal(*shape):
    return rng.standard_normal(shape)


def t(array, dtype=None):
    return td.tensor(np.asarray(array), dtype=dtype)


def array(x):
    return np.asarray(x.detach().astype(td.float64).cpu().numpy())


def keep_causal(length, keys):
    return np.tril(np.ones((length, keys), bool))


def attention(q, k, v, mask=None, causal=False, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * (max(q.shape[-1], 1) ** -0.5 if scale is None else scale)
    if causal:
        mask = keep_causal(*scores.shape[-2:])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    with np.errstate(all="ignore"):
        p = np.exp(scores - scores.max(-1, keepdims=True, initial=-np.inf))
        p = np.nan_to_num(p / p.sum(-1, keepdims=True)) if not np.isnan(scores).any() else p
    return p @ v


SHAPES = [
    (1, 1, 1, 1),
    (5, 3, 4, 2),
    (70, 300, 8, 8),
    (65, 257, 5, 70),
    (3, 0, 2, 2),
    (0, 3, 2, 2),
    (2, 3, 0, 2),
]
MASKS = {
    "none": lambda length, keys: None,
    "bool": lambda length, keys: rng.random((length, keys)) < 0.6,
    "numbers": normal,
    "some infinite": lambda length, keys: np.where(
        rng.random((length, keys)) < 0.6, normal(length, keys), -np.inf
    ),
}


@pytest.mark.parametrize("mask", [*MASKS, "causal"])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_the_definition(shape, mask):
    length, keys, depth, width = shape
    q, k, v, g = (
        normal(2, length, depth),
        normal(2, keys, depth),
        normal(2, keys, width),
        normal(2, length, width),
    )
    causal = mask == "causal"
    m = None if causal else MASKS[mask](length, keys)
    expected = attention(q, k, v, m, causal)

    def f(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, None if m is None else t(m), is_causal=causal)

    y, pull = td.vjp(f, t(q), t(k), t(v))
    np.testing.assert_allclose(array(y), expected, rtol=1e-12, atol=1e-13)
    # The gradient, by the definition of the slope of softmax.
    scale = max(depth, 1) ** -0.5
    p = attention(q, k, np.broadcast_to(np.eye(keys), (2, keys, keys)), m, causal)
    dp = g @ np.swapaxes(v, -1, -2)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * scale
    wanted = ds @ k, np.swapaxes(ds, -1, -2) @ q, np.swapaxes(p, -1, -2) @ g
    for found, right in zip(pull(t(g)), wanted, strict=True):
        np.testing.assert_allclose(array(found), right, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16, td.float32])
def test_narrow_dtypes_round_once(dtype):
    q, k, v = (t(normal(2, 40, 16)).astype(dtype) for _ in range(3))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert y.dtype == dtype
    eps = {td.float16: 2e-3, td.bfloat16: 1.6e-2, td.float32: 2e-6}[dtype]
    expected = attention(array(q), array(k), array(v), causal=True)
    np.testing.assert_allclose(array(y), expected, rtol=eps, atol=eps / 4)


@pytest.mark.parametrize("mask", ["none", "bool", "numbers"])
@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16])
def test_gradients_of_values_that_are_much_alike(dtype, mask):
    """Whose mean, which the slopes of the scores are taken from, is not that of 16 bits."""
    q, k, v = t(normal(2, 5, 4), dtype), t(normal(2, 7, 4), dtype), t(60 + normal(2, 7, 3) / 4, dtype)
    g, given = t(normal(2, 5, 3), dtype), MASKS[mask](5, 7)
    given = () if given is None else (t(given, None if given.dtype == bool else dtype),)

    def gradients(dtype):
        wide = [x if x.dtype == td.bool else x.astype(dtype) for x in (q, k, v, *given, g)]
        _, pull = td.vjp(lambda *x: F.scaled_dot_product_attention(*x, *wide[3:-1]), *wide[:3])
        return [array(x) for x in pull(wide[-1])]

    for found, right in zip(gradients(dtype), gradients(td.float64), strict=True):
        unit = {td.float16: 2.0**-11, td.bfloat16: 2.0**-8}[dtype]
        np.testing.assert_allclose(found, right, rtol=unit, atol=2e-4 * abs(right).max())


def test_derivatives_of_two_orders_in_both_modes():
    q, k, v, mask = t(normal(2, 3, 4)), t(normal(2, 5, 4)), t(normal(2, 5, 2)), t(normal(3, 5))
    td.check_grads(lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m), (q, k, v, mask), order=2)
    td.check_grads(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), (q, k, v), order=2
    )


def test_second_derivatives_by_the_values_alone():
    """In which the attention is linear: the gradient by them does not depend on them."""
    q, k, v = t(normal(3, 2)), t(normal(4, 2)), t(normal(4, 2))

    def total(v):
        return td.sum(td.sin(F.scaled_dot_product_attention(q, k, v)))

    td.check_grads(total, (v,), order=2)
    linear = td.grad(lambda v: td.sum(F.scaled_dot_product_attention(q, k, v)))
    np.testing.assert_array_equal(array(td.grad(lambda v: td.sum(linear(v) ** 2))(v)), 0 * array(v))


@pytest.mark.parametrize("dtype", [td.float32, td.float64, td.bfloat16], ids=str)
@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)], ids=str)
def test_only_wanted_gradients_are_computed(wanted, dtype):
    """With the bits that they have beside the others, by fewer operations."""
    shapes = {0: (2, 70, 8), 1: (2, 90, 8), 2: (2, 90, 5)}
    arguments = [t(normal(*shape), dtype) for shape in shapes.values()]

    def noted(argnums):
        f = lambda q, k, v: td.sum(td.sin(F.scaled_dot_product_attention(q, k, v, is_causal=True)))
        with td.profile() as profile:
            gradients = td.grad(f, argnums=argnums)(*arguments)
        (call,) = (call for call in profile.calls if call["name"] == "attention_grad")
        return gradients, call["operations"], call["bytes"]

    everything, all_operations, all_bytes = noted((0, 1, 2))
    gradients, operations, size = noted(wanted)
    for i, gradient in zip(wanted, gradients, strict=True):
        np.testing.assert_array_equal(array(gradient), array(everything[i]))
    queries, keys, depth, width = 70, 90, 8, 5
    of_scores = 0 in wanted or 1 in wanted
    products = depth * (1 + (0 in wanted) + (1 in wanted)) + width * ((2 in wanted) + of_scores)
    others = 1 + 1 + 3 * of_scores
    assert operations == 2 * queries * keys * (2 * products + others) < all_operations
    if dtype != td.bfloat16:  # which is widened where scores are differentiated
        assert all_bytes - size == sum(arguments[i].nbytes for i in range(3) if i not in wanted)


def test_rules_of_unwanted_gradients_multiply_no_matrices():
    q, k, v = t(normal(3, 2)), t(normal(4, 2)), t(normal(4, 2))
    f = lambda *x: td.sum(td.sin(F.scaled_dot_product_attention(*x)))

    def products(argnums):
        second = lambda *x: td.jvp(td.grad(f, argnums=argnums), x, tuple(map(td.ones_like, x)))[1]
        with td.profile() as profile:
            second(q, k, v)
        return sum(call["name"] == "matmul" for call in profile.calls)

    assert max(products((0,)), products((1,)), products((2,))) < products((0, 1, 2))
    for i in range(3):
        td.check_grads(lambda *x, i=i: td.grad(f, argnums=(i,))(*x)[0], (q, k, v), order=2)


def test_a_row_that_looks_at_nothing_is_zero_and_so_are_its_gradients():
    q, k, v = (t(normal(3, 4)) for _ in range(3))
    mask = t(np.array([[True, False, True], [False] * 3, [True] * 3]))
    f = lambda q, k, v: td.sum(F.scaled_dot_product_attention(q, k, v, mask) ** 2)
    assert not array(F.scaled_dot_product_attention(q, k, v, mask))[1].any()
    grads = [array(g) for g in td.grad(f, argnums=(0, 1, 2))(q, k, v)]
    assert not grads[0][1].any() and all(np.isfinite(g).all() for g in grads)


def test_large_logits_and_nan():
    q, k, v = 300 * normal(4, 8), 300 * normal(6, 8), normal(6, 3)
    np.testing.assert_allclose(
        array(F.scaled_dot_product_attention(t(q), t(k), t(v))), attention(q, k, v), rtol=1e-9, atol=1e-12
    )
    q[1, 0] = np.nan
    y = array(F.scaled_dot_product_attention(t(q), t(k), t(v)))
    assert np.isnan(y[1]).all() and np.isfinite(np.delete(y, 1, 0)).all()


def test_layouts_broadcasts_and_groups_of_heads():
    x = normal(2, 5, 3, 4)  # (N, L, heads, D), as layers have it
    q, k, v = (td.swapaxes(t(x * c), 1, 2) for c in (1, 2, 3))
    a = np.swapaxes(x, 1, 2)
    found = array(F.scaled_dot_product_attention(q, k, td.flip(v, -1)))
    np.testing.assert_allclose(found, attention(a, 2 * a, 3 * a[..., ::-1]), rtol=1e-12)
    one = normal(1, 1, 6, 4)
    mask = rng.random((2, 1, 1, 6)) < 0.7
    found = array(F.scaled_dot_product_attention(q, t(one), t(one), t(mask)))
    np.testing.assert_allclose(found, attention(a, one, one, mask), rtol=1e-12, atol=1e-14)
    many, few = normal(2, 6, 4, 3), normal(2, 2, 5, 3)
    mask = rng.random((2, 6, 4, 5)) < 0.7
    found = array(F.scaled_dot_product_attention(t(many), t(few), t(few), t(mask), enable_gqa=True))
    np.testing.assert_allclose(
        found, attention(many, few.repeat(3, 1), few.repeat(3, 1), mask), rtol=1e-12, atol=1e-14
    )


def test_vmap_and_compile_and_one_primitive():
    q, k, v = (t(normal(3, 4, 2)) for _ in range(3))
    f = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    expected = array(f(q, k, v))
    np.testing.assert_allclose(array(td.vmap(f)(q, k, v)), expected, rtol=1e-12)
    np.testing.assert_allclose(
        array(td.vmap(f, in_axes=(0, None, None))(q, k[0], v[0])), array(f(q, k[:1], v[:1])), rtol=1e-12
    )
    np.testing.assert_array_equal(array(td.compile(f)(q, k, v)), expected)
    assert str(td.program(f, q, k, v)).count("attention[") == 1


@pytest.mark.cpu_only("counts the allocations of the cpu")
def test_memory_is_linear_in_the_length():
    length = 2048
    q, k, v = (t(normal(1, length, 16), td.float32) for _ in range(3))
    f = lambda q, k, v: td.sum(F.scaled_dot_product_attention(q, k, v, is_causal=True))
    td.grad(f, argnums=(0, 1, 2))(q, k, v)
    td.cpu.reset_peak_memory()
    before = td.cpu.memory_stats()
    td.grad(f, argnums=(0, 1, 2))(q, k, v)
    after = td.cpu.memory_stats()
    grown = after["peak_bytes"] - before["live_bytes"]
    assert grown < 16 * q.nbytes < length * length * 4 / 2


@pytest.mark.cpu_only("threads are those of the cpu")
def test_threads_do_not_change_bits():
    q, k, v = (t(normal(4, 300, 32), td.float32) for _ in range(3))
    f = lambda *x: td.sum(td.sin(F.scaled_dot_product_attention(*x, is_causal=True)))
    before, results = td.cpu.get_num_threads(), []
    try:
        for count in (1, 3):
            td.cpu.set_num_threads(count)
            results.append([array(g) for g in td.grad(f, argnums=(0, 1, 2))(q, k, v)])
    finally:
        td.cpu.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_dropout_needs_a_key_and_keeps_the_mean():
    q, k = t(normal(2, 3)), t(normal(50, 3))
    v = td.ones((50, 1), dtype=td.float64)
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5, dropout_key=td.random.key(0))
    assert np.all(np.abs(array(y) - 1) < 0.9) and np.any(array(y) != 1)
    with pytest.raises(ValueError, match="dropout_key"):
        F.scaled_dot_product_attention(q, k, v, dropout_p=0.5)


def test_what_does_not_fit_is_refused():
    q = t(normal(2, 3))
    with pytest.raises(td.ShapeError, match=r"scaled_dot_product_attention.*\(\.\., L, D\)"):
        F.scaled_dot_product_attention(q, t(normal(2, 4)), q)
    with pytest.raises(td.ShapeError, match=r"scaled_dot_product_attention.*\(3, 2\)"):
        F.scaled_dot_product_attention(q, q, q, t(normal(3, 2)))
    with pytest.raises(td.DTypeError, match="floating-point"):
        F.scaled_dot_product_attention(q, q, q, td.ones((2, 2), dtype=td.int32))
    with pytest.raises(ValueError, match="exclude"):
        F.scaled_dot_product_attention(q, q, q, q @ q.T, is_causal=True)
    with pytest.raises(td.ShapeError, match="multiple"):
        heads = td.expand_dims(q, 0)
        F.scaled_dot_product_attention(
            heads, td.concat([heads, heads]), td.concat([heads, heads]), enable_gqa=True
        )


# ---- Layers


def linear(x, weight, bias=None):
    return x @ array(weight).T + (0 if bias is None else array(bias))


def heads(x, count):
    return np.swapaxes(x.reshape(*x.shape[:2], count, -1), 1, 2)


@pytest.mark.parametrize("weights", [True, False])
def test_multihead_attention(weights):
    layer = nn.MultiheadAttention(6, 2, batch_first=True, dtype=td.float64, key=td.random.key(0))
    x, padding = normal(2, 5, 6), np.array([[False] * 5, [False] * 3 + [True] * 2])
    later = ~keep_causal(5, 5)
    y, p = layer(t(x), t(x), t(x), t(padding), weights, t(later))
    q, k, v = np.split(linear(x, layer.in_proj_weight, layer.in_proj_bias), 3, -1)
    keep = ~(padding[:, None, None] | later)
    right = attention(heads(q, 2), heads(k, 2), heads(v, 2), keep)
    right = np.swapaxes(right, 1, 2).reshape(2, 5, 6)
    np.testing.assert_allclose(
        array(y), linear(right, layer.out_proj.weight, layer.out_proj.bias), rtol=1e-11
    )
    assert (p is None) != weights
    if weights:
        eye = np.broadcast_to(np.eye(5), (2, 2, 5, 5))
        np.testing.assert_allclose(
            array(p), attention(heads(q, 2), heads(k, 2), eye, keep).mean(1), atol=1e-14
        )
    causal = layer(t(x), t(x), t(x), t(padding), weights, is_causal=True)[0]
    np.testing.assert_allclose(array(causal), array(y), rtol=1e-12)


def test_multihead_attention_of_other_sizes_and_more_keys():
    layer = nn.MultiheadAttention(
        4, 2, add_bias_kv=True, add_zero_attn=True, kdim=3, vdim=5, dtype=td.float64
    )
    y, p = layer(t(normal(6, 2, 4)), t(normal(7, 2, 3)), t(normal(7, 2, 5)), average_attn_weights=False)
    assert y.shape == (6, 2, 4) and p.shape == (2, 2, 6, 9)
    np.testing.assert_allclose(array(p).sum(-1), 1, rtol=1e-12)
    alone, _ = layer(t(normal(6, 4)), t(normal(7, 3)), t(normal(7, 5)))
    assert alone.shape == (6, 4)
    with pytest.raises(ValueError, match="multiple"):
        nn.MultiheadAttention(5, 2)


def norm(x, layer):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * array(
        layer.weight
    ) + array(layer.bias)


@pytest.mark.parametrize("first", [True, False])
def test_transformer_layers(first):
    options = {"dropout": 0.0, "norm_first": first, "dtype": td.float64}
    encoder, decoder = (
        nn.TransformerEncoderLayer(4, 2, 8, **options),
        nn.TransformerDecoderLayer(4, 2, 8, **options),
    )
    x, memory = normal(5, 2, 4), normal(3, 2, 4)

    def add(x, layer, function):
        return x + function(norm(x, layer)) if first else norm(x + function(x), layer)

    def attend(layer, other=None):
        return lambda x: array(layer(t(x), *[t(x if other is None else other)] * 2)[0])

    def feed(layer):
        return lambda x: linear(
            np.maximum(linear(x, layer.linear1.weight, layer.linear1.bias), 0), layer.linear2.weight
        )

    right = add(add(x, encoder.norm1, attend(encoder.self_attn)), encoder.norm2, feed(encoder))
    np.testing.assert_allclose(array(encoder(t(x))), right, rtol=1e-9, atol=1e-12)
    right = add(
        add(x, decoder.norm1, attend(decoder.self_attn)),
        decoder.norm2,
        attend(decoder.multihead_attn, memory),
    )
    right = add(right, decoder.norm3, feed(decoder))
    np.testing.assert_allclose(array(decoder(t(x), t(memory))), right, rtol=1e-9, atol=1e-12)


def test_stacks_copy_their_layer_and_drop_out_elements_of_their_own():
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5)
    stack = nn.TransformerEncoder(layer, 2, nn.LayerNorm(4))
    first, second = stack.layers
    np.testing.assert_array_equal(array(first.linear1.weight), array(second.linear1.weight))
    assert not np.array_equal(first.dropout.key.cpu().numpy(), second.dropout.key.cpu().numpy())
    assert stack(t(normal(3, 2, 4), td.float32)).shape == (3, 2, 4)
    stack = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 2)
    x = t(normal(3, 2, 4), td.float32)
    assert stack(x, x).shape == (3, 2, 4)


LAYOUTS = {
    "by columns": lambda x: td.copy(x.mT).mT,
    "rows backwards": lambda x: x[..., ::-1, :],
    "columns backwards": lambda x: x[..., ::-1],
    "part of wider rows": lambda x: td.concat([x, x], -1)[..., : x.shape[-1]],
    "one for the batch": lambda x: td.broadcast_to(x[:1], x.shape),
    "one row": lambda x: td.broadcast_to(x[..., :1, :], x.shape),
}


@pytest.mark.parametrize("shape", [(64, 256), (65, 257), (129, 513)])
def test_operands_are_read_as_they_lie(shape):
    """Beside the blocks of queries and keys: the bits are those of operands that lie row by row."""
    length, keys = shape
    shapes = {"q": (length, 5), "k": (keys, 5), "v": (keys, 3), "mask": (length, keys), "g": (length, 3)}
    whole = {name: t(normal(2, *rows), td.float32) for name, rows in shapes.items()}

    def results(q, k, v, mask, g):
        y, pull = td.vjp(lambda *x: F.scaled_dot_product_attention(*x, mask), q, k, v)
        return y, *pull(g)

    for name in whole:
        for layout, view in LAYOUTS.items():
            x = view(whole[name])
            for found, right in zip(
                results(**whole | {name: x}), results(**whole | {name: td.copy(x)}), strict=True
            ):
                np.testing.assert_array_equal(array(found), array(right), err_msg=f"{name} {layout}")


@pytest.mark.cpu_only("counts the allocations of the cpu")
def test_operands_of_whole_rows_are_not_copied(peak_bytes):
    x = t(normal(2, 40, 3, 16), td.float32)
    heads = td.swapaxes(x, 1, 2)  # as layers have them
    f = lambda q, k, v: F.scaled_dot_product_attention(q, k, v)
    own = peak_bytes(f, *[td.copy(heads)] * 3)
    assert peak_bytes(f, heads, heads, heads) == own
    for view in (
        lambda x: x[..., ::-1],
        lambda x: x[..., ::-1, :],
        LAYOUTS["by columns"],
        LAYOUTS["one row"],
    ):
        assert peak_bytes(f, heads, view(heads), heads) == own + heads.nbytes


@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_stacks_of_layers_that_cannot_be(kind):
    layer = getattr(td.nn, f"Transformer{kind}Layer")(8, 2, 16)
    stack = getattr(td.nn, f"Transformer{kind}")
    with pytest.raises(MemoryError):
        stack(layer, 2**31)
    with pytest.raises(ValueError, match=rf"\[Transformer{kind}\] num_layers is -1"):
        stack(layer, -1)
    assert len(stack(layer, 0).layers) == 0
