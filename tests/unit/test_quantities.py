"""The table of quantities: each number that a machine tells has a line, and nothing passes it."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import math
import pkgutil
import re
import typing
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fleet.readers
import fleet.telemetry
from fleet.commands import SystemCommands
from fleet.fingerprint.amd import AmdProbe
from fleet.fingerprint.apple import AppleProbe
from fleet.fingerprint.facts import MOST_REASON, facts, not_understood
from fleet.fingerprint.host import HostProbe
from fleet.fingerprint.nvidia import NvidiaProbe, gpu_facts
from fleet.model.machine import Fact, FactValue
from fleet.model.plain_text import STEERING, one_line
from fleet.model.quantities import (
    FACTS,
    FIELDS,
    READINGS,
    WHOLES,
    WORDS,
    Quantity,
    fact_problem,
    reading_problem,
)
from fleet.ports import Sample
from fleet.readers.amd import AmdGpu
from fleet.readers.bounds import Record, bounded
from fleet.readers.nvidia_smi import Gpu
from fleet.readers.proc import MemInfo
from fleet.telemetry.sampler import possible
from fleet.wiring.real import host_probes
from tests.builders_commands import Recorded
from tests.unit.test_fingerprint_engine import engine, look, mac
from tests.unit.test_fingerprint_engine import log as ollama_log

OWN_CHECKS = {"wall_meter", "gguf", "safetensors"}
"""Parsers of files: they check what they read by themselves, and name the place."""
ABSURD = (math.nan, math.inf, -math.inf, -118000, 2**80, -(2**80), 1e300, True, "96", 10**5000)


def reader_modules() -> Iterator[typing.Any]:
    for module in pkgutil.iter_modules(fleet.readers.__path__):
        if module.name not in OWN_CHECKS:
            yield importlib.import_module(f"fleet.readers.{module.name}")


def numeric_fields() -> set[tuple[str, str]]:
    found = set()
    for module in reader_modules():
        for kind in vars(module).values():
            if not (dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__):
                continue
            for name, hint in typing.get_type_hints(kind).items():
                words = set(re.findall(r"\w+", str(hint))) | {getattr(hint, "__name__", "")}
                if words & {"int", "float"} and "dict" not in words:
                    found.add((kind.__name__, name))
    return found


def test_every_number_that_a_parser_returns_has_a_line() -> None:
    fields = numeric_fields()
    assert len(fields) > 60
    assert {(kind, name) for kind, name in fields if name not in FIELDS} == set()


def told() -> set[str]:
    """Names of the facts that all probes tell, of machines that tell nothing and of this one."""
    nothing = Recorded()
    looked = {fact.name for probe in host_probes(SystemCommands()) for fact in probe.collect()}
    for probe in (AppleProbe, HostProbe, NvidiaProbe, AmdProbe):
        looked |= {fact.name for fact in probe(nothing).collect()} | probe.tells
    uname = Recorded({"uname -s": "Darwin\n"})
    looked |= {fact.name for fact in HostProbe(uname).collect()}
    looked |= set(look(mac(ollama_log()), engine(), "darwin"))
    return looked


def test_every_fact_has_a_line() -> None:
    """A new fact fails here until it has one: as a number, or as a word."""
    looked = told()
    assert len(looked) > 50
    assert looked - (FACTS.keys() | WORDS) == set()
    assert not FACTS.keys() & WORDS


UNIT = re.compile(r"[a-z0-9]\w*_(?:w|joules|percent|mb|c|mhz|rpm|s|bits|level|1m)")


def metrics() -> set[str]:
    """By the sources: a metric is a word in quotes that ends in its unit."""
    words: set[str] = set()
    for module in pkgutil.iter_modules(fleet.telemetry.__path__):
        path = Path(fleet.telemetry.__path__[0]) / f"{module.name}.py"
        nodes = ast.walk(ast.parse(path.read_text()))
        words |= {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    return {word for word in words if UNIT.fullmatch(word)} - FIELDS.keys()


def test_every_metric_has_a_line() -> None:
    assert len(metrics()) > 20
    assert metrics() - READINGS.keys() == set()


@pytest.mark.parametrize("table", [FACTS, READINGS, FIELDS])
def test_no_line_lets_an_absurd_value_pass(table: dict[str, Quantity]) -> None:
    for name, quantity in table.items():
        assert quantity.least < quantity.most, name
        assert math.isfinite(quantity.most), name
        for value in ABSURD:
            problem = quantity.problem(value)
            assert problem, (name, value)
            assert len(problem) < 120, problem


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("swap_used_mb", -118000, "out of range: -118000 MiB"),
        ("gpu_cores", 4040, "out of range: 4040 GPU cores"),
        ("gpu_cores", 100, ""),
        ("gpu_power_limit_w", math.inf, "out of range: inf W"),
        ("gpu_temperature_c", math.nan, "out of range: nan C"),
        ("memory_gb", True, "not a number: True"),
        ("memory_gb", "9\x1b[31m6", "not a number: '9\\x1b[31m6'"),
        ("memory_gb", 2**70, "out of range: about 2^71 GB"),
        ("memory_gb", 512, ""),
        ("chip", "Apple M9", ""),
        ("somebodys_own", math.inf, "not a number: inf"),
        ("somebodys_own", 3, ""),
    ],
)
def test_a_fact_that_cannot_be_says_why(name: str, value: FactValue, reason: str) -> None:
    assert fact_problem(name, value) == reason
    [fact] = facts("a tool", {name: value})
    assert (fact.value, fact.source, fact.state) == (
        (None, f"a tool: {reason}", "unknown") if reason else (value, "a tool", "known")
    )


@given(
    st.sampled_from(sorted(FACTS)),
    st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none()),
)
def test_no_value_outside_the_table_becomes_a_fact(name: str, value: FactValue) -> None:
    [fact] = facts("tool", {name: value})
    if fact.value is not None:
        assert FACTS[name].least <= float(fact.value) <= FACTS[name].most
    else:
        assert fact.source.startswith("tool: ")
        assert len(fact.source) <= MOST_REASON + len("tool: ")
        assert fact.source.isprintable()


@given(st.text())
def test_words_from_outside_are_one_bounded_line_that_steers_no_terminal(text: str) -> None:
    [fact] = facts("tool", {"chip": text})
    shown = (str(fact.value), one_line(text, 20), not_understood(text))
    assert not {unicodedata.category(letter) for word in shown for letter in word} & STEERING
    assert len(shown[1]) <= 20
    assert len(shown[2]) <= 80


@given(st.sampled_from(sorted(READINGS)), st.floats())
def test_no_reading_outside_the_table_is_kept(metric: str, value: float) -> None:
    sample = possible(Sample(metric=metric, value=value, source="tool"))
    quantity = READINGS[metric]
    if sample.value is None:
        assert sample.source == f"tool: {reading_problem(metric, value)}"
        assert not quantity.least <= value <= quantity.most
    else:
        assert quantity.least <= sample.value <= quantity.most


def test_a_metric_of_somebodys_own_need_only_be_finite() -> None:
    kept = [possible(Sample(metric="x_widgets", value=v, source="t")).value for v in (-5.0, 1e30)]
    assert kept == [-5.0, 1e30]
    assert possible(Sample(metric="x_widgets", value=math.nan, source="t")).value is None


def test_a_number_outside_is_dropped_before_it_is_added_up() -> None:
    """-118000 and 142000 MiB make 24000, which looks right."""
    gpus = [bounded(Gpu(memory_mb=size)) for size in (-118000, 142000)]
    assert [gpu.memory_mb for gpu in gpus] == [None, 142000]
    assert gpus[0].outside == {"memory_mb": "out of range: -118000 MiB"}
    parts = bounded(Gpu(mig_parts_mb=(19968, -1)))
    assert (parts.mig_parts_mb, list(parts.outside)) == ((19968,), ["mig_parts_mb"])


def test_a_part_is_not_larger_than_its_whole() -> None:
    memory = bounded(MemInfo(total_kib=1000, available_kib=2000, swap_total_kib=5, swap_free_kib=5))
    assert (memory.available_kib, memory.swap_free_kib) == (None, 5)
    assert memory.outside == {"available_kib": "out of range: 2000, and total_kib is 1000"}
    rounded_apart = MemInfo(total_kib=1000, available_kib=1005, swap_total_kib=0, swap_free_kib=0)
    assert bounded(rounded_apart) == rounded_apart
    assert {*WHOLES, *WHOLES.values()} <= FIELDS.keys()


def test_a_record_inside_the_table_is_the_same_object() -> None:
    gpu = AmdGpu(vram_mb=8192, celsius=-40.0, busy_percent=100.0)
    assert bounded(gpu) is gpu
    assert bounded(Record()) == Record()


def test_the_reason_of_a_fact_is_that_of_its_field() -> None:
    absurd = bounded(Gpu(name="NVIDIA X", memory_mb=24564, power_limit_w=1e9))
    sources = {fact.name: fact.source for fact in gpu_facts([absurd], 64)}
    assert sources["gpu_power_limit_w"] == "nvidia-smi: out of range: 1e+09 W"
    assert sources["gpu_ecc"] == "nvidia-smi: not told"


def test_the_three_states_of_a_fact() -> None:
    known, absent, unread = (
        Fact(name="x", value=value, source="s", absent=absent)
        for value, absent in ((0, False), (None, True), (None, False))
    )
    assert [fact.state for fact in (known, absent, unread)] == ["known", "absent", "unknown"]
    [none] = facts("s", {"gpu_mig": None}, absent="it cannot be cut")
    assert (none.state, none.source) == ("absent", "s: it cannot be cut")
    [lost] = facts("s", {"gpu_mig": None}, "no answer", absent="it cannot be cut")
    assert (lost.state, lost.source) == ("unknown", "s: no answer")
