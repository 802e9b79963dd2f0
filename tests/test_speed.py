"""The peers of `tests.speed` do the work they are timed for, and the command prints what it promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from bench.contract import Member
from bench.data.encode import Part
from bench.methods import method
from bench.networks import streams
from bench.networks.mlp import initialise
from tests.speed import engine, peers, published
from tests.speed.bars import bars
from tests.speed.measure import Contender, Effort, Timing, race
from tests.speed.nets import (
    BATCH,
    META,
    NETS,
    MetaBatch,
    Net,
    meta_flop,
    plain_flop,
    weight_net_flop,
)
from tests.speed.rows import Row, as_json, as_text, timed

SMALL = Net("small", 5, (4, 3), 40)
STRONG = MetaBatch(pairs=3, inner=7, outer=5, inner_lr=0.4, inner_weight=0.3, lr=0.2)
EFFORT = Effort(rounds=2, seconds=0.01, members=(1,), quick=True)
SEED = 3


@pytest.mark.parametrize("net", [SMALL, Net("loan", 12, (25,), 60), Net("linear", 6, (), 30)])
@pytest.mark.parametrize("batch", [STRONG, META], ids=["strong", "paper"])
def test_every_peer_computes_our_metabalance_gradient(net, batch):
    """The authors' loop that of first order, the others that of second order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `higher` is of 2021
        found = engine.disagreements(net, engine.synthetic(net, net.rows), batch)
    assert set(peers.META_PEERS) - set(found) <= {peers.HIGHER}
    assert max(found.values()) < 1e-13


def test_the_orders_are_told_apart_by_what_agrees():
    """With a large α the authors' gradient is far off the second order; the comparison would notice."""
    torch.manual_seed(0)
    module = peers.network(SMALL.sizes).double()
    pairs = engine.pairs_of(engine.synthetic(SMALL, SMALL.rows), STRONG, torch.float64)
    found = []
    for gradient in (peers.authors_loop, peers.double_backward_loop):
        module.zero_grad()
        gradient(module, pairs, STRONG.inner_lr, STRONG.inner_weight)
        found.append(torch.cat([p.grad.flatten() for p in module.parameters()]))
    assert float((found[0] - found[1]).norm() / found[1].norm()) > 0.01


def test_the_authors_loop_leaves_the_weights_as_they_were():
    module = peers.network(SMALL.sizes)
    before = [p.detach().clone() for p in module.parameters()]
    peers.authors_loop(module, engine.pairs_of(engine.synthetic(SMALL, SMALL.rows), STRONG), 0.4, 0.3)
    assert all(torch.equal(p, old) for p, old in zip(module.parameters(), before, strict=True))


def whole_set(net: Net, seed: int = 0) -> Part:
    return engine.synthetic(net, net.rows, seed)


def tensors(part: Part) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(part.X).double(), torch.from_numpy(part.labels).double().unsqueeze(1)


def started_alike(sizes, purpose="init") -> torch.nn.Module:
    """Return a module with the weights at which the engine's member of SEED starts."""
    module = peers.network(sizes).double()
    start = initialise(streams.keys([SEED], purpose), sizes, torch.float64)
    with torch.no_grad():
        for p, mine in zip(module.parameters(), start, strict=True):
            p.copy_(mine[0].T if p.dim() > 1 else mine[0])
    return module


def scores_of_engine(name, settings, steps, *pools) -> np.ndarray:
    """Return the scores after training in float64 by the path that is timed."""
    config = engine.config(name, SMALL, steps, {**settings, "dtype": "float64"})
    (fitted,) = method(name).fit([Member(config, SEED, pools, pools[0])], engine.CPU, engine.quiet)
    return fitted.predict(pools[0])


def scores_of_module(module: torch.nn.Module, part: Part) -> np.ndarray:
    with torch.inference_mode():
        return module(tensors(part)[0]).squeeze(1).sigmoid().numpy()


def test_plain_steps_end_where_the_engine_does():
    """Batches are whole sets, so that the order of rows does not matter."""
    part = whole_set(SMALL)
    module = started_alike(SMALL.sizes)
    peers.plain_steps(module, peers.forever([tensors(part)]), 0.1)(7)
    ours = scores_of_engine("network", {"lr": 0.1, "batch": SMALL.rows}, 7, part)
    assert scores_of_module(module, part) == pytest.approx(ours, abs=1e-12)


