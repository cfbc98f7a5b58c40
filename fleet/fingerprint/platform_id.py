"""What the platform calls itself: constant, readable without root, never stored raw."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path

from fleet import durable
from fleet.errors import StoreUnusable
from fleet.ports import Commands
from fleet.readers.ioreg import parse_platform_uuid

EXPERT_DEVICE = ("ioreg", "-rd1", "-c", "IOPlatformExpertDevice")
LINUX_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_HEX = re.compile(r"[0-9a-f]{32}", re.ASCII)


def _random_hex() -> str:
    return secrets.token_hex(16)


def platform_id(
    commands: Commands, state: Path, random_hex: Callable[[], str] = _random_hex
) -> tuple[str, str]:
    """(id, source): the platform's own id, else a random one kept in the state folder.

    Raises StoreUnusable where that one cannot be kept, since the machine would be another one
    at each start.
    """
    if uuid := _hex(parse_platform_uuid(commands.run(EXPERT_DEVICE).stdout)):
        return uuid, "IOPlatformUUID"
    for path in LINUX_FILES:
        if text := _hex(commands.read(path)):
            return text, path
    kept = state / "machine-id"
    return _kept_id(kept, random_hex), str(kept)


def _hex(text: str | None) -> str | None:
    """32 hex digits; None for `uninitialized`, all zeros and everything else."""
    plain = (text or "").strip().lower().replace("-", "")
    return plain if _HEX.fullmatch(plain) and plain.strip("0") else None


def _kept_id(path: Path, random_hex: Callable[[], str]) -> str:
    try:
        if not path.exists():
            _create(path, random_hex())
        kept = _hex(path.read_text(errors="replace"))
    except OSError as problem:
        raise StoreUnusable(
            f"{path}: the id of this machine cannot be kept ({problem.strerror})",
            "make the folder writable, or choose another with --home or FLEET_HOME",
        ) from problem
    if kept is None:
        raise StoreUnusable(
            f"{path}: holds no machine id",
            "restore it, or delete it: this machine then counts as a new one",
        )
    return kept


def _create(path: Path, content: str) -> None:
    """Whole or not at all, and never over an id that another process has just made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.create(path, f"{content}\n".encode())
