"""What was typed before the figures: `ollama run MODEL ...`, and lines at its `>>>`. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from fleet.store.transcript_text import PREFIX, typed_plainly


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An `ollama run MODEL ...`, and where its words end."""

    model: str
    prompt: str | None
    """The one on the command line; None where it has none."""
    sure: bool
    """It has `--verbose`, so it was typed at a shell, and is no word of a sentence."""
    mentioned: bool = False
    """It stands between backticks, as a sentence quotes it."""
    fed: bool = False
    """Its prompt comes through a pipe or from a file, so no `>>>` follows."""
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedLine:
    """What was typed at `>>>`, and where that ends."""

    text: str
    end: int


LONGEST_PROMPT = 20_000
"""Letters behind a command or a `>>>` in which the end of what was typed is looked for."""
_LONGEST_BEFORE = 500
_MOST_QUOTATIONS = 20
_MOST_COMMANDS = 5
"""On one line."""

_TYPED = re.compile(rf"{PREFIX}*+>>> ?(?P<typed>[^\n]*)")
_RUN = re.compile(r"\bollama(?:\.exe)? +run +(?=\S)")
_PLACEHOLDER = re.compile(r"^(Send a message \(/\? for help\)|Use \"\"\" to end multi-line input)")
_QUOTED = re.compile(r'\s*"""(.*?)"""', re.DOTALL)
_WITH_VALUE = frozenset({"--format", "--keepalive", "--dimensions"})
_MODEL = re.compile(r"[A-Za-z0-9][\w./@-]*(?::[\w.-]+)?")
_SHELL_PROMPT = re.compile(r"(^|[^\w\s.,'\"])\s*$|[➜❯]|^\s*(\w+=\S*\s+|time\s+|sudo\s+|docker\s)")
_FOLDER = re.compile(r"[\w.:~-]*(?:[/\\][\w.:~-]*)*[/\\]$")
_COMPLETE = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^'"\\]""", re.DOTALL)


def typed_line(text: str, at: int, limit: int) -> TypedLine | None:
    '''Return what the line at `at` holds behind `>>>`, with all lines up to a closing """.

    None where nothing was typed there.
    '''
    match = _TYPED.match(text, at, _end_of_line(text, at, limit))
    if match is None:
        return None
    typed = _PLACEHOLDER.sub("", match["typed"]).strip()
    if not typed:
        return None
    if not typed.startswith('"""'):
        return TypedLine(text=typed, end=match.end())
    whole = _QUOTED.match(text, match.start("typed"), min(limit, match.end() + LONGEST_PROMPT))
    if whole is None:
        return TypedLine(text=typed.removeprefix('"""'), end=match.end())
    lines = [line.removeprefix("... ") for line in whole[1].strip().splitlines()]
    return TypedLine(text="\n".join(lines).strip(), end=whole.end())


def command(text: str, at: int, limit: int) -> Command | None:
    """Return the first command on the line at `at`."""
    end = _end_of_line(text, at, limit)
    for _ in range(_MOST_COMMANDS):
        match = _RUN.search(text, at, end)
        if match is None:
            return None
        before = _FOLDER.sub("", text[max(at, match.start() - _LONGEST_BEFORE) : match.start()])
        rest = text[match.end() : min(limit, match.end() + LONGEST_PROMPT)]
        if (typed := _command(before, rest, match.end())) is not None:
            return typed
        at = match.end()
    return None


def _command(before: str, rest: str, at: int) -> Command | None:
    if before.endswith("`"):
        rest = rest.partition("`")[0]
    words, length, fed = _words(rest)
    verbose, plain, place = False, [], 0
    while place < len(words):
        word = words[place]
        verbose = verbose or word in ("--verbose", "--verbose=true")
        if not word.startswith("-"):
            plain.append(word)
        place += 2 if word in _WITH_VALUE else 1
    model = plain[0].rstrip(".,;:)") if plain else ""
    if not _MODEL.fullmatch(model):
        return None
    if not verbose and not _SHELL_PROMPT.search(before):
        return None  # a sentence that speaks of `ollama run`
    prompt = " ".join(plain[1:]).strip(" “”") or None
    fed = fed or before.rstrip().endswith("|")
    return Command(
        model=model,
        prompt=prompt,
        sure=verbose,
        mentioned=before.endswith("`"),
        fed=fed,
        end=at + length,
    )


def _words(rest: str) -> tuple[list[str], int, bool]:
    """Return the shell's words up to a pipe or redirection, their length, and if a file is read.

    A quoted prompt may go over many lines.
    """
    line_end = end = _after_continuations(rest)
    for _ in range(_MOST_QUOTATIONS):
        line = typed_plainly(rest[:end].replace("\\\n", " "))
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
        lexer.whitespace_split, lexer.commenters = True, ""
        try:
            words = list(lexer)
            return _up_to_pipe(words), end, "<" in words or "<<<" in words
        except ValueError:  # a quotation is open at the end of the line
            quote = _COMPLETE.sub("", line)[:1]
            closing = rest.find(quote, end)
            if not quote or closing < 0:
                break
            end = _end_of_line(rest, closing, len(rest))
    words = rest[:line_end].split()
    return [w for n, w in enumerate(words) if n == 0 or w.startswith("--")], line_end, False


def _after_continuations(rest: str) -> int:
    """Return the end of the line, or of the last of the lines that a backslash joins."""
    end = _end_of_line(rest, 0, len(rest))
    while rest[:end].endswith("\\") and end < len(rest):
        end = _end_of_line(rest, end + 1, len(rest))
    return end


def _up_to_pipe(words: list[str]) -> list[str]:
    stop = next((n for n, word in enumerate(words) if word and set(word) <= set("|;&<>")), None)
    if stop is None:
        return words
    redirected = words[stop].startswith(">") and words[:stop][-1:] in (["1"], ["2"])
    return words[: stop - 1] if redirected else words[:stop]


def _end_of_line(text: str, at: int, limit: int) -> int:
    end = text.find("\n", at, limit)
    return limit if end < 0 else end