@pytest.mark.parametrize(("peer", "order"), [(peers.authors_loop, 1), (peers.double_backward_loop, 2)])
def test_metabalance_updates_end_where_the_engine_does(peer, order):
    inner, outer = whole_set(SMALL), whole_set(SMALL, seed=1)
    module = started_alike(SMALL.sizes)
    batch = replace(STRONG, pairs=1, inner=SMALL.rows, outer=SMALL.rows)
    peers.meta_updates(peer, module, [(tensors(inner), tensors(outer))], batch)(6)
    settings = {
        "lr": batch.lr,
        "pairs": 1,
        "inner_batch": batch.inner,
        "outer_batch": batch.outer,
        "inner_lr": batch.inner_lr,
        "inner_weight": batch.inner_weight,
        "order": order,
    }
    ours = scores_of_engine("metabalance", settings, 6, inner, outer)
    assert scores_of_module(module, inner) == pytest.approx(ours, abs=1e-12)


def test_meta_weight_net_steps_end_where_the_engine_does():
    """Large rates, so that the learned weights matter: without the weight net's steps the scores are others."""
    part, meta = whole_set(SMALL), whole_set(SMALL, seed=1)
    found = []
    for weight_lr in (0.5, 1e-9):
        both = peers.weight_net(started_alike(SMALL.sizes), lr=0.2, alpha=2.0, weight_lr=weight_lr, hidden=6)
        weights = started_alike((1, 6, 1), "weight net")
        adam = torch.optim.Adam(weights.parameters(), lr=weight_lr)
        both = replace(both, weight_net=weights, weight_optimiser=adam)
        for _ in range(6):
            both.step(tensors(part), tensors(meta))
        found.append(scores_of_module(both.net, part))
    settings = {
        "lr": 0.2,
        "batch": SMALL.rows,
        "meta_batch": SMALL.rows,
        "inner_lr": 2.0,
        "weight_hidden": 6,
        "weight_lr": 0.5,
        "weight_weight_decay": 0.0,
    }
    ours = scores_of_engine("meta-weight-net", settings, 6, part, meta)
    assert found[0] == pytest.approx(ours, abs=1e-10)
    assert np.abs(found[1] - ours).max() > 1e-4


def test_scikit_learn_takes_as_many_steps_as_are_counted(monkeypatch):
    from sklearn.neural_network import MLPClassifier

    taken = []
    fit = MLPClassifier.fit

    def counted(self, X, y):
        taken.append(fit(self, X, y).t_)
        return self

    monkeypatch.setattr(MLPClassifier, "fit", counted)
    part = engine.synthetic(SMALL, 3 * BATCH)
    peers.sklearn_epochs(part.X, part.labels, SMALL.hidden, batch=BATCH, lr=0.1)(12)
    assert taken == [12 * BATCH]  # scikit-learn counts rows


def test_the_authors_training_carries_pairs_over_epochs():
    """21 outer rows in batches of 5 are 5 pairs an epoch: 4 epochs are 6 updates of 3 pairs, and 2 pairs over."""
    part = engine.synthetic(SMALL, 21)
    rows = TensorDataset(torch.from_numpy(part.X), torch.from_numpy(part.labels).float().unsqueeze(1))
    module = peers.network(SMALL.sizes)
    assert peers.authors_training(module, rows, rows, epochs=4, batch=STRONG) == 6
    assert all(bool(p.isfinite().all()) for p in module.parameters())


def test_the_published_run_is_190_updates_and_without_a_file_says_so():
    """2,464 outer rows are what the random under-sampler leaves of the real training rows."""
    data = published.loans(None)
    assert "no real loans" in data.title
    outer = engine.synthetic(NETS[1], 2464)
    assert published.updates_of(replace(data, outer=outer), published.EPOCHS) == 190


def test_operations_are_counted_by_hand():
    """A net 3-2-1: 8 weights, 2 of them not in the first layer."""
    sizes = (3, 2, 1)
    assert plain_flop(sizes, 10) == 2 * 10 * (8 + 2 + 8)
    batch = MetaBatch(pairs=5, inner=10, outer=4)
    first = 5 * (2 * 10 * 18 + 2 * 4 * 18)
    assert meta_flop(sizes, batch, 1) == first
    # R-forward 8 + 2, R-backward 2 + 2, curvature 8 + 2, of the inner rows
    assert meta_flop(sizes, batch, 2) == first + 5 * 2 * 10 * 24
    # weight net 1-7-1: 14 weights, three times; 7 for its deltas
    network = 2 * 10 * 18 + 2 * 4 * 18 + 2 * 10 * (8 + 2) + 2 * 10 * 8
    assert weight_net_flop(sizes, 10, 4, 7) == network + 2 * 10 * (3 * 14 + 7)


