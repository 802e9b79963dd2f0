"""What Python is given as data: the name of a data set, or a frame; a file has an argument of its own."""

from __future__ import annotations

import os
from pathlib import Path

from bench.data.cards import dataset_names
from bench.data.frames import column_names
from bench.data.table import Table
from bench.errors import BadArgument


def check_data(data: object, *, dataset: str | None, data_file: Path | None) -> None:
    """Raise BadArgument unless `data` is a name or a frame, and the only thing to run on."""
    if isinstance(data, Table):
        raise BadArgument(
            f"data is the loaded table {data.name!r}; give what it was loaded from, a name, frame or file, so that "
            "its records are surely those of its content."
        )
    is_name = isinstance(data, str)
    is_path = isinstance(data, str) and data not in dataset_names() and Path(data).suffix
    if isinstance(data, os.PathLike) or is_path:
        raise BadArgument(f"data={str(data)!r}: give a file as data_file={str(data)!r}, with target=.")
    if not is_name:
        column_names(data)  # raises for what is no frame
    what = f"the name {data!r}" if is_name else "a frame"
    if dataset is not None:
        raise BadArgument(
            f"data is {what}, and dataset= is given too: give one of them. A frame's own name is name=."
        )
    if data_file is not None and not is_name:  # a file goes with a name: the user's copy of that data set
        raise BadArgument(f"data is {what}, and data_file= is given too: give one of them.")
