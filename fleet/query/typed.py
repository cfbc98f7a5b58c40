"""The one decoder from rows of DuckDB to dataclasses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

from fleet.query.open_store import Connection, Row, rows

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind", bound="DataclassInstance")


def decode(kind: type[Kind], row: Row) -> Kind:
    """Build a dataclass from the columns of the same names.

    Other columns are left out. A null takes the default of its field, where it has one.
    """
    columns: dict[str, Any] = {}
    for field in fields(kind):
        value = row[field.name]
        if value is not None or field.default is MISSING:
            columns[field.name] = value
    return kind(**columns)


def typed_rows(
    con: Connection, kind: type[Kind], query: str, parameters: Sequence[object] | None = None
) -> list[Kind]:
    """Return the answer of a query, each row as one dataclass. Raises StoreUnusable."""
    return [decode(kind, row) for row in rows(con, query, parameters)]
