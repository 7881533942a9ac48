"""Scripts that newcomers bring from PyTorch and JAX, small: each learns what it is to learn."""

import math

import numpy as np
import pytest
import tidu as td
from tidu import nn
from tidu.nn import functional as F

rng = np.random.default_rng(0)


def t(x):
    return td.tensor(np.asarray(x), dtype=td.float32)


def squares(count=64, side=8):
    """Images of a bright square at the left (class 0) or the right (1)."""
    labels = rng.integers(0, 2, count)
    images = rng.normal(0, 0.3, (count, 1, side, side))
    for image, label in zip(images, labels, strict=True):
        image[0, 2:6, 4 * label : 4 * label + 4] += 1
    return t(images), td.tensor(labels)


def test_convolutional_network():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
            self.bn1 = nn.BatchNorm2d(8)
            self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
            self.dropout = nn.Dropout2d(0.1)
            self.fc = nn.Linear(8 * 2 * 2, 2)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
            x = F.max_pool2d(F.relu(self.dropout(self.conv2(x))), 2)
            x = td.flatten(x, 1)
            return F.log_softmax(self.fc(x), axis=1)

    nn.manual_seed(0)
    model = Net()
    optimizer = td.optim.Adam(model.parameters(), lr=1e-2)
    scheduler = td.optim.StepLR(optimizer, step_size=10, gamma=0.5)
    data, target = squares()
    loader = td.data.DataLoader(td.data.TensorDataset(data, target), batch_size=16, shuffle=True)
    for _ in range(4):
        model.train()
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.nll_loss(model(x), y)
            loss.backward()
            optimizer.step()
        scheduler.step()
    model.eval()
    with td.no_grad():
        pred = model(data).argmax(axis=1, keepdims=True)
        correct = (pred == target.reshape(pred.shape)).sum().item()
    assert correct / len(data) > 0.9


def test_character_model():
    text = "hello world " * 20
    chars = sorted(set(text))
    stoi = {c: i for i, c in enumerate(chars)}
    data = td.tensor([stoi[c] for c in text])
    block, width = 8, 16

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attn = nn.Linear(width, 3 * width, bias=False)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            self.register_buffer("mask", td.tril(td.ones((block, block))))

        def forward(self, x):
            _, length, _ = x.shape
            q, k, v = self.attn(self.ln1(x)).chunk(3, axis=-1)
            scores = q @ k.swapaxes(-2, -1) / math.sqrt(width)
            scores = scores.masked_fill(self.mask[:length, :length] == 0, float("-inf"))
            x = x + F.softmax(scores, axis=-1) @ v
            return x + self.mlp(self.ln2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.tok, self.pos = nn.Embedding(len(chars), width), nn.Embedding(block, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(2)])
            self.head = nn.Linear(width, len(chars))

        def forward(self, idx, targets=None):
            x = self.tok(idx) + self.pos(td.arange(idx.shape[1], device=idx.device))
            logits = self.head(self.blocks(x))
            loss = None
            if targets is not None:
                loss = F.cross_entropy(logits.reshape(-1, len(chars)), targets.reshape(-1))
            return logits, loss

    nn.manual_seed(1)
    model = GPT()
    optimizer = td.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(60):
        ix = td.random.randint(td.random.key(step), (8,), 0, len(data) - block)
        x = td.stack([data[i : i + block] for i in ix.tolist()])
        y = td.stack([data[i + 1 : i + block + 1] for i in ix.tolist()])
        _, loss = model(x, y)
        optimizer.zero_grad()
        loss.backward()
        td.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert loss.item() < 0.7
    idx = td.tensor([[stoi[c] for c in "hello wo"]])
    with td.no_grad():
        probs = F.softmax(model(idx)[0][:, -1, :], axis=-1)
        drawn = td.random.categorical(td.random.key(0), td.log(probs))
        assert chars[probs.argmax(axis=-1).item()] == "r" and drawn.shape == (1,)


