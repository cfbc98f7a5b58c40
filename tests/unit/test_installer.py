"""The line that a head prints for new machines: run by a shell, with what the head serves."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fleet.dispatch.installer import LOCK, SCRIPT, Installer, make_installer
from fleet.dispatch.versions import Versions, VersionsServer
from fleet.dispatch.wheel import Wheel

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "0123456789abcdef" * 4
WHEEL = Wheel("ollama_fleet-0.1.0-py3-none-any.whl", b"not unpacked in these tests")
VERSIONS = Versions(python="3.11.7", ray="2.60.0", fleet="0.1.0")
TOOLS = "sh curl sha256sum grep mktemp uname mkdir rm ln readlink ps printf cat".split()


@pytest.fixture
def server() -> Iterator[VersionsServer]:
    server = VersionsServer("127.0.0.1", 0, VERSIONS, TOKEN)
    yield server
    server.close()


def installer(server: VersionsServer, token: str = TOKEN) -> Installer:
    made = make_installer(WHEEL, ip="127.0.0.1", port=server.port, join="127.0.0.1", token=token)
    server.offer(made.line, made.files)
    return made


def served(made: Installer, name: str) -> tuple[str, bytes]:
    return next(item for item in made.files.items() if item[0].endswith(f"/{name}"))


class NewMachine:
    """A home, and a PATH with little more than a shell: no Python and no uv but these."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.bin = folder / "bin"
        self.home.mkdir()
        self.bin.mkdir()
        for name in TOOLS:
            if path := shutil.which(name):
                (self.bin / name).symlink_to(path)

    def program(self, name: str, body: str) -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.bin / name).chmod(0o755)

    def types(self, line: str) -> subprocess.CompletedProcess[str]:
        environment = {"HOME": str(self.home), "PATH": str(self.bin)}
        return subprocess.run(
            ["/bin/sh", "-c", line], env=environment, capture_output=True, text=True, timeout=600
        )

    def untouched(self) -> bool:
        return list(self.home.iterdir()) == []


@pytest.fixture
def machine(tmp_path: Path) -> NewMachine:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed, which the line needs")
    return NewMachine(tmp_path)


def test_the_line_vouches_for_the_script_and_the_script_for_the_rest(
    server: VersionsServer,
) -> None:
    made = installer(server)
    script_path, script = served(made, SCRIPT)
    url = f"http://127.0.0.1:{server.port}{script_path}"
    assert made.line.endswith(f"{url} {hashlib.sha256(script).hexdigest()}")
    for name in (WHEEL.name, LOCK):
        assert hashlib.sha256(served(made, name)[1]).hexdigest() in script.decode()
    assert not re.search(r"@[A-Z]", script.decode()), "a placeholder is left"
    assert len(made.files) == 3


def test_where_the_files_stand_follows_from_the_token_and_tells_nothing_of_it(
    server: VersionsServer,
) -> None:
    made, other = installer(server), installer(server, "f" * 64)
    assert not set(made.files) & set(other.files)
    assert made == installer(server)
    assert TOKEN not in made.line + "".join(made.files) + served(made, SCRIPT)[1].decode()


def test_a_script_that_was_changed_on_the_way_is_not_run(
    server: VersionsServer, machine: NewMachine
) -> None:
    made = installer(server)
    path, _ = served(made, SCRIPT)
    server.offer(made.line, {**made.files, path: b"touch ~/harm"})
    done = machine.types(made.line)
    assert (done.returncode, done.stdout) == (1, "nothing was installed\n")
    assert machine.untouched()


@pytest.mark.parametrize("name", [WHEEL.name, LOCK])
def test_a_file_that_was_changed_on_the_way_is_not_installed(
    name: str, server: VersionsServer, machine: NewMachine
) -> None:
    made = installer(server)
    path, _ = served(made, name)
    server.offer(made.line, {**made.files, path: b"changed"})
    machine.program("uv", "exit 0")
    done = machine.types(made.line)
    assert done.returncode == 1
    assert f"{name} is not what the head made; nothing was installed" in done.stderr
    assert machine.untouched()


def test_a_head_that_does_not_answer_leaves_the_machine_alone(machine: NewMachine) -> None:
    gone = VersionsServer("127.0.0.1", 0, VERSIONS, TOKEN)
    made = installer(gone)
    gone.close()
    done = machine.types(made.line)
    assert (done.returncode, done.stdout) == (1, "nothing was installed\n")
    assert done.stderr.startswith("curl: ")
    assert machine.untouched()


def test_a_machine_with_neither_uv_nor_the_right_python_is_told_what_to_type(
    server: VersionsServer, machine: NewMachine
) -> None:
    machine.program("python3", "exit 1")  # as one of another version answers
    done = machine.types(installer(server).line)
    assert done.returncode == 1
    minor = ".".join(sys.version.split(".")[:2])
    assert f"the head runs Python {minor}, and this machine has neither" in done.stderr
    assert "curl -LsSf https://astral.sh/uv/install.sh | sh" in done.stderr
    assert machine.untouched()


