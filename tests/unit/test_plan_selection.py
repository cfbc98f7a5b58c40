"""Which machines a selector means, and the exact words where it means nobody."""

from __future__ import annotations

import pytest

from fleet.errors import PlanRefused, UnknownName
from fleet.model.experiment import Selector
from fleet.plan.expand import PlanOptions, expand
from fleet.plan.selection import select
from tests.builders_plan import CHAT, SWEEP, machine, request

STUDIO_96 = machine("studio-96", os="darwin", chip="Apple M3 Ultra", memory_gb=96)
STUDIO_128 = machine("studio-128", os="darwin", chip="Apple M4 Max", memory_gb=128)
BOX = machine("box-4090", os="linux", chip="AMD 7950X", gpu="NVIDIA RTX 4090", memory_gb=256)
ALL = (STUDIO_96, STUDIO_128, BOX)


def names(selector: object) -> list[str]:
    return [found.name for found in select(selector, ALL)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("all", ["studio-96", "studio-128", "box-4090"]),
        (("box-4090", "studio-96"), ["box-4090", "studio-96"]),
        (("id-box-4090", "box-4090"), ["box-4090"]),
        (Selector(), ["studio-96", "studio-128", "box-4090"]),
        (Selector(name="studio-*"), ["studio-96", "studio-128"]),
        (Selector(os="linux"), ["box-4090"]),
        (Selector(chip="m3 ultra"), ["studio-96"]),
        (Selector(gpu="rtx 4090"), ["box-4090"]),
        (Selector(memory_gb=">=128"), ["studio-128", "box-4090"]),
        (Selector(memory_gb=128), ["studio-128"]),
        (Selector(os="darwin", memory_gb="<100"), ["studio-96"]),
    ],
)
def test_a_selector_finds_its_machines(selector: object, expected: list[str]) -> None:
    assert names(selector) == expected


@pytest.mark.parametrize(
    ("selector", "machines", "words"),
    [
        (
            Selector(memory_gb=">=192"),
            ALL[:2],
            "machines.memory_gb: no machine has >= 192; the nearest is studio-128 with 128",
        ),
        (
            Selector(memory_gb=100),
            ALL,
            "machines.memory_gb: no machine has 100; the nearest is studio-96 with 96",
        ),
        (
            Selector(os="darwin", memory_gb=">=192"),
            ALL,
            "machines.memory_gb: no machine with os darwin has >= 192; "
            "the nearest is studio-128 with 128",
        ),
        (
            Selector(chip="M5 Ultra"),
            ALL,
            "machines.chip: no machine has M5 Ultra; the nearest is studio-96 with Apple M3 Ultra",
        ),
        (
            Selector(gpu="H200"),
            ALL[:2],
            "machines.gpu: no machine has H200; no machine says what its gpu is",
        ),
        (
            Selector(name="studio-69"),
            ALL,
            "machines.name: no machine has studio-69; the nearest is studio-96",
        ),
        (
            Selector(os="linux"),
            ALL[:1],
            "machines.os: no machine has linux; the nearest is studio-96 with darwin",
        ),
    ],
)
def test_nobody_matches(selector: Selector, machines: tuple[object, ...], words: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        select(selector, machines)  # type: ignore[arg-type]
    assert str(refused.value) == words


def test_a_machine_without_the_fact_matches_no_clause_on_it() -> None:
    with pytest.raises(PlanRefused):
        select(Selector(memory_gb=">=0"), [machine("bare")])


def test_unknown_names_come_all_at_once_with_the_nearest() -> None:
    with pytest.raises(UnknownName) as unknown:
        names(("studio-69", "mars", "box-4090"))
    assert str(unknown.value) == (
        "machines: no machine is named studio-69 (did you mean studio-96?), mars\n"
        "  there are box-4090, studio-128, studio-96"
    )


def test_one_name_of_two_machines_is_no_name() -> None:
    twins = [machine("mac", machine_id="m-1"), machine("mac", machine_id="m-2")]
    with pytest.raises(PlanRefused) as refused:
        select(("mac",), twins)
    assert str(refused.value) == (
        "machines: 2 machines are named mac\n"
        "  name them by id (m-1, m-2), or give each its own: fleet join --name"
    )
    assert select(("m-2",), twins) == (twins[1],)


def test_no_machine_at_all() -> None:
    with pytest.raises(PlanRefused, match="no machine is there"):
        select("all", [])


ASKED = request(
    jobs=[CHAT, SWEEP],
    models=["a:1b", "b"],
    settings={"num_batch": [8, 512], "temperature": 0.0, "num_ctx": 16384},
    repeats=2,
)


@pytest.mark.parametrize(
    "only",
    [
        {"machine": "studio-96"},
        {"machine": "id-studio-96"},
        {"model": "b:latest"},
        {"job": "chat"},
        {"num_batch": "8"},
        {"machine": "studio-96", "model": "b", "job": "sweep", "num_batch": "512"},
    ],
)
def test_only_takes_away_and_changes_no_id(only: dict[str, str]) -> None:
    whole = {trial.trial_id for trial in expand(ASKED, ALL[:2]).trials()}
    part = [trial.trial_id for trial in expand(ASKED, ALL[:2], PlanOptions(only=only)).trials()]
    assert len(part) == len(whole) // 2 ** len(only)
    assert set(part) < whole


def test_only_takes_a_real_number_in_either_spelling() -> None:
    for text in ("0", "0.0"):
        assert expand(ASKED, ALL, PlanOptions(only={"temperature": text})) == expand(ASKED, ALL)


@pytest.mark.parametrize(
    ("only", "words"),
    [
        (
            {"machine": "studio-95"},
            "--only machine=studio-95: the experiment has no such machine "
            "(did you mean studio-96?)\n  there are studio-96, studio-128, box-4090",
        ),
        (
            {"model": "c"},
            "--only model=c: the experiment has no such model\n  there are a:1b, b",
        ),
        (
            {"num_batch": "9"},
            "--only num_batch=9: the experiment has no such num_batch\n  there are 8, 512",
        ),
        (
            {"modle": "b"},
            "--only modle: no such axis (did you mean model?)\n"
            "  there are machine, model, job, num_batch, num_ctx, repeat_penalty, temperature",
        ),
    ],
)
def test_only_names_what_is_not_there(only: dict[str, str], words: str) -> None:
    with pytest.raises(UnknownName) as unknown:
        expand(ASKED, ALL, PlanOptions(only=only))
    assert str(unknown.value) == words
