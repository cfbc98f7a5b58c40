"""Every parser on cut and damaged output: no error, whatever the tool or the disk did to it.

Samples are the recorded outputs where they are there, and the small invented ones always.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.test_readers import PARSERS
from tests.unit.test_readers_captures import CAPTURES, READERS

Parser = Callable[[str], object]

SOME, MANY = 4_000, 100_000
LARGEST_SAMPLE = 24_000
JUNK = (
    *("", "\0", "\n", " ", '"', "'", "{", "}", "[", "]", "<", ">", ":", "=", ",", "|", "²", "−1"),
    *("9" * 400, "-1", "1e999", "nan", "null", "true", "N/A", "[N/A]", "\ud800", "�", "\r\n"),
    *("\x1b[0m", "<dict>", "</dict>", "<key>", "<integer>x</integer>", "<date>x</date>", "0x"),
    *("9" * 5000, "[" * 3000, '{"lscpu":' * 300, "&amp;", "&", "<!--", "\t\t", "Infinity"),
)


def samples() -> list[tuple[str, Parser, str]]:
    invented = [(name, *parser_and_sample) for name, parser_and_sample in PARSERS.items()]
    recorded = [
        (path.name, read, path.read_text()[:LARGEST_SAMPLE])
        for path in (sorted(CAPTURES.iterdir()) if CAPTURES.is_dir() else [])
        for pattern, read in READERS.items()
        if re.fullmatch(pattern, path.name)
    ]
    return invented + recorded


def cut(text: str, chance: random.Random) -> str:
    return text[: chance.randrange(len(text) + 1)]


def without_a_part(text: str, chance: random.Random) -> str:
    start = chance.randrange(len(text) + 1)
    return text[:start] + text[start + chance.randrange(1, 80) :]


def with_junk(text: str, chance: random.Random) -> str:
    start = chance.randrange(len(text) + 1)
    return text[:start] + chance.choice(JUNK) + text[start + chance.choice((0, 1, 1, 9)) :]


def with_another_number(text: str, chance: random.Random) -> str:
    places = [*re.finditer(r"\d+", text)]
    if not places:
        return text
    place = chance.choice(places)
    return text[: place.start()] + chance.choice(JUNK) + text[place.end() :]


def lines_out_of_order(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    chance.shuffle(lines)
    return "".join(lines[: chance.randrange(1, len(lines) + 2)])


def doubled(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + text[chance.randrange(len(text) + 1) :]


def flipped(text: str, chance: random.Random) -> str:
    """Bits of the bytes, decoded as the runner of commands decodes."""
    data = bytearray(text.encode(errors="replace"))
    for _ in range(chance.choice((1, 1, 3, 20))):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data.decode(errors="replace")


DAMAGES = (cut, without_a_part, with_junk, with_another_number, lines_out_of_order, doubled)


def variants(count: int, seed: int) -> Iterator[tuple[str, Parser, str]]:
    chance, known = random.Random(seed), samples()
    for number in range(count):
        name, parse, text = known[number % len(known)]
        for _ in range(chance.choice((1, 1, 2, 4))):
            text = chance.choice((*DAMAGES, flipped))(text, chance)
        yield name, parse, text


def failures(count: int, seed: int) -> list[tuple[str, str, str]]:
    found = []
    for name, parse, text in variants(count, seed):
        try:
            parse(text)
        except Exception as problem:  # noqa: BLE001 (any of them is what is looked for)
            found.append((name, repr(problem), text[:2000]))
    return found


def test_some_damaged_outputs_raise_nothing() -> None:
    assert failures(SOME, seed=1) == []


@pytest.mark.faults
def test_a_hundred_thousand_damaged_outputs_raise_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    began = time.monotonic()
    found = failures(MANY, seed=2)
    with capsys.disabled():
        took, kinds = time.monotonic() - began, len(samples())
        print(f"\n  {MANY} damaged variants of {kinds} outputs, {took:.0f} s: {len(found)} errors")
    assert found == []


def test_the_damage_is_real() -> None:
    """Most variants differ from their sample, and a parser that trusts its text would raise."""
    whole = {text for _, _, text in samples()}
    changed = [text for _, _, text in variants(1000, seed=3) if text not in whole]
    assert len(changed) > 900

    def trusting(text: str) -> float:
        return float(text.partition("12.5")[0] or "12.5")

    chance = random.Random(4)
    raised = 0
    for _ in range(200):
        try:
            trusting(flipped(cut("12.5 W", chance), chance))
        except ValueError:
            raised += 1
    assert raised > 50


def test_the_recorded_outputs_take_part() -> None:
    if not Path(CAPTURES).is_dir():
        pytest.skip(f"no recorded outputs: {CAPTURES} is absent")
    assert len(samples()) > len(PARSERS) + 60
