"""Parquet files with checksums: written whole or not at all, and checked when they are read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.disk import write_file
from bench.errors import BadStore
from bench.store.schema import SCHEMA_VERSION, is_metric

# Most files hold one row: without dictionaries, statistics and the schema's second copy they are a third the size.
_WRITTEN = {
    "compression": "zstd",
    "write_page_checksum": True,
    "use_dictionary": False,
    "write_statistics": False,
    "store_schema": False,
}


def write_atomically(path: Path, table: pa.Table, **options: object) -> None:
    """Write a parquet file with page checksums so that `path` is whole or absent; see `bench.disk.write_file`.

    `options` are pyarrow's.
    """
    write_file(path, lambda file: pq.write_table(table, file, **(_WRITTEN | options)))


def read_checked(path: Path, schema: pa.Schema | None = None) -> pa.Table:
    """Return the parquet file's table, its page checksums verified; with `schema`, exactly those columns.

    Raises OSError, ValueError or pyarrow's error where the file is not readable or not of that schema.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        table, footer = file.read(), file.metadata
    # No checksum covers the footer: a bit flipped in one of its counts would shorten the table in silence.
    in_groups = sum(footer.row_group(i).num_rows for i in range(footer.num_row_groups))
    if not table.num_rows == footer.num_rows == in_groups:
        raise ValueError(f"{path} says in two ways how many rows it has")
    if schema is not None and not table.schema.equals(schema):
        raise ValueError(f"{path} has another schema than version {SCHEMA_VERSION}")
    return table


def read_whole(path: Path, schema: pa.Schema) -> pa.Table:
    """Return `read_checked` of a compact file; raise BadStore, which says what to do, where it cannot be read.

    A column of the schema may be missing (one that came after the file), none may be of another type. A metric that is
    not registered here, but was where the file was written, may have a column.
    """
    try:
        table = read_checked(path)
        for column in table.schema:
            known = column.name in schema.names and column.type == schema.field(column.name).type
            if not known and (column.name in schema.names or not is_metric(column)):
                raise ValueError(f"{column.name} is no column, or another kind of column, of these files")
        return table
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BadStore(
            f"{path} cannot be read ({error}). If it came with the repository, check it out again; where the runs it "
            "was made of are, move it away and bench compact makes it anew."
        ) from error
