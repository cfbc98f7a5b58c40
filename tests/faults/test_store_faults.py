"""A writer that dies, and a disk that is full, at every moment: nothing lost, nothing doubled."""

from __future__ import annotations

import errno
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fleet.errors import StoreUnusable
from fleet.model.measure import TrialResult
from fleet.store import codec, pack
from fleet.store.parquet import ParquetStore
from fleet.store.schema import TABLES
from tests.builders_store import result

REPOSITORY = Path(__file__).parents[2]

ROWS = {"readings": 2}
"""Of each attempt; of every other table one."""
FILE_SYSTEM_CALLS = ("write", "fsync", "link", "unlink", "replace", "rename", "symlink", "mkdir")


class PowerCut(BaseException):
    """Passes every handler, as the end of a process does."""


@contextmanager
def failing_call(nth: int, problem: BaseException) -> Iterator[list[int]]:
    """The nth file-system call, and for a power cut each one after it, raises."""
    made = [0]

    def wrap(honest: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            made[0] += 1
            if made[0] == nth or (made[0] > nth and isinstance(problem, PowerCut)):
                raise problem
            return honest(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in FILE_SYSTEM_CALLS:
            patch.setattr(os, name, wrap(getattr(os, name)))
        yield made


def stored(folder: Path, table: str = "trials") -> Counter[str]:
    """How many rows each attempt has there."""
    found: Counter[str] = Counter()
    for path in (folder / "current" / table).glob("*.parquet"):
        found.update(codec.read(path, table, ["attempt_id"])["attempt_id"].to_pylist())
    return found


def refusal(store: ParquetStore, written: TrialResult) -> str:
    try:
        store.write(written)
    except StoreUnusable as problem:
        return str(problem)
    return ""


def check_whole(folder: Path, acknowledged: set[str]) -> None:
    """Each attempt once and in every table; what was acknowledged is there."""
    trials = stored(folder)
    assert set(trials.values()) <= {1}
    assert acknowledged <= set(trials)
    for table in TABLES:
        rows = stored(folder, table)
        assert all(rows[attempt] == ROWS.get(table, 1) for attempt in trials), table


def steps(act: Callable[[], object]) -> int:
    """How many file-system calls it makes when nothing goes wrong."""
    with failing_call(10**9, PowerCut()) as made:
        act()
    return made[0]


ACTS: dict[str, Callable[[ParquetStore], object]] = {
    "write": lambda store: store.write(result(4)),
    "pack": lambda store: store.pack(force=True),
}


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where the system has such a place: these tests sync thousands of files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


@pytest.mark.parametrize("what", ACTS)
def test_dying_at_a_call_loses_and_doubles_nothing(quick_folder, what):
    die_at_calls(quick_folder, ACTS[what], most=40)


@pytest.mark.faults
@pytest.mark.parametrize("what", ACTS)
def test_dying_at_every_call_loses_and_doubles_nothing(quick_folder, what):
    die_at_calls(quick_folder, ACTS[what], most=10**9)


def die_at_calls(tmp_path: Path, act: Callable[[ParquetStore], object], most: int) -> None:
    base = tmp_path / "base"
    store = ParquetStore(base)
    for n in (1, 2):
        store.write(result(n))
    store.pack(force=True)
    store.write(result(3))
    counted = shutil.copytree(base, tmp_path / "count", symlinks=True)
    store = ParquetStore(counted)
    last = steps(lambda: act(store))
    assert last > 15
    for nth in random.Random(last).sample(range(1, last + 1), min(most, last)):
        folder = shutil.copytree(base, tmp_path / str(nth), symlinks=True)
        store = ParquetStore(folder)
        with failing_call(nth, PowerCut()), pytest.raises(PowerCut):
            act(store)
        store = ParquetStore(folder)
        check_whole(folder, {*stored(base)})
        assert not list(folder.glob("staging/*"))
        act(store)
        check_whole(folder, {*stored(counted)})


def test_dying_while_the_store_is_made(quick_folder):
    tmp_path = quick_folder
    last = steps(lambda: ParquetStore(tmp_path / "count", views_sql="v"))
    for nth in range(1, last + 1):
        folder = tmp_path / str(nth)
        with failing_call(nth, PowerCut()), suppress(PowerCut):
            ParquetStore(folder, views_sql="v")
        ParquetStore(folder, views_sql="v").write(result(1))
        check_whole(folder, {result(1).attempt_id})
        assert (folder / "views.sql").read_text() == "v"


def test_a_disk_full_at_any_call_leaves_nothing_half_written(tmp_path):
    folder = tmp_path / "results"
    store = ParquetStore(folder)
    store.write(result(1))
    refused = 0
    full = OSError(errno.ENOSPC, "No space left on device")
    before = sorted(folder.rglob("*"))
    for nth in range(1, 100):
        with failing_call(nth, full) as made:
            said = refusal(store, result(2))
        if said:
            refused += 1
            assert f"no space left for results in {folder}" in said
            assert f"df -h {folder}" in said
            assert sorted(folder.rglob("*")) == before
            continue
        if made[0] < nth:
            break
        store = ParquetStore(folder)
        check_whole(folder, {result(2).attempt_id})
        for table in TABLES:
            (folder / "current" / table / f"{result(2).attempt_id}.parquet").unlink()
    assert refused >= 15
    check_whole(folder, {result(1).attempt_id, result(2).attempt_id})


def test_a_disk_full_while_packing_leaves_the_old_generation_or_the_new_one(tmp_path):
    store = ParquetStore(tmp_path)
    store.write(result(1))
    before = sorted(tmp_path.rglob("*"))
    for nth in range(2, 200):  # the first makes a folder that is there already
        with (
            failing_call(nth, OSError(errno.ENOSPC, "No space left on device")),
            suppress(StoreUnusable),
        ):
            store.pack(force=True)
        check_whole(tmp_path, {result(1).attempt_id})
        if os.readlink(tmp_path / "current") != "gen-000001":
            break
        left = sorted(path.name for path in tmp_path.glob("gen-000002/*/pack*"))
        assert len(left) in (0, len(TABLES))
        assert left or sorted(tmp_path.rglob("*")) == before
    assert nth > 20
    ParquetStore(tmp_path).write(result(1))
    assert stored(tmp_path) == Counter([result(1).attempt_id])


def test_a_disk_full_while_packing_does_not_look_like_a_lost_result(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "MOST_WAITING", 2)
    store = ParquetStore(tmp_path)
    store.write(result(1))
    store.write(result(2))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "pack", full)
        store.write(result(3))
        store.write(result(4))
        with pytest.raises(StoreUnusable, match="no space left"):
            store.pack()
    check_whole(tmp_path, {result(n).attempt_id for n in (1, 2, 3, 4)})
    assert ParquetStore(tmp_path).pack() == 4


LIMITED = """
import resource, signal, sys
from pathlib import Path
from fleet.errors import StoreUnusable
from fleet.store.parquet import ParquetStore
from tests.builders_store import result

store = ParquetStore(Path(sys.argv[1]))
store.write(result(1))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    store.write(result(2))
except StoreUnusable as problem:
    print(problem)
"""


def test_a_limit_of_the_system_on_file_size(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"no space left for results in {tmp_path}" in run.stdout
    assert stored(tmp_path) == Counter([result(1).attempt_id])
    assert list((tmp_path / "staging").iterdir()) == []
    check_whole(tmp_path, {result(1).attempt_id})


WRITER = """
import sys
from pathlib import Path
from fleet.store.parquet import ParquetStore
from tests.builders_store import result

store = ParquetStore(Path(sys.argv[1]))
n = int(sys.argv[2])
while True:
    n += 1
    store.write(result(n))
    print(n, flush=True)
    if n % 7 == 0:
        store.pack(force=True)
"""


def killed_writer(folder: Path, first: int, chance: random.Random) -> list[int]:
    """The numbers a writer acknowledged before it was killed at a random moment."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(first)],
        cwd=REPOSITORY, stdout=subprocess.PIPE,
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        writer.stdout.readline()  # it is past its imports, and has written one
        end = time.monotonic() + chance.uniform(0.0, 0.4)
        while (left := end - time.monotonic()) > 0:
            select.select([], [], [], left)
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().decode().splitlines()
    assert writer.returncode == -signal.SIGKILL
    complete = [int(line) for line in rest if line]
    return [first + 1, *complete]


def kill_again_and_again(folder: Path, kills: int) -> None:
    chance = random.Random(kills)
    acknowledged: set[str] = set()
    last = 0
    for _ in range(kills):
        numbers = killed_writer(folder, last, chance)
        acknowledged |= {result(n).attempt_id for n in numbers}
        last = numbers[-1]  # the next one writes the unacknowledged attempt again
        ParquetStore(folder)
        check_whole(folder, acknowledged)
        assert len(stored(folder)) - len(acknowledged) in (0, 1)
    assert len(acknowledged) > kills


def test_a_writer_killed_at_random_moments(tmp_path):
    kill_again_and_again(tmp_path, 4)


@pytest.mark.faults
def test_a_writer_killed_at_random_moments_many_times(tmp_path):
    kill_again_and_again(tmp_path, 60)
