"""Runs every kernel family once on device cuda, at sizes around its borders, for compute-sanitizer."""

import tidu as td

td.set_default_device("cuda")
key = td.random.key(0)
for shape in ((33, 65), (7, 1025), (3, 9001)):
    x = td.random.normal(key, shape)
    for dtype in (td.float32, td.float16, td.float64):
        y = x.astype(dtype)
        checks = [y + y, y * 2, td.exp(y), td.sum(y), td.sum(y, axis=0), td.sum(y, axis=1), td.max(y, axis=1)]
        checks += [td.argmax(y, axis=0), td.nn.functional.softmax(y, -1), td.nn.functional.softmax(y, 0)]
        checks += [td.copy(y.permute_dims((1, 0))), y[:, ::-2] + 1, td.concat([y, y], axis=1)]
        checks += [y @ y.permute_dims((1, 0))]
        checks += [
            td.sort(y),
            td.sort(y[0]),
            td.sort(y, axis=0),
            td.searchsorted(td.sort(y), y, side="right"),
        ]
    labels = td.random.randint(key, (shape[0],), 0, shape[1])
    logits = td.tensor(x, requires_grad=True)
    td.nn.functional.cross_entropy(logits, labels).backward()
    td.random.permutation(key, shape[1])
    rows = td.tensor(x, requires_grad=True)
    td.take(rows, td.tensor([0, 2, 2, 1]), axis=0).sum().backward()
    for norm in (td.nn.functional.layer_norm, td.nn.functional.rms_norm):
        norm(rows, rows.shape[1:], rows[0]).sum().backward()
    for stride in (1, 2):
        layer = td.nn.Conv2d(3, 5, 3, stride=stride, padding=1).to("cuda")
        images = td.tensor(td.random.normal(key, (2, 3, shape[0], 17)), requires_grad=True)
        td.nn.functional.batch_norm(images, None, None, training=True).sum().backward()
        td.nn.functional.max_pool2d(layer(images), 2).sum().backward()
    q = td.tensor(td.random.normal(key, (2, 3, shape[0], 20)), requires_grad=True)
    for causal in (False, True):
        td.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=causal).sum().backward()
    for scatter in (td.scatter_set, td.scatter_multiply, td.scatter_min, td.scatter_max):
        scatter(x, td.tensor([0, 2, 2, 1]), x[:1] * 2, axis=0)
    picked = td.copy(x)
    each = td.arange(shape[0])
    picked[each, labels] = 1.0
    picked[x > 0] = picked[each, labels].sum()
    td.nonzero(x > 0)

for n in (1, 33, 300):
    for dtype in (td.float32, td.float64, td.complex64, td.complex128):
        a = td.random.normal(key, (2, n, n)).astype(dtype) + 3 * n * td.eye(n, dtype=dtype)
        b = td.ones((2, n, 3), dtype=dtype)
        td.linalg.solve(a, b), td.linalg.solve_triangular(a, b), td.linalg.slogdet(a), td.linalg.adjugate(a)
        td.linalg.cholesky(a @ a.mT), td.linalg.qr(a), td.linalg.eigh(a), td.linalg.svd(a[:, : n // 2 + 1])
        td.grad(lambda x: abs(td.linalg.eigh(x).eigenvectors).sum())(
            a + n * td.arange(n).astype(dtype) * td.eye(n, dtype=dtype)  # far from equal eigenvalues
        )

for dtype in (td.complex64, td.complex128):
    td.fft.ifft(td.fft.fft(td.ones((3, 1000), dtype=dtype)), axis=0)

model = td.nn.Sequential(td.nn.Linear(784, 256), td.nn.Sigmoid(), td.nn.Linear(256, 10)).to("cuda")
for optimizer in (td.optim.SGD(model.parameters(), lr=0.1), td.optim.Adam(model.parameters(), lr=1e-3)):
    loss = td.nn.functional.cross_entropy(model(td.ones((128, 784))), td.zeros(128, dtype=td.int64))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
td.cuda.synchronize()
print("every kernel family ran")
