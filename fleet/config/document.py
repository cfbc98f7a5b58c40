"""One YAML file as plain values, with the place of each value in the file.

The file is only composed into nodes, never constructed: nodes know their places, and no tag can
make anything but text, numbers, true, false, nothing, lists and mappings.
"""

from __future__ import annotations

import codecs
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLWarning
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from fleet.errors import ConfigError, Mistake

LARGEST_FILE_BYTES = 2**20
LARGEST_PROMPT_BYTES = 4 * 2**20
SAMPLE_BYTES = 4096
AS_UTF8 = "save it as UTF-8"
DEEPEST = 50
MOST_VALUES = 300_000
"""A bound, since aliases of aliases can unfold a short file into more than any memory holds."""

Steps = tuple[str | int, ...]
"""Keys and list positions from the root of a file to a value in it."""

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    _TAG + name
    for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "map", "seq", "merge")
)


def failure(file: str, what: str, line: int = 1, column: int = 1) -> ConfigError:
    """Return the error for the one mistake that ends the reading of a file."""
    return ConfigError((Mistake(file, line, column, "", what),))


@dataclass(frozen=True, slots=True)
class Document:
    """One file, read into plain values."""

    file: str
    """The path as shown to the user."""
    content: dict[str, Any]
    root: MappingNode
    mistakes: tuple[Mistake, ...]
    """Mistakes such as doubled keys; the rest of the file can still be checked."""

    def steps(self, loc: Sequence[str | int]) -> Steps:
        """Return the parts of a validator's location that the file has, without names of types."""
        node, steps = self.root, list[str | int]()
        for step in loc:
            child = _child(node, step)
            if child is not None:
                node = child[1]
                steps.append(step)
        return tuple(steps)

    def place(self, steps: Steps, *, of_key: bool = False) -> tuple[int, int]:
        """Return line and column of a value, or of its key; of its parent if it is missing."""
        key, node = None, self.root
        for step in steps:
            child = _child(node, step)
            if child is None:
                break
            key, node = child
        nothing_there = isinstance(node, ScalarNode) and node.value == "" and not node.style
        return _place(key if key is not None and (of_key or nothing_there) else node)

    def written(self, steps: Steps) -> str | None:
        """Return a number as the file has it, `3.10` and not 3.1; None for anything else."""
        node: Any = self.root
        for step in steps:
            child = _child(node, step)
            if child is None:
                return None
            node = child[1]
        is_text = not isinstance(node, ScalarNode) or str(node.tag) == _TAG + "str"
        return None if is_text else str(node.value) or None

    def mistake(self, steps: Steps, what: str, *, of_key: bool = False) -> Mistake:
        """Return a mistake with its place in the file."""
        line, column = self.place(steps, of_key=of_key)
        return Mistake(self.file, line, column, show_steps(steps), what)


def show_steps(steps: Steps) -> str:
    """Return `settings.num_ctx`, without list positions, which line and column show."""
    return ".".join(step for step in steps if isinstance(step, str))


