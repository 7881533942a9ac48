"""Samplers, data sets made of others, transforms and images; loaders by all of them."""

import collections

import numpy as np
import pytest
import tidu as td
from scipy import stats
from tidu import data

rng = np.random.default_rng(2)


def key(seed=0):
    return td.random.key(seed)


def of_epoch(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


# ---- Samplers


def test_sequential_and_subset_samplers():
    assert list(data.SequentialSampler("abcd")) == [0, 1, 2, 3]
    sampler = data.SubsetRandomSampler([5, 7, 11, 13, 17], key())
    assert len(sampler) == 5 and sorted(sampler) == [5, 7, 11, 13, 17]
    assert len({tuple(of_epoch(sampler, epoch)) for epoch in range(6)}) > 3
    assert list(data.SubsetRandomSampler([])) == []


def test_random_sampler():
    sampler = data.RandomSampler(range(20), key=key(3))
    orders = [of_epoch(sampler, epoch) for epoch in range(3)]
    assert all(sorted(order) == list(range(20)) for order in orders) and len(set(map(tuple, orders))) == 3
    assert of_epoch(data.RandomSampler(range(20), key=key(3)), 1) == orders[1]
    more = data.RandomSampler(range(4), num_samples=10, key=key())
    counts = collections.Counter(more)
    assert len(more) == 10 and set(counts.values()) == {2, 3} and len(counts) == 4
    assert len(list(data.RandomSampler(range(4), num_samples=3))) == 3
    again = data.RandomSampler(range(6), replacement=True, num_samples=6000, key=key())
    assert stats.chisquare(np.bincount(list(again))).pvalue > 1e-3
    assert list(data.RandomSampler([], num_samples=0)) == []
    with pytest.raises(ValueError, match="cannot draw 2 samples"):
        list(data.RandomSampler([], num_samples=2))
    with pytest.raises(ValueError, match="num_samples is -1"):
        data.RandomSampler(range(4), num_samples=-1)


def test_weighted_sampler():
    weights = np.array([0.0, 1.0, 2.0, 0.0, 5.0, 0.0])
    drawn = np.bincount(list(data.WeightedRandomSampler(weights, 8000, key=key())), minlength=6)
    assert drawn[[0, 3, 5]].sum() == 0
    assert stats.chisquare(drawn[[1, 2, 4]], [1000, 2000, 5000]).pvalue > 1e-3
    assert sorted(data.WeightedRandomSampler(td.tensor(weights), 3, replacement=False)) == [1, 2, 4]
    # Without replacement the first is drawn by weight.
    first = [of_epoch(data.WeightedRandomSampler([1.0, 3.0], 1, replacement=False), e)[0] for e in range(400)]
    assert stats.binomtest(sum(first), 400, 0.75).pvalue > 1e-3
    for bad, message in [
        (([1.0, -1.0], 1), "finite and not negative"),
        (([1.0, float("nan")], 1), "finite and not negative"),
        (([0.0], 1), "0 of 1 weights are positive"),
        (([1.0, 0.0], 2, False), "without replacement where 1 of 2"),
        (([1.0], -1), "num_samples is -1"),
    ]:
        with pytest.raises(ValueError, match=message):
            data.WeightedRandomSampler(*bad)
    with pytest.raises(td.ShapeError, match="must be a vector"):
        data.WeightedRandomSampler([[1.0]], 1)


@pytest.mark.parametrize(("size", "replicas"), [(10, 4), (3, 5), (8, 2), (0, 2)])
@pytest.mark.parametrize("drop_last", [False, True])
def test_parts_of_processes(size, replicas, drop_last):
    def parts(**options):
        return [
            data.DistributedSampler(range(size), replicas, rank, drop_last=drop_last, **options)
            for rank in range(replicas)
        ]

    length = size // replicas if drop_last else -(-size // replicas)
    plain = [list(part) for part in parts(shuffle=False)]
    want = [i % size for i in range(length * replicas)] if size else []
    assert plain == [want[rank::replicas] for rank in range(replicas)]
    for epoch in range(2):
        shuffled = [of_epoch(part, epoch) for part in parts(key=key(1))]
        assert [len(part) for part in shuffled] == [length] * replicas
        counts = np.bincount([i for part in shuffled for i in part], minlength=size)
        assert size == 0 or counts.max() - counts.min() <= 1
    with pytest.raises(ValueError, match="rank is 2, but must be from 0 to 1"):
        data.DistributedSampler(range(4), 2, 2)


def test_batch_sampler():
    assert list(data.BatchSampler(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(data.BatchSampler(data.SequentialSampler(range(7)), 3, True)) == [[0, 1, 2], [3, 4, 5]]
    assert len(data.BatchSampler(range(7), 3)) == 3 and len(data.BatchSampler(range(7), 3, True)) == 2
    with pytest.raises(ValueError, match="batch_size is 0"):
        data.BatchSampler(range(7), 0)


# ---- Loaders by samplers


class Rows:
    """Items that Python computes."""

    def __len__(self):
        return 11

    def __getitem__(self, i):
        return td.tensor([i, i * i], device="cpu")


def firsts(loader):
    return [(batch[0] if isinstance(batch, (tuple, list)) else batch[:, 0]).tolist() for batch in loader]


WORKERS = [0, pytest.param(2, marks=pytest.mark.cpu_only("forked children cannot use the device"))]
TENSORS = data.TensorDataset(td.arange(11))


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("dataset", [Rows(), TENSORS, data.Subset(TENSORS, range(-11, 0))])
def test_loaders_take_samplers(workers, dataset):
    sampler = data.RandomSampler(dataset, replacement=True, num_samples=7, key=key(2))
    loader = data.DataLoader(dataset, 3, sampler=sampler, num_workers=workers)
    assert len(loader) == 3
    for epoch in range(2):
        order = sampler.order(epoch).tolist()
        assert firsts(loader) == [order[:3], order[3:6], order[6:]]
    batches = data.BatchSampler(data.RandomSampler(dataset, key=key(2)), 4, drop_last=True)
    loader = data.DataLoader(dataset, batch_sampler=batches, num_workers=workers)
    assert len(loader) == 2
    assert [firsts(loader) for _ in range(2)] == [batches.order(0), batches.order(1)]
    assert firsts(data.DataLoader(dataset, batch_sampler=[[3], [4, 1]], num_workers=workers)) == [[3], [4, 1]]
    own = data.DataLoader(dataset, 4, sampler=[5, 2, 3], num_workers=workers)
    assert firsts(own) == firsts(own) == [[5, 2, 3]]


def test_shuffling_is_a_random_sampler():
    loader = data.DataLoader(TENSORS, 4, shuffle=True, key=key(5))
    other = data.DataLoader(TENSORS, 4, sampler=data.RandomSampler(TENSORS, key=key(5)))
    slow = data.DataLoader(Rows(), 4, shuffle=True, key=key(5))
    for _ in range(2):
        assert firsts(loader) == firsts(other) == firsts(slow)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("done", [0, 2, 5])
def test_a_sampled_pass_goes_on_from_its_state(workers, done):
    def make(seed):
        sampler = data.RandomSampler(range(11), key=key(1))
        noise = lambda batch, k: batch + td.random.randint(k, (1,), 0, 1000).to("cpu")
        return data.DataLoader(
            Rows(), 3, sampler=sampler, key=key(seed), transform=noise, num_workers=workers
        )

    def stream(loader, count):
        result = []
        while len(result) < count:
            for batch in loader:
                result.append(batch.tolist())
                if len(result) == count:
                    break
        return result

    whole, loader = stream(make(4), 8), make(4)
    head = stream(loader, done) if done else []
    resumed = make(9)
    resumed.load_state_dict(loader.state_dict())
    assert head + stream(resumed, 8 - done) == whole


def test_own_samplers_hear_of_epochs():
    class Turning:
        epoch = 0

        def set_epoch(self, epoch):
            self.epoch = epoch

        def __iter__(self):
            return iter([self.epoch, self.epoch + 1])

        def __len__(self):
            return 2

    loader = data.DataLoader(Rows(), 2, sampler=Turning())
    assert [firsts(loader) for _ in range(3)] == [[[0, 1]], [[1, 2]], [[2, 3]]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": [1], "shuffle": True}, "sampler takes the place of shuffle"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "batch_sampler takes the place"),
        ({"batch_sampler": [[1]], "drop_last": True}, "batch_sampler takes the place"),
        ({"batch_sampler": [[1]], "sampler": [1]}, "batch_sampler takes the place"),
        ({"dataset": iter([1]), "shuffle": True}, "have no indices"),
        ({"dataset": iter([1]), "sampler": [1]}, "have no indices"),
    ],
)
def test_options_that_exclude_each_other(options, message):
    with pytest.raises(ValueError, match=message):
        data.DataLoader(**{"dataset": Rows(), **options})


# ---- Iterable data sets


class Count(data.IterableDataset):
    """Numbers, those of each worker by `get_worker_info`."""

    def __init__(self, size, sharded=True):
        self.size, self.sharded, self.epoch = size, sharded, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        info = data.get_worker_info()
        first, step = (info.id, info.num_workers) if info and self.sharded else (0, 1)
        for i in range(first, self.size, step):
            yield 100 * self.epoch + i


def values(loader):
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize("prefetch", [0, 2])
def test_iterable_data_sets(prefetch):
    loader = data.DataLoader(Count(7), 3, prefetch=prefetch)
    assert values(loader) == [[0, 1, 2], [3, 4, 5], [6]]
    assert values(loader) == [[100, 101, 102], [103, 104, 105], [106]] and loader.epoch == 2
    assert values(data.DataLoader(Count(7), 3, drop_last=True, prefetch=prefetch)) == [[0, 1, 2], [3, 4, 5]]
    assert values(data.DataLoader(Count(0), 3, prefetch=prefetch)) == []
    assert values(data.DataLoader((i for i in range(3)), 2, prefetch=prefetch)) == [[0, 1], [2]]
    with pytest.raises(TypeError, match="len"):
        len(loader)


@pytest.mark.cpu_only("a forked child cannot use a device that its parent used")
@pytest.mark.parametrize("persistent", [False, True])
def test_workers_share_an_iterable_data_set(persistent):
    loader = data.DataLoader(Count(7), 2, num_workers=3, persistent_workers=persistent)
    assert values(loader) == [[0, 3], [1, 4], [2, 5], [6]]
    assert values(loader) == [[100, 103], [101, 104], [102, 105], [106]]
    whole = data.DataLoader(Count(2, sharded=False), 1, num_workers=2)
    assert values(whole) == [[0], [0], [1], [1]]
    assert data.get_worker_info() is None


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("done", [1, 3])
def test_a_pass_over_an_iterable_goes_on_from_its_state(workers, done):
    loader = data.DataLoader(Count(9), 2, num_workers=workers)
    passed = iter(loader)
    head = [next(passed).tolist() for _ in range(done)]
    resumed = data.DataLoader(Count(9), 2, num_workers=workers)
    resumed.load_state_dict(loader.state_dict())
    assert head + values(resumed) == values(data.DataLoader(Count(9), 2, num_workers=workers))


# ---- Data sets of others


def test_data_sets_of_data_sets():
    both = data.ConcatDataset([[1, 2], [], [3]])
    assert len(both) == 3 and [both[i] for i in range(-3, 3)] == [1, 2, 3] * 2
    for i in (3, -4):
        with pytest.raises(IndexError, match=f"no item {i} among 3"):
            both[i]
    assert (TENSORS + TENSORS)[15][0].item() == 4
    assert list(Count(2) + Count(1)) == [0, 1, 0]
    assert [x.tolist() for x in data.DataLoader(data.ChainDataset([Count(2), [5]]), 3)] == [[0, 1, 5]]
    side = data.StackDataset(Rows(), data.Map(Rows(), lambda row: -row))
    assert len(side) == 11 and [x.tolist() for x in side[2]] == [[2, 4], [-2, -4]]
    batch = next(iter(data.DataLoader(data.StackDataset(x=[1, 2], name=["a", "b"]), 2)))
    assert batch["x"].tolist() == [1, 2] and batch["name"] == ["a", "b"]
    with pytest.raises(ValueError, match=r"lengths \[1, 2\]"):
        data.StackDataset([1], [1, 2])
    with pytest.raises(ValueError, match="by place or by name"):
        data.StackDataset([1], x=[1])
    with pytest.raises(TypeError, match="make a ChainDataset"):
        data.ConcatDataset([Count(3)])
    with pytest.raises(ValueError, match="at least one"):
        data.ConcatDataset([])


# ---- Images


def batch_of_images(*shape):
    return rng.integers(0, 256, shape).astype(np.uint8)


def test_pixels():
    x = batch_of_images(4, 3, 5, 6)
    images = data.images.to_float(td.tensor(x))
    np.testing.assert_allclose(images.cpu().numpy(), x / np.float32(255), rtol=1e-6)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 0.125]
    got = data.images.normalize(images, mean, std)
    want = (x / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(got.cpu().numpy(), want, atol=1e-5)
    for call, error, message in [
        (lambda: data.images.normalize(td.tensor(x), 0.0, 1.0), td.DTypeError, "use to_float"),
        (lambda: data.images.normalize(images, [0.1, 0.2], 1.0), td.ShapeError, r"mean of shape \(2,\)"),
        (lambda: data.images.hflip(td.ones(3)), td.ShapeError, "at least 2 axes"),
        (lambda: data.images.random_hflip(key(), td.ones((3, 3))), td.ShapeError, "at least 3 axes"),
        (lambda: data.images.crop(images, 1, 2, 5, 2), td.ShapeError, r"5 x 2 from \(1, 2\) on"),
        (lambda: data.images.random_crop(key(), images, 7), td.ShapeError, "7 x 7 are not inside"),
    ]:
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("shape", [(9, 5, 6), (9, 3, 5, 6)])
def test_random_parts_and_flips(shape):
    x = batch_of_images(*shape)
    images = td.tensor(x)
    flips = data.images.random_hflip(key(1), images).cpu().numpy()
    kinds = {"same" if np.array_equal(a, b) else "other" for a, b in zip(flips, x, strict=True)}
    assert kinds == {"same", "other"}
    for got, image in zip(flips, x, strict=True):
        assert np.array_equal(got, image) or np.array_equal(got, image[..., ::-1])
    upside = data.images.random_vflip(key(1), images, p=1.0)
    np.testing.assert_array_equal(upside.cpu().numpy(), x[..., ::-1, :])
    parts = data.images.random_crop(key(2), images, (3, 4), padding=(1, 2)).cpu().numpy()
    widths = [(0, 0)] * (x.ndim - 2) + [(1, 1), (2, 2)]
    places = set()
    for part, image in zip(parts, np.pad(x, widths), strict=True):
        found = [
            (i, j)
            for i in range(5)
            for j in range(7)
            if np.array_equal(part, image[..., i : i + 3, j : j + 4])
        ]
        assert found
        places |= set(found)
    assert len({i for i, _ in places}) > 2 and len({j for _, j in places}) > 2


def test_images_keep_their_shape():
    x = batch_of_images(2, 5, 6)
    np.testing.assert_array_equal(data.images.vflip(td.tensor(x)).cpu().numpy(), x[:, ::-1])
    got = data.images.pad(td.tensor(x), (1, 2, 3, 0), "reflect").cpu().numpy()
    np.testing.assert_array_equal(got, np.pad(x, [(0, 0), (2, 0), (1, 3)], "reflect"))
    np.testing.assert_array_equal(data.images.center_crop(td.tensor(x), (3, 2)).cpu().numpy(), x[:, 1:4, 2:4])


@pytest.mark.parametrize("workers", WORKERS)
def test_transforms_of_batches(workers):
    x = td.tensor(batch_of_images(10, 1, 6, 6), device="cpu")

    def augmented(batch, k):
        images, labels = batch
        return data.images.random_crop(k, images, 4), labels

    dataset = data.TensorDataset(x, td.arange(10, device="cpu"))
    loader = data.DataLoader(
        dataset,
        4,
        key=td.random.key(3, device="cpu") if workers else key(3),
        transform=augmented,
        num_workers=workers,
    )
    epochs = [list(loader) for _ in range(2)]
    for epoch in epochs:
        assert [tuple(images.shape) for images, _ in epoch] == [(4, 1, 4, 4), (4, 1, 4, 4), (2, 1, 4, 4)]
        assert [labels.tolist() for _, labels in epoch] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    first, second = ([images.tolist() for images, _ in epoch] for epoch in epochs)
    assert first != second
    again = data.DataLoader(dataset, 4, key=key(3), transform=augmented)
    assert [images.tolist() for images, _ in again] == first