def test_variational_autoencoder():
    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc21, self.fc22 = nn.Linear(16, 32), nn.Linear(32, 2), nn.Linear(32, 2)
            self.fc3, self.fc4 = nn.Linear(2, 32), nn.Linear(32, 16)

        def encode(self, x):
            h = F.relu(self.fc1(x))
            return self.fc21(h), self.fc22(h)

        def forward(self, x, key):
            mu, logvar = self.encode(x)
            std = td.exp(0.5 * logvar)
            z = mu + td.random.normal(key, std.shape) * std
            return td.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar

    def loss_function(recon, x, mu, logvar):
        bce = F.binary_cross_entropy(recon, x, reduction="sum")
        return bce - 0.5 * td.sum(1 + logvar - mu.pow(2) - logvar.exp())

    nn.manual_seed(2)
    model = VAE()
    x = t(np.repeat(rng.integers(0, 2, (4, 16)), 8, axis=0))
    optimizer = td.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for key in td.random.split(td.random.key(0), 60):
        optimizer.zero_grad()
        loss = loss_function(*(lambda r: (r[0], x, r[1], r[2]))(model(x, key)))
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    q, p = td.distributions.Normal(t([0.5]), t([2.0])), td.distributions.Normal(t([0.0]), t([1.0]))
    want = -0.5 * (1 + math.log(4) - 0.25 - 4)
    assert td.distributions.kl_divergence(q, p).item() == pytest.approx(want)


