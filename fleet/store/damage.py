"""Reads every file of a store whole, names what is damaged or foreign, and sets it aside.

A file is damaged where it cannot be read, where the checksum of a page says so, where it is not the
one that the file of its trials knows, or where it is not fleet's. Attempts are damaged too that lie
in two files, or of which the requests are gone.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from fleet.durable import replace, sync_folder
from fleet.errors import StoreNewer, StoreUnusable
from fleet.folders import with_home
from fleet.identity import canonical_json
from fleet.store import codec, generation
from fleet.store.schema import TABLES

SET_ASIDE = "set-aside"
REPORT = "report.json"
NEEDED = ("trials", "requests", "fingerprints")
"""Where one of these is damaged, the attempts of the file have no meaning without it: their other
files are set aside with it. Readings and answers are beside the measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One file that is not as it was written, or does not belong here."""

    path: Path
    """Its table and name: `requests/attempt-1.parquet`."""
    what: str
    attempts: int | None = None
    """Attempts whose rows it should hold; None: nothing tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a store holds, file by file."""

    generation: Path
    files: int
    rows: Mapping[str, int]
    """Rows that can be read, by table."""
    damaged: tuple[Damage, ...]
    homes: Mapping[str, Path]
    """The file of each attempt that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What was set aside."""

    folder: Path | None
    """Where it lies now; None: nothing was damaged."""
    files: tuple[Path, ...]
    damaged: tuple[Damage, ...]
    experiments: tuple[str, ...]
    """Those with attempts that are not read any more, as far as a file still tells."""
    attempts: int
    """Attempts that are not read any more, as far as a file still tells."""


@dataclass(slots=True)
class _Reading:
    """What was read so far."""

    files: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    damaged: list[Damage] = field(default_factory=list)
    homes: dict[str, Path] = field(default_factory=dict)
    """The file of each attempt."""
    measured: dict[str, Path] = field(default_factory=dict)
    """The file of each attempt that went well."""
    with_requests: set[str] = field(default_factory=set)


def verify(store: Path) -> Verified:
    """Read every file of a store; nothing is changed.

    Raises StoreUnusable where there is no store, StoreNewer where a newer fleet wrote a file.
    """
    now = generation.current(store)
    if now is None:
        hint = f"measure first: {with_home('fleet submit gpt-oss:20b', store.parent)}"
        raise StoreUnusable(f"{store}: no results here", hint)
    seen = _Reading()
    for table in TABLES:
        for path in _files(now, table):
            _read_file(seen, table, path)
    seen.damaged += _replaced(seen, now)
    seen.damaged += _without_requests(seen)
    return Verified(
        generation=now,
        files=seen.files,
        rows=dict(seen.rows),
        damaged=tuple(seen.damaged),
        homes=seen.homes,
    )


def set_aside(store: Path, verified: Verified) -> Repaired:
    """Leave what is damaged out of a new generation; to be called with the lock held.

    Nothing is deleted: the files lie in `set-aside` from before they leave the store.
    """
    now = verified.generation
    leaving = sorted(_leaving(now, verified.damaged))
    if not leaving:
        return Repaired(folder=None, files=(), damaged=(), experiments=(), attempts=0)
    after = generation.after(now)
    folder = store / SET_ASIDE / after.name
    lost = _lost(verified, leaving)
    report = {
        "damaged": [{"file": str(each.path), "what": each.what} for each in verified.damaged],
        "set_aside": [str(path) for path in leaving],
        "attempts": sorted(lost),
        "experiments": sorted(set(lost.values())),
    }
    for path in leaving:
        _link(now / path, folder / path)
    replace(folder / REPORT, canonical_json(report).encode())
    generation.build(store, after, base=now, without=frozenset(leaving))
    return Repaired(
        folder=folder,
        files=tuple(leaving),
        damaged=verified.damaged,
        experiments=tuple(sorted(set(lost.values()))),
        attempts=len(lost),
    )


def _files(now: Path, table: str) -> list[Path]:
    """Return what a reader of the table looks into: packs first, which stay of two copies."""
    names = generation.waiting(now, table)
    waiting = [now / table / f"{name}.parquet" for name in names]
    return [*generation.packs(now, table), *waiting]


def _read_file(seen: _Reading, table: str, path: Path) -> None:
    seen.files += 1
    place = Path(table, path.name)
    try:
        data = codec.read(path, table)
    except StoreNewer:
        raise
    except StoreUnusable as problem:
        seen.damaged.append(Damage(path=place, what=problem.what.removeprefix(f"{path} ")))
        return
    ids = data["attempt_id"].to_pylist()
    if None in ids:
        seen.damaged.append(Damage(path=place, what="a row without attempt_id"))
        return
    if table == "requests":
        seen.with_requests.update(ids)
    elif table == "trials" and not _take_trials(seen, data, place):
        return
    seen.rows[table] += len(ids)


def _take_trials(seen: _Reading, data: pa.Table, place: Path) -> bool:
    """Note whose file this is; return False where an attempt of it lies in another one too."""
    attempts = data.select(("attempt_id", "outcome")).to_pylist()
    twice = [row["attempt_id"] for row in attempts if row["attempt_id"] in seen.homes]
    if twice:
        what = f"holds {twice[0]}, which lies in {seen.homes[twice[0]].name} too"
        seen.damaged.append(Damage(path=place, what=what, attempts=len(attempts)))
        return False
    seen.homes.update((row["attempt_id"], place) for row in attempts)
    seen.measured.update((row["attempt_id"], place) for row in attempts if row["outcome"] == "ok")
    return True


def _replaced(seen: _Reading, now: Path) -> Iterator[Damage]:
    """Yield files that can be read and are not those that were written with their trials."""
    named = {each.path for each in seen.damaged}
    for path in _files(now, "trials"):
        for table, digest in codec.digests(path).items():
            place = Path(table, path.name)
            if table not in TABLES or place in named or not (now / place).is_file():
                continue
            if codec.digest_of((now / place).read_bytes()) != digest:
                yield Damage(path=place, what="not as it was written")


def _without_requests(seen: _Reading) -> Iterator[Damage]:
    """Yield the files with attempts that went well and of which no request can be read."""
    named = {each.path.name for each in seen.damaged if each.path.parent.name == "requests"}
    lacking = Counter(
        path for attempt, path in seen.measured.items() if attempt not in seen.with_requests
    )
    for path, attempts in sorted(lacking.items()):
        if path.name not in named:
            what = f"{attempts} measured without any request: the file of those is gone"
            yield Damage(path=path, what=what, attempts=attempts)


def _leaving(now: Path, damaged: Sequence[Damage]) -> set[Path]:
    """Return the files to set aside; with a needed one go the others of its attempts."""
    leaving = {each.path for each in damaged}
    names = defaultdict(set)
    for each in damaged:
        names[each.path.name].add(each.path.parent.name)
    for name, tables in names.items():
        if tables & set(NEEDED):
            leaving |= {Path(table, name) for table in TABLES if (now / table / name).is_file()}
    return leaving


def _lost(verified: Verified, leaving: Sequence[Path]) -> dict[str, str]:
    """Return attempts that are not read any more, with their experiments, where a file tells."""
    lost: dict[str, str] = {}
    for path in leaving:
        if path.parent.name != "trials":
            continue
        try:
            file = verified.generation / path
            rows = codec.read(file, "trials", ("attempt_id", "experiment")).to_pylist()
        except StoreUnusable:
            continue
        lost.update(
            (str(row["attempt_id"]), str(row["experiment"]))
            for row in rows
            if verified.homes.get(row["attempt_id"], path) == path
        )
    return lost


def _link(source: Path, target: Path) -> None:
    """Let the file lie in a second folder as well; a repair that died has done so already."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        os.link(source, target)
    sync_folder(target.parent)
