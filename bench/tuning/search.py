"""How studies search: the options of `bench study` and `bench.tune` beside those of a request.

The command's options are made from the fields of `Search` (`bench.cli.options`). Nothing heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.calls import HOW, TUNING, option, take_as_declared
from bench.errors import BadSetting, UnknownName
from bench.names import PRUNERS, SEARCHES, PrunerName, SearchName


@dataclass(frozen=True)
class Search:
    """How every study of a command searches.

    `trials` for each arm and fold, asked for in generations of `generation`, each run on `inner_folds` with `seeds`.
    Small generations find more, of networks larger ones end sooner (results/LOG.md, "how a study should search").
    No generation is asked for once `seconds` have passed. Where a space has changed since, `extend` goes on with the
    old trials that have a place in the new one, `anew` without them.
    """

    trials: int = field(
        default=50,
        metadata=option("Trials of every arm on every fold; the first is the arm as it is.", TUNING, "N"),
    )
    inner_folds: int = field(
        default=3, metadata=option("Folds of the training rows that judge a trial.", TUNING, "N")
    )
    seeds: int = field(default=1, metadata=option("Seeds of a trial on each inner fold.", TUNING, "N"))
    generation: int = field(
        default=4,
        metadata=option(
            "Trials that a study begins at once. More are faster, and learn less from one another.",
            TUNING,
            "N",
        ),
    )
    search: SearchName = field(
        default="tpe", metadata=option("How the next trial is chosen: tpe learns from those before.", TUNING)
    )
    pruner: PrunerName = field(
        default="median",
        metadata=option(
            "What ends a hopeless trial early: being below the median, or halving the field.", TUNING
        ),
    )
    storage: str | None = field(
        default=None,
        metadata=option(
            "An Optuna storage that several machines share. Without it: a file in the results folder.",
            HOW,
            "URL",
        ),
    )
    seconds: float | None = field(
        default=None,
        metadata=option(
            "Begin no more trials after so long.", HOW, "SECONDS", spelling="--timeout", before="storage"
        ),
    )
    anew: bool = field(
        default=False,
        metadata=option(
            "If the settings to search have changed since an arm's last study: begin again with no trials.",
            TUNING,
        ),
    )
    extend: bool = field(
        default=False,
        metadata=option(
            "If they have changed: go on with those old trials whose settings can still be chosen.", TUNING
        ),
    )

    @property
    def words(self) -> str:
        """How a trial is asked for, in words."""
        return f"{self.search} in generations of {self.generation}, pruner {self.pruner}"

    def __post_init__(self) -> None:
        """Check every field; raise UnknownName or BadSetting."""
        take_as_declared(self)
        for name, known in (("search", SEARCHES), ("pruner", PRUNERS)):
            if getattr(self, name) not in known:
                raise UnknownName(name, getattr(self, name), known)
        for name in ("trials", "seeds", "generation"):
            if getattr(self, name) < 1:
                raise BadSetting(f"--{name} {getattr(self, name)}: at least 1 is needed.")
        if self.seconds is not None and not self.seconds > 0:
            raise BadSetting(f"--timeout {self.seconds:g}: give a positive number of seconds.")
        if self.anew and self.extend:
            raise BadSetting(
                "--extend takes over the trials of an older space, --anew leaves them: give one."
            )
