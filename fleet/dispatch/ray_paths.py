"""Where Ray's things are on this machine: addresses, its program, its folders."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Literal

from fleet import installation
from fleet.dispatch.launch import Ports
from fleet.errors import FleetUnreachable, UserError

OF_THE_DASHBOARD = "aiohttp_cors"
"""A package that only `ray[default]` brings."""
LONGEST_FOLDER = 40
"""Ray's sockets lie some 60 characters deeper; a Mac allows 104."""


def split_address(text: str) -> tuple[str, int]:
    """(host, GCS port) of `host` or `host:port`; raises UserError."""
    host, colon, port = text.rpartition(":") if ":" in text else (text, "", "")
    if not host or (colon and not port.isdigit()):
        raise UserError(f"{text!r} is no address of a head", "fleet join 192.168.1.10")
    return host, int(port) if port else Ports().gcs


def own_address(towards: str = "192.0.2.1") -> str:
    """The address of this machine on the way to another; sends nothing.

    A network without a way out has none: then what the host's own name stands for.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return _own_name_stands_for()


def _own_name_stands_for() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def host_label() -> str:
    """This host's short name, in letters that Ray takes for a label."""
    short = socket.gethostname().split(".")[0][:63]
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in short)
    return kept.strip("-") or "machine"


def ray_program(extra: Literal["head", "node"]) -> str:
    """Ray's program beside this Python; raises UserError where Ray is not installed.

    `extra`: the part of fleet that brings it.
    """
    path = Path(sys.executable).parent / "ray"
    what = ""
    if not path.exists():
        what = f"several machines need Ray, which is not installed beside {sys.executable}"
    elif extra == "head" and importlib.util.find_spec(OF_THE_DASHBOARD) is None:
        what = "a head needs Ray's dashboard, and here is Ray without it, as for a joined machine"
    if what:
        raise UserError(what, installation.add_extra(extra))
    return str(path)


def fresh_folder(state: Path, role: str) -> Path:
    """An empty private folder for Ray's sessions, of a path short enough for its sockets."""
    folder = folder_of(state, role)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def folder_of(state: Path, role: str) -> Path:
    return folder_root() / f"{role}-{hashlib.sha256(str(state).encode()).hexdigest()[:6]}"


def job_log(state: Path, job: str) -> Path:
    """Where the head's Ray keeps what a job prints."""
    return folder_of(state, "h") / "session_latest" / "logs" / f"job-driver-{job}.log"


def folder_root() -> Path:
    """Below the home on a Mac, which empties /tmp of what lay untouched for three days."""
    home = Path.home() / ".fleet-ray"
    short = sys.platform == "darwin" and len(str(home)) <= LONGEST_FOLDER
    root = home if short else Path(f"/tmp/fleet-ray-{os.getuid()}")
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise UserError(f"{root} belongs to another user", f"ask them to remove {root}")
    root.chmod(0o700)
    return root


def resolved(host: str) -> str:
    try:
        return socket.gethostbyname(host)
    except OSError as problem:
        hint = "give its IP address: fleet join 192.168.1.10"
        raise FleetUnreachable(f"{host}: {problem.strerror}", hint) from None
    except UnicodeError:
        hint = "give its IP address: fleet join 192.168.1.10"
        raise FleetUnreachable(f"{host} is no name of a host", hint) from None


def require_free(ports: Ports) -> None:
    """Raises UserError: Ray itself would give up only after half a minute, and not say why."""
    if (port := busy_port(ports)) is not None:
        what = f"port {port} of this machine is in use, and Ray needs it"
        raise UserError(what, f"see who has it: {who_has(port)}")


def who_has(port: int) -> str:
    """The command that names the process at a port."""
    return f"lsof -i :{port}" if sys.platform == "darwin" else f"ss -ltnp 'sport = :{port}'"


def busy_port(ports: Ports) -> int | None:
    wanted = (*ports.single(), ports.first_worker, ports.last_worker)
    return next((port for port in wanted if not _free(port)), None)


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True
