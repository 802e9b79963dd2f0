"""What is asked of a benchmark: a data set, file or frame, the arms, and how they are judged and run.

`Request` is the one list of options. The commands' options are made from its fields (`bench.cli.options`), the
arguments of `bench.run` are held equal to them by a test. A value of a wrong kind, and what does not go together, is
told here. Nothing heavy is imported to read the list: `bench --help` does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import plugins
from bench.calls import (
    DATA,
    FEATURES,
    FILE,
    HOW,
    LABEL,
    OUTPUT,
    RECORDS,
    WHAT,
    option,
    take_as_declared,
)
from bench.errors import BadArgument
from bench.names import (
    DEFAULT_PROTOCOL,
    RESULTS_VARIABLE,
    SOURCES,
    Dates,
    DeviceName,
    HighCardinality,
    SourceName,
    Unlabelled,
    own_path,
    results_folder,
)

if TYPE_CHECKING:
    from bench.data.cards import Label

_RUN = ("run",)
_RUNS = ("run", "sweep")
_ONE_DATASET = {"help": "Only this data set.", "panel": RECORDS}
_FILE_OF_RECORDS = {
    "help": "A Python file of your own with the records' protocol, or with metrics; it is run. Repeatable.",
    "panel": RECORDS,
}


@dataclass(frozen=True)
class Request:
    """What is asked of a benchmark; None takes the protocol's default. `settings` are `--set` pairs as text.

    `data` is a frame, or the name of a data set, which becomes `dataset`. `bench.run` has the same options.
    """

    data: Any = field(default=None, compare=False, repr=False)
    dataset: str | None = field(
        default=None,
        metadata=option(
            "A data set; bench list datasets names them.",
            DATA,
            "NAME",
            complete="datasets",
            differs={
                "repair": {
                    "help": "A data set that the paper used: fraud or loan.",
                    "complete": "published_datasets",
                    "default": ...,
                },
                "compare": {"help": "The data set on which both have run.", "panel": RECORDS, "default": ...},
                "compact": _ONE_DATASET,
                "tables": _ONE_DATASET,
            },
        ),
    )
    name: str | None = None
    data_file: Path | None = field(
        default=None,
        metadata=option(
            "Your own table, with --target. Or, with --dataset, your copy of that set's file, which is checked.",
            DATA,
            "FILE",
            differs={"repair": {"help": "Your copy of its file, instead of fetching it."}},
        ),
    )
    target: str | None = field(
        default=None, metadata=option("The label's column in your table.", LABEL, "COLUMN")
    )
    positive: Label | None = field(
        default=None,
        metadata=option(
            "The label's positive value, against all others; needed unless its two values are 0 and 1, no and yes, "
            "or false and true.",
            LABEL,
            "VALUE",
        ),
    )
    negative: tuple[Label, ...] = field(
        default=(),
        metadata=option("Keep only rows with this label, and the positive ones. Repeatable.", LABEL, "VALUE"),
    )
    unlabelled: Unlabelled = field(
        default="refuse",
        metadata=option("What to do with rows without a label: refuse the table, or drop them.", LABEL),
    )
    drop: tuple[str, ...] = field(
        default=(),
        metadata=option("A column to leave out, such as a customer number. Repeatable.", FEATURES, "COLUMN"),
    )
    categorical: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "A column whose values are categories, though numbers. Repeatable.", FEATURES, "COLUMN"
        ),
    )
    numeric: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "A column of numbers: texts are parsed (1,234 or 10.6%), and one that is no number is an error. "
            "Repeatable.",
            FEATURES,
            "COLUMN",
        ),
    )
    missing: Mapping[str, tuple[float, ...]] = field(
        default_factory=dict,
        metadata=option(
            "Numbers that stand for a missing value in a column, such as late=96,98. Repeatable.",
            FEATURES,
            "COLUMN=N,…",
        ),
    )
    high_cardinality: HighCardinality = field(
        default="onehot",
        metadata=option(
            "How categories of more than 50 values are encoded: the most frequent one-hot, or by the target's mean "
            "in the training rows.",
            FEATURES,
        ),
    )
    dates: Dates = field(
        default="refuse",
        metadata=option("What to do with columns of dates: refuse them, or make them numbers.", FEATURES),
    )
    date_format: str | None = field(
        default=None,
        metadata=option(
            "How dates are written, where that can be read in two ways: %d/%m/%Y. It also makes whole numbers dates: "
            "20150131 with %Y%m%d.",
            FEATURES,
            "FORMAT",
        ),
    )
    time: str | None = field(
        default=None, metadata=option("The time column; it is not a feature.", FEATURES, "COLUMN")
    )
    amount: str | None = field(
        default=None, metadata=option("The amount column; it stays a feature.", FEATURES, "COLUMN")
    )
    entity: str | None = field(
        default=None,
        metadata=option(
            "Whom a row is of, such as a customer or card; rows of one are never on two sides. It is not a feature.",
            FEATURES,
            "COLUMN",
        ),
    )
    skip_rows: int = field(default=0, metadata=option("Lines above your table to leave out.", FILE, "N"))
    comment: tuple[str, ...] = field(
        default=(),
        metadata=option("Leave out lines of your file that begin with this. Repeatable.", FILE, "TEXT"),
    )
    decimal: str | None = field(
        default=None,
        metadata=option(
            "The decimal mark of numbers, a point or a comma; by default what the whole file agrees on.",
            FILE,
            "MARK",
        ),
    )
    member: str | None = field(
        default=None, metadata=option("The file inside your zip, where there are several.", FILE, "NAME")
    )
    table: str | None = field(
        default=None,
        metadata=option("The table of your database, or the sheet of your workbook.", FILE, "NAME"),
    )
    format: str | None = field(
        default=None,
        metadata=option("The format of your file, where it does not show: libsvm.", FILE, "NAME"),
    )
    rows: int | None = field(
        default=None, metadata=option("Rows to simulate, for a simulated data set.", DATA, "N")
    )
    prevalence: float | None = field(
        default=None,
        metadata=option(
            "Share of positives to simulate, for a simulated data set.",
            DATA,
            "SHARE",
            commands=("run", "study", "describe"),
        ),
    )
    source: SourceName = field(
        default="auto",
        metadata=option(
            f"Where to fetch from: {', '.join(SOURCES)}. With auto, the sources are tried in the card's order.",
            DATA,
            "SOURCE",
            commands=("run", "study", "sweep", "describe", "fetch"),
        ),
    )
    protocol: str = field(
        default=DEFAULT_PROTOCOL,
        metadata=option(
            "How the arms are judged: strict, published, or published+REPAIR; bench list protocols explains them.",
            WHAT,
            "NAME",
            complete="protocols",
            commands=_RUN,
            differs={
                "compare": {
                    "help": "The protocol under which both were judged; bench list protocols explains them.",
                    "panel": RECORDS,
                },
                "tables": {"help": "Only this protocol.", "panel": RECORDS, "default": None},
            },
        ),
    )
    matrix: str | None = field(
        default=None,
        metadata=option(
            "A list of arms; bench list matrices names them. Without --matrix and --arm: quick.",
            WHAT,
            "NAME",
            complete="matrices",
        ),
    )
    arms: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "One arm of bench list arms, also as ARM[SAMPLER] or ARM(FIELD=VALUE). Repeatable.",
            WHAT,
            "NAME",
            spelling="--arm",
            complete="arms",
            differs={"repair": {"help": "One arm; repeatable. Without it: the matrix published."}},
        ),
    )
    arms_file: Path | None = field(
        default=None, metadata=option("A TOML file of arms of your own.", WHAT, "FILE")
    )
    method_file: tuple[Path, ...] = field(
        default=(),
        metadata=option(
            "A Python file of your own with a method, protocol, engine or metrics; it is run. Repeatable.",
            WHAT,
            "FILE",
            differs=dict.fromkeys(("compare", "compact", "tables"), _FILE_OF_RECORDS),
        ),
    )
    settings: Mapping[str, str] = field(
        default_factory=dict,
        metadata=option(
            "Change a setting of the arms; bench list methods names the fields. Repeatable.",
            WHAT,
            "FIELD=VALUE",
            spelling="--set",
            complete="settings",
        ),
    )
    seeds: int | None = field(
        default=None,
        metadata=option(
            "Seeds per fold; by default the protocol's (strict: 3, above 50,000 rows 1).",
            WHAT,
            "N",
            commands=_RUNS,
            differs={"repair": {"help": "Seeds per split; by default the protocol's."}},
        ),
    )
    folds: int | None = field(
        default=None, metadata=option("Folds; by default the protocol's (strict: 5).", WHAT, "N")
    )
    repeats: int | None = field(
        default=None, metadata=option("How often the folds are drawn anew; by default 1.", WHAT, "N")
    )
    device: DeviceName = field(default="auto", metadata=option("Where the networks train.", HOW))
    pack: int | None = field(
        default=None,
        metadata=option("Networks that train at once. It changes the speed and no result.", HOW, "N"),
    )
    engine: str = field(
        default="local",
        metadata=option(
            "Where the runs are done; bench list engines names the places. It changes no result. Not for studies.",
            HOW,
            "NAME",
            complete="engines",
            commands=_RUNS,
        ),
    )
    workers: int | None = field(
        default=None,
        metadata=option(
            "Worker processes; by default one per core. 0 runs all in this process.",
            HOW,
            "N",
            commands=("run", "study", "repair", "sweep"),
        ),
    )
    shard: tuple[int, int] | None = field(
        default=None,
        metadata=option(
            "Only the I-th of N parts of the runs, to share them among machines.", HOW, "I/N", commands=_RUN
        ),
    )
    timeout: float | None = field(
        default=None,
        metadata=option("Stop a run that takes longer; it counts as failed.", HOW, "SECONDS", commands=_RUNS),
    )
    results: Path = field(
        default_factory=results_folder,
        metadata=option(
            "Folder of the records, scores and leaderboards.",
            OUTPUT,
            "FOLDER",
            commands=("run", "study", "repair", "sweep", "doctor", "compare", "compact", "tables"),
            default=Path("results"),
            variable=RESULTS_VARIABLE,
            parse=own_path,
        ),
    )
    retry_failed: bool = field(default=False, metadata=option("Run failed runs again.", HOW, commands=_RUNS))
    tuned: bool = field(
        default=False,
        metadata=option(
            "Run each arm as bench study tuned it. What is not tuned yet is tuned first.",
            WHAT,
            commands=_RUN,
            before="seeds",
        ),
    )
    tuned_anyway: bool = field(
        default=False,
        metadata=option(
            "As --tuned, also where the arm was tuned on other rows, perhaps on some that test; its name says so.",
            WHAT,
            commands=_RUN,
            before="seeds",
        ),
    )

    def __post_init__(self) -> None:
        """Take every value as the option's type, and a name given as `data` for the data set's; tuned anyway is tuned.

        Its plugin files are taken from now on, if it has any (`bench.plugins.use`). Raises BadArgument (a BadSetting
        and a TypeError) for a value of another kind, BadPlugin for a file that is none.
        """
        if self.dataset is not None and not isinstance(self.dataset, str):
            _refuse_frame(self.dataset)
        if isinstance(self.comment, str):
            object.__setattr__(self, "comment", (self.comment,))
        take_as_declared(self)
        plugins.use(self.method_file)
        object.__setattr__(self, "tuned", self.tuned or self.tuned_anyway)
        if self.data is not None:
            from bench.data.given import check_data

            check_data(self.data, dataset=self.dataset, data_file=self.data_file)
        if isinstance(self.data, str):
            object.__setattr__(self, "dataset", self.data)
            object.__setattr__(self, "data", None)


def _refuse_frame(dataset: object) -> None:
    """Raise BadArgument for a frame in the place of a data set's name."""
    from bench.data.frames import is_frame

    if is_frame(dataset):
        raise BadArgument(
            "dataset= takes the name of a data set; give a frame as data=, and its label as target=."
        )
