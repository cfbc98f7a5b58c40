"""Rows to Parquet bytes and back, each file checked to be ours and of a form we know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fleet.errors import StoreNewer, StoreUnusable, Unstorable
from fleet.folders import with_home
from fleet.store.schema import SCHEMA_VERSION, TABLES

Row = Mapping[str, object]
Rows = Mapping[str, Sequence[Row]]
"""Rows per table; every row holds every column of its table."""

ZSTD_LEVEL = 3
DELTA_COLUMNS = {"requests": ("chunk_gaps_us.list.element",), "readings": ("offset_ns",)}
"""Columns of slowly changing integers: delta packing makes them a quarter smaller."""


DIGESTS = "digests"
"""In the metadata of a file of trials: the SHA-256 of each file of their other tables."""


def encode_rows(
    table: str, rows: Sequence[Row], others: Mapping[str, bytes] | None = None
) -> bytes:
    """Encode rows as one small file, without statistics, which would cost 2.5 kB each.

    `others`: of trials, the files of their other tables, by which these are known again.
    It raises KeyError if a row lacks a column, Unstorable if a value does not fit one.
    """
    return encode(table, _to_arrow(TABLES[table], rows), others, statistics=False)


def encode(
    table: str, data: pa.Table, others: Mapping[str, bytes] | None = None, *, statistics: bool
) -> bytes:
    """Parquet bytes with the schema version in the file's metadata."""
    digests = {name: digest_of(content) for name, content in (others or {}).items()}
    own = {DIGESTS: json.dumps(digests)} if digests else {}
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        data.schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=[field.name for field in data.schema if field.type == pa.string()],
        column_encoding=dict.fromkeys(DELTA_COLUMNS.get(table, ()), "DELTA_BINARY_PACKED"),
        write_statistics=statistics,
        write_page_checksum=True,
        store_schema=False,  # Arrow's own copy of the schema doubles the metadata of a small file
    ) as writer:
        writer.write_table(data)
        # not written without the copy
        writer.add_key_value_metadata({**TABLES[table].metadata, **own})
    return bytes(sink.getvalue())


def read(path: Path, table: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the requested columns in the newest schema, null where an older file lacks one.

    The checksum of each page is verified, where the file has them. It raises StoreUnusable where
    the file is broken, foreign or newer, FileNotFoundError where it is gone.
    """
    schema = TABLES[table]
    wanted = schema.names if columns is None else list(columns)
    try:
        with pa.OSFile(str(path)) as opened, _opened(opened) as file:
            stored = file.schema_arrow
            check_version(path, stored)
            names = set(stored.names)
            # threads only cost time where most files hold a single row
            data = file.read([name for name in wanted if name in names], use_threads=False)
        return _conform(data, pa.schema([schema.field(name) for name in wanted]))
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as problem:
        raise _broken(path, str(problem).splitlines()[0]) from problem


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digests(path: Path) -> Mapping[str, str]:
    """Return the digest of the file beside this one in each other table; older ones have none."""
    try:
        text = (pq.read_schema(path).metadata or {}).get(DIGESTS.encode(), b"{}")
        read = json.loads(text)
    except (pa.ArrowException, OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _opened(file: pa.NativeFile) -> pq.ParquetFile:
    return pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True)


def check_version(path: Path, schema: pa.Schema) -> None:
    """Check the file's schema; raises StoreUnusable for one of a newer fleet or another program."""
    version = (schema.metadata or {}).get(b"schema_version", b"")
    if not version.isdigit() or "attempt_id" not in schema.names:
        raise _broken(path, "not written by fleet")
    if int(version) > SCHEMA_VERSION:
        raise StoreNewer(
            f"{path} was written by a newer fleet "
            f"(form {int(version)}, this fleet knows up to {SCHEMA_VERSION})",
            "update fleet here, or choose another folder with --home",
        )


def _broken(path: Path, why: str) -> StoreUnusable:
    return StoreUnusable(
        f"{path} cannot be read as a results file: {why}",
        f"set it aside, and the rest can be read again: {repair_command(path)}",
    )


def repair_command(path: Path) -> str:
    """Return the command that sets aside what is damaged, for a file of a table."""
    home = path.absolute().parents[3]  # home/results/generation/table/file
    return with_home("fleet store repair", home)


def _to_arrow(schema: pa.Schema, rows: Sequence[Row]) -> pa.Table:
    """KeyError where a row lacks a column, Unstorable where a value does not fit its column."""
    arrays = [_column(field, [_storable(row[field.name]) for row in rows]) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _column(field: pa.Field, values: Sequence[object]) -> pa.Array:
    try:
        return pa.array(values, type=field.type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as problem:
        why = str(problem).splitlines()[0]
        raise Unstorable(f"{field.name} does not fit its column of {field.type}: {why}") from None


def _storable(value: object) -> object:
    """Half a surrogate pair, which an engine may send as JSON, has no UTF-8 form."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode("utf-8")
    return value


def _conform(data: pa.Table, schema: pa.Schema) -> pa.Table:
    present = dict(zip(data.column_names, data.columns, strict=True))
    columns = []
    for field in schema:
        column = present.get(field.name)
        if column is None:
            column = pa.nulls(len(data), field.type)
        columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)
