"""The training loop: early stopping, what a member is left with, leaving the pack, and steps fit for capture."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.contract import Member
from bench.data import table as tables
from bench.data.cards import card
from bench.data.encode import encode
from bench.methods import method
from bench.networks import batches, loop, streams
from bench.networks import fit as pack_fit
from bench.networks.config import NetworkConfig, setting
from bench.networks.loop import PAD, Steps, places, train
from bench.networks.losses import LOSSES
from bench.networks.mlp import initialise
from bench.networks.optimisers import OPTIMISERS
from bench.protocols import protocol_named
from bench.stats.metrics import average_precision
from tests.conftest import steps_by
from tests.networks.test_batches import part

CPU = torch.device("cpu")


@cache
def encoded():
    table = tables.load(card("loan-sim"), rows=1500)
    return encode(table, protocol_named("strict").splits(table)[0])


def quiet(step, steps):
    """Report progress to nobody."""


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 17])
def test_torch_gets_a_multiple_of_members_by_copies_of_the_first_and_the_kernel_gets_none(n):
    members, like = [*range(100, 100 + n)], torch.empty(0)
    with steps_by("torch"):
        found = places(members, like, 3)
    assert len(found) % PAD == 0
    assert len(found) - n < PAD
    assert found == members + [100] * (len(found) - n)
    with steps_by("c"):
        assert places(members, like, 3) == members


def steps_of(gradient):
    """Return what makes `Steps` from a function (parameters, step, members) → slopes."""

    def of(members):
        return Steps(
            lambda parameters, step: gradient(parameters, step, members),
            [],
            lambda at: of([members[k] for k in at]),
        )

    return of


def untouched(parameters, step, members):
    return [torch.zeros_like(p) for p in parameters]


def shrink(parameters, step, members):
    return [p.clone() for p in parameters]


def layers_start(seed):
    return [p[0] for p in initialise(streams.keys([seed], "init"), (3, 4, 1))]


def run(gradient, progress=quiet, K=5, **settings):
    config = NetworkConfig(hidden=(4,), weight_decay=0.0, **settings)
    return train([config] * K, range(K), [part(40)] * K, steps_of(gradient), device=CPU, progress=progress)


def test_a_tie_keeps_the_earlier_step_and_patience_ends_training(engine):
    """A gradient of zero without decay scores the same for ever: the first scoring stays the best."""
    calls = []
    trained = run(untouched, lambda *step: calls.append(step), steps=100, evaluations=20, patience=3)
    assert [(t.best_step, t.steps) for t in trained] == [(5, 20)] * 5
    assert calls == [(5, 100), (10, 100), (15, 100), (20, 100)]
    for k, one in enumerate(trained):
        assert all(torch.equal(a[0], b) for a, b in zip(one.layers, layers_start(k), strict=True))


def test_the_last_step_is_scored_even_between_two_evaluations(engine):
    steps = []
    trained = run(untouched, lambda step, _: steps.append(step), steps=7, evaluations=2, patience=50)
    assert steps == [4, 7]
    assert [t.steps for t in trained] == [7] * 5


def test_a_member_that_diverges_leaves_the_others_alone(engine):
    """Its logits are no numbers: it is scored −1, and the others train as ever."""

    def diverge(parameters, step, members):
        slopes = shrink(parameters, step, members)
        for slope in slopes:
            slope[[k for k, m in enumerate(members) if m == 3]] = torch.nan
        return slopes

    found, expected = (run(f, steps=20, evaluations=4) for f in (diverge, shrink))
    for k, (one, other) in enumerate(zip(found, expected, strict=True)):
        same = all(torch.equal(a, b) for a, b in zip(one.layers, other.layers, strict=True))
        assert same == (k != 3)


def test_a_member_that_diverges_late_keeps_its_best_and_stops_by_patience(engine):
    def diverge(parameters, step, members):
        slopes = untouched(parameters, step, members)
        if step >= 5:
            for slope in slopes:
                slope[[k for k, m in enumerate(members) if m == 1]] = torch.nan
        return slopes

    trained = run(diverge, steps=40, evaluations=8, patience=3)
    assert (trained[1].best_step, trained[1].steps) == (5, 20)
    assert all(torch.equal(a[0], b) for a, b in zip(trained[1].layers, layers_start(1), strict=True))
    assert np.isfinite(trained[1].predict(part(30))).all()


def test_steps_are_numbered_from_zero_and_each_is_prepared(engine):
    prepared, taken = [], []

    class Source:
        def prepare(self, step):
            prepared.append(step)

    def gradient(parameters, step):
        taken.append(step)
        return [torch.zeros_like(p) for p in parameters]

    def of(members):
        return Steps(gradient, [Source(), Source()], lambda at: of(at))

    config = NetworkConfig(hidden=(4,), steps=6, evaluations=2)
    train([config], [0], [part(40)], of, device=CPU, progress=quiet)
    assert taken == list(range(6))
    assert prepared == [step for step in range(6) for _ in range(2)]


def test_a_member_that_stops_leaves_and_the_steps_are_told_who_stays():
    """Members 0 and 3 stand still, so they stop first; the others learn the feature that tells the label."""
    kept, valid = [], part(400)
    valid.X[:, 1] = 2.0 * valid.labels + valid.X[:, 2]

    def of(members):
        def gradient(parameters, step):
            slopes = [torch.zeros_like(p) for p in parameters]
            for k, m in enumerate(members):
                slopes[0][k, 1] = 0.0 if m in (0, 3) else -1.0
            return slopes

        def keep(at):
            kept.append([members[k] for k in at])
            return of(kept[-1])

        return Steps(gradient, [], keep)

    config = NetworkConfig(hidden=(), lr=0.02, weight_decay=0.0, steps=60, evaluations=30, patience=6)
    with steps_by("c"):
        trained = train([config] * 5, range(5), [valid] * 5, of, device=CPU, progress=quiet)
    assert [trained[m].steps for m in (0, 3)] == [2 * (1 + 6)] * 2
    assert all(trained[m].steps > 2 * (1 + 6) for m in (1, 2, 4))
    assert kept[0] == [1, 2, 4]


SMALL = {
    "network": {"batch": 12, "loss": "ldam-drw"},
    "metabalance": {"pairs": 3, "inner_batch": 5, "outer_batch": 4},
    "meta-weight-net": {"batch": 9, "meta_batch": 7, "weight_hidden": 6},
}
LRS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.0003, 0.05, 0.2, 0.001, 0.15, 0.02)


def telling(n, seed):
    """Return a part with a feature that tells the label, not at once."""
    made = part(n, seed=seed)
    made.X[:, 0] /= n
    made.X[:, 1] += made.labels
    return made


def members_of(name, lrs=LRS, **settings):
    """Return members on small parts; they differ in learning rate, dropout, seed and part."""
    module = method(name)
    fixed = {"hidden": (5, 4), "weight_decay": 0.01, **SMALL[name], **settings}
    return [
        Member(
            module.config(**{"lr": lr, "dropout": 0.3 * (k % 2), **fixed}),
            50 + k,
            tuple(telling(30 + 7 * ((k + i) % 3), seed=(k + i) % 3) for i in range(len(module.pools))),
            telling(200, seed=9),
        )
        for k, lr in enumerate(lrs)
    ]


@pytest.mark.parametrize("name", SMALL)
def test_making_the_pack_anew_changes_no_bit(name, engine, monkeypatch):
    """Never, as it is set, and whenever a member stops; some find their best after others have left."""
    members = members_of(name, steps=60, evaluations=30, patience=2)
    outcomes, made = [], []
    for share in (0.0, loop.COMPACT, 1.0):
        sizes = []
        for kind in OPTIMISERS.values():
            kept = getattr(kind.keep, "original", kind.keep)

            def keep(self, at, kept=kept, sizes=sizes):
                sizes.append(len(at))
                kept(self, at)

            keep.original = kept
            monkeypatch.setattr(kind, "keep", keep)
        monkeypatch.setattr(loop, "COMPACT", share)
        fitted = method(name).fit(members, CPU, quiet)
        outcomes.append([(f.predict(part(50)).tobytes(), f.steps, f.best_step) for f in fitted])
        made.append(len(sizes))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert made[0] == 0
    assert 0 < made[1] <= made[2]
    assert max(best for *_, best in outcomes[0]) > sorted(steps for _, steps, _ in outcomes[0])[3]


EVERY, SCORINGS = 4, 15


def fit(configs, seeds):
    members = [Member(c, s, (encoded().train,), encoded().valid) for c, s in zip(configs, seeds, strict=True)]
    return method("network").fit(members, CPU, quiet)


@cache
def courses(lrs, engine):
    """Return each member's validation average precision at every scoring, by training just that far."""
    scored = []
    for j in range(1, SCORINGS + 1):
        configs = [config(lr, steps=EVERY * j, evaluations=1) for lr in lrs]
        fitted = fit(configs, range(len(lrs)))
        assert [f.best_step for f in fitted] == [EVERY * j] * len(lrs)
        y = encoded().valid.labels
        scored.append([average_precision(y, f.predict(encoded().valid)) for f in fitted])
    return np.array(scored).T


