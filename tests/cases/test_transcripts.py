"""Transcripts of public reports: every figure is stored, or named with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders_cases import case, with_cases
from tests.builders_flow import Done, Fleet

pytestmark = with_cases

GIVEN = ("--machine", "m", "--date", "2026-10-01", "--source", "t")
SHORT = {
    "prompt_tokens": 20,
    "cached_tokens": None,
    "output_tokens": 200,
    "load_duration_ns": 50_000_000,
    "prompt_duration_ns": 100_000_000,
    "output_duration_ns": 3_900_000_000,
    "total_duration_ns": 4_100_000_000,
}
"""Figures that three of the inputs share."""


def imported(fleet: Fleet, number: str, *words: str, code: int = 0) -> Done:
    return fleet("import", str(case(number)), *(words or GIVEN), code=code)


def stored(fleet: Fleet) -> list[dict[str, Any]]:
    rows = fleet.rows("select * from requests join trials using (attempt_id) order by model")
    return [{key: row[key] for key in ("model", *SHORT)} for row in rows]


def test_01_a_cached_prompt_is_read_and_ends_no_block(fleet: Fleet) -> None:
    done = imported(fleet, "01")
    assert "17 figures printed: 17 read" in done.out
    first, second = stored(fleet)
    assert (first["model"], first["prompt_tokens"], first["cached_tokens"]) == (
        "llama3.2:1b",
        45,
        None,
    )
    assert (first["output_tokens"], first["output_duration_ns"]) == (249, 4_454_680_000)
    assert second == {
        "model": "qwen3:8b",
        "prompt_tokens": 45,
        "cached_tokens": 32,
        "output_tokens": 149,
        "load_duration_ns": 9_179_800,
        "prompt_duration_ns": 276_661_000,
        "output_duration_ns": 2_454_680_000,
        "total_duration_ns": 2_762_805_400,
    }


@pytest.mark.parametrize(
    ("number", "model", "unread"),
    [("03", "m1", ["draft accept rate: 0.71"]), ("05", "m1", []), ("11", "granite4:3b", [])],
)
def test_03_05_11_all_figures_are_read(
    fleet: Fleet, number: str, model: str, unread: list[str]
) -> None:
    data = fleet("import", str(case(number)), *GIVEN, "--json").json()
    assert stored(fleet) == [{"model": model, **SHORT}]
    assert (data["figures_read"], data["figures_refused"]) == (8, 0)
    assert [each["text"] for each in data["unread"]] == unread


def test_11_the_job_is_named_after_the_question(fleet: Fleet) -> None:
    done = imported(fleet, "11")
    assert "stored: granite4:3b  write-three-lines-on-science-" in done.out


def test_06_a_heading_ends_a_session_and_its_model_is_asked_for(fleet: Fleet) -> None:
    refused = imported(fleet, "06", code=2)
    assert "no command names the model of 2 turns: line 12" in refused.err
    [hint] = [line for line in refused.err.splitlines() if line.startswith("  say it: ")]
    assert hint.split()[2:] == ["--model", "12=gemma4:e4b", "--model", "27=gemma4:12b-it-qat"]
    assert fleet.parquet() == []
    imported(fleet, "06", *GIVEN, *hint.split()[2:])
    assert [(row["model"], row["output_tokens"]) for row in stored(fleet)] == [
        ("gemma4:12b-it-qat", 120),
        ("gemma4:e4b", 146),
    ]


def test_07_a_dash_before_each_figure_is_read(fleet: Fleet) -> None:
    assert "8 figures printed: 8 read" in imported(fleet, "07").out
    assert stored(fleet) == [
        {
            "model": "qwen2.5-coder:32b",
            "prompt_tokens": 40,
            "cached_tokens": None,
            "output_tokens": 2750,
            "load_duration_ns": 2_539_822_188,
            "prompt_duration_ns": 34_583_231,
            "output_duration_ns": 65_505_905_372,
            "total_duration_ns": 68_739_155_758,
        }
    ]


@pytest.mark.parametrize(
    ("number", "reason", "figures"),
    [
        ("10", "the total duration is missing", 6),
        ("15", "a table is no transcript", 8),
        ("14", "line 5: refused: eval count: 99999999999999999999 token(s) (line 10)", 1),
    ],
)
def test_10_14_15_what_cannot_be_stored_is_one_message(
    fleet: Fleet, number: str, reason: str, figures: int
) -> None:
    refused = imported(fleet, number, code=2)
    assert refused.out == ""
    assert refused.err.count(reason) == 1
    lines = [line for line in refused.err.splitlines() if line.startswith("  line ")]
    assert len(lines) == figures, "every figure is named"
    assert fleet.parquet() == []


@pytest.mark.parametrize("number", ["01", "03", "07"])
def test_14_a_day_in_the_year_9999_is_one_message(fleet: Fleet, number: str) -> None:
    refused = imported(fleet, number, *GIVEN[:3], "9999-12-31", *GIVEN[4:], code=2)
    assert "--date: 9999-12-31 lies in the future" in refused.err
    assert fleet.parquet() == []


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", "UTC"])
def test_imports_of_two_days_are_compared_by_these_days(fleet: Fleet, zone: str) -> None:
    """The second is the first input with another total: the same figures would be a copy."""
    again = fleet.folder / "again.txt"
    again.write_text(case("03").read_text().replace("4.1s", "4.2s"))
    for day, file in (("2026-10-01", case("03")), ("2026-11-20", again)):
        fleet("import", str(file), *GIVEN[:3], day, *GIVEN[4:], env={"TZ": zone})
    days = ("compare", "--by", "date", "2026-10-01", "2026-11-20", "--json")
    report = fleet(*days, code=2, env={"TZ": "America/New_York"}).json()
    [group] = report["groups"]
    assert [line["side"] for line in group["lines"]] == ["2026-10-01", "2026-11-20"]
    assert [line["value"] for line in group["lines"]] == [pytest.approx(199 / 3.9)] * 2
