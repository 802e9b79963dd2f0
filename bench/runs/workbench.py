"""What a process needs to run packs, and the device that it runs them on."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import torch

from bench.contract import Protocol
from bench.data.encode import Encoded
from bench.data.split import Split
from bench.data.table import Table
from bench.errors import BadSetting, UnknownName
from bench.names import DEVICES
from bench.plugins import Loaded
from bench.protocols import DEFAULT, protocol_named
from bench.store.folder import Store

ENCODED_KEPT = 8  # encoded splits that one process holds


@dataclass(frozen=True)
class Failure:
    """What became of work that raised: the status and reason of a record."""

    status: str
    reason: str


@dataclass
class Workbench:
    """What a process needs to run packs: the table, its splits, the store, the device; encodings are kept.

    So are failures of samplers, by split and sampler. `since` is when this benchmark began (Unix seconds): a
    sampler that has run out of time since is not tried again.
    """

    plugins: Loaded = field(default_factory=Loaded, kw_only=True)  # first: a worker takes it first
    table: Table
    splits: dict[str, Split]
    store: Store
    device: str
    since: float = inf
    protocol: Protocol = field(default_factory=lambda: protocol_named(DEFAULT))
    encoded: dict[str, Encoded] = field(default_factory=dict)
    failures: dict[tuple[str, str | None], Failure] = field(default_factory=dict)

    def encode(self, split_sha256: str) -> Encoded:
        """Return the split's encoded parts, made once per process."""
        if split_sha256 not in self.encoded:
            if len(self.encoded) >= ENCODED_KEPT:
                self.encoded.pop(next(iter(self.encoded)))
            self.encoded[split_sha256] = self.protocol.encode(self.table, self.splits[split_sha256])
        return self.encoded[split_sha256]


def choose_device(asked: str) -> str:
    """Return "cpu" or "cuda" for auto, cpu or cuda.

    Raises UnknownName for another word, BadSetting for cuda where there is no such device.
    """
    if asked not in DEVICES:
        raise UnknownName("device", asked, DEVICES)
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise BadSetting(
            f"--device cuda was asked, but torch {torch.__version__} finds no CUDA device here. Use --device auto "
            "or cpu, or install a CUDA build of torch on a machine with a GPU (bench doctor shows both)."
        )
    return "cuda" if asked != "cpu" and available else "cpu"
