"""How many rows of either class there are, and in what shares batches draw them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Classes:
    """How many rows of either class there are to train on."""

    negatives: int
    positives: int

    @property
    def odds(self) -> float:
        """Negatives per positive: the weight of a positive at which the classes are equal."""
        return self.negatives / self.positives

    @property
    def ratio(self) -> float:
        """Rows of the rarer class per row of the other."""
        return min(self.odds, 1 / self.odds)


BALANCED, RANDOM_UNDER, RANDOM_OVER = "balanced", "random-under", "random-over"


@dataclass(frozen=True)
class BatchRule:
    """How a member's batches are drawn anew from all its rows, instead of from rows that a sampler left.

    Either class is walked through without replacement, further from turn to turn: a row comes again when all of its
    class have come. `ratio` is rows of the rarer class per row of the other; None is 1.
    """

    name: str
    ratio: float | None = None

    def turn(self, classes: Classes) -> Classes | None:
        """Return how many rows of either class come in turn, in an order of their own, before the next do.

        Balanced rows come in pairs, one of each class, so that a batch of even length holds as many of either. The
        others come by the epoch: all rows of one class, and of the other as many as the ratio says. None where the rows
        have that ratio already, and come as they are. The numbers are imbalanced-learn's.
        """
        fewer, more = sorted((classes.negatives, classes.positives))
        if not fewer:
            raise ValueError(f"{self.name} needs rows of both classes; there are {classes}.")
        if self.name == BALANCED:
            return Classes(1, 1)
        if self.ratio is not None and fewer >= self.ratio * more:
            return None
        ratio = 1.0 if self.ratio is None else self.ratio
        rare, other = (fewer, int(fewer / ratio)) if self.name == RANDOM_UNDER else (int(more * ratio), more)
        return Classes(other, rare) if classes.positives == fewer else Classes(rare, other)

    def epoch_rows(self, classes: Classes) -> int:
        """Return how many rows make an epoch: of balanced ones, as many as there are."""
        turn = self.turn(classes)
        if turn is None or self.name == BALANCED:
            return classes.negatives + classes.positives
        return turn.negatives + turn.positives
