"""Text as people copy it out of terminals and word processors, made plain. Pure."""

from __future__ import annotations

import re

LONGEST_ESCAPE = 4096

_LINE_ERASED = "\x1b[2K"
"""Ollama erases its spinner so, with the whole line."""
_TAKEN_BACK = re.compile(r"\x1b\[(\d{1,3})D(?:\x1b\[[\d;]*m)*\x1b\[K")
"""Ollama takes back the last letters so, where a word does not fit into its line."""
_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    rf"|\x1b\][^\x07\x1b]{{0,{LONGEST_ESCAPE}}}(?:\x07|\x1b\\)"  # OSC: window titles, links
    r"|\x1b[ -/]*[0-~]"
)
_BLANKS = re.compile(
    "[\t\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2060\u2066-\u2069\u3000\ufeff]"
)
"""Spaces of all widths, and marks that are not seen."""

_OPTIONS = "verbose|format|keepalive|think|hidethinking|insecure|nowordwrap|dimensions"
_DASHES = "\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
_DASHED_OPTION = re.compile(rf"(?<!\S)[-{_DASHES}]+(?=(?:{_OPTIONS})\b)")
_SMART_QUOTED = re.compile(
    "(?<!\\S)(?:[\u201c-\u201e\u00ab]\\s?([^\u201c-\u201e\u00ab\u00bb]*?)\\s?[\u201c\u201d\u00bb]"
    "|[\u2018\u201a]([^\u2018\u201a]*?)\u2019)(?=[\\s.,;:)]|$)"
)

TIME_OF_DAY = r"\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?"
PREFIX = (
    r"(?>[ |\u2502\u2503*+\u2022\u00b7\u2013\u2014-]"  # bars and bullets
    r"|>(?!>>)"  # a quotation, but not the prompt of `ollama run`
    r"|\d{1,4}[.)] "  # a numbered list
    r"|\[[^\]\n]{1,40}\] "  # [12:01:33]
    rf"|(?:\d{{4}}-\d\d-\d\d[T ])?{TIME_OF_DAY}(?:Z|[+-]\d\d:?\d\d)? "
    r"|[\w.-]{1,40}@[\w.-]{1,60}: "  # user@host:
    r"|[\w-]{1,40} +\| )"  # a container's name
)
"""Matches what mail, lists, chat programs and logs set before a line."""

_PREFIXES = re.compile(rf"{PREFIX}*+")
_OF_EVERY_LINE = tuple(
    re.compile(prefix, re.MULTILINE)
    for prefix in (
        r"^ ?> ?",
        r"^\[[^\]\n]{1,40}\] ?",
        rf"^(?:\d{{4}}-\d\d-\d\d[T ])?{TIME_OF_DAY}(?:Z|[+-]\d\d:?\d\d)? ",
        r"^[\w-]{1,40} +\| ?",
    )
)


def as_on_a_terminal(text: str) -> str:
    """Return what a terminal shows in the end: no escape sequences, backspaces carried out."""
    text = text.replace("\r\n", "\n")
    if _LINE_ERASED in text:
        text = "\n".join(line.rpartition(_LINE_ERASED)[2] for line in text.split("\n"))
    text = _TAKEN_BACK.sub(lambda match: "\b" * int(match[1]), text)
    text = _ESCAPE.sub("", text).replace("\r", "\n")
    if "\b" not in text:
        return text
    return "\n".join(map(_rubbed_out, text.split("\n")))


def evenly_spaced(text: str) -> str:
    """Return the text, letter for letter, with a plain space for every other kind of space."""
    return _BLANKS.sub(" ", text)


def typed_plainly(words: str) -> str:
    """Return a command as it was typed, without a word processor's dashes and quotation marks."""
    straight = _DASHED_OPTION.sub("--", words)
    return _SMART_QUOTED.sub(_straight_quoted, straight)


def without_prefix(line: str) -> str:
    """Return the line without what programs set before it, and without marks around it."""
    match = _PREFIXES.match(line)
    return line[match.end() if match else 0 :].strip(" *_`|\u2502\u2503")


def unquoted(text: str) -> str:
    """Return the text without the prefixes that all of its lines have."""
    for prefix in _OF_EVERY_LINE:
        lines = [line for line in text.split("\n") if line.strip()]
        while lines and all(prefix.match(line) for line in lines):
            text = prefix.sub("", text)
            lines = [line for line in text.split("\n") if line.strip()]
    return text.strip()


def _rubbed_out(line: str) -> str:
    """Carries out the backspaces of a line."""
    kept: list[str] = []
    for letter in line:
        if letter != "\b":
            kept.append(letter)
        elif kept:
            kept.pop()
    return "".join(kept)


def _straight_quoted(match: re.Match[str]) -> str:
    inside = match[1] if match[1] is not None else match[2]
    return '"{}"'.format(inside.replace("\\", "\\\\").replace('"', '\\"'))
