"""What is read out of one row of trials, and what a side is called."""

from __future__ import annotations

import pytest

from fleet.compare.side_names import in_period, is_called
from fleet.query.variant import Variant, variant_of


def variant(environment: str | None, **row: object) -> Variant:
    return variant_of({"engine_environment": environment, "settings": "", **row})


@pytest.mark.parametrize(
    ("environment", "flash", "cache", "left"),
    [
        ("{}", "not set", "not set", ""),
        ('{"OLLAMA_FLASH_ATTENTION":"1"}', "1", "not set", ""),
        ('{"OLLAMA_KV_CACHE_TYPE":"q8_0","B":"2","A":"1"}', "not set", "q8_0", "A=1 B=2"),
        ("no json", None, None, "no json"),
        ("[]", "not set", "not set", ""),
        (None, None, None, None),
    ],
)
def test_the_engines_environment_is_taken_apart(
    environment: str | None, flash: str | None, cache: str | None, left: str | None
) -> None:
    found = variant(environment)
    assert found.text("flash_attention") == flash
    assert found.text("kv_cache_type") == cache
    assert found.text("engine_environment") == left


def test_what_the_experiment_set_was_in_force_whatever_was_found() -> None:
    asked = "num_ctx=8192 flash_attention=True num_batch=512"
    found = variant('{"OLLAMA_FLASH_ATTENTION":"0"}', settings=asked)
    assert found.text("flash_attention") == "1"
    assert found.text("kv_cache_type") == "not set"
    assert found.asked_for("kv_cache_type") is None
    assert found.asked_for("num_batch") == found.text("num_batch") == "512"


@pytest.mark.parametrize(
    ("day", "period", "inside"),
    [
        ("2026-11-20", "2026-11-20", True),
        ("2026-11-20", "2026-11", True),
        ("2026-12-01", "2026-11", False),
        ("2026-11-01", "2026-11-01..2026-11-03", True),
        ("2026-11-03", "2026-11-01..2026-11-03", True),
        ("2026-11-04", "2026-11-01..2026-11-03", False),
        ("2026-10-31", "2026-11-01..2026-11-03", False),
        ("2026-11-30", "2026-10..2026-11", True),
        ("2026-12-01", "2026-10..2026-11", False),
    ],
)
def test_a_period_holds_its_first_and_its_last_day(day: str, period: str, inside: bool) -> None:
    assert in_period(day, period) is inside


@pytest.mark.parametrize(
    ("axis", "value", "name", "called"),
    [
        ("memory_gb", "96", "96", True),
        ("memory_gb", "96", "096.0", True),
        ("machine", "machine-3f9a", "machine-3f", True),
        ("machine", "machine-3f9a", "mach", False),
        ("imported", "True", "true", True),
        ("chip", None, "not known", True),
        ("chip", None, "M3", False),
    ],
)
def test_a_side_answers_to_its_value(axis: str, value: str | None, name: str, called: bool) -> None:
    assert is_called(variant(None, axis_value=value, machine="studio"), axis, name) is called
