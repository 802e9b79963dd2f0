"""The peers: the same work, one network at a time, as researchers write it in PyTorch.

Written from the methods' descriptions (Bansal et al. 2021; Shu et al. 2019). A gradient function of MetaBalance
adds the mean over its pairs to the `.grad` of the network's parameters, so that an optimiser can step.
Labels are (B, 1), as the logits are.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from tests.speed.nets import DECAY, META, MOMENTUM, WEIGHT_HIDDEN, MetaBatch

Batch = Sequence[Tensor]  # x (B, d) and y (B, 1); a list where a DataLoader made it
Pairs = Sequence[tuple[Batch, Batch]]
MetaGradient = Callable[[nn.Module, Pairs, float, float], None]


def network(sizes: Sequence[int]) -> nn.Sequential:
    """Return the network as a module, PyTorch's default initialisation."""
    modules: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        modules += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def sgd(net: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Return the paper's optimiser: Nesterov momentum 0.9, weight decay 5e-4."""
    return torch.optim.SGD(net.parameters(), lr=lr, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True)


def authors_loop(net: nn.Module, pairs: Pairs, alpha: float, weight: float) -> None:
    """Take the inner step in `param.data`, which cuts the graph: first order."""
    parameters = list(net.parameters())
    for (x_in, y_in), (x_out, y_out) in pairs:
        before = [p.data for p in parameters]
        inner_loss = cross_entropy(net(x_in), y_in)
        slopes = torch.autograd.grad(inner_loss, parameters, retain_graph=True)
        for p, slope in zip(parameters, slopes, strict=True):
            p.data = p.data - alpha * slope
        loss = cross_entropy(net(x_out), y_out) + weight * inner_loss
        _backward(loss / len(pairs))
        for p, old in zip(parameters, before, strict=True):
            p.data = old


def higher_loop(net: nn.Module, pairs: Pairs, alpha: float, weight: float) -> None:
    """Differentiate through the inner step with the package `higher`: second order."""
    higher = importlib.import_module("higher")
    inner_sgd = torch.optim.SGD(net.parameters(), lr=alpha)
    for (x_in, y_in), (x_out, y_out) in pairs:
        with higher.innerloop_ctx(net, inner_sgd, copy_initial_weights=False) as (fast, stepper):
            inner_loss = cross_entropy(fast(x_in), y_in)
            stepper.step(inner_loss)
            loss = cross_entropy(fast(x_out), y_out) + weight * inner_loss
            _backward(loss / len(pairs))


def func_loop(net: nn.Module, pairs: Pairs, alpha: float, weight: float) -> None:
    """Take `torch.func.grad` of an objective that has `grad` in it: second order."""

    def loss_of(parameters: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        z: Tensor = functional_call(net, dict(parameters), (x,))
        return cross_entropy(z, y)

    def objective(parameters: dict[str, Tensor], inner: Batch, outer: Batch) -> Tensor:
        slopes, inner_loss = grad_and_value(loss_of)(parameters, *inner)
        fast = {name: p - alpha * slopes[name] for name, p in parameters.items()}
        loss: Tensor = loss_of(fast, *outer) + weight * inner_loss
        return loss

    gradient = grad(objective)
    now = {name: p.detach() for name, p in net.named_parameters()}
    for inner, outer in pairs:
        found = gradient(now, inner, outer)
        for name, p in net.named_parameters():
            slope = found[name] / len(pairs)
            p.grad = slope if p.grad is None else p.grad + slope


def double_backward_loop(net: nn.Module, pairs: Pairs, alpha: float, weight: float) -> None:
    """Call the network functionally on weights that keep their graph: second order."""
    parameters = dict(net.named_parameters())
    for (x_in, y_in), (x_out, y_out) in pairs:
        inner_loss = cross_entropy(net(x_in), y_in)
        slopes = torch.autograd.grad(inner_loss, list(parameters.values()), create_graph=True)
        fast = {name: p - alpha * s for (name, p), s in zip(parameters.items(), slopes, strict=True)}
        loss = cross_entropy(functional_call(net, fast, (x_out,)), y_out) + weight * inner_loss
        _backward(loss / len(pairs))


AUTHORS, HIGHER = "authors' loop", "higher"
DOUBLE_BACKWARD, FUNC = "double backward", "torch.func"
META_PEERS: Mapping[str, tuple[MetaGradient, int]] = {  # name: gradient, order
    AUTHORS: (authors_loop, 1),
    DOUBLE_BACKWARD: (double_backward_loop, 2),
    HIGHER: (higher_loop, 2),
    FUNC: (func_loop, 2),
}


def meta_peers() -> dict[str, tuple[MetaGradient, int]]:
    """Return the peers of MetaBalance that can be imported here."""
    there = importlib.util.find_spec("higher") is not None
    return {name: peer for name, peer in META_PEERS.items() if there or name != HIGHER}


def meta_updates(
    gradient: MetaGradient, net: nn.Module, pairs: Pairs, batch: MetaBatch = META
) -> Callable[[int], None]:
    """Return a function that takes n updates, each on all the pairs, which are there beforehand."""
    optimiser = sgd(net, batch.lr)

    def run(n: int) -> None:
        for _ in range(n):
            optimiser.zero_grad()
            gradient(net, pairs, batch.inner_lr, batch.inner_weight)
            optimiser.step()

    return run


def authors_training(
    net: nn.Module, inner: TensorDataset, outer: TensorDataset, *, epochs: int, batch: MetaBatch = META
) -> int:
    """Train as published, with two DataLoaders; return the number of updates.

    An epoch is one pass of the outer rows; an update comes after every `batch.pairs` pairs, left-over pairs
    are carried into the next epoch.
    """
    optimiser, waiting, updates = sgd(net, batch.lr), list[tuple[Batch, Batch]](), 0
    inner_batches = forever(DataLoader(inner, batch_size=batch.inner, shuffle=True))
    outer_loader = DataLoader(outer, batch_size=batch.outer, shuffle=True)
    for _ in range(epochs):
        for outer_batch in outer_loader:
            waiting.append((next(inner_batches), outer_batch))
            if len(waiting) == batch.pairs:
                optimiser.zero_grad()
                authors_loop(net, waiting, batch.inner_lr, batch.inner_weight)
                optimiser.step()
                waiting.clear()
                updates += 1
    return updates


def forever(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the batches of epoch after epoch."""
    while True:
        yield from batches


def plain_steps(net: nn.Module, batches: Iterator[Batch], lr: float) -> Callable[[int], None]:
    """Return a function that takes n steps of SGD, each on the next batch."""
    optimiser = sgd(net, lr)

    def run(n: int) -> None:
        for _ in range(n):
            x, y = next(batches)
            optimiser.zero_grad()
            _backward(cross_entropy(net(x), y))
            optimiser.step()

    return run


@dataclass(frozen=True)
class WeightNet:
    """Meta-Weight-Net's two networks with their optimisers."""

    net: nn.Module
    optimiser: torch.optim.Optimizer
    weight_net: nn.Module
    weight_optimiser: torch.optim.Optimizer
    alpha: float

    def step(self, batch: Batch, meta: Batch) -> None:
        """Take one step as Shu et al. 2019 do: a virtual step with its graph, the weight net, the network."""
        (x, y), (x_meta, y_meta) = batch, meta
        costs = cross_entropy(self.net(x), y, reduction="none")
        weighted = (self.weight_net(costs.detach()).sigmoid() * costs).mean()
        parameters = dict(self.net.named_parameters())
        slopes = torch.autograd.grad(weighted, list(parameters.values()), create_graph=True)
        ahead = {name: p - self.alpha * s for (name, p), s in zip(parameters.items(), slopes, strict=True)}
        meta_loss = cross_entropy(functional_call(self.net, ahead, (x_meta,)), y_meta)
        self.weight_optimiser.zero_grad()
        _backward(meta_loss)
        self.weight_optimiser.step()
        costs = cross_entropy(self.net(x), y, reduction="none")
        with torch.no_grad():
            weights = self.weight_net(costs).sigmoid()
        self.optimiser.zero_grad()
        _backward((weights / weights.sum() * costs).sum())
        self.optimiser.step()


def weight_net(
    net: nn.Module, *, lr: float, alpha: float, weight_lr: float, hidden: int = WEIGHT_HIDDEN
) -> WeightNet:
    """Return Meta-Weight-Net around a network; its weight net is trained by Adam."""
    weights = network((1, hidden, 1)).to(next(net.parameters()).dtype)
    adam = torch.optim.Adam(weights.parameters(), lr=weight_lr, weight_decay=1e-4)
    return WeightNet(net, sgd(net, lr), weights, adam, alpha)


def sklearn_epochs(X: Any, y: Any, hidden: Sequence[int], *, batch: int, lr: float) -> Callable[[int], None]:
    """Return a function that takes n steps of scikit-learn's MLPClassifier, whole epochs over X."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    def run(n: int) -> None:
        epochs = n * batch // len(X)
        model = MLPClassifier(
            tuple(hidden),
            solver="sgd",
            alpha=DECAY,
            batch_size=batch,
            learning_rate_init=lr,
            momentum=MOMENTUM,
            nesterovs_momentum=True,
            max_iter=epochs,
            n_iter_no_change=epochs + 1,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, y)

    return run


def _backward(loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
