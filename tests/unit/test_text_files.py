"""Files of the user that are text, and files that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import UserError
from fleet.store.text_files import read_text
from fleet.units import show_text

TEXT = "total duration: 712µs – “ä”\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_of_every_system_is_read(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "f"
    file.write_bytes(TEXT.encode(encoding))
    assert read_text(file, "a text file") == TEXT


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        (TEXT.encode("utf-16-le"), "is in UTF-16 and does not begin", "iconv -f UTF-16LE -t UTF-8"),
        (TEXT.encode("utf-16-be"), "is in UTF-16 and does not begin", "iconv -f UTF-16BE -t UTF-8"),
        (TEXT.encode("utf-32"), "is in UTF-32", "iconv -f UTF-32"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a binary file", "name a text file"),
        (b"PK\x03\x04\x14\0\x06\0", "is a binary file", "name a text file"),
        (b"x" * 201, "is larger than", "name a text file that holds only"),
    ],
)
def test_what_is_no_text_is_told_as_what_it_is(
    tmp_path: Path, content: bytes, what: str, hint: str
) -> None:
    file = tmp_path / "f"
    file.write_bytes(content)
    with pytest.raises(UserError) as problem:
        read_text(file, "a text file", most_bytes=200)
    assert str(file) in problem.value.what
    assert what in problem.value.what
    assert hint in problem.value.hint


def test_a_file_without_end_is_not_read_to_it() -> None:
    with pytest.raises(UserError, match="is larger than 1 MiB"):
        read_text(Path("/dev/zero"), "a text file", most_bytes=2**20)


@pytest.mark.parametrize("name", [".", "none"])
def test_what_cannot_be_opened_says_why(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot be read: "):
        read_text(tmp_path / name, "a text file")


def test_text_from_outside_is_one_harmless_line() -> None:
    assert show_text("a\n \t b\x1b[31m\u202e") == "a b\\x1b[31m\\u202e"
    assert show_text("x" * 50, 10) == "xxxxxxx..."
    assert show_text("grün – 5 µs") == "grün – 5 µs"
