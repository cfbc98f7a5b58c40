"""Stores measured once and read by many tests, which change only copies of them."""

from __future__ import annotations

import pytest

from tests.builders_flow import REQUESTS_PER_TRIAL, Done, Fleet, experiment, machine, model


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fleet, Done]:
    """Two scripted machines, the second half as fast, two repeats; and what submit said."""
    fleet = Fleet(tmp_path_factory.mktemp("first"))
    half = {"tiny": model(prefill_tokens_per_s=10_000, decode_tokens_per_s=1_000)}
    machines = {"alpha": machine(), "beta": machine(memory_gb=128, models=half)}
    return fleet, fleet("submit", fleet.write(experiment(machines)))


@pytest.fixture(scope="session")
def measured(first: tuple[Fleet, Done]) -> Fleet:
    return first[0]


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A third machine that measured the same by itself; its last answer came out too short."""
    fleet = Fleet(tmp_path_factory.mktemp("apart"))
    last = {"kind": "short_answer", "request": 3 * REQUESTS_PER_TRIAL - 1}
    fleet("submit", fleet.write(experiment({"gamma": machine(last)}, repeats=3)))
    return fleet