def config(lr, **budget):
    return method("network").config(hidden=(7,), lr=lr, weight_decay=0.01, batch=48, **budget)


@pytest.mark.parametrize("patience", [1, 3, 100])
def test_the_best_step_is_that_of_the_highest_validation_average_precision(patience, engine):
    """Each member stops `patience` scorings after its best one, whenever the others stop."""
    lrs = (0.3, 0.1, 0.03, 0.01, 0.003, 0.0003)
    configs = [config(lr, steps=EVERY * SCORINGS, evaluations=SCORINGS, patience=patience) for lr in lrs]
    fitted = fit(configs, range(len(lrs)))
    for course, one in zip(courses(lrs, engine), fitted, strict=True):
        best = stopped = 0
        for j, score in enumerate(course):
            best = j if j == 0 or score > course[best] else best
            stopped = j
            if j - best == patience:
                break
        assert (one.best_step, one.steps) == (EVERY * (best + 1), EVERY * (stopped + 1))
        assert one.best_step == EVERY * (int(np.argmax(course[: stopped + 1])) + 1)
        assert average_precision(encoded().valid.labels, one.predict(encoded().valid)) == course[best]
        assert one.samples_seen == one.steps * 48
    if patience < 100:
        assert len({one.steps for one in fitted}) > 1
    else:
        assert {one.steps for one in fitted} == {EVERY * SCORINGS}


