"""The figures of `ollama run --verbose` in a text: each label with its value, read or not. Pure.

total duration:       1m2.2s
load duration:        59.6ms
prompt eval count:    68 token(s)
prompt eval cached:   12 token(s)      since Ollama 0.33.3, where a part was cached
prompt eval duration: 286.7ms
prompt eval rate:     195.33 tokens/s
eval count:           512 token(s)
eval duration:        1m1.8s
eval rate:            8.28 tokens/s
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace

from fleet.store.transcript_text import PREFIX
from fleet.store.written_numbers import (
    DURATION,
    LONGEST,
    NUMBER,
    Number,
    counts,
    durations_ns,
    numbers,
)
from fleet.units import NS_PER_S

TOTAL, CACHED = "total duration", "prompt eval cached"
LABELS = {
    TOTAL: "ns",
    "load duration": "ns",
    "prompt eval count": "tokens",
    CACHED: "tokens",
    "prompt eval duration": "ns",
    "prompt eval rate": "tokens/s",
    "eval count": "tokens",
    "eval duration": "ns",
    "eval rate": "tokens/s",
}
"""In the order in which Ollama prints them."""
ORDER = {label: place for place, label in enumerate(LABELS)}

MOST_TOKENS = 100_000_000
MOST_NS = 30 * 86_400 * NS_PER_S
MOST = {"tokens": MOST_TOKENS, "ns": MOST_NS, "tokens/s": MOST_TOKENS}
"""No answer has more tokens, or takes longer: a larger number was not printed by Ollama."""
MOST_IN_WORDS = {
    "tokens": "100,000,000 tokens",
    "ns": "30 days",
    "tokens/s": "100,000,000 tokens/s",
}
WORDS = {"tokens": "number of tokens", "ns": "duration", "tokens/s": "rate"}

TABLE = "a row of a table"

_LABEL = (
    r"(?P<label>(?:total|load)[ -]+duration"
    r"|prompt(?:[ -]+| *\n[ >|]*)eval[ -]+(?:cached|count|duration|rate)"  # a narrow terminal's
    r"|eval[ -]+(?:count|duration|rate))"
)
_MARKS = r"(?:[ *_`'\"]|</?[a-z]{1,10}>)*+"
_FIGURE = re.compile(
    rf"(?<!\w)(?<!\w-){_LABEL}{_MARKS}[:\uff1a=](?:{_MARKS}[|\u2502]?{_MARKS})", re.IGNORECASE
)
_WITHOUT_COLON = re.compile(
    rf"^{PREFIX}*+{_MARKS}{_LABEL}{_MARKS}(?P<cell>[|\u2502]|(?=[\d~\u2248<>+-]))",
    re.IGNORECASE | re.MULTILINE,
)
_SIGN = r"(?P<minus>[\u2212\u2013-]?) ?"
_VALUES = {
    "ns": re.compile(rf"{_SIGN}(?P<value>{DURATION})(?!\w|\.\d)"),
    "tokens": re.compile(
        rf"{_SIGN}(?P<value>{NUMBER})"
        r"(?: *(?:token\(s\)|tokens?|toks?)(?![\w/])| *+(?![\w/%]|\.\d))",
        re.IGNORECASE,
    ),
    "tokens/s": re.compile(
        rf"{_SIGN}(?P<value>{NUMBER})"
        r"(?: *(?:(?:token\(s\)|tokens?|toks?|t) ?(?:/|per) ?s(?:ec(?:onds?)?)?|tps)(?!\w)"
        r"| *+(?![\w/%]|\.\d))",
        re.IGNORECASE,
    ),
}
_BELOW = re.compile(r"(?: *\n){1,3}[ >*_`|\u2502-]*(?=\d)")
_MEANINGS = {"ns": durations_ns, "tokens": counts, "tokens/s": numbers}
_LONGEST_VALUE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A label and the value that stands behind it."""

    label: str
    line: int
    """From 1."""
    begin: int
    end: int
    """Where in the text its label begins, and where its line ends."""
    text: str
    """As it was printed."""
    meanings: tuple[Number, ...] = ()
    """Nanoseconds, tokens or tokens per second: one, of a rate each that it may be; none where it
    was not read."""
    why: str = ""
    """Why it was not read."""
    impossible: str = ""
    """Why Ollama cannot have printed it, though it is a number."""
    remark: str = ""
    """What stands behind it on its line and holds a digit."""
    in_a_table: bool = False

    @property
    def value(self) -> int | None:
        return round(self.meanings[0].value) if self.meanings else None


def figures_in(text: str) -> list[Figure]:
    """Return each label of Ollama's that has a value, or a place for one, in the text's order."""
    newlines = [match.start() for match in re.finditer("\n", text)]
    matches = sorted(
        [*_FIGURE.finditer(text), *_WITHOUT_COLON.finditer(text)],
        key=lambda match: match.start("label"),
    )
    limits = [*(match.start("label") for match in matches), len(text)][1:]
    return [
        _figure(text, match, limit, 1 + bisect_right(newlines, match.start("label")))
        for match, limit in zip(matches, limits, strict=True)
    ]


def _figure(text: str, match: re.Match[str], limit: int, line: int) -> Figure:
    begin, end = match.start("label"), _end(text, match, limit)
    figure = Figure(
        label=" ".join(re.findall("[a-z]+", match["label"].lower())),
        line=line,
        begin=begin,
        end=end,
        text=" ".join(text[begin : min(end, begin + _LONGEST_VALUE)].split()),
    )
    if "cell" not in match.re.groupindex:
        return _with_value(figure, text[match.end() : min(end, match.end() + _LONGEST_VALUE)])
    if not match["cell"]:
        return replace(figure, why="no colon stands behind its name")
    return replace(figure, why=TABLE, in_a_table=True)


def _end(text: str, match: re.Match[str], limit: int) -> int:
    """Return the end of its line, or of the one below where its value stands there by itself."""
    end = _end_of_line(text, match.end(), limit)
    if text[match.end() : end].strip():
        return end
    below = _BELOW.match(text, end, limit)
    return end if below is None else _end_of_line(text, below.end(), limit)


def _end_of_line(text: str, at: int, limit: int) -> int:
    end = text.find("\n", at, limit)
    return limit if end < 0 else end


def _with_value(figure: Figure, behind: str) -> Figure:
    kind = LABELS[figure.label]
    match = _VALUES[kind].match(behind.strip(" *_`\n>|\u2502"))
    if match is None:
        return replace(figure, why=f"no {WORDS[kind]} stands behind it")
    rest = match.string[match.end() :].strip(" *_`'\".,;|\u2502")
    if any(letter.isdigit() for letter in rest):
        if "|" in rest or "|" in match.string[match.end() :].strip()[:1]:
            return replace(figure, why=TABLE, in_a_table=True)
        figure = replace(figure, remark=rest)
    return _with_meaning(figure, match["value"].strip(), bool(match["minus"]))


def _with_meaning(figure: Figure, value: str, below_zero: bool) -> Figure:
    kind = LABELS[figure.label]
    meanings = _MEANINGS[kind](value)
    if below_zero and any(letter in "123456789" for letter in value):
        return replace(figure, impossible="it is below zero")
    if len(value) > LONGEST or any(number.value > MOST[kind] for number in meanings):
        return replace(figure, impossible=f"it is more than {MOST_IN_WORDS[kind]}")
    if not meanings:
        return replace(figure, why=f"{value} is no {WORDS[kind]}")
    if len(meanings) > 1 and kind != "tokens/s":
        return replace(figure, why="its comma may part thousands or a fraction")
    return replace(figure, meanings=meanings)
