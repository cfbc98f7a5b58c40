"""This very machine, against what its own commands say of it."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleet.commands import SystemCommands
from fleet.fingerprint import assemble
from fleet.fingerprint.load import LoadProbe
from fleet.fingerprint.sizes import machine_gb
from fleet.model.machine import Fingerprint
from fleet.ports import Output
from fleet.readers.load import parse_proc
from fleet.wiring.real import host_probes
from tests.replayed_looks import ReplayedLooks

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux commands")


@pytest.fixture(scope="module")
def found() -> Fingerprint:
    return assemble.fingerprint(host_probes(SystemCommands()))


def printed(*argv: str) -> str:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, env=environment)
    return done.stdout.strip()


def test_uname_agrees(found: Fingerprint) -> None:
    assert found.get("kernel") == printed("uname", "-r") == platform.release()
    assert found.get("architecture") == printed("uname", "-m")
    assert found.get("os") == printed("uname", "-s").lower()


@linux
def test_lscpu_agrees(found: Fingerprint) -> None:
    fields = {
        item["field"].rstrip(":").strip(): item["data"]
        for item in json.loads(printed("lscpu", "-J"))["lscpu"]
    }
    assert found.get("cpu_threads") == int(fields["CPU(s)"]) == os.cpu_count()
    if "Model name" in fields and fields["Model name"] != "-":
        assert found.get("chip") == fields["Model name"]
    if fields.get("Core(s) per socket", "-").isdigit() and fields["Socket(s)"].isdigit():
        cores = int(fields["Core(s) per socket"]) * int(fields["Socket(s)"])
        assert found.get("cpu_cores") == cores
    hypervisor = fields.get("Hypervisor vendor")
    if hypervisor:
        assert found.get("virtual") is True
        assert found.get("hypervisor") is not None


@linux
def test_free_agrees(found: Fingerprint) -> None:
    total_kib = int(re.findall(r"\d+", printed("free", "-k"))[0])
    swap_kib = int(re.findall(r"Swap:\s+\d+\s+(\d+)", printed("free", "-k"))[0])
    assert found.get("memory_total_mb") == total_kib // 1024
    carved = found.get("integrated_gpu") is None and found.get("gpu_unified_memory") is None
    if carved:
        assert found.get("memory_gb") == machine_gb(total_kib)
    assert found.get("swap_used_mb") == pytest.approx(swap_kib / 1024, abs=64)


@linux
def test_systemd_agrees_on_guests_and_containers(found: Fingerprint) -> None:
    """`--vm` looks at the processor, `--container` at marks; none is the word for neither."""
    vm = printed("systemd-detect-virt", "--vm")
    assert found.get("virtual") is (vm != "none")
    if printed("systemd-detect-virt", "--container") != "none":
        assert found.get("container") is True


@linux
def test_the_firmware_agrees(found: Fingerprint) -> None:
    product = Path("/sys/class/dmi/id/product_name")
    if not product.exists():
        [reason] = [fact.source for fact in found.facts if fact.name == "model"]
        assert found.get("model") is None
        assert reason == "firmware: it names no product"
        return
    assert found.get("model") in (product.read_text().strip(), None)


@linux
def test_uptime_and_boot_agree_with_the_clock(found: Fingerprint) -> None:
    uptime, boot = found.get("uptime_s"), found.get("boot_unix_s")
    assert isinstance(uptime, float)
    assert isinstance(boot, int)
    assert time.time() - boot == pytest.approx(
        float(Path("/proc/uptime").read_text().split()[0]), abs=5
    )
    assert 0 < uptime <= float(Path("/proc/uptime").read_text().split()[0])


@linux
def test_two_looks_tell_the_same_machine(found: Fingerprint) -> None:
    again = assemble.fingerprint(host_probes(SystemCommands()))
    assert again.hardware_id == found.hardware_id
    assert again.software_id == found.software_id
    assert {fact.name for fact in again.facts} == {fact.name for fact in found.facts}


@linux
def test_the_processors_own_flag_agrees(found: Fingerprint) -> None:
    """Also where systemd is not there to be asked."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next((line.split() for line in lines if line.startswith("flags")), None)
    if flags is None:
        pytest.skip("this processor lists no flags")
    assert found.get("virtual") is ("hypervisor" in flags or found.get("hypervisor") is not None)


@linux
def test_a_look_computes_for_less_than_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    """What it and its commands use of the processor is the same beside whatever else runs."""
    before = os.times()
    assemble.fingerprint(host_probes(SystemCommands()))
    used_s = sum(os.times()[:4]) - sum(before[:4])
    with capsys.disabled():
        print(f"\n  a whole look at this machine: {used_s:.2f} s of the processor")
    assert used_s < 1.0


# load of others


@contextmanager
def busy() -> Iterator[int]:
    """A process that computes until it is ended; yields once it does."""
    program = "print('up', flush=True)\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


NOBODY = -1


def foreign(commands: ReplayedLooks, own: int) -> float:
    [fact] = LoadProbe(commands, own, lambda _: None).collect()
    assert isinstance(fact.value, float)
    return fact.value


@linux
def test_work_of_others_is_foreign_and_our_own_is_not() -> None:
    """One process that computes, seen as another's and as a child of fleet."""
    with busy() as pid:
        commands = ReplayedLooks()
    everybody, ours = foreign(commands, NOBODY), foreign(commands, os.getpid())
    after = parse_proc(commands.texts[1])
    assert after is not None
    assert pid in {process.pid for process in after.processes}
    assert 0 <= ours < everybody <= 100


def stat(pid: int, parent: int, name: str, ticks: int) -> str:
    return f"{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 5 1 1\n"


def test_the_core_that_an_idle_mlx_runner_holds_is_no_load_of_others() -> None:
    """Before Ollama 0.34 it spins: a child of the server (5), under the server's own name."""

    class Spinning(SystemCommands):
        looks = iter((100, 200))

        def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
            ticks = next(self.looks)
            text = f"cpu {ticks} 0 0 {ticks} 0 0 0 0\n"
            runner = stat(6, 5, "ollama", ticks)
            return Output(code=0, stdout=text + stat(5, 1, "ollama", 0) + runner, stderr="")

    [fact] = LoadProbe(Spinning(), 44, lambda _: None).collect()
    assert fact.value == 0.0


class Told(SystemCommands):
    """Fleet (44) under a starter (7) under init, and somebody else (9); all compute."""

    def __init__(self, starter: str) -> None:
        self.looks = iter(
            f"cpu {4 * ticks} 0 0 {4 * ticks} 0 0 0 0\n"
            + stat(7, 1, starter, ticks)
            + stat(9, 7 if starter == "bash" else 1, "cc1", ticks)
            + stat(44, 7, "python3", ticks)
            + stat(45, 44, "lscpu", ticks)
            for ticks in (100, 200)
        )

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        return Output(code=0, stdout=next(self.looks), stderr="")


@pytest.mark.parametrize(
    ("starter", "percent"), [("fleet", 12.5), ("raylet", 12.5), ("bash", 25.0)]
)
def test_a_coordinator_counts_as_fleet_and_a_shell_with_its_other_work_does_not(
    starter: str, percent: float
) -> None:
    """Of 400 busy ticks among 800: fleet and its child have 200, its starter 100."""
    [fact] = LoadProbe(Told(starter), 44, lambda _: None).collect()
    assert fact.value == percent