@pytest.mark.parametrize(
    ("name", "rows"), [("network", 12), ("metabalance", 3 * (5 + 4)), ("meta-weight-net", 9 + 7)]
)
def test_a_method_counts_the_rows_of_all_its_batches(name, rows):
    (member,) = members_of(name, lrs=(0.01,), steps=6, evaluations=2)
    (fitted,) = method(name).fit([member], CPU, quiet)
    assert member.config.rows_per_step == rows
    assert fitted.samples_seen == 6 * rows


@pytest.mark.parametrize("name", SMALL)
def test_double_precision_reaches_the_parameters_and_the_scores(name, engine):
    """Scores of float32 are few; those of float64 are not among them."""
    single, double = (
        method(name).fit(members_of(name, (0.01,), steps=9, evaluations=1, dtype=dtype), CPU, quiet)[0]
        for dtype in ("float32", "float64")
    )
    scores = [one.predict(part(50)) for one in (single, double)]
    np.testing.assert_allclose(*scores, rtol=1e-3)
    assert not np.array_equal(*scores)


def test_a_test_parts_labels_are_out_of_reach():
    with pytest.raises(AttributeError, match="only the runner"):
        _ = encoded().test.labels


# What a CUDA graph asks of a step, held on the CPU: it reads nothing back, its number may be a tensor, and
# what it changes it changes in place.