def _child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """Return the nodes of key and value; the key of a list item is None."""
    if isinstance(node, MappingNode):
        return next((pair for pair in node.value if pair[0].value == step), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def read_document(path: Path, file: str) -> Document:
    """Read a file; raises ConfigError for a mistake after which nothing can be checked."""
    return document_of(read_text(path, file), file)


def document_of(text: str, file: str) -> Document:
    """Return the document of a text that was read already; raises ConfigError."""
    root = _compose(text, file)
    if root is None:
        raise failure(file, "the file is empty")
    if not isinstance(root, MappingNode):
        raise failure(file, "must be a mapping: lines like `name: value`", *_place(root))
    walk = _Walk(file)
    content = walk.mapping(root, (), 0)
    return Document(file, content, root, tuple(walk.mistakes))


def read_text(path: Path, file: str, largest_bytes: int = LARGEST_FILE_BYTES) -> str:
    """Return the UTF-8 text of a file without its byte order mark; raises ConfigError."""
    try:
        if not (path.is_dir() or path.is_file()) and path.exists():  # a pipe may block for ever
            raise failure(file, "is not a regular file")
        with path.open("rb") as stream:
            data = stream.read(largest_bytes + 1)
    except FileNotFoundError:
        raise failure(file, "no such file") from None
    except IsADirectoryError:
        raise failure(file, "is a folder, not a file") from None
    except PermissionError:
        raise failure(file, "this user may not read it") from None
    except (OSError, ValueError) as problem:
        raise failure(file, f"cannot be read: {_reason(problem)}") from None
    if len(data) > largest_bytes:
        raise failure(file, f"is larger than {largest_bytes >> 20} MiB")
    if b"\0" in data:
        raise failure(file, _not_utf8(data))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = data[: problem.start].decode("utf-8-sig")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        what = f"is not UTF-8 text (byte 0x{data[problem.start]:02x})"
        raise failure(file, what, line, column) from None


def _not_utf8(data: bytes) -> str:
    """Name the encoding of text with NUL bytes, which plain letters in UTF-8 never have."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return f"is UTF-32 text: {AS_UTF8}"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _every_second_is_nul(data):
        return f"is UTF-16 text, as PowerShell and Notepad write it: {AS_UTF8}"
    return "is a binary file, not text"


def _every_second_is_nul(data: bytes) -> bool:
    """Recognize UTF-16 without a byte order mark by its Latin letters."""
    halves = (data[at:SAMPLE_BYTES:2] for at in (0, 1))
    fewer, more = sorted(half.count(0) / max(len(half), 1) for half in halves)
    return len(data) >= 4 and fewer == 0 and more > 0.5


def _reason(problem: Exception) -> str:
    return (problem.strerror if isinstance(problem, OSError) else None) or str(problem)


def _compose(text: str, file: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", YAMLWarning)
            return YAML(typ="safe", pure=True).compose(text)
    except YAMLWarning as problem:
        raise failure(file, _first_line(problem)) from None
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        what = _syntax(problem.problem or problem.context or "")
        raise failure(file, what, mark.line + 1, mark.column + 1) from None
    except ReaderError as problem:
        before = text[: problem.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        what = f"character U+{ord(text[problem.position]):04X} cannot stand in YAML"
        raise failure(file, what, line, column) from None
    except RecursionError:
        raise failure(file, f"is nested more than {DEEPEST} deep") from None
    except (YAMLError, ValueError, LookupError, TypeError, AttributeError, AssertionError):
        # the parser trips over some of the texts that it should refuse
        raise failure(file, "is not valid YAML") from None


def _first_line(problem: Warning) -> str:
    """Return the first line of the reason; the places that follow are for a terminal."""
    return str(problem).strip().splitlines()[0]


def _syntax(problem: str) -> str:
    if r"character '\t'" in problem:
        return "not valid YAML: a tab stands where YAML wants spaces"
    if "but found another document" in problem:
        return "not valid YAML here: a second document begins; one file holds one"
    return f"not valid YAML: {problem}"


@dataclass(slots=True)
class _Walk:
    """Turns nodes into plain values and collects their mistakes."""

    file: str
    mistakes: list[Mistake] = field(default_factory=list)
    values: int = 0

    def value(self, node: Any, steps: Steps, depth: int) -> Any:
        self.values += 1
        if depth > DEEPEST:
            raise failure(self.file, f"is nested more than {DEEPEST} deep", *_place(node))
        if self.values > MOST_VALUES:
            raise failure(self.file, f"unfolds to more than {MOST_VALUES} values", *_place(node))
        if str(node.tag) not in _PLAIN_TAGS:
            self.wrong(node, steps, f"tags such as {_short(str(node.tag))} are not read here")
        if isinstance(node, MappingNode):
            return self.mapping(node, steps, depth)
        if isinstance(node, SequenceNode):
            items = enumerate(node.value)
            return [self.value(item, (*steps, at), depth + 1) for at, item in items]
        return _plain(str(node.tag), self.text(node, steps))

    def mapping(self, node: MappingNode, steps: Steps, depth: int) -> dict[str, Any]:
        content: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, item in self.keys(node, steps):
            name = self.text(key, steps)
            if name in content:
                what = f"stands here a second time, first in line {lines[name]}"
                self.wrong(key, (*steps, name), what)
                continue
            lines[name] = key.start_mark.line + 1
            content[name] = self.value(item, (*steps, name), depth + 1)
        return content

    def keys(self, node: MappingNode, steps: Steps) -> Iterator[tuple[ScalarNode, Any]]:
        for key, item in node.value:
            if not isinstance(key, ScalarNode):
                self.wrong(key, steps, "a key must be one word, not a list or a mapping")
            elif str(key.tag) == _TAG + "merge":
                self.wrong(key, steps, "merge keys (<<) are not read here: write the keys out")
            else:
                yield key, item

    def text(self, node: ScalarNode, steps: Steps) -> str:
        """Escapes such as "\\ud800" make text that can be neither stored nor sent."""
        text = str(node.value)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.wrong(node, steps, "holds half a character (a lone surrogate)")
            return text.encode(errors="replace").decode()
        return text

    def wrong(self, node: Any, steps: Steps, what: str) -> None:
        self.mistakes.append(Mistake(self.file, *_place(node), show_steps(steps), what))


def _place(node: Any) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _short(tag: str) -> str:
    return tag.replace(_TAG, "!!")


def _plain(tag: str, text: str) -> str | int | float | bool | None:
    """Keep an infinite number as text, so that the message can show it as written."""
    kind = tag.removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("true", "yes", "on", "y")
    if kind in ("int", "float"):
        number = _number(kind, text.replace("_", ""))
        return text if number is None else number
    return text


def _number(kind: str, text: str) -> int | float | None:
    digits = text.lstrip("+-")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2].lower(), 10)
    try:
        if kind == "int":
            return int(text, base)
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
