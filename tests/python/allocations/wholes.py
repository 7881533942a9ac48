"""Training steps, transforms, scopes and files, at each of whose allocations memory may run out."""

import copy
import functools
import pickle

import tidu as td

F = td.nn.functional
X, SQUARE, KEY = td.ones((3, 4)), td.eye(3) * 2, td.random.key(0)
OPTIMIZERS = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Lion"]
LINALG = ["inv", "det", "slogdet", "cholesky", "qr", "svd", "eigh", "eigvalsh", "pinv", "matrix_rank", "cond"]


def network():
    return td.nn.Sequential(
        td.nn.Linear(4, 3),
        td.nn.BatchNorm1d(3),
        td.nn.Tanh(),
        td.nn.Dropout(0.5, key=KEY),
        td.nn.Linear(3, 2),
    )


def training(optimizer):
    net, labels = network(), td.tensor([0, 1, 0])

    def train():
        own = copy.deepcopy(net)
        steps = optimizer(own.parameters())
        for _ in range(2):
            steps.zero_grad()
            F.cross_entropy(own(X), labels).backward()
            steps.step()
        steps.load_state_dict(steps.state_dict())
        own.load_state_dict(own.state_dict())

    return train


def compiled_training():
    w = td.ones((4, 2), requires_grad=True)
    steps = td.optim.SGD([w], lr=0.1)

    @td.compile
    def step(x):
        steps.zero_grad()
        (x @ w).sum().backward()
        steps.step()

    step(X)


def custom():
    f = td.custom_vjp(lambda x: x * x)
    f.defvjp(lambda x: (x * x, x), lambda saved, g: (2 * saved * g,))
    td.grad(td.program(lambda x: f(x).sum(), X))(X)


def clip():
    w = td.ones(3, requires_grad=True)
    (w * 5).sum().backward()
    td.optim.clip_grad_norm_([w], 1.0)


def resumed():
    loader = td.data.DataLoader(td.data.TensorDataset(td.ones((6, 2))), batch_size=2, shuffle=True, key=KEY)
    next(iter(loader))
    loader.load_state_dict(loader.state_dict())
    list(loader)


def within(scope):
    with scope() as entered:
        result = td.sin(X) @ X.T
    return str(entered), result


def write(x):
    result = td.copy(x)
    result[0] = x[1]
    return result


def wholes(folder):
    net, sequence = network(), td.ones((2, 1, 4))
    for name in OPTIMIZERS:
        yield f"training by {name}", training(getattr(td.optim, name))
    yield "compiled training", compiled_training
    for name in LINALG:
        yield name, functools.partial(getattr(td.linalg, name), SQUARE)
    yield "solve", lambda: td.linalg.solve(SQUARE, td.ones((3, 2)))
    yield "lstsq", lambda: td.linalg.lstsq(SQUARE, td.ones((3, 2)))
    for name in ("fft", "ifft", "rfft", "irfft", "fft2", "fftn"):
        yield name, functools.partial(getattr(td.fft, name), X)
    yield "vmap of grad", lambda: td.vmap(td.grad(lambda x: td.sin(x).sum()))(X)
    yield "vmap of a write", lambda: td.vmap(write)(X)
    yield "jacobian", lambda: td.jacobian(lambda x: x * x)(td.ones(3))
    yield "sparse jacobian", lambda: td.jacobian(lambda x: x * x, sparse=True)(td.ones(3))
    yield "cond", lambda: td.cond(td.tensor(True), lambda x: x, lambda x: -x, X)
    yield "grad of fori_loop", lambda: td.grad(lambda x: td.fori_loop(0, 3, lambda i, c: c * x, x).sum())(X)
    yield "fori_loop", lambda: td.fori_loop(0, 40, lambda i, c: c + i, X)
    yield "compiled scan", lambda: td.compile(lambda x: td.scan(lambda c, r: (c + r, c), x[0], x))(X)
    yield "budget", lambda: td.grad(td.checkpoint(lambda x: td.tanh(td.tanh(x)).sum(), budget=400))(SQUARE)
    yield "custom rule", custom
    yield "program", lambda: td.program(lambda x: td.sin(x) * 2, X).save(f"{folder}/program")
    yield "loaded program", lambda: td.load_program(f"{folder}/program")(X)
    yield "deepcopy", functools.partial(copy.deepcopy, net)
    yield "pickle", lambda: pickle.loads(pickle.dumps(X))
    yield "saved state", lambda: td.save(f"{folder}/state", net.state_dict())
    yield "loaded state", lambda: net.load_state_dict(td.load(f"{folder}/state"))
    yield (
        "schedule",
        lambda: td.optim.CosineLR(td.optim.SGD([td.ones(2, requires_grad=True)], lr=1.0), 9).step(),
    )
    yield "clipping", clip
    yield "resumed loader", resumed
    yield "transform", lambda: list(td.data.DataLoader([td.ones(2)] * 4, transform=lambda batch, key: batch))
    yield "hvp", lambda: td.hvp(lambda x: (x**3).sum(), X, X)
    yield "linearize", lambda: td.linearize(lambda x: x**3, X)
    yield "odeint", lambda: td.odeint(lambda y, t: -y, td.ones(2), td.linspace(0.0, 1.0, 3))
    yield "cg", lambda: td.linalg.cg(lambda v: SQUARE @ v, td.ones(3))
    yield "root", lambda: td.implicit.root(lambda v: v * v - 2, td.ones(2))
    for scope in (td.no_grad, td.enable_grad, td.profile, td.detect_nan, lambda: td.autocast(td.bfloat16)):
        yield "a scope", functools.partial(within, scope)
    yield "graph", lambda: td.viz.graph(lambda x: x * td.sin(x), 0.5)
    yield "LSTM", functools.partial(td.nn.LSTM(4, 3), sequence)
    yield "attention", functools.partial(td.nn.MultiheadAttention(4, 2), *[sequence] * 3)
    yield "callback", lambda: td.compile(lambda x: td.pure_callback(lambda v: v, x, x))(X)
