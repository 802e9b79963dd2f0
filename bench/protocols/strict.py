"""The protocol `strict`: repeated stratified folds, and nothing that a test row could tell anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.contract import Protocol
from bench.data.split import Split, stratified
from bench.data.table import Table
from bench.data.thinning import thinned
from bench.errors import BadSetting
from bench.names import DEFAULT_PROTOCOL

_WORD = "prevalence="
REFIT = "refit"


@dataclass(frozen=True)
class Strict(Protocol):
    """Every default of a protocol, on stratified folds.

    With a `prevalence`, rows that train and validate are thinned to it; the test parts are those without.
    """

    prevalence: float | None = None

    def split(self, table: Table, folds: int, repeats: int) -> list[Split]:
        """Return stratified folds with a validation part; equal rows are never on two sides."""
        splits = stratified(table, folds, repeats)
        if self.prevalence is None:
            return splits
        return [thinned(split, table, self.prevalence) for split in splits]

    def variant(self, words: Sequence[str]) -> Strict | None:
        """Return the protocol with these words, `refit` and `prevalence=SHARE`; None for others, or one twice.

        Raises BadSetting for what is no share.
        """
        shares = [share_of(word.removeprefix(_WORD)) for word in words if word.startswith(_WORD)]
        others = [word for word in words if not word.startswith(_WORD)]
        if others not in ([], [REFIT]) or len(shares) > 1:
            return None
        protocol = replace(self, words=())
        if others:
            protocol = replace(
                protocol,
                name=f"{self.name}+{REFIT}",
                description=f"{self.description}; the final model is trained anew on training and validation rows",
                refits=True,
            )
        for share in shares:
            protocol = replace(
                protocol,
                name=at_prevalence(protocol.name, share),
                description=f"{protocol.description}; all but test rows thinned to a prevalence of {share:g}",
                prevalence=share,
            )
        return protocol


def share_of(text: str) -> float:
    """Return a prevalence; raise BadSetting for a text that is no number between 0 and 1."""
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise BadSetting(
            f"{text!r} is no prevalence: give a share of positives between 0 and 1, such as 0.01."
        )
    return share


def at_prevalence(protocol: str, share: float) -> str:
    """Return the name of the protocol with training rows thinned to a prevalence."""
    return f"{protocol}+{_WORD}{share:g}"


def thinned_to(protocol: str) -> float | None:
    """Return the prevalence that a protocol of that name thins training rows to; None for another."""
    _, found, share = protocol.partition(f"{DEFAULT_PROTOCOL}+{_WORD}")
    return float(share) if found else None


PROTOCOL = Strict(
    "strict",
    "repeated stratified folds; everything fitted on training rows only; duplicates never on both sides; "
    "validation for early stopping and thresholds; one budget of steps for every network; test scored once",
    words=("refit", "prevalence=0.01"),
)
