"""The scores of a run as a parquet table: one row for each validation and test row.

A table holds `SCORES`, and after them those of the per-row columns that a metric needs and the data have.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.stats.scored import COLUMNS, Scored
from bench.store.schema import SCORES


def as_table(parts: Mapping[str, Scored]) -> pa.Table:
    """Return what a run scored, by the name of the part, as a table."""
    scored = list(parts.values())
    columns = [
        np.concatenate([part.rows for part in scored]),
        [name for name, part in parts.items() for _ in part.rows],
        np.concatenate([part.y for part in scored]).astype(np.int8),
        np.concatenate([part.score for part in scored]).astype(np.float64),
    ]
    schema = SCORES
    for name in scored[0].columns:
        columns.append(np.concatenate([part.columns[name] for part in scored]))
        schema = schema.append(pa.field(name, pa.float64()))
    return pa.table(columns, schema=schema)


def as_parts(table: pa.Table) -> dict[str, Scored]:
    """Return what `as_table` was given, but for the threshold; raise ValueError for a table of other columns."""
    schema = table.schema
    known = [*SCORES, *(pa.field(name, pa.float64()) for name in COLUMNS if name in schema.names)]
    if list(schema) != known:
        raise ValueError(f"scores of the columns {', '.join(schema.names)}, or of other types")
    parts = {}
    for name in pc.unique(table["part"]).to_pylist():
        of_part = table.filter(pc.field("part") == name)
        row_id, _, y, score, *others = (column.to_numpy() for column in of_part.columns)
        columns = dict(zip(schema.names[len(SCORES) :], others, strict=True))
        parts[name] = Scored(y, score, row_id, columns)
    return parts
