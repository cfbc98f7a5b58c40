"""fleet noise on simulated machines: the floor stated is the noise that the machines drew."""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.engines.simulated.machine import drawn_factor
from tests.builders_flow import Done, Fleet, experiment, machine

NOISE = {"calm": 0.5, "wild": 4.0}
BLOCKS = 6


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Done]]:
    fleet = Fleet(tmp_path_factory.mktemp("noise"))
    machines = {name: machine(noise_percent=percent) for name, percent in NOISE.items()}
    fleet.write(experiment(machines))
    words = ("noise", "--config", "configs/demo.yaml", "--repeats", str(BLOCKS), "--json")
    yield fleet, fleet(*words, code=None)
    fleet.clear()


def drawn(fleet: Fleet, name: str) -> float:
    """Standard deviation of the logs of what the machine really drew."""
    rows = fleet.rows(f"select attempt_id from trials where machine = '{name}' and outcome = 'ok'")
    seed = zlib.crc32(name.encode())
    factors = [drawn_factor(NOISE[name], seed, row["attempt_id"], 0) for row in rows]
    return statistics.stdev(map(math.log, factors))


def test_the_floor_stated_is_the_noise_that_was_drawn(told: tuple[Fleet, Done]) -> None:
    fleet, done = told
    report = done.json()
    assert [(e["machine"], e["metric"]) for e in report["lines"]] == [
        (name, metric) for name in NOISE for metric in ("prefill", "decode")
    ]
    for line in report["lines"]:
        assert line["trials"] == 2 * BLOCKS
        assert line["sd_log"] == pytest.approx(drawn(fleet, line["machine"]), rel=0.02)
        assert line["low"] < line["sd_log"] < line["high"]
        assert line["ratio_low"] < line["ratio"] < line["ratio_high"]
    assert done.code == (0 if all(line["trusted"] for line in report["lines"]) else 1)


def test_its_rows_say_what_they_are(told: tuple[Fleet, Done]) -> None:
    fleet, _ = told
    rows = fleet.rows("select role, side, count(*) as n from trials group by all order by all")
    assert [tuple(row.values()) for row in rows] == [
        ("noise", "a", 2 * BLOCKS),
        ("noise", "b", 2 * BLOCKS),
    ]


def test_no_two_machines_draw_the_same(told: tuple[Fleet, Done]) -> None:
    """All servers begin to count their loads at 0, and each trial is the first of its own."""
    fleet, _ = told
    rates = "select decode_tokens_per_s as rate from requests_flagged where not warmup"
    rows = fleet.rows(f"{rates} and valid group by attempt_id, rate")
    assert len({round(row["rate"], 3) for row in rows}) == 4 * BLOCKS


def test_a_second_time_measures_nothing_and_says_the_same(
    told: tuple[Fleet, Done], tmp_path: Path
) -> None:
    fleet = told[0].copied_to(tmp_path)
    words = ("noise", "--config", "configs/demo.yaml", "--repeats", str(BLOCKS))
    done = fleet(*words, code=told[1].code)
    assert "nothing to do: every trial is finished" in done.err
    titles = "machine  metric     noise  95 % interval   b against a  95 % interval"
    assert done.out.splitlines()[1].split() == [*titles.split(), "n"]
    assert "with 5 repeats a side" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tiny", "--repeats", "2"), "--repeats 2: a noise floor needs at least 5 blocks"),
        ((), "no model is named\n  fleet noise gpt-oss:20b, or --config FILE"),
        (("tiny", "--job", "nosuch"), "no job named 'nosuch'"),
        (("--config", "configs/nosuch.yaml"), "configs/nosuch.yaml:1:1: no such file"),
        (("tiny", "--engine", "simulated"), "engine simulated: its machines are scripted"),
    ],
)
def test_words_that_cannot_be(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = Fleet(tmp_path)("noise", *words, code=2)
    assert said in done.err
    assert not (tmp_path / "store").exists()


def test_a_machine_with_too_few_trials_says_how_many_are_needed(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    faults = [{"kind": "short_answer", "request": at} for at in range(9, 100)]
    fleet.write(experiment({"broken": machine(*faults)}))
    done = fleet("noise", "--config", "configs/demo.yaml", "--repeats", "5", code=1)
    assert "broken, decode: " in done.out
    assert "10 are needed: submit the same again" in done.out
