"""Text files of the user, of any encoding that systems write, read up to a limit."""

from __future__ import annotations

import shlex
from pathlib import Path

from fleet.errors import UserError
from fleet.units import MIB

MOST_BYTES = 64 * MIB
_LOOKED_AT = 4096
_WIDE_SHARE = 0.4
"""In UTF-16, every other byte of a letter that ASCII has is zero: a text has many of them."""


def read_text(path: Path, wanted: str, most_bytes: int = MOST_BYTES) -> str:
    """Read UTF-8, the UTF-16 that PowerShell writes, or the one-byte encoding of Windows.

    `wanted` names what the file should be. Raises UserError.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}", f"name {wanted}") from problem
    if len(content) > most_bytes:
        raise UserError(
            f"{path} is larger than {most_bytes // MIB} MiB, and is not read",
            f"name {wanted} that holds only what is to be stored",
        )
    return _decoded(path, content, wanted)


def _decoded(path: Path, content: bytes, wanted: str) -> str:
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        raise UserError(f"{path} is in UTF-32", _converted("UTF-32", path))
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    if b"\0" in content:
        encoding = _wide_encoding(content[:_LOOKED_AT])
        if encoding:
            raise UserError(
                f"{path} is in UTF-16 and does not begin with the mark of it",
                _converted(encoding, path),
            )
        raise UserError(f"{path} is a binary file", f"name {wanted}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _wide_encoding(begin: bytes) -> str:
    """Names the kind of UTF-16; empty where some of its letters are such as no text has."""
    half = max(len(begin) // 2, 1)
    for encoding, zeros in (("UTF-16LE", begin[1::2]), ("UTF-16BE", begin[::2])):
        if zeros.count(0) >= _WIDE_SHARE * half:
            text = begin[: 2 * half].decode(encoding, "replace")
            if all(letter.isprintable() or letter.isspace() for letter in text):
                return encoding
    return ""


def _converted(encoding: str, path: Path) -> str:
    name = shlex.quote(str(path))
    return f"make it UTF-8: iconv -f {encoding} -t UTF-8 {name} > utf-8.txt"
