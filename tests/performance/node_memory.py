"""What a machine that has joined a fleet gives up while nothing is measured on it.

Memory: the proportional set size (shared pages divided among those who share them) of `fleet join`
and of everything in its Ray session. CPU: what the same processes ran, of one core. First with no
experiment anywhere, then with the actor of an experiment that waits for work. The head's processes
and this program's are on the same machine here, and are not counted. Linux only: read from /proc.

A machine joins with the extra `node`, which is plain Ray; where `ray[default]` is installed, as for
the head, its agents load more. So a module that only `ray[default]` has is hidden from the node.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import _table
from _table import Table

from fleet.dispatch.access import token_file
from fleet.dispatch.actors import RayDispatcher
from fleet.dispatch.nodes import NodeSlot
from fleet.dispatch.practice import Practice, practice_cluster
from fleet.dispatch.processes import in_session
from fleet.dispatch.records import NODE, Record, read_record
from fleet.model.experiment import OllamaEngine
from fleet.units import NS_PER_S
from fleet.wiring import WorkerSpec
from fleet.worker import NodeWorker

FLEET = str(Path(sys.executable).with_name("fleet"))
NAME = f"performance-{os.getpid()}"
JOIN_S = 90.0
ONLY_OF_RAY_DEFAULT = "aiohttp_cors.py"
"""Ray takes itself for plain where this cannot be imported."""
SAMPLES = 6
MB = 10**6
NOBODY = OllamaEngine(kind="ollama", host="127.0.0.1:9")
"""Its worker has all of the client in memory, and no engine to speak to."""


def fill(table: Table, quick: bool) -> None:
    if not Path("/proc/self/schedstat").exists():
        raise SystemExit("this program reads Linux's /proc, with the scheduler's counts in it")
    settle_s, watch_s = (5.0, 10.0) if quick else (15.0, 30.0)
    with tempfile.TemporaryDirectory(prefix="fleet-performance-") as folder:
        state = Path(folder)
        _table.note("a head, and a machine that joins it ...")
        with practice_cluster([], state) as head, joined(head, state) as pids:
            idle = watched(pids, settle_s, watch_s)
            _table.note("an actor on it ...")
            with closing(dispatcher(head, state)) as carrier:
                if len(carrier.machines()) != 1:
                    raise RuntimeError(f"no machine answers: {carrier.absent}")
                waiting = watched(pids, settle_s, watch_s)
    for what, (memory, core), limits in (
        ("no experiment", idle, (250, 1)),
        ("an idle actor", waiting, (320, 1.5)),
    ):
        table.at_most(f"joined worker, {what}: memory (PSS)", limits[0], memory, "MB")
        table.at_most(
            f"joined worker, {what}: CPU over {watch_s:.0f} s", limits[1], core, "% of a core"
        )


@contextmanager
def joined(head: Practice, state: Path) -> Iterator[Callable[[], list[int]]]:
    """`fleet join` in a process of its own; yields what lists all its processes."""
    hidden = state / "hidden"
    hidden.mkdir()
    (hidden / ONLY_OF_RAY_DEFAULT).write_text("raise ModuleNotFoundError('hidden')\n")
    world = {**os.environ, "FLEET_STATE": str(state), "PYTHONPATH": str(hidden)}
    argv = [FLEET, "join", head.address, "--name", NAME, "--ip", head.record.own_ip]
    with (state / "join.log").open("wb") as log:
        process = subprocess.Popen(
            argv, env=world, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        node = _wait_for_record(process, state)
        yield lambda: [process.pid, *(pid for leader in node.ray for pid in in_session(leader.pid))]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait_for_record(process: subprocess.Popen[bytes], state: Path) -> Record:
    until = time.monotonic() + JOIN_S
    while (record := read_record(state / NODE)) is None:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"fleet join: {(state / 'join.log').read_text()}")
        time.sleep(0.1)
    return record


def dispatcher(head: Practice, state: Path) -> RayDispatcher:
    def spec_of(slot: NodeSlot) -> WorkerSpec:
        return WorkerSpec(engine=NOBODY, name=slot.name, state=str(state / "home"))

    dispatcher = RayDispatcher(
        NodeWorker,
        spec_of,
        address=head.address,
        token_file=token_file(state),
        experiment="performance",
        log=state / "ray.log",
    )
    dispatcher.borrow(dispatcher.joined())
    return dispatcher


def watched(pids: Callable[[], list[int]], settle_s: float, watch_s: float) -> tuple[float, float]:
    """Median memory in MB, and CPU in per cent of one core."""
    time.sleep(settle_s)
    before_ns, began = ran_ns(pids()), time.monotonic()
    memory = []
    for _ in range(SAMPLES):
        time.sleep(watch_s / SAMPLES)
        memory.append(sum(map(pss_bytes, pids())) / MB)
    took_ns = (time.monotonic() - began) * NS_PER_S
    shares = {
        pid: 100 * (ran - before_ns.get(pid, 0)) / took_ns for pid, ran in ran_ns(pids()).items()
    }
    for pid, share in shares.items():
        _table.note(f"  {pss_bytes(pid) / MB:6.1f} MB {share:6.2f} %  {name_of(pid)}")
    return statistics.median(memory), sum(shares.values())


def pss_bytes(pid: int) -> int:
    """0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def ran_ns(pids: list[int]) -> dict[int, int]:
    """By process: how long its threads have run, as the scheduler counts it."""
    return {
        pid: sum(_thread_ran_ns(path) for path in Path(f"/proc/{pid}/task").glob("*"))
        for pid in pids
    }


def _thread_ran_ns(task: Path) -> int:
    try:
        return int((task / "schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def name_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    return words[:100]


if __name__ == "__main__":
    _table.run("A machine that has joined", fill, __doc__)
