"""The results folder: written once, read fast, packed without loss, clear about what is wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fleet.durable import FileLock
from fleet.errors import StoreUnusable
from fleet.store import codec, generation, pack
from fleet.store.parquet import ParquetStore
from fleet.store.rows import blank, rows_of
from fleet.store.schema import TABLES, TRIALS
from tests.builders_store import HOUR_NS, NOV_2026_NS, result

MONTH_NS = 31 * 24 * HOUR_NS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def store(folder: Path) -> ParquetStore:
    return ParquetStore(folder)


def ids(folder: Path, table: str = "trials") -> list[str]:
    """As a bare DuckDB sees them."""
    query = f"select attempt_id from read_parquet('{folder}/current/{table}/*.parquet', union_by_name=true)"  # noqa: E501
    return sorted(row[0] for row in duckdb.sql(query).fetchall())


def names(folder: Path, table: str = "trials") -> list[str]:
    """Files that hold rows."""
    return sorted(set(os.listdir(folder / "current" / table)) - {"_schema.parquet"})


def test_a_new_store_shows_every_column_and_no_row(folder, store):
    for table, schema in TABLES.items():
        data = duckdb.sql(f"from '{folder}/current/{table}/*.parquet'")
        assert data.columns == schema.names
        assert data.fetchall() == []
    assert os.readlink(folder / "current") == "gen-000001"
    assert store.attempts("e") == []
    assert store.last_session("e") is None
    assert store.past_seconds("e") == {}


def test_what_was_written_is_found_by_another_store(folder, store):
    store.write(result(1))
    store.write(result(2, outcome="failed"))
    store.write(result(2, fence=1, duration_ns=7))
    store.write(result(3, experiment="other"))
    found = ParquetStore(folder).attempts("e")
    assert [(a.trial_id[-1], a.fence, a.outcome, a.transient, a.reason) for a in found] == [
        ("1", 0, "ok", False, ""),
        ("2", 0, "failed", True, "stream_broken"),
        ("2", 1, "ok", False, ""),
    ]
    assert found[2].duration_ns == 7
    state = found[0].state
    assert (state["digest"], state["engine_version"]) == ("d" * 64, "0.32.15")
    assert (state["hardware_id"], state["gpu_limit_mb"]) == ("hardware-1", 73728)
    assert state["engine_environment"] == '{"OLLAMA_FLASH_ATTENTION":"1"}'
    assert list((folder / "staging").iterdir()) == []


def test_writing_again_changes_nothing_packed_or_not(folder, store):
    store.write(result(1))
    store.write(result(1, duration_ns=99))
    assert [a.duration_ns for a in store.attempts("e")] == [10**9]
    before = ParquetStore(folder)
    assert store.pack(force=True) == 1
    for writer in (store, before, ParquetStore(folder)):
        writer.write(result(1, duration_ns=99))
    assert ids(folder) == ids(folder, "requests") == [result(1).attempt_id]
    assert [a.duration_ns for a in before.attempts("e")] == [10**9]


def test_a_table_without_rows_gets_no_file(folder, store):
    rows = rows_of(result(1))
    assert store.write_rows("a-0", {**rows, "readings": []})
    assert names(folder, "readings") == []
    assert not store.write_rows("a-0", rows)


def test_what_a_writer_left_before_its_commit_mark_makes_way(folder, store):
    left = codec.encode_rows("requests", rows_of(result(2))["requests"])
    (folder / "current/requests" / f"{result(1).attempt_id}.parquet").write_bytes(left)
    store.write(result(1))
    assert ids(folder, "requests") == [result(1).attempt_id]


def test_imported_trials_are_no_past_attempts(store):
    rows = rows_of(result(1))
    store.write_rows("a-0", {**rows, "trials": [{**rows["trials"][0], "imported": True}]})
    assert store.attempts("e") == []
    assert store.past_seconds("e") == {}


def test_past_seconds_are_medians_of_what_went_well(store):
    for n, seconds in enumerate((2, 4, 9)):
        store.write(result(n, duration_ns=seconds * 10**9))
    store.write(result(9, outcome="failed", duration_ns=10**6))
    store.write(result(10, machine="other", duration_ns=5 * 10**9))
    assert store.past_seconds("e") == {
        result(0).trial.cell(): 4.0,
        result(0, machine="other").trial.cell(): 5.0,
    }


def test_last_session(store):
    store.write(result(1, session=0))
    store.write(result(2, session=3))
    store.write(result(3, session=9, experiment="other"))
    assert store.last_session("e") == 3


def test_packs_hold_a_month_each_sorted_and_with_the_newest_schema(folder, store):
    written = [
        result(n, machine=machine, unix_ns=NOV_2026_NS + month * MONTH_NS)
        for n, (machine, month) in enumerate([("b", 0), ("a", 0), ("b", 1), ("a", 1), ("a", 1)])
    ]
    for each in written:
        store.write(each)
    assert store.pack() == 0
    assert store.pack(force=True) == 5
    assert ids(folder) == sorted(each.attempt_id for each in written)
    for table, schema in TABLES.items():
        november, december = names(folder, table)
        assert november.startswith("pack-2026-11-")
        assert december.startswith("pack-2026-12-")
        assert pq.read_schema(folder / "current" / table / november).names == schema.names
    rows = codec.read(folder / "current/trials" / names(folder)[1], "trials").to_pylist()
    assert [(row["machine"], row["block"]) for row in rows] == [("a", 3), ("a", 4), ("b", 2)]


def test_a_pack_is_never_rewritten_and_one_generation_back_stays(folder, store):
    store.write(result(1))
    store.pack(force=True)
    (first,) = names(folder)
    inode = (folder / "current/trials" / first).stat().st_ino
    for n in (2, 3):
        store.write(result(n))
        store.pack(force=True)
    assert (folder / "current/trials" / first).stat().st_ino == inode
    assert os.readlink(folder / "current") == "gen-000004"
    assert sorted(path.name for path in folder.glob("gen-*")) == ["gen-000003", "gen-000004"]
    assert store.pack(force=True) == 0
    assert os.readlink(folder / "current") == "gen-000004"


def test_more_than_the_most_that_may_wait_are_packed_by_themselves(folder, store, monkeypatch):
    monkeypatch.setattr(pack, "MOST_WAITING", 3)
    store = ParquetStore(folder)
    for n in range(3):
        store.write(result(n))
    assert len(generation.waiting(folder / "current")) == 3
    store.write(result(3))
    assert generation.waiting(folder / "current") == []
    assert len(store.attempts("e")) == 4


def test_a_broken_file_hinders_neither_writing_nor_packing(folder, monkeypatch):
    monkeypatch.setattr(pack, "MOST_WAITING", 2)
    store = ParquetStore(folder)
    store.write(result(0))
    broken = folder / "current/readings" / f"{result(0).attempt_id}.parquet"
    broken.write_bytes(broken.read_bytes()[:50])
    for n in (1, 2, 3):
        store.write(result(n))
    assert generation.waiting(folder / "current") == [result(0).attempt_id, result(3).attempt_id]
    assert len(store.attempts("e")) == 4


def test_reading_goes_on_while_another_process_packs(folder, store):
    store.write(result(1))
    reader = ParquetStore(folder)
    old = generation.current(folder)
    for n in (2, 3, 4):
        store.write(result(n))
        store.pack(force=True)
    assert not old.exists()
    assert len(reader.attempts("e")) == 4


def test_a_generation_removed_while_it_is_read_is_read_anew(folder, store, monkeypatch):
    for n in (1, 2):
        store.write(result(n))
    reader, honest = ParquetStore(folder), codec.read

    def pack_three_times_first(path: Path, table: str, columns: list[str]) -> pa.Table:
        monkeypatch.setattr(codec, "read", honest)
        for n in (3, 4, 5):
            store.write(result(n))
            store.pack(force=True)
        return honest(path, table, columns)

    monkeypatch.setattr(codec, "read", pack_three_times_first)
    assert len(reader.attempts("e")) == 5


def test_views_are_written_once_and_when_they_differ(folder):
    ParquetStore(folder, views_sql="create view a;")
    before = (folder / "views.sql").stat().st_ino
    ParquetStore(folder, views_sql="create view a;")
    assert (folder / "views.sql").stat().st_ino == before
    ParquetStore(folder)
    ParquetStore(folder, views_sql="create view b;")
    assert (folder / "views.sql").read_text() == "create view b;"


def test_an_older_store_gets_the_newest_schema_in_a_new_generation(folder, store):
    store.write(result(1))
    for name in ("_schema", result(1).attempt_id):
        path = folder / "gen-000001/trials" / f"{name}.parquet"
        older = pq.read_table(path, partitioning=None).drop_columns(["settings", "session"])
        path.unlink()
        path.write_bytes(codec.encode("trials", older, statistics=False))
    store = ParquetStore(folder)
    assert os.readlink(folder / "current") == "gen-000002"
    assert pq.read_schema(folder / "current/trials/_schema.parquet").names == TRIALS.names
    assert store.last_session("e") == 0
    assert store.pack(force=True) == 1
    (row,) = codec.read(folder / "current/trials" / names(folder)[0], "trials").to_pylist()
    assert (row["settings"], row["outcome"]) == (None, "ok")


def test_opening_clears_what_a_dead_writer_left(folder, store):
    store.write(result(1))
    shutil.copytree(folder / "gen-000001", folder / "gen-000002")
    (folder / "staging/0.part").write_bytes(b"half")
    (folder / "current.part").symlink_to("gen-000002")
    ParquetStore(folder)
    assert sorted(os.listdir(folder)) == ["current", "gen-000001", "lock", "staging"]
    assert os.listdir(folder / "staging") == []
    assert len(ids(folder)) == 1


def test_what_a_living_writer_stages_is_left_alone(folder, store, monkeypatch):
    half, writer = folder / "staging/0.part", FileLock(folder / "lock")
    half.write_bytes(b"half")
    waits = FileLock.wait

    def when_it_waits(lock, stop=None):
        """The writer goes on to its end only when the one that opens the store waits for it."""
        writer.release()
        monkeypatch.setattr(FileLock, "wait", waits)
        return waits(lock, stop)

    assert writer.take()
    monkeypatch.setattr(FileLock, "wait", when_it_waits)
    ParquetStore(folder)
    assert half.exists()
    ParquetStore(folder)
    assert not half.exists()


def test_read_only_makes_nothing(folder):
    store = ParquetStore(folder, read_only=True)
    assert store.attempts("e") == []
    assert not folder.exists()
    ParquetStore(folder).write(result(1))
    assert len(store.attempts("e")) == 1
    with pytest.raises(StoreUnusable, match="opened for reading only"):
        store.write(result(2))


SET_ASIDE = "set it aside, and the rest can be read again: fleet store repair"


def spoil(change: Callable[[Path], object]) -> Callable[[Path], Path]:
    def spoiled(folder: Path) -> Path:
        path = folder / "gen-000001/trials" / f"{result(1).attempt_id}.parquet"
        change(path)
        return path

    return spoiled


def foreign(path: Path) -> None:
    pq.write_table(pa.table({"attempt_id": ["a"], "x": [1]}), path)


def newer(path: Path) -> None:
    pq.write_table(pq.read_table(path, partitioning=None).replace_schema_metadata(
        {"schema_version": "99"}), path)  # fmt: skip


def another_type(path: Path) -> None:
    table = pa.table({"attempt_id": ["a"], "fence": ["text"]})
    pq.write_table(table.replace_schema_metadata({"schema_version": "1"}), path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            spoil(lambda path: os.truncate(path, 100)),
            SET_ASIDE,
        ),
        (
            spoil(lambda path: os.truncate(path, 0)),
            SET_ASIDE,
        ),
        (
            spoil(lambda path: path.write_bytes(b"a,b\n1,2\n" * 9)),
            SET_ASIDE,
        ),
        (spoil(foreign), "{0} cannot be read as a results file: not written by fleet"),
        (spoil(another_type), SET_ASIDE),
        (spoil(newer), "{0} was written by a newer fleet (form 99"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_hint(folder, store, change, says):
    store.write(result(1))
    store.write(result(2))
    path = change(folder)
    reader = ParquetStore(folder)
    with pytest.raises(StoreUnusable) as problem:
        reader.attempts("e")
    assert says.format(path) in str(problem.value)
    path.rename(f"{path}.bad")
    assert [a.trial_id[-1] for a in reader.attempts("e")] == ["2"]


def test_what_macos_leaves_beside_a_file_is_no_result(folder, store):
    store.write(result(1))
    for table in TABLES:
        (folder / "current" / table / "._x.parquet").write_bytes(b"\0\5\x16\7")
    for n in (2, 3, 4):
        store.write(result(n))
        store.pack(force=True)
    assert len(ParquetStore(folder).attempts("e")) == 4


def test_the_results_are_their_user_s_alone(folder, store):
    store.write(result(1))
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_put_aside_stays_through_packing(folder, store):
    store.write(result(1))
    (folder / "current/trials/x.parquet.bad").write_bytes(b"broken")
    for n in (2, 3, 4):
        store.write(result(n))
        store.pack(force=True)
    assert (folder / "current/trials/x.parquet.bad").read_bytes() == b"broken"


def test_a_store_of_a_newer_fleet_is_refused_at_once(folder, store):
    newer(folder / "current/trials/_schema.parquet")
    with pytest.raises(StoreUnusable, match="newer fleet"):
        ParquetStore(folder)


def test_a_broken_schema_file_says_how_it_is_made_anew(folder, store):
    path = folder / "gen-000001/trials/_schema.parquet"
    path.write_bytes(b"")
    with pytest.raises(StoreUnusable, match=f"rm {path}"):
        ParquetStore(folder)
    path.unlink()
    assert ParquetStore(folder).attempts("e") == []
    assert os.readlink(folder / "current") == "gen-000002"


def test_results_without_a_current_generation_are_not_thrown_away(folder, store):
    store.write(result(1))
    (folder / "current").unlink()
    with pytest.raises(StoreUnusable, match=f"ln -s gen-000001 {folder}/current"):
        ParquetStore(folder)
    (folder / "current").symlink_to("gen-000001")
    assert len(ParquetStore(folder).attempts("e")) == 1


def test_a_first_opening_that_died_is_done_again(folder, store):
    (folder / "current").unlink()
    ParquetStore(folder).write(result(1))
    assert os.readlink(folder / "current") == "gen-000001"


def test_a_folder_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    for folder in (path, path / "below"):
        with pytest.raises(StoreUnusable, match=f"{path} is a file.*\n.*--home"):
            ParquetStore(folder)
    assert path.read_text() == "x"


def test_a_folder_that_cannot_be_written(tmp_path, folder, monkeypatch):
    def refuse(path: object, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(StoreUnusable, match=f"Permission denied.*\n.*ls -ld {folder}"):
        ParquetStore(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnusable, match="Permission denied"):
        ParquetStore(tmp_path / "results")


def test_readings_of_another_source_stay_through_packing(folder: Path, store: ParquetStore) -> None:
    made = result(1)
    store.write(made)
    row = {
        "attempt_id": made.attempt_id,
        "offset_ns": 5,
        "metric": "wall_power_w",
        "source": "wall meter",
        "value": 90.0,
    }
    store.add_readings("wall-1", [row])
    store.add_readings("wall-1", [row])
    for force in (False, True):
        store.pack(force=force)
        found = duckdb.sql(
            f"from read_parquet('{folder}/current/readings/*.parquet') "
            "select metric order by metric"
        ).fetchall()
        assert found == [("gpu_clock_event_bits",), ("gpu_power_w",), ("wall_power_w",)]
    with pytest.raises(StoreUnusable):
        ParquetStore(folder, read_only=True).add_readings("wall-2", [row])


def test_texts_are_added_once_to_an_attempt_packed_or_not(
    folder: Path, store: ParquetStore
) -> None:
    late, packed, own = result(1, requests=()), result(2, requests=()), result(3)
    for made in (late, packed, own):
        store.write(made)

    def add(attempt_id: str) -> bool:
        row = {**blank("answers"), "attempt_id": attempt_id, "request": 0, "answer": "gold"}
        return store.add_answers(attempt_id, [row])

    assert add(late.attempt_id)
    store.pack(force=True)
    assert add(packed.attempt_id)
    store.pack(force=True)
    assert [add(made.attempt_id) for made in (late, packed, own)] == [False, False, False]
    found = duckdb.sql(
        f"from read_parquet('{folder}/current/answers/*.parquet') select attempt_id"
    ).fetchall()
    ids = [made.attempt_id for made in (late, packed, own)]
    assert sorted(found) == sorted((each,) for each in ids)


def test_what_another_home_asked_for_is_kept_beside_the_own(
    folder: Path, store: ParquetStore
) -> None:
    """A result that waited on a node for its own home comes to another that measured the same."""
    store.write(result(1, submission="own"))
    for _ in range(2):
        store.write(result(1, submission="other"))
        store.write(result(1, submission="own"))
    assert [past.fence for past in store.attempts("e")] == [0, 0]
    store.pack(force=True)
    store.write(result(1, submission="other"))
    store.write(result(1, submission="third"))
    assert len(store.attempts("e")) == 3
    assert ids(folder) == sorted(
        [f"{result(1).attempt_id}{of}" for of in ("", "-of-other", "-of-third")]
    )
    assert ids(folder, "requests") == ids(folder)


def test_a_result_whose_own_file_is_broken_is_stored_again(
    folder: Path, store: ParquetStore
) -> None:
    store.write(result(1))
    file = folder / "current/trials" / f"{result(1).attempt_id}.parquet"
    file.write_bytes(b"broken")
    store.write(result(1))
    assert len(names(folder)) == 2
