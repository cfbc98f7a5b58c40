"""Which settings may be planned on which machine, before any is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fleet.model.mac_gpu_limit import expected_gpu_limit_mb
from fleet.model.machine import Machine
from fleet.plan.refusals.limits import (
    default_limit_mb,
    limit_changes,
    limit_conflicts,
    refused_settings,
)
from tests.builders_plan import machine

ALLOWED = {"wired-limit": "", "engine-environment": ""}


def mac(
    memory_gb: int = 96,
    macos: str = "15.6",
    setting_mb: int = 0,
    settable: Mapping[str, str] = ALLOWED,
    **changes: Any,
) -> Machine:
    """As found: a limit set by hand is effective, the default is only told where none is set."""
    expected = expected_gpu_limit_mb(memory_gb, macos)
    plain: dict[str, Any] = {
        "os": "darwin",
        "memory_gb": memory_gb,
        "wired_limit_mb": setting_mb,
        "gpu_limit_mb": setting_mb or None,
        "gpu_limit_expected_mb": expected,
    }
    found = machine(f"studio-{memory_gb}", **{**plain, **changes})
    return replace(found, settable=settable)


def box(**refusals: str) -> Machine:
    settable = {name.replace("_", "-"): why for name, why in refusals.items()}
    return replace(machine("box", os="linux"), settable=settable)


def asked(*limits: object, **settings: object) -> list[dict[str, Any]]:
    return [{"num_ctx": 8192, "wired_limit_mb": limit, **settings} for limit in limits]


@pytest.mark.parametrize(
    ("memory_gb", "macos", "words"),
    [
        (96, "15.6", "adds 8.0 GiB to its default of 73728 MiB"),
        (96, "26.2", "adds 2.2 GiB to its default of 79626 MiB"),
        (128, "15.6", "takes 16.0 GiB of its default of 98304 MiB"),
        (128, "26.2", "takes 27.5 GiB of its default of 110100 MiB"),
        (36, "15.6", "its default is not known"),
    ],
)
def test_a_limit_is_told_by_what_it_changes(memory_gb: int, macos: str, words: str) -> None:
    [_, change] = limit_changes(asked("default", 81_920), [mac(memory_gb, macos)])
    assert words in str(change)


def test_the_default_is_what_the_machine_says_while_nothing_is_set() -> None:
    assert default_limit_mb(mac(gpu_limit_mb=75_000)) == 75_000
    assert default_limit_mb(mac(setting_mb=90_000)) == 73_728
    assert default_limit_mb(mac(36)) is None


@pytest.mark.parametrize(
    ("machine", "limit", "words"),
    [
        (mac(), 90_113, "90113 on studio-96 (96 GB, default 73728 MiB) is above 90112: 8 GiB"),
        (mac(), 24_575, "below a quarter of its memory"),
        (mac(), 73_727, "lowers its limit by 1 MiB; below_default: allow"),
        (mac(128), 81_920, "81920 on studio-128 (128 GB, default 98304 MiB) lowers its"),
        (mac(36), 20_000, "default not known) may be below it; below_default: allow"),
        (mac(settable={}), "default", "cannot be set on studio-96"),
        (mac(settable={"wired-limit": "not allowed here"}), 80_000, "studio-96: not allowed here"),
        (box(wired_limit="only a Mac has one"), 80_000, "cannot be set on box: only a Mac"),
        (mac(gpu_limit_expected_mb=None), 80_000, "may be below it"),
    ],
)  # fmt: skip
def test_what_is_refused_says_the_machine_and_the_bound(
    machine: Machine, limit: object, words: str
) -> None:
    [refusal] = refused_settings(asked(limit), [machine])
    assert words in refusal


@pytest.mark.parametrize(
    ("machine", "limit", "below_default"),
    [
        (mac(), 73_728, "refuse"),
        (mac(), 90_112, "refuse"),
        (mac(128), 81_920, "allow"),
        (mac(36), 20_000, "allow"),
        (mac(), "default", "refuse"),
        (mac(), 0, "refuse"),
        (box(), "default", "refuse"),
    ],
)
def test_what_is_within_the_bounds(machine: Machine, limit: object, below_default: str) -> None:
    assert [*refused_settings(asked(limit), [machine], below_default)] == []


def test_memory_that_is_not_told_bounds_nothing() -> None:
    silent = replace(machine("silent", os="darwin"), settable=ALLOWED)
    [refusal] = refused_settings(asked(80_000), [silent])
    assert "does not say how much memory" in refusal


@pytest.mark.parametrize("context", [None, "auto"])
def test_two_limits_need_one_context(context: object) -> None:
    [refusal] = refused_settings(asked("default", 81_920, num_ctx=context), [mac()])
    assert "Ollama chooses the context by the limit" in refusal


def test_the_engine_s_environment_needs_an_engine_of_ones_own() -> None:
    combinations = [{"num_ctx": 8192, "kv_cache_type": kind} for kind in ("f16", "q8_0")]
    here, there = mac(), box(engine_environment="no program `ollama`")
    [refusal] = refused_settings(combinations, [here, there])
    assert refusal == "settings.kv_cache_type cannot be set on box: no program `ollama`"


def test_a_limit_that_is_not_in_effect_is_warned_of_unless_the_trials_bring_their_own() -> None:
    words = "set to 90000 MiB, Ollama works with 73728 MiB"
    conflicting, plain = mac(setting_mb=90_000, gpu_limit_conflict=words), mac(128)
    machines = [conflicting, plain]
    expected = [("studio-96", f"wired limit {words}; restart Ollama to measure under it")]
    assert list(limit_conflicts([{"num_ctx": 1024}], machines)) == expected
    own = {"wired_limit_mb": 81_920}
    assert list(limit_conflicts([{"num_ctx": 1024}, own], machines)) == expected
    assert list(limit_conflicts([own], machines)) == []