def test_adversarial_networks():
    nn.manual_seed(3)
    generator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    discriminator = nn.Sequential(nn.Linear(1, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    criterion = nn.BCEWithLogitsLoss()
    opt_g = td.optim.Adam(generator.parameters(), lr=1e-2, betas=(0.5, 0.999))
    opt_d = td.optim.Adam(discriminator.parameters(), lr=1e-2, betas=(0.5, 0.999))
    real_label, fake_label = td.ones((32, 1)), td.zeros((32, 1))
    for key in td.random.split(td.random.key(1), 150):
        of_real, of_noise = td.random.split(key)
        real = 3 + 0.5 * td.random.normal(of_real, (32, 1))
        fake = generator(td.random.normal(of_noise, (32, 2)))
        discriminator.zero_grad()
        loss_d = criterion(discriminator(real), real_label) + criterion(
            discriminator(fake.detach()), fake_label
        )
        loss_d.backward()
        opt_d.step()
        generator.zero_grad()
        criterion(discriminator(fake), real_label).backward()
        opt_g.step()
    with td.no_grad():
        sample = generator(td.random.normal(td.random.key(2), (256, 2)))
    assert 1.5 < sample.mean().item() < 4.5


def test_recurrent_text_classifier():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(5, 8)
            self.lstm = nn.LSTM(8, 16, batch_first=True, bidirectional=True)
            self.hidden2tag = nn.Linear(32, 2)

        def forward(self, x):
            out, (h, c) = self.lstm(self.embedding(x))
            assert h.shape == c.shape == (2, len(x), 16)
            return self.hidden2tag(out)

    nn.manual_seed(4)
    x = td.tensor(rng.integers(0, 5, (16, 7)))
    y = td.concat([x[:, 1:], x[:, :1]], axis=1) > 2  # of the next letter
    model, criterion = Tagger(), nn.CrossEntropyLoss()
    optimizer = td.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    for _ in range(60):
        optimizer.zero_grad()
        scores = model(x)
        loss = criterion(scores[:, :-1].reshape(-1, 2), y[:, :-1].astype(td.int64).reshape(-1))
        loss.backward()
        td.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert loss.item() < 0.3


def test_residual_block():
    class BasicBlock(nn.Module):
        def __init__(self, inplanes, planes, stride=1):
            super().__init__()
            self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(planes)
            self.relu = nn.ReLU()
            self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(planes)
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
            )

        def forward(self, x):
            out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            out += self.downsample(x)
            return self.relu(out)

    nn.manual_seed(5)
    model = nn.Sequential(BasicBlock(1, 8, 2), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(8, 2))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fresh = nn.init.kaiming_normal(td.random.key(1), module.weight.shape, mode="fan_out")
            with td.no_grad():
                module.weight[...] = fresh
    x, y = squares(32)
    optimizer = td.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    first = F.cross_entropy(model(x), y).item()
    for _ in range(8):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.7 * first
    assert sum(p.size for p in model.parameters()) == 72 + 576 + 8 + 3 * 16 + 18


def test_meta_learning():
    """MAML: gradients through the steps of an inner loop."""

    def net(params, x):
        return td.tanh(x @ params["w1"] + params["b1"]) @ params["w2"]

    def loss(params, x, y):
        return td.mean((net(params, x) - y) ** 2)

    def inner(params, x, y, alpha=0.1):
        grads = td.grad(loss)(params, x, y)
        return td.tree.map(lambda p, g: p - alpha * g, params, grads)

    def maml_loss(params, x, y):
        return loss(inner(params, x, y), x, y)

    def batch_loss(params, xs, ys):
        return td.mean(td.vmap(lambda x, y: maml_loss(params, x, y))(xs, ys))

    keys = td.random.split(td.random.key(0), 3)
    params = {
        "w1": td.random.normal(keys[0], (1, 16)),
        "b1": td.zeros(16),
        "w2": td.random.normal(keys[1], (16, 1)) / 4,
    }
    phases = td.random.uniform(keys[2], (8, 1, 1)) * 3
    xs = td.linspace(-3, 3, 10).reshape(1, 10, 1) + 0 * phases
    ys = td.sin(xs + phases)
    step = td.compile(td.value_and_grad(batch_loss))
    values = []
    for _ in range(100):
        value, grads = step(params, xs, ys)
        values.append(value.item())
        params = td.tree.map(lambda p, g: p - 0.05 * g, params, grads)
    assert values[-1] < 0.7 * values[0]


def test_physics_informed_network():
    """u'' = -u, u(0) = 0, u'(0) = 1: the sine."""

    def u(params, x):
        h = td.tanh(params[0] * x + params[1])
        return td.sum(params[2] * h)

    u_x = td.grad(u, argnums=1)
    u_xx = td.grad(u_x, argnums=1)

    def loss(params, xs):
        residual = td.vmap(lambda x: u_xx(params, x) + u(params, x))(xs)
        zero = td.tensor(0.0)
        return td.mean(residual**2) + u(params, zero) ** 2 + (u_x(params, zero) - 1) ** 2

    keys = td.random.split(td.random.key(0), 3)
    params = [td.random.normal(key, (12,)) for key in keys]
    xs = td.linspace(0, 2, 16)
    report = td.optim.minimize(lambda params: loss(params, xs), params, method="lbfgs", max_iter=150)
    got = td.vmap(lambda x: u(report.x, x))(xs)
    np.testing.assert_allclose(got.cpu().numpy(), np.sin(xs.cpu().numpy()), atol=0.03)


def test_gaussian_process():
    x = td.linspace(0, 5, 12, dtype=td.float64)
    y = td.sin(x)

    def kernel(a, b, scale, length):
        return scale**2 * td.exp(-0.5 * ((a[:, None] - b[None, :]) / length) ** 2)

    def nll(log_params):
        scale, length, noise = td.exp(log_params)
        k = kernel(x, x, scale, length) + (noise**2 + 1e-6) * td.eye(len(x), dtype=td.float64)
        chol = td.linalg.cholesky(k)
        alpha = td.linalg.cholesky_solve(y[:, None], chol)[:, 0]
        return 0.5 * y @ alpha + td.log(td.diagonal(chol)).sum() + 0.5 * len(x) * math.log(2 * math.pi)

    start = td.tensor([0.0, 0.0, -2.0], dtype=td.float64)
    report = td.optim.minimize(nll, start)
    assert nll(report.x).item() < nll(start).item() - 5
    scale, length, noise = td.exp(report.x)
    at = td.tensor([2.3], dtype=td.float64)
    k = kernel(x, x, scale, length) + (noise**2 + 1e-6) * td.eye(len(x), dtype=td.float64)
    mean = kernel(at, x, scale, length) @ td.linalg.solve(k, y)
    assert mean.item() == pytest.approx(math.sin(2.3), abs=1e-2)


def test_logistic_regression():
    x = t(rng.normal(size=(200, 3)))
    w = t([1.0, -2.0, 0.5])
    y = (x @ w + 0.3 > 0).astype(td.float32)

    def predict(params, x):
        return 1 / (1 + td.exp(-(x @ params["w"] + params["b"])))

    @td.compile
    def update(params, x, y):
        def loss(params):
            p = predict(params, x)
            return -td.mean(y * td.log(p + 1e-7) + (1 - y) * td.log(1 - p + 1e-7))

        value, grads = td.value_and_grad(loss)(params)
        return td.tree.map(lambda p, g: p - 1.0 * g, params, grads), value

    params = {"w": td.zeros(3), "b": td.tensor(0.0)}
    for _ in range(100):
        params, _ = update(params, x, y)
    assert ((predict(params, x) > 0.5) == (y > 0.5)).astype(td.float32).mean().item() > 0.97


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16])
def test_mixed_precision(dtype):
    nn.manual_seed(6)
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = td.optim.SGD(model.parameters(), lr=0.05)
    scaler = td.optim.GradScaler(enabled=dtype == td.float16)
    x = t(rng.normal(size=(64, 4)))
    y = x.sum(axis=1, keepdims=True)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        with td.autocast(dtype):
            loss = F.mse_loss(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        td.optim.clip_grad_norm_(model.parameters(), 5.0)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0] and model[0].weight.dtype == td.float32
