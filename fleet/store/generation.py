"""Generations: folders of hard links behind one `current` symlink.

    <store>/current -> gen-000002
    <store>/gen-000002/<table>/_schema.parquet       no rows, every column
    <store>/gen-000002/<table>/<attempt_id>.parquet  waits to be packed
    <store>/gen-000002/<table>/pack-<month>-<hash>.parquet

A reader resolves `current` once and opens that generation: nothing in it is ever replaced.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fleet.durable import sync_folder, write_new
from fleet.errors import StoreUnusable
from fleet.store.codec import check_version, encode_rows
from fleet.store.publish import STAGED_SUFFIX
from fleet.store.schema import TABLES

CURRENT = "current"
PACK_PREFIX = "pack-"
SCHEMA_FILE = "_schema.parquet"
_NAME = re.compile(r"gen-(\d{6,})")


def current(store: Path) -> Path | None:
    """Return the generation that counts; None where the store has none yet.

    Raises StoreUnusable where there are results but nothing says which generation counts.
    """
    link = store / CURRENT
    if link.is_symlink() and (target := store / link.readlink()).is_dir():
        return target
    last = max(_generations(store).items(), default=None)
    if not link.is_symlink() and not link.exists() and (last is None or _is_empty(last[1])):
        return None
    name = last[1].name if last else "gen-000001"
    raise StoreUnusable(
        f"{link} is no link to a generation of results (was the folder copied without links?)",
        f"put anything of that name aside, then: ln -s {name} {link}",
    )


def number(generation: Path) -> int:
    match = _NAME.fullmatch(generation.name)
    if match is None:
        raise StoreUnusable(
            f"{generation} is not named like a generation (gen-000001)",
            "choose another folder with --home",
        )
    return int(match[1])


def after(generation: Path) -> Path:
    return generation.with_name(f"gen-{number(generation) + 1:06d}")


def waiting(generation: Path, table: str = "trials") -> list[str]:
    """Attempt ids that have a file of their own."""
    return sorted(
        name.removesuffix(".parquet")
        for name in os.listdir(generation / table)
        if name.endswith(".parquet")
        and not name.startswith(".")
        and name != SCHEMA_FILE
        and not name.startswith(PACK_PREFIX)
    )


def packs(generation: Path, table: str = "trials") -> list[Path]:
    return sorted((generation / table).glob(f"{PACK_PREFIX}*.parquet"))


def has_newest_schema(generation: Path) -> bool:
    """Tell whether this generation has the newest schema.

    It raises StoreUnusable if a newer fleet made the generation.
    """
    for table, schema in TABLES.items():
        path = generation / table / SCHEMA_FILE
        if not path.exists():
            return False
        try:
            stored = pq.read_schema(path)
        except (pa.ArrowException, OSError) as problem:
            raise StoreUnusable(
                f"{path} cannot be read: {problem}",
                f"it holds no results; it is made anew after: rm {path}",
            ) from problem
        check_version(path, stored)
        if stored.names != schema.names:
            return False
    return True


def build(
    store: Path,
    generation: Path,
    *,
    base: Path | None = None,
    without: Container[Path] = frozenset(),
    new: Mapping[str, Mapping[str, bytes]] | None = None,
) -> None:
    """Make `generation` whole and durable, then let `current` name it.

    It holds links to all files of `base` but those `without` (table/name), the `new` files
    (table -> name -> content), and an empty file with the newest schema per table.
    """
    shutil.rmtree(generation, ignore_errors=True)
    try:
        for table in TABLES:
            own = {SCHEMA_FILE: encode_rows(table, ()), **(new or {}).get(table, {})}
            _fill(generation / table, own, _files(base, table, without))
        sync_folder(generation)
    except OSError:
        shutil.rmtree(generation, ignore_errors=True)
        raise
    _switch(store, generation)


def _fill(folder: Path, own: Mapping[str, bytes], others: Iterable[Path]) -> None:
    folder.mkdir(parents=True)
    for name, content in own.items():
        write_new(folder / name, content)
    for path in others:
        os.link(path, folder / path.name)
    sync_folder(folder)


def _files(generation: Path | None, table: str, without: Container[Path]) -> list[Path]:
    if generation is None or not (generation / table).is_dir():
        return []
    return sorted(
        path
        for path in (generation / table).iterdir()
        if path.name != SCHEMA_FILE and Path(table, path.name) not in without
    )


def _switch(store: Path, generation: Path) -> None:
    sync_folder(store)
    part = store / (CURRENT + STAGED_SUFFIX)
    part.unlink(missing_ok=True)
    part.symlink_to(generation.name)  # relative: the store can be moved
    part.replace(store / CURRENT)
    sync_folder(store)


def tidy(store: Path, staging: Path) -> None:
    """With the lock held: away with what a dead writer left, and with generations long past.

    The generation before the current one stays, for readers that hold it.
    """
    for part in [*staging.iterdir(), store / (CURRENT + STAGED_SUFFIX)]:
        part.unlink(missing_ok=True)
    now = current(store)
    if now is None:
        return
    kept = {number(now) - 1, number(now)}
    for place, generation in _generations(store).items():
        if place not in kept:
            shutil.rmtree(generation, ignore_errors=True)


def _generations(store: Path) -> dict[int, Path]:
    if not store.is_dir():
        return {}
    folders = [path for path in store.iterdir() if _NAME.fullmatch(path.name)]
    return {number(path): path for path in folders}


def _is_empty(generation: Path) -> bool:
    """Only schema files: left by a writer that died while it made the store."""
    return not any(path.name != SCHEMA_FILE for path in generation.glob("*/*"))
