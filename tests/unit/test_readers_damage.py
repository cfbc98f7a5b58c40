"""Every parser on cut and damaged output: no error, and no number that no machine can have.

Samples are the recorded outputs where they are there, and the small invented ones always. What a
parser returns is held against the table of quantities: fields of records as they come, single
values as the facts that are made of them.
"""

from __future__ import annotations

import dataclasses
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from fleet.fingerprint.facts import facts
from fleet.model.quantities import (
    CPUS,
    FIELDS,
    MEMORY_BYTES,
    MEMORY_MB,
    PROCESS_ID,
    Quantity,
    fact_problem,
)
from fleet.readers.nvidia_smi import Gpu
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


SINGLE = {
    "mac_boot": "boot_unix_s",
    "boot": "boot_unix_s",
    "mac_load": "load_1m",
    "load": "load_1m",
    "swap": "swap_used_mb",
    "uptime": "uptime_s",
    "cpu_limit": "container_cpu_limit",
    "memory_pressure": "foreign_cpu_percent",  # a share of the time, in per cent as well
    "memory_devices": "memory_bandwidth_gb_s",
    "udev_memory": "memory_bandwidth_gb_s",
    "heat": "cpu_temperature_c",
    "peak": "memory_bandwidth_gb_s",
}
"""Parsers that return one number, and the fact that is made of it."""
OTHERS = {
    "levels": CPUS,
    "gpus": MEMORY_MB,
    "free_bytes": MEMORY_BYTES,
    "vm_stat": MEMORY_BYTES,
    "kfd": MEMORY_MB,
    "listeners": PROCESS_ID,
    "cpu_list": Quantity(0, CPUS.most),
}
"""Numbers that have no field of their own."""
NO_QUANTITY = frozenset("count fields boot swap_mb memory_limit real whole".split())
"""How many things were found, and numbers that are judged once it is known what they count."""


def leaves(value: object, name: str) -> Iterator[tuple[str, object]]:
    """Every number in what a parser returned, with the name of the field that holds it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name), field.name)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            known = str(key).rpartition(".")[2]
            yield from leaves(each, name if name in OTHERS else known)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            yield from leaves(each, name)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, value


def judged(sample: str, result: object) -> list[str]:
    """What is outside of the table."""
    found = []
    for name, value in leaves(result, sample):
        if quantity := FIELDS.get(name) or OTHERS.get(name):
            problem = quantity.problem(value)
        elif fact := SINGLE.get(name):
            [seen] = facts("damaged", {fact: value})
            problem = "" if seen.value is None else fact_problem(fact, seen.value)
        else:
            problem = "" if name in NO_QUANTITY else "has no line in the table"
        found += [f"{name}: {problem}"] if problem else []
    return found


def failures(count: int, seed: int) -> list[tuple[str, str, str]]:
    found = []
    for name, parse, text in variants(count, seed):
        try:
            problems = judged(name, parse(text))
        except Exception as problem:  # noqa: BLE001 (any of them is what is looked for)
            problems = [repr(problem)]
        found += [(name, problem, text[:2000]) for problem in problems]
    return found


def test_some_damaged_outputs_raise_nothing_and_give_no_impossible_number() -> None:
    assert failures(SOME, seed=1) == []


@pytest.mark.faults
def test_a_hundred_thousand_damaged_outputs_raise_nothing_and_give_no_impossible_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    began = time.monotonic()
    found = failures(MANY, seed=2)
    with capsys.disabled():
        took, kinds = time.monotonic() - began, len(samples())
        print(
            f"\n  {MANY} damaged variants (seed 2) of {kinds} outputs, {took:.0f} s: "
            f"{len(found)} errors or numbers outside the table"
        )
    assert found == []


def test_the_undamaged_outputs_are_inside_the_table_and_hold_many_numbers() -> None:
    whole = [(name, parse(text)) for name, parse, text in samples()]
    assert [problem for name, result in whole for problem in judged(name, result)] == []
    assert len([leaf for name, result in whole for leaf in leaves(result, name)]) > 80


def test_the_judge_sees_what_is_outside() -> None:
    """Of a record whose numbers nobody has judged."""
    wrong = Gpu(memory_mb=-118000, celsius=float("nan"), mig_parts_mb=(1, -1))
    assert [problem.partition(":")[0] for problem in judged("x", [wrong])] == [
        *("memory_mb", "mig_parts_mb", "celsius"),
    ]
    unjudged = {"In use system memory": -1, "Device Utilization %": 4040, "new": 3}
    assert [problem.partition(":")[2] for problem in judged("x", unjudged)] == [
        " out of range: -1 bytes",
        " out of range: 4040 %",
        " has no line in the table",
    ]


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
