"""The token that opens a fleet: made, kept private, read; never in argv."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path

from fleet import durable
from fleet.errors import UserError

TOKEN_BYTES = 32
TOKEN_MEND = "on the head, this prints it: fleet head --show-token    here: fleet join HEAD"


def token_file(state: Path) -> Path:
    return state / "token"


def make_token(state: Path) -> Path:
    """The fleet's token file, made at the first call; raises UserError where others can read it."""
    path = token_file(state)
    if not path.exists():
        save_token(state, secrets.token_hex(TOKEN_BYTES))
    read_token(path)
    return path


def save_token(state: Path, text: str) -> Path:
    """Keep a token that was pasted; it is private from the first byte on."""
    token = text.strip()
    if not token.isascii() or not token.isprintable() or len(token) < 16 or " " in token:
        raise UserError("this is no token of a fleet", "on the head: fleet head --show-token")
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = token_file(state)
    durable.replace(path, token.encode(), mode=0o600)
    return path


def read_token(path: Path) -> str:
    """Raises UserError where there is none, or where others can read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text().strip()
    except OSError as problem:
        what = f"{path}: no token of a fleet here ({problem.strerror})"
        raise UserError(what, TOKEN_MEND) from None
    if stat.S_IMODE(mode) & 0o077:
        raise UserError(f"{path}: others on this machine can read the token", f"chmod 600 {path}")
    if not text:
        raise UserError(f"{path}: the token file is empty", f"rm {path}")
    return text