def test_the_papers_fraud_update_is_the_known_68_million_operations():
    fraud = NETS[0].sizes
    assert meta_flop(fraud, META, 2) == pytest.approx(68e6, rel=0.01)
    assert plain_flop(fraud, BATCH) == pytest.approx(0.242e6, rel=0.01)


def test_a_ratio_is_the_median_of_the_rounds():
    ours, theirs = Timing((1.0, 2.0, 4.0), (1.0,) * 3), Timing((10.0, 40.0, 16.0), (1.0,) * 3)
    assert ours.faster_than(theirs) == 10.0
    assert ours.median == 2.0


def test_a_race_divides_by_members_and_times_whole_periods():
    asked = []

    def run(n):
        asked.append(n)
        sum(range(2000 * n))

    alone, shared = race(
        [Contender("alone", run), Contender("shared", run, members=4, period=10, starts=True)],
        EFFORT,
        lambda line: None,
    )
    assert len(alone.seconds) == len(shared.seconds) == EFFORT.rounds
    assert all(seconds > 0 for seconds in (*alone.seconds, *shared.seconds))
    assert asked[-1] % 10 == 0
    assert shared.whole[0] > 0


def test_bars_are_judged_by_their_rows_alone():
    row = Row("metabalance", NETS[0].title, "bench, K = 1", engine=True, order=2)
    ours, theirs = Timing((1.0,), (1.5,)), Timing((30.0,), (30.0,))
    rows = [
        timed(row, ours, {peers.AUTHORS: theirs}),
        timed(replace(row, order=1), ours, {peers.AUTHORS: Timing((90.0,), (90.0,))}),
    ]
    judged = bars(rows)
    assert [(bar.measured, bar.met) for bar in judged[:2]] == [(30.0, True), (None, None)]
    text = as_text(rows, judged)
    assert "30.0×" in text
    assert "not measured" in text
    json.dumps(as_json(rows, judged))


KEYS = {"processor", "cores", "load", "threads", "engine", "versions", "quick", "rounds", "clock"}
ROW_KEYS = {"section", "net", "name", "engine", "members", "order", "seconds", "low", "high", "whole", "flop"}


def speed(*words: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BENCH_TEST_DATA": ""}
    return subprocess.run(
        [sys.executable, "-m", "tests.speed", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--repeats", "0"], "'0' is not a number of at least 1"),
        (["--repeats", "many"], "is not a number"),
        (["--section", "speed"], "invalid choice"),
        (["--loan-file", "nowhere.csv"], "there is no file nowhere.csv"),
        (["--fast"], "unrecognized arguments"),
    ],
)
def test_a_bad_option_is_a_short_error(words, said, capsys):
    from tests.speed.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_peak_alone_is_quickly_told():
    done = speed("--quick", "--section", "peak", "--section", "plain", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == KEYS | {"peak_gflops", "rows", "bars"}
    assert found["threads"] == 1
    assert found["peak_gflops"] > 0
    assert {row["section"] for row in found["rows"]} == {"plain"}
    assert "one thread for engine and peers" in done.stderr


@pytest.mark.slow
def test_everything_at_once_prints_one_object():
    done = speed("--quick", "--json", timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = found["rows"]
    assert {row["section"] for row in rows} == {
        "metabalance",
        "plain",
        "meta-weight-net",
        "end-to-end",
        "grid",
        "workers",
    }
    assert all(row.keys() == ROW_KEYS | {"share_of_peak", "ratios", "note"} for row in rows)
    assert all(
        row["seconds"] > 0 and row["ratios"] for row in rows if row["engine"] and row["name"] != "one worker"
    )
    assert len(found["bars"]) == 10
    assert {bar["met"] for bar in found["bars"]} == {None}  # quick is no measurement
    assert all("no real loans" in row["name"] for row in rows if row["section"] == "end-to-end")
