"""Packs on a CUDA device: the CPU's scores, and no dependence on company. Skipped where there is no device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.contract import BatchRule, Member
from bench.methods import method
from tests.methods.test_network import folds

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
CPU, GPU = torch.device("cpu"), torch.device("cuda")
RULES = (None, BatchRule("balanced"), BatchRule("random-under"), BatchRule("random-over", 0.5))
METHODS = {
    "network": {},
    "metabalance": {"pairs": 4},
    "metabalance-first-order": {"pairs": 4, "order": 1},
    "meta-weight-net": {"batch": 64, "meta_batch": 32},
}


def scores(case: str, K: int, device: torch.device, steps: int) -> list[np.ndarray]:
    """Return the test scores of K members of mixed rates, seeds and folds."""
    chosen = method(case.removesuffix("-first-order"))
    members = []
    for k in range(K):
        encoded = folds()[k % 2]
        config = chosen.config(steps=steps, lr=0.002 * (1 + k % 5), dropout=0.1 * (k % 3), **METHODS[case])
        pools = (encoded.train,) * len(chosen.pools)
        rules = tuple(RULES[(k + i) % 4] for i in range(len(pools)))
        members.append(Member(config, 7 * k, pools, encoded.valid, rules=rules))
    groups: dict[int, list[int]] = {}
    for k, member in enumerate(members):
        groups.setdefault(member.valid.X.shape[1], []).append(k)
    found: dict[int, np.ndarray] = {}
    for mine in groups.values():
        fitted = chosen.fit([members[k] for k in mine], device, lambda step, of: None)
        found |= {k: one.predict(folds()[k % 2].test) for k, one in zip(mine, fitted, strict=True)}
    return [found[k] for k in range(K)]


@pytest.mark.parametrize("case", METHODS)
def test_a_gpu_gives_the_cpus_scores(case: str) -> None:
    for here, there in zip(scores(case, 6, CPU, 50), scores(case, 6, GPU, 50), strict=True):
        np.testing.assert_allclose(there, here, atol=1e-3)


@pytest.mark.parametrize("case", METHODS)
def test_on_a_gpu_too_no_result_depends_on_its_company(case: str) -> None:
    """Alone, in seven, and in more than a block."""
    alone, few, many = (scores(case, K, GPU, 400) for K in (1, 7, 100))
    np.testing.assert_array_equal(alone[0], many[0])
    for a, b in zip(few, many, strict=False):
        np.testing.assert_array_equal(a, b)
