"""Suites: lists of data sets that belong together, from `suites.toml` among the cards."""

from __future__ import annotations

from functools import cache

from pydantic import BaseModel, ConfigDict, Field, RootModel

from bench.data.cards import SUITES, cards_folder, read_toml


class Suite(BaseModel):
    """A list of data sets, by the names of their cards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    datasets: tuple[str, ...] = Field(min_length=1)


class _Suites(RootModel[dict[str, Suite]]):
    pass


@cache
def suites() -> dict[str, Suite]:
    """Return every suite by its name, in the file's order."""
    return read_toml(cards_folder() / SUITES, _Suites).root