CAPTURED = {
    **{f"network-{loss}": ("network", {"loss": loss}) for loss in LOSSES},
    "network-sgd": ("network", {"optimiser": "sgd"}),
    "metabalance-first-order": ("metabalance", {"order": 1}),
    "metabalance-second-order": ("metabalance", {"order": 2}),
    "meta-weight-net": ("meta-weight-net", {}),
    "meta-weight-net-sgd": ("meta-weight-net", {"optimiser": "sgd"}),
}


class Stepper:
    """Eight members' parameters, optimiser and steps, as the loop makes them, to be taken one by one."""

    def __init__(self, case):
        name, settings = CAPTURED[case]
        members = members_of(name, LRS[:8], **settings, steps=20)
        configs, like = [m.config for m in members], torch.empty(0)
        self.parameters = initialise(streams.keys([m.seed for m in members], "init"), (3, 5, 4, 1))
        self.optimiser = OPTIMISERS[configs[0].optimiser](
            **{field: setting(configs, field, like) for field in ("lr", "weight_decay", "momentum")}
        )
        self.steps = steps_as_the_loop_gets_them(name, members)(range(8))

    def prepare(self, step):
        for draws in self.steps.draws:
            draws.prepare(step)

    def take(self, step):
        self.optimiser.step(self.parameters, self.steps.gradient(self.parameters, step))

    def storage(self):
        """Return where everything lies that outlives a step."""
        if hasattr(self.optimiser, "velocity"):
            state = self.optimiser.velocity
        else:
            state = [*self.optimiser.mean, *self.optimiser.square, self.optimiser.powers]
        drawn = [of for draws in self.steps.draws for of in (draws.rows, draws.first_on_device)]
        return [tensor.data_ptr() for tensor in (*self.parameters, *state, *drawn)]


def steps_as_the_loop_gets_them(name, members):
    """Return the function from members to `Steps` that the loop trains with."""

    def take(configs, seeds, valid, steps_of, **others):
        raise Handed(steps_of)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack_fit, "train", take)
        with pytest.raises(Handed) as handed:
            method(name).fit(members, CPU, quiet)
    return handed.value.args[0]


class Handed(Exception):
    """What a method handed to the loop."""


class ReadsBack(Exception):
    """An operation needs a value on the host."""


class NothingIsReadBack(TorchDispatchMode):
    """Raises where a device would have to be waited for, or a tensor is made from numbers of the host."""

    FORBIDDEN = (
        "_local_scalar_dense", "item", "nonzero", "is_nonzero", "masked_select", "equal", "lift_fresh",
        "unique_consecutive", "_unique2", "bincount", "allclose",
    )  # fmt: skip

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name.startswith("index") and any(
            torch.is_tensor(leaf) and leaf.dtype in (torch.bool, torch.uint8) for leaf in tree_leaves(args[1])
        )
        if name in self.FORBIDDEN or by_mask or str(func) == "aten.repeat_interleave.Tensor":
            raise ReadsBack(str(func))
        return func(*args, **(kwargs or {}))

    def __enter__(self):
        self.patch = pytest.MonkeyPatch()
        for name in ("numpy", "tolist", "cpu"):

            def refuse(tensor, *args, name=name):
                raise ReadsBack(name)

            self.patch.setattr(torch.Tensor, name, refuse)
        return super().__enter__()

    def __exit__(self, *raised):
        self.patch.undo()
        return super().__exit__(*raised)


READING = {
    "item": lambda a: a[0].item(),
    "float": lambda a: float(a[0]),
    "int": lambda a: int(a[0]),
    "truth": lambda a: bool(a[0] > 0),
    "branch": lambda a: 1 if (a > 0).any() else 0,
    "nonzero": lambda a: a.nonzero(),
    "mask": lambda a: a[a > 0],
    "set-by-mask": lambda a: a.__setitem__(a > 0, 0.0),
    "tolist": lambda a: a.tolist(),
    "numpy": lambda a: a.numpy(),
    "from-the-host": lambda a: a + torch.tensor([1.0]),
    "index-by-list": lambda a: a[[0, 1]],
}


@pytest.mark.parametrize("case", READING)
def test_what_reads_back_is_noticed(case):
    """Otherwise the test after this would show nothing."""
    with NothingIsReadBack(), pytest.raises(ReadsBack):
        READING[case](torch.arange(3.0))


