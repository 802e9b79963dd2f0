"""The protocol `strict`: repeated stratified folds, and nothing that a test row could tell anybody."""

from __future__ import annotations

from bench.contract import Protocol
from bench.data.split import Split, stratified
from bench.data.table import Table


class Strict(Protocol):
    """Every default of a protocol, on stratified folds."""

    def split(self, table: Table, folds: int, repeats: int) -> list[Split]:
        """Return stratified folds with a validation part; equal rows are never on two sides."""
        return stratified(table, folds, repeats)


PROTOCOL = Strict(
    "strict",
    "repeated stratified folds; everything fitted on training rows only; duplicates never on both sides; "
    "validation for early stopping and thresholds; one budget of steps for every network; test scored once",
)
