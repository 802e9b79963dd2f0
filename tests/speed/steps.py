"""The sections that time single steps: MetaBalance, plain training, Meta-Weight-Net."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch.utils.data import DataLoader, TensorDataset

from bench.data.encode import Part
from tests.speed import engine, peers
from tests.speed.measure import Contender, Effort, Tell, race
from tests.speed.nets import BATCH, META, PLAIN_LR, WEIGHT_HIDDEN, Net, meta_flop, plain_flop, weight_net_flop
from tests.speed.rows import Row, timed

BIG_PACK, BIG_PACK_SECONDS = 64, 4.0  # a larger pack is left out where a run of one update takes longer
PRELOADED = 512  # batches that are tensors beforehand
QUICK_ROWS = 8_000  # of a training set, enough for an epoch of scikit-learn's
SKLEARN_STEPS = 300  # to an epoch of scikit-learn's
LOADER, TENSORS, SKLEARN = "DataLoader loop", "preloaded batches", "scikit-learn"
SHU = "Shu et al.'s loop"


def metabalance(net: Net, effort: Effort, gflops: float, tell: Tell) -> list[Row]:
    """Time updates of both orders beside the peers; their gradients are compared first."""
    part, whole = _training_set(net, effort), not effort.quick
    differences = engine.disagreements(net, part, replace(META, pairs=2) if effort.quick else META)
    pairs, rivals = engine.pairs_of(part), []
    for name, (gradient, order) in peers.meta_peers().items():
        note = f"gradient differs from ours by {differences[name]:.0e}"
        tell(f"  {name}: {note}, relative, in float64")
        run = peers.meta_updates(gradient, peers.network(net.sizes), pairs)
        rivals.append(Contender(name, run, order=order, note=note))
    ours = [
        engine.metabalance(net, part, K, order, whole_chunks=whole)
        for order, K in itertools.product((2, 1), effort.members)
    ]
    rows = _raced("metabalance", net, ours, rivals, effort, tell)
    rows = [_with_share(row, gflops, meta_flop(net.sizes, META, row.order or 2)) for row in rows]
    absent = peers.META_PEERS.keys() - peers.meta_peers().keys()
    return rows + [Row("metabalance", net.title, name, note="not installed here") for name in absent]


def plain(net: Net, effort: Effort, gflops: float, tell: Tell) -> list[Row]:
    """Time one step of SGD on 24 rows beside the loops that researchers write, and scikit-learn."""
    part, whole = _training_set(net, effort), not effort.quick
    tensors = TensorDataset(torch.from_numpy(part.X), torch.from_numpy(part.labels).float().unsqueeze(1))
    loader = peers.forever(DataLoader(tensors, batch_size=BATCH, shuffle=True))
    preloaded = itertools.cycle(engine.batches_of(part, BATCH, PRELOADED))
    n = SKLEARN_STEPS * BATCH
    sklearn = peers.sklearn_epochs(part.X[:n], part.labels[:n], net.hidden, batch=BATCH, lr=PLAIN_LR)
    rivals = [
        Contender(LOADER, peers.plain_steps(peers.network(net.sizes), loader, PLAIN_LR)),
        Contender(TENSORS, peers.plain_steps(peers.network(net.sizes), preloaded, PLAIN_LR)),
        Contender(SKLEARN, sklearn, period=SKLEARN_STEPS),
    ]
    ours = [engine.plain(net, part, K, whole_chunks=whole) for K in effort.members]
    rows = _raced("plain", net, ours, rivals, effort, tell)
    return [_with_share(row, gflops, plain_flop(net.sizes, BATCH)) for row in rows]


def meta_weight_net(net: Net, effort: Effort, gflops: float, tell: Tell) -> list[Row]:
    """Time one step of 24 training and 24 meta rows beside a loop as its authors write it."""
    if not engine.has("meta-weight-net"):
        return [Row("meta-weight-net", net.title, "bench", engine=True, note="no such method here")]
    part, whole = _training_set(net, effort), not effort.quick
    batches = itertools.cycle(engine.batches_of(part, BATCH, PRELOADED))
    module = peers.network(net.sizes)
    both = peers.weight_net(module, lr=PLAIN_LR, alpha=engine.INNER_LR, weight_lr=engine.WEIGHT_LR)

    def run(n: int) -> None:
        for _ in range(n):
            both.step(next(batches), next(batches))

    ours = [engine.meta_weight_net(net, part, K, whole_chunks=whole) for K in effort.members]
    rows = _raced("meta-weight-net", net, ours, [Contender(SHU, run)], effort, tell)
    flop = weight_net_flop(net.sizes, BATCH, BATCH, WEIGHT_HIDDEN)
    return [_with_share(row, gflops, flop) for row in rows]


def _training_set(net: Net, effort: Effort) -> Part:
    return engine.synthetic(net, QUICK_ROWS if effort.quick else net.rows)


def _raced(
    section: str,
    net: Net,
    ours: Sequence[Contender],
    rivals: Sequence[Contender],
    effort: Effort,
    tell: Tell,
) -> list[Row]:
    """Return the rows of a race, peers first; packs too large for the time have a row that says so, and no time."""
    reasons = [_too_long(c, effort) for c in ours]
    racing = [*rivals, *(c for c, reason in zip(ours, reasons, strict=True) if not reason)]
    timings = race(racing, effort, tell)
    peer = {c.name: timing for c, timing in zip(rivals, timings, strict=False)}
    rows = [timed(Row(section, net.title, c.name, order=c.order, note=c.note), peer[c.name]) for c in rivals]
    rest = iter(timings[len(rivals) :])
    for c, reason in zip(ours, reasons, strict=True):
        row = Row(section, net.title, c.name, engine=True, members=c.members, order=c.order, note=reason)
        rows.append(row if reason else timed(row, next(rest), peer))
    return rows


def _too_long(contender: Contender, effort: Effort) -> str:
    """Return why a large pack is left out; nothing where it is not."""
    if contender.members <= BIG_PACK:
        return ""
    seconds, _ = effort.time(contender.run, 1)
    return f"left out: {seconds:.1f} s for a run of one update" if seconds > BIG_PACK_SECONDS else ""


def _with_share(row: Row, gflops: float, flop: int) -> Row:
    """Return the row, if the engine's, with its operations and its share of the peak."""
    if not row.engine or row.seconds is None:
        return row
    return replace(row, flop=flop, share_of_peak=flop / row.seconds / (gflops * 1e9))


SECTIONS: Mapping[str, Callable[[Net, Effort, float, Tell], list[Row]]] = {
    "metabalance": metabalance,
    "plain": plain,
    "meta-weight-net": meta_weight_net,
}
