"""Files that hold columns: parquet, Arrow (Feather), and folders of parquet files."""

from __future__ import annotations

import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from bench.data.raw.archives import MAX_BYTES, listed
from bench.data.raw.content import USE_THREADS, Content, Raw, first_line, names_of
from bench.data.raw.plain import plain_table
from bench.errors import BadTable

_SHOWN = 3  # columns for which a note says what to type


def read_parquet(content: Content) -> Raw:
    """Read a parquet file; columns that are not wanted stay on the disk."""
    name = content.name
    try:
        file = pq.ParquetFile(pa.BufferReader(content.data))
        wanted = _wanted(file.schema_arrow, content)
        _refuse_huge(file.metadata.num_rows, len(wanted), name)
        table = file.read(columns=wanted, use_threads=USE_THREADS)
    except (pa.ArrowException, OSError) as error:
        raise BadTable(f"{name} is a broken parquet file ({first_line(error)}); fetch it again.") from error
    return _raw(table, file.schema_arrow, content)


def read_ipc(content: Content) -> Raw:
    """Read an Arrow file, also called Feather, or a stream of Arrow."""
    source, options = pa.BufferReader(content.data), pa.ipc.IpcReadOptions(use_threads=USE_THREADS)
    is_file = content.data.startswith(b"ARROW1")
    try:
        with (pa.ipc.open_file if is_file else pa.ipc.open_stream)(source, options=options) as reader:
            table = reader.read_all()
        table.validate(full=True)  # a torn file could point outside itself
    except (pa.ArrowException, OSError) as error:
        raise BadTable(
            f"{content.name} is a broken Arrow file ({first_line(error)}); fetch it again."
        ) from error
    return _raw(table, table.schema, content)


def read_folder(folder: Path, content: Content) -> Raw:
    """Read a folder of parquet files as one table, with a column for each part of their paths like ``year=2020``."""
    files = parquet_files(folder)
    try:
        dataset = _dataset(folder, files)
        fragments = [fragment.physical_schema for fragment in dataset.get_fragments()]
        _refuse_other_columns(files, fragments)
        own = pa.unify_schemas(
            [*(schema.remove_metadata() for schema in fragments)], promote_options="permissive"
        )
        parts = [field for field in dataset.schema if field.name not in own.names]
        schema = pa.schema([*own, *parts])
        wanted = _wanted(schema, content)
        _refuse_huge(dataset.count_rows(), len(wanted), content.name)
        table = _dataset(folder, files, schema).to_table(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise BadTable(
            f"{content.name} is no folder of equal parquet files ({first_line(error)})."
        ) from error
    raw = _raw(table, schema, content)
    note = f"read as one table: {len(files):,} parquet files"
    return Raw(raw.table, (note, *raw.notes))


def _dataset(folder: Path, files: list[Path], schema: pa.Schema | None = None) -> pads.Dataset:
    return pads.dataset(
        [str(path) for path in files],
        schema=schema,
        format="parquet",
        partitioning=pads.partitioning(flavor="hive"),
        partition_base_dir=str(folder),
    )


def parquet_files(folder: Path) -> list[Path]:
    """Return the parquet files in and below a folder, in order; raise BadTable where they are no plain table.

    Names that begin with a point or an underscore are notes of those who write such folders.
    """
    if (
        (folder / "_delta_log").is_dir()
        or list(folder.glob("metadata/*.metadata.json"))
        or (folder / ".hoodie").is_dir()
    ):
        raise BadTable(
            f"{folder.name} is a table of Delta Lake, Iceberg or Hudi, whose folder holds old rows too; save its "
            "current rows as parquet."
        )
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_note(path.relative_to(folder))
    ]
    files = [path for path in paths if _is_parquet(path)]
    if not files:
        held = f"it holds {listed([path.name for path in paths], 5)}" if paths else "it is empty"
        raise BadTable(f"{folder.name} is a folder without parquet files; {held}. Give the file in it.")
    if others := [str(path.relative_to(folder)) for path in paths if path not in {*files}]:
        raise BadTable(
            f"{folder.name} holds files that are no parquet beside its {len(files):,} parquet files: "
            f"{listed(others, 5)}; take them out, or give one file."
        )
    return files


def _is_note(path: Path) -> bool:
    return any(part.startswith((".", "_")) and "=" not in part for part in path.parts)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _refuse_other_columns(files: list[Path], schemas: list[pa.Schema]) -> None:
    """Raise BadTable, naming the file, unless all have the same columns."""
    for path, schema in zip(files, schemas, strict=True):
        if other := {*schema.names} ^ {*schemas[0].names}:
            raise BadTable(
                f"{path.name} and {files[0].name} have different columns: {listed(sorted(other), 5)} are in one of "
                "them only; make the files alike."
            )


def _refuse_huge(n_rows: int, n_columns: int, name: str) -> None:
    if 8 * n_rows * n_columns > MAX_BYTES:
        raise BadTable(
            f"{name} has {n_rows:,} rows × {n_columns:,} columns, too many to load; give a part of it."
        )


def _wanted(schema: pa.Schema, content: Content) -> list[str]:
    """Return the columns to read, as the file names them."""
    own = _columns_of(schema)
    return [old for old, new in zip(own, names_of(own, content), strict=True) if new not in content.unread]


def _columns_of(schema: pa.Schema) -> list[str]:
    """Return a file's columns without pandas' unnamed index."""
    return [name for name in schema.names if not name.startswith("__index_level_")]


def _raw(table: pa.Table, schema: pa.Schema, content: Content) -> Raw:
    """Return what was read of a file of some columns, those that are not wanted without values."""
    own = _columns_of(schema)
    nulls = pa.nulls(table.num_rows, pa.float64())
    columns, fields = [], []
    for old, new in zip(own, names_of(own, content), strict=True):
        wanted = new not in content.unread
        columns.append(table.column(old) if wanted else nulls)
        fields.append(schema.field(old).with_name(new) if wanted else pa.field(new, nulls.type))
    notes = _lost_categories(schema, fields, content)
    return Raw(plain_table(pa.table(columns, schema=pa.schema(fields)), content), notes)


def _lost_categories(schema: pa.Schema, fields: list[pa.Field], content: Content) -> tuple[str, ...]:
    """Return a line for columns that pandas saved as categories of numbers: parquet keeps the numbers alone."""
    try:
        said = (schema.pandas_metadata or {}).get("columns", [])
    except ValueError:  # no JSON, and nothing that the table needs
        return ()
    were = {column.get("field_name") for column in said if column.get("pandas_type") == "categorical"}
    roles = {*content.unread, *content.verbatim}
    lost = [
        field.name
        for own_name, field in zip(_columns_of(schema), fields, strict=True)
        if own_name in were and field.name not in roles and _is_number(field.type)
    ]
    if not lost:
        return ()
    options = " ".join(f"--categorical {shlex.quote(name)}" for name in lost[:_SHOWN])
    saved = f"saved as categories of numbers, of which parquet keeps the numbers: {listed(lost)}"
    return (f"{saved}; {options} makes categories of them",)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
