"""A bare machine becomes one of a fleet by the two lines that the head prints.

It has a shell, curl and Debian's Python; its home is empty, and it reaches the head and a package
index, nothing else. The lines are run as they were printed.
"""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fleet.config.shipped import shipped_folder
from fleet.dispatch.wheel import build_wheel
from tests.builders_flow import JOB, experiment, machine
from tests.namespaces import REQUIRED, Host, Network, require, until
from tests.package_index import package_index, wheels

pytestmark = pytest.mark.namespaces

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
FLEET = [sys.executable, "-m", "fleet"]
INSTALL_S = 600.0
BUILT_THERE = """
import hashlib
from fleet.config.shipped import shipped_folder
from fleet.dispatch.wheel import build_wheel
wheel = build_wheel({"configs": shipped_folder("configs"), "jobs": shipped_folder("jobs")})
print(hashlib.sha256(wheel.content).hexdigest())
"""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    require()
    with Network(["head", "bare", "with-uv"]) as network:
        yield network


@pytest.fixture(scope="module")
def head(network: Network) -> Iterator[tuple[Host, tuple[str, str]]]:
    """The head, run from this checkout, and the two lines that it printed."""
    host, log = network["head"], network["head"].home / "head.log"
    process = host.popen([*FLEET, "head"], environment=PYTHON, log=log)
    until(lambda: "foreground" in log.read_text() or process.poll() is not None, 120)
    lines = log.read_text().splitlines()
    assert "foreground" in lines[-1], log.read_text()
    first = lines.index("On each new machine, a Mac or a Linux box, paste these two lines:") + 2
    yield host, (lines[first], lines[first + 1])
    assert host.run([*FLEET, "leave"], environment=PYTHON).returncode == 0
    assert process.wait(INSTALL_S) == 0


@pytest.fixture(scope="module")
def index(network: Network) -> Iterator[Mapping[str, str]]:
    try:
        packages = wheels()
    except subprocess.CalledProcessError as problem:
        why = f"the packages of a joined machine cannot be had: {problem.stderr.strip()[-300:]}"
        (pytest.fail if os.environ.get(REQUIRED) == "1" else pytest.skip)(why)
    with package_index(network.outside, packages) as environment:
        yield environment


def path_with_python(host: Host) -> str:
    """Debian's programs; where its Python is not of the head's version, one that is."""
    minor = ".".join(sys.version.split(".")[:2])
    asked = subprocess.run(["/usr/bin/python3", "--version"], capture_output=True, text=True)
    if asked.stdout.startswith(f"Python {minor}."):
        return "/usr/bin:/bin"
    own = host.home / "bin"
    own.mkdir()
    (own / f"python{minor}").symlink_to(Path(sys.base_prefix) / "bin" / f"python{minor}")
    return f"{own}:/usr/bin:/bin"


def test_a_bare_machine_joins_by_the_two_printed_lines_and_measures(
    head: tuple[Host, tuple[str, str]], network: Network, index: Mapping[str, str]
) -> None:
    host, (install, join) = head
    bare = network["bare"]
    plain = {"PATH": path_with_python(bare)}
    for program in ("uv", "fleet", "ray"):
        assert bare.run(["sh", "-c", f"command -v {program}"], environment=plain).returncode != 0

    done = bare.run(["sh", "-c", install], environment={**plain, **index}, timeout=INSTALL_S)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].endswith(f"next:  {join}")
    assert sorted(path.name for path in bare.home.iterdir()) == [".fleet", ".local"]
    built = bare.run([environment_python(bare), "-c", BUILT_THERE])
    assert built.stdout.strip() == sha256_of_the_wheel(), built.stderr

    token = host.run([*FLEET, "head", "--show-token"], environment=PYTHON).stdout.strip()
    joining, log = joined(bare, join, token, plain)
    assert "the fleet's token (on the head: fleet head --show-token" in log.read_text()
    for each in (host, bare):
        assert token not in each.run(["ps", "-A", "-ww", "-o", "args="]).stdout
    assert token not in log.read_text()

    (member,) = members(host)
    assert (member["name"], member["address"]) == ("bare", bare.ip)
    assert (member["gone_unix_s"], member["experiment"]) == (None, None)
    submit(host)
    until(lambda: members(host)[0]["experiment"] == "demo", 90)
    until(lambda: outcome(host) == "done", 120)
    rows = json.loads(host.run([*FLEET, "results", "--json"], environment=PYTHON).stdout)
    assert {row["machine"] for row in rows} == {"bare"}
    # On a busy machine a request may be left out by its flag, and its trial with it.
    assert {row["trials"] for row in rows if not row["left_out"]} <= {20}

    assert bare.run(["sh", "-c", "~/.fleet/bin/fleet leave"]).returncode == 0
    assert joining.wait(INSTALL_S) == 0
    until(lambda: members(host)[0]["gone_unix_s"], 30)


@pytest.mark.faults
def test_a_machine_with_uv_installs_by_the_same_line(
    head: tuple[Host, tuple[str, str]], network: Network, index: Mapping[str, str]
) -> None:
    _, (install, join) = head
    box = network["with-uv"]
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not installed beside this Python")
    (box.home / ".local/bin").mkdir(parents=True)
    shutil.copy(uv, box.home / ".local/bin/uv")
    environment = {"PATH": path_with_python(box), **index, "UV_PYTHON_DOWNLOADS": "never"}
    done = box.run(["sh", "-c", install], environment=environment, timeout=INSTALL_S)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].endswith(f"next:  {join}")
    asked = box.run([environment_python(box), "-m", "pip", "--version"])
    assert "No module named pip" in asked.stderr, "pip installed it, not uv"
    assert box.run(["sh", "-c", "~/.fleet/bin/fleet --version"]).returncode == 0


def environment_python(host: Host) -> str:
    return str((host.home / ".fleet/bin/fleet").readlink().with_name("python"))


def joined(
    host: Host, line: str, token: str, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[str], Path]:
    """The second line, typed at a terminal that asks for the token."""
    ours, terminal = pty.openpty()
    log = host.home.parent / "join.log"
    try:
        process = host.popen(["sh", "-c", line], environment=environment, stdin=terminal, log=log)
        until(lambda: "token: " in log.read_text() or process.poll() is not None, 60)
        os.write(ours, f"{token}\n".encode())
        until(lambda: "has joined" in log.read_text() or process.poll() is not None, 120)
    finally:
        os.close(terminal)
    assert "has joined the head" in log.read_text(), log.read_text()
    return process, log


def submit(host: Host) -> None:
    """Twenty trials on a scripted machine that runs in the bare one's worker."""
    (host.home / "jobs").mkdir()
    (host.home / "jobs/exact.yaml").write_text(json.dumps(JOB))
    content = experiment({"bare": machine()}, repeats=20, gates="record")
    (host.home / "demo.yaml").write_text(json.dumps(content))
    sent = host.run([*FLEET, "submit", "demo.yaml", "--detach"], environment=PYTHON)
    assert sent.returncode == 0, sent.stderr


def members(host: Host) -> list[dict[str, Any]]:
    done = host.run([*FLEET, "machines", "--joined", "--json"], environment=PYTHON)
    assert done.returncode == 0, done.stderr
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return answer


def outcome(host: Host) -> str | None:
    done = host.run([*FLEET, "status", "--json"], environment=PYTHON)
    statuses = json.loads(done.stdout or "[]")
    return statuses[0]["outcome"] if statuses else None


def sha256_of_the_wheel() -> str:
    folders = {"configs": shipped_folder("configs"), "jobs": shipped_folder("jobs")}
    return hashlib.sha256(build_wheel(folders).content).hexdigest()
