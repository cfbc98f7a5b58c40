"""The token of a fleet: fleet makes it, keeps it private, and never passes it in argv."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path

from fleet import durable
from fleet.errors import UserError

TOKEN_BYTES = 32
TOKEN_HINT = "on the head: fleet head --show-token    prints it; here: fleet join HEAD"


def token_file(state: Path) -> Path:
    """Return the file of the token."""
    return state / "token"


def make_token(state: Path) -> Path:
    """Return the token's file, made at the first call; raise UserError if others can read it."""
    path = token_file(state)
    if not path.exists():
        save_token(state, secrets.token_hex(TOKEN_BYTES))
    read_token(path)
    return path


def save_token(state: Path, text: str) -> Path:
    """Keep a pasted token in a file that is private from its first byte on."""
    token = text.strip()
    if not token.isascii() or not token.isprintable() or len(token) < 16 or " " in token:
        raise UserError("this is not the token of a fleet", "on the head: fleet head --show-token")
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = token_file(state)
    durable.replace(path, token.encode(), mode=0o600)
    return path


def read_token(path: Path) -> str:
    """Return the token; raise UserError if there is none, or if others can read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text().strip()
    except OSError as problem:
        what = f"{path}: no fleet token here ({problem.strerror})"
        raise UserError(what, TOKEN_HINT) from None
    if stat.S_IMODE(mode) & 0o077:
        raise UserError(f"{path}: others on this machine can read the token", f"chmod 600 {path}")
    if not text:
        raise UserError(f"{path}: the token file is empty", f"rm {path}")
    return text
