"""What a process needs to run packs: the table, its splits, the store, the device."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import numpy as np

from bench.contract import Protocol
from bench.data.encode import Encoded
from bench.data.split import Split
from bench.data.table import Table
from bench.errors import BadSplit
from bench.names import DEFAULT_PROTOCOL
from bench.plugins import Loaded
from bench.protocols import protocol_named
from bench.store.folder import Store

ENCODED_KEPT = 8  # encoded splits that one process holds


@dataclass(frozen=True)
class Failure:
    """What became of work that raised: the status and reason of a record, and whether scores were not finite."""

    status: str
    reason: str
    not_finite: bool = False


@dataclass
class Materials:
    """What a process needs to run packs: the table, its splits, the store, the device; encodings are kept.

    So are failures of samplers, by split, rows, sampler and its seed. `since` is when this benchmark began (Unix
    seconds): a sampler that has run out of time since is not tried again.
    """

    plugins: Loaded = field(default_factory=Loaded, kw_only=True)  # first: a worker takes it first
    table: Table
    splits: dict[str, Split]
    store: Store
    device: str
    since: float = inf
    protocol: Protocol = field(default_factory=lambda: protocol_named(DEFAULT_PROTOCOL))
    encoded: dict[str, Encoded] = field(default_factory=dict)
    failures: dict[tuple[str, int, str | None, int], Failure] = field(default_factory=dict)

    def encode(self, split_sha256: str) -> Encoded:
        """Return the split's encoded parts, made once per process."""
        if split_sha256 not in self.encoded:
            if len(self.encoded) >= ENCODED_KEPT:
                self.encoded.pop(next(iter(self.encoded)))
            self.encoded[split_sha256] = self._encode(self.splits[split_sha256])
        return self.encoded[split_sha256]

    def _encode(self, split: Split) -> Encoded:
        """Return the split as the protocol encodes it; raise BadSplit where that gives other rows."""
        encoded = self.protocol.encode(self.table, split)
        for name in ("train", "valid", "test"):
            if not np.array_equal(getattr(encoded, name).rows, getattr(split, name)):
                raise BadSplit(
                    f"`encode` of the protocol {self.protocol.name} gives other {name} rows than the split has."
                )
        return encoded