@pytest.mark.parametrize("case", CAPTURED)
def test_a_step_reads_nothing_back(case):
    with steps_by("torch"):
        stepper, counter = Stepper(case), torch.zeros((), dtype=torch.int64)
        stepper.prepare(0)
        for _ in range(2):  # the first makes the optimiser's state
            with NothingIsReadBack():
                stepper.take(counter)
                counter += 1


@pytest.mark.parametrize("case", CAPTURED)
def test_a_step_counted_by_a_tensor_has_the_bits_of_one_counted_by_the_host(case, engine, monkeypatch):
    """Across the borders of chunks, which the host prepares; and nothing moves in memory."""
    monkeypatch.setattr(batches, "CHUNK", 8 * 12 * 3)
    by_host, by_tensor, counter = Stepper(case), Stepper(case), torch.zeros((), dtype=torch.int64)
    storage = []
    for step in range(20):
        by_host.prepare(step)
        by_host.take(step)
        by_tensor.prepare(step)
        by_tensor.take(counter)
        counter += 1
        storage.append(by_tensor.storage())
        assert all(torch.equal(a, b) for a, b in zip(by_host.parameters, by_tensor.parameters, strict=True))
    assert all(draws.first > 0 for draws in by_host.steps.draws)
    assert all(places == storage[0] for places in storage)


class Recording(TorchDispatchMode):
    """What a CUDA graph records of a step: operations and their tensors, to run again on the same storage."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, made))
        return made

    def replay(self):
        """Run the operations again; what they make goes where it went, views and changes in place stay so."""
        for func, args, kwargs, made in self.calls:
            for old, new in zip(tree_leaves(made), tree_leaves(func(*args, **kwargs)), strict=True):
                if torch.is_tensor(old) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


@pytest.mark.parametrize("case", CAPTURED)
def test_a_recorded_step_goes_on_as_the_steps_themselves(case, monkeypatch):
    """So no step depends on anything that Python holds, be it the step's number or a tensor's name."""
    monkeypatch.setattr(batches, "CHUNK", 8 * 12 * 3)
    with steps_by("torch"):
        plain, recorded, counter = Stepper(case), Stepper(case), torch.zeros((), dtype=torch.int64)
        for step in range(20):
            plain.prepare(step)
            plain.take(step)
        recording = Recording()
        for step in range(20):
            recorded.prepare(step)
            if step < 2:
                recorded.take(counter.fill_(step))
            elif step == 2:
                counter.fill_(step)
                with recording:
                    recorded.take(counter)
                    counter += 1
            else:
                recording.replay()
    assert int(counter) == 20
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters, recorded.parameters, strict=True))


@pytest.mark.parametrize("case", ["network-ldam-drw", "metabalance-second-order", "meta-weight-net"])
def test_the_blocks_of_a_pack_are_computed_apart(case):
    """So on a GPU: a pack of two blocks has the bits of two packs of one, with one optimiser for all."""
    name, settings = CAPTURED[case]
    members = members_of(name, LRS[:8] * 2, **settings, steps=20)
    company, like = list(range(16)), torch.empty(0)

    def pack(company, blocks):
        configs = [members[k].config for k in company]
        fields = ("lr", "weight_decay", "momentum")
        optimiser = OPTIMISERS["adamw"](**{field: setting(configs, field, like) for field in fields})
        keys = streams.keys([members[k].seed for k in company], "init")
        steps = steps_as_the_loop_gets_them(name, members)
        return loop._Pack(
            company, initialise(keys, (3, 5, 4, 1)), optimiser, [steps(block) for block in blocks]
        )

    with steps_by("torch"):
        whole = pack(company, [company[:8], company[8:]])
        parts = [pack(company[:8], [company[:8]]), pack(company[8:], [company[8:]])]
        for step in range(10):
            for one in (whole, *parts):
                one.step(step)
    for all_of_them, *apart in zip(whole.parameters, *(one.parameters for one in parts), strict=True):
        assert torch.equal(all_of_them, torch.cat(apart))
