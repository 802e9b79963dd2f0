"""A record for tests that need one but no run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bench.store.schema import Record

_RECORD = Record(
    key="a" * 64,
    dataset="loan-sim",
    protocol="strict",
    scope="s",
    repeat=0,
    fold=0,
    arm="none",
    method="network",
    config="{}",
    seed=0,
    status="ok",
    finished=datetime(2024, 5, 17, tzinfo=UTC),
)


def record(**fields: Any) -> Record:
    """Return a good run's record with these fields, and none that a record may lack."""
    return replace(_RECORD, **fields)