def test_debians_python_without_its_venv_is_told_the_package(
    server: VersionsServer, machine: NewMachine
) -> None:
    """Its Python is the right one, but cannot import ensurepip."""
    machine.program("python3", "test $# = 2 && exec " + f'{sys.executable} "$@"')
    done = machine.types(installer(server).line)
    assert done.returncode == 1
    minor = ".".join(sys.version.split(".")[:2])
    assert f"sudo apt install python{minor}-venv" in done.stderr
    assert machine.untouched()


@pytest.mark.parametrize("system", ["Darwin x86_64", "FreeBSD amd64", "Linux armv7l"])
def test_a_machine_that_ray_is_not_made_for_is_told_so(
    system: str, server: VersionsServer, machine: NewMachine
) -> None:
    kind, processor = system.split()
    machine.program("uname", f'case "$1" in -s) echo {kind};; -m) echo {processor};; esac')
    done = machine.types(installer(server).line)
    assert done.returncode == 1
    assert f"Ray has no package for {kind} on {processor}" in done.stderr
    assert machine.untouched()


def uv(machine: NewMachine, *, fails: str = "") -> Mapping[str, Path]:
    """A stand-in for uv that makes an environment with a program `fleet` in it."""
    fails = f'case "$*" in *{fails}*) exit 2;; esac' if fails else ""
    machine.program(
        "uv",
        f"""
{fails}
case "$*" in
"venv "*) for folder; do :; done; mkdir -p "$folder/bin" ;;
*--no-deps*)
    while [ "$1" != --python ]; do shift; done
    printf '#!/bin/sh\\necho 0.1.0\\n' > "${{2%/python}}/fleet"; chmod +x "${{2%/python}}/fleet" ;;
esac
""",
    )
    (machine.bin / "chmod").symlink_to(shutil.which("chmod") or "")
    home = machine.home
    return {"own": home / ".fleet/bin/fleet", "link": home / ".local/bin/fleet"}


def test_an_install_ends_with_the_second_line_to_paste(
    server: VersionsServer, machine: NewMachine
) -> None:
    paths = uv(machine)
    done = machine.types(installer(server).line)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("next:  ~/.fleet/bin/fleet join 127.0.0.1\n")
    assert paths["own"].is_file()
    assert paths["link"].resolve() == paths["own"].resolve()


def test_another_program_called_fleet_is_not_replaced(
    server: VersionsServer, machine: NewMachine
) -> None:
    paths = uv(machine)
    paths["link"].parent.mkdir(parents=True)
    paths["link"].symlink_to("/usr/bin/another-fleet")
    done = machine.types(installer(server).line)
    assert done.returncode == 0, done.stderr
    assert paths["link"].readlink() == Path("/usr/bin/another-fleet")
    assert paths["own"].is_file()


def test_an_install_that_fails_leaves_the_earlier_one(
    server: VersionsServer, machine: NewMachine
) -> None:
    earlier = machine.home / ".fleet/env-earlier/bin"
    earlier.mkdir(parents=True)
    program = machine.home / ".fleet/bin/fleet"
    program.parent.mkdir()
    program.symlink_to(earlier / "fleet")
    uv(machine, fails="--require-hashes")
    done = machine.types(installer(server).line)
    assert done.returncode == 1
    assert "fleet was not installed: the lines above say why" in done.stderr
    assert program.readlink() == earlier / "fleet"
    assert [path.name for path in (machine.home / ".fleet").glob("env-*")] == ["env-earlier"]


def test_an_earlier_install_goes_unless_something_runs_from_it(
    server: VersionsServer, machine: NewMachine
) -> None:
    for name in ("env-old", "env-used"):
        (machine.home / ".fleet" / name / "bin").mkdir(parents=True)
    used = machine.home / ".fleet/env-used/bin/sleep"
    used.symlink_to(shutil.which("sleep") or "")
    uv(machine)
    with subprocess.Popen([str(used), "60"]) as running:
        done = machine.types(installer(server).line)
        running.kill()
    assert done.returncode == 0, done.stderr
    assert not (machine.home / ".fleet/env-old").exists()
    assert used.parent.is_dir()


def test_the_lock_file_is_what_the_lock_says() -> None:
    """Made anew by `make lock`."""
    uv_program = Path(sys.executable).with_name("uv")
    if not uv_program.exists():
        pytest.skip("uv is not installed beside this Python")
    recipe = re.search(
        r"^\t\$\(BIN\)/uv (export .*) -o (\S+)$", (ROOT / "Makefile").read_text(), re.M
    )
    assert recipe
    exported = subprocess.run(
        [str(uv_program), *recipe[1].split()], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (ROOT / recipe[2]).read_text() == exported.stdout
    assert "ray==2.60.0 " in exported.stdout
