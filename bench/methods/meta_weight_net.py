"""Meta-Weight-Net (Shu et al. 2019, arXiv 1902.07379): a small network learns each row's weight from its loss.

Per step, with V(ℓ; φ) in (0, 1) the weight net and a batch of training and of meta rows:

    θ' = θ − α mean_i V(ℓ_i; φ) ∇ℓ_i(θ)                          (eq. 3)
    φ ← φ − Adam of ∇_φ L(θ'; meta)                              (eq. 4)
    θ ← θ − step along Σ_i V(ℓ_i; φ) ∇ℓ_i(θ) / Σ_i V(ℓ_i; φ)     (eq. 5; normalised as in their section 3)

The derivative in φ is in closed form: ∂L(θ'; meta)/∂V_i = −(α/B) ⟨∇ℓ_i(θ), g⟩ with g = ∇L(θ'; meta), and
⟨∇ℓ_i, g⟩ = ∂ℓ_i/∂z · R{z_i} along g, one forward pass. Meta rows come from the outer sampler's rows:
class-balanced, drawn from the training part, which loses none of its own rows by it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from bench.contract import Arm, Fitted, Member, Progress, Trial
from bench.networks import streams
from bench.networks.batches import Company, drawn_sides
from bench.networks.compiled.kernel import kernel
from bench.networks.config import BATCHES, NETWORK_STATIC, NetworkConfig, network_space, setting
from bench.networks.fit import at_best_step, fit_pack
from bench.networks.gradients import loss_gradient
from bench.networks.loop import Steps
from bench.networks.losses import cross_entropy, sigmoid, slope, value
from bench.networks.mlp import forward, gradient, initialise, per_member, r_forward
from bench.networks.optimisers import AdamW
from bench.networks.tensors import Batch, Keep, Parameters, Step

VERSION = 2
COST = 5.0
FAMILY = "networks"
DRAWS_BATCHES = True
POOLS = ("sampler", "outer_sampler")
STATIC = NETWORK_STATIC | {"batch", "meta_batch", "weight_hidden"}
ARMS = (
    Arm(
        "meta-weight-net",
        "meta-weight-net",
        "row weights learned on balanced rows of the training part (Shu et al. 2019)",
        outer_sampler="random-under",
    ),
)


class Config(NetworkConfig):
    """α is `inner_lr`; `weight_*` are of the weight net, `1-weight_hidden-1`, trained by Adam.

    320 training and 320 meta rows are the 640 rows per step that the other networks see. Learning rate and
    decay are MetaBalance's, which suit it better than the other networks' (results/LOG.md, 2026-11-24).
    """

    lr: float = Field(default=0.01, gt=0)
    weight_decay: float = Field(default=0.3, ge=0)

    batch: int = Field(default=320, gt=0)
    meta_batch: int = Field(default=320, gt=0)
    inner_lr: float = Field(default=1.0, gt=0)
    weight_hidden: int = Field(default=100, gt=0)
    weight_lr: float = Field(default=1e-3, gt=0)
    weight_weight_decay: float = Field(default=1e-4, ge=0)

    @property
    def rows_per_step(self) -> int:
        """Rows that a step sees."""
        return self.batch + self.meta_batch

    def updates_in(self, epochs: int, sizes: Sequence[int]) -> int:
        """Return one step per batch of the training rows, the last one of an epoch however short."""
        return epochs * -(-sizes[0] // self.batch)


def space(trial: Trial) -> dict[str, object]:
    """Return the network's settings, both batches as one, α, the weight net's rate, and the ratio of the meta rows."""
    settings: dict[str, object] = network_space(trial)
    if not (trial.sets("batch") or trial.sets("meta_batch")):
        settings["batch"] = settings["meta_batch"] = trial.suggest_categorical(
            "batch", [n // 2 for n in BATCHES]
        )
    settings["inner_lr"] = trial.suggest_float("inner_lr", 1e-2, 10.0, log=True)
    settings["weight_lr"] = trial.suggest_float("weight_lr", 1e-5, 1e-1, log=True)
    return {**settings, **trial.sampler(), **trial.sampler("outer_sampler")}


def refit(config: Config, fitted: Fitted, more: float) -> Config:
    """Return the configuration of as many steps as were best, in proportion to the rows."""
    return at_best_step(config, fitted, more)


def fit(members: Sequence[Member], device: torch.device, progress: Progress) -> list[Fitted]:
    """Train the members as one pack; their `STATIC` settings and numbers of features agree."""
    return fit_pack(members, _start, device, progress)


class WeightNets:
    """The members' weight nets φ and their optimiser: state that is kept between steps."""

    def __init__(self, configs: Sequence[Config], seeds: Sequence[int], like: Tensor) -> None:
        keys = streams.keys(list(seeds), "weight net", like.device)
        self.phi = initialise(keys, (1, configs[0].weight_hidden, 1), like.dtype)
        self.adam = AdamW(
            lr=setting(configs, "weight_lr", like),
            weight_decay=setting(configs, "weight_weight_decay", like),
            momentum=torch.full_like(setting(configs, "weight_lr", like), 0.9),
        )

    def weights(self, losses: Tensor) -> Tensor:
        """Return V(ℓ; φ), (K, B), of losses (K, B)."""
        return sigmoid(forward(self.phi, losses.unsqueeze(-1)).logits)

    def step(self, losses: Tensor, along: Tensor) -> None:
        """Move φ down the objective whose derivative in each row's weight is `along`, (K, B)."""
        trace = forward(self.phi, losses.unsqueeze(-1))
        V = sigmoid(trace.logits)
        self.adam.step(self.phi, gradient(self.phi, trace, along * V * (1.0 - V)))

    def keep(self, at: Sequence[int]) -> None:
        """Forget all members but those at these places."""
        self.phi = [p[list(at)] for p in self.phi]
        self.adam.keep(at)


