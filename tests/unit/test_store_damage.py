"""Damaged and foreign files: each is named, set aside with its attempts, and the rest is read."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.errors import StoreNewer, StoreUnusable
from fleet.store import damage, generation
from fleet.store.parquet import ParquetStore
from fleet.store.schema import TABLES
from tests.builders_store import result

TRIALS = 6
PACKED = 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of six trials of which three are packed."""
    folder = tmp_path_factory.mktemp("whole") / "home" / "results"
    store = ParquetStore(folder)
    for number in range(TRIALS):
        store.write(result(number))
        if number == PACKED - 1:
            assert store.pack(force=True) == PACKED
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return copy_of(whole, tmp_path)


def copy_of(whole: Path, to: Path) -> Path:
    return Path(shutil.copytree(whole, to / "home" / "results", symlinks=True))


def files(folder: Path, table: str) -> list[Path]:
    """Return the table's files with rows: the pack, then those of single attempts."""
    return sorted(
        path
        for path in (folder / "current" / table).glob("*.parquet")
        if path.name != generation.SCHEMA_FILE
    )


def flip(path: Path, share: float = 0.3) -> None:
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 0x10
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def foreign(path: Path) -> None:
    pq.write_table(pa.table({"attempt_id": ["a"]}), path)


def ids(folder: Path) -> set[str]:
    return {attempt.trial_id for attempt in ParquetStore(folder).attempts("e")}


def test_a_whole_store_is_read_whole(folder: Path) -> None:
    verified = ParquetStore(folder, read_only=True).verify()
    assert verified.damaged == ()
    assert verified.files == len(TABLES) * (TRIALS - PACKED + 1)
    assert verified.rows["trials"] == TRIALS
    before = os.readlink(folder / "current")
    assert ParquetStore(folder).repair().folder is None
    assert os.readlink(folder / "current") == before


@pytest.mark.parametrize("change", [flip, cut, foreign, Path.unlink])
def test_the_attempt_of_a_damaged_file_of_requests_is_set_aside_whole(
    folder: Path, change: object
) -> None:
    path = files(folder, "requests")[-1]
    assert callable(change)
    change(path)
    [named] = ParquetStore(folder).verify().damaged
    assert named.path.name == path.name
    repaired = ParquetStore(folder).repair()
    assert repaired.attempts == 1
    assert repaired.experiments == ("e",)
    assert ParquetStore(folder).verify().damaged == ()
    assert len(ids(folder)) == TRIALS - 1
    assert repaired.folder is not None
    report = json.loads((repaired.folder / damage.REPORT).read_text())
    assert report["attempts"] == [path.stem]
    for each in report["set_aside"]:
        assert (repaired.folder / each).is_file()
        assert not (folder / "current" / each).exists()


def test_damaged_readings_leave_their_attempt(folder: Path) -> None:
    for path in files(folder, "readings"):
        flip(path)
    repaired = ParquetStore(folder).repair()
    assert (len(repaired.files), repaired.attempts) == (TRIALS - PACKED + 1, 0)
    assert len(ids(folder)) == TRIALS


def test_of_two_copies_of_an_attempt_one_stays(folder: Path) -> None:
    pack = files(folder, "trials")[0]
    again = pq.ParquetFile(pack).read().slice(0, 1)
    twin = pack.with_name("copied.parquet")
    metadata = pq.ParquetFile(pack).schema_arrow.metadata
    pq.write_table(again.replace_schema_metadata(metadata), twin)
    [named] = ParquetStore(folder).verify().damaged
    assert named.path.name == twin.name
    assert f"lies in {pack.name} too" in named.what
    repaired = ParquetStore(folder).repair()
    assert (repaired.files, repaired.attempts) == ((Path("trials", twin.name),), 0)
    assert len(ids(folder)) == TRIALS


def test_what_a_newer_fleet_wrote_is_no_damage(folder: Path) -> None:
    path = files(folder, "trials")[-1]
    data = pq.ParquetFile(path).read().replace_schema_metadata({"schema_version": "99"})
    pq.write_table(data, path)
    with pytest.raises(StoreNewer, match="newer fleet"):
        ParquetStore(folder).repair()
    assert path.is_file()


def test_a_repair_that_dies_is_done_by_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies before each of its steps in turn; the store stays as it is, and no file is lost."""
    victims = [files(folder, "requests")[0], files(folder, "trials")[-1]]  # a pack, and one
    for path in victims:
        cut(path)
    steps = [
        *((damage, name) for name in ("sync_folder", "replace")),
        *((generation, name) for name in ("write_new", "sync_folder")),
        (os, "link"),
    ]
    for module, step in steps:
        with monkeypatch.context() as patched:
            patched.setattr(module, step, _die)
            with pytest.raises(KeyboardInterrupt):
                ParquetStore(folder).repair()
        assert len(ParquetStore(folder).verify().damaged) == len(victims)
    repaired = ParquetStore(folder).repair()
    assert repaired.folder is not None
    assert all((repaired.folder / path).is_file() for path in repaired.files)
    assert ParquetStore(folder).verify().damaged == ()
    assert len(ids(folder)) == TRIALS - PACKED - 1


def _die(*_: object) -> None:
    raise KeyboardInterrupt


@settings(max_examples=60)
@given(data=st.data())
def test_trials_read_and_set_aside_are_those_written(whole: Path, data: st.DataObject) -> None:
    """Whatever is damaged: after one repair the store is whole, and each trial is on one side."""
    with tempfile.TemporaryDirectory() as name:
        folder = copy_of(whole, Path(name))
        paths = [path for table in TABLES for path in files(folder, table)]
        for path in data.draw(st.lists(st.sampled_from(paths), max_size=4, unique=True)):
            data.draw(st.sampled_from([flip, cut, foreign]))(path)
        written = ids(whole)
        repaired = ParquetStore(folder).repair()
        assert ParquetStore(folder).verify().damaged == ()
        kept = ids(folder)
        aside = trials_in(repaired.folder, whole)
        assert kept | aside == written
        assert kept & aside == set()
        assert ParquetStore(folder).repair().folder is None


def trials_in(folder: Path | None, whole: Path) -> set[str]:
    """The trials of the files that were set aside, as the whole store has them."""
    names = [path.name for path in folder.glob("trials/*.parquet")] if folder else []
    read = [pq.ParquetFile(whole / "current" / "trials" / name).read() for name in names]
    return {trial for table in read for trial in table["trial_id"].to_pylist()}


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="no results here"):
        ParquetStore(tmp_path / "nothing", read_only=True).verify()
    assert not (tmp_path / "nothing").exists()