def reweighted_gradient(
    parameters: Parameters,
    batch: Batch,
    meta: Batch,
    nets: WeightNets,
    *,
    inner_lr: Tensor,
    keep: Sequence[Keep] = (None, None),
) -> Parameters:
    """Step the weight nets on the meta batch; return the gradient of the re-weighted loss on the batch.

    `keep` are dropout's factors of the training and of the meta rows.
    """
    if fused := kernel(parameters[0], len(parameters) // 2):
        corrections = nets.adam.begin(nets.phi)
        return fused.reweighted_gradient(
            parameters,
            batch,
            meta,
            keep=keep[0],
            meta_keep=keep[1],
            inner_lr=inner_lr,
            phi=nets.phi,
            moments=(nets.adam.mean, nets.adam.square),
            settings=(*nets.adam.settings, *corrections),
        )
    plain = cross_entropy(len(inner_lr), inner_lr)
    trace, y = forward(parameters, batch.features(), keep[0]), batch.labels()
    losses, d = value(trace.logits, y, plain), slope(trace.logits, y, plain)
    virtual = gradient(parameters, trace, nets.weights(losses) * d / batch.shape[1])
    ahead = [p - per_member(inner_lr, p) * along for p, along in zip(parameters, virtual, strict=True)]
    _, R = r_forward(parameters, trace, loss_gradient(ahead, meta, plain, keep[1]))
    nets.step(losses, -inner_lr[:, None] / batch.shape[1] * d * R)
    V = nets.weights(losses)
    return gradient(parameters, trace, V * d / V.sum(1, keepdim=True))


def _start(company: Company) -> Steps:
    return _steps(company, WeightNets(company.configs, company.seeds, company.pools[0].X))


def _steps(company: Company, nets: WeightNets) -> Steps:
    config, like = company.configs[0], company.pools[0].X
    draws, keep = drawn_sides(company, ("", "meta "), (config.batch, config.meta_batch))
    alpha = setting(company.configs, "inner_lr", like)

    def step_gradient(parameters: Parameters, step: Step) -> Parameters:
        batch, meta = (drawn.batch(step) for drawn in draws)
        factors = [factor(step, side.count) for factor, side in zip(keep, draws, strict=True)]
        return reweighted_gradient(parameters, batch, meta, nets, inner_lr=alpha, keep=factors)

    def some(at: Sequence[int]) -> Steps:
        nets.keep(at)
        return _steps(company.of(at), nets)

    return Steps(step_gradient, draws, some)
